/* fixture_cuda.h - series with a market each, and the CUDA engine over them, under the fake driver: the
 * kernels' text runs on the host. */
#ifndef FIXTURE_CUDA_H
#define FIXTURE_CUDA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cuda/driver.h"
#include "cuda/text.h"
#include "fake/fake.h"
#include "reference/reference.h"
#include "reference/segment.h"

#define SERIES      70u   /* three tiles, the last not full */
#define SERIES_MANY 330u  /* eleven */
#define SERIES_MOST 1056u /* more than blocks have mail for */
#define ROWS        400u

static const char *library;
static const struct fake_cuda *fake;
static uint64_t seed;

struct world {
    uint32_t series;
    struct pgk_plan *plan;
    struct pgk_engine *engine;
    struct ref_segment segment;
    struct ref_market market[SERIES_MOST];
    struct pgd_bar bars[SERIES_MOST][ROWS];
    uint64_t count[SERIES_MOST];
    struct pgk_change changes[SERIES_MOST];
    struct ref_random random;
    char why[256];
};

static uint32_t stay_us;

/* With the general kernel, where there was an nvcc to build it, else with what a stand-in for NVRTC compiles.
 */
static struct pgk_engine_options options_of(enum pgk_kind kind)
{
    return (struct pgk_engine_options){.kind = kind,
                                       .cuda_driver = library,
                                       .cuda_rtc = pgk_fatbin_size > 0 ? "" : fake_path("libnvrtc.so.13"),
                                       .cache = "/dev/null", /* no directory: nothing is kept */
                                       .cuda_tasks = 1,
                                       .cuda_timeout_ms = 1500,
                                       .gpu_stay_us = stay_us};
}

static struct world *world_unbound(struct pgk_engine_options options, uint32_t series, uint32_t capacity)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    assert_int_equal(pgk_plan_new(&w->plan, NULL, 0, w->why, sizeof w->why), 0);
    w->series = series;
    ref_segment_init(&w->segment, w->plan, series, capacity, 16, true);
    int rc = pgk_engine_new(&w->engine, w->plan, &options, w->why, sizeof w->why);
    if (rc != 0)
        fail_msg("%s", w->why);
    w->random.state = ++seed;
    for (uint32_t s = 0; s < w->series; s++) {
        ref_open(&w->segment, s, s % 5 == 4 ? PGD_SESSION_UTC : PGD_SESSION_US);
        ref_market_init(&w->market[s], seed * 1000 + s, 100);
    }
    return w;
}

static struct world *world_of(struct pgk_engine_options options, uint32_t series, uint32_t capacity)
{
    struct world *w = world_unbound(options, series, capacity);
    assert_int_equal(pgk_engine_bind(w->engine, w->segment.base, &w->segment.geo), 0);
    return w;
}

static struct world *world_new(struct pgk_engine_options options, uint32_t capacity)
{
    return world_of(options, SERIES, capacity);
}

static void world_free(struct world *w)
{
    pgk_engine_free(w->engine);
    ref_segment_fini(&w->segment);
    pgk_plan_free(w->plan);
    free(w);
}

static uint64_t append(struct world *w, uint32_t s, uint64_t rows)
{
    uint64_t first = w->count[s];
    for (uint64_t i = 0; i < rows; i++) {
        struct pgd_bar *bar = &w->bars[s][w->count[s]++];
        ref_market_next(&w->market[s], bar);
        (void)ref_append(&w->segment, s, bar);
    }
    return first;
}

static void compute(struct world *w, size_t count)
{
    assert_int_equal(pgk_engine_compute(w->engine, 0, w->changes, count), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ref_series(&w->segment, w->changes[i].series)->computed,
                         w->count[w->changes[i].series]);
}

/* A round as a market has it: new bars for most, a few for some, corrections for others. */
static void round_of_changes(struct world *w)
{
    size_t n = 0;
    for (uint32_t s = 0; s < w->series; s++) {
        uint64_t kind = ref_next(&w->random) % 10, from;
        if (kind == 9 || w->count[s] + 12 > ROWS)
            continue;
        if (kind == 8 && w->count[s] > 30) {
            from = w->count[s] - 1 - ref_next(&w->random) % 30;
            ref_market_correct(&w->market[s], &w->bars[s][from]);
            ref_revise(&w->segment, s, from, &w->bars[s][from]);
        } else {
            from = append(w, s, kind == 7 ? 11 : 1);
        }
        w->changes[n++] = (struct pgk_change){.series = s, .from = from, .end = w->count[s]};
    }
    compute(w, n);
}

/* Every series has the bits of one that the CPU streamed. */
static void expect_streamed(struct world *w)
{
    for (uint32_t s = 0; s < w->series; s++) {
        struct ref_segment fresh;
        ref_stream(&fresh, w->plan, w->bars[s], w->count[s], w->segment.geo.capacity,
                   ref_series(&w->segment, s)->session);
        for (uint64_t i = ref_series(&fresh, 0)->head > w->segment.geo.capacity - 1
                              ? ref_series(&fresh, 0)->head - w->segment.geo.capacity + 1
                              : 0;
             i < w->count[s]; i++) {
            assert_true(ref_fresh(&w->segment, s, i));
            assert_memory_equal(ref_unit(&w->segment, s, i) + 1, ref_unit(&fresh, 0, i) + 1,
                                15 * sizeof(double));
        }
        assert_int_equal(ref_series(&w->segment, s)->recompute, 0);
        ref_segment_fini(&fresh);
    }
}

/* What main does first; false: no stand-in. */
static bool find_fake(void)
{
    const char *text = getenv("SEED");
    seed = text != NULL ? (uint64_t)strtoull(text, NULL, 10) : (uint64_t)time(NULL);
    printf("SEED=%llu\n", (unsigned long long)seed);
    library = fake_path("libcuda.so.1");
    fake = fake_cuda(library);
    if (fake == NULL)
        fprintf(stderr, "%s is not the fake driver\n", library);
    return fake != NULL;
}

#endif
