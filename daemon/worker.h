/* daemon/worker.h - the engine's thread: rows that changed go in, indicators and the change log come out.
 *
 * The main thread notes changes (coalesced per series, no memory is taken) and kicks once a batch; the worker
 * computes, appends to the change log, and wakes the readers once per batch of its own.
 *
 * Rows of history wait up to two milliseconds for those of other series: the engine steps eight series at
 * nearly the price of one. Rows of the stream wait for nothing. */
#ifndef DAEMON_WORKER_H
#define DAEMON_WORKER_H

#include "bus.h"
#include "kernels/engine.h"

struct worker;

/* Called from the worker's thread. */
struct worker_hooks {
    void (*failed)(void *user, int error); /* the engine refuses to compute; at most once a second */
    void (*changed)(void *user,
                    const char *what); /* another engine goes on, and why; lasts as long as the engine */
    void (*drained)(
        void *user); /* there is room again after a kick that could not hand over all: kick once more */
    void *user;
};

int worker_new(struct worker **ret, struct bus *bus, struct pgk_engine *engine,
               const struct worker_hooks *hooks) __attribute__((warn_unused_result));

/* Reports what an adopted bus holds whose indicators cannot be trusted, then starts the thread. */
int worker_start(struct worker *worker) __attribute__((warn_unused_result));

/* Ends the thread after everything noted so far has been computed. */
void worker_free(struct worker *worker);

/* Rows [first, end) of a series have a new or replaced bar. flags: enum pgd_change_flag. Main thread. */
void worker_note(struct worker *worker, unsigned segment, uint32_t series, uint64_t first, uint64_t end,
                 uint32_t flags);

/* Hands what was noted to the thread. Main thread, once a batch; also to be called now and then, since what
 * did not fit waits. */
void worker_kick(struct worker *worker);

/* True when all that was noted has been computed. Main thread. */
bool worker_idle(const struct worker *worker);

/* True when work has waited for longer than `ns` without any progress. Main thread. */
bool worker_stalled(struct worker *worker, int64_t ns);

#endif
