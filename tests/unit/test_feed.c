/* What becomes of each event: the account balances, rows come in order, revisions and late bars land where
 * they belong. */
#include "fixture_bus.h"

#define T0 INT64_C(1700000040000)

static uint64_t accounted(const struct fixture *f)
{
    static const enum pgd_counter_id ends[] = {
        PGD_C_events_published, PGD_C_events_duplicate, PGD_C_events_malformed, PGD_C_events_refused,
        PGD_C_events_unwanted,  PGD_C_events_too_old,   PGD_C_events_counted,   PGD_C_events_unknown};
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        sum += fixture_counter(f, ends[i]);
    return sum;
}

static void assert_balanced(const struct fixture *f)
{
    assert_int_equal(fixture_counter(f, PGD_C_events_received), accounted(f));
}

static void assert_rows(struct fixture *f, const struct symbol *symbol, const int64_t *minutes, size_t count)
{
    struct pgd_bars *bars = &f->bus.bars[1];
    uint32_t series = symbols_index(f->symbols, symbol);
    assert_int_equal(pgd_bars_head(bars, series), count);
    for (size_t i = 0; i < count; i++) {
        struct pgd_bar row;
        pgd_bars_peek(bars, series, i, &row);
        assert_int_equal((row.t - T0) / 60000, minutes[i]);
    }
}

static void send_minute(struct fixture *f, int64_t minute, double price)
{
    struct pgd_bar bar = fixture_bar(T0 + minute * 60000, price);
    fixture_send_bar(f, "AAPL", EVENT_AM, &bar);
}

static void test_append_revise_duplicate_insert(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_open(&f, 4, 128);
    struct symbol *aapl = fixture_take(&f, "AAPL", PGD_STOCKS, false);
    send_minute(&f, 0, 10);
    send_minute(&f, 1, 11);
    send_minute(&f, 3, 13);
    send_minute(&f, 1, 11); /* the same again */
    send_minute(&f, 1, 12); /* a correction */
    send_minute(&f, 2, 12); /* late */
    send_minute(&f, -1, 9); /* older than all */
    feed_batch(f.feed, 0, 1);
    assert_rows(&f, aapl, (int64_t[]){-1, 0, 1, 2, 3}, 5);
    struct pgd_bar row;
    pgd_bars_peek(&f.bus.bars[1], symbols_index(f.symbols, aapl), 2, &row);
    assert_true(row.o == 12);
    assert_int_equal(fixture_counter(&f, PGD_C_events_duplicate), 1);
    assert_int_equal(fixture_counter(&f, PGD_C_bars_appended), 3);
    assert_int_equal(fixture_counter(&f, PGD_C_bars_revised), 1);
    assert_int_equal(fixture_counter(&f, PGD_C_bars_inserted), 2);
    assert_balanced(&f);
    fixture_close(&f);
    fixture_remove(&f);
}

static void test_too_old_once_the_ring_is_full(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_open(&f, 4, 128);
    struct symbol *aapl = fixture_take(&f, "AAPL", PGD_STOCKS, false);
    for (int64_t i = 10; i < 10 + 300; i++)
        send_minute(&f, i, 10);
    send_minute(&f, 1, 10);
    feed_batch(f.feed, 0, 1);
    assert_int_equal(fixture_counter(&f, PGD_C_events_too_old), 1);
    assert_int_equal(pgd_bars_head(&f.bus.bars[1], symbols_index(f.symbols, aapl)), 300);
    assert_balanced(&f);
    fixture_close(&f);
    fixture_remove(&f);
}

static void test_unwanted_and_unheld(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_open(&f, 4, 128);
    send_minute(&f, 0, 10);
    struct symbol *aapl = fixture_take(&f, "AAPL", PGD_STOCKS, false);
    aapl->held = false;
    send_minute(&f, 1, 10);
    feed_batch(f.feed, 0, 1);
    assert_int_equal(fixture_counter(&f, PGD_C_events_unwanted), 2);
    assert_balanced(&f);
    fixture_close(&f);
    fixture_remove(&f);
}

static void test_bars_wait_for_history(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_open(&f, 4, 128);
    struct symbol *aapl = fixture_take(&f, "AAPL", PGD_STOCKS, true);
    send_minute(&f, 5, 15);
    send_minute(&f, 6, 16);
    feed_batch(f.feed, 0, 1);
    assert_int_equal(pgd_bars_head(&f.bus.bars[1], symbols_index(f.symbols, aapl)), 0);
    struct pgd_bar rows[3] = {fixture_bar(T0, 10), fixture_bar(T0 + 60000, 11),
                              fixture_bar(T0 + 5 * 60000, 15)};
    feed_history(f.feed, aapl, 1, rows, 3);
    feed_release(f.feed, aapl, 1);
    feed_release(f.feed, aapl, 0);
    feed_batch(f.feed, 0, 0);
    assert_rows(&f, aapl, (int64_t[]){0, 1, 5, 6}, 4);
    assert_int_equal(fixture_counter(&f, PGD_C_events_duplicate), 1);
    assert_int_equal(aapl->history, 0);
    send_minute(&f, 7, 17);
    feed_batch(f.feed, 0, 1);
    assert_int_equal(pgd_bars_head(&f.bus.bars[1], symbols_index(f.symbols, aapl)), 5);
    assert_balanced(&f);
    fixture_close(&f);
    fixture_remove(&f);
}

static void test_late_history_is_inserted(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_open(&f, 4, 128);
    struct symbol *aapl = fixture_take(&f, "AAPL", PGD_STOCKS, true);
    feed_release(f.feed, aapl, 1); /* gave up waiting */
    send_minute(&f, 5, 15);
    send_minute(&f, 6, 16);
    struct pgd_bar rows[2] = {fixture_bar(T0, 10), fixture_bar(T0 + 60000, 11)};
    feed_history(f.feed, aapl, 1, rows, 2);
    feed_batch(f.feed, 0, 1);
    assert_rows(&f, aapl, (int64_t[]){0, 1, 5, 6}, 4);
    assert_balanced(&f);
    fixture_close(&f);
    fixture_remove(&f);
}

static void test_forming_minute(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_open(&f, 4, 128);
    struct symbol *aapl = fixture_take(&f, "AAPL", PGD_STOCKS, false);
    struct pgd_bar a = {.t = T0, .o = 10, .h = 12, .l = 9, .c = 11, .v = 100, .vw = 10, .n = PGD_N_ABSENT};
    struct pgd_bar b = {
        .t = T0 + 1000, .o = 11, .h = 15, .l = 11, .c = 14, .v = 300, .vw = 14, .n = PGD_N_ABSENT};
    fixture_send_bar(&f, "AAPL", EVENT_A, &a);
    fixture_send_bar(&f, "AAPL", EVENT_A, &b);
    feed_batch(f.feed, 0, 1);
    struct pgd_bars_reader reader;
    assert_int_equal(pgd_bars_attach(&reader, f.instance, "1m"), 0);
    struct pgd_bar now;
    uint32_t series = symbols_index(f.symbols, aapl);
    assert_int_equal(pgd_bars_get_forming(&reader, series, &now), 1);
    assert_true(now.t == T0 && now.o == 10 && now.h == 15 && now.l == 9 && now.c == 14 && now.v == 400 &&
                now.vw == 13);
    assert_int_equal(now.flags, PGD_BAR_MADE);
    send_minute(&f, 0, 10);
    feed_batch(f.feed, 0, 1);
    assert_int_equal(pgd_bars_get_forming(&reader, series, &now), 0);
    pgd_bars_detach(&reader);
    fixture_close(&f);
    fixture_remove(&f);
}

static void test_trades_quotes_and_latest(void **state)
{
    (void)state;
    struct fixture f = {0};
    fixture_open(&f, 4, 128);
    fixture_take(&f, "X:BTC-USD", PGD_CRYPTO, false);
    struct parse_sink sink = feed_sink(f.feed, PGD_CRYPTO);
    struct event e = {.type = EVENT_XT, .class = EVENT_CLASS_TRADE, .symbol = {"BTC-USD", 7}};
    e.trade = (struct pgd_trade){.t = 5, .price = 60000, .size = 0.25};
    sink.event(sink.user, &e);
    e = (struct event){.type = EVENT_XQ, .class = EVENT_CLASS_QUOTE, .symbol = {"X:BTC-USD", 9}};
    e.quote = (struct pgd_quote){.t = 6, .bid = 1, .ask = 2};
    sink.event(sink.user, &e);
    struct pgd_map map;
    struct pgd_tape_reader reader;
    feed_batch(f.feed, 10, 1);
    assert_int_equal(pgd_tapes_attach(&map, &reader, f.instance, PGD_TAPES_TRADES, PGD_FROM_OLDEST), 0);
    struct pgd_trade trade;
    assert_int_equal(pgd_tape_get(&reader, &trade), 1);
    assert_true(trade.price == 60000 && trade.size == 0.25 && trade.symbol == 0);
    assert_int_equal(pgd_tape_latest(&reader, 0, &trade), 1);
    assert_true(trade.t == 5);
    pgd_segment_close(&map);
    assert_int_equal(fixture_counter(&f, PGD_C_trades), 1);
    assert_int_equal(fixture_counter(&f, PGD_C_quotes), 1);
    assert_balanced(&f);
    fixture_close(&f);
    fixture_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_revise_duplicate_insert),
        cmocka_unit_test(test_too_old_once_the_ring_is_full),
        cmocka_unit_test(test_unwanted_and_unheld),
        cmocka_unit_test(test_bars_wait_for_history),
        cmocka_unit_test(test_late_history_is_inserted),
        cmocka_unit_test(test_forming_minute),
        cmocka_unit_test(test_trades_quotes_and_latest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
