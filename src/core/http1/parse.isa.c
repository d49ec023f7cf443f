/* The parser of request heads, compiled once per instruction set; parse.c picks one.
 *
 * Rule 1: every map is of a block of 64 bytes counted from the head's first byte; a block is looked at once, and
 *         positions only move forward.
 * Rule 2: all bytes of the map `value` are in the map `name` too, and what lies past the end is in all maps. So the
 *         end of a line is looked for first, and a name's end is never behind it.
 * Rule 3: a failure belongs to one line and is the same however much of the input is there: settle() answers it
 *         when a control byte has arrived in that line or behind it, VV_AGAIN before. That is what lets `seen` skip
 *         input without a control byte, and makes the answer independent of how the input was cut.
 */
#include "core/http1/parse.h"
#include "core/http1/framing.h"
#include "core/http1/method.h"

#define PASTE_NAME(name, isa) name##isa
#define PASTE(name, isa)      PASTE_NAME(name, isa)
#define PARSE                 PASTE(vv_http1_parse_request_, VV_ISA)

vv_status PARSE(vv_span in, size_t seen, const vv_http1_limits *limits, vv_field *fields, vv_http1_request *req);

enum { METHOD_BYTES = 32, VERSION_BYTES = 10 /* HTTP/1.1 CR LF */, NAME_OF_FRAMING_MAX = 17 };

/* Whether a byte of bytes[at .. end) is a control other than HTAB, or DEL. */
static VV_NOINLINE int
has_control(const uint8_t *bytes, size_t at, size_t end)
{
    while (at < end) {
        size_t block = at & ~(size_t)63;
        uint64_t stops = vv_lanes_value_at(bytes, block, end) >> (at & 63);
        if (stops != 0)
            return at + (size_t)__builtin_ctzll(stops) < end;
        at = block + 64;
    }
    return 0;
}

/* What is answered instead of a request: see Rule 3. `line` is where the line begins, `full` whether the head has
 * taken all the bytes that it may, so that nothing is left to wait for. */
static VV_COLD vv_status
settle(vv_status status, const uint8_t *head, size_t line, size_t end, int full)
{
    if (status == VV_AGAIN && full)
        return line == 0 ? VV_E_TARGET_TOO_LONG : VV_E_HEAD_TOO_LARGE;
    if (status == VV_AGAIN || full || has_control(head, line, end))
        return status;
    return VV_AGAIN;
}

/* The end of the input lies within the ten bytes behind a target, or they are not " HTTP/1.1" and its line's end. */
static VV_COLD vv_status
odd_version(const uint8_t *at, size_t len)
{
    static const char pattern[VERSION_BYTES + 1] = "HTTP/0.0\r\n";

    for (size_t i = 0; i < len && i < VERSION_BYTES; i++)
        if (pattern[i] == '0' ? !is_digit(at[i]) : at[i] != (uint8_t)pattern[i])
            return VV_E_SYNTAX;
    return len < VERSION_BYTES ? VV_AGAIN : VV_E_VERSION;
}

/* A field line that the input ends in, or whose first stop is not CRLF. */
static VV_COLD vv_status
odd_line(const uint8_t *head, size_t line, size_t name_end, size_t line_end, size_t end)
{
    if (line_end < end && (head[line_end] != '\r' || (line_end + 1 < end && head[line_end + 1] != '\n')))
        return VV_E_SYNTAX;
    if (name_end < line_end && (name_end == line || head[name_end] != ':'))
        return VV_E_SYNTAX;
    if (name_end == line_end && name_end < end && name_end > line)
        return VV_E_SYNTAX; /* a line without a colon */
    return VV_AGAIN;
}

/* A target that does not begin with '/'. */
static VV_COLD vv_status
odd_target(vv_http1_request *req, const uint8_t *head, size_t end, uint64_t host_stops, uint32_t *facts)
{
    const uint8_t *target = head + req->target_at;
    size_t len = req->target_len, scheme;

    if (len == 1 && target[0] == '*' && req->method == VV_METHOD_OPTIONS) {
        req->form = VV_TARGET_ASTERISK;
        return VV_OK;
    }
    if (len > 7 && says(target, 7, "http://"))
        scheme = 7;
    else if (len > 8 && says(target, 8, "https://"))
        scheme = 8;
    else
        return VV_E_TARGET;

    size_t host = scheme;
    while (host < len && target[host] != '/' && target[host] != '?')
        host++;
    req->form = VV_TARGET_ABSOLUTE;
    req->host_at = req->target_at + (uint32_t)scheme;
    req->host_len = (uint32_t)(host - scheme);
    req->path_at = req->target_at + (uint32_t)host;
    req->path_len -= (uint32_t)host;
    *facts |= VV_REQUEST_HAS_HOST;
    if (memchr(target + host, '%', req->path_len) == NULL)
        *facts &= ~(uint32_t)VV_REQUEST_ESCAPED; /* it was one of the authority's */
    return is_authority(head, req->host_at, req->host_len, end, host_stops) ? VV_OK : VV_E_TARGET;
}

/* A field whose length and first four letters are those of one that matters; the rest of its name decides. */
static VV_NOINLINE vv_status
take_framing_field(const uint8_t *head, const vv_field *field, vv_http1_request *req, uint32_t *facts)
{
    const uint8_t *name = head + field->name_at, *value = head + field->value_at;

    switch (field->name_len) {
    case 6:
        if (lower4(name + 2) == word4("pect"))
            return take_expect(value, field->value_len, req->minor, facts);
        break;
    case 7:
        if (lower4(name + 3) == word4("rade"))
            *facts |= SAW_UPGRADE;
        break;
    case 10:
        if (lower8(name + 2) == word8("nnection"))
            take_connection(value, field->value_len, facts);
        break;
    case 14:
        if (lower8(name + 2) == word8("ntent-le") && lower4(name + 10) == word4("ngth"))
            return take_content_length(value, field->value_len, facts, &req->content_length);
        break;
    case 17:
        if (lower8(name + 1) == word8("ransfer-") && lower8(name + 9) == word8("encoding"))
            return take_transfer_encoding(value, field->value_len, req->minor, facts);
        break;
    }
    return VV_OK;
}

/* The first four letters of the names that matter, by the name's length. */
VV_INLINE uint32_t
framing_letters(size_t name_len)
{
    static const char letters[NAME_OF_FRAMING_MAX + 1][4] = {
        [4] = "host", [6] = "expe", [7] = "upgr", [10] = "conn", [14] = "cont", [17] = "tran",
    };
    return word4(letters[name_len]);
}

/* What the whole head says of the connection. Host on 1.1 is the caller's. */
VV_INLINE uint16_t
flags_of(uint32_t facts, unsigned minor)
{
    if (VV_LIKELY((facts & (SAW_CLOSE | SAW_KEEP_ALIVE | SAW_UPGRADE | SAW_UPGRADE_TOKEN)) == 0))
        return (uint16_t)(facts | minor); /* the version's default: VV_REQUEST_KEEP_ALIVE is 1 */
    if (!(facts & SAW_CLOSE) && (minor == 1 || (facts & SAW_KEEP_ALIVE)))
        facts |= VV_REQUEST_KEEP_ALIVE;
    if ((facts & SAW_UPGRADE) && (facts & SAW_UPGRADE_TOKEN) && minor == 1)
        facts |= VV_REQUEST_UPGRADE;
    return (uint16_t)facts;
}

vv_status
PARSE(vv_span in, size_t seen, const vv_http1_limits *limits, vv_field *fields, vv_http1_request *req)
{
    const uint8_t *head = in.at;
    size_t end = in.len, line = 0;
    uint32_t lead = 0, facts = 0;
    vv_status status = VV_AGAIN;

    if (seen > 0 && end < limits->head_bytes && !has_control(head, seen - 1, end))
        return VV_AGAIN;
    if (VV_UNLIKELY(end == 0))
        return VV_AGAIN;
    if (VV_UNLIKELY(head[0] == '\r')) {
        if (end == 1)
            return VV_AGAIN;
        if (head[1] != '\n')
            return VV_E_SYNTAX;
        lead = 2;
        head += 2;
        end -= 2;
    }
    int full = end >= limits->head_bytes;
    if (full)
        end = limits->head_bytes;

    req->head = head;
    req->fields = fields;
    req->used = lead;

    /* The request line. */
    size_t block = 0, method_len = 3;
    vv_lanes_maps first;
    vv_lanes_maps_at(head, 0, end, &first);
    uint64_t name_stops = first.name, value_stops = first.value, target_stops = first.target;

    /* A branch that is guessed right costs less than waiting for the map. */
    req->method = VV_METHOD_GET;
    if (VV_UNLIKELY(end < 8 || word4(head) != word4("GET "))) {
        method_len = name_stops != 0 ? (size_t)__builtin_ctzll(name_stops) : 64;
        if (end == 0 || (method_len >= end && method_len <= METHOD_BYTES))
            goto refuse;
        if (method_len == 0 || method_len > METHOD_BYTES || head[method_len] != ' ') {
            status = VV_E_SYNTAX;
            goto refuse;
        }
        req->method = (uint8_t)vv_method_of(vv_span_of(head, method_len));
    }

    size_t target = method_len + 1, at = target, query = 0;
    int fragment = 0;
    for (;;) {
        uint64_t stops = target_stops >> (at - block);
        while (VV_UNLIKELY(stops == 0)) {
            block += 64;
            at = block;
            stops = target_stops = vv_lanes_target_at(head, block, end);
        }
        at += (size_t)__builtin_ctzll(stops);
        if (VV_UNLIKELY(at >= end))
            goto refuse;
        if (VV_LIKELY(head[at] == ' '))
            break;
        if (head[at] == '?') {
            if (query == 0)
                query = at + 1;
        } else if (head[at] == '%') {
            if (query == 0)
                facts |= VV_REQUEST_ESCAPED;
        } else if (head[at] == '#') {
            fragment = 1;
        } else {
            status = VV_E_SYNTAX;
            goto refuse;
        }
        at++;
        if (VV_UNLIKELY(at - block == 64)) {
            block = at;
            target_stops = vv_lanes_target_at(head, block, end);
        }
    }

    if (VV_UNLIKELY(at == target)) {
        status = VV_E_SYNTAX;
        goto refuse;
    }
    const uint8_t *version = head + at + 1;
    if (VV_UNLIKELY(end - at - 1 < VERSION_BYTES)) {
        status = odd_version(version, end - at - 1);
        goto refuse;
    }
    req->minor = 1;
    if (VV_UNLIKELY(word8(version) != word8("HTTP/1.1"))) {
        req->minor = 0;
        if (word8(version) != word8("HTTP/1.0")) {
            status = odd_version(version, VERSION_BYTES);
            goto refuse;
        }
    }
    if (VV_UNLIKELY(word2(version + 8) != word2("\r\n"))) {
        status = VV_E_SYNTAX;
        goto refuse;
    }

    req->content_length = 0;
    req->method_len = (uint16_t)method_len;
    size_t path_end = at;
    req->target_at = (uint32_t)target;
    req->target_len = (uint32_t)(at - target);
    req->query_at = (uint32_t)at;
    req->query_len = 0;
    if (query != 0) {
        facts |= VV_REQUEST_HAS_QUERY;
        path_end = query - 1;
        req->query_at = (uint32_t)query;
        req->query_len = (uint32_t)(at - query);
    }
    req->path_at = (uint32_t)target;
    req->path_len = (uint32_t)(path_end - target);
    req->host_at = req->host_len = 0;
    req->form = VV_TARGET_ORIGIN;
    if (VV_UNLIKELY(req->method == VV_METHOD_CONNECT)) {
        status = VV_E_METHOD;
        goto refuse;
    }
    if (VV_UNLIKELY(head[target] != '/' || fragment)) {
        status = fragment ? VV_E_TARGET : odd_target(req, head, end, first.host, &facts);
        if (vv_failed(status))
            goto refuse;
        status = VV_AGAIN;
    }

    /* The field lines. */
    line = at + 1 + VERSION_BYTES;
    if (line - block >= 64 || block != 0) {
        block = line & ~(size_t)63;
        vv_lanes_field_at(head, block, end, &name_stops, &value_stops);
    }
    vv_field *field = fields, *const fields_end = fields + limits->header_fields;
    size_t line_end;
    for (;;) {
        size_t name_end;
        uint64_t names = name_stops >> (line - block), values = value_stops >> (line - block);
        if (VV_LIKELY(values != 0)) {
            line_end = line + (size_t)__builtin_ctzll(values);
            name_end = line + (size_t)__builtin_ctzll(names);
        } else {
            /* The line goes on in the next block. */
            int named = names != 0;
            name_end = named ? line + (size_t)__builtin_ctzll(names) : 0;
            do {
                block += 64;
                vv_lanes_field_at(head, block, end, &name_stops, &value_stops);
                if (!named && name_stops != 0) {
                    named = 1;
                    name_end = block + (size_t)__builtin_ctzll(name_stops);
                }
            } while (value_stops == 0);
            line_end = block + (size_t)__builtin_ctzll(value_stops);
        }
        if (VV_UNLIKELY(line_end + 2 > end || word2(head + line_end) != word2("\r\n"))) {
            status = odd_line(head, line, name_end, line_end, end);
            goto refuse;
        }
        if (line_end == line)
            break;
        if (VV_UNLIKELY(head[name_end] != ':' || name_end == line)) {
            status = VV_E_SYNTAX;
            goto refuse;
        }
        if (VV_UNLIKELY(field == fields_end)) {
            status = VV_E_TOO_MANY_FIELDS;
            goto refuse;
        }

        size_t value = name_end + 1, value_end = line_end;
        value += head[value] == ' ';
        if (VV_UNLIKELY(head[value] <= ' '))
            while (is_blank(head[value])) /* ends at the CR */
                value++;
        if (VV_UNLIKELY(head[value_end - 1] <= ' '))
            while (value_end > value && is_blank(head[value_end - 1]))
                value_end--;
        size_t name_len = name_end - line, value_len = value_end - value;
        field->name_at = (uint32_t)line;
        field->value_at = (uint32_t)value;
        field->value_len = (uint32_t)value_len;
        field->name_len = (uint16_t)name_len;
        field->reserved = 0;

        if (name_len <= NAME_OF_FRAMING_MAX && lower4(head + line) == framing_letters(name_len)) {
            if (VV_LIKELY(name_len == 4)) {
                if (VV_UNLIKELY((facts & SAW_HOST) != 0 || !is_authority(head, value, value_len, end, first.host))) {
                    int absent = value_len == 0 && req->minor == 0 && (facts & SAW_HOST) == 0;
                    if (!absent) {
                        status = VV_E_HOST;
                        goto refuse;
                    }
                }
                if (VV_LIKELY(req->form != VV_TARGET_ABSOLUTE)) {
                    req->host_at = (uint32_t)value;
                    req->host_len = (uint32_t)value_len;
                }
                facts |= SAW_HOST | VV_REQUEST_HAS_HOST;
            } else {
                status = take_framing_field(head, field, req, &facts);
                if (VV_UNLIKELY(vv_failed(status)))
                    goto refuse;
                status = VV_AGAIN;
            }
        }
        field++;
        line = line_end + 2;
        if (line - block >= 64) {
            block += 64;
            vv_lanes_field_at(head, block, end, &name_stops, &value_stops);
        }
    }

    /* The empty line. */
    if (VV_UNLIKELY(req->minor == 1 && (facts & SAW_HOST) == 0)) {
        status = VV_E_HOST;
        goto refuse;
    }
    uint32_t head_len = (uint32_t)line_end + 2;
    __asm__("" : "+r"(head_len)); /* or gcc makes a vector of two numbers, and the next head waits for it */
    req->head_len = head_len;
    req->used += head_len;
    req->field_count = (uint16_t)(field - req->fields);
    req->flags = flags_of(facts, req->minor);
    return VV_OK;

refuse:
    return settle(status, head, line, end, full);
}
