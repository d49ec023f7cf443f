#include "core/http1/target.h"

#include "core/bytes/ascii.h"

/* The byte of the escape at `at`, behind its '%'; -1 if it is none or NUL. */
static inline int
escaped_byte(const uint8_t *at, size_t len)
{
    if (len < 2)
        return -1;
    int high = vv_hex_digit(at[0]), low = vv_hex_digit(at[1]);
    if (high < 0 || low < 0 || (high | low) == 0)
        return -1;
    return high << 4 | low;
}

vv_status
vv_target_decode(vv_span raw, uint8_t *out, size_t *out_len)
{
    uint8_t *to = out;

    for (size_t i = 0; i < raw.len; i++) {
        uint8_t c = raw.at[i];
        if (c == '%') {
            int byte = escaped_byte(raw.at + i + 1, raw.len - i - 1);
            if (byte < 0)
                return VV_E_TARGET;
            c = byte == '/' ? VV_TARGET_ESCAPED_SLASH : (uint8_t)byte;
            i += 2;
        }
        *to++ = c;
    }
    if (!vv_utf8_valid(vv_span_of(out, (size_t)(to - out))))
        return VV_E_TARGET;
    *out_len = (size_t)(to - out);
    return VV_OK;
}

/* The length of the sequence that a byte of 0x80 or above leads, and the range of its second byte: that range alone
 * keeps out overlong forms (E0, F0), surrogates (ED) and what lies above U+10FFFF (F4). 0 if it leads none. */
static inline size_t
sequence(uint8_t lead, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef) {
        if (lead == 0xe0)
            *low = 0xa0;
        if (lead == 0xed)
            *high = 0x9f;
        return 3;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        if (lead == 0xf0)
            *low = 0x90;
        if (lead == 0xf4)
            *high = 0x8f;
        return 4;
    }
    return 0;
}

/* How many bytes from `i` on are ASCII, eight at a time. */
static inline size_t
skip_ascii(vv_span text, size_t i)
{
    uint64_t word;
    while (text.len - i >= 8) {
        memcpy(&word, text.at + i, 8);
        if (word & UINT64_C(0x8080808080808080))
            break;
        i += 8;
    }
    while (i < text.len && text.at[i] < 0x80)
        i++;
    return i;
}

int
vv_utf8_valid(vv_span text)
{
    uint8_t low, high;

    for (size_t i = skip_ascii(text, 0); i < text.len; i = skip_ascii(text, i)) {
        size_t len = sequence(text.at[i], &low, &high);
        if (len == 0 || text.len - i < len || text.at[i + 1] < low || text.at[i + 1] > high)
            return 0;
        for (size_t k = 2; k < len; k++)
            if ((text.at[i + k] & 0xc0) != 0x80)
                return 0;
        i += len;
    }
    return 1;
}
