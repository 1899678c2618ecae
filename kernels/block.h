/* block.h - some rows of the lanes of a tile: read whole, stepped, written. */
#ifndef KERNELS_BLOCK_H
#define KERNELS_BLOCK_H

#include "simd.h"
#include "task.h"

struct pgk_lane {
    /* in */
    struct pgk_series series;
    uint64_t slot;       /* of the ring, where the tile's row of this lane lies; moves on with it */
    uint32_t want;       /* rows from the tile's row of this lane on; 0: it sits out */
    uint64_t write_from; /* rows before are stepped for their state only */
    uint64_t computed;   /* rows before have units already */
    bool ahead;          /* more will be wanted after these */
    /* out */
    uint32_t rows;            /* rows that were stepped */
    enum pgk_outcome outcome; /* why no more can be had, if they are fewer than wanted and that is so */
    uint64_t changed; /* latest row seen whose bar is not the one its units came from; else left alone */
    /* out, unless all rows are fresh: rows that got a unit, none of them when both are the same. A row keeps
     * the unit it has when that is bit for bit what it would get: nobody is told of a change that is none. */
    uint64_t wrote;
    uint64_t wrote_end;
};

struct pgk_block {
    const struct pgk_simd *simd;
    uint32_t settled; /* age from which every recurrence is past its seed */
    bool keep;        /* lanes that sit out keep what they hold */
    bool past;        /* fresh units go past the caches, where they lie on whole lines */
    struct pgk_lane lane[PGK_TILE];
    struct pgk_rows rows;
    struct pgk_units units;
    uint8_t *idle; /* takes units that nobody wants */
};

/* `layout` must outlive it. */
int pgk_block_init(struct pgk_block *block, const struct pgk_layout *layout,
                   const struct pgk_simd *simd) PGK_WARN_UNUSED;
void pgk_block_fini(struct pgk_block *block);

/* What lanes read that have no bar. */
extern const struct pgd_bar pgk_no_bar;

/* True when the next row of a lane that holds rows has every window whole and every recurrence past its seed:
 * so have all that follow. */
bool pgk_block_steady(const struct pgk_block *block, const struct pgk_tile *tile, uint32_t lane);

/* Reads, steps and writes what the lanes want; the tile moves on. */
void pgk_block_run(struct pgk_block *block, struct pgk_tile *tile, uint16_t gen);

#endif
