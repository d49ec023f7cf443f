#include "core/router/fault.h"

#include <stdarg.h>
#include <stdio.h>

static size_t
continuation_bytes(vv_span text, size_t want)
{
    if (text.len < want)
        return 0;
    for (size_t i = 1; i < want; i++) {
        if ((text.at[i] & 0xC0) != 0x80)
            return 0;
    }
    return want;
}

size_t
vv_utf8_first(vv_span text)
{
    if (text.len == 0)
        return 0;
    uint8_t first = text.at[0], second = text.len > 1 ? text.at[1] : 0;

    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        return continuation_bytes(text, 2);
    if (first >= 0xE0 && first <= 0xEF) {
        int overlong = first == 0xE0 && second < 0xA0;
        int surrogate = first == 0xED && second > 0x9F;
        return overlong || surrogate ? 0 : continuation_bytes(text, 3);
    }
    if (first >= 0xF0 && first <= 0xF4) {
        int overlong = first == 0xF0 && second < 0x90;
        int beyond = first == 0xF4 && second > 0x8F;
        return overlong || beyond ? 0 : continuation_bytes(text, 4);
    }
    return 0;
}

const char *
vv_quote_span(vv_quote *quote, vv_span text, size_t limit)
{
    static const char digits[] = "0123456789abcdef";
    char *to = quote->text;

    while (text.len > 0) {
        size_t step = vv_utf8_first(text);
        int escaped = step == 0 || text.at[0] < 0x20 || text.at[0] == 0x7F;
        size_t room = escaped ? 4 : step;

        if ((size_t)(to - quote->text) + room > limit) {
            memcpy(to, "...", 3);
            to += 3;
            break;
        }
        if (escaped) {
            step = 1;
            *to++ = '\\';
            *to++ = 'x';
            *to++ = digits[text.at[0] >> 4];
            *to++ = digits[text.at[0] & 15];
        } else {
            memcpy(to, text.at, step);
            to += step;
        }
        text = vv_span_of(text.at + step, text.len - step);
    }
    *to = '\0';
    return quote->text;
}

vv_status
vv_fault_say(vv_router_fault *fault, vv_status status, const char *format, ...)
{
    if (fault != NULL) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(fault->text, sizeof fault->text, format, arguments);
        va_end(arguments);
    }
    return status;
}
