/* Vectors worked out by hand: each indicator on a few bars, written as fractions where that is what they are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "reference/segment.h"

#define NONE ((double)NAN)

struct fixture {
    struct pgk_plan *plan;
    struct ref_segment segment;
    uint64_t count;
};

static void compute_all(struct fixture *f, const char *name, const struct pgd_bar *bars, size_t count,
                        enum pgd_session session)
{
    char err[128] = "";
    if (pgk_plan_new(&f->plan, &name, 1, err, sizeof err) != 0)
        fail_msg("%s", err);
    ref_stream_tested(&f->segment, f->plan, bars, count, 64, session);
    f->count = count;
}

static void fixture_free(struct fixture *f)
{
    ref_segment_fini(&f->segment);
    pgk_plan_free(f->plan);
}

static void expect_values(const struct fixture *f, uint32_t column, const double *want)
{
    for (uint64_t i = 0; i < f->count; i++) {
        double got = ref_value(&f->segment, 0, i, column);
        bool same = isnan(want[i]) ? isnan(got) : fabs(got - want[i]) <= 1e-12 * (1 + fabs(want[i]));
        if (!same)
            fail_msg("%s row %llu: %.17g, not %.17g", pgk_plan_name(f->plan, column), (unsigned long long)i,
                     got, want[i]);
    }
}

/* Bars of one price each. */
static void expect_closes(const char *name, const double *closes, const double *want, size_t count)
{
    struct fixture f;
    struct pgd_bar bars[64];
    for (size_t i = 0; i < count; i++)
        bars[i] = (struct pgd_bar){.t = (int64_t)i * 60000,
                                   .o = closes[i],
                                   .h = closes[i],
                                   .l = closes[i],
                                   .c = closes[i],
                                   .v = 1,
                                   .vw = NONE};
    compute_all(&f, name, bars, count, PGD_SESSION_UTC);
    expect_values(&f, 0, want);
    fixture_free(&f);
}

static void averages(void **state)
{
    (void)state;
    static const double c[] = {1, 2, 3, 4, 8};
    static const double sma[] = {NONE, NONE, 2, 3, 5};
    static const double ema[] = {NONE, NONE, 2, 3, 5.5};
    static const double wma[] = {NONE, NONE, 14.0 / 6, 20.0 / 6, 35.0 / 6};
    static const double self[] = {1, 2, 3, 4, 8};
    expect_closes("sma_3", c, sma, 5);
    expect_closes("ema_3", c, ema, 5);
    expect_closes("wma_3", c, wma, 5);
    static const double apart[] = {1, 1e16, -1e16}, nothing[] = {NONE, NONE, 0}; /* added oldest first */
    expect_closes("sma_3", apart, nothing, 3);
    expect_closes("sma_1", c, self, 5);
    expect_closes("ema_1", c, self, 5);
    expect_closes("wma_1", c, self, 5);
}

static void rsi(void **state)
{
    (void)state;
    static const double c[] = {10, 11, 10.5, 12, 12}, want[] = {NONE, NONE, 200.0 / 3, 800.0 / 9, 800.0 / 9};
    static const double flat[] = {5, 5, 5, 5}, fifty[] = {NONE, NONE, 50, 50};
    static const double rise[] = {1, 2, 3, 4}, hundred[] = {NONE, NONE, 100, 100};
    static const double fall[] = {4, 3, 2, 1}, zero[] = {NONE, NONE, 0, 0};
    expect_closes("rsi_2", c, want, 5);
    expect_closes("rsi_2", flat, fifty, 4);
    expect_closes("rsi_2", rise, hundred, 4);
    expect_closes("rsi_2", fall, zero, 4);
}

/* Both averages seeded at row 2: fast with (2 + 4) / 2, slow with 7 / 3. */
static void macd(void **state)
{
    (void)state;
    static const double c[] = {1, 2, 4, 8, 8};
    static const double line[] = {NONE, NONE, NONE, 7.0 / 6, 31.0 / 36};
    static const double signal[] = {NONE, NONE, NONE, 11.0 / 12, 95.0 / 108};
    expect_closes("macd_2_3_2", c, line, 5);
    expect_closes("macd_signal_2_3_2", c, signal, 5);
    double hist[5];
    for (int i = 0; i < 5; i++)
        hist[i] = line[i] - signal[i];
    expect_closes("macd_hist_2_3_2", c, hist, 5);
}

static void bands(void **state)
{
    (void)state;
    static const double c[] = {1, 3, 7, 7};
    static const double upper[] = {NONE, 4, 9, 7}, middle[] = {NONE, 2, 5, 7}, lower[] = {NONE, 0, 1, 7},
                        sigma[] = {NONE, 1, 2, 0};
    expect_closes("bb_upper_2_2", c, upper, 4);
    expect_closes("bb_middle_2_2", c, middle, 4);
    expect_closes("bb_lower_2_2", c, lower, 4);
    expect_closes("stddev_2", c, sigma, 4);
    static const double wide[] = {NONE, 4.5, 10, 7};
    expect_closes("bb_upper_2_2.5", c, wide, 4);
    /* sum of squares less square of the mean loses every digit of this */
    static const double high[] = {740000.25, 740000.75}, spread[] = {NONE, 0.25};
    expect_closes("stddev_2", high, spread, 2);
    static const double low[] = {1e-6, 3e-6}, small[] = {NONE, 1e-6};
    expect_closes("stddev_2", low, small, 2);
}

struct hlcv {
    double h, l, c, v, vw;
};

static void expect_bars(const char *name, const struct hlcv *bars, const double *want, size_t count)
{
    struct fixture f;
    struct pgd_bar full[64];
    for (size_t i = 0; i < count; i++)
        full[i] = (struct pgd_bar){.t = (int64_t)i * 60000,
                                   .o = bars[i].c,
                                   .h = bars[i].h,
                                   .l = bars[i].l,
                                   .c = bars[i].c,
                                   .v = bars[i].v,
                                   .vw = bars[i].vw};
    compute_all(&f, name, full, count, PGD_SESSION_UTC);
    expect_values(&f, 0, want);
    fixture_free(&f);
}

static void atr(void **state)
{
    (void)state;
    static const struct hlcv bars[] = {{10, 8, 9, 1, NONE},
                                       {11, 9, 10, 1, NONE},
                                       {12, 11, 11.5, 1, NONE},
                                       {20, 10, 15, 1, NONE},
                                       {3, 2, 2, 1, NONE}};
    static const double want[] = {NONE, NONE, 2, 6, 9.5};
    static const double one[] = {NONE, 2, 2, 10, 13};
    expect_bars("atr_2", bars, want, 5);
    expect_bars("atr_1", bars, one, 5);
}

static void stochastic(void **state)
{
    (void)state;
    static const struct hlcv bars[] = {{10, 6, 8, 1, NONE},  {11, 7, 10, 1, NONE},  {12, 8, 9, 1, NONE},
                                       {12, 8, 12, 1, NONE}, {12, 12, 12, 1, NONE}, {12, 12, 12, 1, NONE}};
    static const double raw[] = {NONE, 80, 40, 100, 100, 0};
    static const double k[] = {NONE, NONE, 60, 70, 100, 50};
    static const double d[] = {NONE, NONE, NONE, 65, 85, 75};
    expect_bars("stoch_k_2_1_1", bars, raw, 6);
    static const double k_from_d[] = {NONE, NONE, NONE, 70, 100, 50};
    expect_bars("stoch_k_2_2_1", bars, k, 6);
    expect_bars("stoch_k_2_2_2", bars, k_from_d, 6);
    expect_bars("stoch_d_2_2_2", bars, d, 6);
}

static void on_balance_volume(void **state)
{
    (void)state;
    static const struct hlcv bars[] = {
        {9, 9, 9, 0.1, NONE},        {10, 10, 10, 0.2, NONE}, {10, 10, 10, 5, NONE}, {8, 8, 8, 0.3, NONE},
        {8, 8, 8.5, 0.000001, NONE}, {8, 8, 8, NONE, NONE},   {8, 8, 9, 1, NONE}};
    static const double want[] = {0.1, 0.3, 0.3, 0, 0.000001, NONE, 1.000001};
    expect_bars("obv", bars, want, 7);
    /* beyond 64 bits of millionths there is no value any more, rather than a wrong one */
    static const struct hlcv huge[] = {{1, 1, 1, 9e12, NONE}, {2, 2, 2, 1e12, NONE}, {1, 1, 1, 1e12, NONE}};
    static const double spent[] = {9e12, NONE, NONE};
    expect_bars("obv", huge, spent, 3);
    static const struct hlcv once[] = {{1, 1, 1, 1e300, NONE}};
    static const double none[] = {NONE};
    expect_bars("obv", once, none, 1);
}

static void money_flow(void **state)
{
    (void)state;
    static const struct hlcv bars[] = {{10, 10, 10, 1, NONE}, {12, 12, 12, 2, NONE},
                                       {9, 9, 9, 4, NONE},    {9, 9, 9, 7, NONE},
                                       {9, 9, 9, 7, NONE},    {10, 10, 10, NONE, NONE}};
    static const double want[] = {NONE, NONE, 40, 0, 50, NONE};
    expect_bars("mfi_2", bars, want, 6);
}

static void rolling_vwap(void **state)
{
    (void)state;
    static const struct hlcv bars[] = {{12, 6, 9, 1, NONE}, {12, 6, 9, 3, 13},  {5, 5, 5, 0, 5},
                                       {5, 5, 5, 0, NONE},  {5, 5, 5, 1e12, 5}, {7, 7, 7, 0, 7},
                                       {8, 8, 8, 2, NONE}};
    static const double want[] = {NONE, 12, 13, NONE, 5, 5, 8};
    expect_bars("vwap_2", bars, want, 7);
    static const struct hlcv index[] = {{5, 5, 5, NONE, NONE}, {5, 5, 5, NONE, NONE}};
    static const double none[] = {NONE, NONE};
    expect_bars("vwap_1", index, none, 2);
    expect_bars("vwap_ext", index, none, 2);
    expect_bars("obv", index, none, 2);
}

/* A column never shows infinity. */
static void overflow_is_absent(void **state)
{
    (void)state;
    static const double c[] = {1e308, 1e308, 1}, want[] = {NONE, NONE, NONE};
    static const double after[] = {NONE, NONE, 5e307};
    expect_closes("sma_3", c, want, 3);
    expect_closes("sma_2", c, after, 3);
}

/* ----------------------------------------------------------------------------------------------- sessions */

struct timed {
    int month, day, hour, minute; /* UTC, 2024 */
    double price, volume, vwap, vwap_ext;
};

static void expect_sessions(const struct timed *rows, size_t count, enum pgd_session session)
{
    struct pgd_bar bars[64];
    double vwap[64], extended[64];
    for (size_t i = 0; i < count; i++) {
        struct tm tm = {.tm_year = 124,
                        .tm_mon = rows[i].month - 1,
                        .tm_mday = rows[i].day,
                        .tm_hour = rows[i].hour,
                        .tm_min = rows[i].minute};
        double p = rows[i].price;
        bars[i] = (struct pgd_bar){
            .t = (int64_t)timegm(&tm) * 1000, .o = p, .h = p, .l = p, .c = p, .v = rows[i].volume, .vw = p};
        vwap[i] = rows[i].vwap;
        extended[i] = rows[i].vwap_ext;
    }
    struct fixture f;
    compute_all(&f, "vwap", bars, count, session);
    expect_values(&f, 0, vwap);
    fixture_free(&f);
    compute_all(&f, "vwap_ext", bars, count, session);
    expect_values(&f, 0, extended);
    fixture_free(&f);
}

/* Friday before and Monday after the change to daylight time of 10 March 2024. */
static void session_hours(void **state)
{
    (void)state;
    static const struct timed rows[] = {
        {3, 8, 8, 59, 10, 1, NONE, NONE}, {3, 8, 9, 0, 10, 0, NONE, NONE},    /* 04:00 EST, no volume yet */
        {3, 8, 9, 1, 10, 1, NONE, 10},    {3, 8, 14, 29, 20, 1, NONE, 15},    /* 09:29 */
        {3, 8, 14, 30, 30, 2, 30, 22.5},  {3, 8, 20, 59, 60, 2, 45, 35},      /* 15:59 */
        {3, 8, 21, 0, 60, 6, NONE, 47.5}, {3, 9, 0, 59, 47.5, 1, NONE, 47.5}, /* 19:59, already Saturday in
                                                                                 UTC */
        {3, 9, 1, 0, 1, 1, NONE, NONE},   {3, 11, 8, 0, 5, 1, NONE, 5},       /* 04:00 EDT */
        {3, 11, 13, 30, 7, 1, 7, 6},      {3, 11, 19, 59, 9, 1, 8, 7},        {3, 11, 20, 0, 11, 1, NONE, 8},
        {3, 11, 23, 59, 8, 1, NONE, 8},   {3, 12, 0, 0, 8, 1, NONE, NONE},
    };
    expect_sessions(rows, sizeof rows / sizeof rows[0], PGD_SESSION_US);
}

/* The exchanges closed at 13:00 on 3 July 2024: what prints after it still counts for the same session. */
static void half_day(void **state)
{
    (void)state;
    static const struct timed rows[] = {{7, 3, 13, 30, 10, 1, 10, 10},
                                        {7, 3, 16, 59, 20, 1, 15, 15},
                                        {7, 3, 17, 5, 30, 1, 20, 20},
                                        {7, 3, 20, 30, 40, 1, NONE, 25},
                                        {7, 5, 13, 30, 7, 1, 7, 7}};
    expect_sessions(rows, sizeof rows / sizeof rows[0], PGD_SESSION_US);
}

static void utc_day(void **state)
{
    (void)state;
    static const struct timed rows[] = {{3, 8, 0, 0, 10, 1, 10, 10},
                                        {3, 8, 12, 0, 20, 1, 15, 15},
                                        {3, 8, 23, 59, 30, 2, 22.5, 22.5},
                                        {3, 9, 0, 0, 5, 0, NONE, NONE},
                                        {3, 9, 0, 1, 5, 1, 5, 5}};
    expect_sessions(rows, sizeof rows / sizeof rows[0], PGD_SESSION_UTC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(averages),
        cmocka_unit_test(rsi),
        cmocka_unit_test(macd),
        cmocka_unit_test(bands),
        cmocka_unit_test(atr),
        cmocka_unit_test(stochastic),
        cmocka_unit_test(on_balance_volume),
        cmocka_unit_test(money_flow),
        cmocka_unit_test(rolling_vwap),
        cmocka_unit_test(overflow_is_absent),
        cmocka_unit_test(session_hours),
        cmocka_unit_test(half_day),
        cmocka_unit_test(utc_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
