/* simd_push.h - one new row of many series: of simd.c alone.
 *
 * What a block does to several rows of one tile is done here to one row of each of several tiles: they do not
 * wait for one another, and what an op needs to know is looked up once for all of them. */
#ifndef KERNELS_SIMD_PUSH_H
#define KERNELS_SIMD_PUSH_H

/* --------------------------------------------------------------------------------------------------- load */

/* Of a tile that is not whole. */
static inline pgk_mask pushed(const struct pgk_push_tile *it, uint32_t group)
{
    return pgk_lt_int(*vector_int((int64_t *)(uintptr_t)it->gets, group), pgk_splat_int(0));
}

static void new_session(const struct pgk_push_tile *it, uint32_t lane, int64_t t)
{
    const uint8_t *head = it->head + lane * it->head_stride;
    uint32_t session = shm_load32(head + offsetof(struct pgd_series, session));
    pgk_tile_session(it->tile, lane, t, session == PGD_SESSION_UTC);
}

INLINE void push_sessions(struct pgk_push_tile *it, uint32_t group, pgk_int t)
{
    struct pgk_tile *tile = it->tile;
    pgk_mask outside =
        pgk_lt_int(t, *vector_int(tile->from, group)) | pgk_ge_int(t, *vector_int(tile->until, group));
    if (!it->whole)
        outside &= pushed(it, group);
    if (pgk_any(outside)) {
        for (uint32_t i = 0; i < L; i++)
            if (it->whole || it->gets[group * L + i] != 0)
                new_session(it, group * L + i, t[i]);
    }
}

/* True when none of the rows has left the ring. */
INLINE bool push_held_as(const struct pgk_push_tile *it, bool whole)
{
    const uint64_t *row = it->row;
    const uint64_t capacity = it->capacity;
    const size_t stride = it->head_stride;
    bool late = false;
    LANES_UNROLLED
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        const uint8_t *series = whole ? it->head + l * stride : it->series[l];
        late |= shm_load64_acquire(series + offsetof(struct pgd_series, head)) >= row[l] + capacity;
    }
    return !late;
}

static inline bool push_held(const struct pgk_push_tile *it)
{
    return it->whole ? push_held_as(it, true) : push_held_as(it, false);
}

/* Words that were written one by one are not read as a vector here: that would wait for all of them to have
 * left the processor. */
static bool push_load(const struct pgk_layout *layout, struct pgk_push_tile *it)
{
    uint64_t odd = 0, differ = 0, rev[PGK_TILE];
    double *data = it->tile->data + (size_t)it->slid * PGK_TILE;
    for (uint32_t f = 0; f < PGK_BAR_FIELDS; f++)
        it->now[f] = layout->past[f] > 0 ? data + layout->now[f] : it->spare[f];
    LANES_UNROLLED
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        rev[l] = shm_load64_acquire(it->bar[l] + PGD_BAR_META);
        odd |= rev[l];
    }
    for (uint32_t g = 0; g < GROUPS; g++) {
        pgk_real word[LINE_WORDS];
        load_lines(&it->bar[g * L], 0, word);
        *vector(it->now[PGK_H], g) = word[H];
        *vector(it->now[PGK_L], g) = word[LO];
        *vector(it->now[PGK_C], g) = word[C];
        *vector(it->now[PGK_V], g) = word[V];
        *vector(it->now[PGK_P], g) = pgk_volume_price(word[H], word[LO], word[C], word[VW]);
        *vector_int(it->rev, g) = (pgk_int)word[META];
        if (layout->plan->sessions)
            push_sessions(it, g, (pgk_int)word[T]);
    }
    shm_fence_acquire();
    LANES_UNROLLED
    for (uint32_t l = 0; l < PGK_TILE; l++)
        differ |= rev[l] ^ shm_load64(it->bar[l] + PGD_BAR_META);
    return (uint16_t)differ == 0 && (odd & 1) == 0 && push_held(it);
}

/* --------------------------------------------------------------------------------------------------- step */

static inline double *push_band_at(const struct pgk_push *p, uint32_t band, uint32_t t)
{
    return p->bands + ((size_t)band * 2 * PGK_PUSH + t) * PGK_TILE;
}

INLINE void push_band(const struct pgk_push *p, uint32_t i, uint32_t n, enum pgk_band_kind kind)
{
    const size_t other = (size_t)PGK_PUSH * PGK_TILE;
    const uint32_t tiles = p->tiles;
    for (uint32_t t = 0; t < tiles; t++) {
        const struct pgk_push_tile *it = p->tile[t];
        double *to = push_band_at(p, i, t);
        for (uint32_t g = 0; g < GROUPS; g++) {
            pgk_window c = vector(it->now[PGK_C], g), h = vector(it->now[PGK_H], g),
                       l = vector(it->now[PGK_L], g);
            pgk_real one, two;
            if (kind == PGK_BAND_MEAN) {
                pgk_means(c, n, 1, &one);
                *vector(to, g) = one;
            } else if (kind == PGK_BAND_SIGMA) {
                one = *vector(to, g);
                pgk_sigmas(c, n, 1, &one, &two);
                *vector(to + other, g) = two;
            } else {
                pgk_ranges(h, l, n, 1, &one, &two);
                *vector(to, g) = one;
                *vector(to + other, g) = two;
            }
        }
    }
}

/* What does not wait for anything. */
static void push_band_first(const struct pgk_push *p, uint32_t i)
{
    const struct pgk_band *band = &p->layout->band[i];
    if (band->kind == PGK_BAND_RANGE && band->n == 14)
        push_band(p, i, 14, PGK_BAND_RANGE);
    else if (band->kind == PGK_BAND_RANGE)
        push_band(p, i, band->n, PGK_BAND_RANGE);
    else if (band->n == 20)
        push_band(p, i, 20, PGK_BAND_MEAN);
    else
        push_band(p, i, band->n, PGK_BAND_MEAN);
}

/* And what waits for a mean: later, so that nothing else waits behind it. */
static void push_band_second(const struct pgk_push *p, uint32_t i)
{
    const struct pgk_band *band = &p->layout->band[i];
    if (band->kind != PGK_BAND_SIGMA)
        return;
    if (band->n == 20)
        push_band(p, i, 20, PGK_BAND_SIGMA);
    else
        push_band(p, i, band->n, PGK_BAND_SIGMA);
}

/* One op over the tiles; all but the first three arguments are constants. */
INLINE void push_op(const struct pgk_push *p, const struct pgk_op *op, uint32_t band, step_fn *step,
                    uint32_t outputs, uint32_t words)
{
    const struct pgk_layout *layout = p->layout;
    const size_t derived = layout->now[op->derived], derived_too = layout->now[op->derived + 1];
    const bool slides = layout->past[op->derived] > 0, slides_too = layout->past[op->derived + 1] > 0;
    const uint32_t tiles = p->tiles;
    const size_t row_words = (size_t)(p->units.words + 1) * PGK_TILE;
    double *to[PGK_OUTPUTS];
    double *bands = push_band_at(p, band, 0);
    for (uint32_t j = 0; j < outputs; j++)
        to[j] = slot_at(&p->units, 0, slot_of(&p->units, op->column[j]));
    for (uint32_t t = 0; t < tiles; t++) {
        struct pgk_push_tile *it = p->tile[t];
        double *data = it->tile->data, *word = pgk_tile_word(it->tile, op->word);
        double *one = data + derived + (slides ? (size_t)it->slid * PGK_TILE : 0);
        double *two = data + derived_too + (slides_too ? (size_t)it->slid * PGK_TILE : 0);
        for (uint32_t g = 0; g < GROUPS; g++) {
            pgk_real out[PGK_OUTPUTS];
            union pgk_word s[PGK_WORDS_MAX];
            const struct pgk_row row = {
                .h = vector(it->now[PGK_H], g),
                .l = vector(it->now[PGK_L], g),
                .c = vector(it->now[PGK_C], g),
                .v = vector(it->now[PGK_V], g),
                .p = vector(it->now[PGK_P], g),
                .derived = {vector(one, g), vector(two, g)},
                .band = {vector(bands + (size_t)t * PGK_TILE, g),
                         vector(bands + (size_t)(PGK_PUSH + t) * PGK_TILE, g)},
                .session = {*vector_int(it->tile->key[0], g), *vector_int(it->tile->key[1], g)},
                .steady = true};
            for (uint32_t w = 0; w < words; w++)
                s[w].f = *vector(word + (size_t)w * PGK_TILE, g);
            step(op, s, &row, out);
            if (words > 0 && !it->whole)
                for (uint32_t w = 0; w < words; w++)
                    s[w].f = pgk_sel(pushed(it, g), s[w].f, *vector(word + (size_t)w * PGK_TILE, g));
            for (uint32_t w = 0; w < words; w++)
                *vector(word + (size_t)w * PGK_TILE, g) = s[w].f;
            for (uint32_t j = 0; j < outputs; j++)
                *vector(to[j] + t * row_words, g) = published(out[j]);
        }
    }
}

#define PUSH_WITH_PERIODS(a, b_, c, step, outputs, words)                                                    \
    do {                                                                                                     \
        struct pgk_op fixed = *op;                                                                           \
        fixed.n[0] = (a), fixed.n[1] = (b_), fixed.n[2] = (c);                                               \
        push_op(p, &fixed, band, step, outputs, words);                                                      \
    } while (0)
#define PGK_INDICATOR(id, stem, step, given, bare, defaults, columns, unit, window, words, ...)              \
    static void push_##id(const struct pgk_push *p, const struct pgk_op *op, uint32_t band)                  \
    {                                                                                                        \
        if ((words) == 0 && op->n[0] == 20)                                                                  \
            PUSH_WITH_PERIODS(20, op->n[1], op->n[2], pgk_##step##_step, OUTPUTS columns, words);            \
        else if ((words) == 0 && op->n[0] == 14 && op->n[1] == 3 && op->n[2] == 3)                           \
            PUSH_WITH_PERIODS(14, 3, 3, pgk_##step##_step, OUTPUTS columns, words);                          \
        else if ((words) > 0 && op->n[0] == 0)                                                               \
            PUSH_WITH_PERIODS(0, 0, 0, pgk_##step##_step, OUTPUTS columns, words);                           \
        else                                                                                                 \
            push_op(p, op, band, pgk_##step##_step, OUTPUTS columns, words);                                 \
    }
#include "indicators.def"

/* -------------------------------------------------------------------------------------------------- store */

/* As store_fresh: nobody looks at them before the series' `computed` says so. */
static void push_store(const struct pgk_push *p)
{
    const uint32_t tiles = p->tiles, words = p->units.words;
    const int64_t gen = p->units.gen;
    shm_fence_release();
    for (uint32_t t = 0; t < tiles; t++) {
        const struct pgk_push_tile *it = p->tile[t];
        const double *value = slot_at(&p->units, t, 0);
        for (uint32_t g = 0; g < GROUPS; g++) {
            pgk_uint index = (pgk_uint)*vector_int((int64_t *)(uintptr_t)it->row, g);
            pgk_int rev = *vector_int((int64_t *)(uintptr_t)it->rev, g) & 0xffff;
            pgk_int tag = (pgk_int)(index << 32) | (rev << 16) | gen;
            store_lines(value + g * L, words, tag, &it->unit[g * L], 0, false);
        }
    }
}

static void shift_lines(const struct pgk_push_tile *it, double *to, size_t lines)
{
    pgk_mask mask[GROUPS];
    for (uint32_t g = 0; g < GROUPS; g++)
        mask[g] = pushed(it, g);
    _Pragma("GCC unroll 8") for (size_t i = 1; i < lines; i++, to += PGK_TILE)
    {
        for (uint32_t g = 0; g < GROUPS; g++)
            *vector(to, g) = pgk_sel(mask[g], *vector(to + PGK_TILE, g), *vector(to, g));
    }
}

INLINE void move_lines(double *to, const double *from, size_t lines)
{
    _Pragma("GCC unroll 8") for (size_t i = 1; i < lines; i++, to += PGK_TILE, from += PGK_TILE)
    {
        for (uint32_t g = 0; g < GROUPS; g++)
            *vector(to, g) = *vector((double *)(uintptr_t)from, g);
    }
}

/* Of lanes that got one, the new row is the latest of their past: see pgk_tile_shift. Where all did, the tile
 * slides. */
static void push_shift(const struct pgk_push *p)
{
    const size_t first = p->layout->first, lines = p->layout->lines;
    const uint32_t tiles = p->tiles;
    for (uint32_t t = 0; t < tiles; t++) {
        const struct pgk_push_tile *it = p->tile[t];
        double *past = it->tile->data + first, *slid = past + (size_t)it->slid * PGK_TILE;
        if (!it->whole)
            shift_lines(it, slid, lines);
        else if (it->back)
            move_lines(past, slid + PGK_TILE, lines);
    }
}

#define ASK ((size_t)8 * PGD_LINE) /* what is asked for in one go */

/* Asks for some more lines of the tiles that come next: not for so many at a time that the processor waits
 * for them, and for none that it will not need. What lies before their fields comes first, then these, which
 * lie where they have slid to. */
INLINE size_t push_ask(const struct pgk_push *p, size_t at, size_t fields, size_t end)
{
    const size_t stop = at < fields ? fields : end;
    for (uint32_t t = 0; t < p->asked; t++) {
        const uint8_t *tile = (const uint8_t *)p->next[t];
        if (at >= fields)
            tile += p->next_slid[t];
        if (at + ASK <= stop) {
            _Pragma("GCC unroll 8") for (size_t i = 0; i < ASK; i += PGD_LINE)
                __builtin_prefetch(tile + at + i, 1);
        } else {
            for (size_t i = at; i < stop; i += PGD_LINE)
                __builtin_prefetch(tile + i, 1);
        }
    }
    return at + ASK < stop ? at + ASK : stop;
}

static void push(const struct pgk_push *p)
{
    static void (*const run[PGK_INDICATORS])(const struct pgk_push *, const struct pgk_op *, uint32_t) = {
#define PGK_INDICATOR(id, ...) [PGK_##id] = push_##id,
#include "indicators.def"
    };
    const struct pgk_layout *layout = p->layout;
    const struct pgk_plan *plan = layout->plan;
    const size_t fields = offsetof(struct pgk_tile, data) + layout->first * sizeof(double);
    const size_t end = fields + layout->lines * PGD_LINE;
    size_t at = offsetof(struct pgk_tile, from);
    for (uint32_t i = 0; i < layout->bands; i++, at = push_ask(p, at, fields, end))
        push_band_first(p, i);
    for (uint32_t i = 0; i < layout->bands; i++)
        push_band_second(p, i);
    for (uint32_t i = 0; i < plan->ops; i++, at = push_ask(p, at, fields, end))
        run[plan->op[i].id](p, &plan->op[i], layout->band_of[i]);
    while (at < end)
        at = push_ask(p, at, fields, end);
    push_shift(p);
    push_store(p);
}

#endif
