#include "feed.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define HELD_MAX 16384u /* bars held back at a time, all symbols together */

/* A bar that waits for its symbol's history. */
struct held {
    struct pgd_bar bar;
    uint32_t next; /* + 1; 0: last */
};

struct source {
    struct feed *feed;
    enum pgd_cluster cluster;
};

struct feed {
    struct bus *bus;
    struct symbols *symbols;
    struct worker *worker;
    struct feed_hooks hooks;
    struct source sources[PGD_CLUSTERS];
    int seconds; /* segment of 1s bars, -1: none */
    int minutes;

    struct held *pool;
    uint32_t pool_free;           /* + 1 */
    uint32_t *held[BUS_BARS_MAX]; /* per symbol: first held bar + 1, newest first */

    /* counts of the batch, added to the board at its end */
    uint64_t received, published, trades, quotes;
    int64_t newest_ms;
    int64_t now_ns; /* wall clock at the batch's first event */
    bool bars_changed;
};

static void count(struct feed *f, enum pgd_counter_id id)
{
    pgd_count(&f->bus->board, id, 1);
}

int feed_new(struct feed **ret, struct bus *bus, struct symbols *symbols, struct worker *worker,
             const struct feed_hooks *hooks)
{
    struct feed *f = calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    f->bus = bus;
    f->symbols = symbols;
    f->worker = worker;
    f->hooks = *hooks;
    f->seconds = bus_find(bus, 1000);
    f->minutes = bus_find(bus, 60000);
    f->now_ns = clock_real_ns();
    for (int i = 0; i < PGD_CLUSTERS; i++)
        f->sources[i] = (struct source){f, (enum pgd_cluster)i};
    f->pool = calloc(HELD_MAX, sizeof *f->pool);
    int r = f->pool ? 0 : -ENOMEM;
    for (unsigned s = 0; s < bus->bars_count && r == 0; s++) {
        f->held[s] = calloc(bus->bars[s].geo->series_max, sizeof *f->held[s]);
        r = f->held[s] ? 0 : -ENOMEM;
    }
    if (r < 0) {
        feed_free(f);
        return r;
    }
    for (uint32_t i = 0; i < HELD_MAX; i++)
        f->pool[i].next = i + 2 <= HELD_MAX ? i + 2 : 0;
    f->pool_free = 1;
    *ret = f;
    return 0;
}

void feed_free(struct feed *f)
{
    if (!f)
        return;
    for (unsigned s = 0; s < BUS_BARS_MAX; s++)
        free(f->held[s]);
    free(f->pool);
    free(f);
}

/* --------------------------------------------------------------------------------------------------- bars */

static bool same_double(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static bool same_bar(const struct pgd_bar *a, const struct pgd_bar *b)
{
    return same_double(a->o, b->o) && same_double(a->h, b->h) && same_double(a->l, b->l) &&
           same_double(a->c, b->c) && same_double(a->v, b->v) && same_double(a->vw, b->vw) &&
           (a->n == b->n || b->n == PGD_N_ABSENT);
}

static void note(struct feed *f, unsigned segment, uint32_t series, uint64_t first, uint64_t end,
                 uint32_t flags)
{
    worker_note(f->worker, segment, series, first, end, flags);
    f->bars_changed = true;
}

/* Puts one bar where its start belongs. Returns the counter it ends in. */
static enum pgd_counter_id place(struct feed *f, unsigned segment, uint32_t series, const struct pgd_bar *bar,
                                 uint32_t history)
{
    struct pgd_bars *bars = &f->bus->bars[segment];
    uint64_t head = pgd_bars_head(bars, series);
    uint64_t first = pgd_bars_first(bars, series);
    struct pgd_bar row;
    if (head > first)
        pgd_bars_peek(bars, series, head - 1, &row);
    if (head == first || bar->t > row.t) {
        pgd_bars_append(bars, series, bar);
        note(f, segment, series, head, head + 1, PGD_CHANGE_APPEND | history);
        count(f, PGD_C_bars_appended);
        return PGD_C_events_published;
    }
    uint64_t at = pgd_bars_search(bars, series, bar->t);
    pgd_bars_peek(bars, series, at, &row);
    if (row.t == bar->t) {
        if (same_bar(&row, bar))
            return PGD_C_events_duplicate;
        if (pgd_bars_revise(bars, series, at, bar) < 0)
            return PGD_C_events_too_old;
        note(f, segment, series, at, at + 1, PGD_CHANGE_REVISE | history);
        count(f, PGD_C_bars_revised);
        return PGD_C_events_published;
    }
    /* Older than all that is held, and rows have left the ring or would have to: too old. */
    bool full = head - first >= bars->geo->capacity - 1u;
    if ((at == first && (first > 0 || full)) || pgd_bars_insert(bars, series, at, bar) < 0)
        return PGD_C_events_too_old;
    note(f, segment, series, at, head + 1, PGD_CHANGE_REVISE | history);
    count(f, PGD_C_bars_inserted);
    return PGD_C_events_published;
}

static bool hold(struct feed *f, unsigned segment, uint32_t series, const struct pgd_bar *bar)
{
    if (!f->pool_free)
        return false;
    uint32_t i = f->pool_free - 1;
    f->pool_free = f->pool[i].next;
    f->pool[i].bar = *bar;
    f->pool[i].next = f->held[segment][series];
    f->held[segment][series] = i + 1;
    return true;
}

/* The cell this thread alone writes, so it may be read plainly. */
static const struct pgd_bar *forming_of(const struct pgd_bars *bars, uint32_t series)
{
    const uint8_t *at = bars->map.base + bars->geo->series_offset + series * bars->geo->series_stride;
    return &((const struct pgd_series *)at)->forming;
}

/* The minute that forms, made of the seconds that came. */
static void form(struct feed *f, uint32_t series, const struct pgd_bar *second)
{
    if (f->minutes < 0)
        return;
    struct pgd_bars *bars = &f->bus->bars[f->minutes];
    int64_t start = second->t - second->t % 60000;
    struct pgd_bar b = *forming_of(bars, series);
    if (start < b.t)
        return;
    uint64_t head = pgd_bars_head(bars, series);
    struct pgd_bar last = {0};
    if (head > pgd_bars_first(bars, series))
        pgd_bars_peek(bars, series, head - 1, &last);
    if (start <= last.t)
        return;
    if (start > b.t) {
        b = *second;
        b.t = start;
        b.n = PGD_N_ABSENT;
    } else {
        double volume = b.v + second->v;
        b.vw = volume > 0 ? (b.vw * b.v + second->vw * second->v) / volume : b.vw;
        b.v = volume;
        b.h = second->h > b.h ? second->h : b.h;
        b.l = second->l < b.l ? second->l : b.l;
        b.c = second->c;
    }
    b.flags = PGD_BAR_MADE;
    pgd_bars_forming(bars, series, &b);
}

static void formed(struct feed *f, uint32_t series, const struct pgd_bar *minute)
{
    struct pgd_bars *bars = &f->bus->bars[f->minutes];
    int64_t start = forming_of(bars, series)->t;
    if (start != 0 && start <= minute->t)
        pgd_bars_forming(bars, series, &(struct pgd_bar){0});
}

static bool is_second(enum event_type type)
{
    return type == EVENT_A || type == EVENT_XAS || type == EVENT_CAS;
}

static void take_bar(struct feed *f, struct symbol *symbol, const struct event *e)
{
    bool second = is_second(e->type);
    int segment = second ? f->seconds : f->minutes;
    uint32_t series = symbols_index(f->symbols, symbol);
    const struct pgd_bar *bar = &e->bar.bar;
    if (bar->t > f->newest_ms)
        f->newest_ms = bar->t;
    if (f->minutes >= 0 && !isnan(e->bar.day.av))
        pgd_bars_day(&f->bus->bars[f->minutes], series, &e->bar.day);
    if (second)
        form(f, series, bar);
    else if (f->minutes >= 0)
        formed(f, series, bar);
    enum pgd_counter_id outcome = PGD_C_events_unwanted;
    if (segment >= 0) {
        if ((symbol->history & 1u << segment) && hold(f, (unsigned)segment, series, bar))
            return; /* counted when it is let go */
        outcome = place(f, (unsigned)segment, series, bar, 0);
    }
    if (outcome == PGD_C_events_published)
        f->published++;
    else
        count(f, outcome);
}

void feed_history(struct feed *f, struct symbol *symbol, unsigned segment, const struct pgd_bar *bars,
                  size_t n)
{
    uint32_t series = symbols_index(f->symbols, symbol);
    for (size_t i = 0; i < n; i++)
        (void)place(f, segment, series, &bars[i], PGD_CHANGE_HISTORY);
    pgd_count(&f->bus->board, PGD_C_rest_bars, n);
}

void feed_cached(struct feed *f, struct symbol *symbol, unsigned segment, const struct pgd_bar *bars,
                 size_t n)
{
    struct pgd_bars *rows = &f->bus->bars[segment];
    uint32_t series = symbols_index(f->symbols, symbol);
    int64_t last = feed_last_bar(f, symbol, segment);
    size_t i = 0;
    for (; i < n && bars[i].t <= last; i++)
        (void)place(f, segment, series, &bars[i], PGD_CHANGE_HISTORY);
    uint64_t head = pgd_bars_head(rows, series);
    for (size_t j = i; j < n; j++)
        pgd_bars_append(rows, series, &bars[j]);
    if (i < n)
        note(f, segment, series, head, head + (n - i), PGD_CHANGE_APPEND | PGD_CHANGE_HISTORY);
    pgd_count(&f->bus->board, PGD_C_bars_appended, n - i);
    pgd_count(&f->bus->board, PGD_C_cache_rows, n);
}

void feed_release(struct feed *f, struct symbol *symbol, unsigned segment)
{
    uint32_t series = symbols_index(f->symbols, symbol);
    symbol->history &= ~(1u << segment);
    uint32_t oldest = 0;
    for (uint32_t i = f->held[segment][series]; i;) { /* newest first: turn the list round */
        uint32_t next = f->pool[i - 1].next;
        f->pool[i - 1].next = oldest;
        oldest = i;
        i = next;
    }
    f->held[segment][series] = 0;
    while (oldest) {
        struct held *h = &f->pool[oldest - 1];
        uint32_t next = h->next;
        count(f, place(f, segment, series, &h->bar, 0));
        h->next = f->pool_free;
        f->pool_free = oldest;
        oldest = next;
    }
}

int64_t feed_last_bar(const struct feed *f, const struct symbol *symbol, unsigned segment)
{
    const struct pgd_bars *bars = &f->bus->bars[segment];
    uint32_t series = symbols_index(f->symbols, symbol);
    uint64_t head = pgd_bars_head(bars, series);
    if (head == pgd_bars_first(bars, series))
        return 0;
    struct pgd_bar row;
    pgd_bars_peek(bars, series, head - 1, &row);
    return row.t;
}

void feed_open_symbol(struct feed *f, struct symbol *symbol, bool hold_bars)
{
    uint32_t series = symbols_index(f->symbols, symbol);
    for (unsigned s = 0; s < f->bus->bars_count; s++) {
        pgd_bars_open_series(&f->bus->bars[s], series, symbols_session((enum pgd_cluster)symbol->cluster));
        if (hold_bars)
            symbol->history |= 1u << s;
    }
}

/* ------------------------------------------------------------------------------------------------- events */

static void take_trade(struct feed *f, struct symbol *symbol, const struct event *e)
{
    struct pgd_tape_writer *w = &f->bus->trades.writer;
    if (!f->bus->trades.map.base) {
        count(f, PGD_C_events_unwanted);
        return;
    }
    struct pgd_trade t = e->trade;
    t.symbol = symbols_index(f->symbols, symbol);
    pgd_tape_put(w, &t);
    pgd_tape_put_latest(w, t.symbol, &t);
    f->trades++;
    f->published++;
}

static void take_quote(struct feed *f, struct symbol *symbol, const struct event *e)
{
    struct pgd_tape_writer *w = &f->bus->quotes.writer;
    if (!f->bus->quotes.map.base) {
        count(f, PGD_C_events_unwanted);
        return;
    }
    struct pgd_quote q = e->quote;
    q.symbol = symbols_index(f->symbols, symbol);
    pgd_tape_put(w, &q);
    pgd_tape_put_latest(w, q.symbol, &q);
    f->quotes++;
    f->published++;
}

static void take_counted(struct feed *f, const struct event *e)
{
    count(f, PGD_C_events_counted);
    if (e->type == EVENT_LULD)
        count(f, PGD_C_luld);
    else if (e->type == EVENT_NOI)
        count(f, PGD_C_noi);
    else if (e->type == EVENT_FMV)
        count(f, PGD_C_fmv);
}

static void on_event(void *user, const struct event *e)
{
    const struct source *source = user;
    struct feed *f = source->feed;
    if (f->received++ == 0)
        f->now_ns = clock_real_ns();
    if (e->class == EVENT_CLASS_COUNTED) {
        take_counted(f, e);
        return;
    }
    struct symbol *symbol = symbols_find_wire(f->symbols, source->cluster, e->symbol.p, e->symbol.n);
    if (!symbol || !symbol->held) {
        symbol = f->hooks.unheld(f->hooks.user, source->cluster, e->symbol);
        if (!symbol) {
            count(f, PGD_C_events_unwanted);
            return;
        }
    }
    symbol->events++;
    symbol->last_ns = f->now_ns;
    if (e->class == EVENT_CLASS_TRADE)
        take_trade(f, symbol, e);
    else if (e->class == EVENT_CLASS_QUOTE)
        take_quote(f, symbol, e);
    else
        take_bar(f, symbol, e);
}

static void on_fault(void *user, enum event_fault fault, const char *reason, const struct event *e,
                     struct event_text raw)
{
    const struct source *source = user;
    struct feed *f = source->feed;
    f->received++;
    count(f, fault == EVENT_NOT_KNOWN ? PGD_C_events_unknown
             : fault == EVENT_REFUSED ? PGD_C_events_refused
                                      : PGD_C_events_malformed);
    if (e->symbol.n) {
        struct symbol *symbol = symbols_find_wire(f->symbols, source->cluster, e->symbol.p, e->symbol.n);
        if (symbol)
            symbol->faults++;
    }
    f->hooks.dropped(f->hooks.user, source->cluster, reason, raw);
}

struct parse_sink feed_sink(struct feed *f, enum pgd_cluster cluster)
{
    return (struct parse_sink){.event = on_event, .fault = on_fault, .user = &f->sources[cluster]};
}

void feed_batch(struct feed *f, uint64_t bytes, uint64_t messages)
{
    struct pgd_board_writer *b = &f->bus->board;
    if (f->bus->trades.map.base && f->trades)
        pgd_tape_publish(&f->bus->trades.writer);
    if (f->bus->quotes.map.base && f->quotes)
        pgd_tape_publish(&f->bus->quotes.writer);
    if (f->bars_changed)
        worker_kick(f->worker);
    pgd_count(b, PGD_C_events_received, f->received);
    pgd_count(b, PGD_C_events_published, f->published);
    pgd_count(b, PGD_C_trades, f->trades);
    pgd_count(b, PGD_C_quotes, f->quotes);
    pgd_count(b, PGD_C_ws_bytes, bytes);
    pgd_count(b, PGD_C_ws_messages, messages);
    pgd_count(b, PGD_C_ws_batches, messages != 0);
    f->received = f->published = f->trades = f->quotes = 0;
    f->bars_changed = false;
}

int64_t feed_now_ms(const struct feed *f)
{
    int64_t now = clock_real_ns() / 1000000;
    return now > f->newest_ms ? now : f->newest_ms;
}
