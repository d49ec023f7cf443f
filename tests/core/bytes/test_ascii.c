/* core/bytes/ascii: numbers as text, comparing without regard to case, tokens and digits against the plain definition.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/bytes/ascii.h"

static void
decimals_are_as_printf_writes_them(void **state)
{
    (void)state;
    const uint64_t values[] = {0, 1, 9, 10, 99, 100, 12345, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        uint8_t ours[VV_DECIMAL_BYTES];
        char theirs[32];
        int len = snprintf(theirs, sizeof theirs, "%llu", (unsigned long long)values[i]);
        assert_int_equal(vv_decimal_write(ours, values[i]) - ours, len);
        assert_memory_equal(ours, theirs, (size_t)len);
    }
}

static int
plainly_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int left = a[i] >= 'A' && a[i] <= 'Z' ? a[i] + 32 : a[i];
        int right = b[i] >= 'A' && b[i] <= 'Z' ? b[i] + 32 : b[i];
        if (left != right)
            return 0;
    }
    return 1;
}

/* Every pair of bytes at every place of texts of every length up to three words. */
static void
case_is_disregarded_for_letters_alone(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 24; len++) {
        for (size_t at = 0; at < len; at++) {
            for (unsigned pair = 0; pair < 65536; pair++) {
                uint8_t a[24], b[24];
                memset(a, 'x', len);
                memset(b, 'X', len);
                a[at] = (uint8_t)pair;
                b[at] = (uint8_t)(pair >> 8);
                assert_int_equal(vv_equal_nocase(vv_span_of(a, len), vv_span_of(b, len)), plainly_equal(a, b, len));
            }
        }
    }
}

static void
lengths_must_be_equal(void **state)
{
    (void)state;
    assert_false(vv_equal_nocase(vv_span_text("host"), vv_span_text("hos")));
    assert_true(vv_equal_nocase(vv_span_text(""), vv_span_text("")));
}

static void
tokens_are_of_the_bytes_that_the_rfc_lists(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        int alphanumeric = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        int is_one = alphanumeric || (c != 0 && strchr("!#$%&'*+-.^_`|~", (int)c) != NULL);
        const uint8_t text[] = {'a', (uint8_t)c, 'z'};
        assert_int_equal(vv_is_token_byte((uint8_t)c), is_one);
        assert_int_equal(vv_is_token(vv_span_of(text, sizeof text)), is_one);
    }
    assert_false(vv_is_token(vv_span_text("")));
}

static void
hexadecimal_digits(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        const char *lower = "0123456789abcdef", *upper = "0123456789ABCDEF";
        const char *in_lower = c != 0 ? strchr(lower, (int)c) : NULL, *in_upper = c != 0 ? strchr(upper, (int)c) : NULL;
        long value = in_lower != NULL ? in_lower - lower : in_upper != NULL ? in_upper - upper : -1;
        assert_int_equal(vv_hex_digit((uint8_t)c), value);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals_are_as_printf_writes_them),
        cmocka_unit_test(case_is_disregarded_for_letters_alone),
        cmocka_unit_test(lengths_must_be_equal),
        cmocka_unit_test(tokens_are_of_the_bytes_that_the_rfc_lists),
        cmocka_unit_test(hexadecimal_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
