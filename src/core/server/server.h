/* The hall: joins parser, router, connections and loop, which do not know each other.
 *
 * A turn of the program: vv_server_flush(); vv_loop_wait(loop, at most vv_server_next_ms()); vv_server_turn();
 * vv_loop_dispatch(); vv_server_flush().
 *
 * Ownership   vv_server_new() / vv_server_free(). The loop, the app and the router are borrowed.
 * Threads     none: one server belongs to one loop.
 * Cost        see conn.h.
 */
#ifndef VV_SERVER_SERVER_H
#define VV_SERVER_SERVER_H

#include "core/form/form.h"
#include "core/io/loop.h"
#include "core/io/spool.h"
#include "core/router/router.h"
#include "core/server/app.h"
#include "core/server/limits.h"

typedef struct vv_server vv_server;

VV_NODISCARD vv_status vv_server_new(vv_server **out, vv_loop *loop, const vv_app *app, const vv_router *router,
                                     const vv_limits *limits);
void vv_server_free(vv_server *server); /* NULL is fine; closes every connection */

/* Accepts on a bound, listening, non-blocking socket, which stays the caller's. */
VV_NODISCARD vv_status vv_server_listen(vv_server *server, int fd, int shared);
/* Of a shared socket those that queue are accepted first. */
void vv_server_stop_listening(vv_server *server);

/* The date, and accepting again. Right after vv_loop_wait(). */
void vv_server_turn(vv_server *server);
/* Looks at the time-outs, sends what answers have been given since the last call, and frees what has ended. */
void vv_server_flush(vv_server *server);
/* Milliseconds until there is something to do by the clock; -1: nothing. */
int vv_server_next_ms(const vv_server *server);

/* Which connections a graceful end leaves open although nothing is under way on them: until their next answer. */
typedef enum vv_keep {
    VV_KEEP_NONE,
    VV_KEEP_FRESH, /* those that have not asked anything yet: the request may be on its way */
    VV_KEEP_IDLE,  /* all */
} vv_keep;

/* Graceful end: idle connections close now but for those to `keep`, the others after the answers of their requests in
 * flight, which say "Connection: close". May be called again, to keep fewer. */
void vv_server_drain(vv_server *server, vv_keep keep);
/* Closes every connection now; returns how many. */
size_t vv_server_abort(vv_server *server);

/* The body of the request that on_request() is called for, where it was too long for memory: the file that holds it,
 * and the form that it is; NULL: it is none of several parts. The caller frees both. */
void vv_server_take_body(vv_server *server, vv_spool **spool, vv_form **form);

size_t vv_server_connections(const vv_server *server);
uint64_t vv_server_requests(const vv_server *server);

#endif
