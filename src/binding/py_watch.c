/* Debug: which handlers hold the event loop, and for how long. */
#include "binding/py_watch.h"

static const int64_t HELD_NS = 100 * 1000 * 1000; /* shorter holds are not told */

static void
tell(server_object *server, PyObject *method, const route_plan *plan, int64_t ns)
{
    PyObject *seconds = PyFloat_FromDouble((double)ns / 1e9), *result = NULL;
    if (seconds != NULL) {
        PyObject *args[] = {method != NULL ? method : Py_None, plan != NULL ? plan->route : Py_None, seconds};
        result = PyObject_Vectorcall(server->on_held, args, 3, NULL);
    }
    if (result == NULL)
        PyErr_WriteUnraisable(server->on_held);
    Py_XDECREF(result);
    Py_XDECREF(seconds);
}

void
watch_end(watched step, PyObject *method, const route_plan *plan)
{
    if (VV_LIKELY(step.server == NULL))
        return;
    int64_t ns = vv_loop_clock_ns() - step.since_ns;
    if (ns < HELD_NS)
        return;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    tell(step.server, method, plan, ns);
    PyErr_Restore(type, value, traceback);
}

void
watch_end_of(watched step, request_object *request)
{
    if (VV_LIKELY(step.server == NULL))
        return;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *method = PyObject_GetAttrString((PyObject *)request, "method");
    if (method == NULL)
        PyErr_Clear();
    watch_end(step, method, request->plan);
    Py_XDECREF(method);
    PyErr_Restore(type, value, traceback);
}
