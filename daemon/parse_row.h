/* daemon/parse_row.h - the rows of a REST answer, one after the other. Internal to parse*.c. */
#ifndef DAEMON_PARSE_ROW_H
#define DAEMON_PARSE_ROW_H

#include "parse.h"
#include "parse_read.h"

enum row_kind { ROWS_UNKNOWN, ROWS_BARS, ROWS_TRADES, ROWS_QUOTES, ROWS_SNAPSHOTS };

struct row_reader {
    struct read read;
    enum row_kind kind; /* told by the first row, of snapshots by their key */
    bool last;          /* nothing follows the text there is */
};

/* Takes the row at *p, and those right behind it while they are of the usual form. True: *p is behind the
 * last of them. False: the row at *p does not end within the text. `ticker` is the symbol of rows without
 * their own. */
bool row_parse(struct row_reader *rows, struct event_text ticker, const struct parse_sink *sink,
               const char **p, struct parse_page *page);

#endif
