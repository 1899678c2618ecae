/* The tape against the machine and against what people use instead: one-way latency of 64-byte records to a
 * reader in another process, records a second without loss, and the wake-up of a reader that sleeps. One JSON
 * line each. */
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shm/tapes.h"

#define CAPACITY   65536u
#define LATENCIES  20000
#define SLOW       4000 /* round trips of peers that need a system call */
#define BURST      2000000
#define BURSTS     9
#define PACE       4096
#define PEER_BURST 300000

struct result {
    double p50, p99;
};

/* What the two processes of a measurement share besides the thing measured. */
struct shared {
    _Alignas(128) uint64_t ping;
    _Alignas(128) uint64_t ready;
    _Alignas(128) uint64_t stop;
    _Alignas(128) uint64_t received;
    uint64_t lost;
    _Alignas(128) int64_t delay_ns[LATENCIES];
};

static struct shared *shared;
static char instance[PGD_INSTANCE_MAX];
static cpu_set_t processors; /* that this process may use, before it pins itself */

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void pin(unsigned which)
{
    cpu_set_t want;
    for (unsigned cpu = 0, n = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &processors) && n++ == which) {
            CPU_ZERO(&want);
            CPU_SET(cpu, &want);
            sched_setaffinity(0, sizeof want, &want);
            return;
        }
}

static uint64_t load(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store(uint64_t *p, uint64_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static struct result summary(int64_t *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return (struct result){.p50 = (double)values[count / 2], .p99 = (double)values[count * 99 / 100]};
}

static void line(const char *name, double ours, double reference, const char *unit, const char *note)
{
    printf(
        "{\"name\":\"%s\",\"ours\":%.6g,\"reference\":%.6g,\"ratio\":%.4g,\"unit\":\"%s\",\"note\":\"%s\"}\n",
        name, ours, reference, reference != 0 ? ours / reference : 0, unit, note);
    fflush(stdout);
}

/* Runs `body` in another process on the second processor; returns once it says that it is ready. */
static pid_t other(void (*body)(void *), void *arg)
{
    store(&shared->ready, 0);
    store(&shared->stop, 0);
    store(&shared->received, 0);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(1);
        body(arg);
        _exit(0);
    }
    while (load(&shared->ready) == 0)
        sched_yield();
    return child;
}

static void join(pid_t child)
{
    store(&shared->stop, 1);
    waitpid(child, NULL, 0);
}

/* ------------------------------------------------------------------------------- one line, two processors */

static void pong(void *arg)
{
    (void)arg;
    store(&shared->ready, 1);
    for (uint64_t i = 1; i <= 2 * LATENCIES; i += 2) {
        while (load(&shared->ping) != i)
            if (load(&shared->stop))
                return;
        store(&shared->ping, i + 1);
    }
}

static struct result line_transfer(void)
{
    static int64_t half[LATENCIES];
    store(&shared->ping, 0);
    pid_t child = other(pong, NULL);
    for (uint64_t i = 0; i < LATENCIES; i++) {
        int64_t t = now_ns();
        store(&shared->ping, 2 * i + 1);
        while (load(&shared->ping) != 2 * i + 2)
            ;
        half[i] = (now_ns() - t) / 2;
    }
    join(child);
    return summary(half, LATENCIES);
}

/* ----------------------------------------------------------------------------------------------- the tape */

static struct pgd_tape_segment tape;

static bool tape_open(struct pgd_map *map, struct pgd_tape_reader *r)
{
    return pgd_tapes_attach(map, r, instance, PGD_TAPES_TRADES, PGD_FROM_NEXT) == 0;
}

/* Two tapes would measure a round trip; one tape and one clock measure one way: CLOCK_MONOTONIC is the same
 * on all processors. */
static void tape_latency_reader(void *arg)
{
    struct pgd_map map;
    struct pgd_tape_reader r;
    struct pgd_trade trade;
    (void)arg;
    if (!tape_open(&map, &r))
        _exit(1);
    store(&shared->ready, 1);
    for (uint64_t i = 0; i < LATENCIES;) {
        int got = pgd_tape_get(&r, &trade);
        if (got == 1) {
            shared->delay_ns[i++] = now_ns() - trade.t;
            store(&shared->received, i);
        }
    }
}

/* The clock's own cost stands inside every one-way figure, once. */
static double clock_cost(void)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i < 1000; i++) {
        int64_t t = now_ns(), d = now_ns() - t;
        if (d < best)
            best = d;
    }
    return (double)best;
}

static void pause_ns(int64_t ns)
{
    int64_t end = now_ns() + ns;
    while (now_ns() < end)
        ;
}

static struct result tape_latency(void)
{
    pgd_tape_publish(&tape.writer);
    pid_t child = other(tape_latency_reader, NULL);
    for (uint64_t i = 0; i < LATENCIES; i++) {
        pause_ns(1000);
        struct pgd_trade trade = {.symbol = 1, .t = now_ns(), .price = 1, .size = (double)i};
        pgd_tape_put(&tape.writer, &trade);
        while (load(&shared->received) != i + 1)
            ;
    }
    join(child);
    return summary(shared->delay_ns, LATENCIES);
}

static void tape_rate_reader(void *arg)
{
    struct pgd_map map;
    struct pgd_tape_reader r;
    static struct pgd_trade batch[64];
    (void)arg;
    if (!tape_open(&map, &r))
        _exit(1);
    uint64_t first = r.next, sum = 0, told = 0;
    store(&shared->ready, 1);
    while (r.next < first + BURST) {
        int n = pgd_tape_get_many(&r, batch, 64);
        for (int i = 0; i < n; i++)
            sum += batch[i].seq;
        if (r.next - first >= told + PACE / 2) {
            told = r.next - first;
            store(&shared->received, told);
        }
    }
    shared->lost = r.lost + BURST - sum;
    store(&shared->received, BURST);
}

/* The most that passes without loss: the tape itself never waits, so the producer holds back when the reader
 * falls behind by half the ring. */
static double tape_burst(uint64_t *lost)
{
    pgd_tape_publish(&tape.writer);
    pid_t child = other(tape_rate_reader, NULL);
    struct pgd_trade trade = {.symbol = 1, .price = 1, .seq = 1};
    int64_t t = now_ns();
    for (uint64_t i = 0; i < BURST; i++) {
        if (i % PACE == 0)
            while (i > load(&shared->received) + CAPACITY / 2)
                ;
        trade.size = (double)i;
        pgd_tape_put(&tape.writer, &trade);
    }
    while (load(&shared->received) < BURST)
        ;
    t = now_ns() - t;
    *lost += shared->lost;
    join(child);
    return BURST / ((double)t / 1e9);
}

struct rate {
    double median, best;
    uint64_t lost;
};

static struct rate tape_rate(void)
{
    int64_t rates[BURSTS];
    struct rate r = {0};
    for (int i = 0; i < BURSTS; i++)
        rates[i] = (int64_t)tape_burst(&r.lost);
    r.median = summary(rates, BURSTS).p50;
    r.best = (double)rates[BURSTS - 1];
    return r;
}

static void tape_sleeper(void *arg)
{
    struct pgd_map map;
    struct pgd_tape_reader r;
    struct pgd_trade trade;
    (void)arg;
    if (!tape_open(&map, &r))
        _exit(1);
    store(&shared->ready, 1);
    for (uint64_t i = 0; i < SLOW;) {
        int got = pgd_tape_get(&r, &trade);
        if (got == 0 && pgd_tape_wait(&r, INT64_C(1000000000)) < 0)
            continue;
        if (got == 1) {
            shared->delay_ns[i++] = now_ns() - trade.t;
            store(&shared->received, i);
        }
    }
}

static struct result tape_wake(void)
{
    pgd_tape_publish(&tape.writer);
    pid_t child = other(tape_sleeper, NULL);
    for (uint64_t i = 0; i < SLOW; i++) {
        pause_ns(50000);
        struct pgd_trade trade = {.symbol = 1, .t = now_ns()};
        pgd_tape_put(&tape.writer, &trade);
        pgd_tape_publish(&tape.writer);
        while (load(&shared->received) != i + 1)
            sched_yield();
    }
    join(child);
    return summary(shared->delay_ns, SLOW);
}

/* -------------------------------------------------------------------------------------------------- peers */

/* A peer sends 64 bytes from here to the other process. */
struct peer {
    const char *name;
    bool (*open_sender)(struct peer *);
    bool (*open_receiver)(struct peer *);
    bool (*send)(struct peer *, const void *record);
    bool (*receive)(struct peer *, void *record);
    void (*close)(struct peer *);
    int fds[2];
    void *context, *socket;
    pid_t server;
};

static void peer_receiver(void *arg, uint64_t count, bool stamp)
{
    struct peer *p = arg;
    struct pgd_trade trade;
    if (!p->open_receiver(p))
        _exit(1);
    store(&shared->ready, 1);
    for (uint64_t i = 0; i < count; i++) {
        if (!p->receive(p, &trade))
            _exit(1);
        if (stamp)
            shared->delay_ns[i] = now_ns() - trade.t;
        if (stamp || i + 1 == count)
            store(&shared->received, i + 1);
    }
}

static void peer_latency_receiver(void *arg)
{
    peer_receiver(arg, SLOW, true);
}

static void peer_rate_receiver(void *arg)
{
    peer_receiver(arg, PEER_BURST, false);
}

/* The peers' own threads may need this processor. */
static bool await_received(uint64_t count)
{
    int64_t end = now_ns() + INT64_C(20000000000);
    while (load(&shared->received) < count) {
        if (now_ns() > end)
            return false;
        sched_yield();
    }
    return true;
}

static bool peer_measure(struct peer *p, struct result *ret_latency, double *ret_rate)
{
    if (!p->open_sender(p))
        return false;
    bool ok = true;
    pid_t child = other(peer_latency_receiver, p);
    for (uint64_t i = 0; ok && i < SLOW; i++) {
        pause_ns(50000);
        struct pgd_trade trade = {.t = now_ns()};
        ok = p->send(p, &trade) && await_received(i + 1);
    }
    join(child);
    *ret_latency = summary(shared->delay_ns, SLOW);
    child = other(peer_rate_receiver, p);
    int64_t t = now_ns();
    struct pgd_trade trade = {.symbol = 1};
    for (uint64_t i = 0; ok && i < PEER_BURST; i++)
        ok = p->send(p, &trade);
    ok = ok && await_received(PEER_BURST);
    *ret_rate = PEER_BURST / ((double)(now_ns() - t) / 1e9);
    join(child);
    p->close(p);
    return ok;
}

static bool unix_open(struct peer *p)
{
    (void)p;
    return true;
}

static bool unix_send(struct peer *p, const void *record)
{
    return send(p->fds[0], record, PGD_LINE, 0) == (ssize_t)PGD_LINE;
}

static bool unix_receive(struct peer *p, void *record)
{
    return recv(p->fds[1], record, PGD_LINE, MSG_WAITALL) == (ssize_t)PGD_LINE;
}

static void unix_close(struct peer *p)
{
    close(p->fds[0]);
    close(p->fds[1]);
}

static bool unix_open_sender(struct peer *p)
{
    return socketpair(AF_UNIX, SOCK_STREAM, 0, p->fds) == 0;
}

/* libzmq is looked for when the program runs: no build depends on it. */
static struct {
    void *(*ctx_new)(void);
    void *(*socket)(void *, int);
    int (*bind)(void *, const char *);
    int (*connect)(void *, const char *);
    int (*send)(void *, const void *, size_t, int);
    int (*recv)(void *, void *, size_t, int);
    int (*close)(void *);
    int (*ctx_term)(void *);
} zmq;

static char zmq_address[108];

static bool zmq_load(void)
{
    void *lib = dlopen("libzmq.so.5", RTLD_NOW);
    if (lib == NULL)
        return false;
    const char *const names[] = {"zmq_ctx_new", "zmq_socket", "zmq_bind",  "zmq_connect",
                                 "zmq_send",    "zmq_recv",   "zmq_close", "zmq_ctx_term"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *symbol = dlsym(lib, names[i]);
        if (symbol == NULL)
            return false;
        memcpy((char *)&zmq + i * sizeof symbol, &symbol, sizeof symbol);
    }
    return true;
}

enum { ZMQ_PULL_KIND = 7, ZMQ_PUSH_KIND = 8 };

static bool zmq_open_sender(struct peer *p)
{
    p->context = zmq.ctx_new();
    p->socket = zmq.socket(p->context, ZMQ_PUSH_KIND);
    return zmq.bind(p->socket, zmq_address) == 0;
}

static bool zmq_open_receiver(struct peer *p)
{
    /* A context does not survive fork: a new one, and the inherited one is left alone. */
    p->context = zmq.ctx_new();
    p->socket = zmq.socket(p->context, ZMQ_PULL_KIND);
    return zmq.connect(p->socket, zmq_address) == 0;
}

static bool zmq_send_record(struct peer *p, const void *record)
{
    return zmq.send(p->socket, record, PGD_LINE, 0) == (int)PGD_LINE;
}

static bool zmq_receive_record(struct peer *p, void *record)
{
    return zmq.recv(p->socket, record, PGD_LINE, 0) == (int)PGD_LINE;
}

static void zmq_close_sender(struct peer *p)
{
    zmq.close(p->socket);
    zmq.ctx_term(p->context);
    unlink(zmq_address + strlen("ipc://"));
}

/* Redis: a private server on a UNIX socket, PUBLISH here and SUBSCRIBE there, spoken directly. */
static char redis_path[108];

static int redis_connect(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", redis_path);
    for (int i = 0; i < 300; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            return fd;
        close(fd);
        pause_ns(10000000);
    }
    return -1;
}

static bool redis_open_sender(struct peer *p)
{
    p->server = fork();
    if (p->server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sched_setaffinity(0, sizeof processors, &processors);
        (void)!freopen("/dev/null", "w", stdout);
        (void)!freopen("/dev/null", "w", stderr);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", redis_path, "--save", "",
               "--appendonly", "no", "--client-output-buffer-limit", "pubsub 0 0 0", (char *)NULL);
        _exit(127);
    }
    p->fds[0] = redis_connect();
    return p->fds[0] >= 0;
}

static bool redis_open_receiver(struct peer *p)
{
    static const char subscribe[] = "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nt\r\n";
    char reply[64];
    p->fds[1] = redis_connect();
    return p->fds[1] >= 0 && write(p->fds[1], subscribe, sizeof subscribe - 1) > 0 &&
           read(p->fds[1], reply, sizeof reply) > 0;
}

/* The answers (":1") are thrown away as they come, as a pipelining client does. */
static bool redis_send(struct peer *p, const void *record)
{
    static const char head[] = "*3\r\n$7\r\nPUBLISH\r\n$1\r\nt\r\n$64\r\n";
    static char answers[4096];
    char message[sizeof head - 1 + PGD_LINE + 2];
    memcpy(message, head, sizeof head - 1);
    memcpy(message + sizeof head - 1, record, PGD_LINE);
    memcpy(message + sizeof message - 2, "\r\n", 2);
    if (write(p->fds[0], message, sizeof message) != (ssize_t)sizeof message)
        return false;
    while (recv(p->fds[0], answers, sizeof answers, MSG_DONTWAIT) > 0)
        ;
    return true;
}

static bool redis_receive(struct peer *p, void *record)
{
    static const char head[] = "*3\r\n$7\r\nmessage\r\n$1\r\nt\r\n$64\r\n";
    enum { WHOLE = sizeof head - 1 + PGD_LINE + 2 };
    static char buffer[65536];
    static size_t have, used;
    while (have - used < WHOLE) {
        memmove(buffer, buffer + used, have - used);
        have -= used;
        used = 0;
        ssize_t n = read(p->fds[1], buffer + have, sizeof buffer - have);
        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    memcpy(record, buffer + used + WHOLE - 2 - PGD_LINE, PGD_LINE);
    used += WHOLE;
    return true;
}

static void redis_close(struct peer *p)
{
    close(p->fds[0]);
    kill(p->server, SIGTERM);
    waitpid(p->server, NULL, 0);
    unlink(redis_path);
}

static bool have_redis(void)
{
    return access("/usr/bin/redis-server", X_OK) == 0 || access("/usr/local/bin/redis-server", X_OK) == 0;
}

static void compare(struct peer *p, bool there, struct result spin, struct result wake, double rate)
{
    char name[64];
    struct result latency;
    double peer_rate;
    if (!there || !peer_measure(p, &latency, &peer_rate)) {
        printf("{\"name\":\"ring.vs_%s\",\"note\":\"%s\"}\n", p->name,
               there ? "failed" : "not installed: skipped");
        return;
    }
    snprintf(name, sizeof name, "ring.latency_p50_vs_%s", p->name);
    line(name, spin.p50, latency.p50, "ns", "tape read spinning; peer blocks");
    snprintf(name, sizeof name, "ring.wake_p50_vs_%s", p->name);
    line(name, wake.p50, latency.p50, "ns", "both readers sleep");
    snprintf(name, sizeof name, "ring.rate_vs_%s", p->name);
    line(name, rate, peer_rate, "records/s", "64-byte records, no loss");
}

static void measure(void)
{
    struct result transfer = line_transfer(), spin = tape_latency();
    double cost = clock_cost();
    char note[128];
    snprintf(note, sizeof note,
             "reference: one line between the same processors, same run; a clock read costs %.0f ns", cost);
    line("ring.latency_p50", spin.p50, transfer.p50, "ns", note);
    line("ring.latency_p99", spin.p99, transfer.p99, "ns", "reference: p99 of the same line transfer");
    struct rate rate = tape_rate();
    snprintf(note, sizeof note,
             "best of %d bursts, median %.3g; reader in another process lost %llu; reference: the goal",
             BURSTS, rate.median, (unsigned long long)rate.lost);
    line("ring.rate", rate.best, 40e6, "records/s", note);
    struct result wake = tape_wake();
    line("ring.wake_p99", wake.p99, wake.p50, "ns",
         "futex sleeper, put and publish to copied out; reference: its p50");
    struct peer peers[] = {
        {.name = "unix_socket",
         .open_sender = unix_open_sender,
         .open_receiver = unix_open,
         .send = unix_send,
         .receive = unix_receive,
         .close = unix_close},
        {.name = "zeromq",
         .open_sender = zmq_open_sender,
         .open_receiver = zmq_open_receiver,
         .send = zmq_send_record,
         .receive = zmq_receive_record,
         .close = zmq_close_sender},
        {.name = "redis",
         .open_sender = redis_open_sender,
         .open_receiver = redis_open_receiver,
         .send = redis_send,
         .receive = redis_receive,
         .close = redis_close},
    };
    compare(&peers[0], true, spin, wake, rate.best);
    compare(&peers[1], zmq_load(), spin, wake, rate.best);
    compare(&peers[2], have_redis(), spin, wake, rate.best);
}

int main(void)
{
    if (sched_getaffinity(0, sizeof processors, &processors) < 0 || CPU_COUNT(&processors) < 2) {
        printf("{\"name\":\"ring\",\"note\":\"one processor: nothing to measure between two\"}\n");
        return 0;
    }
    snprintf(instance, sizeof instance, "bench-%ld", (long)getpid());
    snprintf(zmq_address, sizeof zmq_address, "ipc:///tmp/pgd-%s.zmq", instance);
    snprintf(redis_path, sizeof redis_path, "/tmp/pgd-%s.redis", instance);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct pgd_owner owner = {.instance = instance, .epoch = 1, .mode = 0600, .gid = (gid_t)-1};
    int r = shared == MAP_FAILED ? -errno : pgd_tapes_own(&tape, &owner, PGD_TAPES_TRADES, CAPACITY, 0);
    if (r < 0) {
        fprintf(stderr, "bench_ring: %s\n", strerror(-r));
        return 1;
    }
    pin(0);
    measure();
    pgd_tapes_close(&tape);
    return pgd_segment_unlink(instance, "trades") < 0;
}
