/* bench_engine.c - the engines over tables of made-up bars: histories swept, one new bar for many symbols, a
 * correction; each in turn with moving the same bytes of the same memory. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "engines.h"
#include "kernels/table.h"

#define LONG_ROWS 65536u
#define MANY      64u   /* series ... */
#define MANY_ROWS 8192u /* ... of so many rows: 100 MB of bars and units, more than a cache's share */
#define GPU_MANY  10000u
#define GPU_ROWS  400u
#define SYMBOLS   10000u
#define HELD_ROWS 64u
#define RING_ROWS 4000u
#define BACK      20u

/* A price on its way. */
struct walk {
    uint64_t state;
    double price;
};

struct world {
    struct bench *bench;
    struct pgk_engine *engine;
    enum pgk_kind kind;
    struct pgk_table table;
    int segment;
    struct pgk_change *changes; /* one a series at most */
    uint32_t count;             /* of them */
    double share;               /* of the series, which get a bar in a push */
    struct walk *walks;
    struct samples *samples;
};

static double uniform(struct walk *walk)
{
    walk->state ^= walk->state << 13;
    walk->state ^= walk->state >> 7;
    walk->state ^= walk->state << 17;
    return (double)(walk->state >> 11) * 0x1p-53;
}

/* The bar of minute `row`, around the clock, from a Monday midnight in New York on. */
static struct pgd_bar next_bar(struct walk *walk, uint64_t row)
{
    struct pgd_bar bar = {.t = INT64_C(1709528400000) + (int64_t)row * 60000, .o = walk->price, .n = 10};
    bar.c = walk->price * (1 + 0.004 * (uniform(walk) - 0.5));
    bar.h = fmax(bar.o, bar.c) * (1 + 0.001 * uniform(walk));
    bar.l = fmin(bar.o, bar.c) * (1 - 0.001 * uniform(walk));
    bar.v = floor(100000 * uniform(walk));
    bar.vw = (bar.h + bar.l + 2 * bar.c) / 4;
    walk->price = bar.c;
    return bar;
}

static void append(struct world *w, uint32_t series, uint64_t rows)
{
    for (uint64_t i = 0; i < rows; i++) {
        struct pgd_bar bar = next_bar(&w->walks[series], pgk_table_head(&w->table, series));
        (void)pgk_table_append(&w->table, series, &bar);
    }
}

static void world_fini(struct world *w)
{
    pgk_engine_free(w->engine); /* before the memory it is bound to */
    pgk_table_fini(&w->table);
    free(w->changes);
    free(w->walks);
    free(w->samples);
}

/* Series of `rows` bars each that are not computed yet. 0, or a negative errno with `why`. */
static int world_init(struct world *w, struct bench *bench, enum pgk_kind kind, const char *isa,
                      uint32_t series, uint32_t rows, uint32_t capacity, char why[ENGINE_WHY_SIZE])
{
    const struct pgk_engine_options options = {
        .kind = kind, .threads = bench->threads, .isa = isa, .cuda_tasks = 1, .gpu_stay_us = 20000};
    uint32_t least = pgk_plan_capacity(bench->plan);
    *w = (struct world){.bench = bench, .kind = kind, .count = series, .share = 1};
    int rc = pgk_engine_new(&w->engine, bench->plan, &options, why, ENGINE_WHY_SIZE);
    if (rc == 0)
        rc = pgk_table_init(&w->table, bench->plan, series, capacity > least ? capacity : least);
    if (rc == 0)
        rc = w->segment = pgk_table_bind(&w->table, w->engine);
    w->changes = calloc(series, sizeof *w->changes);
    w->walks = calloc(series, sizeof *w->walks);
    w->samples = calloc(1, sizeof *w->samples);
    if (rc >= 0 && (w->changes == NULL || w->walks == NULL || w->samples == NULL))
        rc = -ENOMEM;
    for (uint32_t s = 0; rc >= 0 && s < series; s++) {
        w->walks[s] = (struct walk){.state = s + 1, .price = 100};
        pgk_table_open(&w->table, s, PGD_SESSION_US);
        append(w, s, rows);
        w->changes[s] = (struct pgk_change){.series = s, .end = rows};
    }
    if (rc >= 0)
        return 0;
    if (why[0] == '\0' || rc == -ENOMEM)
        (void)snprintf(why, ENGINE_WHY_SIZE, "%s", strerror(-rc));
    world_fini(w);
    return rc;
}

/* Seconds that the changes take, or a negative errno: also when the engine is another afterwards. */
static double compute(struct world *w)
{
    double start = bench_now_s();
    int rc = pgk_engine_compute(w->engine, w->segment, w->changes, w->count);
    double took = bench_now_s() - start;
    return rc != 0 ? rc : pgk_engine_kind(w->engine) != w->kind ? -EIO : took;
}

/* Seconds that moving their bytes takes, NaN where there is no such way. */
static double floor_of(struct world *w, enum pgk_floor how)
{
    double start = bench_now_s();
    int rc = pgk_engine_floor(w->engine, w->segment, w->changes, w->count, how);
    return rc == 0 ? bench_now_s() - start : (double)NAN;
}

static int failed(struct world *w, const char *name, double error)
{
    const char *notice = pgk_engine_notice(w->engine);
    say(name, "%s", notice != NULL ? notice : strerror((int)-error));
    world_fini(w);
    return EXIT_FAILED;
}

/* -------------------------------------------------------------------------------------------- histories */

/* Series swept from the first row to the last. */
static int sweep(struct bench *bench, const char *name, enum pgk_kind kind, const char *isa, uint32_t series,
                 uint32_t rows)
{
    struct world w;
    char why[ENGINE_WHY_SIZE] = "", note[160];
    int rc = world_init(&w, bench, kind, isa, series, rows, rows + 1, why);
    if (rc == -ENOTSUP && isa != NULL) /* another processor's */
        return EXIT_OK;
    if (rc < 0) {
        say(name, "%s", why);
        return EXIT_FAILED;
    }
    double bars = (double)series * rows / 1e6, took = compute(&w); /* the first touches the memory */
    for (samples_begin(w.samples, bench); took >= 0 && samples_due(w.samples); w.samples->count++) {
        for (uint32_t s = 0; s < series; s++)
            pgk_table_forget(&w.table, s);
        took = compute(&w);
        w.samples->of[0][w.samples->count] = bars / took;
        w.samples->of[1][w.samples->count] = bars / floor_of(&w, PGK_FLOOR_PLAIN);
        w.samples->of[2][w.samples->count] = bars / floor_of(&w, PGK_FLOOR_PAST);
    }
    if (took < 0)
        return failed(&w, name, took);
    double plain = samples_at(w.samples, 1, 0.5), past = samples_at(w.samples, 2, 0.5);
    (void)snprintf(note, sizeof note, "%u series of %u rows; reference: their bytes moved", series, rows);
    int code = bench_row(bench, name, samples_at(w.samples, 0, 0.5), fmax(plain, past), "M bars/s", note);
    world_fini(&w);
    return code;
}

/* ----------------------------------------------------------------------------------------------- pushes */

/* One new bar for each series, and its bytes moved: in the same round, or, where a GPU may still be at work
 * when its answer has come, in rounds of their own afterwards. */
static double push(struct world *w, bool ours, bool reference, bool warm)
{
    uint32_t series = w->table.geo.series_max;
    w->count = 0;
    for (uint32_t s = 0; s < series; s++) {
        uint64_t row = pgk_table_head(&w->table, s);
        if (w->share < 1 && uniform(&w->walks[s]) >= w->share)
            continue;
        append(w, s, 1);
        w->changes[w->count++] = (struct pgk_change){.series = s, .from = row, .end = row + 1};
    }
    if (warm)
        (void)floor_of(w, PGK_FLOOR_PLAIN);
    double took = ours ? compute(w) : 0;
    if (took < 0)
        return took;
    if (ours)
        w->samples->of[0][w->samples->count] = took * 1e6;
    if (reference)
        w->samples->of[1][w->samples->count] = floor_of(w, PGK_FLOOR_PLAIN) * 1e6;
    w->samples->count++;
    return took;
}

/* A world whose series hold some rows, all computed, and whose engine has seen some pushes. */
static int push_world(struct world *w, struct bench *bench, const char *name, enum pgk_kind kind,
                      uint32_t series)
{
    char why[ENGINE_WHY_SIZE] = "";
    uint32_t least = pgk_plan_capacity(bench->plan), capacity = HELD_ROWS > least ? HELD_ROWS : least;
    if (world_init(w, bench, kind, NULL, series, capacity / 2, capacity, why) < 0) {
        say(name, "%s", why);
        return EXIT_FAILED;
    }
    double took = compute(w);
    samples_begin(w->samples, bench);
    for (uint32_t i = 0; took >= 0 && i < capacity; i++) /* every row of the ring has been touched */
        took = push(w, true, false, false);
    return took < 0 ? failed(w, name, took) : EXIT_OK;
}

/* One bar of so many series, of a share of them in each round; warm: the lines of the new rows' units are in
 * a cache already. */
static int push_cpu(struct bench *bench, const char *name, uint32_t series, double share, bool warm)
{
    struct world w;
    char note[160];
    int code = push_world(&w, bench, name, PGK_CPU, series);
    if (code != EXIT_OK)
        return code;
    double took = 0;
    w.share = share;
    for (samples_begin(w.samples, bench); took >= 0 && samples_due(w.samples);)
        took = push(&w, true, true, warm);
    if (took < 0)
        return failed(&w, name, took);
    char of[32] = "";
    if (share < 1)
        (void)snprintf(of, sizeof of, "%.0f %% of ", share * 100);
    (void)snprintf(note, sizeof note, "one bar of %s%u symbol%s, %sin a cache; reference: the bytes moved",
                   of, series, series == 1 ? "" : "s", warm ? "" : "not ");
    code = bench_row(bench, name, samples_at(w.samples, 0, 0.5), samples_at(w.samples, 1, 0.5), "us", note);
    world_fini(&w);
    return code;
}

static int push_gpu(struct bench *bench, const char *name, uint32_t series)
{
    static const double shares[] = {0.5, 0.99};
    struct world w;
    char title[64], note[160];
    int code = push_world(&w, bench, name, PGK_CUDA, series);
    if (code != EXIT_OK)
        return code;
    double took = 0, ours[2];
    for (samples_begin(w.samples, bench); took >= 0 && samples_due(w.samples);)
        took = push(&w, true, false, false);
    for (int i = 0; took >= 0 && i < 2; i++)
        ours[i] = samples_at(w.samples, 0, shares[i]);
    for (samples_begin(w.samples, bench); took >= 0 && samples_due(w.samples);)
        took = push(&w, false, true, false);
    if (took < 0)
        return failed(&w, name, took);
    (void)snprintf(note, sizeof note,
                   "one bar of %u symbol%s, call to return; reference: a kernel that moves the bytes", series,
                   series == 1 ? "" : "s");
    for (int i = 0; code == EXIT_OK && i < 2; i++) {
        (void)snprintf(title, sizeof title, "%s_p%.0f", name, shares[i] * 100);
        code = bench_row(bench, title, ours[i], samples_at(w.samples, 1, shares[i]), "us", note);
    }
    world_fini(&w);
    return code;
}

/* A bar replaced some rows back in a ring that is full. */
static int revision(struct bench *bench, const char *name)
{
    struct world w;
    char why[ENGINE_WHY_SIZE] = "", note[160];
    uint32_t least = pgk_plan_capacity(bench->plan), rows = RING_ROWS > least ? RING_ROWS : least;
    if (world_init(&w, bench, PGK_CPU, NULL, 1, rows, rows + 1, why) < 0) {
        say(name, "%s", why);
        return EXIT_FAILED;
    }
    struct walk other = {.state = 99, .price = 100};
    double took = compute(&w);
    for (samples_begin(w.samples, bench); took >= 0 && samples_due(w.samples); w.samples->count++) {
        struct pgd_bar bar = next_bar(&other, rows - BACK);
        pgk_table_revise(&w.table, 0, rows - BACK, &bar);
        w.changes[0] = (struct pgk_change){.from = rows - BACK, .end = rows};
        took = compute(&w);
        w.samples->of[0][w.samples->count] = took * 1e6;
        pgk_table_forget(&w.table, 0);
        w.changes[0] = (struct pgk_change){.end = rows};
        w.samples->of[1][w.samples->count] = compute(&w) * 1e6;
    }
    if (took < 0)
        return failed(&w, name, took);
    (void)snprintf(note, sizeof note, "a bar replaced %u rows back; reference: all %u rows anew", BACK, rows);
    int code =
        bench_row(bench, name, samples_at(w.samples, 0, 0.5), samples_at(w.samples, 1, 0.5), "us", note);
    world_fini(&w);
    return code;
}

/* ---------------------------------------------------------------------------------------------- engines */

/* A row that says what runs, or why nothing does; *ret: whether it can be had. */
static int introduce(struct bench *bench, const char *name, enum pgk_kind kind, bool *ret)
{
    struct pgk_engine *engine = NULL;
    const struct pgk_engine_options options = {.kind = kind, .threads = bench->threads};
    char why[ENGINE_WHY_SIZE] = "";
    *ret = pgk_engine_new(&engine, bench->plan, &options, why, sizeof why) == 0;
    pgk_engine_free(engine);
    return bench_row(bench, name, (double)NAN, (double)NAN, *ret ? "runs" : "absent", why);
}

static int bench_cpu(struct bench *bench)
{
    bool there;
    int code = introduce(bench, "cpu", PGK_CPU, &there);
    if (code == EXIT_OK)
        code = sweep(bench, "engine_batch", PGK_CPU, NULL, 1, LONG_ROWS);
    if (code == EXIT_OK)
        code = sweep(bench, "engine_many", PGK_CPU, NULL, MANY, MANY_ROWS);
    if (code == EXIT_OK)
        code = sweep(bench, "engine_many_avx2", PGK_CPU, "avx2", MANY, MANY_ROWS);
    if (code == EXIT_OK)
        code = sweep(bench, "engine_many_base", PGK_CPU, "base", MANY, MANY_ROWS);
    if (code == EXIT_OK)
        code = push_cpu(bench, "engine_push_1", 1, 1, true);
    if (code == EXIT_OK)
        code = push_cpu(bench, "engine_burst_10000", SYMBOLS, 1, true);
    if (code == EXIT_OK)
        code = push_cpu(bench, "engine_burst_10000_cold", SYMBOLS, 1, false);
    if (code == EXIT_OK)
        code = push_cpu(bench, "engine_burst_8000", SYMBOLS, 0.8, true);
    if (code == EXIT_OK)
        code = revision(bench, "engine_revision");
    return code;
}

static int bench_cuda(struct bench *bench, bool must)
{
    bool there;
    int code = introduce(bench, "cuda", PGK_CUDA, &there);
    if (code == EXIT_OK && !there && must) {
        say("engine", "there is no GPU that serves");
        code = EXIT_FAILED;
    }
    if (code != EXIT_OK || !there)
        return code;
    /* a look that is to be short is at less */
    uint32_t series = bench->seconds < 1 ? (uint32_t)(GPU_MANY * bench->seconds) + 64 : GPU_MANY;
    code = sweep(bench, "cuda_many", PGK_CUDA, NULL, series, GPU_ROWS);
    if (code == EXIT_OK)
        code = push_gpu(bench, "cuda_push_1", 1);
    if (code == EXIT_OK)
        code = push_gpu(bench, "cuda_push_10000", SYMBOLS);
    return code;
}

int bench_engines(struct bench *bench, enum pgk_kind kind)
{
    int code = kind == PGK_CUDA ? EXIT_OK : bench_cpu(bench);
    return code != EXIT_OK || kind == PGK_CPU ? code : bench_cuda(bench, kind == PGK_CUDA);
}
