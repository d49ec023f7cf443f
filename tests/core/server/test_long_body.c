/* core/server/long_body: bodies that are too long for memory, however they were cut, and what can go wrong with them.
 */
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>

#include "stage.h"

#define POST(path, fields, body) "POST " path " HTTP/1.1\r\nHost: a\r\n" fields "\r\n" body
#define CHUNKED(path, body)      POST(path, "Transfer-Encoding: chunked\r\n", body)

/* A server that keeps next to nothing in memory. */
static void
open_small(stage *s, uint64_t most)
{
    vv_limits limits = vv_limits_default();
    limits.limit_body_memory_bytes = 4;
    limits.limit_body_bytes = most;
    stage_open(s, &limits);
}

static int
descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void
cut_everywhere(const char *text, const char *expected, size_t spooled)
{
    stage s;
    open_small(&s, 1000);
    size_t len = strlen(text);
    for (size_t cut = 1; cut <= len; cut++) {
        client c = client_open(&s);
        s.spooled = 0;
        say_bytes(&s, &c, text, cut);
        turns(&s);
        say_bytes(&s, &c, text + cut, len - cut);
        assert_hears(&s, &c, expected);
        client_close(&s, &c);
    }
    client c = client_open(&s);
    s.spooled = 0;
    for (size_t i = 0; i < len; i++) {
        say_bytes(&s, &c, text + i, 1);
        turn(&s, 0);
    }
    assert_hears(&s, &c, expected);
    assert_int_equal(s.spooled, spooled);
    client_close(&s, &c);
    stage_close(&s);
}

static void
bodies_of_a_length_cut_at_every_byte(void **state)
{
    cut_everywhere(POST("/echo", "Content-Length: 9\r\n", "012345678") POST("/echo", "Content-Length: 4\r\n", "0123")
                       POST("/leave", "Content-Length: 5\r\n", "01234") GET("/say/a"),
                   "200 012345678, 200 0123, 200 left, 200 a", 1);
}

static void
chunked_bodies_cut_at_every_byte(void **state)
{
    cut_everywhere(CHUNKED("/echo", "3\r\nabc\r\n4;x=y\r\ndefg\r\n3\r\nhij\r\n0\r\nT: t\r\n\r\n")
                       CHUNKED("/echo", "4\r\nwxyz\r\n0\r\n\r\n") CHUNKED("/leave", "6\r\n012345\r\n0\r\n\r\n")
                           GET("/say/a"),
                   "200 abcdefghij, 200 wxyz, 200 left, 200 a", 0);
}

/* More than goes to the file at once. */
static void
large_bodies(void **state)
{
    enum { BYTES = 1500 * 1000 };
    stage s;
    int before = 0;
    open_small(&s, BYTES);
    for (int round = 0; round < 4; round++) {
        int chunked = round % 2;
        client c = client_open(&s);
        char head[128];
        uint8_t *bytes = malloc(BYTES);
        for (size_t i = 0; i < BYTES; i++)
            bytes[i] = (uint8_t)(i * 11 + i / 253);
        size_t len = (size_t)sprintf(
            head, chunked ? CHUNKED("/echo", "%x\r\n") : POST("/echo", "Content-Length: %d\r\n", ""), BYTES);
        say_bytes(&s, &c, head, len);
        say_much(&s, &c, bytes, BYTES);
        if (chunked)
            say_bytes(&s, &c, "\r\n0\r\n\r\n", 7);
        say(&s, &c, GET("/say/next"));
        WAIT_FOR(&s, take_bytes(&c) == 0 && c.got_len > BYTES + 200);
        uint8_t *body = memmem(c.got, c.got_len, "\r\n\r\n", 4);
        assert_non_null(body);
        assert_memory_equal(body + 4, bytes, BYTES);
        free(bytes);
        assert_hears(&s, &c, "200 [1500000], 200 next");
        client_close(&s, &c);
        if (round == 1)
            before = descriptors();
    }
    assert_int_equal(s.spooled, 4);
    assert_int_equal(descriptors(), before);
    stage_close(&s);
}

static void
the_limit_holds(void **state)
{
    stage s;
    open_small(&s, 10);
    turns(&s);
    int before = descriptors();
    client c = client_open(&s);
    say(&s, &c, POST("/echo", "Content-Length: 10\r\n", "0123456789") CHUNKED("/echo", "5\r\n01234\r\n5\r\n"));
    assert_hears(&s, &c, "200 0123456789");
    say(&s, &c, "56789\r\n0\r\n\r\n");
    assert_hears(&s, &c, "200 0123456789");
    say(&s, &c, CHUNKED("/echo", "5\r\n01234\r\n"));
    turns(&s);
    say(&s, &c, "6\r\n"); /* what is announced counts */
    assert_hears(&s, &c, "413 Content Too Large (close), end");
    client_close(&s, &c);
    c = client_open(&s);
    say(&s, &c, POST("/echo", "Content-Length: 11\r\nExpect: 100-continue\r\n", ""));
    assert_hears(&s, &c, "413 Content Too Large (close), end");
    client_close(&s, &c);
    WAIT_FOR(&s, descriptors() == before);
    assert_int_equal(descriptors(), before);
    stage_close(&s);
}

static void
a_route_may_have_a_limit_of_its_own(void **state)
{
    stage s;
    open_small(&s, 6);
    s.route_limit = 12;
    client c = client_open(&s);
    say(&s, &c, POST("/most", "Content-Length: 12\r\nExpect: 100-continue\r\n", ""));
    assert_hears(&s, &c, "100");
    say(&s, &c, "0123456789ab");
    assert_hears(&s, &c, "200 0123456789ab");
    say(&s, &c, CHUNKED("/m%6fst", "6\r\n012345\r\n6\r\n6789ab\r\n0\r\n\r\n"));
    assert_hears(&s, &c, "200 0123456789ab");
    say(&s, &c, CHUNKED("/echo", "6\r\n012345\r\n1\r\n"));
    assert_hears(&s, &c, "413 Content Too Large (close), end");
    client_close(&s, &c);

    s.route_limit = 3;
    c = client_open(&s);
    say(&s, &c, POST("/echo", "Content-Length: 6\r\n", "012345") POST("/most", "Content-Length: 3\r\n", "012"));
    assert_hears(&s, &c, "200 012345, 200 012");
    say(&s, &c, POST("/most", "Content-Length: 4\r\nExpect: 100-continue\r\n", ""));
    assert_hears(&s, &c, "413 Content Too Large (close), end");
    client_close(&s, &c);
    c = client_open(&s);
    say(&s, &c, CHUNKED("/most", "4\r\n"));
    assert_hears(&s, &c, "413 Content Too Large (close), end");
    client_close(&s, &c);
    /* Where there is no route there is none to ask. */
    c = client_open(&s);
    say(&s, &c, POST("/nowhere", "Content-Length: 6\r\n", "012345"));
    assert_hears(&s, &c, "404 Not Found");
    client_close(&s, &c);
    stage_close(&s);
}

static void
a_client_that_goes_leaves_nothing(void **state)
{
    stage s;
    open_small(&s, 100);
    turns(&s);
    int before = descriptors();
    for (int round = 0; round < 20; round++) {
        client c = client_open(&s);
        say(&s, &c, round % 2 == 0 ? POST("/echo", "Content-Length: 50\r\n", "") : CHUNKED("/echo", "20\r\n"));
        turns(&s);
        for (int i = 0; i < 3; i++) {
            say(&s, &c, "01234567");
            turns(&s);
        }
        if (round % 4 < 2)
            client_reset(&s, &c);
        else
            client_close(&s, &c);
        WAIT_FOR(&s, vv_server_connections(s.server) == 0);
    }
    WAIT_FOR(&s, descriptors() == before);
    assert_int_equal(descriptors(), before);
    stage_close(&s);
}

static void
a_client_that_stops_is_told_so(void **state)
{
    stage s;
    open_small(&s, 100);
    client c = client_open(&s);
    say(&s, &c, POST("/echo", "Content-Length: 50\r\n", "0123456789"));
    turns(&s);
    pass(&s, 29 * 1000);
    say(&s, &c, "0123456789");
    turns(&s);
    pass(&s, 29 * 1000);
    assert_hears(&s, &c, "");
    pass(&s, 2 * 1000);
    assert_hears(&s, &c, "408 Request Timeout (close), end");
    client_close(&s, &c);
    stage_close(&s);
}

/* ---- when there is no room -------------------------------------------------------------------------------------- */

static void
a_full_disk_costs_one_request(void **state)
{
    stage s;
    struct rlimit before, less;
    open_small(&s, 1000 * 1000);
    client other = client_open(&s), c = client_open(&s);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    less = (struct rlimit){.rlim_cur = 8, .rlim_max = before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN); /* as Python has it */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
    say(&s, &c, POST("/echo", "Content-Length: 9\r\n", ""));
    turns(&s);
    say(&s, &c, "012345678");
    say(&s, &other, POST("/echo", "Content-Length: 8\r\n", ""));
    turns(&s);
    say(&s, &other, "01234567");
    turns(&s);
    assert_hears(&s, &c, "507 Insufficient Storage (close), end");
    assert_hears(&s, &other, "200 01234567");
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    assert_string_equal(told(&s, "refused 507"), "refused 507");
    client_close(&s, &c);
    client_close(&s, &other);
    stage_close(&s);
}

static void
no_descriptor_costs_one_request(void **state)
{
    stage s;
    struct rlimit before, less;
    open_small(&s, 1000);
    client c = client_open(&s), other = client_open(&s);
    turns(&s);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    close(next);
    less = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
    say(&s, &c, POST("/echo", "Content-Length: 9\r\n", "0"));
    turns(&s);
    say(&s, &c, "12345678");
    turns(&s);
    say(&s, &other, GET("/say/a"));
    assert_hears(&s, &other, "200 a");
    assert_hears(&s, &c, "503 Service Unavailable (close), end");
    setrlimit(RLIMIT_NOFILE, &before);
    say(&s, &other, POST("/echo", "Content-Length: 9\r\n", "0"));
    turns(&s);
    say(&s, &other, "12345678");
    assert_hears(&s, &other, "200 012345678");
    client_close(&s, &c);
    client_close(&s, &other);
    stage_close(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_of_a_length_cut_at_every_byte),
        cmocka_unit_test(chunked_bodies_cut_at_every_byte),
        cmocka_unit_test(large_bodies),
        cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(a_route_may_have_a_limit_of_its_own),
        cmocka_unit_test(a_client_that_goes_leaves_nothing),
        cmocka_unit_test(a_client_that_stops_is_told_so),
        cmocka_unit_test(a_full_disk_costs_one_request),
        cmocka_unit_test(no_descriptor_costs_one_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
