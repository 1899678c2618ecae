/* number.c - see kernels/number.h. */
#include "kernels/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

__extension__ typedef unsigned __int128 uint128;

const uint64_t number_pow10[20] = {UINT64_C(1),
                                   UINT64_C(10),
                                   UINT64_C(100),
                                   UINT64_C(1000),
                                   UINT64_C(10000),
                                   UINT64_C(100000),
                                   UINT64_C(1000000),
                                   UINT64_C(10000000),
                                   UINT64_C(100000000),
                                   UINT64_C(1000000000),
                                   UINT64_C(10000000000),
                                   UINT64_C(100000000000),
                                   UINT64_C(1000000000000),
                                   UINT64_C(10000000000000),
                                   UINT64_C(100000000000000),
                                   UINT64_C(1000000000000000),
                                   UINT64_C(10000000000000000),
                                   UINT64_C(100000000000000000),
                                   UINT64_C(1000000000000000000),
                                   UINT64_C(10000000000000000000)};

const double number_pow10_double[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                        1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                        1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Exponents beyond this are all the same: no text that fits in memory has enough digits to bring one back. */
#define EXP_MAX INT64_C(1000000000000000)

/* Significant digits that decide any rounding to binary64 (767), and a last one that stands for all after
 * them. */
#define DIGITS_MAX 770

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *scan_exponent(const char *p, const char *end, int64_t *ret)
{
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (p >= end || !is_digit(*p))
        return NULL;
    int64_t e = 0;
    for (; p < end && is_digit(*p); p++)
        e = e < EXP_MAX ? e * 10 + (*p - '0') : EXP_MAX;
    *ret = negative ? -e : e;
    return p;
}

/* Digits again from the text, leading zeros not counted; sets `cut` when more than 19 remain. */
static void recount(struct number *n, const char *mantissa_end)
{
    const char *p = n->text + n->negative;
    int64_t after_point = 0;
    int significant = 0;
    bool point = false;
    n->digits = 0;
    for (; p < mantissa_end; p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        after_point += point;
        if (significant == 0 && *p == '0')
            continue;
        if (++significant > 19) {
            n->cut = true;
            return;
        }
        n->digits = n->digits * 10 + (uint64_t)(*p - '0');
    }
    n->exp10 = -after_point;
}

const char *number_scan_rest(const char *p, const char *end, struct number *n)
{
    recount(n, p);
    int64_t e = 0;
    if (p < end && (*p | 0x20) == 'e') {
        p = scan_exponent(p + 1, end, &e);
        if (!p)
            return NULL;
    }
    n->exp10 += e;
    n->text_end = p;
    return p;
}

/* Rounds value * 2^exp2 (value not 0; `sticky`: plus something below its last bit) to a normal double. */
static double round_double(uint128 value, int exp2, bool sticky)
{
    uint64_t high = (uint64_t)(value >> 64);
    int bits = high ? 128 - __builtin_clzll(high) : 64 - __builtin_clzll((uint64_t)value);
    int drop = bits - 53;
    if (drop <= 0)
        return ldexp((double)(uint64_t)value, exp2);
    uint64_t kept = (uint64_t)(value >> drop);
    uint128 half = (uint128)1 << (drop - 1);
    uint128 rest = value & ((half << 1) - 1);
    bool up = rest > half || (rest == half && (sticky || (kept & 1)));
    return ldexp((double)(kept + up), exp2 + drop);
}

/* Up to 19 digits and a power of ten that fits in 64 bits: exact in 128-bit integers, and the result is a
 * normal number. */
static double double_128(uint64_t digits, int exp10)
{
    if (exp10 >= 0)
        return round_double((uint128)digits * number_pow10[exp10], 0, false);
    int shift = 64 + __builtin_clzll(digits);
    uint128 numerator = (uint128)digits << shift;
    uint64_t divisor = number_pow10[-exp10];
    /* The quotient has 63 bits at least. */
    return round_double(numerator / divisor, -shift, numerator % divisor != 0);
}

/* Everything else goes to strtod as "digits e exponent": no decimal point, so that no locale matters, and of
 * bounded length. */
static double double_text(const struct number *n)
{
    char buf[DIGITS_MAX + 32];
    size_t used = 0;
    int64_t exp10 = 0;
    bool point = false;
    bool more = false;
    const char *p = n->text + n->negative;
    for (; p < n->text_end && (*p | 0x20) != 'e'; p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        exp10 -= point;
        if (used == 0 && *p == '0')
            continue;
        if (used < DIGITS_MAX) {
            buf[used++] = *p;
        } else {
            more = more || *p != '0';
            exp10++;
        }
    }
    if (used == 0)
        return 0;
    if (more) {
        buf[used++] = '1';
        exp10--;
    }
    int64_t e = 0;
    if (p < n->text_end)
        scan_exponent(p + 1, n->text_end, &e);
    exp10 += e;
    /* Far out of range either way: 10^5000 overflows whatever the digits, and 770 digits times 10^-5000
     * underflow. */
    if (exp10 > 5000)
        exp10 = 5000;
    if (exp10 < -5000)
        exp10 = -5000;
    snprintf(buf + used, sizeof(buf) - used, "e%d", (int)exp10);
    return strtod(buf, NULL);
}

double number_double_hard(const struct number *n)
{
    double d;
    if (!n->cut && n->digits == 0)
        d = 0;
    else if (!n->cut && n->exp10 >= -19 && n->exp10 <= 19)
        d = double_128(n->digits, (int)n->exp10);
    else
        d = double_text(n);
    return n->negative ? -d : d;
}

bool number_int64_hard(const struct number *n, int64_t *ret)
{
    uint64_t value = n->digits;
    if (n->cut)
        return false;
    if (value != 0 && n->exp10 > 0) {
        if (n->exp10 > 18 || value > (uint64_t)INT64_MAX / number_pow10[n->exp10])
            return false;
        value *= number_pow10[n->exp10];
    } else if (value != 0 && n->exp10 < 0) {
        if (n->exp10 < -19 || value % number_pow10[-n->exp10] != 0)
            return false;
        value /= number_pow10[-n->exp10];
    }
    if (value > (uint64_t)INT64_MAX)
        return false;
    *ret = n->negative ? -(int64_t)value : (int64_t)value;
    return true;
}
