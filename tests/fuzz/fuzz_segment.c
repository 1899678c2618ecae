/* A hostile segment as a reader sees it: the input becomes the bytes of a board, a bars segment or a tape
 * segment, and every read-side function runs over it. Nothing may crash, hang or reach outside the mapping.
 *
 * The first byte chooses the kind. With its high bit set the rest is laid over a well-formed segment, byte by
 * byte (pairs of a position and a value), so that the checks behind the first ones are reached. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm/board.h"
#include "shm/series.h"
#include "shm/tapes.h"

#define SYMBOLS 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"board", "bars.1m", "trades"};
static char instance[32];
static uint8_t *good[3];
static size_t good_size[3];

static void clean(void)
{
    for (size_t i = 0; i < 3; i++)
        (void)pgd_segment_unlink(instance, names[i]);
}

static void keep(size_t i, const struct pgd_map *map)
{
    good_size[i] = map->size;
    good[i] = malloc(map->size);
    if (!good[i])
        abort();
    memcpy(good[i], map->base, map->size);
}

static void fill_bars(struct pgd_bars *bars)
{
    for (uint32_t s = 0; s < SYMBOLS; s++) {
        pgd_bars_open_series(bars, s, PGD_SESSION_US);
        for (int64_t i = 0; i < 40; i++) {
            struct pgd_bar b = {
                .t = 1700000040000 + i * 60000, .o = 1, .h = 2, .l = 1, .c = 2, .v = 3, .vw = 1.5, .n = 1};
            pgd_bars_append(bars, s, &b);
        }
    }
    for (int i = 0; i < 10; i++) {
        struct pgd_change c = {
            .symbol = 1, .flags = PGD_CHANGE_APPEND, .first = (uint64_t)i, .bars = 1, .rows = 1};
        pgd_tape_put(&bars->log, &c);
    }
    pgd_tape_publish(&bars->log);
}

/* One well-formed segment of each kind, made by the write side. */
static void make_good(void)
{
    static const struct pgd_column columns[] = {{"sma_20", "price"}, {"obv", "shares"}};
    snprintf(instance, sizeof instance, "fz%ld", (long)getpid());
    atexit(clean);
    struct pgd_board_writer board;
    struct pgd_board_config bc = {
        .symbol_max = SYMBOLS, .error_max = 4, .control = "", .version = "0", .mode = 0600, .gid = (gid_t)-1};
    if (pgd_board_own(&board, instance, &bc) < 0 || pgd_board_add_symbol(&board, "AAPL", 4, PGD_STOCKS) < 0 ||
        pgd_board_add_segment(&board, "bars.1m", PGD_KIND_BARS, 1) < 0)
        abort();
    pgd_board_error(&board, "fuzz", "text");
    struct pgd_gap gap = {.id = 1, .topic = PGD_TRADES, .to_ns = INT64_MAX, .state = PGD_GAP_OPEN};
    pgd_board_set_gap(&board, 3, &gap);
    struct pgd_owner owner = pgd_board_owner(&board, instance);
    struct pgd_bars_config rc = {.timespan = "1m",
                                 .span_ms = 60000,
                                 .series_max = SYMBOLS,
                                 .capacity = 32,
                                 .log_capacity = 256,
                                 .columns = columns,
                                 .column_count = 2,
                                 .state_size = 64,
                                 .state_slots = 4,
                                 .state_every = 16};
    struct pgd_bars bars;
    struct pgd_tape_segment trades;
    if (pgd_bars_own(&bars, &owner, &rc) < 0 ||
        pgd_tapes_own(&trades, &owner, PGD_TAPES_TRADES, 256, SYMBOLS) < 0)
        abort();
    fill_bars(&bars);
    for (int i = 0; i < 300; i++) {
        struct pgd_trade t = {.symbol = 1, .price = 1, .seq = (uint64_t)i};
        pgd_tape_put(&trades.writer, &t);
        pgd_tape_put_latest(&trades.writer, 1, &t);
    }
    pgd_tape_publish(&trades.writer);
    keep(0, &board.map);
    keep(1, &bars.map);
    keep(2, &trades.map);
    pgd_tapes_close(&trades);
    pgd_bars_close(&bars);
    pgd_board_close(&board);
    clean();
}

static void write_segment(size_t kind, const uint8_t *bytes, size_t size)
{
    char name[PGD_SHM_NAME_MAX];
    if (pgd_shm_name(name, instance, names[kind]) < 0)
        abort();
    int fd = shm_open(name, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    close(fd);
}

static void read_fields(const struct pgd_map *map)
{
    struct pgd_field field = {0};
    for (uint32_t i = 0; i < 64 && pgd_segment_field_at(map, i, &field) != -ENOENT; i++)
        (void)pgd_segment_field(map, field.record, field.name);
    (void)pgd_segment_epoch(map);
    (void)pgd_segment_stale(map);
}

static void read_board(void)
{
    struct pgd_board_reader r;
    if (pgd_board_attach(&r, instance) < 0)
        return;
    read_fields(&r.map);
    struct pgd_symbol symbol;
    struct pgd_counter counter;
    struct pgd_error error;
    struct pgd_segment_entry entry;
    struct pgd_conn conn;
    struct pgd_board board;
    int sum = pgd_board_alive(&r) + pgd_board_find(&r, "AAPL") + pgd_board_find(&r, "NOPE");
    for (uint32_t i = 0; i < pgd_board_symbols(&r) && i < 100; i++)
        sum += pgd_board_symbol(&r, i, &symbol);
    for (uint32_t i = 0; i < pgd_board_counters(&r) && i < 100; i++)
        sum += pgd_board_counter(&r, i, &counter);
    for (uint32_t i = 0; i < pgd_board_errors(&r) && i < 100; i++)
        sum += pgd_board_get_error(&r, i, &error);
    for (uint32_t i = 0; i < pgd_board_segments(&r) && i < 100; i++)
        sum += pgd_board_segment(&r, i, &entry);
    for (uint32_t i = 0; i < 10; i++)
        sum += pgd_board_conn(&r, i, &conn);
    struct pgd_gap gap;
    for (uint32_t i = 0; i < pgd_board_gaps(&r) && i < 100; i++)
        sum += pgd_board_gap(&r, i, &gap);
    sum += pgd_board_gap(&r, UINT32_MAX, &gap);
    sum += pgd_board_symbol(&r, UINT32_MAX, &symbol) + pgd_board_counter(&r, UINT32_MAX, &counter);
    pgd_board_get(&r, &board);
    (void)pgd_board_stale(&r);
    (void)pgd_board_epoch(&r);
    (void)sum;
    pgd_board_detach(&r);
}

static void read_tape(struct pgd_tape_reader *tape)
{
    uint64_t record[8 * PGD_LINE / 8];
    for (int i = 0; i < 600; i++) {
        int r = i % 2 ? pgd_tape_get(tape, record) : pgd_tape_get_many(tape, record, 8);
        if (r == 0)
            break;
    }
    for (uint32_t s = 0; s < SYMBOLS + 2; s++)
        (void)pgd_tape_latest(tape, s, record);
    (void)pgd_tape_latest(tape, UINT32_MAX, record);
    if (pgd_tape_wait(tape, 0) == -EINTR)
        abort();
}

static void read_bars(void)
{
    struct pgd_bars_reader r;
    if (pgd_bars_attach(&r, instance, "1m") < 0)
        return;
    read_fields(&r.map);
    double *units = calloc(r.geo.columns + 1u, sizeof *units);
    struct pgd_bar bar;
    struct pgd_day day;
    for (uint32_t s = 0; s < SYMBOLS + 2 && units; s++) {
        uint64_t rows = pgd_bars_rows(&r, s), from = rows > 40 ? rows - 40 : 0;
        for (uint64_t i = from; i < rows + 2 && i - from < 50; i++)
            if (pgd_bars_row(&r, s, i, &bar, units) == 1 && pgd_bars_row(&r, s, i, &bar, NULL) == -EPERM)
                abort();
        if (pgd_bars_row(&r, s, UINT64_MAX, &bar, units) == 1 && rows != 0 && pgd_bars_computed(&r, s) > rows)
            abort();
        (void)pgd_bars_get_forming(&r, s, &bar);
        (void)pgd_bars_get_day(&r, s, &day);
    }
    struct pgd_tape_reader log;
    if (pgd_bars_log(&log, &r, PGD_FROM_OLDEST) == 0)
        read_tape(&log);
    free(units);
    pgd_bars_detach(&r);
}

static void read_trades(void)
{
    struct pgd_map map;
    struct pgd_tape_reader tape;
    if (pgd_tapes_attach(&map, &tape, instance, PGD_TAPES_TRADES, PGD_FROM_OLDEST) < 0)
        return;
    read_fields(&map);
    read_tape(&tape);
    pgd_segment_close(&map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!good[0])
        make_good();
    if (size < 1 || size > 1 << 16)
        return 0;
    size_t kind = (data[0] & 0x7f) % 3;
    if (data[0] & 0x80) {
        uint8_t *bytes = malloc(good_size[kind]);
        if (!bytes)
            return 0;
        memcpy(bytes, good[kind], good_size[kind]);
        for (size_t i = 1; i + 3 <= size; i += 3) {
            size_t at = ((size_t)data[i] << 8 | data[i + 1]) % good_size[kind];
            bytes[at] = data[i + 2];
        }
        write_segment(kind, bytes, good_size[kind]);
        free(bytes);
    } else {
        write_segment(kind, data + 1, size - 1);
    }
    if (kind == 0)
        read_board();
    else if (kind == 1)
        read_bars();
    else
        read_trades();
    return 0;
}
