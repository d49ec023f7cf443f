/* core/io/wheel: no deadline is kept early, none more than two ticks late, and moving one on costs nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/io/wheel.h"

enum { COUNT = 500, TICK = VV_WHEEL_TICK_MS };

typedef struct clockwork {
    vv_wheel wheel;
    int64_t now_ms;
    vv_timer timers[COUNT];
    int64_t wanted_ms[COUNT]; /* when each is to come due; 0: not at all */
    int fired[COUNT];
    int again_ms; /* set anew by on_due() */
} clockwork;

static void
start(clockwork *c)
{
    *c = (clockwork){.now_ms = 123456};
    vv_wheel_init(&c->wheel, c->now_ms);
}

static void
set(clockwork *c, int i, uint32_t ms)
{
    vv_wheel_set(&c->wheel, &c->timers[i], ms);
    c->wanted_ms[i] = c->now_ms + ms;
}

static void
on_due(void *self, vv_timer *timer)
{
    clockwork *c = self;
    int i = (int)(timer - c->timers);
    assert_true(c->wanted_ms[i] > 0);
    assert_true(c->now_ms >= c->wanted_ms[i]);
    c->fired[i]++;
    c->wanted_ms[i] = 0;
    if (c->again_ms > 0)
        set(c, i, (uint32_t)c->again_ms);
}

static void
advance(clockwork *c, int64_t ms)
{
    c->now_ms += ms;
    vv_wheel_advance(&c->wheel, c->now_ms, on_due, c);
    for (int i = 0; i < COUNT; i++)
        if (c->wanted_ms[i] > 0 && c->now_ms >= c->wanted_ms[i] + 2 * TICK)
            fail_msg("timer %d is %lld ms late", i, (long long)(c->now_ms - c->wanted_ms[i]));
}

static void
a_deadline_is_kept(void **state)
{
    static const uint32_t after[] = {0, 1, TICK - 1, TICK, TICK + 1, 1000, 10000, 31750, 32000, 32250, 75000, 3600000};
    for (size_t i = 0; i < sizeof after / sizeof after[0]; i++) {
        clockwork c;
        start(&c);
        set(&c, 0, after[i]);
        while (c.fired[0] == 0)
            advance(&c, 90);
        assert_int_equal(vv_wheel_next_ms(&c.wheel, c.now_ms), -1);
    }
}

static void
a_deadline_moved_on_is_not_filed_again(void **state)
{
    clockwork c;
    start(&c);
    set(&c, 0, 1000);
    uint32_t filed = c.timers[0].filed;
    for (int i = 0; i < 100; i++) {
        set(&c, 0, 1000 + (uint32_t)i);
        assert_int_equal(c.timers[0].filed, filed);
    }
    set(&c, 0, 20000);
    advance(&c, 10000);
    assert_int_equal(c.fired[0], 0);
    set(&c, 0, 500); /* sooner: it has to move */
    advance(&c, 500 + 2 * TICK);
    assert_int_equal(c.fired[0], 1);
}

static void
a_deadline_is_taken_back(void **state)
{
    clockwork c;
    start(&c);
    vv_wheel_clear(&c.wheel, &c.timers[0]); /* was never in */
    set(&c, 0, 1000);
    set(&c, 1, 1000);
    vv_wheel_clear(&c.wheel, &c.timers[0]);
    c.wanted_ms[0] = 0;
    advance(&c, 5000);
    assert_int_equal(c.fired[0], 0);
    assert_int_equal(c.fired[1], 1);
    assert_int_equal(vv_wheel_next_ms(&c.wheel, c.now_ms), -1);
}

static void
a_timer_may_set_itself_anew(void **state)
{
    clockwork c;
    start(&c);
    c.again_ms = 1;
    set(&c, 0, 1);
    for (int i = 0; i < 1000; i++)
        advance(&c, TICK);
    assert_in_range(c.fired[0], 490, 1000);
}

static void
after_a_long_sleep_all_that_is_due_comes_due(void **state)
{
    clockwork c;
    start(&c);
    for (int i = 0; i < COUNT; i++)
        set(&c, i, (uint32_t)i * 1000);
    advance(&c, 300 * 1000); /* a process that was stopped: 300 s are more than twice round */
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(c.fired[i], i <= 299);
    advance(&c, 3600 * 1000);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(c.fired[i], 1);
    set(&c, 0, 1000);
    advance(&c, 900);
    assert_int_equal(c.fired[0], 1);
    advance(&c, 600);
    assert_int_equal(c.fired[0], 2);
}

static void
the_longest_time_is_a_long_one(void **state)
{
    clockwork c;
    start(&c);
    set(&c, 0, UINT32_MAX);
    advance(&c, 24 * 3600 * 1000);
    assert_int_equal(c.fired[0], 0);
}

static void
next_ms_is_neither_late_nor_idle(void **state)
{
    clockwork c;
    start(&c);
    set(&c, 0, 10000);
    int waits = 0;
    for (int ms; (ms = vv_wheel_next_ms(&c.wheel, c.now_ms)) >= 0; waits++)
        advance(&c, ms);
    assert_int_equal(c.fired[0], 1);
    assert_int_equal(waits, 1);
    set(&c, 0, 100 * 1000); /* beyond the rim it wakes at each round */
    for (waits = 0; c.fired[0] == 1; waits++)
        advance(&c, vv_wheel_next_ms(&c.wheel, c.now_ms));
    assert_in_range(waits, 2, 5);
}

static void
many_timers_as_a_naive_model_has_them(void **state)
{
    clockwork c;
    start(&c);
    uint32_t seed = 7;
    for (int step = 0; step < 40000; step++) {
        seed = seed * 1664525u + 1013904223u;
        int i = (int)((seed >> 20) % COUNT);
        uint32_t dice = seed >> 8 & 15, much = seed >> 12 & 0xff;
        if (dice < 9) {
            set(&c, i, dice < 6 ? much * 40 : much * 500);
        } else if (dice < 11) {
            vv_wheel_clear(&c.wheel, &c.timers[i]);
            c.wanted_ms[i] = 0;
        } else {
            advance(&c, dice == 15 && much > 250 ? 200 * 1000 : (int64_t)much); /* checks every timer */
        }
    }
    advance(&c, 200 * 1000);
    assert_int_equal(vv_wheel_next_ms(&c.wheel, c.now_ms), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_is_kept),
        cmocka_unit_test(a_deadline_moved_on_is_not_filed_again),
        cmocka_unit_test(a_deadline_is_taken_back),
        cmocka_unit_test(a_timer_may_set_itself_anew),
        cmocka_unit_test(after_a_long_sleep_all_that_is_due_comes_due),
        cmocka_unit_test(the_longest_time_is_a_long_one),
        cmocka_unit_test(next_ms_is_neither_late_nor_idle),
        cmocka_unit_test(many_timers_as_a_naive_model_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
