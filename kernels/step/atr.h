/* step/atr.h - Wilder's average true range. State: the average (sum while seeding). */
#ifndef STEP_ATR_H
#define STEP_ATR_H

#include "step/step.h"

PGK_FN double pgk_true_range(double h, double l, double previous)
{
    double range = h - l;
    double up = fabs(previous - h);
    double down = fabs(previous - l);
    if (up > range)
        range = up;
    return down > range ? down : range;
}

PGK_FN void pgk_atr_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, double *out)
{
    uint32_t n = op->n[0];
    out[0] = PGK_NAN;
    if (row->age < 2)
        return;
    double range = pgk_true_range(row->h[0], row->l[0], row->c[-1]);
    if (row->age > (uint64_t)n + 1)
        s[0].f = pgk_wilder(s[0].f, range, n);
    else
        s[0].f += range;
    if (row->age == (uint64_t)n + 1)
        s[0].f /= (double)n;
    if (row->age > n)
        out[0] = s[0].f;
}

#endif
