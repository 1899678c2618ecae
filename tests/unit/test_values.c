/* The engine's values against the long-double reference over series made to hurt: gaps, flat runs, no volume,
 * ties, large and tiny prices, an outlier of 10^6 times passing through; one long history of all that mixed
 * (ROWS says how long); and session VWAP through a year as the C library's time zone has it, and around the
 * changes of 2026 and its half days as a table written down by hand has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/history.h"
#include "reference/reference.h"
#include "reference/segment.h"

#define HURT_ROWS 3000u
#define MINUTE_MS INT64_C(60000)
#define DAY_MS    INT64_C(86400000)

static const char *const all[] = {"sma_20", "sma_1",    "ema_12",      "ema_200",     "wma_9",     "rsi_14",
                                  "rsi_2",  "macd",     "macd_5_35_5", "bb",          "bb_10_2.5", "stddev_7",
                                  "atr_14", "atr_3",    "stoch",       "stoch_5_1_2", "obv",       "mfi_14",
                                  "vwap",   "vwap_ext", "vwap_20",     "stoch_2_4_9", "sma_50"};

static uint64_t seed;

/* ----------------------------------------------------------------------------------------------- engine */

/* What the engine makes of some bars: rows of all columns, or one column of them. */
struct taken {
    double *values;
    size_t columns; /* kept of a row, from `column` on */
    size_t column;
    uint64_t rows;
};

static int take(void *user, const struct pgk_history_rows *rows)
{
    struct taken *taken = user;
    for (size_t i = 0; i < rows->count; i++)
        memcpy(taken->values + (rows->first + i) * taken->columns,
               rows->values + i * rows->stride + taken->column, taken->columns * sizeof(double));
    taken->rows = rows->first + rows->count;
    return 0;
}

static struct pgk_plan *plan_of(const char *const *names, size_t count)
{
    struct pgk_plan *plan = NULL;
    char err[128] = "";
    if (pgk_plan_new(&plan, names, count, err, sizeof err) != 0)
        fail_msg("%s", err);
    return plan;
}

static void run(const struct pgk_plan *plan, const struct pgd_bar *bars, size_t count,
                enum pgd_session session, bool stream, struct taken *taken)
{
    const struct pgk_history_config config = {
        .engine = ref_options(), .stream = stream, .take = take, .user = taken};
    struct pgk_history *history;
    char why[256] = "";
    if (pgk_history_new(&history, plan, &config, why, sizeof why) != 0)
        fail_msg("no engine: %s", why);
    pgk_history_begin(history, session);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pgk_history_push(history, &bars[i]), PGK_APPENDED);
    assert_int_equal(pgk_history_end(history), 0);
    assert_int_equal(taken->rows, count);
    pgk_history_free(history);
}

static void *need(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    assert_non_null(memory);
    return memory;
}

static void judge(const char *what, const char *name, const struct pgd_bar *bars, size_t count,
                  enum pgd_session session, const double *scale, const double *got, size_t stride)
{
    long double *want = need(count, sizeof *want);
    assert_true(ref_column(name, bars, count, session, want));
    for (size_t i = 0; i < count; i++)
        if (!ref_agrees(name, scale[i], want[i], got[i * stride]))
            fail_msg("seed %llu, %s, row %zu of %zu, %s: %.17g, reference %.17Lg", (unsigned long long)seed,
                     what, i, count, name, got[i * stride], want[i]);
    free(want);
}

/* ---------------------------------------------------------------------------------- series made to hurt */

struct walk {
    struct ref_random random;
    int64_t t;
    double price;
};

/* An unremarkable minute. */
static struct pgd_bar minute(struct walk *w)
{
    struct pgd_bar bar = {.t = w->t, .o = w->price, .n = 1, .v = (double)(ref_next(&w->random) % 100000)};
    bar.c = w->price * (1 + 0.004 * (ref_uniform(&w->random) - 0.5));
    bar.h = fmax(bar.o, bar.c) * (1 + 0.001 * ref_uniform(&w->random));
    bar.l = fmin(bar.o, bar.c) * (1 - 0.001 * ref_uniform(&w->random));
    bar.vw = ref_next(&w->random) % 4 == 0 ? (double)NAN : (bar.h + bar.l + 2 * bar.c) / 4;
    w->t += MINUTE_MS;
    w->price = bar.c;
    return bar;
}

static void plain(struct walk *w, size_t i, struct pgd_bar *bar)
{
    (void)w;
    (void)i;
    (void)bar;
}

/* Minutes, hours, a weekend, years in which nothing traded; it opens elsewhere. */
static void gaps(struct walk *w, size_t i, struct pgd_bar *bar)
{
    static const int64_t minutes[] = {1, 7, 90, 960, 3930, 50000, 1000000};
    (void)bar;
    if (i % 13 == 0)
        w->t += minutes[ref_next(&w->random) % 7] * MINUTE_MS;
    if (i % 130 == 0)
        w->price *= ref_next(&w->random) % 2 == 0 ? 0.7 : 1.4;
}

static void still(struct walk *w, struct pgd_bar *bar, double volume)
{
    w->price = bar->o;
    *bar = (struct pgd_bar){.t = bar->t, .o = bar->o, .h = bar->o, .l = bar->o, .c = bar->o, .n = 1};
    bar->v = volume;
    bar->vw = bar->o;
}

/* Twice 700 rows in which nothing moves, the second without volume. */
static void flat(struct walk *w, size_t i, struct pgd_bar *bar)
{
    if ((i >= 400 && i < 1100) || (i >= 1700 && i < 2400))
        still(w, bar, i < 1100 ? 100 : 0);
}

/* The first 700 are such. */
static void asleep(struct walk *w, size_t i, struct pgd_bar *bar)
{
    if (i < 700)
        still(w, bar, i % 50 == 0 ? 100 : 0);
}

/* No volume for whole windows, whole mornings, at last for good. */
static void silence(struct walk *w, size_t i, struct pgd_bar *bar)
{
    (void)w;
    if (i / 60 % 3 == 0 || i > HURT_ROWS - 200)
        bar->v = 0;
    if (i / 180 % 2 == 0)
        bar->vw = (double)NAN;
}

/* An index: neither volume nor a price for it. */
static void no_volume(struct walk *w, size_t i, struct pgd_bar *bar)
{
    (void)w;
    (void)i;
    bar->v = bar->vw = (double)NAN;
}

/* Two prices in turn, for equal closes, equal typical prices, and ranges of nothing. */
static void ties(struct walk *w, size_t i, struct pgd_bar *bar)
{
    double price = w->price = i == 0 ? bar->o : w->price;
    price *= i / 7 % 2 == 0 ? 1 : 1.001953125;
    bar->o = bar->h = bar->l = bar->c = price;
    if (i % 5 == 0)
        bar->h = price * 1.001953125, bar->l = price;
    if (i % 2 == 0)
        bar->vw = (double)NAN;
    w->price = bar->c / (i / 7 % 2 == 0 ? 1 : 1.001953125);
}

/* One bar, one high, one low, one volume that is wrong by a factor of a million. */
static void outlier(struct walk *w, size_t i, struct pgd_bar *bar)
{
    (void)w;
    double by = i == 500 ? 1e6 : i == 1000 ? 1e-6 : 1;
    bar->o *= by;
    bar->h *= by;
    bar->l *= by;
    bar->c *= by;
    bar->vw *= by;
    if (i == 1500)
        bar->h *= 1e6;
    if (i == 2000)
        bar->l *= 1e-6;
    if (i == 2300)
        bar->v = 1e12;
    if (i == 2301)
        bar->v = 1e-6;
}

static void hurt(const char *what, void (*shape)(struct walk *w, size_t i, struct pgd_bar *bar), double price,
                 enum pgd_session session)
{
    struct walk w = {.random = {++seed}, .t = INT64_C(1709550000000), .price = price};
    struct pgk_plan *plan = plan_of(all, sizeof all / sizeof all[0]);
    size_t columns = pgk_plan_columns(plan);
    struct pgd_bar *bars = need(HURT_ROWS, sizeof *bars);
    double *scale = need(HURT_ROWS, sizeof *scale);
    struct taken batch = {.values = need(HURT_ROWS, columns * sizeof(double)), .columns = columns};
    struct taken streamed = {.values = need(HURT_ROWS, columns * sizeof(double)), .columns = columns};
    for (size_t i = 0; i < HURT_ROWS; i++) {
        bars[i] = minute(&w);
        shape(&w, i, &bars[i]);
    }
    run(plan, bars, HURT_ROWS, session, false, &batch);
    run(plan, bars, HURT_ROWS, session, true, &streamed);
    assert_memory_equal(batch.values, streamed.values, HURT_ROWS * columns * sizeof(double));
    ref_scales(bars, HURT_ROWS, scale);
    for (size_t j = 0; j < columns; j++)
        judge(what, pgk_plan_name(plan, j), bars, HURT_ROWS, session, scale, batch.values + j, columns);
    free(bars);
    free(scale);
    free(batch.values);
    free(streamed.values);
    pgk_plan_free(plan);
}

static void series_made_to_hurt(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        void (*shape)(struct walk *w, size_t i, struct pgd_bar *bar);
    } shapes[] = {{"plain", plain},     {"gaps", gaps},           {"flat", flat}, {"asleep", asleep},
                  {"silence", silence}, {"no volume", no_volume}, {"ties", ties}, {"outlier", outlier}};
    static const double prices[] = {100, 740000, 1e-6, 3.25};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (size_t j = 0; j < 4; j++)
            if (ref_options().cuda_driver == NULL || j == i % 4) /* a stand-in's threads are slow */
                hurt(shapes[i].what, shapes[i].shape, prices[j], j == 3 ? PGD_SESSION_UTC : PGD_SESSION_US);
}

/* --------------------------------------------------------------------------------------- a long history */

/* The reference's market, which has gaps, flat runs and silence; from time to time at another price level,
 * and with a bar that is wrong by a factor of a million. Volumes are kept where OBV does not leave 64 bits of
 * millionths in so many rows. */
static struct pgd_bar *long_bars(size_t count)
{
    static const double prices[] = {100, 740000, 1e-6, 3.25};
    struct pgd_bar *bars = need(count, sizeof *bars);
    struct ref_market market;
    ref_market_init(&market, ++seed, prices[0]);
    for (size_t i = 0; i < count; i++) {
        if (i % 20000 == 19999 && market.flat == 0)
            market.price = prices[ref_next(&market.random) % 4];
        ref_market_next(&market, &bars[i]);
        bars[i].v = fmin(bars[i].v, 1e9);
        if (ref_next(&market.random) % 5000 == 0) {
            double by = ref_next(&market.random) % 2 == 0 ? 1e6 : 1e-6;
            bars[i].o *= by;
            bars[i].h *= by;
            bars[i].l *= by;
            bars[i].c *= by;
            bars[i].vw *= by;
        }
    }
    return bars;
}

static void long_history(void **state)
{
    (void)state;
    static const char *const names[] = {"sma_20", "ema_12", "rsi_14", "macd",   "bb",       "atr_14", "stoch",
                                        "obv",    "mfi_14", "vwap",   "wma_20", "vwap_ext", "vwap_20"};
    const char *text = getenv("ROWS");
    size_t count = text != NULL ? strtoull(text, NULL, 10) : ref_options().cuda_driver == NULL ? 40000 : 5000;
    struct pgk_plan *plan = plan_of(names, sizeof names / sizeof names[0]);
    struct pgd_bar *bars = long_bars(count);
    double *scale = need(count, sizeof *scale), *got = need(count, sizeof *got);
    ref_scales(bars, count, scale);
    for (size_t j = 0; j < pgk_plan_columns(plan); j++) {
        struct taken taken = {.values = got, .columns = 1, .column = j};
        run(plan, bars, count, PGD_SESSION_US, false, &taken);
        judge("long", pgk_plan_name(plan, j), bars, count, PGD_SESSION_US, scale, got, 1);
    }
    print_message("%zu rows of %zu columns\n", count, pgk_plan_columns(plan));
    free(bars);
    free(scale);
    free(got);
    pgk_plan_free(plan);
}

/* --------------------------------------------------------------------------------------------- sessions */

/* The day whose session a bar belongs to, or -1. */
typedef int64_t (*session_of)(int64_t t_ms, bool extended);

static int64_t utc_ms(int year, int month, int day, int minute_of_day)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_min = minute_of_day};
    return (int64_t)timegm(&tm) * 1000;
}

static int64_t system_session(int64_t t_ms, bool extended)
{
    time_t t = (time_t)(t_ms / 1000);
    struct tm tm;
    (void)localtime_r(&t, &tm);
    int at = tm.tm_hour * 60 + tm.tm_min;
    bool inside = extended ? at >= 4 * 60 && at < 20 * 60 : at >= 9 * 60 + 30 && at < 16 * 60;
    return inside ? tm.tm_year * 1000 + tm.tm_yday : -1;
}

/* Minutes of the UTC day at which sessions begin and end; those of one day lie in it or end in the next. */
static const struct {
    int month, day, ext_open, open, close, ext_close;
} table[] = {
#define EST 9 * 60, 14 * 60 + 30, 21 * 60, 25 * 60
#define EDT 8 * 60, 13 * 60 + 30, 20 * 60, 24 * 60
    {3, 5, EST},   {3, 6, EST},   {3, 7, EST},   {3, 8, EDT},   {3, 9, EDT},   {3, 10, EDT},  {10, 29, EDT},
    {10, 30, EDT}, {10, 31, EDT}, {11, 1, EST},  {11, 2, EST},  {11, 3, EST},  {11, 25, EST}, {11, 26, EST},
    {11, 27, EST}, {11, 28, EST}, {12, 23, EST}, {12, 24, EST}, {12, 25, EST}, {12, 26, EST},
#undef EST
#undef EDT
};

static int64_t table_session(int64_t t_ms, bool extended)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int64_t day = utc_ms(2026, table[i].month, table[i].day, 0);
        int64_t from = day + (extended ? table[i].ext_open : table[i].open) * MINUTE_MS;
        int64_t to = day + (extended ? table[i].ext_close : table[i].close) * MINUTE_MS;
        if (t_ms >= from && t_ms < to)
            return day / DAY_MS;
    }
    return -1;
}

/* The exchanges close at 13:00 on the day after Thanksgiving and on Christmas Eve: prints are rare then. */
static bool closed_early(int64_t t_ms)
{
    int64_t thanksgiving = utc_ms(2026, 11, 27, 18 * 60), christmas = utc_ms(2026, 12, 24, 18 * 60);
    return (t_ms >= thanksgiving && t_ms < thanksgiving + 7 * 60 * MINUTE_MS) ||
           (t_ms >= christmas && t_ms < christmas + 7 * 60 * MINUTE_MS);
}

static size_t session_bars(struct pgd_bar *bars, int64_t from, int64_t to, int64_t every)
{
    struct walk w = {.random = {++seed}, .price = 250};
    size_t count = 0;
    for (int64_t t = from; t < to; t += every) {
        w.t = t;
        struct pgd_bar bar = minute(&w);
        if (ref_next(&w.random) % 8 == 0)
            bar.v = 0;
        if (!closed_early(t) || ref_next(&w.random) % 40 == 0)
            bars[count++] = bar;
    }
    return count;
}

/* Rows that have a value are counted: a judge that finds no session anywhere would agree with an engine that
 * does not either. */
static size_t judge_sessions(const struct pgd_bar *bars, size_t count, session_of session, bool extended)
{
    const char *name = extended ? "vwap_ext" : "vwap";
    struct pgk_plan *plan = plan_of(&name, 1);
    struct taken taken = {.values = need(count, sizeof(double)), .columns = 1};
    double *scale = need(count, sizeof *scale);
    long double flow = 0, volume = 0;
    int64_t day = -1;
    size_t valid = 0;
    run(plan, bars, count, PGD_SESSION_US, false, &taken);
    ref_scales(bars, count, scale);
    for (size_t i = 0; i < count; i++) {
        const struct pgd_bar *bar = &bars[i];
        int64_t now = session(bar->t, extended);
        if (now != day)
            flow = volume = 0;
        day = now;
        if (now >= 0) {
            long double typical = ((long double)bar->h + (long double)bar->l + (long double)bar->c) / 3;
            flow += (isnan(bar->vw) ? typical : (long double)bar->vw) * (long double)bar->v;
            volume += (long double)bar->v;
        }
        long double want = now >= 0 && volume > 0 ? flow / volume : (long double)NAN;
        if (!ref_agrees(name, scale[i], want, taken.values[i]))
            fail_msg("seed %llu, %s at %lld: %.17g, not %.17Lg", (unsigned long long)seed, name,
                     (long long)bar->t, taken.values[i], want);
        valid += isnan(want) ? 0 : 1;
    }
    free(scale);
    free(taken.values);
    pgk_plan_free(plan);
    return valid;
}

static void sessions_of_the_table(void **state)
{
    (void)state;
    static const struct {
        int month, from, to; /* days whose every minute is in the table */
    } weeks[] = {{3, 5, 11}, {10, 29, 35}, {11, 25, 29}, {12, 23, 27}};
    struct pgd_bar *bars = need(6 * 1440, sizeof *bars);
    for (size_t i = 0; i < sizeof weeks / sizeof weeks[0]; i++) {
        /* the session of the evening before ends at 01:00 UTC at the latest */
        size_t count = session_bars(bars, utc_ms(2026, weeks[i].month, weeks[i].from, 60),
                                    utc_ms(2026, weeks[i].month, weeks[i].to, 0), MINUTE_MS);
        size_t days = (size_t)(weeks[i].to - weeks[i].from);
        assert_true(judge_sessions(bars, count, table_session, false) > days * 200);
        assert_true(judge_sessions(bars, count, table_session, true) > days * 600);
    }
    free(bars);
}

static void sessions_of_the_system(void **state)
{
    (void)state;
    const int64_t every = 5 * MINUTE_MS, from = utc_ms(2026, 1, 1, 0), to = utc_ms(2027, 1, 1, 0);
    assert_int_equal(setenv("TZ", "America/New_York", 1), 0);
    tzset();
    time_t summer = (time_t)(utc_ms(2026, 7, 1, 720) / 1000);
    struct tm tm;
    if (localtime_r(&summer, &tm) == NULL || tm.tm_gmtoff != -14400)
        skip(); /* no tzdata here */
    struct pgd_bar *bars = need((size_t)((to - from) / every), sizeof *bars);
    size_t count = session_bars(bars, from, to, every);
    assert_true(judge_sessions(bars, count, system_session, false) > 365 * 60);
    assert_true(judge_sessions(bars, count, system_session, true) > 365 * 160);
    free(bars);
}

int main(void)
{
    const char *text = getenv("SEED");
    seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)time(NULL) * 1000;
    printf("SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(series_made_to_hurt),
        cmocka_unit_test(long_history),
        cmocka_unit_test(sessions_of_the_table),
        cmocka_unit_test(sessions_of_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
