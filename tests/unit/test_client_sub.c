/* Subscriptions of libpolygond against a bus written by hand: what is delivered, lost, and what a daemon's
 * death does. */
#include "fixture_client.h"

/* -------------------------------------------------------------------------------------------- subscribing */

static void delivers_image_then_live(void **state)
{
    struct bus *b = *state;
    for (int64_t i = 0; i < 5; i++)
        append(b, b->aapl, i);
    append(b, b->msft, 0);
    subscribe(b, "bars.1m", 1, "AAPL");
    append(b, b->aapl, 5); /* between the subscription and its first look */
    expect_bar(b, "AAPL", 5, PGD_ROW_HISTORY);
    nothing(b);
    append(b, b->msft, 1);
    append(b, b->aapl, 6);
    expect_bar(b, "AAPL", 6, 0);
    nothing(b);
}

static void delivers_history_in_order(void **state)
{
    struct bus *b = *state;
    for (int64_t i = 0; i < 5; i++)
        append(b, b->aapl, i);
    append(b, b->msft, 9);
    subscribe(b, "bars.1m", 3, NULL);
    for (int64_t i = 2; i < 5; i++)
        expect_bar(b, "AAPL", i, PGD_ROW_HISTORY);
    expect_bar(b, "MSFT", 9, PGD_ROW_HISTORY);
    nothing(b);
}

static void delivers_revisions(void **state)
{
    struct bus *b = *state;
    subscribe(b, "bars.1m", 1, "AAPL");
    nothing(b);
    for (int64_t i = 0; i < 5; i++)
        append(b, b->aapl, i);
    for (int64_t i = 0; i < 5; i++)
        expect_bar(b, "AAPL", i, 0);
    revise(b, b->aapl, 2, 2, 500);
    expect_bar(b, "AAPL", 2, PGD_ROW_REVISED);
    nothing(b); /* rows 3 and 4 are only recomputed */
    pgd_sub_recomputed(b->sub, 1);
    revise(b, b->aapl, 2, 2, 600);
    for (uint64_t i = 3; i < 5; i++)
        writer_units(&b->w.minutes, b->aapl, i, (double[]){1, 2, 3});
    expect_bar(b, "AAPL", 2, PGD_ROW_REVISED);
    expect_bar(b, "AAPL", 3, PGD_ROW_REVISED | PGD_ROW_RECOMPUTED);
    expect_bar(b, "AAPL", 4, PGD_ROW_REVISED | PGD_ROW_RECOMPUTED);
    nothing(b);
}

/* A bar was appended and another inserted before it, both before the reader looked: row 1 is by then the late
 * bar, and the one that was appended stands at row 2. */
static void delivers_what_an_insertion_moved(void **state)
{
    struct bus *b = *state;
    subscribe(b, "bars.1m", 1, "AAPL");
    nothing(b);
    append(b, b->aapl, 0);
    expect_bar(b, "AAPL", 0, 0);
    append(b, b->aapl, 5);
    struct pgd_bar late = bar_at(3, 1);
    double columns[WRITER_COLUMNS] = {1, 1, 1};
    assert_int_equal(pgd_bars_insert(&b->w.minutes, b->aapl, 1, &late), 0);
    writer_units(&b->w.minutes, b->aapl, 1, columns);
    writer_units(&b->w.minutes, b->aapl, 2, columns);
    writer_log(&b->w.minutes, b->aapl, PGD_CHANGE_REVISE, 1, 1, 2);
    expect_bar(b, "AAPL", 3, 0);
    expect_bar(b, "AAPL", 5, 0);
    nothing(b);
}

static void marks_rows_without_indicators(void **state)
{
    struct bus *b = *state;
    struct pgd_bar bar = bar_at(0, 10);
    subscribe(b, "bars.1m", 1, "AAPL");
    pgd_bars_append(&b->w.minutes, b->aapl, &bar);
    writer_log(&b->w.minutes, b->aapl, PGD_CHANGE_APPEND, 0, 1, 1);
    expect_bar(b, "AAPL", 0, PGD_ROW_HISTORY | PGD_ROW_UNCOMPUTED);
    writer_units(&b->w.minutes, b->aapl, 0, (double[]){1, 2, 3});
    writer_log(&b->w.minutes, b->aapl, PGD_CHANGE_REVISE, 0, 1, 1);
    /* the record of the append finds the row whole already; the second says nothing new */
    expect_bar(b, "AAPL", 0, PGD_ROW_REVISED);
    nothing(b);
}

static void passes_warm_up_over(void **state)
{
    struct bus *b = *state;
    double columns[WRITER_COLUMNS] = {1, 1, 1};
    subscribe(b, "bars.1m", 1, "AAPL");
    nothing(b);
    for (int64_t i = 0; i < 20; i++) {
        struct pgd_bar bar = bar_at(i, 10);
        writer_units(&b->w.minutes, b->aapl, pgd_bars_append(&b->w.minutes, b->aapl, &bar), columns);
    }
    writer_log(&b->w.minutes, b->aapl, PGD_CHANGE_APPEND | PGD_CHANGE_HISTORY, 0, 20, 20);
    expect_bar(b, "AAPL", 19, PGD_ROW_HISTORY);
    nothing(b);
    append(b, b->aapl, 20);
    expect_bar(b, "AAPL", 20, 0);
    /* Rows filled in after an outage continue what was live: all of them. */
    for (int64_t i = 21; i < 24; i++) {
        struct pgd_bar bar = bar_at(i, 10);
        writer_units(&b->w.minutes, b->aapl, pgd_bars_append(&b->w.minutes, b->aapl, &bar), columns);
    }
    writer_log(&b->w.minutes, b->aapl, PGD_CHANGE_APPEND | PGD_CHANGE_HISTORY, 21, 3, 3);
    for (int64_t i = 21; i < 24; i++)
        expect_bar(b, "AAPL", i, PGD_ROW_HISTORY);
    nothing(b);
}

static void finds_symbols_that_come_later(void **state)
{
    struct bus *b = *state;
    subscribe(b, "trades", 0, "TSLA");
    nothing(b);
    struct pgd_trade t = {.symbol = b->aapl, .price = 1};
    writer_trade(&b->w, &t);
    t.symbol = (uint32_t)writer_symbol(&b->w, "TSLA");
    t.price = 250;
    writer_trade(&b->w, &t);
    pgd_tape_publish(&b->w.trades.writer);
    const struct pgd_event *e = next(b);
    assert_int_equal(e->kind, PGD_EVENT_TRADE);
    assert_string_equal(e->name, "TSLA");
    assert_true(e->trade.price == 250);
    assert_int_equal(e->index, 1);
    nothing(b);
}

static void passes_thousands_of_others_over(void **state)
{
    struct bus *b = *state;
    subscribe(b, "trades", 0, "MSFT");
    subscribe(b, "quotes", 0, NULL);
    b->sub->all = false;
    struct pgd_trade t = {.symbol = b->aapl, .price = 1};
    for (int i = 0; i < 900; i++)
        writer_trade(&b->w, &t);
    t.symbol = b->msft;
    writer_trade(&b->w, &t);
    pgd_tape_publish(&b->w.trades.writer);
    const struct pgd_event *e = NULL;
    assert_int_equal(pgd_sub_next(b->sub, &e, 0), 1); /* without sleep, however many are passed over */
    assert_int_equal(e->index, 900);
    nothing(b);
}

static void begins_back_on_a_tape(void **state)
{
    struct bus *b = *state;
    struct pgd_trade t = {.symbol = b->aapl, .price = 1};
    for (int i = 0; i < 10; i++)
        writer_trade(&b->w, &t);
    t.symbol = b->msft;
    t.price = 3;
    writer_trade(&b->w, &t);
    pgd_tape_publish(&b->w.trades.writer);
    subscribe(b, "trades", 4, NULL);
    for (uint64_t i = 7; i < 11; i++)
        assert_int_equal(next(b)->index, i);
    nothing(b);
    pgd_sub_free(b->sub);
    b->sub = NULL;
    subscribe(b, "trades", 1, "MSFT");
    const struct pgd_event *e = next(b);
    assert_true(e->flags == PGD_ROW_HISTORY && e->index == PGD_NO_INDEX && e->trade.price == 3);
    nothing(b);
}

/* ------------------------------------------------------------------------------------------------- losses */

static void counts_what_it_lost(void **state)
{
    struct bus *b = *state;
    uint64_t written = 0, got = 0, lost = 0, expected = 0;
    struct pgd_trade t = {.symbol = b->aapl, .price = 1};
    subscribe(b, "trades", 0, "AAPL");
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 100 + 400 * round; i++, written++) {
            t.seq = written;
            writer_trade(&b->w, &t);
        }
        pgd_tape_publish(&b->w.trades.writer);
        const struct pgd_event *e;
        while (pgd_sub_next(b->sub, &e, 0) == 1) {
            if (e->kind == PGD_EVENT_LOST) {
                lost += e->lost;
                expected += e->lost;
                continue;
            }
            assert_int_equal(e->trade.seq, expected);
            assert_int_equal(e->index, expected);
            expected++;
            got++;
        }
        assert_int_equal(got + lost, written);
    }
    assert_true(lost > 0 && got > 1000);
    assert_int_equal(pgd_sub_lost(b->sub), lost);
}

/* The log still has the record, the ring no longer the row. */
static void counts_rows_that_left_the_ring(void **state)
{
    struct bus *b = *state;
    subscribe(b, "bars.1m", 1, "AAPL");
    nothing(b);
    for (int64_t i = 0; i < 100; i++)
        append(b, b->aapl, i);
    const struct pgd_event *e = next(b);
    /* the history is looked at once, at the first call; all 100 came through the log */
    assert_int_equal(e->kind, PGD_EVENT_LOST);
    assert_int_equal(e->lost, 1);
    uint64_t lost = e->lost, rows = 0;
    while (lost + rows < 100) {
        e = next(b);
        lost += e->kind == PGD_EVENT_LOST ? e->lost : 0;
        rows += e->kind == PGD_EVENT_BAR;
    }
    assert_int_equal(lost, 37);
    assert_int_equal(rows, 63);
    nothing(b);
}

static void survives_absurd_changes(void **state)
{
    struct bus *b = *state;
    const struct pgd_event *e;
    subscribe(b, "bars.1m", 0, NULL);
    append(b, b->aapl, 0);
    expect_bar(b, "AAPL", 0, 0);
    writer_log(&b->w.minutes, b->aapl, PGD_CHANGE_REVISE, 0, UINT64_MAX, UINT64_MAX);
    writer_log(&b->w.minutes, b->aapl, PGD_CHANGE_REVISE, UINT64_MAX - 1, UINT64_MAX, UINT64_MAX);
    writer_log(&b->w.minutes, 12345678, PGD_CHANGE_APPEND, 0, 1, 1);
    writer_log(&b->w.minutes, b->aapl, 0xffffffff, UINT64_MAX, 0, UINT64_MAX);
    for (int i = 0; i < 1000 && pgd_sub_next(b->sub, &e, 0) == 1; i++)
        assert_int_equal(e->kind, PGD_EVENT_BAR);
    append(b, b->aapl, 1);
    expect_bar(b, "AAPL", 1, 0);
}

/* ------------------------------------------------------------------------------------------ daemon's life */

static void tells_of_death_and_return(void **state)
{
    struct bus *b = *state;
    subscribe(b, "bars.1m", 0, "AAPL");
    append(b, b->aapl, 0);
    expect_bar(b, "AAPL", 0, 0);
    nothing(b);
    writer_drop(&b->w);
    const struct pgd_event *e = next(b);
    assert_int_equal(e->kind, PGD_EVENT_DOWN);
    assert_int_equal(e->reason, 0);
    uint64_t epoch = e->epoch;
    struct pgd_status status;
    pgd_get_status(b->client, &status);
    assert_false(status.alive);
    assert_int_equal(writer_open(&b->w, b->w.instance, &b->size), 0);
    e = next(b);
    assert_int_equal(e->kind, PGD_EVENT_UP);
    assert_true(e->epoch > epoch);
    append(b, b->aapl, 1);
    expect_bar(b, "AAPL", 1, 0);
}

static void tells_of_a_wedged_daemon(void **state)
{
    struct bus *b = *state;
    subscribe(b, "bars.1m", 0, "AAPL");
    shm_store64(&b->w.board.board->heartbeat_ns, 1);
    const struct pgd_event *e = next(b);
    assert_int_equal(e->kind, PGD_EVENT_DOWN);
    assert_int_equal(e->reason, 1);
    pgd_board_beat(&b->w.board);
    assert_int_equal(next(b)->kind, PGD_EVENT_UP);
}

static void follows_a_successor(void **state)
{
    struct bus *b = *state;
    subscribe(b, "bars.1m", 0, "AAPL");
    append(b, b->aapl, 0);
    expect_bar(b, "AAPL", 0, 0);
    writer_drop(&b->w);
    b->size.rows = 128;
    assert_int_equal(writer_open(&b->w, b->w.instance, &b->size), 0);
    append(b, b->aapl, 1);
    int replaced = 0, bars = 0;
    while (bars == 0) {
        const struct pgd_event *e = next(b);
        replaced += e->kind == PGD_EVENT_REPLACED;
        if (e->kind == PGD_EVENT_BAR) {
            assert_int_equal(e->bar.t, T0 + MIN);
            bars++;
        }
    }
    assert_int_equal(replaced, 1);
    assert_int_equal(pgd_stream_capacity(b->client, 0), 128);
}

/* The names are removed and made anew: nothing marks the old segments. */
static void follows_a_new_instance(void **state)
{
    struct bus *b = *state;
    subscribe(b, "bars.1m", 0, "MSFT");
    nothing(b);
    writer_drop(&b->w);
    writer_remove(b->w.instance);
    assert_int_equal(writer_open(&b->w, b->w.instance, &b->size), 0);
    b->msft = (uint32_t)writer_symbol(&b->w, "MSFT"); /* index 0 now */
    b->aapl = (uint32_t)writer_symbol(&b->w, "AAPL");
    assert_int_equal(b->msft, 0);
    append(b, b->aapl, 0);
    append(b, b->msft, 1);
    for (;;) {
        const struct pgd_event *e = next(b);
        if (e->kind != PGD_EVENT_BAR)
            continue;
        assert_string_equal(e->name, "MSFT");
        assert_int_equal(e->bar.t, T0 + MIN);
        break;
    }
    nothing(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(delivers_image_then_live),
        T(delivers_history_in_order),
        T(delivers_revisions),
        T(delivers_what_an_insertion_moved),
        T(marks_rows_without_indicators),
        T(passes_warm_up_over),
        T(finds_symbols_that_come_later),
        T(passes_thousands_of_others_over),
        T(begins_back_on_a_tape),
        T(counts_what_it_lost),
        T(counts_rows_that_left_the_ring),
        T(survives_absurd_changes),
        T(tells_of_death_and_return),
        T(tells_of_a_wedged_daemon),
        T(follows_a_successor),
        T(follows_a_new_instance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
