/* Rows as text: every digit comes back, whatever is absent is empty, names that need it are quoted. */
#include <fcntl.h>
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

#include "kernels/sheet.h"

#define ROWS 3000u

static char *printed(const struct sheet_config *config, const char *symbol,
                     const struct pgk_history_rows *rows)
{
    char path[] = "/tmp/polygond-sheet.XXXXXX";
    struct sheet_config mine = *config;
    struct sheet *sheet;
    mine.fd = mkstemp(path);
    assert_true(mine.fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(sheet_new(&sheet, &mine), 0);
    sheet_symbol(sheet, symbol);
    assert_int_equal(sheet_take(sheet, rows), 0);
    assert_int_equal(sheet_end(sheet), 0);
    sheet_free(sheet);
    off_t size = lseek(mine.fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);
    assert_int_equal(pread(mine.fd, text, (size_t)size, 0), size);
    close(mine.fd);
    return text;
}

static double number(void)
{
    union {
        uint64_t u;
        double d;
    } any;
    double x = drand48() * 1000;
    switch (lrand48() % 6) {
    case 0:
        return round(x * 100) / 100; /* a price */
    case 1:
        return round(x * 1e4) / 1e4 + 2e5;
    case 2:
        return floor(x * 1e6); /* a volume */
    case 3:
        return x;
    case 4:
        return round(x * 1e7) / 1e7 * (lrand48() % 2 ? 1 : -1);
    default:
        any.u = (uint64_t)lrand48() << 33 ^ (uint64_t)lrand48() << 11 ^ (uint64_t)lrand48();
        return isfinite(any.d) ? any.d : 0;
    }
}

static void test_fields_read_back(void **state)
{
    (void)state;
    long seed = getenv("SEED") ? atol(getenv("SEED")) : 11;
    printf("SEED=%ld\n", seed);
    srand48(seed);
    static struct pgd_bar bars[ROWS];
    for (unsigned i = 0; i < ROWS; i++)
        bars[i] = (struct pgd_bar){.t = i, .o = number(), .h = number(), .l = number(), .c = number()};
    struct sheet_column columns[4];
    static const char *const names[] = {"o", "h", "l", "c"};
    for (int i = 0; i < 4; i++)
        assert_true(sheet_field(&columns[i], names[i]));
    struct sheet_config config = {.columns = columns, .count = 4, .threads = 2};
    struct pgk_history_rows rows = {.count = ROWS, .bars = bars};
    char *text = printed(&config, "", &rows), *at = text;
    for (unsigned i = 0; i < ROWS; i++) {
        const double want[] = {bars[i].o, bars[i].h, bars[i].l, bars[i].c};
        for (int j = 0; j < 4; j++) {
            char *end, digits[40];
            double got = strtod(at, &end);
            assert_memory_equal(&got, &want[j], sizeof got);
            int most = snprintf(digits, sizeof digits, "%.17g", want[j]);
            assert_true(end - at <= most || strlen(digits) <= 17);
            at = end + 1;
        }
    }
    free(text);
}

static void test_by_hand(void **state)
{
    (void)state;
    struct pgd_bar bars[] = {
        {.t = 60000,
         .o = 187.23,
         .h = 1e15,
         .l = 0.1 + 0.2,
         .c = 5,
         .v = NAN,
         .vw = 0.0000001,
         .n = PGD_N_ABSENT},
        {.t = -60000, .o = -0.5, .h = 99999999, .l = 1e-8, .c = 0, .v = 12.5, .vw = NAN, .n = 7}};
    double values[] = {0.1, NAN};
    static const char *const names[] = {"t", "o", "h", "l", "c", "v", "vw", "n"};
    struct sheet_column columns[9] = {0};
    for (int i = 0; i < 8; i++)
        assert_true(sheet_field(&columns[i], names[i]));
    assert_false(sheet_field(&columns[8], "x"));
    columns[8] = (struct sheet_column){"sma_2", SHEET_VALUE, 0};
    struct sheet_config config = {.symbol = true, .columns = columns, .count = 9, .threads = 1};
    struct pgk_history_rows rows = {.count = 2, .bars = bars, .values = values, .stride = 1};
    char *text = printed(&config, "A\"\\B", &rows);
    assert_string_equal(text, "\"A\"\"\\B\",60000,187.23,1000000000000000,0.30000000000000004,5,,0.0000001,,"
                              "0.10000000000000001\n"
                              "\"A\"\"\\B\",-60000,-0.5,99999999,1e-08,0,12.5,,7,\n");
    free(text);
    config.json = true;
    text = printed(&config, "A\"\\B", &rows);
    assert_string_equal(text, "{\"symbol\":\"A\\\"\\\\B\",\"t\":60000,\"o\":187.23,\"h\":1000000000000000,"
                              "\"l\":0.30000000000000004,\"c\":5,\"v\":null,\"vw\":0.0000001,\"n\":null,"
                              "\"sma_2\":0.10000000000000001}\n"
                              "{\"symbol\":\"A\\\"\\\\B\",\"t\":-60000,\"o\":-0.5,\"h\":99999999,\"l\":1e-08,"
                              "\"c\":0,\"v\":12.5,\"vw\":null,\"n\":7,\"sma_2\":null}\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fields_read_back),
                                       cmocka_unit_test(test_by_hand)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
