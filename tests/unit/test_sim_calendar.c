/* New York time and sessions, against dates known from the exchange's own calendars. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "kernels/engine.h"
#include "polysim/calendar.h"
#include "polysim/options.h"

static int32_t day_of(int year, int month, int day)
{
    return sim_calendar_days((struct sim_date){year, month, day});
}

static void test_dates(void **state)
{
    (void)state;
    assert_int_equal(day_of(1970, 1, 1), 0);
    assert_int_equal(day_of(1990, 1, 1), SIM_FIRST_DAY);
    assert_int_equal(day_of(2099, 12, 31), SIM_LAST_DAY);
    for (int32_t day = -1000; day < SIM_LAST_DAY; day++)
        assert_int_equal(sim_calendar_days(sim_calendar_date(day)), day);
    assert_int_equal(sim_calendar_weekday(day_of(2026, 3, 4)), 3);
}

/* Against the C library's zone data, every 6 hours and 7 minutes for 60 years. */
static void test_offset(void **state)
{
    (void)state;
    setenv("TZ", "America/New_York", 1);
    tzset();
    time_t probe = 1700000000;
    struct tm tm;
    localtime_r(&probe, &tm);
    if (tm.tm_gmtoff == 0)
        skip(); /* no zone data here */
    for (int64_t t = 631152000; t < 2524608000; t += 22020) {
        time_t at = (time_t)t;
        localtime_r(&at, &tm);
        assert_int_equal(sim_calendar_offset(t * 1000), tm.tm_gmtoff);
        assert_int_equal(sim_calendar_minute(t * 1000), tm.tm_hour * 60 + tm.tm_min);
        assert_int_equal(sim_calendar_new_york_day(t * 1000),
                         day_of(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday));
    }
}

/* Two people's arithmetic of the same thing. */
static void test_offset_of_the_kernels(void **state)
{
    (void)state;
    for (int64_t t = INT64_C(631152000000); t < INT64_C(2524608000000); t += 1799999) {
        assert_int_equal(sim_calendar_offset(t), pgk_new_york_offset(t));
        assert_int_equal(sim_calendar_new_york_day(t), pgk_new_york_day(t));
    }
}

static void test_midnight(void **state)
{
    (void)state;
    for (int32_t day = SIM_FIRST_DAY; day < SIM_LAST_DAY; day++) {
        int64_t midnight = sim_calendar_midnight(day);
        assert_int_equal(sim_calendar_new_york_day(midnight), day);
        assert_int_equal(sim_calendar_new_york_day(midnight - 1), day - 1);
    }
}

static void test_holidays(void **state)
{
    (void)state;
    static const struct sim_date closed[] = {
        {2021, 1, 1},   {2021, 12, 24}, {2022, 6, 20}, {2022, 12, 26}, {2023, 1, 2},
        {2023, 4, 7},   {2024, 3, 29},  {2024, 6, 19}, {2025, 1, 20},  {2025, 2, 17},
        {2025, 4, 18},  {2025, 5, 26},  {2025, 7, 4},  {2025, 9, 1},   {2025, 11, 27},
        {2025, 12, 25}, {2026, 4, 3},   {2026, 7, 3},  {2026, 3, 7},   {2026, 3, 8},
    };
    static const struct sim_date early[] = {{2023, 7, 3}, {2024, 7, 3},   {2024, 11, 29}, {2024, 12, 24},
                                            {2025, 7, 3}, {2025, 11, 28}, {2026, 12, 24}};
    static const struct sim_date full[] = {{2020, 6, 19},  {2021, 6, 18}, {2021, 12, 31},
                                           {2022, 7, 5},   {2021, 7, 2},  {2026, 7, 2},
                                           {2022, 12, 23}, {2020, 7, 2},  {2025, 10, 13}};
    for (size_t i = 0; i < sizeof(closed) / sizeof(*closed); i++)
        assert_int_equal(sim_calendar_kind(sim_calendar_days(closed[i]), NULL), SIM_DAY_CLOSED);
    for (size_t i = 0; i < sizeof(early) / sizeof(*early); i++)
        assert_int_equal(sim_calendar_kind(sim_calendar_days(early[i]), NULL), SIM_DAY_EARLY);
    for (size_t i = 0; i < sizeof(full) / sizeof(*full); i++)
        assert_int_equal(sim_calendar_kind(sim_calendar_days(full[i]), NULL), SIM_DAY_FULL);
    assert_int_equal(sim_calendar_index(day_of(2025, 1, 1)) - sim_calendar_index(day_of(2024, 1, 1)), 252);
    assert_int_equal(sim_calendar_index(day_of(2024, 1, 1)) - sim_calendar_index(day_of(2023, 1, 1)), 250);
}

static void test_phases(void **state)
{
    (void)state;
    static const struct {
        int minute;
        enum sim_phase phase;
    } full[] = {{239, SIM_CLOSED},  {240, SIM_PRE},   {569, SIM_PRE},    {570, SIM_REGULAR},
                {959, SIM_REGULAR}, {960, SIM_AFTER}, {1199, SIM_AFTER}, {1200, SIM_CLOSED}};
    int64_t wednesday = sim_calendar_midnight(day_of(2026, 3, 4)),
            friday = sim_calendar_midnight(day_of(2025, 11, 28));
    for (size_t i = 0; i < sizeof(full) / sizeof(*full); i++)
        assert_int_equal(sim_calendar_stocks(wednesday + full[i].minute * SIM_MINUTE), full[i].phase);
    assert_int_equal(sim_calendar_stocks(friday + 779 * SIM_MINUTE), SIM_REGULAR);
    assert_int_equal(sim_calendar_stocks(friday + 780 * SIM_MINUTE), SIM_AFTER);
    assert_int_equal(sim_calendar_stocks(friday + 1020 * SIM_MINUTE), SIM_CLOSED);
    assert_false(sim_calendar_forex(wednesday - 3 * SIM_DAY + 1019 * SIM_MINUTE)); /* Sunday */
    assert_true(sim_calendar_forex(wednesday - 3 * SIM_DAY + 1020 * SIM_MINUTE));
}

static void start_is(const char *text, int64_t wall, int64_t want)
{
    int64_t t = 0;
    assert_int_equal(sim_options_start(text, wall, &t), 0);
    assert_int_equal(t, want);
}

static void test_start(void **state)
{
    (void)state;
    int64_t wednesday = sim_calendar_midnight(day_of(2026, 3, 4)),
            sunday = sim_calendar_midnight(day_of(2026, 3, 8));
    int64_t t = 7;
    start_is("2026-03-04T10:30", 0, wednesday + 630 * SIM_MINUTE);
    start_is("2026-03-04T10:30:05", 0, wednesday + 630 * SIM_MINUTE + 5000);
    start_is("2026-03-04", 0, wednesday + 585 * SIM_MINUTE);
    start_is("1772636400000", 0, INT64_C(1772636400000));
    start_is("2026-03-08T09:45", 0, sunday + 525 * SIM_MINUTE); /* the clocks went forward at 02:00 */
    start_is("now", wednesday + 630 * SIM_MINUTE + 123, wednesday + 630 * SIM_MINUTE + 123);
    start_is("now", wednesday + 950 * SIM_MINUTE, wednesday + 600 * SIM_MINUTE); /* the close is near */
    start_is("now", sunday + 60 * SIM_MINUTE, sim_calendar_midnight(day_of(2026, 3, 6)) + 600 * SIM_MINUTE);
    start_is("now", wednesday + 60 * SIM_MINUTE, wednesday - SIM_DAY + 600 * SIM_MINUTE);
    static const char *const bad[] = {
        "", "soon", "2026-3-4", "2026-13-04", "2026-03-04T25:00", "2026-03-04T10", "1", "2150-01-01"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_true(sim_options_start(bad[i], 0, &t) < 0);
    assert_int_equal(t, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_offset),
        cmocka_unit_test(test_offset_of_the_kernels),
        cmocka_unit_test(test_midnight),
        cmocka_unit_test(test_holidays),
        cmocka_unit_test(test_phases),
        cmocka_unit_test(test_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
