/* The bytes as a REST body, with jansson as the judge: a body that is taken without a bad row is JSON, has as
 * many rows, and bars are what jansson reads in them. */
#include "parse.h"
#include "ws.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok)
        abort();
}

struct input {
    const char *text;
    size_t size;
    const json_t *results; /* NULL in the first pass */
    bool snapshots;
    size_t rows;
    size_t bad;
};

static double member(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    if (json_is_string(v))
        return strtod(json_string_value(v), NULL);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static int same(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b;
}

static void check_bar(const json_t *o, const struct pgd_bar *b)
{
    check(same(member(o, "o"), b->o) && same(member(o, "h"), b->h));
    check(same(member(o, "l"), b->l) && same(member(o, "c"), b->c));
    check(same(isnan(member(o, "dv")) ? member(o, "v") : member(o, "dv"), b->v));
    check(same(member(o, "vw"), b->vw));
    check(b->flags & PGD_BAR_REST);
}

static void on_event(void *user, const struct event *e)
{
    struct input *in = user;
    check(e->class == EVENT_CLASS_BAR || e->class == EVENT_CLASS_TRADE || e->class == EVENT_CLASS_QUOTE);
    check(e->symbol.n < PGD_SYMBOL_MAX);
    const json_t *row = in->results ? json_array_get(in->results, in->rows) : NULL;
    if (row && in->snapshots && e->bar.bar.t)
        check_bar(json_object_get(row, "min"), &e->bar.bar);
    else if (row && e->class == EVENT_CLASS_BAR && !in->snapshots)
        check_bar(row, &e->bar.bar);
    if (row && e->class == EVENT_CLASS_TRADE)
        check(same(member(row, "price"), e->trade.price));
    if (row && e->class == EVENT_CLASS_QUOTE)
        check(same(member(row, "bid_price"), e->quote.bid) && same(member(row, "ask_price"), e->quote.ask));
    in->rows++;
}

static void on_fault(void *user, enum event_fault fault, const char *reason, const struct event *e,
                     struct event_text raw)
{
    struct input *in = user;
    (void)e;
    check(fault == EVENT_MALFORMED || fault == EVENT_REFUSED);
    check(reason && reason[0]);
    check(raw.n > 0 && raw.p >= in->text && raw.p + raw.n <= in->text + in->size);
    in->bad++;
}

static void touch(struct event_text text)
{
    static volatile char sum;
    for (size_t i = 0; i < text.n; i++)
        sum = (char)(sum ^ text.p[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.text = (const char *)data, .size = size};
    struct parse_sink sink = {.event = on_event, .fault = on_fault, .user = &in};
    struct parse_page page;
    int r = parse_rest(in.text, size, &page, &sink);
    check(r == 0 || r == -EBADMSG);
    check(page.rows == in.rows && page.bad_rows == in.bad);
    touch(page.status);
    touch(page.message);
    touch(page.ticker);
    touch(page.next_url);
    check(page.ticker.n < PGD_SYMBOL_MAX);
    if (r < 0 || in.bad || !ws_is_utf8(data, size))
        return 0;
    json_error_t error;
    json_t *json = json_loadb(in.text, size, JSON_ALLOW_NUL, &error);
    check(json || json_error_code(&error) == json_error_numeric_overflow ||
          json_error_code(&error) == json_error_null_byte_in_key);
    const json_t *results = json_object_get(json, page.snapshots ? "tickers" : "results");
    in.snapshots = page.snapshots;
    if (json_is_array(results)) {
        check(json_array_size(results) == page.rows);
        in.rows = 0;
        in.results = results;
        check(parse_rest(in.text, size, &page, &sink) == 0);
    }
    json_decref(json);
    return 0;
}
