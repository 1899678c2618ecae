/* daemon/fetch_days.h - which days of daily bars are cheaper to ask for of the whole market at once than
 * symbol by symbol. Pure. */
#ifndef DAEMON_FETCH_DAYS_H
#define DAEMON_FETCH_DAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache_range;

/* Days of New York since 1970, rising. */
struct fetch_days {
    int32_t *days;
    unsigned count;
};

/* The days that begin in [from, to) and are no weekends, but for those wholly in one of the sorted, disjoint
 * ranges. There is room for as many more as there are ranges. -ENOMEM. */
int fetch_days_missing(struct fetch_days *ret, int64_t from_ms, int64_t to_ms,
                       const struct cache_range *known, unsigned known_count)
    __attribute__((warn_unused_result));
/* One more; nothing when it is there. */
void fetch_days_add(struct fetch_days *days, int32_t day);
void fetch_days_free(struct fetch_days *days);

/* Of `count` symbols, each with the days it lacks: those that together lack so few days that asking for these
 * costs less than a question a symbol. chosen[i]: symbol i is among them; *ret: the days. None: it never
 * pays. -ENOMEM. */
int fetch_days_choose(struct fetch_days *ret, const struct fetch_days *lacking, size_t count, bool *chosen)
    __attribute__((warn_unused_result));

/* Start and end of a day, ms. */
int64_t fetch_day_start(int32_t day);

#endif
