#include "binding/py_fields.h"

#include "core/bytes/ascii.h"

/* ---- header fields ---------------------------------------------------------------------------------------------- */

static int
is_value(vv_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((text.at[i] < 0x20 && text.at[i] != '\t') || text.at[i] == 0x7f)
            return 0;
    return 1;
}

PyObject *
header_value_bytes(PyObject *name, PyObject *value)
{
    PyObject *bytes = PyUnicode_AsLatin1String(value);
    if (bytes == NULL && PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError, "header %R: the value %R has characters beyond Latin-1: encode them first", name,
                     value);
    }
    if (bytes != NULL && !is_value(bytes_span(bytes))) {
        PyErr_Format(PyExc_ValueError, "header %R: the value %R has a control character (CR, LF, NUL ...)", name,
                     value);
        Py_CLEAR(bytes);
    }
    return bytes;
}

static int
named(vv_span name, const char *what)
{
    return vv_equal_nocase(name, vv_span_text(what));
}

/* Names that are not just passed on: 1 when `name` was dealt with, 0 when it is to be sent, -1 with an exception. */
static int
special_header(response_object *self, vv_span name, PyObject *shown, PyObject *value, int mime_type_given)
{
    if (named(name, "content-type")) {
        if (mime_type_given) {
            PyErr_SetString(PyExc_ValueError, "Content-Type is given twice: by mime_type or encoding, and in headers");
            return -1;
        }
        PyObject *bytes = header_value_bytes(shown, value);
        if (bytes == NULL)
            return -1;
        Py_XSETREF(self->media_type, bytes);
        self->media = VV_MEDIA_OTHER;
        return 1;
    }
    if (named(name, "connection")) {
        if (PyUnicode_CompareWithASCIIString(value, "close") == 0) {
            self->close = 1;
            return 1;
        }
        PyErr_SetString(PyExc_ValueError, "header 'Connection' is the engine's: the only value to set is 'close'");
        return -1;
    }
    if (named(name, "content-length") || named(name, "transfer-encoding") || named(name, "date") ||
        named(name, "keep-alive")) {
        PyErr_Format(PyExc_ValueError, "header %R is the engine's: leave it out", shown);
        return -1;
    }
    return 0;
}

/* Adds one checked field to self->headers and to the line buffer. */
static int
add_header(response_object *self, PyObject *name, PyObject *value, PyObject *lines, int mime_type_given)
{
    if (!PyUnicode_Check(name) || !PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "headers are pairs of str, not (%.80s, %.80s): %R", Py_TYPE(name)->tp_name,
                     Py_TYPE(value)->tp_name, name);
        return -1;
    }
    vv_span text;
    if (text_span(name, &text) < 0)
        return -1;
    if (!vv_is_token(text)) {
        PyErr_Format(PyExc_ValueError, "%R is not a header name", name);
        return -1;
    }
    PyObject *pair = PyTuple_Pack(2, name, value);
    if (pair == NULL || PyList_Append(self->headers, pair) < 0) {
        Py_XDECREF(pair);
        return -1;
    }
    Py_DECREF(pair);
    int dealt_with = special_header(self, text, name, value, mime_type_given);
    if (dealt_with != 0)
        return dealt_with < 0 ? -1 : 0;
    PyObject *bytes = header_value_bytes(name, value);
    if (bytes == NULL)
        return -1;
    PyObject *line = PyBytes_FromFormat("%s: %s\r\n", (const char *)text.at, PyBytes_AS_STRING(bytes));
    Py_DECREF(bytes);
    if (line == NULL)
        return -1;
    int added = PyList_Append(lines, line);
    Py_DECREF(line);
    return added;
}

static int
add_headers(response_object *self, PyObject *headers, PyObject *lines, int mime_type_given)
{
    PyObject *pairs = PyMapping_Check(headers) && !PyList_Check(headers) && !PyTuple_Check(headers)
                          ? PyMapping_Items(headers)
                          : PySequence_List(headers);
    if (pairs == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pairs); i++) {
        PyObject *pair = PySequence_Tuple(PyList_GET_ITEM(pairs, i));
        if (pair == NULL || PyTuple_GET_SIZE(pair) != 2) {
            if (pair != NULL || PyErr_ExceptionMatches(PyExc_TypeError))
                PyErr_SetString(PyExc_TypeError, "headers is a mapping or a list of (name, value) pairs");
            Py_XDECREF(pair);
            Py_DECREF(pairs);
            return -1;
        }
        int added = add_header(self, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1), lines, mime_type_given);
        Py_DECREF(pair);
        if (added < 0) {
            Py_DECREF(pairs);
            return -1;
        }
    }
    Py_DECREF(pairs);
    return 0;
}

/* One Set-Cookie line for each morsel of an http.cookies.SimpleCookie. */
static int
add_cookies(response_object *self, PyObject *cookies, PyObject *lines)
{
    PyObject *name = PyUnicode_FromString("Set-Cookie");
    PyObject *morsels = name != NULL ? PyObject_CallMethod(cookies, "values", NULL) : NULL;
    PyObject *each = morsels != NULL ? PyObject_GetIter(morsels) : NULL;
    PyObject *morsel;
    while (each != NULL && (morsel = PyIter_Next(each)) != NULL) {
        PyObject *value = PyObject_CallMethod(morsel, "OutputString", NULL);
        if (value != NULL)
            (void)add_header(self, name, value, lines, 0);
        Py_XDECREF(value);
        Py_DECREF(morsel);
        if (PyErr_Occurred())
            break;
    }
    Py_XDECREF(each);
    Py_XDECREF(morsels);
    Py_XDECREF(name);
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_SetString(PyExc_TypeError, "cookies is an http.cookies.SimpleCookie");
    return PyErr_Occurred() ? -1 : 0;
}

static int
join_lines(response_object *self, PyObject *lines)
{
    if (PyList_GET_SIZE(lines) == 0)
        return 0;
    PyObject *joined = self->fields != NULL ? Py_NewRef(self->fields) : PyBytes_FromStringAndSize(NULL, 0);
    for (Py_ssize_t i = 0; joined != NULL && i < PyList_GET_SIZE(lines); i++)
        PyBytes_Concat(&joined, PyList_GET_ITEM(lines, i));
    if (joined == NULL)
        return -1;
    Py_XSETREF(self->fields, joined);
    return 0;
}

int
response_set_headers(response_object *self, PyObject *headers, PyObject *cookies, int mime_type_given)
{
    PyObject *lines = PyList_New(0);
    if (lines == NULL)
        return -1;
    if (self->headers == NULL)
        self->headers = PyList_New(0);
    int result = self->headers != NULL ? 0 : -1;
    if (result == 0 && headers != NULL)
        result = add_headers(self, headers, lines, mime_type_given);
    if (result == 0 && cookies != NULL)
        result = add_cookies(self, cookies, lines);
    if (result == 0)
        result = join_lines(self, lines);
    Py_DECREF(lines);
    return result;
}

/* ---- cookies ---------------------------------------------------------------------------------------------------- */

/* set_cookie(name, value="", **attributes): a SimpleCookie of one morsel, rendered at once. */
PyObject *
response_set_cookie(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"name",   "value",  "max_age",  "expires",  "path",
                            "domain", "secure", "httponly", "samesite", NULL};
    static const char *const attributes[] = {"max-age", "expires", "path", "domain", "secure", "httponly", "samesite"};
    PyObject *name, *value = NULL, *given[7] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "U|U$OOOOOOO:set_cookie", names, &name, &value, &given[0], &given[1],
                                     &given[2], &given[3], &given[4], &given[5], &given[6]))
        return NULL;
    PyObject *cookies = PyImport_ImportModule("http.cookies"), *cookie = NULL, *morsel = NULL, *empty = NULL;
    PyObject *slash = PyUnicode_FromString("/");
    int result = -1;
    if (cookies != NULL && slash != NULL)
        cookie = PyObject_CallMethod(cookies, "SimpleCookie", NULL);
    if (cookie != NULL && (empty = PyUnicode_FromString("")) != NULL &&
        PyObject_SetItem(cookie, name, value != NULL ? value : empty) == 0)
        morsel = PyObject_GetItem(cookie, name);
    if (morsel != NULL) {
        if (given[2] == NULL)
            given[2] = slash;
        result = 0;
        for (int i = 0; result == 0 && i < 7; i++) {
            if (given[i] == NULL || given[i] == Py_None || given[i] == Py_False)
                continue;
            PyObject *key = PyUnicode_FromString(attributes[i]);
            result = key != NULL ? PyObject_SetItem(morsel, key, given[i]) : -1;
            Py_XDECREF(key);
        }
        if (result == 0)
            result = response_set_headers((response_object *)object, NULL, cookie, 0);
    }
    Py_XDECREF(slash);
    Py_XDECREF(empty);
    Py_XDECREF(morsel);
    Py_XDECREF(cookie);
    Py_XDECREF(cookies);
    if (result < 0)
        return NULL;
    Py_RETURN_NONE;
}
