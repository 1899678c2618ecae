/* kernels/number.h - numbers as text, both ways: JSON's grammar, exact integers, correctly rounded doubles,
 * and printf's %.17g. Pure, and independent of locale. */
#ifndef KERNELS_NUMBER_H
#define KERNELS_NUMBER_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A scanned number: (-1)^negative * digits * 10^exp10. `cut`: it had more than 19 significant digits,
 * `digits` and exp10 are meaningless and only the text has its value. The text is kept for that case. */
struct number {
    const char *text;
    const char *text_end;
    uint64_t digits;
    int64_t exp10;
    bool negative;
    bool cut;
};

/* Eight bytes at `p`, the first in the lowest bits; bytes at and past `end` read as NUL. */
static inline uint64_t number_load(const char *p, const char *end)
{
    uint64_t w = 0;
    if (__builtin_expect(end - p >= 8, 1))
        memcpy(&w, p, 8);
    else if (p < end)
        memcpy(&w, p, (size_t)(end - p));
    return le64toh(w);
}

#define NUMBER_ZEROS UINT64_C(0x3030303030303030)

/* Bit 7 of each byte of `x`, eight characters XOR '0', that is no digit: exact for the lowest, perhaps too
 * many above. */
static inline uint64_t number_others(uint64_t x)
{
    return ((x + UINT64_C(0x7676767676767676)) | x) & UINT64_C(0x8080808080808080);
}

/* Value of eight digits 0..9, the most significant in the lowest byte. */
static inline uint64_t number_eight(uint64_t x)
{
    x = x * 10 + (x >> 8);
    return (((x & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x000f424000000064)) +
            (((x >> 16) & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x0000271000000001))) >>
           32;
}

extern const uint64_t number_pow10[20];
extern const double number_pow10_double[23];

/* Appends the digits at `p` to *digits, modulo 2^64; returns the first character after them. */
static inline const char *number_digits(const char *p, const char *end, uint64_t *digits)
{
    for (;;) {
        uint64_t x = number_load(p, end) ^ NUMBER_ZEROS;
        uint64_t others = number_others(x);
        if (!others) {
            *digits = *digits * number_pow10[8] + number_eight(x);
            p += 8;
            continue;
        }
        unsigned bits = (unsigned)__builtin_ctzll(others) & ~7u;
        if (bits == 0)
            return p;
        *digits = *digits * number_pow10[bits / 8] + number_eight(x << (64 - bits));
        return p + bits / 8;
    }
}

/* True of the character behind a number when it is certain that the number ends there. */
static inline bool number_ends(char c)
{
    return c == ',' || c == '}' || c == ']';
}

/* An unsigned integer of up to 15 digits, and of its own kind of neighbours: the usual case. NULL for any
 * other. */
static inline const char *number_short_int(const char *p, const char *end, int64_t *ret)
{
    if (__builtin_expect(end - p < 16, 0))
        return NULL;
    uint64_t x = number_load(p, p + 8) ^ NUMBER_ZEROS;
    uint64_t others = number_others(x);
    if (__builtin_expect((uint8_t)x == 0 && !(others & 0x8000), 0))
        return NULL;
    if (others) {
        unsigned bits = (unsigned)__builtin_ctzll(others) & ~7u;
        const char *q = p + bits / 8;
        *ret = (int64_t)number_eight(x << (64 - bits) % 64);
        return __builtin_expect(bits && number_ends(*q), 1) ? q : NULL;
    }
    uint64_t y = number_load(p + 8, p + 16) ^ NUMBER_ZEROS;
    others = number_others(y);
    unsigned bits = (unsigned)__builtin_ctzll(others | UINT64_C(1) << 63) & ~7u;
    const char *q = p + 8 + bits / 8;
    if (__builtin_expect(!bits || !number_ends(*q), 0))
        return NULL;
    *ret = (int64_t)(number_eight(x) * number_pow10[bits / 8] + number_eight(y << (64 - bits)));
    return q;
}

/* An unsigned decimal of up to 7 digits, likewise. */
static inline const char *number_short_double(const char *p, const char *end, double *ret)
{
    if (__builtin_expect(end - p < 9, 0))
        return NULL;
    uint64_t x = number_load(p, p + 8) ^ NUMBER_ZEROS;
    uint64_t others = number_others(x);
    unsigned whole = (unsigned)__builtin_ctzll(others | UINT64_C(0x80) << 56) & ~7u; /* bits, not digits */
    unsigned all = whole;
    const char *q = p + whole / 8;
    if (__builtin_expect(!whole || ((uint8_t)x == 0 && whole > 8), 0))
        return NULL;
    if (*q == '.') {
        /* Closes the gap, so that all digits are converted at once. */
        uint64_t before = (UINT64_C(1) << whole) - 1;
        x = (x & before) | (x >> 8 & ~before);
        all = (unsigned)__builtin_ctzll(number_others(x) | UINT64_C(0x80) << 56) & ~7u;
        q = p + all / 8 + 1;
        if (__builtin_expect(all == whole, 0))
            return NULL;
    }
    *ret = (double)number_eight(x << (64 - all)) / number_pow10_double[(all - whole) / 8];
    return __builtin_expect(number_ends(*q), 1) ? q : NULL;
}

/* The rest of a number whose digits do not fit or that has an exponent. */
const char *number_scan_rest(const char *p, const char *end, struct number *n);

/* Scans the number that begins at `p`. Returns the first character after it, NULL when there is none by
 * JSON's grammar. */
static inline const char *number_scan(const char *p, const char *end, struct number *n)
{
    n->text = p;
    n->negative = p < end && *p == '-';
    p += n->negative;
    const char *first = p;
    n->digits = 0;
    p = number_digits(p, end, &n->digits);
    ptrdiff_t count = p - first;
    if (__builtin_expect(count == 0 || (count > 1 && *first == '0'), 0))
        return NULL;
    n->exp10 = 0;
    if (p < end && *p == '.') {
        const char *point = p++;
        p = number_digits(p, end, &n->digits);
        n->exp10 = point + 1 - p;
        if (__builtin_expect(n->exp10 == 0, 0))
            return NULL;
        count -= n->exp10;
    }
    n->cut = false;
    n->text_end = p;
    if (__builtin_expect(count > 19 || (p < end && (*p | 0x20) == 'e'), 0))
        return number_scan_rest(p, end, n);
    return p;
}

/* Any scanned number as the nearest double, ties to even; overflow gives an infinity, underflow zero. */
double number_double_hard(const struct number *n);

static inline double number_double(const struct number *n)
{
    if (__builtin_expect(!n->cut && n->digits <= (UINT64_C(1) << 53) && n->exp10 >= -22 && n->exp10 <= 22,
                         1)) {
        double d = (double)n->digits;
        d = n->exp10 < 0 ? d / number_pow10_double[-n->exp10] : d * number_pow10_double[n->exp10];
        return n->negative ? -d : d;
    }
    return number_double_hard(n);
}

/* The number as an integer, exactly. False when it is none, or outside int64_t. */
bool number_int64_hard(const struct number *n, int64_t *ret);

static inline bool number_int64(const struct number *n, int64_t *ret)
{
    if (__builtin_expect(n->exp10 == 0 && !n->cut && !n->negative && n->digits <= (uint64_t)INT64_MAX, 1)) {
        *ret = (int64_t)n->digits;
        return true;
    }
    return number_int64_hard(n, ret);
}

/* Bytes that number_print and number_print_int may touch. */
#define NUMBER_PRINT_SIZE 40

/* Writes `x` as printf("%.17g") does, byte for byte, without a NUL; returns the length. */
size_t number_print(char *to, double x);

size_t number_print_int(char *to, int64_t value);

#endif
