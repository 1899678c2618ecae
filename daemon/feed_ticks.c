/* Trades and quotes: published once, whoever brings them first. Identities stand in feed.h; what is
 * remembered of them in seen.h. */
#include "feed_private.h"

#include <errno.h>
#include <string.h>

#define KEYS_A_SLOT 4u /* remembered for each slot of the tape */
#define NS_PER_MS   INT64_C(1000000)
#define NS_PER_DAY  (INT64_C(86400000) * NS_PER_MS)
#define DAY_SHIFT   44u /* above symbol, exchange and facility */
#define DAY_MASK    0x3fffu

/* Kinds of keys, in their top bits. */
#define KEY_ID     (UINT64_C(1) << 62)
#define KEY_TRADE  (UINT64_C(2) << 62)
#define KEY_QUOTE  (UINT64_C(3) << 62)
#define KEY_HASHED (UINT64_C(1) << 61) /* the id is the hash of a text */
#define KEY_UNIQUE (UINT64_C(1) << 60) /* no two records have it */

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* What all of it says: of two that say the same none can be told from the other. */
static struct seen_key trade_key(const struct pgd_trade *t)
{
    uint64_t where = (t->symbol + UINT64_C(1)) << 24 | (uint64_t)t->exchange << 8 | t->trf;
    uint64_t day = (uint64_t)(t->t / NS_PER_DAY) & DAY_MASK; /* exchanges begin their ids anew with the day */
    if (t->id != 0)
        return (struct seen_key){KEY_ID | KEY_UNIQUE | (t->flags & PGD_ID_HASHED ? KEY_HASHED : 0) |
                                     day << DAY_SHIFT | where,
                                 t->id};
    uint64_t hash = mix(0, (uint64_t)(t->t / NS_PER_MS));
    hash = mix(hash, bits_of(t->price));
    hash = mix(hash, bits_of(t->size));
    return (struct seen_key){KEY_TRADE | where, mix(hash, t->seq)};
}

/* A quote that says all the same, its sequence number included, is the same. */
static struct seen_key quote_key(const struct pgd_quote *q)
{
    uint64_t where = (q->symbol + UINT64_C(1)) << 32 | (uint64_t)q->bid_exchange << 16 | q->ask_exchange;
    uint64_t hash = mix(0, (uint64_t)(q->t / NS_PER_MS));
    hash = mix(hash, bits_of(q->bid));
    hash = mix(hash, bits_of(q->ask));
    hash = mix(hash, bits_of(q->bid_size));
    hash = mix(hash, bits_of(q->ask_size));
    return (struct seen_key){KEY_QUOTE | (q->seq != 0 ? KEY_UNIQUE : 0) | where, mix(hash, q->seq)};
}

/* Records an earlier run left on the tape: known, and where the stream was. */
static void adopt(struct feed *f, enum feed_tick kind, struct pgd_tape_segment *segment)
{
    struct pgd_tape_reader reader;
    union {
        struct pgd_trade trade;
        struct pgd_quote quote;
    } record;
    uint64_t offset =
        ((const struct pgd_tape_geometry *)(segment->map.base + segment->map.geometry_offset))->tape_offset;
    if (pgd_tape_reader_init(&reader, &segment->map, offset, PGD_FROM_OLDEST) < 0)
        return;
    while (pgd_tape_get(&reader, &record) == 1) {
        bool trade = kind == FEED_TRADES;
        uint32_t symbol = trade ? record.trade.symbol : record.quote.symbol;
        if (symbol < f->bus->board.board->symbol_max)
            seen_put(f->live[kind], trade ? trade_key(&record.trade) : quote_key(&record.quote));
    }
    for (uint32_t i = 0; i < f->bus->board.board->symbol_max; i++)
        if (pgd_tape_latest(&reader, i, &record) == 1) {
            int64_t *mark = kind == FEED_TRADES ? &f->marks[i].trade_ns : &f->marks[i].quote_ns;
            *mark = kind == FEED_TRADES ? record.trade.t : record.quote.t;
        }
}

int feed_ticks_new(struct feed *f, enum feed_tick kind)
{
    struct pgd_tape_segment *segment = kind == FEED_TRADES ? &f->bus->trades : &f->bus->quotes;
    uint64_t keys = KEYS_A_SLOT * (segment->writer.mask + 1);
    int r = seen_new(&f->live[kind], (uint32_t)(keys < SEEN_KEYS_MAX ? keys : SEEN_KEYS_MAX));
    if (r == 0)
        r = seen_new(&f->filled[kind], (uint32_t)(keys < SEEN_KEYS_MAX ? keys : SEEN_KEYS_MAX));
    if (r == 0 && segment->map.adopted)
        adopt(f, kind, segment);
    return r;
}

/* Of the stream: was it published before? It is remembered from now on. */
static bool repeated(struct feed *f, enum feed_tick kind, struct seen_key key)
{
    struct seen *filled = f->filled[kind];
    bool unique = (key.a & KEY_UNIQUE) != 0;
    if (unique && seen_has(f->live[kind], key))
        return true;
    if (!seen_empty(filled) && (unique ? seen_has(filled, key) : seen_take(filled, key)))
        return true;
    seen_put(f->live[kind], key);
    return false;
}

/* Of REST, likewise. Without an id each record of the stream answers for one of REST. */
static bool repeated_fill(struct feed *f, enum feed_tick kind, struct seen_key key)
{
    bool unique = (key.a & KEY_UNIQUE) != 0;
    if (unique ? seen_has(f->live[kind], key) || seen_has(f->filled[kind], key)
               : seen_take(f->live[kind], key))
        return true;
    seen_put(f->filled[kind], key);
    return false;
}

/* The table of latest records goes by time: what is filled in late is not the latest. */
static bool is_latest(const struct pgd_tape_writer *w, uint32_t symbol, int64_t t)
{
    int64_t before;
    if (!w->latest || symbol >= w->latest_count)
        return false;
    memcpy(&before, w->latest + (size_t)symbol * PGD_LINE + offsetof(struct pgd_trade, t), sizeof before);
    return t >= before;
}
_Static_assert(offsetof(struct pgd_trade, t) == offsetof(struct pgd_quote, t), "one place for both");

/* Publishes a tick, unless it was published before. */
static void settle(struct feed *f, const struct feed_pending *p)
{
    bool trade = p->kind == FEED_TRADES;
    struct pgd_tape_writer *w = trade ? &f->bus->trades.writer : &f->bus->quotes.writer;
    if (!(trade && p->trade.flags & PGD_VALUE) && repeated(f, p->kind, p->key)) {
        feed_count(f, PGD_C_events_duplicate);
        return;
    }
    pgd_tape_put(w, &p->trade);
    pgd_tape_put_latest(w, trade ? p->trade.symbol : p->quote.symbol, &p->trade);
    if (trade)
        f->trades++;
    else
        f->quotes++;
    f->published++;
}

void feed_settle_ticks(struct feed *f)
{
    while (f->pending_out != f->pending_in)
        settle(f, &f->pending[f->pending_out++ % FEED_PENDING]);
}

/* Whether a tick is known lies in memory that no cache has. So it is asked for at once, and looked at when
 * some more ticks have come or the batch ends. */
static void await(struct feed *f, enum feed_tick kind, struct seen_key key, const void *record)
{
    if (f->pending_in - f->pending_out == FEED_PENDING)
        settle(f, &f->pending[f->pending_out++ % FEED_PENDING]);
    struct feed_pending *p = &f->pending[f->pending_in++ % FEED_PENDING];
    p->kind = kind;
    p->key = key;
    memcpy(&p->trade, record, sizeof p->trade);
    seen_prefetch(f->live[kind], key);
    if (!seen_empty(f->filled[kind]))
        seen_prefetch(f->filled[kind], key);
}
_Static_assert(sizeof(struct pgd_trade) == sizeof(struct pgd_quote), "one size for both");

void feed_take_trade(struct feed *f, struct symbol *symbol, const struct event *e)
{
    if (!f->bus->trades.map.base) {
        feed_count(f, PGD_C_events_unwanted);
        return;
    }
    struct pgd_trade t = e->trade;
    t.symbol = symbols_index(f->symbols, symbol);
    struct feed_mark *mark = &f->marks[t.symbol];
    if (t.t > mark->trade_ns)
        mark->trade_ns = t.t;
    await(f, FEED_TRADES, trade_key(&t), &t);
}

void feed_take_quote(struct feed *f, struct symbol *symbol, const struct event *e)
{
    if (!f->bus->quotes.map.base) {
        feed_count(f, PGD_C_events_unwanted);
        return;
    }
    struct pgd_quote q = e->quote;
    q.symbol = symbols_index(f->symbols, symbol);
    struct feed_mark *mark = &f->marks[q.symbol];
    if (q.t > mark->quote_ns)
        mark->quote_ns = q.t;
    await(f, FEED_QUOTES, quote_key(&q), &q);
}

/* ------------------------------------------------------------------------------------------------ from REST
 */

/* The account of `count` REST rows of which so many were published, the others duplicates. */
static size_t account(struct feed *f, size_t count, size_t published)
{
    pgd_count(&f->bus->board, PGD_C_rest_rows, count);
    pgd_count(&f->bus->board, PGD_C_rest_published, published);
    pgd_count(&f->bus->board, PGD_C_rest_duplicate, count - published);
    pgd_count(&f->bus->board, PGD_C_gap_records, published);
    return published;
}

size_t feed_fill_trades(struct feed *f, struct symbol *symbol, const struct pgd_trade *trades, size_t count)
{
    feed_settle_ticks(f);
    feed_tap_ticks(f, JOURNAL_FILL_TRADES, symbol, trades, count * sizeof *trades);
    struct pgd_tape_writer *w = &f->bus->trades.writer;
    size_t published = 0;
    if (!f->bus->trades.map.base) {
        feed_rest_unwanted(f, count);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        struct pgd_trade t = trades[i];
        t.symbol = symbols_index(f->symbols, symbol);
        t.flags |= PGD_FILLED;
        if (repeated_fill(f, FEED_TRADES, trade_key(&t)))
            continue;
        pgd_tape_put(w, &t);
        if (is_latest(w, t.symbol, t.t))
            pgd_tape_put_latest(w, t.symbol, &t);
        published++;
    }
    f->trades += published;
    return account(f, count, published);
}

size_t feed_fill_quotes(struct feed *f, struct symbol *symbol, const struct pgd_quote *quotes, size_t count)
{
    feed_settle_ticks(f);
    feed_tap_ticks(f, JOURNAL_FILL_QUOTES, symbol, quotes, count * sizeof *quotes);
    struct pgd_tape_writer *w = &f->bus->quotes.writer;
    size_t published = 0;
    if (!f->bus->quotes.map.base) {
        feed_rest_unwanted(f, count);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        struct pgd_quote q = quotes[i];
        q.symbol = symbols_index(f->symbols, symbol);
        q.flags |= PGD_FILLED;
        if (repeated_fill(f, FEED_QUOTES, quote_key(&q)))
            continue;
        pgd_tape_put(w, &q);
        if (is_latest(w, q.symbol, q.t))
            pgd_tape_put_latest(w, q.symbol, &q);
        published++;
    }
    f->quotes += published;
    return account(f, count, published);
}
