#include "core/io/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/io/socket.h"

vv_status
vv_watch_init(vv_watch_set *set)
{
    *set = (vv_watch_set){.epoll = epoll_create1(EPOLL_CLOEXEC)};
    return set->epoll >= 0 ? VV_OK : VV_E_SYSTEM;
}

void
vv_watch_fini(vv_watch_set *set)
{
    if (set->epoll >= 0)
        close(set->epoll);
    free(set->events);
    set->events = NULL;
}

/* ---- other people's descriptors --------------------------------------------------------------------------------- */

static vv_status
arm(const vv_watch_set *set, int operation, int fd, unsigned events)
{
    struct epoll_event event = {
        .events = ((events & VV_WATCH_READ) != 0 ? (uint32_t)EPOLLIN : 0u) |
                  ((events & VV_WATCH_WRITE) != 0 ? (uint32_t)EPOLLOUT : 0u),
        .data.u64 = (uint64_t)(unsigned)fd << 2 | VV_TAG_WATCHED,
    };
    return epoll_ctl(set->epoll, operation, fd, &event) < 0 ? VV_E_SYSTEM : VV_OK;
}

static unsigned
asked(const vv_watch_set *set, int fd)
{
    return (size_t)fd < set->len ? set->events[fd] : 0;
}

static vv_status
make_room(vv_watch_set *set, size_t fd)
{
    if (fd < set->len)
        return VV_OK;
    size_t len = (fd | 63) + 1;
    uint8_t *events = realloc(set->events, len);
    if (events == NULL)
        return VV_E_NO_MEMORY;
    memset(events + set->len, 0, len - set->len);
    set->events = events;
    set->len = len;
    return VV_OK;
}

static vv_status
forget(vv_watch_set *set, int fd)
{
    if (asked(set, fd) != 0) {
        set->events[fd] = 0;
        set->count--;
        (void)!arm(set, EPOLL_CTL_DEL, fd, 0); /* fails when it was closed first: fine */
    }
    return VV_OK;
}

void
vv_watch_outlived(vv_watch_set *set, int fd)
{
    if (asked(set, fd) != 0) {
        set->events[fd] = 0;
        set->count--;
    }
}

vv_status
vv_watch_change(vv_watch_set *set, int fd, unsigned events)
{
    if (fd < 0) {
        errno = EBADF;
        return VV_E_SYSTEM;
    }
    if (events == 0)
        return forget(set, fd);
    if (make_room(set, (size_t)fd) != VV_OK)
        return VV_E_NO_MEMORY;
    int known = set->events[fd] != 0;
    vv_status status = arm(set, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, events);
    /* It may have been closed behind our back, and its number given to another. */
    if (status != VV_OK && known && errno == ENOENT)
        status = arm(set, EPOLL_CTL_ADD, fd, events);
    if (status == VV_OK) {
        set->count += !known;
        set->events[fd] = (uint8_t)events;
    }
    return status;
}

/* ---- listeners -------------------------------------------------------------------------------------------------- */

/* Of one readiness. Of a shared listener just one: whoever accepted all that queues would keep it from the other
 * processes for as long as those connections last. */
static int
accepts_at_once(const vv_listener *listener)
{
    return (listener->state & VV_LISTENER_SHARED) != 0 ? 1 : VV_ACCEPTS;
}

static vv_status
arm_listener(const vv_watch_set *set, int operation, vv_listener *listener)
{
    struct epoll_event event = {
        .events = EPOLLIN | ((listener->state & VV_LISTENER_SHARED) != 0 ? (uint32_t)EPOLLEXCLUSIVE : 0u),
        .data.u64 = (uint64_t)(uintptr_t)listener | VV_TAG_LISTENER,
    };
    return epoll_ctl(set->epoll, operation, listener->fd, &event) < 0 ? VV_E_SYSTEM : VV_OK;
}

void
vv_watch_listen_resume(vv_watch_set *set, vv_listener *listener)
{
    if ((listener->state & VV_LISTENER_ON) == 0 && arm_listener(set, EPOLL_CTL_ADD, listener) == VV_OK) {
        listener->state |= VV_LISTENER_ON;
        set->count++;
    }
}

void
vv_watch_listen_pause(vv_watch_set *set, vv_listener *listener)
{
    listener->state &= ~(uint32_t)VV_LISTENER_LAST;
    if ((listener->state & VV_LISTENER_ON) != 0) {
        (void)!arm_listener(set, EPOLL_CTL_DEL, listener);
        listener->state &= ~(uint32_t)VV_LISTENER_ON;
        set->count--;
    }
}

vv_status
vv_watch_listen(vv_watch_set *set, vv_listener *listener, int shared)
{
    listener->state = shared ? VV_LISTENER_SHARED : 0;
    vv_watch_listen_resume(set, listener);
    return (listener->state & VV_LISTENER_ON) != 0 ? VV_OK : VV_E_SYSTEM;
}

int
vv_watch_accept(vv_listener *listener, int most)
{
    /* A callee may pause or stop the listener at any time. */
    const uint32_t accepts = VV_LISTENER_ON | VV_LISTENER_LAST;
    for (int i = 0; i < most && listener->fd >= 0 && (listener->state & accepts) != 0; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        from.ss_family = AF_UNSPEC;
        int fd = accept4(listener->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            vv_address peer;
            vv_address_from(&peer, (struct sockaddr *)&from);
            listener->on_accept(listener, fd, &peer);
            continue;
        }
        if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO)
            continue; /* that one went away while it queued */
        return !vv_socket_is_exhaustion(errno);
    }
    return 1;
}

static void
accept_some(vv_watch_set *set, vv_listener *listener)
{
    int fine = vv_watch_accept(listener, accepts_at_once(listener));
    if ((listener->state & VV_LISTENER_SHARED) != 0 && (listener->state & VV_LISTENER_ON) != 0) {
        /* The kernel wakes whoever has waited longest; a set waits from the time that it was given the socket. So the
         * next connection goes to the next process. */
        vv_watch_listen_pause(set, listener);
        vv_watch_listen_resume(set, listener);
        fine = fine && (listener->state & VV_LISTENER_ON) != 0;
    }
    if (!fine) {
        vv_watch_listen_pause(set, listener);
        listener->on_exhausted(listener);
    }
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

static void
tell_watcher(const vv_watch_set *set, const vv_loop_events *to, int fd, uint32_t events)
{
    /* As asyncio's own selector does: whatever is not plain readiness wakes both sides. */
    unsigned ready = ((events & ~(uint32_t)EPOLLIN) != 0 ? VV_WATCH_WRITE : 0u) |
                     ((events & ~(uint32_t)EPOLLOUT) != 0 ? VV_WATCH_READ : 0u);
    ready &= asked(set, fd);
    if (ready != 0)
        to->on_ready(to->self, fd, ready);
}

void
vv_watch_tell(vv_watch_set *set, const vv_loop_events *to, uint64_t data, uint32_t events)
{
    if ((data & VV_TAG_MASK) == VV_TAG_LISTENER)
        accept_some(set, (vv_listener *)(uintptr_t)(data & ~(uint64_t)VV_TAG_MASK));
    else
        tell_watcher(set, to, (int)(data >> 2), events);
}

void
vv_watch_dispatch(vv_watch_set *set, const vv_loop_events *to)
{
    struct epoll_event found[64];
    int count = epoll_wait(set->epoll, found, 64, 0);
    for (int i = 0; i < count; i++)
        vv_watch_tell(set, to, found[i].data.u64, found[i].events);
}
