/* step/bb.h - Bollinger bands: upper, middle, lower. */
#ifndef STEP_BB_H
#define STEP_BB_H

#include "step/step.h"

PGK_FN void pgk_bb_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, double *out)
{
    (void)s;
    uint32_t n = op->n[0];
    if (row->held < n) {
        out[0] = out[1] = out[2] = PGK_NAN;
        return;
    }
    const double *oldest = row->c - (n - 1);
    double mean = pgk_mean(oldest, n);
    double width = op->factor * pgk_sigma(oldest, n, mean);
    out[0] = mean + width;
    out[1] = mean;
    out[2] = mean - width;
}

#endif
