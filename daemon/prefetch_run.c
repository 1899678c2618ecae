#include "prefetch_run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

#define DAY_MS     INT64_C(86400000)
#define HALF_MS    INT64_C(1800000)
#define SAVE_NS    (600 * NS_PER_S)
#define WARMED_MAX 4096u
#define WARMED_MS  (4 * HALF_MS) /* a symbol warmed so long ago is still a hit */

struct warmed {
    char symbol[PGD_SYMBOL_MAX];
    enum pgd_cluster cluster;
    int64_t at_ms;
};

struct prefetch_run {
    struct prefetch_parts parts;
    struct prefetch *model;
    char path[PATH_MAX];
    int64_t slot_ms; /* the last half hour that was looked at */
    struct warmed warmed[WARMED_MAX];
    unsigned warmed_next;
    bool dirty, saving;
    int64_t saved_ns;
    uv_work_t work;
    uint8_t *bytes; /* being written */
    size_t size;
};

/* One series on its way into the cache. */
struct job {
    struct prefetch_run *run;
    char symbol[PGD_SYMBOL_MAX];
    enum pgd_cluster cluster;
    unsigned segment;
    int64_t from_ms, now_ms;
    struct pgd_bar *rows;
    size_t count, limit;
    bool lost;
};

/* -------------------------------------------------------------------------------------------------------
 * file */

static int write_file(const char *path, const uint8_t *bytes, size_t size)
{
    char temporary[PATH_MAX + 8];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return -errno;
    int r = 0;
    for (size_t at = 0; at < size && r == 0;) {
        ssize_t n = write(fd, bytes + at, size - at);
        if (n > 0)
            at += (size_t)n;
        else if (n == 0 || errno != EINTR)
            r = n < 0 ? -errno : -EIO;
    }
    /* small and seldom written, and not to be had again: this one is synced */
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    close(fd);
    if (r == 0 && rename(temporary, path) < 0)
        r = -errno;
    if (r < 0)
        unlink(temporary);
    return r;
}

static void save_work(uv_work_t *work)
{
    const struct prefetch_run *p = work->data;
    int r = write_file(p->path, p->bytes, p->size);
    if (r < 0)
        log_event(LOG_CACHE, "%s: cannot be written: %s", p->path, strerror(-r));
}

static void save_done(uv_work_t *work, int status)
{
    (void)status;
    struct prefetch_run *p = work->data;
    p->saving = false;
}

static bool snapshot(struct prefetch_run *p)
{
    if (!p->bytes)
        p->bytes = malloc(PREFETCH_FILE_MAX);
    if (!p->bytes)
        return false;
    p->size = prefetch_save(p->model, p->bytes);
    p->dirty = false;
    return true;
}

static int read_file(struct prefetch_run *p)
{
    uint8_t *bytes = malloc(PREFETCH_FILE_MAX + 1);
    int fd = bytes ? open(p->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    if (fd < 0) {
        int r = bytes ? -errno : -ENOMEM;
        free(bytes);
        return r;
    }
    size_t size = 0;
    ssize_t n;
    while (size <= PREFETCH_FILE_MAX && (n = read(fd, bytes + size, PREFETCH_FILE_MAX + 1 - size)) > 0)
        size += (size_t)n;
    close(fd);
    int r = prefetch_load(p->model, bytes, size);
    free(bytes);
    return r;
}

int prefetch_run_new(struct prefetch_run **ret, const struct prefetch_parts *parts)
{
    struct prefetch_run *p = calloc(1, sizeof *p);
    int r = p ? prefetch_new(&p->model) : -ENOMEM;
    if (r < 0) {
        free(p);
        return r;
    }
    p->parts = *parts;
    p->work.data = p;
    p->saved_ns = clock_mono_ns();
    snprintf(p->path, sizeof p->path, "%.4000s/prefetch.%s", cache_place(parts->cache->cache),
             parts->config->instance);
    r = read_file(p);
    if (r < 0 && r != -ENOENT) {
        char aside[PATH_MAX + 16];
        snprintf(aside, sizeof aside, "%s.damaged", p->path);
        (void)rename(p->path, aside);
        log_event(LOG_CACHE, "set aside: %s: %s", p->path, r == -EBADMSG ? "damaged" : strerror(-r));
    }
    *ret = p;
    return 0;
}

void prefetch_run_free(struct prefetch_run *p)
{
    if (!p)
        return;
    if (p->dirty && snapshot(p))
        save_work(&p->work);
    prefetch_free(p->model);
    free(p->bytes);
    free(p);
}

/* ----------------------------------------------------------------------------------------------------
 * fetching */

static struct cache_key key_of(const struct job *job)
{
    return (struct cache_key){job->symbol, job->cluster, job->run->parts.bus->span_ms[job->segment]};
}

static void job_free(struct job *job)
{
    free(job->rows);
    free(job);
}

static void on_rows(void *user, const struct rest_rows *rows)
{
    struct job *job = user;
    int64_t span = key_of(job).span_ms;
    feed_rest_unwanted(job->run->parts.feed, rows->count); /* received, and not for a row */
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->bars[i].t + span > job->now_ms)
            continue;
        if (job->count == job->limit)
            return;
        job->rows[job->count++] = rows->bars[i];
    }
}

static void on_bad(void *user, const char *reason, struct event_text raw, uint64_t count)
{
    struct job *job = user;
    (void)reason, (void)raw;
    job->lost = true;
    feed_rest_refused(job->run->parts.feed, count);
}

static int by_start(const void *a, const void *b)
{
    int64_t x = ((const struct pgd_bar *)a)->t, y = ((const struct pgd_bar *)b)->t;
    return (x > y) - (x < y);
}

static void on_kept(void *user, int result)
{
    (void)user, (void)result; /* a rewritten past is forgotten, and asked for when the client comes */
}

static void on_done(void *user, const struct rest_done *done)
{
    struct job *job = user;
    struct prefetch_run *p = job->run;
    struct cache_key key = key_of(job);
    if (done->error == 0 && !job->lost) {
        bool cut = done->rows >= job->limit && job->count;
        if (job->count)
            qsort(job->rows, job->count, sizeof *job->rows, by_start);
        struct cache_fetched fetched = {
            .from_ms = cut ? job->rows[0].t : job->from_ms,
            .to_ms = job->now_ms - key.span_ms + 1,
            .bars = job->rows,
            .count = job->count,
            .now_ms = job->now_ms,
        };
        if (fetched.from_ms < fetched.to_ms && warm_keep(p->parts.cache->warm, &key, &fetched, on_kept, p))
            pgd_count(&p->parts.bus->board, PGD_C_prefetch_warmed, 1);
    }
    job_free(job);
}

static void on_answer(void *user, const struct warm_answer *answer)
{
    struct job *job = user;
    char ticker[PGD_SYMBOL_MAX];
    struct rest_query query = {
        .kind = REST_BARS,
        .class = REST_PREFETCH,
        .ticker = ticker,
        .timespan = key_of(job).span_ms == 1000 ? "second" : "minute",
        .from = answer->ask_ms,
        .to = job->now_ms,
        .newest_first = true,
        .max_rows = job->limit,
    };
    struct rest_sink sink = {.rows = on_rows, .bad = on_bad, .done = on_done, .user = job};
    job->from_ms = answer->ask_ms;
    if (answer->error || answer->ask_ms >= job->now_ms || rest_ticker(ticker, job->symbol) < 0 ||
        rest_get(job->run->parts.rest, &query, &sink) < 0)
        job_free(job); /* nothing to ask, or the daemon ends */
}

static void fetch(struct prefetch_run *p, const struct prefetch_guess *guess, unsigned segment,
                  int64_t now_ms)
{
    const struct bus *bus = p->parts.bus;
    size_t most = bus->bars[segment].geo->capacity - 1u;
    size_t rows = p->parts.warm_rows < most ? p->parts.warm_rows : most;
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return;
    *job = (struct job){
        .run = p, .cluster = guess->cluster, .segment = segment, .now_ms = now_ms, .limit = rows};
    snprintf(job->symbol, sizeof job->symbol, "%s", guess->symbol);
    job->rows = calloc(rows, sizeof *job->rows);
    int64_t from = now_ms - (bus->span_ms[segment] == 1000 ? 4 : 40) * DAY_MS;
    struct warm_question question = {key_of(job), {from, now_ms, rows, rows}, false};
    struct warm_hooks hooks = {NULL, on_answer, job};
    if (!job->rows || warm_ask(p->parts.cache->warm, &question, &hooks) < 0)
        job_free(job);
}

/* ----------------------------------------------------------------------------------------------------
 * guessing */

static bool is_warmed(const struct prefetch_run *p, const char *symbol, enum pgd_cluster cluster,
                      int64_t now_ms)
{
    for (unsigned i = 0; i < WARMED_MAX; i++) {
        const struct warmed *w = &p->warmed[i];
        if (w->cluster == cluster && now_ms - w->at_ms < WARMED_MS && strcmp(w->symbol, symbol) == 0)
            return true;
    }
    return false;
}

static void look(struct prefetch_run *p, int64_t slot_ms, int64_t now_ms)
{
    size_t limit = p->parts.config->prefetch.symbols;
    struct prefetch_guess *guesses = malloc((limit + 1) * sizeof *guesses);
    size_t n = guesses ? prefetch_guess(p->model, slot_ms, guesses, limit) : 0, started = 0;
    for (size_t i = 0; i < n; i++) {
        const struct prefetch_guess *g = &guesses[i];
        const struct symbol *symbol = symbols_find(p->parts.symbols, g->symbol);
        if ((symbol && symbol->held) || is_warmed(p, g->symbol, g->cluster, now_ms))
            continue;
        struct warmed *w = &p->warmed[p->warmed_next++ % WARMED_MAX];
        *w = (struct warmed){.cluster = g->cluster, .at_ms = now_ms};
        snprintf(w->symbol, sizeof w->symbol, "%s", g->symbol);
        for (unsigned s = 0; s < p->parts.bus->bars_count; s++)
            fetch(p, g, s, now_ms);
        started++;
    }
    free(guesses);
    if (started)
        log_event(LOG_WARM, "prefetch: %zu symbols that clients are expected to ask for", started);
}

void prefetch_run_tick(struct prefetch_run *p)
{
    int64_t now_ms = feed_now_ms(p->parts.feed);
    int64_t last = prefetch_slot_start(now_ms + p->parts.config->prefetch.lead_minutes * INT64_C(60000));
    int64_t slot = prefetch_slot_start(now_ms);
    for (slot = slot > p->slot_ms ? slot : p->slot_ms + HALF_MS; slot <= last; slot += HALF_MS) {
        look(p, slot, now_ms);
        p->slot_ms = slot;
    }
    if (!p->dirty || p->saving || clock_mono_ns() - p->saved_ns < SAVE_NS || !snapshot(p))
        return;
    p->saved_ns = clock_mono_ns();
    p->saving = uv_queue_work(p->parts.loop, &p->work, save_work, save_done) == 0;
}

void prefetch_run_asked(struct prefetch_run *p, const char *symbol, enum pgd_cluster cluster, bool held)
{
    int64_t now_ms = feed_now_ms(p->parts.feed);
    if (!held)
        pgd_count(&p->parts.bus->board,
                  is_warmed(p, symbol, cluster, now_ms) ? PGD_C_prefetch_hits : PGD_C_prefetch_misses, 1);
    prefetch_learn(p->model, symbol, cluster, now_ms);
    p->dirty = true;
}
