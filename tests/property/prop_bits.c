/* One history, four ways to its indicators: bar by bar; many bars at once; with wrong, missing and late bars
 * put right afterwards; with the engine started anew again and again, each time with another instruction set
 * and number of threads. Not one bit may differ. Random plans, odd periods, rings that wrap around, 1 to
 * 10,000 series. TEST_ENGINE=cuda puts the last three on the GPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reference/reference.h"
#include "reference/segment.h"

#define EVERY     16u
#define NAMES_MAX 24u
#define BURST_MAX 512u

enum { STREAMED, BATCH, REVISED, RESTARTED, WAYS };

struct way {
    struct ref_segment segment;
    struct pgk_engine *engine;
};

struct world {
    struct ref_random random;
    struct pgk_plan *plan;
    uint32_t series, capacity, columns;
    struct ref_market *markets; /* of each series */
    struct ref_market errors;   /* what wrong bars are made with */
    struct pgd_bar *bars;       /* of this round: series by series */
    uint32_t burst;             /* rows of this round */
    uint64_t head;              /* rows before it */
    struct pgk_change *changes;
    struct way ways[WAYS];
};

static uint64_t seed;
static uint64_t compared;
static enum pgk_kind kind = PGK_CPU;

static uint32_t below(struct world *w, uint32_t n)
{
    return (uint32_t)(ref_next(&w->random) % n);
}

/* ------------------------------------------------------------------------------------------------- worlds */

static void name_one(struct world *w, char *to, size_t size, uint32_t most)
{
    static const char *const periodic[] = {"sma", "ema", "wma", "rsi", "stddev", "atr", "mfi", "vwap"};
    static const char *const bare[] = {"obv", "vwap", "vwap_ext", "macd", "bb", "stoch"};
    uint32_t n = 1 + below(w, most), m = 1 + below(w, most), o = 1 + below(w, most);
    switch (below(w, 8)) {
    case 0:
        (void)snprintf(to, size, "macd_%u_%u_%u", n, n + m, o);
        break;
    case 1:
        (void)snprintf(to, size, "stoch_%u_%u_%u", n, 1 + m % 7, 1 + o % 7);
        break;
    case 2:
        (void)snprintf(to, size, "bb_%u_%u.%u", n, 1 + m % 4, 1 + o % 9);
        break;
    case 3:
    case 4:
        (void)snprintf(to, size, "%s", bare[below(w, most < 26 ? 3 : 6)]);
        break;
    default:
        (void)snprintf(to, size, "%s_%u", periodic[below(w, 8)], n);
        break;
    }
}

/* Names that would be there twice are left out. */
static void make_plan(struct world *w, uint32_t names, uint32_t most)
{
    char text[NAMES_MAX][32];
    const char *list[NAMES_MAX];
    size_t count = 0;
    while (count < names) {
        char err[128];
        name_one(w, text[count], sizeof text[0], most);
        list[count] = text[count];
        struct pgk_plan *plan = NULL;
        if (pgk_plan_new(&plan, list, count + 1, err, sizeof err) != 0) {
            names--;
            continue;
        }
        pgk_plan_free(w->plan);
        w->plan = plan;
        count++;
    }
    if (w->plan == NULL)
        make_plan(w, 1, most);
    w->columns = (uint32_t)pgk_plan_columns(w->plan);
}

static struct pgk_engine *start_engine(struct world *w, const struct ref_segment *segment, bool plain)
{
    static const char *const sets[] = {NULL, "avx512", "avx2", "base"};
    struct pgk_engine_options options = {.kind = PGK_CPU};
    if (!plain && kind == PGK_CUDA)
        options = ref_options();
    struct pgk_engine *engine = NULL;
    char why[256] = "";
    if (!plain && kind == PGK_CPU)
        options = (struct pgk_engine_options){.kind = PGK_CPU,
                                              .threads = getenv("TEST_ONE_THREAD") == NULL ? below(w, 3) : 1,
                                              .isa = sets[below(w, sizeof sets / sizeof sets[0])]};
    int rc = pgk_engine_new(&engine, w->plan, &options, why, sizeof why);
    if (rc != 0 && options.isa != NULL) {
        options.isa = NULL;
        rc = pgk_engine_new(&engine, w->plan, &options, why, sizeof why);
    }
    if (rc != 0)
        fail_msg("no engine: %s", why);
    assert_int_equal(pgk_engine_bind(engine, segment->base, &segment->geo), 0);
    assert_int_equal(pgk_engine_extent(engine, 0, 0, segment->geo.series_max), 0);
    return engine;
}

static void world_init(struct world *w, uint32_t series, uint32_t names, uint32_t most)
{
    static const double prices[] = {100, 740000, 1e-6, 3.25};
    *w = (struct world){.random = {++seed}, .series = series};
    make_plan(w, names, most);
    w->capacity = pgk_plan_capacity(w->plan) + 2 * EVERY + below(w, series > 100 ? 8 : 200);
    w->markets = calloc(series, sizeof *w->markets);
    w->bars = calloc(series, BURST_MAX * sizeof *w->bars);
    w->changes = calloc(series, sizeof *w->changes);
    assert_true(w->markets != NULL && w->bars != NULL && w->changes != NULL);
    ref_market_init(&w->errors, seed, 100);
    for (int i = 0; i < WAYS; i++)
        ref_segment_init(&w->ways[i].segment, w->plan, series, w->capacity, EVERY, false);
    for (uint32_t s = 0; s < series; s++) {
        ref_market_init(&w->markets[s], ref_next(&w->random), prices[below(w, 4)]);
        w->markets[s].no_volume = below(w, 8) == 0;
        enum pgd_session session = below(w, 3) == 0 ? PGD_SESSION_UTC : PGD_SESSION_US;
        for (int i = 0; i < WAYS; i++)
            ref_open(&w->ways[i].segment, s, session);
    }
    for (int i = 0; i < WAYS; i++)
        w->ways[i].engine = start_engine(w, &w->ways[i].segment, i == STREAMED);
}

static void world_fini(struct world *w)
{
    for (int i = 0; i < WAYS; i++) {
        pgk_engine_free(w->ways[i].engine);
        ref_segment_fini(&w->ways[i].segment);
    }
    pgk_plan_free(w->plan);
    free(w->markets);
    free(w->bars);
    free(w->changes);
}

/* --------------------------------------------------------------------------------------------------- ways */

static const struct pgd_bar *bar_of(const struct world *w, uint32_t series, uint32_t i)
{
    return &w->bars[(size_t)series * BURST_MAX + i];
}

static void compute(struct world *w, int way, size_t count)
{
    assert_int_equal(pgk_engine_compute(w->ways[way].engine, 0, w->changes, count), 0);
    const char *notice = pgk_engine_notice(w->ways[way].engine); /* what a GPU left undone the CPU does */
    if (notice != NULL)
        fail_msg("seed %llu: %s", (unsigned long long)seed, notice);
}

/* Appends rows [from, end) of the round to every series, and reports them in any order, from any series on.
 */
static void append(struct world *w, int way, uint32_t from, uint32_t end)
{
    uint32_t shift = below(w, w->series);
    for (uint32_t k = 0; k < w->series; k++) {
        uint32_t s = (k + shift) % w->series;
        for (uint32_t i = from; i < end; i++)
            (void)ref_append(&w->ways[way].segment, s, bar_of(w, s, i));
        w->changes[k] = (struct pgk_change){.series = s, .from = w->head + from, .end = w->head + end};
    }
}

static void go_streamed(struct world *w)
{
    for (uint32_t i = 0; i < w->burst; i++) {
        append(w, STREAMED, i, i + 1);
        compute(w, STREAMED, w->series);
    }
}

static void go_batch(struct world *w)
{
    append(w, BATCH, 0, w->burst);
    compute(w, BATCH, w->series);
}

/* Wrong bars, and one that is missing; computed; then put right; computed. */
static void go_revised(struct world *w)
{
    const struct ref_segment *segment = &w->ways[REVISED].segment;
    uint32_t count = 0;
    for (uint32_t s = 0; s < w->series; s++) {
        for (uint32_t i = 0; i < w->burst; i++) {
            struct pgd_bar bar = *bar_of(w, s, i);
            if (below(w, 8) == 0)
                ref_market_correct(&w->errors, &bar);
            if (i != s % w->burst || w->burst == 1)
                (void)ref_append(segment, s, &bar);
        }
        uint64_t end = ref_series(segment, s)->head;
        w->changes[s] = (struct pgk_change){.series = s, .from = w->head, .end = end};
    }
    compute(w, REVISED, w->series);
    for (uint32_t s = 0; s < w->series; s++) {
        uint64_t first = UINT64_MAX;
        if (w->burst > 1) {
            first = w->head + s % w->burst;
            ref_insert(segment, s, first, bar_of(w, s, s % w->burst));
        }
        for (uint32_t i = 0; i < w->burst; i++) {
            const struct pgd_bar *there = ref_bar(segment, s, w->head + i), *want = bar_of(w, s, i);
            if (memcmp(there, want, PGD_BAR_META) == 0)
                continue;
            ref_revise(segment, s, w->head + i, want);
            first = w->head + i < first ? w->head + i : first;
        }
        if (first != UINT64_MAX)
            w->changes[count++] =
                (struct pgk_change){.series = s, .from = first, .end = ref_series(segment, s)->head};
    }
    compute(w, REVISED, count);
}

/* In pieces; before some of them the daemon died, having told the engine of its last rows or not. */
static void go_restarted(struct world *w)
{
    struct way *way = &w->ways[RESTARTED];
    for (uint32_t from = 0, end; from < w->burst; from = end) {
        end = from + 1 + below(w, w->burst - from);
        bool dies = below(w, 3) == 0, told = below(w, 2) == 0;
        append(w, RESTARTED, from, end);
        if (!dies || told)
            compute(w, RESTARTED, w->series);
        if (!dies)
            continue;
        pgk_engine_free(way->engine);
        way->engine = start_engine(w, &way->segment, false);
        for (uint32_t s = 0; s < w->series; s++) {
            uint64_t row = pgk_engine_recover(way->engine, 0, s);
            assert_int_equal(row, w->head + (told ? end : from));
            w->changes[s] = (struct pgk_change){.series = s, .from = row, .end = w->head + end};
        }
        compute(w, RESTARTED, w->series);
    }
}

/* ------------------------------------------------------------------------------------------------ judging */

static void compare_row(const struct world *w, int way, uint32_t s, uint64_t row)
{
    static const char *const names[] = {"streamed", "batch", "revised", "restarted"};
    const uint64_t *want = ref_unit(&w->ways[STREAMED].segment, s, row) + 1;
    const uint64_t *got = ref_unit(&w->ways[way].segment, s, row) + 1;
    if (!ref_fresh(&w->ways[way].segment, s, row))
        fail_msg("seed %llu, %s: series %u row %llu is not computed", (unsigned long long)seed, names[way], s,
                 (unsigned long long)row);
    if (memcmp(want, got, w->columns * sizeof *want) == 0)
        return;
    for (uint32_t j = 0; j < w->columns; j++)
        if (got[j] != want[j])
            print_error("%s: %s %016llx, streamed %016llx\n", pgk_plan_name(w->plan, j), names[way],
                        (unsigned long long)got[j], (unsigned long long)want[j]);
    fail_msg("seed %llu, %s: series %u of %u, row %llu of %llu + %u, capacity %u", (unsigned long long)seed,
             names[way], s, w->series, (unsigned long long)row, (unsigned long long)w->head, w->burst,
             w->capacity);
}

static void play_round(struct world *w)
{
    uint32_t most = w->capacity / 2 - EVERY;
    most = most < BURST_MAX ? most : BURST_MAX;
    w->burst = 1 + below(w, below(w, 3) == 0 ? 3 : most);
    for (uint32_t s = 0; s < w->series; s++)
        for (uint32_t i = 0; i < w->burst; i++)
            ref_market_next(&w->markets[s], &w->bars[(size_t)s * BURST_MAX + i]);
    go_streamed(w);
    go_batch(w);
    go_revised(w);
    go_restarted(w);
    for (int way = BATCH; way < WAYS; way++)
        for (uint32_t s = 0; s < w->series; s++)
            for (uint64_t row = w->head; row < w->head + w->burst; row++)
                compare_row(w, way, s, row);
    compared += (uint64_t)(WAYS - 1) * w->series * w->burst * w->columns;
    w->head += w->burst;
}

static void play(uint32_t series, uint32_t names, uint32_t most, uint64_t rows)
{
    struct world w;
    world_init(&w, series, names, most);
    while (w.head < rows)
        play_round(&w);
    world_fini(&w);
}

static void all_ways(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 7, 8, 9, 16, 31, 32, 33, 63, 64, 65, 100};
    const char *seconds = getenv("SECONDS");
    time_t end = time(NULL) + (seconds != NULL ? atoi(seconds) : 10);
    uint32_t rows = getenv("TEST_CUDA_DRIVER") == NULL ? 20000 : 5000; /* a stand-in's threads are slow */
    play(10000, 4, 7, 60);
    play(1000, 8, 9, rows / 133);
    for (uint32_t i = 0; i < 13 || time(NULL) < end; i++) {
        uint32_t series = counts[i % (sizeof counts / sizeof counts[0])];
        play(series, 1 + (uint32_t)(seed * 7 % NAMES_MAX), i % 5 == 4 ? 250 : 35, 300 + rows / series);
    }
    print_message("%llu values compared, %s\n", (unsigned long long)compared,
                  kind == PGK_CUDA ? "cuda" : "cpu");
}

int main(void)
{
    const char *text = getenv("SEED");
    seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)time(NULL) * 1000;
    kind = ref_options().kind;
    printf("SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_ways)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
