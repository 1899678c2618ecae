/* step/sma.h - simple moving average. */
#ifndef STEP_SMA_H
#define STEP_SMA_H

#include "step/step.h"

PGK_FN void pgk_sma_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, double *out)
{
    (void)s;
    uint32_t n = op->n[0];
    out[0] = row->held < n ? PGK_NAN : pgk_mean(row->c - (n - 1), n);
}

#endif
