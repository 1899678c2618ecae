/* daemon/cache_time.h - the time of cached bars: periods of files, days, what may still change, when nothing
 * can have happened. Pure; all times are ms since 1970. */
#ifndef DAEMON_CACHE_TIME_H
#define DAEMON_CACHE_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "polygond/abi.h"

struct cache_range {
    int64_t from;
    int64_t to; /* not in it */
};

/* The stretch one file holds: a UTC day of bars shorter than a minute, a UTC month of bars shorter than an
 * hour, a UTC year of longer ones; so a file has at most CACHE_ROWS_MAX rows. */
#define CACHE_ROWS_MAX 86400u
struct cache_range cache_time_period(int64_t span_ms, int64_t t_ms);

/* Its name: "2026-11-25", "2026-11" or "2026". */
#define CACHE_PERIOD_MAX 16
void cache_time_name(char ret[CACHE_PERIOD_MAX], int64_t span_ms, int64_t t_ms);

/* Start of the market day t_ms lies in: New York's for stocks, options and indices, UTC's for the others. */
int64_t cache_time_day(enum pgd_cluster cluster, int64_t t_ms);

/* Bars before this are final. A day is final four hours after its end, so past the vendor's own corrections;
 * and only if the vendor has shown a bar of its late hours (`newest`: the last moment of the newest bar any
 * symbol has shown), a delayed or end-of-day feed having not said yet what happened, or if a week has passed:
 * no feed is that late. */
int64_t cache_time_settled(enum pgd_cluster cluster, int64_t now_ms, int64_t newest_ms);

/* True when no bar can begin in [from, to): for stocks, options and indices weekends and the hours from 20:00
 * to midnight in New York. The hours before 04:00 count as open: a split can take effect then. */
bool cache_time_idle(enum pgd_cluster cluster, int64_t from_ms, int64_t to_ms);

/* Adds a range to a sorted list of disjoint ones, joining those that touch. The list must have room for one
 * more. Returns the new count. */
unsigned cache_time_add(struct cache_range *ranges, unsigned count, struct cache_range range);

#endif
