/* number_print.c - %.17g without printf, which spends ten times as long on it.
 *
 * x = m * 2^e. Its 17 digits are the integer nearest to m * 2^e * 10^n = m * 5^n * 2^(e + n), n = 16 - k, k
 * the decimal exponent. For n from 0 to 27, that is x from 1e-11 to below 1e17, 5^n has at most 63 bits and
 * the product fits in 128: everything is exact, ties included, and nothing has to be argued about errors. The
 * rest of the range is rare in this project, and printf's. */
#include "kernels/number.h"

#include <endian.h>
#include <stdio.h>

__extension__ typedef unsigned __int128 uint128;

#define DIGITS    17
#define N_MAX     27
#define LEAST_TOP UINT64_C(10000000000000000) /* of 17 digits */
#define LOG10_2   INT64_C(1292913986)         /* * 2^32 */

static const uint64_t pow5[N_MAX + 1] = {UINT64_C(1),
                                         UINT64_C(5),
                                         UINT64_C(25),
                                         UINT64_C(125),
                                         UINT64_C(625),
                                         UINT64_C(3125),
                                         UINT64_C(15625),
                                         UINT64_C(78125),
                                         UINT64_C(390625),
                                         UINT64_C(1953125),
                                         UINT64_C(9765625),
                                         UINT64_C(48828125),
                                         UINT64_C(244140625),
                                         UINT64_C(1220703125),
                                         UINT64_C(6103515625),
                                         UINT64_C(30517578125),
                                         UINT64_C(152587890625),
                                         UINT64_C(762939453125),
                                         UINT64_C(3814697265625),
                                         UINT64_C(19073486328125),
                                         UINT64_C(95367431640625),
                                         UINT64_C(476837158203125),
                                         UINT64_C(2384185791015625),
                                         UINT64_C(11920928955078125),
                                         UINT64_C(59604644775390625),
                                         UINT64_C(298023223876953125),
                                         UINT64_C(1490116119384765625),
                                         UINT64_C(7450580596923828125)};

/* Eight digits of a value below 10^8, the first in the lowest byte, as numbers 0 to 9. */
static inline uint64_t spread_eight(uint32_t value)
{
    uint64_t x = (uint64_t)(value % 10000) << 32 | value / 10000;
    uint64_t hundreds = (x * 10486 >> 20) & UINT64_C(0x0000007f0000007f);
    x = hundreds | (x - 100 * hundreds) << 16;
    uint64_t tens = (x * 103 >> 10) & UINT64_C(0x000f000f000f000f);
    return tens | (x - 10 * tens) << 8;
}

static inline void store_eight(char *to, uint64_t text)
{
    text = htole64(text);
    memcpy(to, &text, sizeof text);
}

/* m * 5^n * 2^(e + n) to the nearest integer, ties to even; below 2^63 when n is that of its exponent or one
 * above. */
static inline uint64_t scaled(uint64_t m, int e, int n)
{
    uint128 product = (uint128)m * pow5[n];
    int shift = -(e + n);
    if (shift <= 0)
        return (uint64_t)product << -shift;
    uint64_t whole = (uint64_t)(product >> shift);
    uint128 half = (uint128)1 << (shift - 1);
    uint128 rest = product & ((half << 1) - 1);
    return whole + (rest > half || (rest == half && (whole & 1) != 0));
}

/* Seventeen characters, the first in the lowest byte of the first word. They stay in registers: bytes stored
 * one way and loaded another would wait for the cache. */
struct digits {
    uint64_t word[3];
    int count; /* without the zeros at the end */
};

static inline struct digits digits_of(uint64_t value)
{
    uint64_t top = value / LEAST_TOP + '0';
    uint64_t high = spread_eight((uint32_t)(value / 100000000 % 100000000));
    uint64_t low = spread_eight((uint32_t)(value % 100000000));
    int count = low != 0    ? DIGITS - __builtin_clzll(low) / 8
                : high != 0 ? DIGITS - 8 - __builtin_clzll(high) / 8
                            : 1;
    high += NUMBER_ZEROS;
    low += NUMBER_ZEROS;
    return (struct digits){{top | high << 8, high >> 56 | low << 8, low >> 56}, count};
}

static inline void store_digits(char *to, const struct digits *d)
{
    store_eight(to, d->word[0]);
    store_eight(to + 8, d->word[1]);
    to[16] = (char)d->word[2];
}

/* With a point before the digit at `at`, 1 to 7. */
static inline void store_pointed(char *to, const struct digits *d, int at)
{
    uint64_t before = (UINT64_C(1) << 8 * at) - 1;
    store_eight(to, (d->word[0] & before) | (uint64_t)'.' << 8 * at | (d->word[0] & ~before) << 8);
    store_eight(to + 8, d->word[0] >> 56 | d->word[1] << 8);
    to[16] = (char)(d->word[1] >> 56);
    to[17] = (char)d->word[2];
}

static size_t place_exponent(char *to, const struct digits *d, int k)
{
    store_pointed(to, d, 1);
    char *end = to + (d->count > 1 ? d->count + 1 : 1);
    end[0] = 'e';
    end[1] = '-';
    end[2] = (char)('0' + -k / 10);
    end[3] = (char)('0' + -k % 10);
    return (size_t)(end + 4 - to);
}

/* Places the point among the digits of a number whose decimal exponent is k, below 17. */
static inline size_t place(char *to, const struct digits *d, int k)
{
    if (k >= 0) {
        store_digits(to, d);
        if (d->count <= k + 1)
            return (size_t)k + 1;
        if (k < 7) {
            store_pointed(to, d, k + 1);
        } else {
            memmove(to + k + 2, to + k + 1, (size_t)(DIGITS - k - 1));
            to[k + 1] = '.';
        }
        return (size_t)d->count + 1;
    }
    if (k < -4)
        return place_exponent(to, d, k);
    memcpy(to, "0.000", 5);
    store_digits(to + 1 - k, d);
    return (size_t)(1 - k + d->count);
}

static size_t print_hard(char *to, double x)
{
    return (size_t)snprintf(to, NUMBER_PRINT_SIZE, "%.17g", x);
}

size_t number_print(char *to, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int biased = (int)(bits >> 52 & 0x7ff);
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    char *start = to;
    if (bits << 1 == 0) {
        memcpy(to, "-0", 2);
        to[0] = bits ? '-' : '0';
        return bits ? 2 : 1;
    }
    /* log2 of the mantissa is no less than its fraction, and at most 0.0861 more: k is right or one short. */
    int64_t log2_low = ((int64_t)biased - 1023) * (1 << 20) + (int64_t)(fraction >> 32);
    int k = (int)((log2_low * LOG10_2) >> 52);
    if (biased == 0 || biased == 0x7ff || k < DIGITS - 1 - N_MAX || k >= DIGITS - 1)
        return print_hard(to, x);
    *to = '-';
    to += bits >> 63;
    uint64_t m = fraction | UINT64_C(1) << 52;
    uint64_t value = scaled(m, biased - 1075, DIGITS - 1 - k);
    if (value >= 10 * LEAST_TOP) {
        k++;
        value = scaled(m, biased - 1075, DIGITS - 1 - k);
    }
    struct digits digits = digits_of(value);
    return (size_t)(to - start) + place(to, &digits, k);
}

size_t number_print_int(char *to, int64_t value)
{
    char *start = to;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    *to = '-';
    to += value < 0;
    char digits[24];
    char *first = digits + sizeof digits;
    do
        *--first = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    size_t count = (size_t)(digits + sizeof digits - first);
    memcpy(to, first, count);
    return (size_t)(to - start) + count;
}
