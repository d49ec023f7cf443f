/* What becomes of a coroutine.
 *
 * Its first step is run at once, by a bare send, without a task: most handlers end in it. When it only asks for a turn
 * of the loop (`await asyncio.sleep(0)`) it waits in the selector's queue, and the next step is run in the same way.
 * When it waits for a future, or when somebody asks for the current task, a real asyncio.Task is made. The task's
 * coroutine is a Pending, which stands for the handler's coroutine from there on.
 *
 * That somebody asks is noticed because asyncio (up to CPython 3.13) looks the current task up by its loop, which must
 * be hashed for it: LoopBase's hash makes the task and enters it, and the look-up then finds it. Under a loop that is
 * not a LoopBase, and from CPython 3.14 on, every coroutine gets its task at once.
 */
#include "binding/py_pending.h"

/* So many that begin to wait for a turn of the loop end it: the next turn runs them while they are in the cache. */
enum { WAITS_OF_A_TURN = 96 };

/* ---- the current task ------------------------------------------------------------------------------------------- */

/* A twin runs: its task shows the coroutine that the handler itself would have been. It never runs. */
static PyObject *
closed_coroutine(request_object *request)
{
    PyObject *coroutine = app_call_handler(request);
    PyObject *closed = coroutine != NULL ? PyObject_CallMethod(coroutine, "close", NULL) : NULL;
    if (closed == NULL)
        Py_CLEAR(coroutine);
    Py_XDECREF(closed);
    return coroutine;
}

/* Somebody asks for the current task in a step without one: from here on there is one. */
static void
materialise(selector_object *selector, PyObject *loop)
{
    first_step step = selector->step;
    selector->step.server = NULL; /* entering the task hashes the loop again */
    PyObject *coroutine = step.coroutine != NULL ? Py_NewRef(step.coroutine) : closed_coroutine(step.request);
    pending_object *pending = coroutine == NULL     ? NULL
                              : step.waited != NULL ? (pending_object *)Py_NewRef(step.waited)
                                                    : pending_new(step.server, step.request, coroutine, FIRST_RUNNING);
    Py_XDECREF(coroutine);
    if (pending == NULL)
        goto give_up;
    pending->outcome = FIRST_RUNNING;
    PyObject *context = selector->context; /* the handler is running in it; its task goes on in it */
    if ((step.waited == NULL && pending_hold(pending) < 0) || pending_give_task(pending, Py_XNewRef(context), 0, 1) < 0)
        goto give_up;
    PyObject *args[] = {loop, pending->task};
    PyObject *entered = PyObject_Vectorcall(step.server->state->enter_task, args, 2, NULL);
    if (entered == NULL)
        goto give_up;
    Py_DECREF(entered);
    selector->step.pending = pending;
    return;

give_up:
    PyErr_WriteUnraisable(loop);
    if (pending != NULL && step.waited == NULL)
        pending_forget(pending); /* the coroutine goes on without a task */
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
    {Py_tp_doc, (void *)PyDoc_STR("First base of vivace.loop.EngineLoop: answers asyncio.current_task() in a handler's "
                                  "first step.")},
    {Py_tp_hash, loop_base_hash},
    {Py_tp_richcompare, loop_base_richcompare},
    {0, NULL},
};

static PyType_Spec loop_base_spec = {
    .name = "vivace._engine.LoopBase",
    .basicsize = sizeof(loop_base_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = loop_base_slots,
};

/* ---- the first step --------------------------------------------------------------------------------------------- */

/* The first step is over and a task was made during it: the task, which asyncio has scheduled, hands on how it ended.
 */
static void
end_materialised(pending_object *pending, PySendResult sent, PyObject *value)
{
    server_object *server = pending->server;
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyObject *args[] = {server->selector->pyloop, pending->task};
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
    } else if (sent == PYGEN_RETURN) {
        pending->outcome = FIRST_RETURNED;
        pending->first = value;
    } else if (value == Py_None) {
        /* A bare yield asks for one turn of the loop, and the task's first step is that turn. */
        Py_DECREF(value);
        pending->outcome = FIRST_PASSED;
    } else {
        pending_yielded(pending, value);
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    Py_CLEAR(server->selector->context); /* it is the task's */
}

/* It asks for a turn of the loop, and gets it without a task. Steals the context. */
static void
wait_a_turn(pending_object *self, PyObject *context)
{
    selector_object *selector = self->server->selector;
    self->outcome = FIRST_PASSED;
    self->context = context;
    self->next = NULL;
    if (selector->waiting_last != NULL)
        selector->waiting_last->next = (pending_object *)Py_NewRef(self);
    else
        selector->waiting = (pending_object *)Py_NewRef(self);
    selector->waiting_last = self;
    if (++selector->waits == WAITS_OF_A_TURN)
        vv_loop_end_turn(selector->loop);
}

/* A step has yielded `value` (stolen): who goes on with it, in `context` (stolen)? 0, or -1 with an exception. */
static int
go_on(pending_object *self, PyObject *value, PyObject *context)
{
    if (value == Py_None && context != NULL) {
        Py_DECREF(value);
        wait_a_turn(self, context);
        return 0;
    }
    pending_yielded(self, value);
    return pending_give_task(self, context, 1, 0);
}

/* Nobody can go on with it, and an exception says why: that is the answer. `pending` may be NULL. */
static void
answer_failure(server_object *server, request_object *request, pending_object *pending)
{
    app_answer(server, request, NULL);
    if (pending != NULL)
        pending_forget(pending);
}

/* The first step has yielded `value` (stolen). */
static void
suspend(server_object *server, request_object *request, PyObject *coroutine, PyObject *value)
{
    PyObject *context = selector_give_context(server->selector);
    pending_object *pending = pending_new(server, request, coroutine, FIRST_PASSED);
    int failed = pending == NULL || pending_hold(pending) < 0;
    if (failed) {
        Py_DECREF(value);
        Py_XDECREF(context);
    } else {
        failed = go_on(pending, value, context) < 0;
    }
    if (failed)
        answer_failure(server, request, pending);
    Py_XDECREF(pending);
}

/* Without a first step of ours: the task runs it all. */
static void
drive_by_task(server_object *server, request_object *request, PyObject *coroutine)
{
    /* Not entered: it is an error handler's, and goes on with what the handler's own task has set. */
    PyObject *context = server->selector->entered ? selector_give_context(server->selector) : PyContext_CopyCurrent();
    pending_object *pending = pending_new(server, request, coroutine, FIRST_NOT_RUN);
    if (pending == NULL || pending_hold(pending) < 0 || pending_give_task(pending, Py_XNewRef(context), 1, 0) < 0)
        answer_failure(server, request, pending);
    Py_XDECREF(context);
    Py_XDECREF(pending);
}

int
coroutine_start(server_object *server, request_object *request, PyObject *coroutine, PyObject **value)
{
    selector_object *selector = server->selector;
    first_step *step = &selector->step;
    if (VV_UNLIKELY(!selector->exact_task || !selector->entered || !PyCoro_CheckExact(coroutine))) {
        /* !entered: an error handler's coroutine, answering from within a task of its own */
        drive_by_task(server, request, coroutine);
        Py_DECREF(coroutine);
        return 0;
    }
    /* Steps do not nest. */
    step->request = request;
    step->coroutine = coroutine;
    step->server = server;
    *value = NULL;
    PySendResult sent = PyIter_Send(coroutine, Py_None, value);
    pending_object *pending = step->pending;
    step->server = NULL;

    int ended = 0;
    if (VV_UNLIKELY(pending != NULL)) {
        step->pending = NULL;
        selector_leave(selector);
        end_materialised(pending, sent, *value);
        Py_DECREF(pending);
    } else if (VV_UNLIKELY(sent == PYGEN_NEXT)) {
        suspend(server, request, coroutine, *value);
    } else {
        ended = 1;
    }
    Py_DECREF(coroutine);
    return ended;
}

/* A coroutine may not end with a StopIteration (PEP 479). From CPython 3.12 on its own code sees to that. */
static void
forbid_stop_iteration(void)
{
    PyObject *stop = take_exception();
    PyErr_SetString(PyExc_RuntimeError, "coroutine raised StopIteration");
    PyObject *error = take_exception();
    PyException_SetCause(error, Py_NewRef(stop));
    PyException_SetContext(error, stop);
    raise_taken(error);
}

int
coroutine_end_twin(server_object *server, PyObject **value)
{
    selector_object *selector = server->selector;
    pending_object *pending = selector->step.pending;
    selector->step.pending = NULL;
    if (*value == NULL && PyErr_ExceptionMatches(PyExc_StopIteration))
        forbid_stop_iteration();
    if (pending == NULL)
        return 1;
    selector_leave(selector);
    end_materialised(pending, *value != NULL ? PYGEN_RETURN : PYGEN_ERROR, *value);
    Py_DECREF(pending);
    return 0;
}

void
coroutine_drive(server_object *server, request_object *request, PyObject *coroutine)
{
    PyObject *value;
    if (coroutine_start(server, request, coroutine, &value)) {
        app_answer(server, request, value);
        selector_wash(server->selector);
    }
    request_release(server, request);
}

/* ---- steps after the first, without a task ---------------------------------------------------------------------- */

/* What task.cancel() would have done: the client has gone. */
static PySendResult
throw_cancelled(pending_object *self, PyObject **value)
{
    PyObject *error = PyObject_CallNoArgs(self->server->state->cancelled_error);
    *value = error != NULL ? pending_throw_into(self->coroutine, &error, 1) : NULL;
    Py_XDECREF(error);
    if (*value != NULL)
        return PYGEN_NEXT;
    *value = pending_stop_value();
    return *value != NULL ? PYGEN_RETURN : PYGEN_ERROR;
}

static void
end_without_task(pending_object *self, PyObject *value)
{
    server_object *server = (server_object *)Py_NewRef(self->server);
    if (self->gone && (value != NULL || PyErr_ExceptionMatches(server->state->cancelled_error))) {
        Py_XDECREF(value); /* nobody is there to be answered */
        PyErr_Clear();
        app_call_callbacks(self->request);
    } else {
        app_answer(server, self->request, value);
    }
    pending_forget(self);
    Py_DECREF(server);
}

/* The next step of a coroutine whose turn has come. */
static void
step(selector_object *selector, pending_object *self)
{
    server_object *server = self->server;
    if (server == NULL)
        return;                                          /* it was ended otherwise */
    PyObject *shared = selector->context, *value = NULL; /* owned: the context for the next new request */
    selector_leave(selector);
    selector->context = self->context;
    self->context = NULL;
    if (selector_enter(selector) < 0) {
        Py_XSETREF(selector->context, shared);
        end_without_task(self, NULL);
        return;
    }
    selector->step =
        (first_step){.server = server, .request = self->request, .coroutine = self->coroutine, .waited = self};
    server_note_step(server, self->request->plan);
    watched watch = watch_begin(server);
    PySendResult sent = self->gone ? throw_cancelled(self, &value) : PyIter_Send(self->coroutine, Py_None, &value);
    pending_end_watch(self, watch);
    server_note_step(server, NULL);
    pending_object *pending = selector->step.pending;
    selector->step = (first_step){.server = NULL};
    if (pending == NULL && sent != PYGEN_NEXT)
        end_without_task(self, value); /* an error handler sees what the handler has set */
    selector_leave(selector);
    PyObject *context = selector->context;
    selector->context = NULL;
    if (pending != NULL) {
        end_materialised(pending, sent, value);
        Py_DECREF(pending);
    } else if (sent == PYGEN_NEXT && go_on(self, value, Py_XNewRef(context)) < 0) {
        end_without_task(self, NULL);
    }
    Py_XDECREF(context);
    selector->context = shared;
}

/* Takes the whole queue off the selector: who begins to wait meanwhile waits for the next turn. */
static pending_object *
take_queue(selector_object *selector)
{
    pending_object *waiting = selector->waiting;
    selector->waiting = selector->waiting_last = NULL;
    return waiting;
}

/* Takes the first off a queue; its reference is the caller's. NULL when it is empty. */
static pending_object *
take_first_of(pending_object **waiting)
{
    pending_object *first = *waiting;
    if (first != NULL) {
        *waiting = first->next;
        first->next = NULL;
    }
    return first;
}

void
coroutine_take_turns(selector_object *selector)
{
    pending_object *waiting = take_queue(selector), *self;
    while ((self = take_first_of(&waiting)) != NULL) {
        step(selector, self);
        Py_DECREF(self);
    }
}

void
coroutine_drop_turns(selector_object *selector)
{
    pending_object *waiting = take_queue(selector), *self;
    while ((self = take_first_of(&waiting)) != NULL) {
        Py_CLEAR(self->context);
        Py_DECREF(self);
    }
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

int
coroutine_init(PyObject *module, module_state *state)
{
    state->loop_base_type = state_add_type(module, &loop_base_spec, 1);
    return state->loop_base_type != NULL ? 0 : -1;
}
