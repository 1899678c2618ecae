/* daemon/parse_scan.c */
#include "parse_scan.h"

const char *scan_fail(struct scan *s, const char *reason)
{
    if (s->fault != EVENT_MALFORMED) {
        s->fault = EVENT_MALFORMED;
        s->reason = reason;
    }
    return NULL;
}

void scan_refuse(struct scan *s, const char *reason)
{
    if (s->fault == EVENT_OK) {
        s->fault = EVENT_REFUSED;
        s->reason = reason;
    }
}

const char *scan_space_rest(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* -------------------------------------------------------------------------------------------------- texts */

static int hex4(const char *p, const char *end)
{
    if (end - p < 4)
        return -1;
    int v = 0;
    for (int i = 0; i < 4; i++) {
        int c = (uint8_t)p[i];
        int low = c | 0x20;
        if (c >= '0' && c <= '9')
            v = v * 16 + c - '0';
        else if (low >= 'a' && low <= 'f')
            v = v * 16 + low - 'a' + 10;
        else
            return -1;
    }
    return v;
}

static size_t utf8_put(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[n] | c);
    return n;
}

/* The escape at `p`, behind the backslash, as up to four bytes of UTF-8. Returns the position after it. */
static const char *escape(struct scan *s, const char *p, char out[4], size_t *ret_n)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    if (p >= s->end)
        return scan_fail(s, "a string does not end");
    const char *simple = *p ? strchr(from, *p) : NULL;
    if (simple) {
        out[0] = to[simple - from];
        *ret_n = 1;
        return p + 1;
    }
    int c = *p == 'u' ? hex4(p + 1, s->end) : -1;
    if (c < 0)
        return scan_fail(s, "a bad escape in a string");
    p += 5;
    if (c >= 0xd800 && c <= 0xdfff) {
        int d = c < 0xdc00 && s->end - p >= 6 && p[0] == '\\' && p[1] == 'u' ? hex4(p + 2, s->end) : -1;
        if (d < 0xdc00 || d > 0xdfff)
            return scan_fail(s, "half a surrogate pair in a string");
        c = 0x10000 + ((c - 0xd800) << 10) + (d - 0xdc00);
        p += 6;
    }
    *ret_n = utf8_put(out, (uint32_t)c);
    return p;
}

/* Syntax of a string only: its end, and whether it has escapes. */
static const char *string_end(struct scan *s, const char *p, bool *ret_escapes)
{
    if (p >= s->end || *p != '"')
        return scan_fail(s, "a string is expected");
    *ret_escapes = false;
    for (p++; p < s->end; p++) {
        if (*p == '"')
            return p + 1;
        if ((uint8_t)*p < 0x20)
            return scan_fail(s, "a control character in a string");
        if (*p == '\\') {
            char out[4];
            size_t n;
            *ret_escapes = true;
            p = escape(s, p + 1, out, &n);
            if (!p)
                return NULL;
            p--;
        }
    }
    return scan_fail(s, "a string does not end");
}

const char *scan_text_hard(struct scan *s, const char *p, struct event_text *ret)
{
    bool escapes;
    const char *after = string_end(s, p, &escapes);
    if (!after)
        return NULL;
    *ret = (struct event_text){p + 1, (size_t)(after - p - 2)};
    if (!escapes)
        return after;
    char *out = s->text + s->text_used;
    size_t used = 0;
    size_t room = sizeof(s->text) - s->text_used;
    for (p++; p < after - 1;) {
        if (room - used < 4)
            return scan_fail(s, "a string with escapes is too long");
        if (*p != '\\') {
            out[used++] = *p++;
            continue;
        }
        size_t n = 0;
        p = escape(s, p + 1, out + used, &n);
        used += n;
    }
    s->text_used += used;
    *ret = (struct event_text){out, used};
    return after;
}

/* --------------------------------------------------------------------------------------------------- keys */

const char *scan_key_text(struct scan *s, const char *p, struct event_text *ret_key)
{
    p = scan_space(p, s->end);
    if (p >= s->end || *p != '"')
        return scan_fail(s, "a key is expected");
    p = scan_text(s, p, ret_key);
    if (!p)
        return NULL;
    p = scan_space(p, s->end);
    if (p >= s->end || *p != ':')
        return scan_fail(s, "a colon is expected");
    return scan_space(p + 1, s->end);
}

uint64_t scan_key_code(struct event_text key)
{
    if (key.n > 7)
        return SCAN_KEY_LONG;
    uint64_t code = SCAN_BYTE(key.n, 7);
    for (size_t i = 0; i < key.n; i++)
        code |= SCAN_BYTE(key.p[i], i);
    return code;
}

const char *scan_key_hard(struct scan *s, const char *p, uint64_t *ret_code)
{
    /* A key's text is done with once its code is known: its room is for the values. */
    size_t used = s->text_used;
    p = scan_key_text(s, p, &s->key);
    s->text_used = used;
    if (p)
        *ret_code = scan_key_code(s->key);
    return p;
}

/* ------------------------------------------------------------------------------------------- typed values */

static const char *literal(const char *p, const char *end, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(end - p) >= n && memcmp(p, word, n) == 0 ? p + n : NULL;
}

const char *scan_null(struct scan *s, const char *p, const char *reason)
{
    const char *q = literal(p, s->end, "null");
    return q ? q : scan_fail(s, reason);
}

const char *scan_double_hard(struct scan *s, const char *p, double *ret)
{
    struct number n;
    const char *q = number_scan(p, s->end, &n);
    if (!q) {
        *ret = NAN;
        return scan_null(s, p, "a number is expected");
    }
    *ret = number_double(&n);
    return q;
}

const char *scan_int_hard(struct scan *s, const char *p, int64_t absent, int64_t *ret)
{
    struct number n;
    const char *q = number_scan(p, s->end, &n);
    if (!q) {
        *ret = absent;
        return scan_null(s, p, "an integer is expected");
    }
    if (!number_int64(&n, ret))
        return scan_fail(s, "a number is no 64-bit integer");
    return q;
}

const char *scan_count_text_hard(struct scan *s, const char *p, int64_t max, int64_t *ret)
{
    if (p < s->end && *p != '"')
        return scan_count(s, p, max, ret);
    struct event_text text;
    struct number n;
    const char *after = scan_text(s, p, &text);
    if (!after)
        return NULL;
    const char *end = text.p + text.n;
    if (number_scan(text.p, end, &n) != end || !number_int64(&n, ret))
        return scan_fail(s, "an integer is expected");
    if (*ret < 0 || *ret > max)
        return scan_fail(s, "an integer is out of range");
    return after;
}

const char *scan_bar_count(struct scan *s, const char *p, uint32_t *ret)
{
    int64_t n = 0;
    p = scan_int(s, p, PGD_N_ABSENT, &n);
    if (p && (n < 0 || n > PGD_N_ABSENT))
        return scan_fail(s, "an integer is out of range");
    *ret = (uint32_t)n;
    return p;
}

const char *scan_decimal(struct scan *s, const char *p, double *ret)
{
    if (p < s->end && *p != '"')
        return scan_double(s, p, ret);
    struct event_text text;
    struct number n;
    const char *after = scan_text(s, p, &text);
    if (!after)
        return NULL;
    const char *end = text.p + text.n;
    if (number_scan(text.p, end, &n) != end)
        return scan_fail(s, "a decimal is expected");
    *ret = number_double(&n);
    return after;
}

const char *scan_symbol_hard(struct scan *s, const char *p, struct event_text *ret)
{
    struct event_text text;
    p = scan_text(s, p, &text);
    if (!p)
        return NULL;
    if (text.n == 0 || text.n >= PGD_SYMBOL_MAX)
        return scan_fail(s, "a symbol is empty or too long");
    for (size_t i = 0; i < text.n; i++)
        if ((uint8_t)text.p[i] < 0x20 || text.p[i] == 0x7f)
            return scan_fail(s, "a control character in a symbol");
    *ret = text;
    return p;
}

const char *scan_bool(struct scan *s, const char *p, bool *ret)
{
    const char *q = literal(p, s->end, "true");
    *ret = q != NULL;
    if (!q)
        q = literal(p, s->end, "false");
    return q ? q : scan_null(s, p, "true or false is expected");
}

static const char *condition(struct scan *s, const char *p, uint16_t *cond, size_t max, size_t *count)
{
    int64_t id;
    struct number n;
    const char *after = number_short_int(p, s->end, &id);
    if (!after) {
        after = number_scan(p, s->end, &n);
        if (!after || !number_int64(&n, &id))
            return scan_fail(s, "a condition is no integer");
    }
    if (id < 0 || id >= UINT16_MAX)
        return scan_fail(s, "a condition is out of range");
    if (*count < max)
        cond[*count] = (uint16_t)(id + 1);
    ++*count;
    return after;
}

const char *scan_conditions(struct scan *s, const char *p, uint16_t *cond, size_t max, bool *ret_more)
{
    size_t count = 0;
    memset(cond, 0, max * sizeof(*cond));
    *ret_more = false;
    if (p >= s->end || *p == 'n')
        return scan_null(s, p, "conditions are expected");
    if (*p != '[')
        return condition(s, p, cond, max, &count);
    p = scan_space(p + 1, s->end);
    if (p < s->end && *p == ']')
        return p + 1;
    for (;; p = scan_space(p + 1, s->end)) {
        p = condition(s, p, cond, max, &count);
        if (!p)
            return NULL;
        p = scan_space(p, s->end);
        if (p < s->end && *p == ']')
            break;
        if (p >= s->end || *p != ',')
            return scan_fail(s, "a comma or the end of an array is expected");
    }
    *ret_more = count > max;
    return p + 1;
}

static uint64_t fnv1a(struct event_text text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < text.n; i++)
        h = (h ^ (uint8_t)text.p[i]) * UINT64_C(0x100000001b3);
    return h;
}

const char *scan_id_hard(struct scan *s, const char *p, uint64_t *ret, bool *ret_hashed)
{
    struct event_text text = {p, 0};
    struct number number;
    const char *after;
    *ret = 0;
    *ret_hashed = false;
    if (p < s->end && *p == 'n')
        return scan_null(s, p, "an id is expected");
    if (p < s->end && *p == '"') {
        after = scan_text(s, p, &text);
        if (!after || text.n == 0)
            return after;
    } else {
        after = number_scan(p, s->end, &number);
        if (!after)
            return scan_fail(s, "an id is neither string nor number");
        text.n = (size_t)(after - p);
    }
    const char *end = text.p + text.n;
    /* Only the plain form counts as a number, so that "7", "07" and "7.0" stay three ids. */
    uint64_t value = 0;
    if (text.n <= 19 && (*text.p != '0' || text.n == 1) && number_digits(text.p, end, &value) == end &&
        value <= (uint64_t)INT64_MAX) {
        *ret = value;
    } else {
        *ret = fnv1a(text);
        *ret_hashed = true;
    }
    return after;
}

/* ----------------------------------------------------------------------------------------------- skipping */

static const char *skip_scalar(struct scan *s, const char *p)
{
    bool escapes;
    struct number n;
    const char *q = NULL;
    if (*p == '"')
        return string_end(s, p, &escapes);
    if (*p == 't')
        q = literal(p, s->end, "true");
    else if (*p == 'f')
        q = literal(p, s->end, "false");
    else if (*p == 'n')
        q = literal(p, s->end, "null");
    else
        q = number_scan(p, s->end, &n);
    return q ? q : scan_fail(s, "a value is expected");
}

/* Behind an object's opening or a comma in it: a key and its colon. */
static const char *skip_key(struct scan *s, const char *p)
{
    bool escapes;
    if (p >= s->end || *p != '"')
        return scan_fail(s, "a key is expected");
    p = string_end(s, p, &escapes);
    if (!p)
        return NULL;
    p = scan_space(p, s->end);
    if (p >= s->end || *p != ':')
        return scan_fail(s, "a colon is expected");
    return scan_space(p + 1, s->end);
}

const char *scan_skip(struct scan *s, const char *p)
{
    uint64_t objects = 0; /* bit 0: the innermost bracket is an object's */
    unsigned depth = 0;
    for (;;) {
        if (p >= s->end)
            return scan_fail(s, "a value is expected");
        if (*p == '{' || *p == '[') {
            bool object = *p == '{';
            if (depth++ == SCAN_DEPTH_MAX)
                return scan_fail(s, "values are nested too deep");
            objects = objects << 1 | object;
            p = scan_space(p + 1, s->end);
            if (p >= s->end || *p != (object ? '}' : ']')) {
                if (object)
                    p = skip_key(s, p);
                if (!p)
                    return NULL;
                continue;
            }
        } else {
            p = skip_scalar(s, p);
            if (!p || depth == 0)
                return p;
            p = scan_space(p, s->end);
        }
        /* Behind a value, or at the end of an empty one. */
        while (p < s->end && *p == ((objects & 1) ? '}' : ']')) {
            objects >>= 1;
            if (--depth == 0)
                return p + 1;
            p = scan_space(p + 1, s->end);
        }
        if (p >= s->end || *p != ',')
            return scan_fail(s, "a comma or a closing bracket is expected");
        p = scan_space(p + 1, s->end);
        if (objects & 1)
            p = skip_key(s, p);
        if (!p)
            return NULL;
    }
}

const char *scan_match(const char *p, const char *end)
{
    size_t depth = 0;
    for (; p < end; p++) {
        switch (*p) {
        case '"':
            for (p++; p < end && *p != '"'; p++)
                p += *p == '\\';
            if (p >= end)
                return NULL;
            break;
        case '{':
        case '[':
            depth++;
            continue;
        case '}':
        case ']':
            if (depth == 0)
                return p;
            depth--;
            break;
        case ',':
            if (depth == 0)
                return p;
            continue;
        default:
            continue;
        }
        if (depth == 0)
            return p + 1;
    }
    return NULL;
}

/* --------------------------------------------------------------------------------------------------- time */

bool scan_time_ns_hard(int64_t raw, int64_t *ret)
{
    int64_t per_s = raw >= INT64_C(100000000000000000) ? INT64_C(1000000000)
                    : raw >= INT64_C(100000000000000)  ? 1000000
                    : raw >= INT64_C(100000000000)     ? 1000
                                                       : 1;
    if (raw < SCAN_FIRST_S * per_s || raw > SCAN_LAST_S * per_s)
        return false;
    *ret = raw * (INT64_C(1000000000) / per_s);
    return true;
}
