/* The daemon's path from a received message to a reader in another process, without the network: decode,
 * parse, feed, publish.
 *
 *   event_to_reader  one trade a message; from the last byte in the receive buffer to the record copied out
 * by a spinning reader in another process; reference: a bare put on the same tape burst_10k        10,000
 * symbols, one AM each, 100 events a message; until the last row with its indicators is visible; reference:
 * parsing the same messages and nothing else
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/inside.h"
#include "parse.h"
#include "ws.h"

#define SYMBOLS     10000u
#define SAMPLES     20000u
#define BARS        60
#define PER_MESSAGE 100u

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* The worker says so from its thread; the bench's main thread looks at it while it waits. */
static uint32_t room_again;

static void drained(void *user)
{
    (void)user;
    __atomic_store_n(&room_again, 1, __ATOMIC_RELEASE);
}

static void setup(struct inside *b)
{
    inside_open(b, &(struct inside_options){.name = "",
                                            .symbols = SYMBOLS,
                                            .rows = 256,
                                            .trades = 65536,
                                            .kind = PGK_AUTO,
                                            .drained = drained});
    for (unsigned i = 0; i < SYMBOLS; i++) {
        char name[16];
        struct symbol *symbol;
        snprintf(name, sizeof name, "SIM%04u", i);
        if (symbols_add(b->symbols, &symbol, name, PGD_STOCKS) < 0)
            inside_die("symbols");
        symbol->held = true;
        feed_open_symbol(b->feed, symbol, false);
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int64_t quantile(int64_t *v, size_t n, double q)
{
    qsort(v, n, sizeof *v, by_value);
    return v[(size_t)(q * (double)(n - 1))];
}

static void report(const char *name, double ours, double reference, const char *unit, const char *note)
{
    printf(
        "{\"name\":\"%s\",\"ours\":%.4g,\"reference\":%.4g,\"ratio\":%.3g,\"unit\":\"%s\",\"note\":\"%s\"}\n",
        name, ours, reference, ours / reference, unit, note);
    fflush(stdout);
}

/* ---------------------------------------------------------------------------------------- event to reader */

struct mailbox {
    int64_t seen[2 * SAMPLES]; /* when the reader had record i */
    uint32_t ready;
};

static void reader_process(const struct inside *b, struct mailbox *m)
{
    struct pgd_map map;
    struct pgd_tape_reader reader;
    if (pgd_tapes_attach(&map, &reader, b->instance, PGD_TAPES_TRADES, PGD_FROM_NEXT) < 0)
        _exit(1);
    __atomic_store_n(&m->ready, 1, __ATOMIC_RELEASE);
    for (uint64_t i = 0; i < 2 * SAMPLES;) {
        struct pgd_trade t;
        int r = pgd_tape_get(&reader, &t);
        if (r < 0)
            _exit(2);
        if (r == 1)
            __atomic_store_n(&m->seen[i++], now_ns(), __ATOMIC_RELEASE);
    }
    _exit(0);
}

static void sink_message(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    (void)opcode;
    if (parse_ws((const char *)data, size, PGD_STOCKS, user) < 0)
        inside_die("bad message");
}

static void sink_control(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    (void)user, (void)opcode, (void)data, (void)size;
}

static size_t make_frame(uint8_t *frame, unsigned i)
{
    char text[256];
    int n = snprintf(text, sizeof text,
                     "[{\"ev\":\"T\",\"sym\":\"SIM%04u\",\"x\":4,\"i\":\"%u\",\"z\":3,\"p\":%u.%02u,\"s\":"
                     "100,\"c\":[14,37],"
                     "\"t\":1700000000000,\"q\":%u}]",
                     i % SYMBOLS, 52983525 + i, 100 + i % 50, i % 100, i + 1);
    size_t size = (size_t)n, at = 0;
    frame[at++] = 0x81;
    if (size > 125) {
        frame[at++] = 126;
        frame[at++] = (uint8_t)(size >> 8);
    }
    frame[at++] = (uint8_t)size;
    memcpy(frame + at, text, size);
    return at + size;
}

static void wait_seen(const struct mailbox *m, uint64_t i)
{
    while (__atomic_load_n(&m->seen[i], __ATOMIC_ACQUIRE) == 0)
        ;
}

static void bench_latency(struct inside *b)
{
    static int64_t path[SAMPLES], bare[SAMPLES];
    struct mailbox *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED)
        inside_die("mmap");
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* it spins: it must not outlive us */
        reader_process(b, m);
    }
    while (!__atomic_load_n(&m->ready, __ATOMIC_ACQUIRE))
        sched_yield();
    struct ws_decoder *decoder = ws_decoder_new(1 << 20);
    struct parse_sink sink = feed_sink(b->feed, PGD_STOCKS);
    struct ws_sink ws = {sink_message, sink_control, &sink};
    uint8_t frame[300];
    for (unsigned i = 0; i < SAMPLES; i++) {
        size_t size = make_frame(frame, i), room;
        memcpy(ws_decoder_space(decoder, &room), frame, size);
        int64_t start = now_ns();
        if (ws_decoder_take(decoder, size, &ws) < 0)
            inside_die("frame");
        feed_batch(b->feed, size, 1);
        wait_seen(m, 2 * i);
        path[i] = m->seen[2 * i] - start;
        struct pgd_trade t = {.symbol = 1, .price = 1};
        start = now_ns();
        pgd_tape_put(&b->bus.trades.writer, &t);
        wait_seen(m, 2 * i + 1);
        bare[i] = m->seen[2 * i + 1] - start;
    }
    int status;
    if (waitpid(pid, &status, 0) != pid || status != 0)
        inside_die("the reader failed");
    ws_decoder_free(decoder);
    report("event_to_reader_p50", (double)quantile(path, SAMPLES, 0.5), (double)quantile(bare, SAMPLES, 0.5),
           "ns",
           "decode, parse, publish to a spinning reader in another process; reference: bare put on the same "
           "tape");
    report("event_to_reader_p99", (double)quantile(path, SAMPLES, 0.99),
           (double)quantile(bare, SAMPLES, 0.99), "ns", "as above");
    munmap(m, sizeof *m);
}

/* -------------------------------------------------------------------------------------------------- burst */

static size_t make_bars(char *text, size_t room, unsigned first, int minute)
{
    size_t at = 0;
    text[at++] = '[';
    for (unsigned i = first; i < first + PER_MESSAGE; i++) {
        int n = snprintf(
            text + at, room - at,
            "%s{\"ev\":\"AM\",\"sym\":\"SIM%04u\",\"v\":4110,\"av\":9470157,\"op\":0.4372,\"vw\":%u.4488,"
            "\"o\":%u.4488,\"c\":%u.4486,\"h\":%u.4489,\"l\":%u.4486,\"a\":0.4352,\"z\":685,\"s\":%" PRId64
            ",\"e\":%" PRId64 "}",
            i > first ? "," : "", i, 10 + (i + (unsigned)minute) % 7, 10 + (i + (unsigned)minute) % 7,
            10 + (i + (unsigned)minute) % 7, 10 + (i + (unsigned)minute) % 7, 10 + (i + (unsigned)minute) % 7,
            INT64_C(1700058600000) + minute * INT64_C(60000),
            INT64_C(1700058660000) + minute * INT64_C(60000));
        at += (size_t)n;
    }
    text[at++] = ']';
    return at;
}

static void ignore_event(void *user, const struct event *event)
{
    (void)user, (void)event;
}

static void ignore_fault(void *user, enum event_fault fault, const char *reason, const struct event *event,
                         struct event_text raw)
{
    (void)user, (void)fault, (void)event, (void)raw;
    inside_die(reason);
}

static void wait_logged(struct inside *b, struct pgd_tape_reader *log, unsigned rows)
{
    while (rows > 0) {
        struct pgd_change c;
        int r = pgd_tape_get(log, &c);
        if (r < 0)
            inside_die("lapped in the change log");
        if (r == 0 && __atomic_exchange_n(&room_again, 0, __ATOMIC_ACQ_REL))
            worker_kick(b->worker);
        if (r == 1)
            rows -= (unsigned)c.bars;
    }
}

static void bench_burst(struct inside *b)
{
    enum { MESSAGES = SYMBOLS / PER_MESSAGE, ROOM = PER_MESSAGE * 320 };
    static int64_t whole[BARS], parsed[BARS];
    char *text = malloc((size_t)MESSAGES * ROOM);
    size_t *size = calloc(MESSAGES, sizeof *size);
    struct pgd_bars_reader reader;
    struct pgd_tape_reader log;
    if (!text || !size || pgd_bars_attach(&reader, b->instance, "1m") < 0 ||
        pgd_bars_log(&log, &reader, PGD_FROM_NEXT) < 0)
        inside_die("burst setup");
    struct parse_sink sink = feed_sink(b->feed, PGD_STOCKS);
    const struct parse_sink nothing = {.event = ignore_event, .fault = ignore_fault};
    for (int bar = 0; bar < BARS; bar++) {
        for (unsigned i = 0; i < MESSAGES; i++)
            size[i] = make_bars(text + (size_t)i * ROOM, ROOM, i * PER_MESSAGE, bar);
        int64_t start = now_ns();
        for (unsigned i = 0; i < MESSAGES; i++)
            if (parse_ws(text + (size_t)i * ROOM, size[i], PGD_STOCKS, &nothing) < 0)
                inside_die("parse");
        parsed[bar] = now_ns() - start;
        start = now_ns();
        for (unsigned i = 0; i < MESSAGES; i++) {
            if (parse_ws(text + (size_t)i * ROOM, size[i], PGD_STOCKS, &sink) < 0)
                inside_die("parse");
            feed_batch(b->feed, size[i], 1);
        }
        wait_logged(b, &log, SYMBOLS);
        whole[bar] = now_ns() - start;
    }
    report("burst_10k_visible", (double)quantile(whole, BARS, 0.5) / 1000,
           (double)quantile(parsed, BARS, 0.5) / 1000, "us",
           "10,000 AM, until the last row with its 15 indicators is visible; reference: only parsing the "
           "same messages");
    pgd_bars_detach(&reader);
    free(text);
    free(size);
}

int main(void)
{
    struct inside b = {0};
    setup(&b);
    bench_latency(&b);
    bench_burst(&b);
    inside_close(&b);
    return 0;
}
