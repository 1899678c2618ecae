/* daemon/feed.h - events to published records and rows: which symbol, new or revised or late, and the account
 * of all that came.
 *
 * Every data event received ends in exactly one counter: published, duplicate, malformed, refused, unwanted,
 * too old, counted or unknown. Bars of a symbol whose history is still being fetched are held back for a
 * moment (from a pool taken at start) so that rows come in order; feed_release lets them go. Main thread. */
#ifndef DAEMON_FEED_H
#define DAEMON_FEED_H

#include "bus.h"
#include "event.h"
#include "parse.h"
#include "symbols.h"
#include "worker.h"

struct feed;

struct feed_hooks {
    /* A wildcard brought a symbol that is not held: take it in? Returns it, or NULL. */
    struct symbol *(*unheld)(void *user, enum pgd_cluster cluster, struct event_text symbol);
    /* An event was dropped (for the log; called for each). */
    void (*dropped)(void *user, enum pgd_cluster cluster, const char *reason, struct event_text raw);
    void *user;
};

int feed_new(struct feed **ret, struct bus *bus, struct symbols *symbols, struct worker *worker,
             const struct feed_hooks *hooks) __attribute__((warn_unused_result));
void feed_free(struct feed *feed);

/* A sink for the events of one cluster; valid as long as the feed. */
struct parse_sink feed_sink(struct feed *feed, enum pgd_cluster cluster);

/* End of a read batch: heads released, readers of the tapes woken, the worker kicked, counters brought up to
 * date. */
void feed_batch(struct feed *feed, uint64_t bytes, uint64_t messages);

/* Opens the symbol's series. `hold`: keep its bars back until feed_release, once per segment. */
void feed_open_symbol(struct feed *feed, struct symbol *symbol, bool hold);

/* Rows fetched over REST, oldest first, of segment `segment`: appended, inserted or compared like any other
 * bar. */
void feed_history(struct feed *feed, struct symbol *symbol, unsigned segment, const struct pgd_bar *bars,
                  size_t count);

/* Rows that the cache had, oldest first. Those newer than the series' newest are appended in one go. */
void feed_cached(struct feed *feed, struct symbol *symbol, unsigned segment, const struct pgd_bar *bars,
                 size_t count);
void feed_release(struct feed *feed, struct symbol *symbol, unsigned segment);

/* Start of the newest bar published or held, 0 when there is none. */
int64_t feed_last_bar(const struct feed *feed, const struct symbol *symbol, unsigned segment);

/* The later of the wall clock and the newest event's time, in ms: "now" as the market sees it. */
int64_t feed_now_ms(const struct feed *feed);

#endif
