/* The parameters behind the value of a field (RFC 9110 section 5.6.6): `; name=token; name="quoted text"`.
 *
 * In a quoted text a backslash makes the quote or backslash behind it text; before anything else it stands for itself,
 * as file names of another system's kind are sent unescaped ("C:\files\a.txt").
 *
 * Ownership   borrows the text.
 * Threads     none.
 * Cost        one look at each byte.
 */
#ifndef VV_FORM_PARAMETERS_H
#define VV_FORM_PARAMETERS_H

#include "core/bytes/span.h"
#include "core/compiler.h"
#include "core/status.h"

typedef struct vv_parameter {
    vv_span name;
    vv_span value;  /* without its quotes, backslashes as sent */
    uint8_t quoted; /* vv_parameter_text() undoes the backslashes */
} vv_parameter;

/* What stands before the first ';', without white space around it; `rest` becomes what follows. */
vv_span vv_parameters_begin(vv_span *rest);

/* Takes the next parameter off `rest`. VV_OK; VV_AGAIN: none is left; VV_E_SYNTAX: what comes is none,
 * and stays in `rest`. */
VV_NODISCARD vv_status vv_parameter_next(vv_span *rest, vv_parameter *out);

/* Writes the value as it is meant; returns its length, at most value.len, for which `out` has room. */
size_t vv_parameter_text(const vv_parameter *parameter, uint8_t *out);

#endif
