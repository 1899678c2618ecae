/* libpolygond against a bus written by hand: attaching, rows, threads, the control socket. */
#include "fixture_client.h"

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

#define WINDOW 8 /* little more than what an insertion moves */
static int writing;

/* Of ten bars one comes late and is put before the newest five. */
static void *write_late_rows(void *user)
{
    struct bus *b = user;
    double columns[WRITER_COLUMNS] = {1, 2, 3};
    for (int64_t i = 0; i < 10 * THREAD_ROWS; i += 10) {
        uint64_t newest = 0;
        for (int64_t k = 0; k < 10; k++)
            newest = k == 4 ? newest : append(b, b->aapl, i + k);
        struct pgd_bar late = bar_at(i + 4, 100 + (double)(i + 4));
        if (pgd_bars_insert(&b->w.minutes, b->aapl, newest - 4, &late) < 0)
            break;
        for (uint64_t k = newest - 4; k <= newest + 1; k++)
            writer_units(&b->w.minutes, b->aapl, k, columns);
        if (i % 1000 == 0)
            usleep(50);
    }
    __atomic_store_n(&writing, 0, __ATOMIC_RELEASE);
    return NULL;
}

static void copies_windows_while_it_is_written(void **state)
{
    struct bus *b = *state;
    pthread_t thread;
    int m = pgd_stream(b->client, "bars.1m");
    double to[(PGD_COL_INDICATORS + WRITER_COLUMNS) * WINDOW];
    int windows = 0;
    writing = 1;
    assert_int_equal(pthread_create(&thread, NULL, write_late_rows, b), 0);
    bool last = false;
    while (!last || windows == 0) {
        last = !__atomic_load_n(&writing, __ATOMIC_ACQUIRE);
        int64_t n = pgd_series_copy(b->client, m, b->aapl, WINDOW, to, NULL);
        if (n == -EAGAIN)
            continue;
        assert_in_range(n, 0, WINDOW);
        windows++;
        for (int64_t j = 0; j < n; j++) {
            double i = (to[j] - (double)T0) / (double)MIN;
            assert_true(to[PGD_COL_O * WINDOW + j] == 100 + i);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(opens_what_is_there),       T(says_errors),
        T(copies_rows_and_windows),   T(reads_the_cells_beside),
        T(reads_while_it_is_written), T(copies_windows_while_it_is_written),
        T(asks_the_daemon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
