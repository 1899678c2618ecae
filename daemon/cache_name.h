/* daemon/cache_name.h - names of the cache's folders and files. Pure.
 *
 *   DIRECTORY/v1/HOST/CLUSTER/TIMESPAN/PERIOD/SYMBOL.bars     fetched
 *   DIRECTORY/v1/HOST/CLUSTER/TIMESPAN/PERIOD/SYMBOL.raw      imported, not adjusted for splits
 *
 * HOST is that of rest.url: what one service said is never taken for what another says. Tickers are
 * case-sensitive and hold any punctuation; in a name stand A-Z, 0-9, '-' and, but not first, '.'; every other
 * byte is "=xx", two lower-case hexadecimal digits. So no name is a path or hidden, and no two differ in case
 * alone. */
#ifndef DAEMON_CACHE_NAME_H
#define DAEMON_CACHE_NAME_H

#include "cache_time.h"

#define CACHE_WORD_MAX   768
#define CACHE_FOLDER_MAX 96
#define CACHE_FILE_MAX   160

/* One component for any text of at most 255 bytes. -EINVAL: empty or longer. */
int cache_name_encode(char ret[CACHE_WORD_MAX], const char *text) __attribute__((warn_unused_result));

/* "CLUSTER/TIMESPAN/PERIOD" and the file's name of a symbol. -EINVAL: no possible symbol. */
void cache_name_folder(char ret[CACHE_FOLDER_MAX], enum pgd_cluster cluster, int64_t span_ms, int64_t t_ms);
int cache_name_file(char ret[CACHE_FILE_MAX], const char *symbol, bool raw)
    __attribute__((warn_unused_result));

/* The host of a URL, which knows no case, as a component: "api.massive.com", "localhost=3a8443". */
int cache_name_host(char ret[CACHE_WORD_MAX], const char *url) __attribute__((warn_unused_result));

#endif
