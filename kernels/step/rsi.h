/* step/rsi.h - Wilder's relative strength index; 50 when nothing moved.
 * State: mean gain and mean loss (sums while seeding). */
#ifndef STEP_RSI_H
#define STEP_RSI_H

#include "step/step.h"

PGK_FN void pgk_rsi_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, pgk_real *out)
{
    uint32_t n = op->n[0];
    pgk_real d = PGK_AT(row->c, 0) - PGK_AT(row->c, -1);
    s[0].f = pgk_wilder(row, s[0].f, pgk_max(d, pgk_splat(0.0)), n);
    s[1].f = pgk_wilder(row, s[1].f, pgk_max(-d, pgk_splat(0.0)), n);
    pgk_real both = s[0].f + s[1].f;
    pgk_real value = pgk_sel(pgk_eq(both, pgk_splat(0.0)), pgk_splat(50.0), 100.0 * (s[0].f / both));
    out[0] = pgk_aged(row, n + 1, value);
}

#endif
