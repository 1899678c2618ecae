/* Series at the edges of what the engines step side by side (8 lanes of a tile, 32 of a warp, 64 that are
 * looked at together), rings at the edges of what they hold (empty, one row short of full, full, gone round),
 * calls of nothing: every row held after every call must be fresh and have the bits of a series that went
 * through a CPU engine alone, bar by bar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reference/reference.h"
#include "reference/segment.h"

#define EVERY 16u

static uint64_t seed;

struct world {
    struct ref_random random;
    struct pgk_plan *plan;
    uint32_t series, capacity;
    struct ref_segment tested, alone;
    struct pgk_engine *engine, *judge;
    struct ref_market *markets;
    struct pgk_change *changes;
};

static struct pgk_engine *judge_of(const struct pgk_plan *plan, const struct ref_segment *segment)
{
    const struct pgk_engine_options options = {.kind = PGK_CPU, .isa = "base"};
    struct pgk_engine *engine = NULL;
    char why[256] = "";
    if (pgk_engine_new(&engine, plan, &options, why, sizeof why) != 0)
        fail_msg("%s", why);
    assert_int_equal(pgk_engine_bind(engine, segment->base, &segment->geo), 0);
    return engine;
}

static void world_init_with(struct world *w, uint32_t series, const char *const *names, size_t count,
                            uint32_t more, uint32_t every)
{
    char err[128];
    *w = (struct world){.random = {++seed}, .series = series};
    assert_int_equal(pgk_plan_new(&w->plan, names, count, err, sizeof err), 0);
    w->capacity = pgk_plan_capacity(w->plan) + more;
    ref_segment_init(&w->tested, w->plan, series, w->capacity, every, false);
    ref_segment_init(&w->alone, w->plan, series, w->capacity, EVERY, false);
    w->markets = calloc(series, sizeof *w->markets);
    w->changes = calloc(series, sizeof *w->changes);
    assert_true(w->markets != NULL && w->changes != NULL);
    for (uint32_t s = 0; s < series; s++) {
        ref_market_init(&w->markets[s], ref_next(&w->random), s % 2 == 0 ? 100 : 740000);
        ref_open(&w->tested, s, s % 3 == 0 ? PGD_SESSION_UTC : PGD_SESSION_US);
        ref_open(&w->alone, s, s % 3 == 0 ? PGD_SESSION_UTC : PGD_SESSION_US);
    }
    w->engine = ref_engine(w->plan, &w->tested);
    w->judge = judge_of(w->plan, &w->alone);
}

static void world_init(struct world *w, uint32_t series, const char *const *names, size_t count)
{
    world_init_with(w, series, names, count, 2 * EVERY, EVERY);
}

static void world_fini(struct world *w)
{
    pgk_engine_free(w->engine);
    pgk_engine_free(w->judge);
    ref_segment_fini(&w->tested);
    ref_segment_fini(&w->alone);
    pgk_plan_free(w->plan);
    free(w->markets);
    free(w->changes);
}

static void expect_same(const struct world *w, uint32_t s)
{
    uint64_t head = ref_series(&w->tested, s)->head;
    uint64_t oldest = head + 1 > w->capacity ? head + 1 - w->capacity : 0;
    assert_int_equal(ref_series(&w->tested, s)->computed, head);
    assert_int_equal(ref_series(&w->tested, s)->recompute, 0);
    for (uint64_t i = oldest; i < head; i++)
        if (!ref_fresh(&w->tested, s, i) ||
            memcmp(ref_unit(&w->tested, s, i) + 1, ref_unit(&w->alone, s, i) + 1,
                   w->tested.geo.columns * sizeof(double)) != 0)
            fail_msg("seed %llu: series %u of %u, row %llu of %llu in a ring of %u", (unsigned long long)seed,
                     s, w->series, (unsigned long long)i, (unsigned long long)head, w->capacity);
}

/* `rows` more of series s, on both sides; the judge takes them one by one. */
static struct pgk_change grow(struct world *w, uint32_t s, uint32_t rows)
{
    uint64_t from = ref_series(&w->tested, s)->head;
    for (uint32_t i = 0; i < rows; i++) {
        struct pgd_bar bar;
        ref_market_next(&w->markets[s], &bar);
        (void)ref_append(&w->tested, s, &bar);
        uint64_t row = ref_append(&w->alone, s, &bar);
        struct pgk_change change = {.series = s, .from = row, .end = row + 1};
        assert_int_equal(pgk_engine_compute(w->judge, 0, &change, 1), 0);
    }
    return (struct pgk_change){.series = s, .from = from, .end = from + rows};
}

/* One call: `rows` more of every series from `first` on, of every `stride`th; the others stay as they are. */
static void call(struct world *w, uint32_t first, uint32_t stride, uint32_t rows)
{
    uint32_t count = 0;
    for (uint32_t s = first; s < w->series; s += stride)
        w->changes[count++] = grow(w, s, rows);
    for (uint32_t i = count; i > 1; i--) { /* in any order */
        uint32_t j = (uint32_t)(ref_next(&w->random) % i);
        struct pgk_change swap = w->changes[i - 1];
        w->changes[i - 1] = w->changes[j];
        w->changes[j] = swap;
    }
    assert_int_equal(pgk_engine_compute(w->engine, 0, w->changes, count), 0);
    assert_null(pgk_engine_notice(w->engine)); /* what a GPU leaves undone the CPU does */
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(w->changes[i].done_end - w->changes[i].done_first, rows);
        expect_same(w, w->changes[i].series);
    }
}

/* Nothing to do: no changes, and changes of series that hold nothing. */
static void call_of_nothing(struct world *w)
{
    assert_int_equal(pgk_engine_compute(w->engine, 0, w->changes, 0), 0);
    call(w, 0, 1, 0);
    for (uint32_t s = 0; s < w->series; s++)
        assert_int_equal(pgk_engine_recover(w->engine, 0, s), ref_series(&w->tested, s)->head);
}

static void edges_of(uint32_t series)
{
    struct world w;
    world_init(&w, series, NULL, 0);
    call_of_nothing(&w);
    call(&w, 0, 1, 1);
    call(&w, 0, 2, 1);              /* some lanes */
    call(&w, series - 1, 1, 1);     /* the last alone */
    call(&w, 0, 1, w.capacity - 5); /* all but full, each at its own row */
    for (int i = 0; i < 6; i++)     /* full, and round */
        call(&w, 0, 1, 1);
    call_of_nothing(&w);
    call(&w, 0, 3, 2);
    call(&w, 1 % series, 1, w.capacity / 2 - EVERY);
    for (uint32_t s = 0; s < series; s++) /* each at its own place of the ring */
        w.changes[s] = grow(&w, s, 1 + s % 9);
    assert_int_equal(pgk_engine_compute(w.engine, 0, w.changes, series), 0);
    for (uint32_t s = 0; s < series; s++)
        expect_same(&w, s);
    for (uint32_t i = 0; i < w.capacity; i += 7) /* round once more, a few at a time and one by one */
        call(&w, 0, 1, i % 2 == 0 ? 7 : 1);
    world_fini(&w);
}

static void lanes(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 7, 8, 9, 31, 32, 33, 63, 64, 65};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        edges_of(counts[i]);
}

/* Tiles whose series are past their seeds among such whose are not, in any order, with some lanes of each. */
static void old_and_young(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 8 * 41, NULL, 0);
    for (uint32_t s = 0; s < w.series; s++)
        w.changes[s] = grow(&w, s, s / 8 % 11 == 0 || s / 8 >= 30 ? 60 : 1 + s % 3);
    assert_int_equal(pgk_engine_compute(w.engine, 0, w.changes, w.series), 0);
    for (uint32_t i = 0; i < 12; i++)
        call(&w, i % 3, 1 + i % 3, 1);
    for (uint32_t s = 0; s < w.series; s++) /* in the order of the tiles */
        w.changes[s] = grow(&w, s, 1);
    assert_int_equal(pgk_engine_compute(w.engine, 0, w.changes, w.series), 0);
    for (uint32_t s = 0; s < w.series; s++)
        expect_same(&w, s);
    world_fini(&w);
}

/* Rows that are pushed while the bars of some are being revised: those wait, the others of their tile do not.
 */
static void busy_bars(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 8 * 5, NULL, 0);
    call(&w, 0, 1, 60);
    for (uint32_t i = 0; i < 9; i++) {
        uint32_t busy = 0;
        for (uint32_t s = 0; s < w.series; s++) {
            w.changes[s] = grow(&w, s, 1);
            if (s % 9 == i)
                ref_begin_revision(&w.tested, s, w.changes[s].from);
        }
        assert_int_equal(pgk_engine_compute(w.engine, 0, w.changes, w.series), 0);
        for (uint32_t s = 0; s < w.series; s++) {
            if (s % 9 != i) {
                expect_same(&w, s);
                continue;
            }
            uint64_t row = w.changes[s].from;
            assert_int_equal(w.changes[s].done_first, w.changes[s].done_end);
            assert_int_equal(ref_series(&w.tested, s)->computed, row);
            ref_revise(&w.tested, s, row, ref_bar(&w.alone, s, row));
            w.changes[busy++] = (struct pgk_change){.series = s, .from = row, .end = row + 1};
        }
        assert_int_equal(pgk_engine_compute(w.engine, 0, w.changes, busy), 0);
        for (uint32_t s = 0; s < w.series; s++)
            expect_same(&w, s);
    }
    world_fini(&w);
}

/* Rows that are pushed too late: others are where they were. */
static void lapped_rows(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 8 * 9, NULL, 0);
    call(&w, 0, 1, 60);
    for (uint32_t s = 0; s < w.series; s++) {
        w.changes[s] = grow(&w, s, s % 9 == 0 ? w.capacity : 1);
        w.changes[s].end = w.changes[s].from + 1;
    }
    assert_int_equal(pgk_engine_compute(w.engine, 0, w.changes, w.series), 0);
    for (uint32_t s = 0; s < w.series; s++) {
        if (s % 9 == 0)
            assert_int_equal(w.changes[s].done_first, w.changes[s].done_end);
        else
            expect_same(&w, s);
    }
    world_fini(&w);
}

/* Long runs of rows between two checkpoints, which are swept block after block: across the ring's end, and up
 * to a bar that is being revised. */
static void long_runs(void **state)
{
    (void)state;
    struct world w;
    world_init_with(&w, 8 * 2, NULL, 0, 400, 128);
    for (uint32_t i = 0; i < 4; i++)
        call(&w, 0, 1, 180 + 16 * i);
    for (uint32_t i = 0; i < 24; i++) {
        uint32_t busy = (uint32_t)(ref_next(&w.random) % w.series);
        for (uint32_t s = 0; s < w.series; s++)
            w.changes[s] = grow(&w, s, 200);
        uint64_t row = w.changes[busy].from + ref_next(&w.random) % 200;
        ref_begin_revision(&w.tested, busy, row);
        assert_int_equal(pgk_engine_compute(w.engine, 0, w.changes, w.series), 0);
        assert_int_equal(ref_series(&w.tested, busy)->computed, row);
        ref_revise(&w.tested, busy, row, ref_bar(&w.alone, busy, row));
        w.changes[0] = (struct pgk_change){.series = busy, .from = row, .end = w.changes[busy].end};
        assert_int_equal(pgk_engine_compute(w.engine, 0, w.changes, 1), 0);
        for (uint32_t s = 0; s < w.series; s++)
            expect_same(&w, s);
    }
    world_fini(&w);
}

/* A bar some rows back is another, on both sides. */
static void revise(struct world *w, uint32_t s, uint64_t back)
{
    struct pgd_bar bar;
    uint64_t end = ref_series(&w->tested, s)->head, row = end - 1 - back;
    struct pgk_change change = {.series = s, .from = row, .end = end};
    ref_market_next(&w->markets[s], &bar);
    bar.t = ref_bar(&w->tested, s, row)->t;
    ref_revise(&w->tested, s, row, &bar);
    ref_revise(&w->alone, s, row, &bar);
    assert_int_equal(pgk_engine_compute(w->judge, 0, &change, 1), 0);
    assert_int_equal(pgk_engine_compute(w->engine, 0, &change, 1), 0);
    expect_same(w, s);
}

/* All lanes of tiles pushed together, many times over, and in between whatever else may happen to a tile that
 * has slid: some lanes alone, more rows of a lane than one, corrections, a bar that is being revised. */
static void slid_tiles(const char *const *names, size_t count)
{
    struct world w;
    world_init(&w, 8 * 3 + 3, names, count);
    call(&w, 0, 1, 60);
    for (uint32_t i = 0; i < 90; i++) {
        call(&w, 0, 1, 1);
        if (i % 5 == 4)
            call(&w, i % 4, 1 + i % 3, 1);
        if (i % 7 == 6)
            call(&w, i % 9, 8, 2);
        if (i % 11 == 10)
            revise(&w, i % w.series, i % 4);
        if (i % 13 != 12)
            continue;
        for (uint32_t s = 0; s < w.series; s++)
            w.changes[s] = grow(&w, s, 1);
        uint32_t busy = i % 24;
        uint64_t row = w.changes[busy].from;
        ref_begin_revision(&w.tested, busy, row);
        assert_int_equal(pgk_engine_compute(w.engine, 0, w.changes, w.series), 0);
        ref_revise(&w.tested, busy, row, ref_bar(&w.alone, busy, row));
        w.changes[0] = (struct pgk_change){.series = busy, .from = row, .end = row + 1};
        assert_int_equal(pgk_engine_compute(w.engine, 0, w.changes, 1), 0);
        for (uint32_t s = 0; s < w.series; s++)
            expect_same(&w, s);
    }
    world_fini(&w);
}

static void whole_tiles(void **state)
{
    (void)state;
    /* what derives series that no window looks back on, and looks back on volumes and prices */
    static const char *const names[] = {"stoch_5_1_2", "stoch_4_3_1", "sma_1", "mfi_3", "vwap", "vwap_20"};
    slid_tiles(NULL, 0);
    slid_tiles(names, sizeof names / sizeof names[0]);
}

/* A series that is not there, behind such as are: no row is computed, and the right call does all. */
static void no_such_series(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 8 * 2 + 1, NULL, 0);
    call(&w, 0, 1, 60);
    for (uint32_t at = 0; at < w.series; at += 4) {
        for (uint32_t s = 0; s < w.series; s++)
            w.changes[s] = grow(&w, s, 1 + s / 8 % 2);
        w.changes[at].series += w.series + at;
        assert_int_equal(pgk_engine_compute(w.engine, 0, w.changes, w.series), -EINVAL);
        w.changes[at].series -= w.series + at;
        for (uint32_t s = 0; s < w.series; s++) {
            assert_int_equal(ref_series(&w.tested, s)->computed, w.changes[s].from);
            assert_int_equal(w.changes[s].done_first, w.changes[s].done_end);
        }
        assert_int_equal(pgk_engine_compute(w.engine, 0, w.changes, w.series), 0);
        for (uint32_t s = 0; s < w.series; s++) {
            assert_int_equal(w.changes[s].done_first, w.changes[s].from);
            assert_int_equal(w.changes[s].done_end, w.changes[s].end);
            expect_same(&w, s);
        }
    }
    world_fini(&w);
}

static void ten_thousand(void **state)
{
    (void)state;
    static const char *const names[] = {"sma_3", "rsi_2", "obv", "vwap"};
    struct world w;
    world_init(&w, 10000, names, sizeof names / sizeof names[0]);
    call_of_nothing(&w);
    call(&w, 0, 1, 1);
    call(&w, 0, 1, w.capacity - 3);
    call(&w, 0, 1, 1);
    call(&w, 0, 1, 1);
    call(&w, 0, 1, 1);
    call(&w, 9999, 1, 1);
    call(&w, 5, 97, 2);
    world_fini(&w);
}

int main(void)
{
    const char *text = getenv("SEED");
    seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)time(NULL) * 1000;
    printf("SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes),       cmocka_unit_test(old_and_young), cmocka_unit_test(busy_bars),
        cmocka_unit_test(lapped_rows), cmocka_unit_test(whole_tiles),   cmocka_unit_test(no_such_series),
        cmocka_unit_test(long_runs),   cmocka_unit_test(ten_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
