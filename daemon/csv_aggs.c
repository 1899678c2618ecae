#include "csv_aggs.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "kernels/number.h"

#define TIME_MIN_NS INT64_C(631152000000000000)  /* 1990 */
#define TIME_MAX_NS INT64_C(4102444800000000000) /* 2100 */

enum column { TICKER, OPEN, CLOSE, HIGH, LOW, START, VOLUME, COUNT, COLUMNS };

static const char *const names[COLUMNS] = {"ticker", "open",         "close",  "high",
                                           "low",    "window_start", "volume", "transactions"};

/* One field of a line, unquoted in place. */
struct field {
    char *text;
    size_t size;
};

void csv_aggs_init(struct csv_aggs *c, const struct csv_aggs_sink *sink)
{
    memset(c, 0, offsetof(struct csv_aggs, text));
    c->sink = sink;
    c->line = 1;
}

/* ---------------------------------------------------------------------------------------------------- fields
 */

/* Takes the quotes off a field that begins with one. Returns the first character behind it, NULL: not closed,
 * or something stands behind the closing quote. */
static char *unquote(char *p, char *end, struct field *ret)
{
    char *to = p++;
    ret->text = to;
    for (; p < end; p++) {
        if (*p != '"') {
            *to++ = *p;
        } else if (p + 1 < end && p[1] == '"') {
            *to++ = *p++;
        } else {
            ret->size = (size_t)(to - ret->text);
            return p + 1 == end || p[1] == ',' ? p + 1 : NULL;
        }
    }
    return NULL;
}

/* Fields of a line; more than CSV_AGGS_COLUMNS or broken quotes: -1. */
static int split(char *p, size_t size, struct field *fields)
{
    char *end = p + size;
    unsigned n = 0;
    for (;;) {
        if (n == CSV_AGGS_COLUMNS)
            return -1;
        struct field *f = &fields[n++];
        if (p < end && *p == '"') {
            p = unquote(p, end, f);
            if (!p)
                return -1;
        } else {
            char *comma = memchr(p, ',', (size_t)(end - p));
            f->text = p;
            p = comma ? comma : end;
            f->size = (size_t)(p - f->text);
        }
        if (p == end)
            return (int)n;
        p++;
    }
}

static void trim(struct field *f)
{
    while (f->size && (f->text[f->size - 1] == ' ' || f->text[f->size - 1] == '\t'))
        f->size--;
    while (f->size && (f->text[0] == ' ' || f->text[0] == '\t')) {
        f->text++;
        f->size--;
    }
}

static bool is(const struct field *f, const char *name)
{
    return f->size == strlen(name) && memcmp(f->text, name, f->size) == 0;
}

/* ---------------------------------------------------------------------------------------------------- header
 */

static int refuse(struct csv_aggs *c, const char *why)
{
    c->refused = why;
    return -EPROTO;
}

static bool has(const struct field *fields, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (is(&fields[i], name))
            return true;
    return false;
}

static int take_header(struct csv_aggs *c, struct field *fields, int n)
{
    if (n < 0)
        return refuse(c, "its first line is no header");
    if (fields[0].size >= 3 && memcmp(fields[0].text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
        fields[0].text += 3;
        fields[0].size -= 3;
    }
    for (int i = 0; i < n; i++) {
        trim(&fields[i]);
        for (unsigned k = 0; k < COLUMNS; k++) {
            if (!is(&fields[i], names[k]))
                continue;
            if (c->columns[k])
                return refuse(c, "a column stands twice in its header");
            c->columns[k] = (uint8_t)(i + 1);
        }
    }
    c->column_count = (uint32_t)n;
    c->headed = true;
    if (!c->columns[OPEN] && (has(fields, n, "ask_price") || has(fields, n, "bid_price")))
        return refuse(c, "a file of quotes: only aggregates (minute_aggs, day_aggs) can be imported");
    if (!c->columns[OPEN] && has(fields, n, "price"))
        return refuse(c, "a file of trades: only aggregates (minute_aggs, day_aggs) can be imported");
    if (!c->columns[OPEN] && has(fields, n, "value"))
        return refuse(c, "a file of index values: only aggregates (minute_aggs, day_aggs) can be imported");
    for (unsigned k = 0; k <= START; k++)
        if (!c->columns[k])
            return refuse(c, "its header lacks ticker, open, close, high, low or window_start");
    return 0;
}

/* ----------------------------------------------------------------------------------------------------- lines
 */

static bool number_of(struct field *f, struct number *ret)
{
    trim(f);
    const char *end = f->text + f->size;
    return f->size && number_scan(f->text, end, ret) == end;
}

/* NULL, or what is wrong. An empty field of a column that may be absent is absent. */
static const char *double_of(struct field *f, double *ret)
{
    struct number n;
    if (!number_of(f, &n))
        return "not a number";
    *ret = number_double(&n);
    return isfinite(*ret) ? NULL : "a number is too large";
}

static struct field *at(const struct csv_aggs *c, struct field *fields, enum column column)
{
    return c->columns[column] ? &fields[c->columns[column] - 1] : NULL;
}

static const char *time_of(struct field *f, int64_t *ret_ms)
{
    struct number n;
    int64_t ns;
    if (!number_of(f, &n) || !number_int64(&n, &ns))
        return "window_start is no whole number";
    if (ns < TIME_MIN_NS || ns > TIME_MAX_NS)
        return "window_start is not in ns between 1990 and 2100";
    if (ns % 1000000 != 0)
        return "window_start is no whole millisecond";
    *ret_ms = ns / 1000000;
    return NULL;
}

static const char *count_of(struct field *f, uint32_t *ret)
{
    struct number n;
    int64_t count;
    trim(f);
    if (!f->size)
        return NULL;
    if (!number_of(f, &n) || !number_int64(&n, &count) || count < 0 || count >= PGD_N_ABSENT)
        return "transactions is no possible number";
    *ret = (uint32_t)count;
    return NULL;
}

static const char *bar_of(const struct csv_aggs *c, struct field *fields, struct pgd_bar *b)
{
    struct {
        enum column column;
        double *to;
    } const prices[] = {{OPEN, &b->o}, {CLOSE, &b->c}, {HIGH, &b->h}, {LOW, &b->l}};
    const char *why = time_of(at(c, fields, START), &b->t);
    for (size_t i = 0; i < 4 && !why; i++)
        why = double_of(at(c, fields, prices[i].column), prices[i].to);
    struct field *volume = at(c, fields, VOLUME), *count = at(c, fields, COUNT);
    if (!why && volume) {
        trim(volume);
        if (volume->size)
            why = double_of(volume, &b->v);
    }
    if (!why && count)
        why = count_of(count, &b->n);
    if (!why && b->h < b->l)
        why = "the high is below the low";
    if (!why && b->v < 0)
        why = "the volume is negative";
    return why;
}

static const char *take_bar(struct csv_aggs *c, struct field *fields, int n)
{
    if (n < 0)
        return "broken quotes, or too many fields";
    if ((uint32_t)n != c->column_count)
        return "not as many fields as the header has";
    struct field *ticker = at(c, fields, TICKER);
    trim(ticker);
    if (ticker->size == 0 || ticker->size >= PGD_SYMBOL_MAX || memchr(ticker->text, '\0', ticker->size))
        return "not a possible ticker";
    char name[PGD_SYMBOL_MAX];
    memcpy(name, ticker->text, ticker->size);
    name[ticker->size] = '\0';
    struct pgd_bar bar = {.v = NAN, .vw = NAN, .n = PGD_N_ABSENT, .flags = PGD_BAR_REST};
    const char *why = bar_of(c, fields, &bar);
    if (!why)
        c->sink->bar(c->sink->user, name, &bar);
    return why;
}

static int take_line(struct csv_aggs *c)
{
    struct field fields[CSV_AGGS_COLUMNS];
    if (c->size && c->text[c->size - 1] == '\r')
        c->size--;
    const char *why = NULL;
    int r = 0;
    if (c->too_long)
        why = "longer than a line can be";
    else if (c->size && !c->headed)
        r = take_header(c, fields, split(c->text, c->size, fields));
    else if (c->size)
        why = take_bar(c, fields, split(c->text, c->size, fields));
    if (why && !c->headed)
        r = refuse(c, "its first line is no header");
    else if (why)
        c->sink->bad(c->sink->user, c->line, why);
    c->line++;
    c->size = 0;
    c->too_long = false;
    return r;
}

static void gather(struct csv_aggs *c, const char *bytes, size_t size)
{
    if (c->too_long || size > sizeof c->text - c->size) {
        c->too_long = true;
        return;
    }
    memcpy(c->text + c->size, bytes, size);
    c->size += size;
}

int csv_aggs_push(struct csv_aggs *c, const char *bytes, size_t size)
{
    const char *end = bytes + size;
    while (bytes < end && !c->refused) {
        const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        const char *stop = newline ? newline : end;
        gather(c, bytes, (size_t)(stop - bytes));
        if (!newline)
            break;
        (void)take_line(c);
        bytes = stop + 1;
    }
    return c->refused ? -EPROTO : 0;
}

int csv_aggs_end(struct csv_aggs *c)
{
    if (!c->refused && (c->size || c->too_long))
        (void)take_line(c);
    if (!c->headed && !c->refused)
        return refuse(c, "it is empty");
    return c->refused ? -EPROTO : 0;
}
