/* cuda/push.cuh - one new row for each of some series: a tile of 32 for each block of threads.
 *
 * The host has written the entries before it launches, so they are read once. The answer is
 * given as soon as the units are there; what nobody waits for, states and checkpoints, comes after it, before
 * the next launch in the stream. */
#ifndef CUDA_PUSH_CUH
#define CUDA_PUSH_CUH

#include "cuda/block.cuh"

struct pgk_pusher {
    struct pgk_block block;
    uint64_t number; /* of this push */
    uint32_t any;    /* is there a lane with a series? */
    uint32_t segment;
    uint32_t series[PGK_GPU_LANES];
    uint32_t none[PGK_GPU_LANES]; /* 0 */
    uint32_t due;
    uint32_t problems;
};

PGK_DEV void pgk_read_entries(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t tile)
{
    struct pgk_block *b = &p->block;
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES) {
        p->series[t] = pgk_sys_load32(push->entry + (tile * PGK_GPU_LANES + t) * 4);
        p->none[t] = 0;
        b->derive[t] = 0;
        b->head[t] = 0; /* the host looks whether a row has left */
    } else if (t == PGK_GPU_LANES) {
        p->number =
            (pgk_gpu_load_acquire(&((const struct pgk_gpu_gate *)(uintptr_t)push->gate)->number) + 1) &
            0xffffffff;
    }
    if (t == 0) {
        b->rows = 1;
        b->careful = 0;
        p->due = p->problems = 0;
        p->any = p->series[0] != PGK_GPU_ENTRY_NONE; /* lanes are filled from the first on */
        p->segment = p->series[0] >> PGK_GPU_ENTRY_SEGMENT & 15;
    }
    PGK_MEET
}

/* Where the lanes' series stand; their lines are asked for. */
PGK_DEV void pgk_take_tile(struct pgk_pusher *p, const struct pgk_gpu_segment *seg,
                           const struct pgk_gpu_plan *plan)
{
    struct pgk_block *b = &p->block;
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES) {
        bool any = p->series[t] != PGK_GPU_ENTRY_NONE;
        p->series[t] &= PGK_GPU_ENTRY_SERIES;
        b->rows_of[t] = b->step[t] = any;
        b->outcome[t] = PGK_GPU_REACHED;
        if (any) {
            uint32_t series = p->series[t];
            b->state[t] = PGK_GPU_STATE(seg->states, series, plan->state_words);
            b->bar[t] = seg->bars + series * seg->rows_stride;
            b->unit[t] = seg->units + series * seg->rows_stride;
            b->row[t] = b->write_from[t] = b->computed[t] = *pgk_state_word(b, t, PGK_GPU_ROW);
            b->slot[t] = *pgk_state_word(b, t, PGK_GPU_SLOT);
        }
    }
    if (t == 0)
        b->gen = p->number & 0xffff;
    PGK_MEET
    pgk_ask_lines(b, seg, b->lines, b->rows_of, p->none);
}

/* Entries whose bar was being revised. */
PGK_DEV void pgk_note_problems(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t tile)
{
    struct pgk_block *b = &p->block;
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES && b->step[t] && b->rows_of[t] == 0) {
        (void)pgk_block_or(&p->problems, 1u << t);
        pgk_sys_store(push->problem + (tile * PGK_GPU_LANES + t) * 8, 1);
    }
    PGK_MEET
}

/* The block is done; the one that is last of all tells the host, which may write the next entries then: so
 * blocks without a tile count as well. The stores of a block's threads come before their meeting, that before
 * the first thread's fence, the fence before its count; what it finds counted came before it. */
PGK_DEV void pgk_answer(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t blocks)
{
    struct pgk_gpu_gate *gate = (struct pgk_gpu_gate *)(uintptr_t)push->gate;
    PGK_EACH(&p->block, t)
    if (t == 0) {
        if (p->problems != 0)
            (void)pgk_gpu_add(&gate->problems, pgk_ones(p->problems));
        pgk_sys_fence();
        if (blocks == 1 || pgk_gpu_add(&gate->finished, 1) + 1 == blocks) {
            pgk_sys_fence();
            uint64_t problems = pgk_gpu_load_acquire(&gate->problems);
            gate->finished = gate->problems = 0; /* nobody counts before the next launch */
            gate->number = p->number;
            pgk_sys_store(push->done, p->number << 32 | problems);
            pgk_answered();
        }
    }
    PGK_MEET
}

/* States and checkpoints. */
PGK_DEV void pgk_tidy_up(struct pgk_pusher *p, const struct pgk_gpu_segment *seg,
                         const struct pgk_gpu_plan *plan)
{
    struct pgk_block *b = &p->block;
    pgk_move_on(b, seg, plan);
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES && b->step[t] && b->rows_of[t] > 0 && pgk_point_due(seg, p->series[t], b->row[t]))
        (void)pgk_block_or(&p->due, 1u << t);
    PGK_MEET
    if (p->due != 0)
        pgk_write_points(b, seg, plan, p->series, p->due);
}

PGK_DEV void pgk_push_run(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                          const struct pgk_gpu_plan *plan, uint64_t tile, uint64_t blocks)
{
    pgk_read_entries(p, push, tile);
    const struct pgk_gpu_segment *seg =
        (const struct pgk_gpu_segment *)(uintptr_t)push->segments + p->segment;
    bool any = p->any;
    if (any) {
        pgk_take_tile(p, seg, plan);
        pgk_block_run(&p->block, seg, plan, false);
        pgk_note_problems(p, push, tile);
    }
    pgk_answer(p, push, blocks);
    if (any)
        pgk_tidy_up(p, seg, plan);
}

#endif
