/* step/vwap.h - volume-weighted average price: of a session (regular and extended hours), and of the last n
 * rows. Session state: its key, sum of price * volume, sum of volume; all zero outside the session. */
#ifndef STEP_VWAP_H
#define STEP_VWAP_H

#include "step/step.h"

PGK_FN double pgk_typical(double h, double l, double c)
{
    return (h + l + c) / 3.0;
}

/* The price that stands for a bar's volume. */
PGK_FN double pgk_volume_price(double h, double l, double c, double vw)
{
    return vw == vw ? vw : pgk_typical(h, l, c);
}

/* The session is n[0]: 0 regular, 1 extended. */
PGK_FN void pgk_vwap_session_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row,
                                  double *out)
{
    int32_t key = row->session[op->n[0]];
    bool inside = key != PGK_NO_SESSION;
    double v = row->v[0];
    out[0] = PGK_NAN;
    if (!inside || s[0].i != key) {
        s[0].i = inside ? key : 0;
        s[1].f = 0.0;
        s[2].f = 0.0;
    }
    if (!inside || v != v)
        return;
    s[1].f += row->p[0] * v;
    s[2].f += v;
    if (s[2].f > 0.0)
        out[0] = s[1].f / s[2].f;
}

PGK_FN void pgk_vwap_step(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, double *out)
{
    (void)s;
    int64_t n = op->n[0];
    out[0] = PGK_NAN;
    if (row->held < (uint64_t)n)
        return;
    double flow = 0.0, volume = 0.0;
    for (int64_t i = 1 - n; i <= 0; i++) {
        flow += row->p[i] * row->v[i];
        volume += row->v[i];
    }
    if (volume > 0.0)
        out[0] = flow / volume;
}

#endif
