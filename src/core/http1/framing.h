/* What the fields that decide over framing and the connection mean (RFC 9112 sections 3.2, 6 and 9.3; RFC 9110
 * sections 7.2, 7.6.1, 7.8 and 10.1.1). For parse.isa.c alone, which compiles it once per instruction set: it looks
 * at a few fields of a head, one at a time, when their line is known to be complete.
 *
 * Ownership   borrows the head.
 * Cost        the usual values ("keep-alive", "127.0.0.1:8080") take the first branch of each function.
 */
#ifndef VV_HTTP1_FRAMING_H
#define VV_HTTP1_FRAMING_H

#include "core/http1/request.h"
#include "core/simd/lanes.h"
#include "core/status.h"

/* What the fields said so far; the low 16 bits are request.h's flags. */
enum {
    SAW_HOST = 1 << 16,
    SAW_CODING = 1 << 17,
    SAW_CLOSE = 1 << 18,
    SAW_KEEP_ALIVE = 1 << 19,
    SAW_UPGRADE = 1 << 20,       /* an Upgrade field         */
    SAW_UPGRADE_TOKEN = 1 << 21, /* "upgrade" in Connection */
};

/* Words of a name or value, in the byte order of this CPU: compared with words of a literal, which the compiler
 * folds. Letters are compared in lower case; in tokens no other byte becomes a letter by | 0x20. */
VV_INLINE uint16_t
word2(const void *at)
{
    uint16_t word;
    memcpy(&word, at, 2);
    return word;
}

VV_INLINE uint32_t
word4(const void *at)
{
    uint32_t word;
    memcpy(&word, at, 4);
    return word;
}

VV_INLINE uint64_t
word8(const void *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

VV_INLINE uint32_t
lower4(const void *at)
{
    return word4(at) | UINT32_C(0x20202020);
}

VV_INLINE uint64_t
lower8(const void *at)
{
    return word8(at) | UINT64_C(0x2020202020202020);
}

static inline int
is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static inline int
is_hex(uint8_t c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static inline int
is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* Whether the `len` bytes are `lower`, a text in lower case, whatever the case of theirs. */
static inline int
says(const uint8_t *at, size_t len, const char *lower)
{
    if (len != strlen(lower))
        return 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = at[i] >= 'A' && at[i] <= 'Z' ? at[i] | 0x20 : at[i];
        if (c != (uint8_t)lower[i])
            return 0;
    }
    return 1;
}

/* The next element of a comma separated list, without the white space around it; 0 at the list's end. */
static inline int
next_element(const uint8_t **at, const uint8_t *end, const uint8_t **element, size_t *len)
{
    const uint8_t *from = *at, *to;
    if (from > end)
        return 0;
    const uint8_t *comma = memchr(from, ',', (size_t)(end - from));
    to = comma != NULL ? comma : end;
    *at = to + 1;
    while (from < to && is_blank(*from))
        from++;
    while (to > from && is_blank(to[-1]))
        to--;
    *element = from;
    *len = (size_t)(to - from);
    return 1;
}

/* ── Host ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* "[" has been seen: IPv6address "]" (RFC 3986 section 3.2.2). Returns the length with the bracket, 0 if malformed.
 * IPvFuture is refused: nobody has defined one. */
static VV_COLD size_t
ip6_literal(const uint8_t *at, size_t len)
{
    size_t i = 0, groups = 0, dots = 0;
    int gap = 0;

    if (len >= 2 && at[0] == ':' && at[1] == ':') {
        gap = 1;
        i = 2;
    }
    while (i < len && at[i] != ']') {
        size_t start = i, number = 0;
        while (i < len && is_hex(at[i]) && i - start < 4)
            i++;
        if (i == start)
            return 0;
        groups++;
        if (i < len && at[i] == '.') { /* the last two groups as an IPv4 address */
            for (i = start; dots < 4; dots++) {
                size_t first = i;
                for (number = 0; i < len && is_digit(at[i]) && i - first < 3; i++)
                    number = number * 10 + (size_t)(at[i] - '0');
                if (i == first || number > 255 || (at[first] == '0' && i - first > 1))
                    return 0;
                if (dots < 3 && (i >= len || at[i++] != '.'))
                    return 0;
            }
            groups++;
            break;
        }
        if (i < len && at[i] == ']')
            break;
        if (i >= len || at[i++] != ':')
            return 0;
        if (i < len && at[i] == ':') {
            if (gap)
                return 0;
            gap = 1;
            i++;
        } else if (i < len && at[i] == ']') {
            return 0; /* a single colon at the end */
        }
    }
    if (i >= len || at[i] != ']' || (gap ? groups > 7 : groups != 8))
        return 0;
    return i + 1;
}

/* ":" and up to five digits, or nothing. All digits at once: more than eight bytes of the head lie before `end`, as no
 * request line is shorter. */
VV_INLINE int
is_port(const uint8_t *colon, const uint8_t *end)
{
    size_t digits = (size_t)(end - colon) - 1;
    if (*colon != ':' || digits > 5)
        return 0;
    if (digits == 0)
        return 1;
    uint64_t word = word8(end - 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    uint64_t port = word >> (64 - 8 * digits), ones = UINT64_C(0x0101010101010101) >> (64 - 8 * digits);
    /* A digit is 0x30 to 0x39: it has high nibble 3, and still has it after adding 6. */
    return ((port & ones * 0xf0) | ((port + ones * 0x06) & ones * 0xf0) >> 4) == ones * 0x33;
}

/* The same with escapes or an address in brackets. */
static VV_COLD int
is_odd_authority(const uint8_t *at, size_t len)
{
    size_t name = 0;

    if (len == 0)
        return 0;
    if (*at == '[') {
        name = ip6_literal(at + 1, len - 1);
        if (name == 0)
            return 0;
        name++;
    } else {
        while (name < len && at[name] != ':') {
            if (at[name] == '%') {
                if (len - name < 3 || !is_hex(at[name + 1]) || !is_hex(at[name + 2]))
                    return 0;
                name += 3;
                continue;
            }
            if (memchr("\"#/<>?@[\\]^`{|}", at[name], 15) != NULL || at[name] <= ' ' || at[name] >= 0x7f)
                return 0;
            name++;
        }
    }
    return name > 0 && (name == len || is_port(at + name, at + len));
}

/* The same, wherever it is. */
static VV_NOINLINE int
is_far_authority(const uint8_t *head, size_t at, size_t len, size_t end)
{
    size_t stop = at, host_end = at + len;
    while (stop < host_end) {
        uint64_t stops = vv_lanes_host_at(head, stop & ~(size_t)63, end) >> (stop & 63);
        if (stops != 0) {
            stop += (size_t)__builtin_ctzll(stops);
            break;
        }
        stop = (stop | 63) + 1;
    }
    if (stop > at && (stop >= host_end || is_port(head + stop, head + host_end)))
        return 1;
    return is_odd_authority(head + at, len);
}

/* uri-host [ ":" port ], not empty.
 *
 *   end          of the bytes of `head` that may be read
 *   first_stops  the map `host` of the head's first block, in which a host usually lies
 */
VV_INLINE int
is_authority(const uint8_t *head, size_t at, size_t len, size_t end, uint64_t first_stops)
{
    uint64_t stops = at < 64 ? first_stops >> at : 0;
    if (VV_UNLIKELY(stops == 0))
        return is_far_authority(head, at, len, end);
    size_t name = (size_t)__builtin_ctzll(stops);
    if (VV_LIKELY(name > 0 && len > 0 && (name >= len || is_port(head + at + name, head + at + len))))
        return 1;
    return is_odd_authority(head + at, len);
}

/* ── Content-Length, Transfer-Encoding ────────────────────────────────────────────────────────────────────────── */

static VV_NOINLINE vv_status
take_content_length(const uint8_t *at, size_t len, uint32_t *facts, uint64_t *length)
{
    uint64_t value = 0;

    if ((*facts & (VV_REQUEST_HAS_LENGTH | SAW_CODING)) != 0 || len == 0)
        return VV_E_FRAMING;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)at[i] - '0';
        if (digit > 9 || value > ((uint64_t)INT64_MAX - digit) / 10)
            return VV_E_FRAMING;
        value = value * 10 + digit;
    }
    *facts |= VV_REQUEST_HAS_LENGTH;
    *length = value;
    return VV_OK;
}

/* The length of the token at the front. */
static inline size_t
token_len(const uint8_t *at, size_t len)
{
    size_t i = 0;
    while (i < len && at[i] > ' ' && at[i] < 0x7f && memchr("\"(),/:;<=>?@[\\]{}", at[i], 17) == NULL)
        i++;
    return i;
}

/* A list of codings other than plain "chunked": unknown ones are the client's right, and refused as such; chunked
 * anywhere but once and last, or a list that is none, is an attack on the framing. */
static VV_COLD vv_status
odd_codings(const uint8_t *at, size_t len)
{
    const uint8_t *end = at + len, *element;
    size_t element_len;
    int chunked = 0;

    while (next_element(&at, end, &element, &element_len)) {
        size_t name = token_len(element, element_len), rest = name;
        while (rest < element_len && is_blank(element[rest]))
            rest++;
        int parameters = rest < element_len;
        if (name == 0 || chunked || (parameters && element[rest] != ';'))
            return VV_E_FRAMING;
        chunked = says(element, name, "chunked");
        if (chunked && parameters)
            return VV_E_FRAMING;
    }
    return VV_E_CODING;
}

static VV_NOINLINE vv_status
take_transfer_encoding(const uint8_t *at, size_t len, unsigned minor, uint32_t *facts)
{
    if ((*facts & (VV_REQUEST_HAS_LENGTH | SAW_CODING)) != 0 || minor == 0)
        return VV_E_FRAMING;
    *facts |= SAW_CODING | VV_REQUEST_CHUNKED;
    return says(at, len, "chunked") ? VV_OK : odd_codings(at, len);
}

/* ── Connection, Expect ───────────────────────────────────────────────────────────────────────────────────────── */

static VV_NOINLINE void
take_connection(const uint8_t *at, size_t len, uint32_t *facts)
{
    const uint8_t *end = at + len, *element;
    size_t element_len;

    if (VV_LIKELY(len == 10 && lower8(at) == word8("keep-ali") && lower8(at + 2) == word8("ep-alive"))) {
        *facts |= SAW_KEEP_ALIVE;
        return;
    }
    while (next_element(&at, end, &element, &element_len)) {
        if (says(element, element_len, "keep-alive"))
            *facts |= SAW_KEEP_ALIVE;
        else if (says(element, element_len, "close"))
            *facts |= SAW_CLOSE;
        else if (says(element, element_len, "upgrade"))
            *facts |= SAW_UPGRADE_TOKEN;
    }
}

static VV_COLD vv_status
take_expect(const uint8_t *at, size_t len, unsigned minor, uint32_t *facts)
{
    if (!says(at, len, "100-continue"))
        return VV_E_EXPECT;
    if (minor == 1)
        *facts |= VV_REQUEST_EXPECT;
    return VV_OK;
}

#endif
