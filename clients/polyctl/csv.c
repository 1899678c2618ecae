#include "csv.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kernels/number.h"

#define NUMBER_MAX 400u                    /* characters of one: a double written out in full has 309 */
#define T_LEAST    INT64_C(-2208988800000) /* 1900 */
#define T_MOST     INT64_C(4102444800000)  /* 2100 */

static const char *const names[CSV_FIELDS] = {"", "t", "o", "h", "l", "c", "v", "vw"};

struct text {
    const char *at, *end;
};

__attribute__((format(printf, 2, 3))) static int refuse(char *reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, CSV_REASON_SIZE, format, args);
    va_end(args);
    return -EINVAL;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct text trim(struct text text)
{
    while (text.at < text.end && is_space(*text.at))
        text.at++;
    while (text.end > text.at && is_space(text.end[-1]))
        text.end--;
    return text;
}

static const char *line_end(const char *line, const char *end)
{
    return end > line && end[-1] == '\r' ? end - 1 : end;
}

/* The comma behind the field at `at`, or the end of the line. */
static const char *field_end(const char *at, const char *end)
{
    const char *p = at;
    while (p < end && is_space(*p))
        p++;
    if (p < end && *p == '"') {
        const char *quote = memchr(p + 1, '"', (size_t)(end - p - 1));
        while (quote && quote + 1 < end && quote[1] == '"') /* doubled: one of the text */
            quote = memchr(quote + 2, '"', (size_t)(end - quote - 2));
        if (quote)
            p = quote;
    }
    const char *comma = p < end ? memchr(p, ',', (size_t)(end - p)) : NULL;
    return comma ? comma : end;
}

/* What stands in a field, without spaces and quotes. */
static struct text field_text(const char *at, const char *end)
{
    struct text text = trim((struct text){at, end});
    if (text.end - text.at >= 2 && *text.at == '"' && text.end[-1] == '"') {
        text.at++;
        text.end--;
        text = trim(text);
    }
    return text;
}

static bool is_word(struct text text, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(text.end - text.at) == n && strncasecmp(text.at, word, n) == 0;
}

int csv_header(struct csv *ret, const char *line, const char *end, char reason[CSV_REASON_SIZE])
{
    struct csv csv = {0};
    unsigned seen = 0;
    end = line_end(line, end);
    if (end - line >= 2 && memcmp(line, "\x1f\x8b", 2) == 0)
        return refuse(reason, "gzip: zcat FILE | polyctl compute -");
    if (end - line >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0)
        line += 3;
    for (const char *at = line;; at++) {
        const char *next = field_end(at, end);
        struct text text = field_text(at, next);
        if (csv.columns == CSV_COLUMNS_MAX)
            return refuse(reason, "more than %u columns", CSV_COLUMNS_MAX);
        for (uint8_t i = CSV_T; i < CSV_FIELDS; i++) {
            if (!is_word(text, names[i]))
                continue;
            if (seen >> i & 1u)
                return refuse(reason, "two columns %s", names[i]);
            seen |= 1u << i;
            csv.field[csv.columns] = i;
        }
        csv.columns++;
        at = next;
        if (at == end)
            break;
    }
    for (unsigned i = CSV_T; i <= CSV_C; i++)
        if (!(seen >> i & 1u))
            return refuse(
                reason, "no column %s: the first line names the columns, with commas, such as t,o,h,l,c,v,vw",
                names[i]);
    *ret = csv;
    return 0;
}

/* A number that JSON would not take: "+1", ".5", "1.". */
static bool parse_loose(struct text text, double *ret)
{
    char copy[NUMBER_MAX + 1];
    size_t n = (size_t)(text.end - text.at);
    if (n == 0 || n > NUMBER_MAX)
        return false;
    memcpy(copy, text.at, n);
    copy[n] = '\0';
    if (strspn(copy, "0123456789.+-eE") != n)
        return false;
    char *stop;
    *ret = strtod(copy, &stop);
    return stop == copy + n;
}

static bool absent(struct text text)
{
    return text.at == text.end || is_word(text, "nan") || is_word(text, "null") || is_word(text, "none") ||
           is_word(text, "na");
}

/* What is no plain number up to the comma. */
static int parse_slow(struct text field, uint8_t kind, double *ret, char *reason)
{
    struct text text = field_text(field.at, field.end);
    struct number number;
    int width = text.end - text.at < 24 ? (int)(text.end - text.at) : 24;
    if (absent(text)) {
        *ret = (double)NAN;
        return kind >= CSV_V ? 0 : refuse(reason, "%s is missing", names[kind]);
    }
    if (number_scan(text.at, text.end, &number) == text.end)
        *ret = number_double(&number);
    else if (!parse_loose(text, ret))
        return refuse(reason, "%s is not a number: %.*s", names[kind], width, text.at);
    return 0;
}

static int refuse_time(struct text text, const char *why, char *reason)
{
    int width = text.end - text.at < 24 ? (int)(text.end - text.at) : 24;
    return refuse(reason, "t is not %s: %.*s", why, width, text.at);
}

static int parse_time(const struct number *plain, struct text field, int64_t *ret, char *reason)
{
    struct number again;
    struct text text = field;
    if (!plain) {
        text = field_text(field.at, field.end);
        if (absent(text))
            return refuse(reason, "t is missing");
        plain = number_scan(text.at, text.end, &again) == text.end ? &again : NULL;
    }
    if (!plain || !number_int64(plain, ret))
        return refuse_time(text, "a time in whole ms since 1970", reason);
    if (*ret < T_LEAST || *ret >= T_MOST)
        return refuse_time(text, "between 1900 and 2100, in ms since 1970", reason);
    return 0;
}

struct row {
    int64_t t;
    double value[CSV_FIELDS];
};

static int check(const struct row *row, char *reason)
{
    for (unsigned i = CSV_O; i < CSV_FIELDS; i++)
        if (isinf(row->value[i]))
            return refuse(reason, "%s is not finite", names[i]);
    if (row->value[CSV_V] < 0)
        return refuse(reason, "the volume is negative");
    return 0;
}

/* One wanted field; *ret_end: the comma behind it, or the end of the line. */
static int parse_field(struct row *row, uint8_t kind, const char *at, const char *end, const char **ret_end,
                       char *reason)
{
    struct number number;
    const char *next = number_scan(at, end, &number);
    bool plain = next && (next == end || *next == ',');
    if (!plain)
        next = field_end(at, end);
    *ret_end = next;
    if (kind == CSV_T)
        return parse_time(plain ? &number : NULL, (struct text){at, next}, &row->t, reason);
    if (!plain)
        return parse_slow((struct text){at, next}, kind, &row->value[kind], reason);
    row->value[kind] = number_double(&number);
    return 0;
}

int csv_bar(const struct csv *csv, const char *line, const char *end, struct pgd_bar *ret,
            char reason[CSV_REASON_SIZE])
{
    struct row row = {.value = {[CSV_V] = (double)NAN, [CSV_VW] = (double)NAN}};
    uint32_t columns = 0;
    const char *at = line;
    end = line_end(line, end);
    if (trim((struct text){line, end}).at == end)
        return 0;
    for (;; at++) {
        uint8_t kind = columns < csv->columns ? csv->field[columns] : CSV_OTHER;
        int rc = 0;
        if (kind == CSV_OTHER)
            at = field_end(at, end);
        else
            rc = parse_field(&row, kind, at, end, &at, reason);
        if (rc < 0)
            return rc;
        columns++;
        if (at == end)
            break;
    }
    if (columns != csv->columns)
        return refuse(reason, "%u fields, the header has %u", columns, csv->columns);
    if (check(&row, reason) < 0)
        return -EINVAL;
    *ret = (struct pgd_bar){.t = row.t,
                            .o = row.value[CSV_O],
                            .h = row.value[CSV_H],
                            .l = row.value[CSV_L],
                            .c = row.value[CSV_C],
                            .v = row.value[CSV_V],
                            .vw = row.value[CSV_VW]};
    return 1;
}
