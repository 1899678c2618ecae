#include "feed_private.h"

#include <math.h>

static bool same_double(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* The stream's minutes have no count of trades, REST's have: that alone is no revision. */
static bool same_bar(const struct pgd_bar *a, const struct pgd_bar *b)
{
    return same_double(a->o, b->o) && same_double(a->h, b->h) && same_double(a->l, b->l) &&
           same_double(a->c, b->c) && same_double(a->v, b->v) && same_double(a->vw, b->vw) &&
           (a->n == b->n || a->n == PGD_N_ABSENT || b->n == PGD_N_ABSENT);
}

void feed_note(struct feed *f, unsigned segment, uint32_t series, uint64_t first, uint64_t end,
               uint32_t flags)
{
    worker_note(f->worker, segment, series, first, end, flags);
    f->bars_changed = true;
}

enum pgd_counter_id feed_place(struct feed *f, unsigned segment, uint32_t series, const struct pgd_bar *given,
                               uint16_t flags, uint32_t change)
{
    struct pgd_bars *bars = &f->bus->bars[segment];
    struct pgd_bar fresh = *given;
    const struct pgd_bar *bar = &fresh;
    fresh.flags |= flags;
    uint64_t head = pgd_bars_head(bars, series);
    uint64_t first = pgd_bars_first(bars, series);
    struct pgd_bar row;
    if (head > first)
        pgd_bars_peek(bars, series, head - 1, &row);
    if (head == first || bar->t > row.t) {
        pgd_bars_append(bars, series, bar);
        feed_note(f, segment, series, head, head + 1, PGD_CHANGE_APPEND | change);
        feed_count(f, PGD_C_bars_appended);
        return PGD_C_events_published;
    }
    uint64_t at = pgd_bars_search(bars, series, bar->t);
    pgd_bars_peek(bars, series, at, &row);
    if (row.t == bar->t) {
        if (same_bar(&row, bar))
            return PGD_C_events_duplicate;
        /* That it came late stays true, whatever it says now. */
        fresh.flags = (uint16_t)((given->flags & ~PGD_BAR_FILLED) | (row.flags & PGD_BAR_FILLED));
        if (pgd_bars_revise(bars, series, at, bar) < 0)
            return PGD_C_events_too_old;
        feed_note(f, segment, series, at, at + 1, PGD_CHANGE_REVISE | change);
        feed_count(f, PGD_C_bars_revised);
        return PGD_C_events_published;
    }
    /* Older than all that is held, and rows have left the ring or would have to: too old. */
    bool full = head - first >= bars->geo->capacity - 1u;
    if ((at == first && (first > 0 || full)) || pgd_bars_insert(bars, series, at, bar) < 0)
        return PGD_C_events_too_old;
    feed_note(f, segment, series, at, head + 1, PGD_CHANGE_REVISE | change);
    feed_count(f, PGD_C_bars_inserted);
    return PGD_C_events_published;
}

static bool hold(struct feed *f, unsigned segment, uint32_t series, const struct pgd_bar *bar)
{
    if (!f->pool_free)
        return false;
    uint32_t i = f->pool_free - 1;
    f->pool_free = f->pool[i].next;
    f->pool[i].bar = *bar;
    f->pool[i].next = f->held[segment][series];
    f->held[segment][series] = i + 1;
    pgd_count_set(&f->bus->board, PGD_C_events_waiting, ++f->waiting);
    return true;
}

/* The cell this thread alone writes, so it may be read plainly. */
static const struct pgd_bar *forming_of(const struct pgd_bars *bars, uint32_t series)
{
    const uint8_t *at = bars->map.base + bars->geo->series_offset + series * bars->geo->series_stride;
    return &((const struct pgd_series *)at)->forming;
}

/* The minute that forms, made of the seconds that came. */
static void form(struct feed *f, uint32_t series, const struct pgd_bar *second)
{
    if (f->minutes < 0)
        return;
    struct pgd_bars *bars = &f->bus->bars[f->minutes];
    int64_t start = second->t - second->t % 60000;
    struct pgd_bar b = *forming_of(bars, series);
    if (start < b.t)
        return;
    uint64_t head = pgd_bars_head(bars, series);
    struct pgd_bar last = {0};
    if (head > pgd_bars_first(bars, series))
        pgd_bars_peek(bars, series, head - 1, &last);
    if (start <= last.t)
        return;
    if (start > b.t) {
        b = *second;
        b.t = start;
        b.n = PGD_N_ABSENT;
    } else {
        double volume = b.v + second->v;
        b.vw = volume > 0 ? (b.vw * b.v + second->vw * second->v) / volume : b.vw;
        b.v = volume;
        b.h = second->h > b.h ? second->h : b.h;
        b.l = second->l < b.l ? second->l : b.l;
        b.c = second->c;
    }
    b.flags = PGD_BAR_MADE;
    pgd_bars_forming(bars, series, &b);
}

static void formed(struct feed *f, uint32_t series, const struct pgd_bar *minute)
{
    struct pgd_bars *bars = &f->bus->bars[f->minutes];
    int64_t start = forming_of(bars, series)->t;
    if (start != 0 && start <= minute->t)
        pgd_bars_forming(bars, series, &(struct pgd_bar){0});
}

bool feed_is_second(enum event_type type)
{
    return type == EVENT_A || type == EVENT_XAS || type == EVENT_CAS;
}

/* Between the last bar and this one none came, yet the day's volume grew by more than this bar's: one that
 * should have come is missing. A volume that does not add up without a bar's place being empty proves
 * nothing: late trades change it. */
static void look_for_jump(struct feed *f, struct symbol *symbol, unsigned segment, const struct event *e)
{
    struct feed_mark *m = &f->marks[symbols_index(f->symbols, symbol)];
    const struct pgd_bar *bar = &e->bar.bar;
    int64_t last = m->bar_ms[segment], span = f->bus->span_ms[segment];
    double grown = e->bar.day.av - m->volume[segment];
    if (bar->t <= last)
        return;
    if (last != 0 && bar->t > last + span && f->hooks.hole && grown > bar->v * (1 + 1e-9) + 0.5)
        f->hooks.hole(f->hooks.user, symbol, segment == (unsigned)f->seconds ? PGD_BARS_1S : PGD_BARS_1M,
                      (last + span) * 1000000, bar->t * 1000000, PGD_GAP_JUMP);
    m->bar_ms[segment] = bar->t;
    m->volume[segment] = e->bar.day.av;
}

void feed_take_bar(struct feed *f, struct symbol *symbol, const struct event *e)
{
    bool second = feed_is_second(e->type);
    int segment = second ? f->seconds : f->minutes;
    uint32_t series = symbols_index(f->symbols, symbol);
    const struct pgd_bar *bar = &e->bar.bar;
    if (bar->t > f->newest_ms)
        f->newest_ms = bar->t;
    if (f->minutes >= 0 && !isnan(e->bar.day.av))
        pgd_bars_day(&f->bus->bars[f->minutes], series, &e->bar.day);
    if (second)
        form(f, series, bar);
    else if (f->minutes >= 0)
        formed(f, series, bar);
    enum pgd_counter_id outcome = PGD_C_events_unwanted;
    if (segment >= 0) {
        look_for_jump(f, symbol, (unsigned)segment, e);
        if ((symbol->history & 1u << segment) && hold(f, (unsigned)segment, series, bar))
            return; /* counted when it is let go */
        outcome = feed_place(f, (unsigned)segment, series, bar, 0, 0);
    }
    if (outcome == PGD_C_events_published)
        f->published++;
    else
        feed_count(f, outcome);
}

void feed_release(struct feed *f, struct symbol *symbol, unsigned segment)
{
    feed_tap_release(f, symbol, segment);
    uint32_t series = symbols_index(f->symbols, symbol);
    symbol->history &= ~(1u << segment);
    uint32_t oldest = 0;
    for (uint32_t i = f->held[segment][series]; i;) { /* newest first: turn the list round */
        uint32_t next = f->pool[i - 1].next;
        f->pool[i - 1].next = oldest;
        oldest = i;
        i = next;
    }
    f->held[segment][series] = 0;
    while (oldest) {
        struct feed_held *h = &f->pool[oldest - 1];
        uint32_t next = h->next;
        feed_count(f, feed_place(f, segment, series, &h->bar, 0, 0));
        h->next = f->pool_free;
        f->pool_free = oldest;
        f->waiting--;
        oldest = next;
    }
    pgd_count_set(&f->bus->board, PGD_C_events_waiting, f->waiting);
}

int64_t feed_last_bar(const struct feed *f, const struct symbol *symbol, unsigned segment)
{
    const struct pgd_bars *bars = &f->bus->bars[segment];
    uint32_t series = symbols_index(f->symbols, symbol);
    uint64_t head = pgd_bars_head(bars, series);
    if (head == pgd_bars_first(bars, series))
        return 0;
    struct pgd_bar row;
    pgd_bars_peek(bars, series, head - 1, &row);
    return row.t;
}

void feed_open_symbol(struct feed *f, struct symbol *symbol, bool hold_bars)
{
    uint32_t series = symbols_index(f->symbols, symbol);
    for (unsigned s = 0; s < f->bus->bars_count; s++) {
        pgd_bars_open_series(&f->bus->bars[s], series, symbols_session((enum pgd_cluster)symbol->cluster));
        if (hold_bars)
            symbol->history |= 1u << s;
    }
    feed_tap_symbol(f, symbol, true);
}

void feed_close_symbol(struct feed *f, struct symbol *symbol)
{
    feed_settle_ticks(f);
    symbol->held = false;
    feed_tap_symbol(f, symbol, false);
}
