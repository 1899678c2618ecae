/* step/stoch.h - slow stochastic: K is the mean of `s` raw values, D the mean of `d` values of K. Pure in k +
 * s + d - 2 rows: the raw values and K are series of their own, that a window looks back on. */
#ifndef STEP_STOCH_H
#define STEP_STOCH_H

#include "step/step.h"

/* Raw value in points: where c lies between the lowest low and the highest high; 0 when they cannot be told
 * apart. */
PGK_FN pgk_real pgk_stoch_raw(pgk_real c, pgk_real high, pgk_real low)
{
    pgk_real range = high - low;
    pgk_mask flat = pgk_le(pgk_abs(range), 1e-14 * (pgk_abs(high) + pgk_abs(low)));
    return pgk_sel(flat, pgk_splat(0.0), (c - low) / (range / 100.0));
}

PGK_FN void pgk_stoch_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row,
                           pgk_real *out)
{
    (void)s;
    pgk_window raw = row->derived[0], slow = row->derived[1];
    pgk_real high, low;
    PGK_RANGE(row, op->n[0], &high, &low);
    PGK_PUT(raw, pgk_stoch_raw(PGK_AT(row->c, 0), high, low));
    pgk_real k = pgk_mean(raw, op->n[1]);
    PGK_PUT(slow, k);
    out[0] = pgk_held(row, op->window, k);
    out[1] = pgk_held(row, op->window, pgk_mean(slow, op->n[2]));
}

#endif
