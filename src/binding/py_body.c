#include "binding/py_body.h"

#include <stdarg.h>

#include "binding/py_errors.h"
#include "binding/py_server.h"
#include "binding/py_spans.h"
#include "core/bytes/ascii.h"
#include "core/form/parameters.h"

/* ---- bytes ------------------------------------------------------------------------------------------------------ */

int
body_is_there(const request_object *request)
{
    return (request->req->flags & (VV_REQUEST_HAS_LENGTH | VV_REQUEST_CHUNKED)) != 0;
}

PyObject *
body_spool(request_object *request)
{
    PyObject *known = request_cached(request, SLOT_SPOOL); /* borrowed */
    if (known != NULL)
        return known;
    vv_spool *spool = NULL;
    vv_form *form = NULL;
    if (request->server->server != NULL)
        vv_server_take_body(request->server->server, &spool, &form);
    if (spool == NULL) { /* the collector has cleared the request, and a finalizer looks at it */
        PyErr_SetString(PyExc_RuntimeError, "the request's body is gone");
        return NULL;
    }
    return request_cache(request, SLOT_SPOOL, spool_object_of(request->server->state, spool, form));
}

PyObject *
body_bytes(request_object *request)
{
    if (!body_is_there(request))
        return Py_NewRef(Py_None);
    PyObject *known = request_cached(request, SLOT_BODY); /* borrowed */
    if (known != NULL)
        return Py_NewRef(known);
    if (request->body.at != NULL)
        return PyBytes_FromStringAndSize((const char *)request->body.at, (Py_ssize_t)request->body.len);
    PyObject *spool = body_spool(request);
    return spool != NULL ? spool_bytes(spool, 0, request->body.len) : NULL;
}

/* ---- Content-Type (RFC 9110 section 8.3) ------------------------------------------------------------------------ */

vv_span
body_content_type(const request_object *request)
{
    return vv_request_value(request->req, vv_span_text("content-type"));
}

PyObject *
media_type_of(vv_span content_type)
{
    vv_span type = vv_parameters_begin(&content_type);
    if (type.len == 0)
        return Py_NewRef(Py_None);
    PyObject *text = latin1_of(type);
    PyObject *lower = text != NULL ? PyObject_CallMethod(text, "lower", NULL) : NULL;
    Py_XDECREF(text);
    return lower;
}

PyObject *
body_mime_type(const request_object *request)
{
    return media_type_of(body_content_type(request));
}

/* What a charset's name is read into; longer ones are unknown. */
typedef struct charset_room {
    uint8_t bytes[32];
} charset_room;

/* `rest` is malformed: all that stands behind "charset=", if it begins with that. It is the name of no charset, which
 * is for whoever decodes to tell. Anything else says nothing of a charset. */
static vv_span
malformed_charset(vv_span rest)
{
    vv_span name = vv_span_text("charset=");
    while (rest.len > 0 && (rest.at[0] == ';' || rest.at[0] == ' ' || rest.at[0] == '\t'))
        rest = vv_span_of(rest.at + 1, rest.len - 1);
    if (rest.len < name.len || !vv_equal_nocase(vv_span_of(rest.at, name.len), name))
        return vv_span_of(NULL, 0);
    return vv_span_of(rest.at + name.len, rest.len - name.len);
}

/* The value of the charset parameter; empty: none. Borrows from the request, or from `room`. */
static vv_span
charset_of(const request_object *request, charset_room *room)
{
    vv_span rest = body_content_type(request);
    vv_parameter parameter;
    vv_status status;
    (void)vv_parameters_begin(&rest);
    while ((status = vv_parameter_next(&rest, &parameter)) == VV_OK) {
        if (!vv_equal_nocase(parameter.name, vv_span_text("charset")))
            continue;
        if (!parameter.quoted || parameter.value.len > sizeof room->bytes)
            return parameter.value;
        return vv_span_of(room->bytes, vv_parameter_text(&parameter, room->bytes));
    }
    return status == VV_AGAIN ? vv_span_of(NULL, 0) : malformed_charset(rest);
}

PyObject *
body_encoding(const request_object *request)
{
    charset_room room;
    vv_span charset = charset_of(request, &room);
    return charset.len > 0 ? latin1_of(charset) : Py_NewRef(Py_None);
}

/* ---- charsets --------------------------------------------------------------------------------------------------- */

PyObject *
body_raise(PyObject *error, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    PyObject *detail = PyUnicode_FromFormatV(format, args);
    va_end(args);
    PyObject *exception = detail != NULL ? PyObject_CallFunction(error, "iO", status, detail) : NULL;
    if (exception != NULL)
        PyErr_SetObject(error, exception);
    Py_XDECREF(detail);
    Py_XDECREF(exception);
    return NULL;
}

/* The codec of a charset's name: a str, borrowed from the table. NULL, with LookupError if there is none. */
static PyObject *
codec_of(module_state *state, vv_span charset)
{
    char name[sizeof(charset_room)];
    size_t len = charset.len <= sizeof name ? charset.len : 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = vv_lower(charset.at[i]);
        name[i] = (char)(c == '-' || c == '.' || c == ' ' ? '_' : c);
    }
    PyObject *key = latin1_of(vv_span_of(name, len));
    PyObject *codec = key != NULL ? PyDict_GetItemWithError(state->charsets, key) : NULL; /* borrowed */
    Py_XDECREF(key);
    if (codec == NULL && !PyErr_Occurred())
        PyErr_SetNone(PyExc_LookupError);
    return codec;
}

/* Says where a text could not be decoded, of a UnicodeError that is set. */
VV_COLD static PyObject *
raise_undecodable(PyObject *error, const char *what, PyObject *codec)
{
    PyObject *exception = take_exception(), *name = PyObject_CallMethod(codec, "replace", "ss", "_", "-");
    if (name == NULL) {
        /* MemoryError, then. */
    } else if (PyObject_TypeCheck(exception, (PyTypeObject *)PyExc_UnicodeDecodeError)) {
        Py_ssize_t start = 0;
        PyObject *reason = PyUnicodeDecodeError_GetReason(exception);
        if (reason != NULL && PyUnicodeDecodeError_GetStart(exception, &start) == 0)
            body_raise(error, 400, "%s is not %U text: %U at byte %zd", what, name, reason, start);
        Py_XDECREF(reason);
    } else {
        body_raise(error, 400, "%s is not %U text", what, name);
    }
    Py_XDECREF(name);
    Py_DECREF(exception);
    return NULL;
}

PyObject *
body_decoded(module_state *state, vv_span bytes, vv_span charset, PyObject *error, const char *what)
{
    PyObject *codec = codec_of(state, charset.len > 0 ? charset : vv_span_text("utf-8"));
    if (codec == NULL && PyErr_ExceptionMatches(PyExc_LookupError)) {
        PyErr_Clear();
        return body_raise(error, 415, "%s has a charset that is unknown", what);
    }
    if (codec == NULL)
        return NULL;
    Py_INCREF(codec);
    PyObject *text;
    if (PyUnicode_CompareWithASCIIString(codec, "utf_8") == 0) {
        text = PyUnicode_DecodeUTF8((const char *)bytes.at, (Py_ssize_t)bytes.len, NULL);
    } else {
        /* A codec may be Python, which other threads run beside, or keep what it is given: it gets bytes of its own. */
        PyObject *copy = PyBytes_FromStringAndSize((const char *)bytes.at, (Py_ssize_t)bytes.len);
        text = copy != NULL ? PyUnicode_FromEncodedObject(copy, PyUnicode_AsUTF8(codec), NULL) : NULL;
        Py_XDECREF(copy);
    }
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeError))
        raise_undecodable(error, what, codec);
    Py_DECREF(codec);
    return text;
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

PyObject *
body_text(request_object *request)
{
    module_state *state = request->server->state;
    if (!body_is_there(request))
        return Py_NewRef(Py_None);
    charset_room room;
    vv_span charset = charset_of(request, &room);
    if (request->body.at != NULL)
        return body_decoded(state, request->body, charset, state->body_error, "The body");
    PyObject *bytes = body_bytes(request);
    if (bytes == NULL)
        return NULL;
    vv_span all = bytes_span(bytes);
    PyObject *text = body_decoded(state, all, charset, state->body_error, "The body");
    Py_DECREF(bytes);
    return text;
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

/* What the standard library says of a text that is not JSON: its `msg` and `pos`, new references; neither if it has no
 * objection, or none that has a place. */
static void
ask_stdlib(PyObject *text, PyObject **message, PyObject **position)
{
    PyObject *json = PyImport_ImportModule("json");
    PyObject *decoded = json != NULL ? PyObject_CallMethod(json, "loads", "O", text) : NULL;
    if (decoded == NULL && PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyObject *error = take_exception();
        *message = PyObject_GetAttrString(error, "msg");
        *position = *message != NULL ? PyObject_GetAttrString(error, "pos") : NULL;
        Py_DECREF(error);
    }
    PyErr_Clear();
    if (*position == NULL)
        Py_CLEAR(*message);
    Py_XDECREF(decoded);
    Py_XDECREF(json);
}

/* msgspec says that and where it failed in a sentence; the standard library says the position, which is what our users
 * get: the same text is decoded once more by it. */
VV_COLD static PyObject *
raise_json_error(module_state *state, PyObject *body)
{
    PyObject *first = take_exception(), *message = NULL, *position = NULL;
    const char *bytes = PyBytes_AS_STRING(body);
    PyObject *text = PyUnicode_DecodeUTF8(bytes, PyBytes_GET_SIZE(body), "strict");
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyObject *error = take_exception();
        Py_ssize_t start = 0;
        (void)PyUnicodeDecodeError_GetStart(error, &start);
        PyObject *before = PyUnicode_DecodeUTF8(bytes, start, "replace");
        position = before != NULL ? PyLong_FromSsize_t(PyUnicode_GET_LENGTH(before)) : NULL;
        message = PyUnicode_FromString("Invalid UTF-8");
        text = PyUnicode_DecodeUTF8(bytes, PyBytes_GET_SIZE(body), "replace");
        Py_XDECREF(before);
        Py_DECREF(error);
    } else if (PyErr_GivenExceptionMatches(first, PyExc_RecursionError)) {
        message = PyUnicode_FromString("Nested too deeply");
        position = PyLong_FromLong(0);
    } else if (text != NULL) {
        ask_stdlib(text, &message, &position);
        if (position == NULL) { /* the two disagree (NaN, lone surrogates ...): msgspec's word holds */
            message = PyObject_Str(first);
            position = PyLong_FromLong(0);
        }
    }
    if (message != NULL && position != NULL && text != NULL) {
        PyObject *error = PyObject_CallFunctionObjArgs(state->json_error, message, text, position, NULL);
        if (error != NULL)
            raise_taken(error);
    }
    Py_XDECREF(text);
    Py_XDECREF(message);
    Py_XDECREF(position);
    Py_XDECREF(first);
    return NULL;
}

PyObject *
body_json(request_object *request)
{
    if (!body_is_there(request))
        return Py_NewRef(Py_None);
    module_state *state = request->server->state;
    PyObject *body = body_bytes(request);
    PyObject *value = body != NULL ? PyObject_CallOneArg(state->json_decode, body) : NULL;
    if (value == NULL && body != NULL &&
        (PyErr_ExceptionMatches(PyExc_ValueError) || PyErr_ExceptionMatches(PyExc_RecursionError)))
        raise_json_error(state, body);
    Py_XDECREF(body);
    return value;
}
