/* The seam to the kernel: "here are bytes" and "these were sent". Everything above it is told of completions and
 * never of readiness, so that a back-end that works by completions (io_uring) needs no emulation and one that works
 * by readiness (epoll, kqueue) emulates in a recv() or send() before it calls.
 *
 * One turn is vv_loop_wait(), which sleeps in the kernel and touches nothing that belongs to anybody else (a caller
 * may let go of a lock around it), then vv_loop_dispatch(), which makes all the calls up.
 *
 * Ownership   vv_loop_open() / vv_loop_close(). Streams and listeners are the caller's memory, embedded in what they
 *             belong to; the loop borrows them from vv_loop_add() to vv_loop_drop() and, within a dispatch, until
 *             that dispatch has ended.
 * Threads     none; a loop belongs to one thread.
 * Cost        per turn one wait; per readable stream one recv; a send is made at once. No descriptor is re-armed.
 */
#ifndef VV_IO_LOOP_H
#define VV_IO_LOOP_H

#include "core/bytes/span.h"
#include "core/compiler.h"
#include "core/io/address.h"
#include "core/status.h"

typedef struct vv_loop vv_loop;
typedef struct vv_stream vv_stream;
typedef struct vv_listener vv_listener;

/* What a stream's owner is told. All calls come from vv_loop_dispatch(). */
typedef struct vv_stream_events {
    /* Bytes have arrived. `bytes` is the loop's memory and may be overwritten by the callee during the call. */
    void (*on_bytes)(vv_stream *stream, uint8_t *bytes, size_t len);
    /* The peer will send no more; it may still be reading. */
    void (*on_end)(vv_stream *stream);
    /* After vv_loop_send() answered VV_AGAIN: `sent` more bytes are gone; send the rest again (also when 0). */
    void (*on_sent)(vv_stream *stream, size_t sent);
    /* The connection is lost in both directions. */
    void (*on_lost)(vv_stream *stream);
} vv_stream_events;

struct vv_stream {
    const vv_stream_events *on; /* borrowed */
    int fd;                     /* -1 once dropped */
    uint32_t state;             /* the back-end's */
};

struct vv_listener {
    /* A connection was accepted: `fd` is the callee's to close; non-blocking, closed on exec. */
    void (*on_accept)(vv_listener *listener, int fd, const vv_address *peer);
    /* accept() failed for want of descriptors or memory. The loop has paused the listener. */
    void (*on_exhausted)(vv_listener *listener);
    int fd; /* borrowed: bound, listening, non-blocking */
    uint32_t state;
};

enum { VV_WATCH_READ = 1, VV_WATCH_WRITE = 2 };

typedef struct vv_loop_events {
    void *self;
    /* A descriptor of vv_loop_watch() is ready for VV_WATCH_... (errors report as both). */
    void (*on_ready)(void *self, int fd, unsigned events);
} vv_loop_events;

typedef enum vv_loop_kind { VV_LOOP_AUTO, VV_LOOP_EPOLL, VV_LOOP_URING } vv_loop_kind;

/* Opens a loop. `events` is copied. VV_OK or VV_E_SYSTEM (errno tells: ENOSYS and EPERM where the kernel, a sandbox or
 * the build has no io_uring; VV_LOOP_AUTO then takes the next best). */
VV_NODISCARD vv_status vv_loop_open(vv_loop **out, vv_loop_kind kind, const vv_loop_events *events);
/* Whether that back-end can be opened here and now. */
int vv_loop_offers(vv_loop_kind kind);

void vv_loop_close(vv_loop *loop); /* NULL is fine; streams and listeners must have been dropped */

const char *vv_loop_name(const vv_loop *loop); /* "epoll" */
int vv_loop_fd(const vv_loop *loop);           /* readable when vv_loop_wait(loop, 0) would find something */

/* Sleeps until something happens or `timeout_ms` have passed (-1: for ever, 0: not at all). How many events wait for
 * vv_loop_dispatch(); 0 after a timeout or a signal; -1 on failure (errno tells). */
int vv_loop_wait(vv_loop *loop, int timeout_ms);

/* Makes the calls for what vv_loop_wait() found. Not reentrant. */
void vv_loop_dispatch(vv_loop *loop);
/* From within a call of a dispatch: that is the last one of this turn. The next wait finds what is left. */
void vv_loop_end_turn(vv_loop *loop);

/* Takes a connected, non-blocking socket under its wing: stream->fd and stream->on are set. Reading begins. */
VV_NODISCARD vv_status vv_loop_add(vv_loop *loop, vv_stream *stream);
/* Forgets the stream and closes its descriptor. No call for it follows. */
void vv_loop_drop(vv_loop *loop, vv_stream *stream);
/* Stops and starts on_bytes() and on_end(). Bytes that nobody takes wait in the kernel. */
void vv_loop_pause(vv_loop *loop, vv_stream *stream);
void vv_loop_resume(vv_loop *loop, vv_stream *stream);

/* Sends bytes. One send at a time on a stream.
 *
 *   bytes  borrowed; on VV_AGAIN until on_sent() or vv_loop_drop().
 *   sent   written always: how many are gone already.
 *
 * VV_OK: all of them. VV_AGAIN: on_sent() will come. VV_E_CLOSED: the peer takes no more.
 */
VV_NODISCARD vv_status vv_loop_send(vv_loop *loop, vv_stream *stream, vv_span bytes, size_t *sent);

/* Says that nothing more will be sent (the peer reads an end). */
void vv_loop_shut(vv_loop *loop, vv_stream *stream);

/* Accepting: starts, pauses and goes on. `shared`: other processes wait on the same socket; wake one of them. */
VV_NODISCARD vv_status vv_loop_listen(vv_loop *loop, vv_listener *listener, int shared);
void vv_loop_unlisten(vv_loop *loop, vv_listener *listener);
void vv_loop_listen_pause(vv_loop *loop, vv_listener *listener);
void vv_loop_listen_resume(vv_loop *loop, vv_listener *listener);

/* Accepts one who queues, if there is one and it is not paused, without having been told of it. */
void vv_loop_accept_one(vv_loop *loop, vv_listener *listener);

/* Pauses, and then accepts whoever queues at this moment: nobody else may have been told of them. */
void vv_loop_accept_last(vv_loop *loop, vv_listener *listener);

/* Somebody else's descriptors. `events` of 0 forgets. VV_OK, or VV_E_SYSTEM (errno tells: EBADF, EPERM ...). */
VV_NODISCARD vv_status vv_loop_watch(vv_loop *loop, int fd, unsigned events);

/* Clocks as of the latest vv_loop_wait() (coarse: some milliseconds). */
int64_t vv_loop_now_ms(const vv_loop *loop);       /* monotonic    */
int64_t vv_loop_unix_seconds(const vv_loop *loop); /* of the world */

/* The monotonic clock, asked now. */
int64_t vv_loop_clock_ns(void);
/* The clock of the world, asked now: nanoseconds since 1970. */
int64_t vv_loop_unix_ns(void);

#endif
