/* How long things took, kept to within 1.6 %: 64 steps in each power of two. */
#ifndef VV_BENCH_LATENCY_H
#define VV_BENCH_LATENCY_H

#include <stdint.h>

enum { LATENCY_STEPS = 64, LATENCY_SLOTS = 59 * LATENCY_STEPS };

typedef struct latency {
    uint64_t count, slots[LATENCY_SLOTS];
} latency;

void latency_add(latency *l, uint64_t ns);

/* Microseconds that a share of all, say 0.99, did not exceed. */
double latency_us(const latency *l, double share);

#endif
