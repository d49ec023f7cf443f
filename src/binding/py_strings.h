/* Strings that come again: a header's value is mostly the one that the last request had.
 *
 * A small table keeps the last two short texts of each slot, so that they are found again instead of being made and
 * freed with every request. What is found is compared byte by byte: a wrong guess costs time only.
 */
#ifndef VV_BINDING_PY_STRINGS_H
#define VV_BINDING_PY_STRINGS_H

#include "binding/py_state.h"
#include "core/bytes/span.h"

enum { STRING_KEPT_BYTES = 64 }; /* longer texts are made anew each time */

/* The text as str, by ISO 8859-1 (RFC 9110 section 5.5). New reference, or NULL with MemoryError. */
PyObject *strings_latin1(module_state *state, vv_span text);

/* Forgets them all. */
void strings_clear(module_state *state);

#endif
