/* The contexts that handlers run in: one Context object serves request after request for as long as it stays empty
 * (docs/decisions/011).
 */
#include "binding/py_selector.h"

static PyObject *
fresh_context(selector_object *self)
{
    return self->base_len == 0 ? PyContext_New() : PyContext_Copy(self->base);
}

static int
capture_base(selector_object *self)
{
    PyObject *base = PyContext_CopyCurrent();
    if (base == NULL)
        return -1;
    Py_ssize_t len = PyObject_Size(base);
    if (len < 0) {
        Py_DECREF(base);
        return -1;
    }
    Py_XSETREF(self->base, base);
    self->base_len = len;
    return 0;
}

int
selector_enter(selector_object *self)
{
    self->ran = 1;
    if (VV_LIKELY(self->entered))
        return 0;
    if (self->context == NULL) {
        if (self->base == NULL && capture_base(self) < 0)
            return -1;
        self->context = fresh_context(self);
        if (self->context == NULL)
            return -1;
    }
    if (PyContext_Enter(self->context) < 0)
        return -1;
    self->entered = 1;
    return 0;
}

void
selector_leave(selector_object *self)
{
    if (!self->entered)
        return;
    self->entered = 0;
    if (PyContext_Exit(self->context) < 0)
        PyErr_WriteUnraisable(self->context);
}

void
selector_wash(selector_object *self)
{
    /* An empty context that is still empty was not touched. One that had variables may have had them changed. */
    if (VV_LIKELY(self->base_len == 0 && self->context != NULL && PyObject_Size(self->context) == 0))
        return;
    selector_leave(self);
    Py_CLEAR(self->context);
    if (PyErr_Occurred())
        PyErr_Clear();
}

PyObject *
selector_give_context(selector_object *self)
{
    selector_leave(self);
    PyObject *context = self->context;
    self->context = NULL;
    return context != NULL ? context : fresh_context(self);
}
