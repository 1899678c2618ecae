/* cuda/sweep.cuh - tasks: 32 to a block of threads, each lane at its own place in its own series. */
#ifndef CUDA_SWEEP_CUH
#define CUDA_SWEEP_CUH

#include "cuda/block.cuh"

struct pgk_sweeper {
    struct pgk_block block;
    struct pgk_gpu_task task[PGK_GPU_LANES];
    uint32_t series[PGK_GPU_LANES];
    uint32_t live[PGK_GPU_LANES];
    uint32_t same[PGK_GPU_LANES]; /* the checkpoint there is this one */
    uint32_t next[PGK_GPU_LANES]; /* rows it will want after these */
    uint32_t none[PGK_GPU_LANES]; /* 0 */
    double *lines[2];             /* of these rows and of the next, in turn */
    uint32_t due;
    uint32_t any;
    uint32_t any_same;
    uint32_t fresh; /* no lines have been asked for yet */
};

/* Takes up the lanes' tasks: states as their checkpoints have them, before any row of the past. */
PGK_DEV void pgk_take_up(struct pgk_sweeper *s, const struct pgk_gpu_segment *seg,
                         const struct pgk_gpu_plan *plan, uint64_t tasks, uint64_t first, uint64_t count)
{
    struct pgk_block *b = &s->block;
    const uint32_t words = sizeof(struct pgk_gpu_task) / 8;
    PGK_EACH(b, t)
    for (uint32_t i = t; i < PGK_GPU_LANES * words; i += b->threads)
        if (first + i / words < count)
            ((uint64_t *)s->task)[i] = pgk_sys_load(tasks + first * sizeof(struct pgk_gpu_task) + i * 8);
    PGK_MEET
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES) {
        const struct pgk_gpu_task *task = &s->task[t];
        s->live[t] = first + t < count;
        b->rows_of[t] = b->step[t] = 0;
        if (s->live[t]) {
            b->state[t] = task->state;
            s->series[t] = task->series;
            b->bar[t] = seg->bars + task->series * seg->rows_stride;
            b->unit[t] = seg->units + task->series * seg->rows_stride;
            b->head[t] = seg->heads + task->series * seg->head_stride;
            b->row[t] = task->base;
            b->slot[t] = task->base % seg->capacity;
            b->write_from[t] = task->row;
            b->computed[t] = task->computed;
            b->changed[t] = task->changed;
            b->outcome[t] = PGK_GPU_REACHED;
            b->derive[t] = 1;
            /* what nobody may look at yet the host can take back; what is published must be right at once */
            b->watch[t] = task->watch != 0 || task->row < task->computed;
            b->word[PGK_GPU_ROW][t] = task->base;
            b->word[PGK_GPU_ORIGIN][t] = task->origin;
            b->word[PGK_GPU_HELD][t] = 0;
            b->word[PGK_GPU_FROM][t] = b->word[PGK_GPU_UNTIL][t] = b->word[PGK_GPU_KEY][t] = 0;
            b->word[PGK_GPU_UTC][t] = task->utc;
        }
    }
    PGK_MEET
    PGK_EACH(b, t)
    for (uint32_t i = t; i < PGK_GPU_LANES * PGK_OF(plan, words); i += b->threads) {
        uint32_t lane = i / PGK_OF(plan, words), word = i % PGK_OF(plan, words);
        if (!s->live[lane])
            continue;
        uint64_t x = s->task[lane].words == 0 ? 0 : pgk_sys_load(s->task[lane].words + word * 8);
        *pgk_state_word(b, lane, PGK_GPU_WORDS + word) = x;
    }
    PGK_MEET
}

/* Rows a task wants from `row` on: of the past up to `start`, then up to a checkpoint. */
PGK_DEV uint32_t pgk_rows_wanted(const struct pgk_gpu_task *task, const struct pgk_gpu_segment *seg,
                                 uint64_t row, uint32_t most)
{
    uint64_t every = seg->point_every, ahead = every - (row + task->series % every) % every;
    uint64_t left = row < task->start ? task->start - row : task->end - row;
    left = row >= task->start && ahead < left ? ahead : left;
    return left < most ? (uint32_t)left : most;
}

/* What each lane does now, and what it will want when that is done as it should be. */
PGK_DEV void pgk_want_rows(struct pgk_sweeper *s, const struct pgk_gpu_segment *seg)
{
    struct pgk_block *b = &s->block;
    PGK_EACH(b, t)
    if (t == 0) {
        s->any = 0;
        b->careful = 0;
    }
    PGK_MEET
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES) {
        const struct pgk_gpu_task *task = &s->task[t];
        b->rows_of[t] = s->next[t] = b->step[t] = 0;
        if (s->live[t]) {
            uint64_t row = b->row[t];
            b->step[t] = row >= task->start;
            b->rows_of[t] = pgk_rows_wanted(task, seg, row, b->rows);
            if (row + b->rows_of[t] < task->end)
                s->next[t] = pgk_rows_wanted(task, seg, row + b->rows_of[t], b->rows);
            (void)pgk_block_or(&s->any, 1);
            if (b->step[t] && row < task->computed)
                (void)pgk_block_or(&b->careful, 1);
        }
    }
    PGK_MEET
}

/* Compares the states of the lanes that may have coalesced with the checkpoints there, a word a thread. */
PGK_DEV void pgk_compare_points(struct pgk_sweeper *s, const struct pgk_gpu_segment *seg,
                                const struct pgk_gpu_plan *plan)
{
    struct pgk_block *b = &s->block;
    uint32_t words = PGK_OF(plan, words) + 2;
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES && s->same[t])
        b->seal[t] = pgk_seal_of(b, plan, t);
    PGK_MEET
    PGK_EACH(b, t)
    for (uint32_t i = t; i < PGK_GPU_LANES * words; i += b->threads) {
        uint32_t word = i % words, lane = i / words;
        if (!s->same[lane])
            continue;
        uint64_t want = word == 0   ? b->seal[lane]
                        : word == 1 ? b->word[PGK_GPU_ORIGIN][lane]
                                    : *pgk_state_word(b, lane, PGK_GPU_WORDS + word - 2);
        if (pgk_sys_load(pgk_point_at(b, seg, s->series[lane], lane) + word * 8) != want)
            s->same[lane] = 0;
    }
    PGK_MEET
}

/* A lane's task is over, for now. */
PGK_DEV void pgk_end_task(struct pgk_sweeper *s, uint32_t lane, uint32_t outcome)
{
    s->task[lane].outcome = outcome;
    s->live[lane] = 0;
}

/* What the rows just done mean for each task. */
PGK_DEV void pgk_did_rows(struct pgk_sweeper *s, const struct pgk_gpu_segment *seg,
                          const struct pgk_gpu_plan *plan)
{
    struct pgk_block *b = &s->block;
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES) {
        struct pgk_gpu_task *task = &s->task[t];
        s->same[t] = 0;
        if (s->live[t]) {
            uint64_t row = b->row[t], before = row - b->rows_of[t];
            task->changed = b->changed[t];
            if (b->step[t] && row > task->row) {
                for (uint64_t i = before > task->row ? before : task->row; i < row; i++) {
                    if (b->careful && (b->unit_of[i - before][t] & PGK_UNIT_WRITE) == 0)
                        continue;
                    task->first = task->wrote == 0 ? i : task->first;
                    task->wrote = i + 1;
                }
                task->reached = row;
            }
            if (b->outcome[t] != PGK_GPU_REACHED) {
                pgk_end_task(s, t, b->outcome[t]);
            } else if (b->step[t] && pgk_point_due(seg, task->series, row)) {
                s->same[t] =
                    row < task->computed && !task->full && task->changed + PGK_OF(plan, window) <= row;
                (void)pgk_block_or(&s->any_same, s->same[t]);
                (void)pgk_block_or(&s->due, 1u << t);
            }
        }
    }
    PGK_MEET
    if (s->any_same != 0)
        pgk_compare_points(s, seg, plan);
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES && s->live[t]) {
        if (s->same[t])
            pgk_end_task(s, t, PGK_GPU_COALESCED);
        else if (b->step[t] && b->row[t] >= s->task[t].end)
            pgk_end_task(s, t, PGK_GPU_REACHED);
    }
    PGK_MEET
    if (s->due != 0)
        pgk_write_points(b, seg, plan, s->series, s->due);
}

PGK_DEV void pgk_hand_back(struct pgk_sweeper *s, uint64_t tasks, uint64_t first, uint64_t count)
{
    const uint32_t words = sizeof(struct pgk_gpu_task) / 8;
    PGK_EACH(&s->block, t)
    for (uint32_t i = t; i < PGK_GPU_LANES * words; i += s->block.threads)
        if (first + i / words < count)
            pgk_sys_store(tasks + first * sizeof(struct pgk_gpu_task) + i * 8, ((uint64_t *)s->task)[i]);
    pgk_sys_fence();
    PGK_MEET
}

PGK_DEV void pgk_turn(struct pgk_sweeper *s, uint32_t turn)
{
    PGK_EACH(&s->block, t)
    if (t == 0) {
        s->block.lines = s->lines[turn];
        s->fresh = 0;
        s->any_same = 0; /* both were last looked at two meetings ago */
        s->due = 0;
    }
    PGK_MEET
}

/* Nothing is on its way any more; the next tile asks afresh. */
PGK_DEV void pgk_settle(struct pgk_sweeper *s)
{
    PGK_EACH(&s->block, t)
    pgk_async_wait(false);
    if (t == 0)
        s->fresh = 1;
    PGK_MEET
}

PGK_DEV uint32_t pgk_first_lanes(uint64_t n)
{
    return n < PGK_GPU_LANES ? (1u << n) - 1 : 0xffffffffu;
}

/* The 32 tasks from `first` on. */
PGK_DEV void pgk_sweep_tile(struct pgk_sweeper *s, const struct pgk_gpu_segment *seg,
                            const struct pgk_gpu_plan *plan, uint64_t tasks, uint64_t first, uint64_t count)
{
    pgk_take_up(s, seg, plan, tasks, first, count);
    for (uint32_t turn = 0;; turn ^= 1) {
        pgk_want_rows(s, seg);
        if (!s->any)
            break;
        if (s->fresh) /* else asked for the turn before */
            pgk_ask_lines(&s->block, seg, s->lines[turn], s->block.rows_of, s->none);
        pgk_ask_lines(&s->block, seg, s->lines[turn ^ 1], s->next, s->block.rows_of);
        pgk_turn(s, turn);
        pgk_block_run(&s->block, seg, plan, true);
        pgk_move_on(&s->block, seg, plan);
        pgk_did_rows(s, seg, plan);
    }
    pgk_settle(s);
    pgk_put_words(&s->block, pgk_first_lanes(count - first));
    pgk_hand_back(s, tasks, first, count);
}

PGK_DEV void pgk_sweep_run(struct pgk_sweeper *s, const struct pgk_gpu_segment *seg,
                           const struct pgk_gpu_plan *plan, uint64_t tasks, uint64_t count, uint32_t gen,
                           uint32_t block, uint32_t blocks)
{
    PGK_EACH(&s->block, t)
    if (t == 0) {
        s->block.gen = gen & 0xffff;
        s->fresh = 1;
    }
    if (t < PGK_GPU_LANES)
        s->none[t] = 0;
    PGK_MEET
    for (uint64_t first = (uint64_t)block * PGK_GPU_LANES; first < count;
         first += (uint64_t)blocks * PGK_GPU_LANES)
        pgk_sweep_tile(s, seg, plan, tasks, first, count);
}

#endif
