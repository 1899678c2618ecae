#include "cpu.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pool.h"
#include "push.h"
#include "shm/atomic.h"

#define HUGE        ((size_t)2 << 20) /* a mapping of whole large pages begins on one */
#define SHARE_TILES 64u               /* fewer are not worth waking a thread for */
#define SHARE_ROWS  4096u
#define PAST_BYTES  (UINT64_C(8) << 20) /* units that are more than this leave the caches anyway */

struct pgk_cpu_thread {
    struct pgk_pusher pusher;
    struct pgk_sweep *sweep;
    uint8_t apart[PGD_LINE]; /* no two threads on one line */
};

/* ------------------------------------------------------------------------------------------------- set up */

static int init_thread(struct pgk_cpu *cpu, struct pgk_cpu_thread *thread)
{
    int rc = pgk_pusher_init(&thread->pusher, &cpu->hot, cpu->simd);
    return rc != 0 ? rc : pgk_sweep_new(&thread->sweep, &cpu->plan, cpu->simd);
}

int pgk_cpu_init(struct pgk_cpu *cpu, const struct pgk_plan *plan, uint32_t threads, const char *isa)
{
    *cpu = (struct pgk_cpu){.plan = *plan, .simd = pgk_simd_pick(isa), .threads = threads};
    if (cpu->simd == NULL)
        return -ENOTSUP;
    pgk_layout_init(&cpu->hot, &cpu->plan, 1);
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
        pgk_pusher_fini(&cpu->thread[i].pusher);
        pgk_sweep_free(cpu->thread[i].sweep);
    }
    free(cpu->thread);
    *cpu = (struct pgk_cpu){0};
}

int pgk_cpu_bind(struct pgk_cpu *cpu, struct pgk_cpu_segment *ret, void *base,
                 const struct pgd_bars_geometry *geo)
{
    size_t tiles = (geo->series_max + PGK_TILE - 1) / PGK_TILE;
    size_t bytes = tiles * cpu->hot.size;
    bytes = bytes < HUGE ? bytes : (bytes + HUGE - 1) / HUGE * HUGE;
    struct pgk_cpu_segment segment = {.base = base, .geo = *geo, .tiles_bytes = bytes};
    segment.hot = aligned_alloc(64, tiles * sizeof *segment.hot);
    segment.listed = calloc(tiles, sizeof *segment.listed);
    void *map = mmap(NULL, segment.tiles_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    segment.tiles = map == MAP_FAILED ? NULL : map;
    if (segment.tiles != NULL)
        (void)madvise(map, segment.tiles_bytes, MADV_HUGEPAGE);
    if (segment.tiles == NULL || segment.hot == NULL || segment.listed == NULL) {
        pgk_cpu_unbind(&segment);
        return -ENOMEM;
    }
    for (size_t i = 0; i < tiles; i++) {
        segment.hot[i] = (struct pgk_hot){.round = 0};
        memset(segment.hot[i].row, 0xff, sizeof segment.hot[i].row); /* PGK_COLD */
    }
    *ret = segment;
    return 0;
}

void pgk_cpu_unbind(struct pgk_cpu_segment *segment)
{
    if (segment->tiles != NULL)
        munmap(segment->tiles, segment->tiles_bytes);
    free(segment->hot);
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
        volatile uint8_t *byte = segment->tiles + at;
        *byte = *byte;
    }
}

void pgk_cpu_forget(struct pgk_cpu *cpu, struct pgk_cpu_segment *segment, uint32_t series)
{
    struct pgk_hot *hot = pgk_hot_of(segment, series);
    if (hot->row[series % PGK_TILE] == PGK_COLD)
        return;
    hot->row[series % PGK_TILE] = PGK_COLD;
    pgk_hot_tile(cpu, segment, series / PGK_TILE)->held[series % PGK_TILE] = 0;
}

/* --------------------------------------------------------------------------------------------------- call */

/* Row `row` of a series of a hot tile is done, unless did_lane finds otherwise: said here, where the line is
 * at hand, and not when it has been pushed. */
static inline void will_do(struct pgk_change *change, uint64_t row)
{
    change->reserved = PGK_CHANGE_DONE;
    change->done_first = row;
    change->done_end = row + 1;
}

/* One new row of each lane of a tile, in order, as when the bars of a minute come together: true when the
 * eight changes are that. */
static inline bool sort_tile(struct pgk_call *call, struct pgk_hot *hot, size_t i, bool first_round)
{
    struct pgk_change *change = &call->changes[i];
    const uint32_t first = change->series;
    uint64_t other = 0;
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        other |= (change[l].series ^ (first + l)) | (change[l].from ^ hot->row[l]) |
                 (change[l].end - change[l].from - 1);
        other |= first_round ? 0 : change[l].reserved;
    }
    if (other != 0)
        return false;
    for (uint32_t l = 0; l < PGK_TILE; l++)
        will_do(&change[l], hot->row[l]);
    for (uint32_t l = 0; l < PGK_TILE; l++)
        hot->change[l] = (uint32_t)i + l;
    hot->round = call->round;
    hot->seen = hot->lanes = 0xff;
    call->segment->listed[call->listed++] = first / PGK_TILE;
    return true;
}

static inline void sort_change(struct pgk_call *call, struct pgk_hot *hot, size_t i, bool first_round)
{
    struct pgk_change *change = &call->changes[i];
    const uint32_t series = change->series, l = series % PGK_TILE, bit = 1u << l;
    if (first_round)
        change->reserved = 0;
    if (change->reserved == PGK_CHANGE_DONE)
        return;
    if (hot->seen & bit) {
        call->later++;
        return;
    }
    hot->seen = (uint8_t)(hot->seen | bit);
    hot->change[l] = (uint32_t)i;
    if (hot->row[l] != change->from || change->end != change->from + 1) {
        pgk_cpu_forget(call->cpu, call->segment, series);
        pgk_hot_level(call->cpu, call->segment, series / PGK_TILE); /* task_done puts it there */
        call->long_way += change->end > change->from ? change->end - change->from : 1;
        return;
    }
    will_do(change, change->from);
    hot->lanes = (uint8_t)(hot->lanes | bit);
}

/* The changes from the i-th on that are of its tile: the first that is not. */
static inline size_t sort_some(struct pgk_call *call, struct pgk_hot *hot, size_t i, bool first_round)
{
    const uint32_t number = call->changes[i].series / PGK_TILE, series_max = call->segment->geo.series_max;
    if (hot->round != call->round) {
        hot->round = call->round;
        hot->seen = hot->lanes = 0;
    }
    const bool listed = hot->lanes != 0;
    do {
        sort_change(call, hot, i, first_round);
    } while (++i < call->count && call->changes[i].series / PGK_TILE == number &&
             call->changes[i].series < series_max);
    if (!listed && hot->lanes != 0)
        call->segment->listed[call->listed++] = number;
    return i;
}

static inline bool sort_as(struct pgk_call *call, bool first_round)
{
    const uint32_t series_max = call->segment->geo.series_max;
    for (size_t i = 0; i < call->count;) {
        const struct pgk_change *change = &call->changes[i];
        const uint32_t series = change->series;
        if (series >= series_max)
            return false;
        struct pgk_hot *hot = pgk_hot_of(call->segment, series);
        if (series % PGK_TILE == 0 && i + PGK_TILE <= call->count &&
            change[PGK_TILE - 1].series == series + PGK_TILE - 1 && hot->round != call->round &&
            sort_tile(call, hot, i, first_round))
            i += PGK_TILE;
        else
            i = sort_some(call, hot, i, first_round);
    }
    return true;
}

/* Sorts the changes of a round: rows for hot tiles, the rest as tasks, second ones for a later round. False:
 * there is one of a series that is not there. */
static bool sort_changes(struct pgk_call *call)
{
    const bool sorted = call->sorted;
    call->listed = 0;
    call->long_way = 0;
    call->later = 0;
    call->next = 0;
    call->sorted = true;
    return sorted ? sort_as(call, false) : sort_as(call, true);
}

static void push_share(void *user, uint32_t thread)
{
    struct pgk_call *call = user;
    size_t threads = call->cpu->threads, listed = call->listed;
    pgk_push_tiles(call, &call->cpu->thread[thread].pusher, listed * thread / threads,
                   listed * (thread + (size_t)1) / threads);
}

/* -------------------------------------------------------------------------------------------------- tasks */

/* The next change that is to go the long way. Threads take them in turn. */
static bool next_task(void *user, struct pgk_task *ret)
{
    struct pgk_call *call = user;
    struct pgk_cpu_segment *segment = call->segment;
    for (;;) {
        size_t i = __atomic_fetch_add(&call->next, 1, __ATOMIC_RELAXED);
        if (i >= call->count)
            return false;
        struct pgk_change *change = &call->changes[i];
        if (change->reserved == PGK_CHANGE_DONE ||
            pgk_hot_of(segment, change->series)->change[change->series % PGK_TILE] != i)
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
    const struct pgk_call *call = user;
    uint32_t series = task->change->series, to_lane = series % PGK_TILE;
    if (outcome != PGK_REACHED || tile->row[lane] != task->end || tile->held[lane] == 0)
        return;
    struct pgk_tile *to = pgk_hot_tile(call->cpu, call->segment, series / PGK_TILE);
    struct pgk_hot *hot = pgk_hot_of(call->segment, series);
    hot->row[to_lane] = task->end;
    hot->slot[to_lane] = (uint32_t)(task->end % task->series.capacity);
    hot->ahead[to_lane] = (uint32_t)pgk_checkpoints_ahead(&task->points, task->end);
    pgk_tile_copy(&call->cpu->hot, to, to_lane, layout, tile, lane);
    hot->steady[to_lane] = pgk_block_steady(&call->cpu->thread[0].pusher.block, to, to_lane);
}

static void sweep_share(void *user, uint32_t thread)
{
    struct pgk_call *call = user;
    struct pgk_sweep_hooks hooks = {next_task, task_done, call};
    bool past = call->segment->past && call->long_way * call->segment->geo.unit_stride > PAST_BYTES;
    pgk_sweep_run(call->cpu->thread[thread].sweep, &hooks, call->cpu->gen, past);
}

/* ----------------------------------------------------------------------------------------------- together */

static void share(struct pgk_call *call, bool worth, void (*work)(void *user, uint32_t thread))
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

/* Takes back what was said of the changes. */
static int refuse(struct pgk_call *call)
{
    for (size_t i = 0; i < call->count; i++) {
        struct pgk_change *change = &call->changes[i];
        change->reserved = 0;
        change->done_first = change->done_end = change->from;
    }
    return -EINVAL;
}

/* Rounds until every change has had its turn. */
static int run(struct pgk_call *call)
{
    struct pgk_cpu *cpu = call->cpu;
    cpu->gen = (cpu->gen + 1) % PGK_GEN_CPU;
    do {
        call->round = ++cpu->round;
        if (!sort_changes(call))
            return refuse(call);
        if (call->listed > 0)
            share(call, call->listed >= SHARE_TILES, push_share);
        if (call->long_way > 0)
            share(call, call->long_way >= SHARE_ROWS, sweep_share);
    } while (call->later > 0);
    return 0;
}

int pgk_cpu_compute(struct pgk_cpu *cpu, struct pgk_cpu_segment *segment, struct pgk_change *changes,
                    size_t count)
{
    struct pgk_call call = {.cpu = cpu, .segment = segment, .changes = changes, .count = count};
    return run(&call);
}

void pgk_cpu_finish(struct pgk_cpu *cpu, struct pgk_cpu_segment *segment, struct pgk_change *changes,
                    size_t count)
{
    struct pgk_call call = {
        .cpu = cpu, .segment = segment, .changes = changes, .count = count, .sorted = true};
    (void)run(&call);
}
