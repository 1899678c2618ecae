/* Periods, days, what is final and when nothing can happen, on dates checked by hand. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "cache_name.h"
#include "cache_time.h"

#define HOUR INT64_C(3600000)
#define DAY  INT64_C(86400000)

static int64_t at(int year, int month, int day, int hour, int minute)
{
    struct tm tm = {
        .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute};
    return (int64_t)timegm(&tm) * 1000;
}

static void test_periods(void **state)
{
    (void)state;
    char name[CACHE_PERIOD_MAX];
    struct cache_range r = cache_time_period(60000, at(2026, 12, 31, 23, 59));
    assert_int_equal(r.from, at(2026, 12, 1, 0, 0));
    assert_int_equal(r.to, at(2027, 1, 1, 0, 0));
    cache_time_name(name, 60000, r.from);
    assert_string_equal(name, "2026-12");
    r = cache_time_period(1000, at(2026, 2, 28, 0, 0));
    assert_int_equal(r.to, at(2026, 3, 1, 0, 0));
    cache_time_name(name, 1000, r.from);
    assert_string_equal(name, "2026-02-28");
    r = cache_time_period(DAY, at(2024, 2, 29, 5, 0));
    assert_int_equal(r.from, at(2024, 1, 1, 0, 0));
    assert_int_equal(r.to, at(2025, 1, 1, 0, 0));
    cache_time_name(name, DAY, r.from);
    assert_string_equal(name, "2024");
    r = cache_time_period(1000, -1); /* before 1970 */
    assert_int_equal(r.from, -DAY);
    assert_int_equal(r.to, 0);
}

static void test_new_york_days(void **state)
{
    (void)state;
    assert_int_equal(cache_time_day(PGD_STOCKS, at(2026, 1, 15, 12, 0)), at(2026, 1, 15, 5, 0));
    assert_int_equal(cache_time_day(PGD_STOCKS, at(2026, 7, 15, 3, 59)), at(2026, 7, 14, 4, 0));
    /* the days the clocks change: 8 March and 1 November 2026 */
    assert_int_equal(cache_time_day(PGD_STOCKS, at(2026, 3, 8, 20, 0)), at(2026, 3, 8, 5, 0));
    assert_int_equal(cache_time_day(PGD_STOCKS, at(2026, 3, 9, 20, 0)), at(2026, 3, 9, 4, 0));
    assert_int_equal(cache_time_day(PGD_STOCKS, at(2026, 11, 1, 20, 0)), at(2026, 11, 1, 4, 0));
    assert_int_equal(cache_time_day(PGD_CRYPTO, at(2026, 7, 15, 3, 59)), at(2026, 7, 15, 0, 0));
}

static void test_what_is_final(void **state)
{
    (void)state;
    int64_t close = at(2026, 7, 14, 23, 59); /* 19:59 in New York */
    /* at 03:59 of the next day the day before may still change, at 04:00 it is final */
    assert_int_equal(cache_time_settled(PGD_STOCKS, at(2026, 7, 15, 7, 59), close), at(2026, 7, 14, 4, 0));
    assert_int_equal(cache_time_settled(PGD_STOCKS, at(2026, 7, 15, 8, 0), close), at(2026, 7, 15, 4, 0));
    /* a feed that has shown nothing since eleven in the morning says nothing about the afternoon */
    assert_int_equal(cache_time_settled(PGD_STOCKS, at(2026, 7, 16, 12, 0), at(2026, 7, 14, 15, 0)),
                     at(2026, 7, 14, 4, 0));
    /* but after a week everything has been told */
    assert_int_equal(cache_time_settled(PGD_STOCKS, at(2026, 7, 23, 12, 0), at(2026, 7, 14, 15, 0)),
                     at(2026, 7, 16, 4, 0));
    /* Friday's late bars end Friday, and the clock of Sunday adds nothing that was shown */
    assert_int_equal(cache_time_settled(PGD_STOCKS, at(2026, 7, 19, 12, 0), at(2026, 7, 17, 23, 0)),
                     at(2026, 7, 18, 4, 0));
    assert_int_equal(cache_time_settled(PGD_CRYPTO, at(2026, 7, 16, 4, 0), at(2026, 7, 16, 3, 58)),
                     at(2026, 7, 16, 0, 0));
}

static void test_idle(void **state)
{
    (void)state;
    int64_t friday20 = at(2026, 7, 18, 0, 0), saturday = at(2026, 7, 18, 4, 0),
            monday = at(2026, 7, 20, 4, 0);
    assert_true(cache_time_idle(PGD_STOCKS, friday20, monday));
    assert_true(cache_time_idle(PGD_STOCKS, saturday, saturday + HOUR));
    assert_false(cache_time_idle(PGD_STOCKS, friday20 - 1, monday));
    assert_false(cache_time_idle(PGD_STOCKS, friday20, monday + 1));
    assert_true(
        cache_time_idle(PGD_STOCKS, at(2026, 7, 15, 0, 0), at(2026, 7, 15, 4, 0))); /* Tuesday night */
    assert_false(cache_time_idle(PGD_CRYPTO, saturday, saturday + HOUR));
    assert_true(cache_time_idle(PGD_CRYPTO, saturday, saturday));
    assert_false(cache_time_idle(PGD_STOCKS, saturday, saturday + 400 * DAY));
}

static void test_ranges_join(void **state)
{
    (void)state;
    struct cache_range r[8];
    unsigned n = 0;
    n = cache_time_add(r, n, (struct cache_range){10, 20});
    n = cache_time_add(r, n, (struct cache_range){40, 50});
    n = cache_time_add(r, n, (struct cache_range){5, 5}); /* empty */
    n = cache_time_add(r, n, (struct cache_range){60, 70});
    assert_int_equal(n, 3);
    n = cache_time_add(r, n, (struct cache_range){20, 40}); /* touches both sides */
    assert_int_equal(n, 2);
    assert_int_equal(r[0].from, 10);
    assert_int_equal(r[0].to, 50);
    n = cache_time_add(r, n, (struct cache_range){0, 100});
    assert_int_equal(n, 1);
    assert_int_equal(r[0].from, 0);
    assert_int_equal(r[0].to, 100);
}

static void assert_file(const char *symbol, const char *name)
{
    char file[CACHE_FILE_MAX];
    assert_int_equal(cache_name_file(file, symbol, false), 0);
    assert_string_equal(file, name);
}

static void test_names(void **state)
{
    (void)state;
    char text[CACHE_WORD_MAX], file[CACHE_FILE_MAX];
    assert_file("AAPL", "AAPL.bars");
    assert_file("BRK.A", "BRK.A.bars");
    assert_file("KIMpL", "KIM=70L.bars");
    assert_file("KIMPL", "KIMPL.bars");
    assert_file("X:BTC-USD", "X=3aBTC-USD.bars");
    assert_file("N/A", "N=2fA.bars");
    assert_file("..", "=2e..bars");
    assert_file("../../etc/passwd", "=2e.=2f..=2f=65=74=63=2f=70=61=73=73=77=64.bars");
    assert_file("=", "=3d.bars");
    assert_int_equal(cache_name_file(file, "", false), -EINVAL);
    assert_int_equal(cache_name_file(file, "01234567890123456789012345678901234567890123456A", false),
                     -EINVAL);
    /* the longest symbol of the dearest bytes */
    assert_int_equal(cache_name_file(file, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true), 0);
    assert_int_equal(cache_name_host(text, "https://API.massive.com/x?y"), 0);
    assert_string_equal(text, "api.massive.com");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_periods),       cmocka_unit_test(test_new_york_days),
        cmocka_unit_test(test_what_is_final), cmocka_unit_test(test_idle),
        cmocka_unit_test(test_ranges_join),   cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
