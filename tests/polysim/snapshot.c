#include <string.h>

#include "event.h"
#include "rest.h"

/* Before 04:00 New York the day's numbers are empty. */
#define REFILLS 240

static void add_bar(struct sim_text *out, const char *key, const struct sim_bar *bar, bool with_decimals)
{
    sim_text_printf(out, ",\"%s\":{\"o\":", key);
    sim_text_number(out, bar->open, SIM_PRICE_SCALE, false);
    sim_rest_price(out, "h", bar->high, false);
    sim_rest_price(out, "l", bar->low, false);
    sim_rest_price(out, "c", bar->close, false);
    sim_rest_size(out, "v", bar->volume, false);
    sim_text_str(out, ",\"vw\":");
    sim_text_number(out, sim_bar_vwap(bar, 4), 4, false);
    if (with_decimals) {
        sim_text_str(out, ",\"dv\":\"");
        sim_text_decimal(out, bar->volume, SIM_SIZE_SCALE, 6);
        sim_text_char(out, '"');
    }
    sim_text_char(out, '}');
}

static void add_minute(struct sim_text *out, const struct sim_bar *bar, const struct sim_bar *day)
{
    add_bar(out, "min", bar, true);
    out->size--; /* the brace */
    sim_rest_size(out, "av", day->volume, false);
    sim_rest_int(out, "t", bar->t);
    sim_rest_int(out, "n", bar->count);
    sim_text_char(out, '}');
}

static int64_t add_last(struct sim_rest *rest, const struct sim_symbol *s)
{
    struct sim_text *out = rest->out;
    struct sim_trade trade;
    struct sim_quote quote;
    int64_t minute, ns = 0;
    if (rest->sim->options.plan != SIM_PLAN_ADVANCED)
        return 0;
    if (sim_rest_find_trade(rest, s, &minute, &trade)) {
        const char *conditions = sim_event_conditions(s, minute, &trade);
        ns = sim_event_ns(s, minute, trade.at, trade.q);
        sim_text_printf(out, ",\"lastTrade\":{\"c\":%s,\"i\":\"%u\"", *conditions ? conditions : "null",
                        trade.q);
        sim_rest_price(out, "p", trade.price, false);
        sim_rest_size(out, "s", trade.size / SIM_SIZE_UNIT * SIM_SIZE_UNIT, false);
        sim_rest_int(out, "t", ns);
        sim_rest_int(out, "x", trade.exchange);
        sim_text_char(out, '}');
    }
    if (sim_rest_find_quote(rest, s, &minute, &quote)) {
        sim_text_str(out, ",\"lastQuote\":{\"P\":");
        sim_text_number(out, quote.ask, SIM_PRICE_SCALE, false);
        sim_rest_size(out, "S", quote.ask_size, false);
        sim_rest_price(out, "p", quote.bid, false);
        sim_rest_size(out, "s", quote.bid_size, false);
        sim_rest_int(out, "t", sim_event_ns(s, minute, quote.at, quote.q));
        sim_text_char(out, '}');
    }
    return ns;
}

static struct sim_bar latest_minute(struct sim_rest *rest, const struct sim_symbol *s, int64_t now,
                                    int64_t floor)
{
    for (int64_t t = now - now % SIM_MINUTE - SIM_MINUTE; t >= floor; t -= SIM_MINUTE) {
        struct sim_bar bar = sim_history_minute(rest->sim->history, s, t);
        if (bar.count > 0)
            return bar;
    }
    return (struct sim_bar){0};
}

static void add_ticker(struct sim_rest *rest, const struct sim_symbol *s)
{
    struct sim_text *out = rest->out;
    int64_t now = sim_now(rest->sim);
    int32_t today = sim_history_day_of(s, now);
    struct sim_bar day = {0}, minute = {0}, previous = {0};
    if (sim_calendar_minute(now) >= REFILLS) {
        day = sim_history_day(rest->sim->history, s, today, now);
        minute = latest_minute(rest, s, now, sim_history_day_start(s, today));
    }
    for (int back = 1; previous.count == 0 && back < 10; back++)
        previous = sim_history_day(rest->sim->history, s, today - back, now);
    sim_text_str(out, "{\"ticker\":");
    sim_text_json(out, s->ticker);
    int64_t change = day.count && previous.count ? day.close - previous.close : 0;
    sim_rest_price(out, "todaysChange", change, false);
    sim_text_str(out, ",\"todaysChangePerc\":");
    sim_text_number(out, previous.close ? change * INT64_C(1000000) / previous.close : 0, 4, false);
    add_bar(out, "day", &day, true);
    add_minute(out, &minute, &day);
    add_bar(out, "prevDay", &previous, false);
    int64_t ns = add_last(rest, s);
    sim_rest_int(out, "updated", ns ? ns : minute.t * INT64_C(1000000));
    sim_text_char(out, '}');
}

static bool listed(const char *list, const char *ticker)
{
    size_t size = strlen(ticker);
    for (const char *p = list; *p;) {
        size_t word = strcspn(p, ",");
        if (word == size && memcmp(p, ticker, size) == 0)
            return true;
        p += word;
        p += *p == ',';
    }
    return false;
}

/* Unknown tickers are left out without a word. */
void sim_rest_snapshots(struct sim_rest *rest)
{
    char tickers[4096];
    bool some = sim_request_param(rest->request, "tickers", tickers, sizeof(tickers));
    const struct sim_universe *u = &rest->sim->universe;
    int64_t count = 0;
    sim_text_str(rest->out, "{\"tickers\":[");
    for (size_t i = 0; i < u->count; i++) {
        if (u->symbols[i].asset != SIM_STOCKS || (some && !listed(tickers, u->symbols[i].ticker)))
            continue;
        if (count++)
            sim_text_char(rest->out, ',');
        add_ticker(rest, &u->symbols[i]);
    }
    sim_text_str(rest->out, "],");
    sim_rest_envelope(rest);
    sim_rest_int(rest->out, "count", count);
    sim_text_char(rest->out, '}');
}

void sim_rest_snapshot(struct sim_rest *rest)
{
    const struct sim_symbol *s = sim_universe_ticker(&rest->sim->universe, rest->request->segments[7]);
    if (!s || s->asset != SIM_STOCKS) {
        sim_rest_error(rest, 404, "NotFound");
        return;
    }
    sim_text_str(rest->out, "{\"ticker\":");
    add_ticker(rest, s);
    sim_text_char(rest->out, ',');
    sim_rest_envelope(rest);
    sim_text_char(rest->out, '}');
}
