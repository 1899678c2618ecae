/* daemon/decode.c */
#include "decode.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "ws.h"

#define INPUT_MAX   (256u << 20)
#define UNENDED_MAX 16u  /* after so many searches to the end of the file a message is a line */
#define RAW_MAX     200u /* bytes of a refused event that are shown */

struct decode {
    FILE *out;
    enum pgd_cluster cluster;
    uint64_t refused;
    unsigned unended; /* messages of which no end was found */
};

/* ------------------------------------------------------------------------------------------------- output */

static void put_text(FILE *out, struct event_text text)
{
    fputc('"', out);
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = (uint8_t)text.p[i];
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

/* Bytes that may be no text at all: those beyond ASCII are shown as the characters U+0080 to U+00FF. */
static void put_raw(FILE *out, const char *key, struct event_text raw)
{
    fprintf(out, ",\"%s\":\"", key);
    for (size_t i = 0; i < raw.n && i < RAW_MAX; i++) {
        uint8_t c = (uint8_t)raw.p[i];
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

/* The fewest digits that read back as the same bits; NaN is absent. */
static void put_double(FILE *out, const char *key, double value)
{
    char text[32] = "null";
    for (int digits = 15; !isnan(value) && digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    fprintf(out, ",\"%s\":%s", key, text);
}

static void put_count(FILE *out, const char *key, uint64_t value, bool present)
{
    if (present)
        fprintf(out, ",\"%s\":%" PRIu64, key, value);
    else
        fprintf(out, ",\"%s\":null", key);
}

static void put_time(FILE *out, int64_t ns)
{
    fprintf(out, ",\"t\":%" PRId64 ",\"t_ns\":%" PRId64, ns / 1000000, ns);
}

static void put_conditions(FILE *out, const uint16_t *cond, size_t n)
{
    fputs(",\"cond\":[", out);
    for (size_t i = 0; i < n && cond[i]; i++)
        fprintf(out, "%s%d", i ? "," : "", cond[i] - 1);
    fputc(']', out);
}

static void put_flags(FILE *out, unsigned flags)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{PGD_ID_HASHED, "id_hashed"},
                 {PGD_MORE_CONDITIONS, "more_conditions"},
                 {PGD_FILLED, "filled"},
                 {PGD_SEQ_WRAPPED, "seq_wrapped"},
                 {PGD_VALUE, "value"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (flags & names[i].bit)
            fprintf(out, ",\"%s\":true", names[i].name);
}

static const char *wire_name(enum event_type type)
{
    static const char *const names[EVENT_TYPES] = {
#define X(id, name, class) [EVENT_##id] = name,
#include "events.def"
#undef X
    };
    return type < EVENT_TYPES ? names[type] : NULL;
}

static void put_head(FILE *out, const char *type, const struct event *e)
{
    fprintf(out, "{\"type\":\"%s\",\"ev\":\"%s\"", type, wire_name(e->type));
    if (e->symbol.n) {
        fputs(",\"symbol\":", out);
        put_text(out, e->symbol);
    }
}

static void put_trade(FILE *out, const struct event *e)
{
    const struct pgd_trade *t = &e->trade;
    put_head(out, "trade", e);
    put_time(out, t->t);
    put_double(out, "price", t->price);
    put_double(out, "size", t->size);
    put_count(out, "exchange", t->exchange, t->exchange);
    put_count(out, "trf", t->trf, t->trf);
    put_count(out, "tape", t->flags & PGD_TAPE_MASK, t->flags & PGD_TAPE_MASK);
    put_count(out, "seq", t->seq, t->seq);
    /* A hash has 64 bits, more than some readers' integers: as text. */
    if (t->flags & PGD_ID_HASHED)
        fprintf(out, ",\"id\":\"%016" PRIx64 "\"", t->id);
    else
        put_count(out, "id", t->id, t->id);
    put_conditions(out, t->cond, 4);
    put_flags(out, t->flags);
}

static void put_quote(FILE *out, const struct event *e)
{
    const struct pgd_quote *q = &e->quote;
    put_head(out, "quote", e);
    put_time(out, q->t);
    put_double(out, "bid", q->bid);
    put_double(out, "ask", q->ask);
    put_double(out, "bid_size", q->bid_size);
    put_double(out, "ask_size", q->ask_size);
    put_count(out, "bid_exchange", q->bid_exchange, q->bid_exchange);
    put_count(out, "ask_exchange", q->ask_exchange, q->ask_exchange);
    put_count(out, "tape", q->flags & PGD_TAPE_MASK, q->flags & PGD_TAPE_MASK);
    put_count(out, "seq", q->seq, q->seq || (q->flags & PGD_SEQ_WRAPPED));
    put_conditions(out, &q->cond, 1);
    put_flags(out, q->flags);
}

static void put_bar(FILE *out, const struct event *e)
{
    const struct pgd_bar *b = &e->bar.bar;
    const struct pgd_day *d = &e->bar.day;
    put_head(out, "bar", e);
    fprintf(out, ",\"t\":%" PRId64, b->t);
    put_count(out, "end", (uint64_t)e->bar.end, e->bar.end);
    put_double(out, "o", b->o);
    put_double(out, "h", b->h);
    put_double(out, "l", b->l);
    put_double(out, "c", b->c);
    put_double(out, "v", b->v);
    put_double(out, "vw", b->vw);
    put_count(out, "n", b->n, b->n != PGD_N_ABSENT);
    put_double(out, "op", d->op);
    put_double(out, "av", d->av);
    put_double(out, "a", d->a);
    fprintf(out, ",\"otc\":%s", (b->flags & PGD_BAR_OTC) ? "true" : "false");
}

static void on_event(void *user, const struct event *e)
{
    struct decode *d = user;
    switch (e->class) {
    case EVENT_CLASS_TRADE:
        put_trade(d->out, e);
        break;
    case EVENT_CLASS_QUOTE:
        put_quote(d->out, e);
        break;
    case EVENT_CLASS_BAR:
        put_bar(d->out, e);
        break;
    case EVENT_CLASS_STATUS:
        put_head(d->out, "status", e);
        fputs(",\"status\":", d->out);
        put_text(d->out, e->status.status);
        fputs(",\"message\":", d->out);
        put_text(d->out, e->status.message);
        break;
    case EVENT_CLASS_COUNTED:
        put_head(d->out, "counted", e);
        if (e->counted.t)
            put_time(d->out, e->counted.t);
        break;
    }
    fputs("}\n", d->out);
}

static void put_refused(struct decode *d, const char *fault, const char *reason, struct event_text raw)
{
    d->refused++;
    fprintf(d->out, "{\"refused\":\"%s\",\"fault\":\"%s\"", reason, fault);
    put_raw(d->out, "raw", raw);
}

static void on_fault(void *user, enum event_fault fault, const char *reason, const struct event *e,
                     struct event_text raw)
{
    struct decode *d = user;
    put_refused(d,
                fault == EVENT_MALFORMED ? "malformed"
                : fault == EVENT_REFUSED ? "refused"
                                         : "unknown",
                reason, raw);
    if (wire_name(e->type))
        fprintf(d->out, ",\"ev\":\"%s\"", wire_name(e->type));
    if (e->symbol.n)
        put_raw(d->out, "symbol", e->symbol);
    fputs("}\n", d->out);
}

/* -------------------------------------------------------------------------------------------------- input */

static int read_all(FILE *in, char **ret, size_t *ret_size)
{
    size_t room = 1u << 16;
    size_t size = 0;
    char *data = malloc(room);
    while (data) {
        size += fread(data + size, 1, room - size, in);
        if (size < room)
            break;
        if (room >= INPUT_MAX) {
            free(data);
            return -EFBIG;
        }
        room *= 2;
        char *more = realloc(data, room);
        if (!more)
            free(data);
        data = more;
    }
    if (!data)
        return -ENOMEM;
    if (ferror(in)) {
        free(data);
        return -EIO;
    }
    *ret = data;
    *ret_size = size;
    return 0;
}

static int load(const char *path, char **ret, size_t *ret_size)
{
    if (strcmp(path, "-") == 0)
        return read_all(stdin, ret, ret_size);
    FILE *in = fopen(path, "rb");
    if (!in)
        return -errno;
    int r = read_all(in, ret, ret_size);
    fclose(in);
    return r;
}

/* End of the JSON value at `p` by its brackets, NULL when they are not all closed. */
static const char *value_end(const char *p, const char *end)
{
    size_t depth = 0;
    bool string = false;
    for (; p < end; p++) {
        if (string) {
            if (*p == '\\')
                p++;
            else if (*p == '"')
                string = false;
        } else if (*p == '"') {
            string = true;
        } else if (*p == '{' || *p == '[') {
            depth++;
        } else if (*p == '}' || *p == ']') {
            if (depth <= 1)
                return p + 1;
            depth--;
        }
    }
    return NULL;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The message at `p`: its line, or all the lines it takes when the first leaves brackets open and a later one
 * closes them. */
static const char *message_end(struct decode *d, const char *p, const char *end)
{
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    const char *line = newline ? newline : end;
    if (d->unended == UNENDED_MAX || (*p != '[' && *p != '{'))
        return line;
    const char *closed = value_end(p, end);
    d->unended += closed == NULL;
    return closed && closed > line ? closed : line;
}

static void unreadable(struct decode *d, const char *reason, const char *text, size_t size)
{
    put_refused(d, "malformed", reason, (struct event_text){text, size});
    fputs("}\n", d->out);
}

static void decode_ws(struct decode *d, const char *text, size_t size, const struct parse_sink *sink)
{
    const char *end = text + size;
    while (text < end) {
        if (is_space(*text)) {
            text++;
            continue;
        }
        const char *stop = message_end(d, text, end);
        size_t n = (size_t)(stop - text);
        if (!ws_is_utf8((const uint8_t *)text, n))
            unreadable(d, "a message is not UTF-8", text, n);
        else if (parse_ws(text, n, d->cluster, sink) < 0)
            unreadable(d, "not a message, or damaged from some event on", text, n);
        text = stop;
    }
}

static void tell(const char *what, struct event_text text)
{
    if (text.n)
        fprintf(stderr, "%s: %.*s\n", what, (int)text.n, text.p);
}

static void decode_rest(struct decode *d, const char *text, size_t size, const struct parse_sink *sink)
{
    struct parse_page page;
    if (!ws_is_utf8((const uint8_t *)text, size)) {
        unreadable(d, "an answer is not UTF-8", text, size);
        return;
    }
    if (parse_rest(text, size, &page, sink) < 0)
        unreadable(d, "not an answer, or damaged from some row on", text, size);
    tell("status", page.status);
    tell("message", page.message);
    tell("ticker", page.ticker);
    tell("next_url", page.next_url);
    fprintf(stderr, "rows: %" PRIu64 ", refused: %" PRIu64 "\n", page.rows, page.bad_rows);
}

static int cluster_of(const char *name)
{
    static const char *const names[PGD_CLUSTERS] = {
        [PGD_STOCKS] = "stocks", [PGD_OPTIONS] = "options", [PGD_CRYPTO] = "crypto",
        [PGD_FOREX] = "forex",   [PGD_INDICES] = "indices", [PGD_FUTURES] = "futures",
    };
    if (!name)
        return PGD_STOCKS;
    for (int i = PGD_STOCKS; i < PGD_CLUSTERS; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -EINVAL;
}

int decode_main(const char *kind, const char *path, const char *cluster)
{
    bool ws = strcmp(kind, "ws") == 0;
    int c = cluster_of(cluster);
    if ((!ws && strcmp(kind, "rest") != 0) || c < 0) {
        fprintf(stderr, "polygond: decode: %s '%s'\n", c < 0 ? "unknown cluster" : "ws or rest, not",
                c < 0 ? cluster : kind);
        return 2;
    }
    char *text;
    size_t size;
    int r = load(path, &text, &size);
    if (r < 0) {
        fprintf(stderr, "polygond: decode: %s: %s\n", path, strerror(-r));
        return 1;
    }
    struct decode d = {.out = stdout, .cluster = (enum pgd_cluster)c};
    struct parse_sink sink = {.event = on_event, .fault = on_fault, .user = &d};
    if (ws)
        decode_ws(&d, text, size, &sink);
    else
        decode_rest(&d, text, size, &sink);
    free(text);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "polygond: decode: standard output: %s\n", strerror(errno));
        return 1;
    }
    return d.refused ? 1 : 0;
}
