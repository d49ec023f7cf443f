/* Memory that lives as long as the router: taken piece by piece, given back all at once.
 *
 * Ownership   the store owns every piece; a store of zeroes is empty; vv_store_fini() it once.
 * Threads     none.
 * Cost        a few instructions a piece; pieces taken one after the other lie side by side.
 */
#ifndef VV_ROUTER_STORE_H
#define VV_ROUTER_STORE_H

#include "core/compiler.h"

#include <stddef.h>
#include <stdint.h>

typedef struct vv_store_chunk vv_store_chunk;

typedef struct vv_store {
    vv_store_chunk *chunks;
    uint8_t *at, *end; /* what is left of the newest chunk */
} vv_store;

/* `size` bytes of zeroes at a multiple of `align`, a power of two up to 64; NULL: no memory. */
void *vv_store_take(vv_store *store, size_t size, size_t align);

void vv_store_fini(vv_store *store);

#endif
