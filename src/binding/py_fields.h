/* A Response's header fields and cookies as they are sent: checked once, when they are given. */
#ifndef VV_BINDING_PY_FIELDS_H
#define VV_BINDING_PY_FIELDS_H

#include "binding/py_response.h"

/* Adds what is given of `headers`, a mapping or pairs, and of `cookies`, a SimpleCookie; either may be NULL. `typed`:
 * the media type was given already, and is none of theirs. 0, or -1 with TypeError, ValueError or what they raised. */
int response_set_headers(response_object *self, PyObject *headers, PyObject *cookies, int typed);

/* The bytes of a header's value: Latin-1, as every peer reads them. New reference, or NULL with ValueError. */
PyObject *header_value_bytes(PyObject *name, PyObject *value);

/* Response.set_cookie(). */
PyObject *response_set_cookie(PyObject *self, PyObject *args, PyObject *kwargs);

#endif
