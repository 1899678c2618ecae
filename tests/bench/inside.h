/* inside.h - what a daemon is without its network, for benches: bus, symbols, worker, engine, feed. Whatever
 * goes wrong ends the program. */
#ifndef BENCH_INSIDE_H
#define BENCH_INSIDE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus.h"
#include "feed.h"
#include "symbols.h"
#include "worker.h"

struct inside {
    char instance[32];
    struct config config;
    struct config_bars bars;
    struct pgk_plan *plan;
    struct pgk_engine *engine;
    struct bus bus;
    struct symbols *symbols;
    struct worker *worker;
    struct feed *feed;
};

struct inside_options {
    const char *name; /* what tells it from others of the process */
    uint32_t symbols;
    uint32_t rows;   /* of bars of a minute */
    uint32_t trades; /* slots of the tape, 0: none */
    enum pgk_kind kind;
    void (*drained)(void *user); /* in the worker's thread; NULL: nobody wants to know */
    void *user;
};

_Noreturn static inline void inside_die(const char *what)
{
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
    exit(1);
}

static inline struct symbol *inside_unheld(void *user, enum pgd_cluster cluster, struct event_text text)
{
    (void)user, (void)cluster, (void)text;
    return NULL;
}

static inline void inside_dropped(void *user, enum pgd_cluster cluster, const char *reason,
                                  struct event_text raw)
{
    (void)user, (void)cluster, (void)raw;
    inside_die(reason);
}

static inline void inside_failed(void *user, int error)
{
    (void)user;
    inside_die(strerror(-error));
}

static inline void inside_open(struct inside *d, const struct inside_options *o)
{
    static char timespan[] = "1m", none[] = "";
    char err[256] = "";
    snprintf(d->instance, sizeof d->instance, "bench%ld%s", (long)getpid(), o->name);
    d->bars = (struct config_bars){timespan, o->rows};
    d->config.instance = d->instance;
    d->config.bus.symbols = o->symbols;
    d->config.bus.bars = &d->bars;
    d->config.bus.bars_count = 1;
    d->config.bus.trades = o->trades;
    d->config.bus.errors = 8;
    d->config.bus.group = none;
    d->config.bus.mode = 0600;
    struct feed_hooks hooks = {.unheld = inside_unheld, .dropped = inside_dropped};
    struct worker_hooks worker_hooks = {.failed = inside_failed, .drained = o->drained, .user = o->user};
    if (pgk_plan_new(&d->plan, NULL, 0, err, sizeof err) < 0 ||
        pgk_engine_new(&d->engine, d->plan, &(struct pgk_engine_options){.kind = o->kind}, err, sizeof err) <
            0 ||
        bus_open(&d->bus, &d->config, d->plan, "", (gid_t)-1, err, sizeof err) < 0)
        inside_die(err);
    if (symbols_new(&d->symbols, &d->bus.board, o->symbols) < 0 ||
        worker_new(&d->worker, &d->bus, d->engine, &worker_hooks) < 0 ||
        feed_new(&d->feed, &d->bus, d->symbols, d->worker, &hooks) < 0 || worker_start(d->worker) < 0)
        inside_die("out of memory");
}

static inline void inside_close(struct inside *d)
{
    static const char *const names[] = {"board", "bars.1m", "trades"};
    worker_free(d->worker);
    feed_free(d->feed);
    symbols_free(d->symbols);
    bus_close(&d->bus);
    pgk_engine_free(d->engine);
    pgk_plan_free(d->plan);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)pgd_segment_unlink(d->instance, names[i]);
}

#endif
