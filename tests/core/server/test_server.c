/* core/server: limits and gates, half-closed connections, and how everything ends. */
#include "stage.h"

#include <malloc.h>
#include <sys/epoll.h>
#include <sys/resource.h>

/* `count` requests for `path`, in one piece. */
static void
say_often(stage *s, client *c, const char *path, int count)
{
    size_t len = strlen(path) + 64;
    char *text = calloc((size_t)count, len), *at = text;
    for (int i = 0; i < count; i++)
        at += sprintf(at, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
    say(s, c, text);
    free(text);
}

/* The client hears `what`, `count` times. */
static void
assert_hears_often(stage *s, client *c, const char *what, size_t count)
{
    char *expected = calloc(count, strlen(what) + 2);
    for (size_t i = 0; i < count; i++)
        strcat(strcat(expected, i > 0 ? ", " : ""), what);
    assert_hears(s, c, expected);
    free(expected);
}

static void
a_deep_pipeline_of_immediate_answers(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    say_often(&s, &c, "/say/abc", 3000); /* more than limit_pipeline: nothing waits */
    assert_hears_often(&s, &c, "200 abc", 3000);
    client_close(&s, &c);
    stage_close(&s);
}

static void
requests_in_flight_are_limited(void **state)
{
    vv_limits limits = vv_limits_default();
    limits.limit_pipeline = 4;
    stage s;
    stage_open(&s, &limits);
    client c = client_open(&s);
    say_often(&s, &c, "/hold/a", 10);
    say(&s, &c, GET("/say/end")); /* waits in the kernel */
    assert_asked(&s, 4);
    answer(&s, "a");
    turns(&s);
    assert_asked(&s, 4); /* goes on at half, not at every answer */
    answer(&s, "a");
    turns(&s);
    assert_asked(&s, 6);
    for (int i = 0; i < 8; i++) {
        answer(&s, "a");
        turns(&s);
    }
    assert_asked(&s, 11);
    assert_hears(&s, &c, "200 a, 200 a, 200 a, 200 a, 200 a, 200 a, 200 a, 200 a, 200 a, 200 a, 200 end");
    client_close(&s, &c);
    stage_close(&s);
}

static void
one_request_in_flight_at_most(void **state)
{
    vv_limits limits = vv_limits_default();
    limits.limit_pipeline = 1;
    stage s;
    stage_open(&s, &limits);
    client c = client_open(&s);
    say(&s, &c, GET("/hold/a") GET("/hold/b") GET("/say/c") GET("/hold/d"));
    answer(&s, "a");
    answer(&s, "b");
    answer(&s, "d");
    assert_hears(&s, &c, "200 a, 200 b, 200 c, 200 d");
    client_close(&s, &c);
    stage_close(&s);
}

static void
a_client_that_takes_no_answers_is_asked_no_more(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open_sized(&s, 4096);
    enum { ASKED = 800 };
    say_often(&s, &c, "/big/65536", ASKED);
    assert_true(s.asked < ASKED / 2); /* bounded by the sockets' buffers and limit_output_bytes */
    assert_hears_often(&s, &c, "200 [65536]", ASKED);
    assert_asked(&s, ASKED);
    client_close(&s, &c);
    stage_close(&s);
}

static void
a_deadline_that_falls_due_while_an_answer_opens_the_gate_is_of_the_past(void **state)
{
    vv_limits limits = vv_limits_default();
    limits.limit_output_bytes = 1000;
    limits.timeout_keep_alive_ms = 2000;
    stage s;
    stage_open(&s, &limits);
    client c = client_open(&s);
    pass(&s, 2000);
    assert_open(&s, 1);
    say_bytes(&s, &c, GET("/big/5000"), strlen(GET("/big/5000")));
    s.later_ms += 500; /* it asks in the turn in which it has been idle for too long */
    turn(&s, 100);
    assert_hears(&s, &c, "200 [5000]");
    say(&s, &c, GET("/say/more"));
    assert_hears(&s, &c, "200 more");
    client_close(&s, &c);
    stage_close(&s);
}

static void
answers_that_wait_behind_another_are_limited(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s);
    say(&s, &c, GET("/hold/a"));
    say_often(&s, &c, "/big/65536", 100);
    assert_true(s.asked < 10);
    answer_with(&s, "a", &(vv_reply){.status = 200, .body = vv_span_of(stage_big, 65536)});
    assert_hears_often(&s, &c, "200 [65536]", 101);
    client_close(&s, &c);
    stage_close(&s);
}

static void
connections_are_limited_and_nobody_is_dropped(void **state)
{
    vv_limits limits = vv_limits_default();
    limits.limit_connections = 3;
    stage s;
    stage_open(&s, &limits);
    client c[8];
    for (size_t i = 0; i < LENGTH_OF(c); i++) {
        c[i] = client_open(&s);
        say(&s, &c[i], GET("/say/a"));
    }
    assert_open(&s, 3);
    for (size_t i = 0; i < LENGTH_OF(c); i++) {
        assert_hears(&s, &c[i], "200 a");
        client_close(&s, &c[i]);
    }
    assert_open(&s, 0);
    stage_close(&s);
}

static void
out_of_descriptors_it_waits_and_goes_on(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open(&s), d = client_open(&s);
    say(&s, &d, GET("/say/d"));

    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    client waits = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(vv_socket_port(s.listening)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int highest = dup(0);
    close(highest);
    tight = (struct rlimit){.rlim_cur = (rlim_t)highest, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    (void)!connect(waits.fd, (struct sockaddr *)&to, sizeof to);
    turns(&s);
    assert_open(&s, 2);
    assert_int_equal(turn(&s, 0), 0); /* does not spin */
    assert_in_range(vv_server_next_ms(s.server), 0, VV_ACCEPT_RETRY_MS);
    say(&s, &c, GET("/say/c")); /* the others go on */
    assert_hears(&s, &c, "200 c");

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    pass(&s, VV_ACCEPT_RETRY_MS + 250);
    assert_open(&s, 3);
    say(&s, &waits, GET("/say/w"));
    assert_hears(&s, &waits, "200 w");
    client_close(&s, &c);
    client_close(&s, &d);
    client_close(&s, &waits);
    stage_close(&s);
}

/* ---- half-closed ------------------------------------------------------------------------------------------------ */

static void
answers_go_to_a_client_that_has_shut_its_side(void **state)
{
    static const struct {
        const char *ask, *hears, *held;
    } rows[] = {
        {"", "end", ""},
        {GET("/say/a"), "200 a, end", ""},
        {GET("/say/a") "GET /say/never", "200 a, end", ""},
        {GET("/hold/a") GET("/say/b"), "200 a, 200 b, end", "a"},
        {GET("/hold/a") "GET /say/never", "200 a, end", "a"},
        {GET("/hold/a") GET("/close/b"), "200 a, 200 b (close), end", "a"},
        {GET("/hold/a") "nonsense\r\n\r\n", "200 a, 400 Bad Request (close), end", "a"},
    };
    stage s;
    stage_open(&s, NULL);
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        client c = client_open(&s);
        if (*rows[i].ask != '\0')
            say_bytes(&s, &c, rows[i].ask, strlen(rows[i].ask));
        shutdown(c.fd, SHUT_WR);
        turns(&s);
        if (*rows[i].held != '\0') {
            assert_int_equal(turn(&s, 0), 0); /* does not spin on the end */
            answer(&s, rows[i].held);
        }
        assert_hears(&s, &c, rows[i].hears);
        assert_open(&s, 0);
        client_close(&s, &c);
    }
    stage_close(&s);
}

static void
a_half_closed_client_gets_what_was_gated(void **state)
{
    vv_limits limits = vv_limits_default();
    limits.limit_pipeline = 2;
    stage s;
    stage_open(&s, &limits);
    client c = client_open(&s);
    say(&s, &c, GET("/hold/a") GET("/hold/a") GET("/hold/a") GET("/say/b"));
    shutdown(c.fd, SHUT_WR);
    turns(&s);
    for (int i = 0; i < 3; i++) {
        answer(&s, "a");
        turns(&s);
    }
    assert_hears(&s, &c, "200 a, 200 a, 200 a, 200 b, end");
    client_close(&s, &c);

    c = client_open_sized(&s, 4096);
    for (int i = 0; i < 50; i++)
        say_bytes(&s, &c, GET("/big/65536"), strlen(GET("/big/65536")));
    shutdown(c.fd, SHUT_WR);
    turns(&s);
    WAIT_FOR(&s, (take_bytes(&c), c.ended != 0));
    assert_int_equal(c.ended, 1);
    assert_in_range(c.got_len, 50 * 65536, 50 * 65536 + 50 * 200);
    client_close(&s, &c);
    assert_open(&s, 0);
    stage_close(&s);
}

/* ---- ends ------------------------------------------------------------------------------------------------------- */

static void
draining_closes_the_idle_and_finishes_the_others(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client idle = client_open(&s), used = client_open(&s), one = client_open(&s), many = client_open(&s),
           part = client_open(&s);
    say(&s, &used, GET("/say/u"));
    say(&s, &one, GET("/hold/one"));
    say(&s, &many, GET("/hold/a") GET("/hold/b") GET("/say/c") GET("/hold/d"));
    say(&s, &part, "GET /say/p HTT");
    vv_server_stop_listening(s.server);
    vv_server_drain(s.server, VV_KEEP_NONE);
    turns(&s);
    assert_hears(&s, &idle, "end");
    assert_hears(&s, &used, "200 u, end");
    assert_open(&s, 3);
    answer(&s, "one");
    assert_hears(&s, &one, "200 one (close), end");
    say(&s, &part, "P/1.1\r\nHost: a\r\n\r\n" GET("/say/never"));
    assert_hears(&s, &part, "200 p (close), end");
    answer(&s, "d");
    answer(&s, "a");
    assert_hears(&s, &many, "200 a");
    answer(&s, "b");
    assert_hears(&s, &many, "200 b, 200 c, 200 d (close), end");
    assert_told(&s, "");
    assert_open(&s, 0);
    client_close(&s, &idle);
    client_close(&s, &used);
    client_close(&s, &one);
    client_close(&s, &many);
    client_close(&s, &part);
    stage_close(&s);
}

static void
draining_may_keep_who_has_not_asked_yet(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client fresh = client_open(&s), late = client_open(&s), used = client_open(&s), waiting = client_open(&s);
    say(&s, &used, GET("/say/u"));
    assert_hears(&s, &used, "200 u");
    say(&s, &waiting, GET("/hold/h"));
    vv_server_drain(s.server, VV_KEEP_FRESH);
    turns(&s);
    assert_hears(&s, &used, "end");
    assert_open(&s, 3);
    say(&s, &fresh, GET("/say/f"));
    assert_hears(&s, &fresh, "200 f (close), end");
    answer(&s, "h");
    assert_hears(&s, &waiting, "200 h (close), end");
    assert_open(&s, 1);
    vv_server_drain(s.server, VV_KEEP_NONE);
    assert_hears(&s, &late, "end");
    assert_open(&s, 0);
    client_close(&s, &fresh);
    client_close(&s, &late);
    client_close(&s, &used);
    client_close(&s, &waiting);
    stage_close(&s);
}

static void
draining_may_keep_the_idle_for_one_more_answer(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client used = client_open(&s), idle = client_open(&s);
    say(&s, &used, GET("/say/1"));
    say(&s, &idle, GET("/say/1"));
    assert_hears(&s, &used, "200 1");
    assert_hears(&s, &idle, "200 1");
    vv_server_drain(s.server, VV_KEEP_IDLE);
    turns(&s);
    assert_open(&s, 2);
    say(&s, &used, GET("/say/2"));
    assert_hears(&s, &used, "200 2 (close), end");
    vv_server_drain(s.server, VV_KEEP_FRESH);
    assert_hears(&s, &idle, "end");
    client_close(&s, &used);
    client_close(&s, &idle);
    stage_close(&s);
}

/* ---- sockets that several processes share: two servers stand for them ------------------------------------------- */

static void
share(stage *s, int fd)
{
    vv_server_stop_listening(s->server);
    assert_int_equal(vv_server_listen(s->server, fd, 1), VV_OK);
    turns(s);
}

static void
each_takes_one_of_those_who_queue(void **state)
{
    stage a, b;
    stage_open(&a, NULL);
    stage_open(&b, NULL);
    share(&a, a.listening);
    share(&b, a.listening);
    client c[4];
    for (size_t i = 0; i < LENGTH_OF(c); i++)
        c[i] = client_queue(&a);
    WAIT_FOR(&a, vv_server_connections(a.server) == 1);
    assert_int_equal(vv_server_connections(a.server), 1);
    WAIT_FOR(&b, vv_server_connections(b.server) == 1);
    assert_int_equal(vv_server_connections(b.server), 1);
    WAIT_FOR(&b, vv_server_connections(b.server) == 3);
    assert_int_equal(vv_server_connections(b.server), 3);
    for (size_t i = 0; i < LENGTH_OF(c); i++)
        client_close(&a, &c[i]);
    stage_close(&b);
    stage_close(&a);
}

static void
who_stops_takes_all_who_queue(void **state)
{
    stage a, b;
    stage_open(&a, NULL);
    stage_open(&b, NULL);
    share(&a, a.listening);
    share(&b, a.listening);
    client c[4];
    for (size_t i = 0; i < LENGTH_OF(c); i++)
        c[i] = client_queue(&a);
    vv_server_stop_listening(a.server);
    assert_int_equal(vv_server_connections(a.server), 4);
    turns(&b);
    assert_int_equal(vv_server_connections(b.server), 0);
    client late = client_queue(&a);
    WAIT_FOR(&b, vv_server_connections(b.server) == 1);
    turns(&a);
    assert_int_equal(vv_server_connections(a.server), 4);
    say(&a, &c[3], GET("/say/c"));
    assert_hears(&a, &c[3], "200 c");
    for (size_t i = 0; i < LENGTH_OF(c); i++)
        client_close(&a, &c[i]);
    client_close(&b, &late);
    stage_close(&b);
    stage_close(&a);
}

static void
a_shared_socket_waits_at_the_limit_and_goes_on(void **state)
{
    stage a;
    vv_limits limits = vv_limits_default();
    limits.limit_connections = 1;
    stage_open(&a, &limits);
    share(&a, a.listening);
    client first = client_queue(&a), second = client_queue(&a);
    WAIT_FOR(&a, vv_server_connections(a.server) == 1);
    turns(&a);
    assert_int_equal(vv_server_connections(a.server), 1);
    say(&a, &first, GET("/say/1"));
    assert_hears(&a, &first, "200 1");
    client_close(&a, &first);
    say(&a, &second, GET("/say/2"));
    assert_hears(&a, &second, "200 2");
    client_close(&a, &second);
    stage_close(&a);
}

/* The kernel has told another process of a client, and that has died. */
static void
who_was_forgotten_on_a_shared_socket_is_found_within_a_second(void **state)
{
    stage s;
    stage_open(&s, NULL);
    if (strcmp(vv_loop_name(s.loop), "epoll") != 0) {
        stage_close(&s);
        skip();
    }
    share(&s, s.listening);
    turns(&s);
    assert_int_equal(epoll_ctl(vv_loop_fd(s.loop), EPOLL_CTL_DEL, s.listening, NULL), 0);
    client c = client_queue(&s);
    turns(&s);
    assert_int_equal(vv_server_connections(s.server), 0);
    int next_ms = vv_server_next_ms(s.server);
    assert_in_range(next_ms, 1, VV_ACCEPT_LOOK_MS);
    pass(&s, VV_ACCEPT_LOOK_MS + 250);
    assert_int_equal(vv_server_connections(s.server), 1);
    say(&s, &c, GET("/say/1"));
    assert_hears(&s, &c, "200 1");
    client_close(&s, &c);
    stage_close(&s);
}

static void
draining_waits_for_bytes_to_leave(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c = client_open_sized(&s, 4096);
    say(&s, &c, GET("/big/4194304"));
    vv_server_drain(s.server, VV_KEEP_NONE);
    turns(&s);
    assert_open(&s, 1);
    assert_hears(&s, &c, "200 [4194304], end");
    assert_open(&s, 0);
    client_close(&s, &c);
    stage_close(&s);
}

static void
aborting_counts_what_it_cut(void **state)
{
    stage s;
    stage_open(&s, NULL);
    client c[5];
    for (size_t i = 0; i < LENGTH_OF(c); i++)
        c[i] = client_open(&s);
    say(&s, &c[1], GET("/hold/a") GET("/note/b"));
    say(&s, &c[2], "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx");
    assert_int_equal(vv_server_abort(s.server), 5);
    assert_int_equal(vv_server_abort(s.server), 0);
    assert_told(&s, "gone a, gone b");
    turns(&s);
    assert_open(&s, 0);
    for (size_t i = 0; i < LENGTH_OF(c); i++) {
        assert_hears(&s, &c[i], "end");
        client_close(&s, &c[i]);
    }
    stage_close(&s);
}

static void
many_clients_come_and_go_and_memory_stays(void **state)
{
    stage s;
    stage_open(&s, NULL);
    size_t warm = 0;
    for (int round = 0; round < 6; round++) {
        client c[40];
        s.held_count = 0;
        for (size_t i = 0; i < LENGTH_OF(c); i++) {
            c[i] = client_open(&s);
            say(&s, &c[i],
                GET("/hold/a") GET("/say/b") "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n012");
            if (i % 3 == 0)
                answer(&s, "a");
        }
        for (size_t i = 0; i < LENGTH_OF(c); i++)
            if (i % 2 == 0)
                client_close(&s, &c[i]);
            else
                client_reset(&s, &c[i]);
        /* An orderly end with an answer held is half a close: we go on, and learn more when we send. */
        vv_server_abort(s.server);
        turns(&s);
        s.told[0] = '\0';
        if (round == 1)
            warm = mallinfo2().uordblks;
    }
    /* Less than one buffer: the allocator's own stocks vary. That all of it is freed, the leak sanitizer says. */
    assert_true(mallinfo2().uordblks < warm + VV_POOL_BUFFER_BYTES);
    stage_close(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deep_pipeline_of_immediate_answers),
        cmocka_unit_test(requests_in_flight_are_limited),
        cmocka_unit_test(one_request_in_flight_at_most),
        cmocka_unit_test(a_client_that_takes_no_answers_is_asked_no_more),
        cmocka_unit_test(a_deadline_that_falls_due_while_an_answer_opens_the_gate_is_of_the_past),
        cmocka_unit_test(answers_that_wait_behind_another_are_limited),
        cmocka_unit_test(connections_are_limited_and_nobody_is_dropped),
        cmocka_unit_test(out_of_descriptors_it_waits_and_goes_on),
        cmocka_unit_test(answers_go_to_a_client_that_has_shut_its_side),
        cmocka_unit_test(a_half_closed_client_gets_what_was_gated),
        cmocka_unit_test(draining_closes_the_idle_and_finishes_the_others),
        cmocka_unit_test(draining_may_keep_who_has_not_asked_yet),
        cmocka_unit_test(draining_may_keep_the_idle_for_one_more_answer),
        cmocka_unit_test(each_takes_one_of_those_who_queue),
        cmocka_unit_test(who_stops_takes_all_who_queue),
        cmocka_unit_test(a_shared_socket_waits_at_the_limit_and_goes_on),
        cmocka_unit_test(who_was_forgotten_on_a_shared_socket_is_found_within_a_second),
        cmocka_unit_test(draining_waits_for_bytes_to_leave),
        cmocka_unit_test(aborting_counts_what_it_cut),
        cmocka_unit_test(many_clients_come_and_go_and_memory_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
