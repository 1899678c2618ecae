/* cuda/push.cuh - one new row for each of some series: a tile of 32 for a block of threads.
 *
 * A read that is asked for after writes waits behind these on the bus. So the bars of a block's next tile are
 * asked for before the units of this one are written: not sooner, since the bars of all first tiles are what
 * the first writes wait for. The answer is given as soon as the units are there; what nobody waits for, the
 * last states and all checkpoints, comes after it. */
#ifndef CUDA_PUSH_CUH
#define CUDA_PUSH_CUH

#include "cuda/block.cuh"

struct pgk_pusher {
    struct pgk_block block;
    double *lines;   /* two sets of one row, in turn: see pgk_block */
    uint64_t number; /* of this push, or of the one that is waited for */
    uint64_t since;  /* a block that stays: when it had its last mail */
    uint32_t leave;
    uint64_t entry[PGK_GPU_TILES][PGK_GPU_LANES]; /* of the tiles at hand */
    uint32_t series[PGK_GPU_LANES];
    uint32_t refused;            /* a bit for each lane whose bar was being revised */
    uint32_t stepped;            /* likewise, whose row was stepped */
    uint32_t due[PGK_GPU_TILES]; /* for a checkpoint */
};

PGK_DEV bool pgk_more_after(const struct pgk_pusher *p, uint32_t tile)
{
    return (p->entry[tile][0] & PGK_GPU_ENTRY_MORE) != 0;
}

/* Has the first tile a series? Lanes are filled from the first on. */
PGK_DEV bool pgk_any_lane(const struct pgk_pusher *p)
{
    return PGK_GPU_ENTRY_SERIES(p->entry[0][0]) < PGK_GPU_ENTRY_GO;
}

PGK_DEV const struct pgk_gpu_segment *pgk_segment_of(const struct pgk_pusher *p,
                                                     const struct pgk_gpu_push *push, uint32_t tile)
{
    return &push->segment[PGK_GPU_ENTRY_SEGMENT(p->entry[tile][0])];
}

PGK_DEV double *pgk_lines_of(const struct pgk_pusher *p, uint32_t tile)
{
    return p->lines + (size_t)(tile & 1) * PGK_GPU_LINE;
}

/* Asks for a tile's bars, a word a thread. */
PGK_DEV void pgk_ask_bars(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint32_t tile)
{
    const struct pgk_gpu_segment *seg = pgk_segment_of(p, push, tile);
    double *lines = pgk_lines_of(p, tile);
    PGK_EACH(&p->block, t)
    for (uint32_t i = t; i < PGK_GPU_LANES * PGK_LINE_WORDS; i += p->block.threads) {
        const uint32_t word = i % PGK_LINE_WORDS, lane = i / PGK_LINE_WORDS;
        const uint64_t entry = p->entry[tile][lane];
        if (PGK_GPU_ENTRY_SERIES(entry) < PGK_GPU_ENTRY_GO)
            pgk_async_load(lines + (size_t)word * PGK_GPU_PAD + lane,
                           seg->bars + PGK_GPU_ENTRY_SERIES(entry) * seg->rows_stride +
                               PGK_GPU_ENTRY_SLOT(entry) * seg->bar_stride + word * 8);
    }
    pgk_async_end();
    PGK_MEET
}

/* Until all that was asked for is there. */
PGK_DEV void pgk_wait_for_lines(struct pgk_pusher *p)
{
    PGK_EACH(&p->block, t)
    (void)t;
    pgk_async_wait(false);
    PGK_MEET
}

/* Which series a lane is, and where it lies. */
PGK_DEV void pgk_take_lane(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                           const struct pgk_gpu_plan *plan, uint32_t tile, uint32_t t)
{
    struct pgk_block *b = &p->block;
    const uint64_t entry = p->entry[tile][t];
    uint32_t series = PGK_GPU_ENTRY_SERIES(entry), any = series < PGK_GPU_ENTRY_GO;
    b->rows_of[t] = b->step[t] = any;
    b->outcome[t] = PGK_GPU_REACHED;
    b->derive[t] = 0;
    b->head[t] = 0; /* the host looks whether a row has left */
    if (any) {
        const struct pgk_gpu_segment *seg = &push->segment[PGK_GPU_ENTRY_SEGMENT(entry)];
        p->series[t] = series;
        b->state[t] = PGK_GPU_STATE(seg->states, series, PGK_OF(plan, state_words));
        b->bar[t] = seg->bars + series * seg->rows_stride;
        b->unit[t] = seg->units + series * seg->rows_stride;
        b->slot[t] = PGK_GPU_ENTRY_SLOT(entry);
    }
    if (t == 0) {
        b->lines = pgk_lines_of(p, tile);
        b->rows = 1;
        b->careful = 0;
    }
}

PGK_DEV void pgk_take_lanes(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                            const struct pgk_gpu_plan *plan, uint32_t tile)
{
    PGK_EACH(&p->block, t)
    if (t < PGK_GPU_LANES)
        pgk_take_lane(p, push, plan, tile, t);
    PGK_MEET
}

/* What else the lanes' rows are stepped from. */
PGK_DEV void pgk_take_states(struct pgk_pusher *p)
{
    struct pgk_block *b = &p->block;
    pgk_get_words(b);
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES)
        b->row[t] = b->write_from[t] = b->computed[t] = b->word[PGK_GPU_ROW][t];
    if (t == 0) {
        b->gen = PGK_GPU_GEN_PUSH(p->number);
        p->refused = p->stepped = 0;
    }
    PGK_MEET
}

/* One row a lane. A thread each checks it, fills its rings and finds its session at the same time; where the
 * line has to be read again, the first does it all. */
PGK_DEV void pgk_read_row(struct pgk_pusher *p, const struct pgk_gpu_segment *seg,
                          const struct pgk_gpu_plan *plan)
{
    struct pgk_block *b = &p->block;
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

/* States; which lanes are due for a checkpoint. */
PGK_DEV void pgk_tidy_up(struct pgk_pusher *p, const struct pgk_gpu_segment *seg,
                         const struct pgk_gpu_plan *plan, uint32_t tile)
{
    struct pgk_block *b = &p->block;
    pgk_move_on(b, seg, plan);
    PGK_EACH(b, t)
    if (t == 0)
        p->due[tile] = 0;
    PGK_MEET
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES && b->step[t] && b->rows_of[t] > 0) {
        (void)pgk_block_or(&p->stepped, 1u << t);
        if (pgk_point_due(seg, p->series[t], b->row[t]))
            (void)pgk_block_or(&p->due[tile], 1u << t);
    }
    PGK_MEET
    pgk_put_words(b, p->stepped);
}

/* The checkpoints of a tile that has been tidied up, though others have been taken since. */
PGK_DEV void pgk_save_tile(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                           const struct pgk_gpu_plan *plan, uint32_t tile)
{
    if (p->due[tile] == 0)
        return;
    pgk_take_lanes(p, push, plan, tile);
    pgk_take_states(p);
    pgk_write_points(&p->block, pgk_segment_of(p, push, tile), plan, p->series, p->due[tile]);
}

/* ---------------------------------------------------------------------------------------------- launched
 */

PGK_DEV uint64_t pgk_entry_at(const struct pgk_gpu_push *push, uint64_t tile, uint32_t lane)
{
    return push->entry + (tile * PGK_GPU_LANES + lane) * 8;
}

/* The entries of tile `first`, and this push's number. */
PGK_DEV void pgk_read_first(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t first)
{
    PGK_EACH(&p->block, t)
    if (t < PGK_GPU_LANES)
        p->entry[0][t] = pgk_sys_load(pgk_entry_at(push, first, t));
    else if (t == PGK_GPU_LANES)
        p->number =
            (pgk_gpu_load_acquire(&((const struct pgk_gpu_gate *)(uintptr_t)push->gate)->number) + 1) &
            0xffffffff;
    PGK_MEET
}

/* Asks for those of the next ones, every `blocks`-th tile. */
PGK_DEV void pgk_ask_entries(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t first,
                             uint64_t blocks, uint32_t ahead)
{
    PGK_EACH(&p->block, t)
    for (uint32_t i = PGK_GPU_LANES + t; i < ahead * PGK_GPU_LANES; i += p->block.threads)
        pgk_async_load(&p->entry[i / PGK_GPU_LANES][i % PGK_GPU_LANES],
                       pgk_entry_at(push, first + i / PGK_GPU_LANES * blocks, i % PGK_GPU_LANES));
    pgk_async_end();
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

/* Some of the block's tiles, `ahead` of them at most, from `first` on; whether there are more. */
PGK_DEV bool pgk_push_some(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                           const struct pgk_gpu_plan *plan, uint32_t ahead, uint64_t first, uint64_t blocks,
                           uint64_t *failed)
{
    bool more = true;
    uint32_t tiles = 1;
    pgk_ask_bars(p, push, 0);
    pgk_ask_entries(p, push, first, blocks, ahead);
    for (uint32_t tile = 0; tile < tiles; tile++) {
        const struct pgk_gpu_segment *seg = pgk_segment_of(p, push, tile);
        pgk_take_lanes(p, push, plan, tile);
        pgk_take_states(p);
        pgk_wait_for_lines(p);
        more = pgk_more_after(p, tile);
        pgk_read_row(p, seg, plan);
        pgk_step_rows(&p->block, plan);
        if (more && tile + 1 < ahead)
            pgk_ask_bars(p, push, tiles++);
        pgk_write_units(&p->block, seg, plan);
        *failed += pgk_note_problems(p, push, first + tile * blocks);
        if (!more)
            pgk_answer(p, push, blocks, *failed);
        pgk_tidy_up(p, seg, plan, tile);
    }
    for (uint32_t tile = 0; tile < tiles; tile++)
        pgk_save_tile(p, push, plan, tile);
    return more;
}

/* Every `blocks`-th tile from `block` on. */
PGK_DEV void pgk_push_run(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                          const struct pgk_gpu_plan *plan, uint32_t ahead, uint64_t block, uint64_t blocks)
{
    uint64_t failed = 0;
    pgk_read_first(p, push, block);
    if (!pgk_any_lane(p))
        pgk_answer(p, push, blocks, 0);
    else
        for (uint64_t first = block; pgk_push_some(p, push, plan, ahead, first, blocks, &failed);) {
            first += ahead * blocks;
            pgk_read_first(p, push, first);
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
        p->entry[0][t] = entry;
        pgk_take_lane(p, push, plan, 0, t);
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
        const struct pgk_gpu_segment *seg = pgk_segment_of(p, push, 0);
        pgk_ask_bars(p, push, 0);
        pgk_take_states(p);
        pgk_wait_for_lines(p);
        pgk_read_row(p, seg, plan);
        pgk_step_rows(&p->block, plan);
        pgk_write_units(&p->block, seg, plan);
        const uint64_t failed = pgk_note_problems(p, push, block);
        pgk_tell(p, done + offsetof(struct pgk_gpu_done, pushed), p->number << 32 | failed);
        pgk_answered();
        pgk_tidy_up(p, seg, plan, 0);
        pgk_save_tile(p, push, plan, 0);
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
