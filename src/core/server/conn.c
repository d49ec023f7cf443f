#include "core/server/conn.h"

#include <stdlib.h>

static vv_conn *
of_timer(vv_timer *timer)
{
    return (vv_conn *)(void *)((char *)timer - offsetof(vv_conn, timer));
}

/* ---- phases: Rule 1 --------------------------------------------------------------------------------------------- */

static void
enter(vv_conn *conn, vv_conn_phase phase)
{
    conn->phase = (uint8_t)phase;
    if (phase != VV_CONN_OPEN)
        conn->gate |= VV_GATE_PHASE;
}

void
vv_conn_open(vv_server *server, int fd, const vv_address *peer, const vv_stream_events *driver)
{
    vv_conn *conn = server->spare;
    if (conn != NULL) {
        server->spare = conn->next;
        server->spares--;
    } else {
        conn = malloc(sizeof *conn);
    }
    vv_conn unheard = {.stream = {.on = driver, .fd = fd}};
    if (conn == NULL) {
        vv_loop_drop(server->loop, &unheard.stream);
        return;
    }
    *conn = unheard;
    conn->server = server;
    conn->peer = *peer;
    if (vv_loop_add(server->loop, &conn->stream) != VV_OK) {
        vv_loop_drop(server->loop, &conn->stream);
        free(conn);
        return;
    }
    if (server->conns == NULL) {
        conn->next = conn->prev = conn;
    } else {
        conn->next = server->conns;
        conn->prev = server->conns->prev;
        conn->prev->next = conn->next->prev = conn;
    }
    server->conns = conn;
    server->connections++;
    enter(conn, VV_CONN_OPEN);
    vv_conn_set_timer(conn, VV_TIMING_IDLE, server->limits.timeout_keep_alive_ms);
}

static void
unlink_conn(vv_conn *conn)
{
    vv_server *server = conn->server;
    if (conn->next == conn) {
        server->conns = NULL;
    } else {
        conn->prev->next = conn->next;
        conn->next->prev = conn->prev;
        if (server->conns == conn)
            server->conns = conn->next;
    }
    server->connections--;
}

void
vv_conn_close(vv_conn *conn)
{
    if (conn->phase == VV_CONN_CLOSED)
        return;
    vv_server *server = conn->server;
    enter(conn, VV_CONN_CLOSED);
    vv_loop_drop(server->loop, &conn->stream);
    vv_wheel_clear(&server->wheel, &conn->timer);
    unlink_conn(conn);
    conn->next = server->graves;
    server->graves = conn;
    /* The bytes of the request being served stay until its handler has returned: vv_conn_bury(). */
    vv_exchange_drop_all(conn);
    vv_acceptor_room(server);
}

void
vv_intake_free(vv_server *server, vv_intake *in)
{
    if (in != NULL) {
        vv_buffer_pool_give(&server->pool, in->bytes);
        vv_long_body_close(&in->body);
        free(in);
    }
}

/* Frees what has closed in this turn. */
void
vv_conn_bury(vv_server *server)
{
    while (server->graves != NULL) {
        vv_conn *conn = server->graves;
        server->graves = conn->next;
        vv_intake_free(server, conn->in);
        vv_buffer_pool_give_queue(&server->pool, conn->out);
        vv_buffer_pool_give_queue(&server->pool, conn->sending);
        if (server->spares < VV_SPARE_CONNS) {
            conn->next = server->spare;
            server->spare = conn;
            server->spares++;
        } else {
            free(conn);
        }
    }
}

void
vv_conn_last(vv_conn *conn)
{
    if (conn->phase == VV_CONN_OPEN)
        enter(conn, VV_CONN_LAST);
}

/* ---- time ------------------------------------------------------------------------------------------------------- */

void
vv_conn_set_timer(vv_conn *conn, vv_conn_timing timing, uint32_t ms)
{
    conn->timing = (uint8_t)timing;
    if (timing == VV_TIMING_NONE || ms == 0)
        vv_wheel_clear(&conn->server->wheel, &conn->timer);
    else
        vv_wheel_set(&conn->server->wheel, &conn->timer, ms);
}

/* Chooses what the connection may take time for now. */
static void
retime(vv_conn *conn)
{
    const vv_limits *limits = &conn->server->limits;
    if (conn->sending != NULL) {
        if (conn->timing != VV_TIMING_WRITE)
            vv_conn_set_timer(conn, VV_TIMING_WRITE, limits->timeout_write_ms);
    } else if (conn->first != NULL || (conn->gate & ~VV_GATE_PHASE) != 0) {
        vv_conn_set_timer(conn, VV_TIMING_NONE, 0); /* it is us who take the time */
    } else if (conn->in == NULL) {
        vv_conn_set_timer(conn, VV_TIMING_IDLE, limits->timeout_keep_alive_ms);
    } else if (conn->in->need > 0 || conn->in->body_at > 0) {
        if (conn->timing != VV_TIMING_BODY) /* on_bytes sets it anew at each progress */
            vv_conn_set_timer(conn, VV_TIMING_BODY, limits->timeout_body_ms);
    } else if (conn->timing != VV_TIMING_HEAD) {
        vv_conn_set_timer(conn, VV_TIMING_HEAD, limits->timeout_head_ms);
    }
}

static int
goes_on_lingering(vv_conn *conn)
{
    if ((conn->flags & VV_CONN_LINGERS) == 0 || conn->delays == 0)
        return 0;
    conn->flags &= (uint8_t)~VV_CONN_LINGERS;
    conn->delays--;
    vv_conn_set_timer(conn, VV_TIMING_LINGER, VV_LINGER_MS);
    return 1;
}

void
vv_conn_on_due(void *server, vv_timer *timer)
{
    vv_conn *conn = of_timer(timer);
    (void)server;
    switch ((vv_conn_timing)conn->timing) {
    case VV_TIMING_HEAD:
    case VV_TIMING_BODY:
        vv_conn_refuse(conn, VV_E_TIMEOUT);
        vv_conn_mark_dirty(conn);
        break;
    case VV_TIMING_NONE:
    case VV_TIMING_IDLE:
    case VV_TIMING_WRITE:
        vv_conn_close(conn);
        break;
    case VV_TIMING_LINGER:
        if (!goes_on_lingering(conn))
            vv_conn_close(conn);
        break;
    }
}

/* ---- output ----------------------------------------------------------------------------------------------------- */

void
vv_conn_mark_dirty(vv_conn *conn)
{
    if ((conn->flags & VV_CONN_DIRTY) == 0 && conn->phase != VV_CONN_CLOSED) {
        conn->flags |= VV_CONN_DIRTY;
        conn->next_dirty = conn->server->dirty;
        conn->server->dirty = conn;
    }
}

vv_buffer *
vv_conn_next_out(vv_conn *conn)
{
    vv_buffer_pool *pool = &conn->server->pool;
    vv_buffer *out =
        conn->out == NULL ? (conn->out = vv_buffer_pool_take(pool)) : vv_buffer_pool_tail(pool, &conn->out);
    if (out == NULL)
        vv_conn_close(conn);
    return out;
}

/* "100 Continue" (RFC 9110 section 15.2.1), behind what is in the output. */
void
vv_conn_say_continue(vv_conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    vv_buffer *out = vv_conn_out(conn);
    if (out != NULL && vv_buffer_append(out, vv_span_of(text, sizeof text - 1)) != VV_OK)
        vv_conn_close(conn);
}

/* All answers have left and none is owed: what becomes of the connection? */
static void
settle(vv_conn *conn)
{
    vv_server *server = conn->server;
    if ((conn->flags & VV_CONN_LINGERS) == 0 || (conn->flags & VV_CONN_ENDED) != 0) {
        vv_conn_close(conn);
        return;
    }
    /* Closing now, with bytes unread, would send a reset that destroys our answer on its way. */
    enter(conn, VV_CONN_LINGERING);
    conn->flags &= (uint8_t)~VV_CONN_LINGERS;
    conn->delays = VV_LINGER_DELAYS;
    vv_intake_free(server, conn->in);
    conn->in = NULL;
    vv_loop_shut(server->loop, &conn->stream);
    vv_loop_resume(server->loop, &conn->stream);
    vv_conn_set_timer(conn, VV_TIMING_LINGER, VV_LINGER_MS);
}

/* Takes `count` bytes off what is being sent. */
static void
advance_sending(vv_conn *conn, size_t count)
{
    conn->sent += count;
    vv_buffer *first = conn->sending;
    vv_buffer_consume(first, count);
    if (vv_buffer_len(first) == 0) {
        conn->sending = first->next;
        vv_buffer_pool_give(&conn->server->pool, first);
    }
    int done = conn->sending == NULL;
    if (count > 0 && (!done || conn->timing == VV_TIMING_WRITE))
        vv_conn_set_timer(conn, VV_TIMING_WRITE, conn->server->limits.timeout_write_ms);
    if (conn->leaving != NULL)
        vv_exchange_tell_left(conn);
}

/* Sends until all is gone or the socket is full. Whether the connection is still there. */
static int
push(vv_conn *conn)
{
    for (;;) {
        if (conn->sending == NULL) {
            if (conn->out == NULL)
                return 1;
            conn->sending = conn->out;
            conn->out = NULL;
            if (vv_buffer_len(conn->sending) == 0) {
                vv_buffer_pool_give(&conn->server->pool, conn->sending);
                conn->sending = NULL;
                return 1;
            }
        }
        vv_span bytes = vv_span_of(vv_buffer_front(conn->sending), vv_buffer_len(conn->sending));
        size_t sent;
        vv_status status = vv_loop_send(conn->server->loop, &conn->stream, bytes, &sent);
        if (vv_failed(status)) {
            vv_conn_close(conn);
            return 0;
        }
        advance_sending(conn, sent);
        if (conn->phase == VV_CONN_CLOSED)
            return 0;
        if (status == VV_AGAIN)
            return 1;
    }
}

static size_t
unsent(const vv_conn *conn)
{
    return vv_conn_queued(conn) + conn->parked;
}

static void
open_gates(vv_conn *conn)
{
    if ((conn->gate & VV_GATE_OUTPUT) != 0 && unsent(conn) <= conn->server->limits.limit_output_bytes / 2)
        conn->gate &= (uint8_t)~VV_GATE_OUTPUT;
    if ((conn->gate & VV_GATE_PIPELINE) != 0 && conn->held <= conn->server->limits.limit_pipeline / 2)
        conn->gate &= (uint8_t)~VV_GATE_PIPELINE;
}

void
vv_conn_flush(vv_conn *conn)
{
    if (conn->phase >= VV_CONN_LINGERING || !push(conn))
        return;
    if (VV_UNLIKELY(conn->gate != 0)) {
        unsigned before = conn->gate;
        open_gates(conn);
        if (before != conn->gate && conn->gate == 0 && (conn->flags & VV_CONN_SERVING) == 0) {
            vv_conn_http1_resume(conn); /* it is flushed again, after the timers: they must be of what is now */
            if (conn->phase < VV_CONN_LINGERING)
                retime(conn);
            return;
        }
    }
    if (conn->sending == NULL && conn->first == NULL && (conn->flags & VV_CONN_SERVING) == 0 &&
        (conn->phase == VV_CONN_LAST || ((conn->flags & VV_CONN_ENDED) != 0 && conn->gate == 0)))
        settle(conn);
    if (conn->phase < VV_CONN_LINGERING)
        retime(conn);
}

void
vv_conn_on_sent(vv_stream *stream, size_t sent)
{
    vv_conn *conn = (vv_conn *)stream;
    if (conn->sending != NULL && sent > 0)
        advance_sending(conn, sent);
    if (conn->phase < VV_CONN_LINGERING)
        vv_conn_flush(conn);
}

void
vv_conn_on_lost(vv_stream *stream)
{
    vv_conn_close((vv_conn *)stream);
}

/* ---- what others may do with a connection ----------------------------------------------------------------------- */

const vv_address *
vv_conn_peer(const vv_conn *conn)
{
    return &conn->peer;
}

int
vv_conn_fd(const vv_conn *conn)
{
    return conn->stream.fd;
}

void
vv_conn_abort(vv_conn *conn)
{
    vv_conn_close(conn);
}

void
vv_conn_finish(vv_conn *conn)
{
    vv_conn_last(conn);
    conn->how |= VV_WRITE_CLOSE;
    conn->flags |= VV_CONN_LINGERS; /* the client knows nothing of it yet */
    vv_conn_mark_dirty(conn);
}
