#include <math.h>

#include "reference/reference.h"

#define FIRST_T INT64_C(1709550000000) /* 2024-03-04 11:00 UTC, the week before daylight time begins */

uint64_t ref_next(struct ref_random *random)
{
    uint64_t x = random->state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

double ref_uniform(struct ref_random *random)
{
    return (double)(ref_next(random) >> 11) * 0x1p-53;
}

void ref_market_init(struct ref_market *market, uint64_t seed, double price)
{
    *market = (struct ref_market){.random = {seed}, .t = FIRST_T, .price = price};
}

static bool chance(struct ref_market *market, uint64_t one_in)
{
    return ref_next(&market->random) % one_in == 0;
}

/* On a grid of about 1e-5 of the price, so that equal prices come up. */
static double tick(struct ref_market *market, double price)
{
    double grid = exp2(floor(log2(price)) - 16);
    return round(price * (1 + 0.004 * (ref_uniform(&market->random) - 0.5)) / grid) * grid;
}

static void trade(struct ref_market *market, struct pgd_bar *bar)
{
    bar->o = market->price;
    bar->c = tick(market, market->price);
    bar->h = fmax(fmax(bar->o, bar->c), tick(market, market->price));
    bar->l = fmin(fmin(bar->o, bar->c), tick(market, market->price));
    bar->v = chance(market, 4) ? round(ref_uniform(&market->random) * 1e9) / 1e6
                               : (double)(ref_next(&market->random) % 100000);
    bar->vw = chance(market, 4) ? (double)NAN : (bar->h + bar->l + 2 * bar->c) / 4;
}

static void quiet(struct ref_market *market, struct pgd_bar *bar)
{
    bar->o = bar->h = bar->l = bar->c = market->price;
    bar->v = chance(market, 2) ? 0 : 100;
    bar->vw = market->price;
}

static void shape(struct ref_market *market, struct pgd_bar *bar)
{
    if (market->flat > 0)
        quiet(market, bar);
    else
        trade(market, bar);
    if (chance(market, 900))
        bar->h = bar->h * 1e6;
    if (chance(market, 900))
        bar->v = 1e12;
    if (market->silent > 0)
        bar->v = 0;
    if (market->no_volume)
        bar->v = bar->vw = (double)NAN;
}

void ref_market_next(struct ref_market *market, struct pgd_bar *ret)
{
    /* a move between two: Wilder's means of 2 rows halve at each flat one, and after a thousand they are no
     * longer what they would be in a type of larger range */
    if (market->flat == 0 && !market->was_flat && chance(market, 600))
        market->flat = chance(market, 3) ? 700 : 30;
    if (market->silent == 0 && chance(market, 400))
        market->silent = 40;
    *ret = (struct pgd_bar){.t = market->t, .n = 1};
    shape(market, ret);
    market->price = ret->c;
    market->was_flat = market->flat > 0;
    market->flat -= market->flat > 0;
    market->silent -= market->silent > 0;
    market->t += 60000 * (int64_t)(1 + (chance(market, 10) ? ref_next(&market->random) % 90 : 0));
    if (chance(market, 300))
        market->t += INT64_C(12) * 3600 * 1000;
}

void ref_market_correct(struct ref_market *market, struct pgd_bar *bar)
{
    double now = market->price;
    market->price = bar->o;
    if (chance(market, 3))
        bar->v = market->no_volume ? (double)NAN : (double)(ref_next(&market->random) % 100000);
    else
        shape(market, bar);
    market->price = now;
}
