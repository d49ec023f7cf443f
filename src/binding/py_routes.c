#include "binding/py_routes.h"

#include "core/http1/target.h"

/* ---- path parameters -------------------------------------------------------------------------------------------- */

PyObject *
path_text(vv_span text)
{
    if (text.len == 0 || memchr(text.at, VV_TARGET_ESCAPED_SLASH, text.len) == NULL)
        return PyUnicode_DecodeUTF8((const char *)text.at, (Py_ssize_t)text.len, NULL);
    PyObject *raw = PyUnicode_DecodeUTF8((const char *)text.at, (Py_ssize_t)text.len, NULL);
    PyObject *nul = PyUnicode_FromStringAndSize("\0", 1), *slash = PyUnicode_FromString("/"), *value = NULL;
    if (raw != NULL && nul != NULL && slash != NULL)
        value = PyUnicode_Replace(raw, nul, slash, -1);
    Py_XDECREF(raw);
    Py_XDECREF(nul);
    Py_XDECREF(slash);
    return value;
}

static PyObject *
int_value(vv_span text)
{
    size_t at = text.at[0] == '-';
    if (text.len - at <= 18) {
        int64_t value = 0;
        for (size_t i = at; i < text.len; i++)
            value = value * 10 + (text.at[i] - '0');
        return PyLong_FromLongLong(at ? -value : value);
    }
    char digits[72];
    memcpy(digits, text.at, text.len);
    digits[text.len] = '\0';
    return PyLong_FromString(digits, NULL, 10);
}

static PyObject *
float_value(vv_span text)
{
    char digits[72];
    memcpy(digits, text.at, text.len);
    digits[text.len] = '\0';
    double value = PyOS_string_to_double(digits, NULL, NULL);
    if (value == -1.0 && PyErr_Occurred())
        return NULL;
    return PyFloat_FromDouble(value);
}

static PyObject *
uuid_value(module_state *state, vv_span text)
{
    if (state->uuid_type == NULL) {
        PyObject *module = PyImport_ImportModule("uuid");
        if (module == NULL)
            return NULL;
        state->uuid_type = PyObject_GetAttrString(module, "UUID");
        Py_DECREF(module);
        if (state->uuid_type == NULL)
            return NULL;
    }
    PyObject *value = path_text(text);
    PyObject *uuid = value != NULL ? PyObject_CallOneArg(state->uuid_type, value) : NULL;
    Py_XDECREF(value);
    return uuid;
}

PyObject *
param_value(module_state *state, vv_param_type type, vv_span text)
{
    switch (type) {
    case VV_PARAM_INT:
        return int_value(text);
    case VV_PARAM_FLOAT:
        return float_value(text);
    case VV_PARAM_UUID:
        return uuid_value(state, text);
    case VV_PARAM_PLAIN:
    case VV_PARAM_STR:
    case VV_PARAM_PATH:
        break;
    }
    return path_text(text);
}

/* ---- plans ------------------------------------------------------------------------------------------------------ */

static void
plan_free(route_plan *plan)
{
    if (plan == NULL)
        return;
    Py_XDECREF(plan->handler);
    Py_XDECREF(plan->twin);
    Py_XDECREF(plan->kwnames);
    Py_XDECREF(plan->route);
    for (unsigned i = 0; i < plan->params; i++)
        Py_XDECREF(plan->names[i]);
    PyMem_Free(plan);
}

static int
param_index(const route_plan *plan, PyObject *name)
{
    for (unsigned i = 0; i < plan->params; i++)
        if (PyUnicode_Compare(plan->names[i], name) == 0)
            return (int)i;
    PyErr_Format(PyExc_ValueError, "the pattern has no parameter %R", name);
    return -1;
}

static int
plan_names(route_plan *plan)
{
    size_t count = vv_route_param_count(plan->compiled);
    for (size_t i = 0; i < count; i++) {
        vv_span name = vv_route_param_name(plan->compiled, i);
        plan->names[i] = PyUnicode_FromStringAndSize((const char *)name.at, (Py_ssize_t)name.len);
        if (plan->names[i] == NULL)
            return -1;
        PyUnicode_InternInPlace(&plan->names[i]);
        plan->params++;
    }
    return 0;
}

/* positional: None for the request, else a parameter's name; keywords: names. */
static int
plan_arguments(route_plan *plan, PyObject *positional, PyObject *keywords)
{
    Py_ssize_t count = PyTuple_GET_SIZE(positional), named = PyTuple_GET_SIZE(keywords);
    if (count + named > PLAN_ARGUMENTS) {
        PyErr_SetString(PyExc_ValueError, "the handler takes too many parameters");
        return -1;
    }
    for (Py_ssize_t i = 0; i < count + named; i++) {
        PyObject *name = i < count ? PyTuple_GET_ITEM(positional, i) : PyTuple_GET_ITEM(keywords, i - count);
        int index = name == Py_None ? PLAN_REQUEST : param_index(plan, name);
        if (index == -1 && name != Py_None)
            return -1;
        plan->source[i] = (int16_t)index;
    }
    plan->positional = (uint8_t)count;
    plan->arguments = (uint8_t)(count + named);
    plan->only_request = count == 1 && named == 0 && plan->source[0] == PLAN_REQUEST;
    plan->kwnames = named > 0 ? Py_NewRef(keywords) : NULL;
    return 0;
}

/* ---- Routes ----------------------------------------------------------------------------------------------------- */

static PyObject *
routes_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    module_state *state = state_of_type(type);
    routes_object *self = (routes_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->state = state;
    if (vv_router_new(&self->router) != VV_OK) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static int
routes_traverse(PyObject *object, visitproc visit, void *arg)
{
    routes_object *self = (routes_object *)object;
    Py_VISIT(Py_TYPE(self));
    for (route_plan *plan = self->plans; plan != NULL; plan = plan->next) {
        Py_VISIT(plan->handler);
        Py_VISIT(plan->twin);
        Py_VISIT(plan->route);
    }
    return 0;
}

static int
routes_clear(PyObject *object)
{
    routes_object *self = (routes_object *)object;
    while (self->plans != NULL) {
        route_plan *plan = self->plans;
        self->plans = plan->next;
        plan_free(plan);
    }
    return 0;
}

static void
routes_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    routes_clear(object);
    vv_router_free(((routes_object *)object)->router);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *
raise_router(vv_status status, const vv_router_fault *fault)
{
    if (status == VV_E_NO_MEMORY)
        return PyErr_NoMemory();
    PyErr_SetString(PyExc_ValueError, fault->text);
    return NULL;
}

static const char *
type_text(vv_param_type type)
{
    static const char *const texts[] = {"plain", "str", "int", "float", "uuid", "path"};
    return texts[type];
}

static PyObject *
placeholders_of(const vv_route *route)
{
    size_t count = vv_route_param_count(route);
    PyObject *result = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; result != NULL && i < count; i++) {
        vv_span name = vv_route_param_name(route, i);
        PyObject *pair = Py_BuildValue("(s#s)", (const char *)name.at, (Py_ssize_t)name.len,
                                       type_text(vv_route_param_type(route, i)));
        if (pair == NULL)
            Py_CLEAR(result);
        else
            PyTuple_SET_ITEM(result, (Py_ssize_t)i, pair);
    }
    return result;
}

static int
spans_of(PyObject *names, vv_span *out)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        Py_ssize_t len;
        const char *text = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(names, i), &len);
        if (text == NULL)
            return -1;
        out[i] = vv_span_of(text, (size_t)len);
    }
    return 0;
}

static vectorcallfunc
vectorcall_of(PyObject *callable)
{
    vectorcallfunc call = PyVectorcall_Function(callable);
    return call != NULL ? call : PyObject_Vectorcall;
}

static PyObject *
routes_add(PyObject *object, PyObject *args)
{
    routes_object *self = (routes_object *)object;
    const char *pattern;
    Py_ssize_t len;
    PyObject *methods, *handler, *positional, *keywords, *route, *twin = Py_None;
    int coroutine;
    unsigned long long limit_body_bytes = 0;
    if (!PyArg_ParseTuple(args, "s#O!OO!O!pO|OK:add", &pattern, &len, &PyTuple_Type, &methods, &handler, &PyTuple_Type,
                          &positional, &PyTuple_Type, &keywords, &coroutine, &route, &twin, &limit_body_bytes))
        return NULL;
    if (self->in_use) {
        PyErr_SetString(PyExc_RuntimeError, "routes cannot be added once the server runs");
        return NULL;
    }
    vv_span names[VV_ROUTER_METHODS];
    if (PyTuple_GET_SIZE(methods) > VV_ROUTER_METHODS) {
        PyErr_Format(PyExc_ValueError, "route \"%s\" names more than %d methods", pattern, (int)VV_ROUTER_METHODS);
        return NULL;
    }
    if (spans_of(methods, names) < 0)
        return NULL;
    route_plan *plan = PyMem_Calloc(1, sizeof *plan);
    if (plan == NULL)
        return PyErr_NoMemory();
    vv_router_fault fault;
    vv_route *compiled;
    vv_status status = vv_router_add(self->router, vv_span_of(pattern, (size_t)len), names,
                                     (size_t)PyTuple_GET_SIZE(methods), plan, &compiled, &fault);
    if (status != VV_OK) {
        PyMem_Free(plan);
        return raise_router(status, &fault);
    }
    /* The router refers to the plan from here on: it is kept even when the rest fails. */
    plan->next = self->plans;
    self->plans = plan;
    plan->number = ++self->count;
    plan->compiled = compiled;
    plan->handler = Py_NewRef(handler);
    plan->route = Py_NewRef(route);
    plan->coroutine = (uint8_t)coroutine;
    plan->limit_body_bytes = limit_body_bytes;
    self->own_limits |= limit_body_bytes > 0;
    plan->call = vectorcall_of(handler);
    if (twin != Py_None) {
        plan->twin = Py_NewRef(twin);
        plan->call_twin = vectorcall_of(twin);
    }
    if (plan_names(plan) < 0 || plan_arguments(plan, positional, keywords) < 0)
        return NULL;
    return placeholders_of(compiled);
}

static PyObject *
routes_placeholders(PyObject *unused, PyObject *pattern)
{
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(pattern, &len);
    if (text == NULL)
        return NULL;
    vv_router *router;
    if (vv_router_new(&router) != VV_OK)
        return PyErr_NoMemory();
    vv_router_fault fault;
    vv_route *route;
    vv_status status = vv_router_add(router, vv_span_of(text, (size_t)len), NULL, 0, NULL, &route, &fault);
    PyObject *result = status == VV_OK ? placeholders_of(route) : raise_router(status, &fault);
    vv_router_free(router);
    return result;
}

PyObject *
routes_method_names(const routes_object *self, uint32_t methods)
{
    PyObject *list = PyList_New(0);
    for (unsigned n = 0; list != NULL && n < VV_ROUTER_METHODS; n++) {
        vv_span name = vv_router_method_name(self->router, n);
        if ((methods >> n & 1) == 0 || name.len == 0)
            continue;
        PyObject *text = PyUnicode_FromStringAndSize((const char *)name.at, (Py_ssize_t)name.len);
        if (text == NULL || PyList_Append(list, text) < 0)
            Py_CLEAR(list);
        Py_XDECREF(text);
    }
    PyObject *tuple = list != NULL ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    return tuple;
}

static PyObject *
routes_match(PyObject *object, PyObject *args)
{
    routes_object *self = (routes_object *)object;
    const char *method, *path;
    Py_ssize_t method_len, path_len;
    if (!PyArg_ParseTuple(args, "s#s#:match", &method, &method_len, &path, &path_len))
        return NULL;
    if (vv_router_compile(self->router) != VV_OK)
        return PyErr_NoMemory();
    self->in_use = 1;
    vv_match match;
    vv_span span = vv_span_of(path, (size_t)path_len);
    vv_router_match(self->router, vv_span_of(method, (size_t)method_len), span, &match);
    uint32_t allow = match.route != NULL ? vv_router_allow(self->router, span) : match.allow;
    PyObject *values = PyDict_New(), *methods = routes_method_names(self, allow);
    const route_plan *plan = match.route != NULL ? vv_route_data(match.route) : NULL;
    int failed = values == NULL || methods == NULL;
    for (uint32_t i = 0; !failed && plan != NULL && i < match.count; i++) {
        PyObject *value = param_value(self->state, vv_route_param_type(match.route, i),
                                      vv_span_of(span.at + match.params[i].at, match.params[i].len));
        failed = value == NULL || PyDict_SetItem(values, plan->names[i], value) < 0;
        Py_XDECREF(value);
    }
    PyObject *result = failed ? NULL : PyTuple_Pack(3, plan != NULL ? plan->route : Py_None, values, methods);
    Py_XDECREF(values);
    Py_XDECREF(methods);
    return result;
}

static PyObject *
get_numbered(PyObject *object, void *closure)
{
    routes_object *self = (routes_object *)object;
    PyObject *list = PyList_New((Py_ssize_t)self->count);
    for (const route_plan *plan = self->plans; list != NULL && plan != NULL; plan = plan->next)
        PyList_SET_ITEM(list, (Py_ssize_t)plan->number - 1, Py_NewRef(plan->route));
    return list;
}

static PyGetSetDef routes_getset[] = {
    {"numbered", get_numbered, NULL, PyDoc_STR("The routes; the number of each is its place, from 1 on."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef routes_methods[] = {
    {"add", routes_add, METH_VARARGS,
     PyDoc_STR("add(pattern, methods, handler, positional, keywords, coroutine, route, twin=None, limit_body_bytes=0)\n"
               "--\n\nAdds a route; returns its placeholders as (name, type) pairs. ValueError says what is wrong.")},
    {"placeholders", routes_placeholders, METH_O | METH_STATIC,
     PyDoc_STR("placeholders(pattern)\n--\n\nThe (name, type) pairs of a pattern.")},
    {"match", routes_match, METH_VARARGS,
     PyDoc_STR("match(method, path)\n--\n\n(route or None, parameters, methods that the path allows).")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot routes_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("The compiled table of routes.")},
    {Py_tp_new, routes_new},
    {Py_tp_dealloc, routes_dealloc},
    {Py_tp_traverse, routes_traverse},
    {Py_tp_clear, routes_clear},
    {Py_tp_getset, routes_getset},
    {Py_tp_methods, routes_methods},
    {0, NULL},
};

static PyType_Spec routes_spec = {
    .name = "vivace._engine.Routes",
    .basicsize = sizeof(routes_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = routes_slots,
};

int
routes_init(PyObject *module, module_state *state)
{
    state->routes_type = state_add_type(module, &routes_spec, 1);
    return state->routes_type != NULL ? 0 : -1;
}
