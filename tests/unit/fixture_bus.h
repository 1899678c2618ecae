/* A bus of its own for a test: instance named by the pid, removed at the end. */
#ifndef TESTS_FIXTURE_BUS_H
#define TESTS_FIXTURE_BUS_H

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus.h"
#include "feed.h"
#include "symbols.h"
#include "worker.h"

struct fixture {
    char instance[32];
    struct config config;
    struct config_bars bars[2];
    struct pgk_plan *plan;
    struct pgk_engine *engine;
    struct bus bus;
    struct symbols *symbols;
    struct worker *worker;
    struct feed *feed;
    unsigned dropped;
    unsigned engine_failures;
    unsigned drained; /* set in the worker's thread */
};

static inline struct symbol *fixture_unheld(void *user, enum pgd_cluster cluster, struct event_text text)
{
    (void)user, (void)cluster, (void)text;
    return NULL;
}

static inline void fixture_dropped(void *user, enum pgd_cluster cluster, const char *reason,
                                   struct event_text raw)
{
    (void)cluster, (void)reason, (void)raw;
    ((struct fixture *)user)->dropped++;
}

static inline void fixture_failed(void *user, int error)
{
    (void)error;
    ((struct fixture *)user)->engine_failures++;
}

static inline void fixture_drained(void *user)
{
    __atomic_store_n(&((struct fixture *)user)->drained, 1, __ATOMIC_RELEASE);
}

static inline void fixture_open(struct fixture *f, uint32_t symbols, uint32_t rows)
{
    static char one_s[] = "1s", one_m[] = "1m", none[] = "";
    static unsigned serial;
    char err[256] = "";
    if (!f->instance[0])
        snprintf(f->instance, sizeof f->instance, "t%ld-%u", (long)getpid(), serial++);
    f->bars[0] = (struct config_bars){one_s, rows};
    f->bars[1] = (struct config_bars){one_m, rows};
    f->config.instance = f->instance;
    f->config.bus.symbols = symbols;
    f->config.bus.bars = f->bars;
    f->config.bus.bars_count = 2;
    f->config.bus.trades = f->config.bus.quotes = 1024;
    f->config.bus.errors = 8;
    f->config.bus.group = none;
    f->config.bus.mode = 0600;
    assert_int_equal(pgk_plan_new(&f->plan, NULL, 0, err, sizeof err), 0);
    assert_int_equal(
        pgk_engine_new(&f->engine, f->plan, &(struct pgk_engine_options){.kind = PGK_AUTO}, err, sizeof err),
        0);
    int r = bus_open(&f->bus, &f->config, f->plan, "", (gid_t)-1, err, sizeof err);
    if (r < 0)
        fail_msg("bus_open: %s", err);
    assert_int_equal(symbols_new(&f->symbols, &f->bus.board, symbols), 0);
    struct worker_hooks worker_hooks = {.failed = fixture_failed, .drained = fixture_drained, .user = f};
    assert_int_equal(worker_new(&f->worker, &f->bus, f->engine, &worker_hooks), 0);
    struct feed_hooks hooks = {.unheld = fixture_unheld, .dropped = fixture_dropped, .user = f};
    assert_int_equal(feed_new(&f->feed, &f->bus, f->symbols, f->worker, &hooks), 0);
    assert_int_equal(worker_start(f->worker), 0);
}

/* Closes as a daemon does at its end; the segments stay. */
static inline void fixture_close(struct fixture *f)
{
    worker_free(f->worker);
    feed_free(f->feed);
    symbols_free(f->symbols);
    bus_close(&f->bus);
    pgk_engine_free(f->engine);
    pgk_plan_free(f->plan);
}

static inline void fixture_remove(struct fixture *f)
{
    static const char *const names[] = {"board", "bars.1s", "bars.1m", "trades", "quotes"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)pgd_segment_unlink(f->instance, names[i]);
}

static inline struct symbol *fixture_take(struct fixture *f, const char *name, enum pgd_cluster cluster,
                                          bool hold)
{
    struct symbol *symbol = NULL;
    assert_int_equal(symbols_add(f->symbols, &symbol, name, cluster), 0);
    symbol->held = true;
    feed_open_symbol(f->feed, symbol, hold);
    return symbol;
}

static inline uint64_t fixture_counter(const struct fixture *f, enum pgd_counter_id id)
{
    return shm_load64(&f->bus.board.counters[id].value);
}

static inline struct pgd_bar fixture_bar(int64_t t, double price)
{
    return (struct pgd_bar){
        .t = t, .o = price, .h = price + 1, .l = price - 1, .c = price + 0.5, .v = 100, .vw = price, .n = 3};
}

static inline void fixture_send_bar(struct fixture *f, const char *symbol, enum event_type type,
                                    const struct pgd_bar *bar)
{
    struct event e = {.type = type, .class = EVENT_CLASS_BAR, .symbol = {symbol, strlen(symbol)}};
    e.bar.bar = *bar;
    e.bar.day = (struct pgd_day){.t = bar->t, .op = NAN, .av = NAN, .a = NAN};
    struct parse_sink sink = feed_sink(f->feed, PGD_STOCKS);
    sink.event(sink.user, &e);
}

#endif
