/* What the engine calls: a request has come; a client has gone. The hot path of the binding is on_request(). */
#include "binding/py_response.h"
#include "binding/py_server.h"
#include "binding/py_watch.h"

#include "core/http1/reason.h"

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static int
wants_callbacks(const request_object *request)
{
    return request_cached(request, SLOT_CALLBACKS) != NULL;
}

void
request_hold(request_object *request)
{
    if (request->exchange != NULL || request->conn == NULL)
        return; /* held before (an error handler's coroutine answers for another), or the client has gone */
    request->exchange = vv_conn_hold(request->conn, Py_NewRef(request));
    if (request->exchange == NULL) {
        request->conn = NULL;
        Py_DECREF(request);
    }
}

static void
reply_held(request_object *request, const vv_reply *reply)
{
    vv_exchange *exchange = request->exchange;
    request->exchange = NULL;
    request->conn = NULL;
    if (wants_callbacks(request)) {
        vv_exchange_notify(exchange); /* on_left() will end its hold on the request */
        vv_exchange_reply(exchange, reply);
    } else {
        vv_exchange_reply(exchange, reply);
        Py_DECREF(request); /* the caller has a reference of its own */
    }
    selector_nudge(request->server->selector);
}

static void
send_reply(request_object *request, const vv_reply *reply)
{
    request->answered |= ANSWER_GIVEN;
    /* Callbacks run when the answer has left: an exchange must stand for it. */
    if (VV_UNLIKELY(wants_callbacks(request)) && request->exchange == NULL) {
        if (request_detach(request) < 0)
            PyErr_WriteUnraisable((PyObject *)request);
        request_hold(request);
        if (request->exchange == NULL) {
            app_call_callbacks(request); /* there is no connection any more */
            return;
        }
    }
    if (VV_UNLIKELY(request->exchange != NULL))
        reply_held(request, reply);
    else if (request->conn != NULL)
        vv_conn_reply(request->conn, reply);
    /* else the client has gone, and nobody is there to be answered */
}

static void
send_status(request_object *request, int status, int close)
{
    vv_reply reply = {
        .status = (uint16_t)status, .media = VV_MEDIA_TEXT, .close = (uint8_t)close, .body = vv_reason(status)};
    send_reply(request, &reply);
}

/* The exception that is set is nobody's answer: it goes to the application's log, app._failed(request, exception,
 * when), and to sys.unraisablehook what goes wrong there. */
VV_COLD static void
log_failure(request_object *request, const char *when)
{
    PyObject *exception = take_exception(), *app = Py_XNewRef(request->server->app), *result = NULL;
    if (app != NULL)
        result = PyObject_CallMethod(app, "_failed", "OOs", (PyObject *)request, exception, when);
    if (app != NULL && result == NULL)
        PyErr_WriteUnraisable(app);
    Py_XDECREF(result);
    Py_XDECREF(app);
    Py_XDECREF(exception);
}

/* An error that nothing could deal with: to the log, and a plain 500. */
static void
send_plain_500(request_object *request)
{
    if (PyErr_Occurred())
        log_failure(request, "while its error was answered");
    if ((request->answered & ANSWER_GIVEN) == 0)
        send_status(request, 500, 0);
}

void
app_break_off(request_object *request)
{
    if ((request->answered & ANSWER_GIVEN) == 0)
        send_status(request, 500, 1);
}

static int
answer_response(request_object *request, PyObject *result)
{
    vv_reply reply;
    if (response_reply((response_object *)result, &reply) < 0)
        return -1;
    send_reply(request, &reply);
    return 0;
}

static int
answer_text(request_object *request, PyObject *text)
{
    vv_reply reply = {.status = 200, .media = VV_MEDIA_TEXT};
    if (text_span(text, &reply.body) < 0)
        return -1;
    reply.owner = text;
    send_reply(request, &reply);
    return 0;
}

static int
answer_bytes(request_object *request, vv_media media, PyObject *bytes)
{
    vv_reply reply = {.status = 200, .media = (uint8_t)media, .body = bytes_span(bytes), .owner = bytes};
    send_reply(request, &reply);
    return 0;
}

static int
answer_json(request_object *request, PyObject *value)
{
    PyObject *bytes = PyObject_CallOneArg(request->server->state->json_encode, value);
    if (bytes == NULL)
        return -1;
    answer_bytes(request, VV_MEDIA_JSON, bytes);
    Py_DECREF(bytes);
    return 0;
}

/* dataclasses and msgspec Structs say what they are by an attribute of their class. */
static int
is_record(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    return PyObject_HasAttrString((PyObject *)type, "__struct_fields__") ||
           PyObject_HasAttrString((PyObject *)type, "__dataclass_fields__");
}

static void
raise_bad_answer(const request_object *request, PyObject *value)
{
    PyObject *handler = request->plan != NULL ? request->plan->handler : Py_None;
    PyObject *name = PyObject_GetAttrString(handler, "__qualname__");
    if (name == NULL) {
        PyErr_Clear();
        name = PyObject_Repr(handler);
    }
    PyErr_Format(
        PyExc_TypeError,
        "the handler %U returned %.80s%s: return a str, bytes, dict, list, dataclass, msgspec Struct or Response", name,
        value == Py_None ? "None" : "an object of type ", value == Py_None ? "" : Py_TYPE(value)->tp_name);
    Py_XDECREF(name);
}

/* Sends what a handler returned. 0; 1: it was a coroutine, which is under way; -1 with an exception. */
static int
answer_value(server_object *self, request_object *request, PyObject *result)
{
    module_state *state = self->state;
    PyTypeObject *type = Py_TYPE(result);
    if (VV_LIKELY(type == state->response_type))
        return answer_response(request, result);
    if (type == &PyUnicode_Type)
        return answer_text(request, result);
    if (type == &PyDict_Type || type == &PyList_Type)
        return answer_json(request, result);
    if (type == &PyBytes_Type)
        return answer_bytes(request, VV_MEDIA_BYTES, result);
    if (PyType_IsSubtype(type, state->response_type))
        return answer_response(request, result);
    if (PyUnicode_Check(result))
        return answer_text(request, result);
    if (PyBytes_Check(result))
        return answer_bytes(request, VV_MEDIA_BYTES, result);
    if (PyDict_Check(result) || PyList_Check(result) || is_record(result))
        return answer_json(request, result);
    if (PyCoro_CheckExact(result) || (type->tp_as_async != NULL && type->tp_as_async->am_await != NULL)) {
        PyObject *coroutine = PyCoro_CheckExact(result) ? Py_NewRef(result) : type->tp_as_async->am_await(result);
        if (coroutine == NULL)
            return -1;
        coroutine_drive(self, (request_object *)Py_NewRef(request), coroutine);
        return 1;
    }
    raise_bad_answer(request, result);
    return -1;
}

/* The exception that is set becomes an answer: app._handle_exception(request, exception). */
VV_COLD static void
answer_exception(server_object *self, request_object *request)
{
    if (is_exit()) {
        selector_fail(self->selector); /* leaves select(), as it would leave any callback of asyncio */
        app_break_off(request);
        return;
    }
    if ((request->answered & ANSWER_FAILED) != 0) {
        send_plain_500(request); /* an error handler's own error */
        return;
    }
    request->answered |= ANSWER_FAILED;
    PyObject *exception = take_exception();
    PyObject *args[] = {(PyObject *)request, exception};
    PyObject *result = PyObject_Vectorcall(self->on_exception, args, 2, NULL);
    int answered = result == NULL                            ? -1
                   : (request->answered & ANSWER_GIVEN) != 0 ? 0
                                                             : answer_value(self, request, result);
    if (answered < 0 && is_exit()) {
        selector_fail(self->selector);
        app_break_off(request);
    } else if (answered < 0) {
        send_plain_500(request);
    }
    Py_XDECREF(result);
    Py_XDECREF(exception);
}

void
app_answer(server_object *self, request_object *request, PyObject *result)
{
    if (result == NULL || answer_value(self, request, result) < 0)
        answer_exception(self, request);
    Py_XDECREF(result);
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

void
request_release(server_object *self, request_object *request)
{
    if (VV_LIKELY(Py_REFCNT(request) == 1)) {
        if (VV_LIKELY(self->request == NULL)) {
            request_reset(request);
            self->request = request;
            return;
        }
    } else {
        if (request->match != NULL && request_detach(request) < 0) {
            /* It must not look at bytes that will be gone: nothing is left of it but what was read already. */
            PyErr_WriteUnraisable((PyObject *)request);
        }
        if (request->exchange == NULL)
            request->conn = NULL; /* it may be another client's soon */
    }
    Py_DECREF(request);
}

/* The handler's arguments, as its plan says. 0, or -1 with an exception; `stack` owns what is not the request. */
static int
make_arguments(const route_plan *plan, request_object *request, PyObject **stack)
{
    for (unsigned i = 0; i < plan->arguments; i++) {
        int source = plan->source[i];
        stack[i] = source == PLAN_REQUEST ? Py_NewRef(request) : request_param(request, (size_t)source);
        if (stack[i] == NULL) {
            while (i-- > 0)
                Py_DECREF(stack[i]);
            return -1;
        }
    }
    return 0;
}

/* `callable` is the plan's handler or its twin. New reference, or NULL with an exception. */
static inline PyObject *
call_as_planned(const route_plan *plan, PyObject *callable, vectorcallfunc call, request_object *request)
{
    PyObject *stack[PLAN_ARGUMENTS + 1]; /* the first is the callee's to use */
    if (VV_LIKELY(plan->only_request)) {
        stack[1] = (PyObject *)request;
        return call(callable, stack + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    if (make_arguments(plan, request, stack + 1) < 0)
        return NULL;
    PyObject *result = call(callable, stack + 1, plan->positional | PY_VECTORCALL_ARGUMENTS_OFFSET, plan->kwnames);
    for (unsigned i = 0; i < plan->arguments; i++)
        Py_DECREF(stack[i + 1]);
    return result;
}

PyObject *
app_call_handler(request_object *request)
{
    const route_plan *plan = request->plan;
    return call_as_planned(plan, plan->handler, plan->call, request);
}

/* Calls an `async def`. 1: `result` is what it returned, or NULL with an exception. 0: it goes on, and will be answered
 * by itself. */
static int
run_coroutine(server_object *self, request_object *request, const route_plan *plan, PyObject **result)
{
    first_step *step = &self->selector->step;
    if (plan->twin == NULL || !self->selector->exact_task) {
        *result = call_as_planned(plan, plan->handler, plan->call, request);
        /* A decorator may have made something else of it. */
        return *result == NULL || !PyCoro_CheckExact(*result) || coroutine_start(self, request, *result, result);
    }
    step->request = request;
    step->coroutine = NULL;
    step->server = self;
    *result = call_as_planned(plan, plan->twin, plan->call_twin, request);
    step->server = NULL;
    return VV_LIKELY(step->pending == NULL && *result != NULL) || coroutine_end_twin(self, result);
}

/* RouteNotFoundException, or an HTTPError of 405 where the path takes other methods. */
VV_COLD static void
raise_unrouted(server_object *self, const vv_match *match)
{
    PyObject *exception = NULL, *methods = NULL;
    if (match->allow == 0)
        exception = PyObject_CallNoArgs(self->state->not_found);
    else if ((methods = routes_method_names(self->routes, match->allow)) != NULL)
        exception = PyObject_CallOneArg(self->state->method_not_allowed, methods);
    Py_XDECREF(methods);
    if (exception != NULL)
        raise_taken(exception);
}

static void
on_request(void *self_, vv_conn *conn, const vv_http1_request *req, vv_span body, vv_span path, const vv_match *match)
{
    server_object *self = self_;
    request_object *request = self->request;
    if (VV_LIKELY(request != NULL))
        self->request = NULL;
    else
        request = request_new(self);
    if (VV_UNLIKELY(request == NULL || selector_enter(self->selector) < 0)) {
        PyErr_WriteUnraisable(self->app);
        Py_XDECREF(request);
        vv_conn_reply_status(conn, 500);
        return;
    }
    request->req = req;
    request->match = match;
    request->body = body;
    request->path = path;
    request->conn = conn;
    request->answered = 0;

    if (VV_UNLIKELY(match->route == NULL)) {
        request->plan = NULL;
        if (match->allow != 0 && req->method == VV_METHOD_OPTIONS) {
            vv_conn_reply_unrouted(conn, req, match);
        } else {
            raise_unrouted(self, match);
            answer_exception(self, request);
            selector_wash(self->selector);
        }
        request_release(self, request);
        return;
    }
    const route_plan *plan = request->plan = vv_route_data(match->route);
    self->box->running = plan->number;
    PyObject *result;
    if (!plan->coroutine) {
        result = call_as_planned(plan, plan->handler, plan->call, request);
    } else if (!run_coroutine(self, request, plan, &result)) {
        request_release(self, request);
        return;
    } else if (VV_UNLIKELY(request->match == NULL)) {
        /* Detached: its answer may have been put off for a task that could not be made. */
        app_answer(self, request, result);
        selector_wash(self->selector);
        request_release(self, request);
        return;
    }
    /* Inlined for the most frequent of answers. */
    if (VV_LIKELY(result != NULL && Py_TYPE(result) == self->state->response_type) && !wants_callbacks(request)) {
        vv_reply reply;
        if (VV_LIKELY(response_reply((response_object *)result, &reply) == 0)) {
            request->answered = ANSWER_GIVEN;
            vv_conn_reply(conn, &reply);
        } else {
            answer_exception(self, request);
        }
        Py_DECREF(result);
    } else {
        app_answer(self, request, result);
    }
    selector_wash(self->selector);
    request_release(self, request);
}

/* The same in debug, which watches how long it takes. */
VV_COLD static void
on_watched_request(void *self_, vv_conn *conn, const vv_http1_request *req, vv_span body, vv_span path,
                   const vv_match *match)
{
    const route_plan *plan = match->route != NULL ? vv_route_data(match->route) : NULL;
    PyObject *method = latin1_of(vv_request_span(req, 0, req->method_len));
    if (method == NULL)
        PyErr_Clear();
    watched step = watch_begin(self_);
    on_request(self_, conn, req, body, path, match);
    watch_end(step, method, plan);
    Py_XDECREF(method);
}

/* ---- the rest of vv_app ----------------------------------------------------------------------------------------- */

static void
call_back(request_object *request, PyObject *callback, PyObject *context)
{
    PyObject *result = NULL;
    if (PyContext_Enter(context) == 0) {
        result = PyObject_CallOneArg(callback, (PyObject *)request);
        if (result == NULL && is_exit())
            selector_fail(request->server->selector);
        else if (result == NULL)
            log_failure(request, "in a done callback");
        (void)!PyContext_Exit(context);
    }
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(callback);
    Py_XDECREF(result);
}

void
app_call_callbacks(request_object *request)
{
    if (!wants_callbacks(request))
        return;
    PyObject *callbacks = request->cache[SLOT_CALLBACKS];
    request->cache[SLOT_CALLBACKS] = NULL;
    request->cached &= ~(1u << SLOT_CALLBACKS);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(callbacks); i++) {
        PyObject *pair = PyList_GET_ITEM(callbacks, i); /* borrowed from the list, which is ours alone */
        call_back(request, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1));
    }
    Py_DECREF(callbacks);
}

/* An exchange's owner is its request. */
static void
on_left(void *self_, void *owner)
{
    selector_object *selector = ((server_object *)self_)->selector;
    int before = selector_pin(selector);
    selector->ran = 1;
    app_call_callbacks(owner);
    Py_DECREF((PyObject *)owner);
    selector_unpin(selector, before);
}

static void
on_gone(void *self_, void *owner)
{
    request_object *request = owner;
    request->exchange = NULL;
    request->conn = NULL;
    if ((request->answered & ANSWER_GIVEN) == 0)
        request->answered |= ANSWER_LOST;
    PyObject *pending = request->pending;
    request->pending = NULL;
    selector_object *selector = ((server_object *)self_)->selector;
    int before = selector_pin(selector);
    if (pending != NULL)
        coroutine_on_gone(pending);
    Py_XDECREF(pending);
    on_left(self_, owner);
    selector_unpin(selector, before);
}

static void
on_refused(void *self_, vv_conn *conn, vv_status why, int code)
{
    server_object *self = self_;
    char remote[VV_ADDRESS_TEXT_BYTES];
    size_t len = vv_address_text(vv_conn_peer(conn), remote);
    self->selector->ran = 1;
    PyObject *result = PyObject_CallFunction(self->on_refused, "sis#", vv_status_text(why), code,
                                             len > 0 ? remote : NULL, (Py_ssize_t)len);
    if (result == NULL)
        PyErr_WriteUnraisable(self->on_refused);
    Py_XDECREF(result);
}

/* A str and a bytes never change: they can be sent from where they are. Not those of a type of the application's own:
 * what that does at their end (__del__, weak references) may not happen while answers are being sent. */
static int
keep(void *owner)
{
    if (!PyUnicode_CheckExact((PyObject *)owner) && !PyBytes_CheckExact((PyObject *)owner))
        return 0;
    Py_INCREF((PyObject *)owner);
    return 1;
}

static void
release(void *owner)
{
    Py_DECREF((PyObject *)owner);
}

static uint64_t
body_limit(void *self, const vv_route *route)
{
    return ((const route_plan *)vv_route_data(route))->limit_body_bytes;
}

vv_app
app_table(server_object *self, vv_unrouted wants_unrouted)
{
    return (vv_app){
        .self = self,
        .on_request = self->on_held != NULL ? on_watched_request : on_request,
        .on_gone = on_gone,
        .on_left = on_left,
        .on_refused = on_refused,
        .keep = keep,
        .release = release,
        .body_limit = self->routes->own_limits ? body_limit : NULL,
        .wants_unrouted = wants_unrouted,
    };
}
