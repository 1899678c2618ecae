/* daemon/fetch_plan.h - a stretch of history cut into pieces: what the cache knows for good, and what REST
 * must be asked for. Pure. */
#ifndef DAEMON_FETCH_PLAN_H
#define DAEMON_FETCH_PLAN_H

#include "cache_time.h"

struct fetch_piece {
    struct cache_range range; /* rows that begin in it */
    bool known;               /* the cache has all of them, final */
};

struct fetch_plan {
    struct fetch_piece *pieces; /* in the order of time; between them nothing can have happened */
    unsigned count;
};

struct fetch_what {
    enum pgd_cluster cluster;
    int64_t span_ms;
    struct cache_range window;
    unsigned periods; /* of the cache's files, that a piece may touch at most; 1 or more */
};

/* `known`: of the window, sorted and disjoint. -ENOMEM. */
int fetch_plan_new(struct fetch_plan *ret, const struct fetch_what *what, const struct cache_range *known,
                   unsigned known_count) __attribute__((warn_unused_result));
void fetch_plan_free(struct fetch_plan *plan);

/* Periods a piece should touch, so that what is in memory at a time stays within bounds and few requests are
 * needed. `spread`: one symbol's pieces are asked for side by side, since there are not many symbols.
 * `scarce`: requests are counted by the minute. */
unsigned fetch_plan_periods(enum pgd_cluster cluster, int64_t span_ms, bool spread, bool scarce);

#endif
