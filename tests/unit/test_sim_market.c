/* The simulated market: the same from the same seed, whole sums of its parts, and shaped like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "polysim/bar.h"

struct world {
    struct sim_universe universe;
    struct sim_market market;
    struct sim_history *history;
};

static void open_world(struct world *w, uint64_t seed, const char *stocks)
{
    char err[128];
    assert_int_equal(sim_universe_init(&w->universe, seed, stocks, err, sizeof(err)), 0);
    sim_market_init(&w->market, seed);
    w->history = sim_history_new(&w->market);
    assert_non_null(w->history);
}

static void close_world(struct world *w)
{
    sim_history_free(w->history);
    sim_market_fini(&w->market);
    sim_universe_fini(&w->universe);
}

static int64_t at(int minute)
{
    return sim_calendar_midnight(sim_calendar_days((struct sim_date){2026, 3, 4})) + minute * SIM_MINUTE;
}

static bool same_trade(const struct sim_trade *a, const struct sim_trade *b)
{
    return a->at == b->at && a->q == b->q && a->price == b->price && a->size == b->size &&
           a->exchange == b->exchange;
}

/* Neither the company a symbol keeps nor the order of questions matters. */
static void test_deterministic(void **state)
{
    (void)state;
    struct world one, two;
    open_world(&one, 42, NULL);
    open_world(&two, 42, "MSFT,SIM0099,AAPL");
    static const char *const tickers[] = {"AAPL", "SIM0099", "X:BTCUSD", "I:SPX"};
    struct sim_minute a = {0}, b = {0};
    for (size_t i = 0; i < 4; i++) {
        for (int m = 0; m < 30; m++) {
            sim_market_minute(&one.market, sim_universe_ticker(&one.universe, tickers[i]), at(570 + m), &a);
            sim_market_minute(&two.market, sim_universe_ticker(&two.universe, "MSFT"), at(599 - m), &b);
            sim_market_minute(&two.market, sim_universe_ticker(&two.universe, tickers[i]), at(570 + m), &b);
            assert_int_equal(a.count, b.count);
            for (uint32_t k = 0; k < a.count; k++)
                assert_true(same_trade(&a.trades[k], &b.trades[k]));
        }
    }
    struct world other;
    open_world(&other, 43, "AAPL");
    sim_market_minute(&one.market, sim_universe_ticker(&one.universe, "AAPL"), at(600), &a);
    sim_market_minute(&other.market, sim_universe_ticker(&other.universe, "AAPL"), at(600), &b);
    assert_true(a.count != b.count || !same_trade(&a.trades[0], &b.trades[0]));
    sim_minute_fini(&a);
    sim_minute_fini(&b);
    close_world(&one);
    close_world(&two);
    close_world(&other);
}

static void same_bar(const struct sim_bar *a, const struct sim_bar *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->open, b->open);
    assert_int_equal(a->high, b->high);
    assert_int_equal(a->low, b->low);
    assert_int_equal(a->close, b->close);
    assert_int_equal(a->volume, b->volume);
    assert_true(a->turnover == b->turnover);
}

/* Trades make seconds, seconds make minutes, minutes make days. */
static void test_aggregates(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1, "AAPL,SIM0001");
    static const char *const tickers[] = {"AAPL", "SIM0001", "X:ETHUSD", "C:EURUSD", "I:SPX"};
    for (size_t i = 0; i < sizeof(tickers) / sizeof(*tickers); i++) {
        const struct sim_symbol *s = sim_universe_ticker(&w.universe, tickers[i]);
        int32_t day = sim_history_day_of(s, at(600));
        int64_t start = sim_history_day_start(s, day), end = sim_history_day_start(s, day + 1);
        struct sim_bar whole = {0};
        for (int64_t t = start; t < end; t += SIM_MINUTE) {
            struct sim_bar minute = sim_history_minute(w.history, s, t), seconds = {0};
            if (t >= at(570) && t < at(590)) {
                for (int64_t second = t; second < t + SIM_MINUTE; second += 1000) {
                    struct sim_bar bar = sim_history_second(w.history, s, second);
                    sim_bar_merge(&seconds, &bar);
                }
                same_bar(&minute, &seconds);
            }
            sim_bar_merge(&whole, &minute);
        }
        struct sim_bar bar = sim_history_day(w.history, s, day, end);
        same_bar(&bar, &whole);
        bar = sim_history_day(w.history, s, day, end); /* from memory */
        same_bar(&bar, &whole);
    }
    close_world(&w);
}

static void test_order_and_ticks(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 3, NULL);
    struct sim_minute m = {0};
    struct sim_quotes q = {0};
    for (size_t i = 0; i < w.universe.count; i++) {
        const struct sim_symbol *s = &w.universe.symbols[i];
        uint32_t last_trade = 0, last_quote = 0;
        for (int minute = 565; minute < 580; minute++) {
            sim_market_minute(&w.market, s, at(minute), &m);
            sim_market_quotes(&w.market, s, at(minute), &q);
            int32_t before = 0;
            for (uint32_t k = 0; k < m.count; k++) {
                const struct sim_trade *t = &m.trades[k];
                assert_true(t->at >= before && t->at < SIM_MINUTE && t->q > last_trade && t->price > 0 &&
                            t->size >= 0);
                assert_int_equal(t->price % (t->price >= 2 * SIM_PRICE_UNIT ? s->tick : 10), 0);
                before = t->at;
                last_trade = t->q;
            }
            for (uint32_t k = 0; k < q.count; k++) {
                assert_true(q.quotes[k].ask > q.quotes[k].bid && q.quotes[k].bid > 0 &&
                            q.quotes[k].q > last_quote);
                last_quote = q.quotes[k].q;
            }
        }
    }
    sim_minute_fini(&m);
    sim_quotes_fini(&q);
    close_world(&w);
}

static void test_closed(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1, "AAPL");
    const struct sim_symbol *stock = sim_universe_ticker(&w.universe, "AAPL"),
                            *coin = sim_universe_ticker(&w.universe, "X:BTCUSD");
    struct sim_minute m = {0};
    for (int minute = 0; minute < 240; minute++) {
        sim_market_minute(&w.market, stock, at(minute), &m);
        assert_int_equal(m.count, 0);
    }
    int64_t sunday = at(600) + 4 * SIM_DAY;
    sim_market_minute(&w.market, stock, sunday, &m);
    assert_int_equal(m.count, 0);
    sim_market_minute(&w.market, coin, sunday, &m);
    assert_true(m.count > 0);
    assert_int_equal(
        sim_history_day(w.history, stock, sim_calendar_new_york_day(sunday), sunday + SIM_DAY).count, 0);
    sim_minute_fini(&m);
    close_world(&w);
}

static double volume(struct world *w, const struct sim_symbol *s, int from, int to)
{
    double sum = 0;
    for (int32_t back = 0; back < 2; back++)
        for (int m = from; m < to; m++)
            sum += (double)sim_history_minute(w->history, s, at(m) - back * SIM_DAY).volume;
    return sum / (to - from);
}

static double daily_return(struct world *w, const char *ticker, int back)
{
    const struct sim_symbol *s = sim_universe_ticker(&w->universe, ticker);
    int32_t day = sim_calendar_new_york_day(at(0)) - back;
    struct sim_bar bar = sim_history_day(w->history, s, day, at(0)), before = {0};
    while (before.count == 0)
        before = sim_history_day(w->history, s, --day, at(0));
    return bar.count ? log((double)bar.close / (double)before.close) : 0;
}

static void test_looks_like_a_market(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1, "AAPL,MSFT,BAC");
    const struct sim_symbol *s = sim_universe_ticker(&w.universe, "AAPL");
    double open = volume(&w, s, 570, 585), lunch = volume(&w, s, 750, 790), close = volume(&w, s, 945, 960);
    assert_true(open > 4 * lunch && close > 1.5 * lunch);
    assert_true(volume(&w, s, 240, 570) < 0.2 * lunch && volume(&w, s, 960, 1200) < 0.3 * lunch);
    double xx = 0, yy = 0, xy = 0;
    for (int back = 1; back < 100; back++) {
        double x = daily_return(&w, "AAPL", back), y = daily_return(&w, "MSFT", back);
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    double correlation = xy / sqrt(xx * yy);
    assert_true(correlation > 0.2 && correlation < 0.95);
    close_world(&w);
}

/* A late trade is seen by every aggregate that holds its minute, and by nothing else. */
static void test_revision(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1, "AAPL");
    const struct sim_symbol *s = sim_universe_ticker(&w.universe, "AAPL");
    int32_t day = sim_calendar_new_york_day(at(0));
    struct sim_bar minute = sim_history_minute(w.history, s, at(600)),
                   next = sim_history_minute(w.history, s, at(601));
    struct sim_bar whole = sim_history_day(w.history, s, day, at(1500));
    int64_t price = whole.high + 10000, size = 100 * SIM_SIZE_UNIT;
    assert_int_equal(sim_market_revise(&w.market, s, at(600) + 5, price, size), 0);
    struct sim_bar revised = sim_history_minute(w.history, s, at(600));
    assert_int_equal(revised.high, price);
    assert_int_equal(revised.close, price);
    assert_int_equal(revised.volume, minute.volume + size);
    assert_int_equal(revised.count, minute.count + 1);
    struct sim_bar untouched = sim_history_minute(w.history, s, at(601));
    same_bar(&untouched, &next);
    struct sim_bar day_after = sim_history_day(w.history, s, day, at(1500));
    assert_int_equal(day_after.volume, whole.volume + size);
    assert_int_equal(day_after.high, price);
    assert_true(sim_market_revise(&w.market, s, at(100), price, size) < 0);
    close_world(&w);
}

static void test_universe(void **state)
{
    (void)state;
    struct sim_universe u;
    char err[128] = "";
    assert_int_equal(sim_universe_init(&u, 1, "12000", err, sizeof(err)), 0);
    assert_non_null(sim_universe_ticker(&u, "SIM12000"));
    assert_null(sim_universe_ticker(&u, "SIM12001"));
    assert_non_null(sim_universe_ticker(&u, "KIMpL"));
    assert_null(sim_universe_ticker(&u, "aapl"));
    assert_ptr_equal(sim_universe_ticker(&u, "C:EURUSD"), sim_universe_stream(&u, SIM_FOREX, "EUR/USD"));
    assert_null(sim_universe_stream(&u, SIM_STOCKS, "EUR/USD"));
    sim_universe_fini(&u);
    assert_true(sim_universe_init(&u, 1, "AAPL,M SFT", err, sizeof(err)) < 0);
    assert_non_null(strstr(err, "M SFT"));
    assert_true(sim_universe_init(&u, 1, "99999999", err, sizeof(err)) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deterministic),   cmocka_unit_test(test_aggregates),
        cmocka_unit_test(test_order_and_ticks), cmocka_unit_test(test_closed),
        cmocka_unit_test(test_revision),        cmocka_unit_test(test_looks_like_a_market),
        cmocka_unit_test(test_universe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
