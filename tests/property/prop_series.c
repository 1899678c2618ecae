/* Random appends, revisions and insertions against a plain array, with readers in threads, an engine that
 * writes indicators meanwhile, and restarts in between. Then writers that are killed, and their successors.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "shm/series.h"
#include "unit/instance.h"

#define CAPACITY 64u
#define SERIES   3u
#define PLAIN    2u /* the series that is only appended to: its starts follow from the index */
#define COLUMNS  2u
#define STEPS    200000
#define KILLS    6
#define ROWS_MAX 160000
#define MANY     (2 * CAPACITY) /* bars appended at once, at most: past the ring's end and round it */

static uint64_t seed;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int64_t plain_start(uint64_t index)
{
    return 1000 + 10 * (int64_t)index;
}

static const struct pgd_column columns[COLUMNS] = {{"a", ""}, {"b", ""}};

static void own(struct pgd_bars *bars, uint64_t epoch)
{
    struct pgd_owner owner = instance_owner(epoch);
    struct pgd_bars_config c = {.timespan = "1s",
                                .span_ms = 1000,
                                .series_max = SERIES,
                                .capacity = CAPACITY,
                                .log_capacity = 256,
                                .columns = columns,
                                .column_count = COLUMNS};
    assert_int_equal(pgd_bars_own(bars, &owner, &c), 0);
}

/* Every field follows from start, version and series: a torn or foreign row gives itself away. */
static struct pgd_bar bar_make(int64_t t, uint32_t version, uint32_t series)
{
    double x = (double)t, y = version, z = series;
    return (struct pgd_bar){.t = t,
                            .o = y,
                            .h = z,
                            .l = x + y,
                            .c = x * 3 + y,
                            .v = x - y + z,
                            .vw = y * 7 - x,
                            .n = version ^ (uint32_t)t};
}

static bool bar_whole(const struct pgd_bar *bar, uint32_t series)
{
    struct pgd_bar want = bar_make(bar->t, (uint32_t)bar->o, series);
    want.rev = bar->rev;
    return (bar->rev & 1) == 0 && memcmp(bar, &want, sizeof want) == 0;
}

static void units_make(double *units, const struct pgd_bar *bar)
{
    units[0] = bar->o * 5 + (double)bar->t;
    units[1] = bar->c;
}

/* ------------------------------------------------------------------------------------------ other parties */

struct party {
    struct pgd_bars_reader reader;
    uint64_t random;
    uint64_t rows, computed, bad;
    int *stop;
};

static int read_one(struct party *p, uint32_t *ret_series, uint64_t *ret_index, struct pgd_bar *bar)
{
    double units[COLUMNS], want[COLUMNS];
    uint32_t series = (uint32_t)(next_random(&p->random) % SERIES);
    uint64_t rows = pgd_bars_rows(&p->reader, series), back = next_random(&p->random) % (CAPACITY + 2);
    if (next_random(&p->random) % 2 == 0)
        back = CAPACITY - 1; /* the row that leaves next */
    uint64_t index = rows > back ? rows - back : 0;
    int r = pgd_bars_row(&p->reader, series, index, bar, units);
    *ret_series = series;
    *ret_index = index;
    if (r <= 0)
        return r;
    p->rows++;
    p->bad += !bar_whole(bar, series) || (series == PLAIN && bar->t != plain_start(index));
    units_make(want, bar);
    p->computed += r == 1;
    p->bad += r == 1 && memcmp(units, want, sizeof units) != 0;
    return r;
}

static void *reading(void *arg)
{
    struct party *p = arg;
    uint32_t series;
    uint64_t index;
    struct pgd_bar bar;
    while (!__atomic_load_n(p->stop, __ATOMIC_ACQUIRE)) {
        (void)read_one(p, &series, &index, &bar);
        if (pgd_bars_get_forming(&p->reader, series, &bar) == 1)
            p->bad += !bar_whole(&bar, series);
        struct pgd_day day;
        if (pgd_bars_get_day(&p->reader, series, &day) == 1)
            p->bad += day.op != (double)day.t || day.av != 2 * day.op || day.a != 3 * day.op;
    }
    return NULL;
}

/* An engine computes from the bar it saw; by the time it writes, the row may have changed or gone. */
static void *computing(void *arg)
{
    struct party *p = arg;
    uint16_t gen = 0;
    while (!__atomic_load_n(p->stop, __ATOMIC_ACQUIRE)) {
        uint32_t series;
        uint64_t index;
        struct pgd_bar bar;
        if (read_one(p, &series, &index, &bar) <= 0)
            continue;
        const struct pgd_bars_geometry *g = &p->reader.geo;
        uint64_t *unit = (uint64_t *)(p->reader.map.base + g->unit_offset + series * g->rows_stride +
                                      index % g->capacity * g->unit_stride);
        double units[COLUMNS];
        units_make(units, &bar);
        gen++;
        shm_store64(unit, PGD_UNIT_TAG(index, bar.rev | 1, gen));
        shm_fence_release();
        shm_copy_in(unit + 1, (const uint64_t *)units, COLUMNS);
        shm_store64_release(unit, PGD_UNIT_TAG(index, bar.rev, gen));
    }
    return NULL;
}

/* -------------------------------------------------------------------------------------------------- model */

/* All rows a series ever had, as a plain array. */
struct model {
    struct pgd_bar rows[ROWS_MAX];
    uint64_t count;
};

static struct model *models; /* [SERIES] */

static void model_insert(struct model *m, uint64_t at, const struct pgd_bar *bar)
{
    memmove(&m->rows[at + 1], &m->rows[at], (m->count - at) * sizeof *bar);
    m->rows[at] = *bar;
    m->count++;
}

static void append_many(struct pgd_bars *bars, struct model *m, uint32_t series, struct pgd_bar bar,
                        uint32_t version, uint64_t count)
{
    struct pgd_bar given[MANY];
    for (uint64_t i = 0; i < count; i++) {
        int64_t t = series == PLAIN ? plain_start(m->count) : bar.t + 10 * (int64_t)i;
        given[i] = bar_make(t, version, series);
        model_insert(m, m->count, &given[i]);
    }
    pgd_bars_append_all(bars, series, given, count);
    assert_int_equal(pgd_bars_head(bars, series), m->count);
}

static void step(struct pgd_bars *bars, uint64_t *random, uint32_t version)
{
    uint32_t series = (uint32_t)(next_random(random) % SERIES);
    struct model *m = &models[series];
    int64_t last = m->count > 0 ? m->rows[m->count - 1].t : 1000;
    uint64_t first = pgd_bars_first(bars, series), what = next_random(random) % 100;
    struct pgd_bar bar = bar_make(last + 10 + (int64_t)(next_random(random) % 10), version, series);
    if (series == PLAIN)
        bar = bar_make(plain_start(m->count), version, series);
    if (what < 2) {
        append_many(bars, m, series, bar, version, next_random(random) % (MANY + 1));
    } else if (what < 50 || m->count < 2 || series == PLAIN) {
        assert_int_equal(pgd_bars_append(bars, series, &bar), m->count);
        model_insert(m, m->count, &bar);
    } else if (what < 75) {
        uint64_t at = first + next_random(random) % (m->count - first);
        bar = bar_make(m->rows[at].t, version, series);
        assert_int_equal(pgd_bars_revise(bars, series, at, &bar), 0);
        m->rows[at] = bar;
    } else if (what < 85) {
        uint64_t at = first + next_random(random) % (m->count - first);
        int64_t below = at > 0 ? m->rows[at - 1].t : m->rows[0].t - 20;
        bar = bar_make(below + (m->rows[at].t - below) / 2, version, series);
        if (bar.t == below)
            return;
        assert_int_equal(pgd_bars_search(bars, series, bar.t), at);
        int r = pgd_bars_insert(bars, series, at, &bar);
        assert_int_equal(r, m->count + 1 >= CAPACITY && at == first ? -ERANGE : 0);
        if (r == 0)
            model_insert(m, at, &bar);
    } else if (what < 95) {
        pgd_bars_forming(bars, series, &bar);
    } else {
        struct pgd_day day = {
            .t = bar.t, .op = (double)bar.t, .av = 2.0 * (double)bar.t, .a = 3.0 * (double)bar.t};
        pgd_bars_day(bars, series, &day);
    }
}

static void compare(struct pgd_bars *bars, const struct pgd_bars_reader *reader)
{
    for (uint32_t s = 0; s < SERIES; s++) {
        const struct model *m = &models[s];
        assert_int_equal(pgd_bars_rows(reader, s), m->count);
        for (uint64_t i = pgd_bars_first(bars, s); i < m->count; i++) {
            struct pgd_bar got, want = m->rows[i];
            assert_in_range(pgd_bars_row(reader, s, i, &got, NULL), 1, 2);
            want.rev = got.rev;
            assert_memory_equal(&got, &want, sizeof got);
        }
    }
}

static void series_follow_the_model(void **state)
{
    (void)state;
    struct pgd_bars bars;
    int stop = 0;
    models = calloc(SERIES, sizeof *models);
    assert_non_null(models);
    own(&bars, 1);
    static struct party parties[3];
    pthread_t threads[3];
    for (uint64_t i = 0; i < 3; i++) {
        parties[i] = (struct party){.random = (seed + i) * 2 + 1, .stop = &stop};
        assert_int_equal(pgd_bars_attach(&parties[i].reader, instance(), "1s"), 0);
    }
    /* The engine thread writes through a mapping of its own. */
    struct pgd_map engine_map = bars.map;
    pgd_segment_close(&parties[2].reader.map);
    parties[2].reader.map = engine_map;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? reading : computing, &parties[i]), 0);
    uint64_t random = seed | 1;
    for (uint32_t n = 0; n < STEPS; n++) {
        step(&bars, &random, n + 1);
        if (next_random(&random) % 500 == 0)
            compare(&bars, &parties[0].reader);
        if (next_random(&random) % 2000 == 0) {
            struct pgd_bars next;
            own(&next, pgd_segment_epoch(&bars.map) + 1);
            assert_true(next.map.adopted);
            if (bars.map.base != engine_map.base)
                pgd_bars_close(&bars);
            bars = next;
        }
    }
    compare(&bars, &parties[0].reader);
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(parties[i].bad, 0);
        print_message("party %d: %llu rows, %llu with indicators\n", i, (unsigned long long)parties[i].rows,
                      (unsigned long long)parties[i].computed);
    }
    if (bars.map.base != engine_map.base)
        pgd_bars_close(&bars);
    for (int i = 0; i < 3; i++)
        pgd_bars_detach(&parties[i].reader);
    free(models);
}

/* -------------------------------------------------------------------------------------------------- kills */

/* Appends t = 1000, 2000, ...; now and then a late row at ...500 close behind, now and then a revision. */
static void write_for_ever(struct pgd_bars *bars, uint64_t random)
{
    for (uint32_t version = 1;; version++) {
        uint64_t head = pgd_bars_head(bars, 0), what = next_random(&random) % 8;
        struct pgd_bar bar, row;
        if (head > 10 && what < 5) {
            uint64_t at = head - 1 - next_random(&random) % 9;
            pgd_bars_peek(bars, 0, at, &row);
            bar = bar_make(what < 3 ? row.t : row.t - 500, version, 0);
            if (what < 3)
                (void)!pgd_bars_revise(bars, 0, at, &bar);
            else if (row.t % 1000 == 0 && pgd_bars_search(bars, 0, bar.t) == at) {
                pgd_bars_peek(bars, 0, at - 1, &row);
                if (row.t != bar.t)
                    (void)!pgd_bars_insert(bars, 0, at, &bar);
            }
            continue;
        }
        int64_t last = 0;
        if (head > 0) {
            pgd_bars_peek(bars, 0, head - 1, &row);
            last = row.t;
        }
        struct pgd_bar next[5];
        uint64_t count = 1 + next_random(&random) % 5;
        for (uint64_t i = 0; i < count; i++)
            next[i] = bar_make(last / 1000 * 1000 + 1000 * (int64_t)(i + 1), version, 0);
        pgd_bars_append_all(bars, 0, next, count);
        pgd_bars_forming(bars, 0, &next[count - 1]);
    }
}

/* Nothing published is missing: the thousands follow each other without a gap, everything is in order and
 * whole. */
static void judge(struct pgd_bars *bars, const struct pgd_bars_reader *reader, uint64_t seen_head)
{
    uint64_t head = pgd_bars_rows(reader, 0);
    assert_true(head >= seen_head);
    int64_t t = 0, thousand = 0;
    for (uint64_t i = pgd_bars_first(bars, 0); i < head; i++) {
        struct pgd_bar bar;
        assert_in_range(pgd_bars_row(reader, 0, i, &bar, NULL), 1, 2);
        assert_true(bar_whole(&bar, 0));
        assert_true(bar.t > t);
        t = bar.t;
        if (t % 1000 == 0) {
            assert_true(thousand == 0 || t == thousand + 1000);
            thousand = t;
        }
    }
}

static void killed_writers_lose_no_row(void **state)
{
    (void)state;
    need_fork();
    struct pgd_bars bars;
    uint64_t random = seed * 3 + 1;
    int stop = 0;
    own(&bars, 1);
    static struct party p;
    p = (struct party){.random = seed | 1, .stop = &stop};
    assert_int_equal(pgd_bars_attach(&p.reader, instance(), "1s"), 0);
    for (uint64_t i = 0; i < KILLS; i++) {
        pid_t child = fork_child();
        if (child == 0)
            write_for_ever(&bars, random);
        useconds_t life = (useconds_t)(next_random(&random) % 20000);
        uint64_t seen = 0;
        for (useconds_t slept = 0; slept < life; slept += 200) {
            uint32_t series;
            uint64_t index;
            struct pgd_bar bar;
            usleep(200);
            seen = pgd_bars_rows(&p.reader, 0);
            (void)read_one(&p, &series, &index, &bar);
        }
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        pgd_bars_close(&bars);
        own(&bars, 2 + i);
        assert_true(bars.map.adopted);
        judge(&bars, &p.reader, seen);
    }
    assert_int_equal(p.bad, 0);
    pgd_bars_detach(&p.reader);
    pgd_bars_close(&bars);
}

int main(void)
{
    const char *text = getenv("SEED");
    seed = text != NULL ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    print_message("SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(series_follow_the_model, instance_clean),
        cmocka_unit_test_teardown(killed_writers_lose_no_row, instance_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
