#include "core/io/wheel.h"

static unsigned
slot_of(uint32_t tick)
{
    return tick % VV_WHEEL_SLOTS;
}

void
vv_wheel_init(vv_wheel *wheel, int64_t now_ms)
{
    for (unsigned i = 0; i < VV_WHEEL_SLOTS; i++)
        wheel->slots[i] = (vv_timer){.next = &wheel->slots[i], .prev = &wheel->slots[i]};
    wheel->used[0] = wheel->used[1] = 0;
    wheel->now = 1;
    wheel->origin_ms = now_ms - VV_WHEEL_TICK_MS;
}

static void
unlink_timer(vv_wheel *wheel, vv_timer *timer)
{
    timer->next->prev = timer->prev;
    timer->prev->next = timer->next;
    unsigned slot = slot_of(timer->filed);
    if (wheel->slots[slot].next == &wheel->slots[slot])
        wheel->used[slot / 64] &= ~(1ull << (slot % 64));
    timer->next = timer->prev = NULL;
}

void
vv_wheel_file(vv_wheel *wheel, vv_timer *timer)
{
    if (timer->next != NULL)
        unlink_timer(wheel, timer);
    /* A deadline beyond the rim is filed at the rim, and filed again when that comes round. */
    uint32_t rim = wheel->now + VV_WHEEL_SLOTS - 1;
    timer->filed = timer->due < rim ? timer->due : rim;
    if (timer->filed <= wheel->now)
        timer->filed = wheel->now + 1;
    unsigned slot = slot_of(timer->filed);
    vv_timer *head = &wheel->slots[slot];
    timer->next = head;
    timer->prev = head->prev;
    head->prev->next = timer;
    head->prev = timer;
    wheel->used[slot / 64] |= 1ull << (slot % 64);
}

void
vv_wheel_clear(vv_wheel *wheel, vv_timer *timer)
{
    timer->due = 0;
    if (timer->next != NULL)
        unlink_timer(wheel, timer);
}

static void
run_slot(vv_wheel *wheel, void (*on_due)(void *self, vv_timer *timer), void *self)
{
    vv_timer *head = &wheel->slots[slot_of(wheel->now)];
    /* What on_due() sets is filed in a later slot, so this ends. */
    while (head->next != head) {
        vv_timer *timer = head->next;
        if (timer->due > wheel->now) {
            vv_wheel_file(wheel, timer);
            continue;
        }
        unlink_timer(wheel, timer);
        timer->due = 0;
        on_due(self, timer);
    }
}

void
vv_wheel_advance(vv_wheel *wheel, int64_t now_ms, void (*on_due)(void *self, vv_timer *timer), void *self)
{
    int64_t target = (now_ms - wheel->origin_ms) / VV_WHEEL_TICK_MS;
    if (target > (int64_t)wheel->now + VV_WHEEL_SLOTS) {
        /* After a long sleep (a stopped process) once round the wheel visits every slot: skip the other turns. */
        wheel->now = (uint32_t)(target - VV_WHEEL_SLOTS);
    }
    while ((int64_t)wheel->now < target) {
        wheel->now++;
        if (wheel->used[slot_of(wheel->now) / 64] >> (slot_of(wheel->now) % 64) & 1)
            run_slot(wheel, on_due, self);
    }
}

int
vv_wheel_next_ms(const vv_wheel *wheel, int64_t now_ms)
{
    if ((wheel->used[0] | wheel->used[1]) == 0)
        return -1;
    uint32_t tick = wheel->now + 1;
    while ((wheel->used[slot_of(tick) / 64] >> (slot_of(tick) % 64) & 1) == 0)
        tick++;
    int64_t at_ms = wheel->origin_ms + (int64_t)tick * VV_WHEEL_TICK_MS;
    return at_ms > now_ms ? (int)(at_ms - now_ms) : 0;
}
