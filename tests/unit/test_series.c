#include <errno.h>
#include <math.h>
#include <string.h>

#include "instance.h"
#include "shm/series.h"

#define CAPACITY 16u
#define SERIES   5u

static const struct pgd_column columns[] = {{"sma_20", "price"}, {"rsi_14", "points"}, {"vwap", "price"}};

static struct pgd_bars_config config(void)
{
    return (struct pgd_bars_config){.timespan = "1m",
                                    .span_ms = 60000,
                                    .series_max = SERIES,
                                    .capacity = CAPACITY,
                                    .log_capacity = 256,
                                    .columns = columns,
                                    .column_count = 3,
                                    .state_size = 64,
                                    .state_slots = 2,
                                    .state_every = 8};
}

struct fixture {
    struct pgd_bars bars;
    struct pgd_bars_reader reader;
};

static void own(struct pgd_bars *bars, uint64_t epoch)
{
    struct pgd_owner owner = instance_owner(epoch);
    struct pgd_bars_config c = config();
    assert_int_equal(pgd_bars_own(bars, &owner, &c), 0);
}

static struct fixture open_fixture(void)
{
    struct fixture f = {0};
    own(&f.bars, 1);
    assert_int_equal(pgd_bars_attach(&f.reader, instance(), "1m"), 0);
    return f;
}

static void close_fixture(struct fixture *f)
{
    pgd_bars_detach(&f->reader);
    pgd_bars_close(&f->bars);
}

static struct pgd_bar bar_at(int64_t t)
{
    double x = (double)t;
    return (struct pgd_bar){.t = t,
                            .o = x,
                            .h = x + 1,
                            .l = x - 1,
                            .c = x + 0.5,
                            .v = 10 * x,
                            .vw = x,
                            .n = (uint32_t)t,
                            .flags = PGD_BAR_REST};
}

static void append(struct fixture *f, uint32_t series, int64_t t)
{
    struct pgd_bar bar = bar_at(t);
    pgd_bars_append(&f->bars, series, &bar);
}

static void expect_row(struct fixture *f, uint32_t series, uint64_t index, int64_t t, uint16_t rev)
{
    struct pgd_bar want = bar_at(t), got;
    double units[3];
    want.rev = rev;
    assert_int_equal(pgd_bars_row(&f->reader, series, index, &got, units), 2);
    assert_memory_equal(&got, &want, sizeof got);
    assert_true(isnan(units[0]) && isnan(units[1]) && isnan(units[2]));
}

static uint64_t *unit_of(struct fixture *f, uint32_t series, uint64_t index)
{
    const struct pgd_bars_geometry *g = f->bars.geo;
    return (uint64_t *)(f->bars.map.base + g->unit_offset + series * g->rows_stride +
                        index % g->capacity * g->unit_stride);
}

/* As the engine writes them. */
static void write_units(struct fixture *f, uint32_t series, uint64_t index, uint16_t rev, double value)
{
    uint64_t *unit = unit_of(f, series, index);
    shm_store64(unit, PGD_UNIT_TAG(index, rev | 1, 0));
    shm_fence_release();
    for (unsigned i = 0; i < 3; i++) {
        double v = value + i;
        memcpy(unit + 1 + i, &v, 8);
    }
    shm_store64_release(unit, PGD_UNIT_TAG(index, rev, 1));
    struct pgd_series *s = (struct pgd_series *)(void *)(f->bars.map.base + f->bars.geo->series_offset +
                                                         series * f->bars.geo->series_stride);
    if (s->computed <= index)
        shm_store64_release(&s->computed, index + 1);
}

static bool power_of_two(uint64_t n)
{
    return (n & (n - 1)) == 0;
}

static void strides_avoid_powers_of_two(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    const struct pgd_bars_geometry *g = f.bars.geo;
    assert_int_equal(g->rows_stride % PGD_UNIT, 0);
    assert_int_equal(g->rows_stride / PGD_UNIT % 2, 1);
    assert_int_equal(g->unit_offset % PGD_UNIT, 0);
    assert_int_equal(g->bar_offset % PGD_UNIT, 0);
    assert_int_equal(g->state_stride / PGD_UNIT % 2, 1);
    assert_int_equal(g->state_offset % PGD_UNIT, 0);
    assert_false(power_of_two(g->rows_stride) || power_of_two(g->rows_stride / 3));
    assert_int_equal(g->unit_size, PGD_UNIT);
    struct pgd_bars_config c = config();
    assert_int_equal(pgd_bars_size(&c), f.bars.map.size);
    close_fixture(&f);
}

static void configurations_out_of_range_are_refused(void **state)
{
    (void)state;
    struct pgd_bars_config bad[11];
    for (size_t i = 0; i < 11; i++)
        bad[i] = config();
    static const struct pgd_column too_long[] = {{"a_name_that_is_much_too_long", ""}};
    bad[0].series_max = 0;
    bad[1].series_max = PGD_SERIES_LIMIT + 1;
    bad[2].capacity = 15;
    bad[3].capacity = PGD_CAPACITY_LIMIT + 1;
    bad[4].log_capacity = 300;
    bad[5].column_count = 512;
    bad[6].timespan = "";
    bad[7].timespan = "0123456789abcdef";
    bad[8].state_size = 63;
    bad[9].span_ms = 0;
    bad[10].columns = too_long;
    bad[10].column_count = 1;
    struct pgd_owner owner = instance_owner(1);
    struct pgd_bars bars;
    for (size_t i = 0; i < 11; i++) {
        assert_int_equal(pgd_bars_size(&bad[i]), 0);
        assert_int_equal(pgd_bars_own(&bars, &owner, &bad[i]), -EINVAL);
    }
    /* The largest that is allowed is computed, not wrapped: 64 Ki series of 16 Mi rows. */
    struct pgd_bars_config large = config();
    large.series_max = PGD_SERIES_LIMIT;
    large.capacity = PGD_CAPACITY_LIMIT;
    assert_true(pgd_bars_size(&large) > UINT64_C(65536) * 16777216 * 192);
}

static void schema_names_every_column(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    const struct pgd_field *field = pgd_segment_field(&f.reader.map, PGD_REC_UNIT, "rsi_14");
    assert_non_null(field);
    assert_int_equal(field->offset, 16);
    assert_string_equal(field->unit, "points");
    assert_int_equal(pgd_segment_field(&f.reader.map, PGD_REC_BAR, "vw")->offset,
                     offsetof(struct pgd_bar, vw));
    struct pgd_field copy;
    for (uint32_t i = 0; i < f.reader.map.schema_count; i++)
        assert_int_equal(pgd_segment_field_at(&f.reader.map, i, &copy), 0);
    close_fixture(&f);
}

static void rows_are_read_back(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    struct pgd_bar got;
    assert_int_equal(pgd_bars_rows(&f.reader, 2), 0);
    assert_int_equal(pgd_bars_row(&f.reader, 2, 0, &got, NULL), 0);
    assert_int_equal(pgd_bars_row(&f.reader, SERIES, 0, &got, NULL), -ERANGE);
    assert_int_equal(pgd_bars_rows(&f.reader, SERIES), 0);
    pgd_bars_open_series(&f.bars, 2, PGD_SESSION_UTC);
    for (int64_t i = 0; i < 10; i++)
        append(&f, 2, 100 + i);
    assert_int_equal(pgd_bars_rows(&f.reader, 2), 10);
    for (int64_t i = 0; i < 10; i++)
        expect_row(&f, 2, (uint64_t)i, 100 + i, 2);
    assert_int_equal(pgd_bars_row(&f.reader, 2, 10, &got, NULL), 0);
    assert_int_equal(pgd_bars_rows(&f.reader, 1), 0);
    close_fixture(&f);
}

static void old_rows_leave_the_ring(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    struct pgd_bar got;
    for (int64_t i = 0; i < 100; i++) {
        append(&f, 4, i + 1);
        uint64_t head = (uint64_t)i + 1, first = pgd_bars_first(&f.bars, 4);
        assert_int_equal(first, head >= CAPACITY ? head - CAPACITY + 1 : 0);
        if (first > 0)
            assert_int_equal(pgd_bars_row(&f.reader, 4, first - 1, &got, NULL), -EOVERFLOW);
        expect_row(&f, 4, first, (int64_t)first + 1, 2);
        expect_row(&f, 4, head - 1, i + 1, 2);
    }
    close_fixture(&f);
}

static void indicators_belong_to_index_and_revision(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    struct pgd_bar got, revised = bar_at(50);
    double units[3];
    for (int64_t i = 0; i < 10; i++)
        append(&f, 0, i + 1);
    write_units(&f, 0, 3, 2, 7.5);
    assert_int_equal(pgd_bars_row(&f.reader, 0, 3, &got, units), 1);
    assert_true(units[0] == 7.5 && units[1] == 8.5 && units[2] == 9.5);
    assert_int_equal(pgd_bars_row(&f.reader, 0, 3, &got, NULL), 1);
    assert_int_equal(pgd_bars_row(&f.reader, 0, 4, &got, units), 2);
    assert_true(isnan(units[0]));
    assert_int_equal(pgd_bars_revise(&f.bars, 0, 3, &revised), 0);
    assert_int_equal(pgd_bars_row(&f.reader, 0, 3, &got, units), 2);
    assert_true(isnan(units[0]) && got.rev == 4 && got.t == 50);
    write_units(&f, 0, 3, 4, 1);
    assert_int_equal(pgd_bars_row(&f.reader, 0, 3, &got, units), 1);
    shm_store64(unit_of(&f, 0, 3), PGD_UNIT_TAG(3, 5, 2)); /* being written */
    assert_int_equal(pgd_bars_row(&f.reader, 0, 3, &got, units), 2);
    /* The same slot a lap later: the tag names another row. */
    write_units(&f, 0, 3, 2, 1);
    for (int64_t i = 0; i < 16; i++)
        append(&f, 0, 100 + i);
    assert_int_equal(pgd_bars_row(&f.reader, 0, 19, &got, units), 2);
    close_fixture(&f);
}

static void revision_numbers_skip_zero(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    append(&f, 0, 1);
    uint16_t rev = 2;
    for (int i = 0; i < 40000; i++) {
        struct pgd_bar bar = bar_at(i + 2), got;
        assert_int_equal(pgd_bars_revise(&f.bars, 0, 0, &bar), 0);
        rev = (uint16_t)(rev + 2 == 65536 ? 2 : rev + 2);
        assert_int_equal(pgd_bars_row(&f.reader, 0, 0, &got, NULL), 2);
        assert_int_equal(got.rev, rev);
    }
    close_fixture(&f);
}

static void revise_outside_the_ring_is_refused(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    struct pgd_bar bar = bar_at(1);
    assert_int_equal(pgd_bars_revise(&f.bars, 0, 0, &bar), -ERANGE);
    for (int64_t i = 0; i < 20; i++)
        append(&f, 0, i + 1);
    assert_int_equal(pgd_bars_revise(&f.bars, 0, 4, &bar), -ERANGE);
    assert_int_equal(pgd_bars_revise(&f.bars, 0, 5, &bar), 0);
    assert_int_equal(pgd_bars_revise(&f.bars, 0, 20, &bar), -ERANGE);
    close_fixture(&f);
}

static void insert_moves_rows_up(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    struct pgd_bar bar = bar_at(25);
    for (int64_t i = 1; i <= 5; i++)
        append(&f, 0, 10 * i);
    assert_int_equal(pgd_bars_insert(&f.bars, 0, 2, &bar), 0);
    static const int64_t want[] = {10, 20, 25, 30, 40, 50};
    static const uint16_t revs[] = {2, 2, 4, 4, 4, 2};
    assert_int_equal(pgd_bars_rows(&f.reader, 0), 6);
    for (uint64_t i = 0; i < 6; i++)
        expect_row(&f, 0, i, want[i], revs[i]);
    bar = bar_at(60);
    assert_int_equal(pgd_bars_insert(&f.bars, 0, 6, &bar), 0);
    expect_row(&f, 0, 6, 60, 2);
    assert_int_equal(pgd_bars_insert(&f.bars, 0, 8, &bar), -ERANGE);
    close_fixture(&f);
}

static void insert_into_a_full_ring_drops_the_oldest(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    struct pgd_bar bar = bar_at(45), got;
    for (int64_t i = 0; i < 15; i++)
        append(&f, 0, 10 * i + 10);
    assert_int_equal(pgd_bars_first(&f.bars, 0), 0);
    assert_int_equal(pgd_bars_insert(&f.bars, 0, 0, &bar), -ERANGE);
    assert_int_equal(pgd_bars_insert(&f.bars, 0, 4, &bar), 0);
    assert_int_equal(pgd_bars_row(&f.reader, 0, 0, &got, NULL), -EOVERFLOW);
    int64_t t = 0;
    for (uint64_t i = 1; i < 16; i++) {
        assert_int_equal(pgd_bars_row(&f.reader, 0, i, &got, NULL), 2);
        assert_true(got.t > t);
        t = got.t;
    }
    assert_int_equal(pgd_bars_insert(&f.bars, 0, 1, &bar), -ERANGE);
    assert_int_equal(pgd_bars_insert(&f.bars, 0, 2, &bar), 0);
    close_fixture(&f);
}

static void search_finds_first_at_or_after(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    assert_int_equal(pgd_bars_search(&f.bars, 0, 5), 0);
    for (int64_t n = 1; n < 40; n++) {
        append(&f, 0, n * 10);
        uint64_t first = pgd_bars_first(&f.bars, 0), head = pgd_bars_head(&f.bars, 0);
        for (int64_t t = 0; t <= n * 10 + 10; t++) {
            uint64_t want = first;
            while (want < head && ((int64_t)want + 1) * 10 < t)
                want++;
            assert_int_equal(pgd_bars_search(&f.bars, 0, t), want);
        }
    }
    close_fixture(&f);
}

static void forming_bar_and_day(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    struct pgd_bar bar = bar_at(60000), got;
    struct pgd_day day = {.t = 60000, .op = 1, .av = 2, .a = NAN}, got_day;
    assert_int_equal(pgd_bars_get_forming(&f.reader, 1, &got), 0);
    assert_int_equal(pgd_bars_get_day(&f.reader, 1, &got_day), 0);
    pgd_bars_forming(&f.bars, 1, &bar);
    assert_int_equal(pgd_bars_get_forming(&f.reader, 1, &got), 1);
    assert_int_equal(got.t, 60000);
    assert_int_equal(got.n, 60000);
    bar.t = 0;
    pgd_bars_forming(&f.bars, 1, &bar);
    assert_int_equal(pgd_bars_get_forming(&f.reader, 1, &got), 0);
    pgd_bars_day(&f.bars, 1, &day);
    assert_int_equal(pgd_bars_get_day(&f.reader, 1, &got_day), 1);
    assert_true(got_day.op == 1 && got_day.av == 2 && isnan(got_day.a));
    assert_int_equal(pgd_bars_get_forming(&f.reader, SERIES, &got), 0);
    assert_int_equal(pgd_bars_get_day(&f.reader, SERIES, &got_day), 0);
    close_fixture(&f);
}

static void adoption_keeps_rows_and_clears_the_rest(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    struct pgd_bar bar = bar_at(7), got;
    for (int64_t i = 0; i < 30; i++)
        append(&f, 3, i + 1);
    pgd_bars_forming(&f.bars, 3, &bar);
    struct pgd_series *s = (struct pgd_series *)(f.bars.map.base + f.bars.geo->series_offset + 256);
    s->forming = (struct pgd_bar){.t = 9, .rev = 5}; /* died in it */
    s->day = (struct pgd_day){.seq = 3, .t = 9};
    struct pgd_change change = {.symbol = 3, .rows = 1};
    pgd_tape_put(&f.bars.log, &change);
    pgd_bars_close(&f.bars);
    own(&f.bars, 2);
    assert_true(f.bars.map.adopted);
    assert_int_equal(pgd_segment_epoch(&f.reader.map), 2);
    for (uint64_t i = 15; i < 30; i++)
        expect_row(&f, 3, i, (int64_t)i + 1, 2);
    assert_int_equal(pgd_bars_get_forming(&f.reader, 3, &got), 0);
    struct pgd_day day;
    assert_int_equal(pgd_bars_get_forming(&f.reader, 1, &got), 0);
    assert_int_equal(pgd_bars_get_day(&f.reader, 1, &day), 0);
    assert_int_equal(f.bars.log.next, 1);
    close_fixture(&f);
}

static void row_left_odd_is_reported(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    struct pgd_bar got;
    append(&f, 0, 1);
    struct pgd_bar *row = (struct pgd_bar *)(f.bars.map.base + f.bars.geo->bar_offset);
    row->rev = 3;
    assert_int_equal(pgd_bars_row(&f.reader, 0, 0, &got, NULL), -EAGAIN);
    row->rev = 4;
    assert_int_equal(pgd_bars_row(&f.reader, 0, 0, &got, NULL), 2);
    close_fixture(&f);
}

static void change_log_reaches_readers(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    struct pgd_tape_reader log;
    assert_int_equal(pgd_bars_log(&log, &f.reader, PGD_FROM_NEXT), 0);
    struct pgd_change change = {.symbol = 4, .flags = PGD_CHANGE_APPEND, .first = 8, .bars = 1, .rows = 1},
                      got;
    pgd_tape_put(&f.bars.log, &change);
    pgd_tape_publish(&f.bars.log);
    assert_int_equal(pgd_tape_wait(&log, 0), 0);
    assert_int_equal(pgd_tape_get(&log, &got), 1);
    assert_int_equal(got.symbol, 4);
    assert_int_equal(got.first, 8);
    close_fixture(&f);
}

static void damaged_geometry_is_refused(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    struct pgd_bars_geometry *g = (struct pgd_bars_geometry *)(f.bars.map.base + f.bars.map.geometry_offset);
    const struct pgd_bars_geometry good = *g;
    struct pgd_bars_geometry bad[16];
    for (size_t i = 0; i < 16; i++)
        bad[i] = good;
    bad[0].series_max = 0;
    bad[1].series_max = 6;
    bad[2].capacity = 0;
    bad[3].capacity = UINT32_MAX;
    bad[4].series_offset = f.bars.map.size - 8;
    bad[5].series_stride = UINT64_MAX / 2;
    bad[6].bar_offset = UINT64_MAX - 7;
    bad[7].bar_stride = 32;
    bad[8].bar_stride = UINT64_MAX - 7;
    bad[9].unit_offset += 4;
    bad[10].unit_stride = 64;
    bad[11].rows_stride = UINT64_MAX - 127;
    bad[12].unit_size = 0;
    bad[13].columns = 16;
    bad[14].unit_stride = UINT64_MAX / 16 * 8;
    bad[15].series_stride = 128;
    struct pgd_bars_reader r;
    for (size_t i = 0; i < 16; i++) {
        *g = bad[i];
        assert_int_equal(pgd_bars_attach(&r, instance(), "1m"), -EPROTO);
    }
    *g = good;
    assert_int_equal(pgd_bars_attach(&r, instance(), "1m"), 0);
    pgd_bars_detach(&r);
    assert_int_equal(pgd_bars_attach(&r, instance(), "a-timespan-that-is-too-long-for-a-name"), -EINVAL);
    close_fixture(&f);
}

/* What has a slot of its own appears at once; the rest row by row, round the ring. */
static void many_appended_at_once(void **state)
{
    (void)state;
    struct fixture f = open_fixture();
    struct pgd_bar bars[CAPACITY + 5];
    for (int64_t i = 0; i < (int64_t)(CAPACITY + 5); i++)
        bars[i] = bar_at(1000 + i);
    append(&f, 1, 999);
    pgd_bars_append_all(&f.bars, 1, bars, 0);
    assert_int_equal(pgd_bars_rows(&f.reader, 1), 1);
    pgd_bars_append_all(&f.bars, 1, bars, 3);
    assert_int_equal(pgd_bars_rows(&f.reader, 1), 4);
    pgd_bars_append_all(&f.bars, 1, bars + 3, CAPACITY + 2);
    uint64_t rows = pgd_bars_rows(&f.reader, 1);
    assert_int_equal(rows, CAPACITY + 6);
    for (uint64_t i = rows - CAPACITY + 1; i < rows; i++)
        expect_row(&f, 1, i, 999 + (int64_t)i, 2);
    struct pgd_bar bar;
    assert_int_equal(pgd_bars_row(&f.reader, 1, rows - CAPACITY, &bar, NULL), -EOVERFLOW);
    assert_int_equal(pgd_bars_rows(&f.reader, 0), 0);
    assert_int_equal(pgd_bars_rows(&f.reader, 2), 0);
    close_fixture(&f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, instance_clean)
    const struct CMUnitTest tests[] = {
        TEST(strides_avoid_powers_of_two),
        TEST(configurations_out_of_range_are_refused),
        TEST(schema_names_every_column),
        TEST(rows_are_read_back),
        TEST(old_rows_leave_the_ring),
        TEST(indicators_belong_to_index_and_revision),
        TEST(revision_numbers_skip_zero),
        TEST(revise_outside_the_ring_is_refused),
        TEST(insert_moves_rows_up),
        TEST(insert_into_a_full_ring_drops_the_oldest),
        TEST(search_finds_first_at_or_after),
        TEST(forming_bar_and_day),
        TEST(adoption_keeps_rows_and_clears_the_rest),
        TEST(row_left_odd_is_reported),
        TEST(change_log_reaches_readers),
        TEST(damaged_geometry_is_refused),
        TEST(many_appended_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
