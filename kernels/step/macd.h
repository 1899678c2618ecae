/* step/macd.h - moving average convergence/divergence: line, signal, histogram.
 * Both averages are seeded on the same row: the slow one with the mean of the first `slow` closes, the fast
 * one with the mean of the last `fast` of those. State: fast, slow, signal (sums while seeding). */
#ifndef STEP_MACD_H
#define STEP_MACD_H

#include "step/step.h"

/* Seeds or steps the two averages; age >= slow: they are valid. */
PGK_FN void pgk_macd_averages(const struct pgk_op *op, union pgk_word *s, uint64_t age, double c)
{
    uint32_t fast = op->n[0], slow = op->n[1];
    if (age > slow) {
        s[0].f = pgk_smooth(s[0].f, c, op->smooth[0]);
        s[1].f = pgk_smooth(s[1].f, c, op->smooth[1]);
        return;
    }
    if (age > slow - fast)
        s[0].f += c;
    s[1].f += c;
    if (age == slow) {
        s[0].f /= (double)fast;
        s[1].f /= (double)slow;
    }
}

PGK_FN void pgk_macd_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, double *out)
{
    uint32_t slow = op->n[1], signal = op->n[2];
    uint64_t first = (uint64_t)slow + signal - 1; /* age of the first valid row */
    out[0] = out[1] = out[2] = PGK_NAN;
    pgk_macd_averages(op, s, row->age, row->c[0]);
    if (row->age < slow)
        return;
    double line = s[0].f - s[1].f;
    if (row->age > first)
        s[2].f = pgk_smooth(s[2].f, line, op->smooth[2]);
    else
        s[2].f += line;
    if (row->age == first)
        s[2].f /= (double)signal;
    if (row->age >= first) {
        out[0] = line;
        out[1] = s[2].f;
        out[2] = line - s[2].f;
    }
}

#endif
