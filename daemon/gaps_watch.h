/* daemon/gaps_watch.h - where holes come from: connections that end, runs that were not, symbols that come
 * back, events that could not be read. Tells the ledger (gaps.h), the board, the counters and the log.
 *
 * A pair's records are known up to what feed_known_until says when its connection ends, and from its next
 * acknowledgement on; between the two is a hole. Sequence numbers are no evidence: the vendor's repeat, run
 * backwards and have holes of their own. Main thread. */
#ifndef DAEMON_GAPS_WATCH_H
#define DAEMON_GAPS_WATCH_H

#include "feed.h"
#include "gaps.h"

struct gaps_watch;

struct gaps_watch_hooks {
    void (*changed)(void *user); /* a hole may be due sooner than before; may be NULL */
    void *user;
};

/* Takes up the holes of an adopted board. A hole may be filled `fill_after_ms` after its end. */
int gaps_watch_new(struct gaps_watch **ret, struct bus *bus, struct symbols *symbols, struct feed *feed,
                   uint32_t fill_after_ms, const struct gaps_watch_hooks *hooks)
    __attribute__((warn_unused_result));
void gaps_watch_free(struct gaps_watch *watch);

/* Every symbol of this run is wanted now: holes of others are given up. */
void gaps_watch_started(struct gaps_watch *watch);

struct gaps *gaps_watch_ledger(struct gaps_watch *watch);

/* These topics of the symbol are wanted from a stream now, and were not before. `warm`: history is asked for
 * at this moment. */
void gaps_watch_wanted(struct gaps_watch *watch, struct symbol *symbol, uint32_t topics, bool warm);
void gaps_watch_unwanted(struct gaps_watch *watch, const struct symbol *symbol, uint32_t topics);

/* The pair is acknowledged; refused; lost with its connection (`silence`: because nothing arrived). */
void gaps_watch_held(struct gaps_watch *watch, const struct symbol *symbol, enum pgd_topic topic);
void gaps_watch_refused(struct gaps_watch *watch, const struct symbol *symbol, enum pgd_topic topic);
void gaps_watch_lost(struct gaps_watch *watch, const struct symbol *symbol, enum pgd_topic topic,
                     bool silence);

/* feed_hooks.hole and .covered. */
void gaps_watch_hole(struct gaps_watch *watch, const struct symbol *symbol, enum pgd_topic topic,
                     int64_t from_ns, int64_t to_ns, enum pgd_gap_why why);
void gaps_watch_covered(struct gaps_watch *watch, const struct symbol *symbol, enum pgd_topic topic,
                        int64_t from_ns, int64_t to_ns);

/* A bar that the stream never sent was found, and is published. */
void gaps_watch_found(struct gaps_watch *watch, const struct symbol *symbol, enum pgd_topic topic,
                      int64_t from_ns, int64_t to_ns);

/* The hole's end was noted by the wall clock, of which a delayed feed knows nothing: what the stream has
 * brought since says better where the market was. Cuts the hole to that, if it can; never below it. */
void gaps_watch_settle(struct gaps_watch *watch, uint32_t row);

#endif
