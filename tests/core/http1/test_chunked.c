/* core/http1/chunked: every case is decoded whole, byte by byte and in every two pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/http1/chunked.h"

enum { ROOM = 16384 };

typedef struct outcome {
    vv_status status;
    size_t used, payload_len;
    uint8_t payload[ROOM];
} outcome;

/* Decodes in pieces that end at `first` and then every `step` bytes. Each piece lies at the end of its own
 * allocation, so that ASan sees one byte too far. */
static void
decode(const char *in, size_t len, size_t first, size_t step, outcome *o)
{
    vv_chunked decoder = {0};
    memset(o, 0, sizeof(*o));
    o->status = VV_AGAIN;
    for (size_t from = 0, to = first < len ? first : len; o->status == VV_AGAIN && from < len;) {
        size_t consumed = 0, produced = 0;
        uint8_t *piece = malloc(to - from + 1);
        memcpy(piece + 1, in + from, to - from);
        o->status = vv_chunked_decode(&decoder, piece + 1, to - from, &consumed, &produced);
        assert_true(produced <= consumed && consumed <= to - from);
        if (o->status == VV_AGAIN)
            assert_int_equal(consumed, to - from);
        memcpy(o->payload + o->payload_len, piece + 1, produced);
        assert_memory_equal(piece + 1 + consumed, in + from + consumed, to - from - consumed);
        o->payload_len += produced;
        o->used += consumed;
        free(piece);
        from = to;
        to = len - from > step ? from + step : len;
    }
}

static outcome whole, other;

static void
assert_same(const char *name)
{
    if (whole.status != other.status || whole.used != other.used || whole.payload_len != other.payload_len ||
        memcmp(whole.payload, other.payload, whole.payload_len) != 0)
        fail_msg("%s: another answer for another cut", name);
}

/* Every way; leaves the answer in `whole`. */
static void
answer(const char *name, const char *in, size_t len)
{
    decode(in, len, len, len, &whole);
    decode(in, len, 1, 1, &other);
    assert_same(name);
    for (size_t cut = 1; cut < len && cut < 200; cut++) {
        decode(in, len, cut, len, &other);
        assert_same(name);
    }
}

static void
bodies(void **state)
{
    static const struct {
        const char *name, *in;
        vv_status want;
        const char *payload, *rest;
    } rows[] = {
        {"no chunk", "0\r\n\r\n", VV_OK, "", ""},
        {"one chunk", "5\r\nhello\r\n0\r\n\r\n", VV_OK, "hello", ""},
        {"three chunks", "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n", VV_OK, "hello world", ""},
        {"what follows is left", "1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n", VV_OK, "a", "GET / HTTP/1.1\r\n"},
        {"hexadecimal of either case", "a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n", VV_OK,
         "01234567890123456789a", ""},
        {"zeroes before the size", "0000000000000001\r\na\r\n0000\r\n\r\n", VV_OK, "a", ""},
        {"CRLF in the payload", "4\r\n\r\n\r\n\r\n0\r\n\r\n", VV_OK, "\r\n\r\n", ""},
        {"an extension", "1;a=b\r\nx\r\n0;c\r\n\r\n", VV_OK, "x", ""},
        {"white space before an extension", "1 \t;a=\"b\tc\"\r\nx\r\n0\r\n\r\n", VV_OK, "x", ""},
        {"white space behind the size", "1 \r\nx\r\n0\r\n\r\n", VV_OK, "x", ""},
        {"trailers", "0\r\nA: b\r\nC:\r\n\r\n", VV_OK, "", ""},
        {"bytes above ASCII in a trailer", "0\r\na: \xff\r\n\r\n", VV_OK, "", ""},
        {"an unfinished size", "5", VV_AGAIN, "", ""},
        {"an unfinished line", "5\r", VV_AGAIN, "", ""},
        {"an unfinished chunk", "5\r\nhel", VV_AGAIN, "hel", ""},
        {"no last chunk", "5\r\nhello\r\n", VV_AGAIN, "hello", ""},
        {"no last line", "0\r\n", VV_AGAIN, "", ""},
        {"an unfinished trailer", "0\r\na: b\r\n", VV_AGAIN, "", ""},
        {"no size", "\r\n", VV_E_CHUNK, "", NULL},
        {"a quoted pair in an extension", "1;a=\"\\\"\"\r\nx\r\n0\r\n\r\n", VV_OK, "x", ""},
        {"a quoted string without an end", "1;a=\"\r\nx\r\n0\r\n\r\n", VV_E_CHUNK, "", NULL},
        {"a quoted string that ends in a later line", "1;a=\"\r\nx\r\n0;\"\r\n\r\n", VV_E_CHUNK, "", NULL},
        {"a line's end behind a backslash", "1;a=\"\\\r\nx\r\n0\r\n\r\n", VV_E_CHUNK, "", NULL},
        {"an extension without a size", ";a\r\n", VV_E_CHUNK, "", NULL},
        {"a space first", " 1\r\n", VV_E_CHUNK, "", NULL},
        {"a sign", "+1\r\n", VV_E_CHUNK, "", NULL},
        {"0x", "0x1\r\n", VV_E_CHUNK, "", NULL},
        {"an underscore", "1_0\r\n", VV_E_CHUNK, "", NULL},
        {"a digit behind white space", "1 1\r\n", VV_E_CHUNK, "", NULL},
        {"a letter that is no digit", "g\r\n", VV_E_CHUNK, "", NULL},
        {"seventeen digits", "00000000000000001\r\n", VV_E_CHUNK, "", NULL},
        {"2^63", "8000000000000000\r\n", VV_E_CHUNK, "", NULL},
        {"2^63 - 1", "7fffffffffffffff\r\na", VV_AGAIN, "a", ""},
        {"LF alone behind the size", "1\na\r\n", VV_E_CHUNK, "", NULL},
        {"CR alone behind the size", "1\ra\r\n", VV_E_CHUNK, "", NULL},
        {"LF alone in an extension", "1;a\nb\r\n", VV_E_CHUNK, "", NULL},
        {"NUL's neighbour in an extension", "1;\x01\r\n", VV_E_CHUNK, "", NULL},
        {"DEL in an extension", "1;\x7f\r\n", VV_E_CHUNK, "", NULL},
        {"LF alone behind the payload", "1\r\na\n", VV_E_CHUNK, "a", NULL},
        {"CR alone behind the payload", "1\r\na\rb", VV_E_CHUNK, "a", NULL},
        {"more payload than announced", "1\r\nab\r\n", VV_E_CHUNK, "a", NULL},
        {"LF alone at the end", "0\r\n\n", VV_E_CHUNK, "", NULL},
        {"CR alone at the end", "0\r\n\rX", VV_E_CHUNK, "", NULL},
        {"a trailer without a colon", "0\r\na\r\n", VV_E_CHUNK, "", NULL},
        {"a trailer without a name", "0\r\n: a\r\n", VV_E_CHUNK, "", NULL},
        {"a trailer with a space before the colon", "0\r\na : b\r\n", VV_E_CHUNK, "", NULL},
        {"a folded trailer", "0\r\na: b\r\n c\r\n", VV_E_CHUNK, "", NULL},
        {"LF alone in a trailer", "0\r\na: b\nc: d\r\n", VV_E_CHUNK, "", NULL},
        {"a control in a trailer", "0\r\na: \x02\r\n", VV_E_CHUNK, "", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len = strlen(rows[i].in);
        answer(rows[i].name, rows[i].in, len);
        if (whole.status != rows[i].want)
            fail_msg("%s: \"%s\"", rows[i].name, vv_status_text(whole.status));
        assert_int_equal(whole.payload_len, strlen(rows[i].payload));
        assert_memory_equal(whole.payload, rows[i].payload, whole.payload_len);
        if (rows[i].rest != NULL)
            assert_string_equal(rows[i].in + whole.used, rows[i].rest);
    }
}

/* `count` times `c` between `before` and `behind`. */
static vv_status
answer_of_many(const char *before, char c, size_t count, const char *behind)
{
    static char in[ROOM];
    int len = snprintf(in, sizeof(in), "%s", before);
    memset(in + len, c, count);
    len += (int)count;
    len += snprintf(in + len, sizeof(in) - (size_t)len, "%s", behind);
    answer("many", in, (size_t)len);
    return whole.status;
}

static void
bounds(void **state)
{
    assert_int_equal(answer_of_many("0;", 'a', VV_CHUNKED_EXTENSION_BYTES - 1, "\r\n\r\n"), VV_OK);
    assert_int_equal(answer_of_many("0;", 'a', VV_CHUNKED_EXTENSION_BYTES, "\r\n\r\n"), VV_E_CHUNK);
    assert_int_equal(answer_of_many("0", ' ', VV_CHUNKED_EXTENSION_BYTES + 1, "\r\n\r\n"), VV_E_CHUNK);
    assert_int_equal(answer_of_many("0\r\na:", 'a', VV_CHUNKED_TRAILER_BYTES - 2, "\r\n\r\n"), VV_OK);
    assert_int_equal(answer_of_many("0\r\na:", 'a', VV_CHUNKED_TRAILER_BYTES - 1, "\r\n\r\n"), VV_E_CHUNK);
    assert_int_equal(answer_of_many("0\r\n", 'a', VV_CHUNKED_TRAILER_BYTES + 1, ""), VV_E_CHUNK);
}

/* Extensions are bounded over the whole body, not chunk by chunk. */
static void
many_small_extensions(void **state)
{
    static char in[ROOM];
    size_t len = 0;
    for (int i = 0; i < 600; i++)
        len += (size_t)snprintf(in + len, sizeof(in) - len, "1;a\r\nx\r\n");
    answer("many chunks", in, len);
    assert_int_equal(whole.status, VV_E_CHUNK);
    assert_int_equal(whole.payload_len, VV_CHUNKED_EXTENSION_BYTES / 2);
}

static void
nothing_after_the_end(void **state)
{
    vv_chunked decoder = {0};
    uint8_t in[] = "0\r\n\r\nrest", bad[] = "x";
    size_t consumed, produced;
    assert_int_equal(vv_chunked_decode(&decoder, in, 9, &consumed, &produced), VV_OK);
    assert_int_equal(consumed, 5);
    assert_int_equal(vv_chunked_decode(&decoder, in + 5, 4, &consumed, &produced), VV_OK);
    assert_int_equal(consumed, 0);

    decoder = (vv_chunked){0};
    assert_int_equal(vv_chunked_decode(&decoder, bad, 1, &consumed, &produced), VV_E_CHUNK);
    assert_int_equal(vv_chunked_decode(&decoder, in, 5, &consumed, &produced), VV_E_CHUNK);
    assert_int_equal(vv_chunked_decode(&decoder, in, 0, &consumed, &produced), VV_E_CHUNK);
    assert_int_equal(produced, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies),
        cmocka_unit_test(bounds),
        cmocka_unit_test(many_small_extensions),
        cmocka_unit_test(nothing_after_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
