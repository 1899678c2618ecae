/* A writer that strikes before any shared load of a reader. The read side is compiled in here with loads that
 * count: before the k-th, for every k, the writer changes what is being read, then the read goes on. It may
 * deliver the old record, the new one, or the word that it is too late; nothing between. */
#include <errno.h>
#include <string.h>

#include "instance.h"

/* ----------------------------------------------------------------- shm/atomic.h, with a hook in it */

#define SHM_ATOMIC_H

static int loads_left = -1; /* until the strike; negative: none is due */
static void (*strike_due)(void);

static void before_load(void)
{
    if (loads_left >= 0 && loads_left-- == 0)
        strike_due();
}

static inline uint64_t shm_load64(const void *p)
{
    before_load();
    return __atomic_load_n((const uint64_t *)p, __ATOMIC_SEQ_CST);
}

static inline uint64_t shm_load64_acquire(const void *p)
{
    return shm_load64(p);
}

static inline uint32_t shm_load32(const void *p)
{
    before_load();
    return __atomic_load_n((const uint32_t *)p, __ATOMIC_SEQ_CST);
}

static inline uint32_t shm_load32_acquire(const void *p)
{
    return shm_load32(p);
}

static inline void shm_store64(void *p, uint64_t v)
{
    __atomic_store_n((uint64_t *)p, v, __ATOMIC_SEQ_CST);
}

static inline void shm_store64_release(void *p, uint64_t v)
{
    shm_store64(p, v);
}

static inline void shm_store32_release(void *p, uint32_t v)
{
    __atomic_store_n((uint32_t *)p, v, __ATOMIC_SEQ_CST);
}

static inline void shm_fence_acquire(void) {}

static inline void shm_fence_release(void) {}

static inline void shm_copy_out(void *restrict to, const void *restrict from, size_t words)
{
    for (size_t i = 0; i < words; i++)
        ((uint64_t *)to)[i] = shm_load64((const uint64_t *)from + i);
}

static inline void shm_copy_in(void *restrict to, const void *restrict from, size_t words)
{
    for (size_t i = 0; i < words; i++)
        shm_store64((uint64_t *)to + i, ((const uint64_t *)from)[i]);
}

#include "guard.c"
#include "series_read.c"
#include "shm/tapes.h"
#include "tape.c"

#define CAPACITY 16u
#define COLUMNS  2u

static struct pgd_bars bars;
static struct pgd_bars_reader reader;
static struct pgd_tape_segment tape;
static struct pgd_map tape_map;
static struct pgd_tape_reader tape_reader;
static uint64_t target; /* index that is read */

/* `read` says whether what it got is sound. Ends with the k that the read does not reach. */
static void strike_everywhere(void (*prepare)(void), bool (*read)(void), void (*strike)(void))
{
    int k = 0;
    strike_due = strike;
    for (bool struck = true; struck; k++) {
        prepare();
        loads_left = k;
        bool sound = read();
        struck = loads_left < 0;
        loads_left = -1;
        if (!sound)
            print_error("struck before load %d\n", k);
        assert_true(sound);
    }
    assert_true(k > 8);
}

/* -------------------------------------------------------------------------------------------- rows */

static struct pgd_bar bar_make(uint64_t index, uint32_t version)
{
    double x = (double)index, y = version;
    return (struct pgd_bar){.t = 1000 + (int64_t)index,
                            .o = y,
                            .h = x + y,
                            .l = x - y,
                            .c = x * y,
                            .v = x * 2 + y,
                            .vw = -x,
                            .n = version};
}

static void append(void)
{
    struct pgd_bar bar = bar_make(pgd_bars_head(&bars, 0), 1);
    pgd_bars_append(&bars, 0, &bar);
}

/* Each computation of the same row gives other values, and all columns of one belong together. */
static double unit_value(const struct pgd_bar *bar, unsigned column)
{
    static unsigned computation;
    computation += column == 0;
    return bar->h * 4096 + 2 * computation + column;
}

static bool units_sound(const struct pgd_bar *bar, const double *units)
{
    return units[0] > bar->h * 4096 && units[1] == units[0] + 1 && ((int64_t)units[0] & 1) == 0;
}

static void write_units(uint64_t index)
{
    static uint16_t gen;
    struct pgd_bar bar;
    pgd_bars_peek(&bars, 0, index, &bar);
    uint64_t *unit =
        (uint64_t *)(bars.map.base + bars.geo->unit_offset + index % CAPACITY * bars.geo->unit_stride);
    gen++;
    shm_store64(unit, PGD_UNIT_TAG(index, bar.rev | 1, gen));
    shm_fence_release();
    for (unsigned c = 0; c < COLUMNS; c++) {
        double v = unit_value(&bar, c);
        shm_copy_in(unit + 1 + c, (const uint64_t *)&v, 1);
    }
    shm_store64_release(unit, PGD_UNIT_TAG(index, bar.rev, gen));
    struct pgd_series *s = (struct pgd_series *)(void *)(bars.map.base + bars.geo->series_offset);
    if (s->computed <= index)
        shm_store64_release(&s->computed, index + 1);
}

static void oldest_row(void)
{
    append();
    target = pgd_bars_first(&bars, 0);
    write_units(target);
}

static bool read_row(void)
{
    struct pgd_bar bar;
    double units[COLUMNS];
    int r = pgd_bars_row(&reader, 0, target, &bar, units);
    if (r == -EOVERFLOW)
        return true;
    if (r != 1 && r != 2)
        return false;
    struct pgd_bar want = bar_make(target, bar.n);
    want.rev = bar.rev;
    if (r == 1 ? !units_sound(&bar, units) : units[0] == units[0] || units[1] == units[1])
        return false;
    return memcmp(&bar, &want, sizeof bar) == 0;
}

static void strike_append_two(void)
{
    append();
    append();
    write_units(pgd_bars_head(&bars, 0) - 1);
}

static void strike_lap(void)
{
    for (unsigned i = 0; i < CAPACITY + 3; i++)
        append();
    write_units(target + CAPACITY);
}

static void strike_revise(void)
{
    static uint32_t version = 1;
    struct pgd_bar bar = bar_make(target, ++version);
    if (pgd_bars_revise(&bars, 0, target, &bar) == 0 && version % 2 == 0)
        write_units(target);
}

static void strike_units(void)
{
    struct pgd_bar bar;
    pgd_bars_peek(&bars, 0, target, &bar);
    strike_revise();
    write_units(target);
}

static void strike_recompute(void)
{
    write_units(target);
}

static void row_against_recomputation(void **state)
{
    (void)state;
    strike_everywhere(oldest_row, read_row, strike_recompute);
}

static void row_against_next_appends(void **state)
{
    (void)state;
    strike_everywhere(oldest_row, read_row, strike_append_two);
}

static void row_against_a_lap(void **state)
{
    (void)state;
    strike_everywhere(oldest_row, read_row, strike_lap);
}

static void row_against_revision(void **state)
{
    (void)state;
    strike_everywhere(oldest_row, read_row, strike_revise);
}

static void row_against_the_engine(void **state)
{
    (void)state;
    strike_everywhere(oldest_row, read_row, strike_units);
}

/* ------------------------------------------------------------------------------------------- forming, day */

static uint32_t count = 1;

/* Any number of trades but one and the same, so that only the revision tells two of them apart. */
static struct pgd_bar forming_make(uint32_t version)
{
    struct pgd_bar bar = bar_make(version, version);
    bar.n = 7;
    return bar;
}

static void set_cells(void)
{
    count++;
    struct pgd_bar bar = forming_make(count);
    struct pgd_day day = {.t = (int64_t)count, .op = count, .av = 2.0 * count, .a = 3.0 * count};
    pgd_bars_forming(&bars, 0, &bar);
    pgd_bars_day(&bars, 0, &day);
}

static bool read_forming(void)
{
    struct pgd_bar bar;
    if (pgd_bars_get_forming(&reader, 0, &bar) != 1)
        return false;
    struct pgd_bar want = forming_make((uint32_t)bar.o);
    want.rev = bar.rev;
    return memcmp(&bar, &want, sizeof bar) == 0;
}

/* Until the revision has come round to the number it had. */
static void strike_forming_round(void)
{
    const struct pgd_series *s = (const struct pgd_series *)(bars.map.base + bars.geo->series_offset);
    uint16_t rev = s->forming.rev;
    do
        set_cells();
    while (s->forming.rev != rev);
}

static bool read_day(void)
{
    struct pgd_day day;
    if (pgd_bars_get_day(&reader, 0, &day) != 1)
        return false;
    return day.op == (double)day.t && day.av == 2 * day.op && day.a == 3 * day.op;
}

static void forming_against_update(void **state)
{
    (void)state;
    strike_everywhere(set_cells, read_forming, set_cells);
}

static void forming_against_a_full_round(void **state)
{
    (void)state;
    strike_everywhere(set_cells, read_forming, strike_forming_round);
}

static void day_against_update(void **state)
{
    (void)state;
    strike_everywhere(set_cells, read_day, set_cells);
}

/* -------------------------------------------------------------------------------------------- tape */

static void put(void)
{
    uint64_t words[8];
    for (unsigned k = 0; k < 8; k++)
        words[k] = tape.writer.next * 8 + k;
    pgd_tape_put(&tape.writer, words);
    pgd_tape_put_latest(&tape.writer, 1, words);
}

static void put_to_edge(void)
{
    while (tape.writer.next % 64 != 0 || tape.writer.next < 512)
        put();
    tape_reader.next = tape.writer.next - 256; /* the next reservation laps it */
    tape_reader.lost = 0;
}

static bool record_whole(const uint64_t *words, uint64_t index)
{
    for (unsigned k = 1; k < 8; k++)
        if (words[k] != index * 8 + k)
            return false;
    return true;
}

static bool read_tape(void)
{
    uint64_t words[2][8], before = tape_reader.next;
    int n = pgd_tape_get_many(&tape_reader, words, 2);
    if (n == -EOVERFLOW)
        return tape_reader.lost == tape_reader.next - before && tape_reader.lost > 0;
    return n == 2 && record_whole(words[0], before) && record_whole(words[1], before + 1);
}

static bool read_latest(void)
{
    uint64_t words[8];
    return pgd_tape_latest(&tape_reader, 1, words) == 1 && record_whole(words, words[1] / 8);
}

static void strike_put_one(void)
{
    put();
}

static void strike_put_many(void)
{
    for (int i = 0; i < 700; i++)
        put();
}

static void tape_against_reservation(void **state)
{
    (void)state;
    strike_everywhere(put_to_edge, read_tape, strike_put_one);
}

static void tape_against_a_lap(void **state)
{
    (void)state;
    strike_everywhere(put_to_edge, read_tape, strike_put_many);
}

static void latest_against_update(void **state)
{
    (void)state;
    strike_everywhere(put_to_edge, read_latest, strike_put_one);
}

/* ------------------------------------------------------------------------------------------------- */

static int setup(void **state)
{
    (void)state;
    static const struct pgd_column columns[COLUMNS] = {{"a", ""}, {"b", ""}};
    struct pgd_owner owner = instance_owner(1);
    struct pgd_bars_config config = {.timespan = "1m",
                                     .span_ms = 60000,
                                     .series_max = 1,
                                     .capacity = CAPACITY,
                                     .log_capacity = 256,
                                     .columns = columns,
                                     .column_count = COLUMNS};
    int r = pgd_bars_own(&bars, &owner, &config);
    if (r == 0)
        r = pgd_bars_attach(&reader, instance(), "1m");
    if (r == 0)
        r = pgd_tapes_own(&tape, &owner, PGD_TAPES_TRADES, 256, 2);
    if (r == 0)
        r = pgd_tapes_attach(&tape_map, &tape_reader, instance(), PGD_TAPES_TRADES, PGD_FROM_NEXT);
    for (unsigned i = 0; r == 0 && i < 2 * CAPACITY; i++)
        append();
    return r;
}

static int teardown(void **state)
{
    pgd_bars_detach(&reader);
    pgd_bars_close(&bars);
    pgd_segment_close(&tape_map);
    pgd_tapes_close(&tape);
    return instance_clean(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_against_next_appends),     cmocka_unit_test(row_against_a_lap),
        cmocka_unit_test(row_against_revision),         cmocka_unit_test(row_against_the_engine),
        cmocka_unit_test(row_against_recomputation),    cmocka_unit_test(forming_against_update),
        cmocka_unit_test(forming_against_a_full_round), cmocka_unit_test(day_against_update),
        cmocka_unit_test(tape_against_reservation),     cmocka_unit_test(tape_against_a_lap),
        cmocka_unit_test(latest_against_update),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
