#include "market.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define OCTAVES      10
#define FINEST       0x1p-10 /* days, of the session's own clock */
#define MARKET_VOL   0.0085
#define SECTOR_VOL   0.0055
#define WIGGLE_KNOTS 16
#define QUOTES_MAX   (3 * SIM_MINUTE_TRADES)

enum { MINUTE_COUNT = 1, MINUTE_DAY, TRADE, TRADE_SIZE, QUOTE, QUOTE_SIZE, WIGGLE, ACTIVITY };

void sim_market_init(struct sim_market *market, uint64_t seed)
{
    *market = (struct sim_market){.seed = seed};
}

void sim_market_fini(struct sim_market *market)
{
    free(market->late);
    *market = (struct sim_market){0};
}

void sim_minute_fini(struct sim_minute *minute)
{
    free(minute->trades);
    *minute = (struct sim_minute){0};
}

void sim_quotes_fini(struct sim_quotes *quotes)
{
    free(quotes->quotes);
    *quotes = (struct sim_quotes){0};
}

static void *grown(void *memory, uint32_t *room, uint32_t need, size_t each)
{
    if (*room >= need)
        return memory;
    uint32_t size = need < 16 ? 16 : need;
    void *more = realloc(memory, size * each);
    if (!more) {
        fputs("polysim: out of memory\n", stderr);
        exit(1);
    }
    *room = size;
    return more;
}

/* ------------------------------------------------------------------------------------------- clock */

/* Volatility and activity over the minutes of a New York day, once for full and once for early days. */
static struct shape {
    double clock[1441];    /* share of the day's variance that has passed */
    double activity[1440]; /* trades relative to the regular session's mean */
} shapes[2];

static double activity_at(int m, int close)
{
    if (m < 240 || m >= close + 240)
        return 0;
    if (m < 570)
        return 0.008 + 0.05 * pow((m - 240) / 330.0, 3);
    if (m >= close)
        return 0.01 + 0.15 * exp(-(m - close) / 35.0);
    double open = m - 570, rest = close - 1 - m;
    double a = 0.62 + 2.2 * exp(-open / 15.0) + 0.7 * exp(-open / 70.0) + 1.3 * exp(-rest / 9.0) +
               0.5 * exp(-rest / 50.0);
    a -= 0.2 * exp(-pow((m - 770) / 45.0, 2));
    return open == 0 ? a * 2.2 : rest == 0 ? a * 2.0 : a;
}

static void build_shape(struct shape *shape, int close)
{
    double total = 0;
    for (int m = 0; m < 1440; m++) {
        shape->activity[m] = activity_at(m, close);
        if (m >= 570 && m < close)
            total += shape->activity[m];
    }
    double mean = total / (close - 570);
    double regular = 0, variance[1440];
    for (int m = 0; m < 1440; m++) {
        shape->activity[m] /= mean;
        variance[m] = m >= 570 && m < close ? 0.4 + shape->activity[m] : 0;
        regular += variance[m];
    }
    /* Pre-market 6 %, regular session 64 %, after hours 5 %; the night takes the rest, as one step. */
    shape->clock[0] = 0;
    for (int m = 0; m < 1440; m++) {
        double step = 0.64 * variance[m] / regular;
        if (m >= 240 && m < 570)
            step = 0.06 / 330;
        else if (m >= close && m < close + 240)
            step = 0.05 / 240;
        shape->clock[m + 1] = shape->clock[m] + step;
    }
}

static const struct shape *shape_of(int32_t day)
{
    static bool built;
    if (!built) {
        build_shape(&shapes[0], 780);
        build_shape(&shapes[1], 960);
        built = true;
    }
    return &shapes[sim_calendar_close(day) == 960];
}

static bool by_session(enum sim_asset asset)
{
    return asset == SIM_STOCKS || asset == SIM_OPTIONS || asset == SIM_INDICES;
}

/* A minute's place: everything about it that does not depend on the symbol but for its asset class. */
struct place {
    int64_t t;
    int32_t day;     /* New York */
    int minute;      /* of that day */
    double from, to; /* on the volatility clock, days */
    double activity;
    enum sim_phase phase; /* of stocks */
    bool forex;           /* are currencies traded? */
};

static struct place find_place(bool session, int64_t t)
{
    struct place p = {.t = t, .day = sim_calendar_new_york_day(t)};
    p.minute = (int)((t - sim_calendar_midnight(p.day)) / SIM_MINUTE);
    p.phase = sim_calendar_stocks(t);
    p.forex = sim_calendar_forex(t);
    if (session) {
        const struct shape *shape = shape_of(p.day);
        int m = p.minute > 1439 ? 1439 : p.minute;
        double index = sim_calendar_index(p.day);
        p.from = index + shape->clock[m];
        p.to = index + shape->clock[m + 1];
        p.activity = shape->activity[m];
    } else {
        p.from = (double)t / (double)SIM_DAY;
        p.to = (double)(t + SIM_MINUTE) / (double)SIM_DAY;
        p.activity = 0.75 + 0.45 * sin((p.minute - 360) * (3.14159265358979 / 720));
    }
    return p;
}

/* The same minutes are asked about for one symbol after the other. */
static const struct place *place_of(enum sim_asset asset, int64_t t)
{
    static struct place memo[2][4096];
    bool session = by_session(asset);
    struct place *p = &memo[session][(uint64_t)(t / SIM_MINUTE) % 4096];
    if (p->t != t || t == 0)
        *p = find_place(session, t);
    return p;
}

bool sim_market_open(const struct sim_symbol *symbol, int64_t t)
{
    const struct place *p = place_of(symbol->asset, t - t % SIM_MINUTE);
    switch (symbol->asset) {
    case SIM_STOCKS:
        return p->phase != SIM_CLOSED;
    case SIM_OPTIONS:
    case SIM_INDICES:
        return p->phase == SIM_REGULAR;
    case SIM_FOREX:
    case SIM_FUTURES:
        return p->forex;
    default:
        return true;
    }
}

/* ------------------------------------------------------------------------------------------- level */

/* Variance 1, range +-2.45: close enough to a bell. */
static double bell(uint64_t bits)
{
    double sum = (double)(uint32_t)bits + (double)(uint32_t)(bits >> 32);
    return (sum * 0x1p-32 - 1.0) * 2.449489742783178;
}

/* The two knots around a moment, of one octave of one key. Walking along in time meets the same ones again
 * and again. */
struct knots {
    uint64_t key, index;
    double left, right;
};

static const struct knots *knots_of(uint64_t key, unsigned octave, uint64_t index)
{
    static struct knots memo[64][OCTAVES];
    struct knots *k = &memo[key % 64][octave];
    if (k->key != key || k->index != index || k->key == 0)
        *k = (struct knots){key, index, bell(sim_hash(key, octave, index)),
                            bell(sim_hash(key, octave, index + 1))};
    return k;
}

static double noise(uint64_t key, double at)
{
    static double weights[OCTAVES];
    double sum = 0, scale = 1 / FINEST;
    for (unsigned k = 0; k < OCTAVES; k++, scale /= 4) {
        /* A knot of variance 0.3 * period in each octave makes increments over a day of variance about 1. */
        if (weights[k] == 0)
            weights[k] = sqrt(0.3 / scale);
        double x = at * scale, knot = floor(x);
        const struct knots *n = knots_of(key, k, (uint64_t)(int64_t)knot);
        sum += weights[k] * (n->left + (n->right - n->left) * (x - knot));
    }
    return sum;
}

/* The factors are shared by all symbols: remember the latest few. */
static double factor(uint64_t key, double at)
{
    static struct {
        uint64_t key;
        double at, value;
    } memo[1024];
    uint64_t bits = (uint64_t)(at * 65536.0);
    size_t slot = sim_hash(key, bits, 9) % (sizeof(memo) / sizeof(*memo));
    if (memo[slot].key != key || memo[slot].at != at) {
        memo[slot].value = noise(key, at);
        memo[slot].key = key;
        memo[slot].at = at;
    }
    return memo[slot].value;
}

static double level(const struct sim_market *market, const struct sim_symbol *s, double at)
{
    uint64_t market_key = sim_hash(market->seed, 0xface, by_session(s->asset));
    uint64_t sector_key = sim_hash(market->seed, 0xbead, (uint64_t)s->sector);
    double log_price = s->beta * MARKET_VOL * factor(market_key, at) + s->volatility * noise(s->key, at);
    if (s->sector_beta > 0)
        log_price += s->sector_beta * SECTOR_VOL * factor(sector_key, at);
    return s->level * exp(log_price);
}

/* The path of the mid price through one minute: from level to level, with a bridge of noise between. */
struct path {
    double from, to, wiggle;
    uint64_t key;
    double half_spread;
    int64_t tick;
};

static struct path path_of(const struct sim_market *market, const struct sim_symbol *s, const struct place *p)
{
    struct path path = {.from = level(market, s, p->from), .to = level(market, s, p->to)};
    double daily = sqrt(s->volatility * s->volatility + s->beta * s->beta * MARKET_VOL * MARKET_VOL);
    path.wiggle = 1.1 * path.from * daily * sqrt(p->to - p->from);
    path.key = sim_hash(s->key, WIGGLE, (uint64_t)p->t);
    path.tick = path.from < 1.0 && s->tick >= 10000 && s->asset == SIM_STOCKS ? 100 : s->tick;
    double least = 0.5 * (double)path.tick / (double)SIM_PRICE_UNIT;
    double wide = path.from * 0.00025 / (1.0 + 4.0 * s->rate) * (p->activity < 0.2 ? 4 : 1);
    path.half_spread = wide > least ? wide : least;
    return path;
}

static double mid(const struct path *path, double x)
{
    double k = x * WIGGLE_KNOTS, knot = floor(k);
    uint64_t i = (uint64_t)knot;
    double a = bell(sim_hash(path->key, i, 0)), b = bell(sim_hash(path->key, i + 1, 0));
    double bridge = 4 * x * (1 - x) * (a + (b - a) * (k - knot)) * 0.5;
    return path->from + (path->to - path->from) * x + path->wiggle * bridge;
}

static int64_t on_tick(double price, int64_t tick)
{
    int64_t ticks = (int64_t)floor(price * (double)SIM_PRICE_UNIT / (double)tick + 0.5);
    return (ticks < 1 ? 1 : ticks) * tick;
}

/* ------------------------------------------------------------------------------------------ trades */

static uint32_t draw_count(double mean, uint64_t bits, uint32_t most)
{
    double count;
    if (mean < 8) {
        double u = sim_unit(bits);
        if (u < 1 - mean) /* below exp(-mean), without asking */
            return 0;
        double p = exp(-mean), sum = p;
        int n = 0;
        while (u > sum && n < 64)
            sum += p *= mean / ++n;
        count = n;
    } else {
        count = mean + sqrt(mean) * bell(bits);
    }
    return count < 0 ? 0 : count > most ? most : (uint32_t)count;
}

static uint32_t trade_count(const struct sim_symbol *s, const struct place *p)
{
    if (s->asset == SIM_INDICES)
        return 60;
    double mood = 0.35 * bell(sim_hash(s->key, MINUTE_DAY, (uint64_t)p->day)) +
                  0.45 * bell(sim_hash(s->key, ACTIVITY, (uint64_t)p->t));
    double mean = 60 * s->rate * p->activity * exp(mood);
    return draw_count(mean, sim_hash(s->key, MINUTE_COUNT, (uint64_t)p->t), SIM_MINUTE_TRADES);
}

static int64_t stock_size(const struct sim_symbol *s, uint64_t bits)
{
    double u = sim_unit(bits), w = sim_unit(sim_hash(bits, 1, 0));
    if (u < 0.01) /* a print of a fraction of a share */
        return (1 + (int64_t)(w * 999998)) * (SIM_SIZE_UNIT / 1000000);
    if (u < 0.30)
        return (1 + (int64_t)(w * 98)) * SIM_SIZE_UNIT;
    double lots = u < 0.85 ? 1 + 4 * w * w : 4 + 30 * w * w * w;
    int64_t round = (int64_t)(lots * s->lot + 0.5);
    return (round < 1 ? 1 : round) * 100 * SIM_SIZE_UNIT;
}

static int64_t trade_size(const struct sim_symbol *s, uint64_t bits)
{
    double w = sim_unit(bits);
    switch (s->asset) {
    case SIM_STOCKS:
        return stock_size(s, bits);
    case SIM_CRYPTO: { /* from dust to a few coins' worth */
        int64_t size = (int64_t)(s->lot * exp(9 * w - 6) * (double)SIM_SIZE_UNIT);
        return size < 100 ? 100 : size;
    }
    case SIM_INDICES:
        return 0;
    case SIM_FOREX:
        return SIM_SIZE_UNIT;
    default:
        return (1 + (int64_t)(9 * w * w * w)) * SIM_SIZE_UNIT;
    }
}

static uint8_t exchange_of(enum sim_asset asset, uint64_t bits)
{
    static const uint8_t stocks[] = {4, 4, 4, 11, 12, 12, 12, 10, 19, 19, 15, 8, 2, 21, 17, 9};
    static const uint8_t crypto[] = {1, 1, 2, 6, 10, 23};
    static const uint8_t options[] = {65, 46, 47, 43};
    switch (asset) {
    case SIM_STOCKS:
        return stocks[bits % sizeof(stocks)];
    case SIM_CRYPTO:
        return crypto[bits % sizeof(crypto)];
    case SIM_OPTIONS:
        return options[bits % sizeof(options)];
    default:
        return 48;
    }
}

static uint32_t sequence(const struct place *p, uint32_t i, uint32_t each, uint64_t bits)
{
    return (uint32_t)(p->minute + 1) * each * 4 + i * 2 + (uint32_t)(bits & 1);
}

static void append_late(const struct sim_market *market, const struct sim_symbol *s, int64_t t,
                        struct sim_minute *minute)
{
    for (size_t i = 0; i < market->late_count; i++) {
        const struct sim_late *late = &market->late[i];
        if (late->symbol != s || late->minute != t)
            continue;
        minute->trades = grown(minute->trades, &minute->room, minute->count + 1, sizeof(*minute->trades));
        minute->trades[minute->count++] = late->trade;
    }
}

void sim_market_minute(const struct sim_market *market, const struct sim_symbol *symbol, int64_t t,
                       struct sim_minute *minute)
{
    minute->count = 0;
    if (!sim_market_open(symbol, t))
        return;
    const struct place *p = place_of(symbol->asset, t);
    uint32_t count = trade_count(symbol, p);
    if (count > 0) {
        minute->trades = grown(minute->trades, &minute->room, count, sizeof(*minute->trades));
        struct path path = path_of(market, symbol, p);
        uint64_t key = sim_hash(symbol->key, TRADE, (uint64_t)t);
        bool bounce = symbol->asset != SIM_INDICES;
        for (uint32_t i = 0; i < count; i++) {
            uint64_t bits = sim_hash(key, i, 0);
            double x = (i + sim_unit(bits)) / count;
            double side = !bounce ? 0 : bits & 1 ? path.half_spread : -path.half_spread;
            minute->trades[i] = (struct sim_trade){
                .at = (int32_t)(x * (double)SIM_MINUTE),
                .q = sequence(p, i, SIM_MINUTE_TRADES, bits >> 1),
                .price = on_tick(mid(&path, x) + side, path.tick),
                .size = trade_size(symbol, sim_hash(key, i, TRADE_SIZE)),
                .exchange = exchange_of(symbol->asset, bits >> 2),
            };
        }
        minute->count = count;
    }
    if (market->late_count)
        append_late(market, symbol, t, minute);
}

static int64_t quote_size(const struct sim_symbol *s, uint64_t bits)
{
    double w = sim_unit(bits);
    if (s->asset == SIM_CRYPTO)
        return (int64_t)(s->lot * exp(5 * w - 2) * (double)SIM_SIZE_UNIT) + 1;
    int64_t lots = 1 + (int64_t)(12 * w * w * w * (0.5 + s->lot));
    return lots * (s->asset == SIM_STOCKS ? 100 : 1) * SIM_SIZE_UNIT;
}

void sim_market_quotes(const struct sim_market *market, const struct sim_symbol *symbol, int64_t t,
                       struct sim_quotes *quotes)
{
    quotes->count = 0;
    if (symbol->asset == SIM_INDICES || !sim_market_open(symbol, t))
        return;
    const struct place *p = place_of(symbol->asset, t);
    struct path path = path_of(market, symbol, p);
    uint32_t count = 3 * trade_count(symbol, p) + (p->activity > 0.2 ? 6 : 1);
    if (count > QUOTES_MAX)
        count = QUOTES_MAX;
    quotes->quotes = grown(quotes->quotes, &quotes->room, count, sizeof(*quotes->quotes));
    uint64_t key = sim_hash(symbol->key, QUOTE, (uint64_t)t);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t bits = sim_hash(key, i, 0), more = sim_hash(key, i, QUOTE_SIZE);
        double x = (i + sim_unit(bits)) / count, m = mid(&path, x);
        int64_t bid = on_tick(m - path.half_spread, path.tick),
                ask = on_tick(m + path.half_spread, path.tick);
        quotes->quotes[i] = (struct sim_quote){
            .at = (int32_t)(x * (double)SIM_MINUTE),
            .q = sequence(p, i, QUOTES_MAX, bits),
            .bid = bid,
            .ask = ask > bid ? ask : bid + path.tick,
            .bid_size = quote_size(symbol, more),
            .ask_size = quote_size(symbol, sim_hash(more, 1, 0)),
            .bid_exchange = exchange_of(symbol->asset, bits >> 1),
            .ask_exchange = exchange_of(symbol->asset, bits >> 9),
        };
    }
    quotes->count = count;
}

int sim_market_revise(struct sim_market *market, const struct sim_symbol *symbol, int64_t t, int64_t price,
                      int64_t size)
{
    t -= t % SIM_MINUTE;
    if (!sim_market_open(symbol, t) || price <= 0 || size < 0)
        return -EINVAL;
    if (market->late_count == market->late_room) {
        size_t room = market->late_room ? market->late_room * 2 : 16;
        struct sim_late *late = realloc(market->late, room * sizeof(*late));
        if (!late)
            return -ENOMEM;
        market->late = late;
        market->late_room = room;
    }
    const struct place *p = place_of(symbol->asset, t);
    uint32_t i = SIM_MINUTE_TRADES + (uint32_t)market->late_count;
    struct sim_trade trade = {.at = (int32_t)SIM_MINUTE - 1,
                              .q = sequence(p, i % (2 * SIM_MINUTE_TRADES), SIM_MINUTE_TRADES, 0),
                              .price = price,
                              .size = size,
                              .exchange = 4,
                              .late = true};
    market->late[market->late_count++] = (struct sim_late){symbol, t, trade};
    market->revision++;
    return 0;
}
