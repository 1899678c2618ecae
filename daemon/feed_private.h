/* daemon/feed_private.h - what the files of the feed share: feed.c (events and their account), feed_bars.c
 * (rows), feed_ticks.c (trades and quotes), feed_fill.c (what comes over REST). */
#ifndef DAEMON_FEED_PRIVATE_H
#define DAEMON_FEED_PRIVATE_H

#include "clock.h"
#include "feed.h"
#include "feed_tap.h"
#include "seen.h"

#define FEED_HELD_MAX 16384u /* bars held back at a time, all symbols together */

/* A bar that waits for its symbol's history. */
struct feed_held {
    struct pgd_bar bar;
    uint32_t next; /* + 1; 0: last */
};

struct feed_source {
    struct feed *feed;
    enum pgd_cluster cluster;
    int64_t newest_ns; /* of the records the stream brought */
    int64_t tick_ns;   /* of the trades and quotes among them */
};

/* What the stream brought last of a symbol. 0: nothing yet. */
struct feed_mark {
    int64_t trade_ns;
    int64_t quote_ns;
    int64_t bar_ms[BUS_BARS_MAX]; /* start of the newest, by segment */
    double volume[BUS_BARS_MAX];  /* of the day, as it said; NaN: unknown */
};

enum feed_tick { FEED_TRADES, FEED_QUOTES };

/* A trade or quote of the stream between its arrival and the question whether it is known. */
struct feed_pending {
    enum feed_tick kind;
    struct seen_key key;
    union {
        struct pgd_trade trade;
        struct pgd_quote quote;
    };
};
#define FEED_PENDING 8u /* a power of two: what is asked for meanwhile is there by its turn */

struct feed {
    struct bus *bus;
    struct symbols *symbols;
    struct worker *worker;
    struct feed_hooks hooks;
    struct feed_source sources[PGD_CLUSTERS];
    int seconds; /* segment of 1s bars, -1: none */
    int minutes;

    struct feed_held *pool;
    uint32_t pool_free;           /* + 1 */
    uint32_t *held[BUS_BARS_MAX]; /* per symbol: first held bar + 1, newest first */
    uint32_t waiting;             /* held bars */

    struct feed_mark *marks; /* by series */
    struct seen *live[2]; /* what the stream brought, and what REST did: trades, quotes; NULL: no such tape */
    struct seen *filled[2];
    struct feed_pending pending[FEED_PENDING]; /* none at a batch's end */
    uint32_t pending_in, pending_out;

    /* counts of the batch, added to the board at its end */
    uint64_t received, published, trades, quotes;
    int64_t newest_ms;
    struct clock clock;
    bool stamped;            /* the stream said when the batch was received */
    struct journal *journal; /* NULL: none */
    bool bars_changed;
};

static inline void feed_count(struct feed *f, enum pgd_counter_id id)
{
    pgd_count(&f->bus->board, id, 1);
}

/* feed_bars.c: puts one bar where its start belongs; the counter of the stream's account it ends in. `flags`:
 * of the bar, when it is no row yet. */
enum pgd_counter_id feed_place(struct feed *f, unsigned segment, uint32_t series, const struct pgd_bar *bar,
                               uint16_t flags, uint32_t change);
/* Rows [first, end) changed: the engine is told at the batch's end. */
void feed_note(struct feed *f, unsigned segment, uint32_t series, uint64_t first, uint64_t end,
               uint32_t flags);
bool feed_is_second(enum event_type type);
void feed_take_bar(struct feed *f, struct symbol *symbol, const struct event *e);

/* feed_ticks.c */
int feed_ticks_new(struct feed *f, enum feed_tick kind) __attribute__((warn_unused_result));
void feed_take_trade(struct feed *f, struct symbol *symbol, const struct event *e);
void feed_take_quote(struct feed *f, struct symbol *symbol, const struct event *e);
void feed_settle_ticks(struct feed *f); /* those that are pending */

#endif
