/* Accepting, and when not to: at limit_connections and without descriptors it pauses, and nothing that queues in the
 * kernel is dropped.
 */
#include <stdlib.h>

#include "core/server/conn.h"

typedef struct vv_acceptor {
    vv_listener listener; /* first: the loop's view is cast to ours */
    vv_server *server;
    struct vv_acceptor *next;
    int shared; /* with other processes */
} vv_acceptor;

static void
pause_all(vv_server *server)
{
    for (vv_acceptor *at = server->acceptor; at != NULL; at = at->next)
        vv_loop_listen_pause(server->loop, &at->listener);
    server->starved = 1;
}

static void
on_accept(vv_listener *listener, int fd, const vv_address *peer)
{
    vv_server *server = ((vv_acceptor *)listener)->server;
    vv_conn_open(server, fd, peer, &vv_conn_http1);
    if (server->connections >= server->limits.limit_connections) {
        pause_all(server);
        server->retry_at_ms = INT64_MAX; /* vv_acceptor_room() ends it */
    }
}

static void
on_exhausted(vv_listener *listener)
{
    vv_server *server = ((vv_acceptor *)listener)->server;
    pause_all(server);
    server->retry_at_ms = vv_loop_now_ms(server->loop) + VV_ACCEPT_RETRY_MS;
}

static void
resume_all(vv_server *server)
{
    server->starved = 0;
    for (vv_acceptor *at = server->acceptor; at != NULL; at = at->next)
        vv_loop_listen_resume(server->loop, &at->listener);
}

/* A connection has closed: there is room, and a descriptor. */
void
vv_acceptor_room(vv_server *server)
{
    if (VV_UNLIKELY(server->starved) && server->connections < server->limits.limit_connections)
        resume_all(server);
}

/* Of those who share a socket the kernel wakes one for each connection. That one may be busy with something else, or
 * die before it has accepted. */
static void
look_for_forgotten(vv_server *server, int64_t now_ms)
{
    for (vv_acceptor *at = server->acceptor; at != NULL && !server->starved; at = at->next)
        if (at->shared && at->listener.fd >= 0)
            vv_loop_accept_one(server->loop, &at->listener);
    server->look_at_ms = now_ms + VV_ACCEPT_LOOK_MS;
}

void
vv_acceptor_turn(vv_server *server)
{
    int64_t now_ms = vv_loop_now_ms(server->loop);
    if (VV_UNLIKELY(server->starved) && server->retry_at_ms <= now_ms)
        resume_all(server);
    if (VV_UNLIKELY(server->look_at_ms <= now_ms))
        look_for_forgotten(server, now_ms);
}

vv_status
vv_server_listen(vv_server *server, int fd, int shared)
{
    vv_acceptor *acceptor = malloc(sizeof *acceptor);
    if (acceptor == NULL)
        return VV_E_NO_MEMORY;
    *acceptor = (vv_acceptor){
        .listener = {.on_accept = on_accept, .on_exhausted = on_exhausted, .fd = fd},
        .server = server,
        .next = server->acceptor,
        .shared = shared,
    };
    vv_status status = vv_loop_listen(server->loop, &acceptor->listener, shared);
    if (status != VV_OK) {
        free(acceptor);
        return status;
    }
    server->acceptor = acceptor;
    if (shared)
        server->look_at_ms = vv_loop_now_ms(server->loop) + VV_ACCEPT_LOOK_MS;
    return VV_OK;
}

/* The structs stay until the server is freed: this may be called from within their own call. */
static void
unlisten_all(vv_server *server)
{
    for (vv_acceptor *at = server->acceptor; at != NULL; at = at->next)
        if (at->listener.fd >= 0)
            vv_loop_unlisten(server->loop, &at->listener);
    server->starved = 0;
    server->look_at_ms = INT64_MAX;
}

void
vv_server_stop_listening(vv_server *server)
{
    /* Of several who wait on a shared socket the kernel wakes one. If that was us, nobody else knows of who queues. So
     * they are accepted, after the kernel has let go of us: who comes later wakes another. */
    for (vv_acceptor *at = server->acceptor; at != NULL; at = at->next)
        if (at->shared && at->listener.fd >= 0)
            vv_loop_accept_last(server->loop, &at->listener);
    unlisten_all(server);
}

void
vv_acceptor_free_all(vv_server *server)
{
    unlisten_all(server);
    while (server->acceptor != NULL) {
        vv_acceptor *next = server->acceptor->next;
        free(server->acceptor);
        server->acceptor = next;
    }
}
