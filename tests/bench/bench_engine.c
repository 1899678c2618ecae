/* What the engine costs, against moving the same bytes: 64 read and 128 written a bar, in the same memory and
 * run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reference/reference.h"
#include "reference/segment.h"

#define LONG_ROWS 65536u
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

/* Reads a bar line and writes a unit: the least any engine can do. */
static void move_row(const struct ref_segment *segment, uint32_t series, uint64_t index)
{
    const uint64_t *line = (const uint64_t *)(const void *)ref_bar(segment, series, index);
    uint64_t *unit = (uint64_t *)(uintptr_t)ref_unit(segment, series, index);
    for (size_t i = 0; i < PGD_UNIT / 8; i++)
        unit[i] = line[i % 8];
}

struct bench {
    struct pgk_plan *plan;
    struct pgk_engine *engine;
    struct ref_segment segment;
};

static void bench_init(struct bench *b, uint32_t series, uint32_t capacity)
{
    char text[128];
    if (pgk_plan_new(&b->plan, NULL, 0, text, sizeof text) != 0)
        die(text);
    if (pgk_engine_new(&b->engine, b->plan, &(struct pgk_engine_options){.kind = PGK_CPU}, text,
                       sizeof text) != 0)
        die(text);
    ref_segment_init(&b->segment, b->plan, series, capacity, EVERY, false);
    if (pgk_engine_bind(b->engine, b->segment.base, &b->segment.geo) != 0)
        die("bind");
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
    bench_init(&b, 1, LONG_ROWS + 1);
    ref_market_init(&market, 1, 100);
    for (uint32_t i = 0; i < LONG_ROWS; i++) {
        struct pgd_bar bar;
        ref_market_next(&market, &bar);
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
          "nine indicators, 15 columns, one series of 65536 rows; reference: the bytes moved");
    bench_fini(&b);
}

static void burst(void)
{
    struct bench b;
    double ours[REPEATS], reference[REPEATS];
    struct pgk_change *changes = calloc(SYMBOLS, sizeof *changes);
    struct ref_market *markets = calloc(SYMBOLS, sizeof *markets);
    if (changes == NULL || markets == NULL)
        die("no memory");
    int64_t t = INT64_C(1709564400000); /* 2024-03-04 10:00 in New York */
    bench_init(&b, SYMBOLS, HELD_ROWS);
    for (uint32_t s = 0; s < SYMBOLS; s++)
        ref_market_init(&markets[s], s, 100);
    for (int k = -(int)HELD_ROWS; k < REPEATS; k++) {
        t += 60000; /* one minute for all of them, as in life */
        for (uint32_t s = 0; s < SYMBOLS; s++) {
            struct pgd_bar bar;
            ref_market_next(&markets[s], &bar);
            bar.t = t;
            uint64_t row = ref_append(&b.segment, s, &bar);
            changes[s] = (struct pgk_change){.series = s, .from = row, .end = row + 1};
        }
        double start = now_s();
        for (uint32_t s = 0; s < SYMBOLS; s++)
            move_row(&b.segment, s, changes[s].from);
        double moved = now_s();
        if (pgk_engine_compute(b.engine, 0, changes, SYMBOLS) != 0)
            die("compute");
        double done = now_s();
        if (k >= 0) {
            ours[k] = (done - moved) * 1e6;
            reference[k] = (moved - start) * 1e6;
        }
    }
    print("engine_burst_10000", median(ours, REPEATS), median(reference, REPEATS), "us",
          "one bar through 10000 symbols, 15 columns; reference: the bytes moved");
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
    bench_init(&b, 1, rows + 1);
    ref_market_init(&market, 7, 100);
    struct pgk_change change = {.end = rows};
    for (int i = 0; i < rows; i++) {
        struct pgd_bar bar;
        ref_market_next(&market, &bar);
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
    burst();
    revision();
    return 0;
}
