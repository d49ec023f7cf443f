/* core/server/exchange: whatever finishes first, answers leave in the order of their requests. */
#include "stage.h"

static void
answers_at_once(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    say(&s, &c, GET("/say/a"));
    assert_hears(&s, &c, "200 a");
    say(&s, &c, GET("/say/b") GET("/say/c") GET("/nowhere") "POST /say/d HTTP/1.1\r\nHost: a\r\n\r\n" GET("/say/e"));
    assert_hears(&s, &c, "200 b, 200 c, 404 Not Found, 405 Method Not Allowed, 200 e");
    assert_int_equal(vv_server_requests(s.server), 6);
    client_close(&s, &c);
    assert_open(&s, 0);
    stage_close(&s);
}

/* The next permutation in lexicographic order; 0 after the last. */
static int
permute(int *order, int count)
{
    int i = count - 2, j = count - 1;
    while (i >= 0 && order[i] >= order[i + 1])
        i--;
    if (i < 0)
        return 0;
    while (order[j] <= order[i])
        j--;
    int swap = order[i];
    order[i] = order[j];
    order[j] = swap;
    for (i++, j = count - 1; i < j; i++, j--) {
        swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    return 1;
}

enum { DEPTH = 6 };

/* A pipeline of DEPTH requests of which `mask` says which are held; those are answered in the given order. */
static void
play(stage *s, client *c, unsigned mask, const int *order, int stepwise)
{
    char ask[DEPTH * 64] = "", expected[DEPTH * 16] = "";
    for (int i = 0; i < DEPTH; i++) {
        sprintf(ask + strlen(ask), "GET /%s/r%d HTTP/1.1\r\nHost: a\r\n\r\n",
                (mask >> i & 1) == 0 ? "say"
                : i % 2 == 0         ? "note"
                                     : "hold",
                i);
        sprintf(expected + strlen(expected), "%s200 r%d", i > 0 ? ", " : "", i);
    }
    s->held_count = 0;
    say(s, c, ask);
    for (int i = 0; i < DEPTH; i++) {
        char name[8];
        sprintf(name, "r%d", order[i]);
        if ((mask >> order[i] & 1) != 0) {
            answer(s, name);
            if (stepwise)
                turns(s);
        }
    }
    assert_hears(s, c, expected);
}

static void
every_order_of_completion(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    int order[DEPTH] = {0, 1, 2, 3, 4, 5};
    do {
        play(&s, &c, 0x3f, order, 0);
        assert_told(&s, "left r0, left r2, left r4"); /* as they leave, not as they finish */
    } while (permute(order, DEPTH));
    client_close(&s, &c);
    stage_close(&s);
}

static void
held_and_immediate_answers_mixed(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    for (unsigned mask = 0; mask < 1u << DEPTH; mask++) {
        int forth[DEPTH] = {0, 1, 2, 3, 4, 5}, back[DEPTH] = {5, 4, 3, 2, 1, 0}, middle[DEPTH] = {2, 4, 0, 5, 3, 1};
        play(&s, &c, mask, forth, 1);
        play(&s, &c, mask, back, 1);
        play(&s, &c, mask, middle, 1);
        s.told[0] = '\0';
    }
    assert_open(&s, 1);
    client_close(&s, &c);
    stage_close(&s);
}

static void
the_client_goes_while_answers_are_held(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    say(&s, &c, GET("/hold/a") GET("/say/b") GET("/note/c") GET("/hold/d"));
    answer(&s, "c");
    client_reset(&s, &c);
    assert_told(&s, "gone a, left c, gone d");
    assert_open(&s, 0);
    stage_close(&s);
}

static void
the_server_goes_while_answers_are_held(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s), d = client_open(&s);
    say(&s, &c, GET("/hold/a") GET("/note/b"));
    say(&s, &d, GET("/hold/c"));
    assert_int_equal(vv_server_abort(s.server), 2);
    assert_hears(&s, &c, "end");
    client_close(&s, &c);
    client_close(&s, &d);
    assert_open(&s, 0);
    stage_close(&s);
}

static void
an_answer_is_told_when_it_has_left(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open_sized(&s, 4096);
    say(&s, &c, GET("/note/a") GET("/note/b") GET("/hold/c"));
    answer(&s, "b");
    turns(&s);
    assert_told(&s, "");
    answer(&s, "a");
    turns(&s);
    assert_told(&s, "left a, left b");

    /* More than the sockets hold: it has not left until the client has taken enough of it. */
    answer_with(&s, "c", &(vv_reply){.status = 200});
    say(&s, &c, GET("/note/large") GET("/note/small"));
    answer_with(&s, "large", &(vv_reply){.status = 200, .body = vv_span_of(stage_big, STAGE_BIG)});
    answer(&s, "small");
    turns(&s);
    assert_told(&s, "");
    assert_hears(&s, &c, "200 a, 200 b, 200, 200 [4194304], 200 small");
    assert_told(&s, "left large, left small");
    client_close(&s, &c);
    stage_close(&s);
}

static void
an_answer_that_was_not_taken_is_told_of_too(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open_sized(&s, 4096);
    say(&s, &c, GET("/note/large"));
    answer_with(&s, "large", &(vv_reply){.status = 200, .body = vv_span_of(stage_big, STAGE_BIG)});
    turns(&s);
    assert_told(&s, "");
    client_reset(&s, &c);
    assert_told(&s, "left large");
    stage_close(&s);
}

static void
an_answer_that_closes_is_the_last(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    say(&s, &c, GET("/say/a") GET("/close/b") GET("/say/c"));
    assert_hears(&s, &c, "200 a, 200 b (close), end");
    client_close(&s, &c);

    c = client_open(&s);
    say(&s, &c, GET("/hold/a") GET("/hold/b") GET("/say/c") GET("/hold/d"));
    answer_with(&s, "b", &(vv_reply){.status = 200, .close = 1});
    assert_hears(&s, &c, "");
    answer(&s, "a");
    assert_told(&s, "gone d");
    assert_hears(&s, &c, "200 a, 200 (close), end");
    client_close(&s, &c);

    c = client_open(&s);
    s.asked = 0;
    say(&s, &c, GET("/hold/a") "GET /say/b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/say/c"));
    assert_asked(&s, 2);
    answer(&s, "a");
    assert_hears(&s, &c, "200 a, 200 b (close), end");
    client_close(&s, &c);
    stage_close(&s);
}

static void
the_last_answer_reaches_a_client_that_had_sent_more(void **state)
{
    static char more[200 * 1000];
    stage s;
    stage_open(&s, NULL);
    memset(more, 'x', sizeof more);
    for (int cut = 0; cut < 2; cut++) {
        client c = client_open(&s);
        const char *ask = GET("/close/a");
        size_t first = cut ? 10 : 0;
        say_bytes(&s, &c, ask, first);
        turns(&s);
        say_bytes(&s, &c, ask + first, strlen(ask) - first);
        say_bytes(&s, &c, more, sizeof more); /* closing with bytes unread would be a reset */
        assert_hears(&s, &c, "200 a (close), end");
        client_close(&s, &c);
    }
    stage_close(&s);
}

static void
http_1_0_keeps_alive_only_when_asked(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    say(&s, &c, "GET /hold/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    answer(&s, "a");
    turns(&s);
    take_bytes(&c);
    assert_non_null(strstr((char *)c.got, "\r\nConnection: keep-alive\r\n"));
    assert_hears(&s, &c, "200 a");
    say(&s, &c, "GET /say/b HTTP/1.0\r\n\r\n");
    assert_hears(&s, &c, "200 b (close), end");
    client_close(&s, &c);
    stage_close(&s);
}

static void
a_handler_may_end_the_connection(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    say(&s, &c, GET("/hold/a") GET("/abort") GET("/say/c"));
    assert_told(&s, "gone a");
    assert_hears(&s, &c, "end");
    client_close(&s, &c);

    c = client_open(&s);
    say(&s, &c, GET("/hold/a") GET("/drop") GET("/say/c"));
    assert_told(&s, "gone a");
    assert_hears(&s, &c, "end");
    client_close(&s, &c);

    c = client_open(&s);
    say(&s, &c, GET("/hold/a") GET("/finish") GET("/say/c"));
    assert_hears(&s, &c, "");
    answer(&s, "a");
    assert_hears(&s, &c, "200 a, 200 bye (close), end");
    client_close(&s, &c);
    stage_close(&s);
}

static void
head_is_answered_without_a_body(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    c.head_only = 1;
    say(&s, &c,
        "HEAD /say/abc HTTP/1.1\r\nHost: a\r\n\r\n"
        "HEAD /hold/a HTTP/1.1\r\nHost: a\r\n\r\n"
        "HEAD /say/abc HTTP/1.1\r\nHost: a\r\n\r\n"
        "HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    answer(&s, "a");
    assert_hears(&s, &c, "200, 200, 200, 404");
    say(&s, &c, "HEAD /say/%zz HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(c.fd, SHUT_WR);
    assert_hears(&s, &c, "400 (close), end");
    client_close(&s, &c);
    stage_close(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_at_once),
        cmocka_unit_test(every_order_of_completion),
        cmocka_unit_test(held_and_immediate_answers_mixed),
        cmocka_unit_test(the_client_goes_while_answers_are_held),
        cmocka_unit_test(the_server_goes_while_answers_are_held),
        cmocka_unit_test(an_answer_is_told_when_it_has_left),
        cmocka_unit_test(an_answer_that_was_not_taken_is_told_of_too),
        cmocka_unit_test(an_answer_that_closes_is_the_last),
        cmocka_unit_test(the_last_answer_reaches_a_client_that_had_sent_more),
        cmocka_unit_test(http_1_0_keeps_alive_only_when_asked),
        cmocka_unit_test(a_handler_may_end_the_connection),
        cmocka_unit_test(head_is_answered_without_a_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
