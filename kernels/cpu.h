/* cpu.h - the CPU engine: computes a plan over the rows of one series at a time. */
#ifndef KERNELS_CPU_H
#define KERNELS_CPU_H

#include "rows.h"
#include "state.h"

#define PGK_BLOCK 64u /* rows stepped at a time */

/* Scratch of the engine; all of it is allocated at init. */
struct pgk_cpu {
    struct pgk_rows rows;
    struct pgk_state state;
    double *values; /* PGK_BLOCK rows of the plan's columns and a last one for outputs nobody asked for */
    struct pgk_row *views;
};

int pgk_cpu_init(struct pgk_cpu *cpu, const struct pgk_plan *plan) PGK_WARN_UNUSED;
void pgk_cpu_fini(struct pgk_cpu *cpu);

void pgk_cpu_compute(struct pgk_cpu *cpu, const struct pgk_plan *plan, void *base,
                     const struct pgd_bars_geometry *geo, struct pgk_change *change);
void pgk_cpu_prefetch(const struct pgk_plan *plan, void *base, const struct pgd_bars_geometry *geo,
                      const struct pgk_change *change);
uint64_t pgk_cpu_recover(struct pgk_cpu *cpu, void *base, const struct pgd_bars_geometry *geo,
                         uint32_t series);

#endif
