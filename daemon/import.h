/* daemon/import.h - flat files of aggregates into the cache: read, inflate, parse on one thread, keep on
 * others.
 *
 * A file holds many symbols, sorted by ticker and time as the vendor writes them; what comes in another order
 * is sorted, as far as one run of a ticker goes, and joined in the cache where a ticker comes again. Every
 * market day on which a symbol has a row counts as fetched whole for it. Rows are not adjusted for splits:
 * see cache.h. Memory is bounded: IMPORT_QUEUE runs wait for the threads, then reading waits. */
#ifndef DAEMON_IMPORT_H
#define DAEMON_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache.h"

#define IMPORT_QUEUE 256u /* runs of one ticker that wait to be kept */

struct import;

struct import_options {
    struct cache *cache;
    enum pgd_cluster cluster; /* of tickers without a prefix; 0: stocks */
    int64_t span_ms;          /* 0: by the file's name (minute_aggs, day_aggs), else by its first row */
    unsigned threads;         /* that keep; 0: as many as there are processors, 8 at most */
    void (*bad)(void *user, const char *file, uint64_t line, const char *why);
    /* Now and then: bytes of the file read of all (compressed), rows so far. */
    void (*progress)(void *user, const char *file, uint64_t bytes, uint64_t size, uint64_t rows);
    void *user;
};

struct import_totals {
    uint64_t files, rows, bad_lines, days; /* days: of symbols, kept */
    uint64_t failed;                       /* days that could not be kept */
    int error;                             /* why, the first */
};

int import_new(struct import **ret, const struct import_options *options) __attribute__((warn_unused_result));

/* "-": standard input. What is whole is kept, whatever becomes of the rest. -EPROTO: not a file of
 * aggregates; -EBADMSG: not gzip, or it breaks off; else what the system said. `err`: one line. */
int import_file(struct import *import, const char *path, char *err, size_t err_size)
    __attribute__((warn_unused_result));

/* Waits until all is kept, frees, and says what there was. */
void import_end(struct import *import, struct import_totals *ret);

/* `polygond --import ...`: its own arguments, a progress line on a terminal, one line at the end. Exit code.
 */
int import_main(int argc, char **argv);

#endif
