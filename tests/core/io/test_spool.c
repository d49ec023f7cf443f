/* core/io/spool: what is written is read again, from anywhere, and no name is left behind. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/io/spool.h"

enum { BYTES = 300 * 1000 };

static uint8_t bytes[BYTES], out[BYTES];
static char directory[64];

/* In place of the C library's: a file system that has no files without names, when a test says so. */
static int no_tmpfile, refused;

int
open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    unsigned mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, unsigned) : 0;
    va_end(args);
    if (no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
        refused++;
        errno = EOPNOTSUPP;
        return -1;
    }
    return openat(AT_FDCWD, path, flags, mode);
}

static vv_spool *
filled(void)
{
    vv_spool *spool;
    assert_int_equal(vv_spool_new(&spool, directory), VV_OK);
    for (size_t at = 0, len = 1; at < BYTES; at += len, len = len * 3 + 1) {
        len = len < BYTES - at ? len : BYTES - at;
        assert_int_equal(vv_spool_append(spool, vv_span_of(bytes + at, len)), VV_OK);
    }
    assert_int_equal(vv_spool_len(spool), BYTES);
    return spool;
}

static int
names_in(const char *path)
{
    int count = 0;
    DIR *opened = opendir(path);
    assert_non_null(opened);
    while (readdir(opened) != NULL)
        count++;
    closedir(opened);
    return count - 2;
}

static void
what_is_written_is_read(void **state)
{
    vv_spool *spool = filled();
    assert_int_equal(names_in(directory), 0);
    for (size_t at = 0; at < BYTES; at += 65521) {
        assert_int_equal(vv_spool_read(spool, at, out, BYTES - at), VV_OK);
        assert_memory_equal(out, bytes + at, BYTES - at);
    }
    assert_int_equal(vv_spool_read(spool, BYTES, out, 0), VV_OK);
    assert_int_equal(vv_spool_read(spool, BYTES - 1, out, 2), VV_E_SYSTEM);
    vv_spool_free(spool);
    vv_spool_free(NULL);
}

static void
a_part_is_copied_to_files_and_pipes(void **state)
{
    vv_spool *spool = filled();
    char path[128];
    snprintf(path, sizeof path, "%s/copy", directory);
    int fd = open(path, O_RDWR | O_CREAT, 0600), ends[2];
    assert_true(write(fd, "head", 4) == 4);
    assert_int_equal(vv_spool_copy(spool, 1000, 200000, fd), VV_OK);
    assert_int_equal(pread(fd, out, BYTES, 0), 200004);
    assert_memory_equal(out, "head", 4);
    assert_memory_equal(out + 4, bytes + 1000, 200000);
    assert_int_equal(vv_spool_copy(spool, BYTES - 1, 2, fd), VV_E_SYSTEM);
    close(fd);
    unlink(path);
    assert_int_equal(pipe(ends), 0); /* copy_file_range() does not */
    assert_int_equal(vv_spool_copy(spool, 7, 5000, ends[1]), VV_OK);
    assert_int_equal(read(ends[0], out, BYTES), 5000);
    assert_memory_equal(out, bytes + 7, 5000);
    assert_int_equal(vv_spool_copy(spool, 7, 1, ends[0]), VV_E_SYSTEM);
    close(ends[0]);
    close(ends[1]);
    vv_spool_free(spool);
}

static void
the_directory_is_the_first_that_will_do(void **state)
{
    vv_spool *spool;
    setenv("TMPDIR", "/nonexistent", 1);
    setenv("TEMP", "/dev/null", 1);
    setenv("TMP", directory, 1);
    char *found = vv_spool_directory();
    assert_string_equal(found, directory);
    free(found);
    unsetenv("TMP");
    found = vv_spool_directory();
    assert_string_equal(found, "/tmp");
    free(found);
    unsetenv("TMPDIR");
    unsetenv("TEMP");
    assert_int_equal(vv_spool_new(&spool, "/nonexistent"), VV_E_SPOOL);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(names_in(directory), 0);
}

static void
where_no_file_can_be_without_a_name_it_loses_it(void **state)
{
    vv_spool *spool;
    char deep[5000];
    no_tmpfile = 1;
    spool = filled();
    assert_true(refused > 0);
    assert_int_equal(names_in(directory), 0);
    assert_int_equal(vv_spool_read(spool, 0, out, BYTES), VV_OK);
    assert_memory_equal(out, bytes, BYTES);
    vv_spool_free(spool);
    memset(deep, 'x', sizeof deep - 1);
    deep[0] = '/';
    deep[sizeof deep - 1] = '\0';
    assert_int_equal(vv_spool_new(&spool, deep), VV_E_SPOOL);
    assert_int_equal(vv_spool_new(&spool, "/nonexistent"), VV_E_SPOOL);
    assert_int_equal(errno, ENOENT);
    no_tmpfile = 0;
}

static void
a_full_disk(void **state)
{
    struct rlimit before, less;
    vv_spool *spool;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    less = (struct rlimit){.rlim_cur = 100, .rlim_max = before.rlim_max};
    assert_int_equal(vv_spool_new(&spool, directory), VV_OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
    assert_int_equal(vv_spool_append(spool, vv_span_of(bytes, 100)), VV_OK);
    assert_int_equal(vv_spool_append(spool, vv_span_of(bytes, 1)), VV_E_SPOOL_FULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(vv_spool_len(spool), 100);
    signal(SIGXFSZ, handler);
    vv_spool_free(spool);
}

static void
no_descriptors(void **state)
{
    struct rlimit before, less;
    vv_spool *spool;
    int next = dup(0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    less = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
    assert_int_equal(vv_spool_new(&spool, directory), VV_E_SPOOL);
    assert_int_equal(errno, EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    spool = filled();
    assert_int_equal(dup(0), next + 1); /* none was lost */
    close(next + 1);
    vv_spool_free(spool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_part_is_copied_to_files_and_pipes),
        cmocka_unit_test(the_directory_is_the_first_that_will_do),
        cmocka_unit_test(where_no_file_can_be_without_a_name_it_loses_it),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(no_descriptors),
    };
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 257);
    snprintf(directory, sizeof directory, "/tmp/vivace-test-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return rmdir(directory) != 0 || failed;
}
