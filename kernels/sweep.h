/* sweep.h - tasks run through a tile, eight side by side, each at its own place in its own series. */
#ifndef KERNELS_SWEEP_H
#define KERNELS_SWEEP_H

#include "block.h"

struct pgk_sweep;

struct pgk_sweep_hooks {
    /* The next task, opened; false: no more. */
    bool (*next)(void *user, struct pgk_task *ret);
    /* A task has been closed. The lane of the tile holds its series as it stands before row tile->row[lane],
     * unless the outcome is another than PGK_REACHED. */
    void (*done)(void *user, const struct pgk_task *task, enum pgk_outcome outcome,
                 const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t lane);
    void *user;
};

int pgk_sweep_new(struct pgk_sweep **ret, const struct pgk_plan *plan,
                  const struct pgk_simd *simd) PGK_WARN_UNUSED;
void pgk_sweep_free(struct pgk_sweep *sweep);

/* Runs every task there is. past: fresh units go past the caches: they are more than these hold. */
void pgk_sweep_run(struct pgk_sweep *sweep, const struct pgk_sweep_hooks *hooks, uint16_t gen, bool past);

#endif
