/* Waiting: the jitter's bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "backoff.h"

static void test_bounds(void **state)
{
    (void)state;
    struct backoff b;
    backoff_init(&b, 500, 30000, 1);
    uint64_t before = 500;
    bool large = false;
    for (int i = 0; i < 1000; i++) {
        uint64_t wait = backoff_next_ms(&b);
        assert_in_range(wait, 500, 30000);
        assert_true(wait <= before * 3);
        large = large || wait > 20000;
        before = wait;
    }
    assert_true(large);
    backoff_reset(&b);
    assert_in_range(backoff_next_ms(&b), 500, 1500);
}

static void test_seed(void **state)
{
    (void)state;
    struct backoff a;
    struct backoff b;
    struct backoff c;
    backoff_init(&a, 500, 30000, 7);
    backoff_init(&b, 500, 30000, 7);
    backoff_init(&c, 500, 30000, 8);
    unsigned same = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t wait = backoff_next_ms(&a);
        assert_int_equal(wait, backoff_next_ms(&b));
        same += wait == backoff_next_ms(&c);
    }
    assert_true(same < 20);
}

static void test_extremes(void **state)
{
    (void)state;
    struct backoff b;
    backoff_init(&b, 0, 0, 0);
    assert_int_equal(backoff_next_ms(&b), 1);
    backoff_init(&b, 1000, 10, 0); /* max below min */
    assert_int_equal(backoff_next_ms(&b), 1000);
    backoff_init(&b, 1, UINT64_MAX, 3);
    for (int i = 0; i < 500; i++)
        assert_true(backoff_next_ms(&b) >= 1);
    assert_int_equal(backoff_random(&b, 0), 0);
    assert_int_equal(backoff_random(&b, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_seed),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
