/* Exceptions that are set, taken and told apart. */
#ifndef VV_BINDING_PY_ERRORS_H
#define VV_BINDING_PY_ERRORS_H

#include "binding/py_state.h"

/* Takes the exception that is set, with its traceback. New reference. */
static inline PyObject *
take_exception(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

/* Sets an exception again that was taken, or was made; steals it. */
static inline void
raise_taken(PyObject *exception)
{
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    Py_DECREF(exception);
}

/* Whether the exception that is set ends the program: SystemExit or KeyboardInterrupt. */
static inline int
is_exit(void)
{
    return PyErr_ExceptionMatches(PyExc_SystemExit) || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
}

#endif
