/* step/session.h - New York time and sessions, in integers.
 *
 * Daylight time, from 02:00 standard to 02:00 daylight time on these Sundays: since 2007 the second of March
 * to the first of November; 1987 to 2006 the first of April to the last of October; before that the last of
 * April to the last of October, but from 6 January in 1974 and from 23 February in 1975. */
#ifndef STEP_SESSION_H
#define STEP_SESSION_H

#include "step/step.h"

#define PGK_DAY_MS  INT64_C(86400000)
#define PGK_HOUR_MS INT64_C(3600000)

PGK_FN int64_t pgk_floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days since 1970-01-01 of a Gregorian date, month 1 to 12. */
PGK_FN int64_t pgk_days(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year; /* the year begins in March, so that the leap day is its last */
    int64_t m = month <= 2 ? month + 9 : month - 3;
    int64_t before = 365 * y + pgk_floor_div(y, 4) - pgk_floor_div(y, 100) + pgk_floor_div(y, 400);
    return before + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* Gregorian year of a day since 1970-01-01. */
PGK_FN int64_t pgk_year(int64_t days)
{
    int64_t year = 1970 + pgk_floor_div(days * 400, 146097);
    while (pgk_days(year, 1, 1) > days)
        year--;
    while (pgk_days(year + 1, 1, 1) <= days)
        year++;
    return year;
}

/* First Sunday on or after a day. 1970-01-01 was a Thursday. */
PGK_FN int64_t pgk_sunday(int64_t days)
{
    int64_t weekday = (days + 4) - 7 * pgk_floor_div(days + 4, 7);
    return weekday == 0 ? days : days + 7 - weekday;
}

/* The Sunday on which daylight time begins. */
PGK_FN int64_t pgk_daylight_first(int64_t year)
{
    if (year >= 2007)
        return pgk_sunday(pgk_days(year, 3, 8));
    if (year >= 1987)
        return pgk_sunday(pgk_days(year, 4, 1));
    if (year == 1974)
        return pgk_days(1974, 1, 6);
    if (year == 1975)
        return pgk_days(1975, 2, 23);
    return pgk_sunday(pgk_days(year, 4, 24));
}

/* The Sunday on which it ends. */
PGK_FN int64_t pgk_daylight_last(int64_t year)
{
    return year >= 2007 ? pgk_sunday(pgk_days(year, 11, 1)) : pgk_sunday(pgk_days(year, 10, 25));
}

/* Offset of New York from UTC in seconds; constant within a UTC hour. */
PGK_FN int32_t pgk_offset(int64_t t_ms)
{
    int64_t year = pgk_year(pgk_floor_div(t_ms, PGK_DAY_MS));
    int64_t from = pgk_daylight_first(year) * PGK_DAY_MS + 7 * PGK_HOUR_MS;
    int64_t to = pgk_daylight_last(year) * PGK_DAY_MS + 6 * PGK_HOUR_MS;
    return t_ms >= from && t_ms < to ? -14400 : -18000;
}

/* Keys of the regular (09:30 to 16:00) and extended (04:00 to 20:00) session of a bar that starts at t_ms:
 * the New York date. */
PGK_FN void pgk_session_keys(int64_t t_ms, int32_t offset_s, int32_t ret[2])
{
    int64_t local = t_ms + (int64_t)offset_s * 1000;
    int64_t day = pgk_floor_div(local, PGK_DAY_MS);
    int64_t minute = (local - day * PGK_DAY_MS) / 60000;
    ret[0] = minute >= 570 && minute < 960 ? (int32_t)day : PGK_NO_SESSION;
    ret[1] = minute >= 240 && minute < 1200 ? (int32_t)day : PGK_NO_SESSION;
}

/* Series without sessions: both are the UTC day. */
PGK_FN void pgk_session_utc(int64_t t_ms, int32_t ret[2])
{
    ret[0] = ret[1] = (int32_t)pgk_floor_div(t_ms, PGK_DAY_MS);
}

#endif
