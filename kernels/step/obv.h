/* step/obv.h - on-balance volume, exact in millionths of a share.
 * State: the balance, PGK_OBV_SPENT once it has left the range of 64 bits. */
#ifndef STEP_OBV_H
#define STEP_OBV_H

#include "step/step.h"

#define PGK_OBV_SPENT INT64_MIN

/* Millionths of a share, halves up; v is finite and not negative. PGK_OBV_SPENT when it does not fit. */
PGK_FN int64_t pgk_micro_shares(double v)
{
    double x = v * 1e6;
    if (x >= 9.2e18)
        return PGK_OBV_SPENT;
    int64_t whole = (int64_t)x;
    return x - (double)whole >= 0.5 ? whole + 1 : whole;
}

/* balance + step * sign, or PGK_OBV_SPENT. */
PGK_FN int64_t pgk_obv_add(int64_t balance, int64_t step, int sign)
{
    if (balance == PGK_OBV_SPENT || step == PGK_OBV_SPENT)
        return PGK_OBV_SPENT;
    if (sign > 0)
        return balance > INT64_MAX - step ? PGK_OBV_SPENT : balance + step;
    if (sign < 0)
        return balance < -INT64_MAX + step ? PGK_OBV_SPENT : balance - step;
    return balance;
}

/* In shares, rounded once: beyond 2^53 millionths the conversion itself would round. */
PGK_FN double pgk_shares(int64_t micro)
{
    const int64_t exact = INT64_C(1) << 53;
    if (micro <= exact && micro >= -exact)
        return (double)micro / 1e6;
    return (double)(micro / 1000000) + (double)(micro % 1000000) / 1e6;
}

PGK_FN void pgk_obv_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, double *out)
{
    (void)op;
    double v = row->v[0];
    out[0] = PGK_NAN;
    if (v != v)
        return;
    int sign = 1;
    if (row->age > 1)
        sign = (row->c[0] > row->c[-1]) - (row->c[0] < row->c[-1]);
    if (sign != 0)
        s[0].i = pgk_obv_add(s[0].i, pgk_micro_shares(v), sign);
    if (s[0].i != PGK_OBV_SPENT)
        out[0] = pgk_shares(s[0].i);
}

#endif
