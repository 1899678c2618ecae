/* Flat files, as the vendor writes them and as others mangle them: the bars that come out, the lines that are
 * refused and why, whatever the pieces they come in. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "csv_aggs.h"

#define HEADER "ticker,volume,open,close,high,low,window_start,transactions\n"
#define START  INT64_C(1744792500000)

static char seen[4096];

static void on_bar(void *user, const char *ticker, const struct pgd_bar *b)
{
    (void)user;
    char count[16] = "-";
    if (b->n != PGD_N_ABSENT)
        snprintf(count, sizeof count, "%u", b->n);
    size_t n = strlen(seen);
    snprintf(seen + n, sizeof seen - n, "%s %lld %.17g %.17g %.17g %.17g %.17g %s\n", ticker, (long long)b->t,
             b->o, b->h, b->l, b->c, b->v, count);
    assert_int_equal(b->flags, PGD_BAR_REST);
    assert_int_equal(b->rev, 0);
    assert_true(isnan(b->vw));
}

static void on_bad(void *user, uint64_t line, const char *why)
{
    (void)user;
    size_t n = strlen(seen);
    snprintf(seen + n, sizeof seen - n, "%llu: %s\n", (unsigned long long)line, why);
}

static const struct csv_aggs_sink sink = {on_bar, on_bad, NULL};

static int run(const char *text, size_t size, size_t piece, const char **ret_refused)
{
    static struct csv_aggs csv;
    int r = 0;
    seen[0] = '\0';
    csv_aggs_init(&csv, &sink);
    for (size_t at = 0; at < size && r == 0; at += piece)
        r = csv_aggs_push(&csv, text + at, size - at < piece ? size - at : piece);
    if (r == 0)
        r = csv_aggs_end(&csv);
    *ret_refused = csv.refused;
    return r;
}

static void expect(const char *text, const char *want)
{
    const char *refused;
    for (size_t piece = 1; piece <= strlen(text); piece = piece < 20 ? piece + 1 : piece * 3) {
        assert_int_equal(run(text, strlen(text), piece, &refused), 0);
        assert_string_equal(seen, want);
    }
}

static void expect_refused(const char *text, const char *word)
{
    const char *refused;
    for (size_t piece = 1; piece <= 64; piece += 9) {
        assert_int_equal(run(text, strlen(text), piece, &refused), -EPROTO);
        assert_non_null(refused);
        if (!strstr(refused, word))
            fail_msg("%s: %s", text, refused);
    }
}

static void test_as_the_vendor_writes(void **state)
{
    (void)state;
    expect(HEADER "AAPL,4930,200.29,200.5,200.63,200.29,1744792500000000000,129\n"
                  "AAPL,1815,200.39,200.34,200.61,200.34,1744792560000000000,57\n",
           "AAPL 1744792500000 200.28999999999999 200.63 200.28999999999999 200.5 4930 129\n"
           "AAPL 1744792560000 200.38999999999999 200.61000000000001 200.34 200.34 1815 57\n");
    /* fractional volumes of 18 digits, padded prices */
    expect(HEADER "BRK.A,4332125.038360000000000001,113.950000,114.00,114.0,113.9,1744792500000000000,1\n",
           "BRK.A 1744792500000 113.95 114 113.90000000000001 114 4332125.0383599997 1\n");
    /* indices: no volume, no count */
    expect("ticker,open,close,high,low,window_start\nI:SPX,69.86160000000000,69.9,69.9,69.8,"
           "1744792500000000000\n",
           "I:SPX 1744792500000 69.861599999999996 69.900000000000006 69.799999999999997 69.900000000000006 "
           "nan -\n");
}

static void test_any_order_more_columns_quotes(void **state)
{
    (void)state;
    const char *want = "K\"I,M 1744792500000 1 2 0.5 1.5 7 -\n";
    expect("\xef\xbb\xbfwindow_start, low ,high,close,open,vwap,volume,ticker\r\n"
           "1744792500000000000,0.5,2,1.5,1,\"9,9\",7,\"K\"\"I,M\"\r\n\r\n",
           want);
    expect("window_start,low,high,close,open,transactions,volume,ticker\n"
           "\"1744792500000000000\", 0.5 ,2,1.5,1,,7,\"K\"\"I,M\"", /* no line end */
           want);
    expect(HEADER "NA,1,1,1,1,1,1744792500000000000,1\nNULL,1e6,1,1,1,1,1744792500000000000,1\n",
           "NA 1744792500000 1 1 1 1 1 1\nNULL 1744792500000 1 1 1 1 1000000 1\n");
}

static void test_bad_lines_and_the_rest(void **state)
{
    (void)state;
    expect(HEADER "A,1,1,1,1,1,1744792500000000000\n"
                  "A,1,1,1,1,1,1744792500000000000,1,2\n"
                  "A,x,1,1,1,1,1744792500000000000,1\n"
                  "A,1,,1,1,1,1744792500000000000,1\n"
                  "A,1,1,1,1,1,1744792500000,1\n"
                  "A,1,1,1,1,1,1744792500000000001,1\n"
                  "A,1,1,1,1,1,1744792500000000000.5,1\n"
                  "A,1,1,1,1,2,1744792500000000000,1\n"
                  "A,-1,1,1,1,1,1744792500000000000,1\n"
                  "A,1,1,1,1,1,1744792500000000000,-1\n"
                  "A,1e999,1,1,1,1,1744792500000000000,1\n"
                  ",1,1,1,1,1,1744792500000000000,1\n"
                  "\"A,1,1,1,1,1,1744792500000000000,1\n"
                  "\"A\"x,1,1,1,1,1,1744792500000000000,1\n"
                  "nan,nan,nan,nan,nan,nan,nan,nan\n"
                  "B,1,1,1,1,1,1744792500000000000,1\n",
           "2: not as many fields as the header has\n"
           "3: not as many fields as the header has\n"
           "4: not a number\n"
           "5: not a number\n"
           "6: window_start is not in ns between 1990 and 2100\n"
           "7: window_start is no whole millisecond\n"
           "8: window_start is no whole number\n"
           "9: the high is below the low\n"
           "10: the volume is negative\n"
           "11: transactions is no possible number\n"
           "12: a number is too large\n"
           "13: not a possible ticker\n"
           "14: broken quotes, or too many fields\n"
           "15: broken quotes, or too many fields\n"
           "16: window_start is no whole number\n"
           "B 1744792500000 1 1 1 1 1 1\n");
}

static void test_long_lines(void **state)
{
    (void)state;
    size_t size = 3 * CSV_AGGS_LINE_MAX;
    char *text = malloc(size + 512);
    strcpy(text, HEADER);
    size_t n = strlen(text);
    memset(text + n, 'x', size);
    strcpy(text + n + size, "\nB,1,1,1,1,1,1744792500000000000,1\n");
    expect(text, "2: longer than a line can be\nB 1744792500000 1 1 1 1 1 1\n");
    memset(text, ',', size); /* a header of too many columns */
    text[200] = '\n';
    text[201] = '\0';
    expect_refused(text, "no header");
    free(text);
}

static void test_other_files(void **state)
{
    (void)state;
    expect_refused("ticker,conditions,correction,exchange,id,participant_timestamp,price,sequence_number,"
                   "sip_timestamp,size,tape,trf_id,trf_timestamp\n",
                   "trades");
    expect_refused("ask_exchange,ask_price,ask_size,bid_exchange,bid_price,bid_size,sequence_number\n",
                   "quotes");
    expect_refused("ticker,value,timestamp\n", "index values");
    expect_refused("AAPL,4930,200.29,200.5,200.63,200.29,1744792500000000000,129\n", "lacks");
    expect_refused("ticker,open,open,close,high,low,window_start\n", "twice");
    expect_refused("\x1f\x8b\x08\x01\x02\n", "lacks");
    expect_refused("\n\r\n", "empty");
    const char *refused;
    assert_int_equal(run("", 0, 1, &refused), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_the_vendor_writes),
        cmocka_unit_test(test_any_order_more_columns_quotes),
        cmocka_unit_test(test_bad_lines_and_the_rest),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_other_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
