#include "binding/py_limits.h"

typedef struct limit {
    const char *name;          /* in vv_limits */
    double usual, least, most; /* in its unit */
    size_t at, size;           /* in vv_limits */
} limit;

static const limit table[] = {
#define X(name, type, value, least, most) {#name, value, least, most, offsetof(vv_limits, name), sizeof(type)},
    VV_LIMITS_TABLE(X)
#undef X
};

enum { LIMITS = sizeof table / sizeof *table };

/* Milliseconds in C, seconds in Python, where a name without a unit says so. */
static int
is_time(const limit *of)
{
    return strncmp(of->name, "timeout_", 8) == 0;
}

static PyObject *
keyword_of(const limit *of)
{
    size_t unit = is_time(of) ? strlen("_ms") : 0;
    return PyUnicode_FromStringAndSize(of->name, (Py_ssize_t)(strlen(of->name) - unit));
}

static PyObject *
number_of(const limit *of, double value)
{
    return is_time(of) ? PyFloat_FromDouble(value / 1000) : PyLong_FromDouble(value);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static int
set_limit(vv_limits *limits, const limit *of, PyObject *name, PyObject *value)
{
    double number = PyFloat_AsDouble(value);
    if (number == -1.0 && PyErr_Occurred())
        return -1;
    if (is_time(of))
        number *= 1000;
    if (!(number >= of->least && number <= of->most)) {
        PyErr_Format(PyExc_ValueError, "%U is out of range: %R", name, value);
        return -1;
    }
    char *field = (char *)limits + of->at;
    if (of->size == sizeof(uint32_t))
        *(uint32_t *)(void *)field = (uint32_t)number;
    else
        *(uint64_t *)(void *)field = (uint64_t)number;
    return 0;
}

/* 1: it was this limit's. 0: it is not. -1 with an exception. */
static int
try_limit(vv_limits *limits, const limit *of, PyObject *name, PyObject *value)
{
    PyObject *keyword = keyword_of(of);
    if (keyword == NULL)
        return -1;
    int same = PyUnicode_Compare(keyword, name) == 0;
    Py_DECREF(keyword);
    if (!same)
        return 0;
    return set_limit(limits, of, name, value) < 0 ? -1 : 1;
}

int
limits_read(PyObject *kwargs, vv_limits *limits)
{
    PyObject *name, *value;
    Py_ssize_t at = 0;
    *limits = vv_limits_default();
    while (kwargs != NULL && PyDict_Next(kwargs, &at, &name, &value)) {
        int taken = 0;
        for (size_t i = 0; taken == 0 && i < LIMITS; i++)
            taken = try_limit(limits, &table[i], name, value);
        if (taken == 0)
            PyErr_Format(PyExc_TypeError, "Server() has no limit %R", name);
        if (taken <= 0)
            return -1;
    }
    return 0;
}

/* ---- telling ---------------------------------------------------------------------------------------------------- */

static int
tell(PyObject *dict, const limit *of)
{
    PyObject *keyword = keyword_of(of), *usual = number_of(of, of->usual), *least = number_of(of, of->least);
    PyObject *most = number_of(of, of->most), *all = NULL;
    if (keyword != NULL && usual != NULL && least != NULL && most != NULL)
        all = PyTuple_Pack(3, usual, least, most);
    int told = all != NULL ? PyDict_SetItem(dict, keyword, all) : -1;
    Py_XDECREF(keyword);
    Py_XDECREF(usual);
    Py_XDECREF(least);
    Py_XDECREF(most);
    Py_XDECREF(all);
    return told;
}

PyObject *
limits_table(void)
{
    PyObject *dict = PyDict_New(), *proxy = NULL;
    int told = dict != NULL ? 0 : -1;
    for (size_t i = 0; told == 0 && i < LIMITS; i++)
        told = tell(dict, &table[i]);
    if (told == 0)
        proxy = PyDictProxy_New(dict);
    Py_XDECREF(dict);
    return proxy;
}
