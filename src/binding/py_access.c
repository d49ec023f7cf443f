/* Server.log_access(): the access log, to a descriptor, a file, or a Python callable. */
#include "binding/py_server.h"
#include "core/server/access_log.h"

static int
format_of(const char *name)
{
    static const char *const names[] = {
        [VV_ACCESS_SHORT] = "short",
        [VV_ACCESS_COMMON] = "common",
        [VV_ACCESS_COMBINED] = "combined",
        [VV_ACCESS_JSON] = "json",
    };
    for (int format = 0; format <= VV_ACCESS_JSON; format++)
        if (strcmp(name, names[format]) == 0)
            return format;
    return -1;
}

/* Called once a turn, outside of every request. */
static void
take(void *self_, vv_span lines)
{
    server_object *self = self_;
    int before = selector_pin(self->selector);
    self->selector->ran = 1;
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)lines.at, (Py_ssize_t)lines.len);
    PyObject *result = bytes != NULL ? PyObject_CallOneArg(self->on_access, bytes) : NULL;
    Py_XDECREF(bytes);
    if (result == NULL && is_exit())
        selector_fail(self->selector);
    else if (result == NULL)
        PyErr_WriteUnraisable(self->on_access);
    Py_XDECREF(result);
    selector_unpin(self->selector, before);
}

static PyObject *
fail(vv_status status, PyObject *path)
{
    if (status == VV_E_NO_MEMORY)
        return PyErr_NoMemory();
    return path != NULL ? PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path) : PyErr_SetFromErrno(PyExc_OSError);
}

/* A converter of PyArg_Parse: None is no path. */
static int
path_or_none(PyObject *given, void *path)
{
    return given == Py_None ? 1 : PyUnicode_FSConverter(given, path);
}

PyObject *
server_log_access(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"format", "fd", "path", "color", "worker", "take", NULL};
    server_object *self = (server_object *)object;
    vv_access_options options = {.fd = 2};
    PyObject *path = NULL, *callable = NULL;
    const char *name;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|$iO&pIO:log_access", names, &name, &options.fd, path_or_none,
                                     &path, &options.style.color, &options.style.worker, &callable))
        return NULL;
    if (callable == Py_None)
        callable = NULL;
    int format = format_of(name);
    if (format < 0) {
        PyErr_Format(PyExc_ValueError, "unknown format \"%s\": use short, common, combined or json", name);
    } else if (server_opened(object) == NULL) {
        /* it has said so */
    } else if (self->selector->selecting) {
        PyErr_SetString(PyExc_RuntimeError, "the server is serving: say before how to log");
    } else {
        options.style.format = (vv_access_format)format;
        options.path = path != NULL ? PyBytes_AS_STRING(path) : NULL;
        options.take = callable != NULL ? take : NULL;
        options.self = self;
        vv_status status = vv_server_log_access(self->server, &options);
        if (status == VV_OK)
            Py_XSETREF(self->on_access, Py_XNewRef(callable));
        else
            fail(status, path);
    }
    Py_XDECREF(path);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}
