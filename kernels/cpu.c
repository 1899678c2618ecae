#include "cpu.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pool.h"
#include "shm/atomic.h"

#define HOT_ROOM    8u  /* rows pushed between two moves of a hot tile's past */
#define SHARE_TILES 64u /* fewer are not worth waking a thread for */
#define SHARE_ROWS  4096u
#define PAST_BYTES  (UINT64_C(8) << 20) /* units that are more than this leave the caches anyway */
#ifndef PREFETCH
#define PREFETCH 2u /* tiles ahead that the rows of one are asked for */
#endif

struct pgk_cpu_thread {
    struct pgk_block block; /* for hot tiles */
    struct pgk_sweep *sweep;
    uint64_t *words;
    uint8_t apart[PGD_LINE]; /* no two threads on one line */
};

static struct pgk_tile *hot_tile(const struct pgk_cpu *cpu, const struct pgk_cpu_segment *segment,
                                 uint32_t tile)
{
    return (struct pgk_tile *)(void *)(segment->hot + tile * cpu->hot.size);
}

/* ------------------------------------------------------------------------------------------------- set up */

static int init_thread(struct pgk_cpu *cpu, struct pgk_cpu_thread *thread)
{
    thread->words = calloc(cpu->plan.words + 1, sizeof *thread->words);
    if (thread->words == NULL)
        return -ENOMEM;
    int rc = pgk_block_init(&thread->block, &cpu->hot, cpu->simd);
    thread->block.keep = true;
    return rc != 0 ? rc : pgk_sweep_new(&thread->sweep, &cpu->plan, cpu->simd);
}

int pgk_cpu_init(struct pgk_cpu *cpu, const struct pgk_plan *plan, uint32_t threads, const char *isa)
{
    *cpu = (struct pgk_cpu){.plan = *plan, .simd = pgk_simd_pick(isa), .threads = threads};
    if (cpu->simd == NULL)
        return -ENOTSUP;
    pgk_layout_init(&cpu->hot, &cpu->plan, HOT_ROOM);
    size_t bytes = threads * sizeof *cpu->thread;
    cpu->thread = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (cpu->thread == NULL)
        return -ENOMEM;
    memset(cpu->thread, 0, bytes);
    int rc = 0;
    for (uint32_t i = 0; i < threads && rc == 0; i++)
        rc = init_thread(cpu, &cpu->thread[i]);
    if (rc == 0 && threads > 1)
        rc = pgk_pool_new(&cpu->pool, threads);
    if (rc != 0)
        pgk_cpu_fini(cpu);
    return rc;
}

void pgk_cpu_fini(struct pgk_cpu *cpu)
{
    pgk_pool_free(cpu->pool);
    for (uint32_t i = 0; cpu->thread != NULL && i < cpu->threads; i++) {
        pgk_block_fini(&cpu->thread[i].block);
        pgk_sweep_free(cpu->thread[i].sweep);
        free(cpu->thread[i].words);
    }
    free(cpu->thread);
    *cpu = (struct pgk_cpu){0};
}

int pgk_cpu_bind(struct pgk_cpu *cpu, struct pgk_cpu_segment *ret, void *base,
                 const struct pgd_bars_geometry *geo)
{
    size_t tiles = (geo->series_max + PGK_TILE - 1) / PGK_TILE;
    struct pgk_cpu_segment segment = {.base = base, .geo = *geo, .hot_bytes = tiles * cpu->hot.size};
    segment.row = calloc(geo->series_max, sizeof *segment.row);
    segment.slot = calloc(geo->series_max, sizeof *segment.slot);
    segment.ahead = calloc(geo->series_max, sizeof *segment.ahead);
    segment.call = calloc(geo->series_max, sizeof *segment.call);
    segment.change = calloc(geo->series_max, sizeof *segment.change);
    segment.lanes = calloc(tiles, sizeof *segment.lanes);
    segment.listed = calloc(tiles, sizeof *segment.listed);
    void *hot = mmap(NULL, segment.hot_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    segment.hot = hot == MAP_FAILED ? NULL : hot;
    if (segment.hot != NULL)
        (void)madvise(hot, segment.hot_bytes, MADV_HUGEPAGE);
    if (segment.hot == NULL || segment.row == NULL || segment.slot == NULL || segment.ahead == NULL ||
        segment.call == NULL || segment.change == NULL || segment.lanes == NULL || segment.listed == NULL) {
        pgk_cpu_unbind(&segment);
        return -ENOMEM;
    }
    memset(segment.row, 0xff, geo->series_max * sizeof *segment.row);
    *ret = segment;
    return 0;
}

void pgk_cpu_unbind(struct pgk_cpu_segment *segment)
{
    if (segment->hot != NULL)
        munmap(segment->hot, segment->hot_bytes);
    free(segment->row);
    free(segment->slot);
    free(segment->ahead);
    free(segment->call);
    free(segment->change);
    free(segment->lanes);
    free(segment->listed);
    *segment = (struct pgk_cpu_segment){0};
}

void pgk_cpu_extent(struct pgk_cpu *cpu, struct pgk_cpu_segment *segment, uint32_t first, uint32_t count)
{
    const size_t page = 4096; /* or more: then some are touched twice */
    if (count == 0)
        return;
    size_t from = first / PGK_TILE * cpu->hot.size, to = ((first + count - 1) / PGK_TILE + 1) * cpu->hot.size;
    for (size_t at = from; at < to; at += page) {
        volatile uint8_t *byte = segment->hot + at;
        *byte = *byte;
    }
}

void pgk_cpu_forget(struct pgk_cpu *cpu, struct pgk_cpu_segment *segment, uint32_t series)
{
    segment->row[series] = PGK_COLD;
    hot_tile(cpu, segment, series / PGK_TILE)->held[series % PGK_TILE] = 0;
}

/* --------------------------------------------------------------------------------------------------- call */

struct call {
    struct pgk_cpu *cpu;
    struct pgk_cpu_segment *segment;
    struct pgk_change *changes;
    size_t count;
    uint64_t round;
    uint32_t listed;
    size_t next;       /* change to be looked at; shared by the threads */
    size_t later;      /* changes of a series that has one in this round already */
    uint64_t long_way; /* rows that changed otherwise */
};

static bool is_hot(const struct call *call, const struct pgk_change *change)
{
    return call->segment->row[change->series] == change->from && change->end == change->from + 1;
}

static void cool(const struct call *call, uint32_t series)
{
    pgk_cpu_forget(call->cpu, call->segment, series);
}

/* Sorts the changes of a round: rows for hot tiles, the rest as tasks, second ones for a later round. */
static void sort_changes(struct call *call)
{
    struct pgk_cpu_segment *segment = call->segment;
    call->listed = 0;
    call->long_way = 0;
    call->later = 0;
    call->next = 0;
    for (size_t i = 0; i < call->count; i++) {
        struct pgk_change *change = &call->changes[i];
        uint32_t series = change->series, tile = series / PGK_TILE;
        if (change->reserved == PGK_CHANGE_DONE)
            continue;
        if (segment->call[series] == call->round) {
            call->later++;
            continue;
        }
        segment->call[series] = call->round;
        segment->change[series] = (uint32_t)i;
        if (!is_hot(call, change)) {
            if (segment->row[series] != PGK_COLD)
                cool(call, series);
            call->long_way += change->end > change->from ? change->end - change->from : 1;
            continue;
        }
        if (segment->lanes[tile] == 0)
            segment->listed[call->listed++] = tile;
        segment->lanes[tile] |= (uint8_t)(1u << series % PGK_TILE);
    }
}

/* -------------------------------------------------------------------------------------------- hot tiles */

/* What is asked for ahead of its use: the lines of a tile that one row is stepped from ... */
static void prefetch_tile(const struct call *call, uint32_t number)
{
    const struct pgk_layout *layout = &call->cpu->hot;
    const struct pgk_plan *plan = &call->cpu->plan;
    struct pgk_tile *tile = hot_tile(call->cpu, call->segment, number);
    for (uint32_t f = 0; f < plan->fields; f++) {
        const double *now = pgk_tile_now(layout, tile, f);
        for (uint32_t i = 0; i <= layout->reach[f]; i++)
            __builtin_prefetch(now - (size_t)i * PGK_TILE, 1);
    }
    for (uint32_t w = 0; w < plan->words; w++)
        __builtin_prefetch(pgk_tile_word(tile, w), 1);
}

static const uint8_t *head_of(const struct pgk_cpu_segment *segment, uint32_t s)
{
    return (const uint8_t *)segment->base + segment->geo.series_offset + s * segment->geo.series_stride;
}

static size_t bar_of(const struct pgk_cpu_segment *segment, uint32_t s)
{
    return segment->geo.bar_offset + s * segment->geo.rows_stride;
}

static size_t unit_of(const struct pgk_cpu_segment *segment, uint32_t s)
{
    return segment->geo.unit_offset + s * segment->geo.rows_stride;
}

/* ... and, before that, the bars, the units and the heads of its series, which are all over the segment. Only
 * addresses are worked out: whatever is read here is waited for. */
static void prefetch_rows(const struct call *call, uint32_t number)
{
    const struct pgk_cpu_segment *segment = call->segment;
    const struct pgd_bars_geometry *geo = &segment->geo;
    const uint8_t *base = segment->base, *tile = (const uint8_t *)hot_tile(call->cpu, segment, number);
    const uint32_t lanes = segment->lanes[number];
    const size_t bytes = (geo->columns + 1) * sizeof(double);
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        uint32_t s = number * PGK_TILE + l;
        if (!(lanes & 1u << l))
            continue;
        const uint8_t *head = head_of(segment, s);
        const uint8_t *unit = base + unit_of(segment, s) + (size_t)segment->slot[s] * geo->unit_stride;
        __builtin_prefetch(base + bar_of(segment, s) + (size_t)segment->slot[s] * geo->bar_stride);
        for (size_t at = 0; at < bytes; at += PGD_LINE)
            __builtin_prefetch(unit + at, 1);
        (void)shm_load32(head + offsetof(struct pgd_series, session));
        __builtin_prefetch(head + offsetof(struct pgd_series, computed), 1);
    }
    for (size_t at = 0; at < sizeof(struct pgk_tile); at += PGD_LINE)
        __builtin_prefetch(tile + at, 1);
}

static void want_lane(const struct call *call, struct pgk_lane *lane, uint32_t s, uint64_t row)
{
    const struct pgk_cpu_segment *segment = call->segment;
    pgk_series_init(&lane->series, segment->base, &segment->geo, s);
    lane->slot = segment->slot[s];
    lane->want = 1;
    lane->ahead = false;
    lane->write_from = lane->computed = row;
}

static void save_lane(struct call *call, struct pgk_cpu_thread *thread, struct pgk_tile *tile, uint32_t s)
{
    struct pgk_checkpoints points;
    pgk_checkpoints_init(&points, &call->cpu->plan, call->segment->base, &call->segment->geo, s);
    pgk_tile_get_state(&call->cpu->hot, tile, s % PGK_TILE, thread->words);
    pgk_checkpoints_store(&points, tile->row[s % PGK_TILE], tile->origin[s % PGK_TILE], thread->words,
                          call->cpu->plan.words);
    call->segment->ahead[s] = points.every;
}

static void did_lane(struct call *call, struct pgk_cpu_thread *thread, struct pgk_tile *tile, uint32_t s)
{
    struct pgk_lane *lane = &thread->block.lane[s % PGK_TILE];
    struct pgk_cpu_segment *segment = call->segment;
    struct pgk_change *change = &call->changes[segment->change[s]];
    uint64_t row = tile->row[s % PGK_TILE];
    change->reserved = PGK_CHANGE_DONE;
    change->done_first = change->done_end = change->from;
    if (lane->outcome == PGK_LAPPED) {
        change->reserved = 0; /* the long way */
        cool(call, s);
        __atomic_fetch_add(&call->long_way, 1, __ATOMIC_RELAXED);
    }
    if (lane->rows == 0)
        return;
    change->done_end = row;
    segment->row[s] = row;
    segment->slot[s] = (uint32_t)lane->slot;
    shm_store64_release(&lane->series.head->computed, row);
    if (--segment->ahead[s] == 0)
        save_lane(call, thread, tile, s);
}

static void push_tile(struct call *call, struct pgk_cpu_thread *thread, uint32_t number)
{
    struct pgk_cpu_segment *segment = call->segment;
    struct pgk_tile *tile = hot_tile(call->cpu, segment, number);
    uint8_t lanes = segment->lanes[number];
    segment->lanes[number] = 0;
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        thread->block.lane[l].want = 0;
        if (lanes & 1u << l)
            want_lane(call, &thread->block.lane[l], number * PGK_TILE + l, tile->row[l]);
    }
    pgk_block_run(&thread->block, tile, call->cpu->gen);
    for (uint32_t l = 0; l < PGK_TILE; l++)
        if (lanes & 1u << l)
            did_lane(call, thread, tile, number * PGK_TILE + l);
}

static void push_share(void *user, uint32_t thread)
{
    struct call *call = user;
    const uint32_t *listed = call->segment->listed;
    size_t threads = call->cpu->threads;
    size_t from = call->listed * (size_t)thread / threads, to = call->listed * ((size_t)thread + 1) / threads;
    for (size_t i = from; i < to; i++) {
        if (i + PREFETCH < to)
            prefetch_rows(call, listed[i + PREFETCH]);
        if (i + 1 < to)
            prefetch_tile(call, listed[i + 1]);
        push_tile(call, &call->cpu->thread[thread], listed[i]);
    }
}

/* -------------------------------------------------------------------------------------------------- tasks */

/* The next change that is to go the long way. Threads take them in turn. */
static bool next_task(void *user, struct pgk_task *ret)
{
    struct call *call = user;
    struct pgk_cpu_segment *segment = call->segment;
    for (;;) {
        size_t i = __atomic_fetch_add(&call->next, 1, __ATOMIC_RELAXED);
        if (i >= call->count)
            return false;
        struct pgk_change *change = &call->changes[i];
        if (change->reserved == PGK_CHANGE_DONE || segment->change[change->series] != i)
            continue;
        change->reserved = PGK_CHANGE_DONE;
        if (pgk_task_open(ret, &call->cpu->plan, segment->base, &segment->geo, change))
            return true;
    }
}

/* The series is hot from now on. */
static void task_done(void *user, const struct pgk_task *task, enum pgk_outcome outcome,
                      const struct pgk_layout *layout, struct pgk_tile *tile, uint32_t lane)
{
    const struct call *call = user;
    uint32_t series = task->change->series;
    if (outcome != PGK_REACHED || tile->row[lane] != task->end || tile->held[lane] == 0)
        return;
    call->segment->row[series] = task->end;
    call->segment->slot[series] = (uint32_t)(task->end % task->series.capacity);
    call->segment->ahead[series] = (uint32_t)pgk_checkpoints_ahead(&task->points, task->end);
    pgk_tile_copy(&call->cpu->hot, hot_tile(call->cpu, call->segment, series / PGK_TILE), series % PGK_TILE,
                  layout, tile, lane);
}

static void sweep_share(void *user, uint32_t thread)
{
    struct call *call = user;
    struct pgk_sweep_hooks hooks = {next_task, task_done, call};
    bool past = call->segment->past && call->long_way * call->segment->geo.unit_stride > PAST_BYTES;
    pgk_sweep_run(call->cpu->thread[thread].sweep, &hooks, call->cpu->gen, past);
}

/* ----------------------------------------------------------------------------------------------- together */

static void share(struct call *call, bool worth, void (*work)(void *user, uint32_t thread))
{
    if (call->cpu->pool != NULL && worth) {
        pgk_pool_run(call->cpu->pool, work, call);
        return;
    }
    uint32_t threads = call->cpu->threads;
    call->cpu->threads = 1;
    work(call, 0);
    call->cpu->threads = threads;
}

void pgk_cpu_compute(struct pgk_cpu *cpu, struct pgk_cpu_segment *segment, struct pgk_change *changes,
                     size_t count)
{
    struct call call = {.cpu = cpu, .segment = segment, .changes = changes, .count = count};
    cpu->gen++;
    do {
        call.round = ++cpu->round;
        sort_changes(&call);
        if (call.listed > 0)
            share(&call, call.listed >= SHARE_TILES, push_share);
        if (call.long_way > 0)
            share(&call, call.long_way >= SHARE_ROWS, sweep_share);
    } while (call.later > 0);
}
