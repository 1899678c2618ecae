/* Flat files into a cache: sorted or not, compressed or not, whole or not, and what a later start finds. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "import.h"
#include "unit/folder.h"

#define MINUTE INT64_C(60000)
#define DAY    INT64_C(86400000)
#define FOUR   INT64_C(1784102400000) /* 2026-07-15, 04:00 in New York */
#define DAY0   (FOUR - 4 * 60 * MINUTE)
#define HEADER "ticker,volume,open,close,high,low,window_start,transactions\n"

static char directory[256], file[512];
static struct cache *cache;
static unsigned bad_lines;

static int setup(void **state)
{
    (void)state;
    bad_lines = 0;
    folder_make(directory);
    snprintf(file, sizeof file, "%s/minute_aggs.csv", directory);
    struct cache_options options = {directory, "https://example.com", 0, NULL, NULL};
    return cache_open(&cache, &options);
}

static int teardown(void **state)
{
    (void)state;
    cache_close(cache);
    folder_remove(directory);
    return 0;
}

static void on_bad(void *user, const char *path, uint64_t line, const char *why)
{
    (void)user, (void)line;
    assert_string_equal(path, file);
    assert_non_null(why);
    bad_lines++;
}

static int import(struct import_totals *totals, int64_t span_ms, char *err, size_t err_size)
{
    struct import *m;
    struct import_options options = {.cache = cache, .span_ms = span_ms, .threads = 3, .bad = on_bad};
    assert_int_equal(import_new(&m, &options), 0);
    int r = import_file(m, file, err, err_size);
    import_end(m, totals);
    return r;
}

static size_t rows_of(const char *symbol, enum pgd_cluster cluster, int64_t span_ms, double *ret_sum)
{
    struct cache_rows rows = {0};
    struct cache_key key = {symbol, cluster, span_ms};
    struct cache_window window = {DAY0 - 10 * DAY, DAY0 + 10 * DAY, 100000, 100000};
    /* the first day on which there is anything is not known: step forward to it */
    for (; window.from_ms < window.to_ms; window.from_ms += DAY) {
        assert_int_equal(cache_load(cache, &key, &window, &rows), 0);
        if (rows.count)
            break;
    }
    size_t n = rows.count;
    *ret_sum = 0;
    for (size_t i = 0; i < n; i++)
        *ret_sum += rows.bars[i].o;
    cache_rows_fini(&rows);
    return n;
}

static void line(FILE *f, const char *ticker, int64_t t_ms, double price)
{
    fprintf(f, "%s,1,%.2f,%.2f,%.2f,%.2f,%lld000000,1\n", ticker, price, price, price, price,
            (long long)t_ms);
}

static void test_many_symbols_and_days(void **state)
{
    (void)state;
    struct import_totals totals;
    char err[256], ticker[16];
    double sum;
    FILE *f = fopen(file, "w");
    fputs(HEADER, f);
    for (int s = 0; s < 500; s++) {
        snprintf(ticker, sizeof ticker, "S%03d", s);
        for (int i = 0; i < 20; i++)
            line(f, ticker, FOUR + i / 10 * DAY + i * MINUTE, 100 + s);
    }
    line(f, "X:BTCUSD", FOUR, 60000);
    fputs("junk\n", f);
    fclose(f);
    assert_int_equal(import(&totals, 0, err, sizeof err), 0);
    assert_int_equal(totals.rows, 10001);
    assert_int_equal(totals.days, 1001);
    assert_int_equal(totals.bad_lines, 1);
    assert_int_equal(bad_lines, 1);
    assert_int_equal(totals.failed, 0);
    for (int s = 0; s < 500; s += 77) {
        snprintf(ticker, sizeof ticker, "S%03d", s);
        assert_int_equal(rows_of(ticker, PGD_STOCKS, MINUTE, &sum), 20);
        assert_true(sum == 20 * (100 + s));
    }
    assert_int_equal(rows_of("X:BTC-USD", PGD_CRYPTO, MINUTE, &sum), 1);
}

/* By time instead of by ticker; then even within a ticker in no order, with rows given twice. */
static void test_unsorted(void **state)
{
    (void)state;
    struct import_totals totals;
    char err[256], ticker[16];
    double sum;
    FILE *f = fopen(file, "w");
    fputs(HEADER, f);
    for (int i = 299; i >= 0; i--)
        for (int s = 0; s < 40; s++) {
            snprintf(ticker, sizeof ticker, "S%03d", s);
            line(f, ticker, FOUR + i * 7 % 300 * MINUTE, 1);
        }
    line(f, "S000", FOUR, 2);
    fclose(f);
    assert_int_equal(import(&totals, 0, err, sizeof err), 0);
    assert_int_equal(totals.rows, 12001);
    for (int s = 0; s < 40; s++) {
        snprintf(ticker, sizeof ticker, "S%03d", s);
        assert_int_equal(rows_of(ticker, PGD_STOCKS, MINUTE, &sum), 300);
        assert_true(sum == (s ? 300 : 301)); /* the later row of a minute counts */
    }
}

/* One ticker with more rows than a run holds. */
static void test_a_long_run(void **state)
{
    (void)state;
    struct import_totals totals;
    char err[256];
    double sum;
    FILE *f = fopen(file, "w");
    fputs(HEADER, f);
    for (int i = 0; i < 70000; i++)
        line(f, "AAPL", DAY0 - 9 * DAY + (int64_t)(i / 7000) * DAY + i % 1400 * MINUTE, 5);
    fclose(f);
    assert_int_equal(import(&totals, 0, err, sizeof err), 0);
    assert_int_equal(totals.rows, 70000);
    assert_int_equal(rows_of("AAPL", PGD_STOCKS, MINUTE, &sum), 14000);
}

static void gzip(size_t cut)
{
    char text[200000];
    size_t n = 0;
    n += (size_t)snprintf(text, sizeof text, HEADER);
    for (int s = 0; s < 10; s++)
        for (int i = 0; i < 300; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, "S%03d,%d,1,1,1,1,%lld000000,1\n", s,
                                  i * 7919 % 10007, (long long)(FOUR + i * MINUTE));
    gzFile z = gzopen(file, "wb");
    assert_int_equal(gzwrite(z, text, (unsigned)n), (int)n);
    gzclose(z);
    if (cut) {
        FILE *f = fopen(file, "rb");
        size_t size = fread(text, 1, sizeof text, f);
        fclose(f);
        assert_int_equal(truncate(file, (off_t)(size - cut)), 0);
    }
}

static void test_gzip_whole_and_broken_off(void **state)
{
    (void)state;
    struct import_totals totals;
    char err[256];
    double sum;
    gzip(6000);
    assert_int_equal(import(&totals, MINUTE, err, sizeof err), -EBADMSG);
    assert_string_equal(err, "the gzip data break off");
    assert_true(totals.rows > 0 && totals.rows % 300 == 0); /* whole tickers only */
    size_t whole = totals.rows / 300;
    for (size_t s = 0; s < 10; s++) {
        char ticker[16];
        snprintf(ticker, sizeof ticker, "S%03zu", s);
        assert_int_equal(rows_of(ticker, PGD_STOCKS, MINUTE, &sum), s < whole ? 300 : 0);
    }
    gzip(0);
    assert_int_equal(import(&totals, MINUTE, err, sizeof err), 0);
    assert_int_equal(totals.rows, 3000);
    assert_int_equal(rows_of("S009", PGD_STOCKS, MINUTE, &sum), 300);
}

static void test_days_by_name_and_by_row(void **state)
{
    (void)state;
    struct import_totals totals;
    char err[256];
    double sum;
    snprintf(file, sizeof file, "%s/x.csv", directory);
    FILE *f = fopen(file, "w");
    fputs(HEADER, f);
    line(f, "AAPL", DAY0, 1); /* midnight in New York: a day */
    line(f, "AAPL", DAY0 + DAY, 1);
    fclose(f);
    assert_int_equal(import(&totals, 0, err, sizeof err), 0);
    assert_int_equal(rows_of("AAPL", PGD_STOCKS, DAY, &sum), 2);
    f = fopen(file, "w");
    fputs(HEADER, f);
    line(f, "MSFT", DAY0 + 30000, 1);
    line(f, "MSFT", DAY0 + MINUTE, 1);
    fclose(f);
    assert_int_equal(import(&totals, 0, err, sizeof err), 0);
    assert_int_equal(totals.bad_lines, 1);
    assert_int_equal(rows_of("MSFT", PGD_STOCKS, MINUTE, &sum), 1);
}

static void test_no_file_no_room(void **state)
{
    (void)state;
    struct import_totals totals;
    char err[256];
    snprintf(file, sizeof file, "%s/none", directory);
    assert_int_equal(import(&totals, 0, err, sizeof err), -ENOENT);
    snprintf(file, sizeof file, "%s", directory);
    assert_int_equal(import(&totals, 0, err, sizeof err), -EISDIR);
    snprintf(file, sizeof file, "%s/trades.csv", directory);
    FILE *f = fopen(file, "w");
    fputs("ticker,price,size\nA,1,2\n", f);
    fclose(f);
    assert_int_equal(import(&totals, 0, err, sizeof err), -EPROTO);
    assert_non_null(strstr(err, "trades"));
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_many_symbols_and_days),
        T(test_unsorted),
        T(test_a_long_run),
        T(test_gzip_whole_and_broken_off),
        T(test_days_by_name_and_by_row),
        T(test_no_file_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
