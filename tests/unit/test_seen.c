/* The memory of records: exact, bounded, and as deep as it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
    for (uint64_t i = 0; i < 10 * KEYS; i++) {
        assert_false(seen_has(seen, key(i % 7, i)));
        seen_put(seen, key(i % 7, i));
        if (i >= KEYS - 1)
            assert_true(seen_has(seen, key((i - KEYS + 1) % 7, i - KEYS + 1))); /* the oldest one kept */
        if (i >= KEYS)
            assert_false(seen_has(seen, key((i - KEYS) % 7, i - KEYS)));
        assert_false(seen_has(seen, key(i % 7 + 1, i)));
    }
    assert_false(seen_empty(seen));
    seen_free(seen);
}

/* Against the plain list of what was put in and not taken: the same answers, whatever the order. */
static void test_random(void **state)
{
    (void)state;
    enum { KEYS = 64, RANGE = 96, STEPS = 300000 };
    const char *given = getenv("SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL), list[KEYS], next = 0;
    print_message("seed %llu\n", (unsigned long long)seed);
    uint64_t x = seed | 1;
    struct seen *seen;
    assert_int_equal(seen_new(&seen, KEYS), 0);
    memset(list, 0, sizeof list);
    for (unsigned step = 0; step < STEPS; step++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        uint64_t value = 1 + (x >> 20) % RANGE;
        unsigned there = 0;
        uint64_t *one = NULL;
        for (uint64_t age = KEYS; age > 0; age--) { /* the oldest first */
            uint64_t *at = &list[(next + KEYS - age) % KEYS];
            there += *at == value;
            one = *at == value ? at : one;
        }
        if (x % 3 != 0) {
            assert_int_equal(seen_has(seen, key(value, 1)), there != 0);
        } else {
            assert_int_equal(seen_take(seen, key(value, 1)), there != 0);
            if (one != NULL)
                *one = 0;
        }
        if (x % 5 != 0) {
            seen_put(seen, key(value, 1));
            list[next++ % KEYS] = value;
        }
    }
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

/* A feed that says the same for ever: looking it up takes no longer for that. 3 million steps through a chain
 * of 65,536 would take minutes. */
static void test_many_alike(void **state)
{
    (void)state;
    struct seen *seen;
    enum { KEYS = 65536, MANY = 3000000 };
    assert_int_equal(seen_new(&seen, KEYS), 0);
    for (unsigned i = 0; i < MANY; i++)
        seen_put(seen, key(1, 5));
    for (unsigned i = 0; i < KEYS; i++)
        assert_true(seen_take(seen, key(1, 5)));
    assert_false(seen_take(seen, key(1, 5)));
    seen_free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remembers_and_forgets),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_counts_those_that_are_alike),
        cmocka_unit_test(test_many_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
