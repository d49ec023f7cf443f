/* The same as null_epoll, on io_uring: multishot accept and receive, buffers that the kernel picks, and all sends of a
 * turn handed over in the one call that waits for the next.
 */
#include <errno.h>
#include <liburing.h>
#include <sys/mman.h>
#include <unistd.h>

#include "null_answer.h"

enum { BUFFERS = 1024, BUFFER_BYTES = 16 * 1024, DESCRIPTORS = 1 << 16, ENTRIES = 4096 };
enum { ACCEPTED, RECEIVED, SENT };

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char memory[BUFFERS][BUFFER_BYTES];
static size_t rest[DESCRIPTORS]; /* bytes of a request that has come in part */

/* An entry to be filled in; what it is about is told again when it is done. */
static struct io_uring_sqe *
entry(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (sqe == NULL) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    return sqe;
}

static void
mark(struct io_uring_sqe *sqe, unsigned what, int fd)
{
    io_uring_sqe_set_data64(sqe, (uint64_t)what << 32 | (unsigned)fd);
}

static void
ask_to_accept(int listening)
{
    struct io_uring_sqe *sqe = entry();
    io_uring_prep_multishot_accept(sqe, listening, NULL, NULL, 0);
    mark(sqe, ACCEPTED, listening);
}

static void
ask_to_receive(int fd)
{
    struct io_uring_sqe *sqe = entry();
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    mark(sqe, RECEIVED, fd);
}

static void
ask_to_send(int fd, size_t requests)
{
    struct io_uring_sqe *sqe = entry();
    io_uring_prep_send(sqe, fd, null_answers(requests), requests * NULL_ANSWER_BYTES, MSG_NOSIGNAL | MSG_WAITALL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    mark(sqe, SENT, fd);
}

static void
give_buffer(unsigned id)
{
    io_uring_buf_ring_add(buffers, memory[id], BUFFER_BYTES, (unsigned short)id, io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(buffers, 1);
}

/* 0, or the negative error. */
static int
open_buffers(void)
{
    size_t bytes = BUFFERS * sizeof(struct io_uring_buf);
    buffers = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (buffers == MAP_FAILED)
        return -errno;
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)buffers, .ring_entries = BUFFERS};
    int error = io_uring_register_buf_ring(&ring, &reg, 0);
    if (error < 0)
        return error;
    io_uring_buf_ring_init(buffers);
    for (unsigned id = 0; id < BUFFERS; id++)
        give_buffer(id);
    return 0;
}

static void
on_accepted(const struct io_uring_cqe *cqe, int listening)
{
    if (cqe->res >= DESCRIPTORS) {
        close(cqe->res);
    } else if (cqe->res >= 0) {
        rest[cqe->res] = 0;
        ask_to_receive(cqe->res);
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
        ask_to_accept(listening);
}

static void
on_received(const struct io_uring_cqe *cqe, int fd, size_t request_bytes)
{
    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0)
        give_buffer(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    if (cqe->res <= 0 && cqe->res != -ENOBUFS) {
        close(fd);
        return;
    }
    if (cqe->res > 0) {
        size_t bytes = rest[fd] + (size_t)cqe->res;
        rest[fd] = bytes % request_bytes;
        if (bytes >= request_bytes)
            ask_to_send(fd, bytes / request_bytes);
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
        ask_to_receive(fd);
}

int
main(int argc, char **argv)
{
    int listening = null_listen(argc, argv), error;
    size_t request_bytes = strtoul(argv[2], NULL, 10);
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = 4 * ENTRIES,
    };
    if ((error = io_uring_queue_init_params(ENTRIES, &ring, &params)) < 0 || (error = open_buffers()) < 0) {
        fprintf(stderr, "null_uring: %s\n", strerror(-error));
        return 1;
    }
    ask_to_accept(listening);
    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned head, count = 0;
        io_uring_submit_and_wait(&ring, 1);
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            uint64_t data = io_uring_cqe_get_data64(cqe);
            int fd = (int)(uint32_t)data;
            if (data >> 32 == ACCEPTED)
                on_accepted(cqe, fd);
            else if (data >> 32 == RECEIVED)
                on_received(cqe, fd, request_bytes);
            count++;
        }
        io_uring_cq_advance(&ring, count);
    }
}
