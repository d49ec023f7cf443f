/* What a request's attributes are made of: each on first use, then kept (py_request.h). */
#include <stddef.h>

#include "binding/py_body.h"
#include "binding/py_mappings.h"
#include "binding/py_request.h"
#include "binding/py_server.h"
#include "binding/py_spans.h"

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
    request_track(self);
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
        request_track(self);
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
    request_track(self);
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
        request_track(self);
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
    request_track(self);
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
    request_track(self);
    return request_cache(self, SLOT_EXTENSIONS, PyDict_New());
}

PyObject *
request_repr(PyObject *object)
{
    PyObject *method = get_method(object, NULL), *path = method != NULL ? get_path(object, NULL) : NULL;
    PyObject *text = path != NULL ? PyUnicode_FromFormat("<Request %U %U>", method, path) : NULL;
    Py_XDECREF(method);
    Py_XDECREF(path);
    return text;
}

PyGetSetDef request_getset[] = {
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
