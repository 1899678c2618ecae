#include "cpu.h"

#include <errno.h>
#include <stdlib.h>

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

int pgk_cpu_init(struct pgk_cpu *cpu, const struct pgk_plan *plan)
{
    *cpu = (struct pgk_cpu){0};
    cpu->state.count = plan->words;
    cpu->state.words = calloc(plan->words + 1, sizeof *cpu->state.words);
    cpu->values = calloc(PGK_BLOCK * (size_t)(plan->columns + 1), sizeof *cpu->values);
    cpu->views = calloc(PGK_BLOCK, sizeof *cpu->views);
    int rc = pgk_rows_init(&cpu->rows, plan->window + 4 * PGK_BLOCK);
    if (cpu->state.words == NULL || cpu->values == NULL || cpu->views == NULL || rc != 0) {
        pgk_cpu_fini(cpu);
        return -ENOMEM;
    }
    return 0;
}

void pgk_cpu_fini(struct pgk_cpu *cpu)
{
    pgk_rows_fini(&cpu->rows);
    free(cpu->state.words);
    free(cpu->values);
    free(cpu->views);
    *cpu = (struct pgk_cpu){0};
}

/* --------------------------------------------------------------------------------------------------- rows */

/* Steps one op over `count` rows. */
static void step_op(const struct pgk_op *op, union pgk_word *words, const struct pgk_row *views,
                    uint32_t count, double *values, uint32_t stride)
{
    double out[PGK_OUTPUTS];
    words += op->word;
    switch (op->id) {
#define OUTPUTS(...) (sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *))
#define PGK_INDICATOR(id, stem, step, given, bare, defaults, columns, ...)                                   \
    case PGK_##id:                                                                                           \
        for (uint32_t i = 0; i < count; i++, values += stride) {                                             \
            pgk_##step##_step(op, words, views + i, out);                                                    \
            for (size_t j = 0; j < OUTPUTS columns; j++)                                                     \
                values[op->column[j]] = out[j];                                                              \
        }                                                                                                    \
        break;
#include "indicators.def"
    default:
        break;
    }
}

/* Everything one call needs to know about its series. */
struct run {
    struct pgk_cpu *cpu;
    const struct pgk_plan *plan;
    struct pgk_series series;
    struct pgk_checkpoints points;
    uint64_t end; /* rows are computed up to here */
    uint64_t
        computed; /* rows computed before the call: beyond lie no units and no checkpoints to compare with */
    bool full; /* an earlier recompute broke off: checkpoints ahead are of mixed origin, so go to the end */
    uint64_t changed;    /* latest row seen whose bar is not the one its units came from */
    uint64_t write_from; /* rows before it are stepped for their state only */
    uint64_t done_first;
    uint64_t done_end;
};

enum outcome {
    REACHED_END,
    COALESCED, /* state and windows are what they were: the rows that follow stand */
    BUSY,      /* a bar is being revised */
    LAPPED     /* rows left the ring while they were read */
};

static void view_rows(const struct run *run, uint32_t count)
{
    const struct pgk_rows *rows = &run->cpu->rows;
    const struct pgk_state *state = &run->cpu->state;
    uint32_t first = rows->count - count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = first + i;
        run->cpu->views[i] = (struct pgk_row){.h = rows->h + at,
                                              .l = rows->l + at,
                                              .c = rows->c + at,
                                              .v = rows->v + at,
                                              .p = rows->p + at,
                                              .held = at + 1,
                                              .age = state->row + i - state->origin + 1,
                                              .session = {rows->session[at][0], rows->session[at][1]}};
    }
}

static void write_rows(struct run *run, uint32_t skip, uint32_t count)
{
    const struct pgk_rows *rows = &run->cpu->rows;
    for (uint32_t i = skip; i < count; i++) {
        uint64_t index = run->cpu->state.row + i;
        uint16_t rev = rows->rev[rows->count - count + i];
        if (index < run->computed && !pgk_series_holds(&run->series, index, rev))
            run->changed = index;
        pgk_series_write(&run->series, index, rev, run->cpu->values + (size_t)i * (run->plan->columns + 1));
    }
    if (skip == count)
        return;
    if (run->done_first == run->done_end)
        run->done_first = run->cpu->state.row + skip;
    run->done_end = run->cpu->state.row + count;
}

/* Steps the last `count` rows of the copy. */
static void step_rows(struct run *run, uint32_t count)
{
    struct pgk_cpu *cpu = run->cpu;
    uint32_t stride = run->plan->columns + 1;
    uint64_t ahead = run->write_from > cpu->state.row ? run->write_from - cpu->state.row : 0;
    uint32_t skip = ahead < count ? (uint32_t)ahead : count;
    view_rows(run, count);
    for (uint32_t i = 0; i < run->plan->ops; i++) {
        const struct pgk_op *op = &run->plan->op[i];
        uint32_t from = op->words == 0 ? skip : 0;
        step_op(op, cpu->state.words, cpu->views + from, count - from, cpu->values + (size_t)from * stride,
                stride);
    }
    write_rows(run, skip, count);
    cpu->state.row += count;
}

/* Between two rows, at a multiple of state_every: true when nothing can differ from here on. */
static bool checkpoint(struct run *run)
{
    const struct pgk_state *state = &run->cpu->state;
    if (state->row < run->computed && !run->full && run->changed + run->plan->window <= state->row &&
        pgk_state_stored(state, &run->points))
        return true;
    pgk_state_store(state, &run->points);
    return false;
}

static enum outcome advance(struct run *run)
{
    struct pgk_rows *rows = &run->cpu->rows;
    const struct pgk_state *state = &run->cpu->state;
    while (state->row < run->end) {
        uint64_t stop = (state->row / run->points.every + 1) * run->points.every;
        stop = stop < run->end ? stop : run->end;
        uint64_t left = stop - state->row;
        uint32_t want = left < PGK_BLOCK ? (uint32_t)left : PGK_BLOCK;
        pgk_rows_trim(rows, want, run->plan->window - 1);
        uint32_t before = rows->count;
        int rc = pgk_rows_load(rows, &run->series, want, run->plan->sessions);
        if (rc == -EOVERFLOW)
            return LAPPED;
        step_rows(run, rows->count - before);
        if (rc != 0)
            return BUSY;
        if (state->row % run->points.every == 0 && checkpoint(run))
            return COALESCED;
    }
    return REACHED_END;
}

/* Takes up the state from which `row` can be reached and copies the rows its windows need. */
static enum outcome restore(struct run *run, uint64_t row)
{
    struct pgk_state *state = &run->cpu->state;
    uint64_t oldest = pgk_series_oldest(&run->series);
    row = row > oldest ? row : oldest;
    run->write_from = row;
    if (!pgk_state_restore(state, &run->points, oldest, row))
        pgk_state_begin(state, oldest);
    uint64_t back = state->row - oldest;
    back = back < run->plan->window - 1 ? back : run->plan->window - 1;
    pgk_rows_reset(&run->cpu->rows, state->row - back);
    int rc = pgk_rows_load_back(&run->cpu->rows, &run->series, (uint32_t)back, run->plan->flows);
    if (rc == -EOVERFLOW)
        return LAPPED;
    return rc != 0 ? BUSY : REACHED_END;
}

/* First row from `row` on whose units are not its bar's; `end` when there is none. */
static uint64_t next_changed(const struct run *run, uint64_t row)
{
    while (row < run->computed && pgk_series_fresh(&run->series, row))
        row++;
    return row;
}

/* Computes from `row` on; returns the row that could not be done, or `end`. */
static uint64_t compute_rows(struct run *run, uint64_t row)
{
    const struct pgk_state *state = &run->cpu->state;
    enum outcome outcome = COALESCED;
    run->changed = row;
    while (row < run->end) {
        outcome = restore(run, row);
        if (outcome == REACHED_END)
            outcome = advance(run);
        row = run->write_from > state->row ? run->write_from : state->row;
        if (outcome == BUSY)
            break;
        if (outcome == COALESCED)
            row = run->changed = next_changed(run, row);
    }
    if (outcome != COALESCED && state->row == row && row <= run->end)
        pgk_state_store_latest(state, &run->points);
    return row < run->end ? row : run->end;
}

/* ------------------------------------------------------------------------------------------------- series */

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void pgk_cpu_compute(struct pgk_cpu *cpu, const struct pgk_plan *plan, void *base,
                     const struct pgd_bars_geometry *geo, struct pgk_change *change)
{
    struct run run = {.cpu = cpu, .plan = plan};
    pgk_series_init(&run.series, base, geo, change->series);
    pgk_checkpoints_init(&run.points, base, geo, change->series);
    struct pgd_series *series = run.series.head;
    uint64_t broken = shm_load64(&series->recompute);
    run.computed = shm_load64(&series->computed);
    run.full = broken != 0;
    run.end = min64(max64(change->end, run.computed), shm_load64_acquire(&series->head));
    uint64_t from = min64(change->from, run.computed);
    if (broken != 0)
        from = min64(from, broken - 1);
    change->done_first = change->done_end = from;
    if (from >= run.end)
        return;
    if (from < run.computed) {
        shm_store64(&series->recompute, from + 1);
        shm_fence_release();
    }
    uint64_t reached = compute_rows(&run, from);
    if (reached > run.computed)
        shm_store64_release(&series->computed, reached);
    if (from < run.computed)
        shm_store64_release(&series->recompute, reached < run.computed ? reached + 1 : 0);
    if (run.done_first != run.done_end) {
        change->done_first = run.done_first;
        change->done_end = run.done_end;
    }
}

void pgk_cpu_prefetch(const struct pgk_plan *plan, void *base, const struct pgd_bars_geometry *geo,
                      const struct pgk_change *change)
{
    struct pgk_series series;
    pgk_series_init(&series, base, geo, change->series);
    pgk_series_prefetch(&series, change->from, plan->window);
    struct pgk_checkpoints points;
    pgk_checkpoints_init(&points, base, geo, change->series);
    pgk_checkpoints_prefetch(&points);
}

uint64_t pgk_cpu_recover(struct pgk_cpu *cpu, void *base, const struct pgd_bars_geometry *geo, uint32_t index)
{
    struct pgk_series series;
    struct pgk_checkpoints points;
    pgk_series_init(&series, base, geo, index);
    pgk_checkpoints_init(&points, base, geo, index);
    uint64_t end = shm_load64_acquire(&series.head->head);
    uint64_t oldest = pgk_series_oldest(&series);
    uint64_t broken = shm_load64(&series.head->recompute);
    uint64_t row = oldest;
    while (row < end && pgk_series_fresh(&series, row))
        row++;
    if (broken != 0)
        row = min64(row, max64(broken - 1, oldest));
    if (oldest > 0 && !pgk_state_restore(&cpu->state, &points, oldest, row))
        row = oldest;
    uint64_t computed = shm_load64(&series.head->computed);
    if (row > computed || computed > end)
        shm_store64_release(&series.head->computed, row);
    return row;
}
