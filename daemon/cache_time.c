#include "cache_time.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kernels/engine.h"

#define HOUR_MS   INT64_C(3600000)
#define DAY_MS    INT64_C(86400000)
#define MINUTE_MS INT64_C(60000)

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static struct tm utc(int64_t t_ms)
{
    time_t s = (time_t)floor_div(t_ms, 1000);
    struct tm tm = {0};
    gmtime_r(&s, &tm);
    return tm;
}

static int64_t utc_ms(int year, int month)
{
    struct tm tm = {.tm_year = year, .tm_mon = month, .tm_mday = 1};
    return (int64_t)timegm(&tm) * 1000;
}

struct cache_range cache_time_period(int64_t span_ms, int64_t t_ms)
{
    if (span_ms < MINUTE_MS) {
        int64_t from = floor_div(t_ms, DAY_MS) * DAY_MS;
        return (struct cache_range){from, from + DAY_MS};
    }
    struct tm tm = utc(t_ms);
    if (span_ms < HOUR_MS)
        return (struct cache_range){utc_ms(tm.tm_year, tm.tm_mon), utc_ms(tm.tm_year, tm.tm_mon + 1)};
    return (struct cache_range){utc_ms(tm.tm_year, 0), utc_ms(tm.tm_year + 1, 0)};
}

void cache_time_name(char ret[CACHE_PERIOD_MAX], int64_t span_ms, int64_t t_ms)
{
    struct tm tm = utc(t_ms);
    char day[CACHE_PERIOD_MAX];
    size_t n = strftime(day, sizeof day, "%Y-%m-%d", &tm); /* ten characters from the year 1000 to 9999 */
    size_t keep = span_ms < MINUTE_MS ? n : span_ms < HOUR_MS ? n - 3 : n - 6;
    snprintf(ret, CACHE_PERIOD_MAX, "%.*s", n < 6 ? 0 : (int)keep, day);
}

/* ---------------------------------------------------------------------------------------------------- days
 */

static bool new_york(enum pgd_cluster cluster)
{
    return cluster == PGD_STOCKS || cluster == PGD_OPTIONS || cluster == PGD_INDICES;
}

/* Midnight lies four or five hours into the UTC day; the clocks are changed at two. */
static int64_t new_york_midnight(int64_t day)
{
    return day * DAY_MS - pgk_new_york_offset(day * DAY_MS + 5 * HOUR_MS) * INT64_C(1000);
}

int64_t cache_time_day(enum pgd_cluster cluster, int64_t t_ms)
{
    if (!new_york(cluster))
        return floor_div(t_ms, DAY_MS) * DAY_MS;
    return new_york_midnight(pgk_new_york_day(t_ms));
}

static int64_t next_day(enum pgd_cluster cluster, int64_t day_ms)
{
    return cache_time_day(cluster, day_ms + DAY_MS + 2 * HOUR_MS);
}

int64_t cache_time_settled(enum pgd_cluster cluster, int64_t now_ms, int64_t newest_ms)
{
    int64_t by_clock = cache_time_day(cluster, now_ms - 4 * HOUR_MS);
    int64_t day = cache_time_day(cluster, newest_ms);
    int64_t late = new_york(cluster) ? 15 * HOUR_MS + 30 * MINUTE_MS : 23 * HOUR_MS;
    int64_t by_feed = newest_ms - day >= late ? next_day(cluster, day) : day;
    int64_t long_ago = cache_time_day(cluster, now_ms - 7 * DAY_MS);
    by_feed = by_feed > long_ago ? by_feed : long_ago;
    return by_clock < by_feed ? by_clock : by_feed;
}

bool cache_time_idle(enum pgd_cluster cluster, int64_t from_ms, int64_t to_ms)
{
    if (from_ms >= to_ms)
        return true;
    if (!new_york(cluster) || to_ms - from_ms > 7 * DAY_MS)
        return false;
    for (int64_t day = pgk_new_york_day(from_ms); day <= pgk_new_york_day(to_ms - 1); day++) {
        int64_t weekday = (day + 4) % 7; /* 0 Sunday; 1970-01-01 was a Thursday */
        int64_t open = new_york_midnight(day);
        if (weekday != 0 && weekday != 6 && from_ms < open + 20 * HOUR_MS && to_ms > open)
            return false;
    }
    return true;
}

unsigned cache_time_add(struct cache_range *ranges, unsigned count, struct cache_range range)
{
    unsigned first = 0;
    if (range.from >= range.to)
        return count;
    while (first < count && ranges[first].to < range.from)
        first++;
    unsigned end = first;
    for (; end < count && ranges[end].from <= range.to; end++) {
        range.from = ranges[end].from < range.from ? ranges[end].from : range.from;
        range.to = ranges[end].to > range.to ? ranges[end].to : range.to;
    }
    memmove(ranges + first + 1, ranges + end, (count - end) * sizeof *ranges);
    ranges[first] = range;
    return count - (end - first) + 1;
}
