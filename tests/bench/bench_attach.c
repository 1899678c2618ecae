/* What attaching costs a client at 10,000 symbols: time to open board and bars, find a symbol and read its
 * newest row, next to mapping the same files by hand; and the client's private memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/writer.h"
#include "polygond/polygond.h"

#define SYMBOLS 10000u
#define ROUNDS  301

static double now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, ROUNDS, sizeof *v, by_value);
    return v[ROUNDS / 2];
}

static int attach_once(const char *instance)
{
    struct pgd_client *client;
    struct pgd_bar bar;
    double columns[WRITER_COLUMNS];
    int r = pgd_open(&client, instance);
    if (r < 0)
        return r;
    int stream = pgd_stream(client, "bars.1m");
    int32_t symbol = pgd_find(client, "S9999");
    r = stream < 0 || symbol < 0 ? -ENOENT : pgd_row(client, stream, (uint32_t)symbol, 0, &bar, columns);
    pgd_close(client);
    return r == 1 ? 0 : -EIO;
}

/* The limit: the system calls of mapping two files, and one byte of each. */
static int map_once(const char *instance)
{
    static const char *const names[] = {"board", "bars.1m"};
    int sum = 0;
    for (int i = 0; i < 2; i++) {
        char path[PGD_SHM_NAME_MAX];
        struct stat st;
        if (pgd_shm_name(path, instance, names[i]) < 0)
            return -EINVAL;
        int fd = shm_open(path, O_RDONLY | O_CLOEXEC, 0);
        if (fd < 0 || fstat(fd, &st) < 0)
            return -EIO;
        unsigned char *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
            return -errno;
        sum += p[0];
        munmap(p, (size_t)st.st_size);
        close(fd);
    }
    return sum > 0 ? 0 : -EIO;
}

static double measure(int (*once)(const char *), const char *instance)
{
    static double v[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        double start = now_us();
        if (once(instance) < 0)
            return -1;
        v[i] = now_us() - start;
    }
    return median(v);
}

/* Private memory of this process in KiB. */
static long private_kib(void)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    long sum = 0, kib;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Private_Clean: %ld", &kib) == 1 || sscanf(line, "Private_Dirty: %ld", &kib) == 1)
            sum += kib;
    if (f)
        fclose(f);
    return sum;
}

/* In a child of its own: what a subscription to every symbol adds, after one row of each was delivered. */
static long subscribe_kib(const char *instance)
{
    int fds[2];
    long kib = -1;
    if (pipe(fds) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        struct pgd_client *client;
        struct pgd_sub *sub;
        const struct pgd_event *e;
        long before = private_kib(), rows = 0;
        if (pgd_open(&client, instance) < 0 || pgd_sub_new(&sub, client) < 0 ||
            pgd_sub_stream(sub, "bars.1m", 1) < 0)
            _exit(1);
        pgd_sub_all(sub);
        while (pgd_sub_next(sub, &e, 0) > 0)
            rows += e->kind == PGD_EVENT_BAR;
        kib = rows == SYMBOLS ? private_kib() - before : -1;
        _exit(write(fds[1], &kib, sizeof kib) != sizeof kib);
    }
    close(fds[1]);
    if (read(fds[0], &kib, sizeof kib) != sizeof kib)
        kib = -1;
    close(fds[0]);
    waitpid(pid, NULL, 0);
    return kib;
}

static int fill(struct writer *w, const char *instance)
{
    struct writer_size size = {.symbols = SYMBOLS, .rows = 16, .log = 16384, .tape = 1024};
    int r = writer_open(w, instance, &size);
    for (uint32_t i = 0; r == 0 && i < SYMBOLS; i++) {
        char name[16];
        snprintf(name, sizeof name, "S%u", i);
        int32_t index = writer_symbol(w, name);
        if (index < 0)
            return index;
        struct pgd_bar bar = {.t = 60000, .o = 1, .h = 1, .l = 1, .c = 1, .v = 1, .vw = 1, .n = 1};
        writer_append(&w->minutes, (uint32_t)index, &bar, (double[WRITER_COLUMNS]){1, 2, 3});
    }
    return r;
}

int main(void)
{
    char instance[32];
    struct writer w;
    snprintf(instance, sizeof instance, "bench%ld", (long)getpid());
    int r = fill(&w, instance);
    if (r < 0) {
        fprintf(stderr, "bench_attach: %s\n", strerror(-r));
        writer_remove(instance);
        return 77;
    }
    double ours = measure(attach_once, instance), limit = measure(map_once, instance);
    long kib = subscribe_kib(instance);
    uint64_t bytes = w.board.map.size + w.minutes.map.size;
    writer_drop(&w);
    writer_remove(instance);
    if (ours < 0 || limit < 0 || kib < 0)
        return 1;
    printf(
        "{\"name\":\"attach at 10,000 symbols to first row\",\"ours\":%.1f,\"reference\":%.1f,\"ratio\":%.2f,"
        "\"unit\":\"us\",\"note\":\"reference: open, map and unmap the two files by hand\"}\n",
        ours, limit, ours / limit);
    printf("{\"name\":\"private memory of a client subscribed to 10,000 "
           "symbols\",\"ours\":%ld,\"reference\":%llu,"
           "\"ratio\":%.4f,\"unit\":\"KiB\",\"note\":\"reference: the segments it reads\"}\n",
           kib, (unsigned long long)bytes / 1024, (double)kib * 1024 / (double)bytes);
    return 0;
}
