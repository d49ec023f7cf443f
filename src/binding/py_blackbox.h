/* The black box: what a worker is doing, in memory that its supervisor reads when it has died.
 *
 * The layout is told a second time in src/vivace/blackbox.py. Everything is written by plain stores: who reads it while
 * the worker lives sees each number as it was a moment ago.
 *
 * Cost        a store for each request that reaches a handler; two for each later step of a coroutine.
 */
#ifndef VV_BINDING_PY_BLACKBOX_H
#define VV_BINDING_PY_BLACKBOX_H

#include <stdint.h>

typedef struct black_box {
    uint64_t requests;    /* handed to the application, as of the latest turn */
    uint32_t connections; /* open, as of the latest turn */
    uint32_t running;     /* the number of the route whose handler runs; 0: none */
    uint32_t routes;      /* how many numbers there are, 0 among them */
    uint32_t reserved;
} black_box; /* behind it, by number, uint32_t: coroutines that wait for something */

#endif
