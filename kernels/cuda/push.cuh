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
    uint64_t number; /* of this push */
    uint64_t mail;   /* a block that stays: number of the mail that it waits for, ... */
    uint64_t since;  /* ... when it had the last, ... */
    uint64_t bell;   /* ... what it last heard, ... */
    uint64_t rung;   /* ... and what the bell says */
    uint64_t entry[PGK_GPU_TILES][PGK_GPU_LANES]; /* of its last tiles and the next, in turn */
    uint32_t tiles;                               /* of this push */
    uint32_t taken;                               /* the tile it has come to */
    uint32_t series[PGK_GPU_LANES];
    uint32_t refused;            /* a bit for each lane whose bar was being revised */
    uint32_t stepped;            /* likewise, whose row was stepped */
    uint32_t due[PGK_GPU_TILES]; /* for a checkpoint */
};

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
PGK_DEV void pgk_ask_word(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint32_t tile, uint32_t i)
{
    const uint32_t word = i % PGK_LINE_WORDS, lane = i / PGK_LINE_WORDS;
    const uint64_t entry = p->entry[tile][lane];
    const struct pgk_gpu_segment *seg = &push->segment[PGK_GPU_ENTRY_SEGMENT(entry)];
    if (PGK_GPU_ENTRY_ANY(entry))
        pgk_async_load(pgk_lines_of(p, tile) + (size_t)word * PGK_GPU_PAD + lane,
                       seg->bars + PGK_GPU_ENTRY_SERIES(entry) * seg->rows_stride +
                           PGK_GPU_ENTRY_SLOT(entry) * seg->bar_stride + word * 8);
}

PGK_DEV void pgk_ask_bars(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint32_t tile)
{
    PGK_EACH(&p->block, t)
    for (uint32_t i = t; i < PGK_GPU_LANES * PGK_LINE_WORDS; i += p->block.threads)
        pgk_ask_word(p, push, tile, i);
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
    uint32_t series = PGK_GPU_ENTRY_SERIES(entry), any = PGK_GPU_ENTRY_ANY(entry);
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

/* The lanes' states say which row it is. */
PGK_DEV void pgk_set_rows(struct pgk_pusher *p, uint64_t number)
{
    struct pgk_block *b = &p->block;
    PGK_EACH(b, t)
    if (t < PGK_GPU_LANES)
        b->row[t] = b->write_from[t] = b->computed[t] = b->word[PGK_GPU_ROW][t];
    if (t == 0) {
        b->gen = PGK_GPU_GEN_PUSH(number);
        p->refused = p->stepped = 0;
    }
    PGK_MEET
}

/* What else the lanes' rows are stepped from. */
PGK_DEV void pgk_take_states(struct pgk_pusher *p, uint64_t number)
{
    pgk_get_words(&p->block);
    pgk_set_rows(p, number);
}

/* Bars and states of a block's first tile. A multiprocessor gets what it asked for in the order in which it
 * asked: so the states come first, which are nearer, and are looked at while the bars are on their way. */
PGK_DEV void pgk_ask_first(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t number)
{
    struct pgk_block *b = &p->block;
    PGK_EACH(b, t)
    const uint32_t lane = t % PGK_GPU_LANES, word = t / PGK_GPU_LANES;
    const bool gets = word < PGK_GPU_WORDS && b->step[lane];
    const uint64_t x = gets ? *pgk_state_word(b, lane, word) : 0;
    for (uint32_t i = t; i < PGK_GPU_LANES * PGK_LINE_WORDS; i += b->threads)
        pgk_ask_word(p, push, 0, i);
    pgk_async_end();
    if (gets)
        b->word[word][lane] = x;
    PGK_MEET
    pgk_set_rows(p, number);
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
    pgk_take_states(p, p->number);
    pgk_write_points(&p->block, pgk_segment_of(p, push, tile), plan, p->series, p->due[tile]);
}

/* ------------------------------------------------------------------------------------------- of all blocks
 */

PGK_DEV struct pgk_gpu_gate *pgk_gate_of(const struct pgk_gpu_push *push)
{
    return (struct pgk_gpu_gate *)(uintptr_t)push->gate;
}

/* What is counted of this push. */
PGK_DEV struct pgk_gpu_count *pgk_count_of(const struct pgk_pusher *p, const struct pgk_gpu_push *push)
{
    return &pgk_gate_of(push)->count[p->number & 1];
}

PGK_DEV uint64_t pgk_entry_at(const struct pgk_gpu_push *push, uint64_t tile, uint32_t lane)
{
    return push->entry + (tile * PGK_GPU_LANES + lane) * 8;
}

/* The entries of a block's first tile. */
PGK_DEV void pgk_read_first(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t tile)
{
    PGK_EACH(&p->block, t)
    if (t < PGK_GPU_LANES)
        p->entry[0][t] = pgk_sys_load(pgk_entry_at(push, tile, t));
    PGK_MEET
}

/* Of a push that was launched: what they say of it. */
PGK_DEV void pgk_read_launched(struct pgk_pusher *p)
{
    PGK_EACH(&p->block, t)
    if (t == 0) {
        uint64_t word = 0;
        for (uint32_t i = 0; i < PGK_GPU_PARTS; i++)
            word |= (uint64_t)PGK_GPU_ENTRY_NUMBER(p->entry[0][i]) << 7 * i;
        p->tiles = PGK_GPU_LAUNCHED_TILES(word);
        p->number = PGK_GPU_NUMBER(word);
    }
    PGK_MEET
}

/* Asks for those of another one. */
PGK_DEV void pgk_ask_entries(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t tile,
                             uint32_t turn)
{
    PGK_EACH(&p->block, t)
    if (t < PGK_GPU_LANES)
        pgk_async_load(&p->entry[turn][t], pgk_entry_at(push, tile, t));
    pgk_async_end();
    PGK_MEET
}

/* The tile after the block's second one, or after any later one: one that no block has come to. */
PGK_DEV uint64_t pgk_take_tile(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t blocks)
{
    if (p->tiles <= 2 * blocks)
        return p->tiles;
    PGK_EACH(&p->block, t)
    if (t == 0)
        p->taken = (uint32_t)pgk_gpu_add(&pgk_count_of(p, push)->taken, 1);
    PGK_MEET
    return 2 * blocks + p->taken;
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

/* The block's units are there. What the next push counts is made ready by block 0: nobody has touched that
 * since the push before this one, and whoever hears of the next push comes after the host, which has had this
 * answer before. */
PGK_DEV void pgk_answer(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t block,
                        uint64_t problems)
{
    struct pgk_gpu_count *next = &pgk_gate_of(push)->count[(p->number + 1) & 1];
    PGK_EACH(&p->block, t)
    if (t == 0 && block == 0)
        next->settled = next->taken = 0;
    PGK_MEET
    pgk_tell(p, push->answer + block * 8, PGK_GPU_ANSWER(p->number, problems));
    pgk_answered();
}

/* A block's part. While it waits for a tile's bars it asks which is its next one, and for its entries. */
PGK_DEV void pgk_push_run(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                          const struct pgk_gpu_plan *plan, uint64_t block, uint64_t blocks, bool launched)
{
    uint64_t failed = 0, tile = block, next = block + blocks;
    uint32_t k = 0;
    pgk_read_first(p, push, block);
    if (launched)
        pgk_read_launched(p);
    const uint32_t tiles = p->tiles;
    if (tile >= tiles) {
        pgk_answer(p, push, block, 0);
        return;
    }
    pgk_take_lanes(p, push, plan, 0);
    pgk_ask_first(p, push, p->number);
    for (;; k++, tile = next) {
        const uint32_t turn = k % PGK_GPU_TILES, after = (k + 1) % PGK_GPU_TILES;
        const struct pgk_gpu_segment *seg = pgk_segment_of(p, push, turn);
        if (k > 0) {
            if (k >= PGK_GPU_TILES - 1)
                pgk_save_tile(p, push, plan, after);
            next = pgk_take_tile(p, push, blocks);
            pgk_take_lanes(p, push, plan, turn);
            pgk_take_states(p, p->number);
        }
        if (next < tiles)
            pgk_ask_entries(p, push, next, after);
        pgk_wait_for_lines(p);
        pgk_read_row(p, seg, plan);
        pgk_step_rows(&p->block, plan);
        if (next < tiles)
            pgk_ask_bars(p, push, after);
        pgk_write_units(&p->block, seg, plan);
        failed += pgk_note_problems(p, push, tile);
        if (next >= tiles)
            pgk_answer(p, push, block, failed);
        pgk_tidy_up(p, seg, plan, turn);
        if (next >= tiles)
            break;
    }
    for (uint32_t i = k < PGK_GPU_TILES - 2 ? 0 : k - (PGK_GPU_TILES - 2); i <= k; i++)
        pgk_save_tile(p, push, plan, i % PGK_GPU_TILES);
}

/* ------------------------------------------------------------------------------------------ blocks that stay
 *
 * Block 0 alone decides that all leave, and hears alone of pushes of all blocks; it tells the others by the
 * bell. What the host did before it wrote that mail, block 0 has seen (acquire); it rings (release, of the
 * GPU), the others hear (acquire): so they see it too. The bell does not ring again before all blocks have
 * settled, so no block misses a ring; and a block that hears that it is to leave has had its mail before, or
 * the host finds that mail unanswered and launches anew. */

enum pgk_event { PGK_NOTHING, PGK_MAIL, PGK_RUNG, PGK_LATE };

PGK_DEV uint64_t pgk_mail_of(const struct pgk_gpu_stay *stay, uint64_t block)
{
    return stay->mail + block * sizeof(struct pgk_gpu_mail);
}

PGK_DEV void pgk_begin_stay(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                            const struct pgk_gpu_stay *stay, uint64_t block)
{
    PGK_EACH(&p->block, t)
    if (t == 0) {
        p->mail = block >= stay->mails
                      ? 0
                      : pgk_sys_load(pgk_mail_of(stay, block) + offsetof(struct pgk_gpu_mail, from)) + 1;
        p->since = pgk_clock();
        p->bell = p->rung = pgk_gate_of(push)->left;
        pgk_sys_fence();
        (void)pgk_gpu_add(&pgk_gate_of(push)->here, 1);
    }
    PGK_MEET
}

/* What a block waited for. Lanes each look at their entry, and take it for themselves if it is new: all of
 * them do in the end, or none counts. Another thread looks at the bell. */
PGK_DEV enum pgk_event pgk_look(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                                const struct pgk_gpu_stay *stay, const struct pgk_gpu_plan *plan,
                                uint64_t block)
{
    bool missing = false, other = false;
    PGK_EACH(&p->block, t)
    bool misses = block >= stay->mails;
    if (t < PGK_GPU_LANES && !misses) {
        const uint64_t entry = pgk_sys_load_acquire(pgk_mail_of(stay, block) + t * 8);
        misses = PGK_GPU_ENTRY_NUMBER(entry) != ((uint32_t)p->mail & 127);
        if (!misses) {
            p->entry[0][t] = entry;
            pgk_take_lane(p, push, plan, 0, t);
        }
    } else if (t == PGK_GPU_LANES && block > 0) {
        p->rung = pgk_gpu_load_acquire(&pgk_gate_of(push)->bell);
    }
    PGK_MEET_ANY(missing, misses)
    if (!missing)
        return PGK_MAIL;
    PGK_EACH(&p->block, t)
    bool late = false;
    if (t == 0) {
        late = block == 0 && pgk_clock() - p->since > stay->stay_ns;
        pgk_spin();
    }
    PGK_MEET_ANY(other, late || p->rung != p->bell)
    return !other ? PGK_NOTHING : block == 0 ? PGK_LATE : PGK_RUNG;
}

/* Block 0: all blocks are to push. */
PGK_DEV void pgk_ring(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t tiles, uint64_t number)
{
    PGK_EACH(&p->block, t)
    if (t == 0) {
        p->bell = p->rung = PGK_GPU_BELL(p->bell, tiles, number);
        pgk_gpu_store_release(&pgk_gate_of(push)->bell, p->bell);
    }
    PGK_MEET
}

/* Block 0: all blocks are to leave, once they have come: each takes the bell as it is then for what it has
 * heard. */
PGK_DEV void pgk_ring_out(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                          const struct pgk_gpu_stay *stay, uint64_t blocks)
{
    struct pgk_gpu_gate *gate = pgk_gate_of(push);
    PGK_EACH(&p->block, t)
    if (t == 0) {
        while (pgk_gpu_load_acquire(&gate->here) != blocks)
            pgk_spin();
        gate->here = 0;
        gate->left = PGK_GPU_BELL(p->bell, 0, 0);
        gate->launch = pgk_sys_load(stay->launch);
        pgk_gpu_store_release(&gate->bell, gate->left);
    }
    PGK_MEET
}

PGK_DEV void pgk_hear(struct pgk_pusher *p)
{
    PGK_EACH(&p->block, t)
    if (t == 0)
        p->bell = p->rung;
    PGK_MEET
}

/* Block 0: until all have settled. */
PGK_DEV void pgk_wait_for_all(struct pgk_pusher *p, const struct pgk_gpu_push *push, uint64_t blocks)
{
    PGK_EACH(&p->block, t)
    if (t == 0)
        while (pgk_gpu_load_acquire(&pgk_count_of(p, push)->settled) != blocks)
            pgk_spin();
    PGK_MEET
}

/* A block's part of what was rung for. */
PGK_DEV void pgk_push_rung(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                           const struct pgk_gpu_plan *plan, uint64_t block, uint64_t blocks)
{
    PGK_EACH(&p->block, t)
    if (t == 0) {
        p->number = PGK_GPU_BELL_NUMBER(p->bell);
        p->tiles = PGK_GPU_BELL_TILES(p->bell);
    }
    PGK_MEET
    pgk_push_run(p, push, plan, block, blocks, false);
    PGK_EACH(&p->block, t)
    if (t == 0) {
        pgk_sys_fence();
        (void)pgk_gpu_add(&pgk_count_of(p, push)->settled, 1);
    }
    PGK_MEET
    if (block == 0)
        pgk_wait_for_all(p, push, blocks);
}

/* The tile that came as mail. */
PGK_DEV void pgk_push_mail(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                           const struct pgk_gpu_plan *plan, uint64_t block, uint64_t done)
{
    const struct pgk_gpu_segment *seg = pgk_segment_of(p, push, 0);
    pgk_ask_first(p, push, p->mail);
    pgk_wait_for_lines(p);
    pgk_read_row(p, seg, plan);
    pgk_step_rows(&p->block, plan);
    pgk_write_units(&p->block, seg, plan);
    const uint64_t failed = pgk_note_problems(p, push, block);
    pgk_tell(p, done + offsetof(struct pgk_gpu_done, pushed), PGK_GPU_ANSWER(p->mail, failed));
    pgk_answered();
    pgk_tidy_up(p, seg, plan, 0);
    pgk_save_tile(p, push, plan, 0);
}

/* What came as mail; false: all are to leave. */
PGK_DEV bool pgk_take_mail(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                           const struct pgk_gpu_stay *stay, const struct pgk_gpu_plan *plan, uint64_t block,
                           uint64_t blocks)
{
    const uint64_t done = stay->done + block * sizeof(struct pgk_gpu_done), entry = p->entry[0][0];
    if (PGK_GPU_ENTRY_SERIES(entry) == PGK_GPU_ENTRY_GO)
        return false;
    if (PGK_GPU_ENTRY_SERIES(entry) == PGK_GPU_ENTRY_ALL) {
        pgk_ring(p, push, PGK_GPU_ENTRY_SLOT(p->entry[0][1]), PGK_GPU_ENTRY_SLOT(entry));
        pgk_push_rung(p, push, plan, block, blocks);
        pgk_tell(p, done + offsetof(struct pgk_gpu_done, pushed), PGK_GPU_ANSWER(p->mail, 0));
    } else {
        pgk_push_mail(p, push, plan, block, done);
    }
    pgk_tell(p, done + offsetof(struct pgk_gpu_done, settled), p->mail);
    PGK_EACH(&p->block, t)
    if (t == 0) {
        p->mail++;
        p->since = pgk_clock();
    }
    PGK_MEET
    return true;
}

PGK_DEV void pgk_stay_run(struct pgk_pusher *p, const struct pgk_gpu_push *push,
                          const struct pgk_gpu_stay *stay, const struct pgk_gpu_plan *plan, uint64_t block,
                          uint64_t blocks)
{
    bool stays = true;
    pgk_begin_stay(p, push, stay, block);
    while (stays) {
        const enum pgk_event event = pgk_look(p, push, stay, plan, block);
        if (event == PGK_MAIL) {
            stays = pgk_take_mail(p, push, stay, plan, block, blocks);
        } else if (event == PGK_RUNG) {
            pgk_hear(p);
            stays = PGK_GPU_BELL_TILES(p->bell) != 0;
            if (stays)
                pgk_push_rung(p, push, plan, block, blocks);
        } else {
            stays = event != PGK_LATE;
        }
    }
    if (block == 0)
        pgk_ring_out(p, push, stay, blocks);
    if (block < stay->mails)
        pgk_tell(p, stay->done + block * sizeof(struct pgk_gpu_done) + offsetof(struct pgk_gpu_done, left),
                 pgk_gpu_load_acquire(&pgk_gate_of(push)->launch));
}

#endif
