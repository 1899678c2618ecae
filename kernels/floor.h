/* floor.h - the bytes of a computation moved by the CPU, and nothing computed. */
#ifndef KERNELS_FLOOR_H
#define KERNELS_FLOOR_H

#include "rows.h"

/* As pgk_engine_floor says. -ENOTSUP: this processor has no such stores. */
int pgk_floor_move(void *base, const struct pgd_bars_geometry *geo, const struct pgk_change *changes,
                   size_t count, enum pgk_floor how) PGK_WARN_UNUSED;

#endif
