/* UploadedFile: a file of a form. It is a window on the body: on bytes of its own where that was short, else on the
 * temporary file that holds all of it, which goes when the last window, and the request, have gone.
 */
#include "binding/py_body.h"
#include "binding/py_errors.h"

/* ---- Spool ------------------------------------------------------------------------------------------------------ */

PyObject *
spool_object_of(module_state *state, vv_spool *spool, vv_form *form)
{
    PyTypeObject *type = state->spool_type;
    spool_object *self = (spool_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        vv_spool_free(spool);
        vv_form_free(form);
        return NULL;
    }
    self->spool = spool;
    self->form = form;
    return (PyObject *)self;
}

static void
spool_dealloc(PyObject *object)
{
    spool_object *self = (spool_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    vv_spool_free(self->spool);
    vv_form_free(self->form);
    type->tp_free(object);
    Py_DECREF(type);
}

/* 0, or -1 with OSError. The caller holds the Spool. */
static int
spool_read(PyObject *spool, uint64_t at, void *out, size_t len)
{
    vv_status status;
    Py_BEGIN_ALLOW_THREADS status = vv_spool_read(((spool_object *)spool)->spool, at, out, len);
    Py_END_ALLOW_THREADS if (status == VV_OK) return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

PyObject *
spool_bytes(PyObject *spool, uint64_t at, uint64_t len)
{
    if (len > PY_SSIZE_T_MAX / 2)
        return PyErr_NoMemory();
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len);
    Py_INCREF(spool); /* whoever holds it may let go of it while the GIL is not ours */
    if (bytes != NULL && spool_read(spool, at, PyBytes_AS_STRING(bytes), (size_t)len) < 0)
        Py_CLEAR(bytes);
    Py_DECREF(spool);
    return bytes;
}

static PyObject *
spool_read_into(PyObject *object, PyObject *args)
{
    Py_buffer buffer;
    unsigned long long at;
    if (!PyArg_ParseTuple(args, "w*K:read_into", &buffer, &at))
        return NULL;
    uint64_t all = vv_spool_len(((spool_object *)object)->spool);
    int failed = 1;
    if (at > all || (uint64_t)buffer.len > all - at)
        PyErr_SetString(PyExc_ValueError, "there are not so many bytes");
    else
        failed = spool_read(object, at, buffer.buf, (size_t)buffer.len) < 0;
    PyBuffer_Release(&buffer);
    return failed ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef spool_methods[] = {
    {"read_into", spool_read_into, METH_VARARGS,
     PyDoc_STR("read_into(buffer, at)\n--\n\nFills the buffer with the bytes from `at` on.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot spool_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A body that was too long for memory: a temporary file without a name.")},
    {Py_tp_dealloc, spool_dealloc},
    {Py_tp_methods, spool_methods},
    {0, NULL},
};

static PyType_Spec spool_spec = {
    .name = "vivace._engine.Spool",
    .basicsize = sizeof(spool_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = spool_slots,
};

/* ---- UploadedFile ----------------------------------------------------------------------------------------------- */

typedef struct uploaded_file {
    PyObject_HEAD
    PyObject *source; /* owned: a Spool, or bytes */
    uint64_t at, len;
    uint64_t position;      /* of read(), from `at` */
    PyObject *field;        /* owned str */
    PyObject *filename;     /* owned str */
    PyObject *content_type; /* owned str or None */
    PyObject *file;         /* owned: made on first use */
} uploaded_file;

PyObject *
uploaded_file_of(module_state *state, PyObject *source, uint64_t at, uint64_t len, PyObject *field, PyObject *filename,
                 PyObject *content_type)
{
    PyTypeObject *type = state->uploaded_file_type;
    uploaded_file *self = (uploaded_file *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->source = Py_NewRef(source);
    self->at = at;
    self->len = len;
    self->field = Py_NewRef(field);
    self->filename = Py_NewRef(filename);
    self->content_type = Py_NewRef(content_type);
    return (PyObject *)self;
}

static int
file_traverse(PyObject *object, visitproc visit, void *arg)
{
    uploaded_file *self = (uploaded_file *)object;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->file);
    return 0;
}

static int
file_clear(PyObject *object)
{
    Py_CLEAR(((uploaded_file *)object)->file);
    return 0;
}

static void
file_dealloc(PyObject *object)
{
    uploaded_file *self = (uploaded_file *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    file_clear(object);
    Py_XDECREF(self->source);
    Py_XDECREF(self->field);
    Py_XDECREF(self->filename);
    Py_XDECREF(self->content_type);
    type->tp_free(object);
    Py_DECREF(type);
}

/* `len` bytes from `at` on, counted from the window's first. */
static PyObject *
part_of(uploaded_file *self, uint64_t at, uint64_t len)
{
    if (!PyBytes_CheckExact(self->source))
        return spool_bytes(self->source, self->at + at, len);
    if (at == 0 && self->at == 0 && len == (uint64_t)PyBytes_GET_SIZE(self->source))
        return Py_NewRef(self->source);
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(self->source) + self->at + at, (Py_ssize_t)len);
}

static PyObject *
file_bytes(PyObject *object, PyObject *unused)
{
    uploaded_file *self = (uploaded_file *)object;
    return part_of(self, 0, self->len);
}

static PyObject *
file_read(PyObject *object, PyObject *args)
{
    uploaded_file *self = (uploaded_file *)object;
    PyObject *size = Py_None;
    if (!PyArg_ParseTuple(args, "|O:read", &size))
        return NULL;
    long long count = size != Py_None ? PyLong_AsLongLong(size) : -1;
    if (count == -1 && PyErr_Occurred())
        return NULL;
    uint64_t at = self->position < self->len ? self->position : self->len, left = self->len - at;
    uint64_t len = count < 0 || (uint64_t)count > left ? left : (uint64_t)count;
    PyObject *bytes = part_of(self, at, len);
    if (bytes != NULL && len > 0)
        self->position = at + len;
    return bytes;
}

static PyObject *
file_tell(PyObject *object, PyObject *unused)
{
    return PyLong_FromUnsignedLongLong(((uploaded_file *)object)->position);
}

static PyObject *
file_seek(PyObject *object, PyObject *args)
{
    uploaded_file *self = (uploaded_file *)object;
    long long offset, base = 0;
    int whence = 0;
    if (!PyArg_ParseTuple(args, "L|i:seek", &offset, &whence))
        return NULL;
    if (whence < 0 || whence > 2) {
        PyErr_Format(PyExc_ValueError, "seek() takes a whence of 0, 1 or 2, not %d", whence);
        return NULL;
    }
    if (whence != 0)
        base = (long long)(whence == 1 ? self->position : self->len);
    if (__builtin_add_overflow(base, offset, &offset) || offset < 0) {
        PyErr_SetString(PyExc_ValueError, "seek() to a place before the file, or far behind it");
        return NULL;
    }
    self->position = (uint64_t)offset;
    return file_tell(object, NULL);
}

/* To a file that Python has opened. 0, or -1 with an exception. */
static int
save_to(uploaded_file *self, PyObject *target)
{
    if (PyBytes_CheckExact(self->source)) {
        PyObject *bytes = file_bytes((PyObject *)self, NULL);
        PyObject *count = bytes != NULL ? PyObject_CallMethod(target, "write", "O", bytes) : NULL;
        Py_XDECREF(bytes);
        Py_XDECREF(count);
        return count != NULL ? 0 : -1;
    }
    int fd = PyObject_AsFileDescriptor(target);
    if (fd < 0)
        return -1;
    vv_status status;
    Py_BEGIN_ALLOW_THREADS status = vv_spool_copy(((spool_object *)self->source)->spool, self->at, self->len, fd);
    Py_END_ALLOW_THREADS if (status == VV_OK) return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

static PyObject *
file_save(PyObject *object, PyObject *path)
{
    PyObject *io = PyImport_ImportModule("io");
    PyObject *target = io != NULL ? PyObject_CallMethod(io, "open", "Os", path, "wb") : NULL;
    Py_XDECREF(io);
    if (target == NULL)
        return NULL;
    PyObject *failure = save_to((uploaded_file *)object, target) < 0 ? take_exception() : NULL;
    PyObject *closed = PyObject_CallMethod(target, "close", NULL);
    Py_DECREF(target);
    if (failure != NULL) { /* the first error is the one that tells */
        PyErr_Clear();
        raise_taken(failure);
        Py_CLEAR(closed);
    }
    if (closed == NULL)
        return NULL;
    Py_DECREF(closed);
    Py_RETURN_NONE;
}

static PyObject *
get_file(PyObject *object, void *closure)
{
    uploaded_file *self = (uploaded_file *)object;
    if (self->file == NULL) {
        PyObject *module = PyImport_ImportModule("vivace.uploads");
        PyObject *file = module != NULL
                             ? PyObject_CallMethod(module, "open_window", "OKK", self->source,
                                                   (unsigned long long)self->at, (unsigned long long)self->len)
                             : NULL;
        Py_XDECREF(module);
        if (file == NULL)
            return NULL;
        if (self->file == NULL)
            self->file = file;
        else
            Py_DECREF(file); /* another thread was faster */
    }
    return Py_NewRef(self->file);
}

static PyObject *
get_body(PyObject *object, void *closure)
{
    return file_bytes(object, NULL);
}

static PyObject *
get_size(PyObject *object, void *closure)
{
    return PyLong_FromUnsignedLongLong(((uploaded_file *)object)->len);
}

static PyObject *
get_field(PyObject *object, void *closure)
{
    return Py_NewRef(((uploaded_file *)object)->field);
}

static PyObject *
get_filename(PyObject *object, void *closure)
{
    return Py_NewRef(((uploaded_file *)object)->filename);
}

static PyObject *
get_content_type(PyObject *object, void *closure)
{
    return Py_NewRef(((uploaded_file *)object)->content_type);
}

static PyObject *
get_type(PyObject *object, void *closure)
{
    PyObject *whole = ((uploaded_file *)object)->content_type;
    if (whole == Py_None)
        return Py_NewRef(Py_None);
    assert(PyUnicode_KIND(whole) == PyUnicode_1BYTE_KIND); /* it was made of what was sent, by ISO 8859-1 */
    return media_type_of(vv_span_of(PyUnicode_1BYTE_DATA(whole), (size_t)PyUnicode_GET_LENGTH(whole)));
}

static PyObject *
file_repr(PyObject *object)
{
    uploaded_file *self = (uploaded_file *)object;
    return PyUnicode_FromFormat("<UploadedFile %R of field %R, %llu bytes>", self->filename, self->field,
                                (unsigned long long)self->len);
}

static PyGetSetDef file_getset[] = {
    {"name", get_filename, NULL, PyDoc_STR("The file's name as the client sent it, str. Never a path to write to."),
     NULL},
    {"filename", get_filename, NULL, PyDoc_STR("The same as `name`."), NULL},
    {"field", get_field, NULL, PyDoc_STR("The name of the form's field, str."), NULL},
    {"type", get_type, NULL, PyDoc_STR("The media type in lower case, str; None when none was sent."), NULL},
    {"content_type", get_content_type, NULL,
     PyDoc_STR("Content-Type with its parameters, as sent, str; None when none was sent."), NULL},
    {"size", get_size, NULL, PyDoc_STR("How long it is, in bytes."), NULL},
    {"body", get_body, NULL, PyDoc_STR("All of it, bytes; of a long body read anew each time."), NULL},
    {"file", get_file, NULL, PyDoc_STR("It as a binary file object, to read, seek and iterate."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef file_methods[] = {
    {"read", file_read, METH_VARARGS,
     PyDoc_STR("read(size=-1, /)\n--\n\nThe next bytes, at most so many; b'' at the end.")},
    {"seek", file_seek, METH_VARARGS, PyDoc_STR("seek(offset, whence=0, /)\n--\n\nWhere read() goes on.")},
    {"tell", file_tell, METH_NOARGS, PyDoc_STR("tell()\n--\n\nWhere read() goes on.")},
    {"save", file_save, METH_O,
     PyDoc_STR("save(path, /)\n--\n\nWrites it to a path of your choice, over what is there. OSError if that fails.")},
    {"__bytes__", file_bytes, METH_NOARGS, PyDoc_STR("__bytes__()\n--\n\nAll of it.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot file_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A file of a form, as in request.files.")},
    {Py_tp_dealloc, file_dealloc},
    {Py_tp_traverse, file_traverse},
    {Py_tp_clear, file_clear},
    {Py_tp_repr, file_repr},
    {Py_tp_getset, file_getset},
    {Py_tp_methods, file_methods},
    {0, NULL},
};

static PyType_Spec file_spec = {
    .name = "vivace._engine.UploadedFile",
    .basicsize = sizeof(uploaded_file),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = file_slots,
};

int
upload_init(PyObject *module, module_state *state)
{
    state->spool_type = state_add_type(module, &spool_spec, 0);
    state->uploaded_file_type = state_add_type(module, &file_spec, 1);
    return state->spool_type != NULL && state->uploaded_file_type != NULL ? 0 : -1;
}
