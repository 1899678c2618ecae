/* The cache's share, on libuv's threads: what it knows of a symbol, its rows, and keeping what was fetched.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fetch_private.h"

/* ------------------------------------------------------------------------------------------------ planning
 */

/* The rows of a period; 0, or why there are none. */
static int load_period(const struct fetch_job *job, struct cache_range period, struct cache_rows *rows)
{
    struct cache_key key = fetch_key(job);
    struct cache_window window = {period.from, period.to, CACHE_ROWS_MAX, CACHE_ROWS_MAX};
    int r = cache_load(job->fetch->options.cache, &key, &window, rows);
    return r < 0 ? r : rows->ask_ms == INT64_MAX ? 0 : -ENOENT;
}

/* Imported rows are not adjusted: they serve only where no split shows, from the first known row to the last.
 */
static bool imported_serve(const struct fetch_job *job, const struct cache_known *known)
{
    struct cache_rows rows = {0};
    struct pgd_bar before = {0};
    bool any = false, good = true;
    for (unsigned i = 0; i < known->count && good; i++)
        for (int64_t at = known->ranges[i].from; at < known->ranges[i].to && good;) {
            int64_t end = cache_time_period(job->fetch->options.span_ms, at).to;
            struct cache_range part = {at, end < known->ranges[i].to ? end : known->ranges[i].to};
            good = load_period(job, part, &rows) == 0;
            if (good && rows.count) {
                good = !any || !cache_looks_split(job->symbol->cluster, &before, &rows.bars[0]);
                before = rows.bars[rows.count - 1];
                any = true;
            }
            at = part.to;
        }
    cache_rows_fini(&rows);
    return good;
}

static int know(struct fetch_job *job, struct cache_known *known)
{
    struct cache *cache = job->fetch->options.cache;
    struct cache_key key = fetch_key(job);
    if (!cache)
        return 0;
    if (job->forget)
        cache_drop(cache, key.symbol, key.cluster);
    int r = cache_known(cache, &key, &job->symbol->window, true, known);
    if (r == 0 && known->imported && !imported_serve(job, known))
        r = cache_known(cache, &key, &job->symbol->window, false, known);
    return r;
}

/* The last row (of those before the part) or the first (of those behind it) of the known pieces beside it. */
static void find_edge(const struct fetch_job *job, struct fetch_part *part, enum fetch_edge edge)
{
    struct cache_rows rows = {0};
    long step = edge == FETCH_BEFORE ? -1 : 1;
    for (long i = (part - job->parts) + step; i >= 0 && i < (long)job->count && !part->has_edge[edge];
         i += step) {
        const struct fetch_piece *piece = &job->parts[i].piece;
        if (!piece->known)
            break;
        for (int64_t at = piece->range.from; at < piece->range.to;) {
            int64_t end = cache_time_period(job->fetch->options.span_ms, at).to;
            struct cache_range period = {at, end < piece->range.to ? end : piece->range.to};
            if (load_period(job, period, &rows) == 0 && rows.count) {
                part->edge[edge] = rows.bars[edge == FETCH_BEFORE ? rows.count - 1 : 0];
                part->has_edge[edge] = true;
                if (edge == FETCH_AFTER)
                    break;
            }
            at = period.to;
        }
    }
    cache_rows_fini(&rows);
}

static int make_parts(struct fetch_job *job, const struct fetch_plan *plan)
{
    struct fetch_part *parts = calloc(plan->count ? plan->count : 1, sizeof *parts);
    if (!parts)
        return -ENOMEM;
    job->parts = parts;
    job->count = plan->count;
    job->mixed = false;
    for (unsigned i = 0; i < plan->count; i++) {
        parts[i] = (struct fetch_part){.job = job, .piece = plan->pieces[i]};
        job->mixed |= parts[i].piece.known != parts[0].piece.known;
    }
    for (unsigned i = 0; i < plan->count; i++) {
        if (parts[i].piece.known)
            continue;
        for (int edge = 0; edge < FETCH_EDGES; edge++)
            find_edge(job, &parts[i], (enum fetch_edge)edge);
        parts[i].checked = parts[i].has_edge[FETCH_BEFORE] || parts[i].has_edge[FETCH_AFTER];
        job->unchecked += parts[i].checked;
    }
    return 0;
}

static void plan_work(uv_work_t *work)
{
    struct fetch_job *job = work->data;
    const struct fetch_options *o = &job->fetch->options;
    struct cache_known known = {0};
    struct fetch_plan plan = {0};
    struct fetch_what what = {job->symbol->cluster, o->span_ms, job->symbol->window,
                              fetch_plan_periods(job->symbol->cluster, o->span_ms, o->spread, o->scarce)};
    job->result = know(job, &known);
    if (job->result == 0)
        job->result = fetch_plan_new(&plan, &what, known.ranges, known.count);
    if (job->result == 0)
        job->result = make_parts(job, &plan);
    fetch_plan_free(&plan);
    cache_known_fini(&known);
}

static void plan_done(uv_work_t *work, int status)
{
    struct fetch_job *job = work->data;
    struct fetch *f = job->fetch;
    f->plans--;
    f->busy--;
    job->again |= job->forget;
    job->forget = false;
    job->stage = FETCH_RUNS;
    if (status < 0 || job->result < 0)
        fetch_fail(job, FETCH_FAILED, strerror(status < 0 ? ECANCELED : -job->result));
    fetch_pump(f);
}

void fetch_plan_job(struct fetch_job *job)
{
    struct fetch *f = job->fetch;
    job->stage = FETCH_PLANS;
    job->work.data = job;
    f->plans++;
    f->busy++;
    if (uv_queue_work(f->options.loop, &job->work, plan_work, plan_done) < 0)
        abort(); /* it fails for a NULL function alone */
}

/* ------------------------------------------------------------------------------------------------- loading
 */

static void load_work(uv_work_t *work)
{
    struct fetch_part *part = work->data;
    const struct fetch_job *job = part->job;
    const struct fetch_options *o = &job->fetch->options;
    struct cache_key key = fetch_key(job);
    size_t most = (size_t)fetch_plan_periods(key.cluster, o->span_ms, o->spread, o->scarce) * CACHE_ROWS_MAX;
    struct cache_window window = {part->piece.range.from, part->piece.range.to, most, most};
    part->result = cache_load(o->cache, &key, &window, &part->cached);
    if (part->result == 0 && part->cached.ask_ms != INT64_MAX)
        part->result = -ENOENT;
}

/* What the cache has no more (another process made room, a damaged file) is asked for. */
static void load_done(uv_work_t *work, int status)
{
    struct fetch_part *part = work->data;
    struct fetch *f = part->job->fetch;
    f->busy--;
    if ((status < 0 || part->result < 0) && !f->stopped) {
        cache_rows_fini(&part->cached);
        part->piece.known = false;
        fetch_ask(part);
    } else {
        fetch_part_done(part);
    }
    fetch_pump(f);
}

void fetch_load(struct fetch_part *part)
{
    struct fetch *f = part->job->fetch;
    part->state = FETCH_LOADS;
    part->work.data = part;
    f->busy++;
    if (uv_queue_work(f->options.loop, &part->work, load_work, load_done) < 0)
        abort();
}

/* ------------------------------------------------------------------------------------------------- keeping
 */

static void store_work(uv_work_t *work)
{
    struct fetch_part *part = work->data;
    struct cache_key key = fetch_key(part->job);
    struct cache_fetched fetched = {
        .from_ms = part->piece.range.from,
        .to_ms = part->kept_to,
        .bars = part->rows,
        .count = part->count,
        .now_ms = part->job->fetch->options.now_ms,
    };
    while (fetched.count && part->rows[fetched.count - 1].t >= part->kept_to)
        fetched.count--;
    part->result = cache_store(part->job->fetch->options.cache, &key, &fetched);
}

static void store_done(uv_work_t *work, int status)
{
    struct fetch_part *part = work->data;
    struct fetch_job *job = part->job;
    struct fetch *f = job->fetch;
    f->busy--;
    f->kept += status == 0 && part->result == 0;
    if (status == 0 && part->result == -ESTALE && job->mixed) {
        fetch_rewritten(job);
    } else if (status == 0 && part->result == -ESTALE && !part->stored_again) {
        part->stored_again = true; /* what was in its way has been forgotten */
        fetch_store(part);
        return;
    }
    fetch_part_done(part);
    fetch_pump(f);
}

void fetch_store(struct fetch_part *part)
{
    struct fetch *f = part->job->fetch;
    part->state = FETCH_STORES;
    part->work.data = part;
    f->busy++;
    if (uv_queue_work(f->options.loop, &part->work, store_work, store_done) < 0)
        abort();
}
