/* kill -9 of a process that revises, appends and computes, at random moments; the next one takes the memory
 * over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "reference/reference.h"
#include "reference/segment.h"
#include "shm/atomic.h"

#define KILLS    60
#define ROWS_MAX 60000u

enum action { NOTHING, APPEND, REVISE };

/* Survives the process, as the daemon's segments do. `action` is set while the history is being changed. */
struct story {
    uint64_t action;
    uint64_t row;
    struct pgd_bar bar;
    struct ref_market market;
    uint64_t count;
    uint64_t computes;
    struct pgd_bar bars[ROWS_MAX];
};

static struct pgk_plan *plan;
static struct ref_segment segment;
static struct story *story;

/* Idempotent: done again after a crash in the middle of it. */
static void perform(void)
{
    story->bars[story->row] = story->bar;
    if (story->action == REVISE)
        ref_revise(&segment, 0, story->row, &story->bar);
    else if (ref_series(&segment, 0)->head == story->row)
        (void)ref_append(&segment, 0, &story->bar);
    story->count = ref_series(&segment, 0)->head;
    shm_store64_release(&story->action, NOTHING);
}

static void begin(enum action action, uint64_t row)
{
    story->row = row;
    shm_store64_release(&story->action, action);
    perform();
}

static uint64_t change_history(void)
{
    uint64_t row = story->count;
    if (row < 100 || (row < ROWS_MAX && ref_next(&story->market.random) % 3 != 0)) {
        ref_market_next(&story->market, &story->bar);
        begin(APPEND, row);
        return row;
    }
    row -= 1 + ref_next(&story->market.random) % (row > 500 ? 400 : 60);
    story->bar = story->bars[row];
    ref_market_correct(&story->market, &story->bar);
    begin(REVISE, row);
    return row;
}

static void compute(struct pgk_engine *engine, uint64_t from)
{
    struct pgk_change change = {.from = from, .end = story->count};
    if (pgk_engine_compute(engine, 0, &change, 1) != 0)
        abort();
    shm_store64(&story->computes, story->computes + 1);
}

static struct pgk_engine *take_over(void)
{
    if (story->action != NOTHING)
        perform();
    struct pgk_engine *engine = ref_engine(plan, &segment);
    compute(engine, pgk_engine_recover(engine, 0, 0));
    return engine;
}

static void live(void)
{
    struct pgk_engine *engine = take_over();
    for (;;)
        compute(engine, change_history());
}

static void sleep_us(uint64_t us)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
}

/* Lets the successor come to work before it is killed, however slow the machine. */
static void live_and_die(uint64_t after_us)
{
    uint64_t before = story->computes;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        live();
    while (shm_load64(&story->computes) < before + 2)
        sleep_us(100);
    sleep_us(after_us);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void expect_streamed(void)
{
    struct ref_segment fresh;
    pgk_engine_free(take_over());
    ref_stream(&fresh, plan, story->bars, story->count, segment.geo.capacity, PGD_SESSION_US);
    assert_int_equal(ref_difference(&segment, &fresh), story->count);
    assert_int_equal(ref_series(&segment, 0)->recompute, 0);
    ref_segment_fini(&fresh);
}

/* Under qemu-user a forked child may hang; /proc tells of qemu. */
static bool emulated(void)
{
    char name[16] = "";
    FILE *f = fopen("/proc/self/comm", "r");
    bool is = f != NULL && fgets(name, sizeof name, f) != NULL && strncmp(name, "qemu-", 5) == 0;
    if (f != NULL)
        (void)fclose(f);
    return is;
}

static void killed_again_and_again(void **state)
{
    (void)state;
    if (emulated())
        skip();
    const char *text = getenv("SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
    char err[128];
    printf("SEED=%llu\n", (unsigned long long)seed);
    assert_int_equal(pgk_plan_new(&plan, NULL, 0, err, sizeof err), 0);
    ref_segment_init(&segment, plan, 1, 512, 16, true);
    ref_open(&segment, 0, PGD_SESSION_US);
    story = mmap(NULL, sizeof *story, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_SHARED, -1, 0);
    assert_true(story != MAP_FAILED);
    ref_market_init(&story->market, seed, 100);
    struct ref_random random = {seed};
    for (int i = 0; i < KILLS; i++) {
        live_and_die(ref_next(&random) % 4000);
        if (i % 10 == 9)
            expect_streamed();
    }
    assert_true(story->computes > KILLS);
    (void)munmap(story, sizeof *story);
    ref_segment_fini(&segment);
    pgk_plan_free(plan);
}

/* -------------------------------------------------------------------------- death at a chosen instruction */

#define PAGE 65536u /* a multiple of any page size */

/* One more row, computed by a process that may not write the page at `page`: it dies where it first tries to.
 */
static void die_at(uint8_t *page, const struct pgd_bar *bar)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct pgk_engine *engine = ref_engine(plan, &segment);
        uint64_t row = ref_append(&segment, 0, bar);
        struct pgk_change change = {.from = row, .end = row + 1};
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGBUS, SIG_DFL);
        if (mprotect(page, PAGE, PROT_READ) != 0)
            _exit(2);
        _exit(pgk_engine_compute(engine, 0, &change, 1) == 0 ? 1 : 3);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

/* A segment with `rows` rows computed, moved in memory so that `offset` bytes into it a page that can be
 * protected begins. */
static void segment_at(struct ref_segment *ret, uint8_t **memory, uint64_t offset, const struct pgd_bar *bars,
                       uint64_t rows)
{
    uint8_t *old = segment.base;
    *memory = mmap(NULL, segment.size + 3 * PAGE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_SHARED, -1, 0);
    assert_true(*memory != MAP_FAILED);
    uintptr_t first = ((uintptr_t)*memory + offset + PAGE - 1) / PAGE * PAGE - offset;
    segment.base = *memory + (first - (uintptr_t)*memory);
    ref_open(&segment, 0, PGD_SESSION_US);
    struct pgk_engine *engine = ref_engine(plan, &segment);
    for (uint64_t i = 0; i < rows; i++) {
        struct pgk_change change = {.from = ref_append(&segment, 0, &bars[i]), .end = i + 1};
        assert_int_equal(pgk_engine_compute(engine, 0, &change, 1), 0);
    }
    pgk_engine_free(engine);
    *ret = segment;
    ret->base = old;
}

/* Dies in computing row `rows`, at the first store `offset` bytes into the segment or in the page after.
 * Restarted, everything must be as if nothing had happened. */
static void dies_and_is_repaired(uint64_t offset, uint64_t rows)
{
    static struct pgd_bar bars[200];
    struct ref_segment kept, fresh;
    struct ref_market market;
    uint8_t *memory;
    ref_market_init(&market, 5, 100);
    for (size_t i = 0; i < 200; i++)
        ref_market_next(&market, &bars[i]);
    segment_at(&kept, &memory, offset, bars, rows);
    die_at(segment.base + offset, &bars[rows]);
    assert_int_equal(ref_series(&segment, 0)->head, rows + 1);
    for (uint64_t head = rows + 1; head <= rows + 8;
         head++) { /* a restart after every row, so that checkpoints are used */
        struct pgk_engine *engine = ref_engine(plan, &segment);
        struct pgk_change change = {.from = pgk_engine_recover(engine, 0, 0), .end = head};
        assert_int_equal(pgk_engine_compute(engine, 0, &change, 1), 0);
        ref_stream(&fresh, plan, bars, head, segment.geo.capacity, PGD_SESSION_US);
        assert_int_equal(ref_difference(&segment, &fresh), head);
        ref_segment_fini(&fresh);
        pgk_engine_free(engine);
        (void)ref_append(&segment, 0, &bars[head]);
    }
    (void)munmap(memory, segment.size + 3 * PAGE);
    segment = kept;
}

/* Two lines of units: the second is on the page that cannot be written. */
static void died_in_a_unit(void **state)
{
    (void)state;
    if (emulated())
        skip();
    static const char *const names[] = {"sma_1", "sma_2",  "sma_3",  "sma_4", "sma_5", "sma_6",
                                        "sma_7", "sma_8",  "sma_9",  "macd",  "bb",    "stoch",
                                        "obv",   "rsi_14", "atr_14", "ema_12"};
    char err[128];
    assert_int_equal(pgk_plan_new(&plan, names, sizeof names / sizeof names[0], err, sizeof err), 0);
    ref_segment_init(&segment, plan, 1, 64, 16, false);
    assert_int_equal(segment.geo.unit_size, 256);
    for (uint64_t row = 60; row < 100; row += 13)
        dies_and_is_repaired(segment.geo.unit_offset + row % 64 * 256 + 128, row);
    ref_segment_fini(&segment);
    pgk_plan_free(plan);
}

/* The checkpoints that rows 79 and 95 complete, in the middle. */
static void died_in_a_checkpoint(void **state)
{
    (void)state;
    if (emulated())
        skip();
    char err[128];
    assert_int_equal(pgk_plan_new(&plan, NULL, 0, err, sizeof err), 0);
    ref_segment_init(&segment, plan, 1, 64, 16, false);
    const struct pgd_bars_geometry *geo = &segment.geo;
    for (uint64_t row = 79; row < 100; row += 16)
        dies_and_is_repaired(geo->state_offset + (row + 1) / 16 % geo->state_slots * geo->state_size + 64,
                             row);
    ref_segment_fini(&segment);
    pgk_plan_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_again_and_again),
        cmocka_unit_test(died_in_a_unit),
        cmocka_unit_test(died_in_a_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
