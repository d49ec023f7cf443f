#include "latency.h"

void
latency_add(latency *l, uint64_t ns)
{
    /* The first two rows are exact. */
    unsigned power = ns < 2 * LATENCY_STEPS ? 0 : 57u - (unsigned)__builtin_clzll(ns);
    l->slots[power * LATENCY_STEPS + (unsigned)(ns >> power)]++;
    l->count++;
}

double
latency_us(const latency *l, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)l->count), seen = 0;
    if (wanted >= l->count && l->count > 0)
        wanted = l->count - 1; /* the longest */
    for (unsigned slot = 0; slot < LATENCY_SLOTS; slot++) {
        seen += l->slots[slot];
        if (seen > wanted) {
            unsigned power = slot < 2 * LATENCY_STEPS ? 0 : slot / LATENCY_STEPS - 1;
            return (double)((uint64_t)(slot - power * LATENCY_STEPS + 1) << power) / 1000;
        }
    }
    return 0;
}
