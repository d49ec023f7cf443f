#include "core/server/server.h"

#include <stdlib.h>

#include "core/server/conn.h"

vv_status
vv_server_new(vv_server **out, vv_loop *loop, const vv_app *app, const vv_router *router, const vv_limits *limits)
{
    vv_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return VV_E_NO_MEMORY;
    server->loop = loop;
    server->app = *app;
    server->router = router;
    server->limits = *limits;
    server->look_at_ms = INT64_MAX;
    server->head_limits = (vv_http1_limits){
        .head_bytes = limits->limit_head_bytes,
        .header_fields = limits->limit_header_fields,
    };
    server->fields = malloc((limits->limit_header_fields + 1) * sizeof *server->fields);
    server->path = malloc(limits->limit_head_bytes + 1);
    server->spools = vv_spool_directory();
    if (server->fields == NULL || server->path == NULL || server->spools == NULL) {
        vv_server_free(server);
        return VV_E_NO_MEMORY;
    }
    vv_wheel_init(&server->wheel, vv_loop_now_ms(loop));
    vv_writer_tick(&server->writer, vv_loop_unix_seconds(loop));
    *out = server;
    return VV_OK;
}

void
vv_server_free(vv_server *server)
{
    if (server == NULL)
        return;
    vv_acceptor_free_all(server);
    vv_server_abort(server);
    (void)vv_server_end_access_log(server);
    server->dirty = NULL;
    vv_conn_bury(server);
    while (server->spare != NULL) {
        vv_conn *next = server->spare->next;
        free(server->spare);
        server->spare = next;
    }
    vv_exchange_free_spares(server);
    vv_buffer_pool_fini(&server->pool);
    free(server->fields);
    free(server->path);
    free(server->spools);
    free(server);
}

void
vv_server_turn(vv_server *server)
{
    vv_writer_tick(&server->writer, vv_loop_unix_seconds(server->loop));
    vv_acceptor_turn(server);
}

static void
flush_dirty(vv_server *server)
{
    while (server->dirty != NULL) {
        vv_conn *conn = server->dirty;
        server->dirty = conn->next_dirty;
        conn->flags &= (uint8_t)~VV_CONN_DIRTY;
        if (conn->phase != VV_CONN_CLOSED)
            vv_conn_flush(conn);
    }
}

void
vv_server_flush(vv_server *server)
{
    /* Not before the dispatch: what had arrived when we woke has been read now, and is not late. */
    vv_wheel_advance(&server->wheel, vv_loop_now_ms(server->loop), vv_conn_on_due, server);
    flush_dirty(server);
    if (VV_UNLIKELY(server->access != NULL)) {
        vv_access_flush(server->access);
        flush_dirty(server); /* whoever takes the lines may have given an answer */
    }
    if (VV_UNLIKELY(server->graves != NULL))
        vv_conn_bury(server);
}

/* The sooner of two times to come; -1: never. */
static int
sooner(int a_ms, int b_ms)
{
    return b_ms >= 0 && (a_ms < 0 || a_ms > b_ms) ? b_ms : a_ms;
}

int
vv_server_next_ms(const vv_server *server)
{
    int64_t now_ms = vv_loop_now_ms(server->loop);
    int ms = vv_wheel_next_ms(&server->wheel, now_ms);
    if (VV_UNLIKELY(server->starved) && server->retry_at_ms != INT64_MAX)
        ms = sooner(ms, VV_ACCEPT_RETRY_MS);
    if (VV_UNLIKELY(server->look_at_ms != INT64_MAX))
        ms = sooner(ms, server->look_at_ms > now_ms ? (int)(server->look_at_ms - now_ms) : 0);
    if (VV_UNLIKELY(server->access != NULL))
        ms = sooner(ms, vv_access_next_ms(server->access));
    return ms;
}

void
vv_server_drain(vv_server *server, vv_keep keep)
{
    server->how |= VV_WRITE_CLOSE;
    size_t count = server->connections;
    vv_conn *conn = server->conns;
    while (count-- > 0) {
        vv_conn *next = conn->next;
        int idle = conn->phase == VV_CONN_OPEN && vv_conn_is_idle(conn) && (conn->flags & VV_CONN_SERVING) == 0;
        int stays = keep == VV_KEEP_IDLE || (keep == VV_KEEP_FRESH && (conn->sent == 0 || !idle));
        if (idle || conn->phase == VV_CONN_LINGERING) {
            if (!stays)
                vv_conn_close(conn);
        } else if (conn->phase == VV_CONN_OPEN && conn->in == NULL) {
            vv_conn_last(conn); /* what it still owes is its last */
            vv_conn_mark_dirty(conn);
        }
        conn = next;
    }
}

size_t
vv_server_abort(vv_server *server)
{
    size_t count = 0;
    while (server->conns != NULL) {
        vv_conn_close(server->conns);
        count++;
    }
    return count;
}

void
vv_server_take_body(vv_server *server, vv_spool **spool, vv_form **form)
{
    *spool = server->body.spool;
    *form = server->body.form;
    server->body = (vv_long_body){.spool = NULL};
}

size_t
vv_server_connections(const vv_server *server)
{
    return server->connections;
}

uint64_t
vv_server_requests(const vv_server *server)
{
    return server->requests;
}
