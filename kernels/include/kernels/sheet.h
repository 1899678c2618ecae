/* kernels/sheet.h - rows of histories as text on a descriptor: chosen columns, CSV or NDJSON, every digit.
 *
 * Printing numbers is what takes the time, so rows are printed by as many threads as there are processors
 * while the caller prepares the next ones. The bytes are the same with any number of threads. */
#ifndef KERNELS_SHEET_H
#define KERNELS_SHEET_H

#include <stdbool.h>

#include "kernels/history.h"

struct sheet;

/* Prices and volumes have the fewest digits that read back as the same double where seven decimals do, and
 * like the indicators printf's %.17g where not; what is absent is empty, in JSON null. */
enum sheet_kind {
    SHEET_T,
    SHEET_O,
    SHEET_H,
    SHEET_L,
    SHEET_C,
    SHEET_V,
    SHEET_VW,
    SHEET_N,
    SHEET_VALUE /* an indicator */
};

#define SHEET_NAME_SIZE 51u

struct sheet_column {
    char name[SHEET_NAME_SIZE];
    enum sheet_kind kind;
    uint32_t value; /* SHEET_VALUE: column of the plan */
};

struct sheet_config {
    int fd;
    bool json;
    bool symbol; /* a column before the others: see sheet_symbol */
    const struct sheet_column *columns;
    size_t count;
    unsigned threads; /* 0: one a processor */
};

/* The column that shows a bar's field, of its name ("t", "o", ... "n"); false: there is no such field. */
bool sheet_field(struct sheet_column *ret, const char *name);

/* Writes nothing yet. -ENOMEM. */
int sheet_new(struct sheet **ret, const struct sheet_config *config) PGK_WARN_UNUSED;
/* Before what the rows lie in: they may be looked at until this returns. */
void sheet_free(struct sheet *sheet);

/* CSV: the line of names. */
int sheet_header(struct sheet *sheet);

/* Whose the rows are that are taken from now on. At most PGD_SYMBOL_MAX - 1 bytes count. */
void sheet_symbol(struct sheet *sheet, const char *symbol);

/* Rows that stay as they are until the next call: what pgk_history_take hands out (`user`: the sheet). What
 * cannot be written is the negative errno of this or a later call. */
int sheet_take(void *user, const struct pgk_history_rows *rows);

/* Everything taken so far is printed and written, and no row of it looked at any more; or the error why not.
 * More may be taken then. */
int sheet_end(struct sheet *sheet);

#endif
