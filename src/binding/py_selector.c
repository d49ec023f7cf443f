#include "binding/py_selector.h"

#include <math.h>

#include "binding/py_descriptors.h"
#include "binding/py_errors.h"
#include "binding/py_server.h"

void
selector_fail(selector_object *self)
{
    PyObject *value = take_exception();
    if (self->failure == NULL)
        self->failure = value;
    else
        Py_XDECREF(value);
}

static int
raise_failure(selector_object *self)
{
    if (VV_LIKELY(self->failure == NULL))
        return 0;
    PyObject *failure = self->failure;
    self->failure = NULL;
    raise_taken(failure);
    return -1;
}

/* ---- select ----------------------------------------------------------------------------------------------------- */

static void
flush_servers(selector_object *self)
{
    for (server_object *at = self->servers; at != NULL; at = at->next) {
        vv_server_flush(at->server);
        server_note(at);
    }
}

static int
servers_next_ms(const selector_object *self, int ms)
{
    for (const server_object *at = self->servers; at != NULL; at = at->next) {
        int next = vv_server_next_ms(at->server);
        if (next >= 0 && (ms < 0 || next < ms))
            ms = next;
    }
    return ms;
}

static Py_ssize_t
scheduled_count(const selector_object *self)
{
    PyObject *timers = PyObject_GetAttr(self->pyloop, self->state->name__scheduled);
    Py_ssize_t count = timers != NULL ? PyObject_Size(timers) : -1;
    Py_XDECREF(timers);
    PyErr_Clear();
    return count;
}

/* Whether the application has given asyncio something to do. */
static int
has_work(const selector_object *self, Py_ssize_t scheduled)
{
    if (self->queue == NULL || PyObject_Size(self->queue) != 0 || scheduled_count(self) != scheduled)
        return 1;
    PyObject *stopping = PyObject_GetAttr(self->pyloop, self->state->name__stopping);
    int stops = stopping != Py_False;
    Py_XDECREF(stopping);
    PyErr_Clear();
    return stops;
}

/* One turn: wait, then serve. `scheduled`: how many timers asyncio had when select() began. 0, or -1 with an
 * exception. */
static int
turn(selector_object *self, int timeout_ms, Py_ssize_t scheduled)
{
    int count;
    if (self->waiting != NULL)
        coroutine_take_turns(self); /* asyncio has had its turn since they began to wait */
    flush_servers(self);
    int ms = timeout_ms == 0 || self->waiting != NULL ? 0 : servers_next_ms(self, timeout_ms);
    /* A connection that could go on after its answers had left may have called handlers just now. */
    if (ms != 0 && (self->failure != NULL || (self->ran && (self->pyloop == NULL || has_work(self, scheduled)))))
        ms = 0;
    if (ms == 0) {
        count = vv_loop_wait(self->loop, 0);
    } else {
        selector_leave(self);
        PyThreadState *thread = PyEval_SaveThread();
        count = vv_loop_wait(self->loop, ms);
        PyEval_RestoreThread(thread);
    }
    if (VV_UNLIKELY(count < 0)) {
        PyErr_SetFromErrno(PyExc_OSError);
        selector_leave(self);
        return -1;
    }
    for (server_object *at = self->servers; at != NULL; at = at->next)
        vv_server_turn(at->server);
    self->waits = 0;
    if (count > 0)
        vv_loop_dispatch(self->loop);
    flush_servers(self);
    selector_leave(self);
    /* Requests that never reach Python must not keep a Ctrl-C from it. */
    if (VV_UNLIKELY(PyErr_CheckSignals() < 0))
        return -1;
    return raise_failure(self);
}

/* Turns until there is something for asyncio to do, or the time is up. */
static int
turns(selector_object *self, double timeout)
{
    if (timeout > 86400)
        timeout = 86400; /* what asyncio asks for at most; coming back early is no mistake */
    self->ran = 0;
    if (timeout == 0.0 || self->pyloop == NULL)
        return turn(self, timeout < 0 ? -1 : (int)ceil(timeout * 1e3), 0);

    Py_ssize_t scheduled = scheduled_count(self);
    int64_t deadline = timeout < 0 ? INT64_MAX : vv_loop_clock_ns() + (int64_t)(timeout * 1e9);
    for (;;) {
        int ms = -1;
        if (timeout > 0) {
            int64_t left = deadline - vv_loop_clock_ns();
            if (left <= 0)
                return 0;
            ms = (int)((left + 999999) / 1000000);
        }
        if (turn(self, ms, scheduled) < 0)
            return -1;
        if (self->ready != NULL || (self->ran && has_work(self, scheduled)))
            return 0;
        self->ran = 0;
    }
}

static PyObject *
selector_select(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    selector_object *self = (selector_object *)object;
    double timeout = -1;
    if (kwnames != NULL && nargs == 0 && PyTuple_GET_SIZE(kwnames) == 1 &&
        PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "timeout") == 0)
        nargs = 1; /* its value is the first all the same */
    else if (nargs > 1 || (kwnames != NULL && PyTuple_GET_SIZE(kwnames) > 0)) {
        PyErr_SetString(PyExc_TypeError, "select() takes one timeout");
        return NULL;
    }
    if (nargs == 1 && args[0] != Py_None) {
        timeout = PyFloat_AsDouble(args[0]);
        if (timeout == -1.0 && PyErr_Occurred())
            return NULL;
        if (!(timeout > 0))
            timeout = 0;
    }
    if (!selector_is_open(self))
        return NULL;
    if (self->selecting) {
        PyErr_SetString(PyExc_RuntimeError, "the event loop is running already: a handler cannot run it again");
        return NULL;
    }
    self->selecting = 1;
    int result = turns(self, timeout);
    self->selecting = 0;
    PyObject *ready = self->ready;
    self->ready = NULL;
    if (result < 0)
        Py_CLEAR(ready);
    else if (ready == NULL)
        ready = PyList_New(0);
    return ready;
}

/* Under another loop: what is ready, now. */
static PyObject *
selector_poll(PyObject *object, PyObject *unused)
{
    PyObject *zero = PyLong_FromLong(0), *ready = NULL;
    if (zero != NULL)
        ready = selector_select(object, &zero, 1, NULL);
    Py_XDECREF(zero);
    if (ready == NULL)
        return NULL;
    Py_DECREF(ready);
    Py_RETURN_NONE;
}

void
selector_flush(selector_object *self)
{
    if (self->selecting)
        return;
    self->selecting = 1; /* done callbacks run on the way: nothing may be closed under our feet */
    flush_servers(self);
    self->selecting = 0;
    selector_leave(self);
}

void
selector_nudge(selector_object *self)
{
    if (self->nested)
        selector_flush(self);
}

/* ---- the object ------------------------------------------------------------------------------------------------- */

static void
detach_loop(selector_object *self)
{
    if (self->pyloop != NULL && self->exact_task)
        ((loop_base_object *)self->pyloop)->selector = NULL;
    self->exact_task = 0;
    Py_CLEAR(self->queue);
    Py_CLEAR(self->pyloop);
}

static PyObject *
selector_attach(PyObject *object, PyObject *pyloop)
{
    selector_object *self = (selector_object *)object;
    if (!selector_is_open(self))
        return NULL;
    detach_loop(self);
    self->pyloop = Py_NewRef(pyloop);
    self->queue = PyObject_GetAttr(pyloop, self->state->name__ready);
    PyErr_Clear(); /* without one it is not of asyncio's own */
    PyObject *its = PyObject_GetAttr(pyloop, self->state->name__selector);
    PyErr_Clear();
    self->nested = its != object;
    Py_XDECREF(its);
#if PY_VERSION_HEX < 0x030E0000
    /* Until 3.13 current_task() finds the task by the loop's hash, which is where LoopBase comes in. */
    if (!self->nested && PyObject_TypeCheck(pyloop, self->state->loop_base_type)) {
        ((loop_base_object *)pyloop)->selector = self;
        self->exact_task = 1;
    }
#endif
    Py_RETURN_NONE;
}

static PyObject *
selector_close(PyObject *object, PyObject *unused)
{
    selector_object *self = (selector_object *)object;
    if (self->selecting) {
        PyErr_SetString(PyExc_RuntimeError, "the selector is serving: stop the loop first");
        return NULL;
    }
    server_close_all(self);
    coroutine_drop_turns(self);
    vv_loop_close(self->loop);
    self->loop = NULL;
    detach_loop(self);
    Py_CLEAR(self->keys);
    selector_drop_map(self);
    Py_RETURN_NONE;
}

static PyObject *
context_enter(PyObject *object, PyObject *unused)
{
    return Py_NewRef(object);
}

static PyObject *
context_exit(PyObject *object, PyObject *unused)
{
    return selector_close(object, NULL);
}

static PyObject *
selector_fileno(PyObject *object, PyObject *unused)
{
    selector_object *self = (selector_object *)object;
    return selector_is_open(self) ? PyLong_FromLong(vv_loop_fd(self->loop)) : NULL;
}

static PyObject *
selector_get_io(PyObject *object, void *closure)
{
    selector_object *self = (selector_object *)object;
    return selector_is_open(self) ? PyUnicode_FromString(vv_loop_name(self->loop)) : NULL;
}

static int
kind_of(const char *io)
{
    static const char *const names[] = {[VV_LOOP_AUTO] = "auto", [VV_LOOP_EPOLL] = "epoll", [VV_LOOP_URING] = "uring"};
    for (int kind = 0; kind <= VV_LOOP_URING; kind++)
        if (strcmp(io, names[kind]) == 0)
            return kind;
    return -1;
}

static PyObject *
selector_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"io", NULL};
    const char *io = "auto";
    module_state *state = state_of_type(type);
    if (state == NULL || !PyArg_ParseTupleAndKeywords(args, kwargs, "|s:Selector", names, &io))
        return NULL;
    int kind = kind_of(io);
    if (kind < 0) {
        PyErr_Format(PyExc_ValueError, "unknown io back-end \"%s\": use auto, epoll or uring", io);
        return NULL;
    }
    selector_object *self = (selector_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->state = state;
    vv_loop_events events = {.self = self, .on_ready = selector_on_ready};
    if (vv_loop_open(&self->loop, (vv_loop_kind)kind, &events) != VV_OK) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(self);
        return NULL;
    }
    self->keys = PyDict_New();
    self->map = selector_new_map(self);
    if (self->keys == NULL || self->map == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int
selector_traverse(PyObject *object, visitproc visit, void *arg)
{
    selector_object *self = (selector_object *)object;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->keys);
    Py_VISIT(self->map);
    Py_VISIT(self->ready);
    Py_VISIT(self->pyloop);
    Py_VISIT(self->queue);
    Py_VISIT(self->failure);
    Py_VISIT(self->base);
    Py_VISIT(self->context);
    Py_VISIT(self->waiting);
    for (server_object *at = self->servers; at != NULL; at = at->next)
        Py_VISIT(at);
    return 0;
}

static int
selector_clear(PyObject *object)
{
    selector_object *self = (selector_object *)object;
    server_close_all(self);
    coroutine_drop_turns(self);
    detach_loop(self);
    Py_CLEAR(self->keys);
    selector_drop_map(self);
    Py_CLEAR(self->ready);
    Py_CLEAR(self->failure);
    Py_CLEAR(self->base);
    Py_CLEAR(self->context);
    return 0;
}

static void
selector_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    selector_clear(object);
    vv_loop_close(((selector_object *)object)->loop);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyGetSetDef selector_getset[] = {
    {"io", selector_get_io, NULL, PyDoc_STR("The name of the I/O back-end in use."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define KEYWORDS(function) (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS

static PyMethodDef selector_methods[] = {
    {"register", KEYWORDS(selector_register),
     PyDoc_STR("register(fileobj, events, data=None)\n--\n\nAs selectors.BaseSelector.register.")},
    {"unregister", selector_unregister, METH_O,
     PyDoc_STR("unregister(fileobj)\n--\n\nAs selectors.BaseSelector.unregister.")},
    {"modify", KEYWORDS(selector_modify),
     PyDoc_STR("modify(fileobj, events, data=None)\n--\n\nAs selectors.BaseSelector.modify.")},
    {"select", (PyCFunction)(void (*)(void))selector_select, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("select(timeout=None)\n--\n\nServes HTTP until a registered descriptor is ready or the loop has work; "
               "[(key, events), ...].")},
    {"poll", selector_poll, METH_NOARGS, PyDoc_STR("poll()\n--\n\nServes what is ready, without waiting.")},
    {"get_key", selector_get_key, METH_O, PyDoc_STR("get_key(fileobj)\n--\n\nAs selectors.BaseSelector.get_key.")},
    {"get_map", selector_get_map, METH_NOARGS, PyDoc_STR("get_map()\n--\n\nAs selectors.BaseSelector.get_map.")},
    {"attach", selector_attach, METH_O,
     PyDoc_STR("attach(loop)\n--\n\nNames the loop that handlers' tasks are made on.")},
    {"fileno", selector_fileno, METH_NOARGS, PyDoc_STR("fileno()\n--\n\nReadable when poll() has something to serve.")},
    {"close", selector_close, METH_NOARGS, PyDoc_STR("close()\n--\n\nCloses servers and connections.")},
    {"__enter__", context_enter, METH_NOARGS, NULL},
    {"__exit__", context_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot selector_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("The engine as asyncio's selector.")},
    {Py_tp_new, selector_new},
    {Py_tp_dealloc, selector_dealloc},
    {Py_tp_traverse, selector_traverse},
    {Py_tp_clear, selector_clear},
    {Py_tp_getset, selector_getset},
    {Py_tp_methods, selector_methods},
    {0, NULL},
};

static PyType_Spec selector_spec = {
    .name = "vivace._engine.Selector",
    .basicsize = sizeof(selector_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = selector_slots,
};

int
selector_init(PyObject *module, module_state *state)
{
    state->selector_type = state_add_type(module, &selector_spec, 1);
    return state->selector_type != NULL ? 0 : -1;
}
