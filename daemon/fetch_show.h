/* daemon/fetch_show.h - what `polygond --fetch` says on standard error: a line of progress where that is a
 * terminal, what is wrong in lines of their own, and a last line. Main thread. */
#ifndef DAEMON_FETCH_SHOW_H
#define DAEMON_FETCH_SHOW_H

#include <stdbool.h>

#include "fetch.h"

struct fetch_show {
    const struct fetch *fetch;
    size_t symbols;
    uint64_t requests; /* the caller counts */
    bool waits;        /* for the vendor, who wants silence */
    bool terminal;
    bool quiet;
    bool line; /* a progress line stands there */
    uint64_t began_ns;
    /* The rate at which the work gets done, of the last seconds. */
    uint64_t rate_ns;
    double rate_share;
    double rate; /* of the whole, a second; 0: not known yet */
};

void fetch_show_init(struct fetch_show *show, size_t symbols, bool quiet);

/* Some times a second. */
void fetch_show_progress(struct fetch_show *show, uint64_t now_ns);

/* One line, "polygond: what: why"; control characters become "?". */
void fetch_show_say(struct fetch_show *show, const char *what, const char *why);

void fetch_show_end(struct fetch_show *show, uint64_t now_ns, const char *how);

#endif
