#include "binding/py_request.h"

#include "binding/py_body.h"
#include "binding/py_response.h"
#include "binding/py_server.h"

/* ---- life ------------------------------------------------------------------------------------------------------- */

static void
let_go(request_object *self)
{
    uint32_t cached = self->cached;
    self->cached = 0;
    while (cached != 0) {
        int slot = __builtin_ctz(cached);
        cached &= cached - 1;
        PyObject *value = self->cache[slot];
        self->cache[slot] = NULL;
        Py_DECREF(value);
    }
    if (VV_UNLIKELY(self->memory != NULL)) {
        PyMem_Free(self->memory);
        self->memory = NULL;
    }
    Py_CLEAR(self->pending);
}

void
request_reset(request_object *self)
{
    if (VV_UNLIKELY(self->tracked)) {
        PyObject_GC_UnTrack(self);
        self->tracked = 0;
    }
    if (VV_UNLIKELY(self->cached != 0 || self->memory != NULL || self->pending != NULL))
        let_go(self);
    self->match = NULL;
    self->conn = NULL;
}

/* All types of requests are laid out alike. An object owns a reference to its type. */
static void
retype(request_object *self, PyTypeObject *type)
{
    PyTypeObject *before = Py_TYPE(self);
    Py_SET_TYPE(self, (PyTypeObject *)Py_NewRef(type));
    Py_DECREF(before);
}

request_object *
request_new(server_object *server)
{
    module_state *state = server->state;
    request_object *self = state->requests;
    if (self != NULL) {
        state->requests = (request_object *)self->memory; /* the stock is linked through it */
        state->request_count--;
        self->memory = NULL;
        state_revive((PyObject *)self);
        if (VV_UNLIKELY(server->request_type != state->request_type))
            retype(self, server->request_type);
    } else {
        self = PyObject_GC_New(request_object, server->request_type);
        if (self == NULL)
            return NULL;
        memset((char *)self + sizeof(PyObject), 0, sizeof *self - sizeof(PyObject));
    }
    self->server = (server_object *)Py_NewRef(server);
    return self;
}

static void
request_dealloc(PyObject *object)
{
    request_object *self = (request_object *)object;
    PyTypeObject *type = Py_TYPE(self);
    request_reset(self);
    self->exchange = NULL;
    server_object *server = self->server;
    self->server = NULL;
    module_state *state = server != NULL ? server->state : NULL;
    if (state != NULL && state->request_type != NULL && state->request_count < REQUEST_STOCK) {
        if (VV_UNLIKELY(type != state->request_type))
            retype(self, state->request_type);
        self->memory = state->requests;
        state->requests = self;
        state->request_count++;
        Py_DECREF(server);
        return; /* and keeps its reference to the type */
    }
    PyObject_GC_Del(self);
    Py_DECREF(type);
    Py_XDECREF(server);
}

void
request_free_stock(module_state *state)
{
    while (state->requests != NULL) {
        request_object *self = state->requests;
        state->requests = (request_object *)self->memory;
        PyTypeObject *type = Py_TYPE(self);
        PyObject_GC_Del(self);
        Py_DECREF(type);
    }
    state->request_count = 0;
}

static int
request_traverse(PyObject *object, visitproc visit, void *arg)
{
    request_object *self = (request_object *)object;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->server);
    Py_VISIT(self->pending);
    for (int slot = 0; slot < SLOT_COUNT; slot++)
        Py_VISIT(self->cache[slot]);
    return 0;
}

static int
request_clear(PyObject *object)
{
    request_object *self = (request_object *)object;
    uint32_t cached = self->cached;
    self->cached = 0;
    for (int slot = 0; slot < SLOT_COUNT; slot++)
        if ((cached >> slot & 1) != 0)
            Py_CLEAR(self->cache[slot]);
    Py_CLEAR(self->pending);
    return 0;
}

void
request_track(request_object *self)
{
    if (!self->tracked) {
        self->tracked = 1;
        PyObject_GC_Track(self);
    }
}

/* ---- detaching -------------------------------------------------------------------------------------------------- */

/* Copies `len` bytes to *at and moves it on; returns where they are now. */
static void *
carry(uint8_t **at, const void *from, size_t len)
{
    void *to = *at;
    if (len > 0)
        memcpy(to, from, len);
    *at += len;
    return to;
}

int
request_detach(request_object *self)
{
    static const uint8_t nothing[1] = {0};
    if (self->match == NULL)
        return 0;
    const vv_http1_request *req = self->req;
    const vv_match *match = self->match;
    uint32_t params = match->route != NULL ? match->count : 0;
    size_t fields_len = req->field_count * sizeof *req->fields, params_len = params * sizeof *match->params;
    int is_long = VV_UNLIKELY(self->body.at == NULL);
    size_t body_len = is_long ? 0 : self->body.len;
    uint8_t *at = NULL;
    if (!is_long || body_spool(self) != NULL) /* it takes the file: nothing to copy */
        at = PyMem_Malloc(fields_len + params_len + req->head_len + self->path.len + body_len + 1);
    self->match = NULL;
    request_track(self); /* who keeps it may belong to the application, which it holds */
    self->own = *req;
    self->req = &self->own;
    self->peer = self->conn != NULL ? *vv_conn_peer(self->conn) : (vv_address){.family = VV_FAMILY_NONE};
    if (at == NULL) {
        /* It must not look at bytes that will be gone. What is left of it is empty. */
        self->own = (vv_http1_request){.head = nothing};
        self->body = self->path = vv_span_of(nothing, 0);
        self->params = NULL;
        PyErr_NoMemory();
        return -1;
    }
    self->memory = at;
    self->own.fields = carry(&at, req->fields, fields_len);
    self->params = carry(&at, match->params, params_len);
    self->own.head = carry(&at, req->head, req->head_len);
    self->path.at = carry(&at, self->path.at, self->path.len);
    if (!is_long)
        self->body.at = carry(&at, self->body.at, body_len);
    return 0;
}

/* ---- the type --------------------------------------------------------------------------------------------------- */

static PyObject *
request_response(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    module_state *state = ((request_object *)object)->server->state;
    return response_make(state, state->response_type, args, nargs, kwnames);
}

static PyObject *
request_add_done_callback(PyObject *object, PyObject *function)
{
    request_object *self = (request_object *)object;
    if (!PyCallable_Check(function)) {
        PyErr_SetString(PyExc_TypeError, "add_done_callback() takes a function of one argument, the request");
        return NULL;
    }
    if ((self->answered & ANSWER_GIVEN) != 0) {
        PyErr_SetString(PyExc_RuntimeError, "the request is answered already");
        return NULL;
    }
    request_track(self);
    if (request_cached(self, SLOT_CALLBACKS) == NULL && request_cache(self, SLOT_CALLBACKS, PyList_New(0)) == NULL)
        return NULL;
    PyObject *context = PyContext_CopyCurrent();
    PyObject *pair = context != NULL ? PyTuple_Pack(2, function, context) : NULL;
    int added = pair != NULL ? PyList_Append(self->cache[SLOT_CALLBACKS], pair) : -1;
    Py_XDECREF(context);
    Py_XDECREF(pair);
    if (added < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
request_keep(PyObject *object, PyObject *unused)
{
    if (request_detach((request_object *)object) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef request_methods[] = {
    {"Response", (PyCFunction)(void (*)(void))request_response, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("Response(text=None, code=200, body=None, json=None, mime_type=None, encoding=None, headers=None, "
               "cookies=None, *, status=None)\n--\n\nMakes a Response.")},
    {"add_done_callback", request_add_done_callback, METH_O,
     PyDoc_STR("add_done_callback(function, /)\n--\n\n`function(request)` is called when the answer has left, or the "
               "connection was lost, in a copy of the context that is current now.")},
    {"_keep", request_keep, METH_NOARGS,
     PyDoc_STR("_keep()\n--\n\nCopies what the engine has lent it: then any thread may use it.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot request_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("One request. Every attribute is made on first use and then kept.")},
    {Py_tp_dealloc, request_dealloc},
    {Py_tp_traverse, request_traverse},
    {Py_tp_clear, request_clear},
    {Py_tp_repr, request_repr},
    {Py_tp_getset, request_getset},
    {Py_tp_methods, request_methods},
    {0, NULL},
};

static PyType_Spec request_spec = {
    .name = "vivace._engine.Request",
    .basicsize = sizeof(request_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = request_slots,
};

int
request_init(PyObject *module, module_state *state)
{
    state->request_type = state_add_type(module, &request_spec, 1);
    return state->request_type != NULL ? 0 : -1;
}
