/* What a GPU makes of the engine's work, against moving the same bytes of the same memory; needs one. Usage:
 * bench_gpu [small [DRIVER]] (another libcuda.so.1). In the environment: ROUNDS of other bars for the batch
 * whose bits are compared with the CPU's (8: a billion values), ONLY "push" or "batch", STAY_US that blocks
 * stay without work (20000; 0: every push is launched). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu.h"
#include "reference/gpu_world.h"

static const char *how(bool planes)
{
    return planes ? "two planes" : "interleaved at 256 bytes";
}

/* ------------------------------------------------------------------------------------------------ sweeping
 */

#define REPEATS 9

static void refill(struct world *w, uint32_t rows)
{
    for (uint32_t s = 0; s < w->geo.series_max; s++)
        for (uint32_t r = 0; r < rows; r++)
            world_append(w, s, r);
}

static void begin_again(struct world *w, uint32_t rows)
{
    for (uint32_t s = 0; s < w->geo.series_max; s++) {
        world_head(w, s)->computed = 0;
        w->changes[s] = (struct pgk_change){.series = s, .end = rows};
    }
}

/* The CPU over the same bars; how many of its values are not the GPU's. */
static uint64_t differ(struct world *w, uint32_t rows)
{
    struct pgk_cpu cpu;
    struct pgk_cpu_segment segment;
    uint64_t ret = 0;
    size_t words = (size_t)rows * w->geo.columns;
    uint64_t *gpu = malloc(words * w->geo.series_max * sizeof *gpu), *at = gpu;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (gpu == NULL || pgk_cpu_init(&cpu, w->plan, cores < 1 ? 1 : (unsigned)cores, NULL) != 0 ||
        pgk_cpu_bind(&cpu, &segment, w->base, &w->geo) != 0)
        world_die(NULL, "cpu");
    for (uint32_t s = 0; s < w->geo.series_max; s++)
        for (uint32_t r = 0; r < rows; r++, at += w->geo.columns)
            memcpy(at, world_unit(w, s, r) + 1, w->geo.columns * sizeof *at);
    begin_again(w, rows);
    pgk_cpu_compute(&cpu, &segment, w->changes, w->geo.series_max);
    at = gpu;
    for (uint32_t s = 0; s < w->geo.series_max; s++)
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t j = 1; j <= w->geo.columns; j++)
                ret += world_unit(w, s, r)[j] != *at++;
    pgk_cpu_unbind(&segment);
    pgk_cpu_fini(&cpu);
    free(gpu);
    return ret;
}

static void print_bits(const char *name, uint64_t bad, uint64_t values)
{
    printf("{\"name\":\"%s\",\"ours\":%llu,\"reference\":%llu,\"ratio\":0,\"unit\":\"values that "
           "differ, of\",\"note\":\"CPU against GPU\"}\n",
           name, (unsigned long long)bad, (unsigned long long)values);
    if (bad != 0)
        exit(1);
}

static void compare_bits(struct world *w, uint32_t rows)
{
    const char *text = getenv("ROUNDS");
    unsigned rounds = text == NULL ? 1 : (unsigned)strtoul(text, NULL, 10);
    uint64_t bad = 0, values = 0;
    for (unsigned k = 0; k < rounds; k++) {
        if (k > 0) {
            w->seed++;
            refill(w, rows);
            begin_again(w, rows);
            world_compute(w);
        }
        bad += differ(w, rows);
        values += (uint64_t)rows * w->geo.series_max * w->geo.columns;
    }
    print_bits("gpu_bits", bad, values);
}

static void batch(const char *driver, uint32_t series, uint32_t rows, bool planes, bool bits)
{
    struct world w;
    double ours[REPEATS], floor[REPEATS];
    char note[160];
    world_init(&w, &(struct world_options){
                       .driver = driver, .series = series, .capacity = rows + 1, .planes = planes});
    refill(&w, rows);
    for (int k = 0; k < REPEATS; k++) {
        double start = world_now_us();
        if (pgk_gpu_current(w.gpu) != 0 || pgk_gpu_floor(w.gpu, 0, series, 0, rows) != 0 ||
            pgk_gpu_sweep_wait(w.gpu, rows, (uint64_t)series * rows) != 0)
            world_die(NULL, w.gpu->fault);
        floor[k] = (double)series * rows / (world_now_us() - start);
        begin_again(&w, rows);
        start = world_now_us();
        world_compute(&w);
        ours[k] = (double)series * rows / (world_now_us() - start);
    }
    snprintf(note, sizeof note,
             "%u series of %u rows, nine indicators, %s; reference: lines read and units written alone",
             series, rows, how(planes));
    world_print("gpu_batch", world_at(ours, REPEATS, 0.5), world_at(floor, REPEATS, 0.5), "M bars/s", note);
    if (bits)
        compare_bits(&w, rows);
    world_fini(&w);
}

/* ------------------------------------------------------------------------------------------------- pushing
 */

#define PUSHES 600u

static uint32_t pushes = PUSHES;

static uint64_t new_rows(struct world *w)
{
    uint64_t row = w->rows++;
    for (uint32_t s = 0; s < w->geo.series_max; s++)
        world_append(w, s, row);
    return row;
}

/* One new bar for each series: from the begin of the push to the GPU's word that the units are there. */
static double push_once(struct world *w)
{
    uint64_t row = new_rows(w);
    for (uint32_t s = 0; s < w->geo.series_max; s++)
        w->gpu->entry[s] = PGK_GPU_ENTRY(s, 0, row % w->geo.capacity);
    if (pgk_gpu_push_begin(w->gpu, w->geo.series_max) != 0 || pgk_gpu_push_wait(w->gpu) != 0)
        world_die(NULL, w->gpu->fault);
    double took = world_now_us() - (double)w->gpu->rang_ns / 1e3;
    for (uint32_t s = 0; s < w->geo.series_max; s++)
        __atomic_store_n(&world_head(w, s)->computed, row + 1, __ATOMIC_RELEASE);
    return took;
}

/* The bytes of the same: a kernel launched and its end waited for. */
static void launch_time(struct world *w, double *took)
{
    for (uint32_t k = 0; k < pushes; k++) {
        uint64_t row = new_rows(w);
        double start = world_now_us();
        if (pgk_gpu_floor(w->gpu, 0, w->geo.series_max, row % w->geo.capacity, 1) != 0 ||
            pgk_gpu_sweep_wait(w->gpu, 1, w->geo.series_max) != 0)
            world_die(NULL, w->gpu->fault);
        took[k] = world_now_us() - start;
    }
}

static void first_rows(struct world *w)
{
    for (uint32_t s = 0; s < w->geo.series_max; s++) {
        for (uint32_t r = 0; r < 100; r++)
            world_append(w, s, r);
        w->changes[s] = (struct pgk_change){.series = s, .end = 100};
    }
    w->rows = 100;
    world_compute(w);
    if (pgk_gpu_current(w->gpu) != 0)
        world_die(w, "context");
}

static uint32_t stay_us = 20000;

static void push(const char *driver, uint32_t series, bool planes)
{
    struct world w;
    static double ours[PUSHES], alone[PUSHES];
    char name[64], note[160];
    world_init(
        &w, &(struct world_options){
                .driver = driver, .series = series, .capacity = 256, .stay_us = stay_us, .planes = planes});
    first_rows(&w);
    for (uint32_t k = 0; k < pushes; k++)
        ours[k] = push_once(&w);
    launch_time(&w, alone);
    snprintf(note, sizeof note,
             "one bar for each of %u symbols, %s; reference: a kernel that only moves the bytes, launched "
             "and waited for",
             series, how(planes));
    static const struct {
        const char *name;
        double share;
    } quantiles[] = {{"p50", 0.5}, {"p99", 0.99}};
    for (size_t i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "gpu_push_%u_%s", series, quantiles[i].name);
        world_print(name, world_at(ours, pushes, quantiles[i].share),
                    world_at(alone, pushes, quantiles[i].share), "us", note);
    }
    world_fini(&w);
}

/* Some rows that were swept, others that were pushed. */
static void push_bits(const char *driver, uint32_t series, uint32_t rows)
{
    struct world w;
    world_init(&w,
               &(struct world_options){
                   .driver = driver, .series = series, .capacity = 256, .stay_us = stay_us, .planes = true});
    first_rows(&w);
    while (w.rows < rows)
        (void)push_once(&w);
    if (pgk_gpu_quiet(w.gpu) != 0)
        world_die(NULL, w.gpu->fault);
    print_bits("gpu_push_bits", differ(&w, (uint32_t)w.rows), w.rows * series * w.geo.columns);
    world_fini(&w);
}

int main(int argc, char **argv)
{
    static const uint32_t all[] = {1, 10, 100, 1000, 10000}, few[] = {1, 100, 4300};
    bool small = argc > 1 && strcmp(argv[1], "small") == 0; /* a try, on a fake or under a sanitizer */
    const char *driver = argc > 2 ? argv[2] : NULL, *only = getenv("ONLY");
    if (argc > 1 && !small) {
        fprintf(stderr, "usage: bench_gpu [small [DRIVER]]\n");
        return 2;
    }
    if (getenv("STAY_US") != NULL)
        stay_us = (uint32_t)strtoul(getenv("STAY_US"), NULL, 10);
    if (small)
        pushes = 12;
    const uint32_t *sizes = small ? few : all;
    size_t count = small ? sizeof few / sizeof few[0] : sizeof all / sizeof all[0];
    if (only == NULL || strstr(only, "push") != NULL) {
        for (int planes = 0; planes < 2; planes++)
            for (size_t i = 0; i < count; i++)
                push(driver, sizes[i], planes);
        for (size_t i = 0; i < count; i++)
            push_bits(driver, sizes[i], small ? 120 : 255);
    }
    if (only == NULL || strstr(only, "batch") != NULL) {
        for (int planes = 0; planes < 2; planes++)
            batch(driver, small ? 40 : 10000, small ? 200 : 1000, planes, planes == 0);
        if (!small)
            batch(driver, 1000, 10000, true, false);
    }
    return 0;
}
