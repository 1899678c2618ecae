/* step/vwap.h - volume-weighted average price: of a session (regular and extended hours), and of the last n
 * rows. Session state: its key, sum of price * volume, sum of volume; all zero outside the session. */
#ifndef STEP_VWAP_H
#define STEP_VWAP_H

#include "step/step.h"

PGK_FN pgk_real pgk_typical(pgk_real h, pgk_real l, pgk_real c)
{
    return (h + l + c) / 3.0;
}

/* The price that stands for a bar's volume. */
PGK_FN pgk_real pgk_volume_price(pgk_real h, pgk_real l, pgk_real c, pgk_real vw)
{
    pgk_mask absent = pgk_is_nan(vw);
    if (PGK_RARELY(absent))
        vw = pgk_sel(absent, pgk_typical(h, l, c), vw);
    return vw;
}

/* The session is n[0]: 0 regular, 1 extended. */
PGK_FN void pgk_vwap_session_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row,
                                  pgk_real *out)
{
    pgk_int key = row->session[op->n[0]];
    pgk_mask inside = pgk_not(pgk_eq_int(key, pgk_splat_int(PGK_NO_SESSION)));
    pgk_mask same = inside & pgk_eq_int(s[0].i, key);
    pgk_real zero = pgk_splat(0.0), v = PGK_AT(row->v, 0);
    pgk_mask counts = inside & pgk_eq(v, v);
    s[0].i = pgk_sel_int(inside, key, pgk_splat_int(0));
    s[1].f = pgk_sel(same, s[1].f, zero);
    s[2].f = pgk_sel(same, s[2].f, zero);
    s[1].f = pgk_sel(counts, s[1].f + PGK_AT(row->p, 0) * v, s[1].f);
    s[2].f = pgk_sel(counts, s[2].f + v, s[2].f);
    out[0] = pgk_sel(counts & pgk_gt(s[2].f, zero), s[1].f / s[2].f, pgk_splat(PGK_NAN));
}

PGK_FN void pgk_vwap_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row,
                          pgk_real *out)
{
    (void)s;
    pgk_real flow = pgk_splat(0.0), volume = pgk_splat(0.0);
    PGK_UNROLL
    for (int32_t i = 1 - (int32_t)op->n[0]; i <= 0; i++) {
        pgk_real v = PGK_AT(row->v, i);
        flow += PGK_AT(row->p, i) * v;
        volume += v;
    }
    out[0] =
        pgk_held(row, op->n[0], pgk_sel(pgk_gt(volume, pgk_splat(0.0)), flow / volume, pgk_splat(PGK_NAN)));
}

#endif
