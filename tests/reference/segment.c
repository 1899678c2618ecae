#include "reference/segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shm/atomic.h"

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

void ref_segment_init(struct ref_segment *ret, const struct pgk_plan *plan, uint32_t series,
                      uint32_t capacity, uint32_t state_every, bool shared)
{
    struct pgd_bars_geometry *geo = &ret->geo;
    *ret = (struct ref_segment){.shared = shared};
    memcpy(geo->timespan, "1m", 3);
    geo->span_ms = 60000;
    geo->series_max = series;
    geo->capacity = capacity;
    geo->columns = (uint32_t)pgk_plan_columns(plan);
    geo->unit_size = (uint32_t)round_up((geo->columns + 1) * sizeof(double), PGD_UNIT);
    geo->series_stride = sizeof(struct pgd_series);
    geo->bar_offset = round_up(geo->series_offset + series * geo->series_stride, PGD_UNIT);
    geo->bar_stride = PGD_LINE;
    geo->unit_offset = geo->bar_offset + round_up((uint64_t)capacity * PGD_LINE, PGD_UNIT);
    geo->unit_stride = geo->unit_size;
    geo->rows_stride =
        round_up((uint64_t)capacity * PGD_LINE, PGD_UNIT) + (uint64_t)capacity * geo->unit_size + PGD_UNIT;
    geo->state_offset = geo->bar_offset + series * geo->rows_stride;
    geo->state_size = (uint32_t)pgk_plan_state_size(plan);
    geo->state_every = state_every;
    geo->state_slots = capacity / state_every + 2;
    geo->state_stride = (uint64_t)geo->state_slots * geo->state_size;
    ret->size = geo->state_offset + series * geo->state_stride;
    int flags = MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE);
    ret->base = mmap(NULL, ret->size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (ret->base == MAP_FAILED)
        abort();
}

void ref_segment_fini(struct ref_segment *segment)
{
    (void)munmap(segment->base, segment->size);
    *segment = (struct ref_segment){0};
}

struct pgd_series *ref_series(const struct ref_segment *segment, uint32_t series)
{
    return (struct pgd_series *)(void *)(segment->base + segment->geo.series_offset +
                                         series * segment->geo.series_stride);
}

void ref_open(const struct ref_segment *segment, uint32_t series, enum pgd_session session)
{
    struct pgd_series *it = ref_series(segment, series);
    it->session = session;
    it->in_use = 1;
}

struct pgd_bar *ref_bar(const struct ref_segment *segment, uint32_t series, uint64_t index)
{
    const struct pgd_bars_geometry *geo = &segment->geo;
    return (struct pgd_bar *)(void *)(segment->base + geo->bar_offset + series * geo->rows_stride +
                                      index % geo->capacity * geo->bar_stride);
}

const uint64_t *ref_unit(const struct ref_segment *segment, uint32_t series, uint64_t index)
{
    const struct pgd_bars_geometry *geo = &segment->geo;
    return (const uint64_t *)(const void *)(segment->base + geo->unit_offset + series * geo->rows_stride +
                                            index % geo->capacity * geo->unit_stride);
}

double ref_value(const struct ref_segment *segment, uint32_t series, uint64_t index, uint32_t column)
{
    double value;
    memcpy(&value, ref_unit(segment, series, index) + 1 + column, sizeof value);
    return value;
}

bool ref_fresh(const struct ref_segment *segment, uint32_t series, uint64_t index)
{
    uint16_t rev = ref_bar(segment, series, index)->rev;
    return (rev & 1) == 0 && ref_unit(segment, series, index)[0] >> 16 == PGD_UNIT_TAG(index, rev, 0) >> 16;
}

static uint64_t meta_of(struct pgd_bar bar, uint16_t rev)
{
    uint64_t meta;
    bar.rev = rev;
    memcpy(&meta, (const uint8_t *)&bar + PGD_BAR_META, sizeof meta);
    return meta;
}

static void write_bar(struct pgd_bar *line, const struct pgd_bar *bar, uint16_t rev)
{
    uint8_t *meta = (uint8_t *)line + PGD_BAR_META;
    shm_store64(meta, shm_load64(meta) | 1);
    shm_fence_release();
    shm_copy_in(line, bar, PGD_BAR_META / 8);
    shm_store64_release(meta, meta_of(*bar, rev));
}

static uint16_t next_rev(const struct pgd_bar *line)
{
    uint16_t rev = (uint16_t)((line->rev & ~1) + 2);
    return rev == 0 ? 2 : rev;
}

uint64_t ref_append(const struct ref_segment *segment, uint32_t series, const struct pgd_bar *bar)
{
    struct pgd_series *it = ref_series(segment, series);
    uint64_t index = it->head;
    shm_fence_release();
    write_bar(ref_bar(segment, series, index), bar, 2);
    shm_store64_release(&it->head, index + 1);
    return index;
}

void ref_revise(const struct ref_segment *segment, uint32_t series, uint64_t index, const struct pgd_bar *bar)
{
    struct pgd_bar *line = ref_bar(segment, series, index);
    write_bar(line, bar, next_rev(line));
}

void ref_begin_revision(const struct ref_segment *segment, uint32_t series, uint64_t index)
{
    uint8_t *meta = (uint8_t *)ref_bar(segment, series, index) + PGD_BAR_META;
    shm_store64(meta, shm_load64(meta) | 1);
}

void ref_insert(const struct ref_segment *segment, uint32_t series, uint64_t index, const struct pgd_bar *bar)
{
    uint64_t head = ref_series(segment, series)->head;
    struct pgd_bar next = *bar;
    for (uint64_t i = index; i < head; i++) {
        struct pgd_bar old = *ref_bar(segment, series, i);
        ref_revise(segment, series, i, &next);
        next = old;
    }
    (void)ref_append(segment, series, &next);
}

static struct pgk_engine *engine_of(const struct pgk_engine_options *options, const struct pgk_plan *plan,
                                    const struct ref_segment *segment)
{
    struct pgk_engine *engine = NULL;
    char why[256] = "";
    if (pgk_engine_new(&engine, plan, options, why, sizeof why) != 0 ||
        pgk_engine_bind(engine, segment->base, &segment->geo) != 0 ||
        pgk_engine_extent(engine, 0, 0, segment->geo.series_max) != 0) {
        fprintf(stderr, "ref_engine: %s\n", why);
        abort();
    }
    return engine;
}

struct pgk_engine_options ref_options(void)
{
    const char *kind = getenv("TEST_ENGINE"), *stay_us = getenv("TEST_CUDA_STAY_US");
    if (kind == NULL || strcmp(kind, "cuda") != 0)
        return (struct pgk_engine_options){.kind = PGK_CPU};
    return (struct pgk_engine_options){.kind = PGK_CUDA,
                                       .cuda_driver = getenv("TEST_CUDA_DRIVER"),
                                       .cuda_rtc = getenv("TEST_CUDA_RTC"),
                                       /* no directory: what a stand-in compiles is not kept */
                                       .cache = getenv("TEST_CUDA_DRIVER") != NULL ? "/dev/null" : NULL,
                                       .cuda_tasks = 1,
                                       /* sanitizers and a busy machine make a stand-in slow, not lost */
                                       .cuda_timeout_ms = 120000,
                                       .gpu_stay_us =
                                           stay_us == NULL ? 0 : (uint32_t)strtoul(stay_us, NULL, 10)};
}

struct pgk_engine *ref_engine(const struct pgk_plan *plan, const struct ref_segment *segment)
{
    const struct pgk_engine_options options = ref_options();
    return engine_of(&options, plan, segment);
}

static void stream(struct ref_segment *ret, const struct pgk_engine_options *options,
                   const struct pgk_plan *plan, const struct pgd_bar *bars, size_t count, uint32_t capacity,
                   enum pgd_session session)
{
    ref_segment_init(ret, plan, 1, capacity, 16, false);
    ref_open(ret, 0, session);
    struct pgk_engine *engine = engine_of(options, plan, ret);
    for (size_t i = 0; i < count; i++) {
        struct pgk_change change = {.from = i, .end = i + 1};
        (void)ref_append(ret, 0, &bars[i]);
        if (pgk_engine_compute(engine, 0, &change, 1) != 0)
            abort();
    }
    pgk_engine_free(engine);
}

void ref_stream(struct ref_segment *ret, const struct pgk_plan *plan, const struct pgd_bar *bars,
                size_t count, uint32_t capacity, enum pgd_session session)
{
    const struct pgk_engine_options cpu = {.kind = PGK_CPU};
    stream(ret, &cpu, plan, bars, count, capacity, session);
}

void ref_stream_tested(struct ref_segment *ret, const struct pgk_plan *plan, const struct pgd_bar *bars,
                       size_t count, uint32_t capacity, enum pgd_session session)
{
    const struct pgk_engine_options options = ref_options();
    stream(ret, &options, plan, bars, count, capacity, session);
}

uint64_t ref_oldest(const struct ref_segment *segment)
{
    uint64_t head = ref_series(segment, 0)->head;
    return head + 1 > segment->geo.capacity ? head + 1 - segment->geo.capacity : 0;
}

uint64_t ref_difference(const struct ref_segment *got, const struct ref_segment *want)
{
    uint64_t head = ref_series(got, 0)->head;
    for (uint64_t i = ref_oldest(got); i < head; i++)
        if (!ref_fresh(got, 0, i) ||
            memcmp(ref_unit(got, 0, i) + 1, ref_unit(want, 0, i) + 1, got->geo.columns * sizeof(double)) != 0)
            return i;
    return head;
}
