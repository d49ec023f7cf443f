/* The decoder's states, and what it reads next in each:
 *
 *   SIZE ──digits──▶ SIZE ──";" or blank──▶ EXTENSION (◀──quotes──▶ QUOTED) ──CR──▶ SIZE_LF ──LF──▶ DATA, or TRAILER
 * behind the last chunk DATA ──payload──▶ DATA_CR ──CR──▶ DATA_LF ──LF──▶ SIZE TRAILER ──a name──▶ TRAILER_NAME
 * ──":"──▶ TRAILER_VALUE ──CR──▶ TRAILER_LF ──LF──▶ TRAILER TRAILER ──CR──▶ LAST_LF ──LF──▶ DONE
 *
 * Every byte is judged by itself and the state, so that the answer cannot depend on how the input was cut.
 */
#include "core/http1/chunked.h"

#include "core/bytes/ascii.h"

enum {
    SIZE,
    SIZE_BLANK, /* BWS behind the size: only an extension or the line's end may follow */
    EXTENSION,
    QUOTED,      /* in a quoted string of an extension: a line's end in it is refused, as parsers quarrel over it */
    QUOTED_PAIR, /* behind a backslash in it                                                                     */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    DONE,
    FAILED,
};

enum { SIZE_DIGITS = 16 };

static inline int
is_value_byte(uint8_t c)
{
    return (c >= ' ' && c != 0x7f) || c == '\t';
}

/* A byte of an extension that is not the line's end (RFC 9112 section 7.1.1, RFC 9110 section 5.6.4). */
static int
on_extension_byte(vv_chunked *decoder, uint8_t c)
{
    if (decoder->state == QUOTED_PAIR)
        decoder->state = QUOTED;
    else if (c == '"')
        decoder->state = decoder->state == QUOTED ? EXTENSION : QUOTED;
    else if (c == '\\' && decoder->state == QUOTED)
        decoder->state = QUOTED_PAIR;
    return is_value_byte(c);
}

/* A byte of the size line: digits, then perhaps extensions, then CR. */
static int
on_size_byte(vv_chunked *decoder, uint8_t c)
{
    int digit = decoder->state == SIZE ? vv_hex_digit(c) : -1;

    if (digit >= 0) {
        if (decoder->digits == SIZE_DIGITS || decoder->left > (uint64_t)INT64_MAX >> 4)
            return 0;
        decoder->digits++;
        decoder->left = decoder->left << 4 | (unsigned)digit;
        return 1;
    }
    if (decoder->digits == 0)
        return 0;
    if (c == '\r') {
        int quoted = decoder->state == QUOTED || decoder->state == QUOTED_PAIR;
        decoder->state = SIZE_LF;
        return !quoted;
    }
    if (++decoder->extension > VV_CHUNKED_EXTENSION_BYTES)
        return 0;
    if (decoder->state >= EXTENSION)
        return on_extension_byte(decoder, c);
    decoder->state = c == ';' ? EXTENSION : SIZE_BLANK;
    return c == ';' || c == ' ' || c == '\t';
}

static int
on_trailer_byte(vv_chunked *decoder, uint8_t c)
{
    if (c == '\r' && (decoder->state == TRAILER || decoder->state == TRAILER_VALUE)) {
        decoder->state = decoder->state == TRAILER ? LAST_LF : TRAILER_LF;
        return 1;
    }
    if (++decoder->trailer > VV_CHUNKED_TRAILER_BYTES)
        return 0;
    if (decoder->state == TRAILER_VALUE)
        return is_value_byte(c);
    if (decoder->state == TRAILER_NAME && c == ':') {
        decoder->state = TRAILER_VALUE;
        return 1;
    }
    decoder->state = TRAILER_NAME;
    return vv_is_token_byte(c);
}

/* A byte that must be this one. */
static int
expect(vv_chunked *decoder, uint8_t c, uint8_t wanted, uint8_t next)
{
    decoder->state = next;
    return c == wanted;
}

/* Any byte but payload. Returns 0 if it may not stand there. */
static int
on_byte(vv_chunked *decoder, uint8_t c)
{
    switch (decoder->state) {
    case SIZE:
    case SIZE_BLANK:
    case EXTENSION:
    case QUOTED:
    case QUOTED_PAIR:
        return on_size_byte(decoder, c);
    case SIZE_LF:
        decoder->digits = 0;
        return expect(decoder, c, '\n', decoder->left > 0 ? DATA : TRAILER);
    case DATA_CR:
        return expect(decoder, c, '\r', DATA_LF);
    case DATA_LF:
        return expect(decoder, c, '\n', SIZE);
    case TRAILER:
    case TRAILER_NAME:
    case TRAILER_VALUE:
        return on_trailer_byte(decoder, c);
    case TRAILER_LF:
        return expect(decoder, c, '\n', TRAILER);
    case LAST_LF:
        return expect(decoder, c, '\n', DONE);
    }
    return 0;
}

vv_status
vv_chunked_decode(vv_chunked *decoder, uint8_t *bytes, size_t len, size_t *consumed, size_t *produced)
{
    size_t at = 0, out = 0;

    while (at < len && decoder->state != DONE && decoder->state != FAILED) {
        if (decoder->state == DATA) {
            size_t run = len - at;
            if (run > decoder->left)
                run = (size_t)decoder->left;
            if (out != at)
                memmove(bytes + out, bytes + at, run);
            at += run;
            out += run;
            decoder->left -= run;
            if (decoder->left == 0)
                decoder->state = DATA_CR;
        } else if (!on_byte(decoder, bytes[at++])) {
            decoder->state = FAILED;
        }
    }
    *consumed = at;
    *produced = out;
    return decoder->state == DONE ? VV_OK : decoder->state == FAILED ? VV_E_CHUNK : VV_AGAIN;
}
