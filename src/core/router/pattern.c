#include "core/router/pattern.h"

#include "core/router/fault.h"

#include <stdlib.h>

typedef struct parser {
    vv_pattern *pattern;
    vv_router_fault *fault;
    size_t at;     /* in pattern->source */
    vv_quote name; /* the pattern, for faults */
} parser;

static const struct {
    const char *name;
    vv_param_type type;
} types[] = {
    {"int", VV_PARAM_INT},   {"float", VV_PARAM_FLOAT}, {"str", VV_PARAM_STR},
    {"uuid", VV_PARAM_UUID}, {"path", VV_PARAM_PATH},
};

static VV_COLD vv_status
refuse(parser *in, const char *why)
{
    return vv_fault_say(in->fault, VV_E_PATTERN, "route \"%s\" %s", in->name.text, why);
}

/* The same, of a piece of the pattern, which stands between the two texts. */
static VV_COLD vv_status
refuse_piece(parser *in, const char *before, vv_span piece, const char *behind)
{
    vv_quote quote;
    vv_quote_span(&quote, piece, VV_QUOTE_NAME);
    return vv_fault_say(in->fault, VV_E_PATTERN, "route \"%s\" %s\"%s\"%s", in->name.text, before, quote.text, behind);
}

static int
is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int
is_identifier(vv_span name)
{
    if (name.len == 0 || !is_letter(name.at[0]))
        return 0;
    for (size_t i = 1; i < name.len; i++) {
        if (!is_letter(name.at[i]) && !(name.at[i] >= '0' && name.at[i] <= '9'))
            return 0;
    }
    return 1;
}

static vv_status
check_name(parser *in, vv_span name)
{
    if (name.len == 0)
        return refuse(in, "has a placeholder without a name: write {name} or {name:type}");
    if (!is_identifier(name))
        return refuse_piece(in, "has the odd name ", name, ": use letters, digits and \"_\", and no digit in front");
    if (name.len > VV_ROUTER_NAME_BYTES)
        return refuse_piece(in, "has the name ", name, " of more than 255 bytes: shorten it");
    for (size_t i = 0; i < in->pattern->segment_count; i++) {
        if (vv_span_equal(in->pattern->segments[i].name, name))
            return refuse_piece(in, "names ", name, " twice: rename one");
    }
    if (in->pattern->param_count == VV_ROUTER_PARAMS)
        return refuse(in, "has more than 32 placeholders: use fewer, or take the rest with {name:path}");
    return VV_OK;
}

static vv_status
type_of(parser *in, vv_span name, vv_param_type *type)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (vv_span_equal(name, vv_span_text(types[i].name))) {
            *type = types[i].type;
            return VV_OK;
        }
    }
    return refuse_piece(in, "has the unknown type ", name, ": use int, float, str, uuid or path");
}

/* What may follow a placeholder: its segment ends with it, and with `path` the pattern. */
static vv_status
check_end(parser *in, vv_span placeholder, vv_param_type type)
{
    vv_span source = in->pattern->source;
    if (in->at == source.len)
        return VV_OK;
    if (source.at[in->at] != '/')
        return refuse_piece(in, "has text behind ", placeholder, ": put a \"/\" there, or the text in front");
    if (type == VV_PARAM_PATH)
        return refuse_piece(in, "goes on behind ", placeholder, ": path takes the rest, so put it last");
    return VV_OK;
}

/* Where the placeholder that opens at `open` closes; source.len if it does not. */
static size_t
closing_brace(vv_span source, size_t open)
{
    for (size_t i = open + 1; i < source.len && source.at[i] != '/' && source.at[i] != '{'; i++) {
        if (source.at[i] == '}')
            return i;
    }
    return source.len;
}

/* in->at is at the opening brace. */
static vv_status
parse_placeholder(parser *in, vv_segment *segment)
{
    vv_span source = in->pattern->source;
    size_t open = in->at, close = closing_brace(source, open);
    if (close == source.len)
        return refuse(in, "is missing its closing brace");
    in->at = close + 1;

    vv_span name = vv_span_of(source.at + open + 1, close - open - 1);
    const uint8_t *colon = memchr(name.at, ':', name.len);
    vv_span type_name = {0};
    if (colon != NULL) {
        type_name = vv_span_of(colon + 1, (size_t)(name.at + name.len - colon) - 1);
        name.len = (size_t)(colon - name.at);
    }
    vv_param_type type = VV_PARAM_PLAIN;
    vv_status st = check_name(in, name);
    if (st == VV_OK && colon != NULL)
        st = type_of(in, type_name, &type);
    if (st == VV_OK)
        st = check_end(in, vv_span_of(source.at + open, in->at - open), type);
    if (st == VV_OK) {
        segment->name = name;
        segment->type = type;
        in->pattern->param_count++;
    }
    return st;
}

static vv_status
parse_segment(parser *in)
{
    vv_pattern *pattern = in->pattern;
    vv_span source = pattern->source;
    vv_segment *segment = &pattern->segments[pattern->segment_count++];
    vv_status st = VV_OK;

    pattern->text[pattern->text_len++] = source.at[in->at++]; /* the slash */
    *segment = (vv_segment){.text = vv_span_of(pattern->text + pattern->text_len, 0)};
    while (in->at < source.len && source.at[in->at] != '/') {
        uint8_t c = source.at[in->at];
        int brace = c == '{' || c == '}';
        int doubled = brace && in->at + 1 < source.len && source.at[in->at + 1] == c;

        if (brace && !doubled) {
            st = c == '{' ? parse_placeholder(in, segment)
                          : refuse(in, "has a \"}\" without its \"{\": write \"}}\" for a brace as text");
            break;
        }
        pattern->text[pattern->text_len++] = c;
        segment->text.len++;
        in->at += 1 + (size_t)doubled;
    }
    return st;
}

static vv_status
check_bytes(parser *in)
{
    vv_span source = in->pattern->source;
    if (source.len == 0 || source.at[0] != '/')
        return refuse(in, "must start with \"/\"");
    if (source.len > VV_PATTERN_BYTES)
        return refuse(in, "is longer than 65535 bytes: shorten it");
    for (size_t i = 0, step; i < source.len; i += step) {
        step = vv_utf8_first(vv_span_of(source.at + i, source.len - i));
        if (step == 0)
            return refuse(in, "is not UTF-8: encode it as UTF-8");
        if (source.at[i] == '\0')
            return refuse(in, "contains a NUL byte: remove it");
        if (source.at[i] == '?')
            return refuse(in, "contains a \"?\": a pattern is the path alone, read the query in the handler");
        if (source.at[i] == '#')
            return refuse(in, "contains a \"#\": a pattern is the path alone, a fragment is never sent");
    }
    return VV_OK;
}

static size_t
count_slashes(vv_span source)
{
    size_t count = 0;
    for (size_t i = 0; i < source.len; i++)
        count += source.at[i] == '/';
    return count;
}

vv_status
vv_pattern_init(vv_pattern *pattern, vv_span source, vv_router_fault *fault)
{
    vv_pattern made = {.source = source};
    parser in = {.pattern = &made, .fault = fault};
    vv_quote_span(&in.name, source, VV_QUOTE_PATTERN);

    vv_status st = check_bytes(&in);
    if (vv_failed(st))
        return st;

    made.text = malloc(source.len);
    made.segments = calloc(count_slashes(source), sizeof *made.segments);
    if (made.text == NULL || made.segments == NULL)
        st = VV_E_NO_MEMORY;
    while (st == VV_OK && in.at < source.len)
        st = parse_segment(&in);

    if (vv_failed(st))
        vv_pattern_fini(&made);
    else
        *pattern = made;
    return st;
}

void
vv_pattern_fini(vv_pattern *pattern)
{
    free(pattern->text);
    free(pattern->segments);
}
