/* request.form and request.files: of a form in one piece (application/x-www-form-urlencoded), or of several parts
 * (multipart/form-data), which core/form has taken apart.
 */
#include "binding/py_body.h"
#include "binding/py_mappings.h"
#include "binding/py_server.h"
#include "binding/py_spans.h"
#include "core/bytes/ascii.h"
#include "core/form/parameters.h"
#include "core/form/urlencoded.h"
#include "core/server/long_body.h"

/* ---- in one piece ----------------------------------------------------------------------------------------------- */

typedef struct urlencoded {
    module_state *state;
    vv_span all, charset;
} urlencoded;

static PyObject *
urlencoded_text(const urlencoded *form, vv_span text)
{
    PyObject *error = form->state->form_error;
    if (vv_urlencoded_is_plain(text))
        return body_decoded(form->state, text, form->charset, error, "The form");
    uint8_t *out = PyMem_Malloc(text.len);
    if (out == NULL)
        return PyErr_NoMemory();
    size_t odd = SIZE_MAX, len = vv_urlencoded_decode(text, out, &odd);
    PyObject *value;
    if (odd != SIZE_MAX)
        value = body_raise(error, 400, "The form is malformed: a %% without two hexadecimal digits (byte %zu)",
                           (size_t)(text.at - form->all.at) + odd);
    else
        value = body_decoded(form->state, vv_span_of(out, len), form->charset, error, "The form");
    PyMem_Free(out);
    return value;
}

static int
read_urlencoded(const urlencoded *form, const vv_limits *limits, PyObject *fields)
{
    vv_span rest = form->all, name, value;
    while (vv_urlencoded_next(&rest, &name, &value)) {
        if ((size_t)PyList_GET_SIZE(fields) >= limits->limit_form_parts) {
            body_raise(form->state->form_error, 413, "The form has more fields than limit_form_parts");
            return -1;
        }
        PyObject *key = urlencoded_text(form, name);
        if (pairs_add(fields, key, key != NULL ? urlencoded_text(form, value) : NULL) < 0)
            return -1;
    }
    return 0;
}

static int
fill_urlencoded(request_object *request, PyObject *fields)
{
    server_object *server = request->server;
    if (request->body.len > server->limits.limit_form_text_bytes) {
        body_raise(server->state->form_error, 413, "The form exceeds limit_form_text_bytes");
        return -1;
    }
    PyObject *bytes = body_bytes(request); /* of our own: a codec may be Python, which other threads run beside */
    if (bytes == NULL)
        return -1;
    PyObject *encoding = body_encoding(request);
    Py_ssize_t len = 0;
    const char *charset = encoding != NULL && encoding != Py_None ? PyUnicode_AsUTF8AndSize(encoding, &len) : NULL;
    urlencoded form = {
        .state = server->state,
        .all = bytes_span(bytes),
        .charset = vv_span_of(charset, (size_t)len),
    };
    int failed = encoding == NULL || PyErr_Occurred() || read_urlencoded(&form, &server->limits, fields) < 0;
    Py_XDECREF(encoding);
    Py_DECREF(bytes);
    return failed ? -1 : 0;
}

/* ---- of several parts ------------------------------------------------------------------------------------------- */

typedef struct multipart {
    module_state *state;
    vv_form *form;
    PyObject *source; /* what files are windows on: the body as bytes, or as a Spool */
    vv_span charset;  /* of what names none of its own */
} multipart;

static vv_span
text_of(const multipart *from, vv_form_text text)
{
    return vv_form_text_of(from->form, text.at, text.len);
}

/* The form's own word on its charset (RFC 7578 section 4.6). */
static vv_span
default_charset(const multipart *from)
{
    for (size_t i = 0; i < vv_form_count(from->form); i++) {
        const vv_form_part *part = vv_form_at(from->form, i);
        if (!part->is_file && vv_span_equal(text_of(from, part->name), vv_span_text("_charset_")))
            return vv_form_text_of(from->form, (size_t)part->at, (size_t)part->len);
    }
    return vv_span_of(NULL, 0);
}

static PyObject *
decoded(const multipart *from, vv_span text, vv_span charset)
{
    return body_decoded(from->state, text, charset, from->state->form_error, "The form");
}

static PyObject *
file_of(const multipart *from, const vv_form_part *part, PyObject *field)
{
    vv_span type = text_of(from, part->type);
    PyObject *filename = decoded(from, text_of(from, part->filename), from->charset), *file = NULL;
    PyObject *content_type = type.len > 0 ? latin1_of(type) : Py_NewRef(Py_None);
    if (filename != NULL && content_type != NULL)
        file = uploaded_file_of(from->state, from->source, part->at, part->len, field, filename, content_type);
    Py_XDECREF(filename);
    Py_XDECREF(content_type);
    return file;
}

static int
read_parts(const multipart *from, PyObject *fields, PyObject *files)
{
    for (size_t i = 0; i < vv_form_count(from->form); i++) {
        const vv_form_part *part = vv_form_at(from->form, i);
        PyObject *name = decoded(from, text_of(from, part->name), from->charset), *value = NULL;
        if (name != NULL && part->is_file) {
            value = file_of(from, part, name);
        } else if (name != NULL) {
            vv_span own = text_of(from, part->charset);
            vv_span text = vv_form_text_of(from->form, (size_t)part->at, (size_t)part->len);
            value = decoded(from, text, own.len > 0 ? own : from->charset);
        }
        if (pairs_add(part->is_file ? files : fields, name, value) < 0)
            return -1;
    }
    return 0;
}

static int
read_multipart(multipart *from, PyObject *fields, PyObject *files)
{
    uint64_t at;
    vv_status status = vv_form_end(from->form);
    switch (status) {
    case VV_OK:
        from->charset = default_charset(from);
        return read_parts(from, fields, files);
    case VV_E_FORM: {
        const char *fault = vv_form_fault(from->form, &at);
        body_raise(from->state->form_error, vv_status_answer(status), "The form is malformed: %s (byte %llu)", fault,
                   (unsigned long long)at);
        return -1;
    }
    case VV_E_FORM_LIMIT:
        body_raise(from->state->form_error, vv_status_answer(status), "The form is too large: %s",
                   vv_form_fault(from->form, &at));
        return -1;
    default:
        PyErr_NoMemory();
        return -1;
    }
}

static int
fill_multipart(request_object *request, vv_span boundary, PyObject *fields, PyObject *files)
{
    multipart from = {.state = request->server->state};
    int failed;
    if (request->body.at == NULL) {
        PyObject *spool = body_spool(request);
        if (spool == NULL)
            return -1;
        from.source = Py_NewRef(spool);
        from.form = ((spool_object *)spool)->form;
        failed = read_multipart(&from, fields, files) < 0;
    } else {
        vv_form_limits limits = vv_limits_of_forms(&request->server->limits);
        from.source = body_bytes(request); /* the files are windows on it */
        if (from.source == NULL)
            return -1;
        if (vv_form_new(&from.form, boundary, &limits) != VV_OK) {
            PyErr_NoMemory();
            failed = 1;
        } else {
            (void)vv_form_feed(from.form, bytes_span(from.source)); /* vv_form_end() says it too */
            failed = read_multipart(&from, fields, files) < 0;
            vv_form_free(from.form);
        }
    }
    Py_DECREF(from.source);
    return failed ? -1 : 0;
}

/* ---- both ------------------------------------------------------------------------------------------------------- */

static int
fill(request_object *request, PyObject *fields, PyObject *files)
{
    uint8_t boundary[VV_FORM_BOUNDARY_BYTES];
    size_t len;
    if (!body_is_there(request))
        return 0;
    vv_span type = body_content_type(request);
    switch (vv_form_boundary(type, boundary, &len)) {
    case VV_OK:
        return fill_multipart(request, vv_span_of(boundary, len), fields, files);
    case VV_E_FORM:
        body_raise(request->server->state->form_error, 400,
                   "The form is malformed: its Content-Type has no boundary, or one that is none");
        return -1;
    default:
        break;
    }
    if (vv_equal_nocase(vv_parameters_begin(&type), vv_span_text("application/x-www-form-urlencoded")))
        return fill_urlencoded(request, fields);
    return 0;
}

PyObject *
form_and_files(request_object *request)
{
    module_state *state = request->server->state;
    PyObject *fields = PyList_New(0), *files = PyList_New(0), *both = NULL;
    if (fields != NULL && files != NULL && fill(request, fields, files) == 0) {
        PyObject *form = multidict_of(state, Py_NewRef(fields)), *uploads = multidict_of(state, Py_NewRef(files));
        if (form != NULL && uploads != NULL)
            both = PyTuple_Pack(2, form, uploads);
        Py_XDECREF(form);
        Py_XDECREF(uploads);
    }
    Py_XDECREF(fields);
    Py_XDECREF(files);
    return both;
}
