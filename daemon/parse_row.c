#include "parse_row.h"

#include "parse_bar.h"

/* --------------------------------------------------------------------------------------------------- rows */

READ_FIELD field_bar(struct read *r, uint64_t code, const char *p)
{
    struct scan *s = &r->scan;
    struct pgd_bar *b = &r->event.bar.bar;
    bool otc = false;
    switch (code) {
    case SCAN_KEY1('v'):
        return scan_double(s, p, &b->v);
    case SCAN_KEY2('v', 'w'):
        return scan_double(s, p, &b->vw);
    case SCAN_KEY1('o'):
        return scan_double(s, p, &b->o);
    case SCAN_KEY1('c'):
        return scan_double(s, p, &b->c);
    case SCAN_KEY1('h'):
        return scan_double(s, p, &b->h);
    case SCAN_KEY1('l'):
        return scan_double(s, p, &b->l);
    case SCAN_KEY1('t'):
        return scan_int(s, p, SCAN_TIME_ABSENT, &r->time);
    case SCAN_KEY1('n'):
        return scan_bar_count(s, p, &b->n);
    case SCAN_KEY2('d', 'v'):
        return scan_decimal(s, p, &r->exact);
    case SCAN_KEY1('T'):
        return scan_symbol(s, p, &r->event.symbol);
    case SCAN_KEY3('o', 't', 'c'):
        p = scan_bool(s, p, &otc);
        b->flags = (uint16_t)(PGD_BAR_REST | (otc ? PGD_BAR_OTC : 0));
        return p;
    default:
        return read_unknown;
    }
}

#define KEY_PRICE SCAN_KEY_MORE(SCAN_KEY4('p', 'r', 'i', 'c'), 'e', 0, 0, 5)
#define KEY_SIZE  SCAN_KEY4('s', 'i', 'z', 'e')
#define KEY_ID    SCAN_KEY2('i', 'd')
#define KEY_TAPE  SCAN_KEY4('t', 'a', 'p', 'e')
#define KEY_TRF   SCAN_KEY_MORE(SCAN_KEY4('t', 'r', 'f', '_'), 'i', 'd', 0, 6)

static const char *field_tape(struct read *r, const char *p, uint8_t *flags)
{
    int64_t n = 0;
    p = scan_count(&r->scan, p, INT64_MAX, &n);
    *flags = (uint8_t)((*flags & ~PGD_TAPE_MASK) | (n <= 3 ? n : 0));
    return p;
}

static const char *field_exchange(struct read *r, const char *p, uint16_t *exchange)
{
    int64_t n = 0;
    p = scan_count_text(&r->scan, p, UINT16_MAX, &n);
    *exchange = (uint16_t)n;
    return p;
}

static const char *field_trade_long(struct read *r, const char *p)
{
    struct scan *s = &r->scan;
    struct pgd_trade *t = &r->event.trade;
    bool more = false;
    int64_t n = 0;
    if (scan_key_is(s->key, "sip_timestamp"))
        return scan_int(s, p, SCAN_TIME_ABSENT, &r->time);
    if (scan_key_is(s->key, "participant_timestamp"))
        return scan_int(s, p, SCAN_TIME_ABSENT, &r->end_time);
    if (scan_key_is(s->key, "exchange"))
        return field_exchange(r, p, &t->exchange);
    if (scan_key_is(s->key, "decimal_size"))
        return scan_decimal(s, p, &r->exact);
    if (scan_key_is(s->key, "sequence_number")) {
        p = scan_count(s, p, INT64_MAX, &n);
        t->seq = (uint64_t)n;
        return p;
    }
    if (scan_key_is(s->key, "conditions")) {
        p = scan_conditions(s, p, t->cond, 4, &more);
        t->flags = (uint8_t)((t->flags & ~PGD_MORE_CONDITIONS) | (more ? PGD_MORE_CONDITIONS : 0));
        return p;
    }
    return read_unknown;
}

READ_FIELD field_trade(struct read *r, uint64_t code, const char *p)
{
    struct scan *s = &r->scan;
    struct pgd_trade *t = &r->event.trade;
    int64_t n = 0;
    bool hashed = false;
    switch (code) {
    case KEY_PRICE:
        return scan_double(s, p, &t->price);
    case KEY_SIZE:
        return scan_double(s, p, &t->size);
    case KEY_ID:
        p = scan_id(s, p, &t->id, &hashed);
        t->flags = (uint8_t)((t->flags & ~PGD_ID_HASHED) | (hashed ? PGD_ID_HASHED : 0));
        return p;
    case KEY_TAPE:
        return field_tape(r, p, &t->flags);
    case KEY_TRF:
        p = scan_count_text(s, p, INT64_MAX, &n);
        t->trf = (uint8_t)(n > 254 ? 255 : n);
        return p;
    case SCAN_KEY_LONG:
        return field_trade_long(r, p);
    default:
        return read_unknown;
    }
}

READ_FIELD field_quote(struct read *r, uint64_t code, const char *p)
{
    struct scan *s = &r->scan;
    struct pgd_quote *q = &r->event.quote;
    bool more = false;
    int64_t n = 0;
    if (code == KEY_TAPE)
        return field_tape(r, p, &q->flags);
    if (code != SCAN_KEY_LONG)
        return read_unknown;
    if (scan_key_is(s->key, "bid_price"))
        return scan_double(s, p, &q->bid);
    if (scan_key_is(s->key, "ask_price"))
        return scan_double(s, p, &q->ask);
    if (scan_key_is(s->key, "bid_size"))
        return scan_double(s, p, &q->bid_size);
    if (scan_key_is(s->key, "ask_size"))
        return scan_double(s, p, &q->ask_size);
    if (scan_key_is(s->key, "bid_exchange"))
        return field_exchange(r, p, &q->bid_exchange);
    if (scan_key_is(s->key, "ask_exchange"))
        return field_exchange(r, p, &q->ask_exchange);
    if (scan_key_is(s->key, "sip_timestamp"))
        return scan_int(s, p, SCAN_TIME_ABSENT, &r->time);
    if (scan_key_is(s->key, "participant_timestamp"))
        return scan_int(s, p, SCAN_TIME_ABSENT, &r->end_time);
    if (scan_key_is(s->key, "sequence_number")) {
        p = scan_count(s, p, INT64_MAX, &n);
        q->seq = (uint32_t)n;
        q->flags = (uint8_t)((q->flags & ~PGD_SEQ_WRAPPED) | (n > UINT32_MAX ? PGD_SEQ_WRAPPED : 0));
        return p;
    }
    if (scan_key_is(s->key, "conditions")) {
        p = scan_conditions(s, p, &q->cond, 1, &more);
        q->flags = (uint8_t)((q->flags & ~PGD_MORE_CONDITIONS) | (more ? PGD_MORE_CONDITIONS : 0));
        return p;
    }
    return read_unknown;
}

READ_FIELD field_snapshot_minute(struct read *r, uint64_t code, const char *p)
{
    return code == SCAN_KEY1('T') ? read_unknown : field_bar(r, code, p);
}

#define KEY_TICKER SCAN_KEY_MORE(SCAN_KEY4('t', 'i', 'c', 'k'), 'e', 'r', 0, 6)

READ_FIELD field_snapshot(struct read *r, uint64_t code, const char *p)
{
    struct scan *s = &r->scan;
    if (code == KEY_TICKER)
        return scan_symbol(s, p, &r->event.symbol);
    if (code != SCAN_KEY3('m', 'i', 'n'))
        return read_unknown;
    r->event.bar.bar = (struct pgd_bar){.o = NAN,
                                        .h = NAN,
                                        .l = NAN,
                                        .c = NAN,
                                        .v = NAN,
                                        .vw = NAN,
                                        .flags = PGD_BAR_REST,
                                        .n = PGD_N_ABSENT};
    r->time = SCAN_TIME_ABSENT;
    r->exact = NAN;
    if (p >= s->end || *p != '{')
        return read_unknown;
    const char *first = scan_space(p + 1, s->end);
    return first < s->end && *first == '}' ? first + 1 : read_fields(r, first, field_snapshot_minute);
}

/* What the first row is: quotes have sides, trades a price. */
static enum row_kind kind_of(struct read *r, const char *p)
{
    struct scan *s = &r->scan;
    read_begin(r, EVENT_AM);
    p = scan_space(p + 1, s->end);
    while (p) {
        struct event_text key = {NULL, 0};
        s->text_used = 0;
        p = scan_key_text(s, p, &key);
        if (p && (scan_key_is(key, "bid_price") || scan_key_is(key, "ask_price")))
            return ROWS_QUOTES;
        if (p && scan_key_is(key, "price"))
            return ROWS_TRADES;
        p = p ? scan_skip(s, p) : NULL;
        p = p ? scan_space(p, s->end) : NULL;
        if (!p || p >= s->end || *p != ',')
            return ROWS_BARS;
        p = scan_space(p + 1, s->end);
    }
    return ROWS_BARS;
}

static const char *row_bar(struct read *r, struct event_text ticker, const char *p)
{
    read_begin(r, EVENT_AM);
    r->event.symbol = ticker;
    r->event.bar.bar.flags = PGD_BAR_REST;
    p = read_fields(r, p, field_bar);
    struct event_text symbol = r->event.symbol;
    r->cluster = symbol.n > 2 && memcmp(symbol.p, "I:", 2) == 0 ? PGD_INDICES : PGD_STOCKS;
    if (p)
        read_finish_bar(r);
    return p;
}

/* The latest minute of a ticker; t 0: none yet today. */
static const char *row_snapshot(struct read *r, const char *p)
{
    read_begin(r, EVENT_AM);
    r->cluster = PGD_STOCKS;
    r->event.bar.bar.flags = PGD_BAR_REST;
    p = read_fields(r, p, field_snapshot);
    if (p && r->time != 0 && r->time != SCAN_TIME_ABSENT)
        read_finish_bar(r);
    return p;
}

static const char *row_tick(struct read *r, struct event_text ticker, bool trade, const char *p)
{
    read_begin(r, trade ? EVENT_T : EVENT_Q);
    r->event.symbol = ticker;
    r->cluster = PGD_STOCKS;
    if (trade)
        r->event.trade.flags = PGD_FILLED;
    else
        r->event.quote.flags = PGD_FILLED;
    p = trade ? read_fields(r, p, field_trade) : read_fields(r, p, field_quote);
    if (r->time == SCAN_TIME_ABSENT)
        r->time = r->end_time;
    if (p && trade)
        read_finish_trade(r);
    else if (p)
        read_finish_quote(r);
    return p;
}

static const char *row_object(struct row_reader *rows, struct event_text ticker, const char *p)
{
    struct read *r = &rows->read;
    if (rows->kind == ROWS_UNKNOWN)
        rows->kind = kind_of(r, p);
    p = scan_space(p + 1, r->scan.end);
    if (rows->kind == ROWS_BARS)
        return row_bar(r, ticker, p);
    if (rows->kind == ROWS_SNAPSHOTS)
        return row_snapshot(r, p);
    return row_tick(r, ticker, rows->kind == ROWS_TRADES, p);
}

/* Where the row at `p` ends; NULL: not in sight. The end of what is no object or array could be that of the
 * text so far only. */
static const char *row_end(const struct row_reader *rows, const char *p)
{
    const char *after = scan_match(p, rows->read.scan.end);
    if (after == p || (after == rows->read.scan.end && *p != '{' && *p != '[' && !rows->last))
        return NULL;
    return after;
}

/* Each bar must show its successor: the last one before anything else is left to the general way. */
static const char *row_bar_usual(const char *p, const char *end, struct pgd_bar *ret)
{
    const char *after = parse_bar(p, end, ret);
    return after && after + 1 < end && after[0] == ',' && after[1] == '{' ? after + 1 : NULL;
}

/* The usual bars, where the sink wants them. */
static const char *row_bars_put(const struct row_reader *rows, const struct parse_sink *sink, const char *p,
                                struct parse_page *page)
{
    const char *end = rows->read.scan.end;
    for (;;) {
        size_t room = 0;
        struct pgd_bar *bar = sink->room(sink->user, &room);
        size_t n = 0;
        const char *next = NULL;
        while (bar && n < room && (next = row_bar_usual(p, end, &bar[n]))) {
            p = next;
            n++;
        }
        page->rows += n;
        if (n)
            sink->filled(sink->user, n);
        if (!bar || n < room)
            return p;
    }
}

/* The usual bars, for which no event is set up anew. */
static const char *row_bars(struct row_reader *rows, struct event_text ticker, const struct parse_sink *sink,
                            const char *p, struct parse_page *page)
{
    struct read *r = &rows->read;
    const char *end = r->scan.end;
    uint64_t count = 0;
    read_begin(r, EVENT_AM);
    r->event.symbol = ticker;
    const char *next;
    while ((next = row_bar_usual(p, end, &r->event.bar.bar))) {
        sink->event(sink->user, &r->event);
        count++;
        p = next;
    }
    page->rows += count;
    return p;
}

bool row_parse(struct row_reader *rows, struct event_text ticker, const struct parse_sink *sink,
               const char **p, struct parse_page *page)
{
    struct read *r = &rows->read;
    const char *after = NULL;
    if (rows->kind == ROWS_BARS && **p == '{')
        *p = sink->room ? row_bars_put(rows, sink, *p, page) : row_bars(rows, ticker, sink, *p, page);
    r->settled = true;
    if (**p == '{') {
        /* The first one must be seen whole to be recognised. */
        if (rows->kind != ROWS_UNKNOWN || row_end(rows, *p))
            after = row_object(rows, ticker, *p);
    } else {
        read_begin(r, EVENT_AM);
        scan_fail(&r->scan, "a row is no object");
    }
    if (!after)
        after = row_end(rows, *p);
    if (!after)
        return false;
    if (r->scan.fault == EVENT_OK) {
        page->rows++;
        sink->event(sink->user, &r->event);
    } else {
        page->bad_rows++;
        sink->fault(sink->user, r->scan.fault, r->scan.reason, &r->event,
                    (struct event_text){*p, (size_t)(after - *p)});
    }
    *p = after;
    return true;
}
