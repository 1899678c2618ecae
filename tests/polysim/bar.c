#include "bar.h"

#include <stdlib.h>
#include <string.h>

#define DAYS_REMEMBERED 65536

struct day_memo {
    const struct sim_symbol *symbol;
    int32_t day;
    uint64_t revision;
    struct sim_bar bar;
};

struct sim_history {
    const struct sim_market *market;
    struct sim_minute scratch;
    const struct sim_symbol *held; /* whose minute the scratch holds */
    int64_t held_t;
    uint64_t held_revision;
    struct day_memo *days;
};

void sim_bar_trade(struct sim_bar *bar, const struct sim_trade *trade)
{
    if (bar->count == 0)
        bar->open = bar->high = bar->low = trade->price;
    if (trade->price > bar->high)
        bar->high = trade->price;
    if (trade->price < bar->low)
        bar->low = trade->price;
    bar->close = trade->price;
    bar->volume += trade->size;
    bar->turnover += (sim_wide)trade->price * trade->size;
    bar->count++;
}

void sim_bar_merge(struct sim_bar *bar, const struct sim_bar *later)
{
    if (later->count == 0)
        return;
    if (bar->count == 0) {
        *bar = *later;
        return;
    }
    if (later->high > bar->high)
        bar->high = later->high;
    if (later->low < bar->low)
        bar->low = later->low;
    bar->close = later->close;
    bar->volume += later->volume;
    bar->turnover += later->turnover;
    bar->count += later->count;
}

int64_t sim_bar_vwap(const struct sim_bar *bar, unsigned decimals)
{
    int64_t step = decimals >= SIM_PRICE_SCALE ? 1 : 100;
    if (bar->volume <= 0)
        return (bar->open + bar->high + bar->low + bar->close) / 4 / step;
    sim_wide denominator = (sim_wide)bar->volume * step;
    return (int64_t)((bar->turnover + denominator / 2) / denominator);
}

struct sim_bar sim_bar_of(const struct sim_minute *minute, int64_t t, int32_t from_ms, int32_t to_ms)
{
    struct sim_bar bar = {.t = t + from_ms};
    for (uint32_t i = 0; i < minute->count; i++)
        if (minute->trades[i].at >= from_ms && minute->trades[i].at < to_ms)
            sim_bar_trade(&bar, &minute->trades[i]);
    return bar;
}

struct sim_history *sim_history_new(const struct sim_market *market)
{
    struct sim_history *history = calloc(1, sizeof(*history));
    if (!history)
        return NULL;
    history->market = market;
    history->days = calloc(DAYS_REMEMBERED, sizeof(*history->days));
    if (!history->days) {
        free(history);
        return NULL;
    }
    return history;
}

void sim_history_free(struct sim_history *history)
{
    if (!history)
        return;
    sim_minute_fini(&history->scratch);
    free(history->days);
    free(history);
}

static const struct sim_minute *minute_of(struct sim_history *h, const struct sim_symbol *symbol, int64_t t)
{
    if (h->held != symbol || h->held_t != t || h->held_revision != h->market->revision) {
        sim_market_minute(h->market, symbol, t, &h->scratch);
        h->held = symbol;
        h->held_t = t;
        h->held_revision = h->market->revision;
    }
    return &h->scratch;
}

struct sim_bar sim_history_minute(struct sim_history *history, const struct sim_symbol *symbol, int64_t t)
{
    return sim_bar_of(minute_of(history, symbol, t), t, 0, (int32_t)SIM_MINUTE);
}

struct sim_bar sim_history_second(struct sim_history *history, const struct sim_symbol *symbol, int64_t t)
{
    int64_t minute = t - t % SIM_MINUTE;
    int32_t at = (int32_t)(t - minute);
    return sim_bar_of(minute_of(history, symbol, minute), minute, at, at + 1000);
}

int64_t sim_history_day_start(const struct sim_symbol *symbol, int32_t day)
{
    return symbol->asset == SIM_CRYPTO ? day * SIM_DAY : sim_calendar_midnight(day);
}

int32_t sim_history_day_of(const struct sim_symbol *symbol, int64_t t)
{
    return symbol->asset == SIM_CRYPTO ? (int32_t)(t / SIM_DAY) : sim_calendar_new_york_day(t);
}

static bool whole_day_closed(const struct sim_symbol *symbol, int32_t day)
{
    bool sessions =
        symbol->asset == SIM_STOCKS || symbol->asset == SIM_OPTIONS || symbol->asset == SIM_INDICES;
    return sessions && sim_calendar_index(day) == sim_calendar_index(day + 1);
}

struct sim_bar sim_history_day(struct sim_history *history, const struct sim_symbol *symbol, int32_t day,
                               int64_t now)
{
    struct sim_bar bar = {0};
    int64_t start = sim_history_day_start(symbol, day), end = sim_history_day_start(symbol, day + 1);
    if (whole_day_closed(symbol, day) || now < start)
        return bar;
    size_t slot = sim_hash(symbol->key, (uint64_t)day, 0) % DAYS_REMEMBERED;
    struct day_memo *memo = &history->days[slot];
    if (memo->symbol == symbol && memo->day == day && memo->revision == history->market->revision)
        return memo->bar;
    for (int64_t t = start; t < end && t + SIM_MINUTE <= now; t += SIM_MINUTE) {
        struct sim_bar minute = sim_history_minute(history, symbol, t);
        sim_bar_merge(&bar, &minute);
    }
    bar.t = start;
    if (now >= end)
        *memo = (struct day_memo){symbol, day, history->market->revision, bar};
    return bar;
}

static const struct {
    const char *ticker;
    struct sim_date date;
    int64_t ratio;
} splits[] = {
    {"AAPL", {2020, 8, 31}, 4},  {"TSLA", {2022, 8, 25}, 3},   {"AMZN", {2022, 6, 6}, 20},
    {"NVDA", {2024, 6, 10}, 10}, {"GOOGL", {2022, 7, 18}, 20},
};

int64_t sim_history_ratio(const struct sim_symbol *symbol, int64_t t)
{
    for (size_t i = 0; i < sizeof(splits) / sizeof(*splits); i++)
        if (strcmp(splits[i].ticker, symbol->ticker) == 0)
            return t < sim_calendar_midnight(sim_calendar_days(splits[i].date)) ? splits[i].ratio : 1;
    return 1;
}

struct sim_bar sim_bar_unadjusted(struct sim_bar bar, int64_t ratio)
{
    bar.open *= ratio;
    bar.high *= ratio;
    bar.low *= ratio;
    bar.close *= ratio;
    bar.volume /= ratio;
    return bar;
}
