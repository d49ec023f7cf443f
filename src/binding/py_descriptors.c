/* The descriptors that asyncio registers with its selector, and what get_map() shows of them. */
#include "binding/py_descriptors.h"

#include <limits.h>

#include "binding/py_mappings.h"

enum { EVENT_READ = 1, EVENT_WRITE = 2 }; /* selectors.EVENT_READ ... are the same numbers as VV_WATCH_... */

typedef struct map_object {
    PyObject_HEAD
    selector_object *selector; /* borrowed: the selector clears it */
} map_object;

int
selector_is_open(selector_object *self)
{
    if (self->loop != NULL)
        return 1;
    PyErr_SetString(PyExc_RuntimeError, "the selector is closed");
    return 0;
}

/* The number of an int, or int(fileobj.fileno()), as the standard selectors take it. -1 with ValueError. */
static long
descriptor_number(PyObject *fileobj)
{
    PyObject *given = PyLong_Check(fileobj) ? Py_NewRef(fileobj) : PyObject_CallMethod(fileobj, "fileno", NULL);
    PyObject *number = given != NULL ? PyNumber_Long(given) : NULL;
    long fd = number != NULL ? PyLong_AsLong(number) : -1;
    Py_XDECREF(number);
    Py_XDECREF(given);
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_AttributeError) && !PyErr_ExceptionMatches(PyExc_TypeError) &&
        !PyErr_ExceptionMatches(PyExc_ValueError) && !PyErr_ExceptionMatches(PyExc_OverflowError))
        return -1;
    if (PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "Invalid file object: %R", fileobj);
    else if (fd < 0 || fd > INT_MAX)
        PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %ld", fd);
    else
        return fd;
    return -1;
}

/* The descriptor of a file object, as an int object. Like the standard selectors, a file object that was closed after
 * it was registered is still found. New reference, or NULL with ValueError. */
static PyObject *
descriptor_of(selector_object *self, PyObject *fileobj)
{
    long fd = descriptor_number(fileobj);
    if (fd >= 0)
        return PyLong_FromLong(fd);
    PyObject *type, *value, *traceback, *number, *key;
    Py_ssize_t at = 0;
    PyErr_Fetch(&type, &value, &traceback);
    while (self->keys != NULL && PyDict_Next(self->keys, &at, &number, &key)) {
        PyObject *its = PyObject_GetAttr(key, self->state->name_fileobj);
        int same = its == fileobj;
        Py_XDECREF(its);
        if (same) {
            Py_XDECREF(type);
            Py_XDECREF(value);
            Py_XDECREF(traceback);
            return Py_NewRef(number);
        }
    }
    PyErr_Restore(type, value, traceback);
    return NULL;
}

/* New reference to the key that is registered under a number, NULL with KeyError. */
static PyObject *
key_at(selector_object *self, PyObject *number, PyObject *fileobj)
{
    PyObject *key = self->keys != NULL ? PyDict_GetItemWithError(self->keys, number) : NULL; /* borrowed */
    if (key == NULL && !PyErr_Occurred())
        PyErr_Format(PyExc_KeyError, "%R is not registered", fileobj);
    return Py_XNewRef(key);
}

/* The same of a file object; NULL with KeyError (or ValueError). */
static PyObject *
find_key(selector_object *self, PyObject *fileobj)
{
    PyObject *number = descriptor_of(self, fileobj);
    PyObject *key = number != NULL ? key_at(self, number, fileobj) : NULL;
    Py_XDECREF(number);
    return key;
}

static int
check_events(int events)
{
    if (events != 0 && (events & ~(EVENT_READ | EVENT_WRITE)) == 0)
        return 0;
    PyErr_Format(PyExc_ValueError, "Invalid events: %d", events);
    return -1;
}

static PyObject *
watch(selector_object *self, PyObject *fileobj, PyObject *number, int events, PyObject *data)
{
    PyObject *key = PyObject_CallFunction(self->state->selector_key, "OOiO", fileobj, number, events, data);
    if (key == NULL || !selector_is_open(self)) { /* asked behind all of Python: that may close anything */
        Py_XDECREF(key);
        return NULL;
    }
    int fd = (int)PyLong_AsLong(number);
    if (vv_loop_watch(self->loop, fd, (unsigned)events) != VV_OK) {
        Py_DECREF(key);
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    if (PyDict_SetItem(self->keys, number, key) < 0)
        Py_CLEAR(key);
    return key;
}

PyObject *
selector_register(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"fileobj", "events", "data", NULL};
    selector_object *self = (selector_object *)object;
    PyObject *fileobj, *data = Py_None;
    int events;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Oi|O:register", names, &fileobj, &events, &data) ||
        check_events(events) < 0)
        return NULL;
    PyObject *number = descriptor_of(self, fileobj), *key = NULL;
    if (number == NULL)
        return NULL;
    int known = selector_is_open(self) ? PyDict_Contains(self->keys, number) : -1;
    if (known > 0)
        PyErr_Format(PyExc_KeyError, "%R (FD %R) is already registered", fileobj, number);
    else if (known == 0)
        key = watch(self, fileobj, number, events, data);
    Py_DECREF(number);
    return key;
}

PyObject *
selector_unregister(PyObject *object, PyObject *fileobj)
{
    selector_object *self = (selector_object *)object;
    PyObject *number = descriptor_of(self, fileobj);
    if (number == NULL)
        return NULL;
    PyObject *key = key_at(self, number, fileobj);
    if (key != NULL) {
        (void)!vv_loop_watch(self->loop, (int)PyLong_AsLong(number), 0);
        if (PyDict_DelItem(self->keys, number) < 0)
            Py_CLEAR(key);
    }
    Py_DECREF(number);
    return key;
}

PyObject *
selector_modify(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"fileobj", "events", "data", NULL};
    selector_object *self = (selector_object *)object;
    PyObject *fileobj, *data = Py_None;
    int events;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Oi|O:modify", names, &fileobj, &events, &data) ||
        check_events(events) < 0 || !selector_is_open(self))
        return NULL;
    PyObject *old = find_key(self, fileobj), *key = NULL;
    if (old == NULL)
        return NULL;
    PyObject *number = PyObject_GetAttr(old, self->state->name_fd);
    PyObject *registered = PyObject_GetAttr(old, self->state->name_fileobj);
    if (number != NULL && registered != NULL)
        key = watch(self, registered, number, events, data);
    Py_XDECREF(number);
    Py_XDECREF(registered);
    Py_DECREF(old);
    return key;
}

PyObject *
selector_get_key(PyObject *object, PyObject *fileobj)
{
    selector_object *self = (selector_object *)object;
    if (self->keys == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Selector is closed");
        return NULL;
    }
    return find_key(self, fileobj);
}

PyObject *
selector_get_map(PyObject *object, PyObject *unused)
{
    selector_object *self = (selector_object *)object;
    return Py_NewRef(self->map != NULL ? self->map : Py_None);
}

void
selector_on_ready(void *self_, int fd, unsigned events)
{
    selector_object *self = self_;
    PyObject *number = PyLong_FromLong(fd), *pair = NULL;
    PyObject *key = number != NULL ? PyDict_GetItemWithError(self->keys, number) : NULL; /* borrowed */
    Py_XINCREF(key); /* making a list or tuple may have the collector run, and that anything */
    if (key != NULL && self->ready == NULL)
        self->ready = PyList_New(0);
    if (key != NULL && self->ready != NULL)
        pair = Py_BuildValue("(OI)", key, events);
    if (pair != NULL)
        (void)PyList_Append(self->ready, pair);
    Py_XDECREF(pair);
    Py_XDECREF(key);
    Py_XDECREF(number);
    if (PyErr_Occurred())
        selector_fail(self);
}

/* ---- get_map() -------------------------------------------------------------------------------------------------- */

/* The dict behind it, an empty one once the selector is closed. New reference. */
static PyObject *
map_keys(PyObject *object)
{
    selector_object *selector = ((map_object *)object)->selector;
    return selector != NULL && selector->keys != NULL ? Py_NewRef(selector->keys) : PyDict_New();
}

static Py_ssize_t
map_length(PyObject *object)
{
    PyObject *keys = map_keys(object);
    Py_ssize_t count = keys != NULL ? PyDict_GET_SIZE(keys) : -1;
    Py_XDECREF(keys);
    return count;
}

static PyObject *
map_subscript(PyObject *object, PyObject *fileobj)
{
    selector_object *selector = ((map_object *)object)->selector;
    if (selector != NULL)
        return find_key(selector, fileobj);
    PyErr_Format(PyExc_KeyError, "%R is not registered: the selector is closed", fileobj);
    return NULL;
}

static PyObject *
map_iter(PyObject *object)
{
    PyObject *keys = map_keys(object), *iter = keys != NULL ? PyObject_GetIter(keys) : NULL;
    Py_XDECREF(keys);
    return iter;
}

static int
map_contains(PyObject *object, PyObject *fileobj)
{
    PyObject *key = map_subscript(object, fileobj);
    if (key == NULL && (PyErr_ExceptionMatches(PyExc_KeyError) || PyErr_ExceptionMatches(PyExc_ValueError))) {
        PyErr_Clear();
        return 0;
    }
    Py_XDECREF(key);
    return key != NULL ? 1 : -1;
}

static PyObject *
map_get(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    return mapping_get(object, args, nargs, map_subscript);
}

static PyObject *
map_view(PyObject *object, const char *kind)
{
    PyObject *keys = map_keys(object), *view = keys != NULL ? PyObject_CallMethod(keys, kind, NULL) : NULL;
    Py_XDECREF(keys);
    return view;
}

static PyObject *
map_dict_keys(PyObject *object, PyObject *unused)
{
    return map_view(object, "keys");
}

static PyObject *
map_dict_values(PyObject *object, PyObject *unused)
{
    return map_view(object, "values");
}

static PyObject *
map_dict_items(PyObject *object, PyObject *unused)
{
    return map_view(object, "items");
}

static void
map_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef map_methods[] = {
    {"get", (PyCFunction)(void (*)(void))map_get, METH_FASTCALL, NULL},
    {"keys", map_dict_keys, METH_NOARGS, NULL},
    {"values", map_dict_values, METH_NOARGS, NULL},
    {"items", map_dict_items, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot map_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("The descriptors registered with a Selector: file object to SelectorKey.")},
    {Py_tp_dealloc, map_dealloc},
    {Py_tp_iter, map_iter},
    {Py_tp_methods, map_methods},
    {Py_mp_length, map_length},
    {Py_mp_subscript, map_subscript},
    {Py_sq_contains, map_contains},
    {0, NULL},
};

static PyType_Spec map_spec = {
    .name = "vivace._engine.SelectorMap",
    .basicsize = sizeof(map_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = map_slots,
};

PyObject *
selector_new_map(selector_object *self)
{
    PyTypeObject *type = self->state->selector_map_type;
    PyObject *map = type->tp_alloc(type, 0);
    if (map != NULL)
        ((map_object *)map)->selector = self;
    return map;
}

/* Somebody may still hold it: it must not look for us any more. */
void
selector_drop_map(selector_object *self)
{
    if (self->map != NULL)
        ((map_object *)self->map)->selector = NULL;
    Py_CLEAR(self->map);
}

int
descriptors_init(PyObject *module, module_state *state)
{
    state->selector_map_type = state_add_type(module, &map_spec, 0);
    return state->selector_map_type != NULL ? 0 : -1;
}
