/* prop_parse - random events, written in every way JSON allows (order, blanks, escapes, unknown and repeated
 * keys, number forms), read back as what they were made from; and frames in which damaged events leave the
 * others alone. */
#include "parse.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static uint64_t seed;

static unsigned rnd(unsigned below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % below;
}

/* ------------------------------------------------------------------------------------------------ writing */

struct out {
    char text[65536];
    size_t n;
};

static void put(struct out *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct out *o, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int n = vsnprintf(o->text + o->n, sizeof(o->text) - o->n, format, list);
    va_end(list);
    assert_true(n >= 0 && (size_t)n < sizeof(o->text) - o->n);
    o->n += (size_t)n;
}

static bool blanks;

static void space(struct out *o)
{
    static const char *const kinds[] = {" ", "\n", "\t", "\r\n", "   "};
    if (blanks && rnd(3) == 0)
        put(o, "%s", kinds[rnd(5)]);
}

static bool escapes;

static void put_string(struct out *o, const char *text)
{
    put(o, "\"");
    for (; *text; text++)
        if (escapes && rnd(6) == 0)
            put(o, rnd(2) ? "\\u%04x" : "\\u%04X", (unsigned)(uint8_t)*text);
        else
            put(o, "%c", *text);
    put(o, "\"");
}

static void put_any(struct out *o, int depth)
{
    unsigned kind = rnd(depth > 4 ? 5 : 7);
    if (kind == 0)
        put(o, "%s", rnd(2) ? "true" : "false");
    else if (kind == 1)
        put(o, "null");
    else if (kind == 2)
        put(o, "-%u.%ue%d", rnd(100), rnd(1000), (int)rnd(600) - 300);
    else if (kind == 3)
        put(o, "\"]},\\\"{[\\\\\\ud834\\udd1e%s\"", rnd(2) ? "\xc3\xa9" : "");
    else if (kind == 4)
        put(o, "%u", rnd(1000000));
    else {
        bool object = kind == 5;
        put(o, object ? "{" : "[");
        for (unsigned i = 0, n = rnd(4); i < n; i++) {
            if (i)
                put(o, ",");
            space(o);
            if (object)
                put(o, "\"%s\":", rnd(2) ? "ev" : "p");
            put_any(o, depth + 1);
            space(o);
        }
        put(o, object ? "}" : "]");
    }
}

#define FIELDS 24

struct field {
    char key[8];
    char value[64]; /* as JSON; "" : a string in `text` */
    char text[64];
};

struct item {
    struct field fields[FIELDS];
    size_t n;
    struct event want;
    char symbol[64];
};

static struct field *add(struct item *it, const char *key)
{
    assert_true(it->n < FIELDS);
    struct field *f = &it->fields[it->n++];
    memset(f, 0, sizeof(*f));
    snprintf(f->key, sizeof(f->key), "%s", key);
    return f;
}

static double add_double(struct item *it, const char *key)
{
    struct field *f = add(it, key);
    double scale[] = {1, 100, 1e4, 1e7, 1e-5, 1e12};
    double value = (double)rnd(1u << 30) / (1u << 30) * scale[rnd(6)];
    unsigned kind = rnd(8);
    if (kind == 0)
        snprintf(f->value, sizeof(f->value), "%.17g", value);
    else if (kind == 1)
        snprintf(f->value, sizeof(f->value), "%.*e", (int)rnd(12), value);
    else if (kind == 2)
        snprintf(f->value, sizeof(f->value), "%.0f", value);
    else
        snprintf(f->value, sizeof(f->value), "%.*f", (int)rnd(7), value);
    return strtod(f->value, NULL);
}

static int64_t add_int(struct item *it, const char *key, unsigned bits)
{
    struct field *f = add(it, key);
    uint64_t v =
        ((uint64_t)rnd(1u << 30) << 34 ^ (uint64_t)rnd(1u << 30) << 10 ^ rnd(1u << 30)) >> (64 - bits);
    bool decimal = rnd(5) == 0 && v < (1u << 30);
    snprintf(f->value, sizeof(f->value), decimal ? "%llu.0" : "%llu", (unsigned long long)v);
    return (int64_t)v;
}

static int64_t add_time(struct item *it, const char *key)
{
    struct field *f = add(it, key);
    int64_t ms = INT64_C(1500000000000) + (int64_t)rnd(1u << 30) * 100;
    snprintf(f->value, sizeof(f->value), rnd(4) ? "%lld" : "%lld000", (long long)ms);
    return ms * 1000000;
}

static void add_symbol(struct item *it, const char *key)
{
    struct field *f = add(it, key);
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:/-+ ";
    size_t n = 1 + rnd(rnd(4) ? 7 : 46);
    for (size_t i = 0; i < n; i++)
        f->text[i] = set[rnd(sizeof(set) - 1)];
    memcpy(it->symbol, f->text, sizeof(it->symbol));
}

static void add_conditions(struct item *it, uint16_t *cond, size_t max, uint8_t *flags)
{
    struct field *f = add(it, "c");
    size_t n = rnd(7);
    size_t used = (size_t)snprintf(f->value, sizeof(f->value), "[");
    for (size_t i = 0; i < n; i++) {
        unsigned id = rnd(rnd(2) ? 60 : 65535);
        used += (size_t)snprintf(f->value + used, sizeof(f->value) - used, "%s%u", i ? "," : "", id);
        if (i < max)
            cond[i] = (uint16_t)(id + 1);
    }
    snprintf(f->value + used, sizeof(f->value) - used, "]");
    if (n > max)
        *flags |= PGD_MORE_CONDITIONS;
}

static void make_trade(struct item *it)
{
    struct pgd_trade *t = &it->want.trade;
    it->want.type = EVENT_T;
    add_symbol(it, "sym");
    t->price = add_double(it, "p");
    t->size = add_double(it, "s");
    t->t = add_time(it, "t");
    if (rnd(4))
        t->exchange = (uint16_t)add_int(it, "x", 1 + rnd(16));
    if (rnd(4))
        t->seq = (uint64_t)add_int(it, "q", 1 + rnd(63));
    if (rnd(2))
        t->flags = (uint8_t)add_int(it, "z", 1 + rnd(2)) & PGD_TAPE_MASK;
    if (rnd(2))
        add_conditions(it, t->cond, 4, &t->flags);
    if (rnd(2)) {
        struct field *f = add(it, "i");
        t->id = 1 + (uint64_t)rnd(1u << 30) * (rnd(2) ? 1 : 977);
        snprintf(f->text, sizeof(f->text), "%llu", (unsigned long long)t->id);
    }
    if (rnd(4) == 0) {
        struct field *f = add(it, "ds");
        snprintf(f->text, sizeof(f->text), "%u.%09u", rnd(5000), rnd(1000000000));
        t->size = strtod(f->text, NULL);
    }
}

static void make_quote(struct item *it)
{
    struct pgd_quote *q = &it->want.quote;
    it->want.type = EVENT_Q;
    add_symbol(it, "sym");
    q->t = add_time(it, "t");
    q->bid = add_double(it, "bp");
    q->ask = rnd(4) ? add_double(it, "ap") : NAN;
    q->bid_size = rnd(4) ? add_double(it, "bs") : NAN;
    q->ask_size = rnd(4) ? add_double(it, "as") : NAN;
    if (rnd(4))
        q->bid_exchange = (uint16_t)add_int(it, "bx", 16);
    if (rnd(4))
        q->ask_exchange = (uint16_t)add_int(it, "ax", 5);
    if (rnd(2))
        add_conditions(it, &q->cond, 1, &q->flags);
    if (rnd(2)) {
        int64_t seq = add_int(it, "q", 34);
        q->seq = (uint32_t)seq;
        q->flags |= seq > UINT32_MAX ? PGD_SEQ_WRAPPED : 0;
    }
}

static void make_bar(struct item *it)
{
    struct pgd_bar *b = &it->want.bar.bar;
    struct pgd_day *d = &it->want.bar.day;
    it->want.type = EVENT_AM;
    add_symbol(it, "sym");
    b->o = add_double(it, "o");
    b->h = add_double(it, "h");
    b->l = add_double(it, "l");
    b->c = add_double(it, "c");
    if (b->h < b->l) {
        memcpy(it->fields[it->n - 2].value, it->fields[it->n - 3].value, sizeof(it->fields[0].value));
        b->l = b->h;
    }
    b->v = add_double(it, "v");
    b->t = d->t = add_time(it, "s") / 1000000;
    b->vw = rnd(2) ? add_double(it, "vw") : NAN;
    d->av = rnd(2) ? add_double(it, "av") : NAN;
    d->op = rnd(2) ? add_double(it, "op") : NAN;
    d->a = rnd(2) ? add_double(it, "a") : NAN;
    it->want.bar.end = rnd(2) ? add_time(it, "e") / 1000000 : 0;
    b->n = rnd(2) ? (uint32_t)add_int(it, "n", 31) : PGD_N_ABSENT;
    if (rnd(3) == 0)
        (void)add_double(it, "z");
    if (rnd(3) == 0) {
        snprintf(add(it, "otc")->value, 8, "true");
        b->flags = PGD_BAR_OTC;
    }
}

static void put_field(struct out *o, const struct field *f)
{
    space(o);
    put_string(o, f->key);
    space(o);
    put(o, ":");
    space(o);
    if (f->value[0])
        put(o, "%s", f->value);
    else
        put_string(o, f->text);
    space(o);
}

static void put_item(struct out *o, struct item *it)
{
    bool shuffle = rnd(2);
    bool strangers = rnd(3) == 0;
    if (shuffle)
        for (size_t i = it->n; i-- > 1;) {
            size_t j = rnd((unsigned)i + 1);
            struct field f = it->fields[i];
            it->fields[i] = it->fields[j];
            it->fields[j] = f;
        }
    size_t repeated = rnd(4) ? FIELDS : rnd((unsigned)it->n);
    put(o, "{");
    for (size_t i = 0; i < it->n; i++) {
        if (i)
            put(o, ",");
        if (strangers && rnd(3) == 0) {
            put(o, "\"%s\":", rnd(2) ? "a_key_of_a_later_year" : "zz");
            put_any(o, 0);
            put(o, ",");
        }
        /* An earlier value of the same key, of the right type, counts for nothing. */
        if (i == repeated) {
            struct field f = it->fields[i];
            if (strcmp(f.key, "ev") == 0)
                snprintf(f.text, sizeof(f.text), "%s", rnd(2) ? "T" : "Q");
            else if (f.value[0] == '[')
                snprintf(f.value, sizeof(f.value), "[1,2,3,4,5]");
            else if (f.value[0] && f.value[0] != 't')
                snprintf(f.value, sizeof(f.value), "1");
            else if (strcmp(f.key, "ds") == 0)
                snprintf(f.text, sizeof(f.text), "1.5");
            else if (!f.value[0])
                snprintf(f.text, sizeof(f.text), "another");
            put_field(o, &f);
            put(o, ",");
        }
        put_field(o, &it->fields[i]);
    }
    put(o, "}");
}

static void make_item(struct item *it)
{
    memset(it, 0, sizeof(*it));
    struct field *ev = add(it, "ev");
    unsigned kind = rnd(3);
    if (kind == 0)
        make_trade(it);
    else if (kind == 1)
        make_quote(it);
    else
        make_bar(it);
    snprintf(ev->text, sizeof(ev->text), kind == 0 ? "T" : kind == 1 ? "Q" : "AM");
}

/* ------------------------------------------------------------------------------------------------ reading */

#define ITEMS 8

static struct item items[ITEMS];
static size_t item_n;
static size_t taken;
static size_t faults;

static bool same_double(double a, double b)
{
    return isnan(a) ? isnan(b) : memcmp(&a, &b, sizeof(a)) == 0;
}

static bool same_event(const struct event *a, const struct event *b)
{
    if (a->type != b->type)
        return false;
    if (a->type == EVENT_T)
        return memcmp(&a->trade, &b->trade, sizeof(a->trade)) == 0;
    if (a->type == EVENT_Q) {
        const struct pgd_quote *x = &a->quote;
        const struct pgd_quote *y = &b->quote;
        return x->t == y->t && same_double(x->bid, y->bid) && same_double(x->ask, y->ask) &&
               same_double(x->bid_size, y->bid_size) && same_double(x->ask_size, y->ask_size) &&
               x->bid_exchange == y->bid_exchange && x->ask_exchange == y->ask_exchange &&
               x->cond == y->cond && x->seq == y->seq && x->flags == y->flags;
    }
    const struct pgd_bar *x = &a->bar.bar;
    const struct pgd_bar *y = &b->bar.bar;
    return x->t == y->t && same_double(x->o, y->o) && same_double(x->h, y->h) && same_double(x->l, y->l) &&
           same_double(x->c, y->c) && same_double(x->v, y->v) && same_double(x->vw, y->vw) && x->n == y->n &&
           x->flags == y->flags && a->bar.end == b->bar.end && same_double(a->bar.day.op, b->bar.day.op) &&
           same_double(a->bar.day.av, b->bar.day.av) && same_double(a->bar.day.a, b->bar.day.a);
}

static void on_event(void *user, const struct event *e)
{
    const struct out *o = user;
    assert_true(taken < item_n);
    const struct item *it = &items[taken++];
    if (e->symbol.n != strlen(it->symbol) || memcmp(e->symbol.p, it->symbol, e->symbol.n) != 0 ||
        !same_event(&it->want, e))
        fail_msg("event %zu read wrongly: %.*s", taken - 1, (int)o->n, o->text);
}

static void on_fault(void *user, enum event_fault fault, const char *reason, const struct event *e,
                     struct event_text raw)
{
    (void)fault, (void)e;
    if (user)
        fail_msg("%s: %.*s", reason, (int)raw.n, raw.p);
    faults++;
}

static void round_trip(void **state)
{
    (void)state;
    static struct out o;
    for (int turn = 0; turn < 25000; turn++) {
        blanks = rnd(3) == 0;
        escapes = rnd(3) == 0;
        item_n = 1 + rnd(3);
        o.n = 0;
        bool bare = item_n == 1 && rnd(2);
        put(&o, bare ? "" : "[");
        for (size_t i = 0; i < item_n; i++) {
            if (i)
                put(&o, ",");
            space(&o);
            make_item(&items[i]);
            put_item(&o, &items[i]);
            space(&o);
        }
        put(&o, bare ? "" : "]");
        char *exact = malloc(o.n);
        assert_non_null(exact);
        memcpy(exact, o.text, o.n);
        taken = 0;
        struct parse_sink sink = {.event = on_event, .fault = on_fault, .user = &o};
        assert_int_equal(parse_ws(exact, o.n, PGD_STOCKS, &sink), 0);
        assert_int_equal(taken, item_n);
        free(exact);
    }
}

static char survivors[ITEMS][64];

static void on_survivor(void *user, const struct event *e)
{
    (void)user;
    if (taken < ITEMS)
        snprintf(survivors[taken], sizeof(survivors[0]), "%.*s", (int)e->symbol.n, e->symbol.p);
    taken++;
}

/* One byte of one event is changed, brackets, quotes and backslashes aside: the others come through, in
 * order. */
static void damage(void **state)
{
    (void)state;
    static struct out o;
    blanks = escapes = false;
    for (int turn = 0; turn < 25000; turn++) {
        size_t begin[ITEMS + 1];
        item_n = 3;
        o.n = 0;
        put(&o, "[");
        for (size_t i = 0; i < item_n; i++) {
            make_item(&items[i]);
            begin[i] = o.n;
            put_item(&o, &items[i]);
            begin[i + 1] = o.n;
            put(&o, i + 1 < item_n ? "," : "]");
        }
        size_t victim = rnd(3);
        size_t at = begin[victim] + 1 + rnd((unsigned)(begin[victim + 1] - begin[victim]) - 2);
        at -= at >= begin[victim + 1] - (victim < 2);
        char with = "x,:.0e-\x01 9T"[rnd(11)];
        if (strchr("[]{}\"\\", o.text[at]))
            continue;
        o.text[at] = with;
        taken = faults = 0;
        struct parse_sink sink = {.event = on_survivor, .fault = on_fault};
        assert_int_equal(parse_ws(o.text, o.n, PGD_STOCKS, &sink), 0);
        assert_int_equal(taken + faults, item_n);
        assert_true(taken >= 2);
        for (size_t i = 0, k = 0; i < item_n; i++, k++) {
            if (i != victim)
                assert_string_equal(survivors[k], items[i].symbol);
            else if (taken == 2)
                k--; /* the victim was not taken */
        }
    }
}

int main(void)
{
    const char *given = getenv("SEED");
    seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
    seed |= 1;
    printf("SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
