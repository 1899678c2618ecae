/* daemon/parse_read.c */
#include "parse_read.h"

const char read_unknown[1] = "";

struct type_row {
    const char *name;
    enum event_class class;
};

static const struct type_row types[EVENT_TYPES] = {
#define X(id, name, class) [EVENT_##id] = {name, EVENT_CLASS_##class},
#include "events.def"
#undef X
};

enum event_type read_type(struct event_text name)
{
    for (int type = 0; type < EVENT_TYPES; type++)
        if (scan_key_is(name, types[type].name))
            return (enum event_type)type;
    return EVENT_UNKNOWN;
}

static void begin_record(struct event *e)
{
    switch (e->class) {
    case EVENT_CLASS_TRADE:
        e->trade = (struct pgd_trade){.price = NAN, .size = NAN};
        break;
    case EVENT_CLASS_QUOTE:
        e->quote = (struct pgd_quote){.bid = NAN, .ask = NAN, .bid_size = NAN, .ask_size = NAN};
        break;
    case EVENT_CLASS_BAR:
        e->bar.bar =
            (struct pgd_bar){.o = NAN, .h = NAN, .l = NAN, .c = NAN, .v = NAN, .vw = NAN, .n = PGD_N_ABSENT};
        e->bar.day = (struct pgd_day){.op = NAN, .av = NAN, .a = NAN};
        e->bar.end = 0;
        break;
    case EVENT_CLASS_STATUS:
        e->status.status = e->status.message = (struct event_text){NULL, 0};
        break;
    case EVENT_CLASS_COUNTED:
        e->counted.t = 0;
        break;
    }
}

void read_begin(struct read *r, enum event_type type)
{
    r->scan.fault = EVENT_OK;
    r->scan.reason = NULL;
    r->scan.text_used = 0;
    r->event.type = type;
    r->event.class = type < EVENT_TYPES ? types[type].class : EVENT_CLASS_COUNTED;
    r->event.symbol = (struct event_text){NULL, 0};
    begin_record(&r->event);
    r->time = r->end_time = SCAN_TIME_ABSENT;
    r->exact = r->exact_day = NAN;
    r->other_type = false;
}

const char *read_other_ev(struct read *r, const char *p)
{
    struct event_text name;
    const char *after = scan_text(&r->scan, p, &name);
    if (after && !r->settled && read_type(name) != r->event.type) {
        r->other_type = true;
        return NULL;
    }
    return after;
}

/* ------------------------------------------------------------------------------------------------- checks */

static bool require(struct read *r, bool present, const char *reason)
{
    if (!present)
        scan_fail(&r->scan, reason);
    return present;
}

static bool require_symbol(struct read *r)
{
    return require(r, r->event.symbol.n != 0, "the symbol is missing");
}

static bool require_time(struct read *r, int64_t *ret_ns)
{
    if (!require(r, r->time != SCAN_TIME_ABSENT, "the time is missing"))
        return false;
    if (!scan_time_ns(r->time, ret_ns))
        scan_refuse(&r->scan, "the time is not between 1990 and 2100");
    return true;
}

/* NaN stands for absent; a number that overflowed is infinite. */
static void check_price(struct read *r, double price)
{
    if (isinf(price))
        scan_refuse(&r->scan, "a price is not finite");
    else if (price < 0 && r->cluster != PGD_FUTURES && r->cluster != PGD_INDICES)
        scan_refuse(&r->scan, "a price is negative");
}

static void check_size(struct read *r, double size)
{
    if (isinf(size))
        scan_refuse(&r->scan, "a size or volume is not finite");
    else if (size < 0)
        scan_refuse(&r->scan, "a size or volume is negative");
}

void read_finish_trade(struct read *r)
{
    struct pgd_trade *t = &r->event.trade;
    if (!isnan(r->exact))
        t->size = r->exact;
    if (!require(r, !isnan(t->price), "the price is missing") ||
        !require(r, !isnan(t->size) || (t->flags & PGD_VALUE), "the size is missing") ||
        !require_time(r, &t->t))
        return;
    check_price(r, t->price);
    check_size(r, t->size);
}

void read_finish_quote(struct read *r)
{
    struct pgd_quote *q = &r->event.quote;
    if (!require(r, !isnan(q->bid) || !isnan(q->ask), "both prices are missing") || !require_time(r, &q->t))
        return;
    check_price(r, q->bid);
    check_price(r, q->ask);
    check_size(r, q->bid_size);
    check_size(r, q->ask_size);
}

void read_finish_bar(struct read *r)
{
    struct pgd_bar *b = &r->event.bar.bar;
    struct pgd_day *d = &r->event.bar.day;
    int64_t ns = 0;
    if (!isnan(r->exact))
        b->v = r->exact;
    if (!isnan(r->exact_day))
        d->av = r->exact_day;
    if (!require(r, !isnan(b->o) && !isnan(b->h) && !isnan(b->l) && !isnan(b->c), "a price is missing") ||
        !require(r, !isnan(b->v) || r->cluster == PGD_INDICES, "the volume is missing") ||
        !require_time(r, &ns))
        return;
    b->t = d->t = ns / 1000000;
    if (r->end_time != SCAN_TIME_ABSENT) {
        if (!scan_time_ns(r->end_time, &ns))
            scan_refuse(&r->scan, "the time is not between 1990 and 2100");
        r->event.bar.end = ns / 1000000;
    }
    const double prices[] = {b->o, b->h, b->l, b->c, b->vw, d->op, d->a};
    for (size_t i = 0; i < sizeof(prices) / sizeof(*prices); i++)
        check_price(r, prices[i]);
    check_size(r, b->v);
    check_size(r, d->av);
    if (b->h < b->l)
        scan_refuse(&r->scan, "the high is below the low");
}

void read_finish_status(struct read *r)
{
    require(r, r->event.status.status.p != NULL, "the status is missing");
}

void read_finish_counted(struct read *r)
{
    require_symbol(r);
    if (r->time != SCAN_TIME_ABSENT && !scan_time_ns(r->time, &r->event.counted.t))
        scan_refuse(&r->scan, "the time is not between 1990 and 2100");
}
