/* Headers and MultiDict: multi-mappings, ordered, with the first value under [...].
 *
 * Headers looks into its request, which it holds (py_request.h, Rule 2), and makes only the strings that are asked for.
 * MultiDict owns a list of (name, value) pairs.
 */
#ifndef VV_BINDING_PY_MAPPINGS_H
#define VV_BINDING_PY_MAPPINGS_H

#include "binding/py_request.h"

/* The header fields of a request. New reference, or NULL with MemoryError. */
PyObject *headers_new(request_object *request);

/* A MultiDict of a list of pairs (stolen). NULL with MemoryError. */
PyObject *multidict_of(module_state *state, PyObject *pairs);

/* Appends (name, value) to a list of pairs; steals both, either of which may be NULL with an exception. 0 or -1. */
int pairs_add(PyObject *list, PyObject *name, PyObject *value);

/* The get() of a mapping whose `subscript` raises KeyError for what it has not. New reference, or NULL with an
 * exception.
 */
PyObject *mapping_get(PyObject *object, PyObject *const *args, Py_ssize_t nargs, binaryfunc subscript);

/* application/x-www-form-urlencoded text as a list of (name, value) pairs of str: '+' is a space, escapes that are
 * none stay as they are, and what is no UTF-8 is replaced. NULL with MemoryError. */
PyObject *query_pairs(vv_span text);

/* The pairs of all Cookie fields as a dict (RFC 6265 section 5.4); the first of a name wins. NULL with an exception. */
PyObject *cookies_of(const request_object *request);

#endif
