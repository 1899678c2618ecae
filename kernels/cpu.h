/* cpu.h - the CPU engine: tasks swept through tiles, and single new rows pushed through tiles that it keeps.
 *
 * A hot tile holds eight series as they stand behind their last row, so that one new bar reads that bar and
 * little else. Whatever else changes goes the long way, through sweep.h, and leaves the series hot again. */
#ifndef KERNELS_CPU_H
#define KERNELS_CPU_H

#include "sweep.h"

struct pgk_pool;
struct pgk_cpu_thread;

#define PGK_COLD    UINT64_MAX
#define PGK_GEN_CPU 0x8000u

/* What is known of the series of a hot tile without a look at it. */
struct pgk_hot {
    _Alignas(64) uint64_t row[PGK_TILE]; /* the row its lane is to be stepped to, PGK_COLD when it is not; the
                                          * tile's own is behind */
    uint32_t slot[PGK_TILE];             /* where in the ring that row lies ... */
    uint32_t ahead[PGK_TILE];            /* ... and how many rows on the next one with a checkpoint is */
    uint32_t change[PGK_TILE];           /* its last change; see `seen` */
    uint64_t round;                      /* of the last change of any of them */
    bool steady[PGK_TILE];               /* see pgk_block_steady; of those that are not cold */
    uint8_t seen;                        /* bits: those that have had a change in that round ... */
    uint8_t lanes;                       /* ... and those that get a row */
    uint8_t slid;                        /* lines that its tile has; see pgk_layout_init */
};

/* What it keeps of a segment. */
struct pgk_cpu_segment {
    void *base;
    struct pgd_bars_geometry geo;
    uint8_t *tiles; /* series 8 i to 8 i + 7 in the i-th; pages come with their first use */
    size_t tiles_bytes;
    struct pgk_hot *hot; /* of each tile */
    uint32_t *listed;    /* tiles that get a row */
    bool past;           /* first units may go past the caches */
};

struct pgk_cpu {
    struct pgk_plan plan;
    struct pgk_layout hot;
    const struct pgk_simd *simd;
    uint64_t round;
    uint16_t
        gen; /* of the units that this call writes; below PGK_GEN_CPU, others are a GPU's: cuda/world.h */
    uint32_t threads;
    struct pgk_cpu_thread *thread;
    struct pgk_pool *pool; /* NULL: one thread */
};

/* `isa`: a name of simd.h, NULL for the best; -ENOTSUP: this processor has no such. threads: 1 or more. */
int pgk_cpu_init(struct pgk_cpu *cpu, const struct pgk_plan *plan, uint32_t threads,
                 const char *isa) PGK_WARN_UNUSED;
void pgk_cpu_fini(struct pgk_cpu *cpu);

int pgk_cpu_bind(struct pgk_cpu *cpu, struct pgk_cpu_segment *ret, void *base,
                 const struct pgd_bars_geometry *geo) PGK_WARN_UNUSED;
void pgk_cpu_unbind(struct pgk_cpu_segment *segment);

/* Takes the memory for series [first, first + count), so that computing takes none. */
void pgk_cpu_extent(struct pgk_cpu *cpu, struct pgk_cpu_segment *segment, uint32_t first, uint32_t count);

/* Does every change. -EINVAL, and nothing done: no such series. */
int pgk_cpu_compute(struct pgk_cpu *cpu, struct pgk_cpu_segment *segment, struct pgk_change *changes,
                    size_t count);

/* Does every change that is not PGK_CHANGE_DONE yet; the series are there. */
void pgk_cpu_finish(struct pgk_cpu *cpu, struct pgk_cpu_segment *segment, struct pgk_change *changes,
                    size_t count);

static inline struct pgk_hot *pgk_hot_of(const struct pgk_cpu_segment *segment, uint32_t series)
{
    return &segment->hot[series / PGK_TILE];
}

static inline struct pgk_tile *pgk_hot_tile(const struct pgk_cpu *cpu, const struct pgk_cpu_segment *segment,
                                            uint32_t number)
{
    return (struct pgk_tile *)(void *)(segment->tiles + number * cpu->hot.size);
}

/* For whoever looks at a tile otherwise than a push of all its lanes does. */
static inline void pgk_hot_level(const struct pgk_cpu *cpu, const struct pgk_cpu_segment *segment,
                                 uint32_t number)
{
    struct pgk_hot *hot = &segment->hot[number];
    if (hot->slid > 0)
        pgk_tile_level(&cpu->hot, pgk_hot_tile(cpu, segment, number), hot->slid);
    hot->slid = 0;
}

/* What it remembers of a series holds no longer: somebody else computes it. */
void pgk_cpu_forget(struct pgk_cpu *cpu, struct pgk_cpu_segment *segment, uint32_t series);

#endif
