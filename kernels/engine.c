#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu.h"
#include "step/session.h"

#define SEGMENTS_MAX 16
#define PREFETCH     3 /* changes ahead */

struct segment {
    void *base;
    struct pgd_bars_geometry geo;
};

struct pgk_engine {
    struct pgk_plan plan;
    struct pgk_cpu cpu;
    struct segment segments[SEGMENTS_MAX];
    int segment_count;
};

int pgk_engine_new(struct pgk_engine **ret, const struct pgk_plan *plan, enum pgk_kind kind, char *why,
                   size_t why_size)
{
    if (kind == PGK_CUDA) {
        (void)snprintf(why, why_size, "cuda: this build has no CUDA engine");
        return -ENOTSUP;
    }
    struct pgk_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL)
        return -ENOMEM;
    engine->plan = *plan;
    int rc = pgk_cpu_init(&engine->cpu, plan);
    if (rc != 0) {
        free(engine);
        return rc;
    }
    (void)snprintf(why, why_size, "%s",
                   kind == PGK_CPU ? "cpu: as configured" : "cpu: this build has no CUDA engine");
    *ret = engine;
    return 0;
}

void pgk_engine_free(struct pgk_engine *engine)
{
    if (engine == NULL)
        return;
    pgk_cpu_fini(&engine->cpu);
    free(engine);
}

static bool rows_fit(const struct pgk_plan *plan, const struct pgd_bars_geometry *geo)
{
    return geo->columns == plan->columns && geo->unit_size >= (plan->columns + 1) * sizeof(double) &&
           geo->unit_stride >= geo->unit_size && geo->bar_stride >= sizeof(struct pgd_bar) &&
           geo->series_stride >= sizeof(struct pgd_series) && geo->series_max > 0 &&
           geo->capacity >= pgk_plan_capacity(plan) && geo->capacity <= PGD_CAPACITY_LIMIT;
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
    if (!rows_fit(&engine->plan, geo) || !states_fit(&engine->plan, geo) || !aligned(base, geo))
        return -EINVAL;
    if (engine->segment_count == SEGMENTS_MAX)
        return -ENOSPC;
    engine->segments[engine->segment_count] = (struct segment){base, *geo};
    return engine->segment_count++;
}

static struct segment *segment_of(struct pgk_engine *engine, int segment)
{
    return segment >= 0 && segment < engine->segment_count ? &engine->segments[segment] : NULL;
}

int pgk_engine_extent(struct pgk_engine *engine, int segment, uint32_t first, uint32_t count)
{
    const struct segment *it = segment_of(engine, segment);
    if (it == NULL || first > it->geo.series_max || count > it->geo.series_max - first)
        return -EINVAL;
    return 0;
}

int pgk_engine_compute(struct pgk_engine *engine, int segment, struct pgk_change *changes, size_t count)
{
    struct segment *it = segment_of(engine, segment);
    if (it == NULL)
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        if (changes[i].series >= it->geo.series_max)
            return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        if (i + PREFETCH < count)
            pgk_cpu_prefetch(&engine->plan, it->base, &it->geo, &changes[i + PREFETCH]);
        pgk_cpu_compute(&engine->cpu, &engine->plan, it->base, &it->geo, &changes[i]);
    }
    return 0;
}

uint64_t pgk_engine_recover(struct pgk_engine *engine, int segment, uint32_t series)
{
    struct segment *it = segment_of(engine, segment);
    if (it == NULL || series >= it->geo.series_max)
        return 0;
    return pgk_cpu_recover(&engine->cpu, it->base, &it->geo, series);
}

int32_t pgk_new_york_offset(int64_t t_ms)
{
    return pgk_offset(t_ms);
}

int32_t pgk_new_york_day(int64_t t_ms)
{
    return (int32_t)pgk_floor_div(t_ms + (int64_t)pgk_offset(t_ms) * 1000, PGK_DAY_MS);
}
