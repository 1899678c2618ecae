#include "history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"

#define DAY_MS INT64_C(86400000)

struct job {
    struct history *history;
    struct symbol *symbol;
    unsigned segment;
    bool released;
    bool update;             /* rows were there before: what came since is asked for */
    int64_t complete_before; /* ms: a bar that ends later was still forming when we asked */
    int64_t deadline_ns;     /* CLOCK_MONOTONIC */
    struct pgd_bar *rows;
    size_t count;
    size_t room;
    size_t limit;
    struct job *prev;
    struct job *next;
};

struct history {
    struct bus *bus;
    struct symbols *symbols;
    struct feed *feed;
    struct rest *rest;
    size_t warm_rows;
    struct job *jobs;
    unsigned pending;
};

int history_new(struct history **ret, struct bus *bus, struct symbols *symbols, struct feed *feed,
                struct rest *rest, size_t warm_rows)
{
    struct history *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    *h = (struct history){.bus = bus, .symbols = symbols, .feed = feed, .rest = rest, .warm_rows = warm_rows};
    *ret = h;
    return 0;
}

static void job_free(struct job *job)
{
    struct history *h = job->history;
    if (job->prev)
        job->prev->next = job->next;
    else
        h->jobs = job->next;
    if (job->next)
        job->next->prev = job->prev;
    h->pending--;
    free(job->rows);
    free(job);
}

void history_free(struct history *h)
{
    if (!h)
        return;
    while (h->jobs)
        job_free(h->jobs);
    free(h);
}

static void release(struct job *job)
{
    if (job->released)
        return;
    job->released = true;
    feed_release(job->history->feed, job->symbol, job->segment);
    feed_batch(job->history->feed, 0, 0);
    symbols_show(job->history->symbols, job->symbol);
}

static void on_row(void *user, const struct event *e)
{
    struct job *job = user;
    if (e->class != EVENT_CLASS_BAR)
        return;
    const struct pgd_bar *bar = &e->bar.bar;
    if (bar->t + job->history->bus->span_ms[job->segment] > job->complete_before || job->count == job->limit)
        return;
    if (job->count == job->room) {
        size_t room = job->room ? job->room * 2 : 256;
        struct pgd_bar *rows = realloc(job->rows, room * sizeof *rows);
        if (!rows)
            return;
        job->rows = rows;
        job->room = room;
    }
    job->rows[job->count++] = *bar;
}

static void on_bad_row(void *user, enum event_fault fault, const char *reason, const struct event *e,
                       struct event_text raw)
{
    (void)fault, (void)e, (void)raw;
    struct job *job = user;
    pgd_count(&job->history->bus->board, PGD_C_rest_bad_rows, 1);
    log_event(LOG_EVENT_REFUSED, "REST history of %s: row refused: %s", job->symbol->name, reason);
}

static int by_start(const void *a, const void *b)
{
    int64_t x = ((const struct pgd_bar *)a)->t;
    int64_t y = ((const struct pgd_bar *)b)->t;
    return x < y ? -1 : x > y;
}

static void on_done(void *user, const struct rest_done *done)
{
    struct job *job = user;
    struct history *h = job->history;
    const char *timespan = h->bus->timespan[job->segment];
    if (done->error == -ECANCELED) {
        job_free(job);
        return;
    }
    if (done->error)
        log_event(LOG_REST, "history of %s %s: %s", job->symbol->name, timespan,
                  done->message[0] ? done->message : strerror(-done->error));
    else if (job->count || !job->update)
        log_event(LOG_WARM, "history of %s %s: %zu rows", job->symbol->name, timespan, job->count);
    if (job->count)
        qsort(job->rows, job->count, sizeof *job->rows, by_start);
    feed_history(h->feed, job->symbol, job->segment, job->rows, job->count);
    release(job);
    feed_batch(h->feed, 0, 0);
    job_free(job);
}

static int want(struct history *h, struct symbol *symbol, unsigned segment, bool urgent)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return -ENOMEM;
    int64_t span = h->bus->span_ms[segment];
    int64_t now = feed_now_ms(h->feed);
    int64_t last = feed_last_bar(h->feed, symbol, segment);
    size_t capacity = h->bus->bars[segment].geo->capacity;
    size_t rows = h->warm_rows < capacity - 1 ? h->warm_rows : capacity - 1;
    *job = (struct job){
        .history = h,
        .symbol = symbol,
        .segment = segment,
        .released = !(symbol->history & 1u << segment),
        .update = last != 0,
        .complete_before = now,
        .deadline_ns = clock_mono_ns() + HISTORY_HOLD_S * NS_PER_S,
        .limit = last ? capacity - 1 : rows,
        .next = h->jobs,
    };
    if (h->jobs)
        h->jobs->prev = job;
    h->jobs = job;
    h->pending++;
    char ticker[PGD_SYMBOL_MAX];
    struct rest_aggs what = {
        .ticker = ticker,
        .timespan = span == 1000 ? "second" : "minute",
        .from_ms = last ? last + span : now - (span == 1000 ? 4 : 40) * DAY_MS,
        .to_ms = now,
        .newest_first = true,
        .max_rows = job->limit,
    };
    struct parse_sink sink = {.event = on_row, .fault = on_bad_row, .user = job};
    int r = rest_ticker(ticker, symbol->name);
    if (r >= 0 && what.from_ms <= what.to_ms)
        r = rest_get_aggs(h->rest, &what, urgent, &sink, on_done, job);
    else
        r = r < 0 ? r : -EALREADY;
    if (r < 0) {
        release(job);
        job_free(job);
    }
    return r == -EALREADY ? 0 : r;
}

int history_want(struct history *h, struct symbol *symbol, bool urgent)
{
    int result = 0;
    for (unsigned s = 0; s < h->bus->bars_count; s++) {
        int r = want(h, symbol, s, urgent);
        if (r < 0)
            result = r;
    }
    return result;
}

void history_tick(struct history *h)
{
    int64_t now = clock_mono_ns();
    for (struct job *job = h->jobs; job; job = job->next)
        if (now >= job->deadline_ns)
            release(job);
}

unsigned history_pending(const struct history *h)
{
    return h->pending;
}
