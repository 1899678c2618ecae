/* Which days are asked for of the whole market. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "cache_time.h"
#include "fetch_days.h"

#define HOUR INT64_C(3600000)

static int64_t at(int year, int month, int day, int hour)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour};
    return (int64_t)timegm(&tm) * 1000;
}

static int32_t day(int year, int month, int d)
{
    return (int32_t)(at(year, month, d, 0) / (24 * HOUR));
}

static void test_missing(void **state)
{
    (void)state;
    struct fetch_days days;
    /* over the change of New York's clocks, 8 March 2026, a Sunday */
    assert_int_equal(fetch_days_missing(&days, at(2026, 3, 5, 5), at(2026, 3, 11, 4), NULL, 0), 0);
    assert_int_equal(days.count, 4);
    assert_int_equal(days.days[0], day(2026, 3, 5));
    assert_int_equal(days.days[1], day(2026, 3, 6));
    assert_int_equal(days.days[2], day(2026, 3, 9));
    assert_int_equal(days.days[3], day(2026, 3, 10));
    assert_int_equal(fetch_day_start(days.days[1]), at(2026, 3, 6, 5));
    assert_int_equal(fetch_day_start(days.days[2]), at(2026, 3, 9, 4));
    fetch_days_free(&days);
    /* known: Thursday, up to the evening of Friday, and half of Tuesday */
    struct cache_range known[] = {{at(2026, 3, 5, 5), at(2026, 3, 7, 1)},
                                  {at(2026, 3, 10, 4), at(2026, 3, 10, 16)}};
    assert_int_equal(fetch_days_missing(&days, at(2026, 3, 5, 5), at(2026, 3, 11, 4), known, 2), 0);
    assert_int_equal(days.count, 2);
    assert_int_equal(days.days[0], day(2026, 3, 9));
    fetch_days_add(&days, day(2026, 3, 6));
    fetch_days_add(&days, day(2026, 3, 10));
    fetch_days_add(&days, day(2026, 3, 11));
    assert_int_equal(days.count, 4);
    assert_int_equal(days.days[0], day(2026, 3, 6));
    assert_int_equal(days.days[3], day(2026, 3, 11));
    fetch_days_free(&days);
    /* a day whose start lies before the window is not whole */
    assert_int_equal(fetch_days_missing(&days, at(2026, 3, 5, 6), at(2026, 3, 6, 5), NULL, 0), 0);
    assert_int_equal(days.count, 0);
    fetch_days_free(&days);
}

#define SYMBOLS 40
#define SPAN    60

/* What it costs when the symbols that lack at most so many days are chosen. */
static size_t cost_of(const struct fetch_days *lacking, unsigned most, size_t *ret_days)
{
    bool has[SPAN] = {false};
    size_t days = 0, left = 0;
    for (size_t i = 0; i < SYMBOLS; i++) {
        left += lacking[i].count > most;
        for (unsigned k = 0; lacking[i].count <= most && k < lacking[i].count; k++) {
            days += !has[lacking[i].days[k] - 20000];
            has[lacking[i].days[k] - 20000] = true;
        }
    }
    *ret_days = days;
    return days + left;
}

static void test_choosing(void **state)
{
    (void)state;
    long seed = getenv("SEED") ? atol(getenv("SEED")) : 11;
    printf("SEED=%ld\n", seed);
    srand48(seed);
    for (int run = 0; run < 500; run++) {
        struct fetch_days lacking[SYMBOLS] = {0}, days;
        bool chosen[SYMBOLS], has[SPAN] = {false};
        size_t rest = 0, wanting = 0, ignored;
        double share = drand48();
        for (size_t i = 0; i < SYMBOLS; i++) {
            lacking[i].days = calloc(SPAN, sizeof(int32_t));
            int32_t from =
                drand48() < share ? SPAN - 1 - (int32_t)(drand48() * 3) : (int32_t)(drand48() * SPAN);
            for (int32_t d = from; d < SPAN && drand48() < 0.97; d++)
                lacking[i].days[lacking[i].count++] = 20000 + d;
            wanting += lacking[i].count > 0;
        }
        assert_int_equal(fetch_days_choose(&days, lacking, SYMBOLS, chosen), 0);
        for (unsigned i = 0; i < days.count; i++) {
            assert_true(i == 0 || days.days[i] > days.days[i - 1]);
            has[days.days[i] - 20000] = true;
        }
        for (size_t i = 0; i < SYMBOLS; i++) {
            assert_true(!chosen[i] || lacking[i].count);
            rest += !chosen[i] && lacking[i].count;
            for (unsigned k = 0; chosen[i] && k < lacking[i].count; k++)
                assert_true(has[lacking[i].days[k] - 20000]);
        }
        /* never dearer than a question a symbol, nor than any cut by the number of days */
        assert_true(days.count + rest <= wanting);
        for (unsigned most = 0; most <= SPAN; most++)
            assert_true(days.count + rest <= cost_of(lacking, most, &ignored));
        fetch_days_free(&days);
        for (size_t i = 0; i < SYMBOLS; i++)
            fetch_days_free(&lacking[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_missing), cmocka_unit_test(test_choosing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
