/* simd.h - the inner loops of the CPU engine: compiled once for each instruction set, picked at run time. */
#ifndef KERNELS_SIMD_H
#define KERNELS_SIMD_H

#include "tile.h"

#define PGK_ROWS 16u /* what a block touches stays in a first-level cache */

/* The units of a block's rows, on their way into memory. */
struct pgk_units {
    double *values; /* [PGK_ROWS][words + 1][PGK_TILE], 64-byte aligned: room for the tag, the columns, zeros
                     * up to whole lines, then what no column shows */
    uint32_t columns;
    uint32_t words; /* of a unit, a multiple of 8 */
    uint32_t rows;
    uint16_t gen;
    bool straight; /* every lane has all rows and all are written: unit[0] says where they begin, `stride`
                    * apart, and the rest of `unit` is not set */
    bool fresh;    /* no row has units that a reader may look at: they need no mark while they are written */
    bool past;     /* they go past the caches; they lie on whole lines */
    size_t stride;
    _Alignas(64) int64_t index[PGK_TILE];         /* row of the series that row 0 is, or would be */
    _Alignas(64) int64_t rev[PGK_ROWS][PGK_TILE]; /* revisions of the bars */
    uint8_t *unit[PGK_ROWS][PGK_TILE];            /* rows that are not written: any other memory */
};

/* Up to PGK_ROWS rows of a tile, as the inner loops see them: see block.h. Every lane ends with the last row;
 * one that has fewer rows begins later. */
struct pgk_rows {
    const struct pgk_layout *layout;
    struct pgk_tile *tile;
    struct pgk_units *out;
    double *bands; /* [bands][2][PGK_ROWS][PGK_TILE], 64-byte aligned: means, deviations */
    uint32_t rows;
    bool steady;   /* see struct pgk_row; of every lane that has rows */
    bool whole;    /* no state must be kept from a row that is not its lane's */
    bool asked;    /* the lines of the units have been asked for */
    bool straight; /* as the units: bar[0] says where the bars begin, `bar_stride` apart */
    size_t bar_stride;
    bool utc[PGK_TILE];
    _Alignas(64) int64_t first[PGK_TILE]; /* first row that is the lane's; == rows: none is */
    _Alignas(64) double age[PGK_TILE];    /* of row 0 */
    _Alignas(64) double held[PGK_TILE];
    _Alignas(64) int64_t session[2][PGK_ROWS][PGK_TILE];
    const uint8_t *bar[PGK_ROWS][PGK_TILE]; /* lines; rows that are no lane's: any whole line */
    const uint8_t *next[PGK_TILE];          /* bars that will be wanted next, PGK_ROWS of them; NULL: none */
};

/* Tiles pushed side by side: with those that are asked for meanwhile they fit a first-level cache. */
#define PGK_PUSH 2u

/* A tile some of whose lanes get one new row, fresh and steady. */
struct pgk_push_tile {
    struct pgk_tile *tile;
    const uint64_t *row;          /* of each lane: that of the tile is not kept up to date */
    bool whole;                   /* every lane gets one */
    uint32_t slid;                /* lines that it has; see pgk_layout_init */
    bool back;                    /* whole, and to be moved back afterwards */
    uint64_t capacity;            /* of the rings */
    uint8_t *head;                /* of the series of lane 0 ... */
    size_t head_stride;           /* ... and from one to the next */
    const uint8_t *bar[PGK_TILE]; /* lanes that get none: any whole line that does not change */
    uint8_t *unit[PGK_TILE];      /* likewise: any other memory */
    uint8_t *series[PGK_TILE];    /* likewise: one that holds nothing; of a whole tile not set */
    double *now[PGK_BAR_FIELDS]; /* the row's bars: in the tile, or below when no window looks back on them */
    _Alignas(64) int64_t gets[PGK_TILE]; /* -1: the lane gets a row; 0; of a whole tile not set */
    uint32_t by[PGK_TILE];               /* 1 or 0, likewise */
    _Alignas(64) int64_t rev[PGK_TILE];
    double spare[PGK_BAR_FIELDS][PGK_TILE];
};

struct pgk_push {
    const struct pgk_layout *layout;
    struct pgk_units units; /* row t is that of tile t; what says where they go is not set */
    double *bands;          /* [bands][2][PGK_PUSH][PGK_TILE], 64-byte aligned */
    uint32_t tiles;
    struct pgk_push_tile *tile[PGK_PUSH];
    uint32_t asked; /* tiles that will be pushed next: their lines are asked for meanwhile */
    const struct pgk_tile *next[PGK_PUSH];
    size_t next_slid[PGK_PUSH]; /* bytes that their fields have */
};

struct pgk_simd {
    const char *name;
    /* Copies the bars and their revisions, the bars into the tile's fields. False: some bar was being
     * revised. */
    bool (*load)(struct pgk_rows *rows);
    /* Steps every op over the rows, into out->values, and meanwhile asks for the lines that `store` and the
     * next `load` will touch. */
    void (*step)(struct pgk_rows *rows);
    /* Writes the units: first tags that say so, unless they are fresh, then the values, then the tags of the
     * rows. */
    void (*store)(const struct pgk_units *units);
    /* Copies the bars of a tile that is to be pushed. False: some bar was being revised, or has left the
     * ring. */
    bool (*push_load)(const struct pgk_layout *layout, struct pgk_push_tile *tile);
    /* Steps every op and writes the units. */
    void (*push)(const struct pgk_push *push);
    /* Stores a checkpoint (see state.h) of each lane, for the row it is at. */
    void (*save)(const struct pgk_layout *layout, struct pgk_tile *tile, uint64_t *const *slot);
    /* What was written past the caches comes before what is stored from now on. */
    void (*drain)(void);
};

/* The best one this processor has; or, for tests, the one of that name, NULL when there is none. */
const struct pgk_simd *pgk_simd_pick(const char *name);

/* Those that this processor has: NULL past the end. The first is the best. */
const struct pgk_simd *pgk_simd_nth(size_t i);

#endif
