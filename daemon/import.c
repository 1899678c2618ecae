#include "import.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <search.h> /* tsearch */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "clock.h"
#include "csv_aggs.h"
#include "symbols.h"

#define DAY_MS      INT64_C(86400000)
#define MINUTE_MS   INT64_C(60000)
#define PROGRESS_NS INT64_C(100000000)
#define THREADS_MAX 8u
#define RUN_ROWS    65536u   /* of a ticker at a time */
#define OPEN_ROWS   1048576u /* of all open runs together */
#define READ_BYTES  262144u

/* Rows of one ticker on their way to the cache. */
struct run {
    char symbol[PGD_SYMBOL_MAX];
    enum pgd_cluster cluster;
    int64_t span_ms;
    bool again; /* the ticker was there before in this file: its days may be there in part */
    struct pgd_bar *rows;
    size_t count;
    size_t room;
    struct run *next;
};

/* A ticker as the file has it. */
struct ticker {
    char ticker[PGD_SYMBOL_MAX];
    char symbol[PGD_SYMBOL_MAX]; /* "": no possible one */
    enum pgd_cluster cluster;
    bool kept;       /* some of its rows were handed over before */
    struct run *run; /* NULL: none open */
    struct ticker *next_open;
};

struct import {
    struct import_options options;
    struct import_totals totals; /* rows, bad_lines: reading thread; days, failed, error: under the lock */

    /* the file being read */
    const char *file;
    int64_t span_ms;
    void *entries;          /* tickers of this file: a tree of struct ticker */
    struct ticker *current; /* the last row's */
    struct ticker *open;    /* those with a run, a list */
    size_t open_rows;
    bool sorted; /* so far no ticker came again */
    const struct csv_aggs *csv;
    int error;

    pthread_mutex_t lock;
    pthread_cond_t work, room;
    struct run *first, **last;
    unsigned waiting; /* runs in the list */
    unsigned busy;    /* runs being kept */
    bool ended;
    pthread_t threads[THREADS_MAX];
    unsigned thread_count;
};

/* --------------------------------------------------------------------------------------------------- keeping
 */

static int by_start(const void *a, const void *b)
{
    int64_t x = ((const struct pgd_bar *)a)->t, y = ((const struct pgd_bar *)b)->t;
    return (x > y) - (x < y);
}

/* Rising starts; of rows with the same start the one that came last. qsort need not keep their order, so they
 * are numbered (in rev, which no file has) before. */
static int by_start_and_number(const void *a, const void *b)
{
    const struct pgd_bar *x = a, *y = b;
    int r = by_start(a, b);
    return r ? r : (x->rev > y->rev) - (x->rev < y->rev);
}

static void sort(struct run *run)
{
    bool rising = true;
    for (size_t i = 1; i < run->count && rising; i++)
        rising = run->rows[i].t > run->rows[i - 1].t;
    if (rising)
        return;
    for (size_t i = 0; i < run->count; i++)
        run->rows[i].rev = (uint16_t)i; /* RUN_ROWS numbers */
    qsort(run->rows, run->count, sizeof *run->rows, by_start_and_number);
    size_t n = 0;
    for (size_t i = 0; i < run->count; i++) {
        if (n && run->rows[n - 1].t == run->rows[i].t)
            n--;
        run->rows[n] = run->rows[i];
        run->rows[n++].rev = 0;
    }
    run->count = n;
}

static void keep_day(struct import *m, const struct run *run, size_t first, size_t end, int64_t now_ms)
{
    int64_t day = cache_time_day(run->cluster, run->rows[first].t);
    struct cache_key key = {run->symbol, run->cluster, run->span_ms};
    struct cache_fetched fetched = {
        .from_ms = day,
        .to_ms = cache_time_day(run->cluster, day + DAY_MS + DAY_MS / 12),
        .bars = run->rows + first,
        .count = end - first,
        .now_ms = now_ms,
        .raw = true,
        .add = run->again,
    };
    int r = cache_store(m->options.cache, &key, &fetched);
    pthread_mutex_lock(&m->lock);
    m->totals.days += r == 0;
    m->totals.failed += r != 0;
    if (r < 0 && m->totals.error == 0)
        m->totals.error = r;
    pthread_mutex_unlock(&m->lock);
}

static void keep(struct import *m, struct run *run)
{
    int64_t now_ms = clock_real_ns() / 1000000;
    sort(run);
    for (size_t first = 0, end; first < run->count; first = end) {
        int64_t day = cache_time_day(run->cluster, run->rows[first].t);
        for (end = first + 1; end < run->count && cache_time_day(run->cluster, run->rows[end].t) == day;)
            end++;
        keep_day(m, run, first, end, now_ms);
    }
    free(run->rows);
    free(run);
}

static void *thread_main(void *arg)
{
    struct import *m = arg;
    for (;;) {
        pthread_mutex_lock(&m->lock);
        while (!m->first && !m->ended)
            pthread_cond_wait(&m->work, &m->lock);
        struct run *run = m->first;
        if (run) {
            m->first = run->next;
            if (!m->first)
                m->last = &m->first;
            m->waiting--;
            m->busy++;
            pthread_cond_signal(&m->room);
        }
        pthread_mutex_unlock(&m->lock);
        if (!run)
            return NULL;
        keep(m, run);
        pthread_mutex_lock(&m->lock);
        m->busy--;
        pthread_cond_signal(&m->room);
        pthread_mutex_unlock(&m->lock);
    }
}

/* Waits until no more than `most` runs wait, and, for 0, none is being kept. */
static void wait_for_room(struct import *m, unsigned most)
{
    pthread_mutex_lock(&m->lock);
    while (m->waiting > most || (most == 0 && m->busy))
        pthread_cond_wait(&m->room, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

static void hand_over(struct import *m, struct run *run)
{
    wait_for_room(m, IMPORT_QUEUE - 1);
    pthread_mutex_lock(&m->lock);
    *m->last = run;
    m->last = &run->next;
    m->waiting++;
    pthread_cond_signal(&m->work);
    pthread_mutex_unlock(&m->lock);
}

/* Hands over every open run. Runs of tickers that were handed over before wait for those: rows of one day
 * must meet in the order of the file. */
static void flush(struct import *m)
{
    bool again = false;
    for (struct ticker *e = m->open; e; e = e->next_open)
        again |= e->kept;
    if (again)
        wait_for_room(m, 0);
    while (m->open) {
        struct ticker *e = m->open;
        m->open = e->next_open;
        e->run->again = e->kept;
        e->kept = true;
        hand_over(m, e->run);
        e->run = NULL;
    }
    m->open_rows = 0;
}

/* --------------------------------------------------------------------------------------------------- reading
 */

static int by_ticker(const void *a, const void *b)
{
    return strcmp(((const struct ticker *)a)->ticker, ((const struct ticker *)b)->ticker);
}

/* The ticker's entry, a new one when it has none. */
static struct ticker *find(struct import *m, const char *ticker)
{
    struct ticker *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return NULL;
    snprintf(fresh->ticker, sizeof fresh->ticker, "%s", ticker);
    struct ticker **node = tsearch(fresh, &m->entries, by_ticker);
    if (!node || *node != fresh) {
        free(fresh);
        return node ? *node : NULL;
    }
    fresh->cluster = ticker[0] && ticker[1] == ':' ? 0 : m->options.cluster;
    if (symbols_canonical(fresh->symbol, &fresh->cluster, ticker) < 0)
        fresh->symbol[0] = '\0';
    return fresh;
}

/* Another ticker than the row before. In a sorted file the run before is complete; once a ticker has come
 * again the file is taken for unsorted, and runs stay open until they are too many rows together. */
static int change(struct import *m, const char *ticker)
{
    if (m->sorted)
        flush(m);
    m->current = find(m, ticker);
    if (!m->current)
        return -ENOMEM;
    if (m->current->kept)
        m->sorted = false;
    return 0;
}

static int open_run(struct import *m, struct ticker *e)
{
    struct run *run = calloc(1, sizeof *run);
    if (!run)
        return -ENOMEM;
    memcpy(run->symbol, e->symbol, sizeof run->symbol);
    run->cluster = e->cluster;
    run->span_ms = m->span_ms;
    e->run = run;
    e->next_open = m->open;
    m->open = e;
    return 0;
}

static void bad(void *user, uint64_t line, const char *why)
{
    struct import *m = user;
    m->totals.bad_lines++;
    if (m->options.bad)
        m->options.bad(m->options.user, m->file, line, why);
}

static int64_t span_by_row(const struct pgd_bar *bar)
{
    bool midnight = bar->t % DAY_MS == 0 || bar->t == cache_time_day(PGD_STOCKS, bar->t);
    return midnight ? DAY_MS : MINUTE_MS;
}

static const char *refuse(const struct import *m, const struct ticker *e, const struct pgd_bar *bar)
{
    if (!e->symbol[0])
        return "not a possible ticker";
    if (m->span_ms <= MINUTE_MS && bar->t % m->span_ms != 0)
        return "window_start is not the start of a minute";
    if (e->cluster != PGD_INDICES && bar->v != bar->v)
        return "the volume is missing";
    return NULL;
}

static int append(struct import *m, struct run *run, const struct pgd_bar *bar)
{
    if (run->count == run->room) {
        size_t room = run->room ? 2 * run->room : 256;
        struct pgd_bar *rows = realloc(run->rows, room * sizeof *rows);
        if (!rows)
            return -ENOMEM;
        run->rows = rows;
        run->room = room;
    }
    run->rows[run->count++] = *bar;
    m->open_rows++;
    m->totals.rows++;
    return 0;
}

/* -errno of what ends the file; 0 also for a row that is refused. */
static int take(struct import *m, const char *ticker, const struct pgd_bar *bar)
{
    int r = 0;
    if (!m->span_ms)
        m->span_ms = span_by_row(bar);
    if (!m->current || strcmp(ticker, m->current->ticker) != 0)
        r = change(m, ticker);
    if (r < 0)
        return r;
    struct ticker *e = m->current;
    const char *why = refuse(m, e, bar);
    if (why) {
        bad(m, m->csv->line, why);
        return 0;
    }
    if (m->open_rows >= OPEN_ROWS || (e->run && e->run->count == RUN_ROWS))
        flush(m);
    if (!e->run)
        r = open_run(m, e);
    return r < 0 ? r : append(m, e->run, bar);
}

static void on_bar(void *user, const char *ticker, const struct pgd_bar *bar)
{
    struct import *m = user;
    if (m->error == 0)
        m->error = take(m, ticker, bar);
}

/* The file breaks off: the last ticker may lack rows, in an unsorted file any may. */
static void drop_open(struct import *m)
{
    m->totals.rows -= m->open_rows;
    for (; m->open; m->open = m->open->next_open) {
        free(m->open->run->rows);
        free(m->open->run);
    }
    m->open_rows = 0;
}

static int read_all(struct import *m, gzFile file, uint64_t size, struct csv_aggs *csv, char *err,
                    size_t err_size)
{
    char *bytes = malloc(READ_BYTES);
    int n = 0, r = bytes ? 0 : -ENOMEM;
    int64_t shown_ns = 0;
    while (r == 0 && (n = gzread(file, bytes, READ_BYTES)) > 0) {
        r = csv_aggs_push(csv, bytes, (size_t)n);
        r = r ? r : m->error;
        if (m->options.progress && clock_mono_ns() - shown_ns > PROGRESS_NS) {
            shown_ns = clock_mono_ns();
            m->options.progress(m->options.user, m->file, (uint64_t)gzoffset(file), size, m->totals.rows);
        }
    }
    free(bytes);
    int code = Z_OK;
    const char *text = gzerror(file, &code);
    if (r == 0 && code != Z_OK && code != Z_STREAM_END) {
        drop_open(m);
        snprintf(err, err_size, "%s", code == Z_BUF_ERROR ? "the gzip data break off" : text);
        return code == Z_ERRNO ? -EIO : code == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
    }
    if (r == 0)
        r = csv_aggs_end(csv);
    return r ? r : m->error;
}

static int64_t span_by_name(const char *path)
{
    return strstr(path, "minute_aggs") ? MINUTE_MS : strstr(path, "day_aggs") ? DAY_MS : 0;
}

static int open_file(const char *path, gzFile *ret, uint64_t *ret_size)
{
    struct stat st = {0};
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        return -EISDIR;
    }
    *ret = gzdopen(fd, "rb"); /* reads what is not gzip as it is */
    if (!*ret) {
        close(fd);
        return -ENOMEM;
    }
    gzbuffer(*ret, READ_BYTES);
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

int import_file(struct import *m, const char *path, char *err, size_t err_size)
{
    gzFile file = NULL;
    uint64_t size = 0;
    struct csv_aggs *csv = malloc(sizeof *csv);
    struct csv_aggs_sink sink = {on_bar, bad, m};
    int r = csv ? open_file(path, &file, &size) : -ENOMEM;
    if (r < 0) {
        snprintf(err, err_size, "%s", strerror(-r));
        free(csv);
        return r;
    }
    err[0] = '\0';
    m->file = path;
    m->span_ms = m->options.span_ms ? m->options.span_ms : span_by_name(path);
    m->csv = csv;
    m->error = 0;
    m->sorted = true;
    csv_aggs_init(csv, &sink);
    r = read_all(m, file, size, csv, err, err_size);
    if (r < 0 && !err[0])
        snprintf(err, err_size, "%s", csv->refused ? csv->refused : strerror(-r));
    flush(m);
    gzclose(file);
    tdestroy(m->entries, free);
    m->entries = NULL;
    m->current = NULL;
    m->csv = NULL;
    free(csv);
    m->totals.files += r == 0;
    return r;
}

/* -------------------------------------------------------------------------------------------------------
 * ends */

int import_new(struct import **ret, const struct import_options *options)
{
    struct import *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    m->options = *options;
    m->last = &m->first;
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->work, NULL);
    pthread_cond_init(&m->room, NULL);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = options->threads ? options->threads : processors > 0 ? (unsigned)processors : 1;
    for (unsigned i = 0; i < threads && i < THREADS_MAX; i++) {
        if (pthread_create(&m->threads[i], NULL, thread_main, m) != 0)
            break;
        m->thread_count++;
    }
    if (m->thread_count == 0) {
        import_end(m, &(struct import_totals){0});
        return -EAGAIN;
    }
    *ret = m;
    return 0;
}

void import_end(struct import *m, struct import_totals *ret)
{
    pthread_mutex_lock(&m->lock);
    m->ended = true;
    pthread_cond_broadcast(&m->work);
    pthread_mutex_unlock(&m->lock);
    for (unsigned i = 0; i < m->thread_count; i++)
        pthread_join(m->threads[i], NULL);
    *ret = m->totals;
    pthread_cond_destroy(&m->room);
    pthread_cond_destroy(&m->work);
    pthread_mutex_destroy(&m->lock);
    free(m);
}
