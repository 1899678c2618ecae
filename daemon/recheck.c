#include "recheck.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"

#define FLIGHTS   4u
#define MINUTE_MS INT64_C(60000)

struct flight {
    struct recheck *recheck; /* NULL: not in use */
    struct symbol *symbol;
    int64_t to_ms; /* start of the newest bar asked for */
};

struct recheck {
    const struct config *config;
    struct bus *bus;
    struct symbols *symbols;
    struct feed *feed;
    struct gaps_watch *watch;
    struct rest *rest;
    unsigned segment;  /* of minutes */
    uint32_t next;     /* symbol */
    uint64_t owed;     /* symbols, times rest.recheck_s */
    int64_t *asked_ms; /* by symbol: newest bar that was asked for, so that quiet symbols are left alone */
    struct flight flights[FLIGHTS];
};

int recheck_new(struct recheck **ret, const struct config *config, struct bus *bus, struct symbols *symbols,
                struct feed *feed, struct gaps_watch *watch, struct rest *rest)
{
    int64_t span;
    int segment = feed_segment(feed, PGD_BARS_1M, &span);
    if (segment < 0 || !config->rest.recheck_minutes) {
        *ret = NULL;
        return 0;
    }
    struct recheck *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    *r = (struct recheck){.config = config,
                          .bus = bus,
                          .symbols = symbols,
                          .feed = feed,
                          .watch = watch,
                          .rest = rest,
                          .segment = (unsigned)segment};
    r->asked_ms = calloc(bus->board.board->symbol_max, sizeof *r->asked_ms);
    if (!r->asked_ms) {
        free(r);
        return -ENOMEM;
    }
    *ret = r;
    return 0;
}

void recheck_free(struct recheck *r)
{
    if (!r)
        return;
    free(r->asked_ms);
    free(r);
}

/* One bar at a time, to tell what was missing from what was changed. */
static void compare(const struct flight *f, const struct pgd_bar *bar)
{
    struct recheck *r = f->recheck;
    struct pgd_bars *bars = &r->bus->bars[r->segment];
    uint32_t series = symbols_index(r->symbols, f->symbol);
    uint64_t head = pgd_bars_head(bars, series);
    if (bar->t > f->to_ms) {
        feed_rest_unwanted(r->feed, 1);
        return;
    }
    if (feed_fill_bars(r->feed, f->symbol, r->segment, bar, 1, bar->t, bar->t + 1) == 0)
        return;
    pgd_count(&r->bus->board, PGD_C_bars_corrected, 1);
    if (pgd_bars_head(bars, series) != head)
        gaps_watch_found(r->watch, f->symbol, PGD_BARS_1M, bar->t * 1000000, (bar->t + MINUTE_MS) * 1000000);
}

static void on_rows(void *user, const struct rest_rows *rows)
{
    const struct flight *f = user;
    for (size_t i = 0; i < rows->count; i++)
        compare(f, &rows->bars[i]);
    feed_batch(f->recheck->feed, 0, 0);
}

static void on_bad(void *user, const char *reason, struct event_text raw, uint64_t count)
{
    (void)reason, (void)raw;
    const struct flight *f = user;
    feed_rest_refused(f->recheck->feed, count);
}

static void on_done(void *user, const struct rest_done *done)
{
    struct flight *f = user;
    if (done->error != 0 && done->error != -ECANCELED)
        log_event(LOG_REST, "re-check of %s: %s", f->symbol->name, done->message);
    *f = (struct flight){0};
}

static struct flight *free_flight(struct recheck *r)
{
    for (unsigned i = 0; i < FLIGHTS; i++)
        if (!r->flights[i].recheck)
            return &r->flights[i];
    return NULL;
}

/* The horizon is counted back from the symbol's newest bar, which says better than a clock where its market
 * is. A symbol that had no bar since it was last asked about is asked about once more: its last bars may have
 * been corrected since. */
static void ask(struct recheck *r, struct flight *f, struct symbol *symbol)
{
    uint32_t index = symbols_index(r->symbols, symbol);
    int64_t last = feed_last_bar(r->feed, symbol, r->segment);
    char ticker[PGD_SYMBOL_MAX];
    if (last == 0 || r->asked_ms[index] == last + 1 || rest_ticker(ticker, symbol->name) < 0)
        return;
    struct rest_query query = {.kind = REST_BARS,
                               .class = REST_PREFETCH,
                               .ticker = ticker,
                               .timespan = "minute",
                               .from = last - (int64_t)r->config->rest.recheck_minutes * MINUTE_MS,
                               .to = last};
    struct rest_sink sink = {.rows = on_rows, .bad = on_bad, .done = on_done, .user = f};
    *f = (struct flight){r, symbol, last};
    if (rest_get(r->rest, &query, &sink) < 0) {
        *f = (struct flight){0};
        return;
    }
    r->asked_ms[index] = r->asked_ms[index] == last ? last + 1 : last;
}

/* Symbols whose minutes come over a stream now; in REST-only mode they are asked for anyway. */
static bool streamed(const struct symbol *symbol, unsigned segment)
{
    return symbol->held && (symbol->acked & PGD_BARS_1M) && !(symbol->history & 1u << segment);
}

void recheck_tick(struct recheck *r)
{
    uint32_t count = symbols_count(r->symbols);
    uint32_t period = r->config->rest.recheck_s;
    r->owed += count;
    for (uint32_t seen = 0; r->owed >= period && seen < count; seen++) {
        struct flight *f = free_flight(r);
        if (!f)
            break;
        r->next = r->next + 1 < count ? r->next + 1 : 0;
        r->owed -= period;
        struct symbol *symbol = symbols_at(r->symbols, r->next);
        if (streamed(symbol, r->segment))
            ask(r, f, symbol);
    }
    if (r->owed > (uint64_t)period * count) /* a small budget: no more than one round is owed */
        r->owed = (uint64_t)period * count;
}
