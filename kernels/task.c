#include "task.h"

#include "shm/atomic.h"

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

bool pgk_task_open(struct pgk_task *task, const struct pgk_plan *plan, void *base,
                   const struct pgd_bars_geometry *geo, struct pgk_change *change)
{
    *task = (struct pgk_task){.change = change};
    pgk_series_init(&task->series, base, geo, change->series);
    pgk_checkpoints_init(&task->points, plan, base, geo, change->series);
    struct pgd_series *series = task->series.head;
    uint64_t broken = shm_load64(&series->recompute);
    task->computed = shm_load64(&series->computed);
    task->full = broken != 0;
    task->end = min64(max64(change->end, task->computed), shm_load64_acquire(&series->head));
    task->from = min64(change->from, task->computed);
    if (broken != 0)
        task->from = min64(task->from, broken - 1);
    task->row = task->changed = task->from;
    change->done_first = change->done_end = task->from;
    if (task->from >= task->end)
        return false;
    if (task->from < task->computed) {
        shm_store64(&series->recompute, task->from + 1);
        shm_fence_release();
    }
    return true;
}

void pgk_task_take_up(struct pgk_task *task, const struct pgk_plan *plan)
{
    uint64_t oldest = pgk_series_oldest(&task->series);
    task->row = max64(task->row, oldest);
    task->state = pgk_checkpoints_find(&task->points, oldest, task->row, &task->start);
    if (task->state != NULL) {
        task->origin = task->state[1];
        task->state += PGK_STATE_HEAD;
    } else {
        task->start = task->origin = oldest;
    }
    task->base = task->start - min64(task->start - oldest, plan->window - 1);
}

void pgk_task_wrote(struct pgk_task *task, uint64_t first, uint64_t end)
{
    if (first >= end)
        return;
    if (task->done_first == task->done_end)
        task->done_first = first;
    task->done_end = end;
}

bool pgk_task_settled(const struct pgk_task *task, const struct pgk_plan *plan, uint64_t row, uint64_t origin,
                      const uint64_t *words)
{
    if (row < task->computed && !task->full && task->changed + plan->window <= row &&
        pgk_checkpoints_stored(&task->points, row, origin, words, plan->words))
        return true;
    pgk_checkpoints_store(&task->points, row, origin, words, plan->words);
    return false;
}

/* First row from `row` on whose units are not its bar's; the rows computed when there is none. */
static uint64_t next_changed(const struct pgk_task *task, uint64_t row)
{
    while (row < task->computed && pgk_series_fresh(&task->series, row))
        row++;
    return row;
}

bool pgk_task_again(struct pgk_task *task, enum pgk_outcome outcome, uint64_t row)
{
    task->row = max64(task->row, row);
    if (outcome == PGK_BUSY)
        return false;
    if (outcome == PGK_COALESCED)
        task->row = task->changed = next_changed(task, task->row);
    return task->row < task->end;
}

void pgk_task_close(struct pgk_task *task)
{
    struct pgd_series *series = task->series.head;
    uint64_t reached = min64(task->row, task->end);
    if (reached > task->computed)
        shm_store64_release(&series->computed, reached);
    if (task->from < task->computed)
        shm_store64_release(&series->recompute, reached < task->computed ? reached + 1 : 0);
    if (task->done_first != task->done_end) {
        task->change->done_first = task->done_first;
        task->change->done_end = task->done_end;
    }
}
