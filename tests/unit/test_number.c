/* test_number - JSON numbers: grammar, exact integers, the doubles that are hard to round. */
#include "kernels/number.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "parse.h"

static void same_as_strtod(const char *text)
{
    size_t n = strlen(text);
    char *exact = malloc(n);
    assert_non_null(exact);
    memcpy(exact, text, n);
    const char *p = exact;
    double got = 7;
    double want = strtod(text, NULL);
    assert_int_equal(parse_double(&p, exact + n, &got), 0);
    assert_ptr_equal(p, exact + n);
    if (memcmp(&got, &want, sizeof(got)) != 0)
        fail_msg("%.60s: %a, strtod %a", text, got, want);
    free(exact);
}

static void doubles(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0",
        "-0",
        "-0.0",
        "0e5",
        "0.000",
        "0e-999999999999999999999",
        "-0e999999999999999999999",
        "1",
        "-1",
        "12345678901234567890",
        "0.1",
        "0.3",
        "1e22",
        "1e23",
        "1e-22",
        "1e-23",
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "9007199254740994.5",
        "9007199254740993.00000000000000000000000000000000001",
        "18446744073709551615",
        "18446744073709551616",
        "9999999999999999999",
        "9.999999999999999999e-1",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1e308",
        "1e309",
        "1e400",
        "-1e400",
        "1e999999999999999999999999",
        "1e-999999999999999999999999",
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1e-324",
        "1e-400",
        "6.42646396e+08",
        "7.0661926525697e+07",
        "9.711965300417e+06",
        "4.522e-05",
        "7e-06",
        "1E+2",
        "1e0002",
        "1797693134862315700000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "00000000000",
        "0."
        "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "0001234",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126",
        "3.3333333333333333333333333333333333333333333333333333333333333333333333333333333333333",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        same_as_strtod(texts[i]);
}

/* More digits than any buffer: only whether something follows can still matter. */
static void long_digits(void **state)
{
    (void)state;
    static const size_t lengths[] = {700, 767, 768, 769, 770, 771, 772, 1000, 100000};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        size_t n = lengths[i];
        char *text = malloc(n + 200);
        assert_non_null(text);
        for (int form = 0; form < 6; form++) {
            size_t at = 0;
            if (form == 0) { /* just above the middle between two doubles, by the last digit */
                at = (size_t)sprintf(text, "1.00000000000000011102230246251565404236316680908203125");
                memset(text + at, '0', n);
                text[at + n] = '1';
                text[at + n + 1] = '\0';
            } else if (form == 1) { /* exactly in the middle */
                at = (size_t)sprintf(text, "9007199254740993.");
                memset(text + at, '0', n);
                text[at + n] = '\0';
            } else if (form == 2) { /* leading zeros, brought back by the exponent */
                at = (size_t)sprintf(text, "0.");
                memset(text + at, '0', n);
                sprintf(text + at + n, "123e%zu", n);
            } else if (form == 3) { /* trailing zeros, taken back */
                at = (size_t)sprintf(text, "12345678901234567");
                memset(text + at, '0', n);
                sprintf(text + at + n, "e-%zu", n);
            } else if (form == 4) {
                memset(text, '9', n);
                text[n] = '\0';
            } else {
                memset(text, '9', n);
                sprintf(text + n, ".5e-%zu", n + 300);
            }
            same_as_strtod(text);
        }
        free(text);
    }
}

static void grammar(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int length; /* of the number, -1: none */
    } rows[] = {
        {"0", 1},
        {"-", -1},
        {"", -1},
        {"01", -1},
        {"-01", -1},
        {"00", -1},
        {"1.", -1},
        {".1", -1},
        {"+1", -1},
        {"1e", -1},
        {"1e+", -1},
        {"1e-x", -1},
        {"1.5,", 3},
        {"1.5.2", 3},
        {"0x1", 1},
        {"1 ", 1},
        {"12a", 2},
        {"1e5e", 3},
        {"-0.0e-0]", 7},
        {"Infinity", -1},
        {"nan", -1},
        {"1E5", 3},
        {"1.e5", -1},
        {"12345678.", -1},
        {"123456789012345678901234567890.", -1},
        {"0.12345678", 10},
        {"0123456789", -1},
        {"/", -1},
        {":", -1},
        {"\xb1", -1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        size_t n = strlen(rows[i].text);
        char *exact = malloc(n ? n : 1);
        assert_non_null(exact);
        memcpy(exact, rows[i].text, n);
        const char *p = exact;
        double d = 7;
        int r = parse_double(&p, exact + n, &d);
        if (rows[i].length < 0 ? r >= 0 || p != exact || d != 7 : r < 0 || p != exact + rows[i].length)
            fail_msg("'%s': %d, %td", rows[i].text, r, p - exact);
        free(exact);
    }
}

static void integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } rows[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775807", true, -INT64_MAX},
        {"9223372036854775808", false, 0},
        {"18446744073709551616", false, 0},
        {"1.5", false, 0},
        {"1.50e1", true, 15},
        {"15e-1", false, 0},
        {"150e-1", true, 15},
        {"0e99", true, 0},
        {"0.00e-99", true, 0},
        {"1e18", true, INT64_C(1000000000000000000)},
        {"1e19", false, 0},
        {"9.223372036854775807e18", true, INT64_MAX},
        {"92233720368547758070e-1", false, 0},
        {"1e-5", false, 0},
        {"1e99999999999999999999", false, 0},
        {"1767366000123.0", true, 1767366000123},
        {"1.767366000123e12", true, 1767366000123},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct number n;
        int64_t value = 7;
        const char *end = rows[i].text + strlen(rows[i].text);
        assert_ptr_equal(number_scan(rows[i].text, end, &n), end);
        if (number_int64(&n, &value) != rows[i].good || value != (rows[i].good ? rows[i].value : 7))
            fail_msg("%s: %lld", rows[i].text, (long long)value);
    }
}

/* A decimal comma in the process's locale changes nothing. */
static void locales(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8"};
    for (size_t i = 0; i < 3; i++)
        if (setlocale(LC_ALL, names[i]))
            break;
    const char *p = "0.1000000000000000055511151231257827e-3";
    double d = 0;
    assert_int_equal(parse_double(&p, p + strlen(p), &d), 0);
    assert_true(d == 0.1e-3);
    setlocale(LC_ALL, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles),  cmocka_unit_test(long_digits), cmocka_unit_test(grammar),
        cmocka_unit_test(integers), cmocka_unit_test(locales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
