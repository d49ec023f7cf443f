/* multipart/form-data, taken apart while it arrives (RFC 7578, RFC 2046 section 5.1).
 *
 * Rule 1: what a field says is kept here; a file stays where the body is, and only its place in it is noted.
 * Rule 2: every byte is judged by itself and the state, so that the answer cannot depend on how the body was cut.
 * Rule 3: strict. Lines end in CRLF; each part has one Content-Disposition of type form-data with one name; nothing but
 *         an empty line may stand before the first boundary, and nothing but a line's end behind the last; a transfer
 *         encoding that changes bytes is refused (RFC 7578 section 4.7), and so is a file name in `filename*` alone
 *         (section 4.2).
 * Rule 4: a part with a `filename` is a file, any other a field.
 *
 * Ownership   vv_form_new() / vv_form_free().
 * Threads     none.
 * Cost        memchr() for the end of a line over the bytes of files; fields are copied once.
 */
#ifndef VV_FORM_FORM_H
#define VV_FORM_FORM_H

#include "core/bytes/span.h"
#include "core/compiler.h"
#include "core/status.h"

enum { VV_FORM_BOUNDARY_BYTES = 70 }; /* RFC 2046 section 5.1.1 */

typedef struct vv_form_limits {
    uint32_t parts;      /* fields and files                                                   */
    uint32_t head_bytes; /* header lines of one part                                           */
    uint64_t text_bytes; /* all that is kept here: fields, and the names and types of everything */
} vv_form_limits;

/* Text within vv_form_text(). */
typedef struct vv_form_text {
    size_t at, len;
} vv_form_text;

typedef struct vv_form_part {
    vv_form_text name, filename, type, charset; /* type: Content-Type as sent; len 0 where there is none */
    uint64_t at, len;                           /* a file: in the body; a field: in the form's text      */
    uint8_t is_file;
} vv_form_part;

typedef struct vv_form vv_form;

/* What Content-Type says of a form.
 *
 *   boundary   written on VV_OK: owned by the caller, room for VV_FORM_BOUNDARY_BYTES; *len its length.
 *
 * VV_OK, VV_AGAIN (it is not multipart/form-data), or VV_E_FORM: it is, without a boundary that is one. */
VV_NODISCARD vv_status vv_form_boundary(vv_span content_type, uint8_t *boundary, size_t *len);

/* A form with nothing in it yet. VV_OK or VV_E_NO_MEMORY. */
VV_NODISCARD vv_status vv_form_new(vv_form **out, vv_span boundary, const vv_form_limits *limits);
void vv_form_free(vv_form *form); /* NULL is fine */

/* Takes the next bytes of the body. VV_AGAIN: go on; VV_E_FORM: malformed; VV_E_FORM_LIMIT: one of the limits is
 * passed; VV_E_NO_MEMORY. A failure stays: further bytes are not looked at. */
vv_status vv_form_feed(vv_form *form, vv_span bytes);

/* The body is at its end. VV_OK: the form is whole; otherwise as vv_form_feed(). */
VV_NODISCARD vv_status vv_form_end(vv_form *form);

/* Why it failed, in words, and at which byte of the body; 0 where that is not the point. */
const char *vv_form_fault(const vv_form *form, uint64_t *at);

/* Its parts in the order sent, once vv_form_end() has answered VV_OK. */
size_t vv_form_count(const vv_form *form);
const vv_form_part *vv_form_at(const vv_form *form, size_t index);
vv_span vv_form_text_of(const vv_form *form, size_t at, size_t len);

#endif
