/* core/io/loop_uring: what a ring does differently from epoll. Where there are no rings: that epoll takes over. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/io/loop.h"

typedef struct end {
    vv_stream stream;
    vv_loop *loop;
    int far;
    size_t bytes, sent, calls;
    int lost;
    int ends_turn; /* when bytes arrive */
} end;

static void
on_bytes(vv_stream *stream, uint8_t *bytes, size_t len)
{
    end *e = (end *)stream;
    e->bytes += len;
    e->calls++;
    memset(bytes, '#', len);
    if (e->ends_turn)
        vv_loop_end_turn(e->loop);
}

static void
on_end(vv_stream *stream)
{
}

static void
on_sent(vv_stream *stream, size_t sent)
{
    ((end *)stream)->sent += sent;
}

static void
on_lost(vv_stream *stream)
{
    ((end *)stream)->lost = 1;
}

static const vv_stream_events events = {.on_bytes = on_bytes, .on_end = on_end, .on_sent = on_sent, .on_lost = on_lost};
static const vv_loop_events nobody;

static vv_loop *
open_ring(void)
{
    vv_loop *loop;
    if (vv_loop_open(&loop, VV_LOOP_URING, &nobody) != VV_OK)
        skip();
    assert_string_equal(vv_loop_name(loop), "uring");
    return loop;
}

static void
open_end(vv_loop *loop, end *e)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    *e = (end){.stream = {.on = &events, .fd = pair[0]}, .loop = loop, .far = pair[1]};
    assert_int_equal(vv_loop_add(loop, &e->stream), VV_OK);
}

static void
turns(vv_loop *loop, int count)
{
    while (count-- > 0) {
        vv_loop_wait(loop, 1);
        vv_loop_dispatch(loop);
    }
}

static void
say(end *e, size_t len)
{
    char *bytes = calloc(1, len);
    assert_int_equal(write(e->far, bytes, len), (ssize_t)len);
    free(bytes);
}

/* More streams than the kernel has buffers to fill: those that find none are served when some have come back. */
static void
more_bytes_than_buffers_all_arrive(void **state)
{
    enum { ENDS = 400, EACH = 20000 };
    vv_loop *loop = open_ring();
    end *ends = calloc(ENDS, sizeof *ends);
    for (size_t i = 0; i < ENDS; i++)
        open_end(loop, &ends[i]);
    turns(loop, 2);
    for (size_t i = 0; i < ENDS; i++)
        say(&ends[i], EACH);
    turns(loop, 40);
    for (size_t i = 0; i < ENDS; i++) {
        assert_int_equal(ends[i].bytes, EACH);
        assert_false(ends[i].lost);
        vv_loop_drop(loop, &ends[i].stream);
        close(ends[i].far);
    }
    turns(loop, 2);
    vv_loop_close(loop);
    free(ends);
}

/* What has come and was left for the next turn ends the wait of that turn at once, and comes in its order. */
static void
a_turn_that_is_ended_leaves_the_rest_for_the_next(void **state)
{
    enum { ENDS = 9 };
    vv_loop *loop = open_ring();
    end ends[ENDS];
    for (size_t i = 0; i < ENDS; i++) {
        open_end(loop, &ends[i]);
        ends[i].ends_turn = 1;
    }
    turns(loop, 2);
    for (size_t i = 0; i < ENDS; i++)
        say(&ends[i], 5);
    assert_int_equal(vv_loop_wait(loop, 1000), ENDS);
    vv_loop_dispatch(loop);
    for (size_t left = ENDS - 1; left > 0; left--) {
        assert_int_equal(vv_loop_wait(loop, -1), left);
        vv_loop_dispatch(loop);
    }
    assert_int_equal(vv_loop_wait(loop, 0), 0);
    for (size_t i = 0; i < ENDS; i++) {
        assert_int_equal(ends[i].bytes, 5);
        assert_int_equal(ends[i].calls, 1);
        vv_loop_drop(loop, &ends[i].stream);
        close(ends[i].far);
    }
    turns(loop, 2);
    vv_loop_close(loop);
}

/* The memory of what is being sent is the caller's again when the drop has returned. */
static void
a_drop_ends_a_send(void **state)
{
    enum { MUCH = 4 << 20 };
    vv_loop *loop = open_ring();
    end e;
    open_end(loop, &e);
    uint8_t *bytes = malloc(MUCH);
    memset(bytes, 'x', MUCH);
    size_t sent;
    assert_int_equal(vv_loop_send(loop, &e.stream, vv_span_of(bytes, MUCH), &sent), VV_AGAIN);
    turns(loop, 2);
    assert_true(e.sent < MUCH);
    assert_int_equal(vv_loop_send(loop, &e.stream, vv_span_of(bytes + e.sent, MUCH - e.sent), &sent), VV_AGAIN);
    turns(loop, 1);
    vv_loop_drop(loop, &e.stream);
    memset(bytes, 'y', MUCH);
    free(bytes);
    size_t got = 0, part;
    uint8_t room[65536];
    turns(loop, 2);
    while ((part = (size_t)read(e.far, room, sizeof room)) > 0 && part != (size_t)-1) {
        assert_null(memchr(room, 'y', part));
        got += part;
    }
    assert_int_equal(part, 0); /* the descriptor is closed */
    assert_true(got >= e.sent);
    close(e.far);
    vv_loop_close(loop);
}

/* A request to the ring says how much in 32 bits: 4 GiB would be nothing, and never end. */
static void
more_than_a_request_can_say_is_sent_in_parts(void **state)
{
    size_t much = (size_t)1 << 32, sent;
    vv_loop *loop = open_ring();
    uint8_t *bytes = mmap(NULL, much, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0); /* no memory */
    assert_ptr_not_equal(bytes, MAP_FAILED);
    end e;
    open_end(loop, &e);
    assert_int_equal(vv_loop_send(loop, &e.stream, vv_span_of(bytes, much), &sent), VV_AGAIN);
    turns(loop, 2);
    assert_true(e.sent > 0);
    assert_false(e.lost);
    vv_loop_drop(loop, &e.stream);
    close(e.far);
    vv_loop_close(loop);
    munmap(bytes, much);
}

/* Completions of a stream that was dropped reach neither it nor the stream that has its slot and number now. */
static void
a_late_completion_finds_nobody(void **state)
{
    vv_loop *loop = open_ring();
    end old, new;
    open_end(loop, &old);
    turns(loop, 1);
    say(&old, 100);
    vv_loop_wait(loop, 10); /* the bytes wait among the completions */
    vv_loop_drop(loop, &old.stream);
    open_end(loop, &new);
    vv_loop_dispatch(loop);
    turns(loop, 3);
    assert_int_equal(old.calls + new.calls, 0);
    say(&new, 7);
    turns(loop, 2);
    assert_int_equal(new.bytes, 7);
    vv_loop_drop(loop, &new.stream);
    close(old.far);
    close(new.far);
    turns(loop, 1);
    vv_loop_close(loop);
}

static void
a_paused_stream_goes_on_where_it_was(void **state)
{
    vv_loop *loop = open_ring();
    end e;
    open_end(loop, &e);
    turns(loop, 1);
    vv_loop_pause(loop, &e.stream);
    vv_loop_resume(loop, &e.stream);
    vv_loop_pause(loop, &e.stream);
    turns(loop, 3);
    say(&e, 50);
    turns(loop, 3);
    assert_int_equal(e.bytes, 0);
    vv_loop_resume(loop, &e.stream);
    turns(loop, 3);
    assert_int_equal(e.bytes, 50);
    vv_loop_drop(loop, &e.stream);
    close(e.far);
    turns(loop, 1);
    vv_loop_close(loop);
}

/* As containers do: io_uring_setup is not permitted. */
static int
forbid_rings(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof rules / sizeof *rules, .filter = rules};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* 0: as it should be; 1: not; 2: this kernel has no filters. */
static int
without_rings(void)
{
    vv_loop *loop;
    if (!forbid_rings())
        return 2;
    if (vv_loop_open(&loop, VV_LOOP_URING, &nobody) != VV_E_SYSTEM || vv_loop_offers(VV_LOOP_URING))
        return 1;
    if (vv_loop_open(&loop, VV_LOOP_AUTO, &nobody) != VV_OK)
        return 1;
    int right = strcmp(vv_loop_name(loop), "epoll") == 0;
    vv_loop_close(loop);
    return !right;
}

static void
where_rings_are_forbidden_epoll_takes_over(void **state)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(without_rings());
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WEXITSTATUS(status) == 2)
        skip();
    assert_int_equal(status, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_bytes_than_buffers_all_arrive),
        cmocka_unit_test(a_turn_that_is_ended_leaves_the_rest_for_the_next),
        cmocka_unit_test(a_drop_ends_a_send),
        cmocka_unit_test(more_than_a_request_can_say_is_sent_in_parts),
        cmocka_unit_test(a_late_completion_finds_nobody),
        cmocka_unit_test(a_paused_stream_goes_on_where_it_was),
        cmocka_unit_test(where_rings_are_forbidden_epoll_takes_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
