/* A line of the access log is one line of printable ASCII with no more quotes than its format has, and what was sent is
 * read back from it when its escapes are undone, up to the limit of its length. */
#include <stdlib.h>
#include <string.h>

#include "core/server/access_line.h"
#include "replay.h"

enum { PIECES = 5 };

/* Undoes the escapes of what stands before the next quote, each begun by so many backslashes; returns its length. */
static size_t
read_back(const uint8_t *at, size_t backslashes, uint8_t *out)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = 0;
    while (*at != '"') {
        if (*at != '\\') {
            out[len++] = *at++;
            continue;
        }
        MUST(backslashes == 1 || at[1] == '\\');
        at += backslashes;
        MUST(at[0] == 'x');
        const char *high = memchr(hex, at[1], 16), *low = memchr(hex, at[2], 16);
        MUST(high != NULL && low != NULL);
        out[len++] = (uint8_t)((high - hex) << 4 | (low - hex));
        at += 3;
    }
    return len;
}

/* Whether `got` is `sent`, or its beginning and three dots. */
static int
is_of(const uint8_t *got, size_t len, vv_span sent, size_t most)
{
    if (sent.len <= most)
        return len == sent.len && (len == 0 || memcmp(got, sent.at, len) == 0);
    return len == most + 3 && memcmp(got, sent.at, most) == 0 && memcmp(got + most, "...", 3) == 0;
}

static const uint8_t *
behind(const uint8_t *line, size_t len, const char *text)
{
    const uint8_t *at = memmem(line, len, text, strlen(text));
    return at != NULL ? at + strlen(text) : NULL;
}

static void
check_agent(const uint8_t *line, size_t len, const vv_access *access, vv_access_format format)
{
    static uint8_t got[VV_ACCESS_LINE_BYTES];
    const uint8_t *at = NULL;
    if (access->user_agent.len == 0)
        return; /* a "-", or no member at all */
    if (format == VV_ACCESS_JSON) {
        at = behind(line, len, "\"user_agent\":\"");
    } else if (format == VV_ACCESS_COMBINED) {
        at = line;
        for (int quotes = 0; quotes < 5; at++)
            quotes += *at == '"';
    }
    if (at != NULL)
        MUST(is_of(got, read_back(at, format == VV_ACCESS_JSON ? 2 : 1, got), access->user_agent,
                   VV_ACCESS_FIELD_BYTES));
    else
        MUST(format < VV_ACCESS_COMBINED);
}

static void
check(const vv_access *access, vv_access_format format)
{
    static const int quotes_of[] = {[VV_ACCESS_SHORT] = 2, [VV_ACCESS_COMMON] = 2, [VV_ACCESS_COMBINED] = 6};
    static const vv_access_clock clock = {
        .short_time = "12:03:11", .clf_time = "[23/Nov/2026:12:03:11 +0000]", .iso_time = "2026-11-23T12:03:11"};
    vv_access_style style = {.format = format, .worker = 1};
    uint8_t *line = malloc(VV_ACCESS_LINE_BYTES);
    MUST(line != NULL);
    size_t len = vv_access_line_write(line, &style, &clock, 1, access);
    MUST(len > 1 && len <= VV_ACCESS_LINE_BYTES && line[len - 1] == '\n');
    int quotes = 0;
    for (size_t i = 0; i + 1 < len; i++) {
        MUST(line[i] >= 0x20 && line[i] < 0x7f);
        quotes += line[i] == '"';
    }
    MUST(format == VV_ACCESS_JSON ? quotes % 2 == 0 : quotes == quotes_of[format]);
    check_agent(line, len, access, format);
    free(line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vv_address peer = {.family = size % 4, .bytes = {192, 0, 2, 1}};
    vv_span piece[PIECES];
    uint8_t *copy[PIECES];
    /* Where it is cut is the first byte's say; the pieces are copies that end where their memory ends. */
    size_t each = size / PIECES + (size > 0 ? data[0] % 16 : 0), at = 0;
    for (int i = 0; i < PIECES; i++) {
        size_t len = i == PIECES - 1 || each > size - at ? size - at : each;
        copy[i] = exact_copy(data + at, len);
        piece[i] = vv_span_of(copy[i], len);
        at += len;
    }
    vv_access access = {.method = piece[0],
                        .target = piece[1],
                        .raw = piece[2],
                        .referer = piece[3],
                        .user_agent = piece[4],
                        .peer = &peer,
                        .status = 200};
    for (int format = VV_ACCESS_SHORT; format <= VV_ACCESS_JSON; format++)
        check(&access, (vv_access_format)format);
    for (int i = 0; i < PIECES; i++)
        free(copy[i]);
    return 0;
}
