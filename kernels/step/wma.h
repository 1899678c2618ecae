/* step/wma.h - linearly weighted moving average: weight 1 for the oldest close, n for the newest. */
#ifndef STEP_WMA_H
#define STEP_WMA_H

#include "step/step.h"

PGK_FN void pgk_wma_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, double *out)
{
    (void)s;
    uint32_t n = op->n[0];
    if (row->held < n) {
        out[0] = PGK_NAN;
        return;
    }
    const double *oldest = row->c - (n - 1);
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++)
        sum += oldest[i] * (double)(i + 1);
    out[0] = sum / ((double)n * ((double)n + 1.0) / 2.0);
}

#endif
