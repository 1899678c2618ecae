/* daemon/parse_scan.h - the JSON scanner under parse: keys, texts, typed values, and skipping what is not
 * wanted. Internal to parse*.c. Functions take the position of a value and return the one after it, or NULL
 * once the scan has failed. */
#ifndef DAEMON_PARSE_SCAN_H
#define DAEMON_PARSE_SCAN_H

#include <math.h>

#include "event.h"
#include "kernels/number.h"

#define SCAN_DEPTH_MAX 64u   /* brackets within a value that is skipped */
#define SCAN_TEXT_MAX  2560u /* bytes of resolved texts an event can have */

struct scan {
    const char *end;
    enum event_fault fault; /* EVENT_OK until something is wrong */
    const char *reason;
    struct event_text key; /* the last key that scan_key_hard read */
    size_t text_used;
    char text[SCAN_TEXT_MAX]; /* texts whose escapes were resolved */
};

/* A key of up to 7 bytes as a word: the first byte lowest, its length in the highest. Longer keys are
 * SCAN_KEY_LONG. */
#define SCAN_BYTE(c, i)    ((uint64_t)(uint8_t)(c) << (8 * (i)))
#define SCAN_KEY1(a)       (SCAN_BYTE(a, 0) | SCAN_BYTE(1, 7))
#define SCAN_KEY2(a, b)    (SCAN_BYTE(a, 0) | SCAN_BYTE(b, 1) | SCAN_BYTE(2, 7))
#define SCAN_KEY3(a, b, c) (SCAN_BYTE(a, 0) | SCAN_BYTE(b, 1) | SCAN_BYTE(c, 2) | SCAN_BYTE(3, 7))
#define SCAN_KEY4(a, b, c, d)                                                                                \
    (SCAN_BYTE(a, 0) | SCAN_BYTE(b, 1) | SCAN_BYTE(c, 2) | SCAN_BYTE(d, 3) | SCAN_BYTE(4, 7))
/* From "abcd" to "abcdefg". */
#define SCAN_KEY_MORE(four, e, f, g, n)                                                                      \
    (((four)&UINT64_C(0xffffffff)) | SCAN_BYTE(e, 4) | SCAN_BYTE(f, 5) | SCAN_BYTE(g, 6) | SCAN_BYTE(n, 7))
#define SCAN_KEY_EV      SCAN_KEY2('e', 'v')
#define SCAN_KEY_STATUS  SCAN_KEY_MORE(SCAN_KEY4('s', 't', 'a', 't'), 'u', 's', 0, 6)
#define SCAN_KEY_MESSAGE SCAN_KEY_MORE(SCAN_KEY4('m', 'e', 's', 's'), 'a', 'g', 'e', 7)
#define SCAN_KEY_LONG    UINT64_MAX

#define SCAN_TIME_ABSENT INT64_MIN

/* Ends the scan of this event as malformed; the first reason stays. Always NULL. */
const char *scan_fail(struct scan *s, const char *reason);

/* Notes that the event is impossible; the scan goes on, to learn the rest. */
void scan_refuse(struct scan *s, const char *reason);

const char *scan_space_rest(const char *p, const char *end);

static inline const char *scan_space(const char *p, const char *end)
{
    if (__builtin_expect(p < end && (uint8_t)*p > ' ', 1))
        return p;
    return scan_space_rest(p, end);
}

/* Key at `p` (or behind blanks), whole and with escapes resolved, and the position of its value. */
const char *scan_key_text(struct scan *s, const char *p, struct event_text *ret_key);
uint64_t scan_key_code(struct event_text key);

static inline bool scan_key_is(struct event_text key, const char *name)
{
    return key.n == strlen(name) && memcmp(key.p, name, key.n) == 0;
}

const char *scan_key_hard(struct scan *s, const char *p, uint64_t *ret_code);

/* Bit 7 of the lowest byte of `w` that is zero, and perhaps of some above it. */
static inline uint64_t scan_zero_byte(uint64_t w)
{
    return (w - UINT64_C(0x0101010101010101)) & ~w & UINT64_C(0x8080808080808080);
}

/* Key at `p` as a code, and the position of its value. A short key is not looked at for escapes: a caller
 * that does not know the code asks scan_key_hard. */
static inline const char *scan_key(struct scan *s, const char *p, uint64_t *ret_code)
{
    uint64_t w = number_load(p, s->end);
    unsigned n;
    if ((w & UINT64_C(0xffff00ff)) == UINT64_C(0x3a220022)) {
        n = 1;
    } else if ((w & UINT64_C(0xffff0000ff)) == UINT64_C(0x3a22000022)) {
        n = 2;
    } else {
        uint64_t quote = scan_zero_byte(w ^ UINT64_C(0x2222222222222200)) & ~UINT64_C(0xff);
        n = quote ? (unsigned)__builtin_ctzll(quote) / 8 - 1 : 7;
        if (__builtin_expect((char)w != '"' || n > 4 || (uint8_t)(w >> (8 * n + 16)) != ':', 0))
            return scan_key_hard(s, p, ret_code);
    }
    /* The byte behind the colon, or NUL. */
    if (__builtin_expect((uint8_t)(w >> (8 * n + 24)) <= ' ', 0))
        return scan_key_hard(s, p, ret_code);
    *ret_code = (w >> 8 & ((UINT64_C(1) << (8 * n)) - 1)) | (uint64_t)n << 56;
    return p + n + 3;
}

const char *scan_text_hard(struct scan *s, const char *p, struct event_text *ret);

/* A string. Points into the message, or into s->text when it had escapes. */
static inline const char *scan_text(struct scan *s, const char *p, struct event_text *ret)
{
    if (__builtin_expect(p >= s->end || *p != '"', 0))
        return scan_text_hard(s, p, ret);
    for (const char *q = p + 1;; q += 8) {
        uint64_t w = number_load(q, s->end);
        uint64_t stop = scan_zero_byte(w ^ UINT64_C(0x2222222222222222)) |
                        scan_zero_byte(w ^ UINT64_C(0x5c5c5c5c5c5c5c5c)) |
                        ((w - UINT64_C(0x2020202020202020)) & ~w & UINT64_C(0x8080808080808080));
        if (!stop)
            continue;
        q += (unsigned)__builtin_ctzll(stop) / 8;
        if (__builtin_expect(q >= s->end || *q != '"', 0))
            return scan_text_hard(s, p, ret);
        *ret = (struct event_text){p + 1, (size_t)(q - p - 1)};
        return q + 1;
    }
}

/* "null" at p: the position after it. Anything else fails with `reason`. */
const char *scan_null(struct scan *s, const char *p, const char *reason);

const char *scan_double_hard(struct scan *s, const char *p, double *ret);

/* A number; null is NaN. */
static inline const char *scan_double(struct scan *s, const char *p, double *ret)
{
    const char *q = number_short_double(p, s->end, ret);
    return __builtin_expect(q != NULL, 1) ? q : scan_double_hard(s, p, ret);
}

const char *scan_int_hard(struct scan *s, const char *p, int64_t absent, int64_t *ret);

/* An integer; null is `absent`. */
static inline const char *scan_int(struct scan *s, const char *p, int64_t absent, int64_t *ret)
{
    const char *q = number_short_int(p, s->end, ret);
    return __builtin_expect(q != NULL, 1) ? q : scan_int_hard(s, p, absent, ret);
}

/* An integer from 0 to max; null is 0. */
static inline const char *scan_count(struct scan *s, const char *p, int64_t max, int64_t *ret)
{
    p = scan_int(s, p, 0, ret);
    if (__builtin_expect(p && (*ret < 0 || *ret > max), 0))
        return scan_fail(s, "an integer is out of range");
    return p;
}

const char *scan_count_text_hard(struct scan *s, const char *p, int64_t max, int64_t *ret);

/* As scan_count, and the integer may be in quotes. */
static inline const char *scan_count_text(struct scan *s, const char *p, int64_t max, int64_t *ret)
{
    const char *q = number_short_int(p, s->end, ret);
    return __builtin_expect(q != NULL && *ret <= max, 1) ? q : scan_count_text_hard(s, p, max, ret);
}

/* Trades of a bar; null is PGD_N_ABSENT. */
const char *scan_bar_count(struct scan *s, const char *p, uint32_t *ret);

/* A decimal in quotes (or a plain number); null is NaN. */
const char *scan_decimal(struct scan *s, const char *p, double *ret);

const char *scan_symbol_hard(struct scan *s, const char *p, struct event_text *ret);

/* A symbol: 1 to 47 bytes, no control characters. */
static inline const char *scan_symbol(struct scan *s, const char *p, struct event_text *ret)
{
    uint64_t w = number_load(p, s->end);
    uint64_t stop =
        (scan_zero_byte(w ^ UINT64_C(0x2222222222222222)) | scan_zero_byte(w ^ UINT64_C(0x5c5c5c5c5c5c5c5c)) |
         scan_zero_byte(w ^ UINT64_C(0x7f7f7f7f7f7f7f7f)) |
         ((w - UINT64_C(0x2020202020202020)) & ~w & UINT64_C(0x8080808080808080))) &
        ~UINT64_C(0xff);
    unsigned at = stop ? (unsigned)__builtin_ctzll(stop) / 8 : 0;
    if (__builtin_expect((char)w != '"' || at < 2 || (char)(w >> (8 * at)) != '"', 0))
        return scan_symbol_hard(s, p, ret);
    *ret = (struct event_text){p + 1, at - 1};
    return p + at + 1;
}

/* true, false or null (false). */
const char *scan_bool(struct scan *s, const char *p, bool *ret);

/* Condition ids, an array or a single one, stored + 1. *ret_more: there were more than `max`. */
const char *scan_conditions(struct scan *s, const char *p, uint16_t *cond, size_t max, bool *ret_more);

/* A trade id, string or number. Digits below 2^63 are their number, anything else is hashed (*ret_hashed). */
const char *scan_id_hard(struct scan *s, const char *p, uint64_t *ret, bool *ret_hashed);

static inline const char *scan_id(struct scan *s, const char *p, uint64_t *ret, bool *ret_hashed)
{
    uint64_t w = number_load(p, s->end);
    uint64_t x = w >> 8 ^ NUMBER_ZEROS;
    unsigned bits = (unsigned)__builtin_ctzll(number_others(x) | UINT64_C(0x80) << 56) & ~7u;
    /* Up to six digits in quotes, the first no zero. */
    if (__builtin_expect(bits == 0 || bits > 48 || (char)w != '"' || (char)(w >> 8) == '0' ||
                             (char)(w >> 8 >> bits) != '"',
                         0))
        return scan_id_hard(s, p, ret, ret_hashed);
    *ret = number_eight(x << (64 - bits));
    *ret_hashed = false;
    return p + 2 + bits / 8;
}

/* Any value, syntax checked. */
const char *scan_skip(struct scan *s, const char *p);

/* End of the value at `p` by matching brackets only, whatever is between them. NULL: it does not end. */
const char *scan_match(const char *p, const char *end);

/* Vendor's time (seconds, ms, us or ns, by magnitude) in ns since 1970. False before 1990 or after 2100. */
bool scan_time_ns_hard(int64_t raw, int64_t *ret);

#define SCAN_FIRST_S INT64_C(631152000)  /* 1990-01-01 */
#define SCAN_LAST_S  INT64_C(4102444800) /* 2100-01-01 */

static inline bool scan_time_ns(int64_t raw, int64_t *ret)
{
    if (__builtin_expect(raw < SCAN_FIRST_S * 1000 || raw > SCAN_LAST_S * 1000, 0))
        return scan_time_ns_hard(raw, ret);
    *ret = raw * 1000000;
    return true;
}

#endif
