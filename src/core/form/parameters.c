#include "core/form/parameters.h"

#include "core/bytes/ascii.h"

static size_t
token_len(vv_span text)
{
    size_t len = 0;
    while (len < text.len && vv_is_token_byte(text.at[len]))
        len++;
    return len;
}

static vv_span
behind(vv_span text, size_t count)
{
    return vv_span_of(text.at + count, text.len - count);
}

vv_span
vv_parameters_begin(vv_span *rest)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->at, ';', rest->len) : NULL;
    vv_span value = vv_span_of(rest->at, end != NULL ? (size_t)(end - rest->at) : rest->len);
    *rest = behind(*rest, value.len);
    return vv_trim(value);
}

/* Whether the byte at `i` and the one behind it are an escape. */
static int
is_escape(vv_span text, size_t i)
{
    return text.at[i] == '\\' && text.len - i > 1 && (text.at[i + 1] == '"' || text.at[i + 1] == '\\');
}

/* The text between the quote at the front and the one that ends it. VV_OK or VV_E_SYNTAX. */
static vv_status
quoted(vv_span text, vv_span *value)
{
    for (size_t i = 1; i < text.len; i++) {
        uint8_t c = text.at[i];
        if (c == '"') {
            *value = vv_span_of(text.at + 1, i - 1);
            return VV_OK;
        }
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return VV_E_SYNTAX;
        i += (size_t)is_escape(text, i);
    }
    return VV_E_SYNTAX;
}

vv_status
vv_parameter_next(vv_span *rest, vv_parameter *out)
{
    vv_span text = vv_trim(*rest);
    while (text.len > 0 && text.at[0] == ';') /* an empty one is none (RFC 9110 section 5.6.6) */
        text = vv_trim(behind(text, 1));
    if (text.len == 0) {
        *rest = text;
        return VV_AGAIN;
    }
    out->name = vv_span_of(text.at, token_len(text));
    text = behind(text, out->name.len);
    if (out->name.len == 0 || text.len < 2 || text.at[0] != '=')
        return VV_E_SYNTAX;
    text = behind(text, 1);
    out->quoted = text.at[0] == '"';
    if (out->quoted) {
        if (quoted(text, &out->value) != VV_OK)
            return VV_E_SYNTAX;
        text = behind(text, out->value.len + 2);
    } else {
        out->value = vv_span_of(text.at, token_len(text));
        if (out->value.len == 0)
            return VV_E_SYNTAX;
        text = behind(text, out->value.len);
    }
    text = vv_trim(text);
    if (text.len > 0 && text.at[0] != ';')
        return VV_E_SYNTAX;
    *rest = text;
    return VV_OK;
}

size_t
vv_parameter_text(const vv_parameter *parameter, uint8_t *out)
{
    vv_span value = parameter->value;
    size_t len = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (parameter->quoted && is_escape(value, i))
            i++;
        out[len++] = value.at[i];
    }
    return len;
}
