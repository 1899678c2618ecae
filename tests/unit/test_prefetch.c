/* What is expected when, over simulated weeks; the file and all that can be wrong with it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "prefetch.h"

#define MINUTE INT64_C(60000)
#define DAY    INT64_C(86400000)
/* Wednesday 2026-07-15, 09:30 in New York (UTC-4) */
#define OPEN INT64_C(1784122200000)

static struct prefetch *p;

static int setup(void **state)
{
    (void)state;
    return prefetch_new(&p);
}

static int teardown(void **state)
{
    (void)state;
    prefetch_free(p);
    return 0;
}

static bool expected(const char *symbol, int64_t at)
{
    struct prefetch_guess g[64];
    size_t n = prefetch_guess(p, at, g, 64);
    for (size_t i = 0; i < n; i++)
        if (strcmp(g[i].symbol, symbol) == 0)
            return true;
    return false;
}

static void test_by_time_of_day(void **state)
{
    (void)state;
    prefetch_learn(p, "AAPL", PGD_STOCKS, OPEN + 5 * MINUTE);
    assert_true(expected("AAPL", OPEN + DAY));
    assert_true(expected("AAPL", OPEN + DAY + 29 * MINUTE));
    assert_false(expected("AAPL", OPEN + DAY + 30 * MINUTE));
    assert_false(expected("AAPL", OPEN + DAY - MINUTE));
    assert_false(expected("AAPl", OPEN + DAY));
}

static void test_forgotten_after_a_week(void **state)
{
    (void)state;
    prefetch_learn(p, "AAPL", PGD_STOCKS, OPEN);
    assert_true(expected("AAPL", OPEN + 7 * DAY));
    assert_false(expected("AAPL", OPEN + 8 * DAY));
    /* four times: two weeks more */
    for (int i = 0; i < 4; i++)
        prefetch_learn(p, "MSFT", PGD_STOCKS, OPEN);
    assert_true(expected("MSFT", OPEN + 21 * DAY));
    assert_false(expected("MSFT", OPEN + 22 * DAY));
    /* a clock set back breaks nothing */
    prefetch_learn(p, "MSFT", PGD_STOCKS, OPEN - 10 * DAY);
    assert_true(expected("MSFT", OPEN));
}

static void test_weekends(void **state)
{
    (void)state;
    prefetch_learn(p, "AAPL", PGD_STOCKS, OPEN);
    prefetch_learn(p, "X:BTC-USD", PGD_CRYPTO, OPEN);
    assert_false(expected("AAPL", OPEN + 3 * DAY)); /* Saturday */
    assert_false(expected("AAPL", OPEN + 4 * DAY));
    assert_true(expected("AAPL", OPEN + 5 * DAY));
    assert_true(expected("X:BTC-USD", OPEN + 3 * DAY));
}

/* New York's half hours keep their place when its clocks change; UTC's do not move. */
static void test_daylight_time(void **state)
{
    (void)state;
    int64_t friday = INT64_C(1793367000000); /* 2026-10-30, 09:30 in New York (UTC-4) */
    prefetch_learn(p, "AAPL", PGD_STOCKS, friday);
    prefetch_learn(p, "X:BTC-USD", PGD_CRYPTO, friday);
    int64_t monday = friday + 3 * DAY;
    assert_false(expected("AAPL", monday));
    assert_true(expected("AAPL", monday + 60 * MINUTE));
    assert_true(expected("X:BTC-USD", monday));
}

static void test_most_frequent_first(void **state)
{
    (void)state;
    struct prefetch_guess g[2];
    for (int s = 0; s < 5; s++)
        for (int i = 0; i <= s; i++) {
            char name[16];
            snprintf(name, sizeof name, "S%d", s);
            prefetch_learn(p, name, PGD_STOCKS, OPEN);
        }
    assert_int_equal(prefetch_guess(p, OPEN + DAY, g, 2), 2);
    assert_string_equal(g[0].symbol, "S4");
    assert_string_equal(g[1].symbol, "S3");
    assert_int_equal(prefetch_guess(p, OPEN + DAY, g, 0), 0);
}

static void test_bounded(void **state)
{
    (void)state;
    char name[16];
    for (unsigned i = 0; i < PREFETCH_MAX; i++) {
        snprintf(name, sizeof name, "S%u", i);
        prefetch_learn(p, name, PGD_STOCKS, OPEN);
        if (i != 77)
            prefetch_learn(p, name, PGD_STOCKS, OPEN);
    }
    assert_int_equal(prefetch_count(p), PREFETCH_MAX);
    prefetch_learn(p, "NEW", PGD_STOCKS, OPEN);
    assert_int_equal(prefetch_count(p), PREFETCH_MAX);
    struct prefetch_guess *g = malloc(PREFETCH_MAX * sizeof *g);
    size_t n = prefetch_guess(p, OPEN + DAY, g, PREFETCH_MAX);
    assert_int_equal(n, PREFETCH_MAX);
    bool least = false, new = false;
    for (size_t i = 0; i < n; i++) {
        least |= strcmp(g[i].symbol, "S77") == 0;
        new |= strcmp(g[i].symbol, "NEW") == 0;
    }
    assert_true(new && !least);
    free(g);
}

static void test_file(void **state)
{
    (void)state;
    struct prefetch *other;
    uint8_t *bytes = malloc(PREFETCH_FILE_MAX), *again = malloc(PREFETCH_FILE_MAX);
    assert_int_equal(prefetch_new(&other), 0);
    prefetch_learn(p, "AAPL", PGD_STOCKS, OPEN);
    prefetch_learn(p, "X:BTC-USD", PGD_CRYPTO, OPEN);
    size_t size = prefetch_save(p, bytes);
    assert_int_equal(prefetch_load(other, bytes, size), 0);
    assert_int_equal(prefetch_save(other, again), size);
    assert_memory_equal(bytes, again, size);
    for (size_t n = 0; n < size; n++)
        assert_int_equal(prefetch_load(other, bytes, n), -EBADMSG);
    assert_int_equal(prefetch_load(other, bytes, size + 1), -EBADMSG);
    for (size_t i = 0; i < 24; i++) { /* the head up to the count, then the rows */
        bytes[i] ^= 1;
        assert_int_equal(prefetch_load(other, bytes, size), -EBADMSG);
        bytes[i] ^= 1;
    }
    for (size_t i = 64; i < size; i++) {
        bytes[i] ^= 0x10;
        assert_int_equal(prefetch_load(other, bytes, size), -EBADMSG);
        bytes[i] ^= 0x10;
    }
    assert_int_equal(prefetch_count(other), 2); /* what was there is still there */
    prefetch_free(other);
    free(again);
    free(bytes);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_by_time_of_day), T(test_forgotten_after_a_week), T(test_weekends),
        T(test_daylight_time),  T(test_most_frequent_first),    T(test_bounded),
        T(test_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
