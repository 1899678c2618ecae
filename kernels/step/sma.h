/* step/sma.h - simple moving average. */
#ifndef STEP_SMA_H
#define STEP_SMA_H

#include "step/step.h"

PGK_FN void pgk_sma_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, pgk_real *out)
{
    (void)s;
    out[0] = pgk_held(row, op->n[0], PGK_MEAN(row, op->n[0]));
}

#endif
