/* What both Linux back-ends keep in an epoll set: listeners, and other people's descriptors. Seen only within core/io.
 *
 * Accepting is done by readiness even beside io_uring: only so is no connection taken out of the queue that
 * limit_connections, or a listener that stops, should have left there.
 *
 * Ownership   the set owns its table and its epoll descriptor.
 */
#ifndef VV_IO_WATCH_H
#define VV_IO_WATCH_H

#include "core/io/loop.h"

/* The low bits of an epoll event's data tell what the rest is. */
enum { VV_TAG_STREAM = 0, VV_TAG_LISTENER = 1, VV_TAG_WATCHED = 2, VV_TAG_MASK = 3 };

typedef struct vv_watch_set {
    int epoll;
    unsigned count;  /* of entries: listeners and descriptors */
    uint8_t *events; /* owned; by descriptor: VV_WATCH_... asked for */
    size_t len;
} vv_watch_set;

VV_NODISCARD vv_status vv_watch_init(vv_watch_set *set); /* with an epoll descriptor of its own */
void vv_watch_fini(vv_watch_set *set);                   /* closes it */

/* As vv_loop_watch(). */
VV_NODISCARD vv_status vv_watch_change(vv_watch_set *set, int fd, unsigned events);

/* The number is another descriptor's now: if it is watched still, that was for one that was closed since, and
 * forgetting it later must not hit the new one. */
void vv_watch_outlived(vv_watch_set *set, int fd);

/* The state of a listener. */
enum {
    VV_LISTENER_ON = 1,
    VV_LISTENER_SHARED = 2,
    VV_LISTENER_LAST = 4,  /* off, but vv_loop_accept_last() is at it; a pause ends that too */
    VV_LISTENER_FLAGS = 8, /* bits; those above are the back-end's */
};

enum { VV_ACCEPTS = 64 }; /* of one readiness */

/* Accepts up to `most` connections that queue. 0: descriptors or memory are out. */
VV_NODISCARD int vv_watch_accept(vv_listener *listener, int most);

/* Accepting: as vv_loop_listen() and its kin. */
VV_NODISCARD vv_status vv_watch_listen(vv_watch_set *set, vv_listener *listener, int shared);
void vv_watch_listen_pause(vv_watch_set *set, vv_listener *listener);
void vv_watch_listen_resume(vv_watch_set *set, vv_listener *listener);

/* Deals with one epoll event of the set. */
void vv_watch_tell(vv_watch_set *set, const vv_loop_events *to, uint64_t data, uint32_t epoll_events);

/* Asks the set's own epoll descriptor what is ready, and tells. */
void vv_watch_dispatch(vv_watch_set *set, const vv_loop_events *to);

#endif
