#include "symbol.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMED_SYNTHETIC 100
#define SYMBOLS_MAX     1000000

struct builtin {
    enum sim_asset asset;
    const char *ticker, *stream, *name, *mic, *kind;
    int sector;
    double level, volatility, beta, sector_beta, rate, lot;
    int64_t tick;
};

#define STOCK(t, n, m, k, s, l, v, b, sb, r, q)                                                              \
    {                                                                                                        \
        SIM_STOCKS, t, t, n, m, k, s, l, v, b, sb, r, q, 10000                                               \
    }
#define OTHER(a, t, w, n, l, v, b, r, q, k)                                                                  \
    {                                                                                                        \
        a, t, w, n, "", "", 9, l, v, b, 0.2, r, q, k                                                         \
    }

/* Sectors: 0 technology 1 communication 2 consumer 3 finance 4 health 5 energy 6 industry 7 staples 8 funds 9
 * other. */
static const struct builtin builtins[] = {
    STOCK("AAPL", "Apple Inc.", "XNAS", "CS", 0, 228.4, 0.010, 1.1, 0.8, 2.4, 2.3),
    STOCK("MSFT", "Microsoft Corp", "XNAS", "CS", 0, 431.2, 0.009, 1.0, 0.9, 1.6, 1.5),
    STOCK("NVDA", "Nvidia Corp", "XNAS", "CS", 0, 141.7, 0.018, 1.7, 1.5, 4.6, 4.0),
    STOCK("AMZN", "Amazon.Com Inc", "XNAS", "CS", 2, 214.9, 0.012, 1.2, 0.9, 1.9, 2.0),
    STOCK("GOOGL", "Alphabet Inc. Class A", "XNAS", "CS", 1, 178.3, 0.011, 1.1, 0.9, 1.4, 1.7),
    STOCK("GOOG", "Alphabet Inc. Class C", "XNAS", "CS", 1, 179.8, 0.011, 1.1, 0.9, 1.1, 1.3),
    STOCK("META", "Meta Platforms, Inc. Class A", "XNAS", "CS", 1, 588.6, 0.014, 1.3, 1.0, 1.3, 0.9),
    STOCK("TSLA", "Tesla, Inc.", "XNAS", "CS", 2, 332.1, 0.026, 1.8, 1.0, 4.2, 1.9),
    STOCK("AMD", "Advanced Micro Devices", "XNAS", "CS", 0, 138.9, 0.019, 1.6, 1.4, 1.7, 1.6),
    STOCK("INTC", "Intel Corp", "XNAS", "CS", 0, 24.35, 0.018, 1.2, 0.9, 1.4, 4.0),
    STOCK("NFLX", "NetFlix Inc", "XNAS", "CS", 1, 836.4, 0.014, 1.1, 0.7, 0.6, 0.6),
    STOCK("ORCL", "Oracle Corp", "XNYS", "CS", 0, 187.5, 0.012, 1.0, 0.8, 0.6, 1.0),
    STOCK("JPM", "JPMorgan Chase & Co.", "XNYS", "CS", 3, 241.3, 0.008, 0.9, 0.9, 0.7, 1.1),
    STOCK("BAC", "Bank of America Corporation", "XNYS", "CS", 3, 45.62, 0.009, 1.0, 1.1, 0.9, 3.2),
    STOCK("GS", "Goldman Sachs Group Inc.", "XNYS", "CS", 3, 592.7, 0.009, 1.1, 1.0, 0.3, 0.5),
    STOCK("BRK.A", "Berkshire Hathaway Inc. Class A", "XNYS", "CS", 3, 701250.0, 0.006, 0.7, 0.5, 0.02, 0.01),
    STOCK("BRK.B", "Berkshire Hathaway Inc. Class B", "XNYS", "CS", 3, 467.9, 0.006, 0.7, 0.5, 0.4, 0.7),
    STOCK("UNH", "UnitedHealth Group Incorporated", "XNYS", "CS", 4, 598.0, 0.010, 0.6, 0.8, 0.4, 0.7),
    STOCK("JNJ", "Johnson & Johnson", "XNYS", "CS", 4, 154.2, 0.006, 0.5, 0.7, 0.5, 1.1),
    STOCK("PFE", "Pfizer Inc.", "XNYS", "CS", 4, 25.71, 0.010, 0.6, 0.9, 0.9, 3.4),
    STOCK("LLY", "Eli Lilly & Co.", "XNYS", "CS", 4, 788.4, 0.014, 0.6, 0.8, 0.3, 0.6),
    STOCK("XOM", "Exxon Mobil Corporation", "XNYS", "CS", 5, 119.3, 0.009, 0.7, 1.2, 0.8, 1.6),
    STOCK("CVX", "Chevron Corporation", "XNYS", "CS", 5, 158.1, 0.009, 0.7, 1.2, 0.5, 1.1),
    STOCK("BA", "Boeing Company", "XNYS", "CS", 6, 147.6, 0.016, 1.1, 0.9, 0.5, 1.0),
    STOCK("CAT", "Caterpillar Inc.", "XNYS", "CS", 6, 388.0, 0.009, 1.1, 1.1, 0.3, 0.6),
    STOCK("GE", "GE Aerospace", "XNYS", "CS", 6, 181.4, 0.011, 1.1, 1.0, 0.4, 0.9),
    STOCK("WMT", "Walmart Inc.", "XNYS", "CS", 7, 86.4, 0.008, 0.5, 0.8, 0.7, 1.8),
    STOCK("KO", "Coca-Cola Company", "XNYS", "CS", 7, 62.9, 0.006, 0.4, 0.8, 0.6, 1.8),
    STOCK("PG", "Procter & Gamble Company", "XNYS", "CS", 7, 167.8, 0.006, 0.4, 0.8, 0.4, 1.0),
    STOCK("DIS", "The Walt Disney Company", "XNYS", "CS", 1, 109.2, 0.010, 1.0, 0.8, 0.5, 1.4),
    STOCK("F", "Ford Motor Company", "XNYS", "CS", 2, 11.08, 0.012, 1.2, 1.0, 0.7, 5.0),
    STOCK("T", "AT&T Inc.", "XNYS", "CS", 1, 22.31, 0.007, 0.5, 0.7, 0.7, 4.0),
    STOCK("KIMpL", "Kimco Realty Corp Depositary Shares Series L", "XNYS", "PFD", 3, 21.4, 0.005, 0.2, 0.2,
          0.004, 0.3),
    STOCK("NA", "Nano Labs Ltd American Depositary Shares", "XNAS", "ADRC", 0, 5.34, 0.040, 0.9, 0.6, 0.03,
          0.8),
    STOCK("PLTR", "Palantir Technologies Inc. Class A", "XNAS", "CS", 0, 61.3, 0.026, 1.6, 1.2, 2.6, 2.4),
    STOCK("SNDX", "Cellar Biosciences Inc", "XNAS", "CS", 4, 0.4372, 0.060, 0.8, 0.5, 0.3, 9.0),
    STOCK("SPY", "SPDR S&P 500 ETF Trust", "ARCX", "ETF", 8, 591.4, 0.0008, 1.0, 0.02, 3.6, 1.7),
    STOCK("QQQ", "Invesco QQQ Trust", "XNAS", "ETF", 8, 505.8, 0.002, 1.2, 0.05, 2.4, 1.4),
    STOCK("IWM", "iShares Russell 2000 ETF", "ARCX", "ETF", 8, 235.9, 0.004, 1.2, 0.05, 1.5, 1.5),
    STOCK("DIA", "SPDR Dow Jones Industrial Average ETF", "ARCX", "ETF", 8, 437.2, 0.002, 0.9, 0.05, 0.4,
          0.8),

    OTHER(SIM_OPTIONS, "O:SPY261218C00600000", "O:SPY261218C00600000", "SPY 600 call", 41.2, 0.02, 6.0, 0.10,
          0.02, 10000),
    OTHER(SIM_OPTIONS, "O:SPY261218P00580000", "O:SPY261218P00580000", "SPY 580 put", 28.7, 0.02, -6.0, 0.10,
          0.02, 10000),
    OTHER(SIM_OPTIONS, "O:AAPL261218C00230000", "O:AAPL261218C00230000", "AAPL 230 call", 24.1, 0.03, 5.0,
          0.06, 0.02, 10000),
    OTHER(SIM_OPTIONS, "O:AAPL261218P00220000", "O:AAPL261218P00220000", "AAPL 220 put", 13.9, 0.03, -5.0,
          0.05, 0.02, 10000),
    OTHER(SIM_OPTIONS, "O:TSLA261218C00350000", "O:TSLA261218C00350000", "TSLA 350 call", 62.5, 0.05, 5.0,
          0.08, 0.02, 50000),
    OTHER(SIM_OPTIONS, "O:NVDA261218C00150000", "O:NVDA261218C00150000", "NVDA 150 call", 22.8, 0.04, 5.0,
          0.12, 0.02, 10000),

    OTHER(SIM_CRYPTO, "X:BTCUSD", "BTC-USD", "Bitcoin - United States dollar", 96410.0, 0.020, 0.8, 2.0,
          0.004, 10000),
    OTHER(SIM_CRYPTO, "X:ETHUSD", "ETH-USD", "Ethereum - United States dollar", 3342.0, 0.026, 1.0, 1.4, 0.06,
          10000),
    OTHER(SIM_CRYPTO, "X:SOLUSD", "SOL-USD", "Solana - United States dollar", 238.0, 0.036, 1.1, 0.9, 0.7,
          10000),
    OTHER(SIM_CRYPTO, "X:DOGEUSD", "DOGE-USD", "Dogecoin - United States dollar", 0.3921, 0.045, 1.1, 0.7,
          300.0, 10),
    OTHER(SIM_CRYPTO, "X:XRPUSD", "XRP-USD", "XRP - United States dollar", 1.438, 0.035, 1.0, 0.6, 90.0, 100),

    OTHER(SIM_FOREX, "C:EURUSD", "EUR/USD", "Euro - United States Dollar", 1.0487, 0.004, 0.1, 1.5, 1.0, 10),
    OTHER(SIM_FOREX, "C:GBPUSD", "GBP/USD", "British Pound - United States Dollar", 1.2604, 0.004, 0.1, 1.2,
          1.0, 10),
    OTHER(SIM_FOREX, "C:USDJPY", "USD/JPY", "United States Dollar - Japanese Yen", 154.32, 0.005, 0.1, 1.3,
          1.0, 1000),
    OTHER(SIM_FOREX, "C:USDCHF", "USD/CHF", "United States Dollar - Swiss Franc", 0.8862, 0.004, -0.1, 0.8,
          1.0, 10),
    OTHER(SIM_FOREX, "C:AUDUSD", "AUD/USD", "Australian Dollar - United States Dollar", 0.6512, 0.005, 0.2,
          0.8, 1.0, 10),
    OTHER(SIM_FOREX, "C:USDCAD", "USD/CAD", "United States Dollar - Canadian Dollar", 1.3978, 0.003, -0.1,
          0.8, 1.0, 10),

    OTHER(SIM_INDICES, "I:SPX", "I:SPX", "Standard & Poor's 500", 5917.0, 0.0004, 1.0, 1.0, 0.0, 10000),
    OTHER(SIM_INDICES, "I:NDX", "I:NDX", "Nasdaq-100", 20740.0, 0.002, 1.2, 1.0, 0.0, 10000),
    OTHER(SIM_INDICES, "I:DJI", "I:DJI", "Dow Jones Industrial Average", 43408.0, 0.002, 0.9, 1.0, 0.0,
          10000),
    OTHER(SIM_INDICES, "I:VIX", "I:VIX", "CBOE Volatility Index", 17.2, 0.04, -5.0, 0.5, 0.0, 10000),

    OTHER(SIM_FUTURES, "ESZ6", "ESZ6", "E-mini S&P 500 December 2026", 5935.0, 0.0006, 1.0, 2.0, 0.01,
          250000),
    OTHER(SIM_FUTURES, "NQZ6", "NQZ6", "E-mini Nasdaq-100 December 2026", 20810.0, 0.002, 1.2, 1.6, 0.01,
          250000),
    OTHER(SIM_FUTURES, "CLF7", "CLF7", "Crude Oil January 2027", 69.4, 0.014, 0.3, 0.8, 0.01, 10000),
    OTHER(SIM_FUTURES, "GCG7", "GCG7", "Gold February 2027", 2651.0, 0.008, 0.0, 0.7, 0.01, 100000),
};

uint64_t sim_hash(uint64_t key, uint64_t a, uint64_t b)
{
    uint64_t x = key ^ (a * 0x9e3779b97f4a7c15u) ^ ((b + 0x7f4a7c15u) * 0xd1342543de82ef95u);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

double sim_unit(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

static uint64_t string_key(uint64_t seed, const char *string)
{
    uint64_t h = sim_hash(seed, 0x5eed, 0);
    for (; *string; string++)
        h = sim_hash(h, (unsigned char)*string, 1);
    return h;
}

const char *sim_asset_name(enum sim_asset asset)
{
    static const char *const names[SIM_ASSETS] = {"stocks", "options", "crypto",
                                                  "forex",  "indices", "futures"};
    return names[asset];
}

static void from_builtin(struct sim_symbol *s, const struct builtin *b, uint64_t seed)
{
    *s = (struct sim_symbol){.asset = b->asset,
                             .sector = b->sector,
                             .level = b->level,
                             .volatility = b->volatility,
                             .beta = b->beta,
                             .sector_beta = b->sector_beta,
                             .rate = b->rate,
                             .lot = b->lot,
                             .tick = b->tick,
                             .key = string_key(seed, b->ticker)};
    snprintf(s->ticker, sizeof(s->ticker), "%s", b->ticker);
    snprintf(s->stream, sizeof(s->stream), "%s", b->stream);
    snprintf(s->name, sizeof(s->name), "%s", b->name);
    snprintf(s->mic, sizeof(s->mic), "%s", b->mic);
    snprintf(s->kind, sizeof(s->kind), "%s", b->kind);
}

static void synthetic(struct sim_symbol *s, const char *ticker, uint64_t seed)
{
    uint64_t key = string_key(seed, ticker);
    double spread = sim_unit(sim_hash(key, 1, 0)) + sim_unit(sim_hash(key, 1, 1)) - 1;
    double wide = sim_unit(sim_hash(key, 2, 0)) + sim_unit(sim_hash(key, 2, 1)) - 1;
    *s = (struct sim_symbol){.asset = SIM_STOCKS,
                             .sector = (int)(sim_hash(key, 3, 0) % SIM_SECTORS),
                             .level = 42.0 * exp(3.0 * spread),
                             .volatility = 0.008 + 0.03 * sim_unit(sim_hash(key, 4, 0)),
                             .beta = 0.3 + 1.4 * sim_unit(sim_hash(key, 5, 0)),
                             .sector_beta = 0.4 + sim_unit(sim_hash(key, 6, 0)),
                             .rate = 0.04 * exp(2.5 * wide),
                             .lot = 1.0,
                             .tick = 10000,
                             .key = key};
    snprintf(s->ticker, sizeof(s->ticker), "%s", ticker);
    snprintf(s->stream, sizeof(s->stream), "%s", ticker);
    snprintf(s->name, sizeof(s->name), "%s Synthetic Corp", ticker);
    snprintf(s->mic, sizeof(s->mic), "%s", key & 1 ? "XNAS" : "XNYS");
    snprintf(s->kind, sizeof(s->kind), "CS");
}

static int push(struct sim_universe *u, const struct sim_symbol *symbol)
{
    if ((u->count & (u->count - 1)) == 0) {
        size_t room = u->count ? u->count * 2 : 1;
        struct sim_symbol *symbols = realloc(u->symbols, room * sizeof(*symbols));
        if (!symbols)
            return -ENOMEM;
        u->symbols = symbols;
    }
    u->symbols[u->count++] = *symbol;
    return 0;
}

static bool plausible(const char *ticker)
{
    return *ticker && strlen(ticker) < 16 &&
           strspn(ticker, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./-") ==
               strlen(ticker);
}

static const struct builtin *builtin_stock(const char *ticker)
{
    for (size_t i = 0; i < sizeof(builtins) / sizeof(*builtins); i++)
        if (builtins[i].asset == SIM_STOCKS && strcmp(builtins[i].ticker, ticker) == 0)
            return &builtins[i];
    return NULL;
}

static int add_listed(struct sim_universe *u, uint64_t seed, const char *list, char *err, size_t err_size)
{
    while (*list) {
        size_t size = strcspn(list, ",");
        char ticker[17] = "";
        if (size < sizeof(ticker))
            memcpy(ticker, list, size);
        if (!plausible(ticker)) {
            snprintf(err, err_size, "'%.*s' is no ticker", (int)size, list);
            return -EINVAL;
        }
        struct sim_symbol symbol;
        const struct builtin *known = builtin_stock(ticker);
        if (known)
            from_builtin(&symbol, known, seed);
        else
            synthetic(&symbol, ticker, seed);
        int r = push(u, &symbol);
        if (r < 0)
            return r;
        list += size;
        list += *list == ',';
    }
    return 0;
}

static int add_numbered(struct sim_universe *u, uint64_t seed, size_t count)
{
    for (size_t i = 1; i <= count; i++) {
        struct sim_symbol symbol;
        char ticker[16];
        snprintf(ticker, sizeof(ticker), "SIM%04zu", i);
        synthetic(&symbol, ticker, seed);
        int r = push(u, &symbol);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_builtins(struct sim_universe *u, uint64_t seed, bool stocks)
{
    for (size_t i = 0; i < sizeof(builtins) / sizeof(*builtins); i++) {
        if ((builtins[i].asset == SIM_STOCKS) != stocks)
            continue;
        struct sim_symbol symbol;
        from_builtin(&symbol, &builtins[i], seed);
        int r = push(u, &symbol);
        if (r < 0)
            return r;
    }
    return 0;
}

static void enter(uint32_t *table, size_t slots, const char *name, size_t index)
{
    size_t i = string_key(0, name) & (slots - 1);
    while (table[i])
        i = (i + 1) & (slots - 1);
    table[i] = (uint32_t)index + 1;
}

static int build_tables(struct sim_universe *u)
{
    u->slots = 64;
    while (u->slots < u->count * 2)
        u->slots *= 2;
    u->by_ticker = calloc(u->slots, sizeof(*u->by_ticker));
    u->by_stream = calloc(u->slots, sizeof(*u->by_stream));
    if (!u->by_ticker || !u->by_stream)
        return -ENOMEM;
    for (size_t i = 0; i < u->count; i++) {
        enter(u->by_ticker, u->slots, u->symbols[i].ticker, i);
        enter(u->by_stream, u->slots, u->symbols[i].stream, i);
    }
    return 0;
}

static int add_stocks(struct sim_universe *u, uint64_t seed, const char *stocks, char *err, size_t err_size)
{
    bool number = !stocks || !*stocks || strspn(stocks, "0123456789") == strlen(stocks);
    if (!number)
        return add_listed(u, seed, stocks, err, err_size);
    unsigned long count = stocks && *stocks ? strtoul(stocks, NULL, 10) : NAMED_SYNTHETIC;
    if (count > SYMBOLS_MAX) {
        snprintf(err, err_size, "%s symbols are too many: %d at most", stocks, SYMBOLS_MAX);
        return -E2BIG;
    }
    int r = add_builtins(u, seed, true);
    return r < 0 ? r : add_numbered(u, seed, count);
}

int sim_universe_init(struct sim_universe *universe, uint64_t seed, const char *stocks, char *err,
                      size_t err_size)
{
    struct sim_universe u = {0};
    int r = add_stocks(&u, seed, stocks, err, err_size);
    if (r >= 0)
        r = add_builtins(&u, seed, false);
    if (r >= 0)
        r = build_tables(&u);
    if (r < 0) {
        sim_universe_fini(&u);
        return r;
    }
    *universe = u;
    return 0;
}

void sim_universe_fini(struct sim_universe *universe)
{
    free(universe->symbols);
    free(universe->by_ticker);
    free(universe->by_stream);
    *universe = (struct sim_universe){0};
}

struct sim_symbol *sim_universe_ticker(const struct sim_universe *universe, const char *ticker)
{
    for (size_t i = string_key(0, ticker) & (universe->slots - 1); universe->by_ticker[i];
         i = (i + 1) & (universe->slots - 1)) {
        struct sim_symbol *s = &universe->symbols[universe->by_ticker[i] - 1];
        if (strcmp(s->ticker, ticker) == 0)
            return s;
    }
    return NULL;
}

struct sim_symbol *sim_universe_stream(const struct sim_universe *universe, enum sim_asset asset,
                                       const char *name)
{
    for (size_t i = string_key(0, name) & (universe->slots - 1); universe->by_stream[i];
         i = (i + 1) & (universe->slots - 1)) {
        struct sim_symbol *s = &universe->symbols[universe->by_stream[i] - 1];
        if (s->asset == asset && strcmp(s->stream, name) == 0)
            return s;
    }
    return NULL;
}
