#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "rest.h"

#define LIMIT_DEFAULT 1000
#define LIMIT_MAX     50000
#define NS            INT64_C(1000000) /* a ms */
#define LOOK_BACK     (7 * SIM_DAY)    /* without a lower bound, and for the last trade */

/* A range of nanoseconds, both ends inclusive. */
struct range {
    const struct sim_symbol *symbol;
    int64_t from, to;
    bool ascending;
    int64_t limit, count;
    int64_t continues; /* ns of the first row of the next page; 0: complete */
    struct sim_text *out;
    bool quotes;
    struct sim_minute trades;
    struct sim_quotes quote_minute;
};

static void add_trade(struct sim_text *out, const struct sim_symbol *s, int64_t minute,
                      const struct sim_trade *trade)
{
    int64_t ns = sim_event_ns(s, minute, trade->at, trade->q);
    const char *conditions = sim_event_conditions(s, minute, trade);
    sim_text_char(out, '{');
    if (*conditions)
        sim_text_printf(out, "\"conditions\":%s,", conditions);
    sim_text_printf(out, "\"exchange\":%u,\"id\":\"", trade->exchange);
    sim_event_trade_id(out, s, minute, trade);
    sim_text_printf(out, "\",\"participant_timestamp\":%" PRId64, ns - 1000 * (1 + (trade->q & 1023)));
    sim_rest_price(out, "price", trade->price, false);
    sim_rest_int(out, "sequence_number", trade->q);
    sim_rest_int(out, "sip_timestamp", ns);
    bool shares = s->asset != SIM_CRYPTO;
    sim_rest_size(out, "size", shares ? trade->size / SIM_SIZE_UNIT * SIM_SIZE_UNIT : trade->size, false);
    sim_text_str(out, ",\"decimal_size\":\"");
    sim_text_decimal(out, trade->size, SIM_SIZE_SCALE, shares ? 6 : 8);
    sim_text_char(out, '"');
    if (s->asset == SIM_STOCKS)
        sim_rest_int(out, "tape", sim_event_tape(s));
    if (s->asset == SIM_STOCKS && trade->exchange == 4)
        sim_text_printf(out, ",\"trf_id\":%u,\"trf_timestamp\":%" PRId64, 201 + (trade->q & 1), ns - 500);
    sim_text_char(out, '}');
}

static void add_quote(struct sim_text *out, const struct sim_symbol *s, int64_t minute,
                      const struct sim_quote *quote)
{
    int64_t ns = sim_event_ns(s, minute, quote->at, quote->q);
    sim_text_printf(out, "{\"ask_exchange\":%u", quote->ask_exchange);
    sim_rest_price(out, "ask_price", quote->ask, false);
    sim_rest_size(out, "ask_size", quote->ask_size, false);
    sim_rest_int(out, "bid_exchange", quote->bid_exchange);
    sim_rest_price(out, "bid_price", quote->bid, false);
    sim_rest_size(out, "bid_size", quote->bid_size, false);
    sim_rest_int(out, "participant_timestamp", ns - 1000 * (1 + (quote->q & 1023)));
    sim_rest_int(out, "sequence_number", quote->q);
    sim_rest_int(out, "sip_timestamp", ns);
    if (s->asset == SIM_STOCKS)
        sim_rest_int(out, "tape", sim_event_tape(s));
    sim_text_char(out, '}');
}

/* False: the page is full. */
static bool add_row(struct range *r, int64_t minute, uint32_t i)
{
    const struct sim_trade *trade = r->quotes ? NULL : &r->trades.trades[i];
    const struct sim_quote *quote = r->quotes ? &r->quote_minute.quotes[i] : NULL;
    int64_t ns = trade ? sim_event_ns(r->symbol, minute, trade->at, trade->q)
                       : sim_event_ns(r->symbol, minute, quote->at, quote->q);
    if (ns < r->from || ns > r->to)
        return true;
    if (r->count == r->limit) {
        r->continues = ns;
        return false;
    }
    if (r->count++)
        sim_text_char(r->out, ',');
    if (trade)
        add_trade(r->out, r->symbol, minute, trade);
    else
        add_quote(r->out, r->symbol, minute, quote);
    return true;
}

static bool add_minute(struct range *r, const struct sim_market *market, int64_t minute)
{
    if (r->quotes)
        sim_market_quotes(market, r->symbol, minute, &r->quote_minute);
    else
        sim_market_minute(market, r->symbol, minute, &r->trades);
    uint32_t count = r->quotes ? r->quote_minute.count : r->trades.count;
    for (uint32_t k = 0; k < count; k++)
        if (!add_row(r, minute, r->ascending ? k : count - 1 - k))
            return false;
    return true;
}

static void add_range(struct range *r, const struct sim_market *market)
{
    int64_t first = r->from / NS / SIM_MINUTE * SIM_MINUTE, last = r->to / NS / SIM_MINUTE * SIM_MINUTE;
    for (int64_t k = 0; k <= (last - first) / SIM_MINUTE; k++)
        if (!add_minute(r, market, r->ascending ? first + k * SIM_MINUTE : last - k * SIM_MINUTE))
            return;
}

/* timestamp, timestamp.gte and so on narrow the range. */
static bool narrow(struct sim_rest *rest, struct range *r)
{
    static const char *const names[] = {"timestamp", "timestamp.gte", "timestamp.gt", "timestamp.lte",
                                        "timestamp.lt"};
    char text[40];
    bool bounded = false;
    for (int i = 0; i < 5; i++) {
        int64_t t;
        bool date;
        if (!sim_request_param(rest->request, names[i], text, sizeof(text)))
            continue;
        if (!sim_rest_time(text, NS, &t, &date)) {
            sim_rest_error(
                rest, 400,
                "Could not parse the time parameter: 'timestamp'. Use YYYY-MM-DD or Unix NS Timestamps");
            return false;
        }
        int64_t end = date ? sim_calendar_midnight(sim_calendar_new_york_day(t / NS) + 1) * NS - 1 : t;
        int64_t from = i <= 1   ? t
                       : i == 2 ? end + 1
                                : INT64_MIN,
                to = i == 0 || i == 3 ? end
                     : i == 4         ? t - 1
                                      : INT64_MAX;
        bounded |= i <= 2;
        r->from = from > r->from ? from : r->from;
        r->to = to < r->to ? to : r->to;
    }
    if (!bounded)
        r->from = r->to - LOOK_BACK * NS;
    return true;
}

static void add_next_url(struct sim_rest *rest, const struct range *r)
{
    sim_text_str(rest->out, ",\"next_url\":\"");
    sim_rest_base_url(rest, rest->out);
    sim_text_printf(rest->out,
                    "/v3/%s/%s?cursor=1&order=%s&limit=%" PRId64 "&timestamp.gte=%" PRId64
                    "&timestamp.lte=%" PRId64 "\"",
                    r->quotes ? "quotes" : "trades", r->symbol->ticker, r->ascending ? "asc" : "desc",
                    r->limit, r->ascending ? r->continues : r->from, r->ascending ? r->to : r->continues);
}

static void ticks(struct sim_rest *rest, bool quotes)
{
    char order[8] = "desc";
    struct range r = {.symbol = sim_universe_ticker(&rest->sim->universe, rest->request->segments[2]),
                      .from = sim_calendar_midnight(SIM_FIRST_DAY + 1) * NS,
                      .to = sim_now(rest->sim) * NS,
                      .out = rest->out,
                      .quotes = quotes};
    sim_request_param(rest->request, "order", order, sizeof(order));
    r.ascending = strcmp(order, "asc") == 0;
    if (!sim_rest_number(rest, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, &r.limit) || !narrow(rest, &r))
        return;
    sim_text_str(rest->out, "{\"results\":[");
    if (r.symbol && r.from <= r.to)
        add_range(&r, &rest->sim->market);
    sim_text_str(rest->out, "],");
    sim_rest_envelope(rest);
    if (r.continues)
        add_next_url(rest, &r);
    sim_text_char(rest->out, '}');
    sim_minute_fini(&r.trades);
    sim_quotes_fini(&r.quote_minute);
}

void sim_rest_trades(struct sim_rest *rest)
{
    ticks(rest, false);
}

void sim_rest_quotes(struct sim_rest *rest)
{
    ticks(rest, true);
}

bool sim_rest_find_trade(struct sim_rest *rest, const struct sim_symbol *symbol, int64_t *ret_minute,
                         struct sim_trade *ret)
{
    int64_t now = sim_now(rest->sim), minute = now - now % SIM_MINUTE;
    struct sim_minute trades = {0};
    bool found = false;
    for (int64_t t = minute; !found && t > minute - LOOK_BACK; t -= SIM_MINUTE) {
        sim_market_minute(&rest->sim->market, symbol, t, &trades);
        for (uint32_t i = trades.count; i > 0 && !found; i--) {
            found = t + trades.trades[i - 1].at <= now;
            *ret = trades.trades[i - 1];
            *ret_minute = t;
        }
    }
    sim_minute_fini(&trades);
    return found;
}

bool sim_rest_find_quote(struct sim_rest *rest, const struct sim_symbol *symbol, int64_t *ret_minute,
                         struct sim_quote *ret)
{
    int64_t now = sim_now(rest->sim), minute = now - now % SIM_MINUTE;
    struct sim_quotes quotes = {0};
    bool found = false;
    for (int64_t t = minute; !found && t > minute - LOOK_BACK; t -= SIM_MINUTE) {
        sim_market_quotes(&rest->sim->market, symbol, t, &quotes);
        for (uint32_t i = quotes.count; i > 0 && !found; i--) {
            found = t + quotes.quotes[i - 1].at <= now;
            *ret = quotes.quotes[i - 1];
            *ret_minute = t;
        }
    }
    sim_quotes_fini(&quotes);
    return found;
}

void sim_rest_last_trade(struct sim_rest *rest)
{
    const struct sim_symbol *s = sim_universe_ticker(&rest->sim->universe, rest->request->segments[3]);
    struct sim_trade trade;
    int64_t minute;
    if (!s || !sim_rest_find_trade(rest, s, &minute, &trade)) {
        sim_rest_error(rest, 404, "Data not found.");
        return;
    }
    int64_t ns = sim_event_ns(s, minute, trade.at, trade.q);
    const char *conditions = sim_event_conditions(s, minute, &trade);
    sim_text_str(rest->out, "{\"results\":{\"T\":");
    sim_text_json(rest->out, s->ticker);
    if (*conditions)
        sim_text_printf(rest->out, ",\"c\":%s", conditions);
    sim_text_str(rest->out, ",\"ds\":\"");
    sim_text_decimal(rest->out, trade.size, SIM_SIZE_SCALE, 6);
    sim_text_printf(rest->out, "\",\"i\":\"%u\"", trade.q);
    sim_rest_price(rest->out, "p", trade.price, false);
    sim_rest_int(rest->out, "q", trade.q);
    sim_rest_size(rest->out, "s", trade.size / SIM_SIZE_UNIT * SIM_SIZE_UNIT, false);
    sim_rest_int(rest->out, "t", ns);
    sim_rest_int(rest->out, "x", trade.exchange);
    sim_rest_int(rest->out, "y", ns - 1000 * (1 + (trade.q & 1023)));
    sim_rest_int(rest->out, "z", sim_event_tape(s));
    sim_text_str(rest->out, "},");
    sim_rest_envelope(rest);
    sim_text_char(rest->out, '}');
}

void sim_rest_last_quote(struct sim_rest *rest)
{
    const struct sim_symbol *s = sim_universe_ticker(&rest->sim->universe, rest->request->segments[3]);
    struct sim_quote quote;
    int64_t minute;
    if (!s || !sim_rest_find_quote(rest, s, &minute, &quote)) {
        sim_rest_error(rest, 404, "Data not found.");
        return;
    }
    int64_t ns = sim_event_ns(s, minute, quote.at, quote.q);
    sim_text_str(rest->out, "{\"results\":{\"T\":");
    sim_text_json(rest->out, s->ticker);
    sim_rest_price(rest->out, "P", quote.ask, false);
    sim_rest_size(rest->out, "S", quote.ask_size, false);
    sim_rest_int(rest->out, "X", quote.ask_exchange);
    sim_rest_price(rest->out, "p", quote.bid, false);
    sim_rest_size(rest->out, "s", quote.bid_size, false);
    sim_rest_int(rest->out, "x", quote.bid_exchange);
    sim_rest_int(rest->out, "q", quote.q);
    sim_rest_int(rest->out, "t", ns);
    sim_rest_int(rest->out, "y", ns - 1000 * (1 + (quote.q & 1023)));
    sim_rest_int(rest->out, "z", sim_event_tape(s));
    sim_text_str(rest->out, "},");
    sim_rest_envelope(rest);
    sim_text_char(rest->out, '}');
}
