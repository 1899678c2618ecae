#include "sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 32u /* rows between two moves of the past: what a tile takes stays in a first-level cache */

struct pgk_sweep {
    struct pgk_layout layout;
    struct pgk_block block;
    struct pgk_tile *tile;
    struct pgk_task task[PGK_TILE];
    bool live[PGK_TILE];
    uint64_t due[PGK_TILE];   /* next row of each lane that has a checkpoint ... */
    uint32_t point[PGK_TILE]; /* ... and the number of its slot */
    uint64_t *words;          /* one lane's state */
    uint64_t *idle;           /* takes checkpoints that nobody wants */
    const struct pgk_sweep_hooks *hooks;
};

int pgk_sweep_new(struct pgk_sweep **ret, const struct pgk_plan *plan, const struct pgk_simd *simd)
{
    struct pgk_sweep *sweep = aligned_alloc(64, (sizeof *sweep + 63) / 64 * 64);
    if (sweep == NULL)
        return -ENOMEM;
    memset(sweep, 0, sizeof *sweep);
    pgk_layout_init(&sweep->layout, plan, ROOM);
    sweep->tile = aligned_alloc(64, sweep->layout.size);
    sweep->words = calloc(plan->words + 1, sizeof *sweep->words);
    sweep->idle = aligned_alloc(64, pgk_plan_state_size(plan));
    if (sweep->tile == NULL || sweep->words == NULL || sweep->idle == NULL ||
        pgk_block_init(&sweep->block, &sweep->layout, simd) != 0) {
        pgk_sweep_free(sweep);
        return -ENOMEM;
    }
    memset(sweep->tile, 0, sweep->layout.size);
    *ret = sweep;
    return 0;
}

void pgk_sweep_free(struct pgk_sweep *sweep)
{
    if (sweep == NULL)
        return;
    pgk_block_fini(&sweep->block);
    free(sweep->tile);
    free(sweep->words);
    free(sweep->idle);
    free(sweep);
}

/* ---------------------------------------------------------------------------------------------- taking up */

static void put_past(struct pgk_sweep *sweep, uint32_t lane, uint64_t back, const struct pgk_bar *bar)
{
    const double value[PGK_BAR_FIELDS] = {
        [PGK_H] = bar->h,
        [PGK_L] = bar->l,
        [PGK_C] = bar->c,
        [PGK_V] = bar->v,
        [PGK_P] = bar->vw == bar->vw ? bar->vw : (bar->h + bar->l + bar->c) / 3.0,
    };
    for (uint32_t f = 0; f < PGK_BAR_FIELDS; f++)
        if (back <= sweep->layout.plan->halo[f])
            pgk_tile_now(&sweep->layout, sweep->tile, f)[(ptrdiff_t)lane - (ptrdiff_t)(back * PGK_TILE)] =
                value[f];
}

/* What the blocks see of the lane's task. */
static void set_lane(struct pgk_sweep *sweep, uint32_t l)
{
    struct pgk_lane *lane = &sweep->block.lane[l];
    const struct pgk_task *task = &sweep->task[l];
    lane->series = task->series;
    lane->slot = task->start % task->series.capacity;
    lane->write_from = task->row;
    lane->computed = task->computed;
    lane->changed = task->changed;
    sweep->due[l] = task->start + pgk_checkpoints_ahead(&task->points, task->start);
    sweep->point[l] = pgk_checkpoints_number(&task->points, sweep->due[l]);
}

/* Puts the rows that windows look back on in place, and the state. */
static enum pgk_outcome take_up(struct pgk_sweep *sweep, uint32_t lane)
{
    struct pgk_task *task = &sweep->task[lane];
    struct pgk_tile *tile = sweep->tile;
    uint32_t words = sweep->layout.plan->words;
    pgk_task_take_up(task, sweep->layout.plan);
    if (task->row >= task->end)
        return PGK_LAPPED; /* nothing that was asked for is held any more */
    for (uint64_t row = task->base; row < task->start; row++) {
        struct pgk_bar bar;
        if (pgk_bar_copy(pgk_series_bar(&task->series, row), &bar) != 0)
            return PGK_BUSY;
        put_past(sweep, lane, task->start - row, &bar);
    }
    memset(sweep->words, 0, words * sizeof *sweep->words);
    if (task->state != NULL)
        memcpy(sweep->words, task->state, words * sizeof *sweep->words);
    pgk_tile_set_state(&sweep->layout, tile, lane, sweep->words);
    pgk_tile_derive(&sweep->layout, tile, lane);
    tile->row[lane] = task->start;
    tile->origin[lane] = task->origin;
    tile->held[lane] = task->start - task->base;
    tile->from[lane] = tile->until[lane] = 0;
    set_lane(sweep, lane);
    return pgk_series_oldest(&task->series) > task->base ? PGK_LAPPED : PGK_REACHED;
}

/* A run of the lane's task has ended before `row`: takes it up again, or closes it. */
static void ended(struct pgk_sweep *sweep, uint32_t lane, enum pgk_outcome outcome, uint64_t row)
{
    struct pgk_task *task = &sweep->task[lane];
    while (pgk_task_again(task, outcome, row)) {
        outcome = take_up(sweep, lane);
        if (outcome == PGK_REACHED)
            return;
        row = task->row;
    }
    if (sweep->block.past)
        sweep->block.simd->drain();
    pgk_task_close(task);
    sweep->live[lane] = false;
    sweep->hooks->done(sweep->hooks->user, task, outcome, &sweep->layout, sweep->tile, lane);
}

static void fill(struct pgk_sweep *sweep, uint32_t lane)
{
    while (!sweep->live[lane] && sweep->hooks->next(sweep->hooks->user, &sweep->task[lane])) {
        sweep->live[lane] = true;
        enum pgk_outcome outcome = take_up(sweep, lane);
        if (outcome != PGK_REACHED)
            ended(sweep, lane, outcome, sweep->task[lane].row);
    }
}

/* ------------------------------------------------------------------------------------------------ running */

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void want_rows(struct pgk_sweep *sweep, uint32_t l)
{
    struct pgk_lane *lane = &sweep->block.lane[l];
    const struct pgk_task *task = &sweep->task[l];
    if (!sweep->live[l]) {
        lane->want = 0;
        return;
    }
    uint64_t row = sweep->tile->row[l];
    lane->want = (uint32_t)(min64(sweep->due[l], task->end) - row);
    lane->ahead = row + lane->want < task->end;
}

static bool due(const struct pgk_sweep *sweep, uint32_t l)
{
    return sweep->live[l] && sweep->block.lane[l].rows > 0 && sweep->tile->row[l] == sweep->due[l];
}

/* Stores the checkpoints that are due when none is to be compared with what is there: the way it mostly goes
 * when histories are swept. */
static bool save_all(struct pgk_sweep *sweep)
{
    uint64_t *slot[PGK_TILE];
    bool any = false;
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        const struct pgk_task *task = &sweep->task[l];
        slot[l] = sweep->idle;
        if (!due(sweep, l))
            continue;
        if (sweep->tile->row[l] < task->computed)
            return false;
        slot[l] = pgk_checkpoints_at(&task->points, sweep->point[l]);
        any = true;
    }
    if (any)
        sweep->block.simd->save(&sweep->layout, sweep->tile, slot);
    return any;
}

/* A checkpoint is due; true when the rows that follow stand. */
static bool save_one(struct pgk_sweep *sweep, uint32_t l)
{
    const struct pgk_tile *tile = sweep->tile;
    pgk_tile_get_state(&sweep->layout, sweep->tile, l, sweep->words);
    return pgk_task_settled(&sweep->task[l], sweep->layout.plan, tile->row[l], tile->origin[l], sweep->words);
}

static void did_rows(struct pgk_sweep *sweep, uint32_t l, bool saved)
{
    const struct pgk_lane *lane = &sweep->block.lane[l];
    const struct pgk_tile *tile = sweep->tile;
    struct pgk_task *task = &sweep->task[l];
    enum pgk_outcome outcome = lane->outcome;
    uint64_t row = tile->row[l], before = row - lane->rows;
    task->changed = lane->changed;
    if (sweep->block.units.fresh)
        pgk_task_wrote(task, before > task->row ? before : task->row, row);
    else if (lane->rows > 0)
        pgk_task_wrote(task, lane->wrote, lane->wrote_end);
    if (task->row < row)
        task->row = row;
    if (due(sweep, l)) {
        if (!saved && save_one(sweep, l))
            outcome = PGK_COALESCED;
        sweep->due[l] += task->points.every;
        sweep->point[l] = sweep->point[l] + 1 == task->points.slots ? 0 : sweep->point[l] + 1;
    }
    if (outcome != PGK_REACHED || row >= task->end)
        ended(sweep, l, outcome, row);
}

void pgk_sweep_run(struct pgk_sweep *sweep, const struct pgk_sweep_hooks *hooks, uint16_t gen, bool past)
{
    sweep->hooks = hooks;
    sweep->block.past = past;
    for (;;) {
        bool any = false;
        for (uint32_t l = 0; l < PGK_TILE; l++) {
            fill(sweep, l);
            any |= sweep->live[l];
        }
        if (!any)
            return;
        for (uint32_t l = 0; l < PGK_TILE; l++)
            want_rows(sweep, l);
        bool was[PGK_TILE];
        memcpy(was, sweep->live, sizeof was);
        pgk_block_run(&sweep->block, sweep->tile, gen);
        bool saved = save_all(sweep);
        for (uint32_t l = 0; l < PGK_TILE; l++)
            if (was[l])
                did_rows(sweep, l, saved);
    }
}
