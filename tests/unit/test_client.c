/* libpolygond against a bus written by hand. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/writer.h"
#include "sub.h"

#define T0      INT64_C(1732285800000)
#define MIN     INT64_C(60000)
#define SOON_NS INT64_C(20000000000) /* for what must come */

struct bus {
    struct writer w;
    struct writer_size size;
    struct pgd_client *client;
    struct pgd_sub *sub;
    uint32_t aapl, msft;
};

static int bus_up(void **state)
{
    static unsigned serial;
    struct bus *b = calloc(1, sizeof *b);
    char name[32];
    b->size = (struct writer_size){.symbols = 16, .rows = 64, .log = 256, .tape = 1024};
    snprintf(name, sizeof name, "c%ld-%u", (long)getpid(), serial++);
    if (writer_open(&b->w, name, &b->size) < 0)
        return -1;
    b->aapl = (uint32_t)writer_symbol(&b->w, "AAPL");
    b->msft = (uint32_t)writer_symbol(&b->w, "MSFT");
    *state = b;
    return pgd_open(&b->client, name);
}

static int bus_down(void **state)
{
    struct bus *b = *state;
    pgd_sub_free(b->sub);
    pgd_close(b->client);
    writer_drop(&b->w);
    writer_remove(b->w.instance);
    free(b);
    return 0;
}

static struct pgd_bar bar_at(int64_t i, double price)
{
    return (struct pgd_bar){.t = T0 + i * MIN,
                            .o = price,
                            .h = price + 1,
                            .l = price - 1,
                            .c = price + 0.5,
                            .v = 100,
                            .vw = price,
                            .n = 7};
}

static uint64_t append(struct bus *b, uint32_t symbol, int64_t i)
{
    struct pgd_bar bar = bar_at(i, 100 + (double)i);
    double columns[WRITER_COLUMNS] = {(double)i, (double)i + 0.25, NAN};
    return writer_append(&b->w.minutes, symbol, &bar, columns);
}

static void revise(struct bus *b, uint32_t symbol, uint64_t index, int64_t i, double price)
{
    struct pgd_bar bar = bar_at(i, price);
    double columns[WRITER_COLUMNS] = {price, price, price};
    assert_int_equal(writer_revise(&b->w.minutes, symbol, index, &bar, columns), 0);
}

static void subscribe(struct bus *b, const char *stream, uint32_t history, const char *symbol)
{
    if (!b->sub)
        assert_int_equal(pgd_sub_new(&b->sub, b->client), 0);
    assert_true(pgd_sub_stream(b->sub, stream, history) >= 0);
    if (symbol)
        assert_int_equal(pgd_sub_symbol(b->sub, symbol), 0);
    else
        pgd_sub_all(b->sub);
}

static const struct pgd_event *next(struct bus *b)
{
    const struct pgd_event *e = NULL;
    assert_int_equal(pgd_sub_next(b->sub, &e, SOON_NS), 1);
    return e;
}

static void nothing(struct bus *b)
{
    const struct pgd_event *e = NULL;
    assert_int_equal(pgd_sub_next(b->sub, &e, 0), 0);
}

static void expect_bar(struct bus *b, const char *name, int64_t i, uint32_t flags)
{
    const struct pgd_event *e = next(b);
    assert_int_equal(e->kind, PGD_EVENT_BAR);
    assert_string_equal(e->name, name);
    assert_int_equal(e->bar.t, T0 + i * MIN);
    assert_int_equal(e->flags, flags);
    assert_int_equal(e->column_count, WRITER_COLUMNS);
}

/* ---------------------------------------------------------------------------------------------- attaching */

static void opens_what_is_there(void **state)
{
    struct bus *b = *state;
    struct pgd_client *client = NULL;
    struct pgd_status status;
    assert_int_equal(pgd_open(&client, "no-such-instance"), PGD_ERR_NO_INSTANCE);
    assert_int_equal(pgd_open(&client, "../x"), -EINVAL);
    assert_null(client);
    assert_int_equal(pgd_find(b->client, "MSFT"), b->msft);
    assert_int_equal(pgd_find(b->client, "NOPE"), -ENOENT);
    assert_int_equal(pgd_stream(b->client, "bars.1h"), PGD_ERR_NO_STREAM);
    int m = pgd_stream(b->client, "bars.1m");
    assert_true(m >= 0);
    assert_int_equal(pgd_stream(b->client, "bars.1m"), m);
    assert_int_equal(pgd_columns(b->client, m), WRITER_COLUMNS);
    assert_string_equal(pgd_column_name(b->client, m, 1), "rsi_14");
    assert_string_equal(pgd_column_unit(b->client, m, 1), "points");
    assert_null(pgd_column_name(b->client, m, WRITER_COLUMNS));
    assert_null(pgd_stream_name(b->client, 99));
    assert_int_equal(pgd_stream_capacity(b->client, m), 64);
    pgd_get_status(b->client, &status);
    assert_true(status.alive);
    assert_int_equal(status.pid, getpid());
    assert_int_equal(status.symbols, 2);
    assert_int_equal(status.segments, 4);
    assert_true(status.memory > b->w.minutes.map.size);
}

static void says_errors(void **state)
{
    (void)state;
    assert_string_equal(pgd_strerror(PGD_ERR_UNKNOWN), "unknown symbol");
    assert_string_equal(pgd_strerror(-ENOENT), "No such file or directory");
    assert_string_equal(pgd_strerror(-99999), "unknown error");
    assert_string_equal(pgd_strerror(5), "unknown error");
}

/* --------------------------------------------------------------------------------------------------- rows */

static void copies_rows_and_windows(void **state)
{
    struct bus *b = *state;
    int m = pgd_stream(b->client, "bars.1m");
    struct pgd_bar bar;
    double columns[WRITER_COLUMNS], to[(PGD_COL_INDICATORS + WRITER_COLUMNS) * 10];
    uint64_t first = 0;
    assert_int_equal(pgd_row(b->client, m, b->aapl, 0, &bar, columns), 0);
    assert_int_equal(pgd_series_copy(b->client, m, b->aapl, 10, to, &first), 0);
    for (int64_t i = 0; i < 100; i++)
        append(b, b->aapl, i);
    assert_int_equal(pgd_rows(b->client, m, b->aapl), 100);
    assert_int_equal(pgd_rows_first(b->client, m, b->aapl), 37);
    assert_int_equal(pgd_row(b->client, m, b->aapl, 36, &bar, columns), -EOVERFLOW);
    assert_int_equal(pgd_row(b->client, m, b->aapl, 37, &bar, columns), 1);
    assert_int_equal(bar.t, T0 + 37 * MIN);
    assert_true(columns[0] == 37 && isnan(columns[2]));
    assert_int_equal(pgd_series_copy(b->client, m, b->aapl, 10, to, &first), 10);
    assert_int_equal(first, 90);
    for (int j = 0; j < 10; j++) {
        assert_true(to[PGD_COL_T * 10 + j] == (double)(T0 + (90 + j) * MIN));
        assert_true(to[PGD_COL_C * 10 + j] == 190.5 + j);
        assert_true(to[PGD_COL_N * 10 + j] == 7);
        assert_true(to[(PGD_COL_INDICATORS + 1) * 10 + j] == 90.25 + j);
    }
    double *all = calloc((PGD_COL_INDICATORS + WRITER_COLUMNS) * 1000u, sizeof *all);
    assert_int_equal(pgd_series_copy(b->client, m, b->aapl, 1000, all, &first), 63);
    assert_int_equal(first, 37);
    free(all);
    assert_int_equal(pgd_series_copy(b->client, m, 9999, 10, to, &first), -EINVAL);
}

static void reads_the_cells_beside(void **state)
{
    struct bus *b = *state;
    int m = pgd_stream(b->client, "bars.1m");
    struct pgd_bar bar = bar_at(3, 50), got;
    struct pgd_day day = {.t = T0, .op = 1, .av = 2, .a = 3}, got_day;
    struct pgd_trade trade = {.symbol = b->msft, .t = 5, .price = 6, .size = 7}, got_trade;
    struct pgd_quote got_quote;
    assert_int_equal(pgd_forming(b->client, m, b->msft, &got), 0);
    pgd_bars_forming(&b->w.minutes, b->msft, &bar);
    pgd_bars_day(&b->w.minutes, b->msft, &day);
    assert_int_equal(pgd_forming(b->client, m, b->msft, &got), 1);
    assert_true(got.t == bar.t && got.c == bar.c);
    assert_int_equal(pgd_day_figures(b->client, m, b->msft, &got_day), 1);
    assert_true(got_day.a == 3);
    assert_int_equal(pgd_latest_trade(b->client, b->msft, &got_trade), 0);
    writer_trade(&b->w, &trade);
    assert_int_equal(pgd_latest_trade(b->client, b->msft, &got_trade), 1);
    assert_true(got_trade.price == 6);
    assert_int_equal(pgd_latest_quote(b->client, b->msft, &got_quote), 0);
}

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

/* ------------------------------------------------------------------------------------------- daemon's life
 */

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

/* ----------------------------------------------------------------------------------------------- threads */

#define THREAD_ROWS 20000

static void *write_rows(void *user)
{
    struct bus *b = user;
    for (int64_t i = 0; i < THREAD_ROWS; i++) {
        append(b, b->aapl, i);
        if (i % 7 == 0 && i > 20)
            revise(b, b->aapl, (uint64_t)(i - 10), i - 10, 100 + (double)(i - 10));
        if (i % 16 == 0)
            usleep(50);
    }
    return NULL;
}

static void reads_while_it_is_written(void **state)
{
    struct bus *b = *state;
    pthread_t thread;
    subscribe(b, "bars.1m", 0, "AAPL");
    assert_int_equal(pthread_create(&thread, NULL, write_rows, b), 0);
    int64_t newest = -1;
    while (newest < THREAD_ROWS - 1) {
        const struct pgd_event *e = next(b);
        if (e->kind != PGD_EVENT_BAR)
            continue;
        int64_t i = (e->bar.t - T0) / MIN;
        assert_true(e->bar.o == 100 + (double)i && e->bar.c == e->bar.o + 0.5);
        if (!(e->flags & PGD_ROW_UNCOMPUTED))
            assert_true(e->columns[0] == (double)i || e->columns[0] == e->bar.o);
        if (!(e->flags & PGD_ROW_REVISED)) {
            assert_true(i > newest);
            newest = i;
        }
    }
    pthread_join(thread, NULL);
}

static int writing;

/* Every other bar comes late and is put before the newest. */
static void *write_late_rows(void *user)
{
    struct bus *b = user;
    double columns[WRITER_COLUMNS] = {1, 2, 3};
    for (int64_t i = 0; i < THREAD_ROWS; i += 2) {
        struct pgd_bar late = bar_at(i, 100 + (double)i);
        uint64_t newest = append(b, b->aapl, i + 1);
        if (pgd_bars_insert(&b->w.minutes, b->aapl, newest, &late) < 0)
            break;
        writer_units(&b->w.minutes, b->aapl, newest, columns);
        writer_units(&b->w.minutes, b->aapl, newest + 1, columns);
    }
    __atomic_store_n(&writing, 0, __ATOMIC_RELEASE);
    return NULL;
}

static void copies_windows_while_it_is_written(void **state)
{
    struct bus *b = *state;
    pthread_t thread;
    int m = pgd_stream(b->client, "bars.1m");
    double to[(PGD_COL_INDICATORS + WRITER_COLUMNS) * 20];
    int windows = 0;
    writing = 1;
    assert_int_equal(pthread_create(&thread, NULL, write_late_rows, b), 0);
    bool last = false;
    while (!last || windows == 0) {
        last = !__atomic_load_n(&writing, __ATOMIC_ACQUIRE);
        int64_t n = pgd_series_copy(b->client, m, b->aapl, 20, to, NULL);
        if (n == -EAGAIN)
            continue;
        assert_in_range(n, 0, 20);
        windows++;
        for (int64_t j = 0; j < n; j++) {
            double i = (to[j] - (double)T0) / (double)MIN;
            assert_true(to[PGD_COL_O * 20 + j] == 100 + i);
            assert_true(j == 0 || to[j] > to[j - 1]);
        }
    }
    pthread_join(thread, NULL);
}

/* ------------------------------------------------------------------------------------------------ control */

struct answer {
    int listener;
    const char *text;
    char request[256];
};

static void *answer_once(void *user)
{
    struct answer *a = user;
    int fd = accept(a->listener, NULL, NULL);
    ssize_t n = read(fd, a->request, sizeof a->request - 1);
    a->request[n > 0 ? n : 0] = '\0';
    /* one byte at a time: an answer may arrive split anywhere */
    for (const char *p = a->text; *p; p++)
        if (write(fd, p, 1) != 1)
            break;
    if (a->text[0] == '\0')
        (void)!read(fd, a->request + 200, 1); /* until the client gives up */
    close(fd);
    return NULL;
}

static int ask(struct bus *b, const char *text, struct answer *a, int64_t timeout_ns)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(addr.sun_path, sizeof addr.sun_path, "/tmp/%s.sock", b->w.instance);
    unlink(addr.sun_path);
    *a = (struct answer){.listener = socket(AF_UNIX, SOCK_STREAM, 0), .text = text};
    assert_int_equal(bind(a->listener, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(a->listener, 1), 0);
    snprintf(b->w.board.board->control, sizeof b->w.board.board->control, "%s", addr.sun_path);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer_once, a), 0);
    char said[64] = "";
    int r =
        pgd_request(b->client, "TSLA", PGD_TRADES | PGD_BARS_1M, PGD_STOCKS, timeout_ns, said, sizeof said);
    pthread_join(thread, NULL);
    close(a->listener);
    unlink(addr.sun_path);
    return r;
}

static void asks_the_daemon(void **state)
{
    struct bus *b = *state;
    struct answer a;
    assert_int_equal(pgd_request(b->client, "TSLA", 0, 0, SOON_NS, NULL, 0), PGD_ERR_OFF);
    assert_int_equal(ask(b, "pending TSLA\nok TSLA 17\n", &a, SOON_NS), 17);
    assert_string_equal(a.request, "subscribe TSLA trades,bars_1m stocks\n");
    assert_int_equal(ask(b, "error unknown TSLA: none\n", &a, SOON_NS), PGD_ERR_UNKNOWN);
    assert_int_equal(ask(b, "error denied\n", &a, SOON_NS), PGD_ERR_DENIED);
    assert_int_equal(ask(b, "error limit TSLA: full\n", &a, SOON_NS), PGD_ERR_LIMIT);
    assert_int_equal(ask(b, "error timeout TSLA: late\n", &a, SOON_NS), -ETIMEDOUT);
    assert_int_equal(ask(b, "ok TSLA x\n", &a, SOON_NS), PGD_ERR_CONTROL);
    assert_int_equal(ask(b, "pending TSLA\n", &a, SOON_NS), PGD_ERR_NO_DAEMON);
    assert_int_equal(ask(b, "", &a, 50000000), -ETIMEDOUT);
    assert_int_equal(pgd_request(b->client, "TSLA", 0, 0, SOON_NS, NULL, 0), PGD_ERR_NO_DAEMON);
    assert_int_equal(pgd_request(b->client, "TS LA", 0, 0, SOON_NS, NULL, 0), -EINVAL);
    assert_int_equal(pgd_request(b->client, "TS\nstop", 0, 0, SOON_NS, NULL, 0), -EINVAL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, bus_up, bus_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(opens_what_is_there),
        T(says_errors),
        T(copies_rows_and_windows),
        T(reads_the_cells_beside),
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
        T(reads_while_it_is_written),
        T(copies_windows_while_it_is_written),
        T(asks_the_daemon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
