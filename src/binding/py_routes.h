/* Routes: the router of core with the handlers in it, and how each handler is called: its signature, compiled once.
 *
 * Ownership   a Routes object owns its plans; whoever uses a plan holds the Routes.
 */
#ifndef VV_BINDING_PY_ROUTES_H
#define VV_BINDING_PY_ROUTES_H

#include "binding/py_state.h"
#include "core/router/router.h"

enum { PLAN_ARGUMENTS = VV_ROUTER_PARAMS + 1, PLAN_REQUEST = -1 };

typedef struct route_plan {
    PyObject *handler;   /* owned */
    vectorcallfunc call; /* the handler's own vectorcall; never NULL */
    PyObject *twin;      /* owned: the handler as a plain function; NULL: it is one, or has none */
    vectorcallfunc call_twin;
    PyObject *kwnames;                 /* owned tuple of str; NULL: none */
    PyObject *route;                   /* owned: what request.route gives */
    PyObject *names[VV_ROUTER_PARAMS]; /* owned, interned */
    const vv_route *compiled;          /* borrowed from the router */
    uint32_t number;                   /* from 1 on, in the order of add() */
    int16_t source[PLAN_ARGUMENTS];    /* of each argument: PLAN_REQUEST, or the parameter's index */
    uint8_t positional, arguments;     /* how many, and with the keyword ones */
    uint8_t params;
    uint8_t coroutine;         /* async def: call gives a coroutine */
    uint8_t only_request;      /* handler(request), the shape of most */
    uint64_t limit_body_bytes; /* 0: as the server has it */
    struct route_plan *next;
} route_plan;

typedef struct routes_object {
    PyObject_HEAD
    module_state *state; /* borrowed from the module, which the type holds */
    vv_router *router;   /* owned */
    route_plan *plans;   /* owned */
    int own_limits;      /* some route has a limit of its own */
    uint32_t count;      /* of the plans */
    int in_use;          /* a server matches by it: no more add() */
} routes_object;

/* A path parameter as Python sees it. New reference, or NULL with an exception. */
PyObject *param_value(module_state *state, vv_param_type type, vv_span text);

/* The names of the methods whose bits are set (vv_match.allow). New tuple of str, or NULL with MemoryError. */
PyObject *routes_method_names(const routes_object *self, uint32_t methods);

/* Decoded path text (a NUL stands for an escaped slash) as str. */
PyObject *path_text(vv_span text);

#endif
