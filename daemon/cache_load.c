#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cache_private.h"

/* Between two days a price hardly moves by more than this; a split of 5:4 or more does. */
#define STEP_MOST 1.15

/* What one cache_load gathers; kept for the next. */
struct gather {
    struct cache_buffer pieces[2]; /* fetched, imported */
    struct cache_buffer out;       /* filled from its end */
    size_t start;                  /* of the rows in `out` */
    struct cache_range *covered;   /* fetched */
    struct cache_range *known;     /* fetched and final */
    unsigned covered_count, known_count, ranges_room;
    bool raw; /* imported rows are among them */
};

void cache_rows_fini(struct cache_rows *rows)
{
    struct gather *g = rows->memory;
    if (!g)
        return;
    free(g->pieces[0].rows);
    free(g->pieces[1].rows);
    free(g->out.rows);
    free(g->covered);
    free(g->known);
    free(g);
    *rows = (struct cache_rows){0};
}

static int room_for_ranges(struct gather *g)
{
    unsigned most = g->covered_count > g->known_count ? g->covered_count : g->known_count;
    if (most + CACHE_FILE_RANGES + 1 <= g->ranges_room)
        return 0;
    unsigned room = (most + CACHE_FILE_RANGES + 1) * 2;
    struct cache_range *covered = realloc(g->covered, room * sizeof *covered);
    if (covered)
        g->covered = covered;
    struct cache_range *known = realloc(g->known, room * sizeof *known);
    if (known)
        g->known = known;
    if (!covered || !known)
        return -ENOMEM;
    g->ranges_room = room;
    return 0;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int add_ranges(struct gather *g, const struct cache_file_header *h, const struct cache_range *window)
{
    if (room_for_ranges(g) < 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < h->range_count; i++) {
        struct cache_range r = {most(h->ranges[i].from, window->from), least(h->ranges[i].to, window->to)};
        g->covered_count = cache_time_add(g->covered, g->covered_count, r);
        r.to = least(r.to, h->settled_ms);
        g->known_count = cache_time_add(g->known, g->known_count, r);
    }
    return 0;
}

/* Puts rows before those that are there. */
static int push(struct gather *g, size_t count, size_t have)
{
    if (count <= g->start)
        return 0;
    size_t old = g->out.room;
    struct cache_buffer grown = {0};
    if (cache_buffer_reserve(&grown, have + count + old) < 0)
        return -ENOMEM;
    size_t start = grown.room - have;
    if (have)
        memcpy(grown.rows + start, g->out.rows + g->start, have * sizeof *grown.rows);
    free(g->out.rows);
    g->out = grown;
    g->start = start;
    return 0;
}

static bool in_ranges(const struct cache_file_header *h, int64_t t)
{
    for (uint32_t i = 0; i < h->range_count; i++)
        if (t >= h->ranges[i].from && t < h->ranges[i].to)
            return true;
    return false;
}

/* What was fetched goes before what was imported. */
static void merge(struct gather *g, const struct cache_part *fetched, const struct cache_part *imported,
                  const struct cache_file_header *h)
{
    size_t i = fetched->count, j = imported->count;
    while (i > 0 || j > 0) {
        if (j > 0 && h && in_ranges(h, imported->rows[j - 1].t)) {
            j--;
        } else if (j == 0 || (i > 0 && fetched->rows[i - 1].t > imported->rows[j - 1].t)) {
            g->out.rows[--g->start] = fetched->rows[--i];
        } else {
            g->out.rows[--g->start] = imported->rows[--j];
            g->raw = true;
        }
    }
}

struct source {
    struct cache *cache;
    const struct cache_key *key;
    const struct cache_range *window;
    size_t limit;
};

/* The usual case, one file: its rows are read to where they are wanted. */
static int take_one(struct gather *g, const struct source *s, struct cache_piece *piece)
{
    struct cache_part part;
    size_t have = g->out.room - g->start, need = cache_piece_need(piece, s->limit);
    int r;
    do {
        if (push(g, need, have) < 0)
            return -ENOMEM;
        r = cache_piece_rows(s->cache, s->key, piece, s->window, s->limit, g->out.rows + g->start - need,
                             need, &part);
        need = cache_piece_header(piece)->rows;
    } while (r == -ENOBUFS);
    if (r <= 0)
        return r;
    struct pgd_bar *to = g->out.rows + g->start - part.count;
    if (part.count && to != part.rows)
        memmove(to, part.rows, part.count * sizeof *to);
    g->start -= part.count;
    g->raw |= part.count && (cache_piece_header(piece)->flags & CACHE_FILE_RAW);
    return add_ranges(g, cache_piece_header(piece), s->window);
}

/* Both kinds: 1 when the rows are there. */
static int take_part(struct gather *g, const struct source *s, struct cache_piece *piece, int kind,
                     struct cache_part *ret)
{
    size_t need = cache_piece_need(piece, s->limit);
    int r;
    do {
        if (cache_buffer_reserve(&g->pieces[kind], need) < 0)
            return -ENOMEM;
        r = cache_piece_rows(s->cache, s->key, piece, s->window, s->limit, g->pieces[kind].rows, need, ret);
        need = cache_piece_header(piece)->rows;
    } while (r == -ENOBUFS);
    return r > 0 && add_ranges(g, cache_piece_header(piece), s->window) < 0 ? -ENOMEM : r;
}

static int take_both(struct gather *g, const struct source *s, struct cache_piece piece[2])
{
    struct cache_part part[2] = {0};
    int there[2] = {0};
    for (int kind = 0; kind < 2; kind++) {
        there[kind] = take_part(g, s, &piece[kind], kind, &part[kind]);
        if (there[kind] < 0)
            return there[kind];
    }
    if (push(g, part[0].count + part[1].count, g->out.room - g->start) < 0)
        return -ENOMEM;
    merge(g, &part[0], &part[1], there[0] ? cache_piece_header(&piece[0]) : NULL);
    return 0;
}

/* What the files of one period have. */
static int gather_period(struct gather *g, const struct source *s, int64_t t_ms)
{
    struct cache_piece piece[2];
    int r = cache_piece_open(s->cache, s->key, t_ms, 0, &piece[0]);
    if (r < 0)
        return r;
    bool fetched = r > 0;
    r = cache_piece_open(s->cache, s->key, t_ms, CACHE_FILE_RAW, &piece[1]);
    bool imported = r > 0;
    if (fetched && imported)
        r = take_both(g, s, piece);
    else if (fetched || imported)
        r = take_one(g, s, &piece[imported]);
    if (fetched)
        cache_piece_close(&piece[0]);
    if (imported)
        cache_piece_close(&piece[1]);
    return r < 0 ? r : 0;
}

/* The first moment from `at` on that no range covers; where nothing can have happened counts as covered. */
static int64_t first_hole(const struct cache_key *key, const struct cache_range *ranges, unsigned count,
                          int64_t at, int64_t end)
{
    for (unsigned i = 0; i < count; i++) {
        if (ranges[i].to <= at)
            continue;
        if (ranges[i].from > at && !cache_time_idle(key->cluster, at, ranges[i].from))
            return at;
        at = ranges[i].to;
    }
    return cache_time_idle(key->cluster, at, end) ? end : at;
}

bool cache_looks_split(enum pgd_cluster cluster, const struct pgd_bar *before, const struct pgd_bar *after)
{
    double step = after->o / before->c;
    if (step < STEP_MOST && step > 1 / STEP_MOST)
        return false;
    return cache_time_day(cluster, after->t) != cache_time_day(cluster, before->t);
}

/* Imported rows carry the prices of their day. With such a step among them they cannot be told from adjusted
 * ones any more. */
static bool looks_split(const struct cache_key *key, const struct pgd_bar *rows, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (cache_looks_split(key->cluster, &rows[i - 1], &rows[i]))
            return true;
    return false;
}

/* Where the stretch without a hole begins that `at` lies in. */
static int64_t stretch_start(const struct cache_key *key, const struct cache_range *ranges, unsigned count,
                             int64_t at)
{
    int64_t start = at;
    for (unsigned i = 0; i < count && ranges[i].from <= at; i++)
        if (i == 0 || !cache_time_idle(key->cluster, ranges[i - 1].to, ranges[i].from))
            start = ranges[i].from;
    return start;
}

static void choose(const struct cache_key *key, struct gather *g, const struct cache_window *w,
                   struct cache_rows *ret)
{
    const struct pgd_bar *rows = g->out.rows + g->start;
    size_t count = g->out.room - g->start;
    if (count > w->limit) {
        rows += count - w->limit;
        count = w->limit;
    }
    int64_t from = count && count >= w->least ? rows[count - w->least].t : w->from_ms;
    int64_t covered = first_hole(key, g->covered, g->covered_count, from, w->to_ms);
    int64_t known = first_hole(key, g->known, g->known_count, from, w->to_ms);
    int64_t start = stretch_start(key, g->covered, g->covered_count, from);
    while (count && rows[count - 1].t >= covered)
        count--;
    for (; count && rows[0].t < start; count--)
        rows++;
    if (g->raw && looks_split(key, rows, count))
        return; /* as if nothing were there */
    *ret = (struct cache_rows){.bars = rows, .count = count, .ask_ms = known, .memory = g};
    if (known >= w->to_ms) {
        ret->ask_ms = INT64_MAX;
    } else if (count && rows[0].t < known) {
        /* the last final row is asked for again: it shows whether the past was rewritten */
        size_t last = count - 1;
        while (rows[last].t >= known)
            last--;
        ret->ask_ms = rows[last].t;
    } else if (count) {
        ret->ask_ms = from;
    }
}

int cache_load(struct cache *c, const struct cache_key *key, const struct cache_window *w,
               struct cache_rows *ret)
{
    struct gather *g = ret->memory ? ret->memory : calloc(1, sizeof *g);
    if (!g)
        return -ENOMEM;
    *ret = (struct cache_rows){.ask_ms = w->from_ms, .memory = g};
    if (w->least == 0 || w->least > w->limit || w->from_ms >= w->to_ms)
        return -EINVAL;
    g->start = g->out.room;
    g->covered_count = g->known_count = 0;
    g->raw = false;
    struct cache_range window = {w->from_ms, w->to_ms};
    struct source source = {c, key, &window, w->limit};
    int64_t end = w->to_ms;
    while (end > w->from_ms && g->out.room - g->start < w->limit) {
        struct cache_range period = cache_time_period(key->span_ms, end - 1);
        int r = gather_period(g, &source, end - 1);
        if (r < 0)
            return r;
        end = period.from;
    }
    choose(key, g, w, ret);
    return 0;
}

/* -------------------------------------------------------------------------------------------- what is known
 */

static int know(struct cache_known *known, const struct cache_file_header *h,
                const struct cache_range *window)
{
    if (known->count + CACHE_FILE_RANGES + 1 > known->room) {
        unsigned room = 2 * (known->count + CACHE_FILE_RANGES + 1);
        struct cache_range *ranges = realloc(known->ranges, room * sizeof *ranges);
        if (!ranges)
            return -ENOMEM;
        known->ranges = ranges;
        known->room = room;
    }
    for (uint32_t i = 0; i < h->range_count; i++) {
        struct cache_range r = {most(h->ranges[i].from, window->from),
                                least(least(h->ranges[i].to, window->to), h->settled_ms)};
        known->imported |= r.from < r.to && (h->flags & CACHE_FILE_RAW);
        known->count = cache_time_add(known->ranges, known->count, r);
    }
    return 0;
}

int cache_known(struct cache *c, const struct cache_key *key, const struct cache_range *window, bool imported,
                struct cache_known *ret)
{
    ret->count = 0;
    ret->imported = false;
    int r = 0;
    for (int64_t at = window->from; at < window->to && r >= 0; at = cache_time_period(key->span_ms, at).to)
        for (uint32_t flags = 0; flags <= (imported ? CACHE_FILE_RAW : 0) && r >= 0;
             flags += CACHE_FILE_RAW) {
            struct cache_piece piece;
            r = cache_piece_open(c, key, at, flags, &piece);
            if (r <= 0)
                continue;
            r = know(ret, cache_piece_header(&piece), window);
            cache_piece_close(&piece);
        }
    return r < 0 ? r : 0;
}

void cache_known_fini(struct cache_known *known)
{
    free(known->ranges);
    *known = (struct cache_known){0};
}
