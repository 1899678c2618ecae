/* step/wma.h - linearly weighted moving average: weight 1 for the oldest close, n for the newest. */
#ifndef STEP_WMA_H
#define STEP_WMA_H

#include "step/step.h"

PGK_FN void pgk_wma_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, pgk_real *out)
{
    (void)s;
    int32_t n = (int32_t)op->n[0];
    pgk_real sum = pgk_splat(0.0);
    PGK_UNROLL
    for (int32_t i = 1; i <= n; i++)
        sum += PGK_AT(row->c, i - n) * (double)i;
    out[0] = pgk_held(row, op->n[0], sum / ((double)n * ((double)n + 1.0) / 2.0));
}

#endif
