/* An owned, growable queue of bytes: written at the tail, read from the head; and a small stock of such buffers.
 * Buffers linked by `next` are one longer queue, in which foreign bytes can take part without being copied.
 *
 * Ownership   a buffer owns its memory: vv_buffer_new() / vv_buffer_free(), or taken from a pool and given back to it.
 *             A borrowing buffer refers to bytes of an owner, who hears of it when they are needed no more.
 * Threads     none; one buffer, and one pool, belong to one loop.
 * Cost        append is amortised O(n); consume is O(1) (the head moves, the bytes do not). Taking from a pool that
 *             has one and giving back are a few instructions, so that the buffer in use stays warm in the cache.
 */
#ifndef VV_BYTES_BUFFER_H
#define VV_BYTES_BUFFER_H

#include "core/bytes/span.h"
#include "core/compiler.h"
#include "core/status.h"

typedef struct vv_buffer {
    uint8_t *base;
    size_t head, tail, capacity;  /* bytes base[head .. tail) wait to be read */
    struct vv_buffer *next;       /* behind it in its queue, or in the pool's stock */
    void (*release)(void *owner); /* of borrowed bytes; NULL: the memory is the buffer's own */
    void *owner;
} vv_buffer;

/* A buffer with room for `capacity` bytes; NULL when memory is out. */
vv_buffer *vv_buffer_new(size_t capacity);
/* A buffer of borrowed bytes: nothing is appended to it. release(owner) is called once, with the end of the buffer.
 * NULL when memory is out. */
vv_buffer *vv_buffer_borrow(vv_span bytes, void (*release)(void *owner), void *owner);
void vv_buffer_free(vv_buffer *buffer); /* NULL is fine */

static inline size_t
vv_buffer_len(const vv_buffer *buffer)
{
    return buffer->tail - buffer->head;
}

/* Of a buffer and all behind it. */
static inline size_t
vv_buffer_queue_len(const vv_buffer *buffer)
{
    size_t len = 0;
    for (; buffer != NULL; buffer = buffer->next)
        len += vv_buffer_len(buffer);
    return len;
}

static inline uint8_t *
vv_buffer_front(const vv_buffer *buffer)
{
    return buffer->base + buffer->head;
}

/* Makes room for `more` bytes behind the tail, by moving the bytes to the front or by growing. The slow half. */
VV_NODISCARD vv_status vv_buffer_grow(vv_buffer *buffer, size_t more);

/* At least `more` bytes may be written at base + tail afterwards. VV_OK or VV_E_NO_MEMORY. */
VV_NODISCARD static inline vv_status
vv_buffer_reserve(vv_buffer *buffer, size_t more)
{
    if (VV_LIKELY(buffer->capacity - buffer->tail >= more))
        return VV_OK;
    return vv_buffer_grow(buffer, more);
}

VV_NODISCARD static inline vv_status
vv_buffer_append(vv_buffer *buffer, vv_span bytes)
{
    vv_status status = vv_buffer_reserve(buffer, bytes.len);
    if (status == VV_OK && bytes.len > 0) {
        memcpy(buffer->base + buffer->tail, bytes.at, bytes.len);
        buffer->tail += bytes.len;
    }
    return status;
}

static inline void
vv_buffer_consume(vv_buffer *buffer, size_t count)
{
    buffer->head += count;
    if (buffer->head == buffer->tail)
        buffer->head = buffer->tail = 0;
}

enum {
    VV_POOL_BUFFER_BYTES = 32 * 1024, /* capacity of a fresh buffer                         */
    VV_POOL_KEEP_BYTES = 256 * 1024,  /* a buffer that has grown beyond this is freed       */
    VV_POOL_STOCK = 32,               /* buffers kept in stock                              */
};

typedef struct vv_buffer_pool {
    vv_buffer *stock;
    unsigned count;
} vv_buffer_pool;

/* An empty buffer; NULL when memory is out. */
static inline vv_buffer *
vv_buffer_pool_take(vv_buffer_pool *pool)
{
    vv_buffer *buffer = pool->stock;
    if (VV_UNLIKELY(buffer == NULL))
        return vv_buffer_new(VV_POOL_BUFFER_BYTES);
    pool->stock = buffer->next;
    pool->count--;
    buffer->next = NULL;
    return buffer;
}

void vv_buffer_pool_give(vv_buffer_pool *pool, vv_buffer *buffer);       /* NULL is fine */
void vv_buffer_pool_give_queue(vv_buffer_pool *pool, vv_buffer *buffer); /* with all behind it */
/* The last buffer of a queue, to append to; taken from the pool when there is none, or the last one is borrowed. NULL
 * when memory is out. */
vv_buffer *vv_buffer_pool_tail(vv_buffer_pool *pool, vv_buffer **queue);
void vv_buffer_pool_fini(vv_buffer_pool *pool);

#endif
