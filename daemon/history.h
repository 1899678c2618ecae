/* daemon/history.h - bars that warm the indicators: at start, for new symbols, and in REST-only mode again
 * and again. From the cache first; REST is asked for what the cache has not, and what came is kept there.
 *
 * A symbol with rows of an earlier run is brought up to date from its last row on; one without gets as many
 * rows as the indicators need. Live bars wait for their history for HISTORY_HOLD_S at most; rows that come
 * later are inserted. Main thread. */
#ifndef DAEMON_HISTORY_H
#define DAEMON_HISTORY_H

#include "feed.h"
#include "rest.h"
#include "warm.h"

#define HISTORY_HOLD_S 15

struct history;

int history_new(struct history **ret, struct bus *bus, struct symbols *symbols, struct feed *feed,
                struct rest *rest, struct warm *warm, size_t warm_rows)
    __attribute__((warn_unused_result));    /* warm NULL: no cache */
void history_free(struct history *history); /* after rest was freed */

/* Fetches what is missing of every bars segment of `symbol`. -ENOMEM. Without memory, or on any failure, held
 * bars are let go. */
int history_want(struct history *history, struct symbol *symbol, enum rest_class class)
    __attribute__((warn_unused_result));

/* The same of one bars segment. */
int history_want_segment(struct history *history, struct symbol *symbol, unsigned segment,
                         enum rest_class class) __attribute__((warn_unused_result));

/* Once a second: lets bars go that waited for too long. */
void history_tick(struct history *history);

/* Requests under way or waiting. */
unsigned history_pending(const struct history *history);

#endif
