/* The CUDA engine under the fake driver: what becomes of the rows when a GPU fails at any moment. */
#include "fixture_cuda.h"

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

int main(void)
{
    if (!find_fake())
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_call_of_one_gpu_fails),
        cmocka_unit_test(any_call_of_two_gpus_fails),
        cmocka_unit_test(calls_fail),
        cmocka_unit_test(kernels_die),
        cmocka_unit_test(gpu_is_lost_while_it_works),
        cmocka_unit_test(gpu_hangs),
        cmocka_unit_test(memory_cannot_be_registered),
        cmocka_unit_test(some_gpu_cannot_be_had),
    };
    const struct CMUnitTest again[] = {
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
