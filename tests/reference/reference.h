/* reference/reference.h - the judge: every indicator from its definition, over the whole history, in long
 * double, with no thought of speed and nothing shared with kernels/. */
#ifndef REFERENCE_REFERENCE_H
#define REFERENCE_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "polygond/abi.h"

/* Fills ret[count] with column `name` ("sma_20", "macd_hist", "bb_upper_10_2.5") of the bars; NaN where there
 * is none. False: no such column. */
bool ref_column(const char *name, const struct pgd_bar *bars, size_t count, enum pgd_session session,
                long double *ret);

/* The local price scale of every row: the largest high of the last 300. */
void ref_scales(const struct pgd_bar *bars, size_t count, double *ret);

/* True when `got` is as good as it must be: NaN where `want` is; price-like within 1e-12 of the local price
 * scale, or of `want` where an outlier has left that larger than the prices around; oscillators within 1e-9
 * points; OBV the nearest double. */
bool ref_agrees(const char *name, double scale, long double want, double got);

/* Random bars: gaps, flat runs of 700 rows, no volume, fractional volumes, `vw` absent, prices around
 * `price`, an outlier of 10^6 times now and then, starts that run through trading days. */
struct ref_random {
    uint64_t state;
};
uint64_t ref_next(struct ref_random *random);
double ref_uniform(struct ref_random *random); /* [0, 1) */

struct ref_market {
    struct ref_random random;
    int64_t t;
    double price;
    uint32_t flat;   /* rows left of a flat run */
    bool was_flat;   /* the last row was one of it */
    uint32_t silent; /* rows left without volume */
    bool no_volume;  /* as an index: v and vw absent */
};
void ref_market_init(struct ref_market *market, uint64_t seed, double price);
void ref_market_next(struct ref_market *market, struct pgd_bar *ret);

/* Another bar for the same start: what a correction sends. */
void ref_market_correct(struct ref_market *market, struct pgd_bar *bar);

#endif
