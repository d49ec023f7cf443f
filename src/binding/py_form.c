/* What browsers send in the head: queries (WHATWG URL, application/x-www-form-urlencoded) and cookies (RFC 6265). */
#include "binding/py_mappings.h"

#include "core/bytes/ascii.h"
#include "core/form/urlencoded.h"

static PyObject *
decoded(vv_span text)
{
    if (vv_urlencoded_is_plain(text))
        return PyUnicode_DecodeUTF8((const char *)text.at, (Py_ssize_t)text.len, "replace");
    uint8_t *out = PyMem_Malloc(text.len);
    if (out == NULL)
        return PyErr_NoMemory();
    size_t odd, len = vv_urlencoded_decode(text, out, &odd);
    PyObject *value = PyUnicode_DecodeUTF8((const char *)out, (Py_ssize_t)len, "replace");
    PyMem_Free(out);
    return value;
}

PyObject *
query_pairs(vv_span text)
{
    PyObject *list = PyList_New(0);
    vv_span name, value;
    while (list != NULL && vv_urlencoded_next(&text, &name, &value)) {
        PyObject *key = decoded(name);
        if (pairs_add(list, key, key != NULL ? decoded(value) : NULL) < 0)
            Py_CLEAR(list);
    }
    return list;
}

/* A quoted value has its quotes taken off, and \" \\ \ooo undone, as http.cookies writes them. */
static PyObject *
cookie_value(vv_span text)
{
    if (text.len < 2 || text.at[0] != '"' || text.at[text.len - 1] != '"')
        return PyUnicode_DecodeUTF8((const char *)text.at, (Py_ssize_t)text.len, "replace");
    uint8_t *out = PyMem_Malloc(text.len);
    if (out == NULL)
        return PyErr_NoMemory();
    size_t len = 0, end = text.len - 1;
    for (size_t i = 1; i < end; i++) {
        uint8_t c = text.at[i];
        if (c == '\\' && end - i > 3 && text.at[i + 1] >= '0' && text.at[i + 1] <= '3' &&
            (unsigned)(text.at[i + 2] - '0') < 8u && (unsigned)(text.at[i + 3] - '0') < 8u) {
            c = (uint8_t)((text.at[i + 1] - '0') << 6 | (text.at[i + 2] - '0') << 3 | (text.at[i + 3] - '0'));
            i += 3;
        } else if (c == '\\' && end - i > 1) {
            c = text.at[++i];
        }
        out[len++] = c;
    }
    PyObject *value = PyUnicode_DecodeUTF8((const char *)out, (Py_ssize_t)len, "replace");
    PyMem_Free(out);
    return value;
}

static int
add_cookies(PyObject *dict, vv_span text)
{
    while (text.len > 0) {
        vv_span value = vv_trim(vv_span_cut(&text, ';'));
        if (value.len == 0 || memchr(value.at, '=', value.len) == NULL)
            continue; /* no name: nothing that a name could find */
        vv_span name = vv_trim(vv_span_cut(&value, '='));
        if (name.len == 0)
            continue;
        PyObject *key = PyUnicode_DecodeUTF8((const char *)name.at, (Py_ssize_t)name.len, "replace");
        PyObject *cookie = key != NULL ? cookie_value(vv_trim(value)) : NULL;
        PyObject *kept = cookie != NULL ? PyDict_SetDefault(dict, key, cookie) : NULL; /* borrowed */
        Py_XDECREF(key);
        Py_XDECREF(cookie);
        if (kept == NULL)
            return -1;
    }
    return 0;
}

PyObject *
cookies_of(const request_object *request)
{
    const vv_http1_request *req = request->req;
    PyObject *dict = PyDict_New();
    for (unsigned i = 0; dict != NULL && i < req->field_count; i++) {
        const vv_field *field = &req->fields[i];
        if (field->name_len == 6 && vv_equal_nocase(vv_request_span(req, field->name_at, 6), vv_span_text("cookie")) &&
            add_cookies(dict, vv_request_span(req, field->value_at, field->value_len)) < 0)
            Py_CLEAR(dict);
    }
    return dict;
}
