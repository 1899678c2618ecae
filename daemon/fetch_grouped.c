/* Daily bars of many symbols, a day of the whole market at a time: one question a day instead of one a
 * symbol, where there are more symbols than days. What comes goes into the cache, where the jobs find it;
 * whatever goes wrong here is left to them. */
#include <errno.h>
#include <search.h> /* tsearch */
#include <stdlib.h>
#include <string.h>

#include "fetch_days.h"
#include "fetch_private.h"
#include "kernels/engine.h"

#define DAY_MS     INT64_C(86400000)
#define DAYS_BATCH 32u /* whose rows are in memory together */

/* A symbol that is chosen, and its rows of the days of a batch; t 0: none. */
struct member {
    char ticker[PGD_SYMBOL_MAX];
    struct fetch_job *job;
    bool seen; /* in any answer: the market that is asked about is its market */
    struct pgd_bar rows[DAYS_BATCH];
};

/* One day that is asked for. */
struct question {
    struct fetch_grouped *group;
    unsigned slot; /* of the batch */
    int32_t day;
};

struct fetch_grouped {
    struct fetch *fetch;
    uv_work_t work;
    struct fetch_days days;
    unsigned next;  /* the first day of the batch */
    unsigned batch; /* its days */
    unsigned open;  /* questions */
    struct question questions[DAYS_BATCH];
    struct member *members;
    size_t count;
    void *tree; /* of the members, by ticker */
    bool failed;
};

/* A member begins with its ticker, and a ticker alone will do. */
static int by_ticker(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void group_free(struct fetch_grouped *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->count; i++)
        tdelete(&g->members[i], &g->tree, by_ticker);
    free(g->members);
    fetch_days_free(&g->days);
    free(g);
}

/* The jobs take over. */
static void over(struct fetch_grouped *g)
{
    struct fetch *f = g->fetch;
    f->grouped = NULL;
    group_free(g);
    fetch_pump(f);
}

/* ------------------------------------------------------------------------------------------------- planning
 */

/* What the symbol lacks, and the days of the newest rows of what is known, which must still be the same. */
static int lacks(struct fetch_job *job, struct fetch_days *ret)
{
    struct cache_key key = fetch_key(job);
    const struct cache_range *window = &job->symbol->window;
    struct cache_known known = {0};
    struct cache_rows rows = {0};
    int r = cache_known(job->fetch->options.cache, &key, window, true, &known);
    if (r == 0)
        r = fetch_days_missing(ret, window->from, window->to, known.ranges, known.count);
    for (unsigned i = 0; r == 0 && ret->count && i < known.count; i++) {
        struct cache_window newest = {known.ranges[i].from, known.ranges[i].to, 1, 1};
        if (cache_load(job->fetch->options.cache, &key, &newest, &rows) == 0 && rows.count)
            fetch_days_add(ret, pgk_new_york_day(rows.bars[rows.count - 1].t));
    }
    cache_rows_fini(&rows);
    cache_known_fini(&known);
    return r;
}

/* The names of stocks are those of REST. */
static int join(struct fetch_grouped *g, const bool *chosen)
{
    struct fetch *f = g->fetch;
    size_t count = 0;
    for (size_t i = 0; i < f->count; i++)
        count += chosen[i];
    g->members = calloc(count ? count : 1, sizeof *g->members);
    if (!g->members)
        return -ENOMEM;
    for (size_t i = 0; i < f->count; i++) {
        if (!chosen[i])
            continue;
        struct member *m = &g->members[g->count];
        m->job = &f->jobs[i];
        strcpy(m->ticker, f->jobs[i].symbol->name); /* of the same size */
        if (!tsearch(m, &g->tree, by_ticker))
            return -ENOMEM;
        g->count++;
    }
    return 0;
}

static void plan_work(uv_work_t *work)
{
    struct fetch_grouped *g = work->data;
    struct fetch *f = g->fetch;
    struct fetch_days *lacking = calloc(f->count, sizeof *lacking);
    bool *chosen = calloc(f->count, sizeof *chosen);
    int r = lacking && chosen ? 0 : -ENOMEM;
    for (size_t i = 0; i < f->count && r == 0; i++)
        if (f->jobs[i].symbol->cluster == PGD_STOCKS)
            r = lacks(&f->jobs[i], &lacking[i]);
    if (r == 0)
        r = fetch_days_choose(&g->days, lacking, f->count, chosen);
    if (r == 0)
        r = join(g, chosen);
    for (size_t i = 0; lacking && i < f->count; i++)
        fetch_days_free(&lacking[i]);
    free(lacking);
    free(chosen);
    g->failed = r < 0;
}

/* --------------------------------------------------------------------------------------------------- keeping
 */

static int64_t end_of(const struct fetch_grouped *g, unsigned i)
{
    int64_t end = fetch_day_start(g->questions[i].day + 1), to = g->members[0].job->symbol->window.to;
    return end < to ? end : to; /* all stocks have one window */
}

/* The member's rows of the days [i, end) of the batch, between which nothing can have happened. */
static void keep(struct fetch_grouped *g, const struct member *m, unsigned i, unsigned end)
{
    struct pgd_bar rows[DAYS_BATCH];
    struct cache_key key = fetch_key(m->job);
    struct cache_fetched fetched = {.from_ms = fetch_day_start(g->questions[i].day),
                                    .to_ms = end_of(g, end - 1),
                                    .bars = rows,
                                    .now_ms = g->fetch->options.now_ms};
    for (unsigned d = i; d < end; d++)
        if (m->rows[d].t)
            rows[fetched.count++] = m->rows[d];
    /* Where final rows had other prices all of the symbol is forgotten now; that, and what could not be kept,
     * is left to its job. */
    int r = cache_store(g->fetch->options.cache, &key, &fetched);
    (void)r;
}

/* Those with a row of the last day first: it shows that the day has been told. */
static void keep_work(uv_work_t *work)
{
    struct fetch_grouped *g = work->data;
    for (int first = 1; first >= 0; first--)
        for (size_t k = 0; k < g->count; k++) {
            const struct member *m = &g->members[k];
            if (!m->seen || (m->rows[g->batch - 1].t != 0) != first)
                continue;
            for (unsigned i = 0, end; i < g->batch; i = end) {
                for (end = i + 1; end < g->batch && cache_time_idle(PGD_STOCKS, end_of(g, end - 1),
                                                                    fetch_day_start(g->questions[end].day));)
                    end++;
                keep(g, m, i, end);
            }
        }
}

static void ask_batch(struct fetch_grouped *g);

static void keep_done(uv_work_t *work, int status)
{
    struct fetch_grouped *g = work->data;
    (void)status;
    g->fetch->busy--;
    g->next += g->batch;
    ask_batch(g);
}

/* --------------------------------------------------------------------------------------------------- asking
 */

/* The rows carry the end of the day. */
static void on_rows(void *user, const struct rest_rows *rows)
{
    struct question *q = user;
    int64_t start = fetch_day_start(q->day), end = fetch_day_start(q->day + 1);
    for (size_t i = 0; i < rows->count; i++) {
        struct member **m = tfind(rows->symbols[i], &q->group->tree, by_ticker);
        if (!m)
            continue;
        if (rows->bars[i].t < start || rows->bars[i].t > end) {
            q->group->failed = true;
            return;
        }
        (*m)->seen = true;
        (*m)->rows[q->slot] = rows->bars[i];
        (*m)->rows[q->slot].t = start;
    }
}

static void on_done(void *user, const struct rest_done *done)
{
    struct question *q = user;
    struct fetch_grouped *g = q->group;
    struct fetch *f = g->fetch;
    f->busy--;
    g->failed |= done->error || done->bad_rows;
    if (--g->open)
        return;
    if (g->failed || f->stopped) {
        over(g);
        return;
    }
    f->busy++;
    g->work.data = g;
    if (uv_queue_work(f->options.loop, &g->work, keep_work, keep_done) < 0)
        abort(); /* it fails for a NULL function alone */
}

static void ask(struct fetch_grouped *g, unsigned slot)
{
    struct question *q = &g->questions[slot];
    *q = (struct question){g, slot, g->days.days[g->next + slot]};
    struct rest_query query = {
        .kind = REST_GROUPED, .class = REST_BACKFILL, .from = fetch_day_start(q->day) + DAY_MS / 2};
    struct rest_sink sink = {.rows = on_rows, .done = on_done, .user = q};
    if (rest_get(g->fetch->options.rest, &query, &sink) < 0) {
        g->failed = true;
        return;
    }
    g->open++;
    g->fetch->busy++;
}

static void ask_batch(struct fetch_grouped *g)
{
    g->batch = g->days.count - g->next < DAYS_BATCH ? g->days.count - g->next : DAYS_BATCH;
    for (size_t k = 0; k < g->count; k++)
        memset(g->members[k].rows, 0, sizeof g->members[k].rows);
    for (unsigned i = 0; i < g->batch && !g->failed && !g->fetch->stopped; i++)
        ask(g, i);
    if (g->open == 0)
        over(g);
}

static void plan_done(uv_work_t *work, int status)
{
    struct fetch_grouped *g = work->data;
    g->fetch->busy--;
    if (status < 0 || g->failed || g->count == 0)
        over(g);
    else
        ask_batch(g);
}

bool fetch_group(struct fetch *f)
{
    const struct fetch_options *o = &f->options;
    struct fetch_grouped *g = NULL;
    if (o->span_ms == DAY_MS && o->cache && o->rest && f->count > 1)
        g = calloc(1, sizeof *g);
    if (!g)
        return false;
    g->fetch = f;
    g->work.data = g;
    f->grouped = g;
    f->busy++;
    if (uv_queue_work(o->loop, &g->work, plan_work, plan_done) < 0)
        abort();
    return true;
}
