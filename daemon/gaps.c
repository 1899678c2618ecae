#include "gaps.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#define TOPICS 5u /* bits of enum pgd_topic */

struct row {
    struct pgd_gap gap;
    TAILQ_ENTRY(row) link; /* in the list that its state says */
    struct row *pair_next; /* holes of the pair that are open or being filled */
    int64_t due;
};

TAILQ_HEAD(rows, row);

struct gaps {
    struct gaps_hooks hooks;
    uint32_t symbols;
    uint32_t max;
    uint32_t used; /* rows ever used: those above are free */
    uint32_t alive;
    uint64_t last_id;
    struct row *rows;
    struct row **pairs;       /* first of each pair */
    struct rows open[TOPICS]; /* those that do not grow, by topic, about in the order they are due */
    struct rows over;         /* oldest first */
};

static unsigned topic_index(uint32_t topic)
{
    return (unsigned)__builtin_ctz(topic | 1u << (TOPICS - 1));
}

static struct row **pair_of(struct gaps *g, uint32_t symbol, uint32_t topic)
{
    return &g->pairs[(size_t)symbol * TOPICS + topic_index(topic)];
}

static uint32_t number_of(const struct gaps *g, const struct row *row)
{
    return (uint32_t)(row - g->rows);
}

static bool grows(const struct row *row)
{
    return row->gap.to_ns == GAPS_GROWING;
}

static void show(struct gaps *g, const struct row *row)
{
    if (g->hooks.show)
        g->hooks.show(g->hooks.user, number_of(g, row), &row->gap);
}

int gaps_new(struct gaps **ret, uint32_t symbols, uint32_t max, const struct gaps_hooks *hooks)
{
    struct gaps *g = calloc(1, sizeof *g);
    if (!g)
        return -ENOMEM;
    g->hooks = *hooks;
    g->symbols = symbols;
    g->max = max < 4 * symbols ? 4 * symbols : max;
    g->rows = calloc(g->max, sizeof *g->rows);
    g->pairs = calloc((size_t)symbols * TOPICS, sizeof *g->pairs);
    if (!g->rows || !g->pairs) {
        gaps_free(g);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < TOPICS; i++)
        TAILQ_INIT(&g->open[i]);
    TAILQ_INIT(&g->over);
    *ret = g;
    return 0;
}

void gaps_free(struct gaps *g)
{
    if (!g)
        return;
    free(g->rows);
    free(g->pairs);
    free(g);
}

/* ---------------------------------------------------------------------------------------------- the lists */

static void queue(struct gaps *g, struct row *row)
{
    if (!grows(row))
        TAILQ_INSERT_TAIL(&g->open[topic_index(row->gap.topic)], row, link);
}

static void unqueue(struct gaps *g, struct row *row)
{
    if (row->gap.state == PGD_GAP_OPEN && !grows(row))
        TAILQ_REMOVE(&g->open[topic_index(row->gap.topic)], row, link);
}

static void pair_add(struct gaps *g, struct row *row)
{
    struct row **first = pair_of(g, row->gap.symbol, row->gap.topic);
    row->pair_next = *first;
    *first = row;
    g->alive++;
}

static void pair_remove(struct gaps *g, const struct row *row)
{
    struct row **at = pair_of(g, row->gap.symbol, row->gap.topic);
    while (*at != row)
        at = &(*at)->pair_next;
    *at = row->pair_next;
    g->alive--;
}

static void finish(struct gaps *g, struct row *row, enum pgd_gap_state state, enum pgd_gap_reason reason,
                   int64_t now_ns)
{
    unqueue(g, row);
    pair_remove(g, row);
    row->gap.state = (uint8_t)state;
    row->gap.reason = (uint8_t)reason;
    row->gap.changed_ns = now_ns;
    TAILQ_INSERT_TAIL(&g->over, row, link);
    show(g, row);
}

/* The first of the pair that is open and touches [from, to), or follows `after` as such. */
static struct row *touching(struct row *row, int64_t from_ns, int64_t to_ns)
{
    while (row && (row->gap.state != PGD_GAP_OPEN || from_ns > row->gap.to_ns || to_ns < row->gap.from_ns))
        row = row->pair_next;
    return row;
}

/* Takes `row` in: it is over, without a trace. */
static void forget(struct gaps *g, struct row *row)
{
    unqueue(g, row);
    pair_remove(g, row);
    row->gap.state = PGD_GAP_CLOSED;
    row->gap.tries = 0;
    row->gap.received = row->gap.filled = 0;
    row->gap.id = 0;
    TAILQ_INSERT_HEAD(&g->over, row, link);
    show(g, row);
}

static void join(struct gaps *g, struct row *into, struct row *other)
{
    int64_t from = other->gap.from_ns, to = other->gap.to_ns, opened = other->gap.opened_ns;
    forget(g, other);
    unqueue(g, into);
    if (from < into->gap.from_ns)
        into->gap.from_ns = from;
    if (to > into->gap.to_ns)
        into->gap.to_ns = to;
    if (opened < into->gap.opened_ns)
        into->gap.opened_ns = opened;
    queue(g, into);
}

/* The distance from `row` to the nearest open hole of its pair behind it. */
static int64_t distance(const struct row *row, const struct row *first, const struct row **ret)
{
    int64_t best = INT64_MAX;
    for (const struct row *other = first; other; other = other->pair_next) {
        if (other == row || other->gap.state != PGD_GAP_OPEN || other->gap.from_ns < row->gap.from_ns)
            continue;
        int64_t d;
        if (__builtin_sub_overflow(other->gap.from_ns, row->gap.to_ns, &d))
            continue;
        if (d < best) {
            best = d;
            *ret = other;
        }
    }
    return best;
}

/* Every row is a hole that is not over: there are more than pairs, so some pair has two. */
static struct row *squeeze(struct gaps *g)
{
    struct row *into = NULL;
    const struct row *other = NULL;
    int64_t best = INT64_MAX;
    for (uint32_t i = 0; i < g->max; i++) {
        struct row *row = &g->rows[i];
        const struct row *next = NULL;
        if (row->gap.state != PGD_GAP_OPEN || grows(row))
            continue;
        int64_t d = distance(row, *pair_of(g, row->gap.symbol, row->gap.topic), &next);
        if (next && d < best) {
            best = d;
            into = row;
            other = next;
        }
    }
    if (!into)
        return NULL;
    join(g, into, &g->rows[other - g->rows]);
    show(g, into);
    return TAILQ_FIRST(&g->over);
}

static struct row *fresh(struct gaps *g)
{
    struct row *row = TAILQ_FIRST(&g->over);
    if (g->used < g->max && (!row || row->gap.id != 0)) /* none that holds nothing */
        return &g->rows[g->used++];
    if (!row)
        row = squeeze(g);
    if (row)
        TAILQ_REMOVE(&g->over, row, link);
    return row;
}

/* --------------------------------------------------------------------------------------------------- life */

void gaps_load(struct gaps *g, uint32_t number, const struct pgd_gap *gap)
{
    while (g->used <= number && g->used < g->max) { /* rows below that hold nothing can be used */
        struct row *row = &g->rows[g->used++];
        if (number_of(g, row) < number)
            TAILQ_INSERT_TAIL(&g->over, row, link);
    }
    bool alive = gap->state == PGD_GAP_OPEN || gap->state == PGD_GAP_FILLING;
    if (number >= g->max)
        return;
    struct row *row = &g->rows[number];
    if (gap->symbol >= g->symbols || gap->topic == 0 || gap->topic >> TOPICS != 0 ||
        (gap->topic & (gap->topic - 1)) != 0 || gap->from_ns >= gap->to_ns) {
        TAILQ_INSERT_TAIL(&g->over, row, link);
        return;
    }
    row->gap = *gap;
    row->gap.seq = 0;
    if (gap->id > g->last_id)
        g->last_id = gap->id;
    if (!alive) {
        TAILQ_INSERT_TAIL(&g->over, row, link);
        return;
    }
    row->gap.state = PGD_GAP_OPEN;
    row->due = 0;
    pair_add(g, row);
    queue(g, row);
    show(g, row);
}

/* One that is being filled and covers [from, to): the question was asked when its end was past. */
static struct row *covering(struct row *row, int64_t from_ns, int64_t to_ns)
{
    while (row && (row->gap.state != PGD_GAP_FILLING || from_ns < row->gap.from_ns || to_ns > row->gap.to_ns))
        row = row->pair_next;
    return row;
}

static struct row *widen(struct gaps *g, struct row *row, int64_t from_ns, int64_t to_ns, int64_t due)
{
    unqueue(g, row);
    if (from_ns < row->gap.from_ns)
        row->gap.from_ns = from_ns;
    if (to_ns > row->gap.to_ns)
        row->gap.to_ns = to_ns;
    if (due > row->due)
        row->due = due;
    queue(g, row);
    struct row *other;
    struct row *first;
    do { /* wider, it may touch others */
        first = *pair_of(g, row->gap.symbol, row->gap.topic);
        other = touching(first, row->gap.from_ns, row->gap.to_ns);
        if (other == row)
            other = touching(row->pair_next, row->gap.from_ns, row->gap.to_ns);
        if (other)
            join(g, row, other);
    } while (other);
    show(g, row);
    return row;
}

uint32_t gaps_open(struct gaps *g, uint32_t symbol, enum pgd_topic topic, int64_t from_ns, int64_t to_ns,
                   enum pgd_gap_why why, int64_t now_ns, int64_t due)
{
    if (from_ns >= to_ns || symbol >= g->symbols)
        return GAPS_NONE;
    struct row *first = *pair_of(g, symbol, topic);
    struct row *row = covering(first, from_ns, to_ns);
    if (row)
        return number_of(g, row);
    row = touching(first, from_ns, to_ns);
    if (row)
        return number_of(g, widen(g, row, from_ns, to_ns, due));
    row = fresh(g);
    if (!row) /* all are being filled: cannot be, fewer are at a time than there are rows */
        return GAPS_NONE;
    struct row *joined = touching(*pair_of(g, symbol, topic), from_ns, to_ns);
    if (joined) { /* room was made of its neighbours */
        row->gap.id = 0;
        TAILQ_INSERT_HEAD(&g->over, row, link);
        show(g, row);
        return number_of(g, widen(g, joined, from_ns, to_ns, due));
    }
    row->gap = (struct pgd_gap){.id = ++g->last_id,
                                .symbol = symbol,
                                .topic = topic,
                                .from_ns = from_ns,
                                .to_ns = to_ns,
                                .why = (uint8_t)why,
                                .state = PGD_GAP_OPEN,
                                .opened_ns = now_ns,
                                .changed_ns = now_ns};
    row->due = due;
    pair_add(g, row);
    queue(g, row);
    show(g, row);
    return number_of(g, row);
}

uint32_t gaps_end(struct gaps *g, uint32_t symbol, enum pgd_topic topic, int64_t to_ns, int64_t now_ns,
                  int64_t due)
{
    struct row *row = symbol < g->symbols ? *pair_of(g, symbol, topic) : NULL;
    while (row && !(grows(row) && row->gap.state == PGD_GAP_OPEN))
        row = row->pair_next;
    if (!row)
        return GAPS_NONE;
    if (to_ns <= row->gap.from_ns) {
        forget(g, row);
        return GAPS_NONE;
    }
    row->gap.to_ns = to_ns;
    row->gap.changed_ns = now_ns;
    row->due = due;
    queue(g, row);
    show(g, row);
    return number_of(g, row);
}

/* Cuts [from, to) out of one hole. */
static void cut(struct gaps *g, struct row *row, int64_t from_ns, int64_t to_ns, int64_t now_ns)
{
    bool head = from_ns <= row->gap.from_ns;
    bool tail = to_ns >= row->gap.to_ns;
    if (head && tail) {
        finish(g, row, PGD_GAP_CLOSED, (enum pgd_gap_reason)0, now_ns);
        return;
    }
    if (!head && !tail) { /* in the middle: the rest of it becomes another hole, where there is room */
        struct pgd_gap rest = row->gap;
        struct row *more = g->used < g->max ? fresh(g) : NULL;
        if (!more)
            return;
        unqueue(g, row);
        row->gap.to_ns = from_ns;
        queue(g, row);
        show(g, row);
        more->gap = rest;
        more->gap.id = ++g->last_id;
        more->gap.from_ns = to_ns;
        more->due = row->due;
        pair_add(g, more);
        queue(g, more);
        show(g, more);
        return;
    }
    unqueue(g, row);
    if (head)
        row->gap.from_ns = to_ns;
    else
        row->gap.to_ns = from_ns;
    queue(g, row);
    show(g, row);
}

void gaps_covered(struct gaps *g, uint32_t symbol, enum pgd_topic topic, int64_t from_ns, int64_t to_ns,
                  int64_t now_ns)
{
    if (symbol >= g->symbols || from_ns >= to_ns)
        return;
    struct row *next;
    for (struct row *row = *pair_of(g, symbol, topic); row; row = next) {
        next = row->pair_next;
        if (row->gap.state == PGD_GAP_OPEN && from_ns < row->gap.to_ns && to_ns > row->gap.from_ns)
            cut(g, row, from_ns, to_ns, now_ns);
    }
}

void gaps_drop(struct gaps *g, uint32_t symbol, enum pgd_topic topic, enum pgd_gap_reason reason,
               int64_t now_ns)
{
    struct row *next;
    if (symbol >= g->symbols)
        return;
    for (struct row *row = *pair_of(g, symbol, topic); row; row = next) {
        next = row->pair_next;
        if (row->gap.state != PGD_GAP_OPEN)
            continue;
        bool growing = grows(row);
        if (growing)
            row->gap.to_ns = now_ns > row->gap.from_ns ? now_ns : row->gap.from_ns + 1;
        if (growing)
            queue(g, row);
        finish(g, row, PGD_GAP_UNFILLABLE, reason, now_ns);
    }
}

uint32_t gaps_due(struct gaps *g, uint32_t topics, int64_t clock, int64_t *ret_wake)
{
    *ret_wake = INT64_MAX;
    for (unsigned t = TOPICS; t-- > 0;) { /* bars, the higher bits, before trades and quotes */
        const struct row *row;
        if (!(topics & 1u << t))
            continue;
        TAILQ_FOREACH(row, &g->open[t], link)
        {
            if (row->due <= clock)
                return number_of(g, row);
            if (row->due < *ret_wake)
                *ret_wake = row->due;
        }
    }
    return GAPS_NONE;
}

void gaps_put_off(struct gaps *g, uint32_t number, int64_t due)
{
    struct row *row = &g->rows[number];
    unqueue(g, row);
    row->due = due;
    queue(g, row);
}

void gaps_take(struct gaps *g, uint32_t number, int64_t now_ns)
{
    struct row *row = &g->rows[number];
    unqueue(g, row);
    row->gap.state = PGD_GAP_FILLING;
    row->gap.changed_ns = now_ns;
    row->gap.tries++;
    show(g, row);
}

void gaps_close(struct gaps *g, uint32_t number, int64_t now_ns)
{
    finish(g, &g->rows[number], PGD_GAP_CLOSED, (enum pgd_gap_reason)0, now_ns);
}

void gaps_again(struct gaps *g, uint32_t number, int64_t from_ns, int64_t now_ns, int64_t due)
{
    struct row *row = &g->rows[number];
    if (from_ns > row->gap.from_ns && from_ns < row->gap.to_ns)
        row->gap.from_ns = from_ns;
    row->gap.state = PGD_GAP_OPEN;
    row->gap.changed_ns = now_ns;
    row->due = due;
    queue(g, row);
    (void)widen(g, row, row->gap.from_ns, row->gap.to_ns, due);
}

void gaps_give_up(struct gaps *g, uint32_t number, enum pgd_gap_reason reason, int64_t now_ns)
{
    finish(g, &g->rows[number], PGD_GAP_UNFILLABLE, reason, now_ns);
}

void gaps_filled(struct gaps *g, uint32_t number, uint64_t received, uint64_t filled)
{
    g->rows[number].gap.received += received;
    g->rows[number].gap.filled += filled;
}

const struct pgd_gap *gaps_at(const struct gaps *g, uint32_t number)
{
    return &g->rows[number].gap;
}

uint32_t gaps_rows(const struct gaps *g)
{
    return g->used;
}

uint32_t gaps_alive(const struct gaps *g)
{
    return g->alive;
}
