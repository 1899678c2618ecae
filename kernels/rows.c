#include "rows.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "shm/atomic.h"

#define BAR_TRIES 64

void pgk_series_init(struct pgk_series *ret, void *base, const struct pgd_bars_geometry *geo, uint32_t series)
{
    uint8_t *bytes = base;
    ret->head = (struct pgd_series *)(void *)(bytes + geo->series_offset + series * geo->series_stride);
    ret->bars = bytes + geo->bar_offset + series * geo->rows_stride;
    ret->units = bytes + geo->unit_offset + series * geo->rows_stride;
    ret->capacity = geo->capacity;
    ret->bar_stride = geo->bar_stride;
    ret->unit_stride = geo->unit_stride;
    ret->utc = shm_load32(&ret->head->session) == PGD_SESSION_UTC;
}

uint64_t pgk_series_oldest(const struct pgk_series *series)
{
    uint64_t head = shm_load64_acquire(&series->head->head);
    return head + 1 > series->capacity ? head + 1 - series->capacity : 0;
}

int pgk_bar_rev(const uint8_t *line, uint16_t *ret)
{
    for (int i = 0; i < BAR_TRIES; i++) {
        uint16_t rev = (uint16_t)shm_load64_acquire(line + PGD_BAR_META);
        if ((rev & 1) == 0) {
            *ret = rev;
            return 0;
        }
    }
    return -EBUSY;
}

bool pgk_bar_still(const uint8_t *line, uint16_t rev)
{
    return (uint16_t)shm_load64(line + PGD_BAR_META) == rev;
}

static double load_f64(const uint8_t *line, size_t offset)
{
    double value;
    uint64_t bits = shm_load64(line + offset);
    memcpy(&value, &bits, sizeof value);
    return value;
}

int pgk_bar_copy(const uint8_t *line, struct pgk_bar *ret)
{
    for (int i = 0; i < BAR_TRIES; i++) {
        uint16_t rev;
        if (pgk_bar_rev(line, &rev) != 0)
            return -EBUSY;
        ret->h = load_f64(line, offsetof(struct pgd_bar, h));
        ret->l = load_f64(line, offsetof(struct pgd_bar, l));
        ret->c = load_f64(line, offsetof(struct pgd_bar, c));
        ret->v = load_f64(line, offsetof(struct pgd_bar, v));
        ret->vw = load_f64(line, offsetof(struct pgd_bar, vw));
        shm_fence_acquire();
        if (pgk_bar_still(line, rev))
            return 0;
    }
    return -EBUSY;
}

bool pgk_series_holds(const struct pgk_series *series, uint64_t index, uint16_t rev)
{
    uint64_t tag = shm_load64(pgk_series_unit(series, index));
    return tag >> 16 == PGD_UNIT_TAG(index, rev, 0) >> 16;
}

bool pgk_series_fresh(const struct pgk_series *series, uint64_t index)
{
    uint16_t rev = (uint16_t)shm_load64(pgk_series_bar(series, index) + PGD_BAR_META);
    return (rev & 1) == 0 && pgk_series_holds(series, index, rev);
}
