/* core/io/sink: written to without waiting, whatever the descriptor is and whoever reads it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/io/sink.h"

static vv_status
put(const vv_sink *sink, const char *text, size_t *written)
{
    return vv_sink_write(sink, vv_span_text(text), written);
}

static const char *
content(const char *path)
{
    static char text[4096];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* Fills it until it takes no more, which must come, and come back; how many bytes it took. */
static size_t
fill(const vv_sink *sink)
{
    static char junk[1 << 20];
    size_t written, all = 0;
    for (int i = 0; i < 64; i++) {
        vv_status status = vv_sink_write(sink, vv_span_of(junk, sizeof junk), &written);
        all += written;
        if (status == VV_AGAIN)
            return all;
        assert_int_equal(status, VV_OK);
    }
    fail_msg("it has taken %zu bytes that nobody has read", all);
    return 0;
}

static void
drain(int fd, size_t bytes)
{
    static char junk[1 << 16];
    while (bytes > 0) {
        ssize_t count = read(fd, junk, sizeof junk);
        assert_true(count > 0);
        bytes -= (size_t)count;
    }
}

static void
assert_never_waits(int reader, int writer, int kind)
{
    vv_sink sink;
    size_t written;
    int flags = fcntl(writer, F_GETFL);
    assert_int_equal(vv_sink_open_fd(&sink, writer), VV_OK);
    if (kind == VV_SINK_GUARDED) { /* as where there is no /proc */
        vv_sink_close(&sink);
        sink = (vv_sink){.fd = writer, .kind = VV_SINK_GUARDED};
    }
    assert_int_equal(sink.kind, kind);
    drain(reader, fill(&sink));
    assert_int_equal(put(&sink, "again\n", &written), VV_OK);
    assert_int_equal(written, 6);
    assert_int_equal(fcntl(writer, F_GETFL), flags); /* others hold it too */
    vv_sink_close(&sink);
    assert_int_equal(write(writer, "mine", 4), 4); /* still the caller's */
    drain(reader, 10);
    close(reader);
    assert_true(fcntl(writer, F_GETFD) >= 0);
    close(writer);
}

static void
a_pipe_that_nobody_reads(void **state)
{
    int fd[2];
    assert_int_equal(pipe(fd), 0);
    assert_never_waits(fd[0], fd[1], VV_SINK_UNBLOCKED);
    assert_int_equal(pipe(fd), 0);
    assert_never_waits(fd[0], fd[1], VV_SINK_GUARDED);
}

static void
a_socket_that_nobody_reads(void **state)
{
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    assert_never_waits(fd[0], fd[1], VV_SINK_SOCKET);
}

/* One of several writers: lines of one letter, of all lengths. */
typedef struct writer {
    vv_sink sink;
    char letter;
    char text[32 * 1024];
    size_t len, made;
} writer;

static void
make_lines(writer *w)
{
    while (w->made < 400) {
        size_t len = 1 + w->made * 37 % 700;
        if (w->len + len + 1 > sizeof w->text)
            return;
        memset(w->text + w->len, w->letter, len);
        w->text[w->len + len] = '\n';
        w->len += len + 1;
        w->made++;
    }
}

static void
no_line_is_torn_by_another_writers(void **state)
{
    static writer writers[3];
    static char got[1 << 20];
    size_t got_len = 0, lines = 0;
    int fd[2];
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    for (int i = 0; i < 3; i++) {
        writers[i] = (writer){.letter = (char)('a' + i)};
        assert_int_equal(vv_sink_open_fd(&writers[i].sink, fd[1]), VV_OK);
    }
    fcntl(fd[0], F_SETFL, O_NONBLOCK);
    for (int round = 0; round < 4000 && lines < 3 * 400; round++) {
        for (int i = 0; i < 3; i++) {
            writer *w = &writers[(i + round) % 3]; /* each is the first in its turn */
            size_t written;
            make_lines(w);
            vv_status status = vv_sink_write(&w->sink, vv_span_of(w->text, w->len), &written);
            assert_true(status == VV_OK || status == VV_AGAIN);
            memmove(w->text, w->text + written, w->len - written);
            w->len -= written;
        }
        ssize_t count = read(fd[0], got + got_len, 3000); /* it reads, but slowly: the pipe is full all the time */
        if (count > 0)
            got_len += (size_t)count;
        lines = 0;
        for (size_t i = 0; i < got_len; i++)
            lines += got[i] == '\n';
    }
    assert_int_equal(lines, 3 * 400);
    for (size_t i = 1; i < got_len; i++)
        if (got[i] != '\n' && got[i - 1] != '\n')
            assert_int_equal(got[i], got[i - 1]);
    for (int i = 0; i < 3; i++)
        vv_sink_close(&writers[i].sink);
    close(fd[0]);
    close(fd[1]);
}

static void
a_line_that_is_longer_than_a_piece(void **state)
{
    static char text[20000];
    char got[sizeof text];
    vv_sink sink;
    size_t written;
    int fd[2];
    memset(text, 'x', sizeof text);
    text[9] = text[12000] = text[sizeof text - 1] = '\n';
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    assert_int_equal(vv_sink_open_fd(&sink, fd[1]), VV_OK);
    assert_int_equal(vv_sink_write(&sink, vv_span_of(text, sizeof text), &written), VV_OK);
    assert_int_equal(written, sizeof text);
    assert_int_equal(read(fd[0], got, sizeof got), sizeof got);
    assert_memory_equal(got, text, sizeof text);
    vv_sink_close(&sink);
    close(fd[0]);
    close(fd[1]);
}

static void
a_reader_that_is_gone(void **state)
{
    vv_sink sink;
    size_t written;
    int fd[2];
    signal(SIGPIPE, SIG_IGN); /* as in Python */
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(vv_sink_open_fd(&sink, fd[1]), VV_OK);
    close(fd[0]);
    assert_int_equal(put(&sink, "text", &written), VV_E_SYSTEM);
    assert_int_equal(errno, EPIPE);
    vv_sink_close(&sink);
    close(fd[1]);

    signal(SIGPIPE, SIG_DFL); /* a socket needs nobody's help */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    assert_int_equal(vv_sink_open_fd(&sink, fd[1]), VV_OK);
    close(fd[0]);
    assert_int_equal(put(&sink, "text", &written), VV_E_SYSTEM);
    assert_int_equal(errno, EPIPE);
    vv_sink_close(&sink);
    close(fd[1]);
}

static void
a_full_disk(void **state)
{
    vv_sink sink;
    size_t written = 7;
    int fd = open("/dev/full", O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(vv_sink_open_fd(&sink, fd), VV_OK);
    assert_int_equal(put(&sink, "text", &written), VV_E_SYSTEM);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(written, 0);
    vv_sink_close(&sink);
    close(fd);
}

static void
a_file_shares_its_offset(void **state)
{
    char path[] = "/tmp/vivace_sink_XXXXXX";
    vv_sink sink;
    size_t written;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(vv_sink_open_fd(&sink, fd), VV_OK);
    assert_int_equal(sink.kind, VV_SINK_FILE);
    assert_int_equal(put(&sink, "one ", &written), VV_OK);
    assert_int_equal(write(fd, "two ", 4), 4); /* opened without O_APPEND, as by a shell's "2> file" */
    assert_int_equal(put(&sink, "three", &written), VV_OK);
    assert_string_equal(content(path), "one two three");
    vv_sink_close(&sink);
    close(fd);
    unlink(path);
}

static void
a_file_is_followed(void **state)
{
    char folder[] = "/tmp/vivace_sink_XXXXXX", path[64], old[64];
    vv_sink sink;
    size_t written;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
    snprintf(old, sizeof old, "%s/log.1", folder);

    assert_int_equal(vv_sink_open_path(&sink, path), VV_OK);
    assert_int_equal(put(&sink, "first\n", &written), VV_OK);
    vv_sink_follow(&sink);
    assert_int_equal(put(&sink, "second\n", &written), VV_OK);
    assert_int_equal(rename(path, old), 0);
    assert_int_equal(put(&sink, "third\n", &written), VV_OK); /* not looked at yet */
    vv_sink_follow(&sink);
    assert_int_equal(put(&sink, "fourth\n", &written), VV_OK);
    assert_string_equal(content(old), "first\nsecond\nthird\n");
    assert_string_equal(content(path), "fourth\n");

    /* Where a new one cannot be made, the old one goes on. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    vv_sink_follow(&sink);
    assert_int_equal(put(&sink, "fifth\n", &written), VV_OK);
    vv_sink_close(&sink);
    rmdir(path);
    unlink(old);
    rmdir(folder);
}

static void
what_cannot_be_opened(void **state)
{
    vv_sink sink;
    size_t written;
    assert_int_equal(vv_sink_open_path(&sink, "/tmp/no/such/folder/log"), VV_E_SYSTEM);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(vv_sink_open_fd(&sink, 9999), VV_E_SYSTEM);
    assert_int_equal(errno, EBADF);
    assert_int_equal(put(&sink, "text", &written), VV_E_SYSTEM);
    vv_sink_close(&sink);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipe_that_nobody_reads),
        cmocka_unit_test(a_socket_that_nobody_reads),
        cmocka_unit_test(a_reader_that_is_gone),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(a_file_shares_its_offset),
        cmocka_unit_test(a_file_is_followed),
        cmocka_unit_test(no_line_is_torn_by_another_writers),
        cmocka_unit_test(a_line_that_is_longer_than_a_piece),
        cmocka_unit_test(what_cannot_be_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
