/* An engine that is started anew over rows that another one computed, in whatever state that left them. */
#include "fixture_engine.h"

static void recover_expects(struct world *w, uint64_t want)
{
    restart(w);
    uint64_t from = pgk_engine_recover(w->engine, 0, 0);
    assert_int_equal(from, want);
    (void)compute(w, from);
}

static void recover_whole(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, 0, 1024, 500);
    recover_expects(w, 500);
    append(w, 3);
    (void)compute(w, 500);
    expect_streamed(w);
    world_free(w);
}

static void recover_unreported(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, 0, 1024, 500);
    revise(w, 490);
    revise(w, 300);
    append(w, 2);
    recover_expects(w, 300);
    expect_streamed(w);
    world_free(w);
}

/* Died between the first and the last row of a recompute: every row has its bar's tag, those from 750 on the
 * values of before, and the checkpoints are of two origins. */
static void recover_interrupted(void **state)
{
    (void)state;
    struct world *w = world_new(settling, SETTLING, ROWS + 1, 2800);
    revise(w, 500);
    revise(w, 700);
    ref_begin_revision(&w->segment, 0, 750); /* stops it there */
    (void)compute(w, 500);
    ref_bar(&w->segment, 0, 750)->rev &= (uint16_t)~1u;
    ref_series(&w->segment, 0)->recompute = 501; /* as it stood in the middle */
    recover_expects(w, 500);
    expect_streamed(w);
    world_free(w);
}

static void recover_torn_unit(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, 0, 64, 500);
    uint64_t *tag = (uint64_t *)(uintptr_t)ref_unit(&w->segment, 0, 480);
    *tag |= UINT64_C(1) << 16;
    tag[3] = 0;
    recover_expects(w, 480);
    expect_streamed(w);
    world_free(w);
}

static void wipe_states(struct world *w)
{
    memset(w->segment.base + w->segment.geo.state_offset, 0, w->segment.geo.state_stride);
}

/* With the whole history still held, lost checkpoints cost time and nothing else. */
static void recover_without_states(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, 0, 1024, 500);
    wipe_states(w);
    recover_expects(w, 500);
    append(w, 1);
    (void)compute(w, 500);
    expect_streamed(w);
    world_free(w);
}

/* Past the first lap they cannot be had again: the engine starts afresh at the oldest row and every unit says
 * so alike. */
static void recover_without_states_wrapped(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, 0, 64, 10);
    append(w, 500);
    (void)compute(w, 10);
    wipe_states(w);
    recover_expects(w, ref_oldest(&w->segment));
    uint64_t oldest = ref_oldest(&w->segment);
    struct ref_segment fresh;
    ref_stream(&fresh, w->plan, w->bars + oldest, w->count - oldest, 64, PGD_SESSION_US);
    for (uint64_t i = oldest; i < w->count; i++)
        assert_memory_equal(ref_unit(&w->segment, 0, i) + 1, ref_unit(&fresh, 0, i - oldest) + 1,
                            15 * sizeof(double));
    ref_segment_fini(&fresh);
    recover_expects(w, w->count);
    world_free(w);
}

/* The checkpoints are those of one sweep, sealed several at a time. */
static void recover_swept(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, 0, 64, 10);
    append(w, 500);
    (void)compute(w, 10);
    recover_expects(w, w->count);
    world_free(w);
}

static void recover_empty(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, 0, 64, 0);
    recover_expects(w, 0);
    append(w, 5);
    recover_expects(w, 0);
    expect_streamed(w);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recover_whole),          cmocka_unit_test(recover_unreported),
        cmocka_unit_test(recover_interrupted),    cmocka_unit_test(recover_torn_unit),
        cmocka_unit_test(recover_without_states), cmocka_unit_test(recover_without_states_wrapped),
        cmocka_unit_test(recover_swept),          cmocka_unit_test(recover_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
