/* step/macd.h - moving average convergence/divergence: line, signal, histogram.
 * Both averages are seeded on the same row: the slow one with the mean of the first `slow` closes, the fast
 * one with the mean of the last `fast` of those. State: fast, slow, signal (sums while seeding). */
#ifndef STEP_MACD_H
#define STEP_MACD_H

#include "step/step.h"

PGK_FN void pgk_macd_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row,
                          pgk_real *out)
{
    uint32_t fast = op->n[0], slow = op->n[1], first = slow + op->n[2] - 1;
    pgk_real c = PGK_AT(row->c, 0);
    s[0].f = pgk_average(row, s[0].f, c, op->smooth[0], slow - fast + 1, slow);
    s[1].f = pgk_average(row, s[1].f, c, op->smooth[1], 1, slow);
    pgk_real line = s[0].f - s[1].f;
    s[2].f = pgk_average(row, s[2].f, line, op->smooth[2], slow, first);
    out[0] = pgk_aged(row, first, line);
    out[1] = pgk_aged(row, first, s[2].f);
    out[2] = pgk_aged(row, first, line - s[2].f);
}

#endif
