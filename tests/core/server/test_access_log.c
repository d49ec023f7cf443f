/* core/server/access_log: one line for every answer, whatever became of it, and readers that do not read. */
#include "stage.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

/* ---- a reader --------------------------------------------------------------------------------------------------- */

typedef struct reader {
    int fd;
    char text[64 * 1024];
    size_t len;
} reader;

static void
log_to_pipe(stage *s, reader *r, vv_access_format format)
{
    int fd[2];
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    vv_access_options options = {.style = {.format = format}, .fd = fd[1]};
    assert_int_equal(vv_server_log_access(s->server, &options), VV_OK);
    *r = (reader){.fd = fd[0]};
    fcntl(r->fd, F_SETFL, O_NONBLOCK);
    close(fd[1]); /* the log has a description of its own */
}

static size_t
take_text(reader *r)
{
    ssize_t count = read(r->fd, r->text + r->len, sizeof r->text - 1 - r->len);
    if (count > 0)
        r->len += (size_t)count;
    r->text[r->len] = '\0';
    return count > 0 ? (size_t)count : 0;
}

static size_t
lines(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

/* The request and what follows it, of each line, without the duration: "GET /a" 200 1B; "GET /b" 404 9B */
static const char *
logged(stage *s, reader *r, size_t expected)
{
    static char short_lines[16 * 1024];
    WAIT_FOR(s, (take_text(r), lines(r->text) >= expected));
    short_lines[0] = '\0';
    char *save = NULL;
    for (char *line = strtok_r(r->text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        char *from = strchr(line, '"'), *to = strrchr(line, ' ');
        assert_non_null(from);
        strcat(short_lines, *short_lines != '\0' ? "; " : "");
        strncat(short_lines, from, (size_t)(to - from));
    }
    r->len = 0;
    return short_lines;
}

/* A stage whose log is read, and a client on it. */
static client
begin(stage *s, reader *r, vv_access_format format)
{
    stage_open(s, NULL);
    log_to_pipe(s, r, format);
    return client_open(s);
}

static void
end(stage *s, reader *r, client *c)
{
    if (c != NULL)
        client_close(s, c);
    stage_close(s);
    close(r->fd);
}

/* ---- what is logged --------------------------------------------------------------------------------------------- */

static void
each_answer_has_its_line(void **state)
{
    stage s;
    reader r;
    client c = begin(&s, &r, VV_ACCESS_SHORT);
    say(&s, &c, GET("/say/hello?x=1") GET("/say/") GET("/nowhere"));
    say(&s, &c,
        "DELETE /say/a HTTP/1.1\r\nHost: a\r\n\r\n"
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_hears(&s, &c, "200 hello, 200, 404 Not Found, 405 Method Not Allowed, 204");
    assert_string_equal(logged(&s, &r, 5),
                        "\"GET /say/hello?x=1\" 200 5B; \"GET /say/\" 200 0B; \"GET /nowhere\" 404 9B; "
                        "\"DELETE /say/a\" 405 18B; \"OPTIONS *\" 204 0B");
    c.head_only = 1;
    say(&s, &c, "HEAD /say/hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_hears(&s, &c, "200");
    assert_string_equal(logged(&s, &r, 1), "\"HEAD /say/hello\" 200 0B");
    end(&s, &r, &c);
}

static void
held_answers_have_theirs_when_they_are_given(void **state)
{
    stage s;
    reader r;
    client c = begin(&s, &r, VV_ACCESS_SHORT);
    say(&s, &c, GET("/hold/a") GET("/hold/b") GET("/say/c"));
    assert_string_equal(logged(&s, &r, 1), "\"GET /say/c\" 200 1B"); /* given first, though it leaves last */
    answer(&s, "b");
    answer(&s, "a");
    assert_hears(&s, &c, "200 a, 200 b, 200 c");
    assert_string_equal(logged(&s, &r, 2), "\"GET /hold/b\" 200 1B; \"GET /hold/a\" 200 1B");
    end(&s, &r, &c);
}

static void
a_client_that_is_gone_is_a_499(void **state)
{
    stage s;
    reader r;
    client c = begin(&s, &r, VV_ACCESS_SHORT);
    say(&s, &c, GET("/hold/a") GET("/hold/b"));
    assert_asked(&s, 2);
    client_reset(&s, &c);
    assert_string_equal(logged(&s, &r, 2), "\"GET /hold/a\" 499 0B; \"GET /hold/b\" 499 0B");
    c = client_open(&s);
    say(&s, &c, GET("/abort"));
    assert_string_equal(logged(&s, &r, 1), "\"GET /abort\" 499 0B");
    client_close(&s, &c);
    c = client_open(&s);
    say(&s, &c, GET("/drop"));
    assert_string_equal(logged(&s, &r, 1), "\"GET /drop\" 499 0B");
    end(&s, &r, &c);
}

static void
refusals_say_what_is_known(void **state)
{
    static const struct {
        const char *said, *heard, *line;
    } cases[] = {
        {"GET /a b HTTP/1.1\r\n\r\n", "400", "\"GET /a b HTTP/1.1\" 400 11B"},
        {"\x16\x03\x01\x02", "400", "\"\\x16\\x03\\x01\\x02\" 400 11B"},
        {"GET / HTTP/1.1\r\n\r\n", "400", "\"GET / HTTP/1.1\" 400 11B"},
        {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "400", "\"GET /%zz\" 400 11B"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n", "413", "\"POST /echo\" 413 17B"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400", "\"POST /echo\" 400 11B"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n99\r\n", "413", "\"POST /echo\" 413 17B"},
    };
    vv_limits limits = vv_limits_default();
    limits.limit_body_bytes = 10;
    stage s;
    reader r;
    stage_open(&s, &limits);
    log_to_pipe(&s, &r, VV_ACCESS_SHORT);
    for (size_t i = 0; i < LENGTH_OF(cases); i++) {
        client c = client_open(&s);
        say(&s, &c, GET("/say/a"));
        say(&s, &c, cases[i].said);
        char expected[128];
        snprintf(expected, sizeof expected, "\"GET /say/a\" 200 1B; %s", cases[i].line);
        assert_string_equal(logged(&s, &r, 2), expected);
        client_close(&s, &c);
    }
    end(&s, &r, NULL);
}

static void
what_came_too_late_is_logged(void **state)
{
    stage s;
    reader r;
    stage_open(&s, NULL);
    log_to_pipe(&s, &r, VV_ACCESS_JSON);
    client head = client_open(&s), body = client_open(&s);
    say(&s, &head, "GET /say/slow");
    say(&s, &body, "POST /echo?q HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\nContent-Length: 5\r\n\r\n01");
    pass(&s, 31000);
    WAIT_FOR(&s, (take_text(&r), lines(r.text) >= 2));
    char *first = strstr(r.text, "\"raw\":\"GET /say/slow\",\"status\":408");
    assert_non_null(first);
    assert_null(memmem(first, (size_t)(strchr(first, '\n') - first), "duration_ms", 11)); /* there was no head */
    char *second = strstr(r.text, "\"method\":\"POST\",\"path\":\"/echo\",\"query\":\"q\",\"status\":408");
    assert_non_null(second);
    assert_non_null(strstr(second, "\"duration_ms\":"));
    assert_non_null(strstr(second, "\"user_agent\":\"me\",\"reason\":\"the request did not arrive in time\"}"));
    client_close(&s, &head);
    end(&s, &r, &body);
}

static void
routes_and_fields_are_kept_for_later(void **state)
{
    stage s;
    reader r;
    client c = begin(&s, &r, VV_ACCESS_JSON);
    say(&s, &c, "GET /hold/a HTTP/1.1\r\nHost: a\r\nReferer: there\r\nUser-Agent: me\r\n\r\n");
    assert_asked(&s, 1);
    say(&s, &c, "GET /say/overwritten HTTP/1.1\r\nHost: a\r\nReferer: other\r\nUser-Agent: you\r\n\r\n");
    answer(&s, "a");
    WAIT_FOR(&s, (take_text(&r), lines(r.text) >= 2));
    assert_non_null(strstr(r.text, "\"route\":\"/say/{text:path}\",\"status\":200"));
    assert_non_null(strstr(r.text, "\"path\":\"/hold/a\",\"route\":\"/hold/{name}\",\"status\":200"));
    assert_non_null(strstr(r.text, "\"referer\":\"there\",\"user_agent\":\"me\"}"));
    r.len = 0;
    say(&s, &c, GET("/nowhere")); /* has no route, whatever the one before had */
    WAIT_FOR(&s, (take_text(&r), lines(r.text) >= 1));
    assert_null(strstr(r.text, "route"));
    end(&s, &r, &c);
}

static void
a_drained_server_still_logs(void **state)
{
    stage s;
    reader r;
    client c = begin(&s, &r, VV_ACCESS_SHORT);
    say(&s, &c, GET("/hold/a"));
    assert_asked(&s, 1);
    vv_server_drain(s.server, VV_KEEP_NONE);
    answer(&s, "a");
    assert_hears(&s, &c, "200 a (close), end");
    assert_string_equal(logged(&s, &r, 1), "\"GET /hold/a\" 200 1B");
    end(&s, &r, &c);
}

/* ---- readers ---------------------------------------------------------------------------------------------------- */

/* Fills the log with far more than it keeps, while nobody reads; how many requests that took. */
static size_t
overflow(stage *s, client *c)
{
    enum { BATCH = 20 };
    static char text[BATCH * 2100];
    char *at = text;
    for (int i = 0; i < BATCH; i++)
        at += sprintf(at, "GET /nowhere/%02000d HTTP/1.1\r\nHost: a\r\n\r\n", i);
    size_t asked = 0;
    for (; asked < 2 * VV_ACCESS_KEEP_BYTES / 2000; asked += BATCH) {
        say(s, c, text);
        WAIT_FOR(s, (take_bytes(c), c->got_len >= BATCH * 120));
        c->got_len = 0;
    }
    return asked;
}

static void
a_reader_that_is_slow_loses_lines_and_is_told(void **state)
{
    stage s;
    reader r;
    client c = begin(&s, &r, VV_ACCESS_COMMON);
    size_t asked = overflow(&s, &c), got = 0, lost = 0;
    /* It reads on: what was kept arrives whole, then how many are missing. */
    char *told = NULL;
    size_t start = 0;
    WAIT_FOR(&s, ({
        if (take_text(&r) > 0) {
            char *line = r.text, *next;
            for (; (next = strchr(line, '\n')) != NULL; line = next + 1) {
                *next = '\0';
                if ((told = strstr(line, "access log: ")) != NULL) {
                    assert_non_null(strstr(told, " lines were lost: whoever reads it is too slow"));
                    lost = strtoul(told + 12, NULL, 10);
                    break;
                }
                assert_non_null(strstr(line, "\"GET /nowhere/"));
                assert_string_equal(line + strlen(line) - 6, " 404 9");
                got++;
            }
            start = (size_t)(line - r.text);
            memmove(r.text, line, r.len - start + 1);
            r.len -= start;
        }
        told != NULL;
    }));
    assert_true(lost > 0);
    assert_int_equal(got + lost, asked);
    end(&s, &r, &c);
}

static void
a_reader_that_is_gone_costs_nobody_anything(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    stage s;
    reader r;
    stage_open(&s, NULL);
    log_to_pipe(&s, &r, VV_ACCESS_COMMON);
    close(r.fd);
    client c = client_open(&s), later = client_open(&s);
    say(&s, &later, GET("/hold/a"));
    size_t asked = overflow(&s, &c);
    say(&s, &c, GET("/say/still"));
    assert_hears(&s, &c, "200 still");
    assert_int_equal(vv_server_end_access_log(s.server), asked + 1);
    say(&s, &c, GET("/say/unlogged"));
    assert_hears(&s, &c, "200 unlogged");
    answer(&s, "a");
    assert_hears(&s, &later, "200 a");
    client_close(&s, &later);
    client_close(&s, &c);
    stage_close(&s);
}

/* What was kept goes out in one write when there is room again; then the lines that were not are told of. */
static void
a_disk_that_has_room_again_is_told_what_is_missing(void **state)
{
    signal(SIGXFSZ, SIG_IGN);
    stage s;
    char path[] = "/tmp/vivace-access-XXXXXX", told[256] = "";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "r+");
    stage_open(&s, NULL);
    vv_access_options options = {.fd = fd};
    assert_int_equal(vv_server_log_access(s.server, &options), VV_OK);
    client c = client_open(&s);
    struct rlimit before, none;
    getrlimit(RLIMIT_FSIZE, &before);
    none = (struct rlimit){.rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &none);
    overflow(&s, &c);
    setrlimit(RLIMIT_FSIZE, &before);
    WAIT_FOR(&s, lseek(fd, 0, SEEK_END) > 0); /* it is tried again by itself */
    long end = ftell(file);
    say(&s, &c, GET("/say/more"));
    assert_hears(&s, &c, "200 more");
    WAIT_FOR(&s, lseek(fd, 0, SEEK_END) > end);
    char line[4096];
    rewind(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (strstr(line, "access log: ") != NULL)
            snprintf(told, sizeof told, "%s", strstr(line, "access log: "));
    assert_non_null(strstr(told, " lines were lost: File too large\n"));
    client_close(&s, &c);
    stage_close(&s);
    fclose(file);
    unlink(path);
}

static void
a_full_disk_costs_nobody_anything(void **state)
{
    stage s;
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    stage_open(&s, NULL);
    vv_access_options options = {.fd = fd};
    assert_int_equal(vv_server_log_access(s.server, &options), VV_OK);
    client c = client_open(&s);
    say(&s, &c, GET("/say/a") GET("/say/b"));
    assert_hears(&s, &c, "200 a, 200 b");
    assert_true(vv_server_next_ms(s.server) >= 0); /* it is tried again */
    assert_true(vv_server_next_ms(s.server) <= 1001);
    assert_int_equal(vv_server_end_access_log(s.server), 2);
    client_close(&s, &c);
    stage_close(&s);
    close(fd);
}

static void
the_last_lines_are_written_at_the_end(void **state)
{
    stage s;
    reader r;
    client c = begin(&s, &r, VV_ACCESS_SHORT);
    say(&s, &c, GET("/hold/a"));
    assert_asked(&s, 1);
    client_close(&s, &c);
    stage_close(&s); /* frees the server with the request in flight */
    take_text(&r);
    assert_non_null(strstr(r.text, "\"GET /hold/a\" 499 0B"));
    close(r.fd);
}

/* ---- a callee --------------------------------------------------------------------------------------------------- */

static char taken[4096];

static void
take(void *self, vv_span text)
{
    stage *s = self;
    strncat(taken, (const char *)text.at, text.len);
    if (s->held_count > 0 && s->held[0].exchange != NULL) { /* a callee may do anything */
        vv_exchange *exchange = s->held[0].exchange;
        s->held[0].exchange = NULL;
        vv_reply reply = {.status = 202};
        vv_exchange_reply(exchange, &reply);
    }
}

static void
lines_go_to_a_callee_outside_of_requests(void **state)
{
    stage s;
    stage_open(&s, NULL);
    vv_access_options options = {.take = take, .self = &s};
    assert_int_equal(vv_server_log_access(s.server, &options), VV_OK);
    client c = client_open(&s);
    say(&s, &c, GET("/hold/a") GET("/say/b"));
    assert_hears(&s, &c, "202, 200 b");
    WAIT_FOR(&s, lines(taken) >= 2);
    assert_non_null(strstr(taken, "\"GET /say/b\" 200 1B"));
    assert_non_null(strstr(taken, "\"GET /hold/a\" 202 0B"));
    client_close(&s, &c);
    stage_close(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_has_its_line),
        cmocka_unit_test(held_answers_have_theirs_when_they_are_given),
        cmocka_unit_test(a_client_that_is_gone_is_a_499),
        cmocka_unit_test(refusals_say_what_is_known),
        cmocka_unit_test(what_came_too_late_is_logged),
        cmocka_unit_test(routes_and_fields_are_kept_for_later),
        cmocka_unit_test(a_drained_server_still_logs),
        cmocka_unit_test(a_reader_that_is_slow_loses_lines_and_is_told),
        cmocka_unit_test(a_reader_that_is_gone_costs_nobody_anything),
        cmocka_unit_test(a_disk_that_has_room_again_is_told_what_is_missing),
        cmocka_unit_test(a_full_disk_costs_nobody_anything),
        cmocka_unit_test(the_last_lines_are_written_at_the_end),
        cmocka_unit_test(lines_go_to_a_callee_outside_of_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
