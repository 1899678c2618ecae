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

/* A stretch of UTC time, ms, `until` excluded. */
struct pgk_season {
    int64_t from;
    int64_t until;
    int32_t offset; /* New York's from UTC, in seconds */
};

/* The stretch around t_ms in which the offset does not change, within a UTC year. */
PGK_FN struct pgk_season pgk_season(int64_t t_ms)
{
    int64_t year = pgk_year(pgk_floor_div(t_ms, PGK_DAY_MS));
    int64_t from = pgk_daylight_first(year) * PGK_DAY_MS + 7 * PGK_HOUR_MS;
    int64_t to = pgk_daylight_last(year) * PGK_DAY_MS + 6 * PGK_HOUR_MS;
    struct pgk_season ret;
    ret.from = t_ms < from ? pgk_days(year, 1, 1) * PGK_DAY_MS : t_ms < to ? from : to;
    ret.until = t_ms < from ? from : t_ms < to ? to : pgk_days(year + 1, 1, 1) * PGK_DAY_MS;
    ret.offset = t_ms >= from && t_ms < to ? -14400 : -18000;
    return ret;
}

/* Offset of New York from UTC in seconds. */
PGK_FN int32_t pgk_offset(int64_t t_ms)
{
    return pgk_season(t_ms).offset;
}

/* A stretch of UTC time, ms, in which both session keys are these: the New York date between 09:30 and 16:00
 * (key[0]) and between 04:00 and 20:00 (key[1]), or PGK_NO_SESSION. */
struct pgk_span {
    int64_t from;
    int64_t until;
    int32_t key[2];
};

/* The span of a bar that starts at t_ms. */
PGK_FN struct pgk_span pgk_span_us(int64_t t_ms)
{
    struct pgk_season season = pgk_season(t_ms);
    int64_t local = t_ms + (int64_t)season.offset * 1000;
    int64_t day = pgk_floor_div(local, PGK_DAY_MS);
    int64_t minute = (local - day * PGK_DAY_MS) / 60000;
    int64_t first = minute < 240 ? 0 : minute < 570 ? 240 : minute < 960 ? 570 : minute < 1200 ? 960 : 1200;
    int64_t last = minute < 240 ? 240 : minute < 570 ? 570 : minute < 960 ? 960 : minute < 1200 ? 1200 : 1440;
    int64_t midnight = day * PGK_DAY_MS - (int64_t)season.offset * 1000;
    struct pgk_span ret;
    ret.from = midnight + first * 60000;
    ret.until = midnight + last * 60000;
    ret.from = ret.from > season.from ? ret.from : season.from;
    ret.until = ret.until < season.until ? ret.until : season.until;
    ret.key[0] = first == 570 ? (int32_t)day : PGK_NO_SESSION;
    ret.key[1] = first >= 240 && last <= 1200 ? (int32_t)day : PGK_NO_SESSION;
    return ret;
}

/* Series without sessions: both keys are the UTC day. */
PGK_FN struct pgk_span pgk_span_utc(int64_t t_ms)
{
    int64_t day = pgk_floor_div(t_ms, PGK_DAY_MS);
    struct pgk_span ret;
    ret.from = day * PGK_DAY_MS;
    ret.until = ret.from + PGK_DAY_MS;
    ret.key[0] = ret.key[1] = (int32_t)day;
    return ret;
}

PGK_FN struct pgk_span pgk_span(int64_t t_ms, bool utc)
{
    return utc ? pgk_span_utc(t_ms) : pgk_span_us(t_ms);
}

#endif
