#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

#include "kernels/engine.h"

static int64_t utc_ms(int year, int month, int day, int hour, int minute, int second)
{
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    return (int64_t)timegm(&tm) * 1000;
}

/* The second before and the second of each change, by the law of its time. */
static void changes(void **state)
{
    (void)state;
    static const struct {
        int year, month, day, hour;
        int32_t before, after;
    } want[] = {
        {1967, 4, 30, 7, -18000, -14400}, {1967, 10, 29, 6, -14400, -18000}, {1974, 1, 6, 7, -18000, -14400},
        {1975, 2, 23, 7, -18000, -14400}, {1986, 4, 27, 7, -18000, -14400},  {1987, 4, 5, 7, -18000, -14400},
        {2006, 4, 2, 7, -18000, -14400},  {2006, 10, 29, 6, -14400, -18000}, {2007, 3, 11, 7, -18000, -14400},
        {2007, 11, 4, 6, -14400, -18000}, {2024, 3, 10, 7, -18000, -14400},  {2024, 11, 3, 6, -14400, -18000},
        {2026, 3, 8, 7, -18000, -14400},  {2026, 11, 1, 6, -14400, -18000},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        int64_t at = utc_ms(want[i].year, want[i].month, want[i].day, want[i].hour, 0, 0);
        assert_int_equal(pgk_new_york_offset(at - 1), want[i].before);
        assert_int_equal(pgk_new_york_offset(at), want[i].after);
    }
}

/* At 00:00 UTC it is still yesterday in New York. */
static void day_is_new_yorks(void **state)
{
    (void)state;
    int32_t day = (int32_t)(utc_ms(2024, 1, 15, 0, 0, 0) / 86400000);
    assert_int_equal(pgk_new_york_day(utc_ms(2024, 1, 15, 0, 0, 0)), day - 1);
    assert_int_equal(pgk_new_york_day(utc_ms(2024, 1, 15, 5, 0, 0) - 1), day - 1);
    assert_int_equal(pgk_new_york_day(utc_ms(2024, 1, 15, 5, 0, 0)), day);
    assert_int_equal(pgk_new_york_day(utc_ms(1970, 1, 1, 0, 0, 0)), -1);
    int32_t summer = (int32_t)(utc_ms(2024, 7, 15, 0, 0, 0) / 86400000);
    assert_int_equal(pgk_new_york_day(utc_ms(2024, 7, 15, 4, 0, 0) - 1), summer - 1);
    assert_int_equal(pgk_new_york_day(utc_ms(2024, 7, 15, 4, 0, 0)), summer);
}

/* The C library's time zone table, where there is one, for every half hour of 1967 to 2037. */
static void as_the_system(void **state)
{
    (void)state;
    assert_int_equal(setenv("TZ", "America/New_York", 1), 0);
    tzset();
    time_t summer = (time_t)(utc_ms(2024, 7, 1, 12, 0, 0) / 1000);
    struct tm tm;
    if (localtime_r(&summer, &tm) == NULL || tm.tm_gmtoff != -14400)
        skip(); /* no tzdata here */
    for (int64_t t = utc_ms(1967, 1, 1, 5, 0, 0); t < utc_ms(2037, 12, 31, 0, 0, 0); t += 1800000) {
        time_t at = (time_t)(t / 1000);
        (void)localtime_r(&at, &tm);
        if (pgk_new_york_offset(t) != tm.tm_gmtoff)
            fail_msg("%lld: %d, system %ld", (long long)t, pgk_new_york_offset(t), tm.tm_gmtoff);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes),
        cmocka_unit_test(day_is_new_yorks),
        cmocka_unit_test(as_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
