/* Request: what the handler sees of a request. While the handler runs it borrows from the engine's receive buffer; when
 * anybody still holds it after that, the head, the body and the parameters are copied once (request_detach) and it
 * lives on by itself. So keeping a request is always safe, and a request that nobody keeps costs no allocation.
 *
 * Rule 1: whoever hands a request to Python calls request_release() when Python has returned.
 * Rule 2: objects that look into the request (Headers) hold a reference to it, so that a count of one proves that
 *         nothing borrows from it.
 */
#ifndef VV_BINDING_PY_REQUEST_H
#define VV_BINDING_PY_REQUEST_H

#include "binding/py_routes.h"
#include "binding/py_state.h"
#include "core/server/app.h"

/* What is made on first use and kept: X(slot, attribute, doc). */
#define REQUEST_TABLE(X)                                                                                               \
    X(METHOD, method, "The method (RFC 9110 section 9), str.")                                                         \
    X(PATH, path, "The path, escapes decoded, without the query, str.")                                                \
    X(RAW_PATH, raw_path, "The path as sent, str.")                                                                    \
    X(QUERY_STRING, query_string, "What stands behind the '?' as sent, str; None without a '?'.")                      \
    X(QUERY, query, "The query's parameters, a MultiDict of str.")                                                     \
    X(COOKIES, cookies, "The cookies (RFC 6265 section 5.4), a dict of str.")                                          \
    X(BODY, body, "The body, bytes; None when the request announced none.")                                            \
    X(TEXT, text, "The body as str, by the charset of Content-Type or UTF-8; None without a body.")                    \
    X(JSON, json, "The body as JSON; None without a body. Malformed: vivace.exceptions.JSONError.")                    \
    X(FORM, form, "The fields of a form, a MultiDict of str; empty where the body is none.")                           \
    X(FILES, files, "The files of a form, a MultiDict of UploadedFile; empty where the body has none.")                \
    X(MIME_TYPE, mime_type, "The media type of Content-Type in lower case, str or None.")                              \
    X(ENCODING, encoding, "The charset of Content-Type, str or None.")                                                 \
    X(MATCH_DICT, match_dict, "All path parameters, converted, a dict.")                                               \
    X(REMOTE_ADDR, remote_addr, "The peer's IP address, str; None on a Unix socket.")                                  \
    X(HOSTNAME, hostname, "The host of the request's authority, without the port, str or None.")                       \
    X(PORT, port, "The port of the request's authority, int or None.")                                                 \
    X(STATE, state, "A namespace of the request's own.")

typedef enum request_slot {
#define X(slot, attribute, doc) SLOT_##slot,
    REQUEST_TABLE(X)
#undef X
        SLOT_CALLBACKS,
    SLOT_EXTENSIONS,
    SLOT_SPOOL,
    SLOT_COUNT,
} request_slot;

struct server_object;

/* What has become of the answer. */
enum {
    ANSWER_GIVEN = 1,
    ANSWER_FAILED = 2, /* error handlers were asked for one: they are not asked again */
    ANSWER_LOST = 4,   /* the client went before there was one */
};

typedef struct request_object {
    PyObject_HEAD
    struct server_object *server; /* owned */
    const vv_http1_request *req;  /* the engine's for now, or &own */
    const vv_match *match;        /* the engine's for now; NULL once detached: params, route */
    vv_span body, path;           /* borrowed, or in `memory`; body.at is NULL where it lies in a Spool */
    vv_conn *conn;                /* borrowed while the request is not answered; else NULL */
    vv_exchange *exchange;        /* borrowed while its answer is put off; else NULL */
    PyObject *pending;            /* owned: the coroutine that will answer (py_coroutine.c); NULL: none */
    const route_plan *plan;       /* borrowed from the server's routes; NULL without a route */
    uint32_t cached;              /* bit n: cache[n] is set */
    uint8_t tracked;              /* by the collector */
    uint8_t answered;             /* ANSWER_... */
    PyObject *cache[SLOT_COUNT];  /* owned */
    void *memory;                 /* owned: what a detached request looks at */
    vv_param *params;             /* in memory */
    vv_address peer;              /* once detached */
    vv_http1_request own;
} request_object;

/* A request without references to anything; from stock where there is one. NULL with MemoryError. */
request_object *request_new(struct server_object *server);

/* Copies what the request looks at into memory of its own. 0, or -1 with MemoryError. */
int request_detach(request_object *self);

/* The value of path parameter `index`, converted. New reference, or NULL with an exception. */
PyObject *request_param(request_object *self, size_t index);

/* The dict of what the application's own properties have given (py_extensions.c). Borrowed; NULL with MemoryError. */
PyObject *request_extensions(request_object *self);

/* Forgets everything, for the next request. Only when the caller holds the only reference. */
void request_reset(request_object *self);

/* From here on it can be part of a cycle: it holds something that the user may change. */
void request_track(request_object *self);

/* py_attributes.c: what Python sees of it but its methods. */
extern PyGetSetDef request_getset[];
PyObject *request_repr(PyObject *self);

/* What is kept in a slot: borrowed; NULL: nothing yet. */
static inline PyObject *
request_cached(const request_object *self, request_slot slot)
{
    return (self->cached >> slot & 1) != 0 ? self->cache[slot] : NULL;
}

/* Keeps `value` (stolen) in a slot that is empty. Borrowed; NULL where it is NULL: then nothing is kept. */
static inline PyObject *
request_cache(request_object *self, request_slot slot, PyObject *value)
{
    self->cache[slot] = value;
    if (value != NULL)
        self->cached |= 1u << slot;
    return value;
}

/* Whose request it is: of the connection, or the copy that it keeps once it is detached. */
static inline const vv_address *
request_peer(const request_object *self)
{
    return self->match != NULL && self->conn != NULL ? vv_conn_peer(self->conn) : &self->peer;
}

/* py_transport.c: request.transport. New reference. */
PyObject *transport_new(request_object *request);

#endif
