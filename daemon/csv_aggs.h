/* daemon/csv_aggs.h - the vendor's flat files of aggregates, CSV text to bars. Pure, fed in pieces of any
 * size.
 *
 * Columns are found by the names in the header line, in any order; unknown ones are skipped. ticker, open,
 * close, high, low and window_start (ns) must be there; volume and transactions may be. Fields may be
 * quoted (a line end ends the line all the same), lines may end in CR LF, and numbers are exact. A line that
 * is no bar is given to `bad` with its number and the reason, and the rest goes on. */
#ifndef DAEMON_CSV_AGGS_H
#define DAEMON_CSV_AGGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "polygond/abi.h"

#define CSV_AGGS_LINE_MAX 4096u /* bytes; a longer line is a bad one */
#define CSV_AGGS_COLUMNS  64u

struct csv_aggs_sink {
    /* A bar of `ticker` (as in the file, ended by NUL): t in ms, v and vw NaN and n PGD_N_ABSENT when absent,
     * flags PGD_BAR_REST. */
    void (*bar)(void *user, const char *ticker, const struct pgd_bar *bar);
    void (*bad)(void *user, uint64_t line, const char *why);
    void *user;
};

struct csv_aggs {
    const struct csv_aggs_sink *sink;
    uint64_t line; /* of the one being read, from 1 */
    size_t size;   /* bytes of it in `text` */
    bool too_long;
    bool headed;         /* the header was read */
    const char *refused; /* the header is no header of aggregates: why; then nothing more is read */
    uint8_t columns[8];  /* enum csv_aggs_column -> column + 1, 0: absent */
    uint32_t column_count;
    char text[CSV_AGGS_LINE_MAX];
};

void csv_aggs_init(struct csv_aggs *csv, const struct csv_aggs_sink *sink);

/* 0, or -EPROTO: the file is not one of aggregates (csv->refused says what it looks like). */
int csv_aggs_push(struct csv_aggs *csv, const char *bytes, size_t size) __attribute__((warn_unused_result));

/* The end of the file: a last line without a line end is taken. -EPROTO as well for a file without a header.
 */
int csv_aggs_end(struct csv_aggs *csv) __attribute__((warn_unused_result));

#endif
