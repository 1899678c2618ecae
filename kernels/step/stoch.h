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

struct pgk_range {
    double high;
    double low;
};

/* Widens a range by `rows` rows, the newest of which lies `back` rows before this one. */
PGK_FN struct pgk_range pgk_stoch_widen(struct pgk_range range, const struct pgk_row *row, uint32_t back,
                                        uint32_t rows)
{
    const double *h = row->h - back, *l = row->l - back;
    for (uint32_t i = 0; i < rows; i++, h--, l--) {
        range.high = *h > range.high ? *h : range.high;
        range.low = *l < range.low ? *l : range.low;
    }
    return range;
}

/* Raw value of the row `back` rows before this one. */
PGK_FN double pgk_stoch_at(const struct pgk_op *op, const struct pgk_row *row, uint32_t back)
{
    struct pgk_range own = {row->h[-(int64_t)back], row->l[-(int64_t)back]};
    struct pgk_range range = pgk_stoch_widen(own, row, back + 1, op->n[0] - 1);
    return pgk_stoch_raw(row->c[-(int64_t)back], range.high, range.low);
}

/* Raw values of this row and the count - 1 before it, newest first. Rows that all of their windows share are
 * looked at once. */
PGK_FN void pgk_stoch_raws(const struct pgk_op *op, const struct pgk_row *row, uint32_t count, double *raw)
{
    uint32_t k = op->n[0], last = count - 1;
    if (k < count) {
        for (uint32_t back = 0; back < count; back++)
            raw[back] = pgk_stoch_at(op, row, back);
        return;
    }
    struct pgk_range shared = {row->h[-(int64_t)last], row->l[-(int64_t)last]};
    shared = pgk_stoch_widen(shared, row, count, k - count);
    for (uint32_t back = 0; back < count; back++) {
        struct pgk_range range = pgk_stoch_widen(shared, row, back, last - back);
        range = pgk_stoch_widen(range, row, k, back);
        raw[back] = pgk_stoch_raw(row->c[-(int64_t)back], range.high, range.low);
    }
}

#define PGK_STOCH_RAWS                                                                                       \
    16u /* raw values kept; those of wider smoothing are worked out again where they are needed */

/* Mean of the raw values of the `s` rows that end `back` rows before this one. */
PGK_FN double pgk_stoch_k(const struct pgk_op *op, const struct pgk_row *row, uint32_t back,
                          const double *raw)
{
    uint32_t s = op->n[1];
    double sum = 0.0;
    for (uint32_t i = back + s; i-- > back;)
        sum += i < PGK_STOCH_RAWS ? raw[i] : pgk_stoch_at(op, row, i);
    return sum / (double)s;
}

PGK_FN void pgk_stoch_step(const struct pgk_op *op, union pgk_word *state, const struct pgk_row *row,
                           double *out)
{
    (void)state;
    uint32_t d = op->n[2], count = op->n[1] + op->n[2] - 1;
    double raw[PGK_STOCH_RAWS];
    if (row->held < op->window) {
        out[0] = out[1] = PGK_NAN;
        return;
    }
    pgk_stoch_raws(op, row, count < PGK_STOCH_RAWS ? count : PGK_STOCH_RAWS, raw);
    double sum = 0.0, newest = 0.0;
    for (uint32_t back = d; back-- > 0;) {
        newest = pgk_stoch_k(op, row, back, raw);
        sum += newest;
    }
    out[0] = newest;
    out[1] = sum / (double)d;
}

#endif
