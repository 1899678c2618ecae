#include "rest_only.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define FEW       4u    /* symbols: that many are asked about one by one */
#define LIST      200u  /* tickers a question */
#define LIST_MOST 1000u /* beyond that the whole market is asked for */
#define MINUTE_MS INT64_C(60000)

struct rest_only {
    struct bus *bus;
    struct symbols *symbols;
    struct feed *feed;
    struct rest *rest;
    struct history *history;
    int minutes; /* segments, -1: none */
    int seconds;
    unsigned open; /* questions of the round */
    bool failed;   /* one of them */
    /* Every minute that was over by then is in some answer before this round. 0: not known. */
    int64_t whole_ms;
    int64_t newest_ms; /* end of the newest minute in this round's answers */
    uint32_t round;
    uint32_t *answered;  /* by symbol: the round in which an answer named it */
    int64_t *seconds_of; /* by symbol: the latest minute when its seconds were asked for */
};

int rest_only_new(struct rest_only **ret, struct bus *bus, struct symbols *symbols, struct feed *feed,
                  struct rest *rest, struct history *history)
{
    size_t most = bus->board.board->symbol_max;
    struct rest_only *o = calloc(1, sizeof *o);
    if (!o)
        return -ENOMEM;
    *o = (struct rest_only){.bus = bus,
                            .symbols = symbols,
                            .feed = feed,
                            .rest = rest,
                            .history = history,
                            .minutes = bus_find(bus, MINUTE_MS),
                            .seconds = bus_find(bus, 1000),
                            .answered = calloc(most, sizeof *o->answered),
                            .seconds_of = calloc(most, sizeof *o->seconds_of)};
    if (!o->answered || !o->seconds_of) {
        rest_only_free(o);
        return -ENOMEM;
    }
    *ret = o;
    return 0;
}

void rest_only_free(struct rest_only *o)
{
    if (!o)
        return;
    free(o->answered);
    free(o->seconds_of);
    free(o);
}

/* --------------------------------------------------------------------------------------------- one by one */

static void ask_about(struct rest_only *o, struct symbol *symbol)
{
    if (history_want(o->history, symbol, REST_BACKFILL) < 0)
        log_event(LOG_REST, "new bars of %s cannot be asked for", symbol->name);
}

static void ask_segment(struct rest_only *o, struct symbol *symbol, int segment)
{
    if (segment >= 0 && history_want_segment(o->history, symbol, (unsigned)segment, REST_BACKFILL) < 0)
        log_event(LOG_REST, "new bars of %s cannot be asked for", symbol->name);
}

static void ask_about_all(struct rest_only *o, enum pgd_cluster cluster)
{
    for (uint32_t i = 0; i < symbols_count(o->symbols); i++) {
        struct symbol *symbol = symbols_at(o->symbols, i);
        if (symbol->held && symbol->cluster == cluster)
            ask_about(o, symbol);
    }
}

/* Stocks that no answer of this round has named. */
static void ask_about_others(struct rest_only *o)
{
    for (uint32_t i = 0; i < symbols_count(o->symbols); i++) {
        struct symbol *symbol = symbols_at(o->symbols, i);
        if (symbol->held && symbol->cluster == PGD_STOCKS && o->answered[i] != o->round)
            ask_about(o, symbol);
    }
}

/* ----------------------------------------------------------------------------------------------- snapshots
 */

/* May minutes that begin after the one at `last`, and before `t`, have been missed? */
static bool may_have_missed(const struct rest_only *o, int64_t last, int64_t t)
{
    return t > last + MINUTE_MS && (o->whole_ms == 0 || t > o->whole_ms);
}

/* The latest minute of a symbol: true when it goes to the feed. */
static bool take_minute(struct rest_only *o, struct symbol *symbol, const struct pgd_bar *bar)
{
    unsigned segment = (unsigned)o->minutes;
    int64_t last = feed_last_bar(o->feed, symbol, segment);
    bool over = bar->t + MINUTE_MS <= feed_now_ms(o->feed);
    if (bar->t < last || (symbol->history & 1u << segment))
        return false;
    if (last == 0 || may_have_missed(o, last, bar->t)) {
        ask_segment(o, symbol, o->minutes);
        return false;
    }
    return over;
}

static void take(struct rest_only *o, struct symbol *symbol, const struct pgd_bar *bar)
{
    uint32_t index = symbols_index(o->symbols, symbol);
    o->answered[index] = o->round;
    if (take_minute(o, symbol, bar))
        feed_history(o->feed, symbol, (unsigned)o->minutes, bar, 1);
    else
        feed_rest_unwanted(o->feed, 1);
    if (o->seconds >= 0 && (bar->t > o->seconds_of[index] || bar->t >= o->whole_ms)) {
        o->seconds_of[index] = bar->t;
        ask_segment(o, symbol, o->seconds);
    }
}

static void on_rows(void *user, const struct rest_rows *rows)
{
    struct rest_only *o = user;
    int64_t latest = feed_now_ms(o->feed) + MINUTE_MS;
    for (size_t i = 0; i < rows->count; i++) {
        const struct pgd_bar *bar = &rows->bars[i];
        struct symbol *symbol = symbols_find(o->symbols, rows->symbols[i]);
        if (bar->t <= latest && bar->t + MINUTE_MS > o->newest_ms)
            o->newest_ms = bar->t + MINUTE_MS;
        if (symbol && symbol->held && symbol->cluster == PGD_STOCKS && bar->t > 0 && bar->t <= latest)
            take(o, symbol, bar);
        else
            feed_rest_unwanted(o->feed, 1);
    }
    feed_batch(o->feed, 0, 0);
}

static void on_bad(void *user, const char *reason, struct event_text raw, uint64_t count)
{
    struct rest_only *o = user;
    feed_rest_refused(o->feed, count);
    log_event(LOG_EVENT_REFUSED, "snapshot: %llu rows refused: %s: %.*s", (unsigned long long)count, reason,
              (int)raw.n, raw.p);
}

/* The newest minute of an answer may be there of some symbols and not yet of others. */
static void on_done(void *user, const struct rest_done *done)
{
    struct rest_only *o = user;
    o->open--;
    o->failed |= done->error != 0;
    if (done->error == -ECANCELED)
        return;
    if (done->error && done->status != 403)
        log_event(LOG_REST, "snapshot: %s", done->message[0] ? done->message : strerror(-done->error));
    if (o->open)
        return;
    if (!o->failed && o->newest_ms)
        o->whole_ms = o->newest_ms - MINUTE_MS;
    ask_about_others(o);
}

/* tickers NULL: the whole market. */
static void ask_snapshot(struct rest_only *o, const char *tickers)
{
    struct rest_query query = {.kind = REST_SNAPSHOT, .class = REST_BACKFILL, .ticker = tickers};
    struct rest_sink sink = {on_rows, on_bad, on_done, o};
    if (rest_get(o->rest, &query, &sink) == 0)
        o->open++;
    else
        o->failed = true;
}

static void ask_lists(struct rest_only *o)
{
    char list[LIST * PGD_SYMBOL_MAX];
    size_t n = 0;
    unsigned count = 0;
    for (uint32_t i = 0; i < symbols_count(o->symbols); i++) {
        const struct symbol *symbol = symbols_at(o->symbols, i);
        if (!symbol->held || symbol->cluster != PGD_STOCKS)
            continue;
        size_t length = strlen(symbol->name);
        if (n)
            list[n++] = ',';
        memcpy(list + n, symbol->name, length + 1);
        n += length;
        if (++count == LIST) {
            ask_snapshot(o, list);
            n = count = 0;
        }
    }
    if (count)
        ask_snapshot(o, list);
}

static unsigned held(const struct rest_only *o, enum pgd_cluster cluster)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < symbols_count(o->symbols); i++) {
        const struct symbol *symbol = symbols_at(o->symbols, i);
        count += symbol->held && symbol->cluster == cluster;
    }
    return count;
}

void rest_only_poll(struct rest_only *o, enum pgd_cluster cluster)
{
    unsigned count = held(o, cluster);
    if (cluster != PGD_STOCKS || o->minutes < 0 || count <= FEW) {
        ask_about_all(o, cluster);
        return;
    }
    if (o->open)
        return;
    o->round++;
    o->failed = false;
    o->newest_ms = 0;
    if (count <= LIST_MOST)
        ask_lists(o);
    else
        ask_snapshot(o, NULL);
    if (!o->open)
        ask_about_all(o, cluster);
}
