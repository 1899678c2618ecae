/* A daemon's write side without a daemon: board, bars.1m, bars.1s, trades, quotes of one instance, written by
 * hand. For tests of clients. */
#ifndef TESTS_CLI_WRITER_H
#define TESTS_CLI_WRITER_H

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "shm/board.h"
#include "shm/series.h"
#include "shm/tapes.h"
#include "shm/wake.h"

#define WRITER_COLUMNS 3

struct writer {
    char instance[PGD_INSTANCE_MAX];
    struct pgd_board_writer board;
    struct pgd_bars minutes, seconds;
    struct pgd_tape_segment trades, quotes;
};

struct writer_size {
    uint32_t symbols, rows, log, tape;
    const char *control;
};

static inline int writer_bars(struct writer *w, struct pgd_bars *bars, const char *timespan, int64_t span_ms,
                              const struct writer_size *size)
{
    static const struct pgd_column columns[WRITER_COLUMNS] = {
        {"sma_20", "price"}, {"rsi_14", "points"}, {"vwap", "price"}};
    struct pgd_owner owner = pgd_board_owner(&w->board, w->instance);
    struct pgd_bars_config config = {.timespan = timespan,
                                     .span_ms = span_ms,
                                     .series_max = size->symbols,
                                     .capacity = size->rows,
                                     .log_capacity = size->log,
                                     .columns = columns,
                                     .column_count = WRITER_COLUMNS,
                                     .state_size = 64,
                                     .state_slots = 1,
                                     .state_every = 64};
    char name[PGD_SEGMENT_MAX];
    int r = pgd_bars_own(bars, &owner, &config);
    snprintf(name, sizeof name, "bars.%s", timespan);
    return r < 0 ? r : pgd_board_add_segment(&w->board, name, PGD_KIND_BARS, bars->map.size);
}

static inline int writer_tape(struct writer *w, struct pgd_tape_segment *tape, enum pgd_tapes kind,
                              const struct writer_size *size)
{
    struct pgd_owner owner = pgd_board_owner(&w->board, w->instance);
    int r = pgd_tapes_own(tape, &owner, kind, size->tape, size->symbols);
    const char *name = kind == PGD_TAPES_TRADES ? "trades" : "quotes";
    return r < 0 ? r : pgd_board_add_segment(&w->board, name, PGD_KIND_TAPE, tape->map.size);
}

/* Opens the instance as a daemon at its start does. */
static inline int writer_open(struct writer *w, const char *instance, const struct writer_size *size)
{
    struct pgd_board_config config = {.symbol_max = size->symbols,
                                      .error_max = 8,
                                      .control = size->control ? size->control : "",
                                      .version = "0.1.0",
                                      .mode = 0600,
                                      .gid = (gid_t)-1};
    char name[PGD_INSTANCE_MAX];
    snprintf(name, sizeof name, "%s", instance);
    memset(w, 0, sizeof *w);
    memcpy(w->instance, name, sizeof name);
    int r = pgd_board_own(&w->board, w->instance, &config);
    if (r == 0)
        r = writer_bars(w, &w->minutes, "1m", 60000, size);
    if (r == 0)
        r = writer_bars(w, &w->seconds, "1s", 1000, size);
    if (r == 0)
        r = writer_tape(w, &w->trades, PGD_TAPES_TRADES, size);
    if (r == 0)
        r = writer_tape(w, &w->quotes, PGD_TAPES_QUOTES, size);
    if (r < 0)
        return r;
    pgd_board_set_engine(&w->board, "cpu: for the test");
    pgd_board_set_run(&w->board, PGD_RUN_RUNNING);
    pgd_board_beat(&w->board);
    return 0;
}

/* Lets go as a daemon that dies: nothing is said, the lock is dropped, the segments stay. */
static inline void writer_drop(struct writer *w)
{
    pgd_bars_close(&w->minutes);
    pgd_bars_close(&w->seconds);
    pgd_tapes_close(&w->trades);
    pgd_tapes_close(&w->quotes);
    pgd_board_close(&w->board);
}

static inline void writer_remove(const char *instance)
{
    static const char *const names[] = {"board", "bars.1m", "bars.1s", "trades", "quotes"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)pgd_segment_unlink(instance, names[i]);
}

/* Adds a live symbol with all topics; its index. */
static inline int32_t writer_symbol(struct writer *w, const char *name)
{
    int32_t i = pgd_board_add_symbol(&w->board, name, strlen(name), PGD_STOCKS);
    if (i < 0)
        return i;
    struct pgd_symbol *s = &w->board.symbols[i];
    s->state = PGD_SYM_LIVE;
    s->warm = 1;
    s->wanted = s->acked = PGD_TRADES | PGD_QUOTES | PGD_BARS_1S | PGD_BARS_1M;
    pgd_bars_open_series(&w->minutes, (uint32_t)i, PGD_SESSION_US);
    pgd_bars_open_series(&w->seconds, (uint32_t)i, PGD_SESSION_US);
    pgd_board_notify(&w->board);
    return i;
}

/* The engine's part: indicators of row `index` at its present revision. */
static inline void writer_units(struct pgd_bars *bars, uint32_t symbol, uint64_t index, const double *columns)
{
    const struct pgd_bars_geometry *g = bars->geo;
    struct pgd_bar bar;
    pgd_bars_peek(bars, symbol, index, &bar);
    uint64_t *unit = (uint64_t *)(void *)(bars->map.base + g->unit_offset + symbol * g->rows_stride +
                                          index % g->capacity * g->unit_stride);
    uint64_t gen = (shm_load64(unit) + 1) & 0xffff;
    shm_store64(unit, PGD_UNIT_TAG(index, 1, gen));
    shm_fence_release();
    shm_copy_in(unit + 1, columns, g->columns);
    shm_store64_release(unit, PGD_UNIT_TAG(index, bar.rev, gen));
    struct pgd_series *s =
        (struct pgd_series *)(void *)(bars->map.base + g->series_offset + symbol * g->series_stride);
    if (s->computed <= index)
        shm_store64_release(&s->computed, index + 1);
}

static inline void writer_log(struct pgd_bars *bars, uint32_t symbol, uint32_t flags, uint64_t first,
                              uint64_t count, uint64_t rows)
{
    struct pgd_change c = {.symbol = symbol, .flags = flags, .first = first, .bars = count, .rows = rows};
    pgd_tape_put(&bars->log, &c);
    pgd_tape_publish(&bars->log);
}

/* Appends a row with indicators and reports it. */
static inline uint64_t writer_append(struct pgd_bars *bars, uint32_t symbol, const struct pgd_bar *bar,
                                     const double *columns)
{
    uint64_t index = pgd_bars_append(bars, symbol, bar);
    writer_units(bars, symbol, index, columns);
    writer_log(bars, symbol, PGD_CHANGE_APPEND, index, 1, 1);
    return index;
}

static inline int writer_revise(struct pgd_bars *bars, uint32_t symbol, uint64_t index,
                                const struct pgd_bar *bar, const double *columns)
{
    int r = pgd_bars_revise(bars, symbol, index, bar);
    if (r < 0)
        return r;
    writer_units(bars, symbol, index, columns);
    writer_log(bars, symbol, PGD_CHANGE_REVISE, index, 1, pgd_bars_head(bars, symbol) - index);
    return 0;
}

static inline void writer_trade(struct writer *w, const struct pgd_trade *trade)
{
    pgd_tape_put(&w->trades.writer, trade);
    pgd_tape_put_latest(&w->trades.writer, trade->symbol, trade);
}

static inline void writer_quote(struct writer *w, const struct pgd_quote *quote)
{
    pgd_tape_put(&w->quotes.writer, quote);
    pgd_tape_put_latest(&w->quotes.writer, quote->symbol, quote);
}

#endif
