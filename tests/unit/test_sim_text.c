/* Numbers as the upstream writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "polysim/text.h"

static void number_is(int64_t mantissa, unsigned scale, bool plain, const char *want)
{
    struct sim_text text = {0};
    sim_text_number(&text, mantissa, scale, plain);
    assert_string_equal(sim_text_cstr(&text), want);
    sim_text_fini(&text);
}

static void test_number(void **state)
{
    (void)state;
    number_is(0, 0, false, "0");
    number_is(0, 8, false, "0");
    number_is(228430000, 6, false, "228.43");
    number_is(1000000, 6, false, "1");
    number_is(437200, 6, false, "0.4372");
    number_is(-1250000, 6, false, "-1.25");
    number_is(999999, 0, false, "999999");
    number_is(99999999, 2, false, "999999.99");
    number_is(1000000, 0, false, "1e+06");
    number_is(1012021, 0, false, "1.012021e+06");
    number_is(642646396, 0, false, "6.42646396e+08");
    number_is(70661926525697, 6, false, "7.0661926525697e+07");
    number_is(INT64_C(10000000000000000), 8, false, "1e+08");
    number_is(INT64_C(12340000000000000), 8, false, "1.234e+08");
    number_is(4522, 8, false, "4.522e-05");
    number_is(700, 8, false, "7e-06");
    number_is(100, 8, false, "1e-06");
    number_is(1, 4, false, "0.0001");
    number_is(99999, 9, false, "9.9999e-05");
    number_is(224602526, 0, true, "224602526");
    number_is(700, 8, true, "0.000007");
    number_is(INT64_MIN, 0, true, "-9223372036854775808");
}

/* Whatever is written reads back as the double nearest to the decimal, in both forms. */
static void test_number_reads_back(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        int64_t mantissa = (int64_t)(x % UINT64_C(1000000000000000));
        unsigned scale = (unsigned)(x >> 52) % 9;
        struct sim_text g = {0}, plain = {0};
        sim_text_number(&g, mantissa, scale, false);
        sim_text_number(&plain, mantissa, scale, true);
        assert_null(strchr(sim_text_cstr(&plain), 'e'));
        assert_true(strtod(sim_text_cstr(&g), NULL) == strtod(plain.data, NULL));
        sim_text_fini(&g);
        sim_text_fini(&plain);
    }
}

static void test_decimal(void **state)
{
    (void)state;
    struct sim_text text = {0};
    sim_text_decimal(&text, INT64_C(433212503836000), 8, 6);
    sim_text_char(&text, ' ');
    sim_text_decimal(&text, 1337400, 8, 6);
    sim_text_char(&text, ' ');
    sim_text_decimal(&text, 8000000000, 8, 6);
    assert_string_equal(sim_text_cstr(&text), "4332125.038360 0.013374 80.000000");
    sim_text_fini(&text);
}

static void test_json(void **state)
{
    (void)state;
    struct sim_text text = {0};
    sim_text_json(&text, "a\"b\\c\n\x01");
    assert_string_equal(sim_text_cstr(&text), "\"a\\\"b\\\\c\\u000a\\u0001\"");
    sim_text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number),
        cmocka_unit_test(test_number_reads_back),
        cmocka_unit_test(test_decimal),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
