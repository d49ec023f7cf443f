/* request.transport: as much of asyncio's transport as makes sense above an engine that does the writing itself. */
#include "binding/py_request.h"
#include "binding/py_server.h"

typedef struct transport_object {
    PyObject_HEAD
    request_object *request; /* owned */
} transport_object;

PyObject *
transport_new(request_object *request)
{
    PyTypeObject *type = request->server->state->transport_type;
    transport_object *self = (transport_object *)type->tp_alloc(type, 0);
    if (self != NULL)
        self->request = (request_object *)Py_NewRef(request);
    return (PyObject *)self;
}

/* It may be kept in the state of its own request. The request lets go of it, so that it needs no tp_clear. */
static int
transport_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((transport_object *)object)->request);
    return 0;
}

static void
transport_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    Py_XDECREF(((transport_object *)object)->request);
    type->tp_free(object);
    Py_DECREF(type);
}

/* NULL when the request is answered, or its connection closed: that may be in this turn, in this very handler. */
static vv_conn *
conn_of(PyObject *object)
{
    vv_conn *conn = ((transport_object *)object)->request->conn;
    return conn != NULL && vv_conn_fd(conn) >= 0 ? conn : NULL;
}

static PyObject *
address_tuple(const vv_address *address)
{
    char text[VV_ADDRESS_TEXT_BYTES];
    size_t len = vv_address_text(address, text);
    if (len == 0)
        return PyUnicode_FromString("");
    return Py_BuildValue("(s#i)", text, (Py_ssize_t)len, (int)address->port);
}

static PyObject *
transport_get_extra_info(PyObject *object, PyObject *args)
{
    const char *name;
    PyObject *fallback = Py_None;
    if (!PyArg_ParseTuple(args, "s|O:get_extra_info", &name, &fallback))
        return NULL;
    const request_object *request = ((transport_object *)object)->request;
    vv_conn *conn = conn_of(object);
    if (strcmp(name, "peername") == 0)
        return address_tuple(request_peer(request));
    if (conn == NULL || (strcmp(name, "socket") != 0 && strcmp(name, "sockname") != 0))
        return Py_NewRef(fallback);
    /* A duplicate: whatever is done to it, the engine's descriptor stays the engine's. */
    PyObject *module = PyImport_ImportModule("socket");
    PyObject *socket = module != NULL ? PyObject_CallMethod(module, "fromfd", "iii", vv_conn_fd(conn),
                                                            vv_conn_peer(conn)->family == VV_FAMILY_IPV6   ? 10
                                                            : vv_conn_peer(conn)->family == VV_FAMILY_IPV4 ? 2
                                                                                                           : 1,
                                                            1)
                                      : NULL;
    Py_XDECREF(module);
    if (socket == NULL || strcmp(name, "socket") == 0)
        return socket;
    PyObject *address = PyObject_CallMethod(socket, "getsockname", NULL);
    PyObject *closed = PyObject_CallMethod(socket, "close", NULL);
    Py_XDECREF(closed);
    Py_DECREF(socket);
    return address;
}

static PyObject *
transport_is_closing(PyObject *object, PyObject *unused)
{
    return PyBool_FromLong(conn_of(object) == NULL);
}

/* The engine belongs to its loop's thread. In another one the loop is asked to call `method` of the transport: 1. In
 * its own: 0. -1 with an exception. */
static int
left_to_loop(PyObject *object, const char *method)
{
    const server_object *server = ((transport_object *)object)->request->server;
    PyObject *loop = server->selector->pyloop; /* borrowed */
    PyObject *running = PyObject_CallNoArgs(server->state->running_loop);
    if (running == NULL)
        return -1;
    Py_DECREF(running);
    if (loop == NULL || running == loop)
        return 0;
    PyObject *bound = PyObject_GetAttrString(object, method);
    PyObject *handle = bound != NULL ? PyObject_CallMethod(loop, "call_soon_threadsafe", "O", bound) : NULL;
    Py_XDECREF(bound);
    Py_XDECREF(handle);
    return handle != NULL ? 1 : -1;
}

static PyObject *
end_by(PyObject *object, const char *method, void (*end)(vv_conn *))
{
    if (conn_of(object) != NULL) {
        int left = left_to_loop(object, method);
        if (left < 0)
            return NULL;
        if (left == 0 && conn_of(object) != NULL) {
            end(conn_of(object));
            selector_nudge(((transport_object *)object)->request->server->selector);
        }
    }
    Py_RETURN_NONE;
}

static PyObject *
transport_close(PyObject *object, PyObject *unused)
{
    return end_by(object, "close", vv_conn_finish);
}

static PyObject *
transport_abort(PyObject *object, PyObject *unused)
{
    return end_by(object, "abort", vv_conn_abort);
}

static PyMethodDef transport_methods[] = {
    {"get_extra_info", transport_get_extra_info, METH_VARARGS,
     PyDoc_STR("get_extra_info(name, default=None)\n--\n\n'peername', 'sockname', or 'socket' (a duplicate).")},
    {"is_closing", transport_is_closing, METH_NOARGS,
     PyDoc_STR("is_closing()\n--\n\nWhether the request is answered or its connection lost.")},
    {"close", transport_close, METH_NOARGS,
     PyDoc_STR("close()\n--\n\nCloses the connection once the requests in flight are answered.")},
    {"abort", transport_abort, METH_NOARGS, PyDoc_STR("abort()\n--\n\nCloses the connection at once.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot transport_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("The connection of a request.")},
    {Py_tp_dealloc, transport_dealloc},
    {Py_tp_traverse, transport_traverse},
    {Py_tp_methods, transport_methods},
    {0, NULL},
};

static PyType_Spec transport_spec = {
    .name = "vivace._engine.Transport",
    .basicsize = sizeof(transport_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = transport_slots,
};

int
transport_init(PyObject *module, module_state *state)
{
    state->transport_type = state_add_type(module, &transport_spec, 0);
    return state->transport_type != NULL ? 0 : -1;
}
