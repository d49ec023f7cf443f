/* What a request's body says: text, JSON, forms and their files. Each is made on first use (py_request.h keeps it).
 *
 * A body that was too long for memory lies in a Spool, which the request, and every file of its form, holds.
 */
#ifndef VV_BINDING_PY_BODY_H
#define VV_BINDING_PY_BODY_H

#include "binding/py_request.h"
#include "core/form/form.h"
#include "core/io/spool.h"

/* A vv_spool as an object, with the form that was taken apart on its way. It refers to no object: no cycle. */
typedef struct spool_object {
    PyObject_HEAD
    vv_spool *spool; /* owned */
    vv_form *form;   /* owned; NULL: it is no form of several parts */
} spool_object;

/* Steals both. NULL with MemoryError: they are freed. */
PyObject *spool_object_of(module_state *state, vv_spool *spool, vv_form *form);

/* Bytes of the file, read without the GIL. New reference, or NULL with OSError or MemoryError. */
PyObject *spool_bytes(PyObject *spool, uint64_t at, uint64_t len);

/* An UploadedFile: `len` bytes from `at` on of `source`, which is a Spool or bytes. What is given is borrowed.
 * `content_type` may be None. NULL with MemoryError. */
PyObject *uploaded_file_of(module_state *state, PyObject *source, uint64_t at, uint64_t len, PyObject *field,
                           PyObject *filename, PyObject *content_type);

/* py_body.c. New references, or NULL with an exception. */
int body_is_there(const request_object *request); /* whether the request announced one */
PyObject *body_bytes(request_object *request);
PyObject *body_text(request_object *request);
PyObject *body_json(request_object *request);
PyObject *body_mime_type(const request_object *request);
PyObject *body_encoding(const request_object *request);

/* The Spool, borrowed from the request; only where the body is one: body.at is NULL. NULL with an exception. */
PyObject *body_spool(request_object *request);

/* What Content-Type says; empty: nothing. */
vv_span body_content_type(const request_object *request);

/* The media type at its front, in lower case, as str; None where there is none. New reference, or NULL with
 * MemoryError.
 */
PyObject *media_type_of(vv_span content_type);

/* Bytes as str by a charset that a client has named; empty: UTF-8. What cannot be decoded raises `error`, a BodyError
 * or a subclass: 400, or 415 where the charset is unknown. `what` begins the sentence: "The body". */
PyObject *body_decoded(module_state *state, vv_span bytes, vv_span charset, PyObject *error, const char *what);

/* Raises `error(status, detail)`; the format is PyUnicode_FromFormat()'s. NULL always. */
PyObject *body_raise(PyObject *error, int status, const char *format, ...);

/* py_multipart.c: both of request.form and request.files, a pair. New reference, or NULL with an exception. */
PyObject *form_and_files(request_object *request);

#endif
