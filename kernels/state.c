#include "state.h"

#include <string.h>

#include "shm/atomic.h"
#include "step/seal.h"

void pgk_checkpoints_init(struct pgk_checkpoints *ret, const struct pgk_plan *plan, void *base,
                          const struct pgd_bars_geometry *geo, uint32_t series)
{
    ret->base = (uint8_t *)base + geo->state_offset + series * geo->state_stride;
    ret->size = geo->state_size;
    ret->slots = geo->state_slots;
    ret->every = geo->state_every;
    ret->phase = series % geo->state_every;
    ret->words = plan->words;
}

uint32_t pgk_checkpoints_number(const struct pgk_checkpoints *points, uint64_t row)
{
    return (uint32_t)((row + points->phase) / points->every % points->slots);
}

static uint64_t *slot_of(const struct pgk_checkpoints *points, uint64_t row)
{
    return pgk_checkpoints_at(points, pgk_checkpoints_number(points, row));
}

const uint64_t *pgk_checkpoints_find(const struct pgk_checkpoints *points, uint64_t low, uint64_t row,
                                     uint64_t *ret_row)
{
    uint64_t back = (row + points->phase) % points->every;
    for (uint32_t i = 0; i < points->slots && back <= row && row - back >= low; i++, back += points->every) {
        const uint64_t *slot = slot_of(points, row - back);
        if (slot[0] == pgk_seal(row - back, slot[1], slot + PGK_STATE_HEAD, points->words)) {
            *ret_row = row - back;
            return slot;
        }
    }
    return NULL;
}

void pgk_checkpoints_store(const struct pgk_checkpoints *points, uint64_t row, uint64_t origin,
                           const uint64_t *words, uint32_t count)
{
    uint64_t *slot = slot_of(points, row);
    shm_store64(slot, pgk_seal(row, origin, words, count));
    shm_store64(slot + 1, origin);
    shm_copy_in(slot + PGK_STATE_HEAD, words, count);
}

bool pgk_checkpoints_stored(const struct pgk_checkpoints *points, uint64_t row, uint64_t origin,
                            const uint64_t *words, uint32_t count)
{
    const uint64_t *slot = slot_of(points, row);
    return slot[0] == pgk_seal(row, origin, words, count) && slot[1] == origin &&
           memcmp(slot + PGK_STATE_HEAD, words, count * sizeof *words) == 0;
}
