#include "core/io/loop.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <time.h>

#include "core/io/loop_backend.h"
#include "core/io/watch.h"

vv_status
vv_loop_open(vv_loop **out, vv_loop_kind kind, const vv_loop_events *events)
{
    if (kind != VV_LOOP_EPOLL) {
#ifdef VV_HAVE_URING
        vv_status status = vv_loop_uring_open(out, events);
#else
        vv_status status = VV_E_SYSTEM;
        errno = ENOSYS;
#endif
        if (status == VV_OK || kind == VV_LOOP_URING)
            return status;
    }
    return vv_loop_epoll_open(out, events);
}

int
vv_loop_offers(vv_loop_kind kind)
{
    static const vv_loop_events deaf;
    vv_loop *loop;
    if (vv_loop_open(&loop, kind, &deaf) != VV_OK)
        return 0;
    vv_loop_close(loop);
    return 1;
}

void
vv_loop_close(vv_loop *loop)
{
    if (loop != NULL)
        loop->backend->close(loop);
}

const char *
vv_loop_name(const vv_loop *loop)
{
    return loop->backend->name;
}

int
vv_loop_fd(const vv_loop *loop)
{
    return loop->backend->fd(loop);
}

int
vv_loop_wait(vv_loop *loop, int timeout_ms)
{
    int count = loop->backend->wait(loop, timeout_ms);
    vv_loop_read_clocks(loop);
    return count;
}

void
vv_loop_dispatch(vv_loop *loop)
{
    loop->turn_ended = 0;
    loop->backend->dispatch(loop);
}

void
vv_loop_end_turn(vv_loop *loop)
{
    loop->turn_ended = 1;
}

vv_status
vv_loop_add(vv_loop *loop, vv_stream *stream)
{
    return loop->backend->add(loop, stream);
}

void
vv_loop_drop(vv_loop *loop, vv_stream *stream)
{
    loop->backend->drop(loop, stream);
}

void
vv_loop_pause(vv_loop *loop, vv_stream *stream)
{
    loop->backend->pause(loop, stream);
}

void
vv_loop_resume(vv_loop *loop, vv_stream *stream)
{
    loop->backend->resume(loop, stream);
}

vv_status
vv_loop_send(vv_loop *loop, vv_stream *stream, vv_span bytes, size_t *sent)
{
    return loop->backend->send(loop, stream, bytes, sent);
}

void
vv_loop_shut(vv_loop *loop, vv_stream *stream)
{
    (void)loop;
    shutdown(stream->fd, SHUT_WR);
}

vv_status
vv_loop_listen(vv_loop *loop, vv_listener *listener, int shared)
{
    return loop->backend->listen(loop, listener, shared);
}

void
vv_loop_unlisten(vv_loop *loop, vv_listener *listener)
{
    loop->backend->unlisten(loop, listener);
}

void
vv_loop_listen_pause(vv_loop *loop, vv_listener *listener)
{
    loop->backend->listen_pause(loop, listener);
}

void
vv_loop_listen_resume(vv_loop *loop, vv_listener *listener)
{
    loop->backend->listen_resume(loop, listener);
}

void
vv_loop_accept_one(vv_loop *loop, vv_listener *listener)
{
    if (!vv_watch_accept(listener, 1)) {
        loop->backend->listen_pause(loop, listener);
        listener->on_exhausted(listener);
    }
}

void
vv_loop_accept_last(vv_loop *loop, vv_listener *listener)
{
    if ((listener->state & VV_LISTENER_ON) == 0)
        return; /* there is no room, or no descriptor: paused before, it took no wake-up either */
    loop->backend->listen_pause(loop, listener);
    listener->state |= VV_LISTENER_LAST;
    int fine = vv_watch_accept(listener, INT_MAX);
    listener->state &= ~(uint32_t)VV_LISTENER_LAST;
    if (!fine)
        listener->on_exhausted(listener);
}

vv_status
vv_loop_watch(vv_loop *loop, int fd, unsigned events)
{
    return loop->backend->watch(loop, fd, events);
}

int64_t
vv_loop_now_ms(const vv_loop *loop)
{
    return loop->now_ms;
}

int64_t
vv_loop_unix_seconds(const vv_loop *loop)
{
    return loop->unix_seconds;
}

void
vv_loop_read_clocks(vv_loop *loop)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    loop->now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    loop->unix_seconds = now.tv_sec;
}

int64_t
vv_loop_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t
vv_loop_unix_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
