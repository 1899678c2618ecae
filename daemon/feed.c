#include "feed.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "feed_private.h"

#define AHEAD_NS      (60 * NS_PER_S) /* of the clock: no time for an event */
#define TICKS_LATE_NS (10 * NS_PER_S) /* trades and quotes come in the order of their times within this */
#define BARS_LATE_NS  (15 * NS_PER_S) /* after its end a bar is sent within this */

/* What is known before the first event: the rows that an earlier run left. feed_ticks_new adds its records.
 */
static int marks_new(struct feed *f)
{
    uint32_t series_max = f->bus->board.board->symbol_max;
    f->marks = calloc(series_max, sizeof *f->marks);
    if (!f->marks)
        return -ENOMEM;
    for (uint32_t i = 0; i < series_max; i++)
        for (unsigned s = 0; s < f->bus->bars_count; s++) {
            const struct pgd_bars *bars = &f->bus->bars[s];
            uint64_t head = pgd_bars_head(bars, i);
            struct pgd_bar row = {0};
            if (head > pgd_bars_first(bars, i))
                pgd_bars_peek(bars, i, head - 1, &row);
            f->marks[i].bar_ms[s] = row.t;
            f->marks[i].volume[s] = NAN;
        }
    return 0;
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
    (void)clock_stamp(&f->clock);
    for (int i = 0; i < PGD_CLUSTERS; i++)
        f->sources[i] = (struct feed_source){.feed = f, .cluster = (enum pgd_cluster)i};
    f->pool = calloc(FEED_HELD_MAX, sizeof *f->pool);
    int r = f->pool ? marks_new(f) : -ENOMEM;
    if (r == 0 && bus->trades.map.base)
        r = feed_ticks_new(f, FEED_TRADES);
    if (r == 0 && bus->quotes.map.base)
        r = feed_ticks_new(f, FEED_QUOTES);
    for (unsigned s = 0; s < bus->bars_count && r == 0; s++) {
        f->held[s] = calloc(bus->bars[s].geo->series_max, sizeof *f->held[s]);
        r = f->held[s] ? 0 : -ENOMEM;
    }
    if (r < 0) {
        feed_free(f);
        return r;
    }
    for (uint32_t i = 0; i < FEED_HELD_MAX; i++)
        f->pool[i].next = i + 2 <= FEED_HELD_MAX ? i + 2 : 0;
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
    for (unsigned i = 0; i < 2; i++) {
        seen_free(f->live[i]);
        seen_free(f->filled[i]);
    }
    free(f->marks);
    free(f->pool);
    free(f);
}

void feed_tap(struct feed *f, struct journal *journal)
{
    f->journal = journal;
}

struct clock *feed_clock(struct feed *f)
{
    return &f->clock;
}

void feed_stamp(struct feed *f, int64_t real_ns)
{
    if (!f->clock.driven)
        f->clock.now_ns = real_ns;
    f->stamped = true;
}

/* ------------------------------------------------------------------------------------------------- events */

static void take_counted(struct feed *f, const struct event *e)
{
    feed_count(f, PGD_C_events_counted);
    if (e->type == EVENT_LULD)
        feed_count(f, PGD_C_luld);
    else if (e->type == EVENT_NOI)
        feed_count(f, PGD_C_noi);
    else if (e->type == EVENT_FMV)
        feed_count(f, PGD_C_fmv);
}

/* Where the market is, as this cluster's stream shows it. A time far ahead of the clock is a mistake of the
 * sender's and would hide a hole. */
static void note_time(struct feed_source *source, const struct event *e)
{
    int64_t t = e->class == EVENT_CLASS_TRADE   ? e->trade.t
                : e->class == EVENT_CLASS_QUOTE ? e->quote.t
                                                : e->bar.bar.t * 1000000;
    if (t > source->feed->clock.now_ns + AHEAD_NS)
        return;
    if (t > source->newest_ns)
        source->newest_ns = t;
    if (e->class != EVENT_CLASS_BAR && t > source->tick_ns)
        source->tick_ns = t;
}

static void on_event(void *user, const struct event *e)
{
    struct feed_source *source = user;
    struct feed *f = source->feed;
    if (f->received++ == 0 && !f->stamped)
        (void)clock_stamp(&f->clock);
    if (e->class == EVENT_CLASS_COUNTED) {
        take_counted(f, e);
        return;
    }
    struct symbol *symbol = symbols_find_wire(f->symbols, source->cluster, e->symbol.p, e->symbol.n);
    if (!symbol || !symbol->held) {
        symbol = f->hooks.unheld(f->hooks.user, source->cluster, e->symbol);
        if (!symbol) {
            feed_count(f, PGD_C_events_unwanted);
            return;
        }
    }
    symbol->events++;
    symbol->last_ns = f->clock.now_ns;
    note_time(source, e);
    if (e->class == EVENT_CLASS_TRADE)
        feed_take_trade(f, symbol, e);
    else if (e->class == EVENT_CLASS_QUOTE)
        feed_take_quote(f, symbol, e);
    else
        feed_take_bar(f, symbol, e);
}

/* An event that could not be read leaves a hole: it may have been any record since the last. */
static void miss(struct feed *f, struct symbol *symbol, const struct event *e)
{
    enum pgd_topic topic = e->class == EVENT_CLASS_TRADE   ? PGD_TRADES
                           : e->class == EVENT_CLASS_QUOTE ? PGD_QUOTES
                           : feed_is_second(e->type)       ? PGD_BARS_1S
                                                           : PGD_BARS_1M;
    int64_t from = feed_known_until(f, symbol, topic, false);
    if (e->class <= EVENT_CLASS_BAR && e->type != EVENT_V && from != 0 && f->hooks.hole)
        f->hooks.hole(f->hooks.user, symbol, topic, from, feed_now_ms(f) * 1000000, PGD_GAP_REFUSED);
}

static void on_fault(void *user, enum event_fault fault, const char *reason, const struct event *e,
                     struct event_text raw)
{
    const struct feed_source *source = user;
    struct feed *f = source->feed;
    f->received++;
    feed_count(f, fault == EVENT_NOT_KNOWN ? PGD_C_events_unknown
                  : fault == EVENT_REFUSED ? PGD_C_events_refused
                                           : PGD_C_events_malformed);
    if (e->symbol.n) {
        struct symbol *symbol = symbols_find_wire(f->symbols, source->cluster, e->symbol.p, e->symbol.n);
        if (symbol) {
            symbol->faults++;
            miss(f, symbol, e);
        }
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
    feed_settle_ticks(f);
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
    feed_tap_batch(f, bytes, messages);
    f->stamped = false;
}

int feed_segment(const struct feed *f, enum pgd_topic topic, int64_t *ret_span_ns)
{
    int segment = topic == PGD_BARS_1S ? f->seconds : topic == PGD_BARS_1M ? f->minutes : -1;
    if (segment >= 0)
        *ret_span_ns = f->bus->span_ms[segment] * 1000000;
    return segment;
}

int64_t feed_known_until(const struct feed *f, const struct symbol *symbol, enum pgd_topic topic, bool alone)
{
    const struct feed_mark *m = &f->marks[symbols_index(f->symbols, symbol)];
    int64_t newest = f->sources[symbol->cluster].newest_ns;
    int64_t span = 0;
    int segment = feed_segment(f, topic, &span);
    int64_t own = topic == PGD_QUOTES ? m->quote_ns : m->trade_ns;
    if (segment >= 0)
        own = m->bar_ms[segment] ? m->bar_ms[segment] * 1000000 + span : 0;
    int64_t others = newest - (segment >= 0 ? span + BARS_LATE_NS : TICKS_LATE_NS);
    int64_t known = !alone && newest != 0 && others > own ? others : own;
    return known - known % (segment >= 0 ? span : INT64_C(1000000));
}

int64_t feed_tick_ns(const struct feed *f, enum pgd_cluster cluster)
{
    return f->sources[cluster].tick_ns;
}

void feed_lost(struct feed *f, enum pgd_cluster cluster)
{
    feed_tap_break(f, cluster);
    for (uint32_t i = 0; i < symbols_count(f->symbols); i++)
        if (symbols_at(f->symbols, i)->cluster == cluster)
            for (unsigned s = 0; s < BUS_BARS_MAX; s++)
                f->marks[i].volume[s] = NAN;
}

int64_t feed_now_ms(const struct feed *f)
{
    int64_t now = clock_now_ns(&f->clock) / 1000000;
    return now > f->newest_ms ? now : f->newest_ms;
}
