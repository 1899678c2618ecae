/* rows.h - one series of a segment as the engine sees it: bar lines that are read, indicator units that are
 * written.
 *
 * The main thread appends and revises while we read. A bar is taken only whole (its revision even, and the
 * same before and after); a row that has left the ring is seen through the head, which the main thread stores
 * before it reuses the slot of row head - capacity: so a copy is good when, after an acquire fence, index +
 * capacity > head still holds. */
#ifndef KERNELS_ROWS_H
#define KERNELS_ROWS_H

#include "plan.h"

struct pgk_series {
    struct pgd_series *head;
    const uint8_t *bars;
    uint8_t *units;
    uint64_t capacity;
    uint64_t bar_stride;
    uint64_t unit_stride;
    bool utc;
};

/* What is used of a bar. */
struct pgk_bar {
    double h, l, c, v, vw;
};

void pgk_series_init(struct pgk_series *ret, void *base, const struct pgd_bars_geometry *geo,
                     uint32_t series);

/* Index of the oldest row that may be read now. */
uint64_t pgk_series_oldest(const struct pgk_series *series);

static inline const uint8_t *pgk_series_bar(const struct pgk_series *series, uint64_t index)
{
    return series->bars + index % series->capacity * series->bar_stride;
}

static inline uint8_t *pgk_series_unit(const struct pgk_series *series, uint64_t index)
{
    return series->units + index % series->capacity * series->unit_stride;
}

/* Revision of a bar line, for what is read of it afterwards; waits a moment for one that is being written.
 * -EBUSY: it still is. A revision takes tens of nanoseconds; one that takes longer has lost its processor,
 * and will be reported when it is done. */
int pgk_bar_rev(const uint8_t *line, uint16_t *ret) PGK_WARN_UNUSED;

/* True when the line still is at that revision: what was read since is whole. After an acquire fence. */
bool pgk_bar_still(const uint8_t *line, uint16_t rev);

/* Copies a bar. -EBUSY: it is being revised. */
int pgk_bar_copy(const uint8_t *line, struct pgk_bar *ret) PGK_WARN_UNUSED;

/* True when the units of row `index` were computed from revision `rev` of its bar. */
bool pgk_series_holds(const struct pgk_series *series, uint64_t index, uint16_t rev);

/* True when they were computed from the bar that is there now. */
bool pgk_series_fresh(const struct pgk_series *series, uint64_t index);

#endif
