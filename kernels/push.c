#include "push.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "shm/atomic.h"

int pgk_pusher_init(struct pgk_pusher *ret, const struct pgk_layout *layout, const struct pgk_simd *simd)
{
    const size_t column = (size_t)PGK_PUSH * PGK_TILE * sizeof(double);
    *ret = (struct pgk_pusher){0};
    int rc = pgk_block_init(&ret->block, layout, simd);
    if (rc != 0)
        return rc;
    ret->block.keep = true;
    ret->words = calloc(layout->plan->words + 1, sizeof *ret->words);
    ret->aim = aligned_alloc(64, PGK_PUSH_AIMS * sizeof *ret->aim);
    ret->push.layout = layout;
    ret->push.units = ret->block.units; /* never both at a time */
    ret->push.bands = aligned_alloc(64, (layout->bands + 1) * 2 * column);
    if (ret->words == NULL || ret->aim == NULL || ret->push.bands == NULL) {
        pgk_pusher_fini(ret);
        return -ENOMEM;
    }
    return 0;
}

void pgk_pusher_fini(struct pgk_pusher *pusher)
{
    pgk_block_fini(&pusher->block);
    free(pusher->words);
    free(pusher->aim);
    free(pusher->push.bands);
    *pusher = (struct pgk_pusher){0};
}

/* ---------------------------------------------------------------------------------------------- any tile */

static void want_lane(const struct pgk_call *call, struct pgk_lane *lane, const struct pgk_hot *hot,
                      uint32_t s)
{
    const struct pgk_cpu_segment *segment = call->segment;
    pgk_series_init(&lane->series, segment->base, &segment->geo, s);
    lane->slot = hot->slot[s % PGK_TILE];
    lane->want = 1;
    lane->ahead = false;
    lane->write_from = lane->computed = hot->row[s % PGK_TILE];
}

static void save_lane(const struct pgk_call *call, struct pgk_pusher *pusher, struct pgk_tile *tile,
                      uint32_t s)
{
    struct pgk_checkpoints points;
    pgk_checkpoints_init(&points, &call->cpu->plan, call->segment->base, &call->segment->geo, s);
    struct pgk_hot *hot = pgk_hot_of(call->segment, s);
    pgk_tile_get_state(&call->cpu->hot, tile, s % PGK_TILE, pusher->words);
    pgk_checkpoints_store(&points, hot->row[s % PGK_TILE], tile->origin[s % PGK_TILE], pusher->words,
                          call->cpu->plan.words);
    hot->ahead[s % PGK_TILE] = points.every;
}

static void did_lane(struct pgk_call *call, struct pgk_pusher *pusher, struct pgk_tile *tile, uint32_t s)
{
    const uint32_t l = s % PGK_TILE;
    struct pgk_lane *lane = &pusher->block.lane[l];
    struct pgk_hot *hot = pgk_hot_of(call->segment, s);
    struct pgk_change *change = &call->changes[hot->change[l]];
    uint64_t row = tile->row[l];
    change->reserved = PGK_CHANGE_DONE;
    change->done_first = change->done_end = change->from;
    if (lane->outcome == PGK_LAPPED) {
        change->reserved = 0; /* the long way */
        pgk_cpu_forget(call->cpu, call->segment, s);
        __atomic_fetch_add(&call->long_way, 1, __ATOMIC_RELAXED);
    }
    if (lane->rows == 0)
        return;
    pgk_tile_shift(&call->cpu->hot, tile, l);
    change->done_end = row;
    hot->row[l] = row;
    hot->slot[l] = (uint32_t)lane->slot;
    hot->steady[l] = pgk_block_steady(&pusher->block, tile, l);
    shm_store64_release(&lane->series.head->computed, row);
    if (--hot->ahead[l] == 0)
        save_lane(call, pusher, tile, s);
}

/* The way that takes any: series that are being seeded, bars that are being revised, rows that have left. */
static void push_tile(struct pgk_call *call, struct pgk_pusher *pusher, uint32_t number)
{
    const struct pgk_hot *hot = &call->segment->hot[number];
    struct pgk_tile *tile = pgk_hot_tile(call->cpu, call->segment, number);
    const uint32_t lanes = hot->lanes;
    pgk_hot_level(call->cpu, call->segment, number);
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        pusher->block.lane[l].want = 0;
        if (hot->row[l] != PGK_COLD)
            tile->row[l] = hot->row[l];
        if (lanes & 1u << l)
            want_lane(call, &pusher->block.lane[l], hot, number * PGK_TILE + l);
    }
    pgk_block_run(&pusher->block, tile, call->cpu->gen);
    tile->at = 0;
    for (uint32_t l = 0; l < PGK_TILE; l++)
        if (lanes & 1u << l)
            did_lane(call, pusher, tile, number * PGK_TILE + l);
}

/* -------------------------------------------------------------------------------------------- side by side
 */

static void ask_checkpoint(const struct pgk_call *call, uint32_t s, uint64_t row)
{
    struct pgk_checkpoints points;
    pgk_checkpoints_init(&points, &call->cpu->plan, call->segment->base, &call->segment->geo, s);
    const uint64_t *slot = pgk_checkpoints_at(&points, pgk_checkpoints_number(&points, row));
    for (size_t at = 0; at < points.size / sizeof *slot; at += PGD_LINE / sizeof *slot)
        __builtin_prefetch(slot + at, 1);
}

#define INLINE static inline __attribute__((always_inline))

static inline const uint8_t *pick(uint64_t mask, const void *one, const void *other)
{
    return (const uint8_t *)(((uintptr_t)one & mask) | ((uintptr_t)other & ~mask));
}

/* Works out where the rows of a tile lie, which is all over the segment, and asks for them. Nothing of them
 * is read: whatever is read is waited for. */
INLINE void aim_lanes(const struct pgk_call *call, const struct pgk_pusher *pusher, struct pgk_push_tile *it,
                      uint32_t number, bool whole)
{
    const struct pgk_cpu_segment *segment = call->segment;
    const struct pgd_bars_geometry *geo = &segment->geo;
    const struct pgk_hot *hot = &segment->hot[number];
    const size_t first = (size_t)number * PGK_TILE, bytes = geo->unit_size;
    const size_t bar_stride = geo->bar_stride, unit_stride = geo->unit_stride, stride = geo->rows_stride;
    const size_t head_stride = geo->series_stride;
    const uint32_t lanes = hot->lanes;
    uint8_t *bars = (uint8_t *)segment->base + geo->bar_offset + first * stride;
    uint8_t *units = (uint8_t *)segment->base + geo->unit_offset + first * stride;
    uint8_t *head = (uint8_t *)segment->base + geo->series_offset + first * head_stride;
    it->tile = pgk_hot_tile(call->cpu, segment, number);
    it->whole = whole;
    it->slid = hot->slid;
    it->row = hot->row;
    /* an eighth of the tiles in each push, so that none takes longer than another */
    it->back = whole && (hot->slid == PGK_SLIDE || (hot->row[0] + number) % (PGK_SLIDE + 1) == 0);
    it->head = head;
    it->head_stride = head_stride;
    it->capacity = geo->capacity;
    for (uint32_t l = 0; l < PGK_TILE; l++, bars += stride, units += stride, head += head_stride) {
        const bool gets = whole || (lanes >> l & 1);
        const uint8_t *bar = bars + hot->slot[l] * bar_stride;
        uint8_t *unit = units + hot->slot[l] * unit_stride, *series = head;
        if (!whole) { /* which lanes get one cannot be foreseen: no branches */
            const uint64_t get = gets ? UINT64_MAX : 0;
            bar = pick(get, bar, &pgk_no_bar);
            unit = (uint8_t *)(uintptr_t)pick(get, unit, pusher->block.idle);
            series = (uint8_t *)(uintptr_t)pick(get, series, &pusher->idle);
            it->series[l] = series;
            it->gets[l] = (int64_t)get;
            it->by[l] = (uint32_t)get & 1;
        }
        it->bar[l] = bar;
        it->unit[l] = unit;
        __builtin_prefetch(bar);
        __builtin_prefetch(unit, 1);
        __builtin_prefetch(unit + PGD_LINE, 1);
        for (size_t at = (size_t)2 * PGD_LINE; at < bytes; at += PGD_LINE)
            __builtin_prefetch(unit + at, 1);
        __builtin_prefetch(series);
        __builtin_prefetch(series + offsetof(struct pgd_series, computed), 1);
        if (hot->ahead[l] == 1 && gets)
            ask_checkpoint(call, number * PGK_TILE + l, hot->row[l] + 1);
    }
}

static void aim(const struct pgk_call *call, const struct pgk_pusher *pusher, struct pgk_push_tile *it,
                uint32_t number)
{
    if (call->segment->hot[number].lanes == 0xff)
        aim_lanes(call, pusher, it, number, true);
    else
        aim_lanes(call, pusher, it, number, false);
}

/* True when every lane that gets a row is past its seeds. */
static bool steady(const struct pgk_hot *hot)
{
    static const bool all[PGK_TILE] = {true, true, true, true, true, true, true, true};
    if (memcmp(hot->steady, all, sizeof all) == 0)
        return true;
    bool ret = true;
    for (uint32_t l = 0; l < PGK_TILE; l++)
        ret &= hot->steady[l] | !(hot->lanes >> l & 1);
    return ret;
}

/* As many lanes' numbers as the least of vectors takes. */
typedef uint64_t few64 __attribute__((vector_size(16), may_alias));
typedef uint32_t few32 __attribute__((vector_size(16), may_alias));

/* A row on. True when a checkpoint of some lane is due; those have 0 in `ahead` then. */
INLINE bool count_rows(struct pgk_hot *hot, const struct pgk_push_tile *it, uint32_t capacity, bool whole)
{
    few32 due = {0};
    for (uint32_t l = 0; l < PGK_TILE; l += 2)
        *(few64 *)&hot->row[l] -= whole ? (few64){UINT64_MAX, UINT64_MAX} : *(const few64 *)&it->gets[l];
    for (uint32_t l = 0; l < PGK_TILE; l += 4) {
        few32 by = whole ? (few32){1, 1, 1, 1} : *(const few32 *)&it->by[l];
        few32 *slot = (few32 *)&hot->slot[l], *ahead = (few32 *)&hot->ahead[l];
        *slot += by;
        *slot &= (few32)(*slot != capacity);
        *ahead -= by;
        due |= (few32)(*ahead == 0) & by;
    }
    few64 any = (few64)due;
    return (any[0] | any[1]) != 0;
}

INLINE void did_lanes(struct pgk_call *call, struct pgk_pusher *pusher, struct pgk_push_tile *it,
                      uint32_t number, bool whole)
{
    struct pgk_hot *hot = &call->segment->hot[number];
    if (whole)
        hot->slid = it->back ? 0 : (uint8_t)(it->slid + 1);
    for (uint32_t l = 0; l < PGK_TILE; l++)
        shm_store64_release((whole ? it->head + l * it->head_stride : it->series[l]) +
                                offsetof(struct pgd_series, computed),
                            hot->row[l] + 1);
    if (!count_rows(hot, it, (uint32_t)call->segment->geo.capacity, whole))
        return;
    for (uint32_t l = 0; l < PGK_TILE; l++)
        if ((whole || it->gets[l] != 0) && hot->ahead[l] == 0)
            save_lane(call, pusher, it->tile, number * PGK_TILE + l);
}

static void did_tile(struct pgk_call *call, struct pgk_pusher *pusher, struct pgk_push_tile *it,
                     uint32_t number)
{
    if (it->whole)
        did_lanes(call, pusher, it, number, true);
    else
        did_lanes(call, pusher, it, number, false);
}

/* The tiles that have been taken, while the next ones, [next, to) of those listed, are asked for. */
static void push_taken(struct pgk_call *call, struct pgk_pusher *pusher, size_t next, size_t to)
{
    struct pgk_push *push = &pusher->push;
    if (push->tiles == 0)
        return;
    push->units.gen = call->cpu->gen;
    for (push->asked = 0; push->asked < PGK_PUSH && next < to; push->asked++, next++) {
        const struct pgk_push_tile *it = &pusher->aim[next % PGK_PUSH_AIMS];
        push->next[push->asked] = it->tile;
        push->next_slid[push->asked] = (size_t)it->slid * PGD_LINE;
    }
    call->cpu->simd->push(push);
    for (uint32_t t = 0; t < push->tiles; t++)
        did_tile(call, pusher, push->tile[t], pusher->number[t]);
    push->tiles = 0;
}

/* False: it is none of the usual ones. */
static bool take(struct pgk_call *call, struct pgk_pusher *pusher, struct pgk_push_tile *it, uint32_t number)
{
    struct pgk_push *push = &pusher->push;
    if (!steady(&call->segment->hot[number]) || !call->cpu->simd->push_load(&call->cpu->hot, it))
        return false;
    pusher->number[push->tiles] = number;
    push->tile[push->tiles++] = it;
    return true;
}

void pgk_push_tiles(struct pgk_call *call, struct pgk_pusher *pusher, size_t from, size_t to)
{
    const uint32_t *listed = call->segment->listed;
    size_t aimed = from;
    for (size_t i = from; i < to; i++) {
        for (; aimed < to && aimed <= i + PGK_PUSH_AHEAD; aimed++)
            aim(call, pusher, &pusher->aim[aimed % PGK_PUSH_AIMS], listed[aimed]);
        bool taken = take(call, pusher, &pusher->aim[i % PGK_PUSH_AIMS], listed[i]);
        if (!taken || pusher->push.tiles == PGK_PUSH || i + 1 == to)
            push_taken(call, pusher, i + 1, to);
        if (!taken)
            push_tile(call, pusher, listed[i]);
    }
}
