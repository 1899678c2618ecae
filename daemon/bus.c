#include "bus.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

struct sizes {
    struct pgd_board_config board;
    struct pgd_bars_config bars[BUS_BARS_MAX];
    unsigned bars_count;
    struct pgd_column columns[PGK_COLUMNS_MAX];
    uint64_t total;   /* bytes in all */
    uint64_t present; /* of these, already held by segments of an earlier run */
};

static int64_t span_of(const char *timespan)
{
    return strcmp(timespan, "1s") == 0 ? 1000 : 60000;
}

static uint32_t log_slots(uint32_t symbols)
{
    uint32_t slots = 4096;
    while (slots < 8 * symbols && slots < PGD_CAPACITY_LIMIT)
        slots *= 2;
    return slots;
}

/* Bytes a segment of that name holds now, if there is one. */
static uint64_t bytes_present(const char *instance, const char *segment)
{
    char name[PGD_SHM_NAME_MAX];
    if (pgd_shm_name(name, instance, segment) < 0)
        return 0;
    int fd = shm_open(name, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    struct stat st;
    uint64_t bytes = fstat(fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
    close(fd);
    return bytes;
}

static void tally(struct sizes *s, const char *instance, const char *segment, uint64_t bytes)
{
    uint64_t present = bytes_present(instance, segment);
    s->total += bytes;
    s->present += present < bytes ? present : bytes;
}

static int size_bars(struct sizes *s, const struct config *config, const struct pgk_plan *plan, char *err,
                     size_t err_size)
{
    for (unsigned i = 0; i < config->bus.bars_count && i < BUS_BARS_MAX; i++) {
        const struct config_bars *b = &config->bus.bars[i];
        struct pgd_bars_config *c = &s->bars[s->bars_count++];
        if (b->rows < pgk_plan_capacity(plan)) {
            snprintf(err, err_size,
                     "bus.bars: %s: %" PRIu32 " rows are too few, the indicators need %" PRIu32, b->timespan,
                     b->rows, pgk_plan_capacity(plan));
            return -EINVAL;
        }
        *c = (struct pgd_bars_config){
            .timespan = b->timespan,
            .span_ms = span_of(b->timespan),
            .series_max = config->bus.symbols,
            .capacity = b->rows,
            .log_capacity = log_slots(config->bus.symbols),
            .columns = s->columns,
            .column_count = (uint32_t)pgk_plan_columns(plan),
            .state_size = (uint32_t)pgk_plan_state_size(plan),
            .state_slots = b->rows / PGK_STATE_EVERY + 2,
            .state_every = PGK_STATE_EVERY,
        };
        char name[PGD_SEGMENT_MAX];
        snprintf(name, sizeof name, "bars.%s", b->timespan);
        uint64_t bytes = pgd_bars_size(c);
        if (bytes == 0) {
            snprintf(err, err_size, "bus.bars: %s: %" PRIu32 " rows for %" PRIu32 " symbols is not possible",
                     b->timespan, b->rows, config->bus.symbols);
            return -EINVAL;
        }
        tally(s, config->instance, name, bytes);
    }
    return 0;
}

static int size_all(struct sizes *s, const struct config *config, const struct pgk_plan *plan,
                    const char *control, gid_t gid, char *err, size_t err_size)
{
    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < pgk_plan_columns(plan); i++)
        s->columns[i] = (struct pgd_column){pgk_plan_name(plan, i), pgk_plan_unit(plan, i)};
    s->board = (struct pgd_board_config){
        .symbol_max = config->bus.symbols,
        .error_max = config->bus.errors,
        .control = control,
        .version = PGD_VERSION,
        .mode = (mode_t)config->bus.mode,
        .gid = gid,
        .fresh = config->fresh,
    };
    tally(s, config->instance, "board", pgd_board_size(&s->board));
    int r = size_bars(s, config, plan, err, err_size);
    if (r < 0)
        return r;
    if (config->bus.trades)
        tally(s, config->instance, "trades",
              pgd_tapes_size(PGD_TAPES_TRADES, config->bus.trades, config->bus.symbols));
    if (config->bus.quotes)
        tally(s, config->instance, "quotes",
              pgd_tapes_size(PGD_TAPES_QUOTES, config->bus.quotes, config->bus.symbols));
    return 0;
}

uint64_t bus_size(const struct config *config, const struct pgk_plan *plan, char *err, size_t err_size)
{
    struct sizes s;
    return size_all(&s, config, plan, "", (gid_t)-1, err, err_size) < 0 ? 0 : s.total;
}

/* MemAvailable in bytes; UINT64_MAX where the kernel does not say. */
static uint64_t memory_available(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    if (!f)
        return UINT64_MAX;
    char line[128];
    uint64_t kib = UINT64_MAX / 1024;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
            break;
    fclose(f);
    return kib * 1024;
}

static int check_room(const struct sizes *s, const struct config *config, char *err, size_t err_size)
{
    uint64_t want = s->total - s->present;
    uint64_t room = 0;
    int r = pgd_shm_free_bytes(&room);
    if (r < 0) {
        snprintf(err, err_size, "shared memory: %s", strerror(-r));
        return r;
    }
    uint64_t memory = memory_available();
    const char *what = room <= memory ? "/dev/shm has" : "the machine has";
    if (memory < room)
        room = memory;
    if (want <= room)
        return 0;
    snprintf(err, err_size,
             "the configuration takes %.1f MiB of shared memory (%" PRIu32
             " symbols), %s %.1f MiB free: lower bus.symbols, "
             "bus.bars[].rows, bus.trades or bus.quotes, or make it larger",
             (double)want / 1048576, config->bus.symbols, what, (double)room / 1048576);
    return -ENOSPC;
}

static int open_error(int r, const char *segment, char *err, size_t err_size)
{
    snprintf(err, err_size, "segment %s: %s", segment, strerror(-r));
    return r;
}

static int open_bars(struct bus *bus, const struct pgd_owner *owner, const struct sizes *s, char *err,
                     size_t err_size)
{
    for (unsigned i = 0; i < s->bars_count; i++) {
        const struct pgd_bars_config *c = &s->bars[i];
        int r = pgd_bars_own(&bus->bars[i], owner, c);
        char name[PGD_SEGMENT_MAX];
        snprintf(name, sizeof name, "bars.%s", c->timespan);
        if (r < 0)
            return open_error(r, name, err, err_size);
        bus->bars_count++;
        bus->span_ms[i] = c->span_ms;
        bus->timespan[i] = c->span_ms == 1000 ? "1s" : "1m";
        bus->adopted |= bus->bars[i].map.adopted;
        r = pgd_board_add_segment(&bus->board, name, PGD_KIND_BARS, bus->bars[i].map.size);
        if (r < 0)
            return open_error(r, name, err, err_size);
    }
    return 0;
}

static int open_tape(struct bus *bus, struct pgd_tape_segment *ret, const struct pgd_owner *owner,
                     enum pgd_tapes kind, uint32_t capacity, uint32_t symbols, char *err, size_t err_size)
{
    const char *name = kind == PGD_TAPES_TRADES ? "trades" : "quotes";
    if (capacity == 0)
        return 0;
    int r = pgd_tapes_own(ret, owner, kind, capacity, symbols);
    if (r == 0)
        r = pgd_board_add_segment(&bus->board, name, PGD_KIND_TAPE, ret->map.size);
    return r < 0 ? open_error(r, name, err, err_size) : 0;
}

static int open_segments(struct bus *bus, const struct config *config, const struct pgd_owner *owner,
                         const struct sizes *s, char *err, size_t err_size)
{
    int r = open_bars(bus, owner, s, err, err_size);
    if (r < 0)
        return r;
    r = open_tape(bus, &bus->trades, owner, PGD_TAPES_TRADES, config->bus.trades, config->bus.symbols, err,
                  err_size);
    if (r < 0)
        return r;
    return open_tape(bus, &bus->quotes, owner, PGD_TAPES_QUOTES, config->bus.quotes, config->bus.symbols, err,
                     err_size);
}

int bus_open(struct bus *ret, const struct config *config, const struct pgk_plan *plan, const char *control,
             gid_t gid, char *err, size_t err_size)
{
    struct sizes *s = malloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    struct bus bus = {0};
    int r = size_all(s, config, plan, control, gid, err, err_size);
    if (r == 0)
        r = check_room(s, config, err, err_size);
    if (r == 0) {
        r = pgd_board_own(&bus.board, config->instance, &s->board);
        if (r == -EBUSY)
            snprintf(err, err_size, "instance %s: another polygond runs it", config->instance);
        else if (r < 0)
            (void)open_error(r, "board", err, err_size);
    }
    if (r == 0) {
        struct pgd_owner owner = pgd_board_owner(&bus.board, config->instance);
        r = open_segments(&bus, config, &owner, s, err, err_size);
        if (r < 0)
            bus_close(&bus);
    }
    free(s);
    if (r == 0)
        *ret = bus;
    return r;
}

void bus_close(struct bus *bus)
{
    for (unsigned i = 0; i < bus->bars_count; i++)
        pgd_bars_close(&bus->bars[i]);
    pgd_tapes_close(&bus->trades);
    pgd_tapes_close(&bus->quotes);
    pgd_board_close(&bus->board);
    memset(bus, 0, sizeof *bus);
}

int bus_find(const struct bus *bus, int64_t span_ms)
{
    for (unsigned i = 0; i < bus->bars_count; i++)
        if (bus->span_ms[i] == span_ms)
            return (int)i;
    return -1;
}

/* Whole pages around [at, at + size). A kernel that does not know the advice maps them when they are written.
 */
static void touch(uint8_t *at, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t)at / page * page, end = ((uintptr_t)at + size + page - 1) / page * page;
    (void)madvise((void *)first, end - first, MADV_POPULATE_WRITE);
}

void bus_touch(const struct bus *bus, unsigned segment, uint32_t series, size_t rows)
{
    const struct pgd_bars_geometry *g = bus->bars[segment].geo;
    uint8_t *base = bus->bars[segment].map.base + series * g->rows_stride;
    if (rows > g->capacity)
        rows = g->capacity;
    touch(base + g->bar_offset, rows * g->bar_stride);
    touch(base + g->unit_offset, rows * g->unit_stride);
}
