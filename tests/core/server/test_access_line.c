/* core/server/access_line: every format to the byte, and what a client may try with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/server/access_line.h"

static const vv_address peer = {.bytes = {192, 0, 2, 1}, .family = VV_FAMILY_IPV4};

static vv_access
get(const char *target)
{
    return (vv_access){.method = vv_span_text("GET"),
                       .target = vv_span_text(target),
                       .peer = &peer,
                       .begun_ns = 1000000,
                       .bytes = 17,
                       .status = 200,
                       .minor = 1};
}

/* The line of what ended 412 microseconds after it began, on 2026-11-23 at 12:03:11.046. */
static const char *
line_of(vv_access_style style, vv_access access)
{
    static uint8_t out[VV_ACCESS_LINE_BYTES + 1];
    vv_access_clock clock = {.millisecond = 46};
    memcpy(clock.short_time, "12:03:11", 8);
    memcpy(clock.clf_time, "[23/Nov/2026:12:03:11 +0000]", 28);
    memcpy(clock.iso_time, "2026-11-23T12:03:11", 19);
    size_t len = vv_access_line_write(out, &style, &clock, 1412000, &access);
    assert_true(len > 0 && len <= VV_ACCESS_LINE_BYTES);
    assert_int_equal(out[len - 1], '\n');
    assert_null(memchr(out, '\n', len - 1));
    out[len - 1] = '\0';
    return (const char *)out;
}

static void
each_format(void **state)
{
    vv_access access = get("/items/3");
    assert_string_equal(line_of((vv_access_style){.format = VV_ACCESS_SHORT}, access),
                        "12:03:11 INFO  192.0.2.1 \"GET /items/3\" 200 17B 0.41ms");
    assert_string_equal(line_of((vv_access_style){.format = VV_ACCESS_SHORT, .worker = 2, .color = 1}, access),
                        "12:03:11 INFO  w2 192.0.2.1 \"GET /items/3\" \033[32m200\033[0m 17B 0.41ms");
    assert_string_equal(line_of((vv_access_style){.format = VV_ACCESS_COMMON}, access),
                        "192.0.2.1 - - [23/Nov/2026:12:03:11 +0000] \"GET /items/3 HTTP/1.1\" 200 17");
    assert_string_equal(
        line_of((vv_access_style){.format = VV_ACCESS_COMBINED}, access),
        "192.0.2.1 - - [23/Nov/2026:12:03:11 +0000] \"GET /items/3 HTTP/1.1\" 200 17 \"-\" \"-\" 0.000412");
    assert_string_equal(
        line_of((vv_access_style){.format = VV_ACCESS_JSON}, access),
        "{\"ts\":\"2026-11-23T12:03:11.046Z\",\"level\":\"info\",\"event\":\"request\",\"method\":\"GET\","
        "\"path\":\"/items/3\",\"status\":200,\"bytes_out\":17,\"duration_ms\":0.412,\"client\":\"192.0.2.1\","
        "\"http\":\"1.1\"}");
}

static void
all_that_may_be_known(void **state)
{
    vv_access access = get("/items/3?a=b");
    access.referer = vv_span_text("http://a/");
    access.user_agent = vv_span_text("curl/8");
    access.route = vv_span_text("/items/{id}");
    access.refused = "why";
    access.minor = 0;
    assert_string_equal(line_of((vv_access_style){.format = VV_ACCESS_COMBINED}, access),
                        "192.0.2.1 - - [23/Nov/2026:12:03:11 +0000] \"GET /items/3?a=b HTTP/1.0\" 200 17 "
                        "\"http://a/\" \"curl/8\" 0.000412");
    assert_string_equal(
        line_of((vv_access_style){.format = VV_ACCESS_JSON, .worker = 7}, access),
        "{\"ts\":\"2026-11-23T12:03:11.046Z\",\"level\":\"info\",\"event\":\"refused\",\"worker\":7,\"method\":\"GET\","
        "\"path\":\"/items/3\",\"query\":\"a=b\",\"route\":\"/items/{id}\",\"status\":200,\"bytes_out\":17,"
        "\"duration_ms\":0.412,\"client\":\"192.0.2.1\",\"http\":\"1.0\",\"referer\":\"http://a/\","
        "\"user_agent\":\"curl/8\",\"reason\":\"why\"}");
}

static void
little_that_may_be_known(void **state)
{
    vv_address unix_socket = {.family = VV_FAMILY_UNIX};
    vv_access access = {.raw = vv_span_of("\x16\x03\x01", 3), .peer = &unix_socket, .status = 400, .bytes = 11};
    assert_string_equal(line_of((vv_access_style){.format = VV_ACCESS_SHORT}, access),
                        "12:03:11 INFO  - \"\\x16\\x03\\x01\" 400 11B -");
    assert_string_equal(line_of((vv_access_style){.format = VV_ACCESS_COMBINED}, access),
                        "- - - [23/Nov/2026:12:03:11 +0000] \"\\x16\\x03\\x01\" 400 11 \"-\" \"-\" -");
    assert_string_equal(line_of((vv_access_style){.format = VV_ACCESS_JSON}, access),
                        "{\"ts\":\"2026-11-23T12:03:11.046Z\",\"level\":\"info\",\"event\":\"request\","
                        "\"raw\":\"\\\\x16\\\\x03\\\\x01\",\"status\":400,\"bytes_out\":11}");
}

static void
nothing_forges_a_line(void **state)
{
    static const char evil[] = "/a\r\n\"x\\\t\x7f\x1b[2J\xc3\xa9\x00z";
    vv_access access = get("");
    access.target = vv_span_of(evil, sizeof evil - 1);
    assert_string_equal(
        line_of((vv_access_style){.format = VV_ACCESS_SHORT}, access),
        "12:03:11 INFO  192.0.2.1 \"GET /a\\x0D\\x0A\\x22x\\x5C\\x09\\x7F\\x1B[2J\\xC3\\xA9\\x00z\" 200 17B "
        "0.41ms");
    assert_non_null(strstr(line_of((vv_access_style){.format = VV_ACCESS_JSON}, access),
                           "\"/a\\\\x0D\\\\x0A\\\\x22x\\\\x5C\\\\x09\\\\x7F\\\\x1B[2J\\\\xC3\\\\xA9\\\\x00z\""));
    access.user_agent = access.referer = access.target;
    access.target = vv_span_text("/");
    assert_non_null(strstr(line_of((vv_access_style){.format = VV_ACCESS_COMBINED}, access),
                           "\"/a\\x0D\\x0A\\x22x\\x5C\\x09\\x7F\\x1B[2J\\xC3\\xA9\\x00z\" "
                           "\"/a\\x0D\\x0A\\x22x\\x5C\\x09\\x7F\\x1B[2J\\xC3\\xA9\\x00z\" 0.0"));
}

static void
every_byte_is_escaped_or_itself(void **state)
{
    for (int byte = 0; byte < 256; byte++) {
        uint8_t text[1] = {(uint8_t)byte};
        char expected[8];
        vv_access access = get("");
        access.target = vv_span_of(text, 1);
        int plain = byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
        snprintf(expected, sizeof expected, plain ? " %c\"" : " \\x%02X\"", byte);
        assert_non_null(strstr(line_of((vv_access_style){.format = VV_ACCESS_SHORT}, access), expected));

        /* Wherever it stands in a longer text, and whatever its neighbours are. */
        for (size_t place = 0; place < 20; place++) {
            uint8_t longer[20];
            char whole[160], *at = whole;
            memset(longer, place % 2 == 0 ? 'a' : ' ', sizeof longer);
            longer[place] = (uint8_t)byte;
            *at++ = ' ';
            for (size_t i = 0; i < sizeof longer; i++)
                at += sprintf(at, i != place || plain ? "%c" : "\\x%02X", longer[i]);
            memcpy(at, "\" 200", 6);
            access.target = vv_span_of(longer, sizeof longer);
            assert_non_null(strstr(line_of((vv_access_style){.format = VV_ACCESS_SHORT}, access), whole));
        }
    }
}

static void
the_longest_line_fits(void **state)
{
    static uint8_t junk[70000];
    memset(junk, 0xff, sizeof junk);
    junk[VV_ACCESS_TARGET_BYTES / 2] = '?';
    vv_span all = vv_span_of(junk, sizeof junk);
    vv_access access = {.method = all,
                        .target = all,
                        .raw = all,
                        .referer = all,
                        .user_agent = all,
                        .route = all,
                        .peer = &peer,
                        .refused = (const char[]){"x"},
                        .begun_ns = 1,
                        .bytes = UINT64_MAX,
                        .status = 999};
    for (vv_access_format format = VV_ACCESS_SHORT; format <= VV_ACCESS_JSON; format++) {
        const char *line = line_of((vv_access_style){.format = format, .worker = 4294967295u}, access);
        assert_non_null(strstr(line, "xFF..."));
    }
}

static void
an_exact_fit_is_not_cut(void **state)
{
    char target[VV_ACCESS_TARGET_BYTES + 2];
    memset(target, 'a', sizeof target);
    target[VV_ACCESS_TARGET_BYTES] = '\0';
    assert_null(strstr(line_of((vv_access_style){.format = VV_ACCESS_SHORT}, get(target)), "..."));
    target[VV_ACCESS_TARGET_BYTES] = 'a';
    target[VV_ACCESS_TARGET_BYTES + 1] = '\0';
    assert_non_null(strstr(line_of((vv_access_style){.format = VV_ACCESS_SHORT}, get(target)), "aaa...\""));
}

static void
durations(void **state)
{
    vv_access access = get("/");
    access.begun_ns = 1412000 - INT64_C(3723004005006);
    assert_non_null(strstr(line_of((vv_access_style){.format = VV_ACCESS_SHORT}, access), " 3723004.01ms"));
    assert_non_null(strstr(line_of((vv_access_style){.format = VV_ACCESS_COMBINED}, access), " 3723.004005"));
    access.begun_ns = 1412001; /* a clock that goes back is no reason for a number of twenty digits */
    assert_non_null(strstr(line_of((vv_access_style){.format = VV_ACCESS_SHORT}, access), " 0.00ms"));
}

static void
times_hold_for_a_second(void **state)
{
    vv_access_clock clock = {.second = 0};
    setenv("TZ", "XYZ+03:30", 1); /* three and a half hours west of UTC */
    vv_access_clock_set(&clock, 1);
    assert_memory_equal(clock.clf_time + 21, " -0330]", 7);
    assert_int_equal(clock.clf_time[0], '[');
    int64_t now = (clock.second + 1) * INT64_C(1000000000) - clock.offset_ns;
    int64_t second = clock.second;
    clock.short_time[0] = '!'; /* it stays as long as the second does */
    vv_access_clock_set(&clock, now - 1000000);
    assert_int_equal(clock.millisecond, 999);
    assert_int_equal(clock.second, second);
    assert_int_equal(clock.short_time[0], '!');
    vv_access_clock_set(&clock, now + 5 * INT64_C(1000000000));
    assert_true(clock.second > second);
    assert_int_not_equal(clock.short_time[0], '!');
}

static void
losses_are_told(void **state)
{
    uint8_t out[VV_ACCESS_LINE_BYTES];
    vv_access_style style = {.format = VV_ACCESS_COMBINED};
    vv_access_clock clock = {.millisecond = 46};
    memcpy(clock.short_time, "12:03:11", 8);
    memcpy(clock.iso_time, "2026-11-23T12:03:11", 19);
    size_t len = vv_access_loss_write(out, &style, &clock, 12, "why");
    assert_string_equal(((out[len] = '\0'), (char *)out), "12:03:11 WARN  access log: 12 lines were lost: why\n");
    style.format = VV_ACCESS_JSON;
    len = vv_access_loss_write(out, &style, &clock, 12, "why");
    assert_string_equal(((out[len] = '\0'), (char *)out),
                        "{\"ts\":\"2026-11-23T12:03:11.046Z\",\"level\":\"warning\",\"event\":\"access_log_lost\","
                        "\"lines\":12,\"reason\":\"why\"}\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_format),
        cmocka_unit_test(all_that_may_be_known),
        cmocka_unit_test(little_that_may_be_known),
        cmocka_unit_test(nothing_forges_a_line),
        cmocka_unit_test(every_byte_is_escaped_or_itself),
        cmocka_unit_test(the_longest_line_fits),
        cmocka_unit_test(an_exact_fit_is_not_cut),
        cmocka_unit_test(durations),
        cmocka_unit_test(times_hold_for_a_second),
        cmocka_unit_test(losses_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
