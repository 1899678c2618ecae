/* out.c - the three writers. */
#include "out.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

void out_init(struct out *out, const struct args *args)
{
    *out = (struct out){.file = stdout, .since_header = -1, .local = args_has(args, OPT_LOCAL)};
    out->format = args_has(args, OPT_JSON) ? OUT_JSON : args_has(args, OPT_CSV) ? OUT_CSV : OUT_TEXT;
    struct winsize w;
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0) {
        out->columns = w.ws_col;
        out->height = w.ws_row > 8 ? w.ws_row - 2 : 0;
    }
    const char *columns = getenv("COLUMNS");
    if (columns && atoi(columns) > 0)
        out->columns = atoi(columns);
    if (out->local)
        tzset();
}

/* --------------------------------------------------------------------------------------------------- text */

static void clock_text(char *to, size_t size, const struct cell *c, bool local)
{
    int64_t ms = c->kind == CELL_TIME_NS ? c->i / 1000000 : c->i;
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    if (!(local ? localtime_r(&s, &tm) : gmtime_r(&s, &tm))) {
        snprintf(to, size, "-");
        return;
    }
    size_t n;
    if (c->flags & CELL_YEAR)
        n = strftime(to, size, "%Y-%m-%d %H:%M:%S", &tm);
    else if (c->flags & (CELL_SECONDS | CELL_MILLIS))
        n = strftime(to, size, "%H:%M:%S", &tm);
    else
        n = strftime(to, size, "%m-%d %H:%M", &tm);
    if (c->flags & CELL_MILLIS)
        snprintf(to + n, size - n, ".%03d", (int)(ms % 1000));
}

static void list_text(char *to, size_t size, const struct cell *c)
{
    size_t n = 0;
    to[0] = '\0';
    for (unsigned i = 0; i < c->list.count && n + 8 < size; i++)
        n += (size_t)snprintf(to + n, size - n, "%s%u", i ? "," : "", (unsigned)c->list.values[i]);
}

/* A control character in a name or message must not reach the terminal. */
static void plain_text(char *to, size_t size, const char *from)
{
    size_t n = 0;
    for (; from[n] && n + 1 < size; n++)
        to[n] = (unsigned char)from[n] < ' ' || from[n] == 0x7f ? '?' : from[n];
    to[n] = '\0';
}

static void cell_text(char *to, size_t size, const struct cell *c, bool local)
{
    switch (c->kind) {
    case CELL_NULL:
        snprintf(to, size, "-");
        break;
    case CELL_TEXT:
    case CELL_WORDS:
        plain_text(to, size, c->text);
        break;
    case CELL_INT:
        snprintf(to, size, "%" PRId64, c->i);
        break;
    case CELL_UINT:
        snprintf(to, size, "%" PRIu64, c->u);
        break;
    case CELL_NUMBER:
        number_brief(to, size, c->d, c->flags);
        break;
    case CELL_TIME_MS:
    case CELL_TIME_NS:
        clock_text(to, size, c, local);
        break;
    case CELL_FLAG:
        snprintf(to, size, "%s", c->flag ? "yes" : "no");
        break;
    case CELL_LIST:
        list_text(to, size, c);
        break;
    }
}

static void header_text(char *to, size_t size, const struct cell *c, bool local)
{
    bool clock = c->kind == CELL_TIME_MS || c->kind == CELL_TIME_NS;
    snprintf(to, size, "%s%s%s", c->name, clock ? " " : "", !clock ? "" : local ? "local" : "UTC");
}

static int stream_width(const struct cell *c)
{
    int name = (int)strlen(c->name);
    int least = c->width;
    if (c->kind == CELL_TIME_MS || c->kind == CELL_TIME_NS)
        least = c->flags & CELL_MILLIS ? 12 : c->flags & CELL_SECONDS ? 8 : c->flags & CELL_YEAR ? 19 : 11;
    return name > least ? name : least;
}

/* One line with fixed widths, as many columns as fit. */
static void stream_line(struct out *out, const struct cell *cells, unsigned count, bool header)
{
    int used = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct cell *c = &cells[i];
        if (c->flags & CELL_NO_TEXT)
            continue;
        int width = stream_width(c);
        if (out->columns && used && used + 1 + width > out->columns)
            break;
        char text[512];
        if (header)
            header_text(text, sizeof text, c, out->local);
        else
            cell_text(text, sizeof text, c, out->local);
        fprintf(out->file, "%s%*s", used ? " " : "", c->flags & CELL_LEFT ? -width : width, text);
        used += width + (used ? 1 : 0);
    }
    fputc('\n', out->file);
}

static void stream_row(struct out *out, const struct cell *cells, unsigned count)
{
    if (out->since_header < 0 || (out->height && out->since_header >= out->height)) {
        stream_line(out, cells, count, true);
        out->since_header = 0;
    }
    stream_line(out, cells, count, false);
    out->since_header++;
}

static void hold_text(struct out *out, const char *text)
{
    size_t n = strlen(text) + 1;
    if (out->held_size + n > out->held_room) {
        size_t room = (out->held_room + n) * 2;
        char *held = realloc(out->held, room);
        if (!held) {
            say("out of memory", "table too large");
            exit(EXIT_FAILED);
        }
        out->held = held;
        out->held_room = room;
    }
    memcpy(out->held + out->held_size, text, n);
    out->held_size += n;
}

static void hold_row(struct out *out, const struct cell *cells, unsigned count, bool header)
{
    unsigned column = 0;
    for (unsigned i = 0; i < count; i++) {
        char text[512];
        if (cells[i].flags & CELL_NO_TEXT)
            continue;
        if (header)
            header_text(text, sizeof text, &cells[i], out->local);
        else
            cell_text(text, sizeof text, &cells[i], out->local);
        hold_text(out, text);
        if (cells[i].flags & CELL_LEFT && column < 32)
            out->held_left |= 1u << column;
        column++;
    }
    out->held_columns = column;
    out->held_rows++;
}

static void print_held(struct out *out, const int *widths)
{
    const char *text = out->held;
    for (unsigned row = 0; row < out->held_rows; row++) {
        int used = 0;
        bool full = false;
        for (unsigned i = 0; i < out->held_columns; i++, text += strlen(text) + 1) {
            bool last = i + 1 == out->held_columns, left = i < 32 && out->held_left >> i & 1u;
            if (full || (out->columns && used && !last && used + 2 + widths[i] > out->columns)) {
                full = true;
                continue;
            }
            fprintf(out->file, "%s%*s", used ? "  " : "",
                    last && left ? 0
                    : left       ? -widths[i]
                                 : widths[i],
                    text);
            used += widths[i] + 2;
        }
        fputc('\n', out->file);
    }
}

static void flush_held(struct out *out)
{
    int *widths = calloc(out->held_columns + 1u, sizeof *widths);
    const char *text = out->held;
    if (widths && out->held_rows > 0) {
        for (unsigned k = 0; k < out->held_rows * out->held_columns; k++, text += strlen(text) + 1) {
            int n = (int)strlen(text), *w = &widths[k % out->held_columns];
            *w = n > *w ? n : *w;
        }
        print_held(out, widths);
    }
    free(widths);
    free(out->held);
    out->held = NULL;
    out->held_size = out->held_room = 0;
    out->held_rows = out->held_columns = out->held_left = 0;
}

static void text_row(struct out *out, const struct cell *cells, unsigned count)
{
    if (out->stream) {
        stream_row(out, cells, count);
        return;
    }
    if (out->held_rows == 0)
        hold_row(out, cells, count, true);
    hold_row(out, cells, count, false);
}

/* ------------------------------------------------------------------------------------------------ machine */

/* Bytes of the UTF-8 sequence at p, 0 when it is none. */
static unsigned utf8_length(const unsigned char *p)
{
    unsigned n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : 0;
    if (p[0] >= 0xf0 && p[0] < 0xf5)
        n = 4;
    for (unsigned i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

void json_text(FILE *f, const char *text)
{
    fputc('"', f);
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        unsigned n = utf8_length(p);
        if (n == 0)
            fputs("\\ufffd", f);
        else if (*p == '"' || *p == '\\')
            fprintf(f, "\\%c", *p);
        else if (*p < ' ')
            fprintf(f, "\\u%04x", *p);
        else
            fwrite(p, 1, n, f);
        p += n ? n : 1;
    }
    fputc('"', f);
}

static void json_words(FILE *f, const char *list)
{
    fputc('[', f);
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ",");
        fprintf(f, "%s\"%.*s\"", p == list ? "" : ",", (int)n, p);
        p += n + (p[n] == ',');
    }
    fputc(']', f);
}

/* Numbers of the machine formats, "" for null. */
static void machine_text(char *to, size_t size, const struct cell *c)
{
    to[0] = '\0';
    if (c->kind == CELL_INT || c->kind == CELL_TIME_MS)
        snprintf(to, size, "%" PRId64, c->i);
    else if (c->kind == CELL_UINT)
        snprintf(to, size, "%" PRIu64, c->u);
    else if (c->kind == CELL_FLAG)
        snprintf(to, size, "%s", c->flag ? "true" : "false");
    else if (c->kind == CELL_NUMBER && isfinite(c->d))
        number_text(to, size, c->d);
    else if (c->kind == CELL_TIME_NS && c->i % 1000000 == 0)
        snprintf(to, size, "%" PRId64, c->i / 1000000);
    else if (c->kind == CELL_TIME_NS)
        snprintf(to, size, "%" PRId64 ".%06d", c->i / 1000000, abs((int)(c->i % 1000000)));
    else if (c->kind == CELL_LIST)
        list_text(to, size, c);
}

static void json_value(FILE *f, const struct cell *c)
{
    char text[64];
    if (c->kind == CELL_TEXT) {
        json_text(f, c->text);
        return;
    }
    if (c->kind == CELL_WORDS) {
        json_words(f, c->text);
        return;
    }
    machine_text(text, sizeof text, c);
    if (c->kind == CELL_LIST)
        fprintf(f, "[%s]", text);
    else
        fputs(text[0] ? text : "null", f);
}

void json_cells(FILE *f, const struct cell *cells, unsigned count)
{
    bool first = true;
    for (unsigned i = 0; i < count; i++) {
        if (cells[i].flags & CELL_NO_JSON)
            continue;
        fprintf(f, "%s\"%s\":", first ? "" : ",", cells[i].name);
        json_value(f, &cells[i]);
        first = false;
    }
}

static void csv_text(FILE *f, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', f);
        fputc(*text, f);
    }
    fputc('"', f);
}

static void csv_row(FILE *f, const struct cell *cells, unsigned count, bool header)
{
    bool first = true;
    for (unsigned i = 0; i < count; i++) {
        const struct cell *c = &cells[i];
        char text[64];
        if (c->flags & CELL_NO_CSV)
            continue;
        if (!first)
            fputc(',', f);
        first = false;
        machine_text(text, sizeof text, c);
        bool is_text = c->kind == CELL_TEXT || c->kind == CELL_WORDS;
        csv_text(f, header ? c->name : is_text ? c->text : text);
    }
    fputc('\n', f);
}

void out_row(struct out *out, const struct cell *cells, unsigned count)
{
    if (out->format == OUT_TEXT) {
        text_row(out, cells, count);
    } else if (out->format == OUT_JSON) {
        fputc('{', out->file);
        json_cells(out->file, cells, count);
        fputs("}\n", out->file);
    } else {
        if (out->since_header < 0)
            csv_row(out->file, cells, count, true);
        out->since_header = 0;
        csv_row(out->file, cells, count, false);
    }
}

void out_reshape(struct out *out)
{
    out_end(out);
    out->since_header = -1;
}

void out_end(struct out *out)
{
    if (out->format == OUT_TEXT && !out->stream)
        flush_held(out);
}
