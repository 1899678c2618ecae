/* daemon/parse_event.c */
#include "parse_event.h"

READ_FIELD field_trade(struct read *r, uint64_t code, const char *p)
{
    struct scan *s = &r->scan;
    struct pgd_trade *t = &r->event.trade;
    int64_t n = 0;
    bool set = false;
    if (code == r->symbol_key)
        return scan_symbol(s, p, &r->event.symbol);
    switch (code) {
    case SCAN_KEY1('p'):
        return scan_double(s, p, &t->price);
    case SCAN_KEY1('s'):
        return scan_double(s, p, &t->size);
    case SCAN_KEY2('d', 's'):
        return scan_decimal(s, p, &r->exact);
    case SCAN_KEY1('t'):
        return scan_int(s, p, SCAN_TIME_ABSENT, &r->time);
    case SCAN_KEY1('x'):
        p = scan_count_text(s, p, UINT16_MAX, &n);
        t->exchange = (uint16_t)n;
        return p;
    case SCAN_KEY1('z'):
        p = scan_count(s, p, INT64_MAX, &n);
        t->flags = (uint8_t)((t->flags & ~PGD_TAPE_MASK) | (n <= 3 ? n : 0));
        return p;
    case SCAN_KEY1('q'):
        p = scan_count(s, p, INT64_MAX, &n);
        t->seq = (uint64_t)n;
        return p;
    case SCAN_KEY1('i'):
        p = scan_id(s, p, &t->id, &set);
        t->flags = (uint8_t)((t->flags & ~PGD_ID_HASHED) | (set ? PGD_ID_HASHED : 0));
        return p;
    case SCAN_KEY1('c'):
        p = scan_conditions(s, p, t->cond, 4, &set);
        t->flags = (uint8_t)((t->flags & ~PGD_MORE_CONDITIONS) | (set ? PGD_MORE_CONDITIONS : 0));
        return p;
    case SCAN_KEY4('t', 'r', 'f', 'i'):
        p = scan_count_text(s, p, INT64_MAX, &n);
        t->trf = (uint8_t)(n > 254 ? 255 : n);
        return p;
    case SCAN_KEY2('p', 't'):
        return scan_skip(s, p); /* not wanted, but usual */
    default:
        return read_unknown;
    }
}

/* V: the value of an index. */
READ_FIELD field_value(struct read *r, uint64_t code, const char *p)
{
    switch (code) {
    case SCAN_KEY3('v', 'a', 'l'):
        return scan_double(&r->scan, p, &r->event.trade.price);
    case SCAN_KEY1('T'):
        return scan_symbol(&r->scan, p, &r->event.symbol);
    case SCAN_KEY1('t'):
        return scan_int(&r->scan, p, SCAN_TIME_ABSENT, &r->time);
    default:
        return read_unknown;
    }
}

READ_FIELD field_quote(struct read *r, uint64_t code, const char *p)
{
    struct scan *s = &r->scan;
    struct pgd_quote *q = &r->event.quote;
    int64_t n = 0;
    bool set = false;
    if (code == r->symbol_key)
        return scan_symbol(s, p, &r->event.symbol);
    switch (code) {
    case SCAN_KEY2('b', 'p'):
        return scan_double(s, p, &q->bid);
    case SCAN_KEY2('a', 'p'):
        return scan_double(s, p, &q->ask);
    case SCAN_KEY2('b', 's'):
        return scan_double(s, p, &q->bid_size);
    case SCAN_KEY2('a', 's'):
        return scan_double(s, p, &q->ask_size);
    case SCAN_KEY1('t'):
        return scan_int(s, p, SCAN_TIME_ABSENT, &r->time);
    case SCAN_KEY2('b', 'x'):
        p = scan_count_text(s, p, UINT16_MAX, &n);
        q->bid_exchange = (uint16_t)n;
        return p;
    case SCAN_KEY2('a', 'x'):
        p = scan_count_text(s, p, UINT16_MAX, &n);
        q->ask_exchange = (uint16_t)n;
        return p;
    case SCAN_KEY1('x'):
        p = scan_count_text(s, p, UINT16_MAX, &n);
        q->bid_exchange = q->ask_exchange = (uint16_t)n;
        return p;
    case SCAN_KEY1('q'):
        p = scan_count(s, p, INT64_MAX, &n);
        q->seq = (uint32_t)n;
        q->flags = (uint8_t)((q->flags & ~PGD_SEQ_WRAPPED) | (n > UINT32_MAX ? PGD_SEQ_WRAPPED : 0));
        return p;
    case SCAN_KEY1('z'):
        p = scan_count(s, p, INT64_MAX, &n);
        q->flags = (uint8_t)((q->flags & ~PGD_TAPE_MASK) | (n <= 3 ? n : 0));
        return p;
    case SCAN_KEY1('c'):
        p = scan_conditions(s, p, &q->cond, 1, &set);
        q->flags = (uint8_t)((q->flags & ~PGD_MORE_CONDITIONS) | (set ? PGD_MORE_CONDITIONS : 0));
        return p;
    case SCAN_KEY1('i'):
    case SCAN_KEY2('p', 't'):
        return scan_skip(s, p); /* not wanted, but usual */
    default:
        return read_unknown;
    }
}

/* C: a forex quote, whose `p` is the pair. */
READ_FIELD field_forex(struct read *r, uint64_t code, const char *p)
{
    struct scan *s = &r->scan;
    struct pgd_quote *q = &r->event.quote;
    int64_t n = 0;
    switch (code) {
    case SCAN_KEY1('p'):
        return scan_symbol(s, p, &r->event.symbol);
    case SCAN_KEY1('a'):
        return scan_double(s, p, &q->ask);
    case SCAN_KEY1('b'):
        return scan_double(s, p, &q->bid);
    case SCAN_KEY1('t'):
        return scan_int(s, p, SCAN_TIME_ABSENT, &r->time);
    case SCAN_KEY1('x'):
        p = scan_count_text(s, p, UINT16_MAX, &n);
        q->bid_exchange = q->ask_exchange = (uint16_t)n;
        return p;
    default:
        return read_unknown;
    }
}

READ_FIELD field_bar(struct read *r, uint64_t code, const char *p)
{
    struct scan *s = &r->scan;
    struct pgd_bar *b = &r->event.bar.bar;
    struct pgd_day *d = &r->event.bar.day;
    double ignored;
    bool otc = false;
    if (code == r->symbol_key)
        return scan_symbol(s, p, &r->event.symbol);
    switch (code) {
    case SCAN_KEY1('o'):
        return scan_double(s, p, &b->o);
    case SCAN_KEY1('h'):
        return scan_double(s, p, &b->h);
    case SCAN_KEY1('l'):
        return scan_double(s, p, &b->l);
    case SCAN_KEY1('c'):
        return scan_double(s, p, &b->c);
    case SCAN_KEY1('v'):
        return scan_double(s, p, &b->v);
    case SCAN_KEY2('v', 'w'):
        return scan_double(s, p, &b->vw);
    case SCAN_KEY2('d', 'v'):
        return scan_decimal(s, p, &r->exact);
    case SCAN_KEY2('o', 'p'):
        return scan_double(s, p, &d->op);
    case SCAN_KEY2('a', 'v'):
        return scan_double(s, p, &d->av);
    case SCAN_KEY3('d', 'a', 'v'):
        return scan_decimal(s, p, &r->exact_day);
    case SCAN_KEY1('a'):
        return scan_double(s, p, &d->a);
    case SCAN_KEY1('z'):
        return scan_double(s, p, &ignored);
    case SCAN_KEY1('s'):
        return scan_int(s, p, SCAN_TIME_ABSENT, &r->time);
    case SCAN_KEY1('e'):
        return scan_int(s, p, SCAN_TIME_ABSENT, &r->end_time);
    case SCAN_KEY1('n'):
        return scan_bar_count(s, p, &b->n);
    case SCAN_KEY3('o', 't', 'c'):
        p = scan_bool(s, p, &otc);
        b->flags = otc ? PGD_BAR_OTC : 0;
        return p;
    default:
        return read_unknown;
    }
}

READ_FIELD field_status(struct read *r, uint64_t code, const char *p)
{
    if (code == SCAN_KEY_STATUS)
        return scan_text(&r->scan, p, &r->event.status.status);
    if (code == SCAN_KEY_MESSAGE)
        return scan_text(&r->scan, p, &r->event.status.message);
    return read_unknown;
}

READ_FIELD field_counted(struct read *r, uint64_t code, const char *p)
{
    if (code == r->symbol_key)
        return scan_symbol(&r->scan, p, &r->event.symbol);
    if (code == SCAN_KEY1('t'))
        return scan_int(&r->scan, p, SCAN_TIME_ABSENT, &r->time);
    return read_unknown;
}

/* ----------------------------------------------------------------------------------------------- dispatch */

#define KEY_SYM  SCAN_KEY3('s', 'y', 'm')
#define KEY_PAIR SCAN_KEY4('p', 'a', 'i', 'r')
#define KEY_T    SCAN_KEY1('T')

/* What key has the symbol, and who reads the fields. */
enum reader { READ_TRADE, READ_VALUE, READ_QUOTE, READ_FOREX, READ_BAR, READ_STATUS, READ_COUNTED };

static const struct {
    uint64_t symbol_key;
    enum reader reader;
} readers[EVENT_TYPES] = {
    [EVENT_T] = {KEY_SYM, READ_TRADE},        [EVENT_Q] = {KEY_SYM, READ_QUOTE},
    [EVENT_A] = {KEY_SYM, READ_BAR},          [EVENT_AM] = {KEY_SYM, READ_BAR},
    [EVENT_XT] = {KEY_PAIR, READ_TRADE},      [EVENT_XQ] = {KEY_PAIR, READ_QUOTE},
    [EVENT_XA] = {KEY_PAIR, READ_BAR},        [EVENT_XAS] = {KEY_PAIR, READ_BAR},
    [EVENT_C] = {SCAN_KEY1('p'), READ_FOREX}, [EVENT_CA] = {KEY_PAIR, READ_BAR},
    [EVENT_CAS] = {KEY_PAIR, READ_BAR},       [EVENT_V] = {KEY_T, READ_VALUE},
    [EVENT_STATUS] = {0, READ_STATUS},        [EVENT_LULD] = {KEY_T, READ_COUNTED},
    [EVENT_NOI] = {KEY_T, READ_COUNTED},      [EVENT_FMV] = {KEY_SYM, READ_COUNTED},
    [EVENT_LV] = {KEY_SYM, READ_COUNTED},     [EVENT_XL2] = {KEY_PAIR, READ_COUNTED},
};

static const char *finish(struct read *r, const char *p)
{
    enum event_class class = r->event.class;
    if (class != EVENT_CLASS_STATUS && r->event.symbol.n == 0)
        return scan_fail(&r->scan, "the symbol is missing");
    if (class == EVENT_CLASS_TRADE)
        read_finish_trade(r);
    else if (class == EVENT_CLASS_QUOTE)
        read_finish_quote(r);
    else if (class == EVENT_CLASS_BAR)
        read_finish_bar(r);
    else if (class == EVENT_CLASS_STATUS)
        read_finish_status(r);
    else
        read_finish_counted(r);
    return p;
}

/* The fields from `p` on, for an event of a known type. */
static const char *event_fields(struct read *r, const char *p)
{
    r->symbol_key = readers[r->event.type].symbol_key;
    switch (readers[r->event.type].reader) {
    case READ_TRADE:
        p = read_fields(r, p, field_trade);
        break;
    case READ_QUOTE:
        p = read_fields(r, p, field_quote);
        break;
    case READ_BAR:
        p = read_fields(r, p, field_bar);
        break;
    case READ_VALUE:
        r->event.trade.flags = PGD_VALUE;
        p = read_fields(r, p, field_value);
        break;
    case READ_FOREX:
        p = read_fields(r, p, field_forex);
        break;
    case READ_STATUS:
        p = read_fields(r, p, field_status);
        break;
    case READ_COUNTED:
        p = read_fields(r, p, field_counted);
        break;
    }
    return p ? finish(r, p) : NULL;
}

/* The type when `ev` is not the first key: looks through the whole object; the last `ev` counts. */
static enum event_type search_type(struct read *r, const char *p)
{
    struct scan *s = &r->scan;
    enum event_type type = EVENT_UNKNOWN;
    bool found = false;
    while (p) {
        uint64_t code = 0;
        struct event_text name;
        p = scan_key_hard(s, p, &code);
        if (p && code == SCAN_KEY_EV) {
            p = scan_text(s, p, &name);
            found = p != NULL;
            if (found)
                type = read_type(name);
            s->text_used = 0;
        } else if (p) {
            p = scan_skip(s, p);
        }
        if (!p)
            return EVENT_UNKNOWN;
        p = scan_space(p, s->end);
        if (p < s->end && *p == '}')
            break;
        p = p < s->end && *p == ',' ? scan_space(p + 1, s->end)
                                    : scan_fail(s, "a comma or the end of an object is expected");
    }
    if (s->fault == EVENT_OK && !found)
        scan_fail(s, "ev is missing");
    else if (s->fault == EVENT_OK && type == EVENT_UNKNOWN) {
        s->fault = EVENT_NOT_KNOWN;
        s->reason = "an event of an unknown type";
    }
    return type;
}

static const char *event_of_searched_type(struct read *r, const char *p)
{
    read_begin(r, EVENT_UNKNOWN);
    enum event_type type = search_type(r, p);
    if (r->scan.fault != EVENT_OK)
        return NULL;
    r->settled = true;
    read_begin(r, type);
    return event_fields(r, p);
}

#define WORD2(a, b) ((unsigned)(uint8_t)(a) | (unsigned)(uint8_t)(b) << 8)

static enum event_type type_of_one(char c)
{
    return c == 'T'   ? EVENT_T
           : c == 'Q' ? EVENT_Q
           : c == 'A' ? EVENT_A
           : c == 'C' ? EVENT_C
           : c == 'V' ? EVENT_V
                      : EVENT_UNKNOWN;
}

static enum event_type type_of_two(unsigned name)
{
    switch (name) {
    case WORD2('A', 'M'):
        return EVENT_AM;
    case WORD2('X', 'T'):
        return EVENT_XT;
    case WORD2('X', 'Q'):
        return EVENT_XQ;
    case WORD2('X', 'A'):
        return EVENT_XA;
    case WORD2('C', 'A'):
        return EVENT_CA;
    default:
        return EVENT_UNKNOWN;
    }
}

/* The usual beginning, {"ev":"T", or with a name of two letters, without blanks. Returns the position of the
 * next key. */
static const char *usual_type(const struct scan *s, const char *p, enum event_type *ret)
{
    uint64_t head;
    memcpy(&head, "\0{\"ev\":\"", 8);
    uint64_t w = number_load(p, s->end);
    uint64_t v = number_load(p + 7, s->end);
    if (s->end - p < 16 || w << 8 != le64toh(head))
        return NULL;
    bool two = (v >> 8 & 0xffff) != WORD2('"', ',');
    if (two && (v >> 16 & 0xffff) != WORD2('"', ','))
        return NULL;
    *ret = two ? type_of_two(v & 0xffff) : type_of_one((char)v);
    return *ret == EVENT_UNKNOWN ? NULL : p + (two ? 11 : 10);
}

static const char *any_type(struct read *r, const char *first)
{
    struct scan *s = &r->scan;
    uint64_t code = 0;
    struct event_text name;
    const char *p = scan_key(s, first, &code);
    if (p && code == SCAN_KEY_EV)
        p = scan_text(s, p, &name);
    if (!p || code != SCAN_KEY_EV)
        return event_of_searched_type(r, first);
    p = scan_space(p, s->end);
    enum event_type type = read_type(name);
    if (type == EVENT_UNKNOWN || p >= s->end || *p != ',')
        return event_of_searched_type(r, first);
    read_begin(r, type);
    return event_fields(r, p + 1);
}

const char *parse_event(struct read *r, const char *p)
{
    struct scan *s = &r->scan;
    enum event_type type;
    r->settled = false;
    r->other_type = false;
    s->fault = EVENT_OK;
    s->text_used = 0;
    const char *after;
    const char *fields = usual_type(s, p, &type);
    if (__builtin_expect(fields != NULL, 1)) {
        read_begin(r, type);
        after = event_fields(r, fields);
    } else {
        after = any_type(r, p + 1);
    }
    if (!after && r->other_type)
        return event_of_searched_type(r, p + 1);
    return after;
}
