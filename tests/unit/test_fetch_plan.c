/* What is fetched in which pieces, and the times users write. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "fetch_args.h"
#include "fetch_plan.h"

#define MINUTE INT64_C(60000)
#define HOUR   INT64_C(3600000)
#define DAY    INT64_C(86400000)

static int64_t at(int year, int month, int day, int hour, int minute)
{
    struct tm tm = {
        .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute};
    return (int64_t)timegm(&tm) * 1000;
}

static void test_pieces_by_hand(void **state)
{
    (void)state;
    struct fetch_plan plan;
    struct fetch_what what = {PGD_STOCKS, MINUTE, {at(2026, 1, 1, 5, 0), at(2026, 7, 1, 4, 0)}, 2};
    assert_int_equal(fetch_plan_new(&plan, &what, NULL, 0), 0);
    assert_int_equal(plan.count, 3); /* the night to 1 July is in July by UTC, but nothing can begin in it */
    assert_int_equal(plan.pieces[0].range.to, at(2026, 3, 1, 0, 0));
    assert_int_equal(plan.pieces[2].range.to, at(2026, 7, 1, 0, 0));
    fetch_plan_free(&plan);
    /* April is known, from the 2nd, a Thursday; the rest of May from Saturday the 2nd on */
    struct cache_range known[] = {{at(2026, 4, 2, 4, 0), at(2026, 5, 2, 0, 0)},
                                  {at(2026, 5, 4, 4, 0), at(2026, 6, 1, 4, 0)}};
    assert_int_equal(fetch_plan_new(&plan, &what, known, 2), 0);
    for (unsigned i = 0; i < plan.count; i++)
        assert_true(plan.pieces[i].known ==
                    (plan.pieces[i].range.from >= known[0].from && plan.pieces[i].range.to <= known[1].to));
    fetch_plan_free(&plan);
    what.window = (struct cache_range){at(2026, 7, 18, 4, 0), at(2026, 7, 20, 4, 0)}; /* a weekend */
    assert_int_equal(fetch_plan_new(&plan, &what, NULL, 0), 0);
    assert_int_equal(plan.count, 0);
    fetch_plan_free(&plan);
}

static bool inside(const struct cache_range *ranges, unsigned count, int64_t t)
{
    for (unsigned i = 0; i < count; i++)
        if (t >= ranges[i].from && t < ranges[i].to)
            return true;
    return false;
}

static void check_plan(const struct fetch_plan *plan, const struct fetch_what *what,
                       const struct cache_range *known, unsigned known_count)
{
    int64_t end = what->window.from;
    for (unsigned i = 0; i < plan->count; i++) {
        const struct cache_range *r = &plan->pieces[i].range;
        assert_true(r->from >= end && r->from < r->to && r->to <= what->window.to);
        assert_true(cache_time_idle(what->cluster, end, r->from));
        int64_t most = r->from;
        for (unsigned p = 0; p < what->periods; p++)
            most = cache_time_period(what->span_ms, most).to;
        assert_true(r->to <= most);
        for (int k = 0; k < 50; k++) {
            int64_t t = r->from + (int64_t)(drand48() * (double)(r->to - r->from));
            assert_true(inside(known, known_count, t) == plan->pieces[i].known);
        }
        end = r->to;
    }
    assert_true(cache_time_idle(what->cluster, end, what->window.to));
}

static void test_any_known_ranges(void **state)
{
    (void)state;
    static const int64_t spans[] = {1000, MINUTE, HOUR, DAY};
    static const enum pgd_cluster clusters[] = {PGD_STOCKS, PGD_CRYPTO};
    long seed = getenv("SEED") ? atol(getenv("SEED")) : 11;
    printf("SEED=%ld\n", seed);
    srand48(seed);
    for (int run = 0; run < 400; run++) {
        struct cache_range known[12];
        unsigned count = 0;
        struct fetch_plan plan;
        struct fetch_what what = {clusters[run % 2], spans[run / 2 % 4], {0}, 1 + (unsigned)(drand48() * 7)};
        what.window.from = at(2024, 1, 1, 0, 0) + (int64_t)(drand48() * 500) * DAY / 2;
        what.window.to =
            what.window.from + (int64_t)(1 + drand48() * (what.span_ms == 1000 ? 30 : 700)) * DAY;
        for (int i = (int)(drand48() * 11); i > 0; i--) {
            int64_t length = what.window.to - what.window.from;
            int64_t from = what.window.from + (int64_t)(drand48() * (double)length);
            int64_t to = from + (int64_t)(drand48() * (double)(what.window.to - from) / 4);
            count = cache_time_add(known, count, (struct cache_range){from, to});
        }
        assert_int_equal(fetch_plan_new(&plan, &what, known, count), 0);
        check_plan(&plan, &what, known, count);
        fetch_plan_free(&plan);
    }
}

static void test_what_is_held_stays_bounded(void **state)
{
    (void)state;
    for (int spread = 0; spread < 2; spread++)
        for (int scarce = 0; scarce < 2; scarce++) {
            /* a busy stock's page is two months; a market that never sleeps has twice as many minutes */
            assert_true(fetch_plan_periods(PGD_STOCKS, MINUTE, spread, scarce) <= 12);
            assert_true(fetch_plan_periods(PGD_CRYPTO, MINUTE, spread, scarce) <= 12);
            assert_true(fetch_plan_periods(PGD_STOCKS, 1000, spread, scarce) <= 7);
        }
    assert_int_equal(fetch_plan_periods(PGD_CRYPTO, MINUTE, true, false), 1);
    assert_int_equal(fetch_plan_periods(PGD_STOCKS, MINUTE, true, false), 2);
}

static int64_t time_of(const char *text, enum pgd_cluster cluster, bool end)
{
    int64_t ms = -1;
    assert_int_equal(fetch_args_time(&ms, text, cluster, end), 0);
    return ms;
}

static void test_times(void **state)
{
    (void)state;
    static const char *const bad[] = {"",         "soon",        "2026-02-30", "2026-13-01",
                                      "2026-1-1", "2026-01-31x", "20260131x"};
    int64_t ms = 7;
    /* days are the market's, also those on which the clocks change: 8 March and 1 November 2026 */
    assert_int_equal(time_of("2026-01-31", PGD_STOCKS, false), at(2026, 1, 31, 5, 0));
    assert_int_equal(time_of("2026-01-31", PGD_STOCKS, true), at(2026, 2, 1, 5, 0));
    assert_int_equal(time_of("2026-03-08", PGD_STOCKS, false), at(2026, 3, 8, 5, 0));
    assert_int_equal(time_of("2026-03-08", PGD_STOCKS, true), at(2026, 3, 9, 4, 0));
    assert_int_equal(time_of("2026-11-01", PGD_STOCKS, true), at(2026, 11, 2, 5, 0));
    assert_int_equal(time_of("2026-01-31", PGD_CRYPTO, false), at(2026, 1, 31, 0, 0));
    assert_int_equal(time_of("2026-01-31", PGD_CRYPTO, true), at(2026, 2, 1, 0, 0));
    assert_int_equal(time_of("2026-01-31T14:30", PGD_STOCKS, true), at(2026, 1, 31, 14, 30));
    assert_int_equal(time_of("1767225600", PGD_STOCKS, false), at(2026, 1, 1, 0, 0));
    assert_int_equal(time_of("1767225600000", PGD_STOCKS, false), at(2026, 1, 1, 0, 0));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(fetch_args_time(&ms, bad[i], PGD_STOCKS, false), -EINVAL);
    assert_int_equal(ms, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_by_hand),
        cmocka_unit_test(test_any_known_ranges),
        cmocka_unit_test(test_what_is_held_stays_bounded),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
