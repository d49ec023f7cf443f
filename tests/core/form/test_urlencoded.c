/* core/form/urlencoded: pairs as sent, and what they mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/form/urlencoded.h"

static void
pairs(const char *in, const char *expected)
{
    char shown[256] = "";
    vv_span rest = vv_span_text(in), name, value;
    while (vv_urlencoded_next(&rest, &name, &value)) {
        strcat(shown, "(");
        strncat(shown, (const char *)name.at, name.len);
        strcat(shown, "|");
        strncat(shown, (const char *)value.at, value.len);
        strcat(shown, ")");
    }
    assert_string_equal(shown, expected);
}

static void
pairs_are_cut(void **state)
{
    pairs("", "");
    pairs("&&&", "");
    pairs("a=1&b=2", "(a|1)(b|2)");
    pairs("a", "(a|)");
    pairs("&a==1&&=&", "(a|=1)(|)");
    pairs("a+%26=%3d", "(a+%26|%3d)");
}

static void
decodes(const char *in, const char *expected, size_t expected_odd)
{
    size_t len = strlen(in), odd = SIZE_MAX;
    uint8_t *copy = malloc(len + 1), *out = malloc(len + 1);
    memcpy(copy, in, len); /* ends where its allocation ends but for one byte, for ASan */
    size_t got = vv_urlencoded_decode(vv_span_of(copy, len), out, &odd);
    assert_int_equal(got, strlen(expected));
    assert_memory_equal(out, expected, got);
    assert_true(odd == expected_odd);
    if (vv_urlencoded_is_plain(vv_span_of(copy, len)))
        assert_string_equal(in, expected);
    free(copy);
    free(out);
}

static void
escapes(void **state)
{
    decodes("", "", SIZE_MAX);
    decodes("abc", "abc", SIZE_MAX);
    decodes("a+b%2B%c3%A4", "a b+\xc3\xa4", SIZE_MAX);
    decodes("100%", "100%", 3);
    decodes("%4", "%4", 0);
    decodes("+%zz%4g%41", " %zz%4gA", 1);
    decodes("%%41", "%A", 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_cut),
        cmocka_unit_test(escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
