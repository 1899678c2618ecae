/* daemon/parse_bar.h - one row of aggregates as the vendor writes it: the known keys in the known order, no
 * blanks, plain numbers. What is not exactly that is left to parse_row.c, with the same result. Internal to
 * parse*.c. */
#ifndef DAEMON_PARSE_BAR_H
#define DAEMON_PARSE_BAR_H

#include "parse_read.h"

/* Eight keys and numbers of up to 24 characters fit; nothing further is looked at. */
#define PARSE_BAR_ROOM 320

/* A number of at most 24 characters without a sign. NULL: not in this form. */
static inline __attribute__((always_inline)) const char *parse_bar_number(const char *p, const char *end,
                                                                          double *ret)
{
    const char *q = number_short_double(p, end, ret);
    if (__builtin_expect(q != NULL, 1))
        return q;
    struct number n;
    q = number_scan(p, end, &n);
    if (!q || n.negative || q - p > 24)
        return NULL;
    *ret = number_double(&n);
    return q;
}

/* The row at `p`, its closing brace included; NULL: not in this form, or one that parse_row would refuse. */
static inline const char *parse_bar(const char *p, const char *end, struct pgd_bar *b)
{
    if (__builtin_expect(end - p < PARSE_BAR_ROOM, 0))
        return NULL;
    struct pgd_bar bar = {.vw = NAN, .n = PGD_N_ABSENT, .flags = PGD_BAR_REST};
    int64_t n = PGD_N_ABSENT;
    int64_t t;
#define KEY1(c)    (SCAN_BYTE('"', 0) | SCAN_BYTE(c, 1) | SCAN_BYTE('"', 2) | SCAN_BYTE(':', 3))
#define KEY_IS1(c) ((number_load(p, p + 8) & UINT64_C(0xffffffff)) == KEY1(c))
#define NUMBER(field)                                                                                        \
    do {                                                                                                     \
        p = parse_bar_number(p, end, &(field));                                                              \
        if (__builtin_expect(!p, 0))                                                                         \
            return NULL;                                                                                     \
    } while (0)
#define FIELD(c, field)                                                                                      \
    do {                                                                                                     \
        if (__builtin_expect(!KEY_IS1(c), 0))                                                                \
            return NULL;                                                                                     \
        p += 4;                                                                                              \
        NUMBER(field);                                                                                       \
        if (__builtin_expect(*p != ',', 0))                                                                  \
            return NULL;                                                                                     \
        p++;                                                                                                 \
    } while (0)
    const uint64_t vw =
        SCAN_BYTE('"', 0) | SCAN_BYTE('v', 1) | SCAN_BYTE('w', 2) | SCAN_BYTE('"', 3) | SCAN_BYTE(':', 4);
    if (__builtin_expect(*p != '{', 0))
        return NULL;
    p++;
    FIELD('v', bar.v);
    if ((number_load(p, p + 8) & UINT64_C(0xffffffffff)) == vw) {
        p += 5;
        NUMBER(bar.vw);
        if (__builtin_expect(*p != ',', 0))
            return NULL;
        p++;
    }
    FIELD('o', bar.o);
    FIELD('c', bar.c);
    FIELD('h', bar.h);
    FIELD('l', bar.l);
    if (__builtin_expect(!KEY_IS1('t'), 0))
        return NULL;
    p = number_short_int(p + 4, end, &t);
    if (__builtin_expect(!p, 0))
        return NULL;
    if (*p == ',') {
        p++;
        if (__builtin_expect(!KEY_IS1('n'), 0))
            return NULL;
        p = number_short_int(p + 4, end, &n);
        if (__builtin_expect(!p || n > PGD_N_ABSENT, 0))
            return NULL;
    }
    int64_t ns;
    if (__builtin_expect(*p != '}' || !scan_time_ns(t, &ns) || !(bar.h >= bar.l), 0))
        return NULL;
    /* One sum finds an infinity among all. */
    if (__builtin_expect(!(bar.o + bar.c + bar.h + bar.l + bar.v < INFINITY) || isinf(bar.vw), 0))
        return NULL;
#undef KEY1
#undef KEY_IS1
#undef NUMBER
#undef FIELD
    bar.t = ns / 1000000;
    bar.n = (uint32_t)n;
    *b = bar;
    return p + 1;
}

#endif
