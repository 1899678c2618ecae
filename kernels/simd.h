/* simd.h - the inner loops of the CPU engine: compiled once for each instruction set, picked at run time. */
#ifndef KERNELS_SIMD_H
#define KERNELS_SIMD_H

#include "tile.h"

#define PGK_ROWS 8u /* what a block touches stays in a first-level cache */

/* Up to PGK_ROWS rows of a tile, as the inner loops see them: see block.h. Every lane ends with the last row;
 * one that has fewer rows begins later. */
struct pgk_rows {
    const struct pgk_layout *layout;
    struct pgk_tile *tile;
    double *values; /* [columns + 1][PGK_ROWS][PGK_TILE], 64-byte aligned */
    uint32_t rows;
    uint16_t gen;
    bool steady; /* see struct pgk_row; of every lane that has rows */
    bool whole;  /* no state must be kept from a row that is not its lane's */
    bool utc[PGK_TILE];
    _Alignas(64) int64_t first[PGK_TILE]; /* first row that is the lane's; == rows: none is */
    _Alignas(64) int64_t index[PGK_TILE]; /* row of the series that row 0 is, or would be */
    _Alignas(64) double age[PGK_TILE];    /* of row 0 */
    _Alignas(64) double held[PGK_TILE];
    _Alignas(64) int64_t session[2][PGK_ROWS][PGK_TILE];
    const uint8_t *bar[PGK_ROWS][PGK_TILE];       /* lines; rows that are no lane's: any whole line */
    uint8_t *unit[PGK_ROWS][PGK_TILE];            /* units; rows that are not written: any other memory */
    _Alignas(64) int64_t rev[PGK_ROWS][PGK_TILE]; /* revisions of the bars */
    const uint8_t *next[PGK_TILE]; /* bars that will be wanted next, PGK_ROWS of them; NULL: none */
};

struct pgk_simd {
    const char *name;
    /* Copies the bars and their revisions, the bars into the tile's fields. False: some bar was being
     * revised. */
    bool (*load)(struct pgk_rows *rows);
    /* Steps every op over the rows, into `values`, and meanwhile asks for the lines that `store` and the next
     * `load` will touch. */
    void (*step)(struct pgk_rows *rows);
    /* Writes the units: first tags that say so, then the values, then the tags of the rows. */
    void (*store)(const struct pgk_rows *rows);
};

/* The best one this processor has; or, for tests, the one of that name, NULL when there is none. */
const struct pgk_simd *pgk_simd_pick(const char *name);

/* Those that this processor has: NULL past the end. The first is the best. */
const struct pgk_simd *pgk_simd_nth(size_t i);

#endif
