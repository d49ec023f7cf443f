#include "binding/py_mappings.h"

#include "binding/py_server.h"
#include "binding/py_strings.h"
#include "core/bytes/ascii.h"

/* ---- what both have --------------------------------------------------------------------------------------------- */

typedef struct headers_object {
    PyObject_HEAD
    request_object *request; /* owned */
} headers_object;

typedef struct multidict_object {
    PyObject_HEAD
    PyObject *pairs; /* owned list of tuples */
} multidict_object;

static PyObject *
headers_pairs(PyObject *object)
{
    const vv_http1_request *req = ((headers_object *)object)->request->req;
    module_state *state = ((headers_object *)object)->request->server->state;
    PyObject *list = PyList_New(req->field_count);
    for (unsigned i = 0; list != NULL && i < req->field_count; i++) {
        const vv_field *field = &req->fields[i];
        PyObject *name = strings_latin1(state, vv_request_span(req, field->name_at, field->name_len));
        PyObject *value = strings_latin1(state, vv_request_span(req, field->value_at, field->value_len));
        PyObject *pair = name != NULL && value != NULL ? PyTuple_Pack(2, name, value) : NULL;
        Py_XDECREF(name);
        Py_XDECREF(value);
        if (pair == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, pair);
    }
    return list;
}

static PyObject *
multidict_pairs(PyObject *object)
{
    return Py_NewRef(((multidict_object *)object)->pairs);
}

static int
is_headers(PyObject *object)
{
    module_state *state = state_of_type(Py_TYPE(object));
    return state != NULL && Py_TYPE(object) == state->headers_type;
}

static PyObject *
pairs_of(PyObject *object)
{
    return is_headers(object) ? headers_pairs(object) : multidict_pairs(object);
}

/* Names once, in the order of their first appearance, as the keys of a dict to the first values. Headers are folded by
 * case, and shown as first sent. */
static PyObject *
unique(PyObject *object)
{
    int fold = is_headers(object);
    PyObject *pairs = pairs_of(object), *result = PyDict_New(), *seen = PySet_New(NULL);
    int failed = pairs == NULL || result == NULL || seen == NULL;
    for (Py_ssize_t i = 0; !failed && i < PyList_GET_SIZE(pairs); i++) {
        PyObject *pair = PyList_GET_ITEM(pairs, i); /* borrowed, as are its items */
        PyObject *name = PyTuple_GET_ITEM(pair, 0);
        PyObject *key = fold ? PyObject_CallMethod(name, "lower", NULL) : Py_NewRef(name);
        int known = key != NULL ? PySet_Contains(seen, key) : -1;
        failed =
            known < 0 ||
            (known == 0 && (PySet_Add(seen, key) < 0 || PyDict_SetItem(result, name, PyTuple_GET_ITEM(pair, 1)) < 0));
        Py_XDECREF(key);
    }
    if (failed)
        Py_CLEAR(result);
    Py_XDECREF(seen);
    Py_XDECREF(pairs);
    return result;
}

static PyObject *
view_of(PyObject *object, PyObject *(*view)(PyObject *dict))
{
    PyObject *dict = unique(object), *list = dict != NULL ? view(dict) : NULL;
    Py_XDECREF(dict);
    return list;
}

static PyObject *
mapping_keys(PyObject *object, PyObject *unused)
{
    return view_of(object, PyDict_Keys);
}

static PyObject *
mapping_values(PyObject *object, PyObject *unused)
{
    return view_of(object, PyDict_Values);
}

static PyObject *
mapping_items(PyObject *object, PyObject *unused)
{
    return view_of(object, PyDict_Items);
}

static PyObject *
mapping_multi_items(PyObject *object, PyObject *unused)
{
    PyObject *pairs = pairs_of(object), *copy = pairs != NULL ? PySequence_List(pairs) : NULL;
    Py_XDECREF(pairs);
    return copy;
}

static PyObject *
mapping_iter(PyObject *object)
{
    PyObject *keys = mapping_keys(object, NULL), *iter = keys != NULL ? PyObject_GetIter(keys) : NULL;
    Py_XDECREF(keys);
    return iter;
}

static Py_ssize_t
mapping_length(PyObject *object)
{
    PyObject *dict = unique(object);
    Py_ssize_t count = dict != NULL ? PyDict_GET_SIZE(dict) : -1;
    Py_XDECREF(dict);
    return count;
}

static PyObject *
mapping_repr(PyObject *object)
{
    PyObject *pairs = pairs_of(object);
    PyObject *text =
        pairs != NULL ? PyUnicode_FromFormat("%s(%R)", is_headers(object) ? "Headers" : "MultiDict", pairs) : NULL;
    Py_XDECREF(pairs);
    return text;
}

static PyObject *
mapping_richcompare(PyObject *self, PyObject *other, int operation)
{
    if ((operation != Py_EQ && operation != Py_NE) || (!PyDict_Check(other) && Py_TYPE(other) != Py_TYPE(self)))
        Py_RETURN_NOTIMPLEMENTED;
    PyObject *left = PyDict_Check(other) ? unique(self) : pairs_of(self);
    PyObject *right = PyDict_Check(other) ? Py_NewRef(other) : pairs_of(other);
    PyObject *result = left != NULL && right != NULL ? PyObject_RichCompare(left, right, operation) : NULL;
    Py_XDECREF(left);
    Py_XDECREF(right);
    return result;
}

PyObject *
mapping_get(PyObject *object, PyObject *const *args, Py_ssize_t nargs, binaryfunc subscript)
{
    if (nargs < 1 || nargs > 2) {
        PyErr_SetString(PyExc_TypeError, "get() takes a key and a default");
        return NULL;
    }
    PyObject *value = subscript(object, args[0]);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_KeyError)) {
        PyErr_Clear();
        return Py_NewRef(nargs == 2 ? args[1] : Py_None);
    }
    return value;
}

#define MAPPING_METHODS(get, getall)                                                                                   \
    {"get", (PyCFunction)(void (*)(void))get, METH_FASTCALL,                                                           \
     PyDoc_STR("get(name, default=None, /)\n--\n\nThe first value of that name, or the default.")},                    \
        {"getall", getall, METH_O,                                                                                     \
         PyDoc_STR("getall(name, /)\n--\n\nAll values of that name, in order; maybe none.")},                          \
        {"keys", mapping_keys, METH_NOARGS, PyDoc_STR("keys()\n--\n\nThe names, each once.")},                         \
        {"values", mapping_values, METH_NOARGS, PyDoc_STR("values()\n--\n\nThe first value of each name.")},           \
        {"items", mapping_items, METH_NOARGS, PyDoc_STR("items()\n--\n\n(name, first value) of each name.")},          \
        {"multi_items", mapping_multi_items, METH_NOARGS,                                                              \
         PyDoc_STR("multi_items()\n--\n\nAll (name, value) pairs, in order.")},                                        \
    {                                                                                                                  \
        NULL, NULL, 0, NULL                                                                                            \
    }

/* ---- Headers ---------------------------------------------------------------------------------------------------- */

PyObject *
headers_new(request_object *request)
{
    module_state *state = request->server->state;
    headers_object *self = (headers_object *)state->spare_headers;
    if (VV_LIKELY(self != NULL)) {
        state->spare_headers = NULL;
        state_revive((PyObject *)self);
    } else {
        self = PyObject_GC_New(headers_object, state->headers_type);
        if (self == NULL)
            return NULL;
    }
    self->request = (request_object *)Py_NewRef(request);
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

/* It may be kept in the state of its own request. The request lets go of it, so that it needs no tp_clear. */
static int
headers_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((headers_object *)object)->request);
    return 0;
}

static void
headers_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    request_object *request = ((headers_object *)object)->request;
    module_state *state = request->server->state;
    PyObject_GC_UnTrack(object);
    if (VV_LIKELY(state->spare_headers == NULL && state->headers_type == type)) {
        state->spare_headers = object; /* and keeps its reference to the type */
    } else {
        PyObject_GC_Del(object);
        Py_DECREF(type);
    }
    Py_DECREF(request);
}

void
headers_free_stock(module_state *state)
{
    PyObject *spare = state->spare_headers;
    state->spare_headers = NULL;
    if (spare == NULL)
        return;
    PyTypeObject *type = Py_TYPE(spare);
    PyObject_GC_Del(spare);
    Py_DECREF(type);
}

/* A name that is no ASCII text is the name of no field. */
static int
field_name(PyObject *name, vv_span *out)
{
    if (!PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "header names are str, not %.80s", Py_TYPE(name)->tp_name);
        return -1;
    }
    *out = PyUnicode_IS_ASCII(name) ? vv_span_of(PyUnicode_DATA(name), (size_t)PyUnicode_GET_LENGTH(name))
                                    : vv_span_of(NULL, 0);
    return 0;
}

static PyObject *
headers_subscript(PyObject *object, PyObject *name)
{
    request_object *request = ((headers_object *)object)->request;
    vv_span text;
    if (field_name(name, &text) < 0)
        return NULL;
    const vv_field *field = vv_request_field(request->req, text);
    if (field == NULL) {
        PyErr_SetObject(PyExc_KeyError, name);
        return NULL;
    }
    return strings_latin1(request->server->state, vv_request_span(request->req, field->value_at, field->value_len));
}

static int
headers_contains(PyObject *object, PyObject *name)
{
    vv_span text;
    if (field_name(name, &text) < 0)
        return -1;
    return vv_request_field(((headers_object *)object)->request->req, text) != NULL;
}

static PyObject *
headers_get(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    return mapping_get(object, args, nargs, headers_subscript);
}

static PyObject *
headers_getall(PyObject *object, PyObject *name)
{
    request_object *request = ((headers_object *)object)->request;
    const vv_http1_request *req = request->req;
    vv_span wanted;
    if (field_name(name, &wanted) < 0)
        return NULL;
    PyObject *list = PyList_New(0);
    for (unsigned i = 0; list != NULL && i < req->field_count; i++) {
        const vv_field *field = &req->fields[i];
        if (!vv_equal_nocase(vv_request_span(req, field->name_at, field->name_len), wanted))
            continue;
        PyObject *value =
            strings_latin1(request->server->state, vv_request_span(req, field->value_at, field->value_len));
        if (value == NULL || PyList_Append(list, value) < 0)
            Py_CLEAR(list);
        Py_XDECREF(value);
    }
    return list;
}

static PyMethodDef headers_methods[] = {MAPPING_METHODS(headers_get, headers_getall)};

static PyType_Slot headers_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A request's header fields, in the order sent; look-ups in any case "
                                  "(RFC 9110 section 5.1).")},
    {Py_tp_dealloc, headers_dealloc},
    {Py_tp_traverse, headers_traverse},
    {Py_tp_iter, mapping_iter},
    {Py_tp_repr, mapping_repr},
    {Py_tp_richcompare, mapping_richcompare},
    {Py_tp_methods, headers_methods},
    {Py_mp_length, mapping_length},
    {Py_mp_subscript, headers_subscript},
    {Py_sq_contains, headers_contains},
    {0, NULL},
};

static PyType_Spec headers_spec = {
    .name = "vivace._engine.Headers",
    .basicsize = sizeof(headers_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_MAPPING | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = headers_slots,
};

/* ---- MultiDict -------------------------------------------------------------------------------------------------- */

int
pairs_add(PyObject *list, PyObject *name, PyObject *value)
{
    PyObject *pair = name != NULL && value != NULL ? PyTuple_Pack(2, name, value) : NULL;
    int added = pair != NULL ? PyList_Append(list, pair) : -1;
    Py_XDECREF(pair);
    Py_XDECREF(name);
    Py_XDECREF(value);
    return added;
}

PyObject *
multidict_of(module_state *state, PyObject *pairs)
{
    PyTypeObject *type = state->multidict_type;
    multidict_object *self = pairs != NULL ? (multidict_object *)type->tp_alloc(type, 0) : NULL;
    if (self == NULL)
        Py_XDECREF(pairs);
    else
        self->pairs = pairs;
    return (PyObject *)self;
}

static PyObject *
multidict_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"pairs", NULL};
    PyObject *given = NULL;
    module_state *state = state_of_type(type);
    if (state == NULL || !PyArg_ParseTupleAndKeywords(args, kwargs, "|O:MultiDict", names, &given))
        return NULL;
    PyObject *list = PyList_New(0), *source = given != NULL ? PySequence_List(given) : PyList_New(0);
    for (Py_ssize_t i = 0; list != NULL && source != NULL && i < PyList_GET_SIZE(source); i++) {
        PyObject *pair = PySequence_Tuple(PyList_GET_ITEM(source, i));
        if (pair != NULL && PyTuple_GET_SIZE(pair) != 2) {
            PyErr_SetString(PyExc_ValueError, "MultiDict() takes (name, value) pairs");
            Py_CLEAR(pair);
        }
        if (pair == NULL || PyList_Append(list, pair) < 0)
            Py_CLEAR(list);
        Py_XDECREF(pair);
    }
    if (source == NULL)
        Py_CLEAR(list);
    Py_XDECREF(source);
    return list != NULL ? multidict_of(state, list) : NULL;
}

static int
multidict_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((multidict_object *)object)->pairs);
    return 0;
}

static int
multidict_clear(PyObject *object)
{
    Py_CLEAR(((multidict_object *)object)->pairs);
    return 0;
}

static void
multidict_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    multidict_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

/* The first pair of that name, borrowed; NULL without an exception when there is none. */
static PyObject *
multidict_find(PyObject *object, PyObject *name)
{
    PyObject *pairs = ((multidict_object *)object)->pairs;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pairs); i++) {
        PyObject *pair = PyList_GET_ITEM(pairs, i);
        int equal = PyObject_RichCompareBool(PyTuple_GET_ITEM(pair, 0), name, Py_EQ);
        if (equal != 0)
            return equal > 0 ? pair : NULL;
    }
    return NULL;
}

static PyObject *
multidict_subscript(PyObject *object, PyObject *name)
{
    PyObject *pair = multidict_find(object, name); /* borrowed */
    if (pair != NULL)
        return Py_NewRef(PyTuple_GET_ITEM(pair, 1));
    if (!PyErr_Occurred())
        PyErr_SetObject(PyExc_KeyError, name);
    return NULL;
}

static int
multidict_contains(PyObject *object, PyObject *name)
{
    if (multidict_find(object, name) != NULL)
        return 1;
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *
multidict_get(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    return mapping_get(object, args, nargs, multidict_subscript);
}

static PyObject *
multidict_getall(PyObject *object, PyObject *name)
{
    PyObject *pairs = ((multidict_object *)object)->pairs, *list = PyList_New(0);
    for (Py_ssize_t i = 0; list != NULL && i < PyList_GET_SIZE(pairs); i++) {
        PyObject *pair = PyList_GET_ITEM(pairs, i); /* borrowed */
        int equal = PyObject_RichCompareBool(PyTuple_GET_ITEM(pair, 0), name, Py_EQ);
        if (equal < 0 || (equal > 0 && PyList_Append(list, PyTuple_GET_ITEM(pair, 1)) < 0))
            Py_CLEAR(list);
    }
    return list;
}

static PyMethodDef multidict_methods[] = {MAPPING_METHODS(multidict_get, multidict_getall)};

static PyType_Slot multidict_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("An ordered multi-mapping: [...] and get give the first value, getall all of them.")},
    {Py_tp_new, multidict_new},
    {Py_tp_dealloc, multidict_dealloc},
    {Py_tp_traverse, multidict_traverse},
    {Py_tp_clear, multidict_clear},
    {Py_tp_iter, mapping_iter},
    {Py_tp_repr, mapping_repr},
    {Py_tp_richcompare, mapping_richcompare},
    {Py_tp_methods, multidict_methods},
    {Py_mp_length, mapping_length},
    {Py_mp_subscript, multidict_subscript},
    {Py_sq_contains, multidict_contains},
    {0, NULL},
};

static PyType_Spec multidict_spec = {
    .name = "vivace._engine.MultiDict",
    .basicsize = sizeof(multidict_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_MAPPING | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = multidict_slots,
};

int
mappings_init(PyObject *module, module_state *state)
{
    state->headers_type = state_add_type(module, &headers_spec, 1);
    state->multidict_type = state_add_type(module, &multidict_spec, 1);
    return state->headers_type != NULL && state->multidict_type != NULL ? 0 : -1;
}
