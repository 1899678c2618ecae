/* step/ema.h - exponential moving average, seeded with the mean of the first n closes.
 * State: the running sum while seeding, then the average. */
#ifndef STEP_EMA_H
#define STEP_EMA_H

#include "step/step.h"

PGK_FN void pgk_ema_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, pgk_real *out)
{
    s[0].f = pgk_average(row, s[0].f, PGK_AT(row->c, 0), op->smooth[0], 1, op->n[0]);
    out[0] = pgk_aged(row, op->n[0], s[0].f);
}

#endif
