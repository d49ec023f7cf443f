/* A handler's coroutine as its task sees it: sends and throws go through to it, and when it ends the request is
 * answered.
 */
#include "binding/py_pending.h"

/* ---- the end ---------------------------------------------------------------------------------------------------- */

void
pending_forget(pending_object *self)
{
    request_object *request = self->request;
    self->request = NULL;
    Py_CLEAR(self->task);
    if (self->counted && self->server != NULL && request != NULL)
        server_count_waiting(self->server, request->plan, (uint32_t)-1);
    self->counted = 0;
    Py_CLEAR(self->server);
    if (request != NULL) {
        if (request->pending == (PyObject *)self)
            Py_CLEAR(request->pending); /* else another coroutine, an error handler's, answers now */
        Py_DECREF(request);
    }
}

/* The coroutine has ended: with a value (stolen), or, when it is NULL, with the exception that is set. */
static void
finish(pending_object *self, PyObject *value)
{
    server_object *server = self->server;
    request_object *request = self->request;
    if (request == NULL) { /* ended before: a close() after the end */
        Py_XDECREF(value);
        PyErr_Clear();
        return;
    }
    server->selector->ran = 1;
    int exits = value == NULL && is_exit();
    if (exits || (self->gone && (value != NULL || PyErr_ExceptionMatches(server->state->cancelled_error)))) {
        Py_XDECREF(value); /* nobody is there to be answered; what else it may have raised is logged, though */
        PyErr_Clear();
        if (exits)
            app_break_off(request);
        app_call_callbacks(request);
        pending_forget(self);
        return;
    }
    Py_INCREF(server);
    app_answer(server, request, value);
    pending_forget(self);
    Py_DECREF(server);
}

/* ---- the task's coroutine --------------------------------------------------------------------------------------- */

static PySendResult
handed_on(pending_object *self, PySendResult outcome, PyObject *value, PyObject **result)
{
    if (outcome == PYGEN_NEXT) {
        *result = value;
        return PYGEN_NEXT;
    }
    int passed_on = value == NULL && self->server != NULL &&
                    (PyErr_ExceptionMatches(self->server->state->cancelled_error) || is_exit());
    if (passed_on) {
        /* Answered as any exception, and then the task hears of it too: it ends cancelled, or ends the program. */
        PyObject *type, *error, *traceback;
        PyErr_Fetch(&type, &error, &traceback);
        PyErr_Restore(Py_XNewRef(type), Py_XNewRef(error), Py_XNewRef(traceback));
        finish(self, NULL);
        PyErr_Restore(type, error, traceback);
        *result = NULL;
        return PYGEN_ERROR;
    }
    finish(self, value);
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

/* A future that is awaited is marked as such until the task that awaits it has seen it. Here that may be a turn later,
 * and others may await it in the meantime: the mark is taken off, and put on again by take_first(). */
static void
note_blocking(pending_object *self, module_state *state)
{
    PyObject *blocking = PyObject_GetAttr(self->first, state->name__asyncio_future_blocking);
    self->blocking = blocking == Py_True;
    Py_XDECREF(blocking);
    if (self->blocking)
        (void)!PyObject_SetAttr(self->first, state->name__asyncio_future_blocking, Py_False);
    PyErr_Clear();
}

/* What the first step has yielded, with the mark that it had then. New reference, or NULL with an exception. */
static PyObject *
take_first(pending_object *self)
{
    PyObject *first = self->first;
    self->first = NULL;
    if (self->blocking && self->server != NULL &&
        PyObject_SetAttr(first, self->server->state->name__asyncio_future_blocking, Py_True) < 0)
        Py_CLEAR(first);
    return first;
}

static void
raise_first(pending_object *self)
{
    PyObject *error = self->first;
    self->first = NULL;
    raise_taken(error);
}

static PySendResult
pending_am_send(PyObject *object, PyObject *argument, PyObject **result)
{
    pending_object *self = (pending_object *)object;
    PyObject *first = self->first;
    first_outcome outcome = (first_outcome)self->outcome;
    self->outcome = FIRST_PASSED;
    switch (outcome) {
    case FIRST_YIELDED:
        first = take_first(self);
        return handed_on(self, first != NULL ? PYGEN_NEXT : PYGEN_ERROR, first, result);
    case FIRST_RETURNED:
        self->first = NULL;
        return handed_on(self, PYGEN_RETURN, first, result);
    case FIRST_RAISED:
        raise_first(self);
        return handed_on(self, PYGEN_ERROR, NULL, result);
    case FIRST_RUNNING:
        /* An eager task, made in the middle of the first step: it shall come back in the next turn. */
        self->outcome = FIRST_RUNNING;
        *result = Py_NewRef(Py_None);
        return PYGEN_NEXT;
    case FIRST_NOT_RUN:
    case FIRST_PASSED:
        break;
    }
    PyObject *value = NULL;
    if (self->server != NULL) {
        self->server->selector->ran = 1;
        server_note_step(self->server, self->request != NULL ? self->request->plan : NULL);
    }
    watched step = watch_begin(self->server);
    PySendResult sent = PyIter_Send(self->coroutine, argument, &value);
    pending_end_watch(self, step);
    server_note_step(self->server, NULL);
    return handed_on(self, sent, value, result);
}

/* What a method of a generator gives for a PySendResult: the value yielded, or StopIteration. */
static PyObject *
as_call(PySendResult sent, PyObject *value)
{
    if (sent == PYGEN_NEXT)
        return value;
    if (sent == PYGEN_RETURN) {
        PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);
        if (stop != NULL)
            PyErr_SetObject(PyExc_StopIteration, stop);
        Py_XDECREF(stop);
        Py_XDECREF(value);
    }
    return NULL;
}

static PyObject *
pending_send(PyObject *object, PyObject *argument)
{
    PyObject *value;
    PySendResult sent = pending_am_send(object, argument, &value);
    return as_call(sent, value);
}

static PyObject *
pending_iternext(PyObject *object)
{
    return pending_send(object, Py_None);
}

PyObject *
pending_stop_value(void)
{
    if (!PyErr_ExceptionMatches(PyExc_StopIteration))
        return NULL;
    PyObject *stop = take_exception(), *value = PyObject_GetAttrString(stop, "value");
    Py_DECREF(stop);
    return value;
}

/* The task was cancelled before it had seen the future that it waits for. Had it seen it, it would have cancelled that
 * first. 1: so it is done now, and the future is to be waited for. 0: there is none, or it is done. -1: an exception.
 */
static int
cancel_first(pending_object *self, PyObject *error)
{
    if (!self->blocking || self->server == NULL ||
        !PyErr_GivenExceptionMatches(error, self->server->state->cancelled_error))
        return 0;
    module_state *state = self->server->state;
    PyObject *args = PyObject_GetAttr(error, state->name_args);
    if (args == NULL) /* a class was thrown, not an exception */
        PyErr_Clear();
    PyObject *stack[] = {self->first, NULL};
    size_t count = 1;
    if (args != NULL && PyTuple_Check(args) && PyTuple_GET_SIZE(args) == 1)
        stack[count++] = PyTuple_GET_ITEM(args, 0); /* borrowed: its message */
    PyObject *cancelled = PyObject_VectorcallMethod(state->name_cancel, stack, count, NULL);
    Py_XDECREF(args);
    int result = cancelled != NULL ? PyObject_IsTrue(cancelled) : -1;
    Py_XDECREF(cancelled);
    return result;
}

/* The iterator of an awaitable that is no coroutine may have no throw(). */
PyObject *
pending_throw_into(PyObject *coroutine, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *method = PyObject_GetAttrString(coroutine, "throw");
    if (method == NULL && nargs > 0 && PyExceptionInstance_Check(args[0]) &&
        PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        PyErr_SetObject((PyObject *)Py_TYPE(args[0]), args[0]);
    }
    PyObject *value = method != NULL ? PyObject_Vectorcall(method, args, (size_t)nargs, NULL) : NULL;
    Py_XDECREF(method);
    return value;
}

static PyObject *
pending_throw(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    pending_object *self = (pending_object *)object;
    first_outcome outcome = (first_outcome)self->outcome;
    if (outcome == FIRST_RETURNED || outcome == FIRST_RAISED)
        return pending_send(object, Py_None); /* it had ended before it was told to */
    if (outcome == FIRST_YIELDED) {
        int waits = nargs > 0 ? cancel_first(self, args[0]) : 0;
        if (waits > 0)
            return pending_send(object, Py_None);
        if (waits < 0)
            PyErr_WriteUnraisable(self->first);
        Py_CLEAR(self->first);
        self->outcome = FIRST_PASSED;
    }
    if (self->server != NULL)
        self->server->selector->ran = 1;
    watched step = watch_begin(self->server);
    PyObject *value = pending_throw_into(self->coroutine, args, nargs), *result;
    pending_end_watch(self, step);
    if (value != NULL)
        return value; /* it caught it, and yielded */
    value = pending_stop_value();
    PySendResult sent = handed_on(self, value != NULL ? PYGEN_RETURN : PYGEN_ERROR, value, &result);
    return as_call(sent, result);
}

static PyObject *
pending_close(PyObject *object, PyObject *unused)
{
    PyObject *result = PyObject_CallMethod(((pending_object *)object)->coroutine, "close", NULL);
    if (result == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear(); /* an awaitable's iterator need not have it */
        Py_RETURN_NONE;
    }
    return result;
}

static PyObject *
pending_await(PyObject *object)
{
    return Py_NewRef(object);
}

/* cr_frame, cr_code, __name__ ...: for debuggers and Task.get_stack(), it is the handler's coroutine. */
static PyObject *
pending_getattro(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GenericGetAttr(object, name);
    if (value != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError))
        return value;
    PyErr_Clear();
    return PyObject_GetAttr(((pending_object *)object)->coroutine, name);
}

static PyObject *
pending_repr(PyObject *object)
{
    return PyObject_Repr(((pending_object *)object)->coroutine);
}

/* ---- tasks ------------------------------------------------------------------------------------------------------ */

pending_object *
pending_new(server_object *server, request_object *request, PyObject *coroutine, first_outcome outcome)
{
    PyTypeObject *type = server->state->pending_type;
    pending_object *self = (pending_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->server = (server_object *)Py_NewRef(server);
    self->request = (request_object *)Py_NewRef(request);
    self->coroutine = Py_NewRef(coroutine);
    self->outcome = (uint8_t)outcome;
    return self;
}

void
pending_yielded(pending_object *self, PyObject *value)
{
    self->outcome = FIRST_YIELDED;
    self->first = value;
    note_blocking(self, self->server->state);
}

int
pending_hold(pending_object *self)
{
    request_object *request = self->request;
    if (request_detach(request) < 0)
        return -1;
    Py_XSETREF(request->pending, Py_NewRef(self));
    server_count_waiting(self->server, request->plan, 1);
    self->counted = 1;
    request_hold(request);
    return 0;
}

static PyObject *
call_create_task(module_state *state, PyObject *loop, PyObject *pending, PyObject *context)
{
    PyObject *names = context != NULL ? PyTuple_Pack(1, state->name_context) : NULL;
    PyObject *stack[] = {loop, pending, context}, *task = NULL;
    if (context == NULL || names != NULL)
        task = PyObject_VectorcallMethod(state->name_create_task, stack, 2, names);
    Py_XDECREF(names);
    return task;
}

/* What the loop's task factory makes. It may start the task at once, which enters the context: if the handler is
 * running in it, it is left for that long. It may also be one of the old ones that take no context: then the task is
 * made within it, and goes on in a copy. */
static PyObject *
task_of_factory(module_state *state, PyObject *loop, PyObject *pending, PyObject *context, int running)
{
    int left = running && PyContext_Exit(context) == 0;
    if (running && !left)
        PyErr_Clear(); /* the handler has entered another one on top of it */
    PyObject *task = call_create_task(state, loop, pending, context);
    if (task == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        if (running && !left) {
            task = call_create_task(state, loop, pending, NULL);
        } else if (PyContext_Enter(context) == 0) {
            task = call_create_task(state, loop, pending, NULL);
            PyObject *type, *value, *traceback;
            PyErr_Fetch(&type, &value, &traceback);
            (void)!PyContext_Exit(context);
            PyErr_Restore(type, value, traceback);
        }
    }
    if (left && PyContext_Enter(context) < 0)
        Py_CLEAR(task);
    return task;
}

/* asyncio.Task(pending, loop=loop, context=context[, eager_start=True]), or what the loop's task factory makes.
 * `running`: the handler is running in the context now. */
static PyObject *
new_task(server_object *server, pending_object *pending, PyObject *context, int eager, int running)
{
    module_state *state = server->state;
    PyObject *loop = server->selector->pyloop;
    PyObject *factory = PyObject_CallMethodNoArgs(loop, state->name_get_task_factory);
    if (factory == NULL)
        return NULL;
    PyObject *args[] = {(PyObject *)pending, loop, context, Py_True};
    PyObject *task;
    if (factory == Py_None) {
        PyObject *names = state->task_keywords;
        Py_ssize_t count = PyTuple_GET_SIZE(names);
        if (!eager && count == 3)
            args[3] = Py_False;
        task = PyObject_Vectorcall(state->task_type, args, 1, names);
    } else {
        task = task_of_factory(state, loop, (PyObject *)pending, context, running);
    }
    Py_DECREF(factory);
    return task;
}

int
pending_give_task(pending_object *self, PyObject *context, int eager, int running)
{
    server_object *server = (server_object *)Py_NewRef(self->server);
    PyObject *task = NULL;
    if (VV_UNLIKELY(server->selector->pyloop == NULL))
        PyErr_SetString(PyExc_RuntimeError, "the event loop is gone: nobody can go on with the coroutine");
    else if (context != NULL)
        task = new_task(server, self, context, eager, running);
    Py_XDECREF(context);
    Py_DECREF(server);
    if (task == NULL)
        return -1;
    if (self->request != NULL)
        self->task = task; /* to be cancelled when the client goes */
    else
        Py_DECREF(task); /* it has ended already */
    return 0;
}

/* ---- types ------------------------------------------------------------------------------------------------------ */

static int
pending_traverse(PyObject *object, visitproc visit, void *arg)
{
    pending_object *self = (pending_object *)object;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->server);
    Py_VISIT(self->request);
    Py_VISIT(self->coroutine);
    Py_VISIT(self->task);
    Py_VISIT(self->first);
    Py_VISIT(self->context);
    Py_VISIT(self->next);
    return 0;
}

static int
pending_clear(PyObject *object)
{
    pending_object *self = (pending_object *)object;
    Py_CLEAR(self->server);
    Py_CLEAR(self->request);
    Py_CLEAR(self->coroutine);
    Py_CLEAR(self->task);
    Py_CLEAR(self->first);
    Py_CLEAR(self->context);
    return 0;
}

static void
pending_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    pending_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef pending_methods[] = {
    {"send", pending_send, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))pending_throw, METH_FASTCALL, NULL},
    {"close", pending_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pending_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A handler's coroutine, as its task sees it.")},
    {Py_tp_dealloc, pending_dealloc},
    {Py_tp_traverse, pending_traverse},
    {Py_tp_clear, pending_clear},
    {Py_tp_methods, pending_methods},
    {Py_tp_getattro, pending_getattro},
    {Py_tp_repr, pending_repr},
    {Py_tp_iter, pending_await},
    {Py_tp_iternext, pending_iternext},
    {Py_am_await, pending_await},
    {Py_am_send, pending_am_send},
    {0, NULL},
};

static PyType_Spec pending_spec = {
    .name = "vivace._engine.Pending",
    .basicsize = sizeof(pending_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = pending_slots,
};

int
pending_init(PyObject *module, module_state *state)
{
    state->pending_type = state_add_type(module, &pending_spec, 0);
    return state->pending_type != NULL ? 0 : -1;
}
