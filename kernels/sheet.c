#include "sheet.h"

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

struct name {
    char text[64]; /* `"sma_20":`, with the comma before it */
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
    size_t columns;
    struct name *names; /* of JSON */
    size_t row_size;    /* bytes a row can take */
    int error;
    /* The job: its slices are taken, by whoever comes, from `next`: serial << 32 | slice. */
    struct pgk_history_rows rows;
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

static char *print_csv(const struct sheet *sheet, char *to, int64_t t, const double *values)
{
    to += number_print_int(to, t);
    for (size_t j = 0; j < sheet->columns; j++) {
        *to++ = ',';
        if (!isnan(values[j]))
            to += number_print(to, values[j]);
    }
    *to++ = '\n';
    return to;
}

static char *append(char *to, const char *text, size_t n)
{
    memcpy(to, text, n);
    return to + n;
}

static char *print_json(const struct sheet *sheet, char *to, int64_t t, const double *values)
{
    to = append(to, "{\"t\":", 5);
    to += number_print_int(to, t);
    for (size_t j = 0; j < sheet->columns; j++) {
        to = append(to, sheet->names[j].text, sheet->names[j].length);
        if (isnan(values[j]))
            to = append(to, "null", 4);
        else
            to += number_print(to, values[j]);
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
        to = (sheet->json ? print_json : print_csv)(sheet, to, rows->bars[i].t,
                                                    rows->values + i * rows->stride);
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
    page->count = 0;
}

int sheet_take(void *user, const struct pgk_history_rows *rows)
{
    struct sheet *sheet = user;
    struct pgk_history_rows part = *rows;
    for (size_t left = rows->count; left > 0 && sheet->error == 0; left -= part.count) {
        part.count = left < SLICES * SLICE_ROWS ? left : SLICES * SLICE_ROWS;
        part.bars = rows->bars + (rows->count - left);
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
    char *text = malloc(sheet->columns * sizeof sheet->names[0].text + 8);
    if (text == NULL)
        return -ENOMEM;
    char *to = append(text, "t", 1);
    for (size_t j = 0; j < sheet->columns; j++) {
        const struct name *name = &sheet->names[j]; /* ,"sma_20": */
        *to++ = ',';
        to = append(to, name->text + 2, name->length - 4);
    }
    *to++ = '\n';
    sheet->error = write_all(sheet->fd, text, (size_t)(to - text));
    free(text);
    return sheet->error;
}

/* ------------------------------------------------------------------------------------------------- making */

static unsigned processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return (unsigned)CPU_COUNT(&set);
}

static bool make_names(struct sheet *sheet, const struct pgk_plan *plan)
{
    sheet->names = calloc(sheet->columns, sizeof *sheet->names);
    if (sheet->names == NULL)
        return false;
    sheet->row_size = 64;
    for (size_t j = 0; j < sheet->columns; j++) {
        struct name *name = &sheet->names[j];
        name->length = (size_t)snprintf(name->text, sizeof name->text, ",\"%.50s\":", pgk_plan_name(plan, j));
        sheet->row_size += name->length + NUMBER_PRINT_SIZE;
    }
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

int sheet_new(struct sheet **ret, int fd, const struct pgk_plan *plan, bool json, unsigned threads)
{
    struct sheet *sheet = calloc(1, sizeof *sheet);
    if (sheet == NULL)
        return -ENOMEM;
    threads = threads > 0 ? threads : processors();
    *sheet = (struct sheet){.fd = fd,
                            .json = json,
                            .columns = pgk_plan_columns(plan),
                            .wanted = (threads < THREADS_MAX ? threads : THREADS_MAX) - 1,
                            .lock = PTHREAD_MUTEX_INITIALIZER,
                            .posted = PTHREAD_COND_INITIALIZER,
                            .finished = PTHREAD_COND_INITIALIZER};
    if (!make_names(sheet, plan) || !make_pages(sheet)) {
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
    free(sheet->names);
    free(sheet);
}
