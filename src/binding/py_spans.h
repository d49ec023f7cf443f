/* Between Python's strings and spans: a span borrows from the object that it was made of. */
#ifndef VV_BINDING_PY_SPANS_H
#define VV_BINDING_PY_SPANS_H

#include "binding/py_state.h"
#include "core/bytes/span.h"
#include "core/compiler.h"

/* UTF-8 of a str: its own bytes where it is ASCII, else those that it keeps. 0, or -1 with UnicodeEncodeError. */
static inline int
text_span(PyObject *text, vv_span *out)
{
    if (VV_LIKELY(PyUnicode_IS_COMPACT_ASCII(text))) {
        *out = vv_span_of(PyUnicode_DATA(text), (size_t)PyUnicode_GET_LENGTH(text));
        return 0;
    }
    Py_ssize_t len;
    const char *utf8 = PyUnicode_AsUTF8AndSize(text, &len);
    if (utf8 == NULL)
        return -1;
    *out = vv_span_of(utf8, (size_t)len);
    return 0;
}

static inline vv_span
bytes_span(PyObject *bytes)
{
    return vv_span_of(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
}

/* A text as str, by ISO 8859-1 (RFC 9110 section 5.5). New reference, or NULL with MemoryError. */
static inline PyObject *
latin1_of(vv_span text)
{
    return PyUnicode_DecodeLatin1((const char *)text.at, (Py_ssize_t)text.len, NULL);
}

#endif
