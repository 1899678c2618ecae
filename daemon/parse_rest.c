/* daemon/parse_rest.c */
#include "parse_rest.h"

#include <errno.h>

/* Where the text stands. */
enum { START, FIRST_KEY, KEY, AFTER_VALUE, FIRST_ROW, ROW, AFTER_ROW, FINISH };

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

static const char *envelope_text(struct parse_stream *x, const char *p, char *to, size_t room,
                                 struct event_text *ret)
{
    struct scan *s = &x->rows.read.scan;
    struct event_text text;
    if (p >= s->end || *p != '"')
        return scan_skip(s, p);
    p = scan_text(s, p, &text);
    if (p)
        *ret = keep(to, room, text);
    return p;
}

static const char *envelope_ticker(struct parse_stream *x, const char *p)
{
    struct scan *s = &x->rows.read.scan;
    struct event_text symbol;
    if (s->end - p < 2 || p[0] != '"' || p[1] == '"')
        return scan_skip(s, p);
    p = scan_symbol(s, p, &symbol);
    if (p)
        x->page->ticker = keep(x->page->ticker_text, sizeof(x->page->ticker_text), symbol);
    return p;
}

static const char *envelope_url(struct parse_stream *x, const char *p)
{
    struct scan *s = &x->rows.read.scan;
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
static const char *envelope_count(struct parse_stream *x, const char *p)
{
    struct number n;
    int64_t count = 0;
    const char *after = number_scan(p, x->rows.read.scan.end, &n);
    if (after && number_int64(&n, &count) && count >= 0)
        x->page->count = (uint64_t)count;
    return scan_skip(&x->rows.read.scan, p);
}

/* Everything but results. */
static const char *envelope_field(struct parse_stream *x, struct event_text key, const char *p)
{
    struct parse_page *page = x->page;
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
    return scan_skip(&x->rows.read.scan, p);
}

/* ------------------------------------------------------------------------------------------------- stream */

/* Rows take their symbol from the envelope: while all of the text is at hand, results that come before the
 * ticker wait for it. Returns where to go on. */
static const char *results(struct parse_stream *x, const char *p, bool snapshots)
{
    struct scan *s = &x->rows.read.scan;
    if (x->waiting || x->page->rows || x->page->bad_rows)
        return scan_fail(s, "results come twice");
    x->page->snapshots = snapshots;
    x->rows.kind = snapshots ? ROWS_SNAPSHOTS : ROWS_UNKNOWN;
    if (x->whole && x->page->ticker.n == 0 && !snapshots) {
        x->waiting = p;
        x->waiting_end = scan_match(p, s->end);
        x->where = AFTER_VALUE;
        return x->waiting_end;
    }
    x->where = FIRST_ROW;
    return p + 1;
}

/* A key and its value, as long as both are there. NULL: they are not, or are wrong. */
static const char *member(struct parse_stream *x, const char *p)
{
    struct scan *s = &x->rows.read.scan;
    struct event_text key;
    s->text_used = 0;
    p = scan_key_text(s, p, &key);
    if (!p || p >= s->end)
        return NULL;
    if (*p == '[' && scan_key_is(key, "results"))
        return results(x, p, false);
    if (*p == '[' && scan_key_is(key, "tickers"))
        return results(x, p, true);
    p = envelope_field(x, key, p);
    if (!p || (p >= s->end && !x->rows.last)) /* a number may go on */
        return NULL;
    x->where = AFTER_VALUE;
    return p;
}

/* One step from `p`, at a character that is no blank. NULL: more text is needed, or the text is wrong
 * (fault). `p` moves on even then when rows were taken. */
static const char *step(struct parse_stream *x, const char **at)
{
    const char *p = *at;
    switch (x->where) {
    case START:
        x->where = FIRST_KEY;
        return *p == '{' ? p + 1 : NULL;
    case FIRST_KEY:
        if (*p == '}') {
            x->where = FINISH;
            return p + 1;
        }
        return member(x, p);
    case KEY:
        return member(x, p);
    case AFTER_VALUE:
        x->where = *p == ',' ? KEY : FINISH;
        return *p == ',' || *p == '}' ? p + 1 : NULL;
    case FIRST_ROW:
        x->where = *p == ']' ? AFTER_VALUE : ROW;
        return *p == ']' ? p + 1 : p;
    case ROW:
        if (!row_parse(&x->rows, x->page->ticker, x->sink, at, x->page))
            return NULL;
        x->where = AFTER_ROW;
        return *at;
    case AFTER_ROW:
        x->where = *p == ',' ? ROW : AFTER_VALUE;
        return *p == ',' || *p == ']' ? p + 1 : NULL;
    default:
        return NULL;
    }
}

void parse_stream_begin(struct parse_stream *x, struct parse_page *page, const struct parse_sink *sink)
{
    x->page = page;
    x->sink = sink;
    x->where = START;
    x->whole = false;
    x->waiting = x->waiting_end = NULL;
    x->rows.kind = ROWS_UNKNOWN;
    x->rows.last = false;
    page->status = page->message = page->ticker = page->next_url = (struct event_text){NULL, 0};
    page->rows = page->bad_rows = 0;
    page->count = PARSE_NO_COUNT;
    page->snapshots = false;
}

/* Can the text at hand be the beginning of something right? Only what needs a certain character is certain.
 */
static bool hopeless(const struct parse_stream *x, int where, const char *p)
{
    switch (where) {
    case START:
        return *p != '{';
    case FIRST_KEY:
        return *p != '}' && *p != '"';
    case KEY:
        return *p != '"';
    case AFTER_VALUE:
    case AFTER_ROW:
    case FINISH:
        return true; /* it was there, and was wrong */
    default:
        return x->rows.last;
    }
}

int parse_stream_more(struct parse_stream *x, const char *text, size_t size, bool last, size_t *ret_used)
{
    struct scan *s = &x->rows.read.scan;
    const char *p = text;
    s->end = text + size;
    x->rows.last = last;
    for (;;) {
        p = scan_space(p, s->end);
        if (p >= s->end)
            break;
        s->fault = EVENT_OK;
        s->text_used = 0;
        int where = x->where;
        const char *after = step(x, &p);
        if (!after) {
            x->where = where;
            if (last || hopeless(x, where, p) || (size_t)(s->end - p) >= PARSE_ITEM_MAX)
                return -EBADMSG;
            break;
        }
        p = after;
    }
    if (last && x->where != FINISH)
        return -EBADMSG;
    *ret_used = (size_t)(p - text);
    return 0;
}

int parse_rest(const char *text, size_t size, struct parse_page *page, const struct parse_sink *sink)
{
    struct parse_stream x;
    size_t used;
    parse_stream_begin(&x, page, sink);
    x.whole = true;
    if (parse_stream_more(&x, text, size, true, &used) < 0)
        return -EBADMSG;
    if (!x.waiting)
        return 0;
    x.where = FIRST_ROW;
    const char *p = x.waiting + 1;
    x.rows.read.scan.end = x.waiting_end;
    while (x.where != AFTER_VALUE) {
        p = scan_space(p, x.waiting_end);
        p = p < x.waiting_end ? step(&x, &p) : NULL;
        if (!p)
            return -EBADMSG;
    }
    return p == x.waiting_end ? 0 : -EBADMSG;
}
