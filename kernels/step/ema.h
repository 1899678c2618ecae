/* step/ema.h - exponential moving average, seeded with the mean of the first n closes.
 * State: the running sum while seeding, then the average. */
#ifndef STEP_EMA_H
#define STEP_EMA_H

#include "step/step.h"

PGK_FN void pgk_ema_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, double *out)
{
    uint32_t n = op->n[0];
    double c = row->c[0];
    out[0] = PGK_NAN;
    if (row->age > n)
        s[0].f = pgk_smooth(s[0].f, c, op->smooth[0]);
    else
        s[0].f += c;
    if (row->age == n)
        s[0].f /= (double)n;
    if (row->age >= n)
        out[0] = s[0].f;
}

#endif
