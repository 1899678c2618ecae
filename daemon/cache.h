/* daemon/cache.h - fetched history on disk: what was asked of REST once is not asked again.
 *
 * One flat file a symbol, timespan and period (cache_file.h, cache_name.h), replaced whole by rename under a
 * lock on its folder, so that several daemons and imports can work on one cache. A file that is damaged, cut
 * short or somebody else's is set aside and counts as not there. A cache holds nothing that cannot be fetched
 * again, so files are not fsynced: what a power cut leaves of them fails its sum.
 *
 * What is final and what is not: see cache_time_settled. Prices are adjusted for splits by the vendor at the
 * time of the question, so a split rewrites the past. It is found when bars that were final come again with
 * other prices (every question for what is missing begins at the last final row, so at least one does); then
 * everything of the symbol is dropped. Imported files are not adjusted: they are kept apart, serve only while
 * no step between two days among the rows served looks like a split, and are dropped when the vendor's
 * adjusted rows disagree.
 *
 * Every function may be called from any thread. Nothing here logs. */
#ifndef DAEMON_CACHE_H
#define DAEMON_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache_time.h"

struct cache;

struct cache_options {
    const char *directory;
    const char *host; /* rest.url: whose data this is */
    uint64_t max_bytes;
    /* A file was set aside, and why. From any thread. NULL: nobody wants to know. */
    void (*damaged)(void *user, const char *path, const char *why);
    void *user;
};

/* Creates the folders. -EACCES, -EROFS, ... when they cannot be written. */
int cache_open(struct cache **ret, const struct cache_options *options) __attribute__((warn_unused_result));
void cache_close(struct cache *cache);
const char *cache_place(const struct cache *cache); /* its directory */

/* Where the cache is when the configuration does not say: $CACHE_DIRECTORY, else $XDG_CACHE_HOME/polygond,
 * else $HOME/.cache/polygond. -ENOENT: none of these. */
int cache_directory(char *ret, size_t size) __attribute__((warn_unused_result));

struct cache_key {
    const char *symbol; /* canonical */
    enum pgd_cluster cluster;
    int64_t span_ms;
};

/* Rows found. Zeroed before the first use; its memory is used again by each cache_load. */
struct cache_rows {
    const struct pgd_bar *bars; /* starts rising */
    size_t count;
    int64_t ask_ms; /* REST must be asked from here to the end of the window; INT64_MAX: nothing is missing */
    void *memory;
};
void cache_rows_fini(struct cache_rows *rows);

struct cache_window {
    int64_t from_ms; /* bars that begin in [from_ms, to_ms) */
    int64_t to_ms;
    size_t least; /* of these, so many of the newest are needed (all of them, where there are fewer) */
    size_t limit; /* and as many more as there are, up to this; >= least */
};

/* Rows without a hole: from the oldest that is needed (or further back) to the first stretch that was never
 * fetched. The last ones may still be subject to revision: then ask_ms lies before them. Where the oldest row
 * needed is missing there are none, and ask_ms is the start of what was not fetched. */
int cache_load(struct cache *cache, const struct cache_key *key, const struct cache_window *window,
               struct cache_rows *ret) __attribute__((warn_unused_result));

/* Stretches that are known for good: fetched and final. */
struct cache_known {
    struct cache_range *ranges; /* sorted, disjoint */
    unsigned count;
    unsigned room;
    bool imported; /* some were imported */
};

/* What is known of [from_ms, to_ms), from the heads of the files alone; `imported`: imported rows count too.
 * *ret is zeroed before the first use. */
int cache_known(struct cache *cache, const struct cache_key *key, const struct cache_range *window,
                bool imported, struct cache_known *ret) __attribute__((warn_unused_result));
void cache_known_fini(struct cache_known *known);

/* A step in price that a split could have made and a market hardly ever does, from one day to the next. */
bool cache_looks_split(enum pgd_cluster cluster, const struct pgd_bar *before, const struct pgd_bar *after);

struct cache_fetched {
    int64_t from_ms; /* every bar that began in [from_ms, to_ms) is among `bars` */
    int64_t to_ms;
    const struct pgd_bar *bars; /* starts rising; flags as they were fetched */
    size_t count;
    int64_t now_ms;
    bool raw; /* an import: final, not adjusted */
    bool add; /* rows of the range that are there already stay, but those that begin when a new one does */
};

/* Keeps them. -ESTALE: final rows had other prices; all of the symbol was dropped and nothing kept: fetch the
 * whole window again. -EINVAL: a bar outside the range, out of order or impossible. Else what the system
 * said (-ENOSPC, ...): then nothing is lost but the copy. */
int cache_store(struct cache *cache, const struct cache_key *key, const struct cache_fetched *fetched)
    __attribute__((warn_unused_result));

/* Forgets a symbol: all timespans, all periods. */
void cache_drop(struct cache *cache, const char *symbol, enum pgd_cluster cluster);

/* Looks at every file of the directory, and removes the least recently used ones when they are too large
 * together; also what killed writers left. Called at start; cache_store calls it when it must. */
void cache_trim(struct cache *cache);

struct cache_stats {
    uint64_t bytes;   /* of the directory, as far as known */
    uint64_t stored;  /* files written */
    uint64_t damaged; /* files set aside */
    uint64_t evicted; /* files removed for room */
    uint64_t stale;   /* symbols dropped since the past was rewritten */
};
struct cache_stats cache_stats(const struct cache *cache);

#endif
