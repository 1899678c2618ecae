/* step/step.h - what every indicator definition is written in.
 *
 * One header per indicator holds its only definition: a step function that takes one row, the values of the
 * rows before it, and the indicator's own state words, and gives its outputs. The functions are plain C that
 * compiles for one series or for several side by side (step/lanes.h), for the host and for a device: no
 * allocation, no global, no branch on a value but around what hardly any needs. Sums run from the oldest row
 * to the newest, and nothing may be contracted to a fused multiply-add, so that every engine gives the same
 * bits. */
#ifndef STEP_STEP_H
#define STEP_STEP_H

#include "step/lanes.h"

/* The one NaN that is ever published. */
#define PGK_NAN      __builtin_nan("")
#define PGK_INFINITY (1e308 * 10) /* NVRTC has no __builtin_inf */

#define PGK_OUTPUTS     3         /* outputs an indicator has at most */
#define PGK_WORDS_MAX   3         /* state words an indicator has at most */
#define PGK_DERIVED_MAX 2         /* series an indicator derives from the bars for its own windows */
#define PGK_NO_SESSION  INT32_MIN /* session key of a row outside the session */

/* One word of state. */
union pgk_word {
    pgk_real f;
    pgk_int i;
};

/* One configured indicator. */
struct pgk_op {
    uint32_t id;      /* enum pgk_indicator */
    uint32_t outputs; /* outputs it has */
    uint32_t n[3];    /* periods, in the order of its name */
    uint32_t window;  /* rows its value reads, its own included */
    uint32_t words;   /* state words; 0: pure in its window */
    uint32_t word;    /* first state word */
    uint32_t derived; /* first field of the series it derives, if it does */
    uint32_t warm;    /* rows before the first one wanted that must be stepped for its derived series */
    double smooth[3]; /* 2 / (n + 1) of each period */
    double factor;    /* deviations (bb) */
    int32_t
        column[PGK_OUTPUTS]; /* where each output goes; one that is not shown: the column after the last */
};

/* The values of one field, seen from a row: PGK_AT(w, -1) is that of the row before. A device keeps them in
 * rings. */
#ifdef PGK_RINGS
typedef struct pgk_ring pgk_window;
#define PGK_AT(w, back)   pgk_ring_at(w, back)
#define PGK_PUT(w, value) pgk_ring_put(&(w), value)
#else
typedef pgk_real *pgk_window;
#ifndef PGK_STRIDE
#define PGK_STRIDE 1 /* values of `pgk_real` from a row to the next */
#endif
#define PGK_AT(w, back)   ((w)[(int64_t)(back)*PGK_STRIDE])
#define PGK_PUT(w, value) (*(w) = (value))
#endif

/* One row as a step sees it. */
struct pgk_row {
    pgk_window h;
    pgk_window l;
    pgk_window c;
    pgk_window v; /* NaN absent */
    pgk_window p; /* price of the bar's volume: vw, else (h + l + c) / 3 */
    pgk_window derived[PGK_DERIVED_MAX];
#ifdef PGK_BANDS
    const pgk_real *band[2]; /* what is asked for below, over the op's period */
#endif
    pgk_real held;      /* rows that can be read, this one included */
    pgk_real age;       /* rows since the recurrences began, this one included: 1 at the first */
    pgk_int session[2]; /* key of the regular and of the extended session, or PGK_NO_SESSION */
    bool steady; /* every window is whole and every recurrence past its seed: a constant where it is known */
};

/* `x`, or NaN where the window is not whole. */
PGK_FN pgk_real pgk_held(const struct pgk_row *row, uint32_t n, pgk_real x)
{
    return row->steady ? x : pgk_sel(pgk_ge(row->held, pgk_splat(n)), x, pgk_splat(PGK_NAN));
}

/* `x`, or NaN before the row of age `first`. */
PGK_FN pgk_real pgk_aged(const struct pgk_row *row, uint32_t first, pgk_real x)
{
    return row->steady ? x : pgk_sel(pgk_ge(row->age, pgk_splat(first)), x, pgk_splat(PGK_NAN));
}

/* Means of the last n values, summed oldest first: at this row and, side by side, the rows after it. */
PGK_FN void pgk_means(pgk_window w, uint32_t n, int32_t rows, pgk_real *ret)
{
    for (int32_t r = 0; r < rows; r++)
        ret[r] = pgk_splat(0.0);
    PGK_UNROLL
    for (int32_t i = 1 - (int32_t)n; i <= 0; i++)
        for (int32_t r = 0; r < rows; r++)
            ret[r] += PGK_AT(w, i + r);
    for (int32_t r = 0; r < rows; r++)
        ret[r] = ret[r] / (double)n;
}

/* Population deviations around `mean`, in two passes. */
PGK_FN void pgk_sigmas(pgk_window w, uint32_t n, int32_t rows, const pgk_real *mean, pgk_real *ret)
{
    for (int32_t r = 0; r < rows; r++)
        ret[r] = pgk_splat(0.0);
    PGK_UNROLL
    for (int32_t i = 1 - (int32_t)n; i <= 0; i++) {
        for (int32_t r = 0; r < rows; r++) {
            pgk_real d = PGK_AT(w, i + r) - mean[r];
            ret[r] += d * d;
        }
    }
    for (int32_t r = 0; r < rows; r++)
        ret[r] = pgk_sqrt(ret[r] / (double)n);
}

PGK_FN pgk_real pgk_mean(pgk_window w, uint32_t n)
{
    pgk_real ret;
    pgk_means(w, n, 1, &ret);
    return ret;
}

PGK_FN pgk_real pgk_sigma(pgk_window w, uint32_t n, pgk_real mean)
{
    pgk_real ret;
    pgk_sigmas(w, n, 1, &mean, &ret);
    return ret;
}

/* Highest high and lowest low of the last n rows, newest first, likewise. */
PGK_FN void pgk_ranges(pgk_window h, pgk_window l, uint32_t n, int32_t rows, pgk_real *high, pgk_real *low)
{
    for (int32_t r = 0; r < rows; r++) {
        high[r] = PGK_AT(h, r);
        low[r] = PGK_AT(l, r);
    }
    PGK_UNROLL
    for (int32_t i = 1; i < (int32_t)n; i++) {
        for (int32_t r = 0; r < rows; r++) {
            high[r] = pgk_max(PGK_AT(h, r - i), high[r]);
            low[r] = pgk_min(PGK_AT(l, r - i), low[r]);
        }
    }
}

/* The same of several rows, no more than n, where what their windows share is looked at once. A NaN in an
 * older row counts for nothing here as there, and of two zeros the newer one is taken: the same bits. */
PGK_FN void pgk_ranges_abreast(pgk_window h, pgk_window l, uint32_t n, int32_t rows, pgk_real *high,
                               pgk_real *low)
{
    pgk_real top = pgk_splat(-PGK_INFINITY), bottom = pgk_splat(PGK_INFINITY);
    for (int32_t i = 1; i <= (int32_t)n - rows; i++) {
        top = pgk_max(PGK_AT(h, -i), top);
        bottom = pgk_min(PGK_AT(l, -i), bottom);
    }
    for (int32_t r = rows - 1; r >= 0; r--) {
        high[r] = PGK_AT(h, r);
        low[r] = PGK_AT(l, r);
        for (int32_t i = r - 1; i >= 0; i--) {
            high[r] = pgk_max(PGK_AT(h, i), high[r]);
            low[r] = pgk_min(PGK_AT(l, i), low[r]);
        }
        high[r] = pgk_max(top, high[r]);
        low[r] = pgk_min(bottom, low[r]);
        if (r > 0) { /* the oldest row of the window of row r - 1 */
            top = pgk_max(PGK_AT(h, r - (int32_t)n), top);
            bottom = pgk_min(PGK_AT(l, r - (int32_t)n), bottom);
        }
    }
}

/* These of a row: worked out here, unless whoever steps many rows has done so, for all indicators of a
 * period.
 */
#ifdef PGK_BANDS
#define PGK_MEAN(row, n)          (*(row)->band[0])
#define PGK_SIGMA(row, n, mean)   (*(row)->band[1])
#define PGK_RANGE(row, n, hi, lo) ((void)(*(hi) = *(row)->band[0], *(lo) = *(row)->band[1]))
#else
#define PGK_MEAN(row, n)          pgk_mean((row)->c, n)
#define PGK_SIGMA(row, n, mean)   pgk_sigma((row)->c, n, mean)
#define PGK_RANGE(row, n, hi, lo) pgk_ranges((row)->h, (row)->l, n, 1, hi, lo)
#endif

/* One step of an exponential mean with smoothing k. */
PGK_FN pgk_real pgk_smooth(pgk_real e, pgk_real x, double k)
{
    return (x - e) * k + e;
}

/* A smoothed mean that begins as the plain one of the values of ages `from` to `seed`. */
PGK_FN pgk_real pgk_seeded(const struct pgk_row *row, pgk_real state, pgk_real x, pgk_real stepped,
                           uint32_t from, uint32_t seed)
{
    pgk_real sum = pgk_sel(pgk_ge(row->age, pgk_splat(from)), state + x, state);
    sum = pgk_sel(pgk_eq(row->age, pgk_splat(seed)), sum / (double)(seed - from + 1), sum);
    return pgk_sel(pgk_gt(row->age, pgk_splat(seed)), stepped, sum);
}

/* An exponential mean, seeded over the ages `from` to `seed`. */
PGK_FN pgk_real pgk_average(const struct pgk_row *row, pgk_real state, pgk_real x, double k, uint32_t from,
                            uint32_t seed)
{
    pgk_real stepped = pgk_smooth(state, x, k);
    return row->steady ? stepped : pgk_seeded(row, state, x, stepped, from, seed);
}

/* Wilder's mean over n, seeded over the ages 2 to n + 1: there is no change before the second row. */
PGK_FN pgk_real pgk_wilder(const struct pgk_row *row, pgk_real state, pgk_real x, uint32_t n)
{
    pgk_real stepped = (state * ((double)n - 1.0) + x) / (double)n;
    return row->steady ? stepped : pgk_seeded(row, state, x, stepped, 2, n + 1);
}

#endif
