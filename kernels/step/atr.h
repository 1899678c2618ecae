/* step/atr.h - Wilder's average true range. State: the average (sum while seeding). */
#ifndef STEP_ATR_H
#define STEP_ATR_H

#include "step/step.h"

PGK_FN void pgk_atr_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, pgk_real *out)
{
    uint32_t n = op->n[0];
    pgk_real h = PGK_AT(row->h, 0), l = PGK_AT(row->l, 0), before = PGK_AT(row->c, -1);
    pgk_real range = pgk_max(pgk_abs(before - h), h - l);
    range = pgk_max(pgk_abs(before - l), range);
    s[0].f = pgk_wilder(row, s[0].f, range, n);
    out[0] = pgk_aged(row, n + 1, s[0].f);
}

#endif
