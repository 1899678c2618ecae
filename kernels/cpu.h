/* cpu.h - the CPU engine: tasks swept through tiles, and single new rows pushed through tiles that it keeps.
 *
 * A hot tile holds eight series as they stand behind their last row, so that one new bar reads that bar and
 * little else. Whatever else changes goes the long way, through sweep.h, and leaves the series hot again. */
#ifndef KERNELS_CPU_H
#define KERNELS_CPU_H

#include "sweep.h"

struct pgk_pool;
struct pgk_cpu_thread;

#define PGK_COLD UINT64_MAX

/* What it keeps of a segment. */
struct pgk_cpu_segment {
    void *base;
    struct pgd_bars_geometry geo;
    uint8_t *hot; /* tiles: series 8 i to 8 i + 7 in the i-th; pages come with their first use */
    size_t hot_bytes;
    uint64_t *
        row; /* of each series: the row its lane of a hot tile is to be stepped to, PGK_COLD when it is not */
    uint32_t *slot;   /* of each hot series: where in the ring that row lies ... */
    uint32_t *ahead;  /* ... and how many rows on the next one with a checkpoint is */
    uint64_t *call;   /* of each series: the last round that had a change of it */
    uint32_t *change; /* of each series: that change */
    uint8_t *lanes;   /* of each tile: the lanes that get a row */
    uint32_t *listed; /* tiles that get a row */
    bool past;        /* first units may go past the caches */
};

struct pgk_cpu {
    struct pgk_plan plan;
    struct pgk_layout hot;
    const struct pgk_simd *simd;
    uint64_t round;
    uint16_t gen; /* of the units that this call writes */
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

/* Does every change that is not PGK_CHANGE_DONE yet. */
void pgk_cpu_compute(struct pgk_cpu *cpu, struct pgk_cpu_segment *segment, struct pgk_change *changes,
                     size_t count);

/* What it remembers of a series holds no longer: somebody else computes it. */
void pgk_cpu_forget(struct pgk_cpu *cpu, struct pgk_cpu_segment *segment, uint32_t series);

#endif
