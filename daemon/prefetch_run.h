/* daemon/prefetch_run.h - warms what will be asked for: for every half hour, `prefetch.lead_minutes` before
 * it begins, the history of the symbols expected in it (prefetch.h) that are not held is brought into the
 * cache, in the class of requests that waits for all others. Nothing is subscribed and nothing published:
 * when the client comes, its rows are on disk. What clients ask for is kept beside the cache, in
 * DIRECTORY/prefetch.INSTANCE. Main thread. */
#ifndef DAEMON_PREFETCH_RUN_H
#define DAEMON_PREFETCH_RUN_H

#include "cache_app.h"
#include "feed.h"
#include "prefetch.h"
#include "rest.h"
#include "symbols.h"

struct prefetch_run;

struct prefetch_parts {
    uv_loop_t *loop;
    const struct config *config;
    struct bus *bus;
    struct symbols *symbols;
    struct feed *feed;
    struct rest *rest;
    const struct cache_app *cache;
    size_t warm_rows;
};

/* -ENOMEM. A file that cannot be read is said, and begun anew. */
int prefetch_run_new(struct prefetch_run **ret, const struct prefetch_parts *parts)
    __attribute__((warn_unused_result));

/* After the loop has ended; keeps what was learned. */
void prefetch_run_free(struct prefetch_run *run);

/* A client asked for a symbol that exists; `held`: it was held already, so there was nothing to guess. */
void prefetch_run_asked(struct prefetch_run *run, const char *symbol, enum pgd_cluster cluster, bool held);

/* Once a second. */
void prefetch_run_tick(struct prefetch_run *run);

#endif
