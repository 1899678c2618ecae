/* step/mfi.h - money flow index over n changes of the typical price; 50 when no money flowed. Pure in n + 1
 * rows. */
#ifndef STEP_MFI_H
#define STEP_MFI_H

#include "step/vwap.h"

PGK_FN void pgk_mfi_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, double *out)
{
    (void)s;
    int64_t n = op->n[0];
    if (row->held <= (uint64_t)n) {
        out[0] = PGK_NAN;
        return;
    }
    double up = 0.0, down = 0.0;
    double previous = pgk_typical(row->h[-n], row->l[-n], row->c[-n]);
    for (int64_t i = 1 - n; i <= 0; i++) {
        double typical = pgk_typical(row->h[i], row->l[i], row->c[i]);
        double flow = typical * row->v[i];
        if (typical > previous)
            up += flow;
        else if (typical < previous)
            down += flow;
        else if (flow != flow)
            up = flow;
        previous = typical;
    }
    double both = up + down;
    out[0] = both == 0.0 ? 50.0 : 100.0 * (up / both);
}

#endif
