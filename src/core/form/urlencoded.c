#include "core/form/urlencoded.h"

#include "core/bytes/ascii.h"

int
vv_urlencoded_next(vv_span *rest, vv_span *name, vv_span *value)
{
    while (rest->len > 0) {
        *value = vv_span_cut(rest, '&');
        if (value->len == 0)
            continue;
        *name = vv_span_cut(value, '=');
        return 1;
    }
    return 0;
}

int
vv_urlencoded_is_plain(vv_span text)
{
    return text.len == 0 || (memchr(text.at, '%', text.len) == NULL && memchr(text.at, '+', text.len) == NULL);
}

size_t
vv_urlencoded_decode(vv_span text, uint8_t *out, size_t *odd)
{
    size_t len = 0;
    int seen = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];
        if (c == '%') {
            int high = text.len - i > 2 ? vv_hex_digit(text.at[i + 1]) : -1;
            int low = text.len - i > 2 ? vv_hex_digit(text.at[i + 2]) : -1;
            if (high >= 0 && low >= 0) {
                c = (uint8_t)(high << 4 | low);
                i += 2;
            } else if (!seen) {
                seen = 1;
                *odd = i;
            }
        } else if (c == '+') {
            c = ' ';
        }
        out[len++] = c;
    }
    return len;
}
