/* measure.h - what an engine takes, found out on this machine. */
#ifndef KERNELS_MEASURE_H
#define KERNELS_MEASURE_H

#include "kernels/engine.h"

#define PGK_MEASURE_SERIES 1000u

/* Median microseconds of one new bar for each of `series` symbols, in memory of its own. The engine, which
 * nothing may be bound to, is freed. -EIO: it has become another kind meanwhile, and `why` is its notice. */
int pgk_measure_push(struct pgk_engine *engine, const struct pgk_plan *plan, uint32_t series, double *ret_us,
                     char *why, size_t why_size) PGK_WARN_UNUSED;

#endif
