#include "binding/py_request.h"

#include <stddef.h>

#include "binding/py_body.h"
#include "binding/py_mappings.h"
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

/* From here on it can be part of a cycle: it holds something that the user may change. */
static void
track(request_object *self)
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
    track(self); /* who keeps it may belong to the application, which it holds */
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

/* ---- what the attributes are made of ---------------------------------------------------------------------------- */

PyObject *
request_param(request_object *self, size_t index)
{
    const vv_param *params = self->match != NULL ? self->match->params : self->params;
    if (params == NULL)
        return PyErr_NoMemory(); /* detaching had failed */
    vv_span text = vv_span_of(self->path.at + params[index].at, params[index].len);
    return param_value(self->server->state, vv_route_param_type(self->plan->compiled, index), text);
}

static PyObject *
none(void)
{
    return Py_NewRef(Py_None);
}

static PyObject *
make_METHOD(request_object *self)
{
    const vv_http1_request *req = self->req;
    if (req->method < VV_METHOD_OTHER)
        return Py_NewRef(self->server->state->methods[req->method]);
    return latin1_of(vv_span_of(req->head, req->method_len));
}

static PyObject *
make_PATH(request_object *self)
{
    return path_text(self->path);
}

static PyObject *
make_RAW_PATH(request_object *self)
{
    return latin1_of(vv_request_span(self->req, self->req->path_at, self->req->path_len));
}

static PyObject *
make_QUERY_STRING(request_object *self)
{
    if ((self->req->flags & VV_REQUEST_HAS_QUERY) == 0)
        return none();
    return latin1_of(vv_request_span(self->req, self->req->query_at, self->req->query_len));
}

static PyObject *
make_QUERY(request_object *self)
{
    vv_span text = {0};
    if ((self->req->flags & VV_REQUEST_HAS_QUERY) != 0)
        text = vv_request_span(self->req, self->req->query_at, self->req->query_len);
    return multidict_of(self->server->state, query_pairs(text));
}

static PyObject *
make_COOKIES(request_object *self)
{
    track(self);
    return cookies_of(self);
}

static PyObject *
make_BODY(request_object *self)
{
    if (VV_LIKELY(self->body.len > 0 && self->body.at != NULL))
        return PyBytes_FromStringAndSize((const char *)self->body.at, (Py_ssize_t)self->body.len);
    return body_bytes(self);
}

static PyObject *
make_TEXT(request_object *self)
{
    return body_text(self);
}

static PyObject *
make_JSON(request_object *self)
{
    PyObject *value = body_json(self);
    if (value != NULL)
        track(self);
    return value;
}

static PyObject *
make_MIME_TYPE(request_object *self)
{
    return body_mime_type(self);
}

static PyObject *
make_ENCODING(request_object *self)
{
    return body_encoding(self);
}

/* A form's fields and its files are read together: whichever is asked for first keeps both. */
static PyObject *
half_of_form(request_object *self, request_slot wanted, request_slot other)
{
    PyObject *both = form_and_files(self);
    if (both == NULL)
        return NULL;
    track(self);
    PyObject *half = Py_NewRef(PyTuple_GET_ITEM(both, wanted == SLOT_FILES));
    if (request_cached(self, other) == NULL)
        request_cache(self, other, Py_NewRef(PyTuple_GET_ITEM(both, other == SLOT_FILES)));
    Py_DECREF(both);
    return half;
}

static PyObject *
make_FORM(request_object *self)
{
    return half_of_form(self, SLOT_FORM, SLOT_FILES);
}

static PyObject *
make_FILES(request_object *self)
{
    return half_of_form(self, SLOT_FILES, SLOT_FORM);
}

static PyObject *
make_MATCH_DICT(request_object *self)
{
    PyObject *dict = PyDict_New();
    size_t count = self->plan != NULL ? self->plan->params : 0;
    for (size_t i = 0; dict != NULL && i < count; i++) {
        PyObject *value = request_param(self, i);
        if (value == NULL || PyDict_SetItem(dict, self->plan->names[i], value) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(value);
    }
    if (dict != NULL)
        track(self);
    return dict;
}

/* ---- addresses -------------------------------------------------------------------------------------------------- */

static PyObject *
make_REMOTE_ADDR(request_object *self)
{
    char text[VV_ADDRESS_TEXT_BYTES];
    size_t len = vv_address_text(request_peer(self), text);
    return len > 0 ? PyUnicode_FromStringAndSize(text, (Py_ssize_t)len) : none();
}

/* The authority in two (RFC 3986 section 3.2): the parser has checked its form. */
static vv_span
authority(const request_object *self, vv_span *port)
{
    const vv_http1_request *req = self->req;
    *port = vv_span_of(NULL, 0);
    if ((req->flags & VV_REQUEST_HAS_HOST) == 0)
        return *port;
    vv_span host = vv_request_span(req, req->host_at, req->host_len);
    for (size_t i = host.len; i-- > 0 && host.at[i] != ']';) {
        if (host.at[i] == ':') {
            *port = vv_span_of(host.at + i + 1, host.len - i - 1);
            return vv_span_of(host.at, i);
        }
    }
    return host;
}

static PyObject *
make_HOSTNAME(request_object *self)
{
    vv_span port, host = authority(self, &port);
    if (host.len == 0)
        return none();
    if (host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']')
        host = vv_span_of(host.at + 1, host.len - 2);
    return latin1_of(host);
}

static PyObject *
make_PORT(request_object *self)
{
    vv_span port;
    (void)authority(self, &port);
    if (port.len == 0 || port.len > 5)
        return none();
    long value = 0;
    for (size_t i = 0; i < port.len; i++)
        value = value * 10 + (port.at[i] - '0');
    return PyLong_FromLong(value);
}

static PyObject *
make_STATE(request_object *self)
{
    track(self);
    return PyObject_CallNoArgs(self->server->state->namespace_type);
}

/* ---- attributes ------------------------------------------------------------------------------------------------- */

static PyObject *
kept(request_object *self, request_slot slot, PyObject *(*make)(request_object *))
{
    PyObject *known = request_cached(self, slot); /* borrowed */
    if (known != NULL)
        return Py_NewRef(known);
    PyObject *value = make(self);
    known = request_cached(self, slot);
    if (value != NULL && known != NULL)
        Py_SETREF(value, Py_NewRef(known)); /* another thread was faster */
    else if (value != NULL)
        request_cache(self, slot, Py_NewRef(value));
    return value;
}

#define X(slot, attribute, doc)                                                                                        \
    static PyObject *get_##attribute(PyObject *self, void *closure)                                                    \
    {                                                                                                                  \
        return kept((request_object *)self, SLOT_##slot, make_##slot);                                                 \
    }
REQUEST_TABLE(X)
#undef X

static PyObject *
get_version(PyObject *object, void *closure)
{
    request_object *self = (request_object *)object;
    module_state *state = self->server->state;
    return Py_NewRef(self->req->minor == 0 ? state->version_10 : state->version_11);
}

static PyObject *
get_scheme(PyObject *object, void *closure)
{
    return Py_NewRef(((request_object *)object)->server->state->scheme_http);
}

static PyObject *
get_keep_alive(PyObject *object, void *closure)
{
    return PyBool_FromLong((((request_object *)object)->req->flags & VV_REQUEST_KEEP_ALIVE) != 0);
}

static PyObject *
get_disconnected(PyObject *object, void *closure)
{
    const request_object *self = (request_object *)object;
    int closed = self->conn != NULL && vv_conn_fd(self->conn) < 0;
    return PyBool_FromLong(closed || (self->answered & ANSWER_LOST) != 0);
}

static PyObject *
get_route(PyObject *object, void *closure)
{
    const route_plan *plan = ((request_object *)object)->plan;
    return Py_NewRef(plan != NULL ? plan->route : Py_None);
}

static PyObject *
get_app(PyObject *object, void *closure)
{
    return Py_NewRef(((request_object *)object)->server->app);
}

/* These two are not kept: they hold the request, and would never let each other go. */
static PyObject *
get_transport(PyObject *object, void *closure)
{
    return transport_new((request_object *)object);
}

static PyObject *
get_headers(PyObject *object, void *closure)
{
    return headers_new((request_object *)object);
}

static PyObject *
get_extra(PyObject *object, void *closure)
{
    PyObject *state = get_state(object, NULL);
    PyObject *extra =
        state != NULL ? PyObject_GetAttr(state, ((request_object *)object)->server->state->name___dict__) : NULL;
    Py_XDECREF(state);
    return extra;
}

PyObject *
request_extensions(request_object *self)
{
    PyObject *known = request_cached(self, SLOT_EXTENSIONS); /* borrowed */
    if (known != NULL)
        return known;
    track(self);
    return request_cache(self, SLOT_EXTENSIONS, PyDict_New());
}

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
    track(self);
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

static PyObject *
request_repr(PyObject *object)
{
    PyObject *method = get_method(object, NULL), *path = method != NULL ? get_path(object, NULL) : NULL;
    PyObject *text = path != NULL ? PyUnicode_FromFormat("<Request %U %U>", method, path) : NULL;
    Py_XDECREF(method);
    Py_XDECREF(path);
    return text;
}

static PyGetSetDef request_getset[] = {
#define X(slot, attribute, doc) {#attribute, get_##attribute, NULL, PyDoc_STR(doc), NULL},
    REQUEST_TABLE(X)
#undef X
        {"version", get_version, NULL, PyDoc_STR("'1.0' or '1.1'."), NULL},
    {"scheme", get_scheme, NULL, PyDoc_STR("'http'."), NULL},
    {"keep_alive", get_keep_alive, NULL, PyDoc_STR("Whether the client keeps the connection, bool."), NULL},
    {"disconnected", get_disconnected, NULL, PyDoc_STR("Whether the client went before it was answered, bool."), NULL},
    {"route", get_route, NULL, PyDoc_STR("The Route that matched, or None."), NULL},
    {"app", get_app, NULL, PyDoc_STR("The Application."), NULL},
    {"headers", get_headers, NULL, PyDoc_STR("The header fields, a Headers."), NULL},
    {"transport", get_transport, NULL, PyDoc_STR("The connection: get_extra_info(), is_closing(), close(), abort()."),
     NULL},
    {"extra", get_extra, NULL, PyDoc_STR("The dict behind `state`."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

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
