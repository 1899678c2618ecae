/* What comes twice is published once, whoever brings it first: the stream's ms against REST's ns, records
 * with and without ids, bars; and every row of REST has its place in the account. */
#include "fixture_bus.h"

#include <time.h>

#define T0_MS INT64_C(1700000040000)
#define MS    INT64_C(1000000)

static struct {
    unsigned holes;
    enum pgd_topic topic;
    int64_t from_ns, to_ns;
    enum pgd_gap_why why;
} hole;

static void on_hole(void *user, struct symbol *symbol, enum pgd_topic topic, int64_t from_ns, int64_t to_ns,
                    enum pgd_gap_why why)
{
    (void)user, (void)symbol;
    hole.holes++;
    hole.topic = topic;
    hole.from_ns = from_ns;
    hole.to_ns = to_ns;
    hole.why = why;
}

static uint64_t sum(const struct fixture *f, const enum pgd_counter_id *ids, size_t count)
{
    uint64_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += fixture_counter(f, ids[i]);
    return n;
}

/* received = published + duplicates + refused, over the stream and over REST. */
static void assert_balanced(const struct fixture *f)
{
    static const enum pgd_counter_id stream[] = {
        PGD_C_events_published, PGD_C_events_duplicate, PGD_C_events_malformed,
        PGD_C_events_refused,   PGD_C_events_unwanted,  PGD_C_events_too_old,
        PGD_C_events_counted,   PGD_C_events_unknown,   PGD_C_events_waiting};
    static const enum pgd_counter_id rest[] = {PGD_C_rest_published, PGD_C_rest_duplicate,
                                               PGD_C_rest_bad_rows, PGD_C_rest_too_old, PGD_C_rest_unwanted};
    assert_int_equal(fixture_counter(f, PGD_C_events_received),
                     sum(f, stream, sizeof stream / sizeof *stream));
    assert_int_equal(fixture_counter(f, PGD_C_rest_rows), sum(f, rest, sizeof rest / sizeof *rest));
}

static void send_trade(struct fixture *f, struct pgd_trade trade)
{
    struct event e = {.type = EVENT_T, .class = EVENT_CLASS_TRADE, .symbol = {"AAPL", 4}, .trade = trade};
    struct parse_sink sink = feed_sink(f->feed, PGD_STOCKS);
    sink.event(sink.user, &e);
    feed_batch(f->feed, 0, 1);
}

static void send_quote(struct fixture *f, struct pgd_quote quote)
{
    struct event e = {.type = EVENT_Q, .class = EVENT_CLASS_QUOTE, .symbol = {"AAPL", 4}, .quote = quote};
    struct parse_sink sink = feed_sink(f->feed, PGD_STOCKS);
    sink.event(sink.user, &e);
    feed_batch(f->feed, 0, 1);
}

static struct pgd_trade trade_at(int64_t ms, uint64_t id)
{
    return (struct pgd_trade){
        .t = ms * MS, .price = 10, .size = 100, .exchange = 4, .trf = 201, .id = id, .seq = 7};
}

/* REST's form of a trade of the stream: the same instant, to the ns. */
static struct pgd_trade exact(struct pgd_trade t)
{
    t.t += 123456;
    t.flags = PGD_FILLED;
    return t;
}

static struct symbol *begin(struct fixture *f)
{
    memset(&hole, 0, sizeof hole);
    fixture_open(f, 4, 128);
    return fixture_take(f, "AAPL", PGD_STOCKS, false);
}

static void end(struct fixture *f)
{
    assert_balanced(f);
    fixture_close(f);
    fixture_remove(f);
}

static void test_trades_by_their_identity(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct symbol *aapl = begin(&f);
    send_trade(&f, trade_at(1, 1));
    struct pgd_trade again = trade_at(1, 1);
    again.seq = 3; /* backwards */
    again.t += 5 * MS;
    send_trade(&f, again);
    assert_int_equal(fixture_counter(&f, PGD_C_events_duplicate), 1);
    struct pgd_trade others[] = {trade_at(1, 2), trade_at(1, 1), trade_at(1, 1), trade_at(1, 1)};
    others[1].exchange = 5;
    others[2].trf = 202;
    others[3].flags = PGD_ID_HASHED; /* another text, whose hash is 1 */
    for (unsigned i = 0; i < 4; i++)
        send_trade(&f, others[i]);
    assert_int_equal(fixture_counter(&f, PGD_C_trades), 5);
    /* REST has all of them, and two more */
    struct pgd_trade rows[] = {exact(trade_at(1, 1)), exact(others[0]),      exact(others[1]),
                               exact(others[2]),      exact(trade_at(1, 3)), exact(trade_at(2, 4))};
    assert_int_equal(feed_fill_trades(f.feed, aapl, rows, 6), 2);
    assert_int_equal(feed_fill_trades(f.feed, aapl, rows, 6), 0); /* asked for again */
    send_trade(&f, trade_at(2, 4));                               /* and then the stream brings it */
    assert_int_equal(fixture_counter(&f, PGD_C_trades), 7);
    assert_int_equal(fixture_counter(&f, PGD_C_gap_records), 2);
    end(&f);
}

/* Exchanges begin their ids anew with the day. */
static void test_the_same_id_on_another_day(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct symbol *aapl = begin(&f);
    send_trade(&f, trade_at(T0_MS, 1));
    send_trade(&f, trade_at(T0_MS + 86400000, 1));
    struct pgd_trade rows[] = {exact(trade_at(T0_MS + 86400000, 1)),
                               exact(trade_at(T0_MS + 2 * 86400000, 1))};
    assert_int_equal(feed_fill_trades(f.feed, aapl, rows, 2), 1);
    feed_batch(f.feed, 0, 0);
    assert_int_equal(fixture_counter(&f, PGD_C_trades), 3);
    end(&f);
}

static void test_trades_without_ids_are_counted_off(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct symbol *aapl = begin(&f);
    send_trade(&f, trade_at(1, 0));
    send_trade(&f, trade_at(1, 0)); /* two alike are two */
    assert_int_equal(fixture_counter(&f, PGD_C_trades), 2);
    struct pgd_trade rows[] = {exact(trade_at(1, 0)), exact(trade_at(1, 0)), exact(trade_at(1, 0)),
                               exact(trade_at(2, 0))};
    assert_int_equal(feed_fill_trades(f.feed, aapl, rows, 4),
                     2); /* REST knows of a third, and of a later one */
    send_trade(&f, trade_at(2, 0));
    assert_int_equal(fixture_counter(&f, PGD_C_trades), 4);
    send_trade(&f, trade_at(2, 0)); /* not answered for by REST: another one */
    assert_int_equal(fixture_counter(&f, PGD_C_trades), 5);
    end(&f);
}

static void test_quotes(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct symbol *aapl = begin(&f);
    struct pgd_quote q = {
        .t = 5 * MS, .bid = 1, .ask = 2, .bid_size = 3, .ask_size = NAN, .bid_exchange = 4, .seq = 9};
    struct pgd_quote late = q, rows[3];
    send_quote(&f, q);
    late.t = 4 * MS + 999;
    late.bid = 1.5;
    rows[0] = late;
    rows[1] = q;
    rows[1].t += 777;
    rows[2] = q;
    rows[2].ask = 3;
    assert_int_equal(feed_fill_quotes(f.feed, aapl, rows, 3), 2);
    feed_batch(f.feed, 0, 0);
    assert_int_equal(fixture_counter(&f, PGD_C_quotes), 3);
    send_quote(&f, q); /* byte for byte the same */
    assert_int_equal(fixture_counter(&f, PGD_C_quotes), 3);
    q.seq = 8; /* another number: another quote */
    send_quote(&f, q);
    q.seq = 0; /* two without numbers may both be real */
    send_quote(&f, q);
    send_quote(&f, q);
    assert_int_equal(fixture_counter(&f, PGD_C_quotes), 6);
    rows[0] = rows[1] = rows[2] = q;
    assert_int_equal(feed_fill_quotes(f.feed, aapl, rows, 3), 1);
    feed_batch(f.feed, 0, 0);
    end(&f);
}

static void test_latest_goes_by_time(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct symbol *aapl = begin(&f);
    send_trade(&f, trade_at(100, 1));
    struct pgd_trade row = exact(trade_at(50, 2)), latest;
    struct pgd_map map;
    struct pgd_tape_reader reader;
    assert_int_equal(feed_fill_trades(f.feed, aapl, &row, 1), 1);
    feed_batch(f.feed, 0, 0);
    assert_int_equal(pgd_tapes_attach(&map, &reader, f.instance, PGD_TAPES_TRADES, PGD_FROM_OLDEST), 0);
    assert_int_equal(pgd_tape_latest(&reader, 0, &latest), 1);
    assert_int_equal(latest.id, 1);
    assert_int_equal(pgd_tape_get(&reader, &latest), 1);
    assert_int_equal(pgd_tape_get(&reader, &latest), 1);
    assert_int_equal(latest.id, 2);
    assert_true(latest.flags & PGD_FILLED);
    pgd_segment_close(&map);
    end(&f);
}

/* A new run knows what is on the tape, and where the stream was. */
static void test_known_across_a_restart(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct symbol *aapl = begin(&f);
    send_trade(&f, trade_at(T0_MS, 1));
    send_trade(&f, trade_at(T0_MS, 0));
    struct pgd_bar bar = fixture_bar(T0_MS, 10);
    fixture_send_bar(&f, "AAPL", EVENT_AM, &bar);
    feed_batch(f.feed, 0, 1);
    fixture_close(&f);
    char instance[32];
    memcpy(instance, f.instance, sizeof instance);
    f = (struct fixture){0};
    memcpy(f.instance, instance, sizeof instance);
    fixture_open(&f, 4, 128);
    aapl = fixture_take(&f, "AAPL", PGD_STOCKS, false);
    assert_int_equal(feed_known_until(f.feed, aapl, PGD_TRADES, true), T0_MS * MS);
    assert_int_equal(feed_known_until(f.feed, aapl, PGD_BARS_1M, true), (T0_MS + 60000) * MS);
    assert_int_equal(feed_known_until(f.feed, aapl, PGD_BARS_1S, true), 0);
    struct pgd_trade rows[] = {exact(trade_at(T0_MS, 1)), exact(trade_at(T0_MS, 0)),
                               exact(trade_at(T0_MS, 2))};
    assert_int_equal(feed_fill_trades(f.feed, aapl, rows, 3), 1);
    end(&f);
}

static void test_bars_that_fill(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct symbol *aapl = begin(&f);
    struct pgd_bar stream[] = {fixture_bar(T0_MS, 10), fixture_bar(T0_MS + 3 * 60000, 13)};
    for (unsigned i = 0; i < 2; i++) {
        stream[i].n = PGD_N_ABSENT;
        fixture_send_bar(&f, "AAPL", EVENT_AM, &stream[i]);
    }
    struct pgd_bar rows[4];
    for (unsigned i = 0; i < 4; i++) {
        rows[i] = fixture_bar(T0_MS + 60000 * (int64_t)i, 10 + i);
        rows[i].flags = PGD_BAR_REST;
    }
    rows[3].c += 0.25; /* corrected while nobody listened */
    assert_int_equal(feed_fill_bars(f.feed, aapl, 1, rows, 4, T0_MS + 60000, T0_MS + 3 * 60000), 3);
    feed_batch(f.feed, 0, 0);
    static const uint16_t flags[] = {0, PGD_BAR_REST | PGD_BAR_FILLED, PGD_BAR_REST | PGD_BAR_FILLED,
                                     PGD_BAR_REST};
    for (unsigned i = 0; i < 4; i++) {
        struct pgd_bar row;
        pgd_bars_peek(&f.bus.bars[1], 0, i, &row);
        assert_int_equal(row.t, rows[i].t);
        assert_true(row.c == rows[i].c);
        assert_int_equal(row.flags, flags[i]);
    }
    assert_int_equal(fixture_counter(&f, PGD_C_rest_duplicate),
                     1); /* a count of trades alone is no revision */
    stream[0] = rows[1];
    stream[0].flags = 0;
    stream[0].c += 0.125;
    fixture_send_bar(&f, "AAPL", EVENT_AM, &stream[0]); /* revised by the stream: it still came late */
    struct pgd_bar row;
    pgd_bars_peek(&f.bus.bars[1], 0, 1, &row);
    assert_int_equal(row.flags, PGD_BAR_FILLED);
    feed_rest_refused(f.feed, 2);
    feed_rest_unwanted(f.feed, 3);
    feed_batch(f.feed, 0, 0);
    end(&f);
}

/* Whatever comes together is as if it had come one by one: in order and not, twice, changed. */
static void test_history_at_once(void **state)
{
    (void)state;
    const char *text = getenv("SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    print_message("SEED=%llu\n", (unsigned long long)seed);
    srandom((unsigned)seed);
    struct fixture f = {0};
    struct symbol *whole = begin(&f);
    struct symbol *single = fixture_take(&f, "MSFT", PGD_STOCKS, false);
    const enum pgd_counter_id ends[] = {PGD_C_rest_published, PGD_C_rest_duplicate, PGD_C_rest_too_old,
                                        PGD_C_bars_appended,  PGD_C_bars_revised,   PGD_C_bars_inserted};
    enum { ENDS = sizeof(ends) / sizeof(ends[0]), MOST = 300 };
    uint64_t got[2][ENDS] = {0};
    int64_t newest = 100;
    for (unsigned round = 0; round < 60; round++) {
        struct pgd_bar rows[MOST];
        size_t n = (size_t)random() % (MOST + 1);
        for (size_t i = 0; i < n; i++) {
            int64_t at = random() % 20 ? newest++ : newest - random() % 100;
            rows[i] = fixture_bar(T0_MS + 60000 * at, random() % 4 ? 10 : 11);
        }
        for (unsigned way = 0; way < 2; way++) {
            uint64_t before[ENDS];
            for (unsigned e = 0; e < ENDS; e++)
                before[e] = fixture_counter(&f, ends[e]);
            if (way == 0)
                feed_history(f.feed, whole, 1, rows, n);
            for (size_t i = 0; way == 1 && i < n; i++)
                feed_history(f.feed, single, 1, &rows[i], 1);
            feed_batch(f.feed, 0, 0);
            for (unsigned e = 0; e < ENDS; e++)
                got[way][e] += fixture_counter(&f, ends[e]) - before[e];
        }
    }
    assert_memory_equal(got[0], got[1], sizeof got[0]);
    assert_true(got[0][1] && got[0][4] && got[0][5]);
    assert_int_equal(fixture_counter(&f, PGD_C_rest_rows), 2 * (got[0][0] + got[0][1] + got[0][2]));
    uint64_t head = pgd_bars_head(&f.bus.bars[1], 0);
    assert_int_equal(head, pgd_bars_head(&f.bus.bars[1], 1));
    int64_t last = 0;
    for (uint64_t i = pgd_bars_first(&f.bus.bars[1], 0); i < head; i++) {
        struct pgd_bar a, b;
        pgd_bars_peek(&f.bus.bars[1], 0, i, &a);
        pgd_bars_peek(&f.bus.bars[1], 1, i, &b);
        assert_memory_equal(&a, &b, sizeof a);
        assert_true(a.t > last);
        last = a.t;
    }
    end(&f);
}

static void with_hole_hook(struct fixture *f)
{
    feed_free(f->feed);
    struct feed_hooks hooks = {
        .unheld = fixture_unheld, .dropped = fixture_dropped, .hole = on_hole, .user = f};
    assert_int_equal(feed_new(&f->feed, &f->bus, f->symbols, f->worker, &hooks), 0);
}

static void send_minute(struct fixture *f, int64_t minute, double v, double av)
{
    struct event e = {.type = EVENT_AM, .class = EVENT_CLASS_BAR, .symbol = {"AAPL", 4}};
    e.bar.bar = fixture_bar(T0_MS + minute * 60000, 10);
    e.bar.bar.v = v;
    e.bar.day = (struct pgd_day){.t = e.bar.bar.t, .op = NAN, .av = av, .a = NAN};
    struct parse_sink sink = feed_sink(f->feed, PGD_STOCKS);
    sink.event(sink.user, &e);
}

/* A jump in the day's volume over an empty place is a hole; nothing else is. */
static void test_volume_tells_of_missing_bars(void **state)
{
    (void)state;
    struct fixture f = {0};
    (void)begin(&f);
    with_hole_hook(&f);
    send_minute(&f, 0, 100, 1000);
    send_minute(&f, 1, 100, 1100);
    send_minute(&f, 4, 50, 1150);  /* quiet minutes between */
    send_minute(&f, 5, 50, 9999);  /* does not add up, but no place is empty */
    send_minute(&f, 3, 50, 20000); /* late */
    send_minute(&f, 9, 50, 100);   /* another day */
    send_minute(&f, 12, 50, NAN);
    send_minute(&f, 15, 50, 1000);
    assert_int_equal(hole.holes, 0);
    send_minute(&f, 18, 50, 1060);
    assert_int_equal(hole.holes, 1);
    assert_true(hole.topic == PGD_BARS_1M && hole.why == PGD_GAP_JUMP);
    assert_true(hole.from_ns == (T0_MS + 16 * 60000) * MS && hole.to_ns == (T0_MS + 18 * 60000) * MS);
    feed_lost(f.feed, PGD_STOCKS);
    send_minute(&f, 25, 50, 90000); /* over a lost connection the volume tells nothing new */
    assert_int_equal(hole.holes, 1);
    feed_batch(f.feed, 0, 1);
    end(&f);
}

static void test_an_unreadable_event_is_a_hole(void **state)
{
    (void)state;
    struct fixture f = {0};
    (void)begin(&f);
    with_hole_hook(&f);
    struct parse_sink sink = feed_sink(f.feed, PGD_STOCKS);
    struct event bad = {.type = EVENT_T, .class = EVENT_CLASS_TRADE, .symbol = {"AAPL", 4}};
    struct event_text raw = {"x", 1};
    sink.fault(sink.user, EVENT_MALFORMED, "why", &bad, raw);
    assert_int_equal(hole.holes, 0); /* nothing came yet: nothing is known of where it would be */
    send_trade(&f, trade_at(T0_MS, 1));
    sink.fault(sink.user, EVENT_MALFORMED, "why", &bad, raw);
    assert_int_equal(hole.holes, 1);
    assert_true(hole.topic == PGD_TRADES && hole.why == PGD_GAP_REFUSED && hole.from_ns == T0_MS * MS);
    bad.symbol = (struct event_text){"NOBODY", 6};
    sink.fault(sink.user, EVENT_MALFORMED, "why", &bad, raw);
    assert_int_equal(hole.holes, 1);
    feed_batch(f.feed, 0, 1);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trades_by_their_identity),
        cmocka_unit_test(test_the_same_id_on_another_day),
        cmocka_unit_test(test_trades_without_ids_are_counted_off),
        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_latest_goes_by_time),
        cmocka_unit_test(test_known_across_a_restart),
        cmocka_unit_test(test_bars_that_fill),
        cmocka_unit_test(test_history_at_once),
        cmocka_unit_test(test_volume_tells_of_missing_bars),
        cmocka_unit_test(test_an_unreadable_event_is_a_hole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
