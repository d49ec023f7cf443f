/* Response: an answer, immutable but for set_cookie(). Kept and returned as often as its owner likes.
 *
 * Ownership   holds only str, bytes and a list of its own, so that it can be in no cycle and needs no collector.
 * Cost        one recycled struct; text is not copied until it is written to the output.
 */
#ifndef VV_BINDING_PY_RESPONSE_H
#define VV_BINDING_PY_RESPONSE_H

#include "binding/py_spans.h"
#include "binding/py_state.h"
#include "core/http1/write.h"

typedef struct response_object {
    PyObject_HEAD
    PyObject *text;       /* str, or NULL                                                                */
    PyObject *body;       /* bytes, or NULL                                                              */
    PyObject *mime_type;  /* str, or NULL: the default of what it holds                                  */
    PyObject *encoding;   /* str, or NULL                                                                */
    PyObject *headers;    /* list of (name, value), or NULL                                              */
    PyObject *media_type; /* bytes: Content-Type as sent, for VV_MEDIA_OTHER                             */
    PyObject *fields;     /* bytes: `headers` as sent, or NULL                                           */
    uint16_t status;
    uint8_t media; /* vv_media */
    uint8_t close; /* "Connection: close" was among the headers */
} response_object;

/* Response(...) as called with vectorcall conventions. New reference, or NULL with TypeError, ValueError or what the
 * JSON encoder raised. */
PyObject *response_make(module_state *state, PyTypeObject *type, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames);

/* Fills `reply` with what the response says; it borrows from the response. 0, or -1 with an exception. */
int response_reply(response_object *response, vv_reply *reply);

#endif
