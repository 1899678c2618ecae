#include "feed.h"

#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "session.h"

#define SLICE                                                                                                \
    INT64_C(250) /* ms of market time in which one symbol's events go out before the next symbol's */
#define LULD_EVERY      INT64_C(30000)
#define STEP            INT64_C(1000)
#define STEP_TURN_NS    UINT64_C(10000000)
#define STEP_BACKLOG    (4u << 20)
#define HELD_PER_MINUTE (SIM_TOPIC_TRADE | SIM_TOPIC_SECOND | SIM_TOPIC_LULD | SIM_TOPIC_FMV)

struct ticker {
    int64_t minute; /* whose trades (and quotes) are held; 0: none */
    struct sim_minute trades;
    struct sim_quotes quotes;
    uint32_t next_trade, next_quote;
    int32_t day;       /* New York day of `so_far`, 0: none */
    int64_t so_far_to; /* its end: trades before this are in it */
    struct sim_day so_far;
};

struct sim_feed {
    struct sim *sim;
    struct ticker *tickers;
    uint8_t *wanted; /* by symbol: topics that anybody wants */
    uint32_t *active;
    size_t active_count;
    bool stale;    /* wanted is out of date */
    int64_t until; /* everything before this has been emitted */
    struct sim_text event;
};

struct sim_feed *sim_feed_new(struct sim *sim)
{
    struct sim_feed *feed = calloc(1, sizeof(*feed));
    if (!feed)
        return NULL;
    size_t count = sim->universe.count;
    *feed = (struct sim_feed){.sim = sim,
                              .tickers = calloc(count, sizeof(*feed->tickers)),
                              .wanted = calloc(count, 1),
                              .active = calloc(count, sizeof(*feed->active)),
                              .until = sim_now(sim)};
    if (!feed->tickers || !feed->wanted || !feed->active) {
        sim_feed_free(feed);
        return NULL;
    }
    return feed;
}

void sim_feed_free(struct sim_feed *feed)
{
    if (!feed)
        return;
    for (size_t i = 0; feed->tickers && i < feed->sim->universe.count; i++) {
        sim_minute_fini(&feed->tickers[i].trades);
        sim_quotes_fini(&feed->tickers[i].quotes);
    }
    sim_text_fini(&feed->event);
    free(feed->tickers);
    free(feed->wanted);
    free(feed->active);
    free(feed);
}

void sim_feed_subscriptions_changed(struct sim_feed *feed)
{
    feed->stale = true;
}

static void refresh(struct sim_feed *feed)
{
    const struct sim_universe *u = &feed->sim->universe;
    memset(feed->wanted, 0, u->count);
    for (const struct sim_session *s = feed->sim->sessions; s; s = s->next) {
        if (s->state != SIM_STREAMING)
            continue;
        for (size_t i = 0; i < u->count; i++)
            if (u->symbols[i].asset == s->cluster)
                feed->wanted[i] = (uint8_t)(feed->wanted[i] | s->topics[i] | s->every);
    }
    feed->active_count = 0;
    for (size_t i = 0; i < u->count; i++) {
        if (feed->wanted[i])
            feed->active[feed->active_count++] = (uint32_t)i;
        else
            feed->tickers[i].minute = 0;
    }
    feed->stale = false;
}

/* The event that was just written to feed->event goes to everybody who wants it. */
static void emit(struct sim_feed *feed, size_t symbol, enum sim_topic topic)
{
    const struct sim_symbol *s = &feed->sim->universe.symbols[symbol];
    for (struct sim_session *to = feed->sim->sessions, *next; to; to = next) {
        next = to->next;
        if (to->cluster == s->asset && sim_session_wants(to, symbol, topic))
            sim_session_event(to, feed->event.data, feed->event.size);
    }
    feed->event.size = 0;
}

/* ----------------------------------------------------------------------------------------- the day so far */

static void day_add(struct sim_day *day, const struct sim_symbol *symbol, const struct sim_bar *bar)
{
    bool sessions = symbol->asset != SIM_CRYPTO && symbol->asset != SIM_FOREX && symbol->asset != SIM_FUTURES;
    if (day->open == 0 && sessions && bar->count > 0 && sim_calendar_stocks(bar->t) == SIM_REGULAR)
        day->open = bar->open;
    sim_bar_merge(&day->bar, bar);
}

/* Brings the day's accumulation up to `to`, a whole minute. */
static void day_catch_up(struct sim_feed *feed, size_t i, int64_t to)
{
    struct ticker *ticker = &feed->tickers[i];
    const struct sim_symbol *symbol = &feed->sim->universe.symbols[i];
    int32_t day = sim_history_day_of(symbol, to - 1);
    if (ticker->day != day || ticker->so_far_to > to) {
        ticker->day = day;
        ticker->so_far = (struct sim_day){0};
        ticker->so_far_to = sim_history_day_start(symbol, day);
    }
    for (; ticker->so_far_to < to; ticker->so_far_to += SIM_MINUTE) {
        struct sim_bar bar = sim_history_minute(feed->sim->history, symbol, ticker->so_far_to);
        day_add(&ticker->so_far, symbol, &bar);
    }
}

/* ------------------------------------------------------------------------------------ one symbol's events */

static void emit_minute(struct sim_feed *feed, size_t i, int64_t minute)
{
    const struct sim_symbol *symbol = &feed->sim->universe.symbols[i];
    struct sim_bar bar = sim_history_minute(feed->sim->history, symbol, minute);
    if (bar.count == 0)
        return;
    day_catch_up(feed, i, minute + SIM_MINUTE);
    sim_event_bar(&feed->event, symbol, SIM_TOPIC_MINUTE, &bar, minute + SIM_MINUTE,
                  &feed->tickers[i].so_far);
    emit(feed, i, SIM_TOPIC_MINUTE);
}

void sim_feed_resend(struct sim_feed *feed, const struct sim_symbol *symbol, int64_t minute)
{
    if (feed->stale)
        refresh(feed);
    size_t i = (size_t)(symbol - feed->sim->universe.symbols);
    feed->tickers[i].day = 0;
    feed->tickers[i].minute = 0;
    emit_minute(feed, i, minute);
    for (struct sim_session *s = feed->sim->sessions, *next; s; s = next) {
        next = s->next;
        sim_session_flush(s);
    }
}

static void emit_second(struct sim_feed *feed, size_t i, int64_t second)
{
    struct ticker *ticker = &feed->tickers[i];
    const struct sim_symbol *symbol = &feed->sim->universe.symbols[i];
    int32_t at = (int32_t)(second - ticker->minute);
    struct sim_bar bar = sim_bar_of(&ticker->trades, ticker->minute, at, at + 1000);
    if (bar.count == 0)
        return;
    day_catch_up(feed, i, ticker->minute);
    struct sim_bar before = sim_bar_of(&ticker->trades, ticker->minute, 0, at + 1000);
    struct sim_day day = ticker->so_far;
    day_add(&day, symbol, &before);
    sim_event_bar(&feed->event, symbol, SIM_TOPIC_SECOND, &bar, second + 1000, &day);
    emit(feed, i, SIM_TOPIC_SECOND);
}

static void hold(struct sim_feed *feed, size_t i, int64_t minute, int32_t at)
{
    struct ticker *ticker = &feed->tickers[i];
    if (ticker->minute == minute)
        return;
    const struct sim_symbol *symbol = &feed->sim->universe.symbols[i];
    sim_market_minute(&feed->sim->market, symbol, minute, &ticker->trades);
    sim_market_quotes(&feed->sim->market, symbol, minute, &ticker->quotes);
    ticker->minute = minute;
    ticker->next_trade = ticker->next_quote = 0;
    while (ticker->next_trade < ticker->trades.count && ticker->trades.trades[ticker->next_trade].at < at)
        ticker->next_trade++;
    while (ticker->next_quote < ticker->quotes.count && ticker->quotes.quotes[ticker->next_quote].at < at)
        ticker->next_quote++;
}

static void emit_ticks(struct sim_feed *feed, size_t i, int32_t to)
{
    struct ticker *k = &feed->tickers[i];
    const struct sim_symbol *symbol = &feed->sim->universe.symbols[i];
    unsigned wanted = feed->wanted[i];
    for (;;) {
        int32_t trade = k->next_trade < k->trades.count ? k->trades.trades[k->next_trade].at : to;
        int32_t quote = k->next_quote < k->quotes.count ? k->quotes.quotes[k->next_quote].at : to;
        if (trade >= to && quote >= to)
            return;
        if (quote <= trade) {
            if (wanted & SIM_TOPIC_QUOTE) {
                sim_event_quote(&feed->event, symbol, k->minute, &k->quotes.quotes[k->next_quote]);
                emit(feed, i, SIM_TOPIC_QUOTE);
            }
            k->next_quote++;
        } else {
            if (wanted & SIM_TOPIC_TRADE) {
                sim_event_trade(&feed->event, symbol, k->minute, &k->trades.trades[k->next_trade]);
                emit(feed, i, SIM_TOPIC_TRADE);
            }
            k->next_trade++;
        }
    }
}

/* Fair value once a second, price bands every half minute, from the latest trade of the minute. */
static void emit_marks(struct sim_feed *feed, size_t i, int64_t t)
{
    struct ticker *k = &feed->tickers[i];
    if (k->next_trade == 0 || t % 1000 != 0)
        return;
    const struct sim_symbol *symbol = &feed->sim->universe.symbols[i];
    const struct sim_trade *last = &k->trades.trades[k->next_trade - 1];
    if (feed->wanted[i] & SIM_TOPIC_FMV) {
        sim_event_fmv(&feed->event, symbol, t, last->price);
        emit(feed, i, SIM_TOPIC_FMV);
    }
    if (feed->wanted[i] & SIM_TOPIC_LULD && t % LULD_EVERY == 0) {
        sim_event_luld(&feed->event, symbol, t, last->price, last->q);
        emit(feed, i, SIM_TOPIC_LULD);
    }
}

/* Events of [from, to), which lies within one minute and one slice. */
static void run_symbol(struct sim_feed *feed, size_t i, int64_t from, int64_t to)
{
    int64_t minute = from - from % SIM_MINUTE;
    unsigned wanted = feed->wanted[i];
    if (wanted & (HELD_PER_MINUTE | SIM_TOPIC_QUOTE)) {
        hold(feed, i, minute, (int32_t)(from - minute));
        emit_ticks(feed, i, (int32_t)(to - minute));
        if (wanted & SIM_TOPIC_SECOND && to % 1000 == 0)
            emit_second(feed, i, to - 1000);
        if (wanted & (SIM_TOPIC_FMV | SIM_TOPIC_LULD))
            emit_marks(feed, i, to);
    }
    if (wanted & SIM_TOPIC_MINUTE && to % SIM_MINUTE == 0)
        emit_minute(feed, i, minute);
}

static bool only_minutes(const struct sim_feed *feed)
{
    for (size_t k = 0; k < feed->active_count; k++)
        if (feed->wanted[feed->active[k]] & ~(unsigned)SIM_TOPIC_MINUTE)
            return false;
    return true;
}

static void advance(struct sim_feed *feed, int64_t to)
{
    int64_t slice = only_minutes(feed) ? SIM_MINUTE : SLICE;
    while (feed->until < to) {
        int64_t end = feed->until - feed->until % slice + slice;
        if (end > to)
            end = to;
        for (size_t k = 0; k < feed->active_count; k++)
            run_symbol(feed, feed->active[k], feed->until, end);
        feed->until = end;
    }
}

static bool clients_keep_up(const struct sim_feed *feed)
{
    for (const struct sim_session *s = feed->sim->sessions; s; s = s->next)
        if (sim_conn_pending(s->conn) > STEP_BACKLOG)
            return false;
    return feed->active_count > 0;
}

static void flush_all(struct sim_feed *feed)
{
    for (struct sim_session *s = feed->sim->sessions, *next; s; s = next) {
        next = s->next;
        sim_session_flush(s);
    }
}

void sim_feed_run(struct sim_feed *feed)
{
    if (feed->stale)
        refresh(feed);
    if (feed->sim->options.speed > 0) {
        advance(feed, sim_now(feed->sim));
        flush_all(feed);
        return;
    }
    uint64_t began = uv_hrtime();
    while (clients_keep_up(feed) && uv_hrtime() - began < STEP_TURN_NS) {
        feed->sim->stepped += STEP;
        advance(feed, feed->sim->stepped);
        flush_all(feed);
        if (feed->stale)
            refresh(feed);
    }
}
