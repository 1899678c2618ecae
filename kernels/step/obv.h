/* step/obv.h - on-balance volume, exact in millionths of a share.
 * State: the balance, PGK_OBV_SPENT once it has left the range of 64 bits. */
#ifndef STEP_OBV_H
#define STEP_OBV_H

#include "step/step.h"

#define PGK_OBV_SPENT INT64_MIN

/* Millionths of a share, halves up; v is finite and not negative. PGK_OBV_SPENT when it does not fit. */
PGK_FN pgk_int pgk_micro_shares(pgk_real v)
{
    pgk_real x = v * 1e6;
    pgk_mask fits = pgk_lt(x, pgk_splat(9.2e18));
    x = pgk_sel(fits, x, pgk_splat(0.0));
    pgk_int whole = pgk_trunc(x);
    whole = pgk_sel_int(pgk_ge(x - pgk_from_int(whole), pgk_splat(0.5)), whole + 1, whole);
    return pgk_sel_int(fits, whole, pgk_splat_int(PGK_OBV_SPENT));
}

/* The balance and what is added to it (both within +-INT64_MAX), or PGK_OBV_SPENT. A sum has overflowed when
 * its sign is neither's. */
PGK_FN pgk_int pgk_obv_add(pgk_int balance, pgk_int delta)
{
    pgk_int spent = pgk_splat_int(PGK_OBV_SPENT), sum = pgk_wrap_add(balance, delta);
    pgk_mask over = pgk_lt_int((balance ^ sum) & (delta ^ sum), pgk_splat_int(0));
    over = over | pgk_eq_int(balance, spent) | pgk_eq_int(delta, spent);
    if (PGK_RARELY(over)) /* hardly ever: the next row need not wait for what is only looked at */
        sum = pgk_sel_int(over, spent, sum);
    return sum;
}

/* In shares, rounded once: beyond 2^53 millionths the conversion itself would round. */
PGK_FN pgk_real pgk_shares(pgk_int micro)
{
    const pgk_int exact = pgk_splat_int(INT64_C(1) << 53);
    pgk_mask far = pgk_gt_int(micro, exact) | pgk_lt_int(micro, -exact);
    pgk_real value = pgk_from_int(micro) / 1e6;
    if (pgk_any(far))
        value = pgk_sel(far, pgk_from_int(micro / 1000000) + pgk_from_int(micro % 1000000) / 1e6, value);
    return value;
}

PGK_FN void pgk_obv_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, pgk_real *out)
{
    (void)op;
    pgk_real v = PGK_AT(row->v, 0), c = PGK_AT(row->c, 0), before = PGK_AT(row->c, -1);
    pgk_mask present = pgk_eq(v, v), up = pgk_gt(c, before), down = pgk_lt(c, before);
    if (!row->steady) {
        pgk_mask first = pgk_eq(row->age, pgk_splat(1.0));
        up = up | first;
        down = down & pgk_not(first);
    }
    pgk_int zero = pgk_splat_int(0), step = pgk_micro_shares(pgk_sel(present, v, pgk_splat(0.0)));
    /* -PGK_OBV_SPENT would be itself, were it defined */
    pgk_int delta = pgk_sel_int(up & present, step, pgk_sel_int(down & present, pgk_wrap_negate(step), zero));
    s[0].i = pgk_obv_add(s[0].i, delta);
    pgk_mask known = present & pgk_not(pgk_eq_int(s[0].i, pgk_splat_int(PGK_OBV_SPENT)));
    out[0] = pgk_sel(known, pgk_shares(s[0].i), pgk_splat(PGK_NAN));
}

#endif
