/* An instance of known content, for a reader written in another language: helper_writer INSTANCE.
 *
 * The values are formulas that test_python_reader.py repeats. Afterwards lines on stdin are obeyed and
 * answered with "ok": `trades N` (one batch), `changes N`, `tear` and `mend` (row 15 of AAPL is left half
 * revised), `strike` (guarded records likewise), `restart` (adopts), `succeed` (other layout), `drop` (as a
 * dead daemon). At the end the segments are removed. */
#include <math.h>
#include <stdlib.h>

#include "cli/writer.h"

#define ROWS 20

static struct writer writer;
static struct writer_size size = {.symbols = 8, .rows = 16, .log = 256, .tape = 256, .control = "/none"};
static const char *instance;
static uint64_t traded, changed;

static struct pgd_bar bar_of(uint32_t symbol, unsigned i)
{
    double base = 100.0 * (symbol + 1) + i;
    return (struct pgd_bar){.t = INT64_C(1700000040000) + INT64_C(60000) * i,
                            .o = base,
                            .h = base + 0.5,
                            .l = base - 0.25,
                            .c = base + 0.125,
                            .v = 1000.5 * i,
                            .vw = i % 4 == 0 ? NAN : base + 0.0625,
                            .flags = i < 10 ? PGD_BAR_REST : 0,
                            .n = i % 5 == 0 ? PGD_N_ABSENT : i};
}

/* Symbol 0 has a lapped ring, a revised row 17, a row 18 whose indicators are of before, a row 19 without
 * any. */
static void write_rows(void)
{
    for (uint32_t symbol = 0; symbol < 2; symbol++)
        for (unsigned i = 0; i < (symbol == 0 ? ROWS : 3u); i++) {
            struct pgd_bar bar = bar_of(symbol, i);
            double columns[WRITER_COLUMNS] = {i < 17 ? NAN : bar.c - 1, 50.0 + i, -bar.c};
            uint64_t index = pgd_bars_append(&writer.minutes, symbol, &bar);
            if (i != 19)
                writer_units(&writer.minutes, symbol, index, columns);
        }
    double columns[WRITER_COLUMNS] = {1, 2, 3};
    struct pgd_bar bar = bar_of(0, 17);
    bar.c = 7;
    bar.flags = PGD_BAR_OTC;
    if (pgd_bars_revise(&writer.minutes, 0, 17, &bar) < 0)
        abort();
    writer_units(&writer.minutes, 0, 17, columns);
    bar = bar_of(0, 18);
    bar.c = 8;
    if (pgd_bars_revise(&writer.minutes, 0, 18, &bar) < 0)
        abort();
    struct pgd_series *series =
        (struct pgd_series *)(void *)(writer.minutes.map.base + writer.minutes.geo->series_offset);
    shm_store64_release(&series->computed, ROWS - 1);
    bar = bar_of(0, 20);
    bar.flags = PGD_BAR_MADE;
    pgd_bars_forming(&writer.minutes, 0, &bar);
    struct pgd_day day = {.t = bar.t, .op = 99.5, .av = 123456.5, .a = NAN};
    pgd_bars_day(&writer.minutes, 0, &day);
}

static void write_trades(uint64_t count)
{
    for (; count > 0; count--, traded++) {
        struct pgd_trade t = {.symbol = (uint32_t)(traded % 2),
                              .exchange = (uint16_t)(300 + traded % 7),
                              .trf = 202,
                              .flags = 3 | PGD_ID_HASHED,
                              .t = INT64_C(1700000000000000000) + (int64_t)traded,
                              .price = 10 + (double)traded / 8,
                              .size = traded % 3 == 0 ? NAN : (double)traded / 2,
                              .seq = UINT64_C(1) << 40 | traded,
                              .id = UINT64_C(0xf000000000000000) + traded,
                              .cond = {1, 13, 0, (uint16_t)(traded % 100)}};
        pgd_tape_put(&writer.trades.writer, &t);
        pgd_tape_put_latest(&writer.trades.writer, t.symbol, &t);
    }
    pgd_tape_publish(&writer.trades.writer);
}

static void write_quotes(void)
{
    for (unsigned i = 0; i < 3; i++) {
        struct pgd_quote q = {.symbol = 1,
                              .bid_exchange = 11,
                              .ask_exchange = (uint16_t)(12 + i),
                              .t = INT64_C(1700000000000000000) + i,
                              .bid = i == 2 ? NAN : 10.25,
                              .ask = 10.5 + i,
                              .bid_size = 3,
                              .ask_size = 4.5,
                              .seq = UINT32_MAX - i,
                              .cond = 2,
                              .flags = 3 | PGD_SEQ_WRAPPED};
        pgd_tape_put(&writer.quotes.writer, &q);
        pgd_tape_put_latest(&writer.quotes.writer, 1, &q);
    }
    pgd_tape_publish(&writer.quotes.writer);
}

static void write_changes(uint64_t count)
{
    for (; count > 0; count--, changed++) {
        struct pgd_change c = {.symbol = (uint32_t)(changed % 2),
                               .flags = changed % 2 ? PGD_CHANGE_REVISE : PGD_CHANGE_APPEND,
                               .first = changed,
                               .bars = 1,
                               .rows = 1 + changed % 3,
                               .t_ns = (int64_t)(1000 + changed)};
        pgd_tape_put(&writer.minutes.log, &c);
    }
    pgd_tape_publish(&writer.minutes.log);
}

static void write_board(void)
{
    static const char *const names[] = {"AAPL",  "MSFT",  "X:BTC-USD",
                                        "I:SPX", "BRK.A", "O:SPY251219C00650000"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)writer_symbol(&writer, names[i]);
    struct pgd_symbol *s = &writer.board.symbols[2];
    s->cluster = PGD_CRYPTO;
    s->state = PGD_SYM_WANTED;
    s->acked = PGD_TRADES;
    s->last_ns = INT64_C(1700000000000000007);
    s->events = 8;
    s->refused = 9;
    pgd_count(&writer.board, PGD_C_events_received, 41);
    pgd_board_error(&writer.board, "stream", "first");
    pgd_board_error(&writer.board, "rest", "second");
    pgd_board_error(&writer.board, "stream", "first");
    struct pgd_conn conn = {.cluster = PGD_CRYPTO,
                            .state = PGD_CONN_BACKOFF,
                            .since_ns = 1,
                            .next_try_ns = 2,
                            .last_frame_ns = 3,
                            .connects = 4,
                            .drops = 5,
                            .unacked = 6,
                            .attempts = 7,
                            .url = "wss://host/crypto",
                            .reason = "closed"};
    pgd_board_set_conn(&writer.board, &conn);
    struct pgd_gap gap = {.id = 2,
                          .symbol = 2,
                          .topic = PGD_TRADES,
                          .from_ns = INT64_C(1700000000000000005),
                          .to_ns = INT64_MAX,
                          .why = PGD_GAP_SILENCE,
                          .state = PGD_GAP_OPEN,
                          .opened_ns = 21,
                          .changed_ns = 21};
    pgd_board_set_gap(&writer.board, 0, &gap);
    gap = (struct pgd_gap){.id = 1,
                           .symbol = 1,
                           .topic = PGD_BARS_1M,
                           .from_ns = INT64_C(1700000000000000000),
                           .to_ns = INT64_C(1700000000000000060),
                           .why = PGD_GAP_CONNECTION,
                           .state = PGD_GAP_CLOSED,
                           .tries = 2,
                           .opened_ns = 11,
                           .changed_ns = 12,
                           .received = 13,
                           .filled = 14};
    pgd_board_set_gap(&writer.board, 3, &gap); /* the rows between hold none */
}

/* Row 15 of symbol 0 as a writer leaves it that dies in a revision. */
static void tear(bool torn)
{
    const struct pgd_bars_geometry *g = writer.minutes.geo;
    uint8_t *meta = writer.minutes.map.base + g->bar_offset + 15 % g->capacity * g->bar_stride + PGD_BAR_META;
    uint64_t value = shm_load64(meta);
    shm_store64(meta, torn ? value | 1 : value & ~UINT64_C(1));
}

static void make_odd(uint8_t *seq)
{
    shm_store64(seq, shm_load64(seq) | 1);
}

/* A guarded record of each kind as a writer leaves it that dies in it. */
static void strike(void)
{
    const struct pgd_bars *bars = &writer.minutes;
    uint8_t *series = bars->map.base + bars->geo->series_offset;
    make_odd(series + offsetof(struct pgd_series, day));
    make_odd(series + offsetof(struct pgd_series, forming) + PGD_BAR_META);
    make_odd(writer.trades.writer.latest + PGD_LINE);
    make_odd(writer.board.map.base + writer.board.board->errors_offset);
}

static int reopen(uint32_t rows)
{
    size.rows = rows;
    writer_drop(&writer);
    return writer_open(&writer, instance, &size);
}

static int obey(const char *line)
{
    if (strncmp(line, "trades ", 7) == 0)
        write_trades(strtoull(line + 7, NULL, 10));
    else if (strncmp(line, "changes ", 8) == 0)
        write_changes(strtoull(line + 8, NULL, 10));
    else if (strcmp(line, "tear") == 0 || strcmp(line, "mend") == 0)
        tear(line[0] == 't');
    else if (strcmp(line, "strike") == 0)
        strike();
    else if (strcmp(line, "restart") == 0)
        return reopen(size.rows);
    else if (strcmp(line, "succeed") == 0)
        return reopen(size.rows + 16);
    else if (strcmp(line, "drop") == 0)
        writer_drop(&writer);
    else
        return -1;
    return 0;
}

int main(int argc, char **argv)
{
    char line[64];
    if (argc != 2)
        return 2;
    instance = argv[1];
    int r = writer_open(&writer, instance, &size);
    if (r == 0) {
        write_board();
        write_rows();
        write_trades(600);
        write_quotes();
        write_changes(5);
    }
    puts(r == 0 ? "ok" : "error");
    fflush(stdout);
    while (r == 0 && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        puts(obey(line) == 0 ? "ok" : "error");
        fflush(stdout);
    }
    writer_remove(instance);
    return r == 0 ? 0 : 1;
}
