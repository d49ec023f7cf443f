/* Deadlines for very many owners: a wheel of slots, one a tick. Setting a deadline that lies later than the one the
 * entry is filed under costs one store: the entry is only moved when its old slot comes round. So a busy connection
 * that pushes its deadline on with every request pays nothing for the lists.
 *
 * Ownership   entries are the caller's memory, embedded in what they time.
 * Threads     none.
 * Cost        O(1) set and clear; a tick looks at the entries of its slot only.
 */
#ifndef VV_IO_WHEEL_H
#define VV_IO_WHEEL_H

#include <stddef.h>
#include <stdint.h>

enum {
    VV_WHEEL_SLOTS = 128,
    VV_WHEEL_TICK_MS = 250, /* the resolution of every time-out */
};

typedef struct vv_timer {
    struct vv_timer *next, *prev; /* NULL while not filed */
    uint32_t due;                 /* tick; 0: none */
    uint32_t filed;               /* the tick that it is filed under */
} vv_timer;

typedef struct vv_wheel {
    vv_timer slots[VV_WHEEL_SLOTS]; /* heads of circular lists */
    uint64_t used[VV_WHEEL_SLOTS / 64];
    uint32_t now; /* the current tick, from 1 */
    int64_t origin_ms;
} vv_wheel;

void vv_wheel_init(vv_wheel *wheel, int64_t now_ms);

/* Files the timer anew. The slow half of vv_wheel_set(). */
void vv_wheel_file(vv_wheel *wheel, vv_timer *timer);

/* Lets the timer come due `ms` from the wheel's now (rounded up to a tick). */
static inline void
vv_wheel_set(vv_wheel *wheel, vv_timer *timer, uint32_t ms)
{
    timer->due = wheel->now + ms / VV_WHEEL_TICK_MS + (ms % VV_WHEEL_TICK_MS != 0) + 1;
    if (timer->next == NULL || timer->due < timer->filed)
        vv_wheel_file(wheel, timer);
}

/* Takes the timer out. Fine when it is not in. */
void vv_wheel_clear(vv_wheel *wheel, vv_timer *timer);

/* Moves the wheel to `now_ms`; each timer that came due is taken out and handed to `on_due`, which may set and clear
 * any timer. */
void vv_wheel_advance(vv_wheel *wheel, int64_t now_ms, void (*on_due)(void *self, vv_timer *timer), void *self);

/* Milliseconds from `now_ms` until the next slot that holds anything; -1 when the wheel is empty. */
int vv_wheel_next_ms(const vv_wheel *wheel, int64_t now_ms);

#endif
