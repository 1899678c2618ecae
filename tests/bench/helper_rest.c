/* helper_rest publish|drain BASE_URL CA_FILE FROM_MS TO_MS WORKERS SYMBOL...: minute bars over REST.
 * publish: to rows of a bus of its own with room for all of them, by the daemon's own code, until the last
 * row's indicators are there. drain: the same bytes received and inflated, and no more. Prints bars, bytes
 * inflated, CPU seconds of all threads, and seconds; of publish also the CPU seconds of the threads: main
 * but for what follows, its putting of rows into the rings, those that inflate and parse, the engine's. The
 * key is in POLYGON_API_KEY. With TOUCHED the memory of the rings is touched before. */
#include <dirent.h>
#include <inttypes.h>

#include "http.h"
#include "inflate.h"
#include "rest.h"
#include "unit/fixture_bus.h"

#define CONNECTIONS 8
#define RING_ROWS   131072u /* more than a year's minutes */
#define GROUP_MOST  64

/* Threads of one part of the daemon. */
struct group {
    int ids[GROUP_MOST];
    unsigned count;
};

static struct {
    uv_loop_t loop;
    struct http *http;
    struct rest *rest;
    struct secret *secret;
    struct config config;
    struct fixture bus;
    uint64_t bars;
    uint64_t bytes;
    uint64_t failed;
    double put; /* CPU seconds */
    unsigned open;
    struct group main, engine, parsers;
} w;

struct ask {
    struct symbol *symbol;
    struct inflate *inflate;
    char url[300];
    char tail[4096]; /* end of the body, with next_url */
    size_t tail_size;
};

static double seconds(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool group_has(const struct group *g, int id)
{
    for (unsigned i = 0; i < g->count; i++)
        if (g->ids[i] == id)
            return true;
    return false;
}

/* The threads that are in no group so far. */
static void group_take(struct group *g)
{
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *e; dir && (e = readdir(dir));) {
        int id = atoi(e->d_name);
        if (id && !group_has(&w.main, id) && !group_has(&w.engine, id) && !group_has(&w.parsers, id) &&
            g->count < GROUP_MOST)
            g->ids[g->count++] = id;
    }
    if (dir)
        (void)closedir(dir);
}

static double group_cpu(const struct group *g)
{
    double sum = 0;
    for (unsigned i = 0; i < g->count; i++) {
        char path[64];
        double ns = 0;
        (void)snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", g->ids[i]);
        FILE *f = fopen(path, "r");
        if (f && fscanf(f, "%lf", &ns) == 1)
            sum += ns * 1e-9;
        if (f)
            (void)fclose(f);
    }
    return sum;
}

static void on_count(void *user, const char *what, uint64_t add)
{
    (void)user;
    w.bytes += strcmp(what, "rest_bytes") == 0 ? add : 0;
}

static void on_refused(void *user, long status, const char *message)
{
    (void)user, (void)status;
    fprintf(stderr, "%s\n", message);
}

static void on_rows(void *user, const struct rest_rows *rows)
{
    struct ask *ask = user;
    double start = seconds(CLOCK_THREAD_CPUTIME_ID);
    feed_history(w.bus.feed, ask->symbol, 1, rows->bars, rows->count);
    feed_batch(w.bus.feed, 0, 0);
    w.put += seconds(CLOCK_THREAD_CPUTIME_ID) - start;
    w.bars += rows->count;
}

static void on_done(void *user, const struct rest_done *done)
{
    (void)user;
    w.failed += done->error != 0;
    w.open--;
}

static void drain_page(struct ask *ask);

static int on_body(void *user, long status, enum http_coding coding, const char *data, size_t size)
{
    static char out[65536];
    struct ask *ask = user;
    (void)status;
    for (;;) {
        size_t n = size < sizeof(out) ? size : sizeof(out);
        if (coding == HTTP_GZIP) {
            if (inflate_some(ask->inflate, &data, &size, out, sizeof(out), &n) < 0)
                return -EBADMSG;
        } else {
            memcpy(out, data, n);
            data += n;
            size -= n;
        }
        w.bytes += n;
        size_t keep = n < sizeof(ask->tail) - 1 ? n : sizeof(ask->tail) - 1;
        if (keep) {
            memcpy(ask->tail, out + n - keep, keep);
            ask->tail[ask->tail_size = keep] = '\0';
        }
        if (size == 0 && n < sizeof(out))
            return 0;
    }
}

static void on_drained(void *user, const struct http_answer *answer)
{
    struct ask *ask = user;
    char *next = strstr(ask->tail, "\"next_url\":\"");
    w.failed += answer->error != 0 || answer->status != 200;
    w.open--;
    if (next && sscanf(next + 12, "%299[^\"]", ask->url) == 1)
        drain_page(ask);
}

static void drain_page(struct ask *ask)
{
    static const struct http_events events = {on_body, on_drained};
    struct http_get *get;
    inflate_reset(ask->inflate);
    ask->tail[0] = '\0';
    w.open++;
    if (http_get(w.http, &get, ask->url, secret_text(w.secret), 60, &events, ask) < 0)
        exit(1);
}

/* All rows are there, with their indicators. */
static bool whole(void)
{
    const struct pgd_bars *bars = &w.bus.bus.bars[1];
    uint64_t rows = 0;
    for (uint32_t i = 0; i < bars->geo->series_max; i++) {
        const struct pgd_series *series =
            (const struct pgd_series *)(bars->map.base + bars->geo->series_offset +
                                        i * bars->geo->series_stride);
        rows += series->computed;
    }
    return rows == w.bars;
}

/* As if the rings had been used before: none of their memory is touched for the first time. */
static void touch(unsigned symbols)
{
    const struct pgd_bars *bars = &w.bus.bus.bars[1];
    for (uint32_t i = 0; i < symbols; i++) {
        bus_touch(&w.bus.bus, 1, i, RING_ROWS);
        memset(bars->map.base + bars->geo->state_offset + i * bars->geo->state_stride, 0,
               bars->geo->state_stride);
    }
}

static void publish(struct ask *ask, const char *ticker, int64_t from, int64_t to)
{
    struct rest_query query = {.kind = REST_BARS,
                               .class = REST_BACKFILL,
                               .ticker = ticker,
                               .timespan = "minute",
                               .from = from,
                               .to = to};
    struct rest_sink sink = {on_rows, NULL, on_done, ask};
    ask->symbol = fixture_take(&w.bus, ticker, PGD_STOCKS, false);
    w.open++;
    if (rest_get(w.rest, &query, &sink) < 0)
        exit(1);
}

int main(int argc, char **argv)
{
    char err[200];
    static char *hosts[1];
    if (argc < 8)
        return 2;
    bool drain = strcmp(argv[1], "drain") == 0;
    w.config.rest.url = argv[2];
    w.config.rest.hosts = hosts;
    w.config.rest.connections = CONNECTIONS;
    w.config.rest.timeout_s = 60;
    w.config.rest.max_body_bytes = 256u << 20;
    w.config.rest.batch_size = 1000;
    w.config.rest.queue_size = 16;
    w.config.rest.workers = (uint32_t)atoi(argv[6]);
    w.config.stream.backoff_min_ms = w.config.stream.backoff_max_ms = 100;
    int64_t from = strtoll(argv[4], NULL, 10), to = strtoll(argv[5], NULL, 10);
    unsigned symbols = (unsigned)argc - 7;
    struct http_options options = {argv[3], "", CONNECTIONS};
    struct rest_hooks hooks = {.count = on_count, .refused = on_refused};
    struct ask *asks = calloc(symbols, sizeof(*asks));
    if (!asks || uv_loop_init(&w.loop) < 0 || http_new(&w.http, &w.loop, &options) < 0 ||
        secret_load(&w.secret, "", err, sizeof(err)) < 0)
        return 1;
    if (!drain) {
        group_take(&w.main);
        fixture_open(&w.bus, symbols, RING_ROWS);
        group_take(&w.engine);
        if (rest_new(&w.rest, &w.loop, w.http, &w.config, w.secret, &hooks) < 0)
            return 1;
        group_take(&w.parsers);
    }
    if (!drain && getenv("TOUCHED"))
        touch(symbols);
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < symbols; i++) {
        if (!drain) {
            publish(&asks[i], argv[7 + i], from, to);
            continue;
        }
        if (inflate_new(&asks[i].inflate) < 0)
            return 1;
        (void)snprintf(asks[i].url, sizeof(asks[i].url),
                       "%s/v2/aggs/ticker/%s/range/1/minute/%" PRId64 "/%" PRId64
                       "?adjusted=true&sort=asc&limit=50000",
                       argv[2], argv[7 + i], from, to);
        drain_page(&asks[i]);
    }
    double before[] = {group_cpu(&w.main), group_cpu(&w.parsers), group_cpu(&w.engine)};
    while (w.open)
        (void)uv_run(&w.loop, UV_RUN_ONCE);
    while (!drain && !worker_idle(w.bus.worker))
        (void)usleep(100);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = seconds(CLOCK_MONOTONIC) - wall;
    printf("%" PRIu64 " %" PRIu64 " %.4f %.4f", w.bars, w.bytes, cpu, wall);
    if (!drain) {
        printf(" %.4f %.4f %.4f %.4f", group_cpu(&w.main) - before[0] - w.put, w.put,
               group_cpu(&w.parsers) - before[1], group_cpu(&w.engine) - before[2]);
        w.failed += !whole();
        fixture_remove(&w.bus);
    }
    printf("\n");
    fflush(stdout);
    _exit(w.failed ? 1 : 0);
}
