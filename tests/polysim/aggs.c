#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rest.h"

#define LIMIT_DEFAULT 5000
#define LIMIT_MAX     50000

enum span { SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER, YEAR, SPANS };

static const char *const span_names[SPANS] = {"second", "minute", "hour",    "day",
                                              "week",   "month",  "quarter", "year"};

struct query {
    struct sim_symbol *symbol; /* NULL: no such ticker */
    enum span span;
    int64_t multiplier;
    int64_t from, to;        /* ms, both inclusive */
    int64_t now;             /* data end */
    bool from_date, to_date; /* given as days */
    bool adjusted, descending;
    int64_t limit;
};

/* ---------------------------------------------------------------------------------------------- base bars */

struct walk {
    struct sim_rest *rest;
    const struct query *query;
    int64_t at; /* next start to look at; for days, the day */
};

static int64_t base_step(const struct query *q)
{
    return q->span == SECOND ? 1000 : SIM_MINUTE;
}

static int64_t floor_to(int64_t t, int64_t step)
{
    return t - t % step;
}

static void walk_begin(struct walk *w)
{
    const struct query *q = w->query;
    if (q->span >= DAY) {
        w->at = sim_history_day_of(q->symbol, q->descending ? q->to : q->from);
        return;
    }
    int64_t step = base_step(q);
    w->at = q->descending ? floor_to(q->to, step) : floor_to(q->from + step - 1, step);
}

static bool walk_day(struct walk *w, struct sim_bar *ret)
{
    const struct query *q = w->query;
    int64_t end = q->to < q->now ? q->to : q->now;
    for (;;) {
        int32_t day = (int32_t)w->at;
        int64_t start = sim_history_day_start(q->symbol, day);
        if (q->descending ? sim_history_day_start(q->symbol, day + 1) <= q->from || day < SIM_FIRST_DAY
                          : start > end)
            return false;
        w->at += q->descending ? -1 : 1;
        if (day < SIM_FIRST_DAY || start > end)
            continue;
        struct sim_bar bar = sim_history_day(w->rest->sim->history, q->symbol, day, q->now);
        if (bar.count > 0) {
            *ret = bar;
            return true;
        }
    }
}

/* The next base bar that exists. False: none left. */
static bool walk_next(struct walk *w, struct sim_bar *ret)
{
    const struct query *q = w->query;
    if (q->span >= DAY)
        return walk_day(w, ret);
    int64_t step = base_step(q), last = q->now - step;
    while (q->descending ? w->at >= q->from : w->at <= q->to && w->at <= last) {
        int64_t t = w->at;
        w->at += q->descending ? -step : step;
        if (t > last || t > q->to)
            continue;
        if (!sim_market_open(q->symbol, t)) {
            /* Whole hours at a time where the market sleeps. */
            int64_t next = q->descending ? floor_to(t, SIM_HOUR) - step : floor_to(t, SIM_HOUR) + SIM_HOUR;
            int64_t other_end = q->descending ? floor_to(t, SIM_HOUR) : next - SIM_MINUTE;
            if (!sim_market_open(q->symbol, other_end) &&
                !sim_market_open(q->symbol, floor_to(t, SIM_HOUR) + SIM_HOUR / 2))
                w->at = next;
            continue;
        }
        struct sim_history *history = w->rest->sim->history;
        struct sim_bar bar = step == 1000 ? sim_history_second(history, q->symbol, t)
                                          : sim_history_minute(history, q->symbol, t);
        if (bar.count > 0) {
            *ret = bar;
            return true;
        }
    }
    return false;
}

/* ----------------------------------------------------------------------------------------- windows */

static int32_t month_start(int32_t day, int64_t months)
{
    struct sim_date date = sim_calendar_date(day);
    int64_t index = (int64_t)date.year * 12 + date.month - 1;
    index -= index % months;
    return sim_calendar_days((struct sim_date){(int)(index / 12), (int)(index % 12) + 1, 1});
}

/* Start of the window that the base bar at t falls into. */
static int64_t window_start(const struct query *q, int64_t t)
{
    static const int64_t units[] = {1000, SIM_MINUTE, SIM_HOUR};
    int32_t day = sim_history_day_of(q->symbol, t), start = day;
    if (q->span <= HOUR) {
        int64_t width = units[q->span] * q->multiplier;
        int64_t midnight = width <= SIM_DAY ? sim_history_day_start(q->symbol, day) : 0;
        return t - (t - midnight) % width;
    }
    /* Windows of several units count from 1970, so that every page cuts alike. */
    if (q->span == DAY)
        start = day - (int32_t)(day % q->multiplier);
    else if (q->span == WEEK)
        start = day - (int32_t)((day + 4) % (7 * q->multiplier));
    else
        start = month_start(day, q->multiplier * (q->span == MONTH ? 1 : q->span == QUARTER ? 3 : 12));
    return sim_history_day_start(q->symbol, start);
}

struct page {
    struct sim_bar *bars;
    size_t count;
    int64_t scanned;   /* base bars in them */
    int64_t continues; /* ms where the next page begins, 0: complete */
};

static void join(const struct query *q, struct sim_bar *window, const struct sim_bar *base)
{
    if (!q->descending) {
        sim_bar_merge(window, base);
        return;
    }
    struct sim_bar joined = *base;
    joined.t = window->t;
    sim_bar_merge(&joined, window);
    *window = joined;
}

/* A page ends on a window's edge wherever at least one whole window fits; otherwise its only bar is cut
 * short. */
static void collect(struct sim_rest *rest, const struct query *q, struct page *page)
{
    struct walk walk = {rest, q, 0};
    struct sim_bar base;
    size_t room = 0;
    int64_t first_of_window = 0, scanned_before = 0;
    walk_begin(&walk);
    while (walk_next(&walk, &base)) {
        int64_t base_t = base.t, start = window_start(q, base.t);
        bool fresh = page->count == 0 || page->bars[page->count - 1].t != start;
        if (page->scanned == q->limit) {
            page->continues = base_t;
            if (!fresh && page->count > 1) {
                page->count--;
                page->scanned = scanned_before;
                page->continues = first_of_window;
            }
            return;
        }
        if (!q->adjusted)
            base = sim_bar_unadjusted(base, sim_history_ratio(q->symbol, base_t));
        if (fresh) {
            if (page->count == room) {
                room = room ? room * 2 : 256;
                page->bars = realloc(page->bars, room * sizeof(*page->bars));
                if (!page->bars)
                    abort();
            }
            first_of_window = base_t;
            scanned_before = page->scanned;
            base.t = start;
            page->bars[page->count++] = base;
        } else {
            join(q, &page->bars[page->count - 1], &base);
        }
        page->scanned++;
    }
}

/* --------------------------------------------------------------------------------------- rendering */

static void add_bar(struct sim_text *out, const struct sim_symbol *symbol, const struct sim_bar *bar,
                    bool plain, const char *ticker)
{
    sim_text_char(out, '{');
    size_t start = out->size;
    if (ticker)
        sim_rest_string(out, "T", ticker);
    if (symbol->asset != SIM_INDICES) {
        unsigned decimals = symbol->asset == SIM_STOCKS || symbol->asset == SIM_OPTIONS ? 4 : 6;
        sim_rest_size(out, "v", bar->volume, plain);
        sim_text_str(out, ",\"vw\":");
        sim_text_number(out, sim_bar_vwap(bar, decimals), decimals, plain);
    }
    sim_rest_price(out, "o", bar->open, plain);
    sim_rest_price(out, "c", bar->close, plain);
    sim_rest_price(out, "h", bar->high, plain);
    sim_rest_price(out, "l", bar->low, plain);
    sim_rest_int(out, "t", bar->t);
    if (symbol->asset != SIM_INDICES)
        sim_rest_int(out, "n", bar->count);
    /* Each key was written with a comma before it. */
    memmove(out->data + start, out->data + start + 1, out->size - start - 1);
    out->size--;
    sim_text_char(out, '}');
}

static void add_next_url(struct sim_rest *rest, const struct query *q, int64_t continues)
{
    const struct sim_request *r = rest->request;
    char cursor[96];
    unsigned char packed[160];
    int size = snprintf(cursor, sizeof(cursor), "adjusted=%s&limit=%lld&sort=%s",
                        q->adjusted ? "true" : "false", (long long)q->limit, q->descending ? "desc" : "asc");
    EVP_EncodeBlock(packed, (const unsigned char *)cursor, size);
    packed[strcspn((const char *)packed, "=")] = '\0';
    sim_text_str(rest->out, ",\"next_url\":\"");
    sim_rest_base_url(rest, rest->out);
    sim_text_printf(rest->out, "/v2/aggs/ticker/%s/range/%s/%s/", r->segments[3], r->segments[5],
                    r->segments[6]);
    if (q->descending)
        sim_text_printf(rest->out, "%s/%lld", r->segments[7], (long long)continues);
    else
        sim_text_printf(rest->out, "%lld/%s", (long long)continues, r->segments[8]);
    sim_text_printf(rest->out, "?cursor=%s\"", packed);
}

static void add_head(struct sim_rest *rest, const char *ticker, bool adjusted, int64_t scanned, size_t count)
{
    sim_text_str(rest->out, "{\"ticker\":");
    sim_text_json(rest->out, ticker);
    sim_text_printf(rest->out, ",\"queryCount\":%lld,\"resultsCount\":%zu,\"adjusted\":%s",
                    (long long)scanned, count, adjusted ? "true" : "false");
}

static void add_tail(struct sim_rest *rest, size_t count)
{
    sim_text_char(rest->out, ',');
    sim_rest_envelope(rest);
    if (count > 0)
        sim_rest_int(rest->out, "count", (int64_t)count);
}

static void add_page(struct sim_rest *rest, const struct query *q, const struct page *page)
{
    struct sim_text *out = rest->out;
    add_head(rest, rest->request->segments[3], q->adjusted, page->scanned, page->count);
    if (page->count > 0) {
        sim_text_str(out, ",\"results\":[");
        for (size_t i = 0; i < page->count; i++) {
            if (i)
                sim_text_char(out, ',');
            add_bar(out, q->symbol, &page->bars[i], sim_rest_delayed(rest), NULL);
        }
        sim_text_char(out, ']');
    }
    add_tail(rest, page->count);
    if (page->continues)
        add_next_url(rest, q, page->continues);
    sim_text_char(out, '}');
}

/* ----------------------------------------------------------------------------------------- parsing */

static bool parse_range(struct sim_rest *rest, struct query *q)
{
    const struct sim_request *r = rest->request;
    static const char hint[] = "Use YYYY-MM-DD or Unix MS Timestamps";
    char message[128];
    for (int i = 0; i < 2; i++) {
        if (sim_rest_time(r->segments[7 + i], 1, i ? &q->to : &q->from, i ? &q->to_date : &q->from_date))
            continue;
        snprintf(message, sizeof(message), "Could not parse the time parameter: '%s'. %s", i ? "to" : "from",
                 hint);
        sim_rest_error(rest, 400, message);
        return false;
    }
    /* Both ends are inclusive; a day is as long as the symbol's day. */
    if (q->from_date && q->symbol)
        q->from = sim_history_day_start(q->symbol, sim_calendar_new_york_day(q->from));
    if (q->to_date && q->symbol)
        q->to = sim_history_day_start(q->symbol, sim_calendar_new_york_day(q->to) + 1) - 1;
    if (q->to < q->from) {
        sim_rest_error(rest, 400, "The parameter 'to' cannot be a time that occurs before 'from'");
        return false;
    }
    return true;
}

/* Parameters come from the query or, on a further page, from the cursor. */
static bool parse_options(struct sim_rest *rest, struct query *q)
{
    struct sim_request paged = *rest->request;
    char cursor[160], value[32];
    if (sim_request_param(rest->request, "cursor", cursor, sizeof(cursor))) {
        while (strlen(cursor) % 4)
            strcat(cursor, "=");
        int size = strlen(cursor) < 128 ? EVP_DecodeBlock((unsigned char *)paged.query,
                                                          (unsigned char *)cursor, (int)strlen(cursor))
                                        : -1;
        if (size < 0) {
            sim_rest_error(rest, 400, "invalid cursor");
            return false;
        }
        paged.query[size] = '\0';
    }
    struct sim_rest from_cursor = *rest;
    from_cursor.request = &paged;
    q->adjusted =
        !(sim_request_param(&paged, "adjusted", value, sizeof(value)) && strcmp(value, "false") == 0);
    q->descending = sim_request_param(&paged, "sort", value, sizeof(value)) && strcmp(value, "desc") == 0;
    return sim_rest_number(&from_cursor, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, &q->limit);
}

static bool parse_span(struct sim_rest *rest, struct query *q)
{
    const struct sim_request *r = rest->request;
    int span = 0;
    while (span < SPANS && strcmp(r->segments[6], span_names[span]) != 0)
        span++;
    char *end;
    q->multiplier = strtoll(r->segments[5], &end, 10);
    if (span == SPANS || *end || q->multiplier < 1 || q->multiplier > 100000) {
        sim_rest_error(rest, 400, span == SPANS ? "invalid timespan" : "invalid multiplier");
        return false;
    }
    q->span = (enum span)span;
    return true;
}

/* The free plan ends with yesterday and begins two years ago. */
static bool within_plan(struct sim_rest *rest, struct query *q)
{
    if (rest->sim->options.plan != SIM_PLAN_FREE)
        return true;
    int32_t today = sim_calendar_new_york_day(q->now);
    q->now = sim_calendar_midnight(today);
    if (q->from >= q->now) {
        sim_rest_error(rest, 403,
                       "Attempted to request today's data before end of day. Please upgrade your plan at "
                       "https://massive.com/pricing");
        return false;
    }
    if (q->to < sim_calendar_midnight(today - 731)) {
        sim_rest_error(rest, 403,
                       "Your plan doesn't include this data timeframe. Please upgrade your plan at "
                       "https://massive.com/pricing");
        return false;
    }
    return true;
}

void sim_rest_aggs(struct sim_rest *rest)
{
    struct query q = {.symbol = sim_universe_ticker(&rest->sim->universe, rest->request->segments[3]),
                      .now = sim_now(rest->sim)};
    if (!parse_span(rest, &q) || !parse_range(rest, &q) || !parse_options(rest, &q) || !within_plan(rest, &q))
        return;
    int64_t earliest = sim_calendar_midnight(SIM_FIRST_DAY + 1);
    if (q.from < earliest)
        q.from = earliest;
    struct page page = {0};
    if (q.symbol)
        collect(rest, &q, &page);
    add_page(rest, &q, &page);
    rest->reply->lasting = q.to + SIM_DAY < q.now;
    free(page.bars);
}

void sim_rest_previous(struct sim_rest *rest)
{
    struct sim_symbol *symbol = sim_universe_ticker(&rest->sim->universe, rest->request->segments[3]);
    struct sim_bar bar = {0};
    int64_t now = sim_now(rest->sim);
    for (int back = 1; symbol && bar.count == 0 && back < 10; back++)
        bar = sim_history_day(rest->sim->history, symbol, sim_history_day_of(symbol, now) - back, now);
    add_head(rest, rest->request->segments[3], true, bar.count > 0, bar.count > 0);
    if (bar.count > 0) {
        sim_text_str(rest->out, ",\"results\":[");
        add_bar(rest->out, symbol, &bar, sim_rest_delayed(rest), symbol->ticker);
        sim_text_char(rest->out, ']');
    }
    add_tail(rest, bar.count > 0);
    sim_text_char(rest->out, '}');
}

static bool parse_date(struct sim_rest *rest, const char *text, int32_t *ret_day)
{
    int64_t t;
    bool date;
    if (sim_rest_time(text, 1, &t, &date) && date) {
        *ret_day = sim_calendar_new_york_day(t);
        return true;
    }
    sim_rest_error(rest, 400, "Could not parse the time parameter: 'date'. Use YYYY-MM-DD");
    return false;
}

void sim_rest_grouped(struct sim_rest *rest)
{
    int32_t day;
    if (!parse_date(rest, rest->request->segments[7], &day))
        return;
    struct sim *sim = rest->sim;
    struct sim_text rows = {0};
    size_t count = 0;
    int64_t now = sim_now(sim);
    for (size_t i = 0; i < sim->universe.count; i++) {
        const struct sim_symbol *symbol = &sim->universe.symbols[i];
        if (symbol->asset != SIM_STOCKS)
            continue;
        struct sim_bar bar = sim_history_day(sim->history, symbol, day, now);
        if (bar.count == 0)
            continue;
        /* These rows carry the end of the window. */
        bar.t = sim_calendar_midnight(day) + (sim_calendar_close(day)) * SIM_MINUTE;
        if (count++)
            sim_text_char(&rows, ',');
        add_bar(&rows, symbol, &bar, sim_rest_delayed(rest), symbol->ticker);
    }
    sim_text_printf(rest->out, "{\"queryCount\":%zu,\"resultsCount\":%zu,\"adjusted\":true", count, count);
    if (count > 0) {
        sim_text_str(rest->out, ",\"results\":[");
        sim_text_add(rest->out, rows.data, rows.size);
        sim_text_char(rest->out, ']');
    }
    add_tail(rest, count);
    sim_text_char(rest->out, '}');
    sim_text_fini(&rows);
}

/* First and last trade of a phase of the day. */
static struct sim_bar phase_bar(struct sim_rest *rest, const struct sim_symbol *symbol, int32_t day,
                                enum sim_phase phase)
{
    struct sim_bar bar = {0};
    int64_t start = sim_calendar_midnight(day), now = sim_now(rest->sim);
    for (int64_t t = start; t < start + SIM_DAY && t + SIM_MINUTE <= now; t += SIM_MINUTE) {
        if (sim_calendar_stocks(t) != phase)
            continue;
        struct sim_bar minute = sim_history_minute(rest->sim->history, symbol, t);
        sim_bar_merge(&bar, &minute);
    }
    return bar;
}

void sim_rest_open_close(struct sim_rest *rest)
{
    int32_t day;
    struct sim_symbol *symbol = sim_universe_ticker(&rest->sim->universe, rest->request->segments[2]);
    if (!parse_date(rest, rest->request->segments[3], &day))
        return;
    struct sim_bar regular = {0};
    if (symbol)
        regular = phase_bar(rest, symbol, day, SIM_REGULAR);
    if (regular.count == 0) {
        sim_rest_error(rest, 404, "Data not found.");
        return;
    }
    bool plain = sim_rest_delayed(rest);
    struct sim_bar whole = sim_history_day(rest->sim->history, symbol, day, sim_now(rest->sim));
    struct sim_bar before = phase_bar(rest, symbol, day, SIM_PRE),
                   after = phase_bar(rest, symbol, day, SIM_AFTER);
    struct sim_date date = sim_calendar_date(day);
    sim_text_printf(rest->out, "{\"status\":\"OK\",\"from\":\"%04d-%02d-%02d\",\"symbol\":\"%s\"", date.year,
                    date.month, date.day, symbol->ticker);
    sim_rest_price(rest->out, "open", regular.open, plain);
    sim_rest_price(rest->out, "high", whole.high, plain);
    sim_rest_price(rest->out, "low", whole.low, plain);
    sim_rest_price(rest->out, "close", regular.close, plain);
    sim_rest_size(rest->out, "volume", whole.volume, plain);
    if (after.count)
        sim_rest_price(rest->out, "afterHours", after.close, plain);
    if (before.count)
        sim_rest_price(rest->out, "preMarket", before.open, plain);
    sim_text_char(rest->out, '}');
}
