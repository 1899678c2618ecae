/* market.h - prices, trades and quotes as a pure function of (seed, symbol, minute).
 *
 * The log price is a sum of value noise over time scales from a minute to two thirds of a year: a market
 * factor, a sector factor and the symbol's own, on a clock that runs with the volatility of the session. A
 * minute's trades are drawn from a rate that bursts at the open, sags at lunch and rises to the close. Every
 * aggregate, of a second, a minute or a year, is the aggregate of those trades and of nothing else, which is
 * why the stream and the history cannot disagree. */
#ifndef POLYSIM_MARKET_H
#define POLYSIM_MARKET_H

#include "calendar.h"
#include "symbol.h"

#define SIM_MINUTE_TRADES 1500 /* at most, but for late ones */

struct sim_trade {
    int32_t at;    /* ms in its minute */
    uint32_t q;    /* sequence number, ascending in a symbol's New York day */
    int64_t price; /* millionths */
    int64_t size;  /* hundred-millionths */
    uint8_t exchange;
    bool late; /* added by a revision */
};

struct sim_quote {
    int32_t at;
    uint32_t q;
    int64_t bid, ask;
    int64_t bid_size, ask_size; /* hundred-millionths */
    uint8_t bid_exchange, ask_exchange;
};

struct sim_minute {
    struct sim_trade *trades;
    uint32_t count, room;
};

struct sim_quotes {
    struct sim_quote *quotes;
    uint32_t count, room;
};

/* A trade that became known after its minute was over. */
struct sim_late {
    const struct sim_symbol *symbol;
    int64_t minute;
    struct sim_trade trade;
};

struct sim_market {
    uint64_t seed;
    struct sim_late *late;
    size_t late_count, late_room;
    uint64_t revision; /* grows with every late trade: what is cached under another value is stale */
};

void sim_market_init(struct sim_market *market, uint64_t seed);
void sim_market_fini(struct sim_market *market);

/* Is the symbol's market open in the minute that begins at t? */
bool sim_market_open(const struct sim_symbol *symbol, int64_t t);

/* The trades of the minute that begins at t (a multiple of SIM_MINUTE), in time order, into memory that is
 * reused. */
void sim_market_minute(const struct sim_market *market, const struct sim_symbol *symbol, int64_t t,
                       struct sim_minute *minute);
void sim_minute_fini(struct sim_minute *minute);

void sim_market_quotes(const struct sim_market *market, const struct sim_symbol *symbol, int64_t t,
                       struct sim_quotes *quotes);
void sim_quotes_fini(struct sim_quotes *quotes);

/* Adds a late trade to a minute that is over. -EINVAL: the market was closed then. */
int sim_market_revise(struct sim_market *market, const struct sim_symbol *symbol, int64_t t, int64_t price,
                      int64_t size);

#endif
