#include "binding/py_server.h"

#include "binding/py_descriptors.h"
#include "binding/py_limits.h"
#include "core/server/access_log.h"

static int
open_server(server_object *self, const vv_limits *limits)
{
    PyObject *wants = PyObject_GetAttr(self->app, self->state->name__wants_unrouted);
    int wants_unrouted = wants != NULL ? PyObject_IsTrue(wants) : -1;
    Py_XDECREF(wants);
    if (wants_unrouted < 0)
        return -1;
    if (vv_router_compile(self->routes->router) != VV_OK) {
        PyErr_NoMemory();
        return -1;
    }
    self->routes->in_use = 1;
    self->limits = *limits;
    vv_app app = app_table(self, wants_unrouted ? VV_UNROUTED_ALL : VV_UNROUTED_JSON);
    if (vv_server_new(&self->server, self->selector->loop, &app, self->routes->router, limits) != VV_OK) {
        PyErr_NoMemory();
        return -1;
    }
    self->next = self->selector->servers;
    self->selector->servers = (server_object *)Py_NewRef(self);
    return 0;
}

/* app._request_type: Request, or what new_request_type() has made of it. */
static int
take_request_type(server_object *self)
{
    PyTypeObject *base = self->state->request_type;
    PyObject *type = PyObject_GetAttr(self->app, self->state->name__request_type);
    if (type == NULL)
        return -1;
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, base) ||
        ((PyTypeObject *)type)->tp_basicsize != base->tp_basicsize) {
        PyErr_Format(PyExc_TypeError, "_request_type is no type of requests: %R", type);
        Py_DECREF(type);
        return -1;
    }
    self->request_type = (PyTypeObject *)type;
    return 0;
}

/* app._held, if app.debug says so. */
static int
take_on_held(server_object *self)
{
    PyObject *debug = PyObject_GetAttr(self->app, self->state->name_debug);
    int watches = debug != NULL ? PyObject_IsTrue(debug) : -1;
    Py_XDECREF(debug);
    if (watches <= 0)
        return watches;
    self->on_held = PyObject_GetAttr(self->app, self->state->name__held);
    return self->on_held != NULL ? 0 : -1;
}

static PyObject *
server_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    module_state *state = state_of_type(type);
    PyObject *selector, *app, *routes;
    vv_limits limits;
    if (state == NULL || state_load_json(state) < 0 ||
        !PyArg_ParseTuple(args, "O!OO!:Server", state->selector_type, &selector, &app, state->routes_type, &routes))
        return NULL;
    if (limits_read(kwargs, &limits) < 0)
        return NULL;
    if (!selector_is_open((selector_object *)selector))
        return NULL;
    server_object *self = (server_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->state = state;
    self->box = &self->own_box;
    self->selector = (selector_object *)Py_NewRef(selector);
    self->app = Py_NewRef(app);
    self->routes = (routes_object *)Py_NewRef(routes);
    self->on_exception = PyObject_GetAttr(app, state->name__handle_exception);
    self->on_refused = self->on_exception != NULL ? PyObject_GetAttr(app, state->name__refused) : NULL;
    if (self->on_refused == NULL || take_request_type(self) < 0 || take_on_held(self) < 0 ||
        open_server(self, &limits) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

/* Takes it out of the selector's list, whose reference goes to the caller. */
static void
leave_selector(server_object *self)
{
    server_object **at = &self->selector->servers;
    while (*at != self)
        at = &(*at)->next;
    *at = self->next;
}

static void
shut(server_object *self)
{
    if (self->server == NULL)
        return;
    vv_server *server = self->server;
    leave_selector(self);
    self->server = NULL;
    vv_server_abort(server);
    self->access_lost = vv_server_end_access_log(server);
    vv_server_free(server);
    Py_CLEAR(self->request); /* it holds us */
    Py_DECREF(self);
}

void
server_close_all(selector_object *selector)
{
    while (selector->servers != NULL)
        shut(selector->servers);
}

static int
server_traverse(PyObject *object, visitproc visit, void *arg)
{
    server_object *self = (server_object *)object;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->selector);
    Py_VISIT(self->app);
    Py_VISIT(self->routes);
    Py_VISIT(self->request_type);
    Py_VISIT(self->on_exception);
    Py_VISIT(self->on_refused);
    Py_VISIT(self->on_held);
    Py_VISIT(self->on_access);
    if (self->request != NULL) { /* it is not tracked, and ours alone: what it holds is held by us */
        Py_VISIT(self);
        Py_VISIT(Py_TYPE(self->request));
    }
    return 0;
}

static int
server_clear(PyObject *object)
{
    server_object *self = (server_object *)object;
    shut(self);
    Py_CLEAR(self->request);
    Py_CLEAR(self->on_exception);
    Py_CLEAR(self->on_refused);
    Py_CLEAR(self->on_held);
    Py_CLEAR(self->on_access);
    Py_CLEAR(self->app);
    Py_CLEAR(self->routes);
    Py_CLEAR(self->request_type);
    Py_CLEAR(self->selector);
    return 0;
}

static void
server_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    server_clear(object);
    PyBuffer_Release(&((server_object *)object)->memory); /* fine if there is none */
    type->tp_free(object);
    Py_DECREF(type);
}

vv_server *
server_opened(PyObject *object)
{
    vv_server *server = ((server_object *)object)->server;
    if (server == NULL)
        PyErr_SetString(PyExc_RuntimeError, "the server is closed");
    return server;
}

static PyObject *
server_listen(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"fd", "shared", NULL};
    int fd, shared = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i|$p:listen", names, &fd, &shared))
        return NULL;
    vv_server *server = server_opened(object);
    if (server == NULL)
        return NULL;
    switch (vv_server_listen(server, fd, shared)) {
    case VV_OK:
        Py_RETURN_NONE;
    case VV_E_NO_MEMORY:
        return PyErr_NoMemory();
    default:
        return PyErr_SetFromErrno(PyExc_OSError);
    }
}

static PyObject *
server_stop_listening(PyObject *object, PyObject *unused)
{
    if (((server_object *)object)->server != NULL)
        vv_server_stop_listening(((server_object *)object)->server);
    Py_RETURN_NONE;
}

static PyObject *
server_drain(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"keep", NULL};
    server_object *self = (server_object *)object;
    const char *text = "none";
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|s:drain", names, &text))
        return NULL;
    vv_keep keep = strcmp(text, "idle") == 0 ? VV_KEEP_IDLE : strcmp(text, "fresh") == 0 ? VV_KEEP_FRESH : VV_KEEP_NONE;
    if (keep == VV_KEEP_NONE && strcmp(text, "none") != 0) {
        PyErr_Format(PyExc_ValueError, "cannot keep \"%s\": none, fresh or idle", text);
        return NULL;
    }
    if (self->server != NULL) {
        vv_server_drain(self->server, keep);
        selector_flush(self->selector);
    }
    Py_RETURN_NONE;
}

static PyObject *
server_abort(PyObject *object, PyObject *unused)
{
    server_object *self = (server_object *)object;
    size_t count = 0;
    if (self->server != NULL) {
        count = vv_server_abort(self->server);
        selector_flush(self->selector);
    }
    return PyLong_FromSize_t(count);
}

void
server_note(const server_object *self)
{
    black_box *box = self->box;
    box->running = 0;
    if (self->waiting != NULL) {
        box->requests = vv_server_requests(self->server);
        box->connections = (uint32_t)vv_server_connections(self->server);
    }
}

static PyObject *
server_record(PyObject *object, PyObject *memory)
{
    server_object *self = (server_object *)object;
    Py_buffer view;
    if (self->memory.obj != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "there is a black box already");
        return NULL;
    }
    if (PyObject_GetBuffer(memory, &view, PyBUF_WRITABLE) < 0)
        return NULL;
    size_t routes = (size_t)self->routes->count + 1;
    if ((size_t)view.len < sizeof(black_box) + routes * sizeof(uint32_t) ||
        (uintptr_t)view.buf % _Alignof(black_box) != 0) {
        PyBuffer_Release(&view);
        PyErr_SetString(PyExc_ValueError, "the memory is too small for the routes, or not aligned");
        return NULL;
    }
    self->memory = view;
    self->box = view.buf;
    self->waiting = (uint32_t *)(self->box + 1);
    self->box->routes = (uint32_t)routes;
    Py_RETURN_NONE;
}

static PyObject *
server_close(PyObject *object, PyObject *unused)
{
    server_object *self = (server_object *)object;
    if (self->server != NULL && self->selector->selecting) {
        PyErr_SetString(PyExc_RuntimeError, "the server is serving: a handler cannot close it");
        return NULL;
    }
    shut(self);
    Py_RETURN_NONE;
}

static PyObject *
get_connections(PyObject *object, void *closure)
{
    vv_server *server = ((server_object *)object)->server;
    return PyLong_FromSize_t(server != NULL ? vv_server_connections(server) : 0);
}

static PyObject *
get_requests(PyObject *object, void *closure)
{
    vv_server *server = ((server_object *)object)->server;
    return PyLong_FromUnsignedLongLong(server != NULL ? vv_server_requests(server) : 0);
}

static PyObject *
get_access_lost(PyObject *object, void *closure)
{
    return PyLong_FromUnsignedLongLong(((server_object *)object)->access_lost);
}

static PyGetSetDef server_getset[] = {
    {"connections", get_connections, NULL, PyDoc_STR("Open connections."), NULL},
    {"requests", get_requests, NULL, PyDoc_STR("Requests handed to the application so far."), NULL},
    {"access_lost", get_access_lost, NULL,
     PyDoc_STR("Lines of the access log that could not be written; known once the server is closed."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef server_methods[] = {
    {"listen", (PyCFunction)(void (*)(void))server_listen, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("listen(fd, *, shared=False)\n--\n\nAccepts on a bound, listening, non-blocking socket, which stays the "
               "caller's. shared: other processes wait on it too.")},
    {"log_access", (PyCFunction)(void (*)(void))server_log_access, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("log_access(format, *, fd=2, path=None, color=False, worker=0, take=None)\n--\n\nWrites a line for "
               "every answer. Before listen().")},
    {"stop_listening", server_stop_listening, METH_NOARGS, PyDoc_STR("stop_listening()\n--\n\nAccepts no more.")},
    {"drain", (PyCFunction)(void (*)(void))server_drain, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("drain(keep=\"none\")\n--\n\nCloses idle connections now, the others when the requests in flight are "
               "answered.")},
    {"record", server_record, METH_O,
     PyDoc_STR("record(memory)\n--\n\nKeeps account in memory that another process looks at.")},
    {"abort", server_abort, METH_NOARGS,
     PyDoc_STR("abort()\n--\n\nCloses every connection now; returns how many were cut.")},
    {"close", server_close, METH_NOARGS,
     PyDoc_STR("close()\n--\n\nEnds it: closes every connection, and leaves the selector.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot server_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A listening HTTP server on a Selector.")},
    {Py_tp_new, server_new},
    {Py_tp_dealloc, server_dealloc},
    {Py_tp_traverse, server_traverse},
    {Py_tp_clear, server_clear},
    {Py_tp_getset, server_getset},
    {Py_tp_methods, server_methods},
    {0, NULL},
};

static PyType_Spec server_spec = {
    .name = "vivace._engine.Server",
    .basicsize = sizeof(server_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = server_slots,
};

int
server_init(PyObject *module, module_state *state)
{
    state->server_type = state_add_type(module, &server_spec, 1);
    return state->server_type != NULL ? 0 : -1;
}
