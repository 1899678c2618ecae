#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu.h"
#include "cuda/engine.h"
#include "floor.h"
#include "measure.h"
#include "shm/atomic.h"
#include "step/session.h"

#define SEGMENTS_MAX 16
#define LEFT         "cuda failed and was left: "

struct pgk_engine {
    struct pgk_cpu cpu;
    struct pgk_cuda *cuda; /* NULL: the CPU alone */
    struct pgk_cpu_segment segments[SEGMENTS_MAX];
    int segment_count;
    bool told;
    char notice[256];
};

/* Two units of a row never carry the same generation one after the other, also across a restart. */
static uint16_t first_generation(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint16_t)(now.tv_nsec >> 4);
}

static int new_cpu(struct pgk_engine **ret, const struct pgk_plan *plan,
                   const struct pgk_engine_options *options, char *why, size_t why_size)
{
    struct pgk_engine *engine = calloc(1, sizeof *engine);
    int rc = engine == NULL ? -ENOMEM
                            : pgk_cpu_init(&engine->cpu, plan, options->threads == 0 ? 1 : options->threads,
                                           options->isa);
    if (rc != 0) {
        (void)snprintf(why, why_size, "cpu: %s",
                       rc == -ENOTSUP ? "no such instruction set here" : strerror(-rc));
        free(engine);
        return rc;
    }
    engine->told = true;
    engine->cpu.gen = first_generation();
    *ret = engine;
    return 0;
}

/* What the CPU engine runs with: "avx2", "avx2, 4 threads". */
static const char *cpu_name(const struct pgk_engine *engine, char name[48])
{
    int n = snprintf(name, 48, "%s", engine->cpu.simd->name);
    if (engine->cpu.threads > 1 && n > 0 && n < 48)
        (void)snprintf(name + n, 48 - (size_t)n, ", %u threads", engine->cpu.threads);
    return name;
}

static int new_cuda(struct pgk_engine *engine, const struct pgk_engine_options *options, char *text,
                    size_t text_size)
{
    struct pgk_cuda_options cuda = {.driver = options->cuda_driver,
                                    .rtc = options->cuda_rtc,
                                    .cache = options->cache,
                                    .sweep_tasks = options->cuda_tasks,
                                    .timeout_ns = options->cuda_timeout_ms * UINT64_C(1000000),
                                    .stay_ns = options->gpu_stay_us * UINT64_C(1000)};
    return pgk_cuda_new(&engine->cuda, &engine->cpu.plan, &cuda, text, text_size);
}

/* `text`: what is wrong. */
static int measure(const struct pgk_plan *plan, const struct pgk_engine_options *options, enum pgk_kind kind,
                   double *ret_us, char *text, size_t text_size)
{
    struct pgk_engine_options only = *options;
    struct pgk_engine *engine;
    only.kind = kind;
    int rc = pgk_engine_new(&engine, plan, &only, text, text_size);
    if (rc != 0)
        return rc;
    return pgk_measure_push(engine, plan, PGK_MEASURE_SERIES, ret_us, text, text_size);
}

/* Both engines push one bar through the same symbols; the faster one is it. */
static int choose(struct pgk_engine *engine, const struct pgk_engine_options *options, char *why,
                  size_t why_size)
{
    char text[256], name[48];
    const char *isa = cpu_name(engine, name);
    double cpu_us = 0, gpu_us = 0;
    int rc = measure(&engine->cpu.plan, options, PGK_CPU, &cpu_us, why, why_size);
    if (rc != 0)
        return rc;
    rc = measure(&engine->cpu.plan, options, PGK_CUDA, &gpu_us, text, sizeof text);
    if (rc == 0 && gpu_us <= cpu_us)
        rc = new_cuda(engine, options, text, sizeof text);
    const char *left = strstr(text, LEFT);
    if (rc != 0)
        (void)snprintf(why, why_size, "cpu (%s): cuda failed when it was tried: %.150s", isa,
                       left != NULL ? left + strlen(LEFT) : text);
    else if (engine->cuda != NULL)
        (void)snprintf(why, why_size, "cuda: %.0f us a bar of %u symbols, cpu (%s) %.0f; %.48s", gpu_us,
                       PGK_MEASURE_SERIES, isa, cpu_us, text);
    else
        (void)snprintf(why, why_size, "cpu (%s): %.0f us a bar of %u symbols, cuda %.0f", isa, cpu_us,
                       PGK_MEASURE_SERIES, gpu_us);
    return 0;
}

int pgk_engine_new(struct pgk_engine **ret, const struct pgk_plan *plan,
                   const struct pgk_engine_options *options, char *why, size_t why_size)
{
    struct pgk_engine *engine = NULL;
    char text[256] = "", name[48];
    int rc = new_cpu(&engine, plan, options, why, why_size);
    if (rc != 0)
        return rc;
    if (options->kind == PGK_CPU) {
        (void)snprintf(why, why_size, "cpu (%s): as configured", cpu_name(engine, name));
    } else if ((rc = new_cuda(engine, options, text, sizeof text)) != 0) {
        if (options->kind == PGK_CUDA) {
            (void)snprintf(why, why_size, "cuda: %s", text);
        } else {
            (void)snprintf(why, why_size, "cpu (%s): %s", cpu_name(engine, name), text);
            rc = 0;
        }
    } else if (options->kind == PGK_CUDA) {
        (void)snprintf(why, why_size, "cuda: as configured; %s", text);
    } else {
        pgk_cuda_free(engine->cuda, false);
        engine->cuda = NULL;
        rc = choose(engine, options, why, why_size);
    }
    if (rc != 0) {
        pgk_engine_free(engine);
        return rc;
    }
    *ret = engine;
    return 0;
}

void pgk_engine_free(struct pgk_engine *engine)
{
    if (engine == NULL)
        return;
    pgk_cuda_free(engine->cuda, false);
    for (int i = 0; i < engine->segment_count; i++)
        pgk_cpu_unbind(&engine->segments[i]);
    pgk_cpu_fini(&engine->cpu);
    free(engine);
}

bool pgk_kind_named(const char *name, enum pgk_kind *ret)
{
    static const char *const names[] = {[PGK_AUTO] = "auto", [PGK_CPU] = "cpu", [PGK_CUDA] = "cuda"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) {
            *ret = (enum pgk_kind)i;
            return true;
        }
    return false;
}

enum pgk_kind pgk_engine_kind(const struct pgk_engine *engine)
{
    return engine->cuda != NULL ? PGK_CUDA : PGK_CPU;
}

const char *pgk_engine_notice(struct pgk_engine *engine)
{
    if (engine->told)
        return NULL;
    engine->told = true;
    return engine->notice;
}

/* The GPU is left: what it did is as good as ever, what it did not the CPU does. */
static void leave_cuda(struct pgk_engine *engine, int error)
{
    const char *fault = pgk_cuda_fault(engine->cuda);
    char name[48];
    (void)snprintf(engine->notice, sizeof engine->notice, "cpu (%s): " LEFT "%s", cpu_name(engine, name),
                   fault[0] != '\0' ? fault : strerror(-error));
    pgk_cuda_free(engine->cuda, true);
    engine->cuda = NULL;
    engine->told = false;
}

static bool rows_fit(const struct pgk_plan *plan, const struct pgd_bars_geometry *geo)
{
    return geo->columns == plan->columns && geo->unit_size >= (plan->columns + 1) * sizeof(double) &&
           geo->unit_size % PGD_LINE == 0 && geo->unit_stride >= geo->unit_size &&
           geo->bar_stride >= sizeof(struct pgd_bar) && geo->series_stride >= sizeof(struct pgd_series) &&
           geo->series_max > 0 && geo->series_max <= PGD_SERIES_LIMIT &&
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
    const struct pgk_plan *plan = &engine->cpu.plan;
    if (!rows_fit(plan, geo) || !states_fit(plan, geo) || !aligned(base, geo))
        return -EINVAL;
    if (engine->segment_count == SEGMENTS_MAX)
        return -ENOSPC;
    int rc = pgk_cpu_bind(&engine->cpu, &engine->segments[engine->segment_count], base, geo);
    if (rc != 0)
        return rc;
    int number = engine->segment_count++;
    if (engine->cuda != NULL) {
        rc = pgk_cuda_bind(engine->cuda, base, geo);
        if (rc < 0)
            leave_cuda(engine, rc);
    }
    return number;
}

void pgk_engine_private(struct pgk_engine *engine, int segment)
{
    if (segment >= 0 && segment < engine->segment_count)
        engine->segments[segment].past = true;
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
    int rc = engine->cuda == NULL ? 0 : pgk_cuda_extent(engine->cuda, (uint32_t)segment, first, count);
    if (rc != 0)
        leave_cuda(engine, rc);
    return 0;
}

/* Lets the GPU do what it will, and the CPU the rest; each forgets what the other one did. True when nothing
 * was left. */
static bool compute_cuda(struct pgk_engine *engine, int segment, struct pgk_change *changes, size_t count)
{
    struct pgk_cpu_segment *it = &engine->segments[segment];
    int rc = pgk_cuda_compute(engine->cuda, (uint32_t)segment, changes, count);
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        if (changes[i].reserved == PGK_CHANGE_DONE) {
            pgk_cpu_forget(&engine->cpu, it, changes[i].series);
            continue;
        }
        all = false;
        if (rc == 0)
            pgk_cuda_forget(engine->cuda, (uint32_t)segment, changes[i].series);
    }
    if (rc != 0)
        leave_cuda(engine, rc);
    return all;
}

int pgk_engine_compute(struct pgk_engine *engine, int segment, struct pgk_change *changes, size_t count)
{
    struct pgk_cpu_segment *it = segment_of(engine, segment);
    if (it == NULL || count > UINT32_MAX)
        return -EINVAL;
    if (engine->cuda == NULL)
        return pgk_cpu_compute(&engine->cpu, it, changes, count);
    for (size_t i = 0; i < count; i++) {
        if (changes[i].series >= it->geo.series_max)
            return -EINVAL;
        changes[i].reserved = 0;
    }
    if (!compute_cuda(engine, segment, changes, count))
        pgk_cpu_finish(&engine->cpu, it, changes, count);
    return 0;
}

int pgk_engine_floor(struct pgk_engine *engine, int segment, const struct pgk_change *changes, size_t count,
                     enum pgk_floor how)
{
    struct pgk_cpu_segment *it = segment_of(engine, segment);
    if (it == NULL || count == 0 || count > UINT32_MAX)
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        if (changes[i].series >= it->geo.series_max)
            return -EINVAL;
    if (engine->cuda == NULL)
        return pgk_floor_move(it->base, &it->geo, changes, count, how);
    return how == PGK_FLOOR_PLAIN ? pgk_cuda_floor(engine->cuda, (uint32_t)segment, changes, count)
                                  : -ENOTSUP;
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
    pgk_checkpoints_init(&points, &engine->cpu.plan, it->base, &it->geo, index);
    pgk_cpu_forget(&engine->cpu, it, index);
    if (engine->cuda != NULL)
        pgk_cuda_forget(engine->cuda, (uint32_t)segment, index);
    uint64_t end = shm_load64_acquire(&series.head->head);
    uint64_t oldest = pgk_series_oldest(&series);
    uint64_t computed = shm_load64(&series.head->computed);
    uint64_t broken = shm_load64(&series.head->recompute);
    uint64_t start = 0;
    computed = computed < end ? computed : end;
    computed =
        computed > oldest ? computed : oldest; /* what lies behind that may be half written, tags and all */
    uint64_t row = first_stale(&series, oldest, computed);
    if (broken != 0 && broken - 1 < row)
        row = broken - 1 > oldest ? broken - 1 : oldest;
    if (oldest > 0 && pgk_checkpoints_find(&points, oldest, row, &start) == NULL)
        row = oldest;
    shm_store64_release(&series.head->computed, computed);
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
