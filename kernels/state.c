#include "state.h"

#include <string.h>

#include "shm/atomic.h"

void pgk_checkpoints_init(struct pgk_checkpoints *ret, void *base, const struct pgd_bars_geometry *geo,
                          uint32_t series)
{
    ret->base = (uint8_t *)base + geo->state_offset + series * geo->state_stride;
    ret->size = geo->state_size;
    ret->slots = geo->state_slots - 1;
    ret->every = geo->state_every;
}

static uint64_t *slot_latest(const struct pgk_checkpoints *points)
{
    return (uint64_t *)(void *)(points->base + (size_t)points->slots * points->size);
}

static uint64_t *slot_of(const struct pgk_checkpoints *points, uint64_t row)
{
    return (uint64_t *)(void *)(points->base + (size_t)(row / points->every % points->slots) * points->size);
}

void pgk_checkpoints_prefetch(const struct pgk_checkpoints *points)
{
    const uint8_t *slot = (const uint8_t *)slot_latest(points);
    for (uint32_t i = 0; i < points->size; i += PGD_LINE)
        __builtin_prefetch(slot + i, 1);
}

static void load(struct pgk_state *state, const uint64_t *slot, uint64_t row)
{
    state->row = row;
    state->origin = slot[1];
    memcpy(state->words, slot + PGK_STATE_HEAD, state->count * sizeof *state->words);
}

/* The stores before a kill -9 are those before some instruction: keeping the compiler from moving them is
 * enough. */
static void store(uint64_t *slot, const struct pgk_state *state)
{
    shm_store64(slot, 0);
    shm_fence_release();
    shm_store64(slot + 1, state->origin);
    shm_copy_in(slot + PGK_STATE_HEAD, state->words, state->count);
    shm_store64_release(slot, state->row + 1);
}

void pgk_state_begin(struct pgk_state *state, uint64_t row)
{
    state->row = row;
    state->origin = row;
    memset(state->words, 0, state->count * sizeof *state->words);
}

bool pgk_state_restore(struct pgk_state *state, const struct pgk_checkpoints *points, uint64_t low,
                       uint64_t row)
{
    const uint64_t *latest = slot_latest(points);
    if (row > low && latest[0] == row + 1) {
        load(state, latest, row);
        return true;
    }
    uint64_t at = row / points->every * points->every;
    for (uint32_t i = 0; i < points->slots && at > low; i++, at -= points->every) {
        const uint64_t *slot = slot_of(points, at);
        if (slot[0] == at + 1) {
            load(state, slot, at);
            return true;
        }
    }
    return false;
}

void pgk_state_store_latest(const struct pgk_state *state, const struct pgk_checkpoints *points)
{
    store(slot_latest(points), state);
}

void pgk_state_store(const struct pgk_state *state, const struct pgk_checkpoints *points)
{
    store(slot_of(points, state->row), state);
}

bool pgk_state_stored(const struct pgk_state *state, const struct pgk_checkpoints *points)
{
    const uint64_t *slot = slot_of(points, state->row);
    return slot[0] == state->row + 1 && slot[1] == state->origin &&
           memcmp(slot + PGK_STATE_HEAD, state->words, state->count * sizeof *state->words) == 0;
}
