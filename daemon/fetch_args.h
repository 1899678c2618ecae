/* daemon/fetch_args.h - the command line of `polygond --fetch`. */
#ifndef DAEMON_FETCH_ARGS_H
#define DAEMON_FETCH_ARGS_H

#include "fetch.h"

struct fetch_args {
    const char *config, *cache;
    const char *columns, *indicators, *engine;
    const char *timespan;
    int64_t span_ms;
    bool json, quiet;
    struct fetch_symbol *symbols; /* each once */
    size_t count;
    int64_t now_ms;
};

/* -1 to go on, else the exit code (said, or help shown). */
int fetch_args_parse(struct fetch_args *ret, int argc, char **argv, int64_t now_ms);
void fetch_args_fini(struct fetch_args *args);

/* What a user means by a time: a day (of the market: New York's for stocks, options and indices, else UTC's),
 * or a time of day in UTC, or a number since 1970. `end`: of --to, a day's end then, else the time. -EINVAL.
 */
int fetch_args_time(int64_t *ret_ms, const char *text, enum pgd_cluster cluster, bool end);

#endif
