#include "fetch_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLANS_MAX 4u

/* --------------------------------------------------------------------------------------------------- parts
 */

void fetch_part_free(struct fetch_part *part)
{
    cache_rows_fini(&part->cached);
    free(part->rows);
    part->rows = NULL;
    part->count = part->room = 0;
}

static void job_clear(struct fetch_job *job)
{
    for (unsigned i = 0; i < job->count; i++)
        fetch_part_free(&job->parts[i]);
    free(job->parts);
    job->parts = NULL;
    job->count = job->next = job->unchecked = 0;
}

static void begin(struct fetch_part *part)
{
    struct fetch *f = part->job->fetch;
    f->held++;
    part->job->busy++;
    if (part->piece.known)
        fetch_load(part);
    else
        fetch_ask(part);
}

void fetch_part_done(struct fetch_part *part)
{
    struct fetch_job *job = part->job;
    struct fetch *f = job->fetch;
    job->busy--;
    job->unchecked -= part->checked;
    part->checked = false;
    part->state = FETCH_READY;
    if (job->failed || job->forget || f->stopped) {
        fetch_part_free(part);
        part->state = FETCH_TAKEN;
        f->held--;
    }
}

/* ---------------------------------------------------------------------------------------------------- jobs
 */

static void job_over(struct fetch_job *job)
{
    struct fetch *f = job->fetch;
    job_clear(job);
    f->done_ms += (double)(job->symbol->window.to - job->symbol->window.from - job->done_ms);
    job->stage = FETCH_OVER;
    f->over++;
}

/* The end of the symbol goes out behind its rows. */
static void job_ends(struct fetch_job *job)
{
    struct fetch *f = job->fetch;
    job->stage = FETCH_ENDS;
    job->handed++;
    job->end = (struct fetch_batch){.symbol = job->symbol, .last = true};
    f->options.hooks.batch(f->options.hooks.user, &job->end);
}

void fetch_fail(struct fetch_job *job, enum fetch_trouble what, const char *why)
{
    struct fetch *f = job->fetch;
    if (job->failed || f->stopped)
        return;
    job->failed = true;
    f->options.hooks.trouble(f->options.hooks.user, what, job->symbol, why);
}

void fetch_rewritten(struct fetch_job *job)
{
    if (job->rows || job->next || job->again)
        fetch_fail(job, FETCH_FAILED, "its past was rewritten (a split?) while it was fetched: ask again");
    else
        job->forget = true;
}

/* Nothing of a job that is to begin anew, or has failed, is under way any more: on with it. */
static void settle(struct fetch_job *job)
{
    if (job->busy)
        return;
    if (job->forget && !job->failed) {
        for (unsigned i = 0; i < job->count; i++)
            job->fetch->held -= job->parts[i].state == FETCH_READY;
        job_clear(job);
        job->stage = FETCH_NEW;
    } else if (job->failed) {
        for (unsigned i = job->next; i < job->count; i++)
            if (job->parts[i].state == FETCH_READY) {
                fetch_part_free(&job->parts[i]);
                job->parts[i].state = FETCH_TAKEN;
                job->fetch->held--;
            }
        job->next = job->count;
    }
}

/* May the part begin, though there is no room? What is waited for must come. */
static bool must_begin(const struct fetch_job *job, unsigned i)
{
    bool head = job == &job->fetch->jobs[job->fetch->head];
    return head && (job->unchecked ? job->parts[i].checked : i == job->next);
}

static void begin_parts(struct fetch_job *job)
{
    struct fetch *f = job->fetch;
    for (int checked = 1; checked >= 0; checked--)
        for (unsigned i = job->next; i < job->count; i++) {
            struct fetch_part *part = &job->parts[i];
            if (f->stopped || job->failed || job->forget)
                return;
            if (part->state == FETCH_WAITS && part->checked == checked &&
                (f->held < f->options.ahead || must_begin(job, i)))
                begin(part);
        }
}

static void hand_over(struct fetch_job *job)
{
    struct fetch *f = job->fetch;
    bool nothing = job->next == 0 && job->rows == 0;
    while (job->next < job->count && job->unchecked == 0 && job->parts[job->next].state == FETCH_READY) {
        struct fetch_part *part = &job->parts[job->next++];
        part->state = FETCH_HANDED;
        part->batch.symbol = job->symbol;
        part->batch.bars = part->piece.known ? part->cached.bars : part->rows;
        part->batch.count = part->piece.known ? part->cached.count : part->count;
        part->batch.first = nothing;
        nothing = false;
        job->rows += part->batch.count;
        job->handed++;
        f->options.hooks.batch(f->options.hooks.user, &part->batch);
    }
    if (job->next < job->count || job->busy)
        return;
    if (!job->failed && job->rows == 0)
        fetch_check(job);
    job_ends(job);
}

static void run(struct fetch_job *job)
{
    if (!job->failed && !job->forget)
        begin_parts(job);
    if (job->failed || job->forget)
        settle(job);
    if (job->stage == FETCH_RUNS && job == &job->fetch->jobs[job->fetch->head] && !job->forget)
        hand_over(job);
}

/* -------------------------------------------------------------------------------------------------- driving
 */

static void tell_done(struct fetch *f)
{
    bool over = f->stopped ? f->busy == 0 : f->over == f->count && f->busy == 0;
    if (f->told || !over)
        return;
    f->told = true;
    f->options.hooks.done(f->options.hooks.user);
}

void fetch_pump(struct fetch *f)
{
    while (!f->stopped && !f->grouped && f->head < f->count) {
        size_t head = f->head, end = head + f->options.ahead;
        for (size_t i = head; i < f->count && i < end && !f->stopped; i++) {
            struct fetch_job *job = &f->jobs[i];
            if (job->stage == FETCH_RUNS)
                run(job);
            if (job->stage == FETCH_NEW && f->plans < PLANS_MAX)
                fetch_plan_job(job);
            if (i == head && job->stage >= FETCH_ENDS)
                f->head++;
            if (f->held >= f->options.ahead)
                break;
        }
        if (f->head == head)
            break;
    }
    tell_done(f);
}

void fetch_start(struct fetch *f)
{
    if (!fetch_group(f))
        fetch_pump(f);
}

void fetch_taken(struct fetch *f, struct fetch_batch *batch)
{
    if (batch->last) {
        struct fetch_job *job = (struct fetch_job *)batch;
        if (--job->handed == 0)
            job_over(job);
    } else {
        struct fetch_part *part = (struct fetch_part *)batch;
        struct fetch_job *job = part->job;
        int64_t length = part->piece.range.to - part->piece.range.from;
        part->state = FETCH_TAKEN;
        f->rows += batch->count;
        f->done_ms += (double)length;
        job->done_ms += length;
        f->held--;
        fetch_part_free(part);
        if (--job->handed == 0 && job->stage == FETCH_ENDS)
            job_over(job);
    }
    fetch_pump(f);
}

void fetch_stop(struct fetch *f)
{
    f->stopped = true;
    tell_done(f);
}

void fetch_stop_all(struct fetch *f, const char *why)
{
    if (f->stopped)
        return;
    f->stopped = true;
    f->options.hooks.trouble(f->options.hooks.user, FETCH_STOPPED, NULL, why);
}

struct fetch_progress fetch_progress(const struct fetch *f)
{
    return (struct fetch_progress){
        .symbol = f->head < f->count ? f->jobs[f->head].symbol : NULL,
        .symbols_done = f->over,
        .rows = f->rows,
        .share = f->total_ms > 0 ? f->done_ms / f->total_ms : 1,
        .kept = f->kept,
    };
}

int fetch_new(struct fetch **ret, const struct fetch_options *options, const struct fetch_symbol *symbols,
              size_t count)
{
    struct fetch *f = calloc(1, sizeof *f);
    struct fetch_job *jobs = calloc(count ? count : 1, sizeof *jobs);
    if (!f || !jobs) {
        free(f);
        free(jobs);
        return -ENOMEM;
    }
    *f = (struct fetch){.options = *options, .jobs = jobs, .count = count};
    for (size_t i = 0; i < count; i++) {
        jobs[i] = (struct fetch_job){.fetch = f, .symbol = &symbols[i]};
        f->total_ms += (double)(symbols[i].window.to - symbols[i].window.from);
    }
    *ret = f;
    return 0;
}

void fetch_free(struct fetch *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->count; i++)
        job_clear(&f->jobs[i]);
    free(f->jobs);
    free(f);
}
