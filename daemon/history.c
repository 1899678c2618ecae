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
    bool lost;   /* rows, for want of memory */
    bool update; /* rows were there before: what came since is asked for */
    enum rest_class class;
    int64_t since;           /* ms: what is wanted begins here */
    int64_t from;            /* ms: what REST is asked for begins here, the cache had the rest */
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
    struct warm *warm; /* NULL: no cache */
    size_t warm_rows;
    struct job *jobs;
    unsigned pending;
};

/* Rows on their way to the cache. */
struct keep {
    struct history *history;
    struct symbol *symbol;
    unsigned segment;
};

static int want(struct history *h, struct symbol *symbol, unsigned segment, enum rest_class class,
                bool again);

static struct cache_key key_of(const struct job *job)
{
    return (struct cache_key){job->symbol->name, (enum pgd_cluster)job->symbol->cluster,
                              job->history->bus->span_ms[job->segment]};
}

int history_new(struct history **ret, struct bus *bus, struct symbols *symbols, struct feed *feed,
                struct rest *rest, struct warm *warm, size_t warm_rows)
{
    struct history *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    *h = (struct history){
        .bus = bus, .symbols = symbols, .feed = feed, .rest = rest, .warm = warm, .warm_rows = warm_rows};
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
    symbols_show(job->history->symbols, job->symbol);
}

static void on_rows(void *user, const struct rest_rows *rows)
{
    struct job *job = user;
    int64_t span = job->history->bus->span_ms[job->segment];
    size_t before = job->count;
    if (job->count + rows->count > job->room) {
        size_t room = job->room * 2 > job->count + rows->count ? job->room * 2 : job->count + rows->count;
        struct pgd_bar *more = realloc(job->rows, room * sizeof *more);
        if (!more) {
            job->lost = true;
            feed_rest_unwanted(job->history->feed, rows->count);
            return;
        }
        job->rows = more;
        job->room = room;
    }
    for (size_t i = 0; i < rows->count && job->count < job->limit; i++)
        if (rows->bars[i].t + span <= job->complete_before)
            job->rows[job->count++] = rows->bars[i];
    feed_rest_unwanted(job->history->feed, rows->count - (job->count - before));
}

static void on_bad(void *user, const char *reason, struct event_text raw, uint64_t count)
{
    struct job *job = user;
    feed_rest_refused(job->history->feed, count);
    log_event(LOG_EVENT_REFUSED, "REST history of %s: %llu rows refused: %s: %.*s", job->symbol->name,
              (unsigned long long)count, reason, (int)raw.n, raw.p);
}

static int by_start(const void *a, const void *b)
{
    int64_t x = ((const struct pgd_bar *)a)->t;
    int64_t y = ((const struct pgd_bar *)b)->t;
    return x < y ? -1 : x > y;
}

/* The past was rewritten (a split): everything again, past the cache. */
static void on_kept(void *user, int result)
{
    struct keep *keep = user;
    if (result == -ESTALE) {
        log_event(LOG_CACHE, "%s: its past was rewritten (a split?): fetched again", keep->symbol->name);
        if (want(keep->history, keep->symbol, keep->segment, REST_BACKFILL, true) < 0)
            log_event(LOG_REST, "history of %s cannot be asked for", keep->symbol->name);
    }
    free(keep);
}

/* Rows sorted; `cut`: the oldest may be missing. */
static void keep_rows(struct job *job, bool cut)
{
    struct history *h = job->history;
    struct keep *keep = h->warm ? malloc(sizeof *keep) : NULL;
    if (!keep)
        return;
    *keep = (struct keep){h, job->symbol, job->segment};
    struct cache_key key = key_of(job);
    struct cache_fetched fetched = {
        .from_ms = cut && job->count ? job->rows[0].t : job->from,
        .to_ms = job->complete_before - key.span_ms + 1,
        .bars = job->rows,
        .count = job->count,
        .now_ms = job->complete_before,
    };
    if (fetched.from_ms >= fetched.to_ms || !warm_keep(h->warm, &key, &fetched, on_kept, keep))
        free(keep);
}

/* Rows sorted; `cut`: the oldest may be missing. */
static void covered(const struct job *job, bool cut)
{
    int64_t span = job->history->bus->span_ms[job->segment];
    feed_covered(job->history->feed, job->symbol, job->segment,
                 cut && job->count ? job->rows[0].t : job->since,
                 job->complete_before - job->complete_before % span);
}

static void on_done(void *user, const struct rest_done *done)
{
    struct job *job = user;
    struct history *h = job->history;
    const char *timespan = h->bus->timespan[job->segment];
    if (done->error == -ECANCELED) {
        feed_rest_unwanted(h->feed, job->count);
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
    bool whole = !done->error && !job->lost;
    if (whole && !done->bad_rows)
        keep_rows(job, done->rows >= job->limit);
    feed_history(h->feed, job->symbol, job->segment, job->rows, job->count);
    if (whole)
        covered(job, done->rows >= job->limit);
    release(job);
    feed_batch(h->feed, 0, 0);
    job_free(job);
}

/* What REST has of [job->from, now). Ends the job when it cannot be asked. */
static int ask(struct job *job)
{
    struct history *h = job->history;
    char ticker[PGD_SYMBOL_MAX];
    struct rest_query query = {
        .kind = REST_BARS,
        .class = job->class,
        .ticker = ticker,
        .timespan = h->bus->span_ms[job->segment] == 1000 ? "second" : "minute",
        .from = job->from,
        .to = job->complete_before,
        .newest_first = true,
        .max_rows = job->limit,
    };
    struct rest_sink sink = {.rows = on_rows, .bad = on_bad, .done = on_done, .user = job};
    int r = rest_ticker(ticker, job->symbol->name);
    if (r >= 0 && query.from <= query.to)
        r = rest_get(h->rest, &query, &sink);
    else
        r = r < 0 ? r : -EALREADY;
    if (r < 0) {
        release(job);
        job_free(job);
    }
    return r == -EALREADY ? 0 : r;
}

/* Rows of the cache are published at once (the batch is ended by the cache's hook); REST is asked for what it
 * has not. */
static void on_cached(void *user, const struct warm_answer *answer)
{
    struct job *job = user;
    struct history *h = job->history;
    if (answer->error) {
        job_free(job);
        return;
    }
    if (!job->update)
        pgd_count(&h->bus->board, answer->count ? PGD_C_cache_hits : PGD_C_cache_misses, 1);
    if (answer->count) {
        feed_cached(h->feed, job->symbol, job->segment, answer->bars, answer->count);
        job->update = true;
        job->limit = h->bus->bars[job->segment].geo->capacity - 1u;
    }
    job->from = answer->ask_ms;
    if (job->from != INT64_MAX) {
        if (ask(job) < 0)
            log_event(LOG_REST, "history of %s cannot be asked for", job->symbol->name);
        return;
    }
    pgd_count(&h->bus->board, PGD_C_cache_whole, 1);
    covered(job, false);
    release(job);
    job_free(job);
}

static void on_ready(void *user, size_t rows)
{
    const struct job *job = user;
    bus_touch(job->history->bus, job->segment, symbols_index(job->history->symbols, job->symbol), rows);
}

static int look(struct job *job, int64_t now, size_t rows)
{
    size_t most = job->history->bus->bars[job->segment].geo->capacity - 1u;
    struct warm_question question = {
        .key = key_of(job),
        .window = {job->from, now, job->update ? most : rows, most},
        .urgent = job->class == REST_URGENT,
    };
    struct warm_hooks hooks = {on_ready, on_cached, job};
    return warm_ask(job->history->warm, &question, &hooks);
}

/* `again`: the whole window, not from the cache. */
static int want(struct history *h, struct symbol *symbol, unsigned segment, enum rest_class class, bool again)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return -ENOMEM;
    int64_t span = h->bus->span_ms[segment];
    int64_t now = feed_now_ms(h->feed);
    int64_t last = again ? 0 : feed_last_bar(h->feed, symbol, segment);
    size_t capacity = h->bus->bars[segment].geo->capacity;
    size_t rows = h->warm_rows < capacity - 1 ? h->warm_rows : capacity - 1;
    *job = (struct job){
        .history = h,
        .symbol = symbol,
        .segment = segment,
        .released = !(symbol->history & 1u << segment),
        .update = last != 0,
        .class = class,
        .from = last ? last + span : now - (span == 1000 ? 4 : 40) * DAY_MS,
        .since = last ? last + span : now - (span == 1000 ? 4 : 40) * DAY_MS,
        .complete_before = now,
        .deadline_ns = clock_mono_ns() + HISTORY_HOLD_S * NS_PER_S,
        .limit = last || again ? capacity - 1 : rows,
        .next = h->jobs,
    };
    if (h->jobs)
        h->jobs->prev = job;
    h->jobs = job;
    h->pending++;
    if (!h->warm || again || job->from >= now || look(job, now, rows) < 0)
        return ask(job);
    return 0;
}

int history_want(struct history *h, struct symbol *symbol, enum rest_class class)
{
    int result = 0;
    for (unsigned s = 0; s < h->bus->bars_count; s++) {
        int r = want(h, symbol, s, class, false);
        if (r < 0)
            result = r;
    }
    return result;
}

int history_want_segment(struct history *h, struct symbol *symbol, unsigned segment, enum rest_class class)
{
    return want(h, symbol, segment, class, false);
}

void history_tick(struct history *h)
{
    int64_t now = clock_mono_ns();
    for (struct job *job = h->jobs; job; job = job->next)
        if (now >= job->deadline_ns)
            release(job);
    feed_batch(h->feed, 0, 0);
}

unsigned history_pending(const struct history *h)
{
    return h->pending;
}
