/* The bytes as a WebSocket message, with jansson as the judge: an event that is taken is JSON by jansson too,
 * and the fields of trades, quotes and bars are what jansson reads in them. The first byte chooses the
 * cluster. */
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
    enum pgd_cluster cluster;
    size_t events;
    size_t faults;
    int inner; /* an event alone is parsed again: no further */
};

static int same(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b;
}

/* A member as double: numbers, absent and null (NaN), and decimals in strings. */
static double member(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    if (json_is_string(v))
        return strtod(json_string_value(v), NULL);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static int64_t integer(const json_t *object, const char *key, int64_t absent)
{
    const json_t *v = json_object_get(object, key);
    if (json_is_string(v))
        return strtoll(json_string_value(v), NULL, 10);
    if (json_is_integer(v))
        return json_integer_value(v);
    /* Doubles cannot hold what the parser takes exactly: not compared. */
    return json_is_real(v) ? INT64_MIN : absent;
}

static int same_int(int64_t wanted, int64_t got)
{
    return wanted == INT64_MIN || wanted == got;
}

static int64_t to_ns(int64_t raw)
{
    if (raw == INT64_MIN)
        return raw;
    if (raw >= INT64_C(100000000000000000))
        return raw;
    if (raw >= INT64_C(100000000000000))
        return raw * 1000;
    return raw >= INT64_C(100000000000) ? raw * 1000000 : raw * 1000000000;
}

static double pick(double first, double second)
{
    return isnan(first) ? second : first;
}

static void check_trade(const json_t *o, const struct pgd_trade *t)
{
    check(same(member(o, "p"), t->price) && isfinite(t->price));
    check(same(pick(member(o, "ds"), member(o, "s")), t->size) && t->size >= 0 && isfinite(t->size));
    check(same_int(to_ns(integer(o, "t", 0)), t->t));
    check(same_int(integer(o, "x", 0), t->exchange));
    check(same_int(integer(o, "q", 0), (int64_t)t->seq));
    const json_t *c = json_object_get(o, "c");
    for (size_t i = 0; json_is_array(c) && i < json_array_size(c) && i < 4; i++)
        if (json_is_integer(json_array_get(c, i)))
            check(json_integer_value(json_array_get(c, i)) + 1 == t->cond[i]);
    check(!json_is_array(c) || (json_array_size(c) > 4) == ((t->flags & PGD_MORE_CONDITIONS) != 0));
}

static void check_quote(const json_t *o, const struct pgd_quote *q)
{
    check(same(member(o, "bp"), q->bid) && same(member(o, "ap"), q->ask));
    check(same(member(o, "bs"), q->bid_size) && same(member(o, "as"), q->ask_size));
    check(same_int(to_ns(integer(o, "t", 0)), q->t));
    int64_t seq = integer(o, "q", 0);
    check(seq == INT64_MIN || (uint32_t)seq == q->seq);
}

static void check_bar(const json_t *o, const struct event *e)
{
    const struct pgd_bar *b = &e->bar.bar;
    check(same(member(o, "o"), b->o) && same(member(o, "h"), b->h));
    check(same(member(o, "l"), b->l) && same(member(o, "c"), b->c));
    check(same(pick(member(o, "dv"), member(o, "v")), b->v) && same(member(o, "vw"), b->vw));
    check(same(member(o, "op"), e->bar.day.op) && same(member(o, "a"), e->bar.day.a));
    check(same(pick(member(o, "dav"), member(o, "av")), e->bar.day.av));
    check(b->h >= b->l && !(b->v < 0));
    int64_t ns = to_ns(integer(o, "s", 0));
    check(ns == INT64_MIN || ns / 1000000 == b->t);
    check(((b->flags & PGD_BAR_OTC) != 0) == json_is_true(json_object_get(o, "otc")));
}

static void check_against(const json_t *o, const struct event *e)
{
    check(json_is_object(o));
    static const char *const names[EVENT_TYPES] = {
#define X(id, name, class) [EVENT_##id] = name,
#include "events.def"
#undef X
    };
    const char *ev = json_string_value(json_object_get(o, "ev"));
    check(ev && strcmp(ev, names[e->type]) == 0);
    if (e->type != EVENT_T && e->type != EVENT_Q && e->type != EVENT_AM)
        return;
    const json_t *symbol = json_object_get(o, "sym");
    check(json_string_length(symbol) == e->symbol.n);
    check(memcmp(json_string_value(symbol), e->symbol.p, e->symbol.n) == 0);
    if (e->type == EVENT_T)
        check_trade(o, &e->trade);
    else if (e->type == EVENT_Q)
        check_quote(o, &e->quote);
    else
        check_bar(o, e);
}

static void on_event(void *user, const struct event *e)
{
    struct input *in = user;
    in->events++;
    check(e->type < EVENT_TYPES);
    check(e->symbol.n < PGD_SYMBOL_MAX);
    check((e->class == EVENT_CLASS_STATUS) == (e->symbol.n == 0));
    if (!in->inner)
        return;
    json_error_t error;
    json_t *json = json_loadb(in->text, in->size, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (json)
        check_against(json_is_array(json) ? json_array_get(json, 0) : json, e);
    else /* what jansson cannot hold though it is JSON */
        check(json_error_code(&error) == json_error_numeric_overflow ||
              json_error_code(&error) == json_error_null_byte_in_key);
    json_decref(json);
}

static void on_fault(void *user, enum event_fault fault, const char *reason, const struct event *e,
                     struct event_text raw)
{
    struct input *in = user;
    (void)e;
    in->faults++;
    check(fault == EVENT_MALFORMED || fault == EVENT_REFUSED || fault == EVENT_NOT_KNOWN);
    check(reason && reason[0]);
    check(raw.n > 0 && raw.p >= in->text && raw.n <= in->size && raw.p + raw.n <= in->text + in->size);
}

static void alone(const struct input *whole, const char *text, size_t size)
{
    struct input in = {text, size, whole->cluster, 0, 0, 1};
    struct parse_sink sink = {.event = on_event, .fault = on_fault, .user = &in};
    (void)!parse_ws(text, size, in.cluster, &sink);
}

/* jansson judges only messages of one event: the fuzzer finds its way to those, and the seeds are such. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct input in = {(const char *)data + 1, size - 1, (enum pgd_cluster)(1 + data[0] % 6), 0, 0, 0};
    struct parse_sink sink = {.event = on_event, .fault = on_fault, .user = &in};
    int r = parse_ws(in.text, in.size, in.cluster, &sink);
    check(r == 0 || r == -EBADMSG);
    if (r == 0 && ws_is_utf8(data + 1, size - 1)) {
        if (in.events == 1 && in.faults == 0)
            alone(&in, in.text, in.size);
        /* A message without a fault is JSON as a whole. */
        json_error_t error;
        json_t *json = json_loadb(in.text, in.size, JSON_ALLOW_NUL, &error);
        check(json || in.faults || json_error_code(&error) == json_error_numeric_overflow ||
              json_error_code(&error) == json_error_null_byte_in_key);
        check(!json_is_array(json) || json_array_size(json) == in.events + in.faults);
        json_decref(json);
    }
    return 0;
}
