/* Numbers as text, and text compared without regard to case: ASCII only, no locale. */
#ifndef VV_BYTES_ASCII_H
#define VV_BYTES_ASCII_H

#include "core/bytes/span.h"

enum { VV_DECIMAL_BYTES = 20 }; /* of the largest uint64_t */

/* Writes `value` in decimal, no leading zeros, no NUL; returns the end. `out` has room for VV_DECIMAL_BYTES. */
static inline uint8_t *
vv_decimal_write(uint8_t *out, uint64_t value)
{
    if (value < 10) {
        *out = (uint8_t)('0' + value);
        return out + 1;
    }
    uint8_t digits[VV_DECIMAL_BYTES], *at = digits + sizeof digits;
    do {
        *--at = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    size_t len = (size_t)(digits + sizeof digits - at);
    memcpy(out, at, len);
    return out + len;
}

static inline uint8_t
vv_lower(uint8_t byte)
{
    return (uint8_t)((unsigned)(byte - 'A') < 26u ? byte | 0x20 : byte);
}

/* Whether two texts are equal but for the case of A-Z (RFC 9110 section 5.1, field names). */
static inline int
vv_equal_nocase(vv_span a, vv_span b)
{
    if (a.len != b.len)
        return 0;
    for (size_t i = 0; i < a.len; i++)
        if (vv_lower(a.at[i]) != vv_lower(b.at[i]))
            return 0;
    return 1;
}

#endif
