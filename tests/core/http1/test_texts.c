/* core/http1/method, reason and date: names and numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/http1/date.h"
#include "core/http1/method.h"
#include "core/http1/reason.h"

static void
methods(void **state)
{
#define X(name)                                                                                                        \
    assert_int_equal(vv_method_of(vv_span_text(#name)), VV_METHOD_##name);                                             \
    assert_true(vv_span_equal(vv_method_name(VV_METHOD_##name), vv_span_text(#name)));
    VV_METHOD_TABLE(X)
#undef X

    static const char *const others[] = {"",       "G",      "GE",       "get",       "GETS", "Get",      "POSTS",
                                         "HEADER", "OPTION", "OPTIONSS", "CONNECTED", "BREW", "PROPFIND", "GEX"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(vv_method_of(vv_span_text(others[i])), VV_METHOD_OTHER);
    assert_int_equal(vv_method_of(vv_span_of("GET\0", 4)), VV_METHOD_OTHER);
    assert_int_equal(vv_method_of(vv_span_of(NULL, 0)), VV_METHOD_OTHER);
    assert_int_equal(vv_method_name(VV_METHOD_OTHER).len, 0);
}

static void
reasons(void **state)
{
    static const struct {
        int status;
        const char *text;
    } rows[] = {
        {100, "Continue"},
        {200, "OK"},
        {204, "No Content"},
        {304, "Not Modified"},
        {404, "Not Found"},
        {413, "Content Too Large"},
        {418, "I'm a Teapot"},
        {431, "Request Header Fields Too Large"},
        {511, "Network Authentication Required"},
        {306, ""},
        {299, ""},
        {999, ""},
        {0, ""},
        {-1, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(vv_span_equal(vv_reason(rows[i].status), vv_span_text(rows[i].text)));
    for (int status = 0; status < 1000; status++) {
        vv_span text = vv_reason(status);
        assert_non_null(text.at);
        assert_null(memchr(text.at, '\r', text.len));
    }
}

static void
assert_date(int64_t seconds, const char *want)
{
    uint8_t out[VV_DATE_BYTES + 1];
    out[VV_DATE_BYTES] = '!';
    vv_date_write(out, seconds);
    assert_memory_equal(out, want, VV_DATE_BYTES);
    assert_int_equal(out[VV_DATE_BYTES], '!');
}

static void
dates(void **state)
{
    assert_date(784111777, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_date(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_date(-1, "Wed, 31 Dec 1969 23:59:59 GMT");
    assert_date(951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_date(4107542399, "Sun, 28 Feb 2100 23:59:59 GMT");
    assert_date(4107542400, "Mon, 01 Mar 2100 00:00:00 GMT");
    assert_date(INT64_C(253402300799), "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_date(INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_date(INT64_C(-62167219200), "Sat, 01 Jan 0000 00:00:00 GMT");
    assert_date(INT64_MIN, "Sat, 01 Jan 0000 00:00:00 GMT");
}

/* Eight hundred years, a day and a bit at a time, as the C library sees them. */
static void
every_day(void **state)
{
    for (int64_t seconds = INT64_C(-12219292800); seconds < INT64_C(13569465600); seconds += 86399) {
        char want[64];
        time_t t = (time_t)seconds;
        struct tm tm;
        gmtime_r(&t, &tm);
        strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        assert_date(seconds, want);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods),
        cmocka_unit_test(reasons),
        cmocka_unit_test(dates),
        cmocka_unit_test(every_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
