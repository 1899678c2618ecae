#include "kernels/sheet.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/number.h"

#define SLICE_ROWS  128u
#define SLICES      64u /* of one call at most: rows beyond are another job */
#define THREADS_MAX 16u
#define NAME_ROOM   (SHEET_NAME_SIZE + 8)
#define PREFIX_ROOM (2 * PGD_SYMBOL_MAX + 16)

struct name {
    char text[NAME_ROOM]; /* `,"sma_20":` */
    size_t length;
};

/* How a row begins: its symbol. */
struct prefix {
    char text[PREFIX_ROOM];
    size_t length;
};

/* The text of the slices of one job. */
struct page {
    char *text[SLICES];
    size_t length[SLICES];
    unsigned count;
};

struct sheet {
    int fd;
    bool json;
    bool symbol;
    struct sheet_column *columns;
    size_t count;              /* columns */
    struct name *names;        /* of JSON */
    struct prefix next_prefix; /* of the next job */
    size_t row_size;           /* bytes a row can take */
    int error;
    /* The job: its slices are taken, by whoever comes, from `next`: serial << 32 | slice. */
    struct pgk_history_rows rows;
    struct prefix prefix;
    struct page pages[2];
    unsigned page; /* being printed; the other one is being written */
    _Atomic uint64_t next;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t posted, finished;
    uint32_t serial; /* of the job posted last */
    unsigned done;   /* its slices */
    bool quit;
    pthread_t threads[THREADS_MAX];
    unsigned wanted, started;
};

/* --------------------------------------------------------------------------------------------------- text */

static char *append(char *to, const char *text, size_t n)
{
    memcpy(to, text, n);
    return to + n;
}

/* The fewest digits behind the point, up to seven, that read back as `x`: such a number is the quotient of
 * two integers that are doubles themselves, so dividing them rounds as reading the text does. */
static char *print_field(char *to, double x)
{
    static const double scales[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7};
    for (unsigned d = 0; d < sizeof scales / sizeof scales[0] && fabs(x) < 1e8; d++) {
        double scaled = rint(fabs(x) * scales[d]);
        if (scaled / scales[d] != fabs(x))
            continue;
        uint64_t digits = (uint64_t)scaled, unit = (uint64_t)scales[d], part = digits % unit;
        if (signbit(x))
            *to++ = '-';
        to += number_print_int(to, (int64_t)(digits / unit));
        if (d)
            *to++ = '.';
        for (unit /= 10; unit; unit /= 10)
            *to++ = (char)('0' + part / unit % 10);
        return to;
    }
    return to + number_print(to, x);
}

/* Nothing is printed of what is absent. */
static char *print_cell(char *to, const struct sheet_column *column, const struct pgd_bar *bar,
                        const double *values)
{
    const double fields[] = {[SHEET_O] = bar->o, [SHEET_H] = bar->h, [SHEET_L] = bar->l,
                             [SHEET_C] = bar->c, [SHEET_V] = bar->v, [SHEET_VW] = bar->vw};
    if (column->kind == SHEET_VALUE) {
        double x = values[column->value];
        return isnan(x) ? to : to + number_print(to, x);
    }
    if (column->kind == SHEET_T)
        return to + number_print_int(to, bar->t);
    if (column->kind == SHEET_N)
        return bar->n == PGD_N_ABSENT ? to : to + number_print_int(to, bar->n);
    double x = fields[column->kind];
    return isnan(x) ? to : print_field(to, x);
}

static char *print_csv(const struct sheet *sheet, char *to, const struct pgd_bar *bar, const double *values)
{
    to = append(to, sheet->prefix.text, sheet->prefix.length);
    for (size_t j = 0; j < sheet->count; j++) {
        if (j || sheet->symbol)
            *to++ = ',';
        to = print_cell(to, &sheet->columns[j], bar, values);
    }
    *to++ = '\n';
    return to;
}

static char *print_json(const struct sheet *sheet, char *to, const struct pgd_bar *bar, const double *values)
{
    *to++ = '{';
    to = append(to, sheet->prefix.text, sheet->prefix.length);
    for (size_t j = 0; j < sheet->count; j++) {
        const struct name *name = &sheet->names[j];
        unsigned comma = j || sheet->symbol ? 0 : 1;
        to = append(to, name->text + comma, name->length - comma);
        char *end = print_cell(to, &sheet->columns[j], bar, values);
        to = end == to ? append(to, "null", 4) : end;
    }
    return append(to, "}\n", 2);
}

static void print_slice(struct sheet *sheet, unsigned slice)
{
    const struct pgk_history_rows *rows = &sheet->rows;
    struct page *page = &sheet->pages[sheet->page];
    size_t from = (size_t)slice * SLICE_ROWS, end = from + SLICE_ROWS;
    end = end < rows->count ? end : rows->count;
    char *to = page->text[slice];
    for (size_t i = from; i < end; i++)
        to = (sheet->json ? print_json : print_csv)(sheet, to, &rows->bars[i],
                                                    rows->values ? rows->values + i * rows->stride : NULL);
    page->length[slice] = (size_t)(to - page->text[slice]);
}

/* ------------------------------------------------------------------------------------------------ threads */

/* Takes a slice of the job of `serial`: false when none is left or that job is over. Serial and slice are one
 * word, so that a thread that comes late takes nothing of the next job with what it knew of this one. */
static bool take_slice(struct sheet *sheet, uint32_t serial, unsigned count, unsigned *ret)
{
    uint64_t next = atomic_load_explicit(&sheet->next, memory_order_relaxed);
    do {
        if (next >> 32 != serial || (uint32_t)next >= count)
            return false;
        *ret = (uint32_t)next;
    } while (!atomic_compare_exchange_weak_explicit(&sheet->next, &next, next + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* Rows and page were published under the lock, before the serial that the caller has from there. */
static void work(struct sheet *sheet, uint32_t serial, unsigned count)
{
    unsigned slice, printed = 0;
    while (take_slice(sheet, serial, count, &slice)) {
        print_slice(sheet, slice);
        printed++;
    }
    if (printed == 0)
        return;
    pthread_mutex_lock(&sheet->lock);
    sheet->done += printed;
    if (sheet->done == count)
        pthread_cond_signal(&sheet->finished);
    pthread_mutex_unlock(&sheet->lock);
}

static void *work_along(void *user)
{
    struct sheet *sheet = user;
    uint32_t seen = 0;
    pthread_mutex_lock(&sheet->lock);
    for (;;) {
        while (sheet->serial == seen && !sheet->quit)
            pthread_cond_wait(&sheet->posted, &sheet->lock);
        if (sheet->quit)
            break;
        seen = sheet->serial;
        unsigned count = sheet->pages[sheet->page].count;
        pthread_mutex_unlock(&sheet->lock);
        work(sheet, seen, count);
        pthread_mutex_lock(&sheet->lock);
    }
    pthread_mutex_unlock(&sheet->lock);
    return NULL;
}

/* Fewer threads than wanted print the same text. */
static void start_threads(struct sheet *sheet)
{
    while (sheet->started < sheet->wanted &&
           pthread_create(&sheet->threads[sheet->started], NULL, work_along, sheet) == 0)
        sheet->started++;
    sheet->wanted = sheet->started;
}

static void post(struct sheet *sheet, const struct pgk_history_rows *rows)
{
    start_threads(sheet);
    pthread_mutex_lock(&sheet->lock);
    sheet->page ^= 1;
    sheet->rows = *rows;
    sheet->prefix = sheet->next_prefix;
    sheet->done = 0;
    sheet->pages[sheet->page].count = (unsigned)((rows->count + SLICE_ROWS - 1) / SLICE_ROWS);
    sheet->serial++;
    atomic_store_explicit(&sheet->next, (uint64_t)sheet->serial << 32, memory_order_relaxed);
    pthread_cond_broadcast(&sheet->posted);
    pthread_mutex_unlock(&sheet->lock);
}

static void finish(struct sheet *sheet)
{
    unsigned count = sheet->pages[sheet->page].count;
    work(sheet, sheet->serial, count);
    pthread_mutex_lock(&sheet->lock);
    while (sheet->done < count)
        pthread_cond_wait(&sheet->finished, &sheet->lock);
    pthread_mutex_unlock(&sheet->lock);
}

/* --------------------------------------------------------------------------------------------------- rows */

static int write_all(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, text, n);
        if (written < 0 && errno != EINTR)
            return -errno;
        text += written > 0 ? written : 0;
        n -= written > 0 ? (size_t)written : 0;
    }
    return 0;
}

static void write_page(struct sheet *sheet, struct page *page)
{
    for (unsigned i = 0; i < page->count && sheet->error == 0; i++)
        sheet->error = write_all(sheet->fd, page->text[i], page->length[i]);
    pthread_mutex_lock(&sheet->lock); /* a thread that comes late to its job still looks */
    page->count = 0;
    pthread_mutex_unlock(&sheet->lock);
}

int sheet_take(void *user, const struct pgk_history_rows *rows)
{
    struct sheet *sheet = user;
    struct pgk_history_rows part = *rows;
    for (size_t left = rows->count; left > 0 && sheet->error == 0; left -= part.count) {
        part.count = left < SLICES * SLICE_ROWS ? left : SLICES * SLICE_ROWS;
        part.bars = rows->bars + (rows->count - left);
        if (rows->values)
            part.values = rows->values + (rows->count - left) * rows->stride;
        finish(sheet);
        post(sheet, &part);
        write_page(sheet, &sheet->pages[sheet->page ^ 1]);
    }
    return sheet->error;
}

int sheet_end(struct sheet *sheet)
{
    finish(sheet);
    write_page(sheet, &sheet->pages[sheet->page]);
    return sheet->error;
}

int sheet_header(struct sheet *sheet)
{
    char *text = malloc(sheet->count * NAME_ROOM + 16);
    if (text == NULL)
        return -ENOMEM;
    char *to = sheet->symbol ? append(text, "symbol", 6) : text;
    for (size_t j = 0; j < sheet->count; j++) {
        if (j || sheet->symbol)
            *to++ = ',';
        to = append(to, sheet->columns[j].name, strlen(sheet->columns[j].name));
    }
    *to++ = '\n';
    sheet->error = write_all(sheet->fd, text, (size_t)(to - text));
    free(text);
    return sheet->error;
}

/* A comma is in no symbol. */
void sheet_symbol(struct sheet *sheet, const char *symbol)
{
    struct prefix *prefix = &sheet->next_prefix;
    size_t n = strnlen(symbol, PGD_SYMBOL_MAX - 1);
    bool quoted = sheet->json || memchr(symbol, '"', n);
    char *to = prefix->text;
    if (!sheet->symbol)
        return;
    if (sheet->json)
        to = append(to, "\"symbol\":", 9);
    if (quoted)
        *to++ = '"';
    for (size_t i = 0; i < n; i++) {
        if (symbol[i] == '"' || (sheet->json && symbol[i] == '\\'))
            *to++ = sheet->json ? '\\' : '"';
        *to++ = symbol[i];
    }
    if (quoted)
        *to++ = '"';
    prefix->length = (size_t)(to - prefix->text);
}

/* ------------------------------------------------------------------------------------------------- making */

bool sheet_field(struct sheet_column *ret, const char *name)
{
    static const char *const fields[] = {
        [SHEET_T] = "t", [SHEET_O] = "o", [SHEET_H] = "h",   [SHEET_L] = "l",
        [SHEET_C] = "c", [SHEET_V] = "v", [SHEET_VW] = "vw", [SHEET_N] = "n"};
    for (unsigned i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (strcmp(fields[i], name) != 0)
            continue;
        *ret = (struct sheet_column){.kind = (enum sheet_kind)i};
        strcpy(ret->name, name); /* two bytes at most */
        return true;
    }
    return false;
}

static unsigned processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return (unsigned)CPU_COUNT(&set);
}

static bool make_columns(struct sheet *sheet, const struct sheet_config *config)
{
    sheet->columns = calloc(config->count + 1, sizeof *sheet->columns);
    sheet->names = calloc(config->count + 1, sizeof *sheet->names);
    if (sheet->columns == NULL || sheet->names == NULL)
        return false;
    sheet->row_size = PREFIX_ROOM + 64;
    for (size_t j = 0; j < config->count; j++) {
        struct name *name = &sheet->names[j];
        sheet->columns[j] = config->columns[j];
        name->length = (size_t)snprintf(name->text, sizeof name->text, ",\"%s\":", config->columns[j].name);
        sheet->row_size += name->length + NUMBER_PRINT_SIZE;
    }
    sheet->count = config->count;
    return true;
}

static bool make_pages(struct sheet *sheet)
{
    for (int i = 0; i < 2; i++)
        for (unsigned j = 0; j < SLICES; j++)
            if ((sheet->pages[i].text[j] = malloc(sheet->row_size * SLICE_ROWS)) == NULL)
                return false;
    return true;
}

int sheet_new(struct sheet **ret, const struct sheet_config *config)
{
    struct sheet *sheet = calloc(1, sizeof *sheet);
    if (sheet == NULL)
        return -ENOMEM;
    unsigned threads = config->threads > 0 ? config->threads : processors();
    *sheet = (struct sheet){.fd = config->fd,
                            .json = config->json,
                            .symbol = config->symbol,
                            .wanted = (threads < THREADS_MAX ? threads : THREADS_MAX) - 1,
                            .lock = PTHREAD_MUTEX_INITIALIZER,
                            .posted = PTHREAD_COND_INITIALIZER,
                            .finished = PTHREAD_COND_INITIALIZER};
    if (!make_columns(sheet, config) || !make_pages(sheet)) {
        sheet_free(sheet);
        return -ENOMEM;
    }
    *ret = sheet;
    return 0;
}

void sheet_free(struct sheet *sheet)
{
    if (sheet == NULL)
        return;
    pthread_mutex_lock(&sheet->lock);
    sheet->quit = true;
    pthread_cond_broadcast(&sheet->posted);
    pthread_mutex_unlock(&sheet->lock);
    for (unsigned i = 0; i < sheet->started; i++)
        (void)pthread_join(sheet->threads[i], NULL);
    for (int i = 0; i < 2; i++)
        for (unsigned j = 0; j < SLICES; j++)
            free(sheet->pages[i].text[j]);
    free(sheet->columns);
    free(sheet->names);
    free(sheet);
}
