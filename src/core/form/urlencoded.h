/* application/x-www-form-urlencoded (WHATWG URL section 5): names and values of queries and of simple forms.
 *
 * Ownership   borrows the text.
 * Threads     none.
 * Cost        one look at each byte.
 */
#ifndef VV_FORM_URLENCODED_H
#define VV_FORM_URLENCODED_H

#include "core/bytes/span.h"

/* Takes the next pair, as sent, off `rest`. 0 when none is left. A pair without '=' has an empty value; an empty pair
 * is passed over. */
int vv_urlencoded_next(vv_span *rest, vv_span *name, vv_span *value);

/* Whether the text has anything to decode. */
int vv_urlencoded_is_plain(vv_span text);

/* Decodes '+' and %XX; an escape that is none stays as it is.
 *
 *   out    room for text.len bytes.
 *   odd    written when an escape is none: where the first of them is, counted from the text's first byte.
 *
 * How many bytes were written. */
size_t vv_urlencoded_decode(vv_span text, uint8_t *out, size_t *odd);

#endif
