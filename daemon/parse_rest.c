/* daemon/parse_rest.c */
#include "parse.h"

#include <errno.h>

#include "parse_read.h"

enum row_kind { ROWS_UNKNOWN, ROWS_BARS, ROWS_TRADES, ROWS_QUOTES };

struct rest {
    struct read read;
    struct parse_page *page;
    const struct parse_sink *sink;
    enum row_kind kind;
    const char *rows;     /* `results` that wait for the ticker behind them */
    const char *rows_end; /* where they must end */
};

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

/* What the first row is: quotes have sides, trades a price. */
static enum row_kind row_kind(struct read *r, const char *p)
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

static const char *row_object(struct rest *x, const char *p)
{
    struct read *r = &x->read;
    r->settled = true;
    if (x->kind == ROWS_UNKNOWN)
        x->kind = row_kind(r, p);
    p = scan_space(p + 1, r->scan.end);
    if (x->kind == ROWS_BARS)
        return row_bar(r, x->page->ticker, p);
    return row_tick(r, x->page->ticker, x->kind == ROWS_TRADES, p);
}

static const char *row(struct rest *x, const char *p)
{
    struct read *r = &x->read;
    const char *after = NULL;
    if (*p == '{') {
        after = row_object(x, p);
    } else {
        read_begin(r, EVENT_AM);
        scan_fail(&r->scan, "a row is no object");
    }
    if (!after)
        after = scan_match(p, r->scan.end);
    if (!after || after == p)
        return NULL;
    if (r->scan.fault == EVENT_OK) {
        x->page->rows++;
        x->sink->event(x->sink->user, &r->event);
    } else {
        x->page->bad_rows++;
        x->sink->fault(x->sink->user, r->scan.fault, r->scan.reason, &r->event,
                       (struct event_text){p, (size_t)(after - p)});
    }
    return after;
}

static const char *rows(struct rest *x, const char *p)
{
    const char *end = x->read.scan.end;
    p = scan_space(p + 1, end);
    if (p < end && *p == ']')
        return p + 1;
    while (p < end) {
        p = row(x, p);
        if (!p)
            return NULL;
        p = scan_space(p, end);
        if (p < end && *p == ']')
            return p + 1;
        if (p >= end || *p != ',')
            return NULL;
        p = scan_space(p + 1, end);
    }
    return NULL;
}

/* ----------------------------------------------------------------------------------------------- envelope */

/* The page outlives the body. */
static struct event_text keep(char *to, size_t room, struct event_text text)
{
    if (text.n > room)
        text.n = room;
    if (text.n)
        memcpy(to, text.p, text.n);
    return (struct event_text){to, text.n};
}

static const char *envelope_text(struct rest *x, const char *p, char *to, size_t room, struct event_text *ret)
{
    struct scan *s = &x->read.scan;
    struct event_text text;
    if (p >= s->end || *p != '"')
        return scan_skip(s, p);
    p = scan_text(s, p, &text);
    if (p)
        *ret = keep(to, room, text);
    return p;
}

static const char *envelope_ticker(struct rest *x, const char *p)
{
    struct scan *s = &x->read.scan;
    struct event_text symbol;
    if (s->end - p < 2 || p[0] != '"' || p[1] == '"')
        return scan_skip(s, p);
    p = scan_symbol(s, p, &symbol);
    if (p)
        x->page->ticker = keep(x->page->ticker_text, sizeof(x->page->ticker_text), symbol);
    return p;
}

static const char *envelope_url(struct rest *x, const char *p)
{
    struct scan *s = &x->read.scan;
    struct parse_page *page = x->page;
    struct event_text url;
    if (p >= s->end || *p != '"')
        return scan_skip(s, p);
    p = scan_text(s, p, &url);
    if (p && url.n >= sizeof(page->url))
        return scan_fail(s, "next_url is too long");
    if (p)
        page->next_url = keep(page->url, sizeof(page->url), url);
    return p;
}

/* Anything that is no count is none, and no error. */
static const char *envelope_count(struct rest *x, const char *p)
{
    struct number n;
    int64_t count = 0;
    const char *after = number_scan(p, x->read.scan.end, &n);
    if (after && number_int64(&n, &count) && count >= 0)
        x->page->count = (uint64_t)count;
    return scan_skip(&x->read.scan, p);
}

/* Rows take their symbol from the envelope: results that come before the ticker wait. */
static const char *envelope_results(struct rest *x, const char *p)
{
    struct scan *s = &x->read.scan;
    if (x->rows || x->page->rows || x->page->bad_rows)
        return scan_fail(s, "results come twice");
    if (p >= s->end || *p != '[')
        return scan_skip(s, p);
    if (x->page->ticker.n != 0) {
        p = rows(x, p);
        s->fault = EVENT_OK;
        s->text_used = 0;
        return p;
    }
    x->rows = p;
    x->rows_end = scan_match(p, s->end);
    return x->rows_end;
}

static const char *envelope_field(struct rest *x, struct event_text key, const char *p)
{
    struct parse_page *page = x->page;
    if (scan_key_is(key, "results"))
        return envelope_results(x, p);
    if (scan_key_is(key, "ticker"))
        return envelope_ticker(x, p);
    if (scan_key_is(key, "status"))
        return envelope_text(x, p, page->status_text, sizeof(page->status_text), &page->status);
    if (scan_key_is(key, "error") || scan_key_is(key, "message"))
        return envelope_text(x, p, page->message_text, sizeof(page->message_text), &page->message);
    if (scan_key_is(key, "next_url"))
        return envelope_url(x, p);
    if (scan_key_is(key, "resultsCount"))
        return envelope_count(x, p);
    return scan_skip(&x->read.scan, p);
}

static const char *envelope(struct rest *x, const char *p)
{
    struct scan *s = &x->read.scan;
    p = scan_space(p + 1, s->end);
    if (p < s->end && *p == '}')
        return p + 1;
    for (;;) {
        struct event_text key;
        s->text_used = 0;
        p = scan_key_text(s, p, &key);
        p = p ? envelope_field(x, key, p) : NULL;
        p = p ? scan_space(p, s->end) : NULL;
        if (p && p < s->end && *p == '}')
            return p + 1;
        if (!p || p >= s->end || *p != ',')
            return NULL;
        p = scan_space(p + 1, s->end);
    }
}

int parse_rest(const char *text, size_t size, struct parse_page *page, const struct parse_sink *sink)
{
    struct rest x;
    x.page = page;
    x.sink = sink;
    x.kind = ROWS_UNKNOWN;
    x.rows = x.rows_end = NULL;
    x.read.scan.end = text + size;
    x.read.scan.fault = EVENT_OK;
    page->status = page->message = page->ticker = page->next_url = (struct event_text){NULL, 0};
    page->rows = page->bad_rows = 0;
    page->count = PARSE_NO_COUNT;
    const char *p = scan_space(text, x.read.scan.end);
    if (p >= x.read.scan.end || *p != '{')
        return -EBADMSG;
    p = envelope(&x, p);
    if (!p || scan_space(p, x.read.scan.end) != x.read.scan.end)
        return -EBADMSG;
    if (x.rows && rows(&x, x.rows) != x.rows_end)
        return -EBADMSG;
    return 0;
}
