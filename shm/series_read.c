/* Read side of bars segments. The argument of the orders stands in series.c. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "shm/series.h"

#define BAR_WORDS (PGD_LINE / 8)
#define META_WORD (PGD_BAR_META / 8)

/* ------------------------------------------------------------------------------------------ attach */

static bool geometry_valid(const struct pgd_bars_geometry *g, uint64_t size)
{
    if (g->series_max == 0 || g->series_max > PGD_SERIES_LIMIT || g->capacity == 0 ||
        g->capacity > PGD_CAPACITY_LIMIT)
        return false;
    if (g->unit_size < 8 || (uint64_t)g->columns * 8 + 8 > g->unit_size)
        return false;
    if (g->bar_stride < PGD_LINE || g->unit_stride < g->unit_size)
        return false;
    /* The planes of one series, then of all of them: the last byte of the last row bounds every other. */
    uint64_t rows = g->capacity, bars, units;
    if (__builtin_mul_overflow(rows - 1, g->bar_stride, &bars) ||
        __builtin_add_overflow(bars, PGD_LINE, &bars) ||
        __builtin_mul_overflow(rows - 1, g->unit_stride, &units) ||
        __builtin_add_overflow(units, g->unit_size, &units))
        return false;
    return ((g->bar_stride | g->unit_stride) & 7) == 0 &&
           pgd__extent_fits(size, g->bar_offset, g->series_max, g->rows_stride, bars) &&
           pgd__extent_fits(size, g->unit_offset, g->series_max, g->rows_stride, units) &&
           g->series_stride >= sizeof(struct pgd_series) &&
           pgd__extent_fits(size, g->series_offset, g->series_max, g->series_stride,
                            sizeof(struct pgd_series));
}

int pgd_bars_attach(struct pgd_bars_reader *ret, const char *instance, const char *timespan)
{
    char name[PGD_SEGMENT_MAX];
    if (timespan == NULL || snprintf(name, sizeof name, "bars.%s", timespan) >= (int)sizeof name)
        return -EINVAL;
    struct pgd_bars_reader reader = {0};
    int r = pgd_segment_attach(&reader.map, instance, name, PGD_KIND_BARS);
    if (r < 0)
        return r;
    r = -EPROTO;
    if (reader.map.geometry_size >= sizeof reader.geo) {
        shm_copy_out(&reader.geo, reader.map.base + reader.map.geometry_offset, sizeof reader.geo / 8);
        if (geometry_valid(&reader.geo, reader.map.size))
            r = 0;
    }
    if (r < 0) {
        pgd_segment_close(&reader.map);
        return r;
    }
    reader.geo.timespan[sizeof reader.geo.timespan - 1] = '\0';
    *ret = reader;
    return 0;
}

void pgd_bars_detach(struct pgd_bars_reader *reader)
{
    pgd_segment_close(&reader->map);
}

int pgd_bars_log(struct pgd_tape_reader *ret, const struct pgd_bars_reader *reader, enum pgd_from from)
{
    return pgd_tape_reader_init(ret, &reader->map, reader->geo.log_offset, from);
}

/* -------------------------------------------------------------------------------------------- rows */

static const struct pgd_series *series_of(const struct pgd_bars_reader *r, uint32_t series)
{
    return (const struct pgd_series *)(r->map.base + r->geo.series_offset + series * r->geo.series_stride);
}

uint64_t pgd_bars_rows(const struct pgd_bars_reader *reader, uint32_t series)
{
    return series < reader->geo.series_max ? shm_load64_acquire(&series_of(reader, series)->head) : 0;
}

uint64_t pgd_bars_computed(const struct pgd_bars_reader *reader, uint32_t series)
{
    if (series >= reader->geo.series_max)
        return 0;
    uint64_t computed = shm_load64_acquire(&series_of(reader, series)->computed);
    uint64_t head = pgd_bars_rows(reader, series);
    return computed < head ? computed : head;
}

static void fill_absent(double *units, uint32_t columns)
{
    for (uint32_t i = 0; i < columns; i++)
        units[i] = NAN;
}

/* True when the indicators belong to this index and revision, and the columns copied (none without `units`)
 * are whole. A row's first indicators are written in no order, and count once the row is counted as computed
 * (the acquire pairs with the engine's release); later ones are guarded by the tag. */
static bool units_copy(const struct pgd_bars_reader *r, uint32_t series, uint64_t index, uint16_t rev,
                       double *units)
{
    const uint64_t *unit = (const uint64_t *)(r->map.base + r->geo.unit_offset + series * r->geo.rows_stride +
                                              index % r->geo.capacity * r->geo.unit_stride);
    if (shm_load64_acquire(&series_of(r, series)->computed) <= index)
        return false;
    uint64_t tag = shm_load64_acquire(unit);
    if (tag >> 16 != PGD_UNIT_TAG(index, rev, 0) >> 16)
        return false;
    if (units != NULL)
        shm_copy_out(units, unit + 1, r->geo.columns);
    shm_fence_acquire();
    return shm_load64(unit) == tag;
}

int pgd_bars_row(const struct pgd_bars_reader *reader, uint32_t series, uint64_t index, struct pgd_bar *bar,
                 double *units)
{
    if (series >= reader->geo.series_max)
        return -ERANGE;
    const struct pgd_series *s = series_of(reader, series);
    const uint64_t *row =
        (const uint64_t *)(reader->map.base + reader->geo.bar_offset + series * reader->geo.rows_stride +
                           index % reader->geo.capacity * reader->geo.bar_stride);
    uint64_t head = shm_load64_acquire(&s->head);
    if (index >= head)
        return 0;
    unsigned tries = 0;
    do {
        if (head - index >= reader->geo.capacity)
            return -EOVERFLOW;
        uint64_t words[BAR_WORDS];
        words[META_WORD] = shm_load64_acquire(row + META_WORD);
        shm_copy_out(words, row, META_WORD);
        bool computed = units_copy(reader, series, index, (uint16_t)words[META_WORD], units);
        shm_fence_acquire();
        uint64_t meta = shm_load64_acquire(row + META_WORD);
        head = shm_load64(&s->head);
        if (meta != words[META_WORD] || (meta & 1) != 0 || head - index >= reader->geo.capacity)
            continue;
        memcpy(bar, words, sizeof *bar);
        if (units != NULL && !computed)
            fill_absent(units, reader->geo.columns);
        return computed ? 1 : 2;
    } while (pgd__retry(&tries));
    return head - index >= reader->geo.capacity ? -EOVERFLOW : -EAGAIN;
}

int pgd_bars_get_forming(const struct pgd_bars_reader *reader, uint32_t series, struct pgd_bar *ret)
{
    if (series >= reader->geo.series_max)
        return 0;
    const uint64_t *cell = (const uint64_t *)&series_of(reader, series)->forming;
    unsigned tries = 0;
    do {
        uint64_t words[BAR_WORDS], again[BAR_WORDS];
        words[META_WORD] = shm_load64_acquire(cell + META_WORD);
        shm_copy_out(words, cell, META_WORD);
        shm_fence_acquire();
        again[META_WORD] = shm_load64_acquire(cell + META_WORD);
        /* A forming bar changes often enough for its 16-bit revision to come round under a stopped reader:
         * after the revision compare the words too. */
        shm_copy_out(again, cell, META_WORD);
        if ((words[META_WORD] & 1) != 0 || memcmp(words, again, sizeof words) != 0)
            continue;
        if (words[META_WORD] == 0 || words[0] == 0)
            return 0;
        memcpy(ret, words, sizeof *ret);
        return 1;
    } while (pgd__retry(&tries));
    return 0;
}

int pgd_bars_get_day(const struct pgd_bars_reader *reader, uint32_t series, struct pgd_day *ret)
{
    if (series >= reader->geo.series_max)
        return 0;
    struct pgd_day day;
    if (!pgd__copy_guarded(&day, &series_of(reader, series)->day, sizeof day / 8) || day.t == 0)
        return 0;
    *ret = day;
    return 1;
}
