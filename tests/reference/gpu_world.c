#include "reference/gpu_world.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "plan.h"
#include "shm/atomic.h"

static const char *const nine[] = {"sma_20", "ema_12", "rsi_14", "macd", "bb",
                                   "atr_14", "stoch",  "obv",    "vwap"};

void world_die(const struct world *w, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, w != NULL && w->cuda != NULL ? pgk_cuda_fault(w->cuda) : "");
    exit(1);
}

double world_now_us(void)
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

double world_at(double *values, size_t count, double share)
{
    qsort(values, count, sizeof *values, by_value);
    return values[(size_t)((double)(count - 1) * share)];
}

void world_print(const char *name, double ours, double reference, const char *unit, const char *note)
{
    printf(
        "{\"name\":\"%s\",\"ours\":%.4g,\"reference\":%.4g,\"ratio\":%.3g,\"unit\":\"%s\",\"note\":\"%s\"}\n",
        name, ours, reference, ours / reference, unit, note);
    fflush(stdout);
}

/* What is tried out. */
static uint32_t from_environment(const char *name)
{
    const char *text = getenv(name);
    return text == NULL ? 0 : (uint32_t)strtoul(text, NULL, 10);
}

/* Series lie an odd number of 128-byte lines apart. */
static void lay_out(struct world *w, const struct world_options *o)
{
    struct pgd_bars_geometry *geo = &w->geo;
    *geo = (struct pgd_bars_geometry){.span_ms = 60000, .series_max = o->series, .capacity = o->capacity};
    geo->columns = (uint32_t)pgk_plan_columns(w->plan);
    geo->unit_size = 128;
    geo->series_stride = 256;
    geo->bar_offset = (uint64_t)o->series * 256;
    if (o->planes) {
        uint64_t bars = ((uint64_t)o->capacity * 64 + 127) / 128 * 128;
        geo->bar_stride = 64;
        geo->unit_stride = 128;
        geo->unit_offset = geo->bar_offset + bars;
        geo->rows_stride = bars + (uint64_t)o->capacity * 128 + 128;
    } else {
        geo->bar_stride = geo->unit_stride = 256;
        geo->unit_offset = geo->bar_offset + 128;
        geo->rows_stride = (uint64_t)o->capacity * 256 + 128;
    }
    geo->state_offset = geo->bar_offset + o->series * geo->rows_stride;
    geo->state_size = (uint32_t)pgk_plan_state_size(w->plan);
    geo->state_every = from_environment("EVERY") == 0 ? PGK_STATE_EVERY : from_environment("EVERY");
    geo->state_slots = o->capacity / geo->state_every + 2;
    geo->state_stride = (uint64_t)geo->state_slots * geo->state_size;
    w->size = geo->state_offset + o->series * geo->state_stride;
}

/* In the environment: EVERY, rows between checkpoints, ROWS, that a sweep does at a time. */
void world_init(struct world *w, const struct world_options *o)
{
    char why[256] = "";
    *w = (struct world){0};
    if (pgk_plan_new(&w->plan, nine, sizeof nine / sizeof nine[0], why, sizeof why) != 0)
        world_die(NULL, why);
    struct pgk_cuda_options options = {.driver = o->driver,
                                       .rtc = o->driver == NULL ? NULL : "", /* NVRTC dislikes fakes */
                                       .sweep_tasks = 1,
                                       .timeout_ns = UINT64_C(20000000000),
                                       .sweep_rows = from_environment("ROWS"),
                                       .stay_ns = o->stay_us * UINT64_C(1000)};
    if (pgk_cuda_new(&w->cuda, w->plan, &options, why, sizeof why) != 0)
        world_die(NULL, why);
    w->gpu = pgk_cuda_gpu(w->cuda, 0);
    lay_out(w, o);
    w->base = mmap(NULL, w->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    w->changes = calloc(o->series, sizeof *w->changes);
    if (w->base == MAP_FAILED || w->changes == NULL)
        world_die(NULL, "no memory");
    if (pgk_cuda_bind(w->cuda, w->base, &w->geo) != 0 || pgk_cuda_extent(w->cuda, 0, 0, o->series) != 0)
        world_die(w, "bind");
}

void world_fini(struct world *w)
{
    pgk_cuda_free(w->cuda, false);
    (void)munmap(w->base, w->size);
    free(w->changes);
    pgk_plan_free(w->plan);
}

struct pgd_series *world_head(const struct world *w, uint32_t s)
{
    return (struct pgd_series *)(void *)(w->base + w->geo.series_offset + s * w->geo.series_stride);
}

const uint64_t *world_unit(const struct world *w, uint32_t s, uint64_t row)
{
    return (const uint64_t *)(const void *)(w->base + w->geo.unit_offset + s * w->geo.rows_stride +
                                            row % w->geo.capacity * w->geo.unit_stride);
}

void world_append(struct world *w, uint32_t s, uint64_t row)
{
    struct pgd_bar *bar = (struct pgd_bar *)(void *)(w->base + w->geo.bar_offset + s * w->geo.rows_stride +
                                                     row % w->geo.capacity * w->geo.bar_stride);
    double x = (double)((s * 7919 + row * 104729 + w->seed * 31) % 1009) / 1009,
           price = 100 + 10 * sin((double)row / 97 + s + (double)w->seed);
    *bar = (struct pgd_bar){.t = INT64_C(1709564400000) + (int64_t)row * 60000,
                            .o = price,
                            .h = price + 1 + x,
                            .l = price - 1 - x / 2,
                            .c = price + x - 0.5,
                            .v = 1000 + 500 * x,
                            .vw = price + x / 3,
                            .rev = 2,
                            .n = 10};
    __atomic_store_n(&world_head(w, s)->head, row + 1, __ATOMIC_RELEASE);
    shm_hand_on(bar);
}

void world_compute(struct world *w)
{
    for (uint32_t s = 0; s < w->geo.series_max; s++)
        w->changes[s].reserved = 0;
    if (pgk_cuda_compute(w->cuda, 0, w->changes, w->geo.series_max) != 0)
        world_die(w, "compute");
    for (uint32_t s = 0; s < w->geo.series_max; s++)
        if (w->changes[s].reserved == 0)
            world_die(w, "a change was not done");
}
