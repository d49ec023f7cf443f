#include "core/server/exchange.h"

#include <stdlib.h>

#include "core/http1/reason.h"
#include "core/server/conn.h"

/* ---- the stock -------------------------------------------------------------------------------------------------- */

static vv_exchange *
take(vv_conn *conn)
{
    vv_server *server = conn->server;
    vv_exchange *ex = server->exchanges;
    if (ex != NULL) {
        server->exchanges = ex->next;
        server->spare_exchanges--;
    } else {
        ex = malloc(sizeof *ex);
        if (ex == NULL) {
            vv_conn_close(conn);
            return NULL;
        }
    }
    *ex = (vv_exchange){.conn = conn, .how = conn->how};
    return ex;
}

static void
give(vv_server *server, vv_exchange *ex)
{
    vv_buffer_pool_give_queue(&server->pool, ex->ready);
    if (server->spare_exchanges < VV_SPARE_EXCHANGES) {
        ex->next = server->exchanges;
        server->exchanges = ex;
        server->spare_exchanges++;
    } else {
        free(ex);
    }
}

void
vv_exchange_free_spares(vv_server *server)
{
    while (server->exchanges != NULL) {
        vv_exchange *next = server->exchanges->next;
        free(server->exchanges);
        server->exchanges = next;
    }
    server->spare_exchanges = 0;
}

static void
append(vv_conn *conn, vv_exchange *ex)
{
    if (conn->first == NULL)
        conn->first = ex;
    else
        conn->last->next = ex;
    conn->last = ex;
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static int
closes(unsigned how, const vv_reply *reply)
{
    return (how & VV_WRITE_CLOSE) != 0 || reply->close;
}

/* An answer ends the connection, though its client did not ask for that and may be sending on. */
static void
close_unasked(vv_conn *conn, unsigned how)
{
    if ((how & VV_WRITE_CLOSE) == 0)
        conn->flags |= VV_CONN_LINGERS;
}

static void
check_output(vv_conn *conn, size_t waiting)
{
    if (VV_UNLIKELY(waiting > conn->server->limits.limit_output_bytes))
        conn->gate |= VV_GATE_OUTPUT;
}

static inline int
is_long(const vv_conn *conn, const vv_reply *reply)
{
    return VV_UNLIKELY(reply->body.len >= VV_LEND_BYTES) && reply->owner != NULL && conn->server->app.keep != NULL;
}

/* Head and first bytes go to `out`, the rest of the body stays where it is, in a buffer behind `out`. Its owner has
 * been kept. */
static vv_status
write_lent(vv_conn *conn, vv_buffer *out, const vv_reply *reply, unsigned how)
{
    vv_server *server = conn->server;
    vv_span front = vv_span_of(reply->body.at, VV_LEND_FRONT_BYTES);
    vv_span rest = vv_span_of(reply->body.at + front.len, reply->body.len - front.len);
    vv_buffer *lent = NULL;
    vv_status status = vv_writer_write(&server->writer, out, reply, how | VV_WRITE_HEAD_ONLY);
    if (status == VV_OK && vv_buffer_append(out, front) == VV_OK)
        lent = vv_buffer_borrow(rest, server->app.release, reply->owner);
    if (lent == NULL) {
        server->app.release(reply->owner);
        return VV_E_NO_MEMORY;
    }
    out->next = lent;
    check_output(conn, vv_buffer_queue_len(conn->out));
    return VV_OK;
}

static VV_NOINLINE vv_status
write_long(vv_conn *conn, vv_buffer *out, const vv_reply *reply, unsigned how)
{
    vv_server *server = conn->server;
    if (vv_writer_body_len(reply, how) > 0 && server->app.keep(reply->owner))
        return write_lent(conn, out, reply, how);
    return vv_writer_write(&server->writer, out, reply, how);
}

/* Appends the answer to a queue of which `out` is the last. After a failure the connection is to be closed. */
static inline vv_status
write_to(vv_conn *conn, vv_buffer *out, const vv_reply *reply, unsigned how)
{
    if (is_long(conn, reply))
        return write_long(conn, out, reply, how);
    return vv_writer_write(&conn->server->writer, out, reply, how);
}

/* Renders into the output: the answer is the next to leave. */
static inline void
render(vv_conn *conn, const vv_reply *reply, unsigned how)
{
    vv_buffer *out = vv_conn_out(conn);
    if (VV_UNLIKELY(out == NULL))
        return;
    if (VV_UNLIKELY(write_to(conn, out, reply, how) != VV_OK)) {
        vv_conn_close(conn);
        return;
    }
    check_output(conn, vv_buffer_len(out)); /* whoever lends counts the whole queue */
}

/* Renders into a queue that waits its turn. */
static void
park(vv_conn *conn, vv_exchange *ex, const vv_reply *reply, unsigned how)
{
    vv_buffer *out = vv_buffer_pool_tail(&conn->server->pool, &ex->ready);
    size_t before = out != NULL ? vv_buffer_len(out) : 0;
    if (out == NULL || write_to(conn, out, reply, how) != VV_OK) {
        vv_conn_close(conn);
        return;
    }
    conn->parked += vv_buffer_queue_len(out) - before;
    check_output(conn, conn->parked);
}

/* An immediate answer behind ones that wait. Neighbours share a buffer. */
static void
reply_behind(vv_conn *conn, const vv_reply *reply, unsigned how, int close)
{
    vv_exchange *ex = conn->last;
    if (ex->state != VV_EXCHANGE_READY || ex->notify || ex->closes) {
        ex = take(conn);
        if (ex == NULL)
            return;
        ex->state = VV_EXCHANGE_READY;
        append(conn, ex);
    }
    ex->closes |= (uint8_t)close;
    park(conn, ex, reply, how);
}

void
vv_conn_reply(vv_conn *conn, const vv_reply *reply)
{
    unsigned how = conn->how;
    if (VV_UNLIKELY((how & VV_HOW_LOGGED) != 0)) {
        vv_access_answer(conn, conn->phase == VV_CONN_CLOSED ? NULL : reply, how);
        how &= ~(unsigned)VV_HOW_LOGGED;
    }
    if (VV_UNLIKELY(conn->phase == VV_CONN_CLOSED))
        return;
    if (VV_UNLIKELY(reply->close)) {
        close_unasked(conn, how);
        how |= VV_WRITE_CLOSE;
        vv_conn_last(conn);
    }
    if (VV_UNLIKELY(conn->first != NULL)) {
        reply_behind(conn, reply, how, closes(how, reply));
        return;
    }
    render(conn, reply, how);
}

void
vv_conn_reply_status(vv_conn *conn, int status)
{
    vv_reply reply = {.status = (uint16_t)status, .media = VV_MEDIA_TEXT, .body = vv_reason(status)};
    vv_conn_reply(conn, &reply);
}

vv_exchange *
vv_conn_hold(vv_conn *conn, void *owner)
{
    vv_exchange *ex = conn->phase != VV_CONN_CLOSED ? take(conn) : NULL;
    if (VV_UNLIKELY(ex == NULL)) {
        if ((conn->how & VV_HOW_LOGGED) != 0)
            vv_access_answer(conn, NULL, conn->how); /* nobody else will say what became of it */
        return NULL;
    }
    ex->owner = owner;
    if (VV_UNLIKELY((conn->how & VV_HOW_LOGGED) != 0))
        ex->access = vv_access_keep(conn);
    ex->closes = (conn->how & VV_WRITE_CLOSE) != 0;
    append(conn, ex);
    if (++conn->held >= conn->server->limits.limit_pipeline)
        conn->gate |= VV_GATE_PIPELINE;
    return ex;
}

/* ---- order ------------------------------------------------------------------------------------------------------ */

/* The answer of the first exchange is in conn->out: it is done, or waits to be told that it has left. */
static void
retire_first(vv_conn *conn)
{
    vv_exchange *ex = conn->first;
    conn->first = ex->next;
    if (conn->first == NULL)
        conn->last = NULL;
    ex->next = NULL;
    if (!ex->notify) {
        give(conn->server, ex);
        return;
    }
    ex->state = VV_EXCHANGE_LEAVING;
    ex->leaves_at = conn->sent + vv_conn_queued(conn);
    vv_exchange **end = &conn->leaving;
    while (*end != NULL)
        end = &(*end)->next;
    *end = ex;
}

static void
drop_list(vv_conn *conn, vv_exchange **list)
{
    vv_server *server = conn->server;
    while (*list != NULL) {
        vv_exchange *ex = *list;
        *list = ex->next;
        void *owner = ex->owner;
        int held = ex->state == VV_EXCHANGE_HELD, notify = ex->notify;
        if (held)
            conn->held--;
        else if (ex->state == VV_EXCHANGE_READY && ex->ready != NULL)
            conn->parked -= vv_buffer_queue_len(ex->ready);
        if (VV_UNLIKELY(ex->access != NULL))
            vv_access_answer_kept(conn, ex->access, NULL, ex->how);
        give(server, ex);
        if (held)
            server->app.on_gone(server->app.self, owner);
        else if (notify)
            server->app.on_left(server->app.self, owner);
    }
}

void
vv_exchange_drop_all(vv_conn *conn)
{
    vv_exchange *queued = conn->first, *leaving = conn->leaving;
    conn->first = conn->last = conn->leaving = NULL;
    drop_list(conn, &leaving);
    drop_list(conn, &queued);
}

/* An answer that ends the connection has been given: what was asked behind it gets none. */
static void
end_behind(vv_conn *conn)
{
    vv_exchange *queued = conn->first;
    conn->first = conn->last = NULL;
    vv_conn_last(conn);
    if (queued != NULL || conn->in != NULL)
        conn->flags |= VV_CONN_LINGERS;
    drop_list(conn, &queued);
}

/* Appends a queue to the output: a copy of what is short, so that small answers leave together. Takes it from *ready.
 */
static vv_status
move_to_output(vv_conn *conn, vv_buffer **ready)
{
    vv_buffer *first = *ready;
    if (conn->out == NULL) {
        conn->out = first;
        *ready = NULL;
        return VV_OK;
    }
    vv_buffer *out = vv_conn_out(conn);
    if (out == NULL || vv_buffer_append(out, vv_span_of(vv_buffer_front(first), vv_buffer_len(first))) != VV_OK)
        return VV_E_NO_MEMORY;
    out->next = first->next; /* a borrowed one may follow */
    first->next = NULL;
    return VV_OK;
}

/* Moves the answers that are ready at the front of the queue to the output. */
void
vv_exchange_advance(vv_conn *conn)
{
    while (conn->first != NULL && conn->first->state == VV_EXCHANGE_READY) {
        vv_exchange *ex = conn->first;
        int last = ex->closes;
        if (ex->ready != NULL) {
            conn->parked -= vv_buffer_queue_len(ex->ready);
            if (move_to_output(conn, &ex->ready) != VV_OK) {
                vv_conn_close(conn);
                return;
            }
        }
        retire_first(conn);
        if (last) {
            end_behind(conn);
            return;
        }
    }
    if (conn->first == NULL && (conn->flags & VV_CONN_CONTINUE_DUE) != 0 && conn->phase == VV_CONN_OPEN) {
        conn->flags &= (uint8_t)~VV_CONN_CONTINUE_DUE;
        vv_conn_say_continue(conn);
    }
}

void
vv_exchange_reply(vv_exchange *ex, const vv_reply *reply)
{
    vv_conn *conn = ex->conn;
    unsigned how = ex->how;
    if (ex->next == NULL) /* the last answer says that it is: those behind another are still owed */
        how |= conn->phase == VV_CONN_OPEN ? conn->server->how : VV_WRITE_CLOSE;
    if (VV_UNLIKELY((how & VV_HOW_LOGGED) != 0)) {
        vv_access_answer_kept(conn, ex->access, reply, how);
        ex->access = NULL;
        how &= ~(unsigned)VV_HOW_LOGGED;
    }
    if (reply->close) {
        close_unasked(conn, how);
        how |= VV_WRITE_CLOSE;
    }
    ex->closes = closes(how, reply) != 0;
    ex->state = VV_EXCHANGE_READY;
    conn->held--;
    if (conn->first == ex)
        render(conn, reply, how);
    else
        park(conn, ex, reply, how);
    if (conn->phase == VV_CONN_CLOSED)
        return;
    vv_exchange_advance(conn);
    vv_conn_mark_dirty(conn);
}

void
vv_exchange_tell_left(vv_conn *conn)
{
    while (conn->leaving != NULL && conn->leaving->leaves_at <= conn->sent) {
        vv_exchange *ex = conn->leaving;
        void *owner = ex->owner;
        conn->leaving = ex->next;
        give(conn->server, ex);
        conn->server->app.on_left(conn->server->app.self, owner);
    }
}

void
vv_exchange_notify(vv_exchange *ex)
{
    ex->notify = 1;
}
