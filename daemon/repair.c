#include "repair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define FLIGHTS   16u            /* at a time; REST has its own limits beneath */
#define GIVE_UP   8u             /* tries that the server answered with nonsense */
#define AGAIN_NS  (2 * NS_PER_S) /* before the second try; doubles */
#define AGAIN_MAX 9u             /* times */
#define WARM_NS   NS_PER_S       /* a symbol's history goes first: looked at again after so long */
#define SETTLE_NS                                                                                            \
    (60 * NS_PER_S) /* by the clock too long: until then the stream may show that it is shorter */
#define BACK_MS    INT64_C(1200000) /* minutes this much older come along: the vendor re-sends for so long */
#define BACK_1S_MS INT64_C(60000)
#define ALL_TOPICS (PGD_TRADES | PGD_QUOTES | PGD_BARS_1S | PGD_BARS_1M | PGD_VALUES)

struct flight {
    struct repair *repair; /* NULL: not in use */
    uint32_t row;
    struct symbol *symbol;
    enum pgd_topic topic;
    int segment; /* of bars, else -1 */
    int64_t from_ns;
    int64_t to_ns;
    int64_t asked_ms; /* a bar that ends later was still forming */
    int64_t done_ns;  /* trades and quotes: up to here they are there */
    uint64_t received;
    uint64_t filled;
    struct pgd_bar *bars; /* newest first as they come; placed at the end */
    size_t count;
    size_t room;
};

struct repair {
    uv_loop_t *loop;
    const struct config *config;
    struct bus *bus;
    struct symbols *symbols;
    struct feed *feed;
    struct gaps_watch *watch;
    struct gaps *gaps;
    struct rest *rest;
    uv_timer_t timer;
    struct flight flights[FLIGHTS];
    void (*closed)(void *user);
    void *closed_user;
};

static int64_t now_ns(const struct repair *r)
{
    return feed_now_ms(r->feed) * 1000000;
}

static void pump(struct repair *r);

/* --------------------------------------------------------------------------------------------------- answers
 */

static void land(struct flight *f)
{
    free(f->bars);
    *f = (struct flight){0};
}

/* Newest first, all or none: a bar that is placed must find the older ones there. */
static void take_bars(struct flight *f, const struct rest_rows *rows)
{
    struct repair *r = f->repair;
    int64_t span = r->bus->span_ms[f->segment];
    size_t before = f->count;
    if (f->count + rows->count > f->room) {
        size_t room = 2 * f->room > f->count + rows->count ? 2 * f->room : f->count + rows->count;
        struct pgd_bar *more = realloc(f->bars, room * sizeof *more);
        if (!more) {
            feed_rest_unwanted(r->feed, rows->count);
            return;
        }
        f->bars = more;
        f->room = room;
    }
    for (size_t i = 0; i < rows->count; i++)
        if (rows->bars[i].t + span <= f->asked_ms)
            f->bars[f->count++] = rows->bars[i];
    feed_rest_unwanted(r->feed, rows->count - (f->count - before));
}

static void on_rows(void *user, const struct rest_rows *rows)
{
    struct flight *f = user;
    struct feed *feed = f->repair->feed;
    f->received += rows->count;
    if (rows->count == 0)
        return;
    if (f->segment >= 0) {
        take_bars(f, rows);
        return;
    }
    if (f->topic == PGD_TRADES) {
        const struct pgd_trade *last = &rows->trades[rows->count - 1];
        f->filled += feed_fill_trades(feed, f->symbol, rows->trades, rows->count);
        f->done_ns = last->id ? last->t : last->t + 1;
    } else {
        f->filled += feed_fill_quotes(feed, f->symbol, rows->quotes, rows->count);
        f->done_ns = rows->quotes[rows->count - 1].t + 1;
    }
    feed_batch(feed, 0, 0);
}

static void on_bad(void *user, const char *reason, struct event_text raw, uint64_t count)
{
    (void)reason, (void)raw;
    const struct flight *f = user;
    feed_rest_refused(f->repair->feed, count);
}

/* Of bars with the same start the one that came last is placed last, and so is what stays. */
static int by_start(const void *a, const void *b)
{
    const struct pgd_bar *x = *(const struct pgd_bar *const *)a;
    const struct pgd_bar *y = *(const struct pgd_bar *const *)b;
    if (x->t != y->t)
        return x->t < y->t ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* False: no memory. */
static bool place_bars(struct flight *f)
{
    struct repair *r = f->repair;
    if (f->count == 0)
        return true;
    const struct pgd_bar **order = malloc(f->count * sizeof *order);
    struct pgd_bar *sorted = malloc(f->count * sizeof *sorted);
    bool room = order && sorted;
    for (size_t i = 0; room && i < f->count; i++)
        order[i] = &f->bars[i];
    if (room)
        qsort(order, f->count, sizeof *order, by_start);
    for (size_t i = 0; room && i < f->count; i++)
        sorted[i] = *order[i];
    if (room)
        f->filled += feed_fill_bars(r->feed, f->symbol, (unsigned)f->segment, sorted, f->count,
                                    f->from_ns / 1000000, f->to_ns / 1000000);
    else
        feed_rest_unwanted(r->feed, f->count);
    feed_batch(r->feed, 0, 0);
    free(order);
    free(sorted);
    return room;
}

static void try_again(struct repair *r, const struct flight *f)
{
    unsigned tries = gaps_at(r->gaps, f->row)->tries;
    unsigned doubled = tries < AGAIN_MAX ? tries : AGAIN_MAX;
    int64_t after = AGAIN_NS << (doubled ? doubled - 1 : 0);
    gaps_again(r->gaps, f->row, f->segment < 0 ? f->done_ns : 0, now_ns(r), clock_mono_ns() + after);
}

static void judge(struct repair *r, const struct flight *f, const struct rest_done *done)
{
    int64_t now = now_ns(r);
    if (done->error == 0)
        gaps_close(r->gaps, f->row, now);
    else if (done->error == -EACCES)
        gaps_give_up(r->gaps, f->row, done->status == 401 ? PGD_GAP_OFF : PGD_GAP_NOT_ENTITLED, now);
    else if (done->error == -ENOENT)
        gaps_give_up(r->gaps, f->row, PGD_GAP_UNKNOWN, now);
    else if (done->error == -EBADMSG && gaps_at(r->gaps, f->row)->tries >= GIVE_UP)
        gaps_give_up(r->gaps, f->row, PGD_GAP_FAILED, now);
    else
        try_again(r, f);
}

static void on_done(void *user, const struct rest_done *done)
{
    struct flight *f = user;
    struct repair *r = f->repair;
    if (done->error == -ECANCELED) { /* stopping: the next run finds it being filled, and fills it */
        feed_rest_unwanted(r->feed, f->count);
        land(f);
        return;
    }
    bool placed = place_bars(f);
    gaps_filled(r->gaps, f->row, f->received, f->filled);
    if (placed)
        judge(r, f, done);
    else
        try_again(r, f);
    land(f);
    pump(r);
}

/* ------------------------------------------------------------------------------------------------- questions
 */

/* Why a hole of this topic can not be filled, 0: it can. */
static enum pgd_gap_reason hopeless(const struct repair *r, const struct pgd_gap *g,
                                    const struct symbol *symbol)
{
    bool ticks = g->topic == PGD_TRADES || g->topic == PGD_QUOTES;
    if (!r->rest || !r->config->rest.fill || (ticks && r->config->rest.fill_ticks_s == 0))
        return PGD_GAP_OFF;
    if (g->topic == PGD_VALUES || (ticks && symbol->cluster == PGD_FUTURES) ||
        (g->topic == PGD_QUOTES && symbol->cluster == PGD_CRYPTO) ||
        (g->topic == PGD_TRADES && (symbol->cluster == PGD_FOREX || symbol->cluster == PGD_INDICES)))
        return PGD_GAP_NO_SOURCE;
    if (ticks && g->to_ns - g->from_ns > (int64_t)r->config->rest.fill_ticks_s * NS_PER_S)
        return PGD_GAP_TOO_LONG;
    return (enum pgd_gap_reason)0;
}

static struct flight *free_flight(struct repair *r)
{
    for (unsigned i = 0; i < FLIGHTS; i++)
        if (!r->flights[i].repair)
            return &r->flights[i];
    return NULL;
}

static int ask(struct flight *f)
{
    struct repair *r = f->repair;
    char ticker[PGD_SYMBOL_MAX];
    struct rest_sink sink = {.rows = on_rows, .bad = on_bad, .done = on_done, .user = f};
    struct rest_query query = {.class = REST_REPAIR, .ticker = ticker};
    if (f->segment >= 0) {
        bool second = f->topic == PGD_BARS_1S;
        query.kind = REST_BARS;
        query.timespan = second ? "second" : "minute";
        query.from = f->from_ns / 1000000 - (second ? BACK_1S_MS : BACK_MS);
        query.to = f->to_ns / 1000000 - 1;
        query.newest_first = true;
        query.max_rows = r->bus->bars[f->segment].geo->capacity - 1u;
    } else {
        query.kind = f->topic == PGD_TRADES ? REST_TRADES : REST_QUOTES;
        query.from = f->from_ns - f->from_ns % 1000000;
        query.to = f->to_ns - 1;
    }
    int e = rest_ticker(ticker, f->symbol->name);
    return e < 0 ? e : rest_get(r->rest, &query, &sink);
}

static void start(struct repair *r, uint32_t row)
{
    int64_t span;
    const struct pgd_gap *g = gaps_at(r->gaps, row);
    struct symbol *symbol = symbols_at(r->symbols, g->symbol);
    enum pgd_gap_reason reason = hopeless(r, g, symbol);
    if (reason == PGD_GAP_TOO_LONG && now_ns(r) - g->changed_ns < SETTLE_NS) {
        gaps_put_off(r->gaps, row, clock_mono_ns() + WARM_NS);
        return;
    }
    if (reason) {
        gaps_give_up(r->gaps, row, reason, now_ns(r));
        return;
    }
    struct flight *f = free_flight(r);
    *f = (struct flight){.repair = r,
                         .row = row,
                         .symbol = symbol,
                         .topic = (enum pgd_topic)g->topic,
                         .segment = feed_segment(r->feed, (enum pgd_topic)g->topic, &span),
                         .from_ns = g->from_ns,
                         .to_ns = g->to_ns,
                         .asked_ms = feed_now_ms(r->feed)};
    gaps_take(r->gaps, row, now_ns(r));
    if (ask(f) < 0) {
        try_again(r, f);
        land(f);
    }
}

/* Live bars wait for the symbol's history, and rows of holes would not. */
static bool warming(const struct repair *r, const struct pgd_gap *g)
{
    int64_t span;
    int segment = feed_segment(r->feed, (enum pgd_topic)g->topic, &span);
    return segment >= 0 && (symbols_at(r->symbols, g->symbol)->history & 1u << segment);
}

static void on_timer(uv_timer_t *timer)
{
    pump(timer->data);
}

static void pump(struct repair *r)
{
    int64_t wake = INT64_MAX;
    if (uv_is_closing((uv_handle_t *)&r->timer))
        return;
    while (free_flight(r)) {
        int64_t clock = clock_mono_ns();
        uint32_t row = gaps_due(r->gaps, ALL_TOPICS, clock, &wake);
        if (row == GAPS_NONE)
            break;
        if (warming(r, gaps_at(r->gaps, row))) {
            gaps_put_off(r->gaps, row, clock + WARM_NS);
            continue;
        }
        gaps_watch_settle(r->watch, row);
        start(r, row);
        wake = INT64_MAX;
    }
    int64_t wait = wake == INT64_MAX ? -1 : wake - clock_mono_ns();
    if (wait >= 0 || wake != INT64_MAX)
        (void)uv_timer_start(&r->timer, on_timer, wait > 0 ? (uint64_t)(wait / 1000000) + 1 : 0, 0);
    else
        (void)uv_timer_stop(&r->timer);
}

/* --------------------------------------------------------------------------------------------------- life */

int repair_new(struct repair **ret, uv_loop_t *loop, const struct config *config, struct bus *bus,
               struct symbols *symbols, struct feed *feed, struct gaps_watch *watch, struct rest *rest)
{
    struct repair *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    *r = (struct repair){.loop = loop,
                         .config = config,
                         .bus = bus,
                         .symbols = symbols,
                         .feed = feed,
                         .watch = watch,
                         .gaps = gaps_watch_ledger(watch),
                         .rest = rest};
    int e = uv_timer_init(loop, &r->timer);
    if (e < 0) {
        free(r);
        return e;
    }
    r->timer.data = r;
    repair_poke(r);
    *ret = r;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct repair *r = handle->data;
    void (*closed)(void *user) = r->closed;
    void *user = r->closed_user;
    free(r);
    if (closed)
        closed(user);
}

void repair_free(struct repair *r, void (*closed)(void *user), void *user)
{
    if (!r)
        return;
    r->closed = closed;
    r->closed_user = user;
    uv_close((uv_handle_t *)&r->timer, on_closed);
}

/* From the loop's next turn on: many holes become known at once. */
void repair_poke(struct repair *r)
{
    if (!uv_is_closing((uv_handle_t *)&r->timer))
        (void)uv_timer_start(&r->timer, on_timer, 0, 0);
}
