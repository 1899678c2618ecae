#include <stdio.h>
#include <string.h>

#include "rest.h"

#define UPCOMING_DAYS 200

static const char *market_name(enum sim_asset asset)
{
    return asset == SIM_FOREX ? "fx" : sim_asset_name(asset);
}

static void add_ticker(struct sim_text *out, const struct sim_symbol *s)
{
    sim_text_str(out, "{\"ticker\":");
    sim_text_json(out, s->ticker);
    sim_rest_string(out, "name", s->name);
    sim_rest_string(out, "market", market_name(s->asset));
    sim_rest_string(out, "locale", s->asset == SIM_CRYPTO || s->asset == SIM_FOREX ? "global" : "us");
    if (s->asset == SIM_STOCKS) {
        sim_rest_string(out, "primary_exchange", s->mic);
        sim_rest_string(out, "type", s->kind);
    }
    sim_text_str(out,
                 ",\"active\":true,\"currency_name\":\"usd\",\"last_updated_utc\":\"2026-01-02T00:00:00Z\"}");
}

/* Pages in the order of the universe; the cursor is the next index. */
void sim_rest_tickers(struct sim_rest *rest)
{
    int64_t limit, cursor;
    char market[32], ticker[64];
    if (!sim_rest_number(rest, "limit", 1, 1000, 100, &limit) ||
        !sim_rest_number(rest, "cursor", 0, INT32_MAX, 0, &cursor))
        return;
    bool by_market = sim_request_param(rest->request, "market", market, sizeof(market));
    bool by_ticker = sim_request_param(rest->request, "ticker", ticker, sizeof(ticker));
    const struct sim_universe *u = &rest->sim->universe;
    int64_t count = 0;
    size_t i = (size_t)cursor;
    sim_text_str(rest->out, "{\"results\":[");
    for (; i < u->count; i++) {
        const struct sim_symbol *s = &u->symbols[i];
        if ((by_market && strcmp(market, market_name(s->asset)) != 0) ||
            (by_ticker && strcmp(ticker, s->ticker) != 0))
            continue;
        if (count == limit)
            break;
        if (count++)
            sim_text_char(rest->out, ',');
        add_ticker(rest->out, s);
    }
    sim_text_str(rest->out, "],");
    sim_rest_envelope(rest);
    sim_rest_int(rest->out, "count", count);
    if (i < u->count) {
        sim_text_str(rest->out, ",\"next_url\":\"");
        sim_rest_base_url(rest, rest->out);
        sim_text_printf(rest->out, "/v3/reference/tickers?cursor=%zu&limit=%lld", i, (long long)limit);
        if (by_market)
            sim_text_printf(rest->out, "&market=%s", market_name(u->symbols[i].asset));
        sim_text_char(rest->out, '"');
    }
    sim_text_char(rest->out, '}');
}

void sim_rest_ticker(struct sim_rest *rest)
{
    const struct sim_symbol *s = sim_universe_ticker(&rest->sim->universe, rest->request->segments[3]);
    if (!s) {
        sim_rest_error(rest, 404, "Ticker not found.");
        return;
    }
    sim_text_char(rest->out, '{');
    sim_text_str(rest->out, "\"results\":");
    add_ticker(rest->out, s);
    sim_text_char(rest->out, ',');
    sim_rest_envelope(rest);
    sim_text_char(rest->out, '}');
}

static const struct {
    int id;
    const char *type, *name, *mic;
} exchanges[] = {
    {1, "exchange", "NYSE American, LLC", "XASE"},
    {2, "exchange", "Nasdaq OMX BX, Inc.", "XBOS"},
    {4, "TRF", "FINRA Alternative Display Facility", "FINY"},
    {8, "exchange", "Cboe EDGA", "EDGA"},
    {9, "exchange", "Cboe EDGX", "EDGX"},
    {10, "exchange", "New York Stock Exchange", "XNYS"},
    {11, "exchange", "NYSE Arca, Inc.", "ARCX"},
    {12, "exchange", "Nasdaq", "XNAS"},
    {15, "exchange", "Investors Exchange", "IEXG"},
    {17, "exchange", "Nasdaq Philadelphia Exchange LLC", "XPHL"},
    {19, "exchange", "Cboe BZX", "BATS"},
    {21, "exchange", "MEMX", "MEMX"},
};

void sim_rest_exchanges(struct sim_rest *rest)
{
    sim_text_str(rest->out, "{\"results\":[");
    size_t count = sizeof(exchanges) / sizeof(*exchanges);
    for (size_t i = 0; i < count; i++)
        sim_text_printf(rest->out,
                        "%s{\"id\":%d,\"type\":\"%s\",\"asset_class\":\"stocks\",\"locale\":\"us\",\"name\":"
                        "\"%s\",\"mic\":\"%s\"}",
                        i ? "," : "", exchanges[i].id, exchanges[i].type, exchanges[i].name,
                        exchanges[i].mic);
    sim_text_str(rest->out, "],");
    sim_rest_envelope(rest);
    sim_rest_int(rest->out, "count", (int64_t)count);
    sim_text_char(rest->out, '}');
}

/* Here every trade counts in every field of a bar, so the update rules all say so. */
void sim_rest_conditions(struct sim_rest *rest)
{
    static const struct {
        int id;
        const char *name, *asset_class;
    } conditions[] = {{12, "Form T/Extended Hours", "stocks"},
                      {37, "Odd Lot Trade", "stocks"},
                      {233, "Automatic Execution", "options"},
                      {1, "Sell Side", "crypto"},
                      {2, "Buy Side", "crypto"}};
    static const char rules[] =
        "{\"updates_high_low\":true,\"updates_open_close\":true,\"updates_volume\":true}";
    sim_text_str(rest->out, "{\"results\":[");
    for (size_t i = 0; i < sizeof(conditions) / sizeof(*conditions); i++)
        sim_text_printf(rest->out,
                        "%s{\"id\":%d,\"type\":\"sale_condition\",\"name\":\"%s\",\"asset_class\":\"%s\","
                        "\"data_types\":[\"trade\"],"
                        "\"update_rules\":{\"consolidated\":%s,\"market_center\":%s}}",
                        i ? "," : "", conditions[i].id, conditions[i].name, conditions[i].asset_class, rules,
                        rules);
    sim_text_str(rest->out, "],");
    sim_rest_envelope(rest);
    sim_rest_int(rest->out, "count", sizeof(conditions) / sizeof(*conditions));
    sim_text_char(rest->out, '}');
}

void sim_rest_status_now(struct sim_rest *rest)
{
    int64_t now = sim_now(rest->sim);
    enum sim_phase phase = sim_calendar_stocks(now);
    const char *market = phase == SIM_CLOSED ? "closed" : phase == SIM_REGULAR ? "open" : "extended-hours";
    int32_t offset = sim_calendar_offset(now);
    int64_t local = now / 1000 + offset;
    struct sim_date date = sim_calendar_date((int32_t)(local / 86400));
    sim_text_printf(rest->out, "{\"market\":\"%s\",\"earlyHours\":%s,\"afterHours\":%s,", market,
                    phase == SIM_PRE ? "true" : "false", phase == SIM_AFTER ? "true" : "false");
    sim_text_printf(rest->out, "\"serverTime\":\"%04d-%02d-%02dT%02d:%02d:%02d-0%d:00\",", date.year,
                    date.month, date.day, (int)(local % 86400 / 3600), (int)(local % 3600 / 60),
                    (int)(local % 60), -offset / 3600);
    sim_text_printf(rest->out, "\"exchanges\":{\"nyse\":\"%s\",\"nasdaq\":\"%s\",\"otc\":\"%s\"},", market,
                    market, market);
    sim_text_printf(rest->out, "\"currencies\":{\"fx\":\"%s\",\"crypto\":\"open\"},",
                    sim_calendar_forex(now) ? "open" : "closed");
    sim_text_printf(rest->out, "\"indicesGroups\":{\"s_and_p\":\"%s\",\"dow_jones\":\"%s\"}}",
                    phase == SIM_REGULAR ? "open" : "closed", phase == SIM_REGULAR ? "open" : "closed");
}

static void add_upcoming(struct sim_text *out, int32_t day, const char *exchange, const char *name,
                         bool early)
{
    struct sim_date date = sim_calendar_date(day);
    sim_text_printf(out,
                    "%s{\"exchange\":\"%s\",\"name\":\"%s\",\"date\":\"%04d-%02d-%02d\",\"status\":\"%s\"",
                    out->size > 1 ? "," : "", exchange, name, date.year, date.month, date.day,
                    early ? "early-close" : "closed");
    if (early)
        sim_text_printf(
            out, ",\"open\":\"%04d-%02d-%02dT14:30:00.000Z\",\"close\":\"%04d-%02d-%02dT18:00:00.000Z\"",
            date.year, date.month, date.day, date.year, date.month, date.day);
    sim_text_char(out, '}');
}

/* A bare array, without the envelope. */
void sim_rest_status_upcoming(struct sim_rest *rest)
{
    int32_t today = sim_calendar_new_york_day(sim_now(rest->sim));
    sim_text_char(rest->out, '[');
    for (int32_t day = today; day < today + UPCOMING_DAYS; day++) {
        const char *name;
        enum sim_day_kind kind = sim_calendar_kind(day, &name);
        if (!name)
            continue;
        add_upcoming(rest->out, day, "NYSE", name, kind == SIM_DAY_EARLY);
        add_upcoming(rest->out, day, "NASDAQ", name, kind == SIM_DAY_EARLY);
    }
    sim_text_char(rest->out, ']');
}
