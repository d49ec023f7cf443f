/* core/bytes/buffer: what goes in at the tail comes out at the head, whatever moves in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/bytes/buffer.h"

static void
is_a_queue_of_bytes(void **state)
{
    vv_buffer *buffer = vv_buffer_new(8);
    assert_int_equal(vv_buffer_append(buffer, vv_span_text("hello")), VV_OK);
    assert_int_equal(vv_buffer_append(buffer, vv_span_text(" world")), VV_OK);
    assert_int_equal(vv_buffer_append(buffer, vv_span_of(NULL, 0)), VV_OK);
    assert_int_equal(vv_buffer_len(buffer), 11);
    vv_buffer_consume(buffer, 6);
    assert_memory_equal(vv_buffer_front(buffer), "world", 5);
    vv_buffer_consume(buffer, 5);
    assert_int_equal(vv_buffer_len(buffer), 0);
    assert_int_equal(buffer->head, 0); /* empty: all of the room is there again */
    vv_buffer_free(buffer);
    vv_buffer_free(NULL);
}

static void
keeps_every_byte_of_any_mixture(void **state)
{
    vv_buffer *buffer = vv_buffer_new(1);
    uint32_t seed = 1;
    uint8_t in = 0, out = 0, piece[600];
    for (int step = 0; step < 20000; step++) {
        seed = seed * 1664525u + 1013904223u;
        size_t count = (seed >> 16) % sizeof piece;
        if ((seed >> 8 & 1) != 0 || vv_buffer_len(buffer) > 50000) {
            count = count < vv_buffer_len(buffer) ? count : vv_buffer_len(buffer);
            for (size_t i = 0; i < count; i++)
                assert_int_equal(vv_buffer_front(buffer)[i], out++);
            vv_buffer_consume(buffer, count);
        } else {
            for (size_t i = 0; i < count; i++)
                piece[i] = in++;
            assert_int_equal(vv_buffer_append(buffer, vv_span_of(piece, count)), VV_OK);
        }
        assert_true(buffer->tail <= buffer->capacity);
    }
    assert_true(buffer->capacity <= 256 * 1024); /* what is consumed gives its room back */
    vv_buffer_free(buffer);
}

static void
refuses_what_no_memory_could_hold(void **state)
{
    vv_buffer *buffer = vv_buffer_new(16);
    assert_int_equal(vv_buffer_append(buffer, vv_span_text("kept")), VV_OK);
    assert_int_equal(vv_buffer_reserve(buffer, SIZE_MAX), VV_E_NO_MEMORY);
    assert_int_equal(vv_buffer_reserve(buffer, SIZE_MAX / 4), VV_E_NO_MEMORY);
    assert_memory_equal(vv_buffer_front(buffer), "kept", 4);
    vv_buffer_free(buffer);
}

static void
a_pool_lends_what_it_was_given(void **state)
{
    vv_buffer_pool pool = {.stock = NULL};
    vv_buffer *one = vv_buffer_pool_take(&pool);
    assert_int_equal(one->capacity, VV_POOL_BUFFER_BYTES);
    assert_int_equal(vv_buffer_append(one, vv_span_text("left over")), VV_OK);
    vv_buffer_pool_give(&pool, one);
    vv_buffer_pool_give(&pool, NULL);
    assert_ptr_equal(vv_buffer_pool_take(&pool), one);
    assert_int_equal(vv_buffer_len(one), 0);
    assert_int_equal(pool.count, 0);
    vv_buffer_pool_give(&pool, one);
    vv_buffer_pool_fini(&pool);
    assert_int_equal(pool.count, 0);
}

static void
a_pool_keeps_neither_many_nor_large_nor_small_ones(void **state)
{
    vv_buffer_pool pool = {.stock = NULL};
    vv_buffer *lent[VV_POOL_STOCK + 5];
    for (size_t i = 0; i < VV_POOL_STOCK + 5; i++)
        lent[i] = vv_buffer_pool_take(&pool);
    for (size_t i = 0; i < VV_POOL_STOCK + 5; i++)
        vv_buffer_pool_give(&pool, lent[i]);
    assert_int_equal(pool.count, VV_POOL_STOCK);
    vv_buffer_pool_fini(&pool);

    vv_buffer *large = vv_buffer_pool_take(&pool);
    assert_int_equal(vv_buffer_reserve(large, VV_POOL_KEEP_BYTES + 1), VV_OK);
    vv_buffer_pool_give(&pool, large);
    vv_buffer_pool_give(&pool, vv_buffer_new(100));
    assert_int_equal(pool.count, 0);
}

static void
count_release(void *owner)
{
    ++*(int *)owner;
}

static void
borrows_bytes_and_tells_their_owner_once(void **state)
{
    static const uint8_t bytes[] = "borrowed";
    int released = 0;
    vv_buffer_pool pool = {.stock = NULL};
    vv_buffer *queue = NULL, *first = vv_buffer_pool_tail(&pool, &queue);
    assert_ptr_equal(first, queue);
    assert_ptr_equal(vv_buffer_pool_tail(&pool, &queue), first);
    assert_int_equal(vv_buffer_append(first, vv_span_text("own ")), VV_OK);
    first->next = vv_buffer_borrow(vv_span_of(bytes, sizeof bytes - 1), count_release, &released);
    assert_ptr_equal(vv_buffer_front(first->next), bytes);

    vv_buffer *last = vv_buffer_pool_tail(&pool, &queue); /* nothing is appended to borrowed bytes */
    assert_ptr_equal(first->next->next, last);
    assert_int_equal(vv_buffer_append(last, vv_span_text(" tail")), VV_OK);
    assert_int_equal(vv_buffer_queue_len(queue), 4 + 8 + 5);

    vv_buffer_consume(first->next, 3);
    assert_int_equal(vv_buffer_queue_len(queue), 4 + 5 + 5);
    assert_int_equal(released, 0);
    vv_buffer_pool_give_queue(&pool, queue);
    assert_int_equal(released, 1);
    assert_int_equal(pool.count, 2);
    vv_buffer *again = vv_buffer_pool_take(&pool);
    assert_null(again->next);
    vv_buffer_pool_give(&pool, again);
    vv_buffer_pool_fini(&pool);
    vv_buffer_pool_give_queue(&pool, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_a_queue_of_bytes),
        cmocka_unit_test(keeps_every_byte_of_any_mixture),
        cmocka_unit_test(refuses_what_no_memory_could_hold),
        cmocka_unit_test(a_pool_lends_what_it_was_given),
        cmocka_unit_test(a_pool_keeps_neither_many_nor_large_nor_small_ones),
        cmocka_unit_test(borrows_bytes_and_tells_their_owner_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
