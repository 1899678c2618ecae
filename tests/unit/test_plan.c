#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kernels/engine.h"

static struct pgk_plan *plan_of(const char *const *names, size_t count)
{
    struct pgk_plan *plan = NULL;
    char err[160] = "";
    if (pgk_plan_new(&plan, names, count, err, sizeof err) != 0)
        fail_msg("%s", err);
    return plan;
}

static void expect_columns(const char *name, const char *want)
{
    struct pgk_plan *plan = plan_of(&name, 1);
    char got[160] = "";
    for (size_t i = 0; i < pgk_plan_columns(plan); i++) {
        strcat(got, i == 0 ? "" : " ");
        strcat(got, pgk_plan_name(plan, i));
    }
    assert_string_equal(got, want);
    assert_null(pgk_plan_name(plan, pgk_plan_columns(plan)));
    assert_null(pgk_plan_unit(plan, pgk_plan_columns(plan)));
    pgk_plan_free(plan);
}

static void expect_refused(const char *const *names, size_t count, const char *want)
{
    struct pgk_plan *plan = NULL;
    char err[160] = "";
    assert_int_equal(pgk_plan_new(&plan, names, count, err, sizeof err), -EINVAL);
    assert_null(plan);
    assert_string_equal(err, want);
}

static void refused(const char *name, const char *want)
{
    expect_refused(&name, 1, want);
}

static void default_set(void **state)
{
    (void)state;
    static const char *const want[] = {"sma_20",    "ema_12",   "rsi_14",    "macd",     "macd_signal",
                                       "macd_hist", "bb_upper", "bb_middle", "bb_lower", "atr_14",
                                       "stoch_k",   "stoch_d",  "obv",       "vwap",     "vwap_ext"};
    struct pgk_plan *plan = plan_of(NULL, 0);
    assert_int_equal(pgk_plan_columns(plan), 15);
    for (size_t i = 0; i < 15; i++)
        assert_string_equal(pgk_plan_name(plan, i), want[i]);
    assert_string_equal(pgk_plan_unit(plan, 0), "price");
    assert_string_equal(pgk_plan_unit(plan, 2), "points");
    assert_string_equal(pgk_plan_unit(plan, 12), "shares");
    assert_int_equal(pgk_plan_lookback(plan), 33);
    assert_int_equal(pgk_plan_capacity(plan), 40);
    assert_in_range(pgk_plan_warmup(plan), 700, 2000);
    assert_int_equal(pgk_plan_state_size(plan) % 64, 0);
    pgk_plan_free(plan);
}

static void names_and_families(void **state)
{
    (void)state;
    expect_columns("macd", "macd macd_signal macd_hist");
    expect_columns("macd_5_35_5", "macd_5_35_5 macd_signal_5_35_5 macd_hist_5_35_5");
    expect_columns("macd_hist", "macd_hist");
    expect_columns("macd_hist_5_35_5", "macd_hist_5_35_5");
    expect_columns("macd_12_26_9", "macd macd_signal macd_hist");
    expect_columns("bb", "bb_upper bb_middle bb_lower");
    expect_columns("bb_10_3", "bb_upper_10_3 bb_middle_10_3 bb_lower_10_3");
    expect_columns("bb_10_2.50", "bb_upper_10_2.5 bb_middle_10_2.5 bb_lower_10_2.5");
    expect_columns("bb_20_2.0", "bb_upper bb_middle bb_lower");
    expect_columns("bb_lower_5_0.0625", "bb_lower_5_0.0625");
    expect_columns("stoch", "stoch_k stoch_d");
    expect_columns("stoch_d_5_3_3", "stoch_d_5_3_3");
    expect_columns("vwap", "vwap");
    expect_columns("vwap_ext", "vwap_ext");
    expect_columns("vwap_20", "vwap_20");
    expect_columns("wma_1000", "wma_1000");
}

static void refusals(void **state)
{
    (void)state;
    refused("smaa_20", "indicator 'smaa_20': unknown; did you mean sma_20?");
    refused("vwap_exr", "indicator 'vwap_exr': unknown; did you mean vwap_ext?");
    refused("macd_sgnal_5_35_5", "indicator 'macd_sgnal_5_35_5': unknown; did you mean macd_signal_5_35_5?");
    refused("supertrend_10", "indicator 'supertrend_10': unknown");
    refused("an_extremely_long_name_that_nobody_has",
            "indicator 'an_extremely_long_name_that_nobody_has': unknown");
    refused("", "indicator '': not the name of an indicator");
    refused("20", "indicator '20': unknown");
    refused("sma_", "indicator 'sma_': unknown; did you mean sma?");
    refused("sma", "indicator 'sma': needs 1 parameter: sma_N");
    refused("sma_20_30", "indicator 'sma_20_30': needs 1 parameter: sma_N");
    refused("sma_1_2_3_4", "indicator 'sma_1_2_3_4': not the name of an indicator");
    refused("macd_5_35", "indicator 'macd_5_35': needs 3 parameters: macd, macd_FAST_SLOW_SIGNAL");
    refused("obv_3", "indicator 'obv_3': takes no parameters");
    refused("sma_0", "indicator 'sma_0': '0' is not a period from 1 to 1000");
    refused("sma_020", "indicator 'sma_020': '020' is not a period from 1 to 1000");
    refused("sma_2x", "indicator 'sma_2x': '2x' is not a period from 1 to 1000");
    refused("sma_2.5", "indicator 'sma_2.5': '2.5' is not a period from 1 to 1000");
    refused("sma_1001", "indicator 'sma_1001': period out of range (1 to 1000)");
    refused("sma_99999999999999999999",
            "indicator 'sma_99999999999999999999': period out of range (1 to 1000)");
    refused("bb_20_0", "indicator 'bb_20_0': '0' is not a factor such as 2 or 2.5");
    refused("bb_20_0.0", "indicator 'bb_20_0.0': factor out of range (above 0, at most 100)");
    refused("bb_20_100.5", "indicator 'bb_20_100.5': factor out of range (above 0, at most 100)");
    refused("bb_20_2.", "indicator 'bb_20_2.': '2.' is not a factor such as 2 or 2.5");
    refused("bb_20_2.00001", "indicator 'bb_20_2.00001': '2.00001' is not a factor such as 2 or 2.5");
    refused("macd_26_12_9", "indicator 'macd_26_12_9': the fast period must be shorter than the slow one");
    refused("macd_signal_999_1000_999",
            "indicator 'macd_signal_999_1000_999': a column's name would be longer than 23 characters");
    refused("SMA_20", "indicator 'SMA_20': unknown");
}

static void duplicates_and_limits(void **state)
{
    (void)state;
    static const char *const twice[] = {"sma_20", "sma_20"};
    static const char *const inside[] = {"macd", "macd_signal"};
    static const char *const alias[] = {"bb_upper", "bb_upper_20_2"};
    expect_refused(twice, 2, "indicator 'sma_20': duplicate column sma_20");
    expect_refused(inside, 2, "indicator 'macd_signal': duplicate column macd_signal");
    expect_refused(alias, 2, "indicator 'bb_upper_20_2': duplicate column bb_upper");

    char text[PGK_COLUMNS_MAX + 1][16];
    const char *names[PGK_COLUMNS_MAX + 1];
    for (size_t i = 0; i <= PGK_COLUMNS_MAX; i++) {
        (void)snprintf(text[i], sizeof text[i], "sma_%zu", i + 1);
        names[i] = text[i];
    }
    struct pgk_plan *plan = plan_of(names, PGK_COLUMNS_MAX);
    assert_int_equal(pgk_plan_columns(plan), PGK_COLUMNS_MAX);
    pgk_plan_free(plan);
    expect_refused(names, PGK_COLUMNS_MAX + 1, "indicator 'sma_128': more than 127 columns");
}

/* The columns of a family may come apart, in any order, and share one computation. */
static void single_columns(void **state)
{
    (void)state;
    static const char *const names[] = {"macd_hist", "obv", "macd_signal"};
    static const char *const hist[] = {"macd_hist", "obv"};
    struct pgk_plan *both = plan_of(names, 3), *one = plan_of(hist, 2);
    assert_string_equal(pgk_plan_name(both, 2), "macd_signal");
    assert_int_equal(pgk_plan_state_size(both), pgk_plan_state_size(one));
    pgk_plan_free(both);
    pgk_plan_free(one);
}

static void first_rows(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t lookback;
    } want[] = {{"sma_20", 19}, {"ema_12", 11},  {"rsi_14", 14},  {"macd_5_35_5", 38},
                {"atr_14", 14}, {"stoch", 17},   {"obv", 0},      {"mfi_14", 14},
                {"vwap", 0},    {"vwap_20", 19}, {"stddev_7", 6}, {"wma_1", 0}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct pgk_plan *plan = plan_of(&want[i].name, 1);
        assert_int_equal(pgk_plan_lookback(plan), want[i].lookback);
        assert_true(pgk_plan_warmup(plan) >= want[i].lookback);
        assert_true(pgk_plan_capacity(plan) >= 16);
        pgk_plan_free(plan);
    }
}

/* What the table says of itself is true: every example can be configured. */
static void infos(void **state)
{
    (void)state;
    size_t count = 0;
    for (; pgk_indicator_info(count) != NULL; count++) {
        const struct pgk_indicator_info *info = pgk_indicator_info(count);
        char columns[64], *rest = NULL;
        assert_true(strlen(info->name) > 0 && strlen(info->doc) > 0);
        (void)snprintf(columns, sizeof columns, "%s", info->columns);
        for (const char *name = strtok_r(columns, " ", &rest); name != NULL;
             name = strtok_r(NULL, " ", &rest)) {
            struct pgk_plan *plan = plan_of(&name, 1);
            assert_string_equal(pgk_plan_name(plan, 0), name);
            pgk_plan_free(plan);
        }
    }
    assert_int_equal(count, 14);
}

static void small_message_buffer(void **state)
{
    (void)state;
    struct pgk_plan *plan = NULL;
    const char *name = "smaa_20";
    char err[8] = "";
    assert_int_equal(pgk_plan_new(&plan, &name, 1, err, sizeof err), -EINVAL);
    assert_string_equal(err, "indicat");
    assert_int_equal(pgk_plan_new(&plan, &name, 1, NULL, 0), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_set),    cmocka_unit_test(names_and_families),
        cmocka_unit_test(refusals),       cmocka_unit_test(duplicates_and_limits),
        cmocka_unit_test(single_columns), cmocka_unit_test(first_rows),
        cmocka_unit_test(infos),          cmocka_unit_test(small_message_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
