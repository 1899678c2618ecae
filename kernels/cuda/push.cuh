/* cuda/push.cuh - the kernel that stays: it waits for the host's bell and pushes one new row through each
 * series it is told of.
 *
 * Entries come in tiles of 32, shared out over the blocks. The first block watches the bell over the bus and
 * passes it on through the GPU's memory, but takes the first tile itself before that, so that a single symbol
 * does not wait for the others to hear. */
#ifndef CUDA_PUSH_CUH
#define CUDA_PUSH_CUH

#include "cuda/block.cuh"

struct pgk_pusher {
    struct pgk_block block[2]; /* a tile, and the one whose lines are on their way */
    uint64_t bell[1 + PGK_GPU_BELL_ENTRIES];
    uint64_t go;     /* number << 32 | entries of the push at hand */
    uint64_t number; /* of the last push that was seen */
    uint64_t since_ns;
    uint32_t series[2][PGK_GPU_LANES];
    uint32_t none[PGK_GPU_LANES]; /* 0 */
    uint32_t due;
    uint32_t leave;
};

PGK_DEV uint32_t pgk_number(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

/* The host's bell: true when it rang, or it has been quiet for too long. The words after the first are of
 * this push when they say so. */
PGK_DEV bool pgk_hear_bell(struct pgk_pusher *p, const struct pgk_gpu_push *push)
{
    PGK_EACH(&p->block[0], t)
    if (t < 1 + PGK_GPU_BELL_ENTRIES)
        p->bell[t] = pgk_sys_load(push->bell + t * 8);
    PGK_MEET
    PGK_EACH(&p->block[0], t)
    if (t == 0) {
        p->go = p->bell[0];
        if (pgk_number(p->go) == (uint32_t)p->number) {
            p->go = 0;
            if (pgk_clock_ns() - p->since_ns > push->linger_ns)
                p->go = (p->number + 1) << 32 | PGK_GPU_EXIT;
        }
    }
    PGK_MEET
    return p->go != 0;
}

PGK_DEV bool pgk_hear_gate(struct pgk_pusher *p, const struct pgk_gpu_gate *gate)
{
    PGK_EACH(&p->block[0], t)
    if (t == 0) {
        p->go = pgk_gpu_load_acquire(&gate->go);
        if (pgk_number(p->go) == (uint32_t)p->number)
            p->go = 0;
    }
    PGK_MEET
    return p->go != 0;
}

/* An entry, from the bell's line or from the list; it may be on its way still. */
PGK_DEV uint32_t pgk_entry(const struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t i,
                           bool first)
{
    uint64_t entry = first && i < PGK_GPU_BELL_ENTRIES ? p->bell[1 + i] : 0;
    while (pgk_number(entry) != pgk_number(p->go))
        entry = pgk_sys_load(push->entry + i * 8);
    return (uint32_t)entry;
}

/* Learns what a tile is about and asks for its lines. */
PGK_DEV void pgk_take_tile(struct pgk_pusher *p, uint32_t turn, const struct pgk_gpu_push *push,
                           const struct pgk_gpu_segment *seg, const struct pgk_gpu_plan *plan, uint64_t tile,
                           bool first)
{
    struct pgk_block *b = &p->block[turn];
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES) {
        uint64_t i = tile * PGK_GPU_LANES + t;
        bool any = i < (p->go & PGK_GPU_ENTRIES_MASK);
        b->rows_of[t] = b->step[t] = any;
        b->outcome[t] = PGK_GPU_REACHED;
        if (any) {
            uint32_t series = pgk_entry(p, push, i, first);
            p->series[turn][t] = series;
            b->state[t] = seg->states + (uint64_t)series * plan->state_size;
            b->bar[t] = seg->bars + series * seg->rows_stride;
            b->unit[t] = seg->units + series * seg->rows_stride;
            b->row[t] = b->write_from[t] = b->computed[t] =
                ((struct pgk_gpu_state *)(uintptr_t)b->state[t])->row;
            b->slot[t] = ((struct pgk_gpu_state *)(uintptr_t)b->state[t])->slot;
        }
    }
    if (t == 0) {
        b->gen = pgk_number(p->go) & 0xffff;
        b->bare = (p->go & PGK_GPU_BARE) != 0;
    }
    PGK_MEET
    pgk_ask_lines(b, seg, b->lines, b->rows_of, p->none);
}

PGK_DEV void pgk_push_tile(struct pgk_pusher *p, uint32_t turn, const struct pgk_gpu_push *push,
                           const struct pgk_gpu_segment *seg, const struct pgk_gpu_plan *plan, uint64_t tile,
                           bool later)
{
    struct pgk_block *b = &p->block[turn];
    struct pgk_gpu_gate *gate = (struct pgk_gpu_gate *)(uintptr_t)push->gate;
    pgk_block_run(b, seg, plan, later);
    pgk_move_on(b, seg, plan);
    PGK_EACH(b, t)
    if (t == 0)
        p->due = 0;
    PGK_MEET
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES && b->step[t]) {
        if (b->rows_of[t] > 0 && pgk_point_due(seg, p->series[turn][t], b->row[t]))
            (void)pgk_block_or(&p->due, 1u << t);
        if (b->rows_of[t] == 0) {
            uint64_t i = tile * PGK_GPU_LANES + t;
            (void)pgk_gpu_add(&gate->problems[pgk_number(p->go) & 1], 1);
            pgk_sys_store(push->problem + i * 8, 1);
        }
    }
    PGK_MEET
    uint32_t due = p->due;
    if (due != 0)
        pgk_write_points(b, seg, plan, p->series[turn], due);
}

/* The block's tiles, the lines of each on their way while the one before is done. */
PGK_DEV uint64_t pgk_push_tiles(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                                const struct pgk_gpu_segment *seg, const struct pgk_gpu_plan *plan,
                                uint64_t tiles, uint32_t block, uint32_t blocks)
{
    uint64_t mine = 0;
    uint32_t turn = 0;
    if (block < tiles)
        pgk_take_tile(p, 0, push, seg, plan, block, block == 0);
    for (uint64_t tile = block; tile < tiles; tile += blocks, mine++, turn ^= 1) {
        bool later = tile + blocks < tiles;
        if (later)
            pgk_take_tile(p, turn ^ 1, push, seg, plan, tile + blocks, false);
        pgk_push_tile(p, turn, push, seg, plan, tile, later);
    }
    return mine;
}

/* The block's tiles are done; the last block of all tells the host. Every thread's stores come before its
 * fence, the fences before the meeting, the meeting before the count and the word. */
PGK_DEV void pgk_finish(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t tiles, uint64_t mine)
{
    struct pgk_gpu_gate *gate = (struct pgk_gpu_gate *)(uintptr_t)push->gate;
    PGK_EACH(&p->block[0], t)
    (void)t;
    pgk_sys_fence();
    PGK_MEET
    PGK_EACH(&p->block[0], t)
    if (t == 0) {
        uint32_t turn = pgk_number(p->go) & 1;
        bool last = mine == tiles;
        if (!last) {
            last = pgk_gpu_add(&gate->finished[turn], mine) + mine == tiles;
            pgk_sys_fence();
        }
        if (last)
            pgk_sys_store(push->done,
                          (uint64_t)pgk_number(p->go) << 32 | pgk_gpu_load_acquire(&gate->problems[turn]));
    }
    PGK_MEET
}

PGK_DEV void pgk_serve(struct pgk_pusher *p, const struct pgk_gpu_push *push, const struct pgk_gpu_plan *plan,
                       uint32_t block, uint32_t blocks)
{
    const struct pgk_gpu_segment *seg =
        (const struct pgk_gpu_segment *)(uintptr_t)push->segments + (p->go >> PGK_GPU_SEGMENT_SHIFT & 15);
    struct pgk_gpu_gate *gate = (struct pgk_gpu_gate *)(uintptr_t)push->gate;
    uint64_t entries = p->go & PGK_GPU_ENTRIES_MASK, tiles = (entries + PGK_GPU_LANES - 1) / PGK_GPU_LANES;
    PGK_EACH(&p->block[0], t)
    if (t == 0) {
        p->leave = (p->go & PGK_GPU_EXIT) == PGK_GPU_EXIT;
        if (block == 0) {
            uint32_t turn = (pgk_number(p->go) + 1) & 1;
            gate->finished[turn] = gate->problems[turn] = 0;
            if (p->leave || tiles > 1)
                pgk_gpu_store_release(&gate->go, p->go);
        }
    }
    PGK_MEET
    if (p->leave)
        return;
    uint64_t mine = pgk_push_tiles(p, push, seg, plan, tiles, block, blocks);
    if (mine > 0)
        pgk_finish(p, push, tiles, mine);
    PGK_EACH(&p->block[0], t)
    if (t == 0) {
        p->number = pgk_number(p->go);
        p->since_ns = pgk_clock_ns();
    }
    PGK_MEET
}

PGK_DEV void pgk_push_run(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                          const struct pgk_gpu_plan *plan, uint32_t block, uint32_t blocks)
{
    struct pgk_gpu_gate *gate = (struct pgk_gpu_gate *)(uintptr_t)push->gate;
    PGK_EACH(&p->block[0], t)
    if (t == 0) {
        p->number = push->number;
        p->since_ns = pgk_clock_ns();
        p->leave = 0;
        p->block[0].rows = p->block[1].rows = 1;
        p->block[0].careful = p->block[1].careful = 0;
    }
    if (t < PGK_GPU_LANES) {
        p->none[t] = 0;
        p->block[0].derive[t] = p->block[1].derive[t] = 0;
        p->block[0].head[t] = p->block[1].head[t] = 0; /* the host looks whether a row has left */
    }
    PGK_MEET
    while (!p->leave) {
        if (block == 0 ? pgk_hear_bell(p, push) : pgk_hear_gate(p, gate))
            pgk_serve(p, push, plan, block, blocks);
        else
            pgk_pause();
    }
    PGK_EACH(&p->block[0], t)
    if (t == 0 && block == 0) {
        pgk_sys_fence();
        pgk_sys_store(push->done + offsetof(struct pgk_gpu_done, gone), push->launch);
    }
    PGK_MEET
}

#endif
