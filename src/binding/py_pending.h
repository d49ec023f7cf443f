/* Pending: a handler's coroutine that goes on after its first step, as its task sees it (py_pending.c), and as the
 * steps that are run without a task see it (py_coroutine.c).
 *
 * Ownership   the request holds its pending while it waits, the pending holds the request: pending_forget() parts them.
 */
#ifndef VV_BINDING_PY_PENDING_H
#define VV_BINDING_PY_PENDING_H

#include "binding/py_server.h"
#include "binding/py_watch.h"

typedef enum first_outcome {
    FIRST_NOT_RUN,  /* the task runs the first step too       */
    FIRST_RUNNING,  /* the task was made in the middle of it  */
    FIRST_YIELDED,  /* `first` is what was yielded            */
    FIRST_RETURNED, /* `first` is what was returned           */
    FIRST_RAISED,   /* `first` is the exception               */
    FIRST_PASSED,   /* it has been handed on                  */
} first_outcome;

typedef struct pending_object {
    PyObject_HEAD
    server_object *server;       /* owned; NULL once it has ended */
    request_object *request;     /* owned; NULL once it has ended */
    PyObject *coroutine;         /* owned */
    PyObject *task;              /* owned; NULL: none, or it has ended */
    PyObject *first;             /* owned: how the latest step without the task went */
    PyObject *context;           /* owned: to go on in, while it waits for its turn */
    struct pending_object *next; /* owned: behind it in the selector's queue, while it waits for its turn */
    uint8_t outcome;             /* first_outcome */
    uint8_t blocking;            /* `first` is a future that is awaited */
    uint8_t gone;                /* the client has gone: nobody waits for the answer */
    uint8_t counted;             /* in the black box */
} pending_object;

/* New reference, or NULL with MemoryError. */
pending_object *pending_new(server_object *server, request_object *request, PyObject *coroutine, first_outcome outcome);

/* A step of it was watched; unless it was parted from its request meanwhile, the request tells whose. */
static inline void
pending_end_watch(const pending_object *self, watched step)
{
    if (VV_UNLIKELY(step.server != NULL) && self->server == step.server && self->request != NULL)
        watch_end_of(step, self->request);
}

/* Puts the request's answer off: the connection holds the request, which holds the pending. 0, or -1 with MemoryError.
 */
int pending_hold(pending_object *self);

/* `value` (stolen) was yielded: the task will be given it. */
void pending_yielded(pending_object *self, PyObject *value);

/* Gives the pending its task, which goes on with it in `context` (stolen). `eager`: it starts at once, where CPython
 * can. `running`: a step is running in the context now. 0, or -1 with an exception. */
int pending_give_task(pending_object *self, PyObject *context, int eager, int running);

/* Throws an exception into the coroutine. What it yielded then; or NULL, with StopIteration or another exception. */
PyObject *pending_throw_into(PyObject *coroutine, PyObject *const *args, Py_ssize_t nargs);

/* The value of the StopIteration that is set, which is cleared. New reference; NULL when another exception is set. */
PyObject *pending_stop_value(void);

/* It has ended, or nobody waits for it any more: parts it from its request. */
void pending_forget(pending_object *self);

#endif
