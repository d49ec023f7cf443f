/* What a back-end gives to the loop, and what all back-ends share. Seen only within core/io. */
#ifndef VV_IO_LOOP_BACKEND_H
#define VV_IO_LOOP_BACKEND_H

#include "core/io/loop.h"

typedef struct vv_loop_backend {
    const char *name;
    void (*close)(vv_loop *loop);
    int (*fd)(const vv_loop *loop);
    int (*wait)(vv_loop *loop, int timeout_ms);
    void (*dispatch)(vv_loop *loop);
    vv_status (*add)(vv_loop *loop, vv_stream *stream);
    void (*drop)(vv_loop *loop, vv_stream *stream);
    void (*pause)(vv_loop *loop, vv_stream *stream);
    void (*resume)(vv_loop *loop, vv_stream *stream);
    vv_status (*send)(vv_loop *loop, vv_stream *stream, vv_span bytes, size_t *sent);
    vv_status (*listen)(vv_loop *loop, vv_listener *listener, int shared);
    void (*unlisten)(vv_loop *loop, vv_listener *listener);
    void (*listen_pause)(vv_loop *loop, vv_listener *listener);
    void (*listen_resume)(vv_loop *loop, vv_listener *listener);
    vv_status (*watch)(vv_loop *loop, int fd, unsigned events);
} vv_loop_backend;

/* Every back-end's loop begins with this. */
struct vv_loop {
    const vv_loop_backend *backend;
    vv_loop_events events;
    int64_t now_ms;
    int64_t unix_seconds;
    int turn_ended; /* the dispatch is to return after the call that it is making */
};

void vv_loop_read_clocks(vv_loop *loop);

vv_status vv_loop_epoll_open(vv_loop **out, const vv_loop_events *events);
#ifdef VV_HAVE_URING
vv_status vv_loop_uring_open(vv_loop **out, const vv_loop_events *events);
#endif

#endif
