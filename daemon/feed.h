/* daemon/feed.h - events to published records and rows: which symbol, new or revised or late, and the account
 * of all that came.
 *
 * Every data event received ends in exactly one counter: published, duplicate, malformed, refused, unwanted,
 * too old, counted or unknown; every row received over REST in published, duplicate, refused, unwanted or too
 * old. Bars of a symbol whose history is still being fetched are held back for a moment (from a pool taken at
 * start; events_waiting says how many) so that rows come in order; feed_release lets them go.
 *
 * A trade is known by its symbol, exchange, reporting facility, id and (UTC) day, whatever else its sequence
 * number and time say; the stream's times are cut to ms, REST's are not. A quote with a sequence number is
 * known by all that it says. A trade without an id, and a quote without that number, is as well; but two of
 * those may be alike: the stream's are all published, and of those that REST has too, as many are dropped as
 * the stream brought. docs/gaps.md says how far back this is remembered. Main thread. */
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
    /* Records of [from, to) may be missing although the connection stands: an event could not be read, or the
     * day's volume says so. May be NULL. */
    void (*hole)(void *user, struct symbol *symbol, enum pgd_topic topic, int64_t from_ns, int64_t to_ns,
                 enum pgd_gap_why why);
    /* feed_covered was called. May be NULL. */
    void (*covered)(void *user, struct symbol *symbol, enum pgd_topic topic, int64_t from_ns, int64_t to_ns);
    void *user;
};

int feed_new(struct feed **ret, struct bus *bus, struct symbols *symbols, struct worker *worker,
             const struct feed_hooks *hooks) __attribute__((warn_unused_result));
void feed_free(struct feed *feed);

/* Every call from here on that publishes, or decides what will be, is written to the journal as well; frames
 * are the stream's business. NULL: no more. */
struct journal;
void feed_tap(struct feed *feed, struct journal *journal);

/* The feed's "now", to be driven by a replay. */
struct clock;
struct clock *feed_clock(struct feed *feed);

/* What comes until the end of the batch was received then. */
void feed_stamp(struct feed *feed, int64_t real_ns);

/* A sink for the events of one cluster; valid as long as the feed. */
struct parse_sink feed_sink(struct feed *feed, enum pgd_cluster cluster);

/* End of a read batch: heads released, readers of the tapes woken, the worker kicked, counters brought up to
 * date. */
void feed_batch(struct feed *feed, uint64_t bytes, uint64_t messages);

/* Opens the symbol's series. `hold`: keep its bars back until feed_release, once per segment. */
void feed_open_symbol(struct feed *feed, struct symbol *symbol, bool hold);

/* Its events are unwanted from here on; its rows stay. */
void feed_close_symbol(struct feed *feed, struct symbol *symbol);

/* Rows fetched over REST, oldest first, of segment `segment`: appended, inserted or compared like any other
 * bar. */
void feed_history(struct feed *feed, struct symbol *symbol, unsigned segment, const struct pgd_bar *bars,
                  size_t count);

/* Rows that the cache had, oldest first. Those newer than the series' newest are appended in one go. */
void feed_cached(struct feed *feed, struct symbol *symbol, unsigned segment, const struct pgd_bar *bars,
                 size_t count);
void feed_release(struct feed *feed, struct symbol *symbol, unsigned segment);

/* A fetch of history has succeeded: every bar with its start in [from, to) is there. */
void feed_covered(struct feed *feed, struct symbol *symbol, unsigned segment, int64_t from_ms, int64_t to_ms);

/* Rows and records that REST had for a hole. Those that were missing are published, marked PGD_BAR_FILLED
 * (start in [from, to)) or PGD_FILLED; a bar that differs is a revision. Returns how many were published.
 * Publish the batch with feed_batch. */
size_t feed_fill_bars(struct feed *feed, struct symbol *symbol, unsigned segment, const struct pgd_bar *bars,
                      size_t count, int64_t from_ms, int64_t to_ms);
size_t feed_fill_trades(struct feed *feed, struct symbol *symbol, const struct pgd_trade *trades,
                        size_t count);
size_t feed_fill_quotes(struct feed *feed, struct symbol *symbol, const struct pgd_quote *quotes,
                        size_t count);

/* REST rows that reach none of the above: not such rows; or rows nobody needs (of a bar that still forms,
 * beyond what is kept). For the account. */
void feed_rest_refused(struct feed *feed, uint64_t count);
void feed_rest_unwanted(struct feed *feed, uint64_t count);

/* Start of the newest bar published or held, 0 when there is none. */
int64_t feed_last_bar(const struct feed *feed, const struct symbol *symbol, unsigned segment);

/* The newest time up to which the stream has surely delivered this topic of the symbol, in ns; of bars: the
 * first start that may be missing. 0: unknown, nothing ever came. `alone`: as its own records say, not as
 * those of the cluster's other symbols do; of an earlier run and of a time when it was not subscribed only
 * they tell. */
int64_t feed_known_until(const struct feed *feed, const struct symbol *symbol, enum pgd_topic topic,
                         bool alone);

/* Time of the newest trade or quote that a cluster's stream brought, ns; 0: none. */
int64_t feed_tick_ns(const struct feed *feed, enum pgd_cluster cluster);

/* The connection of a cluster broke: what is known of the day's volumes is no measure any more. */
void feed_lost(struct feed *feed, enum pgd_cluster cluster);

/* Segment and span (ns) of the bars of a topic; -1: the topic has no bars, or they are not kept. */
int feed_segment(const struct feed *feed, enum pgd_topic topic, int64_t *ret_span_ns);

/* The later of the wall clock and the newest event's time, in ms: "now" as the market sees it. */
int64_t feed_now_ms(const struct feed *feed);

#endif
