/* budget: rates, shares, holds; and what was denied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "budget.h"
#include "rest_denied.h"

static void test_rates(void **state)
{
    (void)state;
    struct budget b;
    assert_int_equal(budget_init(&b, 3, 5), 0);
    uint64_t now = 1000000;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(budget_wait_ms(&b, now), 0);
        budget_take(&b, REST_BACKFILL, now);
    }
    assert_int_equal(budget_wait_ms(&b, now), BUDGET_SECOND_MS);
    now += BUDGET_SECOND_MS;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(budget_wait_ms(&b, now), 0);
        budget_take(&b, REST_BACKFILL, now);
    }
    assert_int_equal(budget_wait_ms(&b, now), BUDGET_WINDOW_MS - BUDGET_SECOND_MS);
    budget_hold(&b, now + 100000);
    budget_hold(&b, now + 5);
    assert_int_equal(budget_wait_ms(&b, now), 100000);
    assert_int_equal(budget_wait_ms(&b, now + 100000), 0);
    budget_fini(&b);
    /* Over a long time: never more than five in any minute, and no longer idle than needed. */
    uint64_t sent[1000];
    unsigned n = 0;
    assert_int_equal(budget_init(&b, 0, 5), 0);
    for (now = 1000; n < 1000; now += 7)
        if (budget_wait_ms(&b, now) == 0) {
            budget_take(&b, REST_BACKFILL, now);
            sent[n++] = now;
        }
    for (unsigned i = 5; i < n; i++)
        assert_in_range(sent[i] - sent[i - 5], BUDGET_WINDOW_MS, BUDGET_WINDOW_MS + 7);
    budget_fini(&b);
    assert_int_equal(budget_init(&b, 0, 0), 0);
    for (int i = 0; i < 1000; i++)
        budget_take(&b, REST_REPAIR, now);
    assert_int_equal(budget_wait_ms(&b, now), 0);
    budget_fini(&b);
}

/* Requests by class among `n`, while the classes in `waiting` all wait. */
static void serve(struct budget *b, const bool waiting[REST_CLASSES], unsigned n,
                  unsigned served[REST_CLASSES])
{
    memset(served, 0, REST_CLASSES * sizeof(*served));
    for (unsigned i = 0; i < n; i++) {
        enum rest_class c = budget_turn(b, waiting);
        assert_true(c < REST_CLASSES && waiting[c]);
        budget_take(b, c, 1);
        served[c]++;
    }
}

static void test_shares(void **state)
{
    (void)state;
    struct budget b;
    unsigned served[REST_CLASSES];
    const bool none[REST_CLASSES] = {0};
    const bool all[REST_CLASSES] = {true, true, true, true};
    const bool work[REST_CLASSES] = {[REST_REPAIR] = true, [REST_BACKFILL] = true};
    const bool last[REST_CLASSES] = {[REST_PREFETCH] = true};
    assert_int_equal(budget_init(&b, 0, 0), 0);
    assert_int_equal(budget_turn(&b, none), REST_CLASSES);
    serve(&b, all, 150, served);
    assert_int_equal(served[REST_URGENT], 80);
    assert_int_equal(served[REST_REPAIR], 40);
    assert_int_equal(served[REST_BACKFILL], 20);
    assert_int_equal(served[REST_PREFETCH], 10);
    serve(&b, work, 300, served);
    assert_in_range(served[REST_REPAIR], 199, 201);
    /* Whoever was idle is served soon, and not for all the time it slept. */
    serve(&b, last, 1000, served);
    assert_int_equal(budget_turn(&b, all), REST_URGENT);
    serve(&b, all, 30, served);
    assert_in_range(served[REST_URGENT], 15, 17);
    assert_in_range(served[REST_PREFETCH], 1, 3);
    budget_fini(&b);
}

static void test_denied(void **state)
{
    (void)state;
    static struct rest_denied d;
    uint64_t aapl = rest_hash(rest_hash(0, "AAPL"), "minute");
    uint64_t msft = rest_hash(rest_hash(0, "MSFT"), "minute");
    assert_false(rest_denied_has(&d, aapl, 5));
    rest_denied_add(&d, aapl, 1000, 5);
    assert_true(rest_denied_has(&d, aapl, 999));
    assert_false(rest_denied_has(&d, aapl, 1000));
    assert_false(rest_denied_has(&d, msft, 5));
    rest_denied_add(&d, aapl, 2000, 1000);
    assert_true(rest_denied_has(&d, aapl, 1999));
    /* Never too full to learn, and what collides is kept side by side. */
    for (uint64_t i = 0; i < 8; i++)
        rest_denied_add(&d, 77 + i * REST_DENIED_SLOTS, 5000 + i, 1000);
    for (uint64_t i = 0; i < 8; i++)
        assert_true(rest_denied_has(&d, 77 + i * REST_DENIED_SLOTS, 1000));
    rest_denied_add(&d, 77 + 8 * REST_DENIED_SLOTS, 6000, 1000);
    assert_true(rest_denied_has(&d, 77 + 8 * REST_DENIED_SLOTS, 1000));
    assert_false(rest_denied_has(&d, 77, 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_denied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
