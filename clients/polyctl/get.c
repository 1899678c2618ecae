/* get.c - polyctl get: what is held of a symbol. Needs no running daemon. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rows.h"

struct get {
    struct pgd_client *client;
    struct out out;
    const char *symbol;
    uint32_t index;
    char stream[PGD_SEGMENT_MAX];
    int stream_id;
    uint64_t rows;
    struct row_columns indicators;
    double columns[ROW_COLUMNS_MAX];
    struct row row;
};

static void print_bar(struct get *g, const struct pgd_bar *bar, const double *columns, uint32_t flags,
                      const char *what)
{
    struct bar_row from = {.symbol = g->symbol,
                           .timespan = g->stream + strlen("bars."),
                           .bar = bar,
                           .columns = columns,
                           .indicators = &g->indicators,
                           .flags = flags,
                           .seconds = strcmp(g->stream, "bars.1s") == 0,
                           .what = what};
    row_bar(&g->row, &from);
}

static void print_rows(struct get *g)
{
    uint64_t end = pgd_rows(g->client, g->stream_id, g->index);
    uint64_t first = pgd_rows_first(g->client, g->stream_id, g->index);
    uint64_t from = end - first > g->rows ? end - g->rows : first;
    for (uint64_t i = from; i < end; i++) {
        struct pgd_bar bar;
        int r = pgd_row(g->client, g->stream_id, g->index, i, &bar, g->columns);
        if (r <= 0)
            continue;
        print_bar(g, &bar, g->columns, r == 2 ? PGD_ROW_UNCOMPUTED : 0, NULL);
        out_row(&g->out, g->row.cells, g->row.count);
    }
    out_end(&g->out);
}

/* The cells beside the ring; CSV has rows only. */
static void print_forming(struct get *g)
{
    struct pgd_bar bar;
    if (pgd_forming(g->client, g->stream_id, g->index, &bar) != 1)
        return;
    print_bar(g, &bar, NULL, 0, g->out.format == OUT_TEXT ? "forming" : NULL);
    unsigned at = 2; /* behind symbol and timespan */
    if (g->out.format == OUT_JSON) {
        memmove(&g->row.cells[at + 1], &g->row.cells[at], (g->row.count - at) * sizeof g->row.cells[0]);
        g->row.cells[at] = (struct cell){.name = "forming", .kind = CELL_FLAG, .flag = true};
        g->row.count++;
    }
    out_row(&g->out, g->row.cells, g->row.count);
    out_end(&g->out);
}

static void print_day(struct get *g)
{
    struct pgd_day day;
    if (pgd_day_figures(g->client, g->stream_id, g->index, &day) != 1)
        return;
    struct cell cells[] = {
        CELL_T("symbol", g->symbol), CELL_T("type", "day"), {.name = "t", .kind = CELL_TIME_MS, .i = day.t},
        CELL_D("op", day.op),        CELL_D("av", day.av),  CELL_D("a", day.a)};
    cells[0].flags = CELL_NO_TEXT;
    cells[4].flags = CELL_AMOUNT;
    cells[1].flags = CELL_LEFT;
    if (g->out.format == OUT_TEXT)
        cells[1].name = "";
    out_row(&g->out, cells, sizeof cells / sizeof cells[0]);
    out_end(&g->out);
}

static void print_latest(struct get *g)
{
    struct pgd_trade trade;
    struct pgd_quote quote;
    if (pgd_latest_trade(g->client, g->index, &trade) == 1) {
        row_trade(&g->row, g->symbol, &trade, 0);
        g->row.cells[1] = CELL_T(g->out.format == OUT_TEXT ? "" : "type", "trade");
        out_row(&g->out, g->row.cells, g->row.count);
        out_end(&g->out);
    }
    if (pgd_latest_quote(g->client, g->index, &quote) == 1) {
        row_quote(&g->row, g->symbol, &quote, 0);
        g->row.cells[1] = CELL_T(g->out.format == OUT_TEXT ? "" : "type", "quote");
        out_row(&g->out, g->row.cells, g->row.count);
        out_end(&g->out);
    }
}

static int get_symbol(struct get *g, const char *symbol)
{
    int32_t index = pgd_find(g->client, symbol);
    struct pgd_symbol entry;
    if (index < 0 || pgd_get_symbol(g->client, (uint32_t)index, &entry) < 0 || entry.state == PGD_SYM_UNKNOWN)
        return ctl_fail(symbol, PGD_ERR_UNKNOWN);
    g->symbol = symbol;
    g->index = (uint32_t)index;
    print_rows(g);
    if (g->out.format == OUT_CSV)
        return EXIT_OK;
    print_forming(g);
    print_day(g);
    print_latest(g);
    return EXIT_OK;
}

static int get_all(struct get *g, const struct args *args)
{
    int code = EXIT_OK;
    stream_of_args(g->stream, sizeof g->stream, args);
    g->stream_id = pgd_stream(g->client, g->stream);
    if (g->stream_id < 0)
        return ctl_fail(g->stream, g->stream_id);
    row_columns(&g->indicators, g->client, g->stream_id);
    for (int i = 0; i < args->operand_count && code == EXIT_OK; i++) {
        if (g->out.format == OUT_TEXT && args->operand_count > 1)
            fprintf(g->out.file, "%s%s\n", i ? "\n" : "", args->operands[i]);
        code = get_symbol(g, args->operands[i]);
    }
    return code;
}

int verb_get(const struct args *args)
{
    int code = EXIT_OK;
    int64_t rows = args_count(args, OPT_COUNT, 10, PGD_CAPACITY_LIMIT);
    if (rows < 0)
        return EXIT_USAGE;
    if (args->operand_count == 0) {
        say("get", "no symbol");
        return EXIT_USAGE;
    }
    struct get *g = calloc(1, sizeof *g);
    if (!g)
        return ctl_fail("get", -ENOMEM);
    g->rows = (uint64_t)rows;
    out_init(&g->out, args);
    g->client = ctl_open(args, &code);
    if (g->client)
        code = get_all(g, args);
    pgd_close(g->client);
    free(g);
    return code;
}
