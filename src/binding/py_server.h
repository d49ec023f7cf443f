/* Server: a vv_server with a Python application on it.
 *
 * py_server.c is the Python type, py_app.c what the engine calls (vv_app), py_coroutine.c what becomes of coroutines.
 */
#ifndef VV_BINDING_PY_SERVER_H
#define VV_BINDING_PY_SERVER_H

#include "binding/py_blackbox.h"
#include "binding/py_errors.h"
#include "binding/py_request.h"
#include "binding/py_routes.h"
#include "binding/py_selector.h"
#include "binding/py_state.h"
#include "core/server/server.h"

typedef struct server_object {
    PyObject_HEAD
    module_state *state;        /* borrowed from the module, which the type holds */
    selector_object *selector;  /* owned */
    PyObject *app;              /* owned */
    routes_object *routes;      /* owned */
    PyTypeObject *request_type; /* owned: Request, or the application's own subtype */
    PyObject *on_exception;     /* owned: app._handle_exception */
    PyObject *on_refused;       /* owned: app._refused */
    PyObject *on_held;          /* owned: app._held, with debug on; else NULL */
    PyObject *on_access;        /* owned: takes the lines of the access log; NULL: they go to a descriptor or file */
    uint64_t access_lost;       /* lines of it that could not be written, known once closed */
    vv_limits limits;
    vv_server *server;          /* owned; NULL once closed */
    request_object *request;    /* owned; the one that is recycled from request to request; may be NULL */
    struct server_object *next; /* owned by the selector, whose list it is */
    black_box *box;             /* never NULL: in `memory`, or `own_box` */
    uint32_t *waiting;          /* in `memory`; NULL: nobody wants to know */
    Py_buffer memory;           /* owned; .obj is NULL when there is none */
    black_box own_box;
} server_object;

/* The engine's server of a Server; NULL, with RuntimeError, once it is closed. */
vv_server *server_opened(PyObject *server);

/* What the black box says after each turn. */
void server_note(const server_object *self);

/* One coroutine more, or less, waits in a handler of this route (NULL: of none). */
static inline void
server_count_waiting(const server_object *self, const route_plan *plan, uint32_t change)
{
    if (self->waiting != NULL && plan != NULL)
        self->waiting[plan->number] += change;
}

/* A later step of a coroutine begins (NULL: has ended). */
static inline void
server_note_step(const server_object *self, const route_plan *plan)
{
    if (self != NULL)
        self->box->running = plan != NULL ? plan->number : 0;
}

/* Closes every server of a selector, and lets go of them. */
void server_close_all(selector_object *selector);

/* py_app.c */
vv_app app_table(server_object *self, vv_unrouted wants_unrouted);

/* py_access.c: Server.log_access(). */
PyObject *server_log_access(PyObject *self, PyObject *args, PyObject *kwargs);

/* Answers with what a handler returned; steals the reference to `result`, which may be NULL (an exception is set). */
void app_answer(server_object *self, request_object *request, PyObject *result);

/* An exception that ends the program is under way: 500, and the end of the connection. */
void app_break_off(request_object *request);

/* Calls the handler of the request's route. New reference, or NULL with an exception. */
PyObject *app_call_handler(request_object *request);

/* Calls the done callbacks, once. */
void app_call_callbacks(request_object *request);

/* Puts the answer off, if it is not already: the connection holds the request until it is answered or lost. */
void request_hold(request_object *request);

/* Ends the use of a request after Python has returned: recycles or detaches it. Steals the reference. */
void request_release(server_object *self, request_object *request);

/* py_coroutine.c: runs a coroutine's first step at once; steals the reference to the coroutine.
 *
 *   value  written when it has ended: what it returned (new reference), or NULL with the exception that it raised.
 *
 * 1: it has ended, and the request is the caller's to answer. 0: it goes on, and will be answered by itself. */
int coroutine_start(server_object *self, request_object *request, PyObject *coroutine, PyObject **value);
/* A handler's twin has returned `value` (NULL: an exception is set), and raised or asked for the current task. Returns
 * as coroutine_start() does. */
int coroutine_end_twin(server_object *self, PyObject **value);
/* As coroutine_start(), and answers and releases the request; steals both references. */
void coroutine_drive(server_object *self, request_object *request, PyObject *coroutine);
/* Runs the next step of all coroutines that have waited for a turn of the loop. */
void coroutine_take_turns(selector_object *selector);
/* Forgets them: the selector ends. */
void coroutine_drop_turns(selector_object *selector);
/* The client of a pending coroutine has gone: it is cancelled. */
void coroutine_on_gone(PyObject *pending);

#endif
