/* The parser's states, and what it reads next in each:
 *
 *   OPENING ──"--boundary"──▶ BOUNDARY (◀──blanks──) ──CRLF──▶ LINE_START, or ──"--"──▶ EPILOGUE
 *   LINE_START ──a byte──▶ LINE ──CR──▶ LINE_LF ──LF──▶ LINE_START ──CR──▶ HEAD_LF ──LF──▶ DATA
 *   DATA ──CRLF"--boundary"──▶ BOUNDARY
 *   EPILOGUE (◀──blanks──) ──CR──▶ EPILOGUE_LF ──LF──▶ FINISHED
 *
 * The delimiter begins with its only CR. So whatever has matched a part of it and then does not, cannot itself hold the
 * beginning of another: the search never goes back, and takes as many steps as there are bytes.
 */
#include "core/form/form.h"

#include <stdlib.h>

#include "core/bytes/ascii.h"
#include "core/bytes/buffer.h"
#include "core/form/parameters.h"

enum {
    OPENING,
    BOUNDARY,
    BOUNDARY_BLANK,
    BOUNDARY_LF,
    CLOSING,
    LINE_START,
    LINE,
    LINE_LF,
    HEAD_LF,
    DATA,
    EPILOGUE,
    EPILOGUE_LF,
    FINISHED,
};

enum { DELIMITER_BYTES = 4 + VV_FORM_BOUNDARY_BYTES, FIRST_PARTS = 8 };

struct vv_form {
    vv_form_limits limits;
    vv_status status; /* VV_AGAIN until it fails */
    uint8_t state;
    uint8_t matched; /* bytes of the delimiter that the latest bytes are */
    uint8_t delimiter_len;
    uint8_t delimiter[DELIMITER_BYTES]; /* CRLF "--" boundary */
    uint64_t used;                      /* bytes of the body so far */
    const char *fault;                  /* static */
    vv_buffer *head;                    /* owned; the lines of the part's head so far, ended by LF */
    vv_buffer *text;                    /* owned; vv_form_text is counted from its front */
    vv_form_part *parts;                /* owned */
    size_t count, room;
};

/* ---- life ------------------------------------------------------------------------------------------------------- */

vv_status
vv_form_new(vv_form **out, vv_span boundary, const vv_form_limits *limits)
{
    if (boundary.len > VV_FORM_BOUNDARY_BYTES)
        return VV_E_FORM;
    vv_form *form = calloc(1, sizeof *form);
    if (form == NULL)
        return VV_E_NO_MEMORY;
    form->limits = *limits;
    form->status = VV_AGAIN;
    form->head = vv_buffer_new(256);
    form->text = vv_buffer_new(256);
    if (form->head == NULL || form->text == NULL) {
        vv_form_free(form);
        return VV_E_NO_MEMORY;
    }
    memcpy(form->delimiter, "\r\n--", 4);
    memcpy(form->delimiter + 4, boundary.at, boundary.len);
    form->delimiter_len = (uint8_t)(4 + boundary.len);
    *out = form;
    return VV_OK;
}

void
vv_form_free(vv_form *form)
{
    if (form == NULL)
        return;
    vv_buffer_free(form->head);
    vv_buffer_free(form->text);
    free(form->parts);
    free(form);
}

/* ---- Content-Type ----------------------------------------------------------------------------------------------- */

static int
is_boundary(const uint8_t *text, size_t len)
{
    static const char also[] = "'()+_,-./:=? ";
    if (len == 0 || len > VV_FORM_BOUNDARY_BYTES || text[len - 1] == ' ')
        return 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = vv_lower(text[i]);
        if ((unsigned)(c - 'a') >= 26u && (unsigned)(c - '0') >= 10u && memchr(also, c, sizeof also - 1) == NULL)
            return 0;
    }
    return 1;
}

vv_status
vv_form_boundary(vv_span content_type, uint8_t *boundary, size_t *len)
{
    vv_parameter parameter;
    vv_status status;
    int found = 0;
    if (!vv_equal_nocase(vv_parameters_begin(&content_type), vv_span_text("multipart/form-data")))
        return VV_AGAIN;
    while ((status = vv_parameter_next(&content_type, &parameter)) == VV_OK) {
        if (!vv_equal_nocase(parameter.name, vv_span_text("boundary")))
            continue;
        if (found++ || parameter.value.len > VV_FORM_BOUNDARY_BYTES)
            return VV_E_FORM;
        *len = vv_parameter_text(&parameter, boundary);
    }
    return status == VV_AGAIN && found && is_boundary(boundary, *len) ? VV_OK : VV_E_FORM;
}

/* ---- failing ---------------------------------------------------------------------------------------------------- */

static int
fail(vv_form *form, vv_status status, const char *fault)
{
    form->status = status;
    form->fault = fault;
    return 0;
}

static int
malformed(vv_form *form, const char *fault)
{
    return fail(form, VV_E_FORM, fault);
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

/* Keeps text, if it is allowed to; tells where. */
static int
keep(vv_form *form, vv_span text, vv_form_text *where)
{
    size_t at = vv_buffer_len(form->text);
    if (text.len > form->limits.text_bytes - at)
        return fail(form, VV_E_FORM_LIMIT, "its fields exceed limit_form_text_bytes");
    if (vv_buffer_append(form->text, text) != VV_OK)
        return fail(form, VV_E_NO_MEMORY, "out of memory");
    *where = (vv_form_text){.at = at, .len = text.len};
    return 1;
}

static int
keep_parameter(vv_form *form, const vv_parameter *parameter, vv_form_text *where)
{
    if (!keep(form, parameter->value, where))
        return 0;
    where->len = vv_parameter_text(parameter, vv_buffer_front(form->text) + where->at);
    form->text->tail = form->text->head + where->at + where->len;
    return 1;
}

/* ---- the head of a part ----------------------------------------------------------------------------------------- */

/* What the lines of a head have said. */
enum { SAW_DISPOSITION = 1, SAW_TYPE = 2, SAW_NAME = 4, SAW_FILENAME = 8, SAW_FILENAME_STAR = 16 };

static int
on_disposition(vv_form *form, vv_form_part *part, vv_span value, unsigned *saw)
{
    vv_parameter parameter;
    vv_status status;
    if (!vv_equal_nocase(vv_parameters_begin(&value), vv_span_text("form-data")))
        return malformed(form, "a part's Content-Disposition is not form-data");
    while ((status = vv_parameter_next(&value, &parameter)) == VV_OK) {
        unsigned which = vv_equal_nocase(parameter.name, vv_span_text("name"))        ? SAW_NAME
                         : vv_equal_nocase(parameter.name, vv_span_text("filename"))  ? SAW_FILENAME
                         : vv_equal_nocase(parameter.name, vv_span_text("filename*")) ? SAW_FILENAME_STAR
                                                                                      : 0;
        if ((*saw & which) != 0)
            return malformed(form, "a part's Content-Disposition says something twice");
        *saw |= which;
        if (which == SAW_NAME && !keep_parameter(form, &parameter, &part->name))
            return 0;
        if (which == SAW_FILENAME && !keep_parameter(form, &parameter, &part->filename))
            return 0;
    }
    if (status != VV_AGAIN)
        return malformed(form, "a part's Content-Disposition is malformed");
    if ((*saw & SAW_NAME) == 0)
        return malformed(form, "a part's Content-Disposition has no name");
    if ((*saw & (SAW_FILENAME | SAW_FILENAME_STAR)) == SAW_FILENAME_STAR)
        return malformed(form, "a part has a filename* and no filename");
    part->is_file = (*saw & SAW_FILENAME) != 0;
    return 1;
}

static int
on_type(vv_form *form, vv_form_part *part, vv_span value)
{
    vv_parameter parameter;
    vv_status status;
    if (!keep(form, value, &part->type))
        return 0;
    if (vv_parameters_begin(&value).len == 0)
        return malformed(form, "a part's Content-Type is empty");
    while ((status = vv_parameter_next(&value, &parameter)) == VV_OK)
        if (vv_equal_nocase(parameter.name, vv_span_text("charset")) &&
            !keep_parameter(form, &parameter, &part->charset))
            return 0;
    return status == VV_AGAIN ? 1 : malformed(form, "a part's Content-Type is malformed");
}

static int
on_transfer_encoding(vv_form *form, vv_span value)
{
    return vv_equal_nocase(value, vv_span_text("binary")) || vv_equal_nocase(value, vv_span_text("8bit")) ||
                   vv_equal_nocase(value, vv_span_text("7bit"))
               ? 1
               : malformed(form, "a part has a Content-Transfer-Encoding");
}

static int
on_line(vv_form *form, vv_form_part *part, vv_span line, unsigned *saw)
{
    const uint8_t *colon = memchr(line.at, ':', line.len);
    size_t name_len = colon != NULL ? (size_t)(colon - line.at) : 0;
    for (size_t i = 0; i < name_len; i++)
        if (!vv_is_token_byte(line.at[i]))
            name_len = 0;
    if (name_len == 0)
        return malformed(form, "a header line of a part is malformed");
    vv_span name = vv_span_of(line.at, name_len);
    vv_span value = vv_trim(vv_span_of(colon + 1, line.len - name_len - 1));
    unsigned which = vv_equal_nocase(name, vv_span_text("content-disposition")) ? SAW_DISPOSITION
                     : vv_equal_nocase(name, vv_span_text("content-type"))      ? SAW_TYPE
                                                                                : 0;
    if ((*saw & which) != 0)
        return malformed(form, "a part has a header line twice");
    *saw |= which;
    if (which == SAW_DISPOSITION)
        return on_disposition(form, part, value, saw);
    if (which == SAW_TYPE)
        return on_type(form, part, value);
    if (vv_equal_nocase(name, vv_span_text("content-transfer-encoding")))
        return on_transfer_encoding(form, value);
    return 1;
}

static vv_form_part *
new_part(vv_form *form)
{
    if (form->count >= form->limits.parts) {
        fail(form, VV_E_FORM_LIMIT, "it has more parts than limit_form_parts");
        return NULL;
    }
    if (form->count == form->room) {
        size_t room = form->room > 0 ? form->room * 2 : FIRST_PARTS;
        vv_form_part *parts = realloc(form->parts, room * sizeof *parts);
        if (parts == NULL) {
            fail(form, VV_E_NO_MEMORY, "out of memory");
            return NULL;
        }
        form->parts = parts;
        form->room = room;
    }
    vv_form_part *part = &form->parts[form->count++];
    *part = (vv_form_part){.is_file = 0};
    return part;
}

/* The head is whole: what follows its last byte, which is the next one's place, is the part's. */
static int
begin_part(vv_form *form)
{
    vv_form_part *part = new_part(form);
    unsigned saw = 0;
    if (part == NULL)
        return 0;
    vv_span lines = vv_span_of(vv_buffer_front(form->head), vv_buffer_len(form->head));
    while (lines.len > 0) {
        vv_span line = vv_span_of(lines.at, (size_t)((const uint8_t *)memchr(lines.at, '\n', lines.len) - lines.at));
        lines = vv_span_of(lines.at + line.len + 1, lines.len - line.len - 1);
        if (!on_line(form, part, line, &saw))
            return 0;
    }
    if ((saw & SAW_DISPOSITION) == 0)
        return malformed(form, "a part has no Content-Disposition");
    vv_buffer_consume(form->head, vv_buffer_len(form->head));
    part->at = part->is_file ? form->used + 1 : vv_buffer_len(form->text);
    form->state = DATA;
    form->matched = 0;
    return 1;
}

static int
on_head_byte(vv_form *form, uint8_t c)
{
    if (vv_buffer_len(form->head) >= form->limits.head_bytes)
        return fail(form, VV_E_FORM_LIMIT, "the header lines of a part exceed limit_form_head_bytes");
    if (vv_buffer_append(form->head, vv_span_of(&c, 1)) != VV_OK)
        return fail(form, VV_E_NO_MEMORY, "out of memory");
    return 1;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------ */

static int
on_opening(vv_form *form, uint8_t c)
{
    if (form->used == 0 && c == '-')
        form->matched = 2; /* no line needs to end before the first delimiter */
    if (c != form->delimiter[form->matched])
        return malformed(form, "it does not begin with its boundary");
    if (++form->matched == form->delimiter_len)
        form->state = BOUNDARY;
    return 1;
}

static int
on_boundary(vv_form *form, uint8_t c)
{
    if (c == '-' && form->state == BOUNDARY)
        form->state = CLOSING;
    else if (c == '\r')
        form->state = BOUNDARY_LF;
    else if (c == ' ' || c == '\t')
        form->state = BOUNDARY_BLANK;
    else
        return malformed(form, "a boundary's line goes on");
    return 1;
}

static int
on_line_byte(vv_form *form, uint8_t c)
{
    if (c == '\r') {
        form->state = form->state == LINE ? LINE_LF : HEAD_LF;
        return 1;
    }
    if ((c < ' ' && c != '\t') || c == 0x7f || (form->state == LINE_START && (c == ' ' || c == '\t')))
        return malformed(form, "a header line of a part is malformed");
    form->state = LINE;
    return on_head_byte(form, c);
}

static int
on_epilogue(vv_form *form, uint8_t c)
{
    if (form->state == EPILOGUE && c == '\r')
        form->state = EPILOGUE_LF;
    else if (form->state == EPILOGUE_LF && c == '\n')
        form->state = FINISHED;
    else if (form->state != EPILOGUE || (c != ' ' && c != '\t'))
        return malformed(form, "something follows its last boundary");
    return 1;
}

/* A byte that must be this one. */
static int
expect(vv_form *form, uint8_t c, uint8_t wanted, uint8_t next)
{
    if (c != wanted)
        return malformed(form, "a line does not end in CRLF");
    form->state = next;
    return 1;
}

/* Any byte but a part's own. */
static int
on_byte(vv_form *form, uint8_t c)
{
    switch (form->state) {
    case OPENING:
        return on_opening(form, c);
    case BOUNDARY:
    case BOUNDARY_BLANK:
        return on_boundary(form, c);
    case BOUNDARY_LF:
        return expect(form, c, '\n', LINE_START);
    case CLOSING:
        form->state = EPILOGUE;
        return c == '-' || malformed(form, "a boundary's line goes on");
    case LINE_START:
    case LINE:
        return on_line_byte(form, c);
    case LINE_LF:
        return expect(form, c, '\n', LINE_START) && on_head_byte(form, '\n');
    case HEAD_LF:
        return expect(form, c, '\n', DATA) && begin_part(form);
    default:
        return on_epilogue(form, c);
    }
}

/* ---- the bytes of a part ---------------------------------------------------------------------------------------- */

static int
on_text(vv_form *form, const uint8_t *at, size_t len)
{
    vv_form_text ignored;
    return form->parts[form->count - 1].is_file || keep(form, vv_span_of(at, len), &ignored);
}

/* The part's bytes end before the delimiter, which ends before `end` in the body. */
static void
end_part(vv_form *form, uint64_t end)
{
    vv_form_part *part = &form->parts[form->count - 1];
    part->len = (part->is_file ? end - form->delimiter_len : vv_buffer_len(form->text)) - part->at;
    form->state = BOUNDARY;
}

/* Takes bytes up to the end of the part, or all of them; returns how many. */
static size_t
on_data(vv_form *form, const uint8_t *bytes, size_t len)
{
    size_t at = 0;
    while (at < len) {
        if (form->matched == 0) {
            const uint8_t *cr = bytes[at] == '\r' ? bytes + at : memchr(bytes + at, '\r', len - at);
            size_t run = (cr != NULL ? (size_t)(cr - bytes) : len) - at;
            if (!on_text(form, bytes + at, run))
                return at;
            at += run + (cr != NULL);
            form->matched = cr != NULL;
        } else if (bytes[at] == form->delimiter[form->matched]) {
            at++;
            if (++form->matched == form->delimiter_len) {
                end_part(form, form->used + at);
                return at;
            }
        } else {
            if (!on_text(form, form->delimiter, form->matched))
                return at;
            form->matched = 0;
        }
    }
    return at;
}

vv_status
vv_form_feed(vv_form *form, vv_span bytes)
{
    for (size_t at = 0; at < bytes.len && form->status == VV_AGAIN;) {
        size_t took = 1;
        if (form->state == DATA)
            took = on_data(form, bytes.at + at, bytes.len - at);
        else if (!on_byte(form, bytes.at[at]))
            break;
        at += took;
        form->used += took;
    }
    return form->status;
}

vv_status
vv_form_end(vv_form *form)
{
    if (form->status != VV_AGAIN)
        return form->status;
    if (form->state == EPILOGUE || form->state == FINISHED)
        return VV_OK;
    malformed(form, "it ends before its last boundary");
    return form->status;
}

const char *
vv_form_fault(const vv_form *form, uint64_t *at)
{
    *at = form->status != VV_E_FORM_LIMIT ? form->used : 0;
    return form->fault != NULL ? form->fault : "";
}

/* ---- what it holds ---------------------------------------------------------------------------------------------- */

size_t
vv_form_count(const vv_form *form)
{
    return form->count;
}

const vv_form_part *
vv_form_at(const vv_form *form, size_t index)
{
    return &form->parts[index];
}

vv_span
vv_form_text_of(const vv_form *form, size_t at, size_t len)
{
    return vv_span_of(vv_buffer_front(form->text) + at, len);
}
