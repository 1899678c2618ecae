/* fixture_engine.h - one series with a history, and the engine under test over it. */
#ifndef FIXTURE_ENGINE_H
#define FIXTURE_ENGINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/reference.h"
#include "reference/segment.h"

#define ROWS 3000u

struct world {
    struct pgk_plan *plan;
    struct pgk_engine *engine;
    struct ref_segment segment;
    struct ref_market market;
    struct pgd_bar bars[ROWS];
    uint64_t count;
};

static void append(struct world *w, uint64_t rows)
{
    for (uint64_t i = 0; i < rows; i++) {
        ref_market_next(&w->market, &w->bars[w->count]);
        (void)ref_append(&w->segment, 0, &w->bars[w->count++]);
    }
}

static struct pgk_change compute(struct world *w, uint64_t from)
{
    struct pgk_change change = {.from = from, .end = w->count};
    assert_int_equal(pgk_engine_compute(w->engine, 0, &change, 1), 0);
    return change;
}

static void revise(struct world *w, uint64_t row)
{
    w->bars[row].c += w->bars[row].c / 1024;
    w->bars[row].h = fmax(w->bars[row].h, w->bars[row].c);
    ref_revise(&w->segment, 0, row, &w->bars[row]);
}

static struct world *world_new(const char *const *names, size_t count, uint32_t capacity, uint64_t rows)
{
    struct world *w = calloc(1, sizeof *w);
    char err[128] = "";
    if (w == NULL || pgk_plan_new(&w->plan, names, count, err, sizeof err) != 0)
        fail_msg("%s", err);
    ref_segment_init(&w->segment, w->plan, 1, capacity, 16, false);
    ref_open(&w->segment, 0, PGD_SESSION_US);
    ref_market_init(&w->market, 42, 100);
    w->engine = ref_engine(w->plan, &w->segment);
    while (w->count < rows) {
        uint64_t from = w->count;
        append(w, rows - from < 16 ? rows - from : 16);
        (void)compute(w, from);
    }
    return w;
}

static void world_free(struct world *w)
{
    pgk_engine_free(w->engine);
    ref_segment_fini(&w->segment);
    pgk_plan_free(w->plan);
    free(w);
}

/* The units are those of a fresh stream, and nothing is left pending. */
static void expect_streamed(struct world *w)
{
    struct ref_segment fresh;
    ref_stream(&fresh, w->plan, w->bars, w->count, w->segment.geo.capacity, PGD_SESSION_US);
    assert_int_equal(ref_difference(&w->segment, &fresh), w->count);
    assert_int_equal(ref_series(&w->segment, 0)->computed, w->count);
    assert_int_equal(ref_series(&w->segment, 0)->recompute, 0);
    ref_segment_fini(&fresh);
}

static void restart(struct world *w)
{
    pgk_engine_free(w->engine);
    w->engine = ref_engine(w->plan, &w->segment);
}

static const char *const settling[] = {"sma_20", "ema_12", "rsi_14", "macd", "bb", "atr_14", "stoch"};
#define SETTLING (sizeof settling / sizeof settling[0])

#endif
