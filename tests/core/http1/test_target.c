/* core/http1/target: escapes and UTF-8. Each input lies in an allocation of its own size, for ASan. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/http1/target.h"

/* Decodes into another place and in place; both must agree. */
static vv_status
decode(const char *raw, size_t len, uint8_t *out, size_t *out_len)
{
    uint8_t *copy = malloc(len + 1);
    size_t copy_len = 0;
    memcpy(copy + 1, raw, len);
    vv_status status = vv_target_decode(vv_span_of(copy + 1, len), out, out_len);
    assert_int_equal(vv_target_decode(vv_span_of(copy + 1, len), copy + 1, &copy_len), status);
    if (status == VV_OK) {
        assert_int_equal(copy_len, *out_len);
        assert_memory_equal(copy + 1, out, copy_len);
    }
    free(copy);
    return status;
}

static void
escapes(void **state)
{
    static const struct {
        const char *name, *in, *out; /* NULL: VV_E_TARGET */
    } rows[] = {
        {"nothing", "", ""},
        {"no escape", "/a/b", "/a/b"},
        {"a plus stays", "/a+b", "/a+b"},
        {"a space", "/a%20b", "/a b"},
        {"a percent sign", "%25", "%"},
        {"not decoded twice", "%2541", "%41"},
        {"either case", "%4a%4A%c3%A9", "JJ\xc3\xa9"},
        {"dots", "/%2e%2E/", "/../"},
        {"three bytes", "%e2%82%ac", "\xe2\x82\xac"},
        {"four bytes", "%f0%9f%8e%bb", "\xf0\x9f\x8e\xbb"},
        {"cut short", "/%", NULL},
        {"one digit", "/%4", NULL},
        {"no digit", "/%zz", NULL},
        {"one digit, then none", "/%4z", NULL},
        {"NUL", "/%00", NULL},
        {"half a character", "/%c3", NULL},
        {"a byte that leads nothing", "/%ff", NULL},
        {"an overlong slash", "/%c0%af", NULL},
        {"a surrogate", "/%ed%a0%80", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t out[64];
        size_t len = 0;
        vv_status status = decode(rows[i].in, strlen(rows[i].in), out, &len);
        if (status != (rows[i].out != NULL ? VV_OK : VV_E_TARGET))
            fail_msg("%s: \"%s\"", rows[i].name, vv_status_text(status));
        if (rows[i].out == NULL)
            continue;
        assert_int_equal(len, strlen(rows[i].out));
        assert_memory_equal(out, rows[i].out, len);
    }
}

static void
an_escaped_slash_is_kept_apart(void **state)
{
    uint8_t out[16];
    size_t len = 0;
    assert_int_equal(decode("/a%2fb%2F", 9, out, &len), VV_OK);
    assert_int_equal(len, 5);
    assert_memory_equal(out, "/a\0b\0", 5);
}

static int
valid(const void *text, size_t len)
{
    uint8_t *copy = malloc(len + 1);
    memcpy(copy + 1, text, len);
    int answer = vv_utf8_valid(vv_span_of(copy + 1, len));
    free(copy);
    return answer;
}

static size_t
encode(uint32_t code, uint8_t *out)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        out[i] = (uint8_t)(0x80 | (code & 0x3f));
    out[0] = (uint8_t)(0xf00 >> len | code);
    return len;
}

/* Every code point, behind ASCII of two lengths; and every one cut short. */
static void
every_code_point(void **state)
{
    for (uint32_t code = 1; code < 0x110100; code++) {
        uint8_t text[16] = "abcdefgh";
        size_t len = encode(code, text + 3);
        int want = code < 0x110000 && (code < 0xd800 || code > 0xdfff);
        if (valid(text, 3 + len) != want || valid(text + 3, len) != want)
            fail_msg("U+%04X", code);
        if (len > 1 && (valid(text, 2 + len) || valid(text + 4, len - 1)))
            fail_msg("U+%04X cut short", code);
    }
}

/* Every sequence of three bytes against the definition: decode, and encode again. */
static void
every_three_bytes(void **state)
{
    static uint8_t known[1 << 24 >> 3];
    for (uint32_t code = 0x800; code < 0x10000; code++) {
        uint8_t b[4];
        encode(code, b);
        uint32_t at = (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
        if (code < 0xd800 || code > 0xdfff)
            known[at >> 3] |= (uint8_t)(1 << (at & 7));
    }
    for (uint32_t at = 0xe00000; at < 0xf00000; at++) {
        uint8_t b[3] = {(uint8_t)(at >> 16), (uint8_t)(at >> 8), (uint8_t)at};
        int want = known[at >> 3] >> (at & 7) & 1;
        if (vv_utf8_valid(vv_span_of(b, 3)) != want)
            fail_msg("%06x", at);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes),
        cmocka_unit_test(an_escaped_slash_is_kept_apart),
        cmocka_unit_test(every_code_point),
        cmocka_unit_test(every_three_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
