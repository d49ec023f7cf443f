/* A connection: what it is reading, what it owes, what it is sending. Seen only within core/server.
 *
 * Rule 1: every change of conn->phase happens in conn.c.
 * Rule 2: a conn does not know which protocol drives it: its driver is the table in conn->stream.on.
 * Rule 3: nothing is freed before the turn has ended (vv_server_flush()), so that whoever is further down the stack,
 *         or later in this turn's events, may still look at conn->phase.
 *
 *   OPEN ── "Connection: close", a refusal, drain ──▶ LAST ── all answers sent ──▶ LINGERING ── peer's end ─┐
 *     │ lost, abort, time-out                           │ lost, or nothing to linger for                    ▼
 *     └─────────────────────────────────────────────────┴───────────────────────────────────────────────▶ CLOSED
 *
 * Cost        below 200 bytes for an idle connection: no buffer, no exchange.
 */
#ifndef VV_SERVER_CONN_H
#define VV_SERVER_CONN_H

#include "core/bytes/buffer.h"
#include "core/http1/chunked.h"
#include "core/http1/parse.h"
#include "core/io/loop.h"
#include "core/io/wheel.h"
#include "core/server/access_log.h"
#include "core/server/app.h"
#include "core/server/long_body.h"
#include "core/server/server.h"

typedef enum vv_conn_phase {
    VV_CONN_OPEN,      /* requests are read                                                   */
    VV_CONN_LAST,      /* no further request is read; answers are still owed or unsent        */
    VV_CONN_LINGERING, /* all is sent and our side is shut; what still comes in is thrown away */
    VV_CONN_CLOSED,    /* gone; freed when the turn ends                                      */
} vv_conn_phase;

/* Why no request is parsed at present; any bit stops the parse loop. */
enum {
    VV_GATE_PHASE = 1 << 0,    /* not VV_CONN_OPEN              */
    VV_GATE_PIPELINE = 1 << 1, /* limit_pipeline reached        */
    VV_GATE_OUTPUT = 1 << 2,   /* limit_output_bytes is unsent  */
};

enum {
    VV_CONN_SERVING = 1 << 0,      /* its parse loop is on the stack                                         */
    VV_CONN_DIRTY = 1 << 1,        /* on the server's list of those to flush                                 */
    VV_CONN_ENDED = 1 << 2,        /* the peer sends no more                                                 */
    VV_CONN_LINGERS = 1 << 3,      /* bytes may be under way that we shall not read: close without a reset;
                                      LINGERING: some have come since the timer was set                      */
    VV_CONN_CONTINUE_DUE = 1 << 4, /* "100 Continue" waits for the answers before it                         */
};

/* Beside VV_WRITE_... in a `how` of conn.c and exchange.c: the answer's line of the access log is due. */
enum { VV_HOW_LOGGED = 1 << 7 };

/* What the timer of a connection stands for. */
typedef enum vv_conn_timing {
    VV_TIMING_NONE,
    VV_TIMING_IDLE,
    VV_TIMING_HEAD,
    VV_TIMING_BODY,
    VV_TIMING_WRITE,
    VV_TIMING_LINGER,
} vv_conn_timing;

/* A request that has arrived in part: it owns its bytes until it is whole. A body of a known length that fits into
 * memory is only waited for (`need`). A chunked one is decoded where it lies, from `body_at` on. One that is too long
 * for memory goes on to `body`, whose form it is, in pieces. */
typedef struct vv_intake {
    vv_buffer *bytes;  /* owned */
    size_t seen;       /* of them, known to hold no complete head                        */
    size_t need;       /* head and body together, where it is waited for; 0: not         */
    size_t body_at;    /* where a body that is taken as it comes begins; 0: not in one   */
    size_t body_len;   /* of it, there now                                               */
    size_t raw_at;     /* where what has not been looked at begins                       */
    uint64_t left;     /* of Content-Length, still to come                               */
    uint64_t limit;    /* of the body; chunked: what is announced counts                 */
    vv_long_body body; /* what is not there any more                                     */
    int64_t head_ns;   /* when the head that a body is awaited for was complete; 0: unknown or not logged */
    vv_chunked decoder;
    uint8_t chunked;
} vv_intake;

struct vv_conn {
    vv_stream stream; /* first: the loop's view is cast to ours */
    vv_server *server;
    vv_intake *in;      /* owned; NULL: nothing has arrived in part           */
    vv_buffer *out;     /* owned queue; being filled; NULL: nothing           */
    vv_buffer *sending; /* owned queue; its first is with the loop            */
    vv_exchange *first; /* owned; in the order of the requests                */
    vv_exchange *last;
    vv_exchange *leaving; /* owned; answered, to be told when the bytes are gone */
    vv_conn *next, *prev; /* among the server's */
    vv_conn *next_dirty;
    vv_timer timer;
    uint64_t sent;   /* bytes that have left, ever               */
    uint64_t parked; /* bytes of answers that wait in exchanges  */
    vv_address peer;
    uint16_t held;  /* exchanges that have not answered         */
    uint8_t phase;  /* vv_conn_phase                            */
    uint8_t gate;   /* VV_GATE_...: 0 lets requests through     */
    uint8_t flags;  /* VV_CONN_...                              */
    uint8_t how;    /* VV_WRITE_... of the request being served */
    uint8_t timing; /* vv_conn_timing                           */
    uint8_t delays; /* LINGERING: times that it may go on       */
};

typedef enum vv_exchange_state {
    VV_EXCHANGE_HELD,    /* the app works on it                               */
    VV_EXCHANGE_READY,   /* answered; waits for those before it               */
    VV_EXCHANGE_LEAVING, /* its bytes are among those to send                 */
} vv_exchange_state;

struct vv_exchange {
    vv_conn *conn;      /* borrowed */
    vv_exchange *next;  /* in conn->first, conn->leaving, or the server's stock */
    void *owner;        /* the app's */
    vv_access *access;  /* owned; what its line of the access log needs; NULL: it gets none */
    vv_buffer *ready;   /* owned queue; the answer while it waits; NULL: none */
    uint64_t leaves_at; /* conn->sent by which it has left */
    uint8_t state;      /* vv_exchange_state */
    uint8_t how;        /* VV_WRITE_... */
    uint8_t notify;     /* on_left() is wanted */
    uint8_t closes;     /* the connection ends behind it */
};

struct vv_server {
    vv_loop *loop; /* borrowed */
    vv_app app;
    const vv_router *router; /* borrowed */
    vv_limits limits;
    vv_http1_limits head_limits;
    vv_writer writer;
    vv_buffer_pool pool;
    vv_wheel wheel;
    vv_conn *conns;               /* circular list's first, NULL when empty */
    vv_conn *dirty;               /* to be flushed */
    vv_conn *graves;              /* closed in this turn */
    vv_conn *spare;               /* recycled */
    vv_exchange *exchanges;       /* recycled */
    vv_field *fields;             /* of the request being parsed; owned */
    uint8_t *path;                /* room for a decoded path; owned */
    char *spools;                 /* the directory for long bodies; owned */
    struct vv_acceptor *acceptor; /* owned; a list */
    vv_access_log *access;        /* owned; NULL: nothing is logged */
    size_t connections;
    size_t spares, spare_exchanges;
    uint64_t requests;
    uint8_t how;         /* VV_WRITE_CLOSE while draining, VV_HOW_LOGGED */
    uint8_t starved;     /* accepting waits: no descriptors, or limit_connections */
    int64_t retry_at_ms; /* accepting is tried again */
    int64_t look_at_ms;  /* who queues on a shared socket is looked for; INT64_MAX: there is none */
    vv_match match;      /* of the request being served */
    vv_long_body body;   /* of the request being served, if it was too long for memory */
};

enum { VV_SPARE_CONNS = 256, VV_SPARE_EXCHANGES = 1024, VV_ACCEPT_RETRY_MS = 1000, VV_ACCEPT_LOOK_MS = 1000 };

/* Who sends on after the last answer is listened to until nothing has come within VV_LINGER_MS, but no longer than
 * 1 + VV_LINGER_DELAYS times that. */
enum { VV_LINGER_MS = 2000, VV_LINGER_DELAYS = 14 };

/* A body from VV_LEND_BYTES on is not copied, but for its first bytes, which leave together with the head. */
enum { VV_LEND_BYTES = 64 * 1024, VV_LEND_FRONT_BYTES = 16 * 1024 };

/* What goes to the file of a long body at once, at least: fewer writes. */
enum { VV_SPOOL_PIECE_BYTES = 64 * 1024 };

/* conn.c: the life of a connection. */
void vv_conn_open(vv_server *server, int fd, const vv_address *peer, const vv_stream_events *driver);
void vv_conn_close(vv_conn *conn);
void vv_conn_last(vv_conn *conn);
void vv_conn_flush(vv_conn *conn);
void vv_conn_mark_dirty(vv_conn *conn);
void vv_conn_set_timer(vv_conn *conn, vv_conn_timing timing, uint32_t ms);
void vv_conn_on_due(void *server, vv_timer *timer);
void vv_conn_bury(vv_server *server);
void vv_conn_on_sent(vv_stream *stream, size_t sent);
void vv_conn_on_lost(vv_stream *stream);
vv_buffer *vv_conn_next_out(vv_conn *conn);
void vv_conn_say_continue(vv_conn *conn);
void vv_intake_free(vv_server *server, vv_intake *in);

/* conn_http1.c: HTTP/1 as a driver. */
extern const vv_stream_events vv_conn_http1;
void vv_conn_http1_resume(vv_conn *conn);
void vv_conn_refuse(vv_conn *conn, vv_status why);
/* Whether nothing is under way: no request in part, no answer owed or unsent. */
static inline int
vv_conn_is_idle(const vv_conn *conn)
{
    return conn->in == NULL && conn->first == NULL && conn->out == NULL && conn->sending == NULL;
}

/* The buffer that answers go to; NULL when memory is out: the connection is then closed. */
static inline vv_buffer *
vv_conn_out(vv_conn *conn)
{
    vv_buffer *out = conn->out;
    if (VV_LIKELY(out != NULL && out->next == NULL)) /* the first of a queue is never borrowed */
        return out;
    return vv_conn_next_out(conn);
}

/* Bytes of answers that wait to be sent, in their final order. */
static inline size_t
vv_conn_queued(const vv_conn *conn)
{
    return vv_buffer_queue_len(conn->out) + vv_buffer_queue_len(conn->sending);
}

/* exchange.c */
void vv_exchange_advance(vv_conn *conn);
void vv_exchange_tell_left(vv_conn *conn);
void vv_exchange_drop_all(vv_conn *conn);
void vv_exchange_free_spares(vv_server *server);

/* acceptor.c */
void vv_acceptor_free_all(vv_server *server);
void vv_acceptor_turn(vv_server *server);
void vv_acceptor_room(vv_server *server);

#endif
