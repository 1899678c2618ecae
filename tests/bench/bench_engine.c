/* What the engine costs, against moving the same bytes: 64 read and 128 written a bar, in the same memory and
 * run. */
#if defined __x86_64__
#include <immintrin.h>
#endif
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reference/reference.h"
#include "reference/segment.h"

#define LONG_ROWS 65536u
#define MANY      64u /* series ... */
#define MANY_ROWS                                                                                            \
    8192u /* ... of so many rows: 100 MB of bars and units, beyond any last-level cache's share */
#define SYMBOLS   10000u
#define HELD_ROWS 64u
#define REPEATS   15
#define EVERY     16u

static double now_s(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

static void print(const char *name, double ours, double reference, const char *unit, const char *note)
{
    printf(
        "{\"name\":\"%s\",\"ours\":%.4g,\"reference\":%.4g,\"ratio\":%.3g,\"unit\":\"%s\",\"note\":\"%s\"}\n",
        name, ours, reference, ours / reference, unit, note);
    fflush(stdout);
}

static void die(const char *what)
{
    fprintf(stderr, "bench_engine: %s\n", what);
    exit(1);
}

/* One bar a minute, around the clock, and volumes as they are: the market of the tests is one of mishaps. */
static void next_bar(struct ref_market *market, struct pgd_bar *ret)
{
    int64_t t = market->t;
    ref_market_next(market, ret);
    if (ret->v > 1e6)
        ret->v = 1e5;
    market->t = t + 60000;
}

/* Reads a bar line and writes a unit: the least any engine can do. */
static void move_row(const struct ref_segment *segment, uint32_t series, uint64_t index)
{
    const uint64_t *line = (const uint64_t *)(const void *)ref_bar(segment, series, index);
    uint64_t *unit = (uint64_t *)(uintptr_t)ref_unit(segment, series, index);
    for (size_t i = 0; i < PGD_UNIT / 8; i++)
        unit[i] = line[i % 8];
}

/* The same, past the caches where the processor can; false: it cannot. */
static bool stream_row(const struct ref_segment *segment, uint32_t series, uint64_t index)
{
#if defined __x86_64__
    const __m128i *line = (const __m128i *)(const void *)ref_bar(segment, series, index);
    __m128i *unit = (__m128i *)(uintptr_t)ref_unit(segment, series, index);
    for (size_t i = 0; i < PGD_UNIT / sizeof *unit; i++)
        _mm_stream_si128(&unit[i], _mm_load_si128(&line[i % 4]));
    return true;
#else
    (void)segment, (void)series, (void)index;
    return false;
#endif
}

/* Nine indicators: what the goals are set for. */
static const char *const nine[] = {"sma_20", "ema_12", "rsi_14", "macd", "bb",
                                   "atr_14", "stoch",  "obv",    "vwap"};
#define NINE (sizeof nine / sizeof nine[0])

struct bench {
    struct pgk_plan *plan;
    struct pgk_engine *engine;
    struct ref_segment segment;
};

/* isa: NULL for the best. False: this processor has no such. */
static bool bench_init(struct bench *b, uint32_t series, uint32_t capacity, const char *isa)
{
    char text[128];
    if (pgk_plan_new(&b->plan, nine, NINE, text, sizeof text) != 0)
        die(text);
    int rc = pgk_engine_new(&b->engine, b->plan, &(struct pgk_engine_options){.kind = PGK_CPU, .isa = isa},
                            text, sizeof text);
    if (rc == -ENOTSUP) {
        pgk_plan_free(b->plan);
        return false;
    }
    if (rc != 0)
        die(text);
    ref_segment_init(&b->segment, b->plan, series, capacity, EVERY, false);
    if (pgk_engine_bind(b->engine, b->segment.base, &b->segment.geo) != 0)
        die("bind");
    return true;
}

static void bench_fini(struct bench *b)
{
    pgk_engine_free(b->engine);
    ref_segment_fini(&b->segment);
    pgk_plan_free(b->plan);
}

static void batch(void)
{
    struct bench b;
    struct ref_market market;
    double ours[REPEATS], reference[REPEATS];
    (void)bench_init(&b, 1, LONG_ROWS + 1, NULL);
    ref_market_init(&market, 1, 100);
    for (uint32_t i = 0; i < LONG_ROWS; i++) {
        struct pgd_bar bar;
        next_bar(&market, &bar);
        (void)ref_append(&b.segment, 0, &bar);
    }
    for (int k = 0; k < REPEATS; k++) {
        struct pgk_change change = {.end = LONG_ROWS};
        ref_series(&b.segment, 0)->computed = 0;
        double start = now_s();
        if (pgk_engine_compute(b.engine, 0, &change, 1) != 0)
            die("compute");
        ours[k] = LONG_ROWS / (now_s() - start) / 1e6;
        start = now_s();
        for (uint32_t i = 0; i < LONG_ROWS; i++)
            move_row(&b.segment, 0, i);
        reference[k] = LONG_ROWS / (now_s() - start) / 1e6;
    }
    print("engine_batch", median(ours, REPEATS), median(reference, REPEATS), "M bars/s",
          "nine indicators, one series of 65536 rows; reference: the bytes moved");
    bench_fini(&b);
}

static double moved(const struct ref_segment *segment, bool past)
{
    double start = now_s();
    bool done = true;
    for (uint32_t s = 0; s < MANY; s++)
        for (uint32_t i = 0; i < MANY_ROWS; i++) {
            if (past)
                done = stream_row(segment, s, i);
            else
                move_row(segment, s, i);
        }
    return done ? (double)MANY * MANY_ROWS / (now_s() - start) / 1e6 : 0;
}

/* Many series swept from the first row to the last. */
static void many(const char *isa, const char *name)
{
    static struct pgk_change changes[MANY];
    struct bench b;
    struct ref_market market;
    double ours[REPEATS], plain[REPEATS], past[REPEATS];
    if (!bench_init(&b, MANY, MANY_ROWS + 1, isa))
        return;
    for (uint32_t s = 0; s < MANY; s++) {
        ref_market_init(&market, s + 1, 100);
        for (uint32_t i = 0; i < MANY_ROWS; i++) {
            struct pgd_bar bar;
            next_bar(&market, &bar);
            (void)ref_append(&b.segment, s, &bar);
        }
    }
    for (int k = 0; k < REPEATS; k++) {
        for (uint32_t s = 0; s < MANY; s++) {
            changes[s] = (struct pgk_change){.series = s, .end = MANY_ROWS};
            ref_series(&b.segment, s)->computed = 0;
        }
        double start = now_s();
        if (pgk_engine_compute(b.engine, 0, changes, MANY) != 0)
            die("compute");
        ours[k] = (double)MANY * MANY_ROWS / (now_s() - start) / 1e6;
        plain[k] = moved(&b.segment, false);
        past[k] = moved(&b.segment, true);
    }
    double reference = median(plain, REPEATS), other = median(past, REPEATS);
    print(
        name, median(ours, REPEATS), reference > other ? reference : other, "M bars/s",
        "nine indicators, 64 series of 8192 rows; reference: the bytes moved, the quicker way: with plain or "
        "with non-temporal stores");
    bench_fini(&b);
}

/* What moving the rows that changed takes, us. */
static double moved_rows(const struct ref_segment *segment, const struct pgk_change *changes)
{
    double start = now_s();
    for (uint32_t s = 0; s < SYMBOLS; s++)
        move_row(segment, s, changes[s].from);
    return (now_s() - start) * 1e6;
}

/* warm: the lines of the new rows' units are in a cache already. */
static void burst(bool warm)
{
    struct bench b;
    double ours[REPEATS], reference[REPEATS];
    struct pgk_change *changes = calloc(SYMBOLS, sizeof *changes);
    struct ref_market *markets = calloc(SYMBOLS, sizeof *markets);
    if (changes == NULL || markets == NULL)
        die("no memory");
    int64_t t = INT64_C(1709564400000); /* 2024-03-04 10:00 in New York */
    (void)bench_init(&b, SYMBOLS, HELD_ROWS, NULL);
    for (uint32_t s = 0; s < SYMBOLS; s++)
        ref_market_init(&markets[s], s, 100);
    for (int k = -(int)HELD_ROWS; k < REPEATS; k++) {
        t += 60000; /* one minute for all of them, as in life */
        for (uint32_t s = 0; s < SYMBOLS; s++) {
            struct pgd_bar bar;
            next_bar(&markets[s], &bar);
            bar.t = t;
            uint64_t row = ref_append(&b.segment, s, &bar);
            changes[s] = (struct pgk_change){.series = s, .from = row, .end = row + 1};
        }
        if (warm)
            (void)moved_rows(&b.segment, changes);
        double start = now_s();
        if (pgk_engine_compute(b.engine, 0, changes, SYMBOLS) != 0)
            die("compute");
        double took = (now_s() - start) * 1e6;
        double moved_us = moved_rows(&b.segment, changes);
        if (k >= 0) {
            ours[k] = took;
            reference[k] = moved_us;
        }
    }
    print(warm ? "engine_burst_10000" : "engine_burst_10000_cold", median(ours, REPEATS),
          median(reference, REPEATS), "us",
          warm ? "one bar through 10000 symbols, nine indicators, the rows' lines in a cache; reference: the "
                 "bytes moved, likewise"
               : "the same, the rows' units not in a cache; reference: as before");
    bench_fini(&b);
    free(changes);
    free(markets);
}

/* A correction twenty rows back of a full ring. */
static void revision(void)
{
    struct bench b;
    struct ref_market market;
    enum { rows = 4000, times = 200 };
    double ours[times], whole[times];
    (void)bench_init(&b, 1, rows + 1, NULL);
    ref_market_init(&market, 7, 100);
    struct pgk_change change = {.end = rows};
    for (int i = 0; i < rows; i++) {
        struct pgd_bar bar;
        next_bar(&market, &bar);
        (void)ref_append(&b.segment, 0, &bar);
    }
    for (int k = 0; k < times; k++) {
        ref_series(&b.segment, 0)->computed = 0;
        change.from = 0;
        double start = now_s();
        if (pgk_engine_compute(b.engine, 0, &change, 1) != 0)
            die("compute");
        whole[k] = (now_s() - start) * 1e6;
        struct pgd_bar bar = *ref_bar(&b.segment, 0, rows - 20);
        ref_market_correct(&market, &bar);
        ref_revise(&b.segment, 0, rows - 20, &bar);
        change.from = rows - 20;
        start = now_s();
        if (pgk_engine_compute(b.engine, 0, &change, 1) != 0)
            die("compute");
        ours[k] = (now_s() - start) * 1e6;
    }
    print("engine_revision", median(ours, times), median(whole, times), "us",
          "a bar replaced 20 rows back; reference: computing the ring of 4000 rows anew");
    bench_fini(&b);
}

int main(void)
{
    batch();
    many(NULL, "engine_many");
    many("avx2", "engine_many_avx2");
    many("base", "engine_many_base");
    burst(true);
    burst(false);
    revision();
    return 0;
}
