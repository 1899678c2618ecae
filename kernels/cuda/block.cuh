/* cuda/block.cuh - some rows of up to 32 series, read, stepped and written by one block of threads.
 *
 * A thread is a lane (a series) while lanes are looked at one by one, an 8-byte word while bar lines and
 * units move (so that neighbouring threads touch neighbouring words, and a unit leaves as whole lines), and a
 * lane of an op while ops are stepped: each warp has ops of its own, so that the longest op, not their sum,
 * is what a row takes. */
#ifndef CUDA_BLOCK_CUH
#define CUDA_BLOCK_CUH

#include "cuda/device.cuh"
#define PGK_RINGS 1
#include "cuda/world.h"
#include "polygond/abi.h"
#include "step/atr.h"
#include "step/bb.h"
#include "step/ema.h"
#include "step/macd.h"
#include "step/mfi.h"
#include "step/obv.h"
#include "step/rsi.h"
#include "step/seal.h"
#include "step/session.h"
#include "step/sma.h"
#include "step/stddev.h"
#include "step/stoch.h"
#include "step/vwap.h"
#include "step/wma.h"

/* In the order of plan.h. */
enum pgk_indicator {
#define PGK_INDICATOR(id, ...) PGK_##id,
#include "indicators.def"
    PGK_INDICATORS
};
enum pgk_field { PGK_H, PGK_L, PGK_C, PGK_V, PGK_P, PGK_BAR_FIELDS };

/* What a plan says of itself: constants in a kernel made for it. */
#ifdef PGK_FUSED_PLAN
struct pgk_fused_plan {
    uint32_t ops, columns, words, fields, window, sessions, unit_words, state_words;
};
static constexpr struct pgk_fused_plan pgk_fused = PGK_FUSED_PLAN;
#define PGK_OF(plan, what) ((void)(plan), pgk_fused.what)
#else
#define PGK_OF(plan, what) ((plan)->what)
#endif

#define PGK_GPU_ROWS   8u
#define PGK_GPU_PAD    (PGK_GPU_LANES + 1) /* lanes lie apart so that 16 words of one do not share a bank */
#define PGK_LINE_WORDS 8u
#define PGK_GPU_LINE   (PGK_LINE_WORDS * PGK_GPU_PAD) /* a row of all lanes */
#define PGK_BAR_TRIES  16

/* Of a careful block's rows: what is there is not of the bar; a unit is written, since what is there, if
 * anything, is not what it would be. */
#define PGK_UNIT_STALE 1u
#define PGK_UNIT_WRITE 2u

struct pgk_block {
    uint32_t threads;
    uint32_t rows;    /* room: rows a lane can have at a time, at most PGK_GPU_ROWS */
    uint32_t gen;     /* of the units written */
    uint32_t careful; /* some lane rewrites units that readers may be looking at */
    double *lines;    /* [rows][PGK_LINE_WORDS][PGK_GPU_PAD]: those at hand */
    double *outs;     /* [rows][unit_words][PGK_GPU_PAD] */
    uint64_t state[PGK_GPU_LANES];
    uint64_t bar[PGK_GPU_LANES];  /* of the series' slot 0 */
    uint64_t unit[PGK_GPU_LANES]; /* likewise */
    uint64_t head[PGK_GPU_LANES];
    uint64_t row[PGK_GPU_LANES];
    uint64_t slot[PGK_GPU_LANES]; /* of `row` */
    uint64_t write_from[PGK_GPU_LANES];
    uint64_t computed[PGK_GPU_LANES];
    uint64_t changed[PGK_GPU_LANES];
    uint64_t seal[PGK_GPU_LANES];
    uint64_t word[PGK_GPU_WORDS][PGK_GPU_LANES]; /* the first of the states' words, while they are at hand */
    uint32_t rows_of[PGK_GPU_LANES];             /* in: rows wanted; out: rows that were had */
    uint32_t watch[PGK_GPU_LANES];               /* look whether rows have left while they were read */
    uint32_t step[PGK_GPU_LANES];                /* 0: only the past is being put in place */
    uint32_t derive[PGK_GPU_LANES];              /* step what ops derive over the past first */
    uint32_t outcome[PGK_GPU_LANES];
    int32_t key[2][PGK_GPU_ROWS][PGK_GPU_LANES];
    uint32_t rev[PGK_GPU_ROWS][PGK_GPU_LANES];
    uint32_t unit_of[PGK_GPU_ROWS][PGK_GPU_LANES]; /* what becomes of it: above */
};

PGK_DEV uint64_t pgk_double_bits(double x)
{
    union {
        double f;
        uint64_t u;
    } ret;
    ret.f = x;
    return ret.u;
}

PGK_DEV double pgk_bits_double(uint64_t x)
{
    union {
        double f;
        uint64_t u;
    } ret;
    ret.u = x;
    return ret.f;
}

PGK_DEV double *pgk_line_word(const struct pgk_block *b, uint32_t r, uint32_t word, uint32_t lane)
{
    return b->lines + ((size_t)r * PGK_LINE_WORDS + word) * PGK_GPU_PAD + lane;
}

PGK_DEV double *pgk_out_word(const struct pgk_block *b, const struct pgk_gpu_plan *plan, uint32_t r,
                             uint32_t word, uint32_t lane)
{
    return b->outs + ((size_t)r * PGK_OF(plan, unit_words) + word) * PGK_GPU_PAD + lane;
}

PGK_DEV uint64_t *pgk_state_word(const struct pgk_block *b, uint32_t lane, uint32_t word)
{
    return (uint64_t *)(uintptr_t)b->state[lane] + (size_t)word * PGK_GPU_LANES;
}

PGK_DEV uint64_t pgk_slot_at(const struct pgk_block *b, const struct pgk_gpu_segment *seg, uint32_t lane,
                             uint32_t r)
{
    uint64_t slot = b->slot[lane] + r;
    return slot < seg->capacity ? slot : slot - seg->capacity;
}

/* --------------------------------------------------------------------------------------------------- read */

/* Asks for bar lines, a word a thread: count[lane] rows from `skip` rows behind the lane's on. They come
 * while other work is done: reads and writes cross the bus at the same time. */
PGK_DEV void pgk_ask_lines(struct pgk_block *b, const struct pgk_gpu_segment *seg, double *lines,
                           const uint32_t *count, const uint32_t *skip)
{
    PGK_EACH(b, t)
    for (uint32_t i = t; i < PGK_GPU_LANES * b->rows * PGK_LINE_WORDS; i += b->threads) {
        uint32_t word = i % PGK_LINE_WORDS, r = i / PGK_LINE_WORDS % b->rows,
                 lane = i / PGK_LINE_WORDS / b->rows;
        if (r < count[lane])
            pgk_async_load(lines + ((size_t)r * PGK_LINE_WORDS + word) * PGK_GPU_PAD + lane,
                           b->bar[lane] + pgk_slot_at(b, seg, lane, skip[lane] + r) * seg->bar_stride +
                               word * 8);
    }
    pgk_async_end();
    PGK_MEET
}

/* A line is read in pieces: sectors of 32 bytes, in any order, each whole. The piece with the revision also
 * has c, v and vw. At revision 2, that of an append, the rest can only be of that revision or of a later one:
 * the host appended before it told us; if it is later, so is the bar's revision by then, and the unit, which
 * says 2, does not count. Any other revision may have come between the pieces: such a line is read again, the
 * rest after the revision. */
PGK_DEV bool pgk_reread_line(struct pgk_block *b, const struct pgk_gpu_segment *seg, uint32_t lane,
                             uint32_t r)
{
    uint64_t line = b->bar[lane] + pgk_slot_at(b, seg, lane, r) * seg->bar_stride;
    for (int i = 0; i < PGK_BAR_TRIES; i++) {
        uint64_t meta = pgk_sys_load_acquire(line + PGD_BAR_META);
        for (uint32_t word = 0; word < PGK_LINE_WORDS - 1; word++)
            *pgk_line_word(b, r, word, lane) = pgk_bits_double(pgk_sys_load(line + word * 8));
        pgk_sys_fence();
        if ((meta & 1) == 0 && pgk_sys_load(line + PGD_BAR_META) == meta) {
            b->rev[r][lane] = (uint32_t)(meta & 0xffff);
            return true;
        }
    }
    return false;
}

/* Which of a lane's rows are whole; whether they were still held when they were read. */
PGK_DEV void pgk_check_lane(struct pgk_block *b, const struct pgk_gpu_segment *seg, uint32_t lane)
{
    for (uint32_t r = 0; r < b->rows_of[lane]; r++) {
        uint32_t rev = (uint32_t)(pgk_double_bits(*pgk_line_word(b, r, PGK_LINE_WORDS - 1, lane)) & 0xffff);
        b->rev[r][lane] = rev;
        if (rev != 2 && !pgk_reread_line(b, seg, lane, r)) {
            b->outcome[lane] = PGK_GPU_BUSY;
            b->rows_of[lane] = r;
        }
    }
    if (b->head[lane] == 0 || !b->watch[lane])
        return;
    /* the lines are here before the head is asked for: a GPU does not load ahead of a barrier */
    if (pgk_sys_load(b->head[lane]) + 1 > b->row[lane] + seg->capacity) {
        b->outcome[lane] = PGK_GPU_LAPPED;
        b->rows_of[lane] = 0;
    }
}

PGK_DEV struct pgk_ring pgk_ring_of(const struct pgk_gpu_plan *plan, uint64_t state, uint32_t field,
                                    uint64_t row)
{
    struct pgk_ring ret;
    ret.at = (uint32_t)row;
    ret.known = false;
    ret.newest = 0;
#ifdef PGK_FUSED_RINGS
#define PGK_FUSED_RING(i, begin, last)                                                                       \
    case i:                                                                                                  \
        ret.p = (double *)(uintptr_t)state + (size_t)begin * PGK_GPU_LANES;                                  \
        ret.mask = last;                                                                                     \
        return ret;
    switch (field) {
        PGK_FUSED_RINGS(PGK_FUSED_RING)
    default:
        break;
    }
#endif
    ret.p = (double *)(uintptr_t)state + (size_t)plan->ring[field] * PGK_GPU_LANES;
    ret.mask = plan->mask[field];
    return ret;
}

/* What a ring of bars gets of a row. */
PGK_DEV double pgk_field_of(const struct pgk_block *b, uint32_t field, uint32_t lane, uint32_t r)
{
    double h = *pgk_line_word(b, r, 2, lane), l = *pgk_line_word(b, r, 3, lane),
           c = *pgk_line_word(b, r, 4, lane);
    switch (field) {
    case PGK_H:
        return h;
    case PGK_L:
        return l;
    case PGK_C:
        return c;
    case PGK_V:
        return *pgk_line_word(b, r, 5, lane);
    default:
        return pgk_volume_price(h, l, c, *pgk_line_word(b, r, 6, lane));
    }
}

PGK_DEV void pgk_fill_ring(const struct pgk_block *b, const struct pgk_gpu_plan *plan, uint32_t field,
                           uint32_t lane, uint32_t r)
{
    struct pgk_ring ring = pgk_ring_of(plan, b->state[lane], field, b->row[lane] + r);
    pgk_ring_put(&ring, pgk_field_of(b, field, lane, r));
}

PGK_DEV void pgk_fill_rings(const struct pgk_block *b, const struct pgk_gpu_plan *plan, uint32_t lane,
                            uint32_t r)
{
    PGK_UNROLL
    for (uint32_t f = 0; f < PGK_BAR_FIELDS; f++)
        pgk_fill_ring(b, plan, f, lane, r);
}

PGK_DEV void pgk_place_lane(struct pgk_block *b, uint32_t lane)
{
    int64_t from = (int64_t)b->word[PGK_GPU_FROM][lane], until = (int64_t)b->word[PGK_GPU_UNTIL][lane];
    uint64_t keys = b->word[PGK_GPU_KEY][lane];
    for (uint32_t r = 0; r < b->rows_of[lane]; r++) {
        int64_t start = (int64_t)pgk_double_bits(*pgk_line_word(b, r, 0, lane));
        if (start < from || start >= until) {
            struct pgk_span span = pgk_span(start, b->word[PGK_GPU_UTC][lane] != 0);
            from = span.from;
            until = span.until;
            keys = (uint64_t)(uint32_t)span.key[1] << 32 | (uint32_t)span.key[0];
            b->word[PGK_GPU_FROM][lane] = (uint64_t)from;
            b->word[PGK_GPU_UNTIL][lane] = (uint64_t)until;
            b->word[PGK_GPU_KEY][lane] = keys;
        }
        b->key[0][r][lane] = (int32_t)(uint32_t)keys;
        b->key[1][r][lane] = (int32_t)(uint32_t)(keys >> 32);
    }
}

/* The first words of the states of lanes that are stepped, a word a thread. */
PGK_DEV void pgk_get_words(struct pgk_block *b)
{
    PGK_EACH(b, t)
    for (uint32_t i = t; i < PGK_GPU_LANES * PGK_GPU_WORDS; i += b->threads)
        if (b->step[i % PGK_GPU_LANES])
            b->word[i / PGK_GPU_LANES][i % PGK_GPU_LANES] =
                *pgk_state_word(b, i % PGK_GPU_LANES, i / PGK_GPU_LANES);
    PGK_MEET
}

PGK_DEV void pgk_put_words(struct pgk_block *b, uint32_t lanes)
{
    PGK_EACH(b, t)
    for (uint32_t i = t; i < PGK_GPU_LANES * PGK_GPU_WORDS; i += b->threads)
        if ((lanes >> i % PGK_GPU_LANES & 1) != 0)
            *pgk_state_word(b, i % PGK_GPU_LANES, i / PGK_GPU_LANES) =
                b->word[i / PGK_GPU_LANES][i % PGK_GPU_LANES];
    PGK_MEET
}

PGK_DEV void pgk_read_rows(struct pgk_block *b, const struct pgk_gpu_segment *seg,
                           const struct pgk_gpu_plan *plan, bool later)
{
    PGK_EACH(b, t)
    (void)t;
    pgk_async_wait(later);
    PGK_MEET
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES && b->rows_of[t] > 0)
        pgk_check_lane(b, seg, t);
    PGK_MEET
    PGK_EACH(b, t)
    for (uint32_t i = t; i < PGK_GPU_LANES * b->rows; i += b->threads)
        if (i / PGK_GPU_LANES < b->rows_of[i % PGK_GPU_LANES])
            pgk_fill_rings(b, plan, i % PGK_GPU_LANES, i / PGK_GPU_LANES);
    if (PGK_OF(plan, sessions) && t < PGK_GPU_LANES && b->step[t])
        pgk_place_lane(b, t);
    PGK_MEET
}

/* --------------------------------------------------------------------------------------------------- step */

PGK_DEV double pgk_published(double x)
{
    return x - x == 0.0 ? x : PGK_NAN;
}

PGK_DEV struct pgk_row pgk_row_at(const struct pgk_block *b, const struct pgk_gpu_plan *plan,
                                  const struct pgk_op *op, uint32_t lane, int32_t r)
{
    uint64_t state = b->state[lane], row = b->row[lane] + (uint64_t)(int64_t)r;
    struct pgk_row ret;
    ret.h = pgk_ring_of(plan, state, PGK_H, row);
    ret.l = pgk_ring_of(plan, state, PGK_L, row);
    ret.c = pgk_ring_of(plan, state, PGK_C, row);
    ret.v = pgk_ring_of(plan, state, PGK_V, row);
    ret.p = pgk_ring_of(plan, state, PGK_P, row);
    ret.derived[0] = pgk_ring_of(plan, state, op->derived, row);
    ret.derived[1] = pgk_ring_of(plan, state, op->derived + 1, row);
    ret.held = (double)((int64_t)b->word[PGK_GPU_HELD][lane] + 1 + r);
    ret.age = (double)((int64_t)(row - b->word[PGK_GPU_ORIGIN][lane]) + 1);
    ret.session[0] = r >= 0 ? b->key[0][r][lane] : PGK_NO_SESSION;
    ret.session[1] = r >= 0 ? b->key[1][r][lane] : PGK_NO_SESSION;
    ret.steady = false;
    return ret;
}

/* One op over a lane's rows. */
#define PGK_RUN(step_fn, state_words)                                                                        \
    double *words = (double *)pgk_state_word(b, lane, PGK_GPU_WORDS + op->word);                             \
    union pgk_word s[PGK_WORDS_MAX];                                                                         \
    double out[PGK_OUTPUTS];                                                                                 \
    PGK_UNROLL                                                                                               \
    for (uint32_t w = 0; w + 1 < (state_words) + 1u; w++)                                                    \
        s[w].f = words[w * PGK_GPU_LANES];                                                                   \
    for (int32_t r = b->derive[lane] ? -(int32_t)op->warm : 0; r < (int32_t)b->rows_of[lane]; r++) {         \
        const struct pgk_row row = pgk_row_at(b, plan, op, lane, r);                                         \
        step_fn(op, s, &row, out);                                                                           \
        PGK_UNROLL                                                                                           \
        for (uint32_t j = 0; j < PGK_OUTPUTS; j++)                                                           \
            if (r >= 0 && j < op->outputs)                                                                   \
                *pgk_out_word(b, plan, (uint32_t)r, 1 + (uint32_t)op->column[j], lane) =                     \
                    pgk_published(out[j]);                                                                   \
    }                                                                                                        \
    PGK_UNROLL                                                                                               \
    for (uint32_t w = 0; w + 1 < (state_words) + 1u; w++)                                                    \
        words[w * PGK_GPU_LANES] = s[w].f;

#define PGK_INDICATOR(id, stem, step, given, bare, defaults, columns, unit, window, words, ...)              \
    PGK_DEV void pgk_gpu_run_##id(const struct pgk_op *op, const struct pgk_gpu_plan *plan,                  \
                                  struct pgk_block *b, uint32_t lane)                                        \
    {                                                                                                        \
        PGK_RUN(pgk_##step##_step, words)                                                                    \
    }
#include "indicators.def"

/* The plan's i-th op. In a kernel made for one plan the ops are constants. */
PGK_DEV void pgk_step_op(const struct pgk_gpu_plan *plan, struct pgk_block *b, uint32_t i, uint32_t lane)
{
#ifdef PGK_FUSED_OPS
#define PGK_FUSED_CASE(i, id, ...)                                                                           \
    case i: {                                                                                                \
        const struct pgk_op op = __VA_ARGS__;                                                                \
        pgk_gpu_run_##id(&op, plan, b, lane);                                                                \
        break;                                                                                               \
    }
    switch (i) {
        PGK_FUSED_OPS(PGK_FUSED_CASE)
    default:
        break;
    }
#else
    const struct pgk_op *op = &plan->op[i];
    switch (op->id) {
#define PGK_INDICATOR(id, ...)                                                                               \
    case PGK_##id:                                                                                           \
        pgk_gpu_run_##id(op, plan, b, lane);                                                                 \
        break;
#include "indicators.def"
    default:
        break;
    }
#endif
}

PGK_DEV void pgk_step_rows(struct pgk_block *b, const struct pgk_gpu_plan *plan)
{
    PGK_EACH(b, t)
    uint32_t lane = t % PGK_GPU_LANES, warps = b->threads / PGK_GPU_LANES;
    if (b->step[lane])
        for (uint32_t i = t / PGK_GPU_LANES; i < PGK_OF(plan, ops); i += warps)
            pgk_step_op(plan, b, i, lane);
    PGK_MEET
}

/* -------------------------------------------------------------------------------------------------- write */

PGK_DEV bool pgk_written(const struct pgk_block *b, uint32_t lane, uint32_t r)
{
    return b->step[lane] && r < b->rows_of[lane] && b->row[lane] + r >= b->write_from[lane];
}

PGK_DEV uint64_t pgk_unit_at(const struct pgk_block *b, const struct pgk_gpu_segment *seg, uint32_t lane,
                             uint32_t r)
{
    return b->unit[lane] + pgk_slot_at(b, seg, lane, r) * seg->unit_stride;
}

PGK_DEV uint64_t pgk_tag_of(const struct pgk_block *b, uint32_t lane, uint32_t r, uint32_t busy)
{
    return PGD_UNIT_TAG(b->row[lane] + r, b->rev[r][lane] | busy, b->gen);
}

/* Rows that are to have a unit: when they have one, those that need another, be it of another bar or of other
 * values, which are marked as being written. The rest keep theirs, so that nobody is told of a change that is
 * none. */
PGK_DEV void pgk_mark_units(struct pgk_block *b, const struct pgk_gpu_segment *seg,
                            const struct pgk_gpu_plan *plan)
{
    uint32_t words = PGK_OF(plan, columns) + 1;
    PGK_EACH(b, t)
    for (uint32_t i = t; i < PGK_GPU_LANES * b->rows; i += b->threads) {
        uint32_t lane = i % PGK_GPU_LANES, r = i / PGK_GPU_LANES;
        b->unit_of[r][lane] =
            pgk_written(b, lane, r) && b->row[lane] + r >= b->computed[lane] ? PGK_UNIT_WRITE : 0;
    }
    PGK_MEET
    PGK_EACH(b, t)
    for (uint32_t i = t; i < PGK_GPU_LANES * b->rows * words; i += b->threads) {
        uint32_t word = i % words, r = i / words % b->rows, lane = i / words / b->rows;
        if (!pgk_written(b, lane, r) || b->row[lane] + r >= b->computed[lane])
            continue;
        uint64_t x = pgk_sys_load(pgk_unit_at(b, seg, lane, r) + word * 8);
        if (word == 0 && x >> 16 != pgk_tag_of(b, lane, r, 0) >> 16)
            (void)pgk_block_or(&b->unit_of[r][lane], PGK_UNIT_STALE | PGK_UNIT_WRITE);
        else if (word != 0 && x != pgk_double_bits(*pgk_out_word(b, plan, r, word, lane)))
            (void)pgk_block_or(&b->unit_of[r][lane], PGK_UNIT_WRITE);
    }
    PGK_MEET
    PGK_EACH(b, t)
    for (uint32_t i = t; i < PGK_GPU_LANES * b->rows; i += b->threads) {
        uint32_t lane = i % PGK_GPU_LANES, r = i / PGK_GPU_LANES;
        if ((b->unit_of[r][lane] & PGK_UNIT_WRITE) != 0 && b->row[lane] + r < b->computed[lane])
            pgk_sys_store(pgk_unit_at(b, seg, lane, r), pgk_tag_of(b, lane, r, 1));
    }
    if (t < PGK_GPU_LANES)
        for (uint32_t r = 0; r < b->rows_of[t]; r++)
            if ((b->unit_of[r][t] & PGK_UNIT_STALE) != 0)
                b->changed[t] = b->row[t] + r;
    pgk_sys_fence();
    PGK_MEET
}

/* Word `word` of a unit. */
PGK_DEV uint64_t pgk_unit_word(const struct pgk_block *b, const struct pgk_gpu_plan *plan, uint32_t lane,
                               uint32_t r, uint32_t word)
{
    if (word == 0)
        return pgk_tag_of(b, lane, r, b->row[lane] + r < b->computed[lane]);
    return word <= PGK_OF(plan, columns) ? pgk_double_bits(*pgk_out_word(b, plan, r, word, lane)) : 0;
}

/* Units, two words a thread: eight neighbours write 128 bytes. Rows that have no unit yet get theirs at once:
 * no reader looks before the host has counted the row as computed. */
PGK_DEV void pgk_write_units(struct pgk_block *b, const struct pgk_gpu_segment *seg,
                             const struct pgk_gpu_plan *plan)
{
    const uint32_t pairs = PGK_OF(plan, unit_words) / 2;
    PGK_EACH(b, t)
    const uint32_t rows = b->rows, threads = b->threads;
    for (uint32_t i = t; i < PGK_GPU_LANES * rows * pairs; i += threads) {
        uint32_t word = i % pairs * 2, r = rows == 1 ? 0 : i / pairs % rows,
                 lane = rows == 1 ? i / pairs : i / pairs / rows;
        if (!pgk_written(b, lane, r) || (b->careful && (b->unit_of[r][lane] & PGK_UNIT_WRITE) == 0))
            continue;
        pgk_sys_store2(pgk_unit_at(b, seg, lane, r) + word * 8, pgk_unit_word(b, plan, lane, r, word),
                       pgk_unit_word(b, plan, lane, r, word + 1));
    }
    PGK_MEET
}

/* Units that were rewritten count again. */
PGK_DEV void pgk_release_units(struct pgk_block *b, const struct pgk_gpu_segment *seg)
{
    PGK_EACH(b, t)
    (void)t;
    pgk_sys_fence();
    PGK_MEET
    PGK_EACH(b, t)
    for (uint32_t i = t; i < PGK_GPU_LANES * b->rows; i += b->threads) {
        uint32_t lane = i % PGK_GPU_LANES, r = i / PGK_GPU_LANES;
        if ((b->unit_of[r][lane] & PGK_UNIT_WRITE) != 0 && b->row[lane] + r < b->computed[lane])
            pgk_sys_store(pgk_unit_at(b, seg, lane, r), pgk_tag_of(b, lane, r, 0));
    }
    PGK_MEET
}

/* The lanes' states stand behind their rows. */
PGK_DEV void pgk_move_on(struct pgk_block *b, const struct pgk_gpu_segment *seg,
                         const struct pgk_gpu_plan *plan)
{
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES && b->rows_of[t] > 0) {
        uint64_t held = b->word[PGK_GPU_HELD][t] + b->rows_of[t];
        b->slot[t] = pgk_slot_at(b, seg, t, b->rows_of[t]);
        b->row[t] += b->rows_of[t];
        b->word[PGK_GPU_ROW][t] = b->row[t];
        b->word[PGK_GPU_HELD][t] = held < PGK_OF(plan, window) - 1 ? held : PGK_OF(plan, window) - 1;
        if (b->step[t])
            b->derive[t] = 0;
    }
    PGK_MEET
}

/* Rows that the lanes want, whose lines have been asked for; `later`: and others after them. */
PGK_DEV void pgk_block_run(struct pgk_block *b, const struct pgk_gpu_segment *seg,
                           const struct pgk_gpu_plan *plan, bool later)
{
    pgk_read_rows(b, seg, plan, later);
    pgk_step_rows(b, plan);
    if (b->careful)
        pgk_mark_units(b, seg, plan);
    pgk_write_units(b, seg, plan);
    if (b->careful)
        pgk_release_units(b, seg);
}

/* Where the checkpoint of a lane's row lies. */
PGK_DEV uint64_t pgk_point_at(const struct pgk_block *b, const struct pgk_gpu_segment *seg, uint32_t series,
                              uint32_t lane)
{
    uint64_t number = (b->row[lane] + series % seg->point_every) / seg->point_every % seg->point_slots;
    return seg->points + series * seg->points_stride + number * seg->point_size;
}

PGK_DEV bool pgk_point_due(const struct pgk_gpu_segment *seg, uint32_t series, uint64_t row)
{
    return (row + series % seg->point_every) % seg->point_every == 0;
}

PGK_DEV uint64_t pgk_seal_of(const struct pgk_block *b, const struct pgk_gpu_plan *plan, uint32_t lane)
{
    uint64_t seal = pgk_seal_begin(b->row[lane], b->word[PGK_GPU_ORIGIN][lane]);
    for (uint32_t i = 0; i < PGK_OF(plan, words); i++)
        seal = pgk_seal_mix(seal, *pgk_state_word(b, lane, PGK_GPU_WORDS + i));
    return pgk_seal_end(seal);
}

/* The checkpoints of the lanes for which `due` has a bit, a word a thread, in no order: their seal says when
 * they are whole. */
PGK_DEV void pgk_write_points(struct pgk_block *b, const struct pgk_gpu_segment *seg,
                              const struct pgk_gpu_plan *plan, const uint32_t *series, uint32_t due)
{
    uint32_t words = PGK_OF(plan, words) + 2;
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES && (due >> t & 1) != 0)
        b->seal[t] = pgk_seal_of(b, plan, t);
    PGK_MEET
    PGK_EACH(b, t)
    for (uint32_t i = t; i < PGK_GPU_LANES * words; i += b->threads) {
        uint32_t word = i % words, lane = i / words;
        if ((due >> lane & 1) != 0)
            pgk_sys_store(pgk_point_at(b, seg, series[lane], lane) + word * 8,
                          word == 0   ? b->seal[lane]
                          : word == 1 ? b->word[PGK_GPU_ORIGIN][lane]
                                      : *pgk_state_word(b, lane, PGK_GPU_WORDS + word - 2));
    }
    PGK_MEET
}

#endif
