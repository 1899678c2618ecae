#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cpu.h"
#include "shm/atomic.h"
#include "step/session.h"

#define SEGMENTS_MAX 16

struct pgk_engine {
    struct pgk_cpu cpu;
    struct pgk_cpu_segment segments[SEGMENTS_MAX];
    int segment_count;
};

/* Two units of a row never carry the same generation one after the other, also across a restart. */
static uint16_t first_generation(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint16_t)(now.tv_nsec >> 4);
}

int pgk_engine_new(struct pgk_engine **ret, const struct pgk_plan *plan,
                   const struct pgk_engine_options *options, char *why, size_t why_size)
{
    if (options->kind == PGK_CUDA) {
        (void)snprintf(why, why_size, "cuda: this build has no CUDA engine");
        return -ENOTSUP;
    }
    struct pgk_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL)
        return -ENOMEM;
    int rc = pgk_cpu_init(&engine->cpu, plan, options->threads == 0 ? 1 : options->threads, options->isa);
    if (rc != 0) {
        (void)snprintf(why, why_size, "cpu: %s",
                       rc == -ENOTSUP ? "no such instruction set here" : "out of memory");
        free(engine);
        return rc;
    }
    engine->cpu.gen = first_generation();
    (void)snprintf(why, why_size, "cpu (%s): %s", engine->cpu.simd->name,
                   options->kind == PGK_CPU ? "as configured" : "this build has no CUDA engine");
    *ret = engine;
    return 0;
}

void pgk_engine_free(struct pgk_engine *engine)
{
    if (engine == NULL)
        return;
    for (int i = 0; i < engine->segment_count; i++)
        pgk_cpu_unbind(&engine->segments[i]);
    pgk_cpu_fini(&engine->cpu);
    free(engine);
}

static bool rows_fit(const struct pgk_plan *plan, const struct pgd_bars_geometry *geo)
{
    return geo->columns == plan->columns && geo->unit_size >= (plan->columns + 1) * sizeof(double) &&
           geo->unit_size % PGD_LINE == 0 && geo->unit_stride >= geo->unit_size &&
           geo->bar_stride >= sizeof(struct pgd_bar) && geo->series_stride >= sizeof(struct pgd_series) &&
           geo->series_max > 0 && geo->capacity >= pgk_plan_capacity(plan) &&
           geo->capacity <= PGD_CAPACITY_LIMIT;
}

static bool states_fit(const struct pgk_plan *plan, const struct pgd_bars_geometry *geo)
{
    return geo->state_size >= pgk_plan_state_size(plan) && geo->state_every > 0 &&
           geo->state_slots >= geo->capacity / geo->state_every + 2 &&
           geo->state_stride >= (uint64_t)geo->state_slots * geo->state_size;
}

/* Words are moved as 8-byte atomics. */
static bool aligned(const void *base, const struct pgd_bars_geometry *geo)
{
    return (((uintptr_t)base | geo->series_offset | geo->series_stride | geo->bar_offset | geo->bar_stride |
             geo->unit_offset | geo->unit_stride | geo->rows_stride | geo->state_offset | geo->state_stride |
             geo->state_size) &
            7) == 0;
}

int pgk_engine_bind(struct pgk_engine *engine, void *base, const struct pgd_bars_geometry *geo)
{
    const struct pgk_plan *plan = &engine->cpu.plan;
    if (!rows_fit(plan, geo) || !states_fit(plan, geo) || !aligned(base, geo))
        return -EINVAL;
    if (engine->segment_count == SEGMENTS_MAX)
        return -ENOSPC;
    int rc = pgk_cpu_bind(&engine->cpu, &engine->segments[engine->segment_count], base, geo);
    return rc != 0 ? rc : engine->segment_count++;
}

static struct pgk_cpu_segment *segment_of(struct pgk_engine *engine, int segment)
{
    return segment >= 0 && segment < engine->segment_count ? &engine->segments[segment] : NULL;
}

int pgk_engine_extent(struct pgk_engine *engine, int segment, uint32_t first, uint32_t count)
{
    struct pgk_cpu_segment *it = segment_of(engine, segment);
    if (it == NULL || first > it->geo.series_max || count > it->geo.series_max - first)
        return -EINVAL;
    pgk_cpu_extent(&engine->cpu, it, first, count);
    return 0;
}

int pgk_engine_compute(struct pgk_engine *engine, int segment, struct pgk_change *changes, size_t count)
{
    struct pgk_cpu_segment *it = segment_of(engine, segment);
    if (it == NULL || count > UINT32_MAX)
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        if (changes[i].series >= it->geo.series_max)
            return -EINVAL;
    pgk_cpu_compute(&engine->cpu, it, changes, count);
    return 0;
}

/* First row whose units are not its bar's, or the rows held. */
static uint64_t first_stale(const struct pgk_series *series, uint64_t row, uint64_t end)
{
    while (row < end && pgk_series_fresh(series, row))
        row++;
    return row;
}

uint64_t pgk_engine_recover(struct pgk_engine *engine, int segment, uint32_t index)
{
    struct pgk_cpu_segment *it = segment_of(engine, segment);
    if (it == NULL || index >= it->geo.series_max)
        return 0;
    struct pgk_series series;
    struct pgk_checkpoints points;
    pgk_series_init(&series, it->base, &it->geo, index);
    pgk_checkpoints_init(&points, it->base, &it->geo, index);
    pgk_cpu_forget(&engine->cpu, it, index);
    uint64_t end = shm_load64_acquire(&series.head->head);
    uint64_t oldest = pgk_series_oldest(&series);
    uint64_t broken = shm_load64(&series.head->recompute);
    uint64_t row = first_stale(&series, oldest, end), start;
    if (broken != 0 && broken - 1 < row)
        row = broken - 1 > oldest ? broken - 1 : oldest;
    if (oldest > 0 && pgk_checkpoints_find(&points, oldest, row, &start) == NULL)
        row = oldest;
    uint64_t computed = shm_load64(&series.head->computed);
    if (row > computed || computed > end)
        shm_store64_release(&series.head->computed, row);
    return row;
}

int32_t pgk_new_york_offset(int64_t t_ms)
{
    return pgk_offset(t_ms);
}

int32_t pgk_new_york_day(int64_t t_ms)
{
    return (int32_t)pgk_floor_div(t_ms + (int64_t)pgk_offset(t_ms) * 1000, PGK_DAY_MS);
}
