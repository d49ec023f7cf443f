#include "core/bytes/buffer.h"

#include <stdlib.h>

vv_buffer *
vv_buffer_new(size_t capacity)
{
    vv_buffer *buffer = malloc(sizeof *buffer);
    if (buffer == NULL)
        return NULL;
    *buffer = (vv_buffer){.base = malloc(capacity), .capacity = capacity};
    if (buffer->base == NULL) {
        free(buffer);
        return NULL;
    }
    return buffer;
}

vv_buffer *
vv_buffer_borrow(vv_span bytes, void (*release)(void *owner), void *owner)
{
    vv_buffer *buffer = malloc(sizeof *buffer);
    if (buffer == NULL)
        return NULL;
    uint8_t *base = (uint8_t *)(uintptr_t)bytes.at; /* only read */
    *buffer = (vv_buffer){.base = base, .tail = bytes.len, .capacity = bytes.len, .release = release, .owner = owner};
    return buffer;
}

void
vv_buffer_free(vv_buffer *buffer)
{
    if (buffer == NULL)
        return;
    if (buffer->release != NULL)
        buffer->release(buffer->owner);
    else
        free(buffer->base);
    free(buffer);
}

vv_status
vv_buffer_grow(vv_buffer *buffer, size_t more)
{
    size_t len = vv_buffer_len(buffer);
    if (more > SIZE_MAX / 4 - len)
        return VV_E_NO_MEMORY;
    if (buffer->head > 0 && buffer->capacity - len >= more && buffer->head >= len) {
        /* Moving no more bytes than have been consumed keeps appending amortised O(n). */
        memcpy(buffer->base, buffer->base + buffer->head, len);
    } else {
        size_t capacity = buffer->capacity > 64 ? buffer->capacity : 64;
        while (capacity - len < more)
            capacity *= 2;
        uint8_t *base = malloc(capacity);
        if (base == NULL)
            return VV_E_NO_MEMORY;
        memcpy(base, buffer->base + buffer->head, len);
        free(buffer->base);
        buffer->base = base;
        buffer->capacity = capacity;
    }
    buffer->head = 0;
    buffer->tail = len;
    return VV_OK;
}

void
vv_buffer_pool_give(vv_buffer_pool *pool, vv_buffer *buffer)
{
    if (buffer == NULL)
        return;
    if (pool->count >= VV_POOL_STOCK || buffer->capacity > VV_POOL_KEEP_BYTES ||
        buffer->capacity < VV_POOL_BUFFER_BYTES || buffer->release != NULL) {
        vv_buffer_free(buffer);
        return;
    }
    buffer->head = buffer->tail = 0;
    buffer->next = pool->stock;
    pool->stock = buffer;
    pool->count++;
}

void
vv_buffer_pool_give_queue(vv_buffer_pool *pool, vv_buffer *buffer)
{
    while (buffer != NULL) {
        vv_buffer *next = buffer->next;
        vv_buffer_pool_give(pool, buffer);
        buffer = next;
    }
}

vv_buffer *
vv_buffer_pool_tail(vv_buffer_pool *pool, vv_buffer **queue)
{
    vv_buffer **end = queue, *last = NULL;
    for (; *end != NULL; end = &last->next)
        last = *end;
    if (last != NULL && last->release == NULL)
        return last;
    return *end = vv_buffer_pool_take(pool);
}

void
vv_buffer_pool_fini(vv_buffer_pool *pool)
{
    while (pool->stock != NULL) {
        vv_buffer *next = pool->stock->next;
        vv_buffer_free(pool->stock);
        pool->stock = next;
    }
    pool->count = 0;
}
