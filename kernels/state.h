/* state.h - checkpoints of the recurrences, in the state plane of a bars segment. Private to the engine: no
 * reader looks here.
 *
 * A checkpoint for row r holds the state after row r - 1, that is what row r is stepped from. Word 0 is r +
 * 1, 0 while the rest is being written: kill -9 at any instruction leaves a whole checkpoint or none. Word 1
 * is the row at which the recurrences began. A series has one for every multiple of state_every that its ring
 * covers, and one (the last slot) for the next row. */
#ifndef KERNELS_STATE_H
#define KERNELS_STATE_H

#include "plan.h"

struct pgk_state {
    uint64_t row;    /* the row it is stepped to next */
    uint64_t origin; /* the row at which the recurrences began */
    uint32_t count;
    union pgk_word *words;
};

/* One series' checkpoints. */
struct pgk_checkpoints {
    uint8_t *base;
    uint32_t size;  /* bytes of one */
    uint32_t slots; /* without the last */
    uint32_t every;
};

void pgk_checkpoints_init(struct pgk_checkpoints *ret, void *base, const struct pgd_bars_geometry *geo,
                          uint32_t series);

/* Asks for the lines of the latest one. */
void pgk_checkpoints_prefetch(const struct pgk_checkpoints *points);

/* A fresh state that begins at `row`. */
void pgk_state_begin(struct pgk_state *state, uint64_t row);

/* Takes the checkpoint for the latest row r, low < r <= row, into `state` and returns true; false when there
 * is none. */
bool pgk_state_restore(struct pgk_state *state, const struct pgk_checkpoints *points, uint64_t low,
                       uint64_t row);

/* Stores the state: as the latest one, or (row a multiple of state_every) as the checkpoint for its row. */
void pgk_state_store_latest(const struct pgk_state *state, const struct pgk_checkpoints *points);
void pgk_state_store(const struct pgk_state *state, const struct pgk_checkpoints *points);

/* True when the checkpoint for the state's row is there and has its bits. */
bool pgk_state_stored(const struct pgk_state *state, const struct pgk_checkpoints *points);

#endif
