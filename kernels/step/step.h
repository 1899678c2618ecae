/* step/step.h - what every indicator definition is written in.
 *
 * One header per indicator holds its only definition: a step function that takes one row, the values of the
 * rows before it, and the indicator's own state words, and gives its outputs. The functions are plain C that
 * compiles for the host and for a device: no library but fabs and sqrt, no allocation, no global. Sums run
 * from the oldest row to the newest, and nothing may be contracted to a fused multiply-add, so that every
 * engine gives the same bits. */
#ifndef STEP_STEP_H
#define STEP_STEP_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __CUDACC__
#define PGK_FN static __host__ __device__ __forceinline__
#else
#define PGK_FN static inline
#endif

/* The one NaN that is ever published. */
#define PGK_NAN __builtin_nan("")

#define PGK_OUTPUTS    3         /* outputs an indicator has at most */
#define PGK_NO_SESSION INT32_MIN /* session key of a row outside the session */

/* One word of state. */
union pgk_word {
    double f;
    int64_t i;
    uint64_t u;
};

/* One configured indicator. */
struct pgk_op {
    uint32_t id;      /* enum pgk_indicator */
    uint32_t outputs; /* outputs it has */
    uint32_t n[3];    /* periods, in the order of its name */
    uint32_t window;  /* rows its value reads, its own included */
    uint32_t words;   /* state words; 0: pure in its window */
    uint32_t word;    /* first state word */
    double smooth[3]; /* 2 / (n + 1) of each period */
    double factor;    /* deviations (bb) */
    int32_t
        column[PGK_OUTPUTS]; /* where each output goes; one that is not shown: the column after the last */
};

/* One row as a step sees it. Each pointer is at this row's value; the rows before it lie before it, `held`
 * values in all. */
struct pgk_row {
    const double *h;
    const double *l;
    const double *c;
    const double *v;    /* NaN absent */
    const double *p;    /* price of the bar's volume: vw, else (h + l + c) / 3 */
    uint64_t held;      /* rows that can be read, this one included */
    uint64_t age;       /* rows since the recurrences began, this one included: 1 at the first */
    int32_t session[2]; /* key of the regular and of the extended session, or PGK_NO_SESSION */
};

/* Mean of n values, oldest first. */
PGK_FN double pgk_mean(const double *oldest, uint32_t n)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++)
        sum += oldest[i];
    return sum / (double)n;
}

/* Population deviation around `mean`, in two passes. */
PGK_FN double pgk_sigma(const double *oldest, uint32_t n, double mean)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++) {
        double d = oldest[i] - mean;
        sum += d * d;
    }
    return sqrt(sum / (double)n);
}

/* One step of an exponential mean with smoothing k. */
PGK_FN double pgk_smooth(double e, double x, double k)
{
    return (x - e) * k + e;
}

/* Wilder's mean. */
PGK_FN double pgk_wilder(double mean, double x, uint32_t n)
{
    return (mean * ((double)n - 1.0) + x) / (double)n;
}

#endif
