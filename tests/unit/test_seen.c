/* The memory of records: exact, bounded, and as deep as it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "seen.h"

static struct seen_key key(uint64_t a, uint64_t b)
{
    return (struct seen_key){a + 1, b};
}

static void test_remembers_and_forgets(void **state)
{
    (void)state;
    struct seen *seen;
    enum { KEYS = 4096 };
    assert_int_equal(seen_new(&seen, KEYS), 0);
    assert_true(seen_empty(seen));
    for (uint64_t i = 0; i < KEYS / 4; i++) {
        assert_false(seen_has(seen, key(i % 7, i)));
        seen_put(seen, key(i % 7, i));
    }
    assert_false(seen_empty(seen));
    unsigned kept = 0;
    for (uint64_t i = 0; i < KEYS / 4; i++)
        kept += seen_has(seen, key(i % 7, i));
    assert_true(kept > KEYS / 4 - KEYS / 64); /* few sets overflow at a quarter of the room */
    for (uint64_t i = 0; i < 16; i++)
        seen_put(seen, key(9, i));
    for (uint64_t i = 0; i < 16; i++) { /* the newest are always there */
        assert_true(seen_has(seen, key(9, i)));
        assert_false(seen_has(seen, key(10, i)));
        assert_false(seen_has(seen, key(9, i + 16)));
    }
    for (uint64_t i = 0; i < 100 * KEYS; i++)
        seen_put(seen, key(3, i + 1000000));
    assert_false(seen_has(seen, key(9, 0))); /* bounded: long gone */
    seen_free(seen);
}

static void test_counts_those_that_are_alike(void **state)
{
    (void)state;
    struct seen *seen;
    assert_int_equal(seen_new(&seen, 64), 0);
    seen_put(seen, key(1, 5));
    seen_put(seen, key(1, 5));
    assert_true(seen_take(seen, key(1, 5)));
    assert_true(seen_has(seen, key(1, 5)));
    assert_true(seen_take(seen, key(1, 5)));
    assert_false(seen_take(seen, key(1, 5)));
    assert_false(seen_has(seen, key(1, 5)));
    seen_free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remembers_and_forgets),
        cmocka_unit_test(test_counts_those_that_are_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
