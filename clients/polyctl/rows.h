/* rows.h - bars, trades and quotes as cells. */
#ifndef POLYCTL_ROWS_H
#define POLYCTL_ROWS_H

#include "out.h"

/* Cells of one record; texts point into what was passed. `columns_max` bounds the indicators of a bar. */
#define ROW_COLUMNS_MAX 1024u
#define ROW_CELLS_MAX   (16u + ROW_COLUMNS_MAX)

struct row {
    struct cell cells[ROW_CELLS_MAX];
    unsigned count;
    uint16_t cond[4];
};

/* Names and units of a stream's columns; they live until the stream is replaced. */
struct row_columns {
    const char *names[ROW_COLUMNS_MAX], *units[ROW_COLUMNS_MAX];
    unsigned count;
};
void row_columns(struct row_columns *ret, const struct pgd_client *client, int stream);

struct bar_row {
    const char *symbol, *timespan;
    const struct pgd_bar *bar;
    const double *columns; /* NULL: none (forming bar) */
    const struct row_columns *indicators;
    uint32_t flags;   /* enum pgd_row_flag */
    int symbol_width; /* table; 0: leave the symbol out */
    bool seconds;     /* clock of the table: with seconds */
    const char *what; /* table of `get`: "row", "forming"; NULL: no such column */
};

void row_bar(struct row *ret, const struct bar_row *from);
void row_trade(struct row *ret, const char *symbol, const struct pgd_trade *trade, int symbol_width);
void row_quote(struct row *ret, const char *symbol, const struct pgd_quote *quote, int symbol_width);

#endif
