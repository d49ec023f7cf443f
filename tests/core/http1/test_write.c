/* core/http1/write: an answer, to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/http1/write.h"

enum { NOON = 784111777 }; /* Sun, 06 Nov 1994 08:49:37 GMT */
#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define TEXT "Content-Type: text/plain; charset=utf-8\r\n"

static vv_writer
writer_at(int64_t second)
{
    vv_writer writer = {.second = 0};
    vv_writer_tick(&writer, second);
    return writer;
}

/* Both the general way and the one with prepared heads, where that applies, must write `expected`. */
static void
assert_writes(const vv_writer *writer, const vv_reply *reply, unsigned how, const char *expected)
{
    for (int general = 0; general < 2; general++) {
        vv_buffer *out = vv_buffer_new(1); /* it has to grow */
        vv_status status =
            general ? vv_writer_write_any(writer, out, reply, how) : vv_writer_write(writer, out, reply, how);
        assert_int_equal(status, VV_OK);
        assert_int_equal(vv_buffer_append(out, vv_span_of("", 1)), VV_OK);
        assert_string_equal((char *)vv_buffer_front(out), expected);
        vv_buffer_free(out);
    }
}

static void
every_form_of_an_answer(void **state)
{
    static const struct {
        vv_reply reply;
        unsigned how;
        const char *expected;
    } rows[] = {
        {{.status = 200}, 0, "HTTP/1.1 200 OK\r\n" DATE TEXT "Content-Length: 0\r\n\r\n"},
        {{.status = 200, .media = VV_MEDIA_BYTES},
         0,
         "HTTP/1.1 200 OK\r\n" DATE "Content-Type: application/octet-stream\r\nContent-Length: 0\r\n\r\n"},
        {{.status = 200, .media = VV_MEDIA_JSON, .body = {(const uint8_t *)"{}", 2}},
         0,
         "HTTP/1.1 200 OK\r\n" DATE "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"},
        {{.status = 200, .media = VV_MEDIA_NONE, .body = {(const uint8_t *)"a", 1}},
         0,
         "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 1\r\n\r\na"},
        {{.status = 404, .media = VV_MEDIA_OTHER, .media_type = {(const uint8_t *)"text/css", 8}},
         0,
         "HTTP/1.1 404 Not Found\r\n" DATE "Content-Type: text/css\r\nContent-Length: 0\r\n\r\n"},
        {{.status = 200, .fields = {(const uint8_t *)"A: 1\r\nB: 2\r\n", 12}, .body = {(const uint8_t *)"x", 1}},
         0,
         "HTTP/1.1 200 OK\r\n" DATE TEXT "A: 1\r\nB: 2\r\nContent-Length: 1\r\n\r\nx"},
        {{.status = 299, .media = VV_MEDIA_NONE}, 0, "HTTP/1.1 299 \r\n" DATE "Content-Length: 0\r\n\r\n"},
        /* no content, whatever was given */
        {{.status = 204, .media = VV_MEDIA_NONE, .body = {(const uint8_t *)"no", 2}},
         0,
         "HTTP/1.1 204 No Content\r\n" DATE "\r\n"},
        {{.status = 304, .media = VV_MEDIA_NONE, .body = {(const uint8_t *)"no", 2}},
         0,
         "HTTP/1.1 304 Not Modified\r\n" DATE "\r\n"},
        {{.status = 200, .body = {(const uint8_t *)"hello", 5}},
         VV_WRITE_HEAD_ONLY,
         "HTTP/1.1 200 OK\r\n" DATE TEXT "Content-Length: 5\r\n\r\n"},
        /* the connection */
        {{.status = 200},
         VV_WRITE_CLOSE,
         "HTTP/1.1 200 OK\r\n" DATE TEXT "Connection: close\r\nContent-Length: 0\r\n\r\n"},
        {{.status = 200},
         VV_WRITE_KEEP_ALIVE_10,
         "HTTP/1.1 200 OK\r\n" DATE TEXT "Connection: keep-alive\r\nContent-Length: 0\r\n\r\n"},
        {{.status = 200},
         VV_WRITE_CLOSE | VV_WRITE_KEEP_ALIVE_10,
         "HTTP/1.1 200 OK\r\n" DATE TEXT "Connection: close\r\nContent-Length: 0\r\n\r\n"},
        {{.status = 204, .media = VV_MEDIA_NONE},
         VV_WRITE_CLOSE,
         "HTTP/1.1 204 No Content\r\n" DATE "Connection: close\r\n\r\n"},
    };
    vv_writer writer = writer_at(NOON);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_writes(&writer, &rows[i].reply, rows[i].how, rows[i].expected);
}

static void
lengths_of_any_number_of_digits(void **state)
{
    static const size_t lengths[] = {0,    1,    9,     10,    11,    99,    100,   101,    999,    1000,
                                     1001, 9999, 10000, 10001, 12345, 90009, 99999, 100000, 100001, 1234567};
    vv_writer writer = writer_at(NOON);
    uint8_t *body = malloc(1234567);
    char *expected = malloc(1234567 + 256);
    memset(body, 'b', 1234567);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        int head = sprintf(expected, "HTTP/1.1 200 OK\r\n" DATE TEXT "Content-Length: %zu\r\n\r\n", lengths[i]);
        memset(expected + head, 'b', lengths[i]);
        expected[(size_t)head + lengths[i]] = '\0';
        assert_writes(&writer, &(vv_reply){.status = 200, .body = vv_span_of(body, lengths[i])}, 0, expected);
    }
    free(expected);
    free(body);
}

static void
answers_follow_one_another(void **state)
{
    vv_writer writer = writer_at(NOON);
    vv_buffer *out = vv_buffer_new(16);
    size_t one = 0;
    for (int i = 0; i < 1000; i++) {
        vv_reply reply = {.status = 200, .body = vv_span_text("Hello world!")};
        assert_int_equal(vv_writer_write(&writer, out, &reply, 0), VV_OK);
        one = i == 0 ? vv_buffer_len(out) : one;
        assert_int_equal(vv_buffer_len(out), one * (size_t)(i + 1));
        assert_memory_equal(vv_buffer_front(out), vv_buffer_front(out) + one * (size_t)i, one);
    }
    vv_buffer_free(out);
}

static void
the_date_goes_on(void **state)
{
    vv_writer writer = writer_at(NOON);
    vv_writer_tick(&writer, NOON);
    vv_writer_tick(&writer, NOON + 23);
    assert_writes(&writer, &(vv_reply){.status = 200}, 0,
                  "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:50:00 GMT\r\n" TEXT "Content-Length: 0\r\n\r\n");
    assert_writes(&writer, &(vv_reply){.status = 200, .media = VV_MEDIA_NONE}, 0,
                  "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:50:00 GMT\r\nContent-Length: 0\r\n\r\n");
    vv_writer_tick(&writer, 0); /* clocks go back, too */
    assert_writes(&writer, &(vv_reply){.status = 200, .media = VV_MEDIA_NONE}, 0,
                  "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_an_answer),
        cmocka_unit_test(lengths_of_any_number_of_digits),
        cmocka_unit_test(answers_follow_one_another),
        cmocka_unit_test(the_date_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
