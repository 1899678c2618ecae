/* step/stoch.h - slow stochastic: K is the mean of `s` raw values, D the mean of `d` values of K. Pure in k +
 * s + d - 2 rows. */
#ifndef STEP_STOCH_H
#define STEP_STOCH_H

#include "step/step.h"

/* Raw value in points: where c lies between the lowest low and the highest high; 0 when they cannot be told
 * apart. */
PGK_FN double pgk_stoch_raw(double c, double high, double low)
{
    double range = high - low;
    if (fabs(range) <= 1e-14 * (fabs(high) + fabs(low)))
        return 0.0;
    return (c - low) / (range / 100.0);
}

/* Raw value of the row at h, l, c over `k` rows of which the oldest `skip` are covered by `high` and `low`
 * already. */
PGK_FN double pgk_stoch_at(const double *h, const double *l, const double *c, uint32_t rows, double high,
                           double low)
{
    for (uint32_t i = 0; i < rows; i++) {
        const double *hi = h - i, *lo = l - i;
        high = *hi > high ? *hi : high;
        low = *lo < low ? *lo : low;
    }
    return pgk_stoch_raw(*c, high, low);
}

/* Mean of the raw values of the `s` rows that end `back` rows before this one. */
PGK_FN double pgk_stoch_k(const struct pgk_op *op, const struct pgk_row *row, uint32_t back)
{
    uint32_t k = op->n[0], s = op->n[1];
    double sum = 0.0;
    for (uint32_t i = s; i-- > 0;) {
        int64_t at = -(int64_t)(back + i);
        sum += pgk_stoch_at(row->h + at, row->l + at, row->c + at, k, row->h[at], row->l[at]);
    }
    return sum / (double)s;
}

PGK_FN void pgk_stoch_step(const struct pgk_op *op, union pgk_word *state, const struct pgk_row *row,
                           double *out)
{
    (void)state;
    uint32_t d = op->n[2];
    if (row->held < op->window) {
        out[0] = out[1] = PGK_NAN;
        return;
    }
    double sum = 0.0, newest = 0.0;
    for (uint32_t back = d; back-- > 0;) {
        newest = pgk_stoch_k(op, row, back);
        sum += newest;
    }
    out[0] = newest;
    out[1] = sum / (double)d;
}

#endif
