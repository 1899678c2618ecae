/* step/stddev.h - population standard deviation of the last n closes. */
#ifndef STEP_STDDEV_H
#define STEP_STDDEV_H

#include "step/step.h"

PGK_FN void pgk_stddev_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row,
                            pgk_real *out)
{
    (void)s;
    uint32_t n = op->n[0];
    out[0] = pgk_held(row, n, PGK_SIGMA(row, n, PGK_MEAN(row, n)));
}

#endif
