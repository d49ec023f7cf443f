#include "binding/py_response.h"

#include "binding/py_fields.h"

enum parameter { P_TEXT, P_CODE, P_BODY, P_JSON, P_MIME_TYPE, P_ENCODING, P_HEADERS, P_COOKIES, P_STATUS, P_COUNT };

/* Without a charset; of nothing what is said where a charset is given for it. */
static const char *const media_types[] = {
    [VV_MEDIA_TEXT] = "text/plain",
    [VV_MEDIA_BYTES] = "application/octet-stream",
    [VV_MEDIA_JSON] = "application/json",
    [VV_MEDIA_NONE] = "application/octet-stream",
};

static response_object *
take(module_state *state, PyTypeObject *type)
{
    response_object *self = state->responses;
    if (VV_LIKELY(self != NULL && type == state->response_type)) {
        state->responses = (response_object *)self->text; /* the stock is linked through it */
        state->response_count--;
        self->text = NULL;
        state_revive((PyObject *)self); /* it has kept its reference to the type */
        return self;
    }
    return (response_object *)type->tp_alloc(type, 0);
}

static void
clear(response_object *self)
{
    Py_CLEAR(self->text);
    Py_CLEAR(self->body);
    if (VV_UNLIKELY(self->media == VV_MEDIA_OTHER || self->headers != NULL || self->mime_type != NULL ||
                    self->encoding != NULL)) {
        Py_CLEAR(self->mime_type);
        Py_CLEAR(self->encoding);
        Py_CLEAR(self->headers);
        Py_CLEAR(self->media_type);
        Py_CLEAR(self->fields);
    }
}

static void
dealloc(PyObject *object)
{
    response_object *self = (response_object *)object;
    PyTypeObject *type = Py_TYPE(self);
    clear(self);
    module_state *state = type->tp_base == &PyBaseObject_Type ? PyType_GetModuleState(type) : NULL;
    if (state != NULL && state->response_type == type && state->response_count < RESPONSE_STOCK) {
        self->text = (PyObject *)state->responses;
        state->responses = self;
        state->response_count++;
        return; /* and keeps its reference to the type */
    }
    type->tp_free(object);
    Py_DECREF(type);
}

void
response_free_stock(module_state *state)
{
    while (state->responses != NULL) {
        response_object *self = state->responses;
        state->responses = (response_object *)self->text;
        PyTypeObject *type = Py_TYPE(self);
        type->tp_free((PyObject *)self);
        Py_DECREF(type);
    }
    state->response_count = 0;
}

/* ---- Response(...) ---------------------------------------------------------------------------------------------- */

static int
parameter_of(module_state *state, PyObject *name)
{
    PyObject *const names[P_COUNT] = {state->name_text,    state->name_code,      state->name_body,
                                      state->name_json,    state->name_mime_type, state->name_encoding,
                                      state->name_headers, state->name_cookies,   state->name_status};
    for (int i = 0; i < P_COUNT; i++)
        if (names[i] == name)
            return i;
    for (int i = 0; i < P_COUNT; i++)
        if (PyUnicode_Compare(names[i], name) == 0)
            return i;
    return -1;
}

static int
collect(module_state *state, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, PyObject **values)
{
    if (nargs > P_STATUS) {
        PyErr_Format(PyExc_TypeError, "Response() takes at most 8 positional arguments (%zd given)", nargs);
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++)
        values[i] = args[i];
    Py_ssize_t count = kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i); /* borrowed */
        int at = parameter_of(state, name);
        if (at < 0 || values[at] != NULL) {
            PyErr_Format(
                PyExc_TypeError,
                at < 0 ? "Response() has no parameter %R: it takes text, code (or status), body, json, mime_type, "
                         "encoding, headers and cookies"
                       : "Response() got %R twice",
                name);
            return -1;
        }
        values[at] = args[nargs + i];
    }
    for (int i = 0; i < P_COUNT; i++)
        if (values[i] == Py_None && i != P_JSON)
            values[i] = NULL;
    return 0;
}

static int
set_status(response_object *self, PyObject *code, PyObject *status)
{
    if (code != NULL && status != NULL) {
        PyErr_SetString(PyExc_TypeError, "code and status are the same thing: give one of them");
        return -1;
    }
    PyObject *given = code != NULL ? code : status;
    if (given == NULL)
        return 0;
    long value = PyLong_AsLong(given);
    if (value == -1 && PyErr_Occurred())
        return -1;
    if (value < 100 || value > 999) {
        PyErr_Format(PyExc_ValueError, "the status code %ld is not between 100 and 999", value);
        return -1;
    }
    self->status = (uint16_t)value;
    return 0;
}

static int
set_text(response_object *self, PyObject *text, PyObject *encoding)
{
    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "text is a str, not %.80s (bytes go into body)", Py_TYPE(text)->tp_name);
        return -1;
    }
    vv_span span;
    if (encoding != NULL) {
        const char *name = PyUnicode_AsUTF8(encoding);
        if (name == NULL || (self->body = PyUnicode_AsEncodedString(text, name, NULL)) == NULL)
            return -1;
    } else if (text_span(text, &span) < 0) {
        return -1;
    }
    self->text = Py_NewRef(text);
    return 0;
}

static int
set_body(response_object *self, PyObject *body)
{
    if (PyBytes_CheckExact(body)) {
        self->body = Py_NewRef(body);
        return 0;
    }
    if (PyUnicode_Check(body) || !PyObject_CheckBuffer(body)) {
        PyErr_Format(PyExc_TypeError, "body is bytes, not %.80s%s", Py_TYPE(body)->tp_name,
                     PyUnicode_Check(body) ? " (str goes into text)" : "");
        return -1;
    }
    self->body = PyBytes_FromObject(body);
    return self->body != NULL ? 0 : -1;
}

static int
takes_charset(PyObject *mime_type)
{
    Py_ssize_t len;
    const char *type = PyUnicode_AsUTF8AndSize(mime_type, &len);
    return type != NULL && (strncmp(type, "text/", 5) == 0 || (len > 5 && strcmp(type + len - 5, "/json") == 0));
}

/* Content-Type where it is not the default of what is sent. */
static int
set_media_type(response_object *self, PyObject *mime_type, PyObject *encoding)
{
    if ((mime_type != NULL && !PyUnicode_Check(mime_type)) || (encoding != NULL && !PyUnicode_Check(encoding))) {
        PyErr_SetString(PyExc_TypeError, "mime_type and encoding are str");
        return -1;
    }
    PyObject *type = mime_type != NULL ? Py_NewRef(mime_type) : PyUnicode_FromString(media_types[self->media]);
    PyObject *name = PyUnicode_FromString("Content-Type"), *shown = NULL;
    if (type != NULL && name != NULL) {
        int has_charset = PyUnicode_FindChar(type, ';', 0, PyUnicode_GET_LENGTH(type), 1) >= 0;
        if (encoding != NULL && !has_charset)
            shown = PyUnicode_FromFormat("%U; charset=%U", type, encoding);
        else if (encoding == NULL && self->text != NULL && !has_charset && takes_charset(type))
            shown = PyUnicode_FromFormat("%U; charset=utf-8", type);
        else
            shown = Py_NewRef(type);
    }
    self->media_type = shown != NULL ? header_value_bytes(name, shown) : NULL;
    self->media = VV_MEDIA_OTHER;
    self->mime_type = Py_XNewRef(mime_type);
    self->encoding = Py_XNewRef(encoding);
    Py_XDECREF(type);
    Py_XDECREF(name);
    Py_XDECREF(shown);
    return self->media_type != NULL ? 0 : -1;
}

static int
fill(module_state *state, response_object *self, PyObject **values)
{
    PyObject *json = values[P_JSON];
    if (json == Py_None && (values[P_TEXT] != NULL || values[P_BODY] != NULL))
        json = NULL; /* Japronto's way of saying nothing */
    if ((values[P_TEXT] != NULL) + (values[P_BODY] != NULL) + (json != NULL) > 1) {
        PyErr_SetString(PyExc_TypeError, "Response() takes one of text, body and json");
        return -1;
    }
    if (set_status(self, values[P_CODE], values[P_STATUS]) < 0)
        return -1;
    if (values[P_TEXT] != NULL) {
        self->media = VV_MEDIA_TEXT;
        if (set_text(self, values[P_TEXT], values[P_ENCODING]) < 0)
            return -1;
    } else if (values[P_BODY] != NULL) {
        self->media = VV_MEDIA_BYTES;
        if (set_body(self, values[P_BODY]) < 0)
            return -1;
    } else if (json != NULL) {
        self->media = VV_MEDIA_JSON;
        if (state->json_encode == NULL && state_load_json(state) < 0)
            return -1;
        self->body = PyObject_CallOneArg(state->json_encode, json);
        if (self->body == NULL)
            return -1;
    }
    int typed = values[P_MIME_TYPE] != NULL || values[P_ENCODING] != NULL;
    if (typed && set_media_type(self, values[P_MIME_TYPE], values[P_ENCODING]) < 0)
        return -1;
    if (values[P_HEADERS] != NULL || values[P_COOKIES] != NULL)
        return response_set_headers(self, values[P_HEADERS], values[P_COOKIES], typed);
    return 0;
}

PyObject *
response_make(module_state *state, PyTypeObject *type, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    response_object *self = take(state, type);
    if (VV_UNLIKELY(self == NULL))
        return NULL;
    self->status = 200;
    self->close = 0;
    /* Response(text="...") and Response("..."): nine answers of ten. */
    if (VV_LIKELY(((nargs == 0 && kwnames != NULL && PyTuple_GET_SIZE(kwnames) == 1 &&
                    PyTuple_GET_ITEM(kwnames, 0) == state->name_text) ||
                   (nargs == 1 && kwnames == NULL)) &&
                  PyUnicode_CheckExact(args[0]) && PyUnicode_IS_COMPACT_ASCII(args[0]))) {
        self->media = VV_MEDIA_TEXT;
        self->text = Py_NewRef(args[0]);
        return (PyObject *)self;
    }
    self->media = VV_MEDIA_NONE;
    PyObject *values[P_COUNT] = {NULL}; /* borrowed */
    if (collect(state, args, nargs, kwnames, values) < 0 || fill(state, self, values) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static PyObject *
response_vectorcall(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    module_state *state = PyType_GetModuleState((PyTypeObject *)type);
    return response_make(state, (PyTypeObject *)type, args, PyVectorcall_NARGS(nargsf), kwnames);
}

/* For subclasses, which do not inherit the vectorcall: made empty, and filled by __init__, which they may extend. */
static PyObject *
response_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    response_object *self = (response_object *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->status = 200;
        self->media = VV_MEDIA_NONE;
    }
    return (PyObject *)self;
}

static int
response_init_args(PyObject *object, PyObject *args, PyObject *kwargs)
{
    response_object *self = (response_object *)object;
    module_state *state = state_of_type(Py_TYPE(object));
    if (state == NULL)
        return -1;
    clear(self);
    self->status = 200;
    self->close = 0;
    self->media = VV_MEDIA_NONE;
    Py_ssize_t nargs = PyTuple_GET_SIZE(args), count = kwargs != NULL ? PyDict_GET_SIZE(kwargs) : 0;
    PyObject *kwnames = PyTuple_New(count), *values[P_COUNT] = {NULL}; /* values: borrowed */
    PyObject **flat = PyMem_New(PyObject *, nargs + count + 1);        /* borrowed */
    int result = -1;
    if (kwnames != NULL && flat != NULL) {
        for (Py_ssize_t i = 0; i < nargs; i++)
            flat[i] = PyTuple_GET_ITEM(args, i);
        Py_ssize_t at = 0, n = 0;
        PyObject *name, *value;
        while (kwargs != NULL && PyDict_Next(kwargs, &at, &name, &value)) {
            PyTuple_SET_ITEM(kwnames, n, Py_NewRef(name));
            flat[nargs + n++] = value;
        }
        result = collect(state, flat, nargs, kwnames, values) < 0 ? -1 : fill(state, self, values);
    } else if (flat == NULL) {
        PyErr_NoMemory();
    }
    PyMem_Free(flat);
    Py_XDECREF(kwnames);
    return result;
}

int
response_reply(response_object *self, vv_reply *reply)
{
    reply->status = self->status;
    reply->media = self->media;
    reply->close = self->close;
    reply->fields = vv_span_of(NULL, 0);
    if (VV_LIKELY(self->text != NULL && self->body == NULL)) {
        if (text_span(self->text, &reply->body) < 0)
            return -1;
        reply->owner = self->text;
    } else if (self->body != NULL) {
        reply->body = bytes_span(self->body);
        reply->owner = self->body;
    } else {
        reply->body = vv_span_of(NULL, 0);
        reply->owner = NULL;
    }
    if (VV_UNLIKELY(self->media == VV_MEDIA_OTHER))
        reply->media_type = bytes_span(self->media_type);
    if (VV_UNLIKELY(self->fields != NULL))
        reply->fields = bytes_span(self->fields);
    return 0;
}

/* ---- attributes ------------------------------------------------------------------------------------------------- */

static PyObject *
or_none(PyObject *value)
{
    return Py_NewRef(value != NULL ? value : Py_None);
}

static PyObject *
get_code(PyObject *self, void *closure)
{
    return PyLong_FromLong(((response_object *)self)->status);
}

static PyObject *
get_text(PyObject *self, void *closure)
{
    return or_none(((response_object *)self)->text);
}

/* The bytes that will be sent. */
static PyObject *
get_body(PyObject *object, void *closure)
{
    response_object *self = (response_object *)object;
    if (self->body == NULL && self->text != NULL)
        return PyUnicode_AsUTF8String(self->text);
    return or_none(self->body);
}

static PyObject *
get_mime_type(PyObject *object, void *closure)
{
    response_object *self = (response_object *)object;
    if (self->mime_type != NULL)
        return Py_NewRef(self->mime_type);
    if (self->media == VV_MEDIA_OTHER)
        return latin1_of(bytes_span(self->media_type));
    if (self->media == VV_MEDIA_NONE)
        Py_RETURN_NONE;
    return PyUnicode_FromString(media_types[self->media]);
}

static PyObject *
get_encoding(PyObject *object, void *closure)
{
    response_object *self = (response_object *)object;
    if (self->encoding == NULL && self->media == VV_MEDIA_TEXT)
        return PyUnicode_FromString("utf-8");
    return or_none(self->encoding);
}

static PyObject *
get_headers(PyObject *object, void *closure)
{
    response_object *self = (response_object *)object;
    return self->headers != NULL ? PySequence_List(self->headers) : PyList_New(0);
}

static PyObject *
response_repr(PyObject *object)
{
    response_object *self = (response_object *)object;
    PyObject *type = get_mime_type(object, NULL);
    PyObject *text = type != NULL ? PyUnicode_FromFormat("<Response %d %S>", (int)self->status, type) : NULL;
    Py_XDECREF(type);
    return text;
}

static PyGetSetDef response_getset[] = {
    {"code", get_code, NULL, PyDoc_STR("The status code (RFC 9110 section 15)."), NULL},
    {"status", get_code, NULL, PyDoc_STR("The same as code."), NULL},
    {"text", get_text, NULL, PyDoc_STR("The text given, or None."), NULL},
    {"body", get_body, NULL, PyDoc_STR("The bytes that are sent, or None."), NULL},
    {"mime_type", get_mime_type, NULL, PyDoc_STR("The media type (RFC 9110 section 8.3), or None without a body."),
     NULL},
    {"encoding", get_encoding, NULL, PyDoc_STR("The charset, or None."), NULL},
    {"headers", get_headers, NULL, PyDoc_STR("A new list of the (name, value) pairs given."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef response_methods[] = {
    {"set_cookie", (PyCFunction)(void (*)(void))response_set_cookie, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("set_cookie(name, value='', *, max_age=None, expires=None, path='/', domain=None, secure=False, "
               "httponly=False, samesite=None)\n--\n\nAdds a Set-Cookie field (RFC 6265 section 4.1).")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot response_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("An answer. May be kept and returned many times.")},
    {Py_tp_new, response_new},
    {Py_tp_init, response_init_args},
    {Py_tp_dealloc, dealloc},
    {Py_tp_repr, response_repr},
    {Py_tp_getset, response_getset},
    {Py_tp_methods, response_methods},
    {0, NULL},
};

static PyType_Spec response_spec = {
    .name = "vivace._engine.Response",
    .basicsize = sizeof(response_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = response_slots,
};

int
response_init(PyObject *module, module_state *state)
{
    state->response_type = state_add_type(module, &response_spec, 1);
    if (state->response_type == NULL)
        return -1;
    state->response_type->tp_vectorcall = response_vectorcall;
    return 0;
}
