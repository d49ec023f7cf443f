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

void
vv_buffer_free(vv_buffer *buffer)
{
    if (buffer != NULL) {
        free(buffer->base);
        free(buffer);
    }
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
        buffer->capacity < VV_POOL_BUFFER_BYTES) {
        vv_buffer_free(buffer);
        return;
    }
    buffer->head = buffer->tail = 0;
    buffer->next = pool->stock;
    pool->stock = buffer;
    pool->count++;
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
