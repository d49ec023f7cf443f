/* Numbers as text, text compared without regard to case, tokens, hexadecimal digits: ASCII only, no locale. */
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

/* Whether a byte may stand in a token (RFC 9110 section 5.6.2). */
static inline int
vv_is_token_byte(uint8_t c)
{
    return c > ' ' && c < 0x7f && memchr("\"(),/:;<=>?@[\\]{}", c, 17) == NULL;
}

/* Whether a text is a token: of such bytes, and one at least. */
static inline int
vv_is_token(vv_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!vv_is_token_byte(text.at[i]))
            return 0;
    return text.len > 0;
}

/* What a hexadecimal digit stands for; -1 if it is none. */
static inline int
vv_hex_digit(uint8_t c)
{
    if ((unsigned)(c - '0') < 10u)
        return c - '0';
    c |= 0x20;
    return (unsigned)(c - 'a') < 6u ? c - 'a' + 10 : -1;
}

/* The text without the white space around it (RFC 9110 section 5.6.3, OWS). */
static inline vv_span
vv_trim(vv_span text)
{
    while (text.len > 0 && (*text.at == ' ' || *text.at == '\t'))
        text = vv_span_of(text.at + 1, text.len - 1);
    while (text.len > 0 && (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Whether eight bytes are equal to eight others but for the case of A-Z. */
static inline int
vv_equal_nocase8(uint64_t a, uint64_t b)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), differs = a ^ b;
    if (differs == 0)
        return 1;
    if ((differs & ~(ones * 0x20)) != 0)
        return 0;
    /* They differ in the one bit that the cases of a letter differ in; so they must be letters there. */
    uint64_t lower = (a | ones * 0x20) & ones * 0x7f;
    uint64_t from_a = lower + ones * (0x80 - 'a'), past_z = lower + ones * (0x7f - 'z');
    uint64_t letters = from_a & ~past_z & ~a & ones * 0x80;
    return (differs << 2 & ~letters) == 0;
}

static inline uint64_t
vv_word_at(const uint8_t *at, size_t len)
{
    uint64_t word = 0;
    memcpy(&word, at, len);
    return word;
}

/* Whether two texts are equal but for the case of A-Z (RFC 9110 section 5.1, field names). Word by word; the last words
 * overlap. */
static inline int
vv_equal_nocase(vv_span a, vv_span b)
{
    size_t len = a.len;
    if (len != b.len)
        return 0;
    if (len >= 8) {
        for (size_t i = 0; i < len - 8; i += 8)
            if (!vv_equal_nocase8(vv_word_at(a.at + i, 8), vv_word_at(b.at + i, 8)))
                return 0;
        return vv_equal_nocase8(vv_word_at(a.at + len - 8, 8), vv_word_at(b.at + len - 8, 8));
    }
    if (len >= 4)
        return vv_equal_nocase8(vv_word_at(a.at, 4) | vv_word_at(a.at + len - 4, 4) << 32,
                                vv_word_at(b.at, 4) | vv_word_at(b.at + len - 4, 4) << 32);
    for (size_t i = 0; i < len; i++)
        if (vv_lower(a.at[i]) != vv_lower(b.at[i]))
            return 0;
    return 1;
}

#endif
