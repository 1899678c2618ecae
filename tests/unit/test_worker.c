/* The worker: every change gets its indicators and its place in the log, whatever is coalesced, also across a
 * restart. */
#include "fixture_bus.h"

#define T0 INT64_C(1700000040000)

struct watcher {
    struct pgd_bars_reader bars;
    struct pgd_tape_reader log;
};

static void watch(struct watcher *w, const struct fixture *f, enum pgd_from from)
{
    assert_int_equal(pgd_bars_attach(&w->bars, f->instance, "1m"), 0);
    assert_int_equal(pgd_bars_log(&w->log, &w->bars, from), 0);
}

/* Follows the log until `series` has been reported up to `head`. */
static unsigned follow(struct watcher *w, struct fixture *f, uint32_t series, uint64_t head)
{
    unsigned revisions = 0, waits = 0;
    uint64_t seen = 0;
    while (seen < head) {
        struct pgd_change c;
        int r = pgd_tape_get(&w->log, &c);
        assert_true(r >= 0);
        if (r == 0) {
            r = pgd_tape_wait(&w->log, INT64_C(100000000));
            assert_true(r == 0 || r == -ETIMEDOUT);
            assert_true(++waits < 600);
            if (__atomic_exchange_n(&f->drained, 0, __ATOMIC_ACQ_REL))
                worker_kick(f->worker);
            continue;
        }
        if (c.symbol != series)
            continue;
        if (c.flags & PGD_CHANGE_REVISE)
            revisions++;
        if (c.flags & PGD_CHANGE_APPEND) {
            assert_int_equal(c.first, seen);
            seen = c.first + c.bars;
        }
    }
    return revisions;
}

static void test_every_row_gets_indicators(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_open(&f, 8, 512);
    struct watcher w;
    watch(&w, &f, PGD_FROM_NEXT);
    char names[8][16];
    for (int s = 0; s < 8; s++) {
        snprintf(names[s], sizeof names[s], "S%d", s);
        fixture_take(&f, names[s], PGD_STOCKS, false);
    }
    for (int64_t i = 0; i < 400; i++) {
        for (int s = 0; s < 8; s++) {
            struct pgd_bar bar = fixture_bar(T0 + i * 60000, 100 + s + (double)(i % 17));
            fixture_send_bar(&f, names[s], EVENT_AM, &bar);
        }
        feed_batch(f.feed, 0, 1);
    }
    follow(&w, &f, 7, 400);
    for (uint32_t s = 0; s < 8; s++)
        for (uint64_t i = 0; i < 400; i++) {
            struct pgd_bar bar;
            double units[PGK_COLUMNS_MAX];
            assert_int_equal(pgd_bars_row(&w.bars, s, i, &bar, units), 1);
            assert_true(!isnan(units[0]) == (i >= 19)); /* sma_20 */
        }
    pgd_bars_detach(&w.bars);
    fixture_close(&f);
    assert_int_equal(f.engine_failures, 0);
    fixture_remove(&f);
}

static void test_revision_recomputes_and_is_logged(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_open(&f, 2, 512);
    struct watcher w;
    watch(&w, &f, PGD_FROM_NEXT);
    fixture_take(&f, "AAPL", PGD_STOCKS, false);
    for (int64_t i = 0; i < 100; i++) {
        struct pgd_bar bar = fixture_bar(T0 + i * 60000, 100);
        fixture_send_bar(&f, "AAPL", EVENT_AM, &bar);
    }
    feed_batch(f.feed, 0, 1);
    follow(&w, &f, 0, 100);
    struct pgd_bar changed = fixture_bar(T0 + 90 * 60000, 150);
    fixture_send_bar(&f, "AAPL", EVENT_AM, &changed);
    feed_batch(f.feed, 0, 1);
    struct pgd_change c;
    while (pgd_tape_get(&w.log, &c) == 0)
        assert_int_equal(pgd_tape_wait(&w.log, INT64_C(20000000000)), 0);
    assert_int_equal(c.flags, (uint32_t)PGD_CHANGE_REVISE);
    assert_int_equal(c.first, 90);
    assert_int_equal(c.bars, 1);
    assert_int_equal(c.rows, 10);
    double units[PGK_COLUMNS_MAX];
    struct pgd_bar bar;
    assert_int_equal(pgd_bars_row(&w.bars, 0, 99, &bar, units), 1);
    assert_true(fabs(units[0] - (19 * 100.5 + 150.5) / 20) < 1e-9);
    pgd_bars_detach(&w.bars);
    fixture_close(&f);
    fixture_remove(&f);
}

static void test_restart_adopts_rows_and_state(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_open(&f, 2, 512);
    fixture_take(&f, "AAPL", PGD_STOCKS, false);
    for (int64_t i = 0; i < 50; i++) {
        struct pgd_bar bar = fixture_bar(T0 + i * 60000, 100 + (double)(i % 7));
        fixture_send_bar(&f, "AAPL", EVENT_AM, &bar);
    }
    feed_batch(f.feed, 0, 1);
    fixture_close(&f);
    fixture_open(&f, 2, 512);
    assert_true(f.bus.adopted);
    fixture_take(&f, "AAPL", PGD_STOCKS, false);
    struct watcher w;
    watch(&w, &f, PGD_FROM_NEXT);
    double units[PGK_COLUMNS_MAX];
    struct pgd_bar bar;
    assert_int_equal(pgd_bars_row(&w.bars, 0, 49, &bar, units), 1);
    struct pgd_bar next = fixture_bar(T0 + 50 * 60000, 101);
    fixture_send_bar(&f, "AAPL", EVENT_AM, &next);
    feed_batch(f.feed, 0, 1);
    struct pgd_change c;
    while (pgd_tape_get(&w.log, &c) == 0)
        assert_int_equal(pgd_tape_wait(&w.log, INT64_C(20000000000)), 0);
    assert_int_equal(c.first, 50);
    assert_int_equal(pgd_bars_row(&w.bars, 0, 50, &bar, units), 1);
    assert_true(!isnan(units[0]));
    pgd_bars_detach(&w.bars);
    fixture_close(&f);
    fixture_remove(&f);
}

/* Rows of history wait for those of other series, but not for ever, and not when something that cannot wait
 * follows on them; all are computed and logged in any case. */
static void test_history_waits_for_company(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_open(&f, 300, 512);
    struct watcher w;
    watch(&w, &f, PGD_FROM_NEXT);
    static char names[300][16];
    struct symbol *symbols[300];
    for (int s = 0; s < 300; s++) {
        snprintf(names[s], sizeof names[s], "S%d", s);
        symbols[s] = fixture_take(&f, names[s], PGD_STOCKS, false);
    }
    for (int64_t i = 0; i < 200; i += 20) {
        for (int s = 0; s < 300; s++) {
            struct pgd_bar rows[20];
            for (int64_t k = 0; k < 20; k++)
                rows[k] = fixture_bar(T0 + (i + k) * 60000, 100 + s + (double)((i + k) % 17));
            feed_history(f.feed, symbols[s], 1, rows, 20);
            feed_batch(f.feed, 0, 0);
        }
        /* one of the stream, in the midst of it */
        struct pgd_bar bar = fixture_bar(T0 + (i + 20) * 60000, 77);
        fixture_send_bar(&f, names[i], EVENT_AM, &bar);
        feed_batch(f.feed, 0, 1);
    }
    for (unsigned waits = 0; !worker_idle(f.worker); waits++) {
        assert_true(waits < 600000);
        worker_kick(f.worker);
        usleep(100);
    }
    assert_true(fixture_counter(&f, PGD_C_engine_batches) < fixture_counter(&f, PGD_C_engine_changes));
    for (uint32_t s = 0; s < 300; s++) {
        uint64_t head = pgd_bars_head(&f.bus.bars[1], s);
        assert_in_range(head, 200, 201);
        for (uint64_t i = 0; i < head; i++) {
            struct pgd_bar bar;
            double units[PGK_COLUMNS_MAX];
            assert_int_equal(pgd_bars_row(&w.bars, s, i, &bar, units), 1);
            assert_true(!isnan(units[0]) == (i >= 19)); /* sma_20 */
        }
    }
    follow(&w, &f, 299, 200);
    pgd_bars_detach(&w.bars);
    fixture_close(&f);
    assert_int_equal(f.engine_failures, 0);
    fixture_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_gets_indicators),
        cmocka_unit_test(test_revision_recomputes_and_is_logged),
        cmocka_unit_test(test_restart_adopts_rows_and_state),
        cmocka_unit_test(test_history_waits_for_company),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
