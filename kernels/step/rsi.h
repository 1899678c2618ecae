/* step/rsi.h - Wilder's relative strength index; 50 when nothing moved.
 * State: mean gain and mean loss (sums while seeding). */
#ifndef STEP_RSI_H
#define STEP_RSI_H

#include "step/step.h"

PGK_FN void pgk_rsi_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, double *out)
{
    uint32_t n = op->n[0];
    out[0] = PGK_NAN;
    if (row->age < 2)
        return;
    double d = row->c[0] - row->c[-1];
    double gain = d > 0.0 ? d : 0.0;
    double loss = d < 0.0 ? -d : 0.0;
    if (row->age > (uint64_t)n + 1) {
        s[0].f = pgk_wilder(s[0].f, gain, n);
        s[1].f = pgk_wilder(s[1].f, loss, n);
    } else {
        s[0].f += gain;
        s[1].f += loss;
    }
    if (row->age == (uint64_t)n + 1) {
        s[0].f /= (double)n;
        s[1].f /= (double)n;
    }
    if (row->age > n) {
        double both = s[0].f + s[1].f;
        out[0] = both == 0.0 ? 50.0 : 100.0 * (s[0].f / both);
    }
}

#endif
