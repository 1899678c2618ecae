/* The main thread appends and revises while the engine computes: two threads, one queue of changes, as in the
 * daemon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/reference.h"
#include "reference/segment.h"

#define ROWS    40000u
#define CHANGES 20000u
#define TILE    8u /* series that are swept side by side */

struct world {
    struct pgk_plan *plan;
    struct ref_segment segment;
    struct pgk_engine *engine;
    pthread_t thread;
    struct ref_market market;
    pthread_mutex_t mutex;
    pthread_cond_t more;
    bool closed;
    bool busy;
    size_t queued;
    struct pgk_change queue[CHANGES];
    uint64_t count;
    uint32_t series; /* all with the same bars */
    struct pgd_bar bars[ROWS];
};

/* Under qemu-user a second thread may hang; /proc tells of qemu. */
static bool emulated(void)
{
    char name[16] = "";
    FILE *f = fopen("/proc/self/comm", "r");
    bool is = f != NULL && fgets(name, sizeof name, f) != NULL && strncmp(name, "qemu-", 5) == 0;
    if (f != NULL)
        (void)fclose(f);
    return is;
}

static size_t take(struct world *w, struct pgk_change *ret)
{
    pthread_mutex_lock(&w->mutex);
    w->busy = false;
    pthread_cond_broadcast(&w->more);
    while (w->queued == 0 && !w->closed)
        pthread_cond_wait(&w->more, &w->mutex);
    size_t count = w->queued;
    memcpy(ret, w->queue, count * sizeof *ret);
    w->queued = 0;
    w->busy = count > 0;
    pthread_mutex_unlock(&w->mutex);
    return count;
}

static void *engine_thread(void *arg)
{
    struct world *w = arg;
    struct pgk_change *changes = calloc(CHANGES, sizeof *changes);
    for (size_t count = take(w, changes); count > 0; count = take(w, changes))
        if (pgk_engine_compute(w->engine, 0, changes, count) != 0)
            abort();
    free(changes);
    return NULL;
}

static void report(struct world *w, uint64_t from)
{
    pthread_mutex_lock(&w->mutex);
    assert_true(w->queued + w->series <= CHANGES);
    for (uint32_t s = 0; s < w->series; s++)
        w->queue[w->queued++] = (struct pgk_change){.series = s, .from = from, .end = w->count};
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->mutex);
}

/* Until the engine has done all that was reported. */
static void settle(struct world *w)
{
    pthread_mutex_lock(&w->mutex);
    while (w->queued > 0 || w->busy)
        pthread_cond_wait(&w->more, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
}

/* Until the engine has begun with it. */
static void begun(struct world *w)
{
    bool queued = true;
    while (queued) {
        pthread_mutex_lock(&w->mutex);
        queued = w->queued > 0;
        pthread_mutex_unlock(&w->mutex);
        (void)sched_yield();
    }
}

static void append(struct world *w)
{
    ref_market_next(&w->market, &w->bars[w->count]);
    (void)ref_append(&w->segment, 0, &w->bars[w->count]);
    w->count++;
}

static uint64_t change_history(struct world *w)
{
    uint64_t row = w->count;
    if (row < 30 || (row < 4000 && ref_next(&w->market.random) % 4 == 0)) {
        append(w);
        return row;
    }
    row -= 1 + ref_next(&w->market.random) % 30;
    ref_market_correct(&w->market, &w->bars[row]);
    ref_revise(&w->segment, 0, row, &w->bars[row]);
    return row;
}

static struct world *world_new(uint32_t series, uint32_t capacity, uint32_t every)
{
    struct world *w = calloc(1, sizeof *w);
    char err[128];
    assert_non_null(w);
    assert_int_equal(pgk_plan_new(&w->plan, NULL, 0, err, sizeof err), 0);
    w->series = series;
    ref_segment_init(&w->segment, w->plan, series, capacity, every, false);
    for (uint32_t s = 0; s < series; s++)
        ref_open(&w->segment, s, PGD_SESSION_US);
    ref_market_init(&w->market, capacity, 100);
    w->engine = ref_engine(w->plan, &w->segment);
    assert_int_equal(pthread_mutex_init(&w->mutex, NULL), 0);
    assert_int_equal(pthread_cond_init(&w->more, NULL), 0);
    assert_int_equal(pthread_create(&w->thread, NULL, engine_thread, w), 0);
    return w;
}

static void world_free(struct world *w)
{
    pthread_mutex_lock(&w->mutex);
    w->closed = true;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->mutex);
    assert_int_equal(pthread_join(w->thread, NULL), 0);
    pthread_cond_destroy(&w->more);
    pthread_mutex_destroy(&w->mutex);
    pgk_engine_free(w->engine);
    ref_segment_fini(&w->segment);
    pgk_plan_free(w->plan);
    free(w);
}

static void revised_meanwhile(void **state)
{
    (void)state;
    if (emulated())
        skip();
    struct world *w = world_new(1, 4001, 16);
    struct ref_segment fresh;
    for (size_t i = 0; i < CHANGES; i++)
        report(w, change_history(w));
    settle(w);
    ref_stream(&fresh, w->plan, w->bars, w->count, 4001, PGD_SESSION_US);
    assert_int_equal(ref_difference(&w->segment, &fresh), w->count);
    assert_int_equal(ref_series(&w->segment, 0)->recompute, 0);
    ref_segment_fini(&fresh);
    world_free(w);
}

/* A row's mean of 20, straight from the history. */
static long double mean_20(const struct world *w, uint64_t row)
{
    long double sum = 0;
    for (uint64_t i = row - 19; i <= row; i++)
        sum += (long double)w->bars[i].c;
    return sum / 20;
}

static void expect_right(const struct world *w, uint32_t s)
{
    uint64_t end = ref_series(&w->segment, s)->computed;
    for (uint64_t i = ref_oldest(&w->segment); i < end; i++) {
        double got = ref_value(&w->segment, s, i, 0);
        bool right = isnan(got) || fabsl((long double)got - mean_20(w, i)) <= 1e-10L * mean_20(w, i);
        if (ref_fresh(&w->segment, s, i) && !right)
            fail_msg("series %u, row %llu: %.17g, not %.17Lg", s, (unsigned long long)i, got, mean_20(w, i));
    }
}

/* In a small ring rows leave while they are read. What is published then is right, or absent because the
 * window was gone. */
static void lapped_meanwhile(void **state)
{
    (void)state;
    if (emulated())
        skip();
    struct world *w = world_new(1, 40, 16);
    while (w->count + 40 < ROWS) {
        for (int i = 0; i < 15; i++)
            append(w);
        report(w, w->count - 15);
        for (int i = 0; i < 24; i++)
            append(w);
        settle(w);
        expect_right(w, 0);
    }
    world_free(w);
}

/* The same of one series of a tile, whose blocks follow one another: at about the pace at which they are
 * read, so that some of the rows that are held in the end have lost a part of their window. */
static void lap_lane(uint32_t capacity)
{
    struct world *w = world_new(TILE, capacity, 256);
    for (uint32_t i = 0; i < ROWS; i++)
        ref_market_next(&w->market, &w->bars[i]);
    while (w->count + 800 < ROWS) {
        uint32_t more = 20 + (uint32_t)(ref_next(&w->market.random) % 300);
        uint32_t pace = (uint32_t)(ref_next(&w->market.random) % 200);
        for (uint32_t i = 0; i < 390; i++, w->count++)
            for (uint32_t s = 0; s < TILE; s++)
                (void)ref_append(&w->segment, s, &w->bars[w->count]);
        report(w, w->count - 390);
        begun(w);
        for (uint32_t i = 0; i < more; i++) {
            for (volatile uint32_t wait = pace; wait > 0;)
                wait = wait - 1;
            (void)ref_append(&w->segment, 0, &w->bars[w->count + i]);
        }
        settle(w);
        expect_right(w, 0);
        for (uint32_t s = 1; s < TILE; s++)
            for (uint32_t i = 0; i < more; i++)
                (void)ref_append(&w->segment, s, &w->bars[w->count + i]);
        w->count += more;
        report(w, w->count - more);
        settle(w);
    }
    world_free(w);
}

static void lane_lapped_meanwhile(void **state)
{
    (void)state;
    if (emulated())
        skip();
    for (uint32_t capacity = 400; capacity < 410; capacity++)
        lap_lane(capacity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(revised_meanwhile),
        cmocka_unit_test(lapped_meanwhile),
        cmocka_unit_test(lane_lapped_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
