#include "event.h"

#include <string.h>

static const struct {
    enum sim_asset asset;
    const char *name;
    enum sim_topic topic;
} topics[] = {
    {SIM_STOCKS, "T", SIM_TOPIC_TRADE},    {SIM_STOCKS, "Q", SIM_TOPIC_QUOTE},
    {SIM_STOCKS, "A", SIM_TOPIC_SECOND},   {SIM_STOCKS, "AM", SIM_TOPIC_MINUTE},
    {SIM_STOCKS, "LULD", SIM_TOPIC_LULD},  {SIM_STOCKS, "FMV", SIM_TOPIC_FMV},
    {SIM_STOCKS, "NOI", SIM_TOPIC_NOI},    {SIM_OPTIONS, "T", SIM_TOPIC_TRADE},
    {SIM_OPTIONS, "Q", SIM_TOPIC_QUOTE},   {SIM_OPTIONS, "A", SIM_TOPIC_SECOND},
    {SIM_OPTIONS, "AM", SIM_TOPIC_MINUTE}, {SIM_OPTIONS, "FMV", SIM_TOPIC_FMV},
    {SIM_CRYPTO, "XT", SIM_TOPIC_TRADE},   {SIM_CRYPTO, "XQ", SIM_TOPIC_QUOTE},
    {SIM_CRYPTO, "XAS", SIM_TOPIC_SECOND}, {SIM_CRYPTO, "XA", SIM_TOPIC_MINUTE},
    {SIM_CRYPTO, "FMV", SIM_TOPIC_FMV},    {SIM_FOREX, "C", SIM_TOPIC_QUOTE},
    {SIM_FOREX, "CAS", SIM_TOPIC_SECOND},  {SIM_FOREX, "CA", SIM_TOPIC_MINUTE},
    {SIM_FOREX, "FMV", SIM_TOPIC_FMV},     {SIM_INDICES, "V", SIM_TOPIC_TRADE},
    {SIM_INDICES, "A", SIM_TOPIC_SECOND},  {SIM_INDICES, "AM", SIM_TOPIC_MINUTE},
    {SIM_FUTURES, "T", SIM_TOPIC_TRADE},   {SIM_FUTURES, "Q", SIM_TOPIC_QUOTE},
    {SIM_FUTURES, "A", SIM_TOPIC_SECOND},  {SIM_FUTURES, "AM", SIM_TOPIC_MINUTE},
};

enum sim_topic sim_topic_parse(enum sim_asset asset, const char *name)
{
    for (size_t i = 0; i < sizeof(topics) / sizeof(*topics); i++)
        if (topics[i].asset == asset && strcmp(topics[i].name, name) == 0)
            return topics[i].topic;
    return (enum sim_topic)0;
}

const char *sim_topic_name(enum sim_asset asset, enum sim_topic topic)
{
    for (size_t i = 0; i < sizeof(topics) / sizeof(*topics); i++)
        if (topics[i].asset == asset && topics[i].topic == topic)
            return topics[i].name;
    return NULL;
}

/* ,"key": */
static void key(struct sim_text *out, const char *name)
{
    sim_text_str(out, ",\"");
    sim_text_str(out, name);
    sim_text_str(out, "\":");
}

static void key_int(struct sim_text *out, const char *name, int64_t value)
{
    key(out, name);
    sim_text_int(out, value);
}

static void key_price(struct sim_text *out, const char *name, int64_t price)
{
    key(out, name);
    sim_text_number(out, price, SIM_PRICE_SCALE, false);
}

static void key_size(struct sim_text *out, const char *name, int64_t size)
{
    key(out, name);
    sim_text_number(out, size, SIM_SIZE_SCALE, false);
}

static void key_decimal(struct sim_text *out, const char *name, int64_t size)
{
    key(out, name);
    sim_text_char(out, '"');
    sim_text_decimal(out, size, SIM_SIZE_SCALE, 6);
    sim_text_char(out, '"');
}

static void begin(struct sim_text *out, const char *ev, const char *name_key, const char *name)
{
    sim_text_str(out, "{\"ev\":\"");
    sim_text_str(out, ev);
    sim_text_char(out, '"');
    key(out, name_key);
    sim_text_char(out, '"');
    sim_text_str(out, name);
    sim_text_char(out, '"');
}

bool sim_event_fractional(int64_t size)
{
    return size % SIM_SIZE_UNIT != 0;
}

int64_t sim_event_ns(const struct sim_symbol *symbol, int64_t minute, int32_t at, uint32_t q)
{
    /* Below the ms in the order of q, whose steps a minute divide 18000. */
    int64_t below = (int64_t)(q % 18000) * 50 + (int64_t)(sim_hash(symbol->key, (uint64_t)minute, q) % 50);
    return (minute + at) * INT64_C(1000000) + below;
}

const char *sim_event_conditions(const struct sim_symbol *symbol, int64_t minute,
                                 const struct sim_trade *trade)
{
    if (symbol->asset == SIM_CRYPTO)
        return trade->q & 1 ? "[1]" : "[2]";
    if (symbol->asset == SIM_OPTIONS)
        return "[233]";
    if (symbol->asset != SIM_STOCKS)
        return "";
    bool odd = trade->size < 100 * SIM_SIZE_UNIT, extended = sim_calendar_stocks(minute) != SIM_REGULAR;
    return odd && extended ? "[12,37]" : odd ? "[37]" : extended ? "[12]" : "";
}

int sim_event_tape(const struct sim_symbol *symbol)
{
    return strcmp(symbol->mic, "XNAS") == 0 ? 3 : strcmp(symbol->mic, "XNYS") == 0 ? 1 : 2;
}

static void stock_trade(struct sim_text *out, const struct sim_symbol *s, int64_t minute,
                        const struct sim_trade *trade)
{
    begin(out, "T", "sym", s->stream);
    key_int(out, "x", trade->exchange);
    sim_text_printf(out, ",\"i\":\"%u\"", trade->q);
    key_int(out, "z", sim_event_tape(s));
    key_price(out, "p", trade->price);
    key_int(out, "s", trade->size / SIM_SIZE_UNIT);
    if (sim_event_fractional(trade->size))
        key_decimal(out, "ds", trade->size);
    const char *conditions = sim_event_conditions(s, minute, trade);
    if (*conditions) {
        key(out, "c");
        sim_text_str(out, conditions);
    }
    int64_t t = minute + trade->at;
    key_int(out, "t", t);
    key_int(out, "pt", t - 1 - (trade->q & 7));
    key_int(out, "q", trade->q);
    if (trade->exchange == 4) {
        key_int(out, "trfi", 201 + (trade->q & 1));
        key_int(out, "trft", t);
    }
}

void sim_event_trade_id(struct sim_text *out, const struct sim_symbol *s, int64_t minute,
                        const struct sim_trade *trade)
{
    if (s->asset != SIM_CRYPTO) {
        sim_text_printf(out, "%u", trade->q);
        return;
    }
    uint64_t id = sim_hash(s->key, (uint64_t)minute, trade->q);
    sim_text_printf(out, "%08x-%04x-4%03x-a%03x-%08x%04x", (unsigned)(id >> 32), (unsigned)(id & 0xffff),
                    trade->q & 0xfff, (unsigned)(id >> 16) & 0xfff, trade->q, (unsigned)trade->at & 0xffff);
}

static void crypto_trade(struct sim_text *out, const struct sim_symbol *s, int64_t minute,
                         const struct sim_trade *trade)
{
    begin(out, "XT", "pair", s->stream);
    key_price(out, "p", trade->price);
    key_int(out, "t", minute + trade->at);
    key_size(out, "s", trade->size);
    key(out, "c");
    sim_text_str(out, sim_event_conditions(s, minute, trade));
    sim_text_str(out, ",\"i\":\"");
    sim_event_trade_id(out, s, minute, trade);
    sim_text_char(out, '"');
    key_int(out, "x", trade->exchange);
    key_int(out, "r", minute + trade->at + 12);
}

void sim_event_trade(struct sim_text *out, const struct sim_symbol *symbol, int64_t minute,
                     const struct sim_trade *trade)
{
    switch (symbol->asset) {
    case SIM_STOCKS:
        stock_trade(out, symbol, minute, trade);
        break;
    case SIM_CRYPTO:
        crypto_trade(out, symbol, minute, trade);
        break;
    case SIM_INDICES:
        sim_text_str(out, "{\"ev\":\"V\"");
        key_price(out, "val", trade->price);
        key(out, "T");
        sim_text_json(out, symbol->stream);
        key_int(out, "t", minute + trade->at);
        break;
    default:
        begin(out, "T", "sym", symbol->stream);
        if (symbol->asset == SIM_OPTIONS)
            key_int(out, "x", trade->exchange);
        key_price(out, "p", trade->price);
        key_int(out, "s", trade->size / SIM_SIZE_UNIT);
        if (symbol->asset == SIM_OPTIONS) {
            key(out, "c");
            sim_text_str(out, "[233]");
        }
        key_int(out, "t", minute + trade->at);
        key_int(out, "q", trade->q);
    }
    sim_text_char(out, '}');
}

static void stock_quote(struct sim_text *out, const struct sim_symbol *s, int64_t t,
                        const struct sim_quote *quote)
{
    bool stock = s->asset == SIM_STOCKS;
    begin(out, "Q", "sym", s->stream);
    key_int(out, "bx", quote->bid_exchange);
    if (!stock)
        key_int(out, "ax", quote->ask_exchange);
    key_price(out, "bp", quote->bid);
    if (!stock)
        key_price(out, "ap", quote->ask);
    key_int(out, "bs", quote->bid_size / SIM_SIZE_UNIT);
    if (stock) {
        key_int(out, "ax", quote->ask_exchange);
        key_price(out, "ap", quote->ask);
    }
    key_int(out, "as", quote->ask_size / SIM_SIZE_UNIT);
    if (stock) {
        key_int(out, "c", 1);
        if (quote->q % 16 == 0)
            sim_text_str(out, ",\"i\":[604]");
    }
    key_int(out, "t", t);
    if (stock)
        key_int(out, "pt", t - (quote->q & 3));
    key_int(out, "q", quote->q);
    if (stock)
        key_int(out, "z", sim_event_tape(s));
}

static void futures_quote(struct sim_text *out, const struct sim_symbol *s, int64_t t,
                          const struct sim_quote *quote)
{
    begin(out, "Q", "sym", s->stream);
    key_price(out, "bp", quote->bid);
    key_int(out, "bs", quote->bid_size / SIM_SIZE_UNIT);
    key_int(out, "bt", t);
    key_price(out, "ap", quote->ask);
    key_int(out, "as", quote->ask_size / SIM_SIZE_UNIT);
    key_int(out, "at", t);
    key_int(out, "t", t);
}

void sim_event_quote(struct sim_text *out, const struct sim_symbol *symbol, int64_t minute,
                     const struct sim_quote *quote)
{
    int64_t t = minute + quote->at;
    switch (symbol->asset) {
    case SIM_CRYPTO:
        begin(out, "XQ", "pair", symbol->stream);
        key_price(out, "bp", quote->bid);
        key_size(out, "bs", quote->bid_size);
        key_price(out, "ap", quote->ask);
        key_size(out, "as", quote->ask_size);
        key_int(out, "t", t);
        key_int(out, "x", quote->bid_exchange);
        key_int(out, "r", t + 9);
        break;
    case SIM_FOREX:
        begin(out, "C", "p", symbol->stream);
        key_int(out, "x", 48);
        key_price(out, "a", quote->ask);
        key_price(out, "b", quote->bid);
        key_int(out, "t", t);
        break;
    case SIM_FUTURES:
        futures_quote(out, symbol, t, quote);
        break;
    default:
        stock_quote(out, symbol, t, quote);
    }
    sim_text_char(out, '}');
}

static void ohlc(struct sim_text *out, const char *order, const struct sim_bar *bar)
{
    for (; *order; order++) {
        char name[2] = {*order, '\0'};
        key_price(out, name,
                  *order == 'o'   ? bar->open
                  : *order == 'h' ? bar->high
                  : *order == 'l' ? bar->low
                                  : bar->close);
    }
}

static void key_vwap(struct sim_text *out, const char *name, const struct sim_bar *bar, unsigned decimals)
{
    key(out, name);
    sim_text_number(out, sim_bar_vwap(bar, decimals), decimals, false);
}

static void equity_bar(struct sim_text *out, const struct sim_bar *bar, const struct sim_day *day)
{
    key_size(out, "v", bar->volume);
    key_size(out, "av", day->bar.volume);
    if (day->open)
        key_price(out, "op", day->open);
    key_vwap(out, "vw", bar, 4);
    ohlc(out, "ochl", bar);
    key_vwap(out, "a", &day->bar, 4);
    key_int(out, "z", bar->volume / SIM_SIZE_UNIT / bar->count);
}

static void crypto_bar(struct sim_text *out, const struct sim_bar *bar)
{
    key_size(out, "v", bar->volume);
    key_vwap(out, "vw", bar, 6);
    key_size(out, "z", bar->volume / bar->count);
    ohlc(out, "ochl", bar);
}

void sim_event_bar(struct sim_text *out, const struct sim_symbol *symbol, enum sim_topic topic,
                   const struct sim_bar *bar, int64_t end, const struct sim_day *day)
{
    bool pair = symbol->asset == SIM_CRYPTO || symbol->asset == SIM_FOREX;
    bool equity = symbol->asset == SIM_STOCKS || symbol->asset == SIM_OPTIONS;
    begin(out, sim_topic_name(symbol->asset, topic), pair ? "pair" : "sym", symbol->stream);
    switch (symbol->asset) {
    case SIM_CRYPTO:
        crypto_bar(out, bar);
        break;
    case SIM_FOREX:
        ohlc(out, "ochl", bar);
        key_int(out, "v", bar->count);
        break;
    case SIM_INDICES:
        if (day->open)
            key_price(out, "op", day->open);
        ohlc(out, "ochl", bar);
        break;
    case SIM_FUTURES:
        key_size(out, "v", bar->volume);
        ohlc(out, "ochl", bar);
        key_int(out, "n", bar->count);
        break;
    default:
        equity_bar(out, bar, day);
    }
    key_int(out, "s", bar->t);
    key_int(out, "e", end);
    if (equity && sim_event_fractional(bar->volume))
        key_decimal(out, "dv", bar->volume);
    if (equity && sim_event_fractional(day->bar.volume))
        key_decimal(out, "dav", day->bar.volume);
    sim_text_char(out, '}');
}

void sim_event_luld(struct sim_text *out, const struct sim_symbol *symbol, int64_t t, int64_t price,
                    uint32_t q)
{
    begin(out, "LULD", "T", symbol->stream);
    key_price(out, "h", (price + price / 20) / 10000 * 10000);
    key_price(out, "l", (price - price / 20) / 10000 * 10000);
    sim_text_str(out, ",\"i\":[17]");
    key_int(out, "z", sim_event_tape(symbol));
    key_int(out, "t", t * INT64_C(1000000) + 752683);
    key_int(out, "q", q);
    sim_text_char(out, '}');
}

void sim_event_fmv(struct sim_text *out, const struct sim_symbol *symbol, int64_t t, int64_t price)
{
    sim_text_str(out, "{\"ev\":\"FMV\"");
    key_price(out, "fmv", price);
    key(out, "sym");
    sim_text_json(out, symbol->stream);
    key_int(out, "t", t * INT64_C(1000000) + 98130);
    sim_text_char(out, '}');
}

void sim_event_status(struct sim_text *out, const char *status, const char *message)
{
    sim_text_str(out, "{\"ev\":\"status\",\"status\":");
    sim_text_json(out, status);
    sim_text_str(out, ",\"message\":");
    sim_text_json(out, message);
    sim_text_char(out, '}');
}
