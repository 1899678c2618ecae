#include "fetch_plan.h"

#include <errno.h>
#include <stdlib.h>

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   INT64_C(3600000)
#define DAY_MS    INT64_C(86400000)

/* The end of the stretch that begins at `at` and touches so many periods. */
static int64_t piece_end(const struct fetch_what *what, int64_t at, int64_t to)
{
    for (unsigned i = 0; i < what->periods && at < to; i++)
        at = cache_time_period(what->span_ms, at).to;
    return at < to ? at : to;
}

static int add(struct fetch_plan *plan, unsigned *room, const struct fetch_piece *piece)
{
    if (plan->count == *room) {
        unsigned more = *room ? 2 * *room : 16;
        struct fetch_piece *pieces = realloc(plan->pieces, more * sizeof *pieces);
        if (!pieces)
            return -ENOMEM;
        plan->pieces = pieces;
        *room = more;
    }
    plan->pieces[plan->count++] = *piece;
    return 0;
}

static int cut(struct fetch_plan *plan, unsigned *room, const struct fetch_what *what, int64_t from,
               int64_t to, bool known)
{
    int r = 0;
    while (from < to && r == 0) {
        struct fetch_piece piece = {{from, piece_end(what, from, to)}, known};
        from = piece.range.to;
        if (!cache_time_idle(what->cluster, piece.range.from, piece.range.to))
            r = add(plan, room, &piece);
    }
    return r;
}

int fetch_plan_new(struct fetch_plan *ret, const struct fetch_what *what, const struct cache_range *known,
                   unsigned known_count)
{
    struct fetch_plan plan = {0};
    unsigned room = 0;
    int64_t at = what->window.from;
    int r = 0;
    for (unsigned i = 0; i <= known_count && r == 0; i++) {
        bool end = i == known_count;
        struct cache_range next = end ? (struct cache_range){what->window.to, what->window.to} : known[i];
        if (at < next.from && !cache_time_idle(what->cluster, at, next.from))
            r = cut(&plan, &room, what, at, next.from, false);
        at = at > next.from ? at : next.from;
        if (r == 0)
            r = cut(&plan, &room, what, at, next.to, true);
        at = at > next.to ? at : next.to;
    }
    if (r < 0)
        fetch_plan_free(&plan);
    else
        *ret = plan;
    return r;
}

void fetch_plan_free(struct fetch_plan *plan)
{
    free(plan->pieces);
    *plan = (struct fetch_plan){0};
}

unsigned fetch_plan_periods(enum pgd_cluster cluster, int64_t span_ms, bool spread, bool scarce)
{
    bool always = cluster == PGD_CRYPTO || cluster == PGD_FOREX || cluster == PGD_FUTURES;
    if (span_ms >= DAY_MS)
        return 200; /* years: a page holds all of them */
    if (span_ms >= HOUR_MS)
        return 1; /* a year; its pages are cut by minutes */
    if (span_ms < MINUTE_MS)
        return scarce ? 7 : 1; /* days, of up to two pages */
    if (scarce)
        return 12;
    unsigned months = spread ? 2 : 6; /* two months of a busy stock's minutes are a page */
    return always ? months / 2 : months;
}
