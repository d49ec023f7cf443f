/* Debug: which handlers hold the event loop, and for how long. Without debug none of this is called on the path of a
 * request that is answered at once; a step of a coroutine that waited tests one pointer.
 */
#ifndef VV_BINDING_PY_WATCH_H
#define VV_BINDING_PY_WATCH_H

#include "binding/py_server.h"

/* A step of a request's code. Borrows all of it: the caller holds the server and the request. */
typedef struct watched {
    server_object *server; /* NULL: nobody watches */
    int64_t since_ns;
} watched;

static inline watched
watch_begin(server_object *server)
{
    if (VV_LIKELY(server == NULL || server->on_held == NULL))
        return (watched){.server = NULL};
    return (watched){.server = server, .since_ns = vv_loop_clock_ns()};
}

/* The step is over: if it took too long, app._held(method, route, seconds) is told. `method` is borrowed, and may be
 * NULL; so may `plan`. An exception that is set stays set. */
void watch_end(watched step, PyObject *method, const route_plan *plan);

/* The same, for a request that is still there. */
void watch_end_of(watched step, request_object *request);

#endif
