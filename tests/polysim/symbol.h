/* symbol.h - what is traded: a fixed list of well-known names of every asset class, and as many synthetic
 * stocks as asked for.
 *
 * A symbol's character (level, volatility, liquidity, sector) depends on its ticker and the seed only, never
 * on which other symbols exist. */
#ifndef POLYSIM_SYMBOL_H
#define POLYSIM_SYMBOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Prices are whole millionths, sizes hundred-millionths. */
#define SIM_PRICE_SCALE 6
#define SIM_PRICE_UNIT  INT64_C(1000000)
#define SIM_SIZE_SCALE  8
#define SIM_SIZE_UNIT   INT64_C(100000000)

enum sim_asset { SIM_STOCKS, SIM_OPTIONS, SIM_CRYPTO, SIM_FOREX, SIM_INDICES, SIM_FUTURES, SIM_ASSETS };

#define SIM_SECTORS 10

struct sim_symbol {
    char ticker[32]; /* as REST names it: AAPL, X:BTCUSD, C:EURUSD, I:SPX */
    char stream[32]; /* as the stream names it: AAPL, BTC-USD, EUR/USD, I:SPX */
    char name[48];
    char mic[5];  /* primary exchange */
    char kind[6]; /* CS, ETF, ADRC, PFD */
    enum sim_asset asset;
    int sector;        /* 0..SIM_SECTORS-1 */
    double level;      /* price around which it moves */
    double volatility; /* own, per day */
    double beta;       /* on the market */
    double sector_beta;
    double rate;  /* trades a second, averaged over the regular session */
    double lot;   /* multiplies trade sizes */
    int64_t tick; /* price step, in price units */
    uint64_t key; /* of its random numbers */
};

struct sim_universe {
    struct sim_symbol *symbols;
    size_t count;
    uint32_t *by_ticker; /* hash tables of index + 1 */
    uint32_t *by_stream;
    size_t slots;
};

/* stocks: NULL or "" for the built-in names and 100 synthetic ones, a number N for the built-in names and
 * SIM0001..N, or a list AAPL,MSFT,... of exactly the stocks wanted (any ticker will do). Other asset classes
 * are always there. 0, -EINVAL with a message in `err`, -E2BIG (more than a million). */
int sim_universe_init(struct sim_universe *universe, uint64_t seed, const char *stocks, char *err,
                      size_t err_size);
void sim_universe_fini(struct sim_universe *universe);

/* NULL: no such symbol. Case-sensitive. */
struct sim_symbol *sim_universe_ticker(const struct sim_universe *universe, const char *ticker);
struct sim_symbol *sim_universe_stream(const struct sim_universe *universe, enum sim_asset asset,
                                       const char *name);

const char *sim_asset_name(enum sim_asset asset); /* "stocks", the cluster's name */

/* Random bits of (key, a, b): the only source of randomness in the market. */
uint64_t sim_hash(uint64_t key, uint64_t a, uint64_t b);
/* The same as a double in [0, 1). */
double sim_unit(uint64_t bits);

#endif
