#include "rows.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "shm/atomic.h"
#include "step/session.h"
#include "step/vwap.h"

/* A revision takes tens of nanoseconds; one that takes longer has lost its processor, and will be reported
 * when it is done. */
#define BAR_TRIES 64

int pgk_rows_init(struct pgk_rows *rows, uint32_t size)
{
    double *values = calloc(size, 5 * sizeof *values);
    int32_t(*session)[2] = calloc(size, sizeof *session);
    uint16_t *rev = calloc(size, sizeof *rev);
    if (values == NULL || session == NULL || rev == NULL) {
        free(values);
        free(session);
        free(rev);
        return -ENOMEM;
    }
    *rows = (struct pgk_rows){.h = values,
                              .l = values + size,
                              .c = values + 2 * (size_t)size,
                              .v = values + 3 * (size_t)size,
                              .p = values + 4 * (size_t)size,
                              .session = session,
                              .rev = rev,
                              .size = size,
                              .hour = INT64_MIN};
    return 0;
}

void pgk_rows_fini(struct pgk_rows *rows)
{
    free(rows->h);
    free(rows->session);
    free(rows->rev);
    *rows = (struct pgk_rows){0};
}

void pgk_series_init(struct pgk_series *ret, void *base, const struct pgd_bars_geometry *geo, uint32_t series)
{
    uint8_t *bytes = base;
    ret->head = (struct pgd_series *)(void *)(bytes + geo->series_offset + series * geo->series_stride);
    ret->bars = bytes + geo->bar_offset + series * geo->rows_stride;
    ret->units = bytes + geo->unit_offset + series * geo->rows_stride;
    ret->bars_end = ret->bars + geo->capacity * geo->bar_stride;
    ret->capacity = geo->capacity;
    ret->bar_stride = geo->bar_stride;
    ret->unit_stride = geo->unit_stride;
    ret->columns = geo->columns;
    ret->utc = shm_load32(&ret->head->session) == PGD_SESSION_UTC;
}

uint64_t pgk_series_oldest(const struct pgk_series *series)
{
    uint64_t head = shm_load64_acquire(&series->head->head);
    return head + 1 > series->capacity ? head + 1 - series->capacity : 0;
}

static uint64_t slot_of(const struct pgk_series *series, uint64_t index)
{
    return index % series->capacity;
}

static const uint8_t *bar_line(const struct pgk_series *series, uint64_t index)
{
    return series->bars + slot_of(series, index) * series->bar_stride;
}

static uint64_t *unit_words(const struct pgk_series *series, uint64_t index)
{
    return (uint64_t *)(void *)(series->units + slot_of(series, index) * series->unit_stride);
}

bool pgk_series_holds(const struct pgk_series *series, uint64_t index, uint16_t rev)
{
    uint64_t tag = shm_load64(unit_words(series, index));
    return tag >> 16 == PGD_UNIT_TAG(index, rev, 0) >> 16;
}

bool pgk_series_fresh(const struct pgk_series *series, uint64_t index)
{
    uint16_t rev = (uint16_t)shm_load64(bar_line(series, index) + PGD_BAR_META);
    return (rev & 1) == 0 && pgk_series_holds(series, index, rev);
}

void pgk_rows_reset(struct pgk_rows *rows, uint64_t base)
{
    rows->base = base;
    rows->count = 0;
}

void pgk_rows_trim(struct pgk_rows *rows, uint32_t more, uint32_t keep)
{
    if (rows->count + more <= rows->size)
        return;
    uint32_t drop = rows->count - keep;
    double *const fields[] = {rows->h, rows->l, rows->c, rows->v, rows->p};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        memmove(fields[i], fields[i] + drop, keep * sizeof *fields[i]);
    memmove(rows->session, rows->session + drop, keep * sizeof *rows->session);
    memmove(rows->rev, rows->rev + drop, keep * sizeof *rows->rev);
    rows->base += drop;
    rows->count = keep;
}

static inline double load_f64(const uint8_t *line, size_t offset)
{
    double value;
    uint64_t bits = shm_load64(line + offset);
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* What is used of a bar. */
struct copy {
    int64_t t;
    double h, l, c, v, vw;
    uint16_t rev;
};

/* `flows` and `whole` are constants at each call, so that a look back costs three loads. */
static inline int copy_bar(struct copy *ret, const uint8_t *line, bool flows, bool whole)
{
    for (int i = 0; i < BAR_TRIES; i++) {
        uint64_t meta = shm_load64_acquire(line + PGD_BAR_META);
        if ((meta & 1) != 0)
            continue;
        ret->h = load_f64(line, offsetof(struct pgd_bar, h));
        ret->l = load_f64(line, offsetof(struct pgd_bar, l));
        ret->c = load_f64(line, offsetof(struct pgd_bar, c));
        if (flows) {
            ret->v = load_f64(line, offsetof(struct pgd_bar, v));
            ret->vw = load_f64(line, offsetof(struct pgd_bar, vw));
        }
        if (whole)
            ret->t = (int64_t)shm_load64(line + offsetof(struct pgd_bar, t));
        shm_fence_acquire();
        if (shm_load64(line + PGD_BAR_META) == meta) {
            ret->rev = (uint16_t)meta;
            return 0;
        }
    }
    return -EBUSY;
}

static void place(struct pgk_rows *rows, bool utc, int64_t t, int32_t ret[2])
{
    if (utc) {
        pgk_session_utc(t, ret);
        return;
    }
    int64_t hour = pgk_floor_div(t, PGK_HOUR_MS);
    if (hour != rows->hour) {
        rows->hour = hour;
        rows->offset = pgk_offset(t);
    }
    pgk_session_keys(t, rows->offset, ret);
}

static const uint8_t *next_line(const struct pgk_series *series, const uint8_t *line)
{
    line += series->bar_stride;
    return line == series->bars_end ? series->bars : line;
}

int pgk_rows_load(struct pgk_rows *rows, const struct pgk_series *series, uint32_t count, bool sessions)
{
    int rc = 0;
    const uint8_t *line = bar_line(series, rows->base + rows->count);
    for (uint32_t i = 0; i < count; i++, line = next_line(series, line)) {
        struct copy bar;
        uint32_t at = rows->count;
        rc = copy_bar(&bar, line, true, true);
        if (rc != 0)
            break;
        rows->h[at] = bar.h;
        rows->l[at] = bar.l;
        rows->c[at] = bar.c;
        rows->v[at] = bar.v;
        rows->p[at] = pgk_volume_price(bar.h, bar.l, bar.c, bar.vw);
        rows->rev[at] = bar.rev;
        if (sessions)
            place(rows, series->utc, bar.t, rows->session[at]);
        rows->count++;
    }
    shm_fence_acquire();
    return pgk_series_oldest(series) > rows->base ? -EOVERFLOW : rc;
}

static int look_back(struct pgk_rows *rows, const struct pgk_series *series, uint32_t count)
{
    double *h = rows->h + rows->count, *l = rows->l + rows->count, *c = rows->c + rows->count;
    const uint8_t *line = bar_line(series, rows->base + rows->count);
    for (uint32_t i = 0; i < count; i++, line = next_line(series, line)) {
        struct copy bar;
        if (copy_bar(&bar, line, false, false) != 0)
            return -EBUSY;
        h[i] = bar.h;
        l[i] = bar.l;
        c[i] = bar.c;
    }
    rows->count += count;
    return 0;
}

int pgk_rows_load_back(struct pgk_rows *rows, const struct pgk_series *series, uint32_t count, bool flows)
{
    if (flows)
        return pgk_rows_load(rows, series, count, false);
    int rc = look_back(rows, series, count);
    shm_fence_acquire();
    return pgk_series_oldest(series) > rows->base ? -EOVERFLOW : rc;
}

static inline uint64_t finite_bits(double x)
{
    const uint64_t exponent = UINT64_C(0x7ff) << 52, nan = UINT64_C(0x7ff8) << 48;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits & exponent) == exponent ? nan : bits;
}

void pgk_series_write(const struct pgk_series *series, uint64_t index, uint16_t rev, const double *values)
{
    uint64_t *unit = unit_words(series, index);
    uint16_t gen = (uint16_t)(shm_load64(unit) + 1);
    shm_store64(unit, PGD_UNIT_TAG(index, rev | 1, gen));
    shm_fence_release();
    for (uint32_t i = 0; i < series->columns; i++)
        shm_store64(unit + 1 + i, finite_bits(values[i]));
    shm_store64_release(unit, PGD_UNIT_TAG(index, rev, gen));
}

void pgk_series_prefetch(const struct pgk_series *series, uint64_t index, uint32_t window)
{
    const uint8_t *unit = (const uint8_t *)unit_words(series, index);
    for (size_t i = 0; i < (series->columns + 1) * sizeof(double); i += PGD_LINE)
        __builtin_prefetch(unit + i, 1);
    const uint8_t *line = bar_line(series, index);
    for (uint64_t i = 0; i < window && line >= series->bars; i++, line -= series->bar_stride)
        __builtin_prefetch(line);
}
