#include "block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/atomic.h"

const struct pgd_bar pgk_no_bar;

/* Age from which no op is being seeded. */
static uint32_t settled_age(const struct pgk_plan *plan)
{
    return plan->lookback + 2;
}

int pgk_block_init(struct pgk_block *block, const struct pgk_layout *layout, const struct pgk_simd *simd)
{
    const struct pgk_plan *plan = layout->plan;
    const size_t column = (size_t)PGK_ROWS * PGK_TILE * sizeof(double);
    const uint32_t line = PGD_LINE / sizeof(double), words = (plan->columns + line) / line * line;
    const size_t values = (size_t)(words + 1) * column;
    *block = (struct pgk_block){.simd = simd, .settled = settled_age(plan)};
    block->rows.layout = layout;
    block->rows.out = &block->units;
    block->rows.bands = aligned_alloc(64, (layout->bands + 1) * 2 * column);
    block->idle = aligned_alloc(64, words * sizeof(double));
    block->units.columns = plan->columns;
    block->units.words = words;
    block->units.values = aligned_alloc(64, values);
    if (block->rows.bands == NULL || block->idle == NULL || block->units.values == NULL) {
        pgk_block_fini(block);
        return -ENOMEM;
    }
    memset(block->units.values, 0, values);
    return 0;
}

void pgk_block_fini(struct pgk_block *block)
{
    free(block->units.values);
    free(block->rows.bands);
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
static void set_rows(struct pgk_lane *lane)
{
    lane->rows = 0;
    if (lane->want == 0)
        return;
    uint64_t left = lane->series.capacity - lane->slot;
    left = left < PGK_ROWS ? left : PGK_ROWS;
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
        b->bar[r][l] = (const uint8_t *)&pgk_no_bar;
        b->out->unit[r][l] = idle;
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
    b->out->index[l] = (int64_t)(row - first);
    b->next[l] = NULL;
    if (lane->rows == 0)
        return;
    b->utc[l] = series->utc;
    const uint8_t *bar = series->bars + lane->slot * series->bar_stride;
    uint8_t *unit = series->units + lane->slot * series->unit_stride;
    for (uint32_t r = first; r < b->rows; r++) {
        b->bar[r][l] = bar;
        b->out->unit[r][l] = unit;
        bar += series->bar_stride;
        unit += series->unit_stride;
    }
    for (uint32_t r = first; row + (r - first) < lane->write_from && r < b->rows; r++)
        b->out->unit[r][l] = block->idle;
    b->next[l] = lane->ahead ? bar : NULL;
}

/* The same for a straight block. */
static void place_straight(struct pgk_block *block)
{
    struct pgk_rows *b = &block->rows;
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        const struct pgk_lane *lane = &block->lane[l];
        const struct pgk_series *series = &lane->series;
        b->first[l] = 0;
        b->out->index[l] = (int64_t)b->tile->row[l];
        b->utc[l] = series->utc;
        b->bar[0][l] = series->bars + lane->slot * series->bar_stride;
        b->out->unit[0][l] = series->units + lane->slot * series->unit_stride;
        b->next[l] = lane->ahead ? b->bar[0][l] + b->rows * series->bar_stride : NULL;
    }
}

static void place_lanes(struct pgk_block *block, bool may)
{
    struct pgk_rows *b = &block->rows;
    bool straight = may, fresh = true;
    uint64_t odd = 0;
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        const struct pgk_lane *lane = &block->lane[l];
        straight &= lane->rows == b->rows && lane->write_from <= b->tile->row[l];
        if (lane->rows == 0)
            continue;
        fresh &= lane->computed <= b->tile->row[l];
        odd |= (uintptr_t)lane->series.units | lane->series.unit_stride;
        b->bar_stride = lane->series.bar_stride; /* the same for all */
        b->out->stride = lane->series.unit_stride;
    }
    b->straight = b->out->straight = straight;
    b->out->rows = b->rows;
    b->out->fresh = fresh;
    b->out->past = block->past && fresh && odd % PGD_LINE == 0;
    if (straight) {
        place_straight(block);
        return;
    }
    for (uint32_t l = 0; l < PGK_TILE; l++)
        place_lane(block, l);
}

/* After the copy: lanes whose rows have left meanwhile have none. */
static void drop_lapped(struct pgk_block *block)
{
    struct pgk_rows *b = &block->rows;
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        struct pgk_lane *lane = &block->lane[l];
        if (lane->rows == 0 || pgk_series_oldest(&lane->series) <= b->tile->row[l])
            continue;
        if (b->straight)
            place_lanes(block, false);
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
            set_rows(&block->lane[l]);
            if (i > 0) /* the way it seldom goes: some bar is being revised */
                find_busy(&block->lane[l], b->tile->row[l]);
        }
        b->rows = longest(block);
        if (b->rows == 0)
            return;
        pgk_tile_room(b->layout, b->tile, b->rows);
        place_lanes(block, true);
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

bool pgk_block_steady(const struct pgk_block *block, const struct pgk_tile *tile, uint32_t l)
{
    return tile->row[l] - tile->origin[l] + 1 >= block->settled &&
           tile->held[l] + 1 >= block->rows.layout->plan->window;
}

/* Ages are looked at only while something is seeded. */
static void set_ages(struct pgk_block *block)
{
    struct pgk_rows *b = &block->rows;
    const struct pgk_tile *tile = b->tile;
    b->steady = b->whole = true;
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        if (block->lane[l].rows > 0 && !pgk_block_steady(block, tile, l))
            b->steady = false;
        if (block->lane[l].rows < b->rows && (block->lane[l].rows > 0 || kept(block, l)))
            b->whole = false;
    }
    for (uint32_t l = 0; !b->steady && l < PGK_TILE; l++) {
        double first = (double)b->first[l];
        b->age[l] = (double)(tile->row[l] - tile->origin[l]) + 1.0 - first;
        b->held[l] = (double)tile->held[l] + 1.0 - first;
    }
}

/* Lanes with fewer rows than the block have their past moved up to their first. */
static void align_lanes(struct pgk_block *block)
{
    struct pgk_rows *b = &block->rows;
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        uint32_t rows = block->lane[l].rows;
        if (rows > 0 && rows < b->rows && b->tile->held[l] > 0)
            pgk_tile_wait(b->layout, b->tile, l, b->rows - rows);
    }
}

/* True when the unit of `row` has the values that were worked out for row r of the block. */
static bool same_values(const struct pgk_units *u, const struct pgk_lane *lane, uint64_t row, uint32_t r,
                        uint32_t l)
{
    const uint8_t *unit = pgk_series_unit(&lane->series, row);
    const double *value = u->values + (size_t)r * (u->words + 1) * PGK_TILE + l;
    uint64_t differ = 0;
    for (uint32_t word = 1; word <= u->columns; word++) {
        uint64_t bits;
        memcpy(&bits, value + (size_t)word * PGK_TILE, sizeof bits);
        differ |= bits ^ shm_load64(unit + word * sizeof bits);
    }
    return differ == 0;
}

/* Looks at what the units of a lane's rows are so far. */
static void look_back(struct pgk_block *block, uint32_t l, bool *same)
{
    struct pgk_lane *lane = &block->lane[l];
    const struct pgk_rows *b = &block->rows;
    uint64_t row = b->tile->row[l];
    for (uint32_t r = (uint32_t)b->first[l]; r < b->rows; r++, row++) {
        if (row < lane->write_from)
            continue;
        if (row < lane->computed) {
            if (!pgk_series_holds(&lane->series, row, (uint16_t)b->out->rev[r][l])) {
                lane->changed = row;
            } else if (same_values(b->out, lane, row, r, l)) {
                same[r] = true;
                continue;
            }
        }
        lane->wrote = lane->wrote_end == 0 ? row : lane->wrote;
        lane->wrote_end = row + 1;
    }
}

/* Units that are there already stay as they are. */
static void spare_units(struct pgk_block *block)
{
    struct pgk_rows *b = &block->rows;
    bool same[PGK_TILE][PGK_ROWS] = {{false}}, any = false;
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        block->lane[l].wrote = block->lane[l].wrote_end = 0;
        if (block->lane[l].rows > 0)
            look_back(block, l, same[l]);
        for (uint32_t r = 0; r < b->rows; r++)
            any |= same[l][r];
    }
    if (any && b->straight)
        place_lanes(block, false);
    for (uint32_t l = 0; any && l < PGK_TILE; l++)
        for (uint32_t r = 0; r < b->rows; r++)
            if (same[l][r])
                b->out->unit[r][l] = block->idle;
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
        block->lane[l].slot += rows;
        if (block->lane[l].slot == block->lane[l].series.capacity)
            block->lane[l].slot = 0;
        tile->held[l] = tile->held[l] + rows < most ? tile->held[l] + rows : most;
    }
    tile->at += b->rows;
}

/* How many blocks can follow one another with nothing to be looked at again but the bars. */
static uint32_t blocks_in_a_row(const struct pgk_block *block)
{
    const struct pgk_rows *b = &block->rows;
    uint64_t rows = PGK_ROWS;
    if (b->straight && b->steady && b->out->fresh && b->rows == PGK_ROWS)
        rows = UINT64_MAX;
    for (uint32_t l = 0; rows > PGK_ROWS && l < PGK_TILE; l++) {
        const struct pgk_lane *lane = &block->lane[l];
        uint64_t left = lane->series.capacity - lane->slot;
        rows = left < rows ? left : rows;
        rows = lane->want < rows ? lane->want : rows;
    }
    return (uint32_t)(rows / PGK_ROWS);
}

/* Reads the block that follows a straight one. False: it needs a closer look. */
static bool read_on(struct pgk_block *block)
{
    struct pgk_rows *b = &block->rows;
    bool held = true;
    pgk_tile_room(b->layout, b->tile, PGK_ROWS);
    for (uint32_t l = 0; l < PGK_TILE; l++) {
        b->bar[0][l] += PGK_ROWS * b->bar_stride;
        b->out->unit[0][l] += PGK_ROWS * b->out->stride;
        b->out->index[l] += PGK_ROWS;
    }
    if (!block->simd->load(b))
        return false;
    for (uint32_t l = 0; l < PGK_TILE; l++)
        held &= pgk_series_oldest(&block->lane[l].series) <= b->tile->row[l];
    return held;
}

void pgk_block_run(struct pgk_block *block, struct pgk_tile *tile, uint16_t gen)
{
    struct pgk_rows *b = &block->rows;
    b->tile = tile;
    b->out->gen = gen;
    b->asked = block->keep;
    for (uint32_t l = 0; l < PGK_TILE; l++)
        block->lane[l].outcome = PGK_REACHED;
    read_rows(block);
    if (b->rows == 0)
        return;
    align_lanes(block);
    set_ages(block);
    const uint32_t most = blocks_in_a_row(block);
    uint32_t blocks = 0;
    do {
        block->simd->step(b);
        if (!b->out->fresh)
            spare_units(block);
        block->simd->store(b->out);
        move_on(block);
    } while (++blocks < most && read_on(block));
    for (uint32_t l = 0; l < PGK_TILE; l++)
        block->lane[l].rows *= blocks;
}
