/* What the module keeps: its types, its interned names and what it borrows of other modules. One per interpreter.
 *
 * Objects that live on the hot path hold a pointer to it, so that no look-up by type is needed there.
 */
#ifndef VV_BINDING_PY_STATE_H
#define VV_BINDING_PY_STATE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "core/http1/method.h"

/* Strings that are compared by identity or looked up again and again: X(name) makes state->name. */
/* clang-format off */
#define NAME_TABLE(X) \
    X(text) X(code) X(body) X(json) X(mime_type) X(encoding) X(headers) X(cookies) X(status) X(loop) \
    X(context) X(eager_start) X(cancel) X(_ready) X(_selector) X(_scheduled) \
    X(_stopping) X(_handle_exception) X(_wants_unrouted) X(_refused) X(_request_type) X(_held) X(debug) X(fileobj) X(fd) \
    X(get_task_factory) X(create_task) X(__dict__) \
    X(_asyncio_future_blocking) X(args)
/* clang-format on */

enum { RESPONSE_STOCK = 64, REQUEST_STOCK = 1024, STRING_PAIR_BITS = 8 };

typedef struct string_pair {
    PyObject *newer, *older; /* owned str, or NULL */
} string_pair;

typedef struct module_state {
    PyTypeObject *request_type; /* owned, as all below */
    PyTypeObject *response_type;
    PyTypeObject *headers_type;
    PyTypeObject *multidict_type;
    PyTypeObject *routes_type;
    PyTypeObject *server_type;
    PyTypeObject *selector_type;
    PyTypeObject *selector_map_type;
    PyTypeObject *loop_base_type;
    PyTypeObject *pending_type;
    PyTypeObject *transport_type;
    PyTypeObject *kept_property_type;
    PyTypeObject *spool_type;
    PyTypeObject *uploaded_file_type;

#define X(name) PyObject *name_##name;
    NAME_TABLE(X)
#undef X
    PyObject *methods[VV_METHOD_OTHER]; /* interned str */
    PyObject *version_10, *version_11, *scheme_http;

    PyObject *json_encode, *json_decode; /* msgspec.json, once there is a server or state_load_json() was called */
    PyObject *json_error;                /* vivace.exceptions.JSONError      */
    PyObject *body_error, *form_error;   /* vivace.exceptions.BodyError ...  */
    PyObject *charsets;                  /* vivace.charsets.CHARSETS         */
    PyObject *not_found;                 /* vivace.exceptions.RouteNotFoundException */
    PyObject *method_not_allowed;        /* vivace.exceptions.method_not_allowed     */
    PyObject *task_type;                 /* asyncio.Task                     */
    PyObject *enter_task, *leave_task;   /* asyncio.tasks._enter_task ...    */
    PyObject *running_loop;              /* asyncio._get_running_loop        */
    PyObject *cancelled_error;           /* asyncio.CancelledError           */
    PyObject *selector_key;              /* selectors.SelectorKey            */
    PyObject *namespace_type;            /* types.SimpleNamespace            */
    PyObject *uuid_type;                 /* uuid.UUID, on first use          */
    PyObject *task_keywords;             /* ("loop", "context"[, "eager_start"]) */

    /* Recycled objects, each list linked through the object's first own field. */
    struct response_object *responses;
    struct request_object *requests;
    unsigned response_count, request_count;
    PyObject *spare_headers; /* not referenced: a Headers that ended */

    string_pair strings[1 << STRING_PAIR_BITS]; /* py_strings.h */
} module_state;

extern PyModuleDef vivace_engine_module;

/* An object from stock lives again. Debug builds of CPython keep account of what lives. */
static inline void
state_revive(PyObject *object)
{
#if defined(Py_REF_DEBUG) || defined(Py_TRACE_REFS)
    _Py_NewReference(object);
#else
    Py_SET_REFCNT(object, 1);
#endif
}

/* Imports msgspec, which takes longer than all the rest: not before it is needed. 0, or -1 with an exception. */
int state_load_json(module_state *state);

/* The state, from a type of ours or a subclass of one. NULL with TypeError when it is none. */
module_state *state_of_type(PyTypeObject *type);

/* Each makes its type(s) and keeps them in the state; 0, or -1 with an exception. */
int request_init(PyObject *module, module_state *state);
int response_init(PyObject *module, module_state *state);
int mappings_init(PyObject *module, module_state *state);
int routes_init(PyObject *module, module_state *state);
int server_init(PyObject *module, module_state *state);
int descriptors_init(PyObject *module, module_state *state);
int selector_init(PyObject *module, module_state *state);
int pending_init(PyObject *module, module_state *state);
int coroutine_init(PyObject *module, module_state *state);
int transport_init(PyObject *module, module_state *state);
int extensions_init(PyObject *module, module_state *state);
int upload_init(PyObject *module, module_state *state);

/* new_request_type() of the module: a subtype of Request, to be filled with an application's extensions. */
PyObject *extensions_new_type(PyObject *module, PyObject *unused);

void request_free_stock(module_state *state);
void response_free_stock(module_state *state);
void headers_free_stock(module_state *state);

/* Makes a heap type from its spec, adds it to the module under its name when `public`. NULL with an exception. */
PyTypeObject *state_add_type(PyObject *module, PyType_Spec *spec, int public);

#endif
