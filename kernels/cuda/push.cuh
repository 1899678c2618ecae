/* cuda/push.cuh - one new row for each of some series: a tile of 32 for a block of threads.
 *
 * The answer is given as soon as the units are there; what nobody waits for, states and checkpoints, comes
 * after it, before the next tile. */
#ifndef CUDA_PUSH_CUH
#define CUDA_PUSH_CUH

#include "cuda/block.cuh"

struct pgk_pusher {
    struct pgk_block block;
    uint64_t number; /* of this push, or of the one that is waited for */
    uint64_t since;  /* a block that stays: when it had its last mail */
    uint32_t any;    /* is there a lane with a series? */
    uint32_t more;   /* is there another tile after this one? */
    uint32_t leave;
    uint32_t segment;
    uint64_t entry[PGK_GPU_LANES];
    uint32_t series[PGK_GPU_LANES];
    uint32_t none[PGK_GPU_LANES]; /* 0 */
    uint32_t refused;             /* a bit for each lane whose bar was being revised */
    uint32_t stepped;             /* likewise, whose row was stepped */
    uint32_t due;                 /* for a checkpoint */
};

/* Which series a lane is, and where it lies. */
PGK_DEV void pgk_take_entry(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                            const struct pgk_gpu_plan *plan, uint32_t t, uint64_t entry)
{
    struct pgk_block *b = &p->block;
    uint32_t series = PGK_GPU_ENTRY_SERIES(entry), any = series < PGK_GPU_ENTRY_GO;
    b->rows_of[t] = b->step[t] = any;
    b->outcome[t] = PGK_GPU_REACHED;
    b->derive[t] = p->none[t] = 0;
    b->head[t] = 0; /* the host looks whether a row has left */
    if (any) {
        const struct pgk_gpu_segment *seg = &push->segment[PGK_GPU_ENTRY_SEGMENT(entry)];
        p->series[t] = series;
        b->state[t] = PGK_GPU_STATE(seg->states, series, PGK_OF(plan, state_words));
        b->bar[t] = seg->bars + series * seg->rows_stride;
        b->unit[t] = seg->units + series * seg->rows_stride;
        b->slot[t] = PGK_GPU_ENTRY_SLOT(entry);
    }
    if (t == 0) { /* lanes are filled from the first on */
        p->any = any;
        p->more = (entry & PGK_GPU_ENTRY_MORE) != 0;
        p->segment = PGK_GPU_ENTRY_SEGMENT(entry);
        b->rows = 1;
        b->careful = 0;
        p->refused = p->stepped = p->due = 0;
    }
}

/* The entries of the tile that is next. */
PGK_DEV void pgk_read_entries(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t tile)
{
    PGK_EACH(&p->block, t)
    if (t < PGK_GPU_LANES)
        p->entry[t] = pgk_sys_load(push->entry + (tile * PGK_GPU_LANES + t) * 8);
    PGK_MEET
}

PGK_DEV void pgk_take_entries(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                              const struct pgk_gpu_plan *plan)
{
    PGK_EACH(&p->block, t)
    if (t < PGK_GPU_LANES)
        pgk_take_entry(p, push, plan, t, p->entry[t]);
    PGK_MEET
}

/* Asks for the lanes' bars, and meanwhile gets what else their rows are stepped from. */
PGK_DEV void pgk_take_tile(struct pgk_pusher *p, const struct pgk_gpu_segment *seg)
{
    struct pgk_block *b = &p->block;
    pgk_ask_lines(b, seg, b->lines, b->rows_of, p->none);
    pgk_get_words(b);
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES)
        b->row[t] = b->write_from[t] = b->computed[t] = b->word[PGK_GPU_ROW][t];
    if (t == 0)
        b->gen = PGK_GPU_GEN_PUSH(p->number);
    PGK_MEET
}

/* One row a lane. A thread each checks it, fills its rings and finds its session at the same time; where the
 * line has to be read again, the first does it all. */
PGK_DEV void pgk_read_row(struct pgk_pusher *p, const struct pgk_gpu_segment *seg,
                          const struct pgk_gpu_plan *plan)
{
    struct pgk_block *b = &p->block;
    PGK_EACH(b, t)
    (void)t;
    pgk_async_wait(false);
    PGK_MEET
    PGK_EACH(b, t)
    uint32_t lane = t % PGK_GPU_LANES, part = t / PGK_GPU_LANES;
    if (b->step[lane]) {
        bool again = (pgk_double_bits(*pgk_line_word(b, 0, PGK_LINE_WORDS - 1, lane)) & 0xffff) != 2;
        if (part == 0)
            pgk_check_lane(b, seg, lane);
        if (part == 0 && b->rows_of[lane] == 0)
            (void)pgk_block_or(&p->refused, 1u << lane);
        else if (part == 0 && again)
            pgk_fill_rings(b, plan, lane, 0);
        else if (part > 0 && part <= PGK_BAR_FIELDS && !again)
            pgk_fill_ring(b, plan, part - 1, lane, 0);
        if (PGK_OF(plan, sessions) && part == (again ? 0 : PGK_BAR_FIELDS + 1))
            pgk_place_lane(b, lane);
    }
    PGK_MEET
}

/* Once the bars are asked for. */
PGK_DEV void pgk_push_tile(struct pgk_pusher *p, const struct pgk_gpu_segment *seg,
                           const struct pgk_gpu_plan *plan)
{
    pgk_read_row(p, seg, plan);
    pgk_step_rows(&p->block, plan);
    pgk_write_units(&p->block, seg, plan);
}

/* Entries whose bar was being revised; how many. */
PGK_DEV uint32_t pgk_note_problems(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t tile)
{
    if (p->refused == 0)
        return 0;
    PGK_EACH(&p->block, t)
    if (t < PGK_GPU_LANES && (p->refused >> t & 1) != 0)
        pgk_sys_store(push->problem + (tile * PGK_GPU_LANES + t) * 8, 1);
    PGK_MEET
    return pgk_ones(p->refused);
}

/* States and checkpoints. */
PGK_DEV void pgk_tidy_up(struct pgk_pusher *p, const struct pgk_gpu_segment *seg,
                         const struct pgk_gpu_plan *plan)
{
    struct pgk_block *b = &p->block;
    pgk_move_on(b, seg, plan);
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES && b->step[t] && b->rows_of[t] > 0) {
        (void)pgk_block_or(&p->stepped, 1u << t);
        if (pgk_point_due(seg, p->series[t], b->row[t]))
            (void)pgk_block_or(&p->due, 1u << t);
    }
    PGK_MEET
    if (p->due != 0)
        pgk_write_points(b, seg, plan, p->series, p->due);
    pgk_put_words(b, p->stepped);
}

/* ---------------------------------------------------------------------------------------------- launched
 */

/* This push's number, and the entries of the block's first tile. */
PGK_DEV void pgk_begin_push(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t tile)
{
    PGK_EACH(&p->block, t)
    if (t < PGK_GPU_LANES)
        p->entry[t] = pgk_sys_load(push->entry + (tile * PGK_GPU_LANES + t) * 8);
    else if (t == PGK_GPU_LANES)
        p->number =
            (pgk_gpu_load_acquire(&((const struct pgk_gpu_gate *)(uintptr_t)push->gate)->number) + 1) &
            0xffffffff;
    PGK_MEET
}

/* The block is done; the one that is last of all tells the host, which may write the next entries then: so
 * blocks without a tile count as well. The stores of a block's threads come before their meeting, that before
 * the first thread's fence, the fence before its count; what it finds counted came before it. */
PGK_DEV void pgk_answer(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t blocks,
                        uint64_t failed)
{
    struct pgk_gpu_gate *gate = (struct pgk_gpu_gate *)(uintptr_t)push->gate;
    PGK_EACH(&p->block, t)
    if (t == 0) {
        if (blocks > 1 && failed != 0)
            (void)pgk_gpu_add(&gate->problems, failed);
        pgk_sys_fence();
        if (blocks == 1 || pgk_gpu_add(&gate->finished, 1) + 1 == blocks) {
            if (blocks > 1) {
                pgk_sys_fence();
                failed = pgk_gpu_load_acquire(&gate->problems);
            }
            pgk_sys_store(push->done, p->number << 32 | failed);
            pgk_answered();
            gate->finished = gate->problems = 0; /* nobody counts before the next launch */
            gate->number = p->number;
        }
    }
    PGK_MEET
}

/* Every `blocks`-th tile from `block` on. */
PGK_DEV void pgk_push_run(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                          const struct pgk_gpu_plan *plan, uint64_t block, uint64_t blocks)
{
    uint64_t failed = 0;
    bool more;
    pgk_begin_push(p, push, block);
    for (uint64_t tile = block;; tile += blocks) {
        pgk_take_entries(p, push, plan);
        const struct pgk_gpu_segment *seg = &push->segment[p->segment];
        bool any = p->any;
        more = p->more;
        if (any) {
            pgk_take_tile(p, seg);
            pgk_push_tile(p, seg, plan);
            failed += pgk_note_problems(p, push, tile);
        }
        if (!more)
            pgk_answer(p, push, blocks, failed);
        if (any)
            pgk_tidy_up(p, seg, plan);
        if (!more)
            break;
        pgk_read_entries(p, push, tile + blocks);
    }
}

/* ------------------------------------------------------------------------------------------ blocks that stay
 */

PGK_DEV uint64_t pgk_done_of(const struct pgk_gpu_push *push, uint64_t block)
{
    return push->done + block * sizeof(struct pgk_gpu_done);
}

PGK_DEV void pgk_begin_stay(struct pgk_pusher *p, const struct pgk_gpu_stay *stay, uint64_t block)
{
    PGK_EACH(&p->block, t)
    if (t == 0) {
        p->number = pgk_sys_load(stay->from + block * 8) + 1;
        p->since = pgk_clock();
        p->leave = 0;
    }
    PGK_MEET
}

/* A lane each waits for its entry; whether they wait on, the first of them says. What the host did before it
 * wrote an entry is seen by whoever has met its lane: bars, and what a kernel did that the host waited for.
 */
PGK_DEV void pgk_wait_for_mail(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                               const struct pgk_gpu_stay *stay, const struct pgk_gpu_plan *plan,
                               uint64_t block)
{
    PGK_EACH(&p->block, t)
    if (t < PGK_GPU_LANES) {
        const uint32_t number = (uint32_t)p->number & 127;
        const uint64_t address = push->entry + (block * PGK_GPU_LANES + t) * 8;
        uint64_t entry = pgk_sys_load_acquire(address);
        while (PGK_GPU_ENTRY_NUMBER(entry) != number && !pgk_block_load(&p->leave)) {
            if (t == 0 && pgk_clock() - p->since > stay->stay_ns)
                (void)pgk_block_or(&p->leave, 1);
            pgk_spin();
            entry = pgk_sys_load_acquire(address);
        }
        if (t == 0 && PGK_GPU_ENTRY_SERIES(entry) == PGK_GPU_ENTRY_GO)
            (void)pgk_block_or(&p->leave, 1);
        pgk_take_entry(p, push, plan, t, entry);
    }
    PGK_MEET
}

/* Tells the host: what the block's threads stored before they met is there. */
PGK_DEV void pgk_tell(struct pgk_pusher *p, uint64_t address, uint64_t word)
{
    PGK_EACH(&p->block, t)
    if (t == 0) {
        pgk_sys_fence();
        pgk_sys_store(address, word);
    }
    PGK_MEET
}

PGK_DEV void pgk_stay_run(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                          const struct pgk_gpu_stay *stay, const struct pgk_gpu_plan *plan, uint64_t block)
{
    const uint64_t done = pgk_done_of(push, block);
    pgk_begin_stay(p, stay, block);
    for (;;) {
        pgk_wait_for_mail(p, push, stay, plan, block);
        if (p->leave)
            break;
        const struct pgk_gpu_segment *seg = &push->segment[p->segment];
        pgk_take_tile(p, seg);
        pgk_push_tile(p, seg, plan);
        const uint64_t failed = pgk_note_problems(p, push, block);
        pgk_tell(p, done + offsetof(struct pgk_gpu_done, pushed), p->number << 32 | failed);
        pgk_answered();
        pgk_tidy_up(p, seg, plan);
        pgk_tell(p, done + offsetof(struct pgk_gpu_done, settled), p->number);
        PGK_EACH(&p->block, t)
        if (t == 0) {
            p->number++;
            p->since = pgk_clock();
        }
        PGK_MEET
    }
    pgk_tell(p, done + offsetof(struct pgk_gpu_done, left), pgk_sys_load(stay->launch));
}

#endif
