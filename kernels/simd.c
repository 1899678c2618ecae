/* Compiled for each instruction set with PGK_ISA (its name) and PGK_LANES (doubles in a vector). */
#define PGK_STRIDE (8 / PGK_LANES)
#define PGK_BANDS
#include <stddef.h>

#include "simd.h"
#include "simd_words.h"

#include "step/atr.h"
#include "step/bb.h"
#include "step/ema.h"
#include "step/macd.h"
#include "step/mfi.h"
#include "step/obv.h"
#include "step/rsi.h"
#include "step/seal.h"
#include "step/sma.h"
#include "step/stddev.h"
#include "step/stoch.h"
#include "step/vwap.h"
#include "step/wma.h"

/* --------------------------------------------------------------------------------------------------- load */

enum { T, O, H, LO, C, V, VW, META, LINE_WORDS };

#define INLINE static inline __attribute__((always_inline))

/* Words of the bars of one row and group, as vectors. */
INLINE void load_lines(const uint8_t *const *bar, size_t at, pgk_real *ret)
{
    for (uint32_t k = 0; k < LINE_WORDS / L; k++) {
        pgk_real *block = ret + k * L;
        for (uint32_t i = 0; i < L; i++)
            block[i] = load_words(bar[i] + at + (size_t)k * L * sizeof(double));
        transpose(block);
    }
}

static inline void place(struct pgk_rows *b, uint32_t r, uint32_t group, pgk_int t)
{
    struct pgk_tile *tile = b->tile;
    pgk_mask outside =
        pgk_lt_int(t, *vector_int(tile->from, group)) | pgk_ge_int(t, *vector_int(tile->until, group));
    if (pgk_any(outside)) {
        for (uint32_t i = 0; i < L; i++)
            if ((t[i] < tile->from[group * L + i] || t[i] >= tile->until[group * L + i]) &&
                (int64_t)r >= b->first[group * L + i])
                pgk_tile_session(tile, group * L + i, t[i], b->utc[group * L + i]);
    }
    *vector_int(b->session[0][r], group) = *vector_int(tile->key[0], group);
    *vector_int(b->session[1][r], group) = *vector_int(tile->key[1], group);
}

/* Where the bars of each lane begin stays in registers. */
#define LANES_UNROLLED _Pragma("GCC unroll 8")

/* Meta words before the copy of a row. Returns all of them or'ed. */
INLINE uint64_t load_revisions(const uint8_t *const *bar, size_t at, int64_t *ret)
{
    uint64_t any = 0;
    LANES_UNROLLED
    for (uint32_t i = 0; i < L; i++) {
        uint64_t meta = shm_load64_acquire(bar[i] + at + PGD_BAR_META);
        any |= meta;
        ret[i] = (int64_t)meta;
    }
    return any;
}

/* And after it. */
INLINE bool same_revisions(const struct pgk_rows *b, bool straight)
{
    const uint8_t *bar[PGK_TILE];
    const int64_t *rev = b->out->rev[0];
    const uint32_t rows = b->rows;
    const size_t stride = b->bar_stride;
    uint64_t differ = 0;
    for (uint32_t l = 0; l < PGK_TILE; l++)
        bar[l] = b->bar[0][l] + PGD_BAR_META;
    for (uint32_t r = 0; r < rows; r++, rev += PGK_TILE)
        LANES_UNROLLED
    for (uint32_t l = 0; l < PGK_TILE; l++)
        differ |= (uint64_t)rev[l] ^ shm_load64(straight ? bar[l] + r * stride : b->bar[r][l] + PGD_BAR_META);
    return (uint16_t)differ == 0;
}

/* Asks for the same rows of the next block: not for so many at a time that the processor waits for them. */
INLINE void ask_bars(const uint8_t *const *bar, size_t at)
{
    LANES_UNROLLED
    for (uint32_t i = 0; i < L; i++)
        __builtin_prefetch(bar[i] + at);
}

/* False when a revision is odd. */
INLINE bool load_rows(struct pgk_rows *b, uint32_t g, bool straight)
{
    double *field[PGK_BAR_FIELDS];
    const uint8_t *bar[L];
    const uint32_t rows = b->rows;
    const size_t stride = straight ? b->bar_stride : 0;
    const bool sessions = b->layout->plan->sessions, ask = straight && !b->asked;
    int64_t *rev = b->out->rev[0] + (size_t)g * L;
    uint64_t any = 0;
    for (uint32_t f = 0; f < PGK_BAR_FIELDS; f++)
        field[f] = pgk_tile_now(b->layout, b->tile, f);
    for (uint32_t i = 0; i < L; i++)
        bar[i] = b->bar[0][g * L + i];
    for (uint32_t r = 0; r < rows; r++, rev += PGK_TILE) {
        const size_t to = (size_t)r * PGK_TILE;
        pgk_real word[LINE_WORDS];
        for (uint32_t i = 0; !straight && i < L; i++)
            bar[i] = b->bar[r][g * L + i];
        any |= load_revisions(bar, r * stride, rev);
        load_lines(bar, r * stride, word);
        if (ask)
            ask_bars(bar, (r + rows) * stride);
        *vector(field[PGK_H] + to, g) = word[H];
        *vector(field[PGK_L] + to, g) = word[LO];
        *vector(field[PGK_C] + to, g) = word[C];
        *vector(field[PGK_V] + to, g) = word[V];
        *vector(field[PGK_P] + to, g) = pgk_volume_price(word[H], word[LO], word[C], word[VW]);
        if (sessions)
            place(b, r, g, (pgk_int)word[T]);
    }
    return (any & 1) == 0;
}

INLINE bool load_as(struct pgk_rows *b, bool straight)
{
    bool even = true;
    for (uint32_t g = 0; g < GROUPS; g++)
        even &= load_rows(b, g, straight);
    shm_fence_acquire();
    return even && same_revisions(b, straight);
}

static bool load(struct pgk_rows *b)
{
    return b->straight ? load_as(b, true) : load_as(b, false);
}

/* --------------------------------------------------------------------------------------------------- step */

static inline pgk_real published(pgk_real x)
{
    return pgk_sel(pgk_eq(x - x, pgk_splat(0.0)), x, pgk_splat(PGK_NAN));
}

/* Which lanes row r is one of. */
static inline pgk_mask active(const struct pgk_rows *b, uint32_t r, uint32_t group)
{
    return pgk_le_int(*vector_int((int64_t *)(uintptr_t)b->first, group), pgk_splat_int(r));
}

static inline void next_row(struct pgk_row *row)
{
    row->h += PGK_STRIDE;
    row->l += PGK_STRIDE;
    row->c += PGK_STRIDE;
    row->v += PGK_STRIDE;
    row->p += PGK_STRIDE;
    row->derived[0] += PGK_STRIDE;
    row->derived[1] += PGK_STRIDE;
    row->band[0] += PGK_STRIDE;
    row->band[1] += PGK_STRIDE;
    row->held += 1.0;
    row->age += 1.0;
}

static inline double *band_at(const struct pgk_rows *b, uint32_t band)
{
    return b->bands + (size_t)band * 2 * PGK_ROWS * PGK_TILE;
}

/* Its sessions are those of each row. Nothing is set that need not be: that costs as much as some rows. */
INLINE void first_row(struct pgk_row *ret, const struct pgk_rows *b, const struct pgk_op *op, uint32_t band,
                      uint32_t group, bool steady)
{
    struct pgk_tile *tile = b->tile;
    const struct pgk_layout *layout = b->layout;
    double *bands = band_at(b, band);
    ret->h = vector(pgk_tile_now(layout, tile, PGK_H), group);
    ret->l = vector(pgk_tile_now(layout, tile, PGK_L), group);
    ret->c = vector(pgk_tile_now(layout, tile, PGK_C), group);
    ret->v = vector(pgk_tile_now(layout, tile, PGK_V), group);
    ret->p = vector(pgk_tile_now(layout, tile, PGK_P), group);
    ret->derived[0] = vector(pgk_tile_now(layout, tile, op->derived), group);
    ret->derived[1] = vector(pgk_tile_now(layout, tile, op->derived + 1), group);
    ret->band[0] = vector(bands, group);
    ret->band[1] = vector(bands + (size_t)PGK_ROWS * PGK_TILE, group);
    ret->held = *vector((double *)(uintptr_t)b->held, group);
    ret->age = *vector((double *)(uintptr_t)b->age, group);
    ret->steady = steady;
}

/* Rows of a band side by side: their sums do not wait for one another. */
#define ABREAST 4u

INLINE pgk_window window_at(const struct pgk_rows *b, uint32_t field, uint32_t r, uint32_t group)
{
    return vector(pgk_tile_now(b->layout, b->tile, field) + (size_t)r * PGK_TILE, group);
}

INLINE void put_rows(double *to, uint32_t group, uint32_t rows, const pgk_real *from)
{
    for (uint32_t k = 0; k < rows; k++)
        *vector(to + (size_t)k * PGK_TILE, group) = from[k];
}

INLINE void mean_rows(const struct pgk_rows *b, uint32_t n, uint32_t group, uint32_t r, uint32_t rows,
                      double *to)
{
    pgk_real mean[ABREAST];
    pgk_means(window_at(b, PGK_C, r, group), n, (int32_t)rows, mean);
    put_rows(to, group, rows, mean);
}

INLINE void sigma_rows(const struct pgk_rows *b, uint32_t n, uint32_t group, uint32_t r, uint32_t rows,
                       double *to)
{
    pgk_real mean[ABREAST], sigma[ABREAST];
    for (uint32_t k = 0; k < rows; k++)
        mean[k] = *vector(to + (size_t)k * PGK_TILE, group);
    pgk_sigmas(window_at(b, PGK_C, r, group), n, (int32_t)rows, mean, sigma);
    put_rows(to + (size_t)PGK_ROWS * PGK_TILE, group, rows, sigma);
}

INLINE void range_rows(const struct pgk_rows *b, uint32_t n, uint32_t group, uint32_t r, uint32_t rows,
                       double *to)
{
    pgk_window h = window_at(b, PGK_H, r, group), l = window_at(b, PGK_L, r, group);
    pgk_real high[ABREAST], low[ABREAST];
    if (rows > 1 && n >= rows)
        pgk_ranges_abreast(h, l, n, (int32_t)rows, high, low);
    else
        pgk_ranges(h, l, n, (int32_t)rows, high, low);
    put_rows(to, group, rows, high);
    put_rows(to + (size_t)PGK_ROWS * PGK_TILE, group, rows, low);
}

typedef void rows_fn(const struct pgk_rows *b, uint32_t n, uint32_t group, uint32_t r, uint32_t rows,
                     double *to);

INLINE void each_rows(const struct pgk_rows *b, uint32_t i, rows_fn *some)
{
    const uint32_t n = b->layout->band[i].n, rows = b->rows;
    for (uint32_t g = 0; g < GROUPS; g++) {
        double *to = band_at(b, i);
        uint32_t r = 0;
        for (; r + ABREAST <= rows; r += ABREAST, to += (size_t)ABREAST * PGK_TILE)
            some(b, n, g, r, ABREAST, to);
        for (; r < rows; r++, to += PGK_TILE)
            some(b, n, g, r, 1, to);
    }
}

/* All means before what waits for them. */
static void run_band(const struct pgk_rows *b, uint32_t i)
{
    const enum pgk_band_kind kind = b->layout->band[i].kind;
    if (kind == PGK_BAND_RANGE)
        each_rows(b, i, range_rows);
    else
        each_rows(b, i, mean_rows);
    if (kind == PGK_BAND_SIGMA)
        each_rows(b, i, sigma_rows);
}

/* Where an output goes in a row's values. */
static inline uint32_t slot_of(const struct pgk_units *u, int32_t column)
{
    return (uint32_t)column == u->columns ? u->words : (uint32_t)column + 1;
}

static inline double *slot_at(const struct pgk_units *u, uint32_t r, uint32_t slot)
{
    return u->values + ((size_t)r * (u->words + 1) + slot) * PGK_TILE;
}

typedef void step_fn(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, pgk_real *out);

/* An op on its way through the rows of one group of lanes. What it has of outputs and words is a constant to
 * whoever calls these. */
struct run {
    union pgk_word s[PGK_WORDS_MAX];
    double *to[PGK_OUTPUTS];
};

INLINE struct run begin(const struct pgk_rows *b, const struct pgk_op *op, uint32_t group, uint32_t outputs,
                        uint32_t words)
{
    struct run ret;
    for (uint32_t j = 0; j < outputs; j++)
        ret.to[j] = slot_at(b->out, 0, slot_of(b->out, op->column[j]));
    for (uint32_t w = 0; w < words; w++)
        ret.s[w].f = *vector(pgk_tile_word(b->tile, op->word + w), group);
    return ret;
}

INLINE void put_outputs(struct run *run, const struct pgk_rows *b, uint32_t group, const pgk_real *out,
                        uint32_t outputs)
{
    const size_t row_words = (size_t)(b->out->words + 1) * PGK_TILE;
    for (uint32_t j = 0; j < outputs; j++, run->to[j - 1] += row_words)
        *vector(run->to[j], group) = published(out[j]);
}

INLINE void end(const struct run *run, const struct pgk_rows *b, const struct pgk_op *op, uint32_t group,
                uint32_t words)
{
    for (uint32_t w = 0; w < words; w++)
        *vector(pgk_tile_word(b->tile, op->word + w), group) = run->s[w].f;
}

/* One op over the rows of one group of lanes; all but the first four arguments are constants. */
INLINE void run_op(const struct pgk_rows *b, const struct pgk_op *op, uint32_t band, uint32_t group,
                   step_fn *step, uint32_t outputs, uint32_t words, bool steady, bool whole)
{
    struct pgk_row row;
    struct run run = begin(b, op, group, outputs, words);
    const int64_t *session = b->session[0][0];
    const uint32_t rows = b->rows;
    first_row(&row, b, op, band, group, steady);
    for (uint32_t r = 0; r < rows; r++, next_row(&row), session += PGK_TILE) {
        union pgk_word old[PGK_WORDS_MAX];
        pgk_real out[PGK_OUTPUTS];
        for (uint32_t w = 0; w < words; w++)
            old[w] = run.s[w];
        row.session[0] = *vector_int((int64_t *)(uintptr_t)session, group);
        row.session[1] = *vector_int((int64_t *)(uintptr_t)(session + PGK_ROWS * PGK_TILE), group);
        step(op, run.s, &row, out);
        for (uint32_t w = 0; !whole && w < words; w++)
            run.s[w].f = pgk_sel(active(b, r, group), run.s[w].f, old[w].f);
        put_outputs(&run, b, group, out, outputs);
    }
    end(&run, b, op, group, words);
}

#define OUTPUTS(...) (sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *))
/* The usual periods are constants too, so that their loops are unrolled. */
#define WITH_PERIODS(a, b_, c, step, outputs, words)                                                         \
    do {                                                                                                     \
        struct pgk_op fixed = *op;                                                                           \
        fixed.n[0] = (a), fixed.n[1] = (b_), fixed.n[2] = (c);                                               \
        run_op(b, &fixed, band, g, step, outputs, words, true, true);                                        \
    } while (0)
#define PGK_INDICATOR(id, stem, step, given, bare, defaults, columns, unit, window, words, ...)              \
    static void run_##id(const struct pgk_rows *b, const struct pgk_op *op, uint32_t band)                   \
    {                                                                                                        \
        for (uint32_t g = 0; g < GROUPS; g++) {                                                              \
            if (b->steady && b->whole && (words) == 0 && op->n[0] == 20)                                     \
                WITH_PERIODS(20, op->n[1], op->n[2], pgk_##step##_step, OUTPUTS columns, words);             \
            else if (b->steady && b->whole && (words) == 0 && op->n[0] == 14 && op->n[1] == 3 &&             \
                     op->n[2] == 3)                                                                          \
                WITH_PERIODS(14, 3, 3, pgk_##step##_step, OUTPUTS columns, words);                           \
            else if (b->steady && b->whole)                                                                  \
                run_op(b, op, band, g, pgk_##step##_step, OUTPUTS columns, words, true, true);               \
            else if (b->steady)                                                                              \
                run_op(b, op, band, g, pgk_##step##_step, OUTPUTS columns, words, true, false);              \
            else                                                                                             \
                run_op(b, op, band, g, pgk_##step##_step, OUTPUTS columns, words, false, false);             \
        }                                                                                                    \
    }
#include "indicators.def"

#include "simd_team.h"

/* -------------------------------------------------------------------------------------------------- store */

INLINE uint8_t *unit_at(const struct pgk_units *u, uint32_t r, uint32_t l, bool straight)
{
    return straight ? u->unit[0][l] + r * u->stride : u->unit[r][l];
}

/* Tags of the units of a row, as words. */
static inline pgk_int tags(const struct pgk_units *u, uint32_t r, uint32_t group)
{
    pgk_int index = *vector_int((int64_t *)(uintptr_t)u->index, group) + (int64_t)r;
    pgk_int rev = *vector_int((int64_t *)(uintptr_t)u->rev[r], group) & 0xffff;
    return (pgk_int)((pgk_uint)index << 32) | (rev << 16) | (int64_t)u->gen;
}

#define BUSY INT64_C(0x10000) /* the odd bit of a tag's revision */

static inline void store_tags(const struct pgk_units *u, const int64_t (*tag)[PGK_TILE], int64_t busy)
{
    for (uint32_t r = 0; r < u->rows; r++)
        for (uint32_t l = 0; l < PGK_TILE; l++)
            shm_store64(unit_at(u, r, l, u->straight), (uint64_t)(tag[r][l] | busy));
}

/* One row, whole lines of it, so that none is left half written past the caches. Everything is passed as a
 * value: the compiler must take every store for one that may change what a pointer leads to. */
INLINE void store_lines(const double *value, uint32_t words, pgk_int tag, uint8_t *const *to, size_t at,
                        bool past)
{
    for (uint32_t first = 0; first < words; first += L) {
        pgk_real word[L];
        word[0] =
            first == 0 ? (pgk_real)tag : *(const pgk_real *)(const void *)(value + (size_t)first * PGK_TILE);
        for (uint32_t i = 1; i < L; i++)
            word[i] = *(const pgk_real *)(const void *)(value + (size_t)(first + i) * PGK_TILE);
        transpose(word);
        for (uint32_t i = 0; i < L; i++) {
            if (past)
                stream_words(to[i] + at + (size_t)first * sizeof(double), word[i]);
            else
                store_words(to[i] + at + (size_t)first * sizeof(double), word[i]);
        }
    }
}

INLINE void store_row(const struct pgk_units *u, uint32_t r, int64_t busy, bool straight, bool past)
{
    const double *value = slot_at(u, r, 0);
    const uint32_t words = u->words;
    const size_t at = straight ? r * u->stride : 0;
    for (uint32_t g = 0; g < GROUPS; g++) {
        uint8_t *to[L];
        for (uint32_t i = 0; i < L; i++)
            to[i] = u->unit[straight ? 0 : r][g * L + i];
        store_lines(value + g * L, words, tags(u, r, g) | busy, to, at, past);
    }
}

INLINE void store_rows(const struct pgk_units *u, int64_t busy, bool straight, bool past)
{
    const uint32_t rows = u->rows;
    for (uint32_t r = 0; r < rows; r++)
        store_row(u, r, busy, straight, past);
}

/* Nobody looks at them before the series' `computed` says so: no order, no mark. But these lines may be those
 * of a row that has left the ring, which a reader is still copying: who sees one of these words must then see
 * the head that put the new row there. */
static void store_fresh(const struct pgk_units *u)
{
    shm_fence_release();
    if (u->straight && u->past)
        store_rows(u, 0, true, true);
    else if (u->straight)
        store_rows(u, 0, true, false);
    else if (u->past)
        store_rows(u, 0, false, true);
    else
        store_rows(u, 0, false, false);
}

/* Two fences a block, not two a row: what they cost on Arm is shared by all its units. */
static void store_again(const struct pgk_units *u)
{
    _Alignas(64) int64_t tag[PGK_ROWS][PGK_TILE];
    for (uint32_t r = 0; r < u->rows; r++)
        for (uint32_t g = 0; g < GROUPS; g++)
            *vector_int(tag[r], g) = tags(u, r, g);
    store_tags(u, (const int64_t(*)[PGK_TILE])tag, BUSY);
    shm_fence_release();
    store_rows(u, BUSY, u->straight, false);
    shm_fence_release();
    store_tags(u, (const int64_t(*)[PGK_TILE])tag, 0);
}

static void store(const struct pgk_units *u)
{
    if (u->fresh)
        store_fresh(u);
    else
        store_again(u);
}

#include "simd_push.h"

/* ------------------------------------------------------------------------------------------------ together
 */

/* Asks for the lines of row r of the units, and of the bars that come next unless that has been done. */
static inline void prefetch_row(const struct pgk_rows *b, uint32_t r)
{
    size_t bytes = (b->layout->plan->columns + 1) * sizeof(double);
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        for (size_t at = 0; !b->out->past && at < bytes; at += PGD_LINE)
            __builtin_prefetch(unit_at(b->out, r, l, b->straight) + at, 1);
        if (!b->straight && b->next[l] != NULL)
            __builtin_prefetch(b->next[l] + r * b->bar_stride);
    }
}

static void take_turn(const struct pgk_rows *b, const struct pgk_turn *turn)
{
    static void (*const run[PGK_INDICATORS])(const struct pgk_rows *, const struct pgk_op *, uint32_t) = {
#define PGK_INDICATOR(id, ...) [PGK_##id] = run_##id,
#include "indicators.def"
    };
    const struct pgk_op *op = b->layout->plan->op;
    if (turn->ops > 1 && b->steady && b->whole) {
        run_team(b, turn);
        return;
    }
    for (uint32_t i = 0; i < turn->ops; i++)
        run[op[turn->op[i]].id](b, &op[turn->op[i]], b->layout->band_of[turn->op[i]]);
}

static void step(struct pgk_rows *b)
{
    const struct pgk_layout *layout = b->layout;
    const bool ask = !b->asked && !(b->straight && b->out->past);
    uint32_t asked = 0;
    for (uint32_t i = 0; i < layout->bands; i++)
        run_band(b, i);
    for (uint32_t i = 0; i < layout->turns; i++) {
        take_turn(b, &layout->turn[i]);
        for (; ask && asked * layout->turns < b->rows * (i + 1); asked++)
            prefetch_row(b, asked);
    }
}

/* -------------------------------------------------------------------------------------------------- state */

/* Words of the checkpoints of a group, L from `first` on: the seal, the origin, the state, then nothing. */
static inline void gather_state(const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t group,
                                pgk_int seal, uint32_t first, pgk_real *ret)
{
    for (uint32_t i = 0; i < L; i++) {
        uint32_t word = first + i, end = PGK_STATE_HEAD + layout->plan->words;
        if (word == 0)
            ret[i] = (pgk_real)seal;
        else if (word == 1)
            ret[i] = (pgk_real)*vector_int((int64_t *)(void *)tile->origin, group);
        else
            ret[i] = word < end ? *vector(pgk_tile_word(tile, word - PGK_STATE_HEAD), group) : pgk_splat(0.0);
    }
}

static void save(const struct pgk_layout *layout, struct pgk_tile *tile, uint64_t *const *slot)
{
    uint32_t words = (PGK_STATE_HEAD + layout->plan->words + L - 1) / L * L;
    for (uint32_t g = 0; g < GROUPS; g++) {
        pgk_uint seal = pgk_seal_begin((pgk_uint)*vector_int((int64_t *)(void *)tile->row, g),
                                       (pgk_uint)*vector_int((int64_t *)(void *)tile->origin, g));
        for (uint32_t w = 0; w < layout->plan->words; w++)
            seal = pgk_seal_mix(seal, (pgk_uint)*vector(pgk_tile_word(tile, w), g));
        for (uint32_t first = 0; first < words; first += L) {
            pgk_real word[L];
            gather_state(layout, tile, g, (pgk_int)pgk_seal_end(seal), first, word);
            transpose(word);
            for (uint32_t i = 0; i < L; i++)
                store_words((uint8_t *)(slot[g * L + i] + first), word[i]);
        }
    }
}

#define NAME2(isa) pgk_simd_##isa
#define NAME(isa)  NAME2(isa)
#define TEXT2(isa) #isa
#define TEXT(isa)  TEXT2(isa)
extern const struct pgk_simd NAME(PGK_ISA);
const struct pgk_simd NAME(PGK_ISA) = {TEXT(PGK_ISA), load, step, store, push_load, push, save, drain};
