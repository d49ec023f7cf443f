/* Selector: the engine as asyncio's selector, and the contexts and first steps that handlers run in.
 *
 * select() waits in the kernel without the GIL, serves every HTTP socket in C, calling handlers on the way, and comes
 * back when a descriptor of asyncio's own is ready, a handler has scheduled something, or the time is up.
 */
#ifndef VV_BINDING_PY_SELECTOR_H
#define VV_BINDING_PY_SELECTOR_H

#include "binding/py_state.h"
#include "core/io/loop.h"

struct server_object;
struct pending_object;
struct request_object;

/* A coroutine's step, which runs without a task until somebody asks for it (py_coroutine.c). */
typedef struct first_step {
    struct server_object *server;   /* borrowed; NULL: no first step is running */
    struct request_object *request; /* borrowed */
    PyObject *coroutine;            /* borrowed */
    struct pending_object *waited;  /* borrowed: whose step it is, when it is not the first; else NULL */
    struct pending_object *pending; /* owned; set when a task had to be made */
} first_step;

typedef struct selector_object {
    PyObject_HEAD
    module_state *state;           /* borrowed from the module, which the type holds */
    vv_loop *loop;                 /* owned; NULL once closed */
    PyObject *keys;                /* owned: dict of fd to SelectorKey */
    PyObject *map;                 /* owned: what get_map() gives */
    PyObject *ready;               /* owned: list of (key, events) during select() */
    PyObject *pyloop;              /* owned: the asyncio loop; NULL until attach() */
    PyObject *queue;               /* owned: its _ready, or NULL when it has none */
    PyObject *failure;             /* owned: an exception that must leave select() */
    struct server_object *servers; /* owned: a list; each serves until it is closed */
    PyObject *base;                /* owned: the context that handlers' contexts are copies of */
    PyObject *context;             /* owned: the context for the next handler */
    Py_ssize_t base_len;           /* variables in it */
    first_step step;
    struct pending_object *waiting, *waiting_last; /* owned queue: coroutines that asked for a turn of the loop */
    int waits;                                     /* coroutines that began to wait in this turn */
    int entered;                                   /* the context is the thread's current one */
    int selecting;                                 /* the engine is on the stack: nothing of it may be closed */
    int ran;                                       /* Python code of the application ran in this turn */
    int nested;     /* another selector waits for us: select() is not called once a turn, poll() is now and then */
    int exact_task; /* current_task() can be answered in a first step: the loop is a LoopBase */
} selector_object;

/* Makes self->context the current one. 0, or -1 with an exception. */
int selector_enter(selector_object *self);
void selector_leave(selector_object *self);
/* After a handler: a context that it has changed is not given to the next. */
void selector_wash(selector_object *self);
/* Hands the entered context over to somebody (new reference) and forgets it. NULL with an exception. */
PyObject *selector_give_context(selector_object *self);

/* Keeps the exception that is set, to be raised by select(). */
void selector_fail(selector_object *self);

/* An answer was given outside of select(): under somebody else's loop nobody would send it soon. */
void selector_nudge(selector_object *self);

/* Sends what waits to be sent, unless select() is about to. */
void selector_flush(selector_object *self);

/* Around Python that is called from the midst of the engine's work, in a turn or not: it may close nothing under its
 * feet. What selector_unpin() is to be given. */
static inline int
selector_pin(selector_object *self)
{
    int before = self->selecting;
    self->selecting = 1;
    return before;
}

static inline void
selector_unpin(selector_object *self, int before)
{
    self->selecting = before;
}

typedef struct loop_base_object {
    PyObject_HEAD
    selector_object *selector; /* borrowed; the selector clears it */
} loop_base_object;

#endif
