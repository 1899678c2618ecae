/* Random histories against two judges: the naive reference, and a fresh engine that was fed the final history
 * bar by bar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reference/reference.h"
#include "reference/segment.h"

#define ROWS_MAX 4096
#define EVERY    16

static const char *const all[] = {"sma_20", "sma_1",    "ema_12",      "ema_200",     "wma_9",     "rsi_14",
                                  "rsi_2",  "macd",     "macd_5_35_5", "bb",          "bb_10_2.5", "stddev_7",
                                  "atr_14", "atr_3",    "stoch",       "stoch_5_1_2", "obv",       "mfi_14",
                                  "vwap",   "vwap_ext", "vwap_20",     "stoch_2_4_9", "sma_50"};

static const char *const windows[] = {"sma_20", "wma_9", "stoch"};

static uint64_t seed;

struct world {
    struct pgk_plan *plan;
    struct pgk_engine *engine;
    struct ref_segment segment;
    struct ref_market market;
    enum pgd_session session;
    struct pgd_bar *bars; /* the final history */
    size_t count;
    uint64_t reach; /* rows back that corrections go */
};

static void compute(struct world *w, uint64_t from)
{
    struct pgk_change change = {.series = 0, .from = from, .end = w->count};
    assert_int_equal(pgk_engine_compute(w->engine, 0, &change, 1), 0);
    assert_null(pgk_engine_notice(w->engine)); /* what a GPU leaves undone the CPU does */
    assert_int_equal(ref_series(&w->segment, 0)->computed, w->count);
    assert_int_equal(ref_series(&w->segment, 0)->recompute, 0);
    assert_true(change.done_first == change.done_end || change.done_first >= from);
    assert_true(change.done_end <= w->count);
}

static uint64_t pick_row(struct world *w)
{
    uint64_t back = ref_next(&w->market.random) % 4 != 0 ? 20 : w->reach;
    back = back < w->count ? back : w->count;
    return w->count - 1 - ref_next(&w->market.random) % back;
}

static uint64_t do_append(struct world *w)
{
    uint64_t from = w->count;
    uint64_t rows = ref_next(&w->market.random) % 3 != 0 ? 1 : 1 + ref_next(&w->market.random) % 100;
    for (uint64_t i = 0; i < rows && w->count < ROWS_MAX; i++) {
        ref_market_next(&w->market, &w->bars[w->count]);
        (void)ref_append(&w->segment, 0, &w->bars[w->count]);
        w->count++;
    }
    return from;
}

static uint64_t do_revise(struct world *w)
{
    uint64_t first = w->count;
    for (uint64_t times = 1 + ref_next(&w->market.random) % 3; times > 0; times--) {
        uint64_t row = pick_row(w);
        ref_market_correct(&w->market, &w->bars[row]);
        ref_revise(&w->segment, 0, row, &w->bars[row]);
        first = row < first ? row : first;
    }
    return first;
}

static uint64_t do_insert(struct world *w)
{
    uint64_t row = pick_row(w);
    if (w->count == ROWS_MAX)
        return w->count;
    struct pgd_bar bar = w->bars[row];
    ref_market_correct(&w->market, &bar);
    memmove(w->bars + row + 1, w->bars + row, (w->count - row) * sizeof *w->bars);
    w->bars[row] = bar;
    w->count++;
    ref_insert(&w->segment, 0, row, &bar);
    return row;
}

static uint64_t do_restart(struct world *w)
{
    uint64_t dirty = w->count;
    if (ref_next(&w->market.random) % 2 == 0)
        dirty = do_revise(w); /* corrected, and the daemon died before the engine was told */
    pgk_engine_free(w->engine);
    w->engine = ref_engine(w->plan, &w->segment);
    uint64_t from = pgk_engine_recover(w->engine, 0, 0);
    if (dirty < w->count)
        assert_int_equal(from, dirty);
    else
        assert_int_equal(from, w->count);
    return from;
}

static void step(struct world *w)
{
    uint64_t kind = w->count < 3 ? 0 : ref_next(&w->market.random) % 10;
    uint64_t from = kind < 6    ? do_append(w)
                    : kind < 8  ? do_revise(w)
                    : kind == 8 ? do_insert(w)
                                : do_restart(w);
    compute(w, from);
}

static void compare_bits(const struct world *w)
{
    struct ref_segment fresh;
    ref_stream(&fresh, w->plan, w->bars, w->count, w->segment.geo.capacity, w->session);
    uint64_t row = ref_difference(&w->segment, &fresh);
    for (uint32_t j = 0; row < w->count && j < fresh.geo.columns; j++) {
        uint64_t got = ref_unit(&w->segment, 0, row)[1 + j], want = ref_unit(&fresh, 0, row)[1 + j];
        if (got != want)
            print_error("%s: %016llx, streamed %016llx\n", pgk_plan_name(w->plan, j), (unsigned long long)got,
                        (unsigned long long)want);
    }
    if (row < w->count)
        fail_msg("seed %llu: row %llu of %zu differs", (unsigned long long)seed, (unsigned long long)row,
                 w->count);
    ref_segment_fini(&fresh);
}

static void compare_reference(const struct world *w)
{
    long double *want = calloc(w->count + 1, sizeof *want);
    double *scale = calloc(w->count + 1, sizeof *scale);
    ref_scales(w->bars, w->count, scale);
    for (uint32_t j = 0; j < w->segment.geo.columns; j++) {
        const char *name = pgk_plan_name(w->plan, j);
        assert_true(ref_column(name, w->bars, w->count, w->session, want));
        for (uint64_t i = ref_oldest(&w->segment); i < w->count; i++) {
            double got = ref_value(&w->segment, 0, i, j);
            if (!ref_agrees(name, scale[i], want[i], got))
                fail_msg("seed %llu row %llu of %zu, %s: %.17g, reference %.17Lg", (unsigned long long)seed,
                         (unsigned long long)i, w->count, name, got, want[i]);
        }
    }
    free(want);
    free(scale);
}

static void history(uint32_t capacity, uint64_t reach, double price, bool no_volume, enum pgd_session session,
                    const char *const *names, size_t count)
{
    struct world w = {.session = session, .reach = reach};
    char err[128];
    assert_int_equal(pgk_plan_new(&w.plan, names, count, err, sizeof err), 0);
    ref_segment_init(&w.segment, w.plan, 1, capacity, EVERY, false);
    ref_open(&w.segment, 0, session);
    ref_market_init(&w.market, ++seed, price);
    w.market.no_volume = no_volume;
    w.bars = calloc(ROWS_MAX + 1, sizeof *w.bars);
    w.engine = ref_engine(w.plan, &w.segment);
    uint64_t limit = 600 + ref_next(&w.market.random) % 1400;
    while (w.count < limit)
        step(&w);
    compare_bits(&w);
    compare_reference(&w);
    pgk_engine_free(w.engine);
    ref_segment_fini(&w.segment);
    pgk_plan_free(w.plan);
    free(w.bars);
}

static void one_round(uint64_t round)
{
    static const double prices[] = {100, 740000, 1e-6, 3.25};
    double price = prices[round % 4];
    enum pgd_session session = round % 3 == 2 ? PGD_SESSION_UTC : PGD_SESSION_US;
    size_t count = sizeof all / sizeof all[0];
    switch (round % 6) {
    case 0:
        history(ROWS_MAX, 400, price, false, session, NULL, 0);
        break;
    case 1:
    case 2:
        history(ROWS_MAX, ROWS_MAX, price, false, session, all, count);
        break;
    case 3:
        history(ROWS_MAX, ROWS_MAX, price, false, session, windows, 3);
        break;
    case 4:
        history(400, 100, price, false, session, all, count);
        break;
    default:
        history(256, 100, price, true, session, all, count);
        break;
    }
}

static void random_histories(void **state)
{
    (void)state;
    time_t end = time(NULL) + 4;
    for (uint64_t round = 0; round < 20 || time(NULL) < end; round++)
        one_round(round);
}

int main(void)
{
    const char *text = getenv("SEED");
    seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)time(NULL) * 1000;
    printf("SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_histories)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
