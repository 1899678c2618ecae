/* step/mfi.h - money flow index over n changes of the typical price; 50 when no money flowed. Pure in n + 1
 * rows. */
#ifndef STEP_MFI_H
#define STEP_MFI_H

#include "step/vwap.h"

PGK_FN void pgk_mfi_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, pgk_real *out)
{
    (void)s;
    int32_t n = (int32_t)op->n[0];
    pgk_real up = pgk_splat(0.0), down = pgk_splat(0.0);
    pgk_real previous = pgk_typical(PGK_AT(row->h, -n), PGK_AT(row->l, -n), PGK_AT(row->c, -n));
    PGK_UNROLL
    for (int32_t i = 1 - n; i <= 0; i++) {
        pgk_real typical = pgk_typical(PGK_AT(row->h, i), PGK_AT(row->l, i), PGK_AT(row->c, i));
        pgk_real flow = typical * PGK_AT(row->v, i);
        pgk_mask rose = pgk_gt(typical, previous), fell = pgk_lt(typical, previous);
        pgk_mask absent = pgk_not(rose | fell) & pgk_is_nan(flow);
        up = pgk_sel(rose, up + flow, pgk_sel(absent, flow, up));
        down = pgk_sel(fell, down + flow, down);
        previous = typical;
    }
    pgk_real both = up + down;
    out[0] = pgk_held(row, op->n[0] + 1,
                      pgk_sel(pgk_eq(both, pgk_splat(0.0)), pgk_splat(50.0), 100.0 * (up / both)));
}

#endif
