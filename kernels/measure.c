#include "measure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define WARM   4u  /* pushes before the first that counts */
#define PUSHES 15u /* that count */
#define EVERY  16u

/* Rows as the daemon places them. */
static uint64_t lay_out(struct pgd_bars_geometry *geo, const struct pgk_plan *plan, uint32_t series)
{
    uint64_t line = PGD_UNIT, unit = (pgk_plan_columns(plan) + 1) * sizeof(double);
    *geo = (struct pgd_bars_geometry){
        .span_ms = 60000, .series_max = series, .series_stride = sizeof(struct pgd_series)};
    geo->capacity = pgk_plan_capacity(plan) + 16;
    geo->columns = (uint32_t)pgk_plan_columns(plan);
    geo->unit_size = (uint32_t)((unit + PGD_UNIT - 1) / PGD_UNIT * PGD_UNIT);
    geo->bar_stride = geo->unit_stride = line + geo->unit_size;
    geo->bar_offset = series * geo->series_stride;
    geo->unit_offset = geo->bar_offset + line;
    geo->rows_stride = geo->capacity * geo->bar_stride + line;
    geo->state_offset = geo->bar_offset + series * geo->rows_stride;
    geo->state_size = (uint32_t)pgk_plan_state_size(plan);
    geo->state_every = EVERY;
    geo->state_slots = geo->capacity / EVERY + 2;
    geo->state_stride = (uint64_t)geo->state_slots * geo->state_size;
    return geo->state_offset + series * geo->state_stride;
}

/* Nobody else looks: plain stores. */
static void append(uint8_t *base, const struct pgd_bars_geometry *geo, uint32_t series, uint64_t row)
{
    struct pgd_series *head =
        (struct pgd_series *)(void *)(base + geo->series_offset + series * geo->series_stride);
    struct pgd_bar *bar = (struct pgd_bar *)(void *)(base + geo->bar_offset + series * geo->rows_stride +
                                                     row % geo->capacity * geo->bar_stride);
    double step = (double)((series * 7 + row * 13) % 31) / 16;
    *bar = (struct pgd_bar){.t = INT64_C(1709564400000) + (int64_t)row * geo->span_ms,
                            .o = 100 + step,
                            .h = 102 + step,
                            .l = 99 + step,
                            .c = 101 - step,
                            .v = 1000 + step,
                            .vw = 100 + step / 2,
                            .rev = 2,
                            .n = 10};
    __atomic_store_n(&head->head, row + 1, __ATOMIC_RELEASE);
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

static int push_rows(struct pgk_engine *engine, int segment, uint8_t *base,
                     const struct pgd_bars_geometry *geo, struct pgk_change *changes, uint64_t first,
                     uint64_t end)
{
    for (uint32_t s = 0; s < geo->series_max; s++) {
        for (uint64_t row = first; row < end; row++)
            append(base, geo, s, row);
        changes[s] = (struct pgk_change){.series = s, .from = first, .end = end};
    }
    return pgk_engine_compute(engine, segment, changes, geo->series_max);
}

static int measure(struct pgk_engine *engine, int segment, uint8_t *base, const struct pgd_bars_geometry *geo,
                   struct pgk_change *changes, double *ret_us)
{
    double took[PUSHES];
    int rc = push_rows(engine, segment, base, geo, changes, 0, geo->capacity / 2);
    for (uint64_t i = 0; rc == 0 && i < WARM + PUSHES; i++) {
        uint64_t at = geo->capacity / 2 + i;
        for (uint32_t s = 0; s < geo->series_max; s++) {
            append(base, geo, s, at);
            changes[s] = (struct pgk_change){.series = s, .from = at, .end = at + 1};
        }
        double start = now_us();
        rc = pgk_engine_compute(engine, segment, changes, geo->series_max);
        if (i >= WARM)
            took[i - WARM] = now_us() - start;
    }
    if (rc == 0) {
        qsort(took, PUSHES, sizeof took[0], by_value);
        *ret_us = took[PUSHES / 2];
    }
    return rc;
}

int pgk_measure_push(struct pgk_engine *engine, const struct pgk_plan *plan, uint32_t series, double *ret_us)
{
    struct pgd_bars_geometry geo;
    uint64_t size = lay_out(&geo, plan, series);
    struct pgk_change *changes = calloc(series, sizeof *changes);
    uint8_t *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int rc = -ENOMEM;
    if (changes != NULL && base != MAP_FAILED) {
        int segment = pgk_engine_bind(engine, base, &geo);
        rc = segment < 0 ? segment : pgk_engine_extent(engine, segment, 0, series);
        enum pgk_kind kind = pgk_engine_kind(engine);
        if (rc == 0)
            rc = measure(engine, segment, base, &geo, changes, ret_us);
        if (rc == 0 && pgk_engine_kind(engine) != kind)
            rc = -EIO;
    }
    free(changes);
    pgk_engine_free(engine); /* before the memory it is bound to */
    if (base != MAP_FAILED)
        (void)munmap(base, size);
    return rc;
}
