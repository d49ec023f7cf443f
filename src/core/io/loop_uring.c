/* The io_uring back-end: completions as the kernel gives them.
 *
 * Receiving is a request that repeats itself (multishot); what is received lies in buffers that the kernel takes from a
 * ring of ours. Sends are queued and leave with the one io_uring_enter of the next wait.
 *
 * Rule 1: a completion finds its stream by slot and generation, never by pointer: it may come after the stream was
 *         dropped and its memory given to another.
 * Rule 2: bytes that are being sent belong to their stream's owner, who may free them once vv_loop_drop() has
 *         returned. So a drop waits for the kernel to let go of them.
 * Rule 3: listeners and other people's descriptors live in an epoll set, which is polled as one descriptor: they keep
 *         epoll's meaning (level-triggered, closed behind our back ...) to the letter. See watch.h.
 * Rule 4: a listener that other processes share is polled by the ring itself, exclusively: of several who poll an epoll
 *         set that has it, the kernel would wake them all. The poll is for one readiness, and armed anew after it.
 */
#include "core/io/loop_backend.h"

#ifdef VV_HAVE_URING

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/io/socket.h"
#include "core/io/watch.h"

enum {
    SUBMISSIONS = 1024,
    COMPLETIONS = 8192,
    BUFFER_BYTES = 8 * 1024,
    BUFFERS = 256, /* a power of two */
    BUFFER_GROUP = 0,
    SEND_BYTES = 1 << 30, /* at most at once: a request's length has 32 bits, its result has 31 */
};

typedef enum operation { OP_NONE, OP_RECEIVE, OP_SEND, OP_WATCH, OP_ACCEPT } operation;

/* A stream, as completions know it. */
typedef struct slot {
    vv_stream *owner;    /* borrowed; NULL: free */
    uint32_t generation; /* of the owner: completions of an earlier one are ignored */
    uint32_t next_free;
    uint8_t receiving; /* a multishot receive is with the kernel */
    uint8_t paused;
    uint8_t sending; /* a send is with the kernel */
    uint8_t ended;   /* the peer's end was seen: nothing more to receive */
} slot;

/* A shared listener, as completions know it. */
typedef struct door {
    vv_listener *listener; /* borrowed; NULL: free, or stopped */
    uint32_t generation;   /* of the poll: completions of an earlier one are ignored */
} door;

enum { DOORS = 64 };

typedef struct uring_loop {
    vv_loop base;
    struct io_uring ring;
    struct io_uring_buf_ring *buffers;
    uint8_t *memory; /* of the buffers */
    slot *slots;
    uint32_t slot_count, free_slot; /* index + 1; 0: none */
    vv_watch_set watched;
    door doors[DOORS];
    int watch_armed;
    int enabled;
} uring_loop;

static uring_loop *
of(const vv_loop *loop)
{
    return (uring_loop *)loop;
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

static uint64_t
tag(operation op, uint32_t index, uint32_t generation)
{
    return (uint64_t)op << 56 | (uint64_t)(index & 0xffffff) << 32 | generation;
}

static struct io_uring_sqe *
request(uring_loop *self)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
    while (VV_UNLIKELY(sqe == NULL)) {
        io_uring_submit(&self->ring); /* the queue is full: hand it over now */
        sqe = io_uring_get_sqe(&self->ring);
    }
    return sqe;
}

static slot *
slot_of(uring_loop *self, uint32_t index)
{
    return &self->slots[index];
}

static uint64_t
slot_tag(uring_loop *self, operation op, uint32_t index)
{
    return tag(op, index, slot_of(self, index)->generation);
}

static vv_status
take_slot(uring_loop *self, vv_stream *owner, uint32_t *index)
{
    if (self->free_slot == 0) {
        uint32_t count = self->slot_count > 0 ? self->slot_count * 2 : 256;
        slot *slots = count <= 1u << 24 ? realloc(self->slots, count * sizeof *slots) : NULL;
        if (slots == NULL)
            return VV_E_NO_MEMORY;
        self->slots = slots;
        for (uint32_t i = count; i-- > self->slot_count;) {
            slots[i] = (slot){.next_free = self->free_slot};
            self->free_slot = i + 1;
        }
        self->slot_count = count;
    }
    *index = self->free_slot - 1;
    slot *taken = slot_of(self, *index);
    self->free_slot = taken->next_free;
    *taken = (slot){.owner = owner, .generation = taken->generation};
    return VV_OK;
}

static void
give_slot(uring_loop *self, uint32_t index)
{
    slot *given = slot_of(self, index);
    *given = (slot){.generation = given->generation + 1, .next_free = self->free_slot};
    self->free_slot = index + 1;
}

static void
cancel(uring_loop *self, uint64_t data)
{
    struct io_uring_sqe *sqe = request(self);
    io_uring_prep_cancel64(sqe, data, 0);
    sqe->user_data = tag(OP_NONE, 0, 0);
}

/* ---- streams ---------------------------------------------------------------------------------------------------- */

static void
start_receiving(uring_loop *self, uint32_t index)
{
    slot *at = slot_of(self, index);
    vv_stream *stream = at->owner;
    struct io_uring_sqe *sqe = request(self);
    io_uring_prep_recv_multishot(sqe, stream->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    sqe->user_data = slot_tag(self, OP_RECEIVE, index);
    at->receiving = 1;
}

static vv_status
uring_add(vv_loop *loop, vv_stream *stream)
{
    uring_loop *self = of(loop);
    vv_status status = take_slot(self, stream, &stream->state);
    if (status == VV_OK)
        start_receiving(self, stream->state);
    return status;
}

/* Takes a request back from the kernel and returns when that has let go of it. A request that polls is only marked by
 * the cancelling: it stays among those who wait, and is woken in the place of another process, until its completion
 * has been fetched. */
static void
take_back(uring_loop *self, uint64_t data)
{
    struct io_uring_sync_cancel_reg reg = {.addr = data, .timeout = {-1, -1}};
    io_uring_submit(&self->ring); /* it may not even be there yet */
    while (io_uring_register_sync_cancel(&self->ring, &reg) == -EINTR)
        continue;
    io_uring_get_events(&self->ring);
}

static void
uring_drop(vv_loop *loop, vv_stream *stream)
{
    uring_loop *self = of(loop);
    if (stream->fd < 0)
        return;
    uint32_t index = stream->state;
    if (index < self->slot_count && slot_of(self, index)->owner == stream) {
        slot *at = slot_of(self, index);
        if (at->sending)
            take_back(self, slot_tag(self, OP_SEND, index)); /* Rule 2 */
        if (at->receiving)
            cancel(self, slot_tag(self, OP_RECEIVE, index));
        give_slot(self, index);
        /* The close follows the cancelling in the queue: a receive holds the socket open. */
        struct io_uring_sqe *sqe = request(self);
        io_uring_prep_close(sqe, stream->fd);
        sqe->user_data = tag(OP_NONE, 0, 0);
    } else {
        close(stream->fd); /* never was added */
    }
    stream->fd = -1;
}

static void
uring_pause(vv_loop *loop, vv_stream *stream)
{
    uring_loop *self = of(loop);
    slot *at = stream->fd >= 0 ? slot_of(self, stream->state) : NULL;
    if (at == NULL || at->paused)
        return;
    at->paused = 1;
    if (at->receiving)
        cancel(self, slot_tag(self, OP_RECEIVE, stream->state));
}

static void
uring_resume(vv_loop *loop, vv_stream *stream)
{
    uring_loop *self = of(loop);
    slot *at = stream->fd >= 0 ? slot_of(self, stream->state) : NULL;
    if (at == NULL || !at->paused)
        return;
    at->paused = 0;
    if (!at->receiving && !at->ended)
        start_receiving(self, stream->state); /* else its last completion starts it again */
}

static vv_status
uring_send(vv_loop *loop, vv_stream *stream, vv_span bytes, size_t *sent)
{
    uring_loop *self = of(loop);
    slot *at = slot_of(self, stream->state);
    *sent = 0;
    if (at->sending)
        return VV_AGAIN;
    size_t len = bytes.len < SEND_BYTES ? bytes.len : SEND_BYTES;
    struct io_uring_sqe *sqe = request(self);
    io_uring_prep_send(sqe, stream->fd, bytes.at, len, MSG_NOSIGNAL);
    sqe->user_data = slot_tag(self, OP_SEND, stream->state);
    at->sending = 1;
    return VV_AGAIN;
}

static void
on_received(uring_loop *self, uint32_t index, const struct io_uring_cqe *cqe)
{
    slot *at = slot_of(self, index);
    vv_stream *stream = at->owner;
    uint32_t generation = at->generation;
    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
        at->receiving = 0;
    if (VV_LIKELY(cqe->res > 0)) {
        unsigned buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        stream->on->on_bytes(stream, self->memory + (size_t)buffer * BUFFER_BYTES, (size_t)cqe->res);
    } else if (cqe->res == 0) {
        at->ended = 1;
        stream->on->on_end(stream);
    } else if (cqe->res != -ENOBUFS && cqe->res != -ECANCELED && cqe->res != -EINTR && cqe->res != -EAGAIN) {
        stream->on->on_lost(stream);
    }
    at = slot_of(self, index); /* the callee may have dropped it, or made room for others */
    if (VV_UNLIKELY(at->generation == generation && at->owner == stream && !at->receiving && !at->paused && !at->ended))
        start_receiving(self, index);
}

static void
give_buffer_back(uring_loop *self, const struct io_uring_cqe *cqe)
{
    unsigned buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    io_uring_buf_ring_add(self->buffers, self->memory + (size_t)buffer * BUFFER_BYTES, BUFFER_BYTES,
                          (unsigned short)buffer, BUFFERS - 1, 0);
    io_uring_buf_ring_advance(self->buffers, 1);
}

static void
on_send_done(uring_loop *self, uint32_t index, const struct io_uring_cqe *cqe)
{
    slot *at = slot_of(self, index);
    vv_stream *stream = at->owner;
    at->sending = 0;
    if (cqe->res >= 0)
        stream->on->on_sent(stream, (size_t)cqe->res);
    else if (cqe->res == -EAGAIN || cqe->res == -EINTR || cqe->res == -ENOBUFS || cqe->res == -ENOMEM)
        stream->on->on_sent(stream, 0);
    else
        stream->on->on_lost(stream);
}

/* ---- listeners and other people's descriptors ------------------------------------------------------------------- */

static uint32_t
door_index(const vv_listener *listener)
{
    return listener->state >> VV_LISTENER_FLAGS;
}

static uint64_t
door_tag(const uring_loop *self, uint32_t index)
{
    return tag(OP_ACCEPT, index, self->doors[index].generation);
}

static void
poll_door(uring_loop *self, uint32_t index)
{
    struct io_uring_sqe *sqe = request(self);
    io_uring_prep_poll_add(sqe, self->doors[index].listener->fd, EPOLLIN | (unsigned)EPOLLEXCLUSIVE);
    sqe->user_data = door_tag(self, index);
}

static void
uring_listen_pause(vv_loop *loop, vv_listener *listener)
{
    uring_loop *self = of(loop);
    if ((listener->state & VV_LISTENER_SHARED) == 0) {
        vv_watch_listen_pause(&self->watched, listener);
        return;
    }
    listener->state &= ~(uint32_t)VV_LISTENER_LAST;
    if ((listener->state & VV_LISTENER_ON) != 0) {
        uint32_t index = door_index(listener);
        take_back(self, door_tag(self, index)); /* at once: while it is armed it takes wake-ups from others */
        self->doors[index].generation++;
        listener->state &= ~(uint32_t)VV_LISTENER_ON;
    }
}

static void
uring_listen_resume(vv_loop *loop, vv_listener *listener)
{
    uring_loop *self = of(loop);
    if ((listener->state & VV_LISTENER_SHARED) == 0) {
        vv_watch_listen_resume(&self->watched, listener);
    } else if ((listener->state & VV_LISTENER_ON) == 0) {
        listener->state |= VV_LISTENER_ON;
        poll_door(self, door_index(listener));
    }
}

static vv_status
uring_listen(vv_loop *loop, vv_listener *listener, int shared)
{
    uring_loop *self = of(loop);
    uint32_t index = 0;
    while (shared && index < DOORS && self->doors[index].listener != NULL)
        index++;
    if (!shared || index == DOORS)
        return vv_watch_listen(&self->watched, listener, 0); /* more than DOORS wake everybody, and work */
    self->doors[index].listener = listener;
    listener->state = VV_LISTENER_SHARED | index << VV_LISTENER_FLAGS;
    uring_listen_resume(loop, listener);
    return VV_OK;
}

static void
uring_unlisten(vv_loop *loop, vv_listener *listener)
{
    uring_listen_pause(loop, listener);
    if ((listener->state & VV_LISTENER_SHARED) != 0)
        of(loop)->doors[door_index(listener)].listener = NULL;
    listener->fd = -1;
}

static void
on_door(uring_loop *self, uint32_t index, const struct io_uring_cqe *cqe)
{
    vv_listener *listener = index < DOORS ? self->doors[index].listener : NULL;
    if (listener == NULL || self->doors[index].generation != (uint32_t)cqe->user_data)
        return;
    vv_loop_accept_one(&self->base, listener);
    if (self->doors[index].listener == listener && (listener->state & VV_LISTENER_ON) != 0 &&
        self->doors[index].generation == (uint32_t)cqe->user_data)
        poll_door(self, index); /* says so at once if more queue */
}

static vv_status
uring_watch(vv_loop *loop, int fd, unsigned events)
{
    return vv_watch_change(&of(loop)->watched, fd, events);
}

static void
arm_watch(uring_loop *self)
{
    if (self->watch_armed || self->watched.count == 0)
        return;
    struct io_uring_sqe *sqe = request(self);
    io_uring_prep_poll_add(sqe, self->watched.epoll, EPOLLIN);
    sqe->user_data = tag(OP_WATCH, 0, 0);
    self->watch_armed = 1;
}

static void
on_watched(uring_loop *self)
{
    self->watch_armed = 0;
    vv_watch_dispatch(&self->watched, &self->base.events);
}

/* ---- the turn --------------------------------------------------------------------------------------------------- */

static int
uring_wait(vv_loop *loop, int timeout_ms)
{
    uring_loop *self = of(loop);
    if (VV_UNLIKELY(!self->enabled)) {
        /* Here, not at the opening: from now on the ring belongs to this thread. */
        if (io_uring_enable_rings(&self->ring) < 0)
            return -1;
        self->enabled = 1;
    }
    arm_watch(self);
    int result;
    if (timeout_ms == 0) {
        result = io_uring_submit_and_get_events(&self->ring);
    } else if (timeout_ms < 0) {
        result = io_uring_submit_and_wait(&self->ring, 1);
    } else {
        struct io_uring_cqe *first;
        struct __kernel_timespec limit = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000ll};
        result = io_uring_submit_and_wait_timeout(&self->ring, &first, 1, &limit, NULL);
    }
    if (result < 0 && result != -ETIME && result != -EINTR && result != -EAGAIN && result != -EBUSY) {
        errno = -result;
        return -1;
    }
    return (int)io_uring_cq_ready(&self->ring);
}

static void
dispatch_one(uring_loop *self, const struct io_uring_cqe *cqe)
{
    operation op = (operation)(cqe->user_data >> 56);
    uint32_t index = (uint32_t)(cqe->user_data >> 32) & 0xffffff;
    if (op == OP_NONE)
        return;
    if (op == OP_WATCH) {
        on_watched(self);
        return;
    }
    if (op == OP_ACCEPT) {
        on_door(self, index, cqe);
        return;
    }
    int stale = index >= self->slot_count || slot_of(self, index)->generation != (uint32_t)cqe->user_data ||
                slot_of(self, index)->owner == NULL;
    if (VV_LIKELY(!stale && op == OP_RECEIVE))
        on_received(self, index, cqe);
    else if (VV_LIKELY(!stale))
        on_send_done(self, index, cqe);
    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0)
        give_buffer_back(self, cqe);
}

static void
uring_dispatch(vv_loop *loop)
{
    uring_loop *self = of(loop);
    struct io_uring_cqe *cqe;
    unsigned head, count = 0, most = io_uring_cq_ready(&self->ring);
    io_uring_for_each_cqe(&self->ring, head, cqe)
    {
        if (count == most)
            break; /* what has come meanwhile is the next turn's */
        count++;
        dispatch_one(self, cqe);
        if (VV_UNLIKELY(loop->turn_ended))
            break;
    }
    io_uring_cq_advance(&self->ring, count);
}

static void
uring_close(vv_loop *loop)
{
    uring_loop *self = of(loop);
    io_uring_submit(&self->ring);
    io_uring_queue_exit(&self->ring);
    if (self->buffers != NULL)
        munmap(self->buffers, BUFFERS * sizeof(struct io_uring_buf));
    if (self->memory != NULL)
        munmap(self->memory, (size_t)BUFFERS * BUFFER_BYTES);
    vv_watch_fini(&self->watched);
    free(self->slots);
    free(self);
}

static int
uring_fd(const vv_loop *loop)
{
    return of(loop)->ring.ring_fd;
}

static const vv_loop_backend backend = {
    .name = "uring",
    .close = uring_close,
    .fd = uring_fd,
    .wait = uring_wait,
    .dispatch = uring_dispatch,
    .add = uring_add,
    .drop = uring_drop,
    .pause = uring_pause,
    .resume = uring_resume,
    .send = uring_send,
    .listen = uring_listen,
    .unlisten = uring_unlisten,
    .listen_pause = uring_listen_pause,
    .listen_resume = uring_listen_resume,
    .watch = uring_watch,
};

/* ---- opening ---------------------------------------------------------------------------------------------------- */

static void *
pages(size_t len)
{
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

/* Gives the kernel the ring of receive buffers. */
static int
provide_buffers(uring_loop *self)
{
    self->memory = pages((size_t)BUFFERS * BUFFER_BYTES);
    self->buffers = pages(BUFFERS * sizeof(struct io_uring_buf));
    if (self->memory == NULL || self->buffers == NULL)
        return -ENOMEM;
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)self->buffers,
        .ring_entries = BUFFERS,
        .bgid = BUFFER_GROUP,
    };
    int result = io_uring_register_buf_ring(&self->ring, &reg, 0);
    if (result < 0)
        return result;
    io_uring_buf_ring_init(self->buffers);
    for (int i = 0; i < BUFFERS; i++)
        io_uring_buf_ring_add(self->buffers, self->memory + (size_t)i * BUFFER_BYTES, BUFFER_BYTES, (unsigned short)i,
                              BUFFERS - 1, i);
    io_uring_buf_ring_advance(self->buffers, BUFFERS);
    return 0;
}

vv_status
vv_loop_uring_open(vv_loop **out, const vv_loop_events *events)
{
    uring_loop *self = calloc(1, sizeof *self);
    if (self == NULL)
        return VV_E_NO_MEMORY;
    self->base = (vv_loop){.backend = &backend, .events = *events};
    self->watched.epoll = -1;
    struct io_uring_params params = {
        /* Linux 6.1. Anything older, and any sandbox that forbids rings, fails here, and epoll takes over. */
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |
                 IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL,
        .cq_entries = COMPLETIONS,
    };
    int result = io_uring_queue_init_params(SUBMISSIONS, &self->ring, &params);
    if (result < 0) {
        free(self);
        errno = -result;
        return VV_E_SYSTEM;
    }
    result = (params.features & IORING_FEAT_EXT_ARG) != 0 ? provide_buffers(self) : -EINVAL;
    if (result >= 0 && vv_watch_init(&self->watched) != VV_OK)
        result = -errno;
    if (result < 0) {
        uring_close(&self->base);
        errno = -result;
        return VV_E_SYSTEM;
    }
    vv_loop_read_clocks(&self->base);
    *out = &self->base;
    return VV_OK;
}

#endif
