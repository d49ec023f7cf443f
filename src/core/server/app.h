/* The engine's only way up: what it needs of the program that runs on it. The Python binding fills in one vv_app, the
 * C tests and examples another.
 */
#ifndef VV_SERVER_APP_H
#define VV_SERVER_APP_H

#include "core/http1/request.h"
#include "core/router/router.h"
#include "core/server/exchange.h"

typedef enum vv_unrouted {
    VV_UNROUTED_NONE, /* the engine answers them all                    */
    VV_UNROUTED_JSON, /* those whose Accept names a media type of JSON  */
    VV_UNROUTED_ALL,
} vv_unrouted;

typedef struct vv_app {
    void *self; /* the app's own; handed back untouched */

    /* A request is complete. Before this call returns it must be answered with vv_conn_reply() or held with
     * vv_conn_hold(), once. `request`, `body`, `path` and `match` are borrowed until then.
     *
     *   body   its `at` is NULL where the body was too long for memory: vv_server_take_body().
     *   path   the request's path with its escapes decoded (vv_target_decode); match->params point into it.
     *   match  match->route is NULL only for what `wants_unrouted` tells: then 404, 405 and OPTIONS are the app's.
     */
    void (*on_request)(void *self, vv_conn *conn, const vv_http1_request *request, vv_span body, vv_span path,
                       const vv_match *match);

    /* The client went away while an exchange was held: last call for it. */
    void (*on_gone)(void *self, void *owner);

    /* The answer of an exchange with vv_exchange_notify() has left, or the connection was lost: last call for it. */
    void (*on_left)(void *self, void *owner);

    /* The engine refused a request by itself and answers with `code` (0: no answer). For the log. */
    void (*on_refused)(void *self, vv_conn *conn, vv_status why, int code);

    /* A long body is not copied where its owner (vv_reply.owner) can be kept until the bytes have left: keep() tells, 1
     * or 0. release() calls nothing of the engine: it comes from the midst of sending. Both NULL: all is copied. */
    int (*keep)(void *owner);
    void (*release)(void *owner);

    /* How long a body this route takes, in bytes; 0: limit_body_bytes. NULL: that goes for every route. Asked once the
     * head of a request with a body is complete. */
    uint64_t (*body_limit)(void *self, const vv_route *route);

    vv_unrouted wants_unrouted; /* which requests without a route go to on_request too */
} vv_app;

/* What the engine answers to a request without a route: 404, 405 with Allow, or to OPTIONS 204 with Allow (RFC 9110
 * sections 15.5.5, 15.5.6 and 9.3.7). */
void vv_conn_reply_unrouted(vv_conn *conn, const vv_http1_request *request, const vv_match *match);

#endif
