/* state.h - checkpoints of the recurrences, in the state plane of a bars segment. Private to the engine: no
 * reader looks here.
 *
 * A checkpoint for row r holds the state after row r - 1, that is what row r is stepped from. Word 0 is a
 * seal over r and the rest (step/seal.h): a checkpoint that was cut off, by kill -9 or because a GPU writes
 * in no order, does not bear it. Word 1 is the row at which the recurrences began. A series has one for every
 * row r that its ring covers where r + (its index) is a multiple of state_every: series that get their bars
 * together do not write them together.
 */
#ifndef KERNELS_STATE_H
#define KERNELS_STATE_H

#include "plan.h"

/* One series' checkpoints. */
struct pgk_checkpoints {
    uint8_t *base;
    uint32_t size; /* bytes of one */
    uint32_t slots;
    uint32_t every;
    uint32_t phase;
    uint32_t words; /* of state */
};

void pgk_checkpoints_init(struct pgk_checkpoints *ret, const struct pgk_plan *plan, void *base,
                          const struct pgd_bars_geometry *geo, uint32_t series);

/* Rows from `row` on up to the next one that has a checkpoint, 1 or more. */
static inline uint64_t pgk_checkpoints_ahead(const struct pgk_checkpoints *points, uint64_t row)
{
    return points->every - (row + points->phase) % points->every;
}

static inline bool pgk_checkpoints_due(const struct pgk_checkpoints *points, uint64_t row)
{
    return (row + points->phase) % points->every == 0;
}

/* The slot of the checkpoint for `row`, which is due: slots are taken in turn, numbered from 0. */
uint32_t pgk_checkpoints_number(const struct pgk_checkpoints *points, uint64_t row);

static inline uint64_t *pgk_checkpoints_at(const struct pgk_checkpoints *points, uint32_t number)
{
    return (uint64_t *)(void *)(points->base + (size_t)number * points->size);
}

/* The slot of the latest checkpoint for a row r, low <= r <= row, and r; NULL when there is none. */
const uint64_t *pgk_checkpoints_find(const struct pgk_checkpoints *points, uint64_t low, uint64_t row,
                                     uint64_t *ret_row);

/* Stores the checkpoint for `row`, which is due. */
void pgk_checkpoints_store(const struct pgk_checkpoints *points, uint64_t row, uint64_t origin,
                           const uint64_t *words, uint32_t count);

/* True when that is there already, bit for bit. */
bool pgk_checkpoints_stored(const struct pgk_checkpoints *points, uint64_t row, uint64_t origin,
                            const uint64_t *words, uint32_t count);

#endif
