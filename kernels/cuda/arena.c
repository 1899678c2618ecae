#include "cuda/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CHUNK_BYTES ((uint64_t)16 << 20)

struct pgk_run {
    size_t first;
    size_t count;
};

static uint64_t segment_end(const struct pgd_bars_geometry *geo)
{
    uint64_t rows = geo->capacity * geo->unit_stride, series = geo->series_max - 1;
    uint64_t ends[] = {geo->series_offset + geo->series_max * geo->series_stride,
                       geo->unit_offset + series * geo->rows_stride + rows,
                       geo->bar_offset + series * geo->rows_stride + geo->capacity * geo->bar_stride,
                       geo->state_offset + geo->series_max * geo->state_stride};
    uint64_t end = 0;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        end = ends[i] > end ? ends[i] : end;
    return end;
}

int pgk_arena_init(struct pgk_arena *arena, void *base, const struct pgd_bars_geometry *geo)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if ((uintptr_t)base % page != 0)
        return -EINVAL;
    uint64_t series = geo->rows_stride + geo->state_stride + geo->series_stride;
    uint64_t chunk = CHUNK_BYTES / series;
    *arena = (struct pgk_arena){
        .base = base, .geo = *geo, .page = page, .chunk = chunk == 0 ? 1 : (uint32_t)chunk};
    arena->pages = (size_t)((segment_end(geo) + page - 1) / page);
    arena->bits = calloc(arena->pages / 8 + 1, 1);
    arena->in_use = calloc(geo->series_max / arena->chunk + 1, 1);
    if (arena->bits != NULL && arena->in_use != NULL)
        return 0;
    pgk_arena_fini(arena, NULL, true);
    return -ENOMEM;
}

void pgk_arena_fini(struct pgk_arena *arena, const struct pgk_driver *driver, bool lost)
{
    for (size_t i = 0; !lost && i < arena->runs_count; i++)
        (void)driver->mem_host_unregister(arena->base + arena->runs[i].first * arena->page);
    free(arena->runs);
    free(arena->bits);
    free(arena->in_use);
    *arena = (struct pgk_arena){0};
}

bool pgk_arena_ready(const struct pgk_arena *arena, uint32_t first, uint32_t count)
{
    for (uint32_t c = first / arena->chunk; count > 0 && c <= (first + count - 1) / arena->chunk; c++)
        if (!arena->in_use[c])
            return false;
    return true;
}

static bool has(const struct pgk_arena *arena, size_t page)
{
    return arena->bits[page / 8] >> page % 8 & 1;
}

static int note_run(struct pgk_arena *arena, size_t first, size_t count)
{
    if (arena->runs_count == arena->runs_room) {
        size_t room = arena->runs_room == 0 ? 64 : 2 * arena->runs_room;
        struct pgk_run *runs = realloc(arena->runs, room * sizeof *runs);
        if (runs == NULL)
            return -ENOMEM;
        arena->runs = runs;
        arena->runs_room = room;
    }
    arena->runs[arena->runs_count++] = (struct pgk_run){first, count};
    for (size_t i = first; i < first + count; i++)
        arena->bits[i / 8] |= (uint8_t)(1u << i % 8);
    arena->bytes += count * arena->page;
    return 0;
}

/* Registers what is not registered yet of pages [first, end). */
static int register_pages(struct pgk_arena *arena, const struct pgk_driver *driver, size_t first, size_t end,
                          unsigned *ret_result)
{
    while (first < end) {
        if (has(arena, first)) {
            first++;
            continue;
        }
        size_t to = first + 1;
        while (to < end && !has(arena, to))
            to++;
        int rc = note_run(arena, first, to - first);
        if (rc != 0)
            return rc;
        *ret_result =
            driver->mem_host_register(arena->base + first * arena->page, (to - first) * arena->page,
                                      PGK_CU_MEMHOSTREGISTER_PORTABLE | PGK_CU_MEMHOSTREGISTER_DEVICEMAP);
        if (*ret_result != 0) {
            arena->runs_count--;
            return -EIO;
        }
        first = to;
    }
    return 0;
}

static int register_plane(struct pgk_arena *arena, const struct pgk_driver *driver, uint64_t from,
                          uint64_t to, unsigned *ret_result)
{
    return register_pages(arena, driver, (size_t)(from / arena->page),
                          (size_t)((to + arena->page - 1) / arena->page), ret_result);
}

static int extend_chunk(struct pgk_arena *arena, const struct pgk_driver *driver, uint32_t chunk,
                        unsigned *ret_result)
{
    const struct pgd_bars_geometry *geo = &arena->geo;
    uint64_t first = (uint64_t)chunk * arena->chunk, end = first + arena->chunk;
    end = end < geo->series_max ? end : geo->series_max;
    uint64_t low = geo->bar_offset < geo->unit_offset ? geo->bar_offset : geo->unit_offset;
    uint64_t bars = geo->bar_offset + geo->capacity * geo->bar_stride;
    uint64_t units = geo->unit_offset + geo->capacity * geo->unit_stride;
    uint64_t high = (bars > units ? bars : units) + (end - 1) * geo->rows_stride;
    int rc = register_plane(arena, driver, low + first * geo->rows_stride, high, ret_result);
    if (rc == 0)
        rc = register_plane(arena, driver, geo->series_offset + first * geo->series_stride,
                            geo->series_offset + end * geo->series_stride, ret_result);
    if (rc == 0)
        rc = register_plane(arena, driver, geo->state_offset + first * geo->state_stride,
                            geo->state_offset + end * geo->state_stride, ret_result);
    if (rc == 0)
        arena->in_use[chunk] = 1;
    return rc;
}

int pgk_arena_extend(struct pgk_arena *arena, const struct pgk_driver *driver, uint32_t first, uint32_t count,
                     unsigned *ret_result)
{
    *ret_result = 0;
    for (uint32_t c = first / arena->chunk; count > 0 && c <= (first + count - 1) / arena->chunk; c++) {
        int rc = arena->in_use[c] ? 0 : extend_chunk(arena, driver, c, ret_result);
        if (rc != 0)
            return rc;
    }
    return 0;
}
