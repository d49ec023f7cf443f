#include "core/server/access_line.h"

#include "core/bytes/ascii.h"
#include "core/compiler.h"
#include "core/io/calendar.h"
#include "core/io/loop.h"

/* ---- time ------------------------------------------------------------------------------------------------------- */

static char *
put_digits(char *at, int value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + digits;
}

static char *
put_clock(char *at, const vv_calendar *time)
{
    at = put_digits(at, time->hour, 2);
    *at++ = ':';
    at = put_digits(at, time->minute, 2);
    *at++ = ':';
    return put_digits(at, time->second, 2);
}

static void
put_clf(char *at, const vv_calendar *time)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int east = time->east_minutes < 0 ? -time->east_minutes : time->east_minutes;
    *at++ = '[';
    at = put_digits(at, time->day, 2);
    *at++ = '/';
    memcpy(at, months + 3 * (time->month - 1), 3);
    at[3] = '/';
    at = put_digits(at + 4, time->year, 4);
    *at++ = ':';
    at = put_clock(at, time);
    *at++ = ' ';
    *at++ = time->east_minutes < 0 ? '-' : '+';
    at = put_digits(at, east / 60, 2);
    at = put_digits(at, east % 60, 2);
    *at = ']';
}

static void
put_iso(char *at, const vv_calendar *time)
{
    at = put_digits(at, time->year, 4);
    *at++ = '-';
    at = put_digits(at, time->month, 2);
    *at++ = '-';
    at = put_digits(at, time->day, 2);
    *at++ = 'T';
    put_clock(at, time);
}

void
vv_access_clock_set(vv_access_clock *clock, int64_t now_ns)
{
    int64_t unix_ns = now_ns + clock->offset_ns;
    if (VV_UNLIKELY(unix_ns / 1000000000 != clock->second || clock->offset_ns == 0)) {
        /* Somebody may have set the clock: once a second it is looked at. */
        clock->offset_ns = vv_loop_unix_ns() - vv_loop_clock_ns();
        unix_ns = now_ns + clock->offset_ns;
        clock->second = unix_ns / 1000000000;
        vv_calendar local = vv_calendar_local(clock->second), utc = vv_calendar_utc(clock->second);
        put_clock(clock->short_time, &local);
        put_clf(clock->clf_time, &local);
        put_iso(clock->iso_time, &utc);
    }
    clock->millisecond = (unsigned)(unix_ns / 1000000 % 1000);
}

/* ---- pieces ----------------------------------------------------------------------------------------------------- */

#define PUT_LITERAL(at, text) put((at), (text), sizeof(text) - 1)

static inline uint8_t *
put(uint8_t *at, const void *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

/* Bytes that are written as they are. */
static inline int
is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

/* Whether eight bytes are all plain. One that is not sets its high bit in one of the terms; where a borrow might hide
 * that, the byte that borrowed is not plain either. */
static inline int
are_plain(uint64_t x)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t quote = x ^ ones * '"', backslash = x ^ ones * '\\';
    uint64_t odd = (x - ones * 0x20) | (x + ones) | (quote - ones) | (backslash - ones) | x;
    return (odd & ones * 0x80) == 0;
}

static uint8_t *
put_escaped(uint8_t *at, vv_span text, size_t most, vv_access_format format)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = text.len < most ? text.len : most;
    for (size_t i = 0; i < len; i++) {
        uint64_t word;
        while (i + sizeof word <= len && (memcpy(&word, text.at + i, sizeof word), are_plain(word))) {
            memcpy(at, &word, sizeof word);
            at += sizeof word;
            i += sizeof word;
        }
        if (i == len)
            break;
        uint8_t byte = text.at[i];
        if (VV_LIKELY(is_plain(byte))) {
            *at++ = byte;
            continue;
        }
        if (format == VV_ACCESS_JSON)
            *at++ = '\\';
        *at++ = '\\';
        *at++ = 'x';
        *at++ = (uint8_t)hex[byte >> 4];
        *at++ = (uint8_t)hex[byte & 15];
    }
    return len < text.len ? PUT_LITERAL(at, "...") : at;
}

static uint8_t *
put_address(uint8_t *at, const vv_address *peer)
{
    if (VV_LIKELY(peer->family == VV_FAMILY_IPV4)) {
        for (int i = 0; i < 4; i++) {
            if (i > 0)
                *at++ = '.';
            at = vv_decimal_write(at, peer->bytes[i]);
        }
        return at;
    }
    char text[VV_ADDRESS_TEXT_BYTES];
    size_t len = vv_address_text(peer, text);
    return put(at, text, len);
}

static uint8_t *
put_client(uint8_t *at, const vv_address *peer)
{
    uint8_t *end = put_address(at, peer);
    return end > at ? end : PUT_LITERAL(at, "-"); /* Unix sockets have none */
}

/* `value` in units of 10 to the -`digits`. */
static uint8_t *
put_decimal(uint8_t *at, uint64_t value, int digits)
{
    uint64_t scale = 1;
    for (int i = 0; i < digits; i++)
        scale *= 10;
    at = vv_decimal_write(at, value / scale);
    *at++ = '.';
    put_digits((char *)at, (int)(value % scale), digits);
    return at + digits;
}

static uint64_t
duration_us(const vv_access *access, int64_t now_ns)
{
    return now_ns > access->begun_ns ? (uint64_t)(now_ns - access->begun_ns + 500) / 1000 : 0;
}

static uint8_t *
put_request(uint8_t *at, const vv_access *access, int with_version, vv_access_format format)
{
    if (access->method.len == 0)
        return put_escaped(at, access->raw, VV_ACCESS_TARGET_BYTES, format);
    at = put_escaped(at, access->method, VV_ACCESS_METHOD_BYTES, format);
    *at++ = ' ';
    at = put_escaped(at, access->target, VV_ACCESS_TARGET_BYTES, format);
    if (with_version) {
        at = PUT_LITERAL(at, " HTTP/1.");
        *at++ = (uint8_t)('0' + access->minor);
    }
    return at;
}

/* ---- formats ---------------------------------------------------------------------------------------------------- */

static uint8_t *
put_short_start(uint8_t *at, const vv_access_style *style, const vv_access_clock *clock, const char *level)
{
    at = put(at, clock->short_time, sizeof clock->short_time);
    *at++ = ' ';
    at = put(at, level, 6);
    if (style->worker > 0) {
        *at++ = 'w';
        at = vv_decimal_write(at, style->worker);
        *at++ = ' ';
    }
    return at;
}

static uint8_t *
put_short(uint8_t *at, const vv_access_style *style, const vv_access_clock *clock, int64_t now_ns,
          const vv_access *access)
{
    static const char colors[6][6] = {"\033[2m", "\033[36m", "\033[32m", "\033[36m", "\033[33m", "\033[31m"};
    at = put_short_start(at, style, clock, "INFO  ");
    at = put_client(at, access->peer);
    at = PUT_LITERAL(at, " \"");
    at = put_request(at, access, 0, VV_ACCESS_SHORT);
    at = PUT_LITERAL(at, "\" ");
    if (style->color) {
        const char *color = colors[access->status / 100 < 6 ? access->status / 100 : 0];
        at = put(at, color, strlen(color));
    }
    at = vv_decimal_write(at, access->status);
    if (style->color)
        at = PUT_LITERAL(at, "\033[0m");
    *at++ = ' ';
    at = vv_decimal_write(at, access->bytes);
    at = PUT_LITERAL(at, "B ");
    if (access->begun_ns == 0)
        return PUT_LITERAL(at, "-");
    at = put_decimal(at, (duration_us(access, now_ns) + 5) / 10, 2);
    return PUT_LITERAL(at, "ms");
}

static uint8_t *
put_field(uint8_t *at, vv_span value)
{
    at = PUT_LITERAL(at, " \"");
    at = value.len > 0 ? put_escaped(at, value, VV_ACCESS_FIELD_BYTES, VV_ACCESS_COMBINED) : PUT_LITERAL(at, "-");
    *at++ = '"';
    return at;
}

static uint8_t *
put_common(uint8_t *at, const vv_access_style *style, const vv_access_clock *clock, int64_t now_ns,
           const vv_access *access)
{
    at = put_client(at, access->peer);
    at = PUT_LITERAL(at, " - - ");
    at = put(at, clock->clf_time, sizeof clock->clf_time);
    at = PUT_LITERAL(at, " \"");
    at = put_request(at, access, 1, VV_ACCESS_COMMON);
    at = PUT_LITERAL(at, "\" ");
    at = vv_decimal_write(at, access->status);
    *at++ = ' ';
    at = vv_decimal_write(at, access->bytes);
    if (style->format == VV_ACCESS_COMMON)
        return at;
    at = put_field(at, access->referer);
    at = put_field(at, access->user_agent);
    *at++ = ' ';
    return access->begun_ns == 0 ? PUT_LITERAL(at, "-") : put_decimal(at, duration_us(access, now_ns), 6);
}

static uint8_t *
put_json_start(uint8_t *at, const vv_access_style *style, const vv_access_clock *clock, const char *level,
               const char *event)
{
    at = PUT_LITERAL(at, "{\"ts\":\"");
    at = put(at, clock->iso_time, sizeof clock->iso_time);
    *at++ = '.';
    at = (uint8_t *)put_digits((char *)at, (int)clock->millisecond, 3);
    at = PUT_LITERAL(at, "Z\",\"level\":\"");
    at = put(at, level, strlen(level));
    at = PUT_LITERAL(at, "\",\"event\":\"");
    at = put(at, event, strlen(event));
    *at++ = '"';
    if (style->worker > 0) {
        at = PUT_LITERAL(at, ",\"worker\":");
        at = vv_decimal_write(at, style->worker);
    }
    return at;
}

/* ,"name":"value" ; nothing for an empty value. */
static uint8_t *
put_member(uint8_t *at, const char *name, vv_span value, size_t most)
{
    if (value.len == 0)
        return at;
    at = PUT_LITERAL(at, ",\"");
    at = put(at, name, strlen(name));
    at = PUT_LITERAL(at, "\":\"");
    at = put_escaped(at, value, most, VV_ACCESS_JSON);
    *at++ = '"';
    return at;
}

static uint8_t *
put_json(uint8_t *at, const vv_access_style *style, const vv_access_clock *clock, int64_t now_ns,
         const vv_access *access)
{
    const uint8_t *mark = access->target.len > 0 ? memchr(access->target.at, '?', access->target.len) : NULL;
    size_t path_len = mark != NULL ? (size_t)(mark - access->target.at) : access->target.len;
    at = put_json_start(at, style, clock, "info", access->refused != NULL ? "refused" : "request");
    at = put_member(at, "method", access->method, VV_ACCESS_METHOD_BYTES);
    at = put_member(at, "path", vv_span_of(access->target.at, path_len), VV_ACCESS_TARGET_BYTES);
    if (mark != NULL && path_len < VV_ACCESS_TARGET_BYTES) /* the two share the limit */
        at = put_member(at, "query", vv_span_of(mark + 1, access->target.len - path_len - 1),
                        VV_ACCESS_TARGET_BYTES - path_len - 1);
    if (access->method.len == 0)
        at = put_member(at, "raw", access->raw, VV_ACCESS_TARGET_BYTES);
    at = put_member(at, "route", access->route, VV_ACCESS_ROUTE_BYTES);
    at = PUT_LITERAL(at, ",\"status\":");
    at = vv_decimal_write(at, access->status);
    at = PUT_LITERAL(at, ",\"bytes_out\":");
    at = vv_decimal_write(at, access->bytes);
    if (access->begun_ns != 0) {
        at = PUT_LITERAL(at, ",\"duration_ms\":");
        at = put_decimal(at, duration_us(access, now_ns), 3);
    }
    char client[VV_ADDRESS_TEXT_BYTES];
    at = put_member(at, "client",
                    vv_span_of(client, (size_t)(put_address((uint8_t *)client, access->peer) - (uint8_t *)client)),
                    sizeof client);
    if (access->method.len > 0) {
        at = PUT_LITERAL(at, ",\"http\":\"1.");
        *at++ = (uint8_t)('0' + access->minor);
        *at++ = '"';
    }
    at = put_member(at, "referer", access->referer, VV_ACCESS_FIELD_BYTES);
    at = put_member(at, "user_agent", access->user_agent, VV_ACCESS_FIELD_BYTES);
    if (access->refused != NULL)
        at = put_member(at, "reason", vv_span_text(access->refused), VV_ACCESS_FIELD_BYTES);
    return PUT_LITERAL(at, "}");
}

size_t
vv_access_line_write(uint8_t *out, const vv_access_style *style, const vv_access_clock *clock, int64_t now_ns,
                     const vv_access *access)
{
    uint8_t *at = style->format == VV_ACCESS_SHORT  ? put_short(out, style, clock, now_ns, access)
                  : style->format == VV_ACCESS_JSON ? put_json(out, style, clock, now_ns, access)
                                                    : put_common(out, style, clock, now_ns, access);
    *at++ = '\n';
    return (size_t)(at - out);
}

size_t
vv_access_loss_write(uint8_t *out, const vv_access_style *style, const vv_access_clock *clock, uint64_t lost,
                     const char *why)
{
    uint8_t *at = out;
    vv_span reason = vv_span_text(why);
    if (style->format == VV_ACCESS_JSON) {
        at = put_json_start(at, style, clock, "warning", "access_log_lost");
        at = PUT_LITERAL(at, ",\"lines\":");
        at = vv_decimal_write(at, lost);
        at = put_member(at, "reason", reason, VV_ACCESS_FIELD_BYTES);
        at = PUT_LITERAL(at, "}");
    } else {
        at = put_short_start(at, style, clock, "WARN  ");
        at = PUT_LITERAL(at, "access log: ");
        at = vv_decimal_write(at, lost);
        at = PUT_LITERAL(at, " lines were lost: ");
        at = put_escaped(at, reason, VV_ACCESS_FIELD_BYTES, style->format);
    }
    *at++ = '\n';
    return (size_t)(at - out);
}
