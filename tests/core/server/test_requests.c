/* core/server/conn_http1: from bytes to requests, however they were cut; what is refused, and what is waited for. */
#include <netinet/tcp.h>

#include "stage.h"

/* Sends `text` in two pieces, cut at every byte, then byte by byte; each time the same must be heard. */
static void
cut_everywhere(const char *text, const char *expected)
{
    stage s;
    stage_open(&s, NULL);
    size_t len = strlen(text);
    for (size_t cut = 0; cut <= len; cut++) {
        client c = client_open(&s);
        if (cut > 0)
            say_bytes(&s, &c, text, cut);
        turns(&s);
        if (cut < len)
            say_bytes(&s, &c, text + cut, len - cut);
        assert_hears(&s, &c, expected);
        client_close(&s, &c);
    }
    client c = client_open(&s);
    for (size_t i = 0; i < len; i++) {
        say_bytes(&s, &c, text + i, 1);
        turn(&s, 0);
    }
    assert_hears(&s, &c, expected);
    client_close(&s, &c);
    assert_open(&s, 0);
    stage_close(&s);
}

#define POST(fields, body) "POST /echo HTTP/1.1\r\nHost: a\r\n" fields "\r\n" body
#define CHUNKED(body)      POST("Transfer-Encoding: chunked\r\n", body)

static void
heads_cut_at_every_byte(void **state)
{
    cut_everywhere(GET("/say/a") GET("/say/b%20c"), "200 a, 200 b c");
}

static void
bodies_of_a_length_cut_at_every_byte(void **state)
{
    cut_everywhere(POST("Content-Length: 5\r\n", "01234") POST("Content-Length: 0\r\n", "") GET("/say/a"),
                   "200 01234, 200, 200 a");
}

static void
chunked_bodies_cut_at_every_byte(void **state)
{
    cut_everywhere(CHUNKED("3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n") CHUNKED("0\r\n\r\n")
                       CHUNKED("1\r\nz\r\n0\r\n\r\n") GET("/say/a"),
                   "200 abcdefg, 200, 200 z, 200 a");
}

static void
the_bodies_of_many_requests_in_one_piece(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    char ask[64 * 256] = "", expected[64 * 16] = "";
    for (int i = 0; i < 64; i++) {
        sprintf(ask + strlen(ask),
                i % 2 == 0 ? CHUNKED("2\r\n%02d\r\n0\r\n\r\n") : POST("Content-Length: 2\r\n", "%02d"), i);
        sprintf(expected + strlen(expected), "%s200 %02d", i > 0 ? ", " : "", i);
    }
    say(&s, &c, ask);
    assert_hears(&s, &c, expected);
    client_close(&s, &c);
    stage_close(&s);
}

static void
a_body_larger_than_any_buffer(void **state)
{
    enum { BYTES = 3 * 1000 * 1000 };
    stage s;
    stage_open(&s, NULL);
    for (int chunked = 0; chunked < 2; chunked++) {
        client c = client_open(&s);
        char head[128];
        uint8_t *bytes = malloc(BYTES + 64);
        for (size_t i = 0; i < BYTES; i++)
            bytes[i] = (uint8_t)(i * 7 + i / 251);
        size_t len = (size_t)sprintf(head, chunked ? CHUNKED("%x\r\n") : POST("Content-Length: %d\r\n", ""), BYTES);
        say_bytes(&s, &c, head, len);
        say_much(&s, &c, bytes, BYTES);
        if (chunked)
            say_bytes(&s, &c, "\r\n0\r\n\r\n", 7);
        WAIT_FOR(&s, take_bytes(&c) == 0 && c.got_len > BYTES);
        assert_true(c.got_len > BYTES);
        assert_memory_equal(c.got + c.got_len - BYTES, bytes, BYTES);
        free(bytes);
        assert_hears(&s, &c, "200 [3000000]");
        client_close(&s, &c);
    }
    stage_close(&s);
}

/* ---- Expect: 100-continue --------------------------------------------------------------------------------------- */

#define EXPECT_5 POST("Content-Length: 5\r\nExpect: 100-continue\r\n", "")

static void
a_client_that_waits_is_asked_to_continue(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    say(&s, &c, EXPECT_5);
    assert_hears(&s, &c, "100");
    say(&s, &c, "01234" GET("/say/a"));
    assert_hears(&s, &c, "200 01234, 200 a");
    say(&s, &c, POST("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", ""));
    assert_hears(&s, &c, "100");
    say(&s, &c, "1\r\na\r\n0\r\n\r\n");
    assert_hears(&s, &c, "200 a");
    say(&s, &c, GET("/say/b") EXPECT_5);
    assert_hears(&s, &c, "200 b, 100");
    client_close(&s, &c);
    stage_close(&s);
}

static void
who_has_begun_to_send_is_not_asked_to(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    say(&s, &c, EXPECT_5 "0");
    assert_hears(&s, &c, "");
    say(&s, &c, "1234");
    assert_hears(&s, &c, "200 01234");
    say(&s, &c, EXPECT_5 "01234");
    assert_hears(&s, &c, "200 01234");
    say(&s, &c, POST("Content-Length: 0\r\nExpect: 100-continue\r\n", ""));
    assert_hears(&s, &c, "200");
    client_close(&s, &c);
    stage_close(&s);
}

static void
to_continue_does_not_overtake(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    say(&s, &c, GET("/hold/a") GET("/hold/b") EXPECT_5);
    assert_hears(&s, &c, "");
    answer(&s, "b");
    assert_hears(&s, &c, "");
    answer(&s, "a");
    assert_hears(&s, &c, "200 a, 200 b, 100");
    say(&s, &c, "01234");
    assert_hears(&s, &c, "200 01234");
    client_close(&s, &c);
    stage_close(&s);
}

static void
to_continue_is_not_said_when_the_body_came_unasked(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    say(&s, &c, GET("/hold/a") EXPECT_5);
    say(&s, &c, "01234");
    answer(&s, "a");
    assert_hears(&s, &c, "200 a, 200 01234");
    say(&s, &c, GET("/hold/b"));
    answer(&s, "b");
    assert_hears(&s, &c, "200 b");
    client_close(&s, &c);
    stage_close(&s);
}

/* ---- refusals --------------------------------------------------------------------------------------------------- */

static void
what_is_refused_is_answered_and_ends_the_connection(void **state)
{
    static const struct {
        const char *ask, *hears, *told;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request (close), end", "refused 400"},
        {"GET / HTTP/3.0\r\n\r\n", "505 HTTP Version Not Supported (close), end", "refused 505"},
        {GET("/say/%zz"), "400 Bad Request (close), end", "refused 400"},
        {POST("Content-Length: 1\r\nContent-Length: 2\r\n", ""), "400 Bad Request (close), end", "refused 400"},
        {POST("Content-Length: 16777217\r\n", ""), "413 Content Too Large (close), end", "refused 413"},
        {POST("Transfer-Encoding: gzip\r\n", ""), "501 Not Implemented (close), end", "refused 501"},
        {POST("Expect: more\r\n", ""), "417 Expectation Failed (close), end", "refused 417"},
        {CHUNKED("x\r\n"), "400 Bad Request (close), end", "refused 400"},
        {GET("/say/a") "\r\n\r\n\r\n" GET("/say/b"), "200 a, 400 Bad Request (close), end", "refused 400"},
    };
    stage s;
    stage_open(&s, NULL);
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        client c = client_open(&s);
        say(&s, &c, rows[i].ask);
        shutdown(c.fd, SHUT_WR); /* the server lingers for it */
        assert_hears(&s, &c, rows[i].hears);
        assert_told(&s, rows[i].told);
        client_close(&s, &c);
        assert_open(&s, 0);
    }
    stage_close(&s);
}

static void
a_refusal_keeps_its_place(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    say(&s, &c, GET("/hold/a") GET("/say/b") "GET /\r\n\r\n" GET("/say/never"));
    assert_told(&s, "refused 400");
    assert_asked(&s, 2);
    assert_hears(&s, &c, "");
    say(&s, &c, GET("/say/never"));
    answer(&s, "a");
    assert_hears(&s, &c, "200 a, 200 b, 400 Bad Request (close), end");
    assert_asked(&s, 2);
    client_close(&s, &c);
    stage_close(&s);
}

static void
a_refused_client_that_goes_on_sending_gets_its_answer(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    say(&s, &c, POST("Content-Length: 999999999\r\n", "the body that nobody wants"));
    for (int i = 0; i < 20; i++) {
        say_bytes(&s, &c, stage_big, 10000);
        turn(&s, 0);
    }
    assert_hears(&s, &c, "413 Content Too Large (close), end");
    assert_open(&s, 1);
    pass(&s, VV_LINGER_MS + 500); /* something had come */
    assert_open(&s, 1);
    pass(&s, VV_LINGER_MS + 500);
    assert_open(&s, 0);
    client_close(&s, &c);
    stage_close(&s);
}

static void
a_refused_client_that_never_stops_sending_is_left_in_the_end(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    say(&s, &c, POST("Content-Length: 999999999\r\n", ""));
    assert_hears(&s, &c, "413 Content Too Large (close), end");
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* real time hardly passes */
    int passed = 0;
    for (; vv_server_connections(s.server) > 0 && passed < 60000; passed += 500) {
        say_bytes(&s, &c, stage_big, 100);
        pass(&s, 500);
    }
    assert_in_range(passed, (1 + VV_LINGER_DELAYS) * VV_LINGER_MS - 1000,
                    (1 + VV_LINGER_DELAYS) * VV_LINGER_MS * 5 / 4);
    client_close(&s, &c);
    stage_close(&s);
}

static void
a_chunked_body_beyond_its_limit(void **state)
{
    vv_limits limits = vv_limits_default();
    limits.limit_body_bytes = 10;
    stage s;
    stage_open(&s, &limits);
    client c = client_open(&s);
    say(&s, &c, CHUNKED("a\r\n0123456789\r\n0\r\n\r\n"));
    assert_hears(&s, &c, "200 0123456789");
    say(&s, &c, CHUNKED("a\r\n0123456789\r\n"));
    assert_hears(&s, &c, "");
    say(&s, &c, "1\r\na");
    assert_hears(&s, &c, "413 Content Too Large (close), end");
    client_close(&s, &c);
    stage_close(&s);
}

static void
heads_beyond_their_limits(void **state)
{
    vv_limits limits = vv_limits_default();
    limits.limit_head_bytes = 1024;
    limits.limit_header_fields = 3;
    stage s;
    stage_open(&s, &limits);
    char ask[4096];
    memset(ask, 'x', sizeof ask);

    client c = client_open(&s);
    memcpy(ask, "GET /say/", 9);
    say_bytes(&s, &c, ask, 2000);
    assert_hears(&s, &c, "414 URI Too Long (close), end");
    client_close(&s, &c);

    c = client_open(&s);
    memcpy(ask, "GET / HTTP/1.1\r\nHost: a\r\nA: ", 28);
    say_bytes(&s, &c, ask, 1000);
    assert_hears(&s, &c, "");
    say_bytes(&s, &c, ask + 1000, 1000);
    assert_hears(&s, &c, "431 Request Header Fields Too Large (close), end");
    client_close(&s, &c);

    c = client_open(&s);
    say(&s, &c, "GET /say/a HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n");
    say(&s, &c, "GET /say/a HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n");
    assert_hears(&s, &c, "200 a, 431 Request Header Fields Too Large (close), end");
    client_close(&s, &c);
    stage_close(&s);
}

/* ---- time ------------------------------------------------------------------------------------------------------- */

static void
a_head_that_does_not_come_in_time(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    say(&s, &c, "GET / HT");
    pass(&s, 9000);
    say(&s, &c, "TP/1.1"); /* does not buy time */
    assert_hears(&s, &c, "");
    pass(&s, 2000);
    assert_hears(&s, &c, "408 Request Timeout (close), end");
    assert_told(&s, "refused 408");
    client_close(&s, &c);
    stage_close(&s);
}

static void
each_head_has_its_own_time(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    /* A client that is never quite through with the next request, but steadily with the one before. */
    say(&s, &c, "GET /say/a HTTP/1.1\r\n");
    for (int i = 0; i < 5; i++) {
        pass(&s, 6000);
        say(&s, &c, "Host: a\r\n\r\nGET /say/a HTTP/1.1\r\n");
        assert_hears(&s, &c, "200 a");
    }
    pass(&s, 11000);
    assert_hears(&s, &c, "408 Request Timeout (close), end");
    client_close(&s, &c);
    stage_close(&s);
}

static void
a_body_may_be_slow_but_not_stand_still(void **state)
{
    stage s;
    stage_open(&s, NULL);
    for (int chunked = 0; chunked < 2; chunked++) {
        client c = client_open(&s);
        say(&s, &c, chunked ? CHUNKED("9\r\n") : POST("Content-Length: 9\r\n", ""));
        for (int i = 0; i < 3; i++) {
            pass(&s, 29000);
            say(&s, &c, "x");
            assert_hears(&s, &c, "");
        }
        pass(&s, 31000);
        assert_hears(&s, &c, "408 Request Timeout (close), end");
        client_close(&s, &c);
    }
    stage_close(&s);
}

static void
an_idle_connection_is_closed_without_a_word(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client never = client_open(&s), once = client_open(&s), holds = client_open(&s);
    say(&s, &holds, GET("/hold/a"));
    pass(&s, 70000);
    say(&s, &once, GET("/say/a"));
    pass(&s, 6000);
    assert_hears(&s, &never, "end");
    pass(&s, 68000);
    assert_hears(&s, &once, "200 a");
    pass(&s, 2000);
    assert_hears(&s, &once, "end");
    pass(&s, 600 * 1000); /* a handler may take any time */
    answer(&s, "a");
    assert_hears(&s, &holds, "200 a");
    client_close(&s, &never);
    client_close(&s, &once);
    client_close(&s, &holds);
    stage_close(&s);
}

static void
a_client_that_takes_nothing_is_closed(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client slow = client_open_sized(&s, 4096), dead = client_open_sized(&s, 4096);
    say(&s, &slow, GET("/big/4194304"));
    say(&s, &dead, GET("/big/4194304"));
    for (int i = 0; i < 3; i++) {
        pass(&s, 25000);
        static uint8_t some[4096];
        for (size_t taken = 0; taken < 512 * 1024; turn(&s, 0)) {
            ssize_t count = recv(slow.fd, some, sizeof some, 0);
            taken += count > 0 ? (size_t)count : 0;
        }
    }
    assert_open(&s, 1);
    client_close(&s, &slow);
    client_close(&s, &dead);
    assert_open(&s, 0);
    stage_close(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_cut_at_every_byte),
        cmocka_unit_test(bodies_of_a_length_cut_at_every_byte),
        cmocka_unit_test(chunked_bodies_cut_at_every_byte),
        cmocka_unit_test(the_bodies_of_many_requests_in_one_piece),
        cmocka_unit_test(a_body_larger_than_any_buffer),
        cmocka_unit_test(a_client_that_waits_is_asked_to_continue),
        cmocka_unit_test(who_has_begun_to_send_is_not_asked_to),
        cmocka_unit_test(to_continue_does_not_overtake),
        cmocka_unit_test(to_continue_is_not_said_when_the_body_came_unasked),
        cmocka_unit_test(what_is_refused_is_answered_and_ends_the_connection),
        cmocka_unit_test(a_refusal_keeps_its_place),
        cmocka_unit_test(a_refused_client_that_goes_on_sending_gets_its_answer),
        cmocka_unit_test(a_refused_client_that_never_stops_sending_is_left_in_the_end),
        cmocka_unit_test(a_chunked_body_beyond_its_limit),
        cmocka_unit_test(heads_beyond_their_limits),
        cmocka_unit_test(a_head_that_does_not_come_in_time),
        cmocka_unit_test(each_head_has_its_own_time),
        cmocka_unit_test(a_body_may_be_slow_but_not_stand_still),
        cmocka_unit_test(an_idle_connection_is_closed_without_a_word),
        cmocka_unit_test(a_client_that_takes_nothing_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
