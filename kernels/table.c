#include "kernels/table.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static uint64_t align_unit(uint64_t n)
{
    return (n + PGD_UNIT - 1) / PGD_UNIT * PGD_UNIT;
}

/* As in shm/series.c: never a power of two, nor three times one. */
static uint64_t odd_stride(uint64_t n)
{
    return ((align_unit(n) / PGD_UNIT) | 1) * PGD_UNIT;
}

uint64_t pgk_table_layout(struct pgd_bars_geometry *ret, const struct pgk_plan *plan, uint32_t series,
                          uint32_t capacity)
{
    if (series == 0 || series > PGD_SERIES_LIMIT || capacity < pgk_plan_capacity(plan) ||
        capacity > PGD_CAPACITY_LIMIT)
        return 0;
    *ret = (struct pgd_bars_geometry){.timespan = "1m",
                                      .span_ms = 60000,
                                      .series_max = series,
                                      .capacity = capacity,
                                      .series_stride = sizeof(struct pgd_series),
                                      .bar_stride = PGD_LINE,
                                      .columns = (uint32_t)pgk_plan_columns(plan),
                                      .state_size = (uint32_t)pgk_plan_state_size(plan),
                                      .state_slots = capacity / PGK_STATE_EVERY + 2,
                                      .state_every = PGK_STATE_EVERY};
    ret->unit_size = (uint32_t)align_unit((ret->columns + 1) * sizeof(double));
    ret->unit_stride = ret->unit_size;
    uint64_t bars = align_unit((uint64_t)capacity * ret->bar_stride);
    ret->rows_stride = odd_stride(bars + (uint64_t)capacity * ret->unit_stride);
    ret->state_stride = odd_stride((uint64_t)ret->state_slots * ret->state_size);
    ret->bar_offset = align_unit(series * ret->series_stride);
    ret->unit_offset = ret->bar_offset + bars;
    ret->state_offset = ret->bar_offset + series * ret->rows_stride;
    return ret->state_offset + series * ret->state_stride;
}

int pgk_table_init(struct pgk_table *ret, const struct pgk_plan *plan, uint32_t series, uint32_t capacity)
{
    struct pgk_table table;
    table.size = pgk_table_layout(&table.geo, plan, series, capacity);
    if (table.size == 0)
        return -EINVAL;
    table.base = mmap(NULL, table.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (table.base == MAP_FAILED)
        return -ENOMEM;
    (void)madvise(table.base, table.size, MADV_HUGEPAGE); /* rows of many series: a translation each */
    *ret = table;
    return 0;
}

void pgk_table_fini(struct pgk_table *table)
{
    if (table->base != NULL)
        (void)munmap(table->base, table->size);
    *table = (struct pgk_table){0};
}

int pgk_table_bind(const struct pgk_table *table, struct pgk_engine *engine)
{
    int segment = pgk_engine_bind(engine, table->base, &table->geo);
    pgk_engine_private(engine, segment);
    int rc = segment < 0 ? segment : pgk_engine_extent(engine, segment, 0, table->geo.series_max);
    return rc < 0 ? rc : segment;
}

static struct pgd_series *series_at(const struct pgk_table *table, uint32_t series)
{
    return (struct pgd_series *)(void *)(table->base + table->geo.series_offset +
                                         series * table->geo.series_stride);
}

/* No checkpoint and no unit of an earlier history may be taken for one of the next. */
void pgk_table_open(struct pgk_table *table, uint32_t series, enum pgd_session session)
{
    const struct pgd_bars_geometry *geo = &table->geo;
    struct pgd_series *it = series_at(table, series);
    if (it->head > 0) {
        memset(table->base + geo->state_offset + series * geo->state_stride, 0, geo->state_stride);
        for (uint64_t i = pgk_table_first(table, series); i < it->head; i++)
            memset(table->base + geo->unit_offset + series * geo->rows_stride +
                       i % geo->capacity * geo->unit_stride,
                   0, sizeof(uint64_t));
    }
    *it = (struct pgd_series){.session = session, .in_use = 1};
}

void pgk_table_forget(struct pgk_table *table, uint32_t series)
{
    series_at(table, series)->computed = 0;
}

uint64_t pgk_table_head(const struct pgk_table *table, uint32_t series)
{
    return series_at(table, series)->head;
}

uint64_t pgk_table_first(const struct pgk_table *table, uint32_t series)
{
    uint64_t head = pgk_table_head(table, series);
    return head >= table->geo.capacity ? head + 1 - table->geo.capacity : 0;
}

struct pgd_bar *pgk_table_bar(const struct pgk_table *table, uint32_t series, uint64_t index)
{
    const struct pgd_bars_geometry *geo = &table->geo;
    return (struct pgd_bar *)(void *)(table->base + geo->bar_offset + series * geo->rows_stride +
                                      index % geo->capacity * geo->bar_stride);
}

const double *pgk_table_values(const struct pgk_table *table, uint32_t series, uint64_t index)
{
    const struct pgd_bars_geometry *geo = &table->geo;
    const uint8_t *unit =
        table->base + geo->unit_offset + series * geo->rows_stride + index % geo->capacity * geo->unit_stride;
    return (const double *)(const void *)(unit + sizeof(uint64_t));
}

uint64_t pgk_table_append(struct pgk_table *table, uint32_t series, const struct pgd_bar *bar)
{
    struct pgd_series *it = series_at(table, series);
    struct pgd_bar *line = pgk_table_bar(table, series, it->head);
    *line = *bar;
    line->rev = 2;
    return it->head++;
}

void pgk_table_revise(struct pgk_table *table, uint32_t series, uint64_t index, const struct pgd_bar *bar)
{
    struct pgd_bar *line = pgk_table_bar(table, series, index);
    uint16_t rev = (uint16_t)(line->rev + 2);
    *line = *bar;
    line->rev = rev == 0 ? 2 : rev;
}

void pgk_table_insert(struct pgk_table *table, uint32_t series, uint64_t index, const struct pgd_bar *bar)
{
    uint64_t head = pgk_table_head(table, series);
    struct pgd_bar next = *bar;
    for (uint64_t i = index; i < head; i++) {
        struct pgd_bar old = *pgk_table_bar(table, series, i);
        pgk_table_revise(table, series, i, &next);
        next = old;
    }
    (void)pgk_table_append(table, series, &next);
}
