/* A server on the core alone, without Python: `core_server PORT [auto|epoll|uring]`, on 127.0.0.1, until SIGINT
 * or SIGTERM.
 *
 *   GET  /               Hello world!
 *   GET  /users/{id:int} the id
 *   POST /echo           the body
 *
 * It is also the shortest example of how to embed the core: routes with handlers as their data, one vv_app, one turn.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/socket.h"
#include "core/server/server.h"

/* A handler sees what it may need of the request, and answers at once. */
typedef struct call {
    vv_conn *conn;
    vv_span body, path;
    const vv_match *match;
} call;

typedef void handler(const call *c);

static void
reply(vv_conn *conn, vv_media media, vv_span body)
{
    vv_conn_reply(conn, &(vv_reply){.status = 200, .media = (uint8_t)media, .body = body});
}

static void
hello(const call *c)
{
    reply(c->conn, VV_MEDIA_TEXT, vv_span_text("Hello world!"));
}

static void
user(const call *c)
{
    vv_param id = c->match->params[0];
    reply(c->conn, VV_MEDIA_TEXT, vv_span_of(c->path.at + id.at, id.len));
}

static void
echo(const call *c)
{
    reply(c->conn, VV_MEDIA_BYTES, c->body);
}

static const struct {
    const char *method, *pattern;
    handler *handler;
} routes[] = {
    {"GET", "/", hello},
    {"GET", "/users/{id:int}", user},
    {"POST", "/echo", echo},
};

static void
on_request(void *self, vv_conn *conn, const vv_http1_request *request, vv_span body, vv_span path,
           const vv_match *match)
{
    handler *const *answer = vv_route_data(match->route);
    (*answer)(&(call){.conn = conn, .body = body, .path = path, .match = match});
}

/* These two are called for exchanges that are held, and here none is. */
static void
on_exchange(void *self, void *owner)
{
}

static const vv_app app = {.on_request = on_request, .on_gone = on_exchange, .on_left = on_exchange};

static vv_status
add_routes(vv_router *router)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        vv_span method = vv_span_text(routes[i].method);
        vv_router_fault fault;
        vv_route *route;
        vv_status status = vv_router_add(router, vv_span_text(routes[i].pattern), &method, 1,
                                         (void *)(uintptr_t)&routes[i].handler, &route, &fault);
        if (vv_failed(status)) {
            fprintf(stderr, "core_server: %s\n", fault.text);
            return status;
        }
    }
    return vv_router_compile(router);
}

static volatile sig_atomic_t stopping;

static void
on_signal(int number)
{
    stopping = 1; /* the wait is interrupted, and the loop below sees it */
}

static void
run(vv_loop *loop, vv_server *server)
{
    while (!stopping) {
        if (vv_loop_wait(loop, vv_server_next_ms(server)) < 0)
            return;
        vv_server_turn(server);
        vv_loop_dispatch(loop);
        vv_server_flush(server);
    }
}

static void
must(vv_status status, const char *what)
{
    if (vv_failed(status)) {
        fprintf(stderr, "core_server: %s: %s\n", what, vv_status_text(status));
        exit(1);
    }
}

int
main(int argc, char **argv)
{
    int port = argc > 1 ? atoi(argv[1]) : 0, fd;
    const char *io = argc > 2 ? argv[2] : "auto";
    vv_loop_kind kind = strcmp(io, "epoll") == 0   ? VV_LOOP_EPOLL
                        : strcmp(io, "uring") == 0 ? VV_LOOP_URING
                                                   : VV_LOOP_AUTO;
    if (port < 1 || port > 65535) {
        fprintf(stderr, "usage: core_server PORT [auto|epoll|uring]\n");
        return 2;
    }
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);

    vv_router *router;
    vv_loop *loop;
    vv_server *server;
    vv_limits limits = vv_limits_default();
    limits.limit_connections = 100000;
    must(vv_router_new(&router), "router");
    must(add_routes(router), "routes");
    must(vv_socket_listen("127.0.0.1", (uint16_t)port, 4096, &fd), "listen");
    must(vv_loop_open(&loop, kind, &(vv_loop_events){.self = NULL}), "loop");
    must(vv_server_new(&server, loop, &app, router, &limits), "server");
    must(vv_server_listen(server, fd, 0), "accept");

    run(loop, server);

    vv_server_free(server);
    vv_loop_close(loop);
    vv_router_free(router);
    return 0;
}
