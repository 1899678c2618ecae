/* A start with a warm cache: SYMBOLS series of ROWS minutes each, from files to rows with indicators.
 *
 *   load     one thread, cache_load of every file; reference: the same files opened, read and closed
 *   publish  through the loop (warm, feed), until the last row can be read; reference: the same read
 *   restart  likewise, until the last row has its indicators; reference: 2 s
 *   keep     cache_store of every symbol's rows into new files; reference: write and rename of as many bytes
 *
 * With a folder and the URL of a REST server it only fills that folder as that server's cache, for
 * tests/bench/cache.py. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <uv.h>

#include "bench/inside.h"
#include "cache.h"
#include "cache_file.h"
#include "cache_name.h"
#include "unit/folder.h"
#include "warm.h"

#define SYMBOLS 10000u
#define ROWS    1000u
#define MINUTE  INT64_C(60000)
/* Saturday 2026-07-18, noon in New York; Friday's last minute. */
#define NOW  INT64_C(1784390400000)
#define LAST INT64_C(1784332740000)

struct bench {
    char directory[256];
    struct inside inside;
    struct cache *cache;
    uv_loop_t loop;
    struct warm *warm;
    uv_async_t room;
    unsigned answered;
    int64_t slice_ns, longest_ns; /* of the loop's work at a time */
};

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void report(const char *name, double ours, double reference, const char *unit, const char *note)
{
    printf(
        "{\"name\":\"%s\",\"ours\":%.4g,\"reference\":%.4g,\"ratio\":%.3g,\"unit\":\"%s\",\"note\":\"%s\"}\n",
        name, ours, reference, ours / reference, unit, note);
    fflush(stdout);
}

static void name_of(char ret[16], unsigned i)
{
    snprintf(ret, 16, "SIM%04u", i + 1); /* as the stand-in calls its own */
}

/* ---------------------------------------------------------------------------------------------------- files
 */

/* ROWS minutes of the extended sessions before LAST, weekends left out. */
static void make_times(int64_t *t)
{
    int64_t at = LAST;
    for (unsigned i = ROWS; i-- > 0;) {
        t[i] = at;
        at -= MINUTE;
        while (cache_time_idle(PGD_STOCKS, at, at + MINUTE) ||
               at - cache_time_day(PGD_STOCKS, at) < 4 * 60 * MINUTE)
            at -= MINUTE;
    }
}

static double fill(struct bench *b)
{
    int64_t *t = malloc(ROWS * sizeof *t), spent = 0;
    struct pgd_bar *bars = calloc(ROWS, sizeof *bars);
    if (!t || !bars)
        inside_die("out of memory");
    make_times(t);
    uint64_t seed = 1;
    for (unsigned s = 0; s < SYMBOLS; s++) {
        char name[16];
        double price = 50 + s % 200;
        name_of(name, s);
        for (unsigned i = 0; i < ROWS; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            price *= 1 + ((double)(seed >> 40) / 16777216.0 - 0.5) / 500;
            bars[i] = (struct pgd_bar){.t = t[i],
                                       .o = price,
                                       .h = price * 1.001,
                                       .l = price * 0.999,
                                       .c = price,
                                       .v = 100 + (double)(seed >> 50),
                                       .vw = price,
                                       .n = 5,
                                       .flags = PGD_BAR_REST};
        }
        struct cache_key key = {name, PGD_STOCKS, MINUTE};
        struct cache_fetched f = {t[0], NOW, bars, ROWS, NOW, false, false};
        int64_t start = now_ns();
        if (cache_store(b->cache, &key, &f) < 0)
            inside_die("cannot write the cache");
        spent += now_ns() - start;
    }
    free(bars);
    free(t);
    return SYMBOLS * (double)ROWS * 1e9 / (double)spent;
}

static void path_of(char ret[1024], const struct bench *b, unsigned i)
{
    char name[16];
    name_of(name, i);
    snprintf(ret, 1024, "%s/v1/bench/stocks/1m/2026-07/%s.bars", b->directory, name);
}

static double read_only(const struct bench *b)
{
    static uint8_t buffer[1 << 20];
    int64_t start = now_ns();
    for (unsigned i = 0; i < SYMBOLS; i++) {
        char path[1024];
        path_of(path, b, i);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, buffer, sizeof buffer) != (ssize_t)cache_file_size(ROWS))
            inside_die("cannot read a file");
        close(fd);
    }
    return SYMBOLS * (double)ROWS * 1e9 / (double)(now_ns() - start);
}

static double write_only(const struct bench *b)
{
    static uint8_t buffer[1 << 20];
    char to[1024], from[1024];
    snprintf(from, sizeof from, "%.900s/new", b->directory);
    int64_t start = now_ns();
    for (unsigned i = 0; i < SYMBOLS; i++) {
        snprintf(to, sizeof to, "%.900s/x%u", b->directory, i);
        int fd = open(from, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, buffer, cache_file_size(ROWS)) < 0 || close(fd) < 0 || rename(from, to) < 0)
            inside_die("cannot write a file");
    }
    double rate = SYMBOLS * (double)ROWS * 1e9 / (double)(now_ns() - start);
    for (unsigned i = 0; i < SYMBOLS; i++) {
        snprintf(to, sizeof to, "%.900s/x%u", b->directory, i);
        unlink(to);
    }
    return rate;
}

static struct cache_window window(void)
{
    return (struct cache_window){NOW - 40 * 1440 * MINUTE, NOW, ROWS, ROWS};
}

static double load_only(struct bench *b)
{
    struct cache_rows rows = {0};
    struct cache_window w = window();
    int64_t start = now_ns();
    for (unsigned i = 0; i < SYMBOLS; i++) {
        char name[16];
        name_of(name, i);
        struct cache_key key = {name, PGD_STOCKS, MINUTE};
        if (cache_load(b->cache, &key, &w, &rows) < 0 || rows.count != ROWS || rows.ask_ms != INT64_MAX)
            inside_die("the cache does not have what was kept");
    }
    double rate = SYMBOLS * (double)ROWS * 1e9 / (double)(now_ns() - start);
    cache_rows_fini(&rows);
    return rate;
}

/* ---------------------------------------------------------------------------------------------------- daemon
 */

static void drained(void *user)
{
    struct bench *b = user;
    uv_async_send(&b->room);
}

static void on_room(uv_async_t *async)
{
    struct bench *b = async->data;
    worker_kick(b->inside.worker);
}

static void on_batch(void *user)
{
    struct bench *b = user;
    feed_batch(b->inside.feed, 0, 0);
}

static void open_daemon(struct bench *b)
{
    uv_loop_init(&b->loop);
    uv_async_init(&b->loop, &b->room, on_room);
    b->room.data = b;
    inside_open(&b->inside, &(struct inside_options){.name = "",
                                                     .symbols = SYMBOLS,
                                                     .rows = ROWS + 1,
                                                     .kind = PGK_AUTO,
                                                     .drained = drained,
                                                     .user = b});
    if (warm_new(&b->warm, &b->loop, b->cache, on_batch, b) < 0)
        inside_die("out of memory");
}

static void close_daemon(struct bench *b)
{
    warm_close(b->warm);
    uv_close((uv_handle_t *)&b->room, NULL);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    uv_loop_close(&b->loop);
    warm_free(b->warm);
    inside_close(&b->inside);
}

static struct bench *the_bench;

static void on_ready(void *user, size_t rows)
{
    bus_touch(&the_bench->inside.bus, 0, symbols_index(the_bench->inside.symbols, user), rows);
}

static void on_answer(void *user, const struct warm_answer *answer)
{
    struct bench *b = the_bench;
    int64_t start = now_ns();
    if (answer->count != ROWS)
        inside_die("rows are missing");
    feed_cached(b->inside.feed, user, 0, answer->bars, answer->count);
    b->answered++;
    int64_t ns = now_ns() - start;
    b->slice_ns += ns;
}

static void restart(struct bench *b, double *ret_published_ns, double *ret_computed_ns)
{
    struct cache_window w = window();
    int64_t start = now_ns();
    the_bench = b;
    for (unsigned i = 0; i < SYMBOLS; i++) {
        char name[16];
        struct symbol *symbol;
        name_of(name, i);
        if (symbols_add(b->inside.symbols, &symbol, name, PGD_STOCKS) < 0)
            inside_die("symbols");
        symbol->held = true;
        feed_open_symbol(b->inside.feed, symbol, false);
        struct warm_hooks hooks = {on_ready, on_answer, symbol};
        struct warm_question q = {{symbol->name, PGD_STOCKS, MINUTE}, w, false};
        if (warm_ask(b->warm, &q, &hooks) < 0)
            inside_die("out of memory");
    }
    while (b->answered < SYMBOLS) {
        b->slice_ns = 0;
        uv_run(&b->loop, UV_RUN_ONCE);
        b->longest_ns = b->slice_ns > b->longest_ns ? b->slice_ns : b->longest_ns;
    }
    *ret_published_ns = (double)(now_ns() - start);
    for (uint32_t i = 0; i < SYMBOLS; i++) {
        const uint8_t *at = b->inside.bus.bars[0].map.base + b->inside.bus.bars[0].geo->series_offset +
                            i * b->inside.bus.bars[0].geo->series_stride;
        const struct pgd_series *series = (const struct pgd_series *)(const void *)at;
        while (shm_load64_acquire(&series->computed) < ROWS) {
            uv_run(&b->loop, UV_RUN_NOWAIT);
            usleep(200);
        }
    }
    *ret_computed_ns = (double)(now_ns() - start);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct bench *b = &bench;
    if (argc > 1)
        snprintf(b->directory, sizeof b->directory, "%s", argv[1]);
    else
        folder_make(b->directory);
    struct cache_options options = {b->directory, argc > 2 ? argv[2] : "bench", 0, NULL, NULL};
    if (cache_open(&b->cache, &options) < 0)
        inside_die("cannot open the cache");
    double kept = fill(b);
    if (argc > 1)
        return 0;
    double written = write_only(b), read = read_only(b), loaded = load_only(b), published, computed;
    read = read_only(b);
    open_daemon(b);
    restart(b, &published, &computed);
    close_daemon(b);
    cache_close(b->cache);
    folder_remove(b->directory);
    double rows = SYMBOLS * (double)ROWS;
    char note[128];
    report("cache: load and check, one thread", loaded / 1e6, read / 1e6, "M bars/s",
           "reference: open, read and close the same 10,000 files");
    snprintf(note, sizeof note, "reference: the same, read only; the loop was held for %.2f ms at most",
             (double)b->longest_ns / 1e6);
    report("cache: files to published rows", rows * 1e3 / published, read / 1e6, "M bars/s", note);
    report("cache: restart, 10,000 symbols x 1,000 bars with indicators", computed / 1e9, 2, "s",
           "reference: the goal");
    report("cache: keep", kept / 1e6, written / 1e6, "M bars/s",
           "reference: write and rename of as many bytes");
    return 0;
}
