#include "core/server/access_log.h"

#include <errno.h>
#include <stdlib.h>

#include "core/bytes/ascii.h"
#include "core/bytes/buffer.h"
#include "core/io/sink.h"
#include "core/server/conn.h"

struct vv_access_log {
    vv_access_style style;
    vv_sink sink;
    void (*take)(void *self, vv_span lines);
    void *self;
    vv_buffer *lines; /* owned; NULL: none yet, or none left */
    vv_access_clock clock;
    vv_access noted;     /* the request that is about to be answered; borrows */
    uint64_t lost;       /* lines, not told of yet */
    int why;             /* errno of what lost them */
    int64_t retry_at_ns; /* not before; 0: nothing has failed */
    int64_t retry_ns;    /* how long to leave it alone next time */
    int64_t followed_at; /* the second in which the path was looked at */
};

/* ---- lines ------------------------------------------------------------------------------------------------------ */

static size_t
waiting(const vv_access_log *log)
{
    return log->lines != NULL ? vv_buffer_len(log->lines) : 0;
}

/* Room for one more line; NULL where there is none. */
static uint8_t *
room(vv_access_log *log)
{
    if (log->lines == NULL)
        log->lines = vv_buffer_new(VV_ACCESS_BATCH_BYTES + VV_ACCESS_LINE_BYTES);
    if (log->lines == NULL || waiting(log) + VV_ACCESS_LINE_BYTES > VV_ACCESS_KEEP_BYTES ||
        vv_buffer_reserve(log->lines, VV_ACCESS_LINE_BYTES) != VV_OK)
        return NULL;
    return log->lines->base + log->lines->tail;
}

static const char *
reason_of_loss(int error)
{
    return error == EAGAIN ? "whoever reads it is too slow" : strerror(error);
}

/* Says what was lost, as soon as a line goes through again. */
static void
tell_loss(vv_access_log *log)
{
    uint8_t *out = room(log);
    if (out == NULL)
        return;
    log->lines->tail += vv_access_loss_write(out, &log->style, &log->clock, log->lost, reason_of_loss(log->why));
    log->lost = 0;
}

static void
write_line(vv_access_log *log, vv_access *access, const vv_address *peer)
{
    int64_t now_ns = vv_loop_clock_ns();
    vv_access_clock_set(&log->clock, now_ns);
    access->peer = peer;
    if (VV_UNLIKELY(log->lost > 0))
        tell_loss(log);
    uint8_t *out = log->lost == 0 ? room(log) : NULL;
    if (VV_UNLIKELY(out == NULL)) {
        if (log->lost++ == 0 && log->why == 0)
            log->why = ENOMEM;
        return;
    }
    log->lines->tail += vv_access_line_write(out, &log->style, &log->clock, now_ns, access);
    /* A callee is called at the end of the turn only: it may do anything. */
    if (waiting(log) >= VV_ACCESS_BATCH_BYTES && log->take == NULL)
        vv_access_flush(log);
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

static int
is_name(vv_span name, const char *wanted, size_t len)
{
    return name.len == len && vv_equal_nocase(name, vv_span_of(wanted, len));
}

static void
note_fields(vv_access *noted, const vv_http1_request *req)
{
    for (unsigned i = 0; i < req->field_count; i++) {
        const vv_field *field = &req->fields[i];
        vv_span name = vv_request_span(req, field->name_at, field->name_len);
        if (is_name(name, "referer", 7))
            noted->referer = vv_request_span(req, field->value_at, field->value_len);
        else if (is_name(name, "user-agent", 10))
            noted->user_agent = vv_request_span(req, field->value_at, field->value_len);
    }
}

/* When its head was complete: that is now, unless its body has been waited for. */
static int64_t
begun_at(vv_conn *conn)
{
    int64_t head_ns = 0;
    if (conn->in != NULL) {
        head_ns = conn->in->head_ns;
        conn->in->head_ns = 0;
    }
    return head_ns;
}

void
vv_access_begin(vv_conn *conn, const vv_http1_request *req)
{
    vv_access_log *log = conn->server->access;
    int64_t head_ns = begun_at(conn);
    conn->server->match.route = NULL; /* of the request before */
    log->noted = (vv_access){
        .method = vv_request_span(req, 0, req->method_len),
        .target = vv_request_span(req, req->target_at, req->target_len),
        .begun_ns = head_ns != 0 ? head_ns : vv_loop_clock_ns(),
        .minor = req->minor,
    };
    if (log->style.format >= VV_ACCESS_COMBINED)
        note_fields(&log->noted, req);
}

void
vv_access_begin_raw(vv_conn *conn, vv_span bytes)
{
    vv_access_log *log = conn->server->access;
    size_t len = 0;
    while (len < bytes.len && len <= VV_ACCESS_TARGET_BYTES && bytes.at[len] != '\r' && bytes.at[len] != '\n')
        len++;
    conn->server->match.route = NULL;
    log->noted = (vv_access){.raw = vv_span_of(bytes.at, len), .begun_ns = begun_at(conn)};
}

void
vv_access_refused(vv_conn *conn, vv_status why)
{
    conn->server->access->noted.refused = vv_status_text(why);
}

static void
add_answer(vv_access *access, const vv_reply *reply, unsigned how)
{
    access->status = reply != NULL ? reply->status : VV_ACCESS_CLIENT_GONE;
    access->bytes = reply != NULL ? vv_writer_body_len(reply, how) : 0;
}

static void
note_route(vv_conn *conn, vv_access *access)
{
    const vv_route *route = conn->server->match.route;
    if (route != NULL)
        access->route = vv_route_pattern(route); /* lives as long as the server */
}

void
vv_access_answer(vv_conn *conn, const vv_reply *reply, unsigned how)
{
    vv_access_log *log = conn->server->access;
    note_route(conn, &log->noted);
    add_answer(&log->noted, reply, how);
    write_line(log, &log->noted, &conn->peer);
}

/* ---- requests whose answer is put off --------------------------------------------------------------------------- */

static vv_span
keep_span(uint8_t **at, vv_span text, size_t most)
{
    size_t len = text.len <= most ? text.len : most + 1; /* one more tells that it has been cut */
    vv_span kept = vv_span_of(*at, len);
    if (len > 0)
        memcpy(*at, text.at, len);
    *at += len;
    return kept;
}

vv_access *
vv_access_keep(vv_conn *conn)
{
    vv_access_log *log = conn->server->access;
    const vv_access *noted = &log->noted;
    enum { MOST = VV_ACCESS_METHOD_BYTES + 2 * VV_ACCESS_TARGET_BYTES + 2 * VV_ACCESS_FIELD_BYTES + 5 };
    size_t len = noted->method.len + noted->target.len + noted->raw.len + noted->referer.len + noted->user_agent.len;
    vv_access *kept = malloc(sizeof *kept + (len < MOST ? len : MOST));
    if (kept == NULL) {
        log->lost++;
        log->why = ENOMEM;
        return NULL;
    }
    uint8_t *at = (uint8_t *)(kept + 1);
    *kept = *noted;
    kept->method = keep_span(&at, noted->method, VV_ACCESS_METHOD_BYTES);
    kept->target = keep_span(&at, noted->target, VV_ACCESS_TARGET_BYTES);
    kept->raw = keep_span(&at, noted->raw, VV_ACCESS_TARGET_BYTES);
    kept->referer = keep_span(&at, noted->referer, VV_ACCESS_FIELD_BYTES);
    kept->user_agent = keep_span(&at, noted->user_agent, VV_ACCESS_FIELD_BYTES);
    note_route(conn, kept);
    return kept;
}

void
vv_access_answer_kept(vv_conn *conn, vv_access *kept, const vv_reply *reply, unsigned how)
{
    if (kept == NULL)
        return;
    add_answer(kept, reply, how);
    if (conn->server->access != NULL) /* else the log has ended while it was held */
        write_line(conn->server->access, kept, &conn->peer);
    free(kept);
}

/* ---- to whoever reads it ---------------------------------------------------------------------------------------- */

static void
hand_over(vv_access_log *log)
{
    vv_buffer *lines = log->lines;
    log->lines = NULL; /* the callee may give an answer */
    log->take(log->self, vv_span_of(vv_buffer_front(lines), vv_buffer_len(lines)));
    vv_buffer_free(lines);
}

static void
flush(vv_access_log *log, int64_t now_ns)
{
    size_t written;
    vv_status status =
        vv_sink_write(&log->sink, vv_span_of(vv_buffer_front(log->lines), vv_buffer_len(log->lines)), &written);
    int error = status == VV_AGAIN ? EAGAIN : errno;
    vv_buffer_consume(log->lines, written);
    if (VV_LIKELY(status == VV_OK)) {
        log->retry_at_ns = 0;
        if (log->lost == 0) /* else it is still to be told */
            log->why = 0;
        if (VV_UNLIKELY(log->lines->capacity > 2 * (VV_ACCESS_BATCH_BYTES + VV_ACCESS_LINE_BYTES))) {
            vv_buffer_free(log->lines);
            log->lines = NULL;
        }
        return;
    }
    log->why = error;
    log->retry_ns = log->retry_at_ns == 0 || written > 0 ? VV_ACCESS_RETRY_MS * INT64_C(1000000) : 2 * log->retry_ns;
    if (log->retry_ns > INT64_C(1000000000))
        log->retry_ns = INT64_C(1000000000);
    log->retry_at_ns = now_ns + log->retry_ns;
}

void
vv_access_flush(vv_access_log *log)
{
    if (VV_UNLIKELY(log->lost > 0))
        tell_loss(log);
    if (waiting(log) == 0)
        return;
    if (log->take != NULL) {
        hand_over(log);
        return;
    }
    int64_t now_ns = vv_loop_clock_ns();
    if (VV_UNLIKELY(now_ns < log->retry_at_ns))
        return;
    if (log->followed_at != log->clock.second) {
        log->followed_at = log->clock.second;
        vv_sink_follow(&log->sink);
    }
    flush(log, now_ns);
}

int
vv_access_next_ms(const vv_access_log *log)
{
    if (waiting(log) == 0)
        return -1;
    int64_t left_ns = log->retry_at_ns - vv_loop_clock_ns();
    return left_ns > 0 ? (int)(left_ns / 1000000) + 1 : 0;
}

/* ---- its life --------------------------------------------------------------------------------------------------- */

vv_status
vv_server_log_access(vv_server *server, const vv_access_options *options)
{
    vv_access_log *log = calloc(1, sizeof *log);
    if (log == NULL)
        return VV_E_NO_MEMORY;
    log->style = options->style;
    log->take = options->take;
    log->self = options->self;
    vv_status status = options->take != NULL   ? VV_OK
                       : options->path != NULL ? vv_sink_open_path(&log->sink, options->path)
                                               : vv_sink_open_fd(&log->sink, options->fd);
    if (status != VV_OK) {
        free(log);
        return status;
    }
    vv_access_log_free(server->access);
    server->access = log;
    server->how |= VV_HOW_LOGGED;
    return VV_OK;
}

uint64_t
vv_server_end_access_log(vv_server *server)
{
    vv_access_log *log = server->access;
    if (log == NULL)
        return 0;
    int64_t deadline_ns = vv_loop_clock_ns() + VV_ACCESS_LAST_MS * INT64_C(1000000);
    log->retry_at_ns = 0;
    vv_access_flush(log);
    while (waiting(log) > 0 && log->why == EAGAIN && vv_loop_clock_ns() < deadline_ns) {
        vv_sink_wait(&log->sink, VV_ACCESS_RETRY_MS);
        log->retry_at_ns = 0;
        vv_access_flush(log);
    }
    uint64_t lost = log->lost;
    for (size_t i = 0; i < waiting(log); i++)
        lost += vv_buffer_front(log->lines)[i] == '\n';
    vv_access_log_free(log);
    server->access = NULL;
    server->how &= (uint8_t)~VV_HOW_LOGGED;
    return lost;
}

void
vv_access_log_free(vv_access_log *log)
{
    if (log == NULL)
        return;
    vv_sink_close(&log->sink);
    vv_buffer_free(log->lines);
    free(log);
}
