/* No layout may put many series on the same few sets of a cache, or on one memory channel: neighbours a power
 * of two apart, or three times one, do that, and were measured to cost a GPU four hundred times the time
 * (docs/adr/0001-rows-in-two-planes.md). Judged by what happens, not by the number: into how many different
 * sets the same line of 64 neighbouring series falls, with sets that come round every 4 KiB to 1 MiB. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "cuda/fuse.h"
#include "kernels/table.h"
#include "shm/series.h"
#include "tile.h"

#define NEIGHBOURS 64u
#define SERIES_MAX 20000u

static const uint64_t periods[] = {4096, 65536, 131072, 1048576};

/* Different sets that lines [0, lines) of the neighbours fall into. */
static unsigned sets(uint64_t stride, uint64_t lines, uint64_t period)
{
    static uint8_t hit[1048576 / PGD_LINE];
    unsigned count = 0;
    memset(hit, 0, period / PGD_LINE);
    for (uint64_t i = 0; i < NEIGHBOURS; i++)
        for (uint64_t line = 0; line < lines; line++) {
            uint8_t *set = &hit[(i * stride / PGD_LINE + line) % (period / PGD_LINE)];
            count += *set == 0 ? 1 : 0;
            *set = 1;
        }
    return count;
}

/* Records that begin on a unit of 128 bytes reach every other set at best, or every set with both their
 * lines; those that begin on a line of 64 bytes every set with one. */
static bool spread(uint64_t stride, uint64_t align, uint64_t lines)
{
    for (size_t i = 0; i < sizeof periods / sizeof periods[0]; i++)
        if (sets(stride, lines, periods[i]) < sets(33 * align, lines, periods[i]))
            return false;
    return true;
}

static void expect_spread(const struct pgd_bars_geometry *geo)
{
    uint64_t unit_lines = geo->unit_size / PGD_LINE;
    assert_int_equal(geo->bar_offset % PGD_UNIT, 0);
    assert_int_equal(geo->unit_offset % PGD_UNIT, 0);
    if (!spread(geo->rows_stride, PGD_UNIT, 1) ||
        !spread(geo->rows_stride, PGD_UNIT, unit_lines < 2 ? unit_lines : 2) ||
        !spread(geo->state_stride, PGD_UNIT, 1))
        fail_msg("%u series of %u rows, %u columns: %llu bytes from series to series, %llu of state",
                 geo->series_max, geo->capacity, geo->columns, (unsigned long long)geo->rows_stride,
                 (unsigned long long)geo->state_stride);
    /* the records of the series themselves are dense: none lies between two neighbours */
    assert_int_equal(geo->series_stride, sizeof(struct pgd_series));
    assert_int_equal(geo->bar_stride, PGD_LINE);
    assert_int_equal(geo->unit_stride, geo->unit_size);
}

/* The judge knows the trap. */
static void the_trap_is_seen(void **state)
{
    (void)state;
    for (uint64_t stride = 4096; stride <= UINT64_C(1) << 30; stride *= 2) {
        assert_int_equal(sets(stride, 1, 4096), 1);
        assert_false(spread(stride, PGD_UNIT, 1));
        assert_false(spread(3 * stride, PGD_UNIT, 1));
        assert_true(spread(stride + PGD_UNIT, PGD_UNIT, 1));
    }
    assert_int_equal(sets(PGD_LINE, 1, 4096), 64);
}

/* Calls `check` with every capacity to 3,000, and those around powers of two, three times and five times
 * them. */
static void with_capacities(void (*check)(uint32_t capacity, void *user), void *user)
{
    for (uint32_t capacity = 16; capacity <= 3000; capacity++)
        check(capacity, user);
    for (uint32_t power = 512; power <= 1u << 20; power *= 2)
        for (uint32_t odd = 1; odd <= 5; odd += 2)
            for (uint32_t around = odd * power - 9; around <= odd * power + 9; around++)
                check(around, user);
}

static struct pgd_bars_config config_of(uint32_t series, uint32_t capacity, uint32_t columns)
{
    static struct pgd_column column[PGK_COLUMNS_MAX];
    for (uint32_t i = 0; i < columns; i++)
        column[i] = (struct pgd_column){"sma_20", "price"};
    return (struct pgd_bars_config){.timespan = "1m",
                                    .span_ms = 60000,
                                    .series_max = series,
                                    .capacity = capacity,
                                    .log_capacity = 4096,
                                    .columns = column,
                                    .column_count = columns,
                                    .state_size = 64 * (1 + columns % 5),
                                    .state_slots = capacity / PGK_STATE_EVERY + 2,
                                    .state_every = PGK_STATE_EVERY};
}

static void check_segment(uint32_t capacity, void *user)
{
    const struct pgd_bars_config config = config_of(SERIES_MAX, capacity, *(const uint32_t *)user);
    struct pgd_bars_geometry geo;
    if (pgd_bars_layout(&geo, &config) == 0)
        fail_msg("%u rows", capacity);
    assert_int_equal(pgd_bars_size(&config), pgd_bars_layout(&geo, &config));
    expect_spread(&geo);
}

static void segments(void **state)
{
    (void)state;
    static const uint32_t columns[] = {0, 1, 15, 16, 31, 32, 47, 63, 64, 127};
    static const uint32_t capacities[] = {64, 390, 512, 1024, 4096, 5461, 65536};
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        with_capacities(check_segment, (void *)(uintptr_t)&columns[i]);
    for (uint32_t series = 1; series <= SERIES_MAX; series++) {
        const struct pgd_bars_config config = config_of(series, capacities[series % 7], columns[series % 10]);
        struct pgd_bars_geometry geo;
        assert_true(pgd_bars_layout(&geo, &config) > 0);
        expect_spread(&geo);
    }
}

/* ------------------------------------------------------------------------------- what the engines keep */

static struct pgk_plan *plan_of(uint32_t period, bool many)
{
    char text[4][24];
    const char *names[] = {text[0], text[1], text[2], text[3]};
    static const char *const stems[] = {"sma", "rsi", "atr", "vwap"};
    for (int i = 0; i < 4; i++)
        (void)snprintf(text[i], sizeof text[i], "%s_%u", stems[i], period);
    struct pgk_plan *plan = NULL;
    char err[128] = "";
    if (pgk_plan_new(&plan, names, many ? 4 : 1, err, sizeof err) != 0)
        fail_msg("%s", err);
    return plan;
}

static void check_table(uint32_t capacity, void *user)
{
    struct pgd_bars_geometry geo;
    if (pgk_table_layout(&geo, user, SERIES_MAX, capacity) > 0)
        expect_spread(&geo);
    else
        assert_true(capacity < pgk_plan_capacity(user));
}

static void tables(void **state)
{
    (void)state;
    char err[128];
    struct pgk_plan *plan;
    assert_int_equal(pgk_plan_new(&plan, NULL, 0, err, sizeof err), 0);
    with_capacities(check_table, plan);
    struct pgd_bars_geometry geo;
    for (uint32_t series = 1; series <= SERIES_MAX; series++) {
        assert_true(pgk_table_layout(&geo, plan, series, 64 + series % 8 * 64) > 0);
        expect_spread(&geo);
    }
    assert_int_equal(pgk_table_layout(&geo, plan, 0, 64), 0);
    assert_int_equal(pgk_table_layout(&geo, plan, 1, pgk_plan_capacity(plan) - 1), 0);
    pgk_plan_free(plan);
}

/* Eight series side by side in the CPU's tiles, and one in each state of the GPU: their size is the distance
 * to the next, whatever the windows. */
static void tiles_and_states(void **state)
{
    (void)state;
    for (uint32_t period = 1; period <= 1000; period++)
        for (int many = 0; many < 2; many++) {
            struct pgk_plan *plan = plan_of(period, many != 0);
            struct pgk_gpu_plan gpu;
            for (uint32_t room = 1; room <= 16; room++) {
                struct pgk_layout layout;
                pgk_layout_init(&layout, plan, room);
                if (!spread(layout.size, PGD_LINE, 1))
                    fail_msg("sma_%u, room for %u: a tile of %zu bytes", period, room, layout.size);
                pgk_fuse_plan(&gpu, plan, room);
                uint32_t tile = gpu.state_words * PGK_GPU_LANES * 8;
                if (!spread(tile, PGK_GPU_LANES * 8, 1))
                    fail_msg("sma_%u, %u rows ahead: a tile of %u bytes", period, room, tile);
            }
            pgk_plan_free(plan);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_trap_is_seen),
        cmocka_unit_test(segments),
        cmocka_unit_test(tables),
        cmocka_unit_test(tiles_and_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
