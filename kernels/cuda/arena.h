/* cuda/arena.h - which pages of a segment the GPUs may touch.
 *
 * Registering fills and pins what it registers, so series are registered as they come into use, some
 * megabytes of them at a time. A page belongs to one registration only. Where the GPU walks the host's page
 * tables nothing is registered. */
#ifndef CUDA_ARENA_H
#define CUDA_ARENA_H

#include "cuda/driver.h"

struct pgk_arena {
    uint8_t *base;
    struct pgd_bars_geometry geo;
    size_t page;
    size_t pages;
    uint8_t *bits;        /* of each page: registered */
    uint8_t *in_use;      /* of each chunk of series: its pages are */
    uint32_t chunk;       /* series */
    struct pgk_run *runs; /* what was registered */
    size_t runs_count, runs_room;
    uint64_t bytes; /* registered */
};

int pgk_arena_init(struct pgk_arena *arena, void *base, const struct pgd_bars_geometry *geo) PGK_WARN_UNUSED;

/* Unregisters, unless `lost`. */
void pgk_arena_fini(struct pgk_arena *arena, const struct pgk_driver *driver, bool lost);

/* True when series [first, first + count) can be used. */
bool pgk_arena_ready(const struct pgk_arena *arena, uint32_t first, uint32_t count);

/* Makes them so; *ret_result is the driver's when it fails. A context must be current; may wait for whole
 * GPUs. */
int pgk_arena_extend(struct pgk_arena *arena, const struct pgk_driver *driver, uint32_t first, uint32_t count,
                     unsigned *ret_result) PGK_WARN_UNUSED;

#endif
