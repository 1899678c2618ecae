/* The cache off the loop: every question is answered once, urgent ones first; what is kept can be asked for;
 * an end in the middle leaves nobody waiting. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/folder.h"
#include "warm.h"

#define COUNT  600u
#define ROWS   400u
#define MINUTE INT64_C(60000)
#define FROM   INT64_C(1784102400000) /* 2026-07-15, 04:00 in New York */
#define TO     (FROM + 20 * 60 * MINUTE)

struct test {
    char directory[256];
    struct cache *cache;
    uv_loop_t loop;
    struct warm *warm;
    unsigned ready; /* from the pool's threads */
    unsigned batches, answers, canceled, kept;
    int result;
    unsigned order[COUNT + 1];
};

struct asked {
    struct test *test;
    unsigned number;
    char name[16];
    size_t rows; /* expected */
};

static void on_batch(void *user)
{
    ((struct test *)user)->batches++;
}

static void on_ready(void *user, size_t rows)
{
    struct asked *a = user;
    if (rows == a->rows)
        __atomic_fetch_add(&a->test->ready, 1, __ATOMIC_RELAXED);
}

static void on_answer(void *user, const struct warm_answer *answer)
{
    struct asked *a = user;
    struct test *t = a->test;
    if (answer->error) {
        assert_int_equal(answer->error, -ECANCELED);
        t->canceled++;
        return;
    }
    assert_int_equal(answer->count, a->rows);
    for (size_t i = 0; i < answer->count; i++)
        assert_true(answer->bars[i].o == 100 + a->number % 7);
    t->order[t->answers++] = a->number;
}

static void on_kept(void *user, int result)
{
    struct test *t = user;
    t->kept++;
    t->result = result;
}

static void open_test(struct test *t)
{
    *t = (struct test){0};
    folder_make(t->directory);
    struct cache_options options = {t->directory, "http://example.com", 0, NULL, NULL};
    assert_int_equal(cache_open(&t->cache, &options), 0);
    assert_int_equal(uv_loop_init(&t->loop), 0);
    assert_int_equal(warm_new(&t->warm, &t->loop, t->cache, on_batch, t), 0);
}

static void close_test(struct test *t)
{
    warm_close(t->warm);
    uv_run(&t->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&t->loop), 0);
    warm_free(t->warm);
    cache_close(t->cache);
    folder_remove(t->directory);
}

static bool keep(struct test *t, const char *name, unsigned number, double factor)
{
    struct pgd_bar bars[ROWS] = {0};
    double price = (100 + number % 7) * factor;
    for (unsigned i = 0; i < ROWS; i++)
        bars[i] = (struct pgd_bar){.t = FROM + i * MINUTE, .o = price, .h = price, .l = price, .c = price};
    struct cache_key key = {name, PGD_STOCKS, MINUTE};
    struct cache_fetched f = {FROM, TO, bars, ROWS, TO + 24 * 60 * MINUTE, false, false};
    return warm_keep(t->warm, &key, &f, on_kept, t);
}

static void ask(struct test *t, struct asked *a, unsigned number, size_t rows, bool urgent)
{
    *a = (struct asked){.test = t, .number = number, .rows = rows};
    snprintf(a->name, sizeof a->name, "S%u", number);
    struct warm_question q = {{a->name, PGD_STOCKS, MINUTE}, {FROM, TO, ROWS, ROWS}, urgent};
    struct warm_hooks hooks = {on_ready, on_answer, a};
    assert_int_equal(warm_ask(t->warm, &q, &hooks), 0);
}

static void test_kept_and_asked_for(void **state)
{
    (void)state;
    static struct asked asked[COUNT + 1];
    struct test t;
    open_test(&t);
    for (unsigned i = 0; i < COUNT; i += 2) {
        char name[16];
        snprintf(name, sizeof name, "S%u", i);
        assert_true(keep(&t, name, i, 1));
    }
    uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_int_equal(t.kept, COUNT / 2);
    assert_int_equal(t.result, 0);
    for (unsigned i = 0; i < COUNT; i++)
        ask(&t, &asked[i], i, i % 2 ? 0 : ROWS, false);
    ask(&t, &asked[COUNT], COUNT, 0, true);
    assert_int_equal(t.answers, 0); /* never from within the call */
    uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_int_equal(t.answers, COUNT + 1);
    assert_int_equal(__atomic_load_n(&t.ready, __ATOMIC_RELAXED), COUNT / 2);
    assert_true(t.batches >= COUNT * ROWS / WARM_BATCH_ROWS);
    unsigned last = 0;
    for (unsigned i = 0; i <= COUNT; i++)
        last = t.order[i] == COUNT ? i : last;
    /* behind the batches that were under way, and at most as many that overtook its own */
    assert_true(last < 2 * WARM_BATCHES * (WARM_BATCH_ROWS / ROWS));
    assert_int_equal(warm_skipped(t.warm), 0);
    close_test(&t);
}

/* Bars to 20:00, of a day that is over, are final. */
static void test_a_rewritten_past(void **state)
{
    (void)state;
    struct test t;
    struct pgd_bar bar = {.t = FROM + 16 * 60 * MINUTE - MINUTE, .o = 100, .h = 100, .l = 100, .c = 100};
    struct cache_key key = {"S1", PGD_STOCKS, MINUTE};
    struct cache_fetched f = {FROM, TO, &bar, 1, TO + 24 * 60 * MINUTE, false, false};
    open_test(&t);
    assert_true(warm_keep(t.warm, &key, &f, on_kept, &t));
    bar = (struct pgd_bar){.t = bar.t, .o = 50, .h = 50, .l = 50, .c = 50};
    assert_true(warm_keep(t.warm, &key, &f, on_kept, &t));
    uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_int_equal(t.kept, 2);
    assert_int_equal(t.result, -ESTALE);
    close_test(&t);
}

static void test_too_much_waits(void **state)
{
    (void)state;
    struct test t;
    open_test(&t);
    unsigned taken = 0;
    while (keep(&t, "S1", 1, 1))
        taken++;
    assert_true(taken <= WARM_KEEP_BYTES / (ROWS * sizeof(struct pgd_bar)));
    assert_true(taken > WARM_KEEP_BYTES / (ROWS * sizeof(struct pgd_bar)) - 32);
    assert_int_equal(warm_skipped(t.warm), 1);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_int_equal(t.kept, taken);
    assert_true(keep(&t, "S1", 1, 1));
    close_test(&t);
}

static void test_an_end_in_the_middle(void **state)
{
    (void)state;
    static struct asked asked[COUNT];
    struct test t;
    open_test(&t);
    assert_true(keep(&t, "S0", 0, 1));
    for (unsigned i = 0; i < COUNT; i++)
        ask(&t, &asked[i], i, 0, false);
    warm_close(t.warm);
    assert_false(keep(&t, "S1", 1, 1));
    struct warm_question q = {{"S0", PGD_STOCKS, MINUTE}, {FROM, TO, 1, 1}, false};
    struct warm_hooks hooks = {NULL, on_answer, &asked[0]};
    assert_int_equal(warm_ask(t.warm, &q, &hooks), -ECANCELED);
    close_test(&t);
    assert_int_equal(t.canceled, COUNT);
    assert_int_equal(t.answers, 0);
    assert_int_equal(t.kept, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_and_asked_for),
        cmocka_unit_test(test_a_rewritten_past),
        cmocka_unit_test(test_too_much_waits),
        cmocka_unit_test(test_an_end_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
