/* vivace._engine: the module. */
#include "binding/py_limits.h"
#include "binding/py_strings.h"

#include "core/io/loop.h"
#include "core/io/title.h"
#include "core/simd/isa.h"

module_state *
state_of_type(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &vivace_engine_module); /* borrowed */
    return module != NULL ? PyModule_GetState(module) : NULL;
}

PyTypeObject *
state_add_type(PyObject *module, PyType_Spec *spec, int public)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type != NULL && public && PyModule_AddType(module, (PyTypeObject *)type) < 0)
        Py_CLEAR(type);
    return (PyTypeObject *)type;
}

static int
make_names(module_state *state)
{
#define X(text)                                                                                                        \
    if ((state->name_##text = PyUnicode_InternFromString(#text)) == NULL)                                              \
        return -1;
    NAME_TABLE(X)
#undef X
    for (int i = 0; i < VV_METHOD_OTHER; i++) {
        vv_span name = vv_method_name((vv_method)i);
        state->methods[i] = PyUnicode_FromStringAndSize((const char *)name.at, (Py_ssize_t)name.len);
        if (state->methods[i] == NULL)
            return -1;
        PyUnicode_InternInPlace(&state->methods[i]);
    }
    if ((state->version_10 = PyUnicode_InternFromString("1.0")) == NULL ||
        (state->version_11 = PyUnicode_InternFromString("1.1")) == NULL ||
        (state->scheme_http = PyUnicode_InternFromString("http")) == NULL)
        return -1;
    return 0;
}

static PyObject *
borrow(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    if (module == NULL)
        return NULL;
    PyObject *value = PyObject_GetAttrString(module, name);
    Py_DECREF(module);
    return value;
}

int
state_load_json(module_state *state)
{
    if (state->json_encode == NULL)
        state->json_encode = borrow("msgspec.json", "encode");
    if (state->json_encode != NULL && state->json_decode == NULL)
        state->json_decode = borrow("msgspec.json", "decode");
    return state->json_decode != NULL ? 0 : -1;
}

static int
borrow_all(module_state *state)
{
    const struct {
        PyObject **to;
        const char *module, *name;
    } wanted[] = {
        {&state->json_error, "vivace.exceptions", "JSONError"},
        {&state->body_error, "vivace.exceptions", "BodyError"},
        {&state->form_error, "vivace.exceptions", "FormError"},
        {&state->charsets, "vivace.charsets", "CHARSETS"},
        {&state->not_found, "vivace.exceptions", "RouteNotFoundException"},
        {&state->method_not_allowed, "vivace.exceptions", "method_not_allowed"},
        {&state->task_type, "asyncio", "Task"},
        {&state->enter_task, "asyncio.tasks", "_enter_task"},
        {&state->leave_task, "asyncio.tasks", "_leave_task"},
        {&state->running_loop, "asyncio", "_get_running_loop"},
        {&state->cancelled_error, "asyncio", "CancelledError"},
        {&state->selector_key, "selectors", "SelectorKey"},
        {&state->namespace_type, "types", "SimpleNamespace"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if ((*wanted[i].to = borrow(wanted[i].module, wanted[i].name)) == NULL)
            return -1;
#if PY_VERSION_HEX >= 0x030C0000
    state->task_keywords = PyTuple_Pack(3, state->name_loop, state->name_context, state->name_eager_start);
#else
    state->task_keywords = PyTuple_Pack(2, state->name_loop, state->name_context);
#endif
    return state->task_keywords != NULL ? 0 : -1;
}

/* Steals the object, which may be NULL with an exception. 0 or -1. */
static int
add_object(PyObject *module, const char *name, PyObject *object)
{
    int added = object != NULL ? PyModule_AddObjectRef(module, name, object) : -1;
    Py_XDECREF(object);
    return added;
}

static int
module_exec(PyObject *module)
{
    module_state *state = PyModule_GetState(module);
    if (make_names(state) < 0 || borrow_all(state) < 0)
        return -1;
    if (mappings_init(module, state) < 0 || response_init(module, state) < 0 || request_init(module, state) < 0 ||
        routes_init(module, state) < 0 || pending_init(module, state) < 0 || coroutine_init(module, state) < 0 ||
        descriptors_init(module, state) < 0 || selector_init(module, state) < 0 || transport_init(module, state) < 0 ||
        extensions_init(module, state) < 0 || upload_init(module, state) < 0 || server_init(module, state) < 0)
        return -1;
    if (PyModule_AddStringConstant(module, "ISA", vv_isa_name(vv_isa_chosen())) < 0)
        return -1;
    PyObject *backends =
        vv_loop_offers(VV_LOOP_URING) ? Py_BuildValue("(ss)", "uring", "epoll") : Py_BuildValue("(s)", "epoll");
    return add_object(module, "IO_BACKENDS", backends) < 0 ? -1 : add_object(module, "LIMITS", limits_table());
}

/* clang-format off */
#define EACH_OBJECT(X) \
    X(request_type) X(response_type) X(headers_type) X(multidict_type) X(routes_type) X(server_type) \
    X(selector_type) X(selector_map_type) X(loop_base_type) X(pending_type) X(transport_type) X(kept_property_type) \
    X(spool_type) X(uploaded_file_type) X(version_10) X(version_11) X(scheme_http) X(json_encode) X(json_decode) \
    X(json_error) X(body_error) X(form_error) X(charsets) X(not_found) X(method_not_allowed) X(task_type) \
    X(enter_task) X(leave_task) X(running_loop) X(cancelled_error) X(selector_key) X(namespace_type) X(uuid_type) \
    X(task_keywords)
/* clang-format on */

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    module_state *state = PyModule_GetState(module);
#define X(object) Py_VISIT(state->object);
    EACH_OBJECT(X)
#undef X
    /* Recycled objects are ours alone, and each holds its type. */
    for (unsigned i = state->response_count; i > 0; i--)
        Py_VISIT(state->response_type);
    for (unsigned i = state->request_count; i > 0; i--)
        Py_VISIT(state->request_type);
    if (state->spare_headers != NULL)
        Py_VISIT(state->headers_type);
    return 0;
}

static int
module_clear(PyObject *module)
{
    module_state *state = PyModule_GetState(module);
    response_free_stock(state);
    request_free_stock(state);
    headers_free_stock(state);
    strings_clear(state);
#define X(object) Py_CLEAR(state->object);
    EACH_OBJECT(X)
#undef X
#define X(text) Py_CLEAR(state->name_##text);
    NAME_TABLE(X)
#undef X
    for (int i = 0; i < VV_METHOD_OTHER; i++)
        Py_CLEAR(state->methods[i]);
    return 0;
}

static void
module_free(void *module)
{
    module_clear(module);
}

static PyObject *
set_process_title(PyObject *module, PyObject *args)
{
    const char *title, *name;
    Py_ssize_t title_len, name_len;
    if (!PyArg_ParseTuple(args, "s#s#:set_process_title", &title, &title_len, &name, &name_len))
        return NULL;
    switch (vv_title_set(vv_span_of(title, (size_t)title_len), vv_span_of(name, (size_t)name_len))) {
    case VV_OK:
        Py_RETURN_TRUE;
    case VV_E_NO_MEMORY:
        return PyErr_NoMemory();
    default:
        Py_RETURN_FALSE;
    }
}

static PyMethodDef module_methods[] = {
    {"set_process_title", set_process_title, METH_VARARGS,
     PyDoc_STR("set_process_title(title, name)\n--\n\nNames the process, as ps shows it; whether it could.")},
    {"new_request_type", extensions_new_type, METH_NOARGS,
     PyDoc_STR("new_request_type()\n--\n\nMakes a subtype of Request, whose attributes are for the caller to set.")},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

PyModuleDef vivace_engine_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "vivace._engine",
    .m_doc = PyDoc_STR("The engine of vivace, written in C."),
    .m_size = sizeof(module_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__engine(void);

PyMODINIT_FUNC
PyInit__engine(void)
{
    return PyModuleDef_Init(&vivace_engine_module);
}
