/* step/bb.h - Bollinger bands: upper, middle, lower. */
#ifndef STEP_BB_H
#define STEP_BB_H

#include "step/step.h"

PGK_FN void pgk_bb_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, pgk_real *out)
{
    (void)s;
    uint32_t n = op->n[0];
    pgk_real mean = PGK_MEAN(row, n);
    pgk_real width = op->factor * PGK_SIGMA(row, n, mean);
    out[0] = pgk_held(row, n, mean + width);
    out[1] = pgk_held(row, n, mean);
    out[2] = pgk_held(row, n, mean - width);
}

#endif
