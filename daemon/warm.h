/* daemon/warm.h - the cache, off the loop: rows are read and checked, and kept, on libuv's threads; what was
 * asked for comes back on the loop in small helpings.
 *
 * Questions are taken in batches of at most WARM_BATCH_ROWS rows, WARM_BATCHES at a time, so that thousands
 * of symbols neither hold up the loop nor take memory for more than these. What is to be kept waits in memory
 * up to WARM_KEEP_BYTES; beyond that it is not kept, and counted. Main thread. */
#ifndef DAEMON_WARM_H
#define DAEMON_WARM_H

#include <uv.h>

#include "cache.h"

#define WARM_BATCH_ROWS 16384u
#define WARM_BATCH_MAX  64u /* questions */
#define WARM_BATCHES    4u
#define WARM_KEEP_BYTES (64u << 20)

struct warm;

/* `batch`: called on the loop after each batch of answers. */
int warm_new(struct warm **ret, uv_loop_t *loop, struct cache *cache, void (*batch)(void *user), void *user)
    __attribute__((warn_unused_result));

/* Ends what waits (done with -ECANCELED); what is to be kept still is. Then the loop runs until all is done,
 * and warm_free frees. */
void warm_close(struct warm *warm);
void warm_free(struct warm *warm);

struct warm_question {
    struct cache_key key; /* copied */
    struct cache_window window;
    bool urgent; /* before those that wait */
};

/* As of cache_load. Without rows and ask_ms == from_ms when anything went wrong. */
struct warm_answer {
    const struct pgd_bar *bars; /* during the call */
    size_t count;
    int64_t ask_ms;
    int error; /* 0, -ECANCELED */
};

struct warm_hooks {
    /* On a thread of the pool, when so many rows have been found: room for them can be made. May be NULL. */
    void (*ready)(void *user, size_t rows);
    void (*done)(void *user, const struct warm_answer *answer);
    void *user;
};

/* `done` comes once, never from within the call. -ENOMEM, -ECANCELED: closed. */
int warm_ask(struct warm *warm, const struct warm_question *question, const struct warm_hooks *hooks)
    __attribute__((warn_unused_result));

/* Keeps what was fetched: see cache_store. The rows are copied. `done` comes with the result, -ESTALE: all is
 * to be fetched again; -ECANCELED: closed meanwhile. False, and `done` does not come: not kept. */
bool warm_keep(struct warm *warm, const struct cache_key *key, const struct cache_fetched *fetched,
               void (*done)(void *user, int result), void *user);

/* Fetched stretches that were not kept: too many waited, or the cache could not be written. */
uint64_t warm_skipped(const struct warm *warm);

#endif
