/* REST's share: the rows of a piece, and whether a symbol is known. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fetch_private.h"

#define LOSSES_MAX 3u /* questions in a row that no server answered: it is not the symbol's fault */

/* ---------------------------------------------------------------------------------------------------- rows
 */

static bool room(struct fetch_part *part, size_t more)
{
    if (part->count + more <= part->room)
        return true;
    size_t want = part->room ? 2 * part->room : 4096;
    while (want < part->count + more)
        want *= 2;
    struct pgd_bar *rows = realloc(part->rows, want * sizeof *rows);
    if (!rows)
        return false;
    part->rows = rows;
    part->room = want;
    return true;
}

/* A row of a known piece, which was asked for to be compared. */
static void compare(struct fetch_part *part, const struct pgd_bar *bar)
{
    enum fetch_edge edge = bar->t < part->piece.range.from ? FETCH_BEFORE : FETCH_AFTER;
    const struct pgd_bar *was = &part->edge[edge];
    if (part->has_edge[edge] && bar->t == was->t)
        part->differs |= bar->o != was->o || bar->h != was->h || bar->l != was->l || bar->c != was->c;
}

static void on_rows(void *user, const struct rest_rows *rows)
{
    struct fetch_part *part = user;
    if (!room(part, rows->count)) {
        part->no_memory = true;
        return;
    }
    for (size_t i = 0; i < rows->count; i++) {
        const struct pgd_bar *bar = &rows->bars[i];
        if (bar->t >= part->piece.range.from && bar->t < part->piece.range.to)
            part->rows[part->count++] = *bar;
        else
            compare(part, bar);
    }
}

static void on_bad(void *user, const char *reason, struct event_text raw, uint64_t count)
{
    struct fetch_part *part = user;
    const struct fetch *f = part->job->fetch;
    char why[FETCH_WHY];
    part->bad += count;
    (void)snprintf(why, sizeof why, "%llu row%s refused: %s: %.*s", (unsigned long long)count,
                   count == 1 ? "" : "s", reason, (int)(raw.n < 120 ? raw.n : 120), raw.p);
    f->options.hooks.trouble(f->options.hooks.user, FETCH_REFUSED, part->job->symbol, why);
}

struct place {
    int64_t t;
    size_t i;
};

static int by_start(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return x->t != y->t ? (x->t > y->t) - (x->t < y->t) : (x->i > y->i) - (x->i < y->i);
}

/* Rising starts; of rows with the same start the one that came last. -ENOMEM. */
static int sort(struct fetch_part *part)
{
    bool rising = true;
    for (size_t i = 1; i < part->count && rising; i++)
        rising = part->rows[i].t > part->rows[i - 1].t;
    if (rising)
        return 0;
    struct place *places = malloc(part->count * sizeof *places);
    struct pgd_bar *rows = malloc(part->count * sizeof *rows);
    size_t n = 0;
    for (size_t i = 0; places && rows && i < part->count; i++)
        places[i] = (struct place){part->rows[i].t, i};
    if (places && rows) {
        qsort(places, part->count, sizeof *places, by_start);
        for (size_t i = 0; i < part->count; i++) {
            n -= n && rows[n - 1].t == places[i].t;
            rows[n++] = part->rows[places[i].i];
        }
        free(part->rows);
        part->rows = rows;
        part->room = part->count;
        part->count = n;
        rows = NULL;
    }
    bool failed = !places || rows;
    free(places);
    free(rows);
    return failed ? -ENOMEM : 0;
}

/* ------------------------------------------------------------------------------------------------- answers
 */

static bool keeps(struct fetch_part *part, int64_t to)
{
    part->kept_to = to;
    return part->job->fetch->options.cache && !part->bad && !part->no_memory && !part->differs &&
           sort(part) == 0 && to > part->piece.range.from;
}

/* Pages come in the order of time: what has come is whole up to the last row. */
static void interrupted(struct fetch_part *part)
{
    if (part->count > 1 && keeps(part, part->rows[part->count - 1].t))
        fetch_store(part);
    else
        fetch_part_done(part);
}

static void whole(struct fetch_part *part)
{
    struct fetch_job *job = part->job;
    if (part->no_memory || sort(part) < 0) {
        fetch_fail(job, FETCH_FAILED, "out of memory");
    } else if (part->differs) {
        fetch_rewritten(job);
    } else if (keeps(part, part->piece.range.to)) {
        fetch_store(part);
        return;
    }
    fetch_part_done(part);
}

static void failed(struct fetch_part *part, const struct rest_done *done)
{
    struct fetch *f = part->job->fetch;
    char why[FETCH_WHY];
    (void)snprintf(why, sizeof why, "%s", done->message[0] ? done->message : strerror(-done->error));
    f->losses = done->status ? 0 : f->losses + 1;
    if (done->status == 401 || f->losses >= LOSSES_MAX)
        fetch_stop_all(f, why);
    else if (done->status == 403)
        fetch_fail(part->job, FETCH_DENIED, why);
    else
        fetch_fail(part->job, done->error == -ENOENT ? FETCH_UNKNOWN : FETCH_FAILED, why);
    fetch_part_done(part);
}

static void on_done(void *user, const struct rest_done *done)
{
    struct fetch_part *part = user;
    struct fetch *f = part->job->fetch;
    f->busy--;
    if (done->error == -ECANCELED) {
        interrupted(part);
    } else if (done->error) {
        failed(part, done);
    } else {
        f->losses = 0;
        whole(part);
    }
    fetch_pump(f);
}

/* ------------------------------------------------------------------------------------------------- asking */

void fetch_ask(struct fetch_part *part)
{
    struct fetch_job *job = part->job;
    const struct fetch_options *o = &job->fetch->options;
    char ticker[PGD_SYMBOL_MAX];
    struct rest_query query = {
        .kind = REST_BARS,
        .class = REST_BACKFILL,
        .ticker = ticker,
        .timespan = o->timespan,
        .from = part->has_edge[FETCH_BEFORE] ? part->edge[FETCH_BEFORE].t : part->piece.range.from,
        .to = part->has_edge[FETCH_AFTER] ? part->edge[FETCH_AFTER].t : part->piece.range.to - 1,
    };
    struct rest_sink sink = {on_rows, on_bad, on_done, part};
    part->state = FETCH_ASKS;
    int r = o->rest ? rest_ticker(ticker, job->symbol->name) : -ENOKEY;
    if (r >= 0)
        r = rest_get(o->rest, &query, &sink);
    if (r == 0) {
        job->fetch->busy++;
        return;
    }
    if (r == -ENOKEY)
        fetch_stop_all(job->fetch, o->no_rest);
    else
        fetch_fail(job, FETCH_FAILED, strerror(-r));
    fetch_part_done(part);
}

static void on_checked(void *user, const struct rest_done *done)
{
    struct fetch_job *job = user;
    struct fetch *f = job->fetch;
    f->busy--;
    if (done->error == -ENOENT)
        f->options.hooks.trouble(f->options.hooks.user, FETCH_UNKNOWN, job->symbol,
                                 "unknown to the vendor, or no longer listed");
    else if (done->error != -ECANCELED)
        f->options.hooks.trouble(f->options.hooks.user, FETCH_EMPTY, job->symbol, "no bars in this time");
    fetch_pump(f);
}

void fetch_check(struct fetch_job *job)
{
    struct fetch *f = job->fetch;
    char ticker[PGD_SYMBOL_MAX];
    int r = f->options.rest ? rest_ticker(ticker, job->symbol->name) : -ENOKEY;
    if (r >= 0)
        r = rest_check_ticker(f->options.rest, ticker, REST_BACKFILL, on_checked, job);
    if (r == 0)
        f->busy++;
    else
        f->options.hooks.trouble(f->options.hooks.user, FETCH_EMPTY, job->symbol, "no bars in this time");
}
