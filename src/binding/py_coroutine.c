/* What becomes of a coroutine.
 *
 * Its first step is run at once, by a bare send, without a task: most handlers end in it. Only when it suspends, or
 * when somebody asks for the current task, a real asyncio.Task is made. Its coroutine is a Pending, which stands for
 * the handler's coroutine from there on: it hands on what the first step gave, sends and throws into the coroutine, and
 * answers the request when it ends.
 *
 * That somebody asks is noticed because asyncio (up to CPython 3.13) looks the current task up by its loop, which must
 * be hashed for it: LoopBase's hash makes the task and enters it, and the look-up then finds it. Under a loop that is
 * not a LoopBase, and from CPython 3.14 on, every coroutine gets its task at once.
 */
#include "binding/py_server.h"

typedef enum first_outcome {
    FIRST_NOT_RUN,  /* the task runs the first step too       */
    FIRST_RUNNING,  /* the task was made in the middle of it  */
    FIRST_YIELDED,  /* `first` is what was yielded            */
    FIRST_RETURNED, /* `first` is what was returned           */
    FIRST_RAISED,   /* `first` is the exception               */
    FIRST_PASSED,   /* it has been handed on                  */
} first_outcome;

typedef struct pending_object {
    PyObject_HEAD
    server_object *server;   /* owned; NULL once it has ended */
    request_object *request; /* owned; NULL once it has ended */
    PyObject *coroutine;     /* owned */
    PyObject *task;          /* owned; NULL once it has ended */
    PyObject *first;         /* owned */
    uint8_t outcome;         /* first_outcome */
    uint8_t blocking;        /* `first` is a future that is awaited */
    uint8_t gone;            /* the client has gone: nobody waits for the answer */
} pending_object;

/* ---- the end ---------------------------------------------------------------------------------------------------- */

static void
forget(pending_object *self)
{
    request_object *request = self->request;
    self->request = NULL;
    Py_CLEAR(self->task);
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
        forget(self);
        return;
    }
    Py_INCREF(server);
    app_answer(server, request, value);
    forget(self);
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
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
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
    if (self->server != NULL)
        self->server->selector->ran = 1;
    PySendResult sent = PyIter_Send(self->coroutine, argument, &value);
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

/* The value of the StopIteration that is set, which is cleared. New reference; NULL when another exception is set. */
static PyObject *
stop_value(void)
{
    if (!PyErr_ExceptionMatches(PyExc_StopIteration))
        return NULL;
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    PyObject *value = PyObject_GetAttrString(error, "value");
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return value;
}

/* The task was cancelled before it had seen the future that it waits for. Had it seen it, it would have cancelled that
 * first. 1: so it is done now, and the future is to be waited for. 0: there is none, or it is done. -1: an exception. */
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
    PyObject *stack[] = { self->first, NULL };
    size_t count = 1;
    if (args != NULL && PyTuple_Check(args) && PyTuple_GET_SIZE(args) == 1)
        stack[count++] = PyTuple_GET_ITEM(args, 0); /* borrowed: its message */
    PyObject *cancelled = PyObject_VectorcallMethod(state->name_cancel, stack, count, NULL);
    Py_XDECREF(args);
    int result = cancelled != NULL ? PyObject_IsTrue(cancelled) : -1;
    Py_XDECREF(cancelled);
    return result;
}

/* Throws into the coroutine, or into the iterator of another awaitable, which may have no throw(). */
static PyObject *
throw_into(PyObject *coroutine, PyObject *const *args, Py_ssize_t nargs)
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
    PyObject *value = throw_into(self->coroutine, args, nargs), *result;
    if (value != NULL)
        return value; /* it caught it, and yielded */
    value = stop_value();
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

static pending_object *
pending_new(server_object *server, request_object *request, PyObject *coroutine, first_outcome outcome, PyObject *first)
{
    PyTypeObject *type = server->state->pending_type;
    pending_object *self = (pending_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->server = (server_object *)Py_NewRef(server);
    self->request = (request_object *)Py_NewRef(request);
    self->coroutine = Py_NewRef(coroutine);
    self->outcome = (uint8_t)outcome;
    self->first = Py_XNewRef(first);
    if (first != NULL)
        note_blocking(self, server->state);
    return self;
}

/* The answer is put off: the connection holds the request, which holds the pending. 0, or -1 with MemoryError. */
static int
hold(pending_object *self)
{
    request_object *request = self->request;
    if (request_detach(request) < 0)
        return -1;
    Py_XSETREF(request->pending, Py_NewRef(self));
    request_hold(request);
    return 0;
}

static PyObject *
call_create_task(module_state *state, PyObject *loop, PyObject *pending, PyObject *context)
{
    PyObject *names = context != NULL ? PyTuple_Pack(1, state->name_context) : NULL;
    PyObject *stack[] = { loop, pending, context }, *task = NULL;
    if (context == NULL || names != NULL)
        task = PyObject_VectorcallMethod(state->name_create_task, stack, 2, names);
    Py_XDECREF(names);
    return task;
}

/* What the loop's task factory makes. It may start the task at once, which enters the context: if the handler is running
 * in it, it is left for that long. It may also be one of the old ones that take no context: then the task is made within
 * it, and goes on in a copy. */
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
    PyObject *args[] = { (PyObject *)pending, loop, context, Py_True };
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

/* Gives the pending its task, which goes on with it in `context` (stolen). 0, or -1 with an exception. */
static int
give_task(pending_object *self, PyObject *context, int eager, int running)
{
    server_object *server = (server_object *)Py_NewRef(self->server);
    PyObject *task = context != NULL ? new_task(server, self, context, eager, running) : NULL;
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

/* Somebody asks for the current task in a first step: from here on there is one. */
static void
materialise(selector_object *selector, PyObject *loop)
{
    first_step step = selector->step;
    selector->step.server = NULL; /* entering the task hashes the loop again */
    pending_object *pending = pending_new(step.server, step.request, step.coroutine, FIRST_RUNNING, NULL);
    if (pending == NULL)
        goto give_up;
    PyObject *context = selector->context; /* the handler is running in it; its task goes on in it */
    if (hold(pending) < 0 || give_task(pending, Py_XNewRef(context), 0, 1) < 0)
        goto give_up;
    PyObject *args[] = { loop, pending->task };
    PyObject *entered = PyObject_Vectorcall(step.server->state->enter_task, args, 2, NULL);
    if (entered == NULL)
        goto give_up;
    Py_DECREF(entered);
    selector->step.pending = pending;
    return;

give_up:
    PyErr_WriteUnraisable(loop);
    if (pending != NULL)
        forget(pending); /* the coroutine goes on without a task */
    Py_XDECREF(pending);
}

static Py_hash_t
loop_base_hash(PyObject *object)
{
    selector_object *selector = ((loop_base_object *)object)->selector;
    if (selector != NULL && VV_UNLIKELY(selector->step.server != NULL) && selector->pyloop == object) {
        PyObject *type, *value, *traceback; /* a look-up must not disturb an exception that is under way */
        PyErr_Fetch(&type, &value, &traceback);
        materialise(selector, object);
        PyErr_Restore(type, value, traceback);
    }
    Py_hash_t hash = (Py_hash_t)((uintptr_t)object >> 4);
    return hash == -1 ? -2 : hash;
}

/* ---- the first step --------------------------------------------------------------------------------------------- */

/* The first step is over and a task was made during it: the task, which asyncio has scheduled, hands on how it ended. */
static void
end_materialised(pending_object *pending, PySendResult sent, PyObject *value)
{
    server_object *server = pending->server;
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyObject *args[] = { server->selector->pyloop, pending->task };
    PyObject *left = PyObject_Vectorcall(server->state->leave_task, args, 2, NULL);
    if (left == NULL)
        PyErr_WriteUnraisable(pending->task);
    Py_XDECREF(left);
    if (sent == PYGEN_ERROR) {
        PyErr_NormalizeException(&type, &error, &traceback);
        if (traceback != NULL)
            PyException_SetTraceback(error, traceback);
        pending->outcome = FIRST_RAISED;
        pending->first = error;
        error = NULL;
    } else if (sent == PYGEN_NEXT && value == Py_None) {
        /* A bare yield asks for one turn of the loop, and the task's first step is that turn. */
        Py_DECREF(value);
        pending->outcome = FIRST_PASSED;
    } else {
        pending->outcome = sent == PYGEN_NEXT ? FIRST_YIELDED : FIRST_RETURNED;
        pending->first = value;
        if (sent == PYGEN_NEXT)
            note_blocking(pending, server->state);
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    Py_CLEAR(server->selector->context); /* it is the task's */
}

/* It has yielded `value` (stolen): a task goes on with it. */
static void
suspend(server_object *server, request_object *request, PyObject *coroutine, PyObject *value)
{
#if PY_VERSION_HEX >= 0x030C0000
    const int eager = 1;
    const first_outcome outcome = FIRST_YIELDED;
#else
    /* A task that is not eager begins a turn later, which is what a bare yield asks for. */
    const int eager = 0;
    const first_outcome outcome = value == Py_None ? FIRST_PASSED : FIRST_YIELDED;
#endif
    PyObject *context = selector_give_context(server->selector);
    pending_object *pending = pending_new(server, request, coroutine, outcome, outcome == FIRST_YIELDED ? value : NULL);
    Py_DECREF(value);
    if (pending == NULL || hold(pending) < 0 || give_task(pending, Py_XNewRef(context), eager, 0) < 0) {
        app_answer(server, request, NULL);
        if (pending != NULL)
            forget(pending);
    }
    Py_XDECREF(context);
    Py_XDECREF(pending);
}

/* Without a first step of ours: the task runs it all. */
static void
drive_by_task(server_object *server, request_object *request, PyObject *coroutine)
{
    /* Not entered: it is an error handler's, and goes on with what the handler's own task has set. */
    PyObject *context =
        server->selector->entered ? selector_give_context(server->selector) : PyContext_CopyCurrent();
    pending_object *pending = pending_new(server, request, coroutine, FIRST_NOT_RUN, NULL);
    if (pending == NULL || hold(pending) < 0 || give_task(pending, Py_XNewRef(context), 1, 0) < 0) {
        app_answer(server, request, NULL);
        if (pending != NULL)
            forget(pending);
    }
    Py_XDECREF(context);
    Py_XDECREF(pending);
}

void
coroutine_drive(server_object *server, request_object *request, PyObject *coroutine)
{
    selector_object *selector = server->selector;
    if (VV_UNLIKELY(!selector->exact_task || !selector->entered || !PyCoro_CheckExact(coroutine))) {
        /* !entered: an error handler's coroutine, answering from within a task of its own */
        drive_by_task(server, request, coroutine);
        goto done;
    }
    PyObject *value = NULL;
    first_step outer = selector->step;
    selector->step = (first_step){ .server = server, .request = request, .coroutine = coroutine };
    PySendResult sent = PyIter_Send(coroutine, Py_None, &value);
    pending_object *pending = selector->step.pending;
    selector->step = outer;

    if (VV_UNLIKELY(pending != NULL)) {
        selector_leave(selector);
        end_materialised(pending, sent, value);
        Py_DECREF(pending);
    } else if (sent == PYGEN_NEXT) {
        suspend(server, request, coroutine, value);
    } else {
        app_answer(server, request, value); /* NULL: it raised */
        selector_wash(selector);
    }

done:
    Py_DECREF(coroutine);
    request_release(server, request);
}

/* ---- what the engine tells -------------------------------------------------------------------------------------- */

void
coroutine_on_gone(PyObject *pending)
{
    pending_object *self = (pending_object *)pending;
    self->gone = 1;
    if (self->task != NULL && self->server != NULL) {
        self->server->selector->ran = 1;
        PyObject *result = PyObject_CallMethodNoArgs(self->task, self->server->state->name_cancel);
        if (result == NULL)
            PyErr_WriteUnraisable(self->task);
        Py_XDECREF(result);
    }
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
    { "send", pending_send, METH_O, NULL },
    { "throw", (PyCFunction)(void (*)(void))pending_throw, METH_FASTCALL, NULL },
    { "close", pending_close, METH_NOARGS, NULL },
    { NULL, NULL, 0, NULL },
};

static PyType_Slot pending_slots[] = {
    { Py_tp_doc, (void *)PyDoc_STR("A handler's coroutine, as its task sees it.") },
    { Py_tp_dealloc, pending_dealloc },
    { Py_tp_traverse, pending_traverse },
    { Py_tp_clear, pending_clear },
    { Py_tp_methods, pending_methods },
    { Py_tp_getattro, pending_getattro },
    { Py_tp_repr, pending_repr },
    { Py_tp_iter, pending_await },
    { Py_tp_iternext, pending_iternext },
    { Py_am_await, pending_await },
    { Py_am_send, pending_am_send },
    { 0, NULL },
};

static PyType_Spec pending_spec = {
    .name = "vivace._engine.Pending",
    .basicsize = sizeof(pending_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = pending_slots,
};

static PyObject *
loop_base_richcompare(PyObject *self, PyObject *other, int operation)
{
    if (operation == Py_EQ)
        return PyBool_FromLong(self == other);
    if (operation == Py_NE)
        return PyBool_FromLong(self != other);
    Py_RETURN_NOTIMPLEMENTED;
}

static PyType_Slot loop_base_slots[] = {
    { Py_tp_doc, (void *)PyDoc_STR("First base of vivace.loop.EngineLoop: answers asyncio.current_task() in a handler's "
                                   "first step.") },
    { Py_tp_hash, loop_base_hash },
    { Py_tp_richcompare, loop_base_richcompare },
    { 0, NULL },
};

static PyType_Spec loop_base_spec = {
    .name = "vivace._engine.LoopBase",
    .basicsize = sizeof(loop_base_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = loop_base_slots,
};

int
coroutine_init(PyObject *module, module_state *state)
{
    state->pending_type = state_add_type(module, &pending_spec, 0);
    state->loop_base_type = state_add_type(module, &loop_base_spec, 1);
    return state->pending_type != NULL && state->loop_base_type != NULL ? 0 : -1;
}
