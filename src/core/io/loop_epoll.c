/* The epoll back-end: level-triggered readiness made into completions.
 *
 * Rule 1: a stream that is read is in the epoll set once, from add to drop; the only changes to it are EPOLLOUT while
 *         a send waits, and EPOLLIN while reading is paused. On the hot path there are none.
 * Rule 2: one recv a readiness. What it did not take, level triggering reports again; a second recv that would
 *         mostly find nothing is not tried.
 * Rule 3: an event of this turn whose stream was dropped in this turn (fd -1) is skipped. Owners free their streams
 *         only after the dispatch, so the pointer in the event is good until then.
 */
#include "core/io/loop_backend.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/io/socket.h"
#include "core/io/watch.h"

enum {
    EVENTS = 512,              /* taken in one wait */
    RECEIVE_BYTES = 64 * 1024, /* of one recv       */
};

enum { STREAM_PAUSED = 1, STREAM_WAITS_TO_SEND = 2, STREAM_IN_SET = 4 };

typedef struct epoll_loop {
    vv_loop base;
    int count;            /* of events found by wait and not yet dispatched */
    int most;             /* events to find in one wait: up to EVENTS, fewer while turns are ended early */
    vv_watch_set watched; /* its epoll set is that of the streams too */
    struct epoll_event found[EVENTS];
    uint8_t received[RECEIVE_BYTES];
} epoll_loop;

static epoll_loop *
of(const vv_loop *loop)
{
    return (epoll_loop *)loop;
}

static void
epoll_close(vv_loop *loop)
{
    vv_watch_fini(&of(loop)->watched);
    free(of(loop));
}

static int
epoll_fd(const vv_loop *loop)
{
    return of(loop)->watched.epoll;
}

static int
epoll_wait_events(vv_loop *loop, int timeout_ms)
{
    epoll_loop *self = of(loop);
    int count = epoll_wait(self->watched.epoll, self->found, self->most, timeout_ms);
    self->count = count > 0 ? count : 0;
    if (count < 0)
        return errno == EINTR ? 0 : -1;
    return count;
}

static vv_status
arm(epoll_loop *self, int operation, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(self->watched.epoll, operation, fd, &event) < 0 ? VV_E_SYSTEM : VV_OK;
}

/* ---- streams ---------------------------------------------------------------------------------------------------- */

static uint64_t
stream_data(const vv_stream *stream)
{
    return (uint64_t)(uintptr_t)stream | VV_TAG_STREAM;
}

static uint32_t
stream_interest(const vv_stream *stream)
{
    return ((stream->state & STREAM_PAUSED) != 0 ? 0u : (uint32_t)EPOLLIN) |
           ((stream->state & STREAM_WAITS_TO_SEND) != 0 ? (uint32_t)EPOLLOUT : 0u);
}

static vv_status
epoll_add(vv_loop *loop, vv_stream *stream)
{
    stream->state = STREAM_IN_SET;
    vv_watch_outlived(&of(loop)->watched, stream->fd);
    return arm(of(loop), EPOLL_CTL_ADD, stream->fd, EPOLLIN, stream_data(stream));
}

static void
epoll_drop(vv_loop *loop, vv_stream *stream)
{
    if (stream->fd < 0)
        return;
    /* Closing alone is not enough: a child that is between fork and exec holds the descriptor too, and would keep it
     * in the set with a pointer to memory that is gone. */
    (void)!arm(of(loop), EPOLL_CTL_DEL, stream->fd, 0, 0);
    close(stream->fd);
    stream->fd = -1;
}

static void
change(vv_loop *loop, vv_stream *stream, uint32_t state)
{
    if (stream->state == state || stream->fd < 0)
        return;
    stream->state = state;
    /* Can fail only for a descriptor that is gone; the owner hears of that by its next send or receive. */
    (void)!arm(of(loop), EPOLL_CTL_MOD, stream->fd, stream_interest(stream), stream_data(stream));
}

static void
epoll_pause(vv_loop *loop, vv_stream *stream)
{
    change(loop, stream, stream->state | STREAM_PAUSED);
}

static void
epoll_resume(vv_loop *loop, vv_stream *stream)
{
    change(loop, stream, stream->state & ~(uint32_t)STREAM_PAUSED);
}

static vv_status
epoll_send(vv_loop *loop, vv_stream *stream, vv_span bytes, size_t *sent)
{
    *sent = 0;
    ssize_t count = send(stream->fd, bytes.at, bytes.len, MSG_NOSIGNAL);
    if (count < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR && errno != ENOBUFS && errno != ENOMEM)
            return VV_E_CLOSED;
        count = 0;
    }
    *sent = (size_t)count;
    if (VV_LIKELY(*sent == bytes.len)) {
        change(loop, stream, stream->state & ~(uint32_t)STREAM_WAITS_TO_SEND);
        return VV_OK;
    }
    change(loop, stream, stream->state | STREAM_WAITS_TO_SEND);
    return VV_AGAIN;
}

static void
receive(epoll_loop *self, vv_stream *stream)
{
    ssize_t count = recv(stream->fd, self->received, RECEIVE_BYTES, 0);
    if (VV_LIKELY(count > 0))
        stream->on->on_bytes(stream, self->received, (size_t)count);
    else if (count == 0)
        stream->on->on_end(stream);
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        stream->on->on_lost(stream);
}

static void
dispatch_stream(epoll_loop *self, vv_stream *stream, uint32_t events)
{
    if (VV_UNLIKELY(stream->fd < 0))
        return; /* dropped earlier in this turn */
    if (VV_LIKELY(events == EPOLLIN && stream->state == STREAM_IN_SET)) {
        receive(self, stream);
        return;
    }
    if ((events & EPOLLERR) != 0 || ((events & EPOLLHUP) != 0 && (stream->state & STREAM_PAUSED) != 0)) {
        /* Paused and hung up: nobody will ever read what we would send. */
        stream->on->on_lost(stream);
        return;
    }
    if ((events & EPOLLOUT) != 0) {
        stream->on->on_sent(stream, 0);
        if (stream->fd < 0)
            return;
    }
    if ((events & (EPOLLIN | EPOLLHUP)) != 0 && (stream->state & STREAM_PAUSED) == 0)
        receive(self, stream);
}

/* ---- listeners -------------------------------------------------------------------------------------------------- */

static vv_status
epoll_listen(vv_loop *loop, vv_listener *listener, int shared)
{
    return vv_watch_listen(&of(loop)->watched, listener, shared);
}

static void
epoll_unlisten(vv_loop *loop, vv_listener *listener)
{
    vv_watch_listen_pause(&of(loop)->watched, listener);
    listener->fd = -1;
}

static void
epoll_listen_pause(vv_loop *loop, vv_listener *listener)
{
    vv_watch_listen_pause(&of(loop)->watched, listener);
}

static void
epoll_listen_resume(vv_loop *loop, vv_listener *listener)
{
    vv_watch_listen_resume(&of(loop)->watched, listener);
}

/* ---- other people's descriptors --------------------------------------------------------------------------------- */

static vv_status
epoll_watch(vv_loop *loop, int fd, unsigned events)
{
    return vv_watch_change(&of(loop)->watched, fd, events);
}

/* ---- the turn --------------------------------------------------------------------------------------------------- */

static void
epoll_dispatch(vv_loop *loop)
{
    epoll_loop *self = of(loop);
    int i = 0;
    while (i < self->count && !loop->turn_ended) {
        uint64_t data = self->found[i].data.u64;
        uint32_t events = self->found[i].events;
        i++;
        if (VV_LIKELY((data & VV_TAG_MASK) == VV_TAG_STREAM))
            dispatch_stream(self, (vv_stream *)(uintptr_t)data, events);
        else
            vv_watch_tell(&self->watched, &self->base.events, data, events);
    }
    /* What is left is ready still: the next wait finds it, and need not find more than a turn has use for. */
    if (VV_UNLIKELY(loop->turn_ended))
        self->most = i;
    else if (self->most < EVENTS && self->count == self->most)
        self->most = self->most * 2 < EVENTS ? self->most * 2 : EVENTS;
    self->count = 0;
}

static const vv_loop_backend backend = {
    .name = "epoll",
    .close = epoll_close,
    .fd = epoll_fd,
    .wait = epoll_wait_events,
    .dispatch = epoll_dispatch,
    .add = epoll_add,
    .drop = epoll_drop,
    .pause = epoll_pause,
    .resume = epoll_resume,
    .send = epoll_send,
    .listen = epoll_listen,
    .unlisten = epoll_unlisten,
    .listen_pause = epoll_listen_pause,
    .listen_resume = epoll_listen_resume,
    .watch = epoll_watch,
};

vv_status
vv_loop_epoll_open(vv_loop **out, const vv_loop_events *events)
{
    epoll_loop *self = malloc(sizeof *self);
    if (self == NULL)
        return VV_E_NO_MEMORY;
    self->base = (vv_loop){.backend = &backend, .events = *events};
    self->count = 0;
    self->most = EVENTS;
    if (vv_watch_init(&self->watched) != VV_OK) {
        free(self);
        return VV_E_SYSTEM;
    }
    vv_loop_read_clocks(&self->base);
    *out = &self->base;
    return VV_OK;
}
