/* csv.h - bars out of comma-separated text, a line at a time. Pure.
 *
 * The first line names the columns, in any order: t (start, ms since 1970), o, h, l, c must be there, v and
 * vw may be; others are ignored. A field may be quoted and have spaces around it; an empty v or vw, or one
 * that says nan or null, is absent. */
#ifndef POLYCTL_CSV_H
#define POLYCTL_CSV_H

#include <stddef.h>
#include <stdint.h>

#include "polygond/abi.h"

#define CSV_COLUMNS_MAX 1024u
#define CSV_REASON_SIZE 96u

enum csv_field { CSV_OTHER, CSV_T, CSV_O, CSV_H, CSV_L, CSV_C, CSV_V, CSV_VW, CSV_FIELDS };

struct csv {
    uint32_t columns;               /* of a line */
    uint8_t field[CSV_COLUMNS_MAX]; /* enum csv_field of each */
};

/* [line, end) without the newline; a carriage return before it is not counted. -EINVAL and a reason. */
int csv_header(struct csv *ret, const char *line, const char *end, char reason[CSV_REASON_SIZE]);

/* A bar, its rev and n 0: 1; 0: an empty line; -EINVAL and a reason, *ret untouched. */
int csv_bar(const struct csv *csv, const char *line, const char *end, struct pgd_bar *ret,
            char reason[CSV_REASON_SIZE]);

#endif
