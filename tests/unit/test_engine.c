/* What the engine promises around the numbers: how far it goes, what it leaves, what it repairs. */
#include "fixture_engine.h"

static uint64_t gen_of(const struct world *w, uint64_t row)
{
    return ref_unit(&w->segment, 0, row)[0] & 0xffff;
}

/* ---------------------------------------------------------------------------------------------- arguments */

static void kinds(void **state)
{
    (void)state;
    struct pgk_plan *plan;
    struct pgk_engine *engine = NULL;
    struct pgk_engine_options nowhere = {.kind = PGK_CUDA, .cuda_driver = "/nowhere/libcuda.so.1"};
    char text[256] = "";
    assert_int_equal(pgk_plan_new(&plan, NULL, 0, text, sizeof text), 0);
    assert_int_equal(pgk_engine_new(&engine, plan, &nowhere, text, sizeof text), -ENOENT);
    assert_null(engine);
    assert_non_null(strstr(text, "cuda: "));
    nowhere.kind = PGK_AUTO;
    assert_int_equal(
        pgk_engine_new(&engine, plan, &(struct pgk_engine_options){.kind = PGK_CPU}, text, sizeof text), 0);
    assert_non_null(strstr(text, "cpu"));
    pgk_engine_free(engine);
    assert_int_equal(pgk_engine_new(&engine, plan, &nowhere, text, sizeof text), 0);
    assert_non_null(strstr(text, "cpu"));
    pgk_engine_free(engine);
    pgk_engine_free(NULL);
    pgk_plan_free(plan);
}

static void expect_unbound(struct world *w, const struct pgd_bars_geometry *geo)
{
    assert_int_equal(pgk_engine_bind(w->engine, w->segment.base, geo), -EINVAL);
}

static void bind_refuses(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, 0, 40, 10);
    const struct pgd_bars_geometry good = w->segment.geo;
#define WITH(field, value)                                                                                   \
    do {                                                                                                     \
        struct pgd_bars_geometry geo = good;                                                                 \
        geo.field = (value);                                                                                 \
        expect_unbound(w, &geo);                                                                             \
    } while (0)
    WITH(capacity, 39); /* twice the window of 20 */
    WITH(capacity, PGD_CAPACITY_LIMIT + 1);
    WITH(columns, good.columns + 1);
    WITH(unit_size, 8);
    WITH(unit_size, good.unit_size + 8);
    WITH(unit_stride, 64);
    WITH(bar_stride, 32);
    WITH(series_stride, 64);
    WITH(series_max, 0);
    WITH(series_max, PGD_SERIES_LIMIT + 1);
    WITH(state_size, good.state_size - 64);
    WITH(state_every, 0);
    WITH(state_slots, good.state_slots - 1);
    WITH(state_stride, good.state_stride - 1);
    WITH(bar_offset, good.bar_offset + 4);
    expect_unbound(w, &(struct pgd_bars_geometry){0});
    int bound = 1;
    while (pgk_engine_bind(w->engine, w->segment.base, &good) == bound)
        bound++;
    assert_int_equal(pgk_engine_bind(w->engine, w->segment.base, &good), -ENOSPC);
    assert_true(bound >= 8);
    world_free(w);
}

static void bad_handles(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, 0, 64, 10);
    struct pgk_change change = {.series = 1, .end = 1};
    assert_int_equal(pgk_engine_compute(w->engine, 0, &change, 1), -EINVAL);
    change.series = 0;
    assert_int_equal(pgk_engine_compute(w->engine, 1, &change, 1), -EINVAL);
    assert_int_equal(pgk_engine_compute(w->engine, -1, &change, 1), -EINVAL);
    assert_int_equal(pgk_engine_compute(w->engine, 0, NULL, 0), 0);
    assert_int_equal(pgk_engine_extent(w->engine, 0, 0, 1), 0);
    assert_int_equal(pgk_engine_extent(w->engine, 0, 1, 1), -EINVAL);
    assert_int_equal(pgk_engine_extent(w->engine, 3, 0, 1), -EINVAL);
    assert_int_equal(pgk_engine_recover(w->engine, 0, 1), 0);
    assert_int_equal(pgk_engine_recover(w->engine, 5, 0), 0);
    world_free(w);
}

static void nothing_new(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, 0, 64, 10);
    struct pgk_change change = compute(w, 10);
    assert_int_equal(change.done_first, change.done_end);
    change = compute(w, 5000); /* beyond the head */
    assert_int_equal(change.done_first, change.done_end);
    expect_streamed(w);
    world_free(w);
}

/* ------------------------------------------------------------------------------------------------ changes */

/* Columns that fill whole lines, and one of three outputs: the other two have no place in a unit. */
static void outputs_that_no_column_shows(void **state)
{
    (void)state;
    static const char *const names[] = {"sma_2",  "sma_3",  "sma_4",  "sma_5",  "sma_6",
                                        "sma_7",  "sma_8",  "sma_9",  "sma_10", "sma_11",
                                        "sma_12", "sma_13", "sma_14", "sma_15", "macd_signal"};
    struct world *w = world_new(names, sizeof names / sizeof names[0], 256, 100);
    append(w, 1);
    (void)compute(w, 100);
    revise(w, 90);
    (void)compute(w, 90);
    expect_streamed(w);
    world_free(w);
}

static void appends(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, 0, 1024, 100);
    append(w, 3);
    struct pgk_change change = compute(w, 100);
    assert_int_equal(change.done_first, 100);
    assert_int_equal(change.done_end, 103);
    append(w, 5);
    change = compute(w, 106); /* rows 103 to 105 were never reported: they are done all the same */
    assert_int_equal(change.done_first, 103);
    assert_int_equal(change.done_end, 108);
    expect_streamed(w);
    world_free(w);
}

static void many_series(void **state)
{
    (void)state;
    enum { series = 7 };
    struct pgk_plan *plan;
    struct ref_segment segment, fresh;
    struct pgk_change changes[series];
    struct pgd_bar bars[series][40];
    char err[128];
    assert_int_equal(pgk_plan_new(&plan, NULL, 0, err, sizeof err), 0);
    ref_segment_init(&segment, plan, series, 64, 16, false);
    struct pgk_engine *engine = ref_engine(plan, &segment);
    for (uint32_t s = 0; s < series; s++) {
        struct ref_market market;
        ref_market_init(&market, s, 50);
        ref_open(&segment, s, PGD_SESSION_US);
        for (size_t i = 0; i < 40; i++) {
            ref_market_next(&market, &bars[s][i]);
            (void)ref_append(&segment, s, &bars[s][i]);
        }
        changes[s] = (struct pgk_change){.series = s, .from = 0, .end = 40};
    }
    assert_int_equal(pgk_engine_compute(engine, 0, changes, series), 0);
    for (uint32_t s = 0; s < series; s++) {
        ref_stream(&fresh, plan, bars[s], 40, 64, PGD_SESSION_US);
        for (uint64_t i = 0; i < 40; i++)
            assert_memory_equal(ref_unit(&segment, s, i) + 1, ref_unit(&fresh, 0, i) + 1,
                                15 * sizeof(double));
        assert_int_equal(changes[s].done_end, 40);
        ref_segment_fini(&fresh);
    }
    pgk_engine_free(engine);
    ref_segment_fini(&segment);
    pgk_plan_free(plan);
}

/* A correction is followed as far as it matters, and no further. */
static void revision_coalesces(void **state)
{
    (void)state;
    struct world *w = world_new(settling, SETTLING, ROWS + 1, 2800);
    uint64_t gen_before = gen_of(w, 999), gen_after = gen_of(w, 2799), gen_row = gen_of(w, 1000);
    revise(w, 1000);
    struct pgk_change change = compute(w, 1000);
    assert_int_equal(change.done_first, 1000);
    assert_in_range(change.done_end, 1020, 2700);
    assert_int_equal(gen_of(w, 999), gen_before);
    assert_int_equal(gen_of(w, 2799), gen_after);
    assert_int_not_equal(gen_of(w, 1000), gen_row);
    expect_streamed(w);
    world_free(w);
}

/* Two corrections far apart, reported as one change: what lies between them and is settled is not touched. */
static void revisions_far_apart(void **state)
{
    (void)state;
    static const char *const windows[] = {"sma_20", "wma_5"};
    struct world *w = world_new(windows, 2, ROWS + 1, 2000);
    uint64_t gen = gen_of(w, 1000);
    revise(w, 100);
    revise(w, 1900);
    append(w, 4);
    struct pgk_change change = compute(w, 100);
    assert_int_equal(change.done_first, 100);
    assert_int_equal(change.done_end, 2004);
    assert_int_equal(gen_of(w, 1000), gen);
    assert_int_not_equal(gen_of(w, 1900), gen);
    expect_streamed(w);
    world_free(w);
}

/* Two corrections within one window: the second one's rows are the last to be rewritten. */
static void revisions_near_each_other(void **state)
{
    (void)state;
    static const char *const windows[] = {"sma_20", "wma_5"};
    struct world *w = world_new(windows, 2, ROWS + 1, 2000);
    revise(w, 100);
    revise(w, 111);
    struct pgk_change change = compute(w, 100);
    assert_int_equal(change.done_first, 100);
    assert_int_equal(change.done_end, 131);
    expect_streamed(w);
    world_free(w);
}

/* After one row was revised: a unit is written when its values or its bar are others than before, and no
 * other; the change names the first and the last of them. */
static void expect_exact(struct world *w, uint64_t row)
{
    const struct pgd_bars_geometry *geo = &w->segment.geo;
    size_t bytes = (geo->columns + 1) * sizeof(uint64_t);
    uint8_t *before = malloc(w->count * bytes);
    uint64_t first = w->count, end = 0;
    assert_non_null(before);
    for (uint64_t i = 0; i < w->count; i++)
        memcpy(before + i * bytes, ref_unit(&w->segment, 0, i), bytes);
    struct pgk_change change = compute(w, row);
    for (uint64_t i = 0; i < w->count; i++) {
        const uint64_t *unit = ref_unit(&w->segment, 0, i);
        uint64_t tag;
        memcpy(&tag, before + i * bytes, sizeof tag);
        bool other = i == row || memcmp(before + i * bytes + sizeof tag, unit + 1, bytes - sizeof tag) != 0;
        if (other != (unit[0] != tag))
            fail_msg("row %llu of a correction of %llu: values %s, unit %s", (unsigned long long)i,
                     (unsigned long long)row, other ? "new" : "the same",
                     unit[0] != tag ? "written" : "left alone");
        first = other && i < first ? i : first;
        end = other ? i + 1 : end;
    }
    assert_int_equal(change.done_first, first);
    assert_int_equal(change.done_end, end);
    expect_streamed(w);
    free(before);
}

static void corrections_are_exact(void **state)
{
    (void)state;
    static const char *const windows[] = {"sma_20", "wma_5"}, *const endless[] = {"obv", "vwap"};
    static const struct {
        const char *const *names;
        size_t count;
    } plans[] = {{windows, 2}, {settling, SETTLING}, {endless, 2}, {NULL, 0}};
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        struct world *w = world_new(plans[i].names, plans[i].count, ROWS + 1, 1500);
        for (int n = 0; n < 6; n++) {
            uint64_t row = n == 0 ? 1499 : n == 1 ? 0 : ref_next(&w->market.random) % 1500;
            if (n == 2) /* sent again as it was: a revision all the same */
                ref_revise(&w->segment, 0, row, &w->bars[row]);
            else
                revise(w, row);
            expect_exact(w, row);
        }
        world_free(w);
    }
}

/* The daemon may fall behind by more than a ring: what is still held is computed, from a fresh start. */
static void lapped(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, 0, 64, 10);
    append(w, 1000);
    struct pgk_change change = compute(w, 10);
    uint64_t oldest = ref_oldest(&w->segment);
    assert_int_equal(oldest, 1010 + 1 - 64);
    assert_int_equal(change.done_first, oldest);
    assert_int_equal(change.done_end, 1010);
    assert_int_equal(ref_series(&w->segment, 0)->computed, 1010);
    for (uint64_t i = oldest; i < w->count; i++) {
        assert_true(ref_fresh(&w->segment, 0, i));
        assert_int_equal(isnan(ref_value(&w->segment, 0, i, 0)), i < oldest + 19); /* sma_20 */
    }
    while (w->count < 1100) { /* a ring's length later the windows are whole */
        append(w, 10);
        (void)compute(w, w->count - 10);
    }
    long double sma[ROWS];
    double scale[ROWS];
    assert_true(ref_column("sma_20", w->bars, w->count, PGD_SESSION_US, sma));
    ref_scales(w->bars, w->count, scale);
    for (uint64_t i = ref_oldest(&w->segment); i < w->count; i++)
        assert_true(ref_agrees("sma_20", scale[i], sma[i], ref_value(&w->segment, 0, i, 0)));
    world_free(w);
}

/* A series longer than its ring gives the bits of one that never wrapped. */
static void wrapping_changes_nothing(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, 0, 64, 10);
    while (w->count < 1000) {
        append(w, 1 + w->count % 7);
        (void)compute(w, w->count - 1);
    }
    struct ref_segment wide;
    ref_stream(&wide, w->plan, w->bars, w->count, ROWS + 1, PGD_SESSION_US);
    assert_int_equal(ref_difference(&w->segment, &wide), w->count);
    ref_segment_fini(&wide);
    world_free(w);
}

/* ------------------------------------------------------------------ bars that are being revised meanwhile */

static void busy_append(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, 0, 1024, 100);
    append(w, 10);
    ref_begin_revision(&w->segment, 0, 104);
    struct pgk_change change = compute(w, 100);
    assert_int_equal(change.done_first, 100);
    assert_int_equal(change.done_end, 104);
    assert_int_equal(ref_series(&w->segment, 0)->computed, 104);
    assert_false(ref_fresh(&w->segment, 0, 104));
    ref_revise(&w->segment, 0, 104, &w->bars[104]);
    (void)compute(w, 104);
    expect_streamed(w);
    world_free(w);
}

/* Only a row that a window looks back on is busy. An engine that kept the window goes on with what the bar
 * was before, one that reads it again waits; either way the correction sets it right. */
static void busy_window(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, 0, 1024, 100);
    append(w, 1);
    ref_begin_revision(&w->segment, 0, 95);
    struct pgk_change change = compute(w, 100);
    assert_int_equal(ref_series(&w->segment, 0)->computed, change.done_end);
    restart(w);
    append(w, 1);
    change = compute(w, change.done_end);
    assert_int_equal(change.done_first, change.done_end);
    revise(w, 95);
    (void)compute(w, 95);
    expect_streamed(w);
    world_free(w);
}

/* A recompute that has to stop says from where, and the next one goes on whatever it is told. */
static void busy_recompute(void **state)
{
    (void)state;
    struct world *w = world_new(settling, SETTLING, ROWS + 1, 2800);
    revise(w, 500);
    revise(w, 900);
    ref_begin_revision(&w->segment, 0, 950);
    struct pgk_change change = compute(w, 500);
    assert_int_equal(change.done_end, 950);
    assert_int_equal(ref_series(&w->segment, 0)->recompute, 951);
    assert_int_equal(ref_series(&w->segment, 0)->computed, 2800);
    ref_revise(&w->segment, 0, 950, &w->bars[950]);
    append(w, 1);
    change = compute(w, 2800);
    assert_int_equal(change.done_first, 950);
    assert_int_equal(change.done_end, 2801);
    expect_streamed(w);
    world_free(w);
}

/* The line on what runs names the threads, when there is more than one. */
static void threads_are_named(void **state)
{
    (void)state;
    struct pgk_plan *plan;
    struct pgk_engine *engine;
    char why[256];
    assert_int_equal(pgk_plan_new(&plan, NULL, 0, why, sizeof why), 0);
    for (uint32_t threads = 0; threads < (getenv("TEST_ONE_THREAD") == NULL ? 4u : 2u); threads++) {
        const struct pgk_engine_options options = {.kind = PGK_CPU, .threads = threads, .isa = "base"};
        char want[64] = "cpu (base): as configured";
        if (threads > 1)
            (void)snprintf(want, sizeof want, "cpu (base, %u threads): as configured", threads);
        assert_int_equal(pgk_engine_new(&engine, plan, &options, why, sizeof why), 0);
        assert_string_equal(why, want);
        pgk_engine_free(engine);
    }
    pgk_plan_free(plan);
}

/* Every unit of the rows named is written, no other and no bar; and after that all is computed again as if
 * nothing had been. */
static void floor_moves(void **state)
{
    (void)state;
    enum { rows = 40, from = 7, series = 3 };
    struct world *w = world_new(NULL, 0, 64, rows);
    struct ref_segment other;
    ref_segment_init(&other, w->plan, series, 64, 16, false);
    struct pgk_engine *engine = ref_engine(w->plan, &other);
    struct pgk_change changes[series];
    for (uint32_t s = 0; s < series; s++) {
        ref_open(&other, s, PGD_SESSION_US);
        for (uint64_t i = 0; i < rows; i++)
            (void)ref_append(&other, s, &w->bars[i]);
        changes[s] = (struct pgk_change){.series = s, .from = from, .end = rows};
    }
    for (int how = PGK_FLOOR_PLAIN; how <= PGK_FLOOR_PAST; how++) {
        int rc = pgk_engine_floor(engine, 0, changes, series, (enum pgk_floor)how);
        if (rc == -ENOTSUP && (how == PGK_FLOOR_PAST || pgk_engine_kind(engine) == PGK_CUDA))
            continue; /* there is no such way, or several GPUs would have to share it out */
        assert_int_equal(rc, 0);
        for (uint32_t s = 0; s < series; s++)
            for (uint64_t i = 0; i < rows; i++) {
                assert_memory_equal(ref_bar(&other, s, i), &w->bars[i], PGD_BAR_META);
                assert_int_equal(ref_unit(&other, s, i)[15] != 0, i >= from);
            }
    }
    for (uint32_t s = 0; s < series; s++)
        changes[s].from = 0;
    assert_int_equal(pgk_engine_compute(engine, 0, changes, series), 0);
    for (uint32_t s = 0; s < series; s++)
        for (uint64_t i = 0; i < rows; i++)
            assert_memory_equal(ref_unit(&other, s, i) + 1, ref_unit(&w->segment, 0, i) + 1,
                                w->segment.geo.columns * sizeof(double));
    changes[2].series = series;
    assert_int_equal(pgk_engine_floor(engine, 0, changes, series, PGK_FLOOR_PLAIN), -EINVAL);
    assert_int_equal(pgk_engine_floor(engine, 0, changes, 0, PGK_FLOOR_PLAIN), -EINVAL);
    assert_int_equal(pgk_engine_floor(engine, 1, changes, 1, PGK_FLOOR_PLAIN), -EINVAL);
    pgk_engine_free(engine);
    ref_segment_fini(&other);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(bind_refuses),
        cmocka_unit_test(bad_handles),
        cmocka_unit_test(nothing_new),
        cmocka_unit_test(outputs_that_no_column_shows),
        cmocka_unit_test(appends),
        cmocka_unit_test(many_series),
        cmocka_unit_test(revision_coalesces),
        cmocka_unit_test(revisions_far_apart),
        cmocka_unit_test(revisions_near_each_other),
        cmocka_unit_test(corrections_are_exact),
        cmocka_unit_test(lapped),
        cmocka_unit_test(wrapping_changes_nothing),
        cmocka_unit_test(busy_append),
        cmocka_unit_test(busy_window),
        cmocka_unit_test(busy_recompute),
        cmocka_unit_test(threads_are_named),
        cmocka_unit_test(floor_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
