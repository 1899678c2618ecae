/* prop_number - ten million random and adversarial numbers: the same bits as strtod, the same position,
 * whatever path they take. */
#include "kernels/number.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define NUMBERS UINT64_C(10000000)

static uint64_t seed;
static uint64_t checked;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * UINT64_C(0x2545f4914f6cdd1d);
}

static double any_double(void)
{
    uint64_t bits = rnd();
    double d;
    switch (rnd() % 8) {
    case 0: /* subnormal */
        bits &= UINT64_C(0x800fffffffffffff);
        break;
    case 1: /* a price */
        bits = (bits & UINT64_C(0x000fffffffffffff)) | (UINT64_C(1023) + rnd() % 20) << 52;
        break;
    case 2: /* few bits set */
        bits &= rnd() & rnd() & rnd();
        break;
    default:
        break;
    }
    memcpy(&d, &bits, sizeof(d));
    return d - d == 0 ? d : 1.5;
}

static void check(const char *text)
{
    /* Behind it what stands behind numbers, so that the short forms apply too. */
    char buf[1600];
    size_t n = strlen(text);
    assert_true(n + 20 < sizeof(buf));
    memcpy(buf, text, n);
    memcpy(buf + n, ",\"x\":12345678901234", 20);
    double want = strtod(text, NULL);
    checked++;
    struct number number;
    const char *after = number_scan(buf, buf + n + 19, &number);
    double got = after ? number_double(&number) : 0;
    if (after != buf + n || memcmp(&got, &want, sizeof(got)) != 0)
        fail_msg("%s: %a, strtod %a", text, got, want);
    double quick = 0;
    after = number_short_double(buf, buf + n + 19, &quick);
    if (after && (after != buf + n || memcmp(&quick, &want, sizeof(quick)) != 0))
        fail_msg("%s: short %a, strtod %a", text, quick, want);
    int64_t value = 0;
    int64_t exact = 1;
    after = number_short_int(buf, buf + n + 19, &value);
    if (after && (after != buf + n || !number_int64(&number, &exact) || exact != value))
        fail_msg("%s: short %lld, %lld", text, (long long)value, (long long)exact);
}

/* printf's own digits: shortest and longer forms. */
static void printed(void **state)
{
    (void)state;
    for (int i = 0; i < 700000; i++) {
        char text[1100];
        double d = any_double();
        int form = (int)(rnd() % 4);
        if (form == 0)
            snprintf(text, sizeof(text), "%.17g", d);
        else if (form == 1)
            snprintf(text, sizeof(text), "%.*e", (int)(rnd() % 25), d);
        else if (form == 2 && d < 1e15 && d > -1e15)
            snprintf(text, sizeof(text), "%.*f", (int)(rnd() % 25), d);
        else
            snprintf(text, sizeof(text), "%.16g", d);
        check(text);
    }
}

/* Digits and a point anywhere: what 19 digits and a small exponent can be. */
static void built(void **state)
{
    (void)state;
    for (int i = 0; i < 1400000; i++) {
        char digits[24];
        char text[64];
        uint64_t m = rnd() >> (rnd() % 64);
        int n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)m);
        int point = (int)(rnd() % (unsigned)(n + 1));
        char *p = text;
        if (rnd() % 8 == 0)
            *p++ = '-';
        if (point == 0)
            *p++ = '0';
        memcpy(p, digits, (size_t)point);
        p += point;
        if (point < n) {
            *p++ = '.';
            for (unsigned zeros = rnd() % 4 == 0 ? (unsigned)(rnd() % 8) : 0; zeros > 0; zeros--)
                *p++ = '0';
            memcpy(p, digits + point, (size_t)(n - point));
            p += n - point;
        }
        *p = '\0';
        if (rnd() % 2)
            snprintf(p, sizeof(text) - (size_t)(p - text), "e%d", (int)(rnd() % 60) - 30);
        check(text);
    }
}

/* Between two neighbouring doubles: exactly in the middle, and a hair to either side. A long double holds the
 * middle exactly. */
static void halfway(void **state)
{
    (void)state;
    for (int i = 0; i < 15000; i++) {
        char text[1500];
        double d = any_double();
        uint64_t bits;
        memcpy(&bits, &d, sizeof(bits));
        bits++;
        double above;
        memcpy(&above, &bits, sizeof(above));
        if (above - above != 0)
            continue;
        int n = snprintf(text, sizeof(text), "%.*Le", 780, ((long double)d + (long double)above) / 2);
        check(text);
        char *e = strchr(text, 'e');
        assert_non_null(e);
        assert_true(n > 0);
        char *last = e - 1;
        while (*last == '0')
            last--;
        if (*last >= '1' && *last <= '8') {
            int hair = rnd() % 2 ? 1 : -1;
            *last = (char)(*last + hair);
            check(text);
            *last = (char)(*last - hair);
        }
        /* The same with fewer digits: as many as anyone prints, and at the edge of what counts. */
        size_t keep = rnd() % 2 ? 17 + rnd() % 8 : 760 + rnd() % 20;
        char *point = text[0] == '-' ? text + 2 : text + 1;
        if (point + keep < e)
            memmove(point + keep, e, strlen(e) + 1);
        check(text);
    }
}

__extension__ typedef unsigned __int128 uint128;

/* The 19-digit decimals next to the middle between two doubles below one: told apart only by what a division
 * leaves over. */
static void division(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        char text[64];
        /* (2k + 1) / 2^54 is the middle of k / 2^53 and (k + 1) / 2^53, for k from 2^52. */
        uint64_t odd = (UINT64_C(1) << 53) | (rnd() >> 11) | 1;
        uint128 scaled = (uint128)odd * number_pow10[19];
        uint64_t digits = (uint64_t)(scaled >> 54) + rnd() % 3 - 1;
        snprintf(text, sizeof(text), "0.%019llu", (unsigned long long)digits);
        check(text);
        snprintf(text, sizeof(text), "%llue-19", (unsigned long long)digits);
        check(text);
    }
}

/* The digits of `m`, with zeros in front up to `least` of them; returns their end. */
static char *put_digits(char *to, uint64_t m, int least)
{
    char digits[20];
    int n = 0;
    for (; m || n < least; m /= 10)
        digits[n++] = (char)('0' + m % 10);
    while (n > 0)
        *to++ = digits[--n];
    return to;
}

/* What a feed could send, and next to it: prices and sizes of every length, with zeros in front of and behind
 * what counts, of 15 to 20 digits around 2^53 and 2^64, with exponents at the edge of what a table of powers
 * serves exactly. */
static void near_the_edges(void **state)
{
    (void)state;
    static const uint64_t edges[] = {
        UINT64_C(1) << 53,  UINT64_C(1) << 54,          UINT64_MAX, INT64_MAX, UINT64_C(999999999999999999),
        UINT64_C(99999999), UINT64_C(10000000000000000)};
    static const int exponents[] = {0, 1, 7, 15, 18, 19, 20, 22, 23, 27, 37, 290, 308, 323};
    while (checked < NUMBERS) {
        char text[64];
        char *p = text;
        uint64_t r = rnd();
        uint64_t m = r % 4 ? rnd() >> (r >> 8 & 63) : edges[(r >> 8) % 7] + (r >> 16) % 65 - 32;
        if ((r >> 32 & 7) == 0)
            *p++ = '-';
        unsigned form = (unsigned)(r >> 40) % 8;
        if (form < 4) { /* a point: its place, and zeros behind */
            int places = 1 + (int)(r >> 48) % 12;
            uint64_t unit = number_pow10[places];
            p = put_digits(p, m / unit, 1);
            *p++ = '.';
            p = put_digits(p, m % unit, places);
            for (uint64_t zeros = form == 0 ? r >> 56 & 7 : 0; zeros > 0; zeros--)
                *p++ = '0';
        } else if (form == 4) { /* zeros before what counts */
            *p++ = '0';
            *p++ = '.';
            p = put_digits(p, m, 1 + (int)(r >> 48) % 20);
        } else {
            p = put_digits(p, m, 1);
        }
        if (form > 4 || (r >> 44 & 7) == 0) {
            *p++ = r >> 60 & 1 ? 'e' : 'E';
            if (r >> 61 & 1)
                *p++ = '-';
            else if (r >> 62 & 1)
                *p++ = '+';
            p = put_digits(p, (uint64_t)exponents[(r >> 52) % 14], 1);
        }
        *p = '\0';
        check(text);
    }
}

static void check_print(double d)
{
    char want[64], got[NUMBER_PRINT_SIZE];
    int n = snprintf(want, sizeof(want), "%.17g", d);
    size_t used = number_print(got, d);
    if (used != (size_t)n || memcmp(got, want, used) != 0)
        fail_msg("%a: %.*s, printf %s", d, (int)used, got, want);
}

static void check_neighbours(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof(bits));
    for (uint64_t i = 0; i < 5; i++) {
        uint64_t near = bits + i - 2;
        memcpy(&d, &near, sizeof(d));
        check_print(d);
        check_print(-d);
    }
}

/* number_print: every magnitude, numbers people write, powers of ten and their neighbours, and those whose
 * 18th digit is a last 5. */
static void print(void **state)
{
    (void)state;
    static const double odd[] = {0.0, -0.0, 5e-324, 1.7976931348623157e308, (double)INFINITY, (double)NAN};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        check_print(odd[i]);
    for (int e = -330; e <= 308; e++) {
        char text[16];
        snprintf(text, sizeof(text), "1e%d", e);
        double d = strtod(text, NULL);
        if (d > 1e-300)
            check_neighbours(d);
    }
    for (int i = 0; i < 300000; i++) {
        check_print(any_double());
        check_print((double)(rnd() % 100000000) / number_pow10_double[rnd() % 10]);
        check_print(((double)(rnd() >> 11) + 0.5) * ((rnd() & 1) ? 0x1p-3 : 0x1p-10)); /* ties */
        check_print((double)(int64_t)rnd() / (double)(UINT64_C(1) << rnd() % 60));
        check_print((double)(rnd() >> 11) * number_pow10_double[rnd() % 4] * 1e-13);
    }
    for (int i = 0; i < 100000; i++) {
        char want[32], got[NUMBER_PRINT_SIZE];
        int64_t v = (int64_t)(rnd() >> rnd() % 64) * ((rnd() & 1) ? 1 : -1);
        v = i == 0 ? INT64_MIN : v;
        snprintf(want, sizeof(want), "%lld", (long long)v);
        size_t n = number_print_int(got, v);
        assert_int_equal(n, strlen(want));
        assert_memory_equal(got, want, n);
    }
}

int main(void)
{
    const char *given = getenv("SEED");
    seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
    seed |= 1;
    printf("SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printed),  cmocka_unit_test(built),          cmocka_unit_test(halfway),
        cmocka_unit_test(division), cmocka_unit_test(near_the_edges), cmocka_unit_test(print),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("%llu numbers\n", (unsigned long long)checked);
    return failed;
}
