/* The CUDA engine under the fake driver: the kernels' text runs on the host. Its bits, what it registers, and
 * what becomes of the rows when a GPU fails at any moment. */
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
#include "state.h"

#define SERIES      70u  /* three tiles, the last not full */
#define SERIES_MOST 330u /* eleven */
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

/* --------------------------------------------------------------------------------------------------- bits */

static void same_bits(int devices, uint32_t capacity)
{
    (void)fake->reset();
    fake->devices(devices);
    struct world *w = world_new(options_of(PGK_CUDA), capacity);
    for (int i = 0; i < 60; i++)
        round_of_changes(w);
    assert_int_equal(pgk_engine_kind(w->engine), PGK_CUDA);
    assert_null(pgk_engine_notice(w->engine));
    assert_true(fake->launched(stay_us != 0 ? "pgk_stay" : "pgk_push") > 0);
    assert_true(fake->launched("pgk_sweep") > 0);
    expect_streamed(w);
    world_free(w);
    assert_int_equal(fake->reset(), 0); /* all was given back */
}

static void one_gpu(void **state)
{
    (void)state;
    same_bits(1, ROWS + 1);
}

static void ring_wraps(void **state)
{
    (void)state;
    same_bits(1, 64);
}

static void three_gpus(void **state)
{
    (void)state;
    same_bits(3, ROWS + 1);
}

/* Two segments, as the daemon has them, pushed and swept by turns: the second has every bar but the first
 * few. */
static void two_segments(void **state)
{
    (void)state;
    enum { later = 7 };
    (void)fake->reset();
    struct world *w = world_new(options_of(PGK_CUDA), ROWS + 1);
    struct ref_segment other;
    ref_segment_init(&other, w->plan, SERIES, 64, 16, true);
    assert_int_equal(pgk_engine_bind(w->engine, other.base, &other.geo), 1);
    for (uint32_t s = 0; s < SERIES; s++)
        ref_open(&other, s, PGD_SESSION_US);
    for (int i = 0; i < 90; i++) {
        for (uint32_t s = 0; s < SERIES; s++) {
            uint64_t from = append(w, s, 1);
            w->changes[s] = (struct pgk_change){.series = s, .from = from, .end = from + 1};
        }
        compute(w, SERIES);
        for (uint32_t s = 0; i >= later && s < SERIES; s++) {
            uint64_t row = ref_append(&other, s, &w->bars[s][i]);
            w->changes[s] = (struct pgk_change){.series = s, .from = row, .end = row + 1};
        }
        if (i >= later)
            assert_int_equal(pgk_engine_compute(w->engine, 1, w->changes, SERIES), 0);
    }
    assert_int_equal(pgk_engine_kind(w->engine), PGK_CUDA);
    assert_true(fake->launched("pgk_push") > 2 * 80);
    expect_streamed(w);
    for (uint32_t s = 0; s < SERIES; s++) {
        struct ref_segment fresh;
        ref_stream(&fresh, w->plan, w->bars[s] + later, 90 - later, 64, PGD_SESSION_US);
        for (uint64_t i = 90 - later - 63; i < 90 - later; i++) {
            assert_true(ref_fresh(&other, s, i));
            assert_memory_equal(ref_unit(&other, s, i) + 1, ref_unit(&fresh, 0, i) + 1, 15 * sizeof(double));
        }
        ref_segment_fini(&fresh);
    }
    world_free(w);
    ref_segment_fini(&other);
}

/* The GPU has answered, but not written its checkpoints yet, when bars are corrected. */
static void corrections_follow_at_once(void **state)
{
    (void)state;
    (void)fake->reset();
    struct pgk_engine_options options = options_of(PGK_CUDA);
    options.cuda_tasks = 64; /* corrections are left to the CPU */
    struct world *w = world_new(options, ROWS + 1);
    for (int i = 0; i < 350; i++) {
        uint32_t n = 0, first = (uint32_t)(ref_next(&w->random) % SERIES);
        for (uint32_t s = 0; s < SERIES; s++) {
            uint64_t from = append(w, s, 1);
            w->changes[s] = (struct pgk_change){.series = s, .from = from, .end = from + 1};
        }
        compute(w, SERIES);
        for (uint32_t k = 0; i > 40 && k < 8; k++, n++) {
            uint32_t s = (first + k) % SERIES;
            uint64_t row = w->count[s] - 1 - ref_next(&w->random) % 30;
            ref_market_correct(&w->market[s], &w->bars[s][row]);
            ref_revise(&w->segment, s, row, &w->bars[s][row]);
            w->changes[n] = (struct pgk_change){.series = s, .from = row, .end = w->count[s]};
        }
        compute(w, n);
    }
    expect_streamed(w);
    world_free(w);
}

/* Blocks that stay are as many as pushes need, leave when nothing comes, and come back. Large calls have
 * series more than once, of which the CPU does the rest. */
static void blocks_stay_and_leave(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 1, 33, 1, 32, 40, SERIES, 5, 2, SERIES, SERIES, 1};
    (void)fake->reset();
    struct pgk_engine_options options = options_of(PGK_CUDA);
    options.gpu_stay_us = 3000;
    struct world *w = world_new(options, ROWS + 1);
    for (uint32_t s = 0; s < SERIES; s++) {
        (void)append(w, s, 40);
        w->changes[s] = (struct pgk_change){.series = s, .end = 40};
    }
    compute(w, SERIES);
    for (uint32_t round = 0; round < 12; round++)
        for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            uint32_t first = (uint32_t)(ref_next(&w->random) % SERIES);
            for (uint32_t k = 0; k < sizes[i]; k++) {
                uint32_t s = (first + k * 7) % SERIES; /* each of a tenth of them, ten times */
                uint64_t from = append(w, s, 1);
                w->changes[k] = (struct pgk_change){.series = s, .from = from, .end = from + 1};
            }
            compute(w, sizes[i]);
            const struct timespec moment = {.tv_nsec = (long)(ref_next(&w->random) % 6) * 1000000};
            if (round % 4 == 1)
                (void)nanosleep(&moment, NULL);
        }
    assert_int_equal(pgk_engine_kind(w->engine), PGK_CUDA);
    assert_int_equal(fake->launched("pgk_push"), 0);
    assert_in_range(fake->launched("pgk_stay"), 4,
                    2 * 12 * 12); /* three for more blocks, others after a rest */
    expect_streamed(w);
    world_free(w);
    assert_int_equal(fake->reset(), 0);
}

/* A new row for each of some series, while the bars of every ninth are being revised: those wait. */
static void push_some(struct world *w, uint32_t first, uint32_t size, bool revise)
{
    uint32_t busy = 0;
    for (uint32_t n = 0; n < size; n++) {
        uint32_t s = (n + first) % w->series;
        uint64_t from = append(w, s, 1);
        w->changes[n] = (struct pgk_change){.series = s, .from = from, .end = from + 1};
        if (revise && s % 9 == 0)
            ref_begin_revision(&w->segment, s, from);
    }
    assert_int_equal(pgk_engine_compute(w->engine, 0, w->changes, size), 0);
    for (uint32_t n = 0; n < size; n++) {
        struct pgk_change *change = &w->changes[n];
        bool waits = revise && change->series % 9 == 0;
        assert_int_equal(ref_series(&w->segment, change->series)->computed,
                         waits ? change->from : change->end);
        if (!waits)
            continue;
        ref_revise(&w->segment, change->series, change->from, &w->bars[change->series][change->from]);
        w->changes[busy++] =
            (struct pgk_change){.series = change->series, .from = change->from, .end = change->end};
    }
    compute(w, busy);
}

/* Each row from `first` on that is due has its checkpoint. The engine is gone: it may write them late. */
static void expect_checkpoints(const struct world *w, uint64_t first)
{
    for (uint32_t s = 0; s < w->series; s++) {
        struct pgk_checkpoints points;
        pgk_checkpoints_init(&points, w->plan, w->segment.base, &w->segment.geo, s);
        for (uint64_t row = first, found; row <= w->count[s]; row++)
            if (pgk_checkpoints_due(&points, row))
                assert_non_null(pgk_checkpoints_find(&points, row, row, &found));
    }
}

/* Pushes of more tiles than blocks with mail: all blocks do them, with one tile each or several, and more
 * than a block has at hand at a time; by turns with small ones, with sweeps, and after blocks have left. */
static void pushes_of_all_blocks(void **state)
{
    (void)state;
    static const int multiprocessors[] = {1, 2, 3, 8};
    static const uint32_t sizes[] = {SERIES_MOST, SERIES_MOST, 1, 33, SERIES_MOST, 100, 290, 64, SERIES_MOST};
    for (size_t k = 0; k < sizeof multiprocessors / sizeof multiprocessors[0]; k++) {
        (void)fake->reset();
        fake->attribute(-1, PGK_CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, multiprocessors[k]);
        struct world *w = world_of(options_of(PGK_CUDA), SERIES_MOST, ROWS + 1);
        for (uint32_t s = 0; s < SERIES_MOST; s++) {
            (void)append(w, s, 40);
            w->changes[s] = (struct pgk_change){.series = s, .end = 40};
        }
        compute(w, SERIES_MOST);
        for (uint32_t i = 0; i < 4 * (sizeof sizes / sizeof sizes[0]); i++) {
            uint32_t size = sizes[i % (sizeof sizes / sizeof sizes[0])];
            push_some(w, 7 * i, size, i % 4 == 3);
            const struct timespec moment = {.tv_nsec = (long)(ref_next(&w->random) % 5) * 1000000};
            if (i % 5 == 0)
                (void)nanosleep(&moment, NULL);
            if (i % 7 == 0)
                round_of_changes(w);
        }
        assert_int_equal(pgk_engine_kind(w->engine), PGK_CUDA);
        assert_true(fake->launched(stay_us != 0 ? "pgk_stay" : "pgk_push") > 0);
        assert_int_equal(fake->launched(stay_us != 0 ? "pgk_push" : "pgk_stay"), 0);
        expect_streamed(w);
        pgk_engine_free(w->engine);
        w->engine = NULL;
        expect_checkpoints(w, 41);
        world_free(w);
    }
    assert_int_equal(fake->reset(), 0);
}

/* Too little for a kernel: the CPU does it, and the two take turns without losing a bit. */
static void turns_with_the_cpu(void **state)
{
    (void)state;
    (void)fake->reset();
    struct pgk_engine_options options = options_of(PGK_CUDA);
    options.cuda_tasks = 40;
    struct world *w = world_new(options, ROWS + 1);
    for (int i = 0; i < 60; i++)
        round_of_changes(w);
    assert_int_equal(pgk_engine_kind(w->engine), PGK_CUDA);
    expect_streamed(w);
    world_free(w);
}

/* -------------------------------------------------------------------------------------------------- memory
 */

/* Not the segment, but what of it is in use, some megabytes at a time; and that once. */
static void registers_what_is_used(void **state)
{
    (void)state;
    (void)fake->reset();
    struct world *w = world_new(options_of(PGK_CUDA), 4001);
    assert_int_equal(fake->registered(), 0);
    assert_int_equal(pgk_engine_extent(w->engine, 0, 0, 1), 0);
    uint64_t bytes = fake->registered(), calls = fake->calls("cuMemHostRegister");
    assert_in_range(bytes, 1 << 20, w->segment.size / 3);
    assert_int_equal(pgk_engine_extent(w->engine, 0, 1, 2), 0);
    assert_int_equal(fake->calls("cuMemHostRegister"), calls);
    uint64_t from = append(w, SERIES - 1, 3); /* not announced */
    w->changes[0] = (struct pgk_change){.series = SERIES - 1, .from = from, .end = w->count[SERIES - 1]};
    compute(w, 1);
    assert_in_range(fake->registered(), bytes + 1, w->segment.size * 2 / 3);
    assert_int_equal(pgk_engine_extent(w->engine, 0, 0, SERIES), 0);
    assert_in_range(fake->registered(), w->segment.size * 9 / 10, w->segment.size + 65536);
    expect_streamed(w);
    world_free(w);
    assert_int_equal(fake->registered(), 0);
}

static void shared_page_tables_need_no_registering(void **state)
{
    (void)state;
    (void)fake->reset();
    fake->attribute(-1, PGK_CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS, 1);
    fake->attribute(-1, PGK_CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES, 1);
    struct world *w = world_new(options_of(PGK_CUDA), ROWS + 1);
    for (int i = 0; i < 10; i++)
        round_of_changes(w);
    assert_int_equal(pgk_engine_kind(w->engine), PGK_CUDA);
    assert_int_equal(fake->registered(), 0);
    expect_streamed(w);
    world_free(w);
}

/* ------------------------------------------------------------------------------------------------ failures
 */

/* The engine is left once, says so once, and no row is lost, skipped or stale. */
static void expect_left(struct world *w, int rounds)
{
    for (int i = 0; i < rounds; i++)
        round_of_changes(w);
    assert_int_equal(pgk_engine_kind(w->engine), PGK_CPU);
    const char *notice = pgk_engine_notice(w->engine);
    assert_non_null(notice);
    assert_non_null(strstr(notice, "cuda failed and was left"));
    assert_null(pgk_engine_notice(w->engine));
    for (int i = 0; i < 5; i++)
        round_of_changes(w);
    expect_streamed(w);
}

/* A day in short: a segment is bound, series come into use, histories are swept, new rows pushed, corrections
 * swept. */
static void short_day(struct world *w)
{
    assert_int_equal(pgk_engine_bind(w->engine, w->segment.base, &w->segment.geo), 0);
    assert_int_equal(pgk_engine_extent(w->engine, 0, 0, SERIES), 0);
    for (int i = 0; i < 6; i++) {
        for (uint32_t s = 0; s < SERIES; s++) {
            uint64_t from = append(w, s, i == 0 ? 25 : 1);
            w->changes[s] = (struct pgk_change){.series = s, .from = from, .end = w->count[s]};
        }
        compute(w, SERIES);
    }
    for (uint32_t s = 0; s < SERIES; s++) {
        uint64_t row = w->count[s] - 1 - ref_next(&w->random) % 20;
        ref_market_correct(&w->market[s], &w->bars[s][row]);
        ref_revise(&w->segment, s, row, &w->bars[s][row]);
        w->changes[s] = (struct pgk_change){.series = s, .from = row, .end = w->count[s]};
    }
    compute(w, SERIES);
}

static const char *const functions[] = {
#define PGK_CALL(field, symbol, arguments) #symbol,
#include "cuda/driver.def"
};
#define FUNCTIONS (sizeof functions / sizeof functions[0])

/* That day; how often each function was called. */
static void good_day(int devices, uint64_t calls[FUNCTIONS])
{
    (void)fake->reset();
    fake->devices(devices);
    struct world *w = world_unbound(options_of(PGK_CUDA), SERIES, 64);
    for (size_t i = 0; i < FUNCTIONS; i++)
        calls[i] = fake->calls(functions[i]);
    short_day(w);
    for (size_t i = 0; i < FUNCTIONS; i++)
        calls[i] = fake->calls(functions[i]) - calls[i];
    assert_int_equal(pgk_engine_kind(w->engine), PGK_CUDA);
    expect_streamed(w);
    world_free(w);
}

/* The same, and the k-th call of a function fails. */
static void bad_day(int devices, const char *function, unsigned k, unsigned result)
{
    (void)fake->reset();
    fake->devices(devices);
    struct world *w = world_unbound(options_of(PGK_CUDA), SERIES, 64);
    uint64_t before = fake->calls(function);
    fake->refuse(function, k, result);
    short_day(w);
    if (fake->calls(function) - before >= k) { /* else less was asked for this time */
        const char *notice = pgk_engine_notice(w->engine);
        if (pgk_engine_kind(w->engine) != PGK_CPU || notice == NULL)
            fail_msg("call %u of %s failed, and the GPU was not left", k, function);
        assert_null(pgk_engine_notice(w->engine));
    }
    expect_streamed(w);
    world_free(w);
}

/* Every function of the driver that is called in that day fails, now and then, each way there is: an error of
 * the call alone, one that stays with the context, one that stays with the device. */
static void any_call_fails(int devices)
{
    static const unsigned results[] = {PGK_CUDA_ERROR_OUT_OF_MEMORY, PGK_CUDA_ERROR_LAUNCH_FAILED,
                                       PGK_CUDA_ERROR_UNKNOWN};
    uint64_t calls[FUNCTIONS];
    unsigned failed = 0;
    good_day(devices, calls);
    for (size_t i = 0; i < FUNCTIONS; i++) {
        failed += calls[i] > 0;
        for (unsigned k = 1; k <= calls[i] && k <= 24; k += 1 + k / 4)
            bad_day(devices, functions[i], k, results[(k + i) % 3]);
    }
    assert_true(failed >= 8);
}

static void any_call_of_one_gpu_fails(void **state)
{
    (void)state;
    any_call_fails(1);
}

static void any_call_of_two_gpus_fails(void **state)
{
    (void)state;
    any_call_fails(2);
}

static void calls_fail(void **state)
{
    (void)state;
    static const struct {
        const char *call;
        unsigned result;
    } faults[] = {{"cuLaunchKernel", PGK_CUDA_ERROR_LAUNCH_FAILED},
                  {"cuLaunchKernel", PGK_CUDA_ERROR_OUT_OF_MEMORY},
                  {"cuStreamQuery", PGK_CUDA_ERROR_ILLEGAL_ADDRESS},
                  {"cuStreamQuery", PGK_CUDA_ERROR_UNKNOWN},
                  {"cuCtxSetCurrent", PGK_CUDA_ERROR_CONTEXT_IS_DESTROYED}};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        for (unsigned k = 1; k < 8; k += 3) {
            (void)fake->reset();
            struct world *w = world_new(options_of(PGK_CUDA), ROWS + 1);
            assert_int_equal(pgk_engine_extent(w->engine, 0, 0, SERIES), 0);
            fake->refuse(faults[i].call, k, faults[i].result);
            expect_left(w, 25);
            world_free(w);
        }
    }
}

static void kernels_die(void **state)
{
    (void)state;
    for (unsigned k = 1; k < 5; k++) {
        (void)fake->reset();
        struct world *w = world_new(options_of(PGK_CUDA), ROWS + 1);
        fake->fault(k, PGK_CUDA_ERROR_ILLEGAL_ADDRESS);
        expect_left(w, 25);
        world_free(w);
    }
}

static void gpu_is_lost_while_it_works(void **state)
{
    (void)state;
    (void)fake->reset();
    fake->devices(2);
    struct world *w = world_new(options_of(PGK_CUDA), ROWS + 1);
    for (int i = 0; i < 10; i++)
        round_of_changes(w);
    assert_int_equal(pgk_engine_kind(w->engine), PGK_CUDA);
    fake->lose(1, PGK_CUDA_ERROR_UNKNOWN);
    expect_left(w, 5);
    world_free(w);
}

/* In a sweep, and in a push. */
static void gpu_hangs(void **state)
{
    (void)state;
    for (int rounds = 0; rounds <= 3; rounds += 3) {
        (void)fake->reset();
        struct world *w = world_new(options_of(PGK_CUDA), ROWS + 1);
        for (int i = 0; i < rounds; i++)
            round_of_changes(w);
        fake->hang(1);
        expect_left(w, 6);
        (void)fake->reset(); /* ends what hangs, before its memory goes */
        world_free(w);
    }
}

static void memory_cannot_be_registered(void **state)
{
    (void)state;
    (void)fake->reset();
    struct world *w = world_new(options_of(PGK_CUDA), ROWS + 1);
    fake->refuse("cuMemHostRegister", 1, PGK_CUDA_ERROR_OUT_OF_MEMORY);
    expect_left(w, 3);
    world_free(w);
}

/* Of several GPUs those that serve are used, and the line says which one is not, and why. */
static void some_gpu_cannot_be_had(void **state)
{
    (void)state;
    for (unsigned bad = 1; bad <= 2; bad++) {
        (void)fake->reset();
        fake->devices(2);
        unsigned streams = stay_us != 0 ? 2 : 1; /* of each */
        fake->refuse("cuStreamCreateWithPriority", (bad - 1) * streams + 1, PGK_CUDA_ERROR_OUT_OF_MEMORY);
        struct world *w = world_new(options_of(PGK_CUDA), ROWS + 1);
        char want[80];
        (void)snprintf(want, sizeof want, "; not Fake GPU %u: stream: CUDA_ERROR_OUT_OF_MEMORY", bad - 1);
        if (strstr(w->why, want) == NULL ||
            strstr(w->why, bad == 1 ? "; Fake GPU 1, " : "; Fake GPU 0, ") == NULL)
            fail_msg("%s", w->why);
        for (int i = 0; i < 10; i++)
            round_of_changes(w);
        assert_int_equal(pgk_engine_kind(w->engine), PGK_CUDA);
        expect_streamed(w);
        world_free(w);
    }
}

/* ------------------------------------------------------------------------------------------------- choosing
 */

/* Takes what is faster, and says both figures: over a GPU as it is, and over one that is late for everything.
 */
static void auto_measures(void **state)
{
    (void)state;
    for (uint64_t late_ns = 0; late_ns <= 5000000; late_ns += 5000000) {
        (void)fake->reset();
        fake->delay(late_ns);
        struct pgk_engine_options options = options_of(PGK_AUTO);
        options.cuda_timeout_ms = 0;
        struct world *w = world_new(options, ROWS + 1);
        fake->delay(0);
        const char *text = strstr(w->why, " us a bar of 1000 symbols, ");
        unsigned cpu = 0, gpu = 0;
        bool cuda = pgk_engine_kind(w->engine) == PGK_CUDA;
        if (text == NULL || strstr(text, cuda ? ", cpu (" : ", cuda ") == NULL ||
            sscanf(strstr(w->why, ": ") + 2, "%u", cuda ? &gpu : &cpu) != 1 ||
            sscanf(cuda ? strstr(text, ") ") + 2 : strstr(text, "cuda ") + 5, "%u", cuda ? &cpu : &gpu) != 1)
            fail_msg("%s", w->why);
        assert_true(cuda ? gpu <= cpu : cpu <= gpu);
        assert_true(gpu * UINT64_C(1000) >= late_ns || stay_us != 0); /* who stays is not late */
        for (int i = 0; i < 10; i++)
            round_of_changes(w);
        expect_streamed(w);
        world_free(w);
    }
}

static void auto_survives_a_bad_gpu(void **state)
{
    (void)state;
    (void)fake->reset();
    fake->fault(2, PGK_CUDA_ERROR_LAUNCH_FAILED);
    struct world *w = world_new(options_of(PGK_AUTO), ROWS + 1);
    assert_int_equal(pgk_engine_kind(w->engine), PGK_CPU);
    assert_non_null(
        strstr(w->why, "cuda failed when it was tried: Fake GPU 0: push: CUDA_ERROR_LAUNCH_FAILED"));
    round_of_changes(w);
    expect_streamed(w);
    world_free(w);
}

int main(void)
{
    const char *text = getenv("SEED");
    seed = text != NULL ? (uint64_t)strtoull(text, NULL, 10) : (uint64_t)time(NULL);
    printf("SEED=%llu\n", (unsigned long long)seed);
    library = fake_path("libcuda.so.1");
    fake = fake_cuda(library);
    if (fake == NULL) {
        fprintf(stderr, "%s is not the fake driver\n", library);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_gpu),
        cmocka_unit_test(ring_wraps),
        cmocka_unit_test(three_gpus),
        cmocka_unit_test(two_segments),
        cmocka_unit_test(corrections_follow_at_once),
        cmocka_unit_test(pushes_of_all_blocks),
        cmocka_unit_test(blocks_stay_and_leave),
        cmocka_unit_test(turns_with_the_cpu),
        cmocka_unit_test(registers_what_is_used),
        cmocka_unit_test(shared_page_tables_need_no_registering),
        cmocka_unit_test(any_call_of_one_gpu_fails),
        cmocka_unit_test(any_call_of_two_gpus_fails),
        cmocka_unit_test(calls_fail),
        cmocka_unit_test(kernels_die),
        cmocka_unit_test(gpu_is_lost_while_it_works),
        cmocka_unit_test(gpu_hangs),
        cmocka_unit_test(memory_cannot_be_registered),
        cmocka_unit_test(some_gpu_cannot_be_had),
        cmocka_unit_test(auto_measures),
        cmocka_unit_test(auto_survives_a_bad_gpu),
    };
    const struct CMUnitTest again[] = {
        cmocka_unit_test(one_gpu),
        cmocka_unit_test(ring_wraps),
        cmocka_unit_test(three_gpus),
        cmocka_unit_test(corrections_follow_at_once),
        cmocka_unit_test(pushes_of_all_blocks),
        cmocka_unit_test(turns_with_the_cpu),
        cmocka_unit_test(registers_what_is_used),
        cmocka_unit_test(any_call_of_one_gpu_fails),
        cmocka_unit_test(calls_fail),
        cmocka_unit_test(kernels_die),
        cmocka_unit_test(gpu_is_lost_while_it_works),
        cmocka_unit_test(gpu_hangs),
        cmocka_unit_test(some_gpu_cannot_be_had),
    };
    int failed = cmocka_run_group_tests_name("every push launched", tests, NULL, NULL);
    stay_us = 2000;
    return failed + cmocka_run_group_tests_name("pushes to blocks that stay", again, NULL, NULL);
}
