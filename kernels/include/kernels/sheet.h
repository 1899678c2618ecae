/* sheet.h - rows of a history as text on a descriptor: t and the indicators, CSV or NDJSON, every digit.
 *
 * Printing numbers is what takes the time, so rows are printed by as many threads as there are processors
 * while the caller prepares the next ones. The bytes are the same with any number of threads. */
#ifndef POLYCTL_SHEET_H
#define POLYCTL_SHEET_H

#include <stdbool.h>

#include "kernels/history.h"

struct sheet;

/* `threads` 0: one a processor. Writes nothing yet. -ENOMEM. */
int sheet_new(struct sheet **ret, int fd, const struct pgk_plan *plan, bool json, unsigned threads);
void sheet_free(struct sheet *sheet);

/* CSV: the line of names. */
int sheet_header(struct sheet *sheet);

/* Rows that stay as they are until the next call: what pgk_history_take hands out (`user`: the sheet). What
 * cannot be written is the negative errno of this or a later call. */
int sheet_take(void *user, const struct pgk_history_rows *rows);

/* Everything is printed and written, or the error why not. */
int sheet_end(struct sheet *sheet);

#endif
