/* A journal of any bytes. The first byte chooses: 0, the rest is a file: it is read to its end, its tail is
 * found, cut as a repair would, and read again, which gives the same records; 1, the same with every checksum
 * made right, so that what lies behind them is reached; 2, the rest is records, done to a bus by a replay. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "journal_read.h"
#include "replay_apply.h"
#include "worker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok)
        abort();
}

/* ------------------------------------------------------------------------------------------------- a file */

static void on_damage(void *user, const struct journal_damage *d)
{
    (void)user;
    check(d->what != NULL && d->file != NULL);
}

static int file_of(const uint8_t *data, size_t size)
{
    int fd = memfd_create("journal", MFD_CLOEXEC);
    check(fd >= 0);
    check(write(fd, data, size) == (ssize_t)size);
    return fd;
}

/* Records and a sum over them; negative: no journal. */
static int64_t read_all(int fd, uint64_t *ret_sum)
{
    char err[300];
    struct journal_reader *r;
    struct journal_item item;
    int64_t n = 0;
    if (journal_reader_fd(&r, fd, "file", on_damage, NULL, err, sizeof err) < 0)
        return -1;
    int e;
    while ((e = journal_reader_next(r, &item, err, sizeof err)) == 1) {
        check(item.size <= journal_reader_size(r));
        check(item.offset + item.size <= journal_reader_size(r));
        for (size_t i = 0; i < item.size; i++)
            *ret_sum = *ret_sum * 31 + item.data[i];
        *ret_sum += item.seq + item.head->kind;
        n++;
    }
    check(e == 0 || e == -ENOMEM);
    journal_reader_close(r);
    return n;
}

static void try_file(const uint8_t *data, size_t size)
{
    char err[300];
    struct journal_tail tail;
    uint64_t before = 0, after = 0;
    int fd = file_of(data, size);
    int64_t n = read_all(dup(fd), &before);
    if (n >= 0 && journal_tail(fd, "file", &tail, err, sizeof err) == 1) {
        check(tail.end + tail.torn == size);
        check(ftruncate(fd, (off_t)tail.end) == 0);
        if (tail.block.bytes)
            check(pwrite(fd, &tail.block, sizeof tail.block, (off_t)tail.block_at) == sizeof tail.block);
        check(read_all(dup(fd), &after) == n && before == after);
    }
    close(fd);
}

static void seal_all(uint8_t *data, size_t size)
{
    struct journal_file file;
    if (size < sizeof file)
        return;
    memcpy(&file, data, sizeof file);
    file.magic = JOURNAL_MAGIC;
    file.version = JOURNAL_VERSION;
    file.header_size = sizeof file;
    journal_file_seal(&file);
    memcpy(data, &file, sizeof file);
    struct journal_block block;
    for (size_t at = sizeof file; at + sizeof block <= size;) {
        memcpy(&block, data + at, sizeof block);
        block.magic = JOURNAL_BLOCK_MAGIC;
        block.header_size = sizeof block;
        journal_block_seal(&block);
        memcpy(data + at, &block, sizeof block);
        at += sizeof block;
        size_t end = block.bytes < size - at ? at + block.bytes : size;
        struct journal_record record;
        while (at + sizeof record <= end) {
            memcpy(&record, data + at, sizeof record);
            size_t padded = journal_padded(record.size);
            if (record.size < sizeof record || padded > end - at)
                break;
            _Alignas(8) uint8_t *copy = malloc(padded);
            check(copy != NULL);
            memcpy(copy, data + at, padded);
            journal_record_seal((struct journal_record *)(void *)copy);
            memcpy(data + at, copy, padded);
            free(copy);
            at += padded;
        }
        at = end;
    }
}

/* --------------------------------------------------------------------------------------------- its records
 */

static struct symbol *unheld(void *user, enum pgd_cluster cluster, struct event_text text)
{
    (void)user, (void)cluster, (void)text;
    return NULL;
}

static void dropped(void *user, enum pgd_cluster cluster, const char *reason, struct event_text raw)
{
    (void)user, (void)cluster, (void)reason, (void)raw;
}

static void failed(void *user, int error)
{
    (void)user, (void)error;
}

static void drained(void *user)
{
    (void)user;
}

struct world {
    char instance[32];
    struct config config;
    struct config_bars bars[2];
    struct pgk_plan *plan;
    struct pgk_engine *engine;
    struct bus bus;
    struct symbols *symbols;
    struct worker *worker;
    struct feed *feed;
    struct replay_target target;
};

/* One bus for all inputs: what a hostile journal leaves in it, the next one finds. */
static struct world *world(void)
{
    static struct world w;
    static char one_s[] = "1s", one_m[] = "1m", none[] = "";
    static const char *const names[] = {"board", "bars.1s", "bars.1m", "trades", "quotes"};
    char err[256];
    if (w.feed)
        return &w;
    snprintf(w.instance, sizeof w.instance, "fuzz%ld", (long)getpid());
    w.bars[0] = (struct config_bars){one_s, 256};
    w.bars[1] = (struct config_bars){one_m, 256};
    w.config.instance = w.instance;
    w.config.bus.symbols = 8;
    w.config.bus.bars = w.bars;
    w.config.bus.bars_count = 2;
    w.config.bus.trades = w.config.bus.quotes = 256;
    w.config.bus.errors = 8;
    w.config.bus.group = none;
    w.config.bus.mode = 0600;
    const struct worker_hooks worker_hooks = {.failed = failed, .drained = drained, .user = NULL};
    const struct feed_hooks hooks = {.unheld = unheld, .dropped = dropped};
    check(pgk_plan_new(&w.plan, NULL, 0, err, sizeof err) == 0);
    check(pgk_engine_new(&w.engine, w.plan, &(struct pgk_engine_options){.kind = PGK_CPU}, err, sizeof err) ==
          0);
    check(bus_open(&w.bus, &w.config, w.plan, "", (gid_t)-1, err, sizeof err) == 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        (void)pgd_segment_unlink(w.instance, names[i]);
    check(symbols_new(&w.symbols, &w.bus.board, 8) == 0);
    check(worker_new(&w.worker, &w.bus, w.engine, &worker_hooks) == 0);
    check(feed_new(&w.feed, &w.bus, w.symbols, w.worker, &hooks) == 0);
    check(worker_start(w.worker) == 0);
    check(replay_target_init(&w.target, &w.bus, w.symbols, w.feed) == 0);
    return &w;
}

/* Each: kind, cluster, flags, index, arg, length in bytes; then a time of 8 and the data. */
static void try_records(const uint8_t *data, size_t size)
{
    static const uint64_t args[] = {0, 1, 2, 3, 1000, 60000, UINT64_MAX, UINT64_C(1) << 40};
    struct world *w = world();
    while (size >= 14) {
        struct journal_record head = {.kind = data[0] % 24,
                                      .cluster = data[1] % 10,
                                      .flags = data[2],
                                      .index = data[3] == 255 ? UINT32_MAX : data[3] % 12};
        head.arg = args[data[4] % 8];
        size_t n = data[5];
        memcpy(&head.t_ns, data + 6, 8);
        data += 14;
        size -= 14;
        n = n < size ? n : size;
        uint8_t *copy = aligned_alloc(8, journal_padded(n + 8));
        check(copy != NULL);
        memcpy(copy, data, n);
        head.size = (uint32_t)(sizeof head + n);
        const struct journal_item item = {.head = &head, .data = copy, .size = n};
        const char *why = NULL;
        int r = replay_apply(&w->target, &item, &why);
        check(r == 0 || (r == -EINVAL && why));
        free(copy);
        data += n;
        size -= n;
    }
    feed_batch(w->feed, 0, 0);
    for (int i = 0; i < 100 && !worker_idle(w->worker); i++) {
        usleep(10);
        worker_kick(w->worker);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    unsigned choice = data[0] % 3;
    data++;
    size--;
    if (choice == 2) {
        try_records(data, size);
        return 0;
    }
    uint8_t *copy = malloc(size ? size : 1);
    check(copy != NULL);
    memcpy(copy, data, size);
    if (choice == 1)
        seal_all(copy, size);
    try_file(copy, size);
    free(copy);
    return 0;
}
