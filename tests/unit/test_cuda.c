/* The CUDA engine under the fake driver: its bits, the blocks that stay, what it registers, what auto takes.
 */
#include "state.h"

#include "fixture_cuda.h"

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
    static const uint32_t sizes[] = {SERIES_MANY, SERIES_MANY, 1, 33, SERIES_MANY, 100, 290, 64, SERIES_MANY};
    for (size_t k = 0; k < sizeof multiprocessors / sizeof multiprocessors[0]; k++) {
        (void)fake->reset();
        fake->attribute(-1, PGK_CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, multiprocessors[k]);
        struct world *w = world_of(options_of(PGK_CUDA), SERIES_MANY, ROWS + 1);
        for (uint32_t s = 0; s < SERIES_MANY; s++) {
            (void)append(w, s, 40);
            w->changes[s] = (struct pgk_change){.series = s, .end = 40};
        }
        compute(w, SERIES_MANY);
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

/* Blocks that fill a GPU leave before a sweep, which would wait for them, and when pushes have needed few of
 * them for as long as one may stay without work. */
static void blocks_make_room(void **state)
{
    (void)state;
    (void)fake->reset();
    fake->attribute(-1, PGK_CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 2);
    struct pgk_engine_options options = options_of(PGK_CUDA);
    options.gpu_stay_us = 10000000;
    struct world *w = world_of(options, SERIES, ROWS + 1);
    for (uint64_t launches = 1; launches <= 3; launches++) {
        for (uint32_t s = 0; s < SERIES; s++)
            w->changes[s] = (struct pgk_change){.series = s, .from = append(w, s, 11), .end = w->count[s]};
        compute(w, SERIES);
        push_some(w, 0, SERIES, false);
        assert_int_equal(fake->launched("pgk_stay"), launches);
    }
    expect_streamed(w);
    world_free(w);

    (void)fake->reset();
    fake->attribute(-1, PGK_CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 33); /* one more than have mail */
    options.gpu_stay_us = 20000;
    w = world_of(options, SERIES_MOST, ROWS + 1);
    for (uint32_t s = 0; s < SERIES_MOST; s++)
        w->changes[s] = (struct pgk_change){.series = s, .from = append(w, s, 11), .end = 11};
    compute(w, SERIES_MOST);
    push_some(w, 0, SERIES_MOST, false);
    for (uint32_t n = 0; n < 20 * SERIES_MOST && fake->launched("pgk_stay") == 1; n++)
        push_some(w, n, 1, false);
    assert_true(fake->launched("pgk_stay") > 1);
    expect_streamed(w);
    world_free(w);
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
    if (!find_fake())
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_gpu),
        cmocka_unit_test(ring_wraps),
        cmocka_unit_test(three_gpus),
        cmocka_unit_test(two_segments),
        cmocka_unit_test(corrections_follow_at_once),
        cmocka_unit_test(pushes_of_all_blocks),
        cmocka_unit_test(blocks_stay_and_leave),
        cmocka_unit_test(blocks_make_room),
        cmocka_unit_test(turns_with_the_cpu),
        cmocka_unit_test(registers_what_is_used),
        cmocka_unit_test(shared_page_tables_need_no_registering),
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
    };
    int failed = cmocka_run_group_tests_name("every push launched", tests, NULL, NULL);
    stay_us = 2000;
    return failed + cmocka_run_group_tests_name("pushes to blocks that stay", again, NULL, NULL);
}
