#include "core/router/store.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 16384, LINE = 64 };

struct vv_store_chunk {
    vv_store_chunk *next;
};

static int
add_chunk(vv_store *store, size_t size)
{
    size_t bytes = LINE + (size < CHUNK_BYTES ? (size_t)CHUNK_BYTES : (size + LINE - 1) / LINE * LINE);
    vv_store_chunk *chunk = aligned_alloc(LINE, bytes);
    if (chunk == NULL)
        return 0;
    memset(chunk, 0, bytes);
    chunk->next = store->chunks;
    store->chunks = chunk;
    store->at = (uint8_t *)chunk + LINE;
    store->end = (uint8_t *)chunk + bytes;
    return 1;
}

void *
vv_store_take(vv_store *store, size_t size, size_t align)
{
    size_t skip = -(uintptr_t)store->at & (align - 1);
    if ((size_t)(store->end - store->at) < skip + size) {
        if (!add_chunk(store, size))
            return NULL;
        skip = 0; /* a chunk begins at a line, the strictest alignment there is */
    }
    uint8_t *piece = store->at + skip;
    store->at = piece + size;
    return piece;
}

void
vv_store_fini(vv_store *store)
{
    while (store->chunks != NULL) {
        vv_store_chunk *next = store->chunks->next;
        free(store->chunks);
        store->chunks = next;
    }
    *store = (vv_store){0};
}
