/* daemon/fetch.h - history of many symbols, one after the other in the order asked, in bounded memory: from
 * the cache what it knows for good, from REST the rest, which is kept in the cache.
 *
 * Each symbol's window is cut into pieces (fetch_plan.h); the pieces of this symbol and of those behind it
 * are fetched side by side, at most `ahead` in memory at a time, and handed over in order. A piece is in the
 * cache as soon as it has come, so who is interrupted and asks again asks for no more than what is missing.
 *
 * Prices are adjusted for splits at the time of the question, so rows of the cache and rows of now must not
 * stand in one table unseen: a piece that is asked for next to one that is known is asked for with the known
 * one's last or first row, and before any row of the symbol is handed over. Where that row has other prices
 * now, all of the symbol is forgotten and fetched anew. Main thread. */
#ifndef DAEMON_FETCH_H
#define DAEMON_FETCH_H

#include <uv.h>

#include "cache.h"
#include "rest.h"

struct fetch_symbol {
    char name[PGD_SYMBOL_MAX]; /* canonical */
    enum pgd_cluster cluster;
    struct cache_range window; /* rows that begin in it */
};

/* Rows on their way out: give each back with fetch_taken, in any order. */
struct fetch_batch {
    const struct fetch_symbol *symbol;
    const struct pgd_bar *bars; /* starts rising, also from batch to batch */
    size_t count;
    bool first;               /* of the symbol */
    bool last;                /* it has no rows */
    struct fetch_batch *next; /* the receiver's */
};

enum fetch_trouble {
    FETCH_UNKNOWN = 1, /* the vendor does not know the symbol */
    FETCH_DENIED,      /* the plan does not include it */
    FETCH_FAILED,      /* else: its rows are not all there */
    FETCH_REFUSED,     /* rows of it, which are not in the table */
    FETCH_EMPTY,       /* known, but nothing happened in its window */
    FETCH_STOPPED      /* all of it: no symbol; the key was refused, or the network is gone */
};

struct fetch_hooks {
    void (*batch)(void *user, struct fetch_batch *batch);
    /* symbol NULL: of all. */
    void (*trouble)(void *user, enum fetch_trouble what, const struct fetch_symbol *symbol, const char *why);
    /* Once: every batch was given back; or what was under way when it was interrupted or stopped is over. */
    void (*done)(void *user);
    void *user;
};

struct fetch_options {
    uv_loop_t *loop;
    struct cache *cache; /* NULL: none */
    struct rest *rest;   /* NULL: none can be had */
    const char *no_rest; /* why */
    const char *timespan;
    int64_t span_ms;
    int64_t now_ms; /* bars that end later are left out */
    unsigned ahead; /* pieces */
    bool spread;    /* see fetch_plan_periods */
    bool scarce;
    struct fetch_hooks hooks;
};

struct fetch;

/* The symbols stay the caller's and as they are. Nothing is called from within. -ENOMEM. */
int fetch_new(struct fetch **ret, const struct fetch_options *options, const struct fetch_symbol *symbols,
              size_t count) __attribute__((warn_unused_result));
void fetch_free(struct fetch *fetch); /* after `done` */

void fetch_start(struct fetch *fetch);

void fetch_taken(struct fetch *fetch, struct fetch_batch *batch);

/* Nothing new is begun. rest_free is called behind this: what has come of the pieces under way is kept. */
void fetch_stop(struct fetch *fetch);

struct fetch_progress {
    const struct fetch_symbol *symbol; /* whose rows are handed over; NULL: none any more */
    size_t symbols_done;
    uint64_t rows;
    double share;  /* of the time asked for, over all symbols: 0 to 1 */
    uint64_t kept; /* pieces that came over REST and are in the cache */
};
struct fetch_progress fetch_progress(const struct fetch *fetch);

#endif
