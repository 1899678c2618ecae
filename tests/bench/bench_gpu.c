/* What a GPU makes of the engine's work, against moving the same bytes of the same memory; needs one. Usage:
 * bench_gpu [DRIVER] (another libcuda.so.1). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "cpu.h"
#include "cuda/engine.h"
#include "reference/reference.h"

static const char *const nine[] = {"sma_20", "ema_12", "rsi_14", "macd", "bb",
                                   "atr_14", "stoch",  "obv",    "vwap"};

struct world {
    struct pgk_plan *plan;
    struct pgk_cuda *cuda;
    struct pgk_gpu *gpu;
    uint8_t *base;
    size_t size;
    struct pgd_bars_geometry geo;
    struct pgk_change *changes;
    uint64_t rows; /* of each series, so far */
};

static void die(const char *what, const struct world *w)
{
    fprintf(stderr, "bench_gpu: %s: %s\n", what, w != NULL && w->cuda != NULL ? pgk_cuda_fault(w->cuda) : "");
    exit(1);
}

static double now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double at(double *values, size_t count, double share)
{
    qsort(values, count, sizeof *values, by_value);
    return values[(size_t)((double)(count - 1) * share)];
}

static void print(const char *name, double ours, double reference, const char *unit, const char *note)
{
    printf(
        "{\"name\":\"%s\",\"ours\":%.4g,\"reference\":%.4g,\"ratio\":%.3g,\"unit\":\"%s\",\"note\":\"%s\"}\n",
        name, ours, reference, ours / reference, unit, note);
    fflush(stdout);
}

/* planes: bar lines of a series, then its units; else both interleaved at 256 bytes. */
static void lay_out(struct world *w, uint32_t series, uint32_t capacity, bool planes, uint64_t pad)
{
    struct pgd_bars_geometry *geo = &w->geo;
    *geo = (struct pgd_bars_geometry){.span_ms = 60000, .series_max = series, .capacity = capacity};
    geo->columns = (uint32_t)pgk_plan_columns(w->plan);
    geo->unit_size = 128;
    geo->series_stride = 256;
    geo->bar_offset = (uint64_t)series * 256;
    if (planes) {
        geo->bar_stride = 64;
        geo->unit_stride = 128;
        geo->unit_offset = geo->bar_offset + ((uint64_t)capacity * 64 + 127) / 128 * 128;
        geo->rows_stride = ((uint64_t)capacity * 64 + 127) / 128 * 128 + (uint64_t)capacity * 128 + pad;
    } else {
        geo->bar_stride = geo->unit_stride = 256;
        geo->unit_offset = geo->bar_offset + 128;
        geo->rows_stride = (uint64_t)capacity * 256 + pad;
    }
    geo->state_offset = geo->bar_offset + series * geo->rows_stride;
    geo->state_size = (uint32_t)pgk_plan_state_size(w->plan);
    geo->state_every = 32;
    geo->state_slots = capacity / 32 + 2;
    geo->state_stride = (uint64_t)geo->state_slots * geo->state_size;
    w->size = geo->state_offset + series * geo->state_stride;
    w->base = mmap(NULL, w->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    w->changes = calloc(series, sizeof *w->changes);
    if (w->base == MAP_FAILED || w->changes == NULL)
        die("no memory", NULL);
}

static void world_init(struct world *w, const char *driver, uint32_t series, uint32_t capacity, bool planes,
                       uint64_t pad)
{
    char why[256] = "";
    *w = (struct world){0};
    if (pgk_plan_new(&w->plan, nine, sizeof nine / sizeof nine[0], why, sizeof why) != 0)
        die(why, NULL);
    const char *blocks = getenv("BLOCKS");
    struct pgk_cuda_options options = {.driver = driver,
                                       .sweep_tasks = 1,
                                       .blocks = blocks == NULL ? 0 : (uint32_t)atoi(blocks),
                                       .sweep_rows =
                                           getenv("ROWS") == NULL ? 0 : (uint32_t)atoi(getenv("ROWS"))};
    if (pgk_cuda_new(&w->cuda, w->plan, &options, why, sizeof why) != 0)
        die(why, NULL);
    w->gpu = pgk_cuda_gpu(w->cuda, 0);
    lay_out(w, series, capacity, planes, pad);
    if (pgk_cuda_bind(w->cuda, w->base, &w->geo) != 0 || pgk_cuda_extent(w->cuda, 0, 0, series) != 0)
        die("bind", w);
}

static void world_fini(struct world *w)
{
    pgk_cuda_free(w->cuda, false);
    (void)munmap(w->base, w->size);
    free(w->changes);
    pgk_plan_free(w->plan);
}

static struct pgd_series *head_of(const struct world *w, uint32_t s)
{
    return (struct pgd_series *)(void *)(w->base + w->geo.series_offset + s * w->geo.series_stride);
}

static void append(struct world *w, uint32_t s, uint64_t row)
{
    struct pgd_bar *bar = (struct pgd_bar *)(void *)(w->base + w->geo.bar_offset + s * w->geo.rows_stride +
                                                     row % w->geo.capacity * w->geo.bar_stride);
    double x = (double)((s * 7919 + row * 104729) % 1009) / 1009,
           price = 100 + 10 * sin((double)row / 97 + s);
    *bar = (struct pgd_bar){.t = INT64_C(1709564400000) + (int64_t)row * 60000,
                            .o = price,
                            .h = price + 1 + x,
                            .l = price - 1 - x / 2,
                            .c = price + x - 0.5,
                            .v = 1000 + 500 * x,
                            .vw = price + x / 3,
                            .rev = 2,
                            .n = 10};
    __atomic_store_n(&head_of(w, s)->head, row + 1, __ATOMIC_RELEASE);
}

static void compute(struct world *w, uint32_t series)
{
    for (uint32_t s = 0; s < series; s++)
        w->changes[s].reserved = 0;
    if (pgk_cuda_compute(w->cuda, 0, w->changes, series) != 0)
        die("compute", w);
    for (uint32_t s = 0; s < series; s++)
        if (w->changes[s].reserved == 0)
            die("a change was not done", w);
}

/* ------------------------------------------------------------------------------------------------ sweeping
 */

static void batch(const char *driver, uint32_t series, uint32_t rows, bool planes, bool bits)
{
    struct world w;
    double ours[9], floor[9];
    char note[160];
    world_init(&w, driver, series, rows + 1, planes, 128);
    for (uint32_t s = 0; s < series; s++)
        for (uint32_t r = 0; r < rows; r++)
            append(&w, s, r);
    for (int k = 0; k < 9; k++) {
        double start = now_us();
        if (pgk_gpu_current(w.gpu) != 0 || pgk_gpu_floor(w.gpu, 0, series, rows) != 0)
            die(w.gpu->fault, &w);
        floor[k] = (double)series * rows / (now_us() - start);
        for (uint32_t s = 0; s < series; s++) {
            head_of(&w, s)->computed = 0;
            w.changes[s] = (struct pgk_change){.series = s, .end = rows};
        }
        start = now_us();
        compute(&w, series);
        ours[k] = (double)series * rows / (now_us() - start);
    }
    snprintf(note, sizeof note,
             "%u series of %u rows, nine indicators, %s; reference: lines read and units written alone",
             series, rows, planes ? "two planes" : "interleaved at 256 bytes");
    print("gpu_batch", at(ours, 9, 0.5), at(floor, 9, 0.5), "M bars/s", note);
    if (bits) { /* the CPU over the same bars */
        struct pgk_cpu cpu;
        struct pgk_cpu_segment segment;
        uint64_t differ = 0, values = 0;
        size_t units = (size_t)rows * 128;
        uint64_t *copy = malloc(units);
        if (copy == NULL || pgk_cpu_init(&cpu, w.plan, 8, NULL) != 0 ||
            pgk_cpu_bind(&cpu, &segment, w.base, &w.geo) != 0)
            die("cpu", NULL);
        uint64_t **all = calloc(series, sizeof *all);
        for (uint32_t s = 0; s < series; s++) {
            all[s] = malloc(units);
            for (uint32_t r = 0; r < rows; r++)
                memcpy(all[s] + r * 16,
                       w.base + w.geo.unit_offset + s * w.geo.rows_stride + r * w.geo.unit_stride, 128);
            head_of(&w, s)->computed = 0;
            w.changes[s] = (struct pgk_change){.series = s, .end = rows};
        }
        pgk_cpu_compute(&cpu, &segment, w.changes, series);
        for (uint32_t s = 0; s < series; s++) {
            for (uint32_t r = 0; r < rows; r++) {
                const uint64_t *unit =
                    (const uint64_t *)(const void *)(w.base + w.geo.unit_offset + s * w.geo.rows_stride +
                                                     r * w.geo.unit_stride);
                for (uint32_t j = 1; j <= w.geo.columns; j++, values++)
                    differ += unit[j] != all[s][r * 16 + j];
            }
            free(all[s]);
        }
        free(all);
        free(copy);
        printf("{\"name\":\"gpu_bits\",\"ours\":%llu,\"reference\":%llu,\"ratio\":0,\"unit\":\"values that "
               "differ, of\","
               "\"note\":\"CPU against GPU\"}\n",
               (unsigned long long)differ, (unsigned long long)values);
        pgk_cpu_unbind(&segment);
        pgk_cpu_fini(&cpu);
        if (differ != 0)
            exit(1);
    }
    world_fini(&w);
}

/* ------------------------------------------------------------------------------------------------- pushing
 */

#define PUSHES 600u

/* Of one new bar for each of `series`: from the bell to the GPU's word that the units are there. */
static void push_time(struct world *w, uint32_t series, double *took)
{
    for (uint32_t k = 0; k < PUSHES; k++) {
        uint64_t row = w->rows++;
        for (uint32_t s = 0; s < series; s++) {
            append(w, s, row);
            w->gpu->entry[s] = s;
        }
        if (pgk_gpu_push_begin(w->gpu, 0, series) != 0 || pgk_gpu_push_wait(w->gpu) != 0)
            die(w->gpu->fault, w);
        took[k] = now_us() - (double)w->gpu->rang_ns / 1e3;
        for (uint32_t s = 0; s < series; s++)
            __atomic_store_n(&head_of(w, s)->computed, row + 1, __ATOMIC_RELEASE);
    }
}

static void push(const char *driver, uint32_t series, bool planes, uint64_t pad, bool floor)
{
    struct world w;
    static double ours[PUSHES], bare[PUSHES];
    char name[64], note[160];
    world_init(&w, driver, series, 256, planes, pad);
    for (uint32_t s = 0; s < series; s++) {
        for (uint32_t r = 0; r < 100; r++)
            append(&w, s, r);
        w.changes[s] = (struct pgk_change){.series = s, .end = 100};
    }
    w.rows = 100;
    compute(&w, series);
    if (pgk_gpu_current(w.gpu) != 0)
        die("context", &w);
    push_time(&w, series, ours);
    w.gpu->bare = true;
    push_time(&w, series, bare);
    const char *how = planes ? "two planes" : "interleaved at 256 bytes";
    snprintf(note, sizeof note,
             "one bar for each of %u symbols, bell to done, %s, series %s; reference: the bytes moved alone",
             series, how, pad == 128 ? "padded" : "a power of two apart");
    snprintf(name, sizeof name, "gpu_push_%u_p50", series);
    print(name, at(ours, PUSHES, 0.5), at(bare, PUSHES, 0.5), "us", note);
    snprintf(name, sizeof name, "gpu_push_%u_p99", series);
    print(name, at(ours, PUSHES, 0.99), at(bare, PUSHES, 0.99), "us", note);
    (void)floor;
    world_fini(&w);
}

int main(int argc, char **argv)
{
    const char *driver = argc > 1 ? argv[1] : NULL;
    static const uint32_t sizes[] = {1, 10, 100, 1000, 10000};
    bool small = argc > 2; /* a try on a fake */
    const char *only = getenv("ONLY");
    for (int planes = 0; planes < 2; planes++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] && (!small || i < 3); i++)
            if (only == NULL || strchr(only, (int)('0' + i + 5 * (size_t)planes)) != NULL)
                push(driver, sizes[i], planes, 128, false);
    for (int planes = 0; planes < 2 && (only == NULL || only[0] == 120); planes++)
        batch(driver, small ? 40 : 10000, small ? 200 : 1000, planes,
              planes == 0 && getenv("NO_BITS") == NULL);
    if (!small && (only == NULL || only[0] == 120))
        batch(driver, 1000, 10000, true, false);
    return 0;
}
