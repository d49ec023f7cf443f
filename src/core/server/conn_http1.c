/* HTTP/1 on a connection (RFC 9112): from bytes to requests. Every request that is whole in what has arrived is
 * answered before the socket is touched again, so that N pipelined requests cost one receive and one send.
 *
 * Bytes are parsed where they were received. Only a request that has arrived in part is kept, in conn->in.
 */
#include "core/http1/parse.h"

#include <stdlib.h>

#include "core/bytes/ascii.h"
#include "core/http1/method.h"
#include "core/http1/reason.h"
#include "core/http1/target.h"
#include "core/server/conn.h"

/* What the parse loop found at the end of its input. */
typedef struct rest {
    size_t used;    /* bytes that are done with                                                 */
    size_t seen;    /* of the others, known to hold no complete head                            */
    size_t need;    /* of the others, how many make the next request; 0: not known              */
    size_t body_at; /* a body that is taken as it comes begins there, counted from `used`; 0: none */
    /* Only where a body is awaited: */
    int64_t head_ns; /* when its head was complete; 0: not logged */
    uint64_t limit;  /* of the body                               */
    uint64_t length; /* of the body; UINT64_MAX: it is chunked    */
} rest;

/* ---- one request ------------------------------------------------------------------------------------------------ */

static unsigned
how_to_answer(const vv_server *server, const vv_http1_request *req)
{
    unsigned how = server->how;
    if (req->method == VV_METHOD_HEAD)
        how |= VV_WRITE_HEAD_ONLY;
    if ((req->flags & VV_REQUEST_KEEP_ALIVE) == 0)
        how |= VV_WRITE_CLOSE;
    else if (req->minor == 0)
        how |= VV_WRITE_KEEP_ALIVE_10;
    return how;
}

static void
reply_allow(vv_conn *conn, int status, uint32_t allow)
{
    const vv_router *router = conn->server->router;
    uint8_t line[9 + VV_ROUTER_METHODS * (VV_ROUTER_NAME_BYTES + 2) + 2], *at = line;
    memcpy(at, "Allow: ", 7);
    at += 7;
    for (unsigned n = 0; n < VV_ROUTER_METHODS; n++) {
        vv_span name = vv_router_method_name(router, n);
        if ((allow >> n & 1) == 0 || name.len == 0)
            continue;
        if (at != line + 7) {
            memcpy(at, ", ", 2);
            at += 2;
        }
        memcpy(at, name.at, name.len);
        at += name.len;
    }
    memcpy(at, "\r\n", 2);
    at += 2;
    vv_reply reply = {.status = (uint16_t)status, .media = VV_MEDIA_NONE};
    reply.fields = vv_span_of(line, (size_t)(at - line));
    if (status != 204) {
        reply.media = VV_MEDIA_TEXT;
        reply.body = vv_reason(status);
    }
    vv_conn_reply(conn, &reply);
}

void
vv_conn_reply_unrouted(vv_conn *conn, const vv_http1_request *req, const vv_match *match)
{
    if (match->allow == 0)
        vv_conn_reply_status(conn, 404);
    else
        reply_allow(conn, req->method == VV_METHOD_OPTIONS ? 204 : 405, match->allow);
}

static int
decoded_path(vv_conn *conn, const vv_http1_request *req, vv_span *path)
{
    static const uint8_t slash = '/';
    *path = vv_request_span(req, req->path_at, req->path_len);
    if (VV_UNLIKELY(path->len == 0))
        *path = vv_span_of(&slash, 1);
    if (VV_LIKELY((req->flags & VV_REQUEST_ESCAPED) == 0))
        return 1;
    size_t len;
    if (vv_target_decode(*path, conn->server->path, &len) != VV_OK)
        return 0;
    *path = vv_span_of(conn->server->path, len);
    return 1;
}

/* `how` is that of the request, as far as it is known. */
static void
refuse(vv_conn *conn, vv_status why, unsigned how)
{
    int code = vv_status_answer(why);
    vv_server *server = conn->server;
    if ((server->how & VV_HOW_LOGGED) != 0)
        vv_access_refused(conn, why);
    if (server->app.on_refused != NULL)
        server->app.on_refused(server->app.self, conn, why, code);
    conn->how = (uint8_t)((how & VV_WRITE_HEAD_ONLY) | (server->how & VV_HOW_LOGGED) | VV_WRITE_CLOSE);
    if (conn->phase != VV_CONN_CLOSED) {
        vv_conn_last(conn);
        conn->flags |= VV_CONN_LINGERS;
    }
    vv_conn_reply_status(conn, code);
}

/* Refuses what has no request yet: `bytes` is what has come of it. */
static void
refuse_raw(vv_conn *conn, vv_status why, vv_span bytes)
{
    if ((conn->server->how & VV_HOW_LOGGED) != 0)
        vv_access_begin_raw(conn, bytes);
    refuse(conn, why, 0);
}

void
vv_conn_refuse(vv_conn *conn, vv_status why)
{
    vv_server *server = conn->server;
    vv_http1_request req;
    vv_span bytes = {.len = 0};
    if (conn->in != NULL)
        bytes = vv_span_of(vv_buffer_front(conn->in->bytes), vv_buffer_len(conn->in->bytes));
    if ((server->how & VV_HOW_LOGGED) != 0 && conn->in != NULL && (conn->in->need > 0 || conn->in->body_at > 0) &&
        vv_http1_parse_request(bytes, 0, &server->head_limits, server->fields, &req) == VV_OK) {
        vv_access_begin(conn, &req); /* its head is known: the body is what is wrong */
        refuse(conn, why, 0);
    } else {
        refuse_raw(conn, why, bytes);
    }
}

static int
mentions_json(vv_span text)
{
    for (size_t i = 0; i + 4 <= text.len; i++)
        if (vv_equal_nocase(vv_span_of(text.at + i, 4), vv_span_text("json")))
            return 1;
    return 0;
}

/* A request without a route: whether it is the app's all the same. Who accepts JSON, and how much, the app weighs. */
static VV_NOINLINE int
app_answers(const vv_server *server, const vv_http1_request *req)
{
    if (server->app.wants_unrouted != VV_UNROUTED_JSON)
        return server->app.wants_unrouted == VV_UNROUTED_ALL;
    const vv_span accept = vv_span_text("accept"), shortest = vv_span_text("application/json");
    for (const vv_field *field = req->fields, *end = field + req->field_count; field < end; field++) {
        if (field->name_len == accept.len && field->value_len >= shortest.len &&
            vv_equal_nocase(vv_request_span(req, field->name_at, accept.len), accept) &&
            mentions_json(vv_request_span(req, field->value_at, field->value_len)))
            return 1;
    }
    return 0;
}

/* One complete request. */
static void
serve_one(vv_conn *conn, const vv_http1_request *req, vv_span body)
{
    vv_server *server = conn->server;
    conn->how = (uint8_t)how_to_answer(server, req);
    if (VV_UNLIKELY(conn->how != 0)) {
        if ((conn->how & VV_WRITE_CLOSE) != 0)
            vv_conn_last(conn);
        if ((conn->how & VV_HOW_LOGGED) != 0)
            vv_access_begin(conn, req);
    }
    server->requests++;

    vv_span path;
    vv_match *match = &server->match;
    if (VV_UNLIKELY(!decoded_path(conn, req, &path))) {
        refuse(conn, VV_E_TARGET, conn->how);
        return;
    }
    if (VV_UNLIKELY(req->form == VV_TARGET_ASTERISK)) {
        reply_allow(conn, 204, vv_router_allow(server->router, path) | 0x7f);
        return;
    }
    vv_router_match(server->router, vv_span_of(req->head, req->method_len), path, match);
    if (VV_LIKELY(match->route != NULL) || app_answers(server, req))
        server->app.on_request(server->app.self, conn, req, body, path, match);
    else
        vv_conn_reply_unrouted(conn, req, match);
}

/* ---- the parse loop --------------------------------------------------------------------------------------------- */

static void
ask_to_continue(vv_conn *conn)
{
    if (conn->first != NULL)
        conn->flags |= VV_CONN_CONTINUE_DUE; /* it must not overtake the answers before it */
    else
        vv_conn_say_continue(conn);
}

/* How long a body the request may have. Its route is only looked for where routes differ. */
static uint64_t
body_limit(vv_conn *conn, const vv_http1_request *req)
{
    vv_server *server = conn->server;
    uint64_t limit = 0;
    vv_span path;
    vv_match match;
    if (VV_UNLIKELY(server->app.body_limit != NULL) && decoded_path(conn, req, &path)) {
        vv_router_match(server->router, vv_span_of(req->head, req->method_len), path, &match);
        if (match.route != NULL)
            limit = server->app.body_limit(server->app.self, match.route);
    }
    return limit > 0 ? limit : server->limits.limit_body_bytes;
}

/* The head announces a body that is not all here, or chunked. Fills in what to wait for. */
static void
await_body(vv_conn *conn, const vv_http1_request *req, size_t available, rest *left)
{
    int chunked = (req->flags & VV_REQUEST_CHUNKED) != 0;
    if (chunked || req->content_length > conn->server->limits.limit_body_memory_bytes) {
        left->body_at = req->used;
        left->length = chunked ? UINT64_MAX : req->content_length;
    } else {
        left->need = req->used + (size_t)req->content_length;
    }
    left->head_ns = (conn->server->how & VV_HOW_LOGGED) != 0 ? vv_loop_clock_ns() : 0;
    /* Nobody who has begun to send needs to be asked for it (RFC 9110 section 10.1.1). */
    if ((req->flags & VV_REQUEST_EXPECT) != 0 && available == req->used)
        ask_to_continue(conn);
}

/* Serves every whole request at `bytes`. */
static rest
serve(vv_conn *conn, uint8_t *bytes, size_t len, size_t seen)
{
    vv_server *server = conn->server;
    rest left;
    vv_http1_request req;

    left.used = left.seen = left.need = left.body_at = 0;
    conn->flags |= VV_CONN_SERVING;
    while (left.used < len) {
        if (VV_UNLIKELY(conn->gate != 0)) {
            if (conn->gate != VV_GATE_OUTPUT)
                break;
            vv_conn_flush(conn); /* more than may wait is waiting: perhaps the socket takes it */
            if (conn->gate != 0)
                break;
        }
        vv_span in = vv_span_of(bytes + left.used, len - left.used);
        vv_status status = vv_http1_parse_request(in, seen, &server->head_limits, server->fields, &req);
        seen = 0;
        if (VV_UNLIKELY(status != VV_OK)) {
            if (status == VV_AGAIN)
                left.seen = in.len;
            else
                refuse_raw(conn, status, in);
            break;
        }
        vv_span body = {.at = in.at + req.used, .len = 0};
        if (VV_UNLIKELY((req.flags & (VV_REQUEST_HAS_LENGTH | VV_REQUEST_CHUNKED)) != 0)) {
            left.limit = body_limit(conn, &req);
            if (req.content_length > left.limit) {
                if ((server->how & VV_HOW_LOGGED) != 0)
                    vv_access_begin(conn, &req);
                refuse(conn, VV_E_BODY_TOO_LARGE, how_to_answer(server, &req));
                break;
            }
            if ((req.flags & VV_REQUEST_CHUNKED) != 0 || in.len - req.used < req.content_length) {
                await_body(conn, &req, in.len, &left);
                break;
            }
            body.len = (size_t)req.content_length;
        }
        serve_one(conn, &req, body);
        left.used += req.used + body.len;
    }
    conn->flags &= (uint8_t)~VV_CONN_SERVING;
    return left;
}

/* ---- requests that arrive in part ------------------------------------------------------------------------------- */

static void
await(vv_intake *in, const rest *left)
{
    in->seen = left->seen;
    in->need = left->need;
    in->body_at = left->body_at;
    in->raw_at = left->body_at;
    in->body_len = 0;
    in->head_ns = left->need > 0 || left->body_at > 0 ? left->head_ns : 0;
    if (left->body_at > 0) {
        in->limit = left->limit;
        in->chunked = left->length == UINT64_MAX;
        in->left = left->length;
    }
    in->body = (vv_long_body){.spool = NULL};
    in->decoder = (vv_chunked){.state = 0};
}

/* Keeps what the parse loop left over. */
static int
keep(vv_conn *conn, const uint8_t *bytes, size_t len, const rest *left)
{
    vv_intake *in = malloc(sizeof *in);
    if (in == NULL) {
        vv_conn_close(conn);
        return 0;
    }
    in->bytes = vv_buffer_pool_take(&conn->server->pool);
    conn->in = in;
    await(in, left);
    if (in->bytes == NULL || vv_buffer_append(in->bytes, vv_span_of(bytes, len)) != VV_OK) {
        vv_conn_close(conn);
        return 0;
    }
    return 1;
}

/* The head of a request whose body is taken as it comes, parsed once more, as its fields were not kept. */
static int
head_again(vv_conn *conn, const vv_intake *in, vv_http1_request *req)
{
    vv_server *server = conn->server;
    vv_span head = vv_span_of(vv_buffer_front(in->bytes), in->body_at);
    return vv_http1_parse_request(head, 0, &server->head_limits, server->fields, req) == VV_OK;
}

/* Hands what is there of the body on to its file. */
static vv_status
spool(vv_conn *conn, vv_intake *in)
{
    vv_server *server = conn->server;
    vv_http1_request req;
    vv_status status = VV_OK;
    if (in->body.spool == NULL)
        status = head_again(conn, in, &req) ? vv_long_body_open(&in->body, server->spools, &req, &server->limits)
                                            : VV_E_SYNTAX;
    if (status == VV_OK)
        status = vv_long_body_append(&in->body, vv_span_of(vv_buffer_front(in->bytes) + in->body_at, in->body_len));
    in->body_len = 0;
    return status;
}

static uint64_t
spooled(const vv_intake *in)
{
    return in->body.spool != NULL ? vv_spool_len(in->body.spool) : 0;
}

/* Decodes what has come of a chunked body: as take_body(). */
static vv_status
decode_body(vv_intake *in)
{
    uint8_t *front = vv_buffer_front(in->bytes);
    size_t raw = vv_buffer_len(in->bytes) - in->raw_at, consumed, produced;
    vv_status status = vv_chunked_decode(&in->decoder, front + in->raw_at, raw, &consumed, &produced);
    if (in->body_at + in->body_len != in->raw_at)
        memmove(front + in->body_at + in->body_len, front + in->raw_at, produced);
    in->body_len += produced;
    in->raw_at += consumed;
    /* What a chunk announces counts: it is refused before it is read. */
    uint64_t length = spooled(in) + in->body_len;
    if (length > in->limit || in->decoder.left > in->limit - length)
        return VV_E_BODY_TOO_LARGE;
    return status;
}

/* Counts what has come of a body of a known length: as take_body(). */
static vv_status
count_body(vv_intake *in)
{
    size_t raw = vv_buffer_len(in->bytes) - in->raw_at;
    size_t count = in->left < raw ? (size_t)in->left : raw;
    in->left -= count;
    in->body_len += count;
    in->raw_at += count;
    return in->left == 0 ? VV_OK : VV_AGAIN;
}

/* Takes what has come of a body. VV_OK: it is whole, within its limit, and `raw_at` is its end. */
static vv_status
take_body(vv_conn *conn, vv_intake *in)
{
    vv_status status = in->chunked ? decode_body(in) : count_body(in);
    if (vv_failed(status))
        return status;
    int is_long = !in->chunked || in->body.spool != NULL ||
                  (status == VV_AGAIN && in->body_len > conn->server->limits.limit_body_memory_bytes);
    if (is_long && (status == VV_OK || in->body_len >= VV_SPOOL_PIECE_BYTES)) {
        vv_status written = spool(conn, in);
        if (written != VV_OK)
            return written;
    }
    if (status == VV_AGAIN) {
        /* All has been looked at: what comes next may lie right behind the body. */
        in->raw_at = in->body_at + in->body_len;
        in->bytes->tail = in->bytes->head + in->raw_at;
    }
    return status;
}

/* A request whose body was taken as it came is whole. */
static void
serve_taken(vv_conn *conn, vv_intake *in)
{
    vv_server *server = conn->server;
    vv_http1_request req;
    vv_span body = vv_span_of(vv_buffer_front(in->bytes) + in->body_at, in->body_len);
    if (!head_again(conn, in, &req)) {
        vv_conn_close(conn); /* cannot be: the same bytes were parsed before */
        return;
    }
    if (in->body.spool != NULL) {
        body = vv_span_of(NULL, (size_t)spooled(in));
        server->body = in->body;
        in->body = (vv_long_body){.spool = NULL};
    }
    conn->flags |= VV_CONN_SERVING;
    serve_one(conn, &req, body);
    conn->flags &= (uint8_t)~VV_CONN_SERVING;
    if (body.at == NULL)
        vv_long_body_close(&server->body); /* nobody has taken it */
}

/* Serves from conn->in as far as it goes. Afterwards conn->in is NULL or waits for more. */
static void
serve_intake(vv_conn *conn)
{
    vv_intake *in = conn->in;
    while (conn->phase == VV_CONN_OPEN && conn->gate == 0 && vv_buffer_len(in->bytes) > 0) {
        rest left = {.used = 0};
        if (in->body_at > 0) {
            vv_status status = take_body(conn, in);
            if (status == VV_AGAIN)
                return;
            if (vv_failed(status)) {
                vv_long_body_close(&in->body); /* its disk is wanted by others */
                vv_conn_refuse(conn, status);
                return;
            }
            serve_taken(conn, in);
            left.used = in->raw_at;
        } else {
            size_t len = vv_buffer_len(in->bytes);
            if (len < in->need)
                return;
            left = serve(conn, vv_buffer_front(in->bytes), len, in->seen);
        }
        if (conn->phase == VV_CONN_CLOSED)
            return;
        if (left.used > 0)
            conn->timing = VV_TIMING_NONE; /* what waits behind a request has its own time */
        vv_buffer_consume(in->bytes, left.used);
        await(in, &left);
        if (left.used == 0 && left.body_at == 0)
            break;
    }
    if (conn->phase == VV_CONN_OPEN && vv_buffer_len(in->bytes) == 0) {
        vv_intake_free(conn->server, in);
        conn->in = NULL;
    }
    if (conn->phase == VV_CONN_LAST && conn->in != NULL && vv_buffer_len(in->bytes) > 0)
        conn->flags |= VV_CONN_LINGERS;
}

/* ---- the driver ------------------------------------------------------------------------------------------------- */

/* A gate that is shut stops the socket too; its bytes wait in the kernel. */
static void
heed_gate(vv_conn *conn)
{
    if (VV_UNLIKELY((conn->gate & ~VV_GATE_PHASE) != 0))
        vv_loop_pause(conn->server->loop, &conn->stream);
}

static void
on_bytes(vv_stream *stream, uint8_t *bytes, size_t len)
{
    vv_conn *conn = (vv_conn *)stream;
    if (VV_UNLIKELY(conn->phase != VV_CONN_OPEN)) {
        conn->flags |= VV_CONN_LINGERS; /* more may be under way: unread bytes at the close would reset it */
        return;
    }
    if (VV_LIKELY(conn->in == NULL)) {
        rest left = serve(conn, bytes, len, 0);
        if (VV_UNLIKELY(left.used < len)) {
            if (conn->phase == VV_CONN_OPEN) {
                if (keep(conn, bytes + left.used, len - left.used, &left) && left.body_at > 0)
                    serve_intake(conn);
            } else {
                conn->flags |= VV_CONN_LINGERS;
            }
        }
    } else {
        if (vv_buffer_append(conn->in->bytes, vv_span_of(bytes, len)) != VV_OK) {
            vv_conn_close(conn);
            return;
        }
        conn->flags &= (uint8_t)~VV_CONN_CONTINUE_DUE; /* it has begun to send unasked */
        if (conn->timing == VV_TIMING_BODY)
            vv_conn_set_timer(conn, VV_TIMING_BODY, conn->server->limits.timeout_body_ms);
        serve_intake(conn);
    }
    if (conn->phase != VV_CONN_CLOSED) {
        heed_gate(conn);
        vv_conn_flush(conn);
    }
}

void
vv_conn_http1_resume(vv_conn *conn)
{
    vv_loop_resume(conn->server->loop, &conn->stream);
    if (conn->in != NULL)
        serve_intake(conn);
    if (conn->phase == VV_CONN_CLOSED)
        return;
    heed_gate(conn);
    vv_conn_mark_dirty(conn);
}

static void
on_end(vv_stream *stream)
{
    vv_conn *conn = (vv_conn *)stream;
    if (conn->phase == VV_CONN_LINGERING || vv_conn_is_idle(conn)) {
        vv_conn_close(conn);
        return;
    }
    /* The peer may only have shut its side: answers that are owed still go out (RFC 9112 section 9.6). */
    conn->flags |= VV_CONN_ENDED;
    vv_loop_pause(conn->server->loop, stream);
    if (conn->first == NULL && conn->sending == NULL && conn->out == NULL)
        vv_conn_close(conn); /* a request that will never be whole */
    else
        vv_conn_mark_dirty(conn);
}

const vv_stream_events vv_conn_http1 = {
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_sent = vv_conn_on_sent,
    .on_lost = vv_conn_on_lost,
};
