/* What an application adds to its requests (Application.extend_request): a subtype of Request of its own, so that two
 * applications in one process keep theirs apart, and requests without extensions pay nothing.
 *
 * Methods are plain functions in the subtype's dict: CPython looks them up as it does Request's own. A property is a
 * KeptProperty, which calls its function once a request. All subtypes are laid out as Request is, so that recycled
 * requests change from one to the other.
 */
#include "binding/py_request.h"
#include "binding/py_state.h"

typedef struct kept_property {
    PyObject_HEAD
    module_state *state; /* borrowed from the module, which the type holds */
    PyObject *function;  /* owned */
    PyObject *name;      /* owned, interned: its key among what the request keeps */
} kept_property;

static PyObject *
kept_property_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *function, *name;
    if ((kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) || !PyArg_ParseTuple(args, "OU:KeptProperty", &function, &name))
        return NULL;
    kept_property *self = (kept_property *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->state = state_of_type(type);
    self->function = Py_NewRef(function);
    self->name = Py_NewRef(name);
    PyUnicode_InternInPlace(&self->name);
    return (PyObject *)self;
}

static PyObject *
kept_property_get(PyObject *object, PyObject *instance, PyObject *owner)
{
    kept_property *self = (kept_property *)object;
    if (instance == NULL || instance == Py_None)
        return Py_NewRef(object);
    if (!PyObject_TypeCheck(instance, self->state->request_type))
        return PyErr_Format(PyExc_TypeError, "%U is a property of requests, not of %.80s", self->name,
                            Py_TYPE(instance)->tp_name);
    PyObject *kept = request_extensions((request_object *)instance); /* borrowed from the request, which is held */
    PyObject *value = kept != NULL ? PyDict_GetItemWithError(kept, self->name) : NULL;
    if (value != NULL || PyErr_Occurred())
        return Py_XNewRef(value);
    value = PyObject_CallOneArg(self->function, instance);
    if (value == NULL)
        return NULL;
    PyObject *first = PyDict_SetDefault(kept, self->name, value); /* another thread may have been faster */
    Py_XINCREF(first);
    Py_DECREF(value);
    return first;
}

static int
kept_property_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((kept_property *)object)->function);
    return 0;
}

static int
kept_property_clear(PyObject *object)
{
    Py_CLEAR(((kept_property *)object)->function);
    return 0;
}

static void
kept_property_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    kept_property_clear(object);
    Py_XDECREF(((kept_property *)object)->name);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot kept_property_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("KeptProperty(function, name)\n--\n\nAn attribute of requests that is made on first "
                                  "use, by `function(request)`, and kept.")},
    {Py_tp_new, kept_property_new},
    {Py_tp_dealloc, kept_property_dealloc},
    {Py_tp_traverse, kept_property_traverse},
    {Py_tp_clear, kept_property_clear},
    {Py_tp_descr_get, kept_property_get},
    {0, NULL},
};

static PyType_Spec kept_property_spec = {
    .name = "vivace._engine.KeptProperty",
    .basicsize = sizeof(kept_property),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = kept_property_slots,
};

/* ---- subtypes --------------------------------------------------------------------------------------------------- */

PyObject *
extensions_new_type(PyObject *module, PyObject *unused)
{
    PyTypeObject *base = ((module_state *)PyModule_GetState(module))->request_type;
    /* tp_dealloc too, or CPython would give it its own. */
    PyType_Slot slots[] = {
        {Py_tp_doc, (void *)base->tp_doc},
        {Py_tp_dealloc, base->tp_dealloc},
        {Py_tp_traverse, base->tp_traverse},
        {Py_tp_clear, base->tp_clear},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = "vivace._engine.Request",
        .basicsize = (int)base->tp_basicsize,
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots,
    };
    /* Nobody else may derive from Request: its size and its life are the engine's. */
    base->tp_flags |= Py_TPFLAGS_BASETYPE;
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, (PyObject *)base);
    base->tp_flags &= ~Py_TPFLAGS_BASETYPE;
    return type;
}

int
extensions_init(PyObject *module, module_state *state)
{
    state->kept_property_type = state_add_type(module, &kept_property_spec, 1);
    return state->kept_property_type != NULL ? 0 : -1;
}
