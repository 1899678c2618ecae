/* bar.h - aggregates of trades, and the history of a symbol as minute and day bars. */
#ifndef POLYSIM_BAR_H
#define POLYSIM_BAR_H

#include "market.h"

__extension__ typedef __int128 sim_wide;

struct sim_bar {
    int64_t t;                      /* start, ms */
    int64_t open, high, low, close; /* millionths */
    int64_t volume;                 /* hundred-millionths */
    sim_wide turnover;              /* sum of price * size */
    uint32_t count;                 /* trades; 0: no bar */
};

/* Adds one trade. */
void sim_bar_trade(struct sim_bar *bar, const struct sim_trade *trade);
/* Adds a later bar; bar->t stays unless bar was empty. */
void sim_bar_merge(struct sim_bar *bar, const struct sim_bar *later);
/* Volume-weighted mean price in units of 10^-decimals (decimals 4 or 6), rounded; the plain mean of o, h, l
 * and c where nothing was traded. */
int64_t sim_bar_vwap(const struct sim_bar *bar, unsigned decimals);

/* All trades of the minute with from_ms <= at < to_ms. count 0: none. */
struct sim_bar sim_bar_of(const struct sim_minute *minute, int64_t t, int32_t from_ms, int32_t to_ms);

struct sim_history;

struct sim_history *sim_history_new(const struct sim_market *market);
void sim_history_free(struct sim_history *history);

struct sim_bar sim_history_minute(struct sim_history *history, const struct sim_symbol *symbol, int64_t t);
struct sim_bar sim_history_second(struct sim_history *history, const struct sim_symbol *symbol, int64_t t);

/* All whole minutes of a day that ended at or before `now`. A day is New York's, but UTC's for crypto.
 * Finished days are remembered. */
struct sim_bar sim_history_day(struct sim_history *history, const struct sim_symbol *symbol, int32_t day,
                               int64_t now);
int64_t sim_history_day_start(const struct sim_symbol *symbol, int32_t day);
int32_t sim_history_day_of(const struct sim_symbol *symbol, int64_t t);

/* Splits: prices before one were `ratio` times higher and volumes as much lower when not adjusted. 1: none
 * after t. */
int64_t sim_history_ratio(const struct sim_symbol *symbol, int64_t t);
struct sim_bar sim_bar_unadjusted(struct sim_bar bar, int64_t ratio);

#endif
