/* Where a hole begins and ends: for each way in which one comes about. */
#include "fixture_bus.h"

#include "clock.h"
#include "gaps_watch.h"

#define MS     INT64_C(1000000)
#define S      (1000 * MS)
#define MINUTE (60 * S)

struct watched {
    struct fixture f;
    struct gaps_watch *watch;
    struct symbol *aapl, *msft;
    int64_t base; /* a minute's start, not long ago, ns */
    unsigned changes;
};

static void on_changed(void *user)
{
    ((struct watched *)user)->changes++;
}

static void open_watch(struct watched *w, uint32_t fill_after_ms)
{
    struct gaps_watch_hooks hooks = {on_changed, w};
    fixture_open(&w->f, 4, 256);
    assert_int_equal(gaps_watch_new(&w->watch, &w->f.bus, w->f.symbols, w->f.feed, fill_after_ms, &hooks), 0);
    w->aapl = fixture_take(&w->f, "AAPL", PGD_STOCKS, false);
    w->msft = fixture_take(&w->f, "MSFT", PGD_STOCKS, false);
    w->base = clock_real_ns() / MINUTE * MINUTE - 10 * MINUTE;
}

static void close_watch(struct watched *w)
{
    gaps_watch_free(w->watch);
    fixture_close(&w->f);
}

static void trade(struct watched *w, const char *symbol, int64_t t, uint64_t id)
{
    struct event e = {.type = EVENT_T, .class = EVENT_CLASS_TRADE, .symbol = {symbol, 4}};
    e.trade = (struct pgd_trade){.t = t, .price = 1, .size = 1, .id = id};
    struct parse_sink sink = feed_sink(w->f.feed, PGD_STOCKS);
    sink.event(sink.user, &e);
    feed_batch(w->f.feed, 0, 1);
}

static void bar(struct watched *w, enum event_type type, int64_t t)
{
    struct pgd_bar b = fixture_bar(t / MS, 10);
    fixture_send_bar(&w->f, "AAPL", type, &b);
    feed_batch(w->f.feed, 0, 1);
}

/* The one hole of a symbol and topic that is not over; id 0: none. */
static struct pgd_gap only(const struct watched *w, const struct symbol *symbol, enum pgd_topic topic)
{
    struct pgd_gap found = {0};
    struct gaps *gaps = gaps_watch_ledger(w->watch);
    for (uint32_t i = 0; i < gaps_rows(gaps); i++) {
        const struct pgd_gap *g = gaps_at(gaps, i);
        if (g->id == 0 || g->symbol != symbols_index(w->f.symbols, symbol) || g->topic != (uint32_t)topic ||
            (g->state != PGD_GAP_OPEN && g->state != PGD_GAP_FILLING))
            continue;
        assert_int_equal(found.id, 0);
        found = *g;
        struct pgd_gap shown; /* the board says the same */
        assert_true(pgd_board_old_gap(&w->f.bus.board, i, &shown));
        shown.seq = 0;
        assert_memory_equal(&shown, g, sizeof shown);
    }
    return found;
}

static void test_a_lost_connection(void **state)
{
    (void)state;
    struct watched w = {0};
    open_watch(&w, 0);
    trade(&w, "AAPL", w.base + 5 * S + 123 * MS + 456, 1);
    bar(&w, EVENT_AM, w.base - MINUTE);
    bar(&w, EVENT_A, w.base + 4 * S);
    gaps_watch_lost(w.watch, w.aapl, PGD_TRADES, false);
    gaps_watch_lost(w.watch, w.aapl, PGD_BARS_1M, false);
    gaps_watch_lost(w.watch, w.aapl, PGD_BARS_1S, true);
    struct pgd_gap g = only(&w, w.aapl, PGD_TRADES); /* the last one's ms may have had more */
    assert_true(g.from_ns == w.base + 5 * S + 123 * MS && g.to_ns == GAPS_GROWING &&
                g.why == PGD_GAP_CONNECTION);
    g = only(&w, w.aapl, PGD_BARS_1M);
    assert_true(g.from_ns == w.base && g.to_ns == GAPS_GROWING);
    g = only(&w, w.aapl, PGD_BARS_1S);
    assert_true(g.from_ns == w.base + 5 * S && g.why == PGD_GAP_SILENCE);
    int64_t before = clock_real_ns();
    gaps_watch_held(w.watch, w.aapl, PGD_TRADES);
    gaps_watch_held(w.watch, w.aapl, PGD_BARS_1M);
    gaps_watch_held(w.watch, w.aapl, PGD_QUOTES); /* had none */
    int64_t after = clock_real_ns();
    assert_int_equal(w.changes, 2);
    g = only(&w, w.aapl, PGD_TRADES);
    assert_true(g.to_ns >= before / MS * MS && g.to_ns <= after);
    g = only(&w, w.aapl, PGD_BARS_1M); /* the bar that forms now will be sent whole */
    assert_true(g.to_ns >= before / MINUTE * MINUTE && g.to_ns <= after && g.to_ns % MINUTE == 0);
    assert_int_equal(only(&w, w.aapl, PGD_QUOTES).id, 0);
    assert_int_equal(fixture_counter(&w.f, PGD_C_gaps_opened), 2);
    assert_int_equal(fixture_counter(&w.f, PGD_C_gaps_open), 3);
    close_watch(&w);
    fixture_remove(&w.f);
}

/* A quiet symbol's hole begins where the others show that the stream was. */
static void test_a_quiet_symbol(void **state)
{
    (void)state;
    struct watched w = {0};
    open_watch(&w, 0);
    trade(&w, "MSFT", w.base, 1);
    bar(&w, EVENT_AM, w.base - 5 * MINUTE);
    trade(&w, "AAPL", w.base + 3 * MINUTE, 1);
    trade(&w, "AAPL", clock_real_ns() + 3600 * S, 2); /* from the future: no measure */
    gaps_watch_lost(w.watch, w.msft, PGD_TRADES, false);
    gaps_watch_lost(w.watch, w.aapl, PGD_BARS_1M, false);
    assert_true(only(&w, w.msft, PGD_TRADES).from_ns == w.base + 3 * MINUTE - 10 * S);
    assert_true(only(&w, w.aapl, PGD_BARS_1M).from_ns == w.base + MINUTE); /* a span and 15 s before, whole */
    close_watch(&w);
    fixture_remove(&w.f);
}

/* Of a feed that is behind the clock the end is known better once it goes on. */
static void test_the_end_of_a_delayed_feed(void **state)
{
    (void)state;
    struct watched w = {0};
    open_watch(&w, 0);
    trade(&w, "AAPL", w.base - 60 * MINUTE, 1);
    gaps_watch_lost(w.watch, w.aapl, PGD_TRADES, false);
    gaps_watch_held(w.watch, w.aapl, PGD_TRADES);
    int64_t wake;
    uint32_t row = gaps_due(gaps_watch_ledger(w.watch), PGD_TRADES, INT64_MAX - 1, &wake);
    assert_true(row != GAPS_NONE);
    gaps_watch_settle(w.watch, row); /* nothing came since: the clock's word stands */
    assert_true(only(&w, w.aapl, PGD_TRADES).to_ns > w.base);
    trade(&w, "AAPL", w.base - 58 * MINUTE, 2);
    gaps_watch_settle(w.watch, row);
    assert_true(only(&w, w.aapl, PGD_TRADES).to_ns == w.base - 56 * MINUTE);
    close_watch(&w);
    fixture_remove(&w.f);
}

static void test_wanted_covered_refused_unwanted(void **state)
{
    (void)state;
    struct watched w = {0};
    open_watch(&w, 0);
    int64_t before = clock_real_ns();
    gaps_watch_wanted(w.watch, w.aapl, PGD_TRADES | PGD_BARS_1M | PGD_BARS_1S, true);
    assert_int_equal(only(&w, w.aapl, PGD_TRADES).id, 0); /* no history of trades: nothing to go on from */
    struct pgd_gap g = only(&w, w.aapl, PGD_BARS_1M);
    assert_true(g.why == PGD_GAP_START && g.from_ns >= before / MINUTE * MINUTE &&
                g.from_ns <= clock_real_ns());
    /* history answers for the time until it was asked; then the pair is acknowledged within the minute */
    gaps_watch_covered(w.watch, w.aapl, PGD_BARS_1M, 0, g.from_ns + MINUTE);
    gaps_watch_held(w.watch, w.aapl, PGD_BARS_1M);
    assert_int_equal(only(&w, w.aapl, PGD_BARS_1M).id, 0);
    gaps_watch_refused(w.watch, w.aapl, PGD_BARS_1S); /* never streamed: no hole */
    assert_int_equal(only(&w, w.aapl, PGD_BARS_1S).id, 0);
    assert_int_equal(fixture_counter(&w.f, PGD_C_gaps_opened), 0);
    assert_int_equal(fixture_counter(&w.f, PGD_C_gaps_open), 0);
    trade(&w, "AAPL", w.base, 1);
    gaps_watch_lost(w.watch, w.aapl, PGD_TRADES, false);
    gaps_watch_unwanted(w.watch, w.aapl, PGD_TRADES);
    assert_int_equal(only(&w, w.aapl, PGD_TRADES).id, 0);
    assert_int_equal(fixture_counter(&w.f, PGD_C_gaps_unfillable), 1);
    gaps_watch_wanted(w.watch, w.aapl, PGD_TRADES, true); /* wanted again: from its last trade on */
    g = only(&w, w.aapl, PGD_TRADES);
    assert_true(g.why == PGD_GAP_RESTART && g.from_ns == w.base);
    gaps_watch_found(w.watch, w.aapl, PGD_BARS_1M, w.base, w.base + MINUTE);
    assert_int_equal(only(&w, w.aapl, PGD_BARS_1M).id, 0);
    assert_int_equal(fixture_counter(&w.f, PGD_C_gaps_closed), 1);
    close_watch(&w);
    fixture_remove(&w.f);
}

/* The next run takes up what was open, being filled, or still growing; holes of symbols nobody wants are
 * given up. */
static void test_the_next_run(void **state)
{
    (void)state;
    struct watched w = {0};
    open_watch(&w, 0);
    trade(&w, "AAPL", w.base, 1);
    bar(&w, EVENT_AM, w.base);
    gaps_watch_lost(w.watch, w.aapl, PGD_BARS_1M, false);
    gaps_watch_held(w.watch, w.aapl, PGD_BARS_1M);
    int64_t wake;
    struct gaps *gaps = gaps_watch_ledger(w.watch);
    gaps_take(gaps, gaps_due(gaps, PGD_BARS_1M, INT64_MAX - 1, &wake), 1);
    gaps_watch_lost(w.watch, w.aapl, PGD_TRADES, false);
    gaps_watch_hole(w.watch, w.msft, PGD_TRADES, w.base, w.base + S, PGD_GAP_REFUSED);
    close_watch(&w);
    struct watched next = {0};
    memcpy(next.f.instance, w.f.instance, sizeof next.f.instance);
    open_watch(&next, 0);
    next.msft->held = false;
    gaps_watch_started(next.watch);
    struct pgd_gap g = only(&next, next.aapl, PGD_BARS_1M);
    assert_true(g.state == PGD_GAP_OPEN && g.tries == 1 && g.from_ns == w.base + MINUTE);
    g = only(&next, next.aapl, PGD_TRADES);
    assert_true(g.to_ns == GAPS_GROWING && g.from_ns == w.base);
    assert_int_equal(only(&next, next.msft, PGD_TRADES).id, 0);
    gaps_watch_wanted(next.watch, next.aapl, PGD_TRADES | PGD_BARS_1M, true);
    gaps_watch_held(next.watch, next.aapl, PGD_TRADES);
    g = only(&next, next.aapl, PGD_TRADES); /* one hole, not two */
    assert_true(g.to_ns != GAPS_GROWING && g.from_ns == w.base);
    close_watch(&next);
    fixture_remove(&next.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lost_connection),
        cmocka_unit_test(test_a_quiet_symbol),
        cmocka_unit_test(test_the_end_of_a_delayed_feed),
        cmocka_unit_test(test_wanted_covered_refused_unwanted),
        cmocka_unit_test(test_the_next_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
