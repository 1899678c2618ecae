#include "block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/atomic.h"

static const struct pgd_bar no_bar;

/* Age from which no op is being seeded. */
static uint32_t settled_age(const struct pgk_plan *plan)
{
    return plan->lookback + 2;
}

int pgk_block_init(struct pgk_block *block, const struct pgk_layout *layout, const struct pgk_simd *simd)
{
    const struct pgk_plan *plan = layout->plan;
    size_t values = (size_t)(plan->columns + 1) * PGK_ROWS * PGK_TILE * sizeof(double);
    size_t unit = ((size_t)plan->columns + 1 + PGK_TILE) / PGK_TILE * PGK_TILE * sizeof(double);
    *block = (struct pgk_block){.simd = simd, .settled = settled_age(plan)};
    block->rows.layout = layout;
    block->rows.values = aligned_alloc(64, values);
    block->idle = aligned_alloc(64, (unit + 63) / 64 * 64);
    if (block->rows.values != NULL && block->idle != NULL)
        return 0;
    pgk_block_fini(block);
    return -ENOMEM;
}

void pgk_block_fini(struct pgk_block *block)
{
    free(block->rows.values);
    free(block->idle);
    *block = (struct pgk_block){0};
}

/* --------------------------------------------------------------------------------------------------- read */

/* The longest lane's rows. */
static uint32_t longest(const struct pgk_block *block)
{
    uint32_t rows = 0;
    for (uint32_t l = 0; l < PGK_TILE; l++)
        rows = block->lane[l].rows > rows ? block->lane[l].rows : rows;
    return rows;
}

/* Rows that a lane can have: those it wants, up to the end of the ring's memory. */
static void set_rows(struct pgk_lane *lane, uint64_t row)
{
    lane->rows = 0;
    if (lane->want == 0)
        return;
    uint64_t left = lane->series.capacity - row % lane->series.capacity;
    lane->rows = lane->want < left ? lane->want : (uint32_t)left;
}

/* Fewer when a bar is being revised. */
static void find_busy(struct pgk_lane *lane, uint64_t row)
{
    uint16_t rev;
    for (uint32_t i = 0; i < lane->rows; i++)
        if (pgk_bar_rev(pgk_series_bar(&lane->series, row + i), &rev) != 0) {
            lane->outcome = PGK_BUSY;
            lane->rows = lane->want = i;
        }
}

/* Nothing of the lane up to row `to` of the block. */
static void leave_idle(struct pgk_rows *b, uint32_t l, uint32_t to, uint8_t *idle)
{
    for (uint32_t r = 0; r < to; r++) {
        b->bar[r][l] = (const uint8_t *)&no_bar;
        b->unit[r][l] = idle;
    }
}

static void place_lane(struct pgk_block *block, uint32_t l)
{
    struct pgk_rows *b = &block->rows;
    const struct pgk_lane *lane = &block->lane[l];
    const struct pgk_series *series = &lane->series;
    uint32_t first = b->rows - lane->rows;
    uint64_t row = b->tile->row[l];
    leave_idle(b, l, first, block->idle);
    b->first[l] = first;
    b->index[l] = (int64_t)(row - first);
    b->next[l] = NULL;
    if (lane->rows == 0)
        return;
    b->utc[l] = series->utc;
    const uint8_t *bar = pgk_series_bar(series, row);
    uint8_t *unit = pgk_series_unit(series, row);
    for (uint32_t r = first; r < b->rows; r++) {
        b->bar[r][l] = bar;
        b->unit[r][l] = unit;
        bar += series->bar_stride;
        unit += series->unit_stride;
    }
    for (uint32_t r = first; row + (r - first) < lane->write_from && r < b->rows; r++)
        b->unit[r][l] = block->idle;
    b->next[l] = lane->ahead ? bar : NULL;
}

/* After the copy: lanes whose rows have left meanwhile have none. */
static void drop_lapped(struct pgk_block *block)
{
    struct pgk_rows *b = &block->rows;
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        struct pgk_lane *lane = &block->lane[l];
        if (lane->rows == 0 || pgk_series_oldest(&lane->series) <= b->tile->row[l])
            continue;
        lane->outcome = PGK_LAPPED;
        lane->rows = lane->want = 0;
        b->first[l] = b->rows;
        leave_idle(b, l, b->rows, block->idle);
    }
}

static void read_rows(struct pgk_block *block)
{
    struct pgk_rows *b = &block->rows;
    for (int i = 0;; i++) {
        for (uint32_t l = 0; l < PGK_TILE; l++) {
            set_rows(&block->lane[l], b->tile->row[l]);
            if (i > 0) /* the way it seldom goes: some bar is being revised */
                find_busy(&block->lane[l], b->tile->row[l]);
        }
        b->rows = longest(block);
        if (b->rows == 0)
            return;
        pgk_tile_room(b->layout, b->tile, b->rows);
        for (uint32_t l = 0; l < PGK_TILE; l++)
            place_lane(block, l);
        if (block->simd->load(b))
            break;
    }
    drop_lapped(block);
}

/* --------------------------------------------------------------------------------------------------- step */

/* A lane that has no row in this block, but a past that must not be lost. */
static bool kept(const struct pgk_block *block, uint32_t l)
{
    return block->keep && block->rows.tile->held[l] > 0;
}

static void set_ages(struct pgk_block *block)
{
    struct pgk_rows *b = &block->rows;
    const struct pgk_tile *tile = b->tile;
    b->steady = b->whole = true;
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        double first = (double)b->first[l];
        double age = (double)(tile->row[l] - tile->origin[l]) + 1.0, held = (double)tile->held[l] + 1.0;
        b->age[l] = age - first;
        b->held[l] = held - first;
        if (block->lane[l].rows > 0 && (age < block->settled || held < b->layout->plan->window))
            b->steady = false;
        if (block->lane[l].rows < b->rows && (block->lane[l].rows > 0 || kept(block, l)))
            b->whole = false;
    }
}

/* Lanes with fewer rows than the block have their past moved up to their first. */
static void align_lanes(struct pgk_block *block)
{
    struct pgk_rows *b = &block->rows;
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        uint32_t rows = block->lane[l].rows;
        if (rows < b->rows && b->tile->held[l] > 0 && (rows > 0 || kept(block, l)))
            pgk_tile_wait(b->layout, b->tile, l, b->rows - rows);
    }
}

static void note_changed(struct pgk_block *block, uint32_t l)
{
    struct pgk_lane *lane = &block->lane[l];
    const struct pgk_rows *b = &block->rows;
    uint64_t row = b->tile->row[l];
    for (uint32_t r = (uint32_t)b->first[l]; r < b->rows; r++, row++)
        if (row >= lane->write_from && row < lane->computed &&
            !pgk_series_holds(&lane->series, row, (uint16_t)b->rev[r][l]))
            lane->changed = row;
}

static void move_on(struct pgk_block *block)
{
    struct pgk_rows *b = &block->rows;
    struct pgk_tile *tile = b->tile;
    uint64_t most = b->layout->plan->window - 1;
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        uint32_t rows = block->lane[l].rows;
        if (rows == 0)
            continue;
        tile->row[l] += rows;
        tile->held[l] = tile->held[l] + rows < most ? tile->held[l] + rows : most;
    }
    tile->at += b->rows;
}

void pgk_block_run(struct pgk_block *block, struct pgk_tile *tile, uint16_t gen)
{
    struct pgk_rows *b = &block->rows;
    b->tile = tile;
    b->gen = gen;
    for (uint32_t l = 0; l < PGK_TILE; l++)
        block->lane[l].outcome = PGK_REACHED;
    read_rows(block);
    if (b->rows == 0)
        return;
    align_lanes(block);
    set_ages(block);
    block->simd->step(b);
    for (uint32_t l = 0; l < PGK_TILE; l++)
        if (block->lane[l].rows > 0 && tile->row[l] < block->lane[l].computed)
            note_changed(block, l);
    block->simd->store(b);
    move_on(block);
}
