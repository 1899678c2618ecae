/* The journal's price and the replay's pace, over the daemon's path without the network: decode, parse, feed,
 * publish.
 *
 *   journal_on   events a second until all is handed to the kernel; reference: the same path without a
 *                journal. Slices of both by turns, every slice with trades that were never seen before
 *   replay_max   that slice's journal served again by daemon/replay.c at full speed; reference: as above
 *   journal_disk what the slices wrote, a second; reference: as many bytes written and synced by write()
 *
 * For messages of 100 trades and of a single one. The first argument is the journal's folder, else one in
 * $TMPDIR or /tmp is made. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <uv.h>

#include "bench/inside.h"
#include "clock.h"
#include "journal.h"
#include "log.h"
#include "parse.h"
#include "replay.h"
#include "unit/folder.h"
#include "ws.h"

#define SYMBOLS  100u
#define ROUNDS   9u
#define READ_MAX 65536u                /* bytes of one read: some TLS records */
#define LEFT_MAX (UINT64_C(256) << 10) /* bytes that the journal leaves for its next flush */
#define MIB      (UINT64_C(1) << 20)

struct bench {
    struct inside live, again;
    char folder[256];
    struct ws_decoder *decoder;
    struct journal *journal; /* NULL: off */
    uint8_t *stream;         /* of one slice, as on the wire */
    size_t stream_size;
    unsigned events, per_message;
    uint64_t ids;        /* given so far */
    uint64_t in_journal; /* bytes of records that the slice has put */
};

struct took {
    double wall_s, cpu_s;
};

static double now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void report(const char *name, double ours, double reference, const char *unit, const char *note)
{
    printf(
        "{\"name\":\"%s\",\"ours\":%.4g,\"reference\":%.4g,\"ratio\":%.3g,\"unit\":\"%s\",\"note\":\"%s\"}\n",
        name, ours, reference, ours / reference, unit, note);
    fflush(stdout);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(const double *values, size_t n)
{
    double v[ROUNDS];
    memcpy(v, values, n * sizeof *v);
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

/* ------------------------------------------------------------------------------------------------- a daemon
 */

static struct inside_options side(const char *name)
{
    return (struct inside_options){
        .name = name, .symbols = SYMBOLS, .rows = 256, .trades = 1 << 20, .kind = PGK_CPU};
}

static uint64_t published(const struct inside *s)
{
    return s->bus.board.counters[PGD_C_trades].value;
}

/* ------------------------------------------------------------------------------------------------ the stream
 */

static size_t put_trade(char *at, size_t room, uint64_t id)
{
    int n =
        snprintf(at, room,
                 "{\"ev\":\"T\",\"sym\":\"SIM%04u\",\"x\":4,\"i\":\"%010llu\",\"z\":3,\"p\":%u.%02u,\"s\":"
                 "100,\"c\":[14,37],\"t\":%llu,\"q\":%llu}",
                 (unsigned)(id % SYMBOLS), (unsigned long long)id, 100 + (unsigned)(id % 50),
                 (unsigned)(id % 100), 1700000000000ull + id / 1000, (unsigned long long)id);
    return (size_t)n;
}

/* A message of `per_message` trades as a server's frame. */
static size_t put_frame(struct bench *b, uint8_t *frame)
{
    enum { HEAD = 10 };
    char *text = (char *)frame + HEAD;
    size_t size = 0;
    text[size++] = '[';
    for (unsigned i = 0; i < b->per_message; i++) {
        if (i)
            text[size++] = ',';
        size += put_trade(text + size, 200, ++b->ids);
    }
    text[size++] = ']';
    size_t at = 0;
    frame[at++] = 0x81;
    if (size > 125) {
        frame[at++] = 126;
        frame[at++] = (uint8_t)(size >> 8);
    }
    frame[at++] = (uint8_t)size;
    memmove(frame + at, text, size);
    return at + size;
}

static void make_stream(struct bench *b)
{
    b->stream_size = 0;
    for (unsigned i = 0; i < b->events / b->per_message; i++)
        b->stream_size += put_frame(b, b->stream + b->stream_size);
}

/* -------------------------------------------------------------------------------------------------- the path
 */

struct path {
    struct bench *bench;
    struct parse_sink sink;
    uint64_t messages;
};

static void on_message(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    struct path *p = user;
    (void)opcode;
    p->messages++;
    if (parse_ws((const char *)data, size, PGD_STOCKS, &p->sink) < 0)
        inside_die("bad message");
    if (!p->bench->journal)
        return;
    const struct journal_entry e = {.kind = JOURNAL_FRAME,
                                    .cluster = PGD_STOCKS,
                                    .index = 1,
                                    .t_ns = feed_clock(p->bench->live.feed)->now_ns};
    p->bench->in_journal += journal_padded(sizeof(struct journal_record) + size);
    journal_put(p->bench->journal, &e, data, size);
}

static void on_control(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    (void)user, (void)opcode, (void)data, (void)size;
}

static void take_stream(struct bench *b)
{
    struct path p = {b, feed_sink(b->live.feed, PGD_STOCKS), 0};
    const struct ws_sink ws = {on_message, on_control, &p};
    for (size_t at = 0; at < b->stream_size;) {
        size_t room, left = b->stream_size - at;
        uint8_t *to = ws_decoder_space(b->decoder, &room);
        size_t n = left < READ_MAX ? left : READ_MAX;
        n = n < room ? n : room;
        memcpy(to, b->stream + at, n);
        feed_stamp(b->live.feed, clock_real_ns());
        p.messages = 0;
        if (ws_decoder_take(b->decoder, n, &ws) < 0)
            inside_die("frame");
        feed_batch(b->live.feed, n, p.messages);
        at += n;
    }
}

static void wait_written(const struct bench *b)
{
    struct journal_counts c;
    const struct timespec nap = {0, 200000};
    for (;;) {
        journal_counts(b->journal, &c);
        if (c.bytes + LEFT_MAX >= b->in_journal)
            return;
        nanosleep(&nap, NULL);
    }
}

/* One slice through the path, and into the journal where there is one. */
static struct took live_slice(struct bench *b)
{
    const uint64_t before = published(&b->live);
    struct took t = {now_s(), cpu_s()};
    take_stream(b);
    if (b->journal)
        wait_written(b);
    t = (struct took){now_s() - t.wall_s, cpu_s() - t.cpu_s};
    if (published(&b->live) != before + b->events)
        inside_die("events are missing");
    return t;
}

static void journal_on(struct bench *b)
{
    char err[256];
    const struct journal_options o = {.directory = b->folder,
                                      .instance = "bench",
                                      .config = "instance: bench\n",
                                      .buffer_bytes = 32 * MIB,
                                      .file_bytes = 256 * MIB,
                                      .flush_ms = 200,
                                      .symbols = SYMBOLS,
                                      .mode = 0600};
    if (journal_open(&b->journal, &o, err, sizeof err) < 0)
        inside_die(err);
    feed_tap(b->live.feed, b->journal);
    for (uint32_t i = 0; i < SYMBOLS; i++) {
        const struct journal_entry e = {
            .kind = JOURNAL_SYMBOL, .cluster = PGD_STOCKS, .flags = JOURNAL_SYMBOL_HELD, .index = i};
        char name[PGD_SYMBOL_MAX] = "";
        snprintf(name, sizeof name, "SIM%04u", i);
        journal_put(b->journal, &e, name, sizeof name);
    }
    b->in_journal = 0;
}

static void journal_off(struct bench *b)
{
    struct journal_counts c;
    journal_counts(b->journal, &c);
    if (c.lost || c.faults)
        inside_die("the journal lost records: the disk is too slow, or the ring too small");
    feed_tap(b->live.feed, NULL);
    journal_close(b->journal);
    b->journal = NULL;
}

/* ---------------------------------------------------------------------------------------------------- replay
 */

static void on_changed(void *user, struct symbol *symbol)
{
    (void)user, (void)symbol;
}

static void on_conn(void *user, const struct pgd_conn *conn)
{
    (void)user, (void)conn;
}

static void on_done(void *user, bool ok)
{
    if (!ok)
        inside_die("the replay had faults");
    replay_stop(*(struct replay **)user);
}

static struct took replay_slice(struct bench *b)
{
    char err[512], *paths[] = {b->folder};
    const struct replay_options o = {.paths = paths, .count = 1, .from_ns = INT64_MIN, .to_ns = INT64_MAX};
    struct replay *replay = NULL;
    const struct replay_hooks hooks = {on_changed, on_conn, on_done, &replay};
    uv_loop_t loop;
    uv_loop_init(&loop);
    const uint64_t before = published(&b->again);
    struct took t = {now_s(), cpu_s()};
    if (replay_new(&replay, &loop, &b->again.bus, b->again.symbols, b->again.feed, b->again.worker, &o,
                   &hooks, err, sizeof err) < 0)
        inside_die(err);
    replay_start(replay);
    uv_run(&loop, UV_RUN_DEFAULT);
    t = (struct took){now_s() - t.wall_s, cpu_s() - t.cpu_s};
    replay_free(replay);
    uv_loop_close(&loop);
    if (published(&b->again) != before + b->events)
        inside_die("the replay has not published the same");
    return t;
}

/* ------------------------------------------------------------------------------------------------------ disk
 */

/* As many bytes as a slice's journal has, until they are on the disk. */
static double disk_s(const struct bench *b, uint64_t bytes)
{
    char path[300];
    snprintf(path, sizeof path, "%s/reference", b->folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        inside_die("cannot write beside the journal");
    double start = now_s();
    for (uint64_t done = 0; done < bytes;) {
        size_t n = bytes - done < MIB ? (size_t)(bytes - done) : MIB;
        if (write(fd, b->stream, n) != (ssize_t)n)
            inside_die("cannot write beside the journal");
        done += n;
    }
    if (fdatasync(fd) < 0)
        inside_die("cannot write beside the journal");
    double took = now_s() - start;
    close(fd);
    unlink(path);
    return took;
}

static void remove_files(const struct bench *b)
{
    for (unsigned i = 1; i < 1000; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/bench-%08u.pgj", b->folder, i);
        if (unlink(path) < 0)
            return;
    }
}

static void bench_shape(struct bench *b, unsigned per_message, unsigned events)
{
    double off[ROUNDS], on[ROUNDS], ratio[ROUNDS], cpu[ROUNDS], again[ROUNDS], pace[ROUNDS];
    b->per_message = per_message;
    b->events = events / per_message * per_message;
    for (unsigned i = 0; i < ROUNDS + 1; i++) {
        struct took t[2]; /* off, on; the order changes by turns */
        for (unsigned k = 0; k < 2; k++) {
            unsigned journal = (i + k) % 2;
            make_stream(b);
            if (journal)
                journal_on(b);
            t[journal] = live_slice(b);
            if (journal)
                journal_off(b);
        }
        struct took r = replay_slice(b);
        remove_files(b);
        if (i == 0) /* warms up */
            continue;
        off[i - 1] = b->events / t[0].wall_s / 1e6;
        on[i - 1] = b->events / t[1].wall_s / 1e6;
        ratio[i - 1] = t[0].wall_s / t[1].wall_s;
        cpu[i - 1] = t[0].cpu_s / t[1].cpu_s;
        again[i - 1] = b->events / r.wall_s / 1e6;
        pace[i - 1] = t[0].wall_s / r.wall_s;
    }
    char name[64], note[256];
    snprintf(name, sizeof name, "journal_on_%u_a_message", per_message);
    snprintf(note, sizeof note,
             "%u trades a slice; reference: no journal; median of %u pairs' ratios %.3f; of CPU time, all "
             "threads, %.3f",
             b->events, ROUNDS, median(ratio, ROUNDS), median(cpu, ROUNDS));
    report(name, median(on, ROUNDS), median(off, ROUNDS), "M/s", note);
    snprintf(name, sizeof name, "replay_max_%u_a_message", per_message);
    snprintf(note, sizeof note, "reference: the live path without a journal; median of %u pairs' ratios %.3f",
             ROUNDS, median(pace, ROUNDS));
    report(name, median(again, ROUNDS), median(off, ROUNDS), "M/s", note);
    double bytes = (double)b->in_journal;
    snprintf(note, sizeof note, "what the journal took of the disk's cache; reference: written and synced");
    report("journal_bytes", bytes * median(on, ROUNDS) * 1e6 / b->events / 1e6,
           bytes / disk_s(b, b->in_journal) / 1e6, "MB/s", note);
}

int main(int argc, char **argv)
{
    static struct bench b;
    if (argc > 1)
        snprintf(b.folder, sizeof b.folder, "%s", argv[1]);
    else
        folder_make(b.folder);
    (void)log_level_set("error");
    const struct inside_options live = side("a"), again = side("b");
    inside_open(&b.live, &live);
    inside_open(&b.again, &again);
    for (unsigned i = 0; i < SYMBOLS; i++) {
        char name[16];
        struct symbol *symbol;
        snprintf(name, sizeof name, "SIM%04u", i);
        if (symbols_add(b.live.symbols, &symbol, name, PGD_STOCKS) < 0)
            inside_die("symbols");
        symbol->held = true;
        feed_open_symbol(b.live.feed, symbol, false);
    }
    b.decoder = ws_decoder_new(1 << 20);
    b.stream = malloc(400 * MIB);
    if (!b.decoder || !b.stream)
        inside_die("out of memory");
    bench_shape(&b, 100, 1500000);
    bench_shape(&b, 1, 1500000);
    free(b.stream);
    ws_decoder_free(b.decoder);
    inside_close(&b.live);
    inside_close(&b.again);
    if (argc == 1)
        folder_remove(b.folder);
    return 0;
}
