/* step/stddev.h - population standard deviation of the last n closes. */
#ifndef STEP_STDDEV_H
#define STEP_STDDEV_H

#include "step/step.h"

PGK_FN void pgk_stddev_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row,
                            double *out)
{
    (void)s;
    uint32_t n = op->n[0];
    const double *oldest = row->c - (n - 1);
    out[0] = row->held < n ? PGK_NAN : pgk_sigma(oldest, n, pgk_mean(oldest, n));
}

#endif
