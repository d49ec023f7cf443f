/* How the kernels are timed: a clock, and the order in which a median is found. */
#ifndef VV_BENCH_TIMING_H
#define VV_BENCH_TIMING_H

#include <time.h>

static inline double
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* For qsort() of doubles. */
static inline int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#endif
