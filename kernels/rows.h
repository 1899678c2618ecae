/* rows.h - the engine's view of one series: bar lines copied out, indicator units written in.
 *
 * The main thread appends and revises while we read. A bar is copied only whole (its revision even, and the
 * same before and after); a row that has left the ring is seen through the head, which the main thread stores
 * before it reuses the slot of row head - capacity: so a copy is good when, after an acquire fence, index +
 * capacity > head still holds. */
#ifndef KERNELS_ROWS_H
#define KERNELS_ROWS_H

#include "plan.h"

/* One series of a segment. */
struct pgk_series {
    struct pgd_series *head;
    const uint8_t *bars;
    const uint8_t *bars_end;
    uint8_t *units;
    uint64_t capacity;
    uint64_t bar_stride;
    uint64_t unit_stride;
    uint32_t columns;
    bool utc;
};

/* A copy of consecutive rows [base, base + count), one array a field. Room for `size`. */
struct pgk_rows {
    double *h, *l, *c, *v, *p;
    int32_t (*session)[2];
    uint16_t *rev;
    uint64_t base;
    uint32_t count;
    uint32_t size;
    int64_t hour;   /* of `offset` */
    int32_t offset; /* New York's, in seconds */
};

int pgk_rows_init(struct pgk_rows *rows, uint32_t size) PGK_WARN_UNUSED;
void pgk_rows_fini(struct pgk_rows *rows);

void pgk_series_init(struct pgk_series *ret, void *base, const struct pgd_bars_geometry *geo,
                     uint32_t series);

/* Index of the oldest row that may be read now. */
uint64_t pgk_series_oldest(const struct pgk_series *series);

/* True when the units of row `index` were computed from revision `rev` of its bar. */
bool pgk_series_holds(const struct pgk_series *series, uint64_t index, uint16_t rev);

/* True when they were computed from the bar that is there now. */
bool pgk_series_fresh(const struct pgk_series *series, uint64_t index);

/* Starts an empty copy at row `base`. */
void pgk_rows_reset(struct pgk_rows *rows, uint64_t base);

/* Makes room for `more` rows, keeping at least the last `keep`. */
void pgk_rows_trim(struct pgk_rows *rows, uint32_t more, uint32_t keep);

/* Appends up to `count` rows that will be stepped: 0, -EBUSY (a bar is being revised; those before it have
 * been copied), -EOVERFLOW (rows of the copy have left the ring meanwhile: nothing in it may be used).
 * `sessions`: also place them in the trading day. */
int pgk_rows_load(struct pgk_rows *rows, const struct pgk_series *series, uint32_t count,
                  bool sessions) PGK_WARN_UNUSED;

/* The same for rows that only windows look back on: h, l, c, and v and p if `flows`. */
int pgk_rows_load_back(struct pgk_rows *rows, const struct pgk_series *series, uint32_t count,
                       bool flows) PGK_WARN_UNUSED;

/* Writes the units of row `index`, computed from its bar at revision `rev`. What is not finite becomes NaN.
 */
void pgk_series_write(const struct pgk_series *series, uint64_t index, uint16_t rev, const double *values);

/* Asks for the lines that computing row `index` with `window` rows will touch. */
void pgk_series_prefetch(const struct pgk_series *series, uint64_t index, uint32_t window);

#endif
