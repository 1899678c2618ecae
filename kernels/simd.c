/* Compiled for each instruction set with PGK_ISA (its name) and PGK_LANES (doubles in a vector). */
#define PGK_STRIDE (8 / PGK_LANES)
#include "simd.h"

#include "shm/atomic.h"
#include "step/atr.h"
#include "step/bb.h"
#include "step/ema.h"
#include "step/macd.h"
#include "step/mfi.h"
#include "step/obv.h"
#include "step/rsi.h"
#include "step/sma.h"
#include "step/stddev.h"
#include "step/stoch.h"
#include "step/vwap.h"
#include "step/wma.h"

#define L      PGK_LANES
#define GROUPS (PGK_TILE / L)

#if defined __SANITIZE_THREAD__
#define WATCHED 1
#elif defined __has_feature
#if __has_feature(thread_sanitizer)
#define WATCHED 1
#endif
#endif

/* Vectors as they lie in shared memory: 8-byte aligned. A vector is moved as whole 8-byte words on every
 * processor we know (x86 since AVX, Arm: a vector access is as many aligned 64-bit ones), which is all the
 * protocols ask of the payload; the thread sanitizer, which only believes atomics, gets those. */
typedef pgk_real shared_real __attribute__((aligned(8), may_alias));

static inline pgk_real load_words(const uint8_t *from)
{
#ifdef WATCHED
    union {
        pgk_real f;
        uint64_t u[L];
    } ret;
    shm_copy_out(ret.u, from, L);
    return ret.f;
#else
    return *(const shared_real *)(const void *)from;
#endif
}

static inline void store_words(uint8_t *to, pgk_real x)
{
#ifdef WATCHED
    shm_copy_in(to, &x, L);
#else
    *(shared_real *)(void *)to = x;
#endif
}

#define SHUFFLE __builtin_shufflevector
#if L == 2
static inline void transpose(pgk_real *r)
{
    pgk_real a = r[0], b = r[1];
    r[0] = SHUFFLE(a, b, 0, 2);
    r[1] = SHUFFLE(a, b, 1, 3);
}
#elif L == 4
static inline void transpose(pgk_real *r)
{
    pgk_real a = SHUFFLE(r[0], r[1], 0, 4, 2, 6), b = SHUFFLE(r[0], r[1], 1, 5, 3, 7);
    pgk_real c = SHUFFLE(r[2], r[3], 0, 4, 2, 6), d = SHUFFLE(r[2], r[3], 1, 5, 3, 7);
    r[0] = SHUFFLE(a, c, 0, 1, 4, 5);
    r[1] = SHUFFLE(b, d, 0, 1, 4, 5);
    r[2] = SHUFFLE(a, c, 2, 3, 6, 7);
    r[3] = SHUFFLE(b, d, 2, 3, 6, 7);
}
#else
#define EVEN(a, b) SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define ODD(a, b)  SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#define LOW2(a, b) SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIG2(a, b) SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define LOW4(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define HIG4(a, b) SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
static inline void transpose(pgk_real *r)
{
    pgk_real t0 = EVEN(r[0], r[1]), t1 = ODD(r[0], r[1]), t2 = EVEN(r[2], r[3]), t3 = ODD(r[2], r[3]);
    pgk_real t4 = EVEN(r[4], r[5]), t5 = ODD(r[4], r[5]), t6 = EVEN(r[6], r[7]), t7 = ODD(r[6], r[7]);
    pgk_real u0 = LOW2(t0, t2), u1 = LOW2(t1, t3), u2 = HIG2(t0, t2), u3 = HIG2(t1, t3);
    pgk_real u4 = LOW2(t4, t6), u5 = LOW2(t5, t7), u6 = HIG2(t4, t6), u7 = HIG2(t5, t7);
    r[0] = LOW4(u0, u4);
    r[1] = LOW4(u1, u5);
    r[2] = LOW4(u2, u6);
    r[3] = LOW4(u3, u7);
    r[4] = HIG4(u0, u4);
    r[5] = HIG4(u1, u5);
    r[6] = HIG4(u2, u6);
    r[7] = HIG4(u3, u7);
}
#endif

static inline pgk_real *vector(double *p, uint32_t group)
{
    return (pgk_real *)(void *)__builtin_assume_aligned(p, 64) + group;
}

static inline pgk_int *vector_int(int64_t *p, uint32_t group)
{
    return (pgk_int *)(void *)__builtin_assume_aligned(p, 64) + group;
}

/* --------------------------------------------------------------------------------------------------- load */

enum { T, O, H, LO, C, V, VW, META, LINE_WORDS };

/* Words of the bars of one row and group, as vectors. */
static inline void load_lines(const struct pgk_rows *b, uint32_t r, uint32_t group, pgk_real *ret)
{
    for (uint32_t k = 0; k < LINE_WORDS / L; k++) {
        pgk_real *block = ret + k * L;
        for (uint32_t i = 0; i < L; i++)
            block[i] = load_words(b->bar[r][group * L + i] + (size_t)k * L * sizeof(double));
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

/* Revisions before the copy; false when one is odd. */
static inline bool load_revisions(struct pgk_rows *b)
{
    uint64_t odd = 0;
    for (uint32_t r = 0; r < b->rows; r++) {
        for (uint32_t l = 0; l < PGK_TILE; l++) {
            uint64_t meta = shm_load64_acquire(b->bar[r][l] + PGD_BAR_META);
            b->rev[r][l] = (uint16_t)meta;
            odd |= meta;
        }
    }
    return (odd & 1) == 0;
}

/* And after it. */
static inline bool same_revisions(const struct pgk_rows *b)
{
    uint64_t differ = 0;
    for (uint32_t r = 0; r < b->rows; r++)
        for (uint32_t l = 0; l < PGK_TILE; l++)
            differ |= shm_load64(b->bar[r][l] + PGD_BAR_META) ^ (uint64_t)b->rev[r][l];
    return (uint16_t)differ == 0;
}

static bool load(struct pgk_rows *b)
{
    double *field[PGK_BAR_FIELDS];
    for (uint32_t f = 0; f < PGK_BAR_FIELDS; f++)
        field[f] = pgk_tile_now(b->layout, b->tile, f);
    if (!load_revisions(b))
        return false;
    for (uint32_t r = 0; r < b->rows; r++) {
        size_t at = (size_t)r * PGK_TILE;
        for (uint32_t g = 0; g < GROUPS; g++) {
            pgk_real word[LINE_WORDS];
            load_lines(b, r, g, word);
            *vector(field[PGK_H] + at, g) = word[H];
            *vector(field[PGK_L] + at, g) = word[LO];
            *vector(field[PGK_C] + at, g) = word[C];
            *vector(field[PGK_V] + at, g) = word[V];
            *vector(field[PGK_P] + at, g) = pgk_volume_price(word[H], word[LO], word[C], word[VW]);
            if (b->layout->plan->sessions)
                place(b, r, g, (pgk_int)word[T]);
        }
    }
    shm_fence_acquire();
    return same_revisions(b);
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
    row->held += 1.0;
    row->age += 1.0;
}

static inline struct pgk_row first_row(const struct pgk_rows *b, const struct pgk_op *op, uint32_t group)
{
    struct pgk_tile *tile = b->tile;
    const struct pgk_layout *layout = b->layout;
    return (struct pgk_row){.h = vector(pgk_tile_now(layout, tile, PGK_H), group),
                            .l = vector(pgk_tile_now(layout, tile, PGK_L), group),
                            .c = vector(pgk_tile_now(layout, tile, PGK_C), group),
                            .v = vector(pgk_tile_now(layout, tile, PGK_V), group),
                            .p = vector(pgk_tile_now(layout, tile, PGK_P), group),
                            .derived = {vector(pgk_tile_now(layout, tile, op->derived), group),
                                        vector(pgk_tile_now(layout, tile, op->derived + 1), group)},
                            .held = *vector((double *)(uintptr_t)b->held, group),
                            .age = *vector((double *)(uintptr_t)b->age, group)};
}

typedef void step_fn(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row, pgk_real *out);

/* One op over the rows of one group of lanes; all but the first three arguments are constants. */
static inline __attribute__((always_inline)) void run_op(const struct pgk_rows *b, const struct pgk_op *op,
                                                         uint32_t group, step_fn *step, uint32_t outputs,
                                                         uint32_t words, bool steady, bool whole)
{
    struct pgk_row row = first_row(b, op, group);
    union pgk_word s[PGK_WORDS_MAX];
    row.steady = steady;
    for (uint32_t w = 0; w < words; w++)
        s[w].f = *vector(pgk_tile_word(b->tile, op->word + w), group);
    for (uint32_t r = 0; r < b->rows; r++, next_row(&row)) {
        union pgk_word old[PGK_WORDS_MAX];
        pgk_real out[PGK_OUTPUTS];
        for (uint32_t w = 0; w < words; w++)
            old[w] = s[w];
        row.session[0] = *vector_int((int64_t *)(uintptr_t)b->session[0][r], group);
        row.session[1] = *vector_int((int64_t *)(uintptr_t)b->session[1][r], group);
        step(op, s, &row, out);
        for (uint32_t w = 0; !whole && w < words; w++)
            s[w].f = pgk_sel(active(b, r, group), s[w].f, old[w].f);
        for (uint32_t j = 0; j < outputs; j++)
            *vector(b->values + ((size_t)op->column[j] * PGK_ROWS + r) * PGK_TILE, group) = published(out[j]);
    }
    for (uint32_t w = 0; w < words; w++)
        *vector(pgk_tile_word(b->tile, op->word + w), group) = s[w].f;
}

#define OUTPUTS(...) (sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *))
/* The usual periods are constants too, so that their loops are unrolled. */
#define WITH_PERIODS(a, b_, c, step, outputs, words)                                                         \
    do {                                                                                                     \
        struct pgk_op fixed = *op;                                                                           \
        fixed.n[0] = (a), fixed.n[1] = (b_), fixed.n[2] = (c);                                               \
        run_op(b, &fixed, g, step, outputs, words, true, true);                                              \
    } while (0)
#define PGK_INDICATOR(id, stem, step, given, bare, defaults, columns, unit, window, words, ...)              \
    static void run_##id(const struct pgk_rows *b, const struct pgk_op *op)                                  \
    {                                                                                                        \
        for (uint32_t g = 0; g < GROUPS; g++) {                                                              \
            if (b->steady && b->whole && (words) == 0 && op->n[0] == 20)                                     \
                WITH_PERIODS(20, op->n[1], op->n[2], pgk_##step##_step, OUTPUTS columns, words);             \
            else if (b->steady && b->whole && (words) == 0 && op->n[0] == 14 && op->n[1] == 3 &&             \
                     op->n[2] == 3)                                                                          \
                WITH_PERIODS(14, 3, 3, pgk_##step##_step, OUTPUTS columns, words);                           \
            else if (b->steady && b->whole)                                                                  \
                run_op(b, op, g, pgk_##step##_step, OUTPUTS columns, words, true, true);                     \
            else if (b->steady)                                                                              \
                run_op(b, op, g, pgk_##step##_step, OUTPUTS columns, words, true, false);                    \
            else                                                                                             \
                run_op(b, op, g, pgk_##step##_step, OUTPUTS columns, words, false, false);                   \
        }                                                                                                    \
    }
#include "indicators.def"

/* Asks for the lines of row r of the units, and of the bars that come next. */
static inline void prefetch_row(const struct pgk_rows *b, uint32_t r, uint64_t bar_stride)
{
    size_t bytes = (b->layout->plan->columns + 1) * sizeof(double);
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        for (size_t at = 0; at < bytes; at += PGD_LINE)
            __builtin_prefetch(b->unit[r][l] + at, 1);
        if (b->next[l] != NULL)
            __builtin_prefetch(b->next[l] + r * bar_stride);
    }
}

static void step(struct pgk_rows *b)
{
    static void (*const run[PGK_INDICATORS])(const struct pgk_rows *, const struct pgk_op *) = {
#define PGK_INDICATOR(id, ...) [PGK_##id] = run_##id,
#include "indicators.def"
    };
    const struct pgk_plan *plan = b->layout->plan;
    uint32_t asked = 0;
    for (uint32_t i = 0; i < plan->ops; i++) {
        for (; asked * plan->ops < b->rows * (i + 1); asked++)
            prefetch_row(b, asked, PGD_LINE);
        run[plan->op[i].id](b, &plan->op[i]);
    }
}

/* -------------------------------------------------------------------------------------------------- store */

/* Tags of the units of a row, as words. */
static inline pgk_int tags(const struct pgk_rows *b, uint32_t r, uint32_t group)
{
    pgk_int index = *vector_int((int64_t *)(uintptr_t)b->index, group) + (int64_t)r;
    pgk_int rev = *vector_int((int64_t *)(uintptr_t)b->rev[r], group);
    return (pgk_int)((pgk_uint)index << 32) | (rev << 16) | (int64_t)b->gen;
}

#define BUSY INT64_C(0x10000) /* the odd bit of a tag's revision */

static inline void store_tags(const struct pgk_rows *b, const int64_t (*tag)[PGK_TILE], int64_t busy)
{
    for (uint32_t r = 0; r < b->rows; r++)
        for (uint32_t l = 0; l < PGK_TILE; l++)
            shm_store64(b->unit[r][l], (uint64_t)(tag[r][l] | busy));
}

/* Words of the units of one row and group, L from `first` on: the tag, then the columns, then nothing. */
static inline void gather(const struct pgk_rows *b, pgk_int tag, uint32_t r, uint32_t group, uint32_t first,
                          pgk_real *ret)
{
    uint32_t columns = b->layout->plan->columns;
    const double *column = b->values + (size_t)r * PGK_TILE;
    for (uint32_t i = 0; i < L; i++) {
        uint32_t word = first + i;
        if (word == 0)
            ret[i] = (pgk_real)(tag | BUSY);
        else
            ret[i] =
                word <= columns
                    ? *vector((double *)(uintptr_t)column + (size_t)(word - 1) * PGK_ROWS * PGK_TILE, group)
                    : pgk_splat(0.0);
    }
}

static inline void store_row(const struct pgk_rows *b, uint32_t r, uint32_t group)
{
    uint32_t words = b->layout->plan->columns + 1;
    pgk_int tag = tags(b, r, group);
    for (uint32_t first = 0; first < words; first += L) {
        pgk_real word[L];
        gather(b, tag, r, group, first, word);
        transpose(word);
        for (uint32_t i = 0; i < L; i++)
            store_words(b->unit[r][group * L + i] + (size_t)first * sizeof(double), word[i]);
    }
}

/* Two fences a block, not two a row: what they cost on Arm is shared by all its units. */
static void store(const struct pgk_rows *b)
{
    _Alignas(64) int64_t tag[PGK_ROWS][PGK_TILE];
    for (uint32_t r = 0; r < b->rows; r++)
        for (uint32_t g = 0; g < GROUPS; g++)
            *vector_int(tag[r], g) = tags(b, r, g);
    store_tags(b, (const int64_t(*)[PGK_TILE])tag, BUSY);
    shm_fence_release();
    for (uint32_t r = 0; r < b->rows; r++)
        for (uint32_t g = 0; g < GROUPS; g++)
            store_row(b, r, g);
    shm_fence_release();
    store_tags(b, (const int64_t(*)[PGK_TILE])tag, 0);
}

#define NAME2(isa) pgk_simd_##isa
#define NAME(isa)  NAME2(isa)
#define TEXT2(isa) #isa
#define TEXT(isa)  TEXT2(isa)
extern const struct pgk_simd NAME(PGK_ISA);
const struct pgk_simd NAME(PGK_ISA) = {TEXT(PGK_ISA), load, step, store};
