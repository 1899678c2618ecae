#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "cache_app.h"
#include "import.h"

#define BAD_SHOWN 10u /* bad lines shown a file */

enum { OPT_CONFIG = 256, OPT_CACHE, OPT_CLUSTER, OPT_TIMESPAN, OPT_STRICT, OPT_HELP };

static const struct option options[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"cache", required_argument, NULL, OPT_CACHE},
    {"cluster", required_argument, NULL, OPT_CLUSTER},
    {"timespan", required_argument, NULL, OPT_TIMESPAN},
    {"strict", no_argument, NULL, OPT_STRICT},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "usage: polygond --import [--config FILE] [--cache DIR] [--timespan minute|day] [--cluster NAME] "
    "[--strict] "
    "FILE...\n"
    "Flat files of aggregates (CSV or CSV.gz, - is standard input) into the cache of fetched history.\n"
    "  --config FILE    the daemon's configuration, for the cache's place (default " CONFIG_DEFAULT
    ", if it is there)\n"
    "  --cache DIR      the cache's place (default cache.directory of the configuration)\n"
    "  --timespan       minute or day (default: by the file's name, else by its first row)\n"
    "  --cluster NAME   asset class of tickers without a prefix (default stocks)\n"
    "  --strict         exit 6 when a line was refused\n"
    "Exit codes: 0 all files are in, 1 one is not, 2 usage, 6 lines were refused (--strict), 78 "
    "configuration.\n";

struct arguments {
    const char *config, *directory;
    enum pgd_cluster cluster;
    int64_t span_ms;
    bool strict;
};

struct show {
    bool terminal;
    bool line;    /* a progress line stands there */
    uint64_t bad; /* of this file */
};

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "polygond: %s: %s\n", what, why);
    return APP_USAGE;
}

/* -1 to go on, else the exit code. */
static int parse(int argc, char **argv, struct arguments *a)
{
    int option;
    *a = (struct arguments){0};
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case OPT_CONFIG:
            a->config = optarg;
            break;
        case OPT_CACHE:
            a->directory = optarg;
            break;
        case OPT_CLUSTER:
            a->cluster = config_cluster_from(optarg);
            if (!a->cluster)
                return complain(optarg, "no such cluster (stocks, options, crypto, forex, indices, futures)");
            break;
        case OPT_TIMESPAN:
            a->span_ms = strcmp(optarg, "minute") == 0 ? 60000 : strcmp(optarg, "day") == 0 ? 86400000 : 0;
            if (!a->span_ms)
                return complain(optarg, "not a timespan of flat files (minute, day)");
            break;
        case OPT_STRICT:
            a->strict = true;
            break;
        case OPT_HELP:
        case 'h':
            fputs(usage, stdout);
            return APP_OK;
        default:
            fputs("polygond: try --import --help\n", stderr);
            return APP_USAGE;
        }
    }
    return optind < argc ? -1 : complain("--import", "which files? try --import --help");
}

/* ------------------------------------------------------------------------------------------------- telling
 */

static void clear(struct show *s)
{
    if (s->line)
        fputs("\r\033[K", stderr);
    s->line = false;
}

static void on_bad(void *user, const char *file, uint64_t line, const char *why)
{
    struct show *s = user;
    if (++s->bad > BAD_SHOWN)
        return;
    clear(s);
    fprintf(stderr, "polygond: %s: line %" PRIu64 ": %s\n", file, line, why);
}

static void on_progress(void *user, const char *file, uint64_t bytes, uint64_t size, uint64_t rows)
{
    struct show *s = user;
    char share[16] = "";
    if (!s->terminal)
        return;
    if (size)
        snprintf(share, sizeof share, " %3.0f %%", 100.0 * (double)bytes / (double)size);
    fprintf(stderr, "\r\033[K%.60s%s, %.1f M rows", file, share, (double)rows / 1e6);
    fflush(stderr);
    s->line = true;
}

static void file_ends(struct show *s, const char *file, int r, const char *err)
{
    clear(s);
    if (s->bad > BAD_SHOWN)
        fprintf(stderr, "polygond: %s: %" PRIu64 " more lines refused\n", file, s->bad - BAD_SHOWN);
    if (r < 0)
        fprintf(stderr, "polygond: %s: %s\n", file, err);
    s->bad = 0;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void summary(const struct import_totals *t, const char *directory)
{
    printf("imported %" PRIu64 " file%s: %" PRIu64 " row%s, %" PRIu64 " symbol-day%s into %s; %" PRIu64
           " line%s refused\n",
           t->files, plural(t->files), t->rows, plural(t->rows), t->days, plural(t->days), directory,
           t->bad_lines, plural(t->bad_lines));
    if (t->failed)
        fprintf(stderr, "polygond: %s: %" PRIu64 " symbol-days could not be kept: %s\n", directory, t->failed,
                strerror(-t->error));
}

/* ------------------------------------------------------------------------------------------------- running
 */

static int import_all(const struct arguments *a, const struct cache_options *where, char **files, int count)
{
    struct show show = {.terminal = isatty(STDERR_FILENO)};
    struct cache *cache;
    struct import *import;
    struct import_totals totals;
    int failed = 0;
    int r = cache_open(&cache, where);
    if (r < 0) {
        complain(where->directory, strerror(-r));
        return APP_FAILED;
    }
    cache_trim(cache); /* so that it knows how large it is */
    struct import_options how = {.cache = cache,
                                 .cluster = a->cluster,
                                 .span_ms = a->span_ms,
                                 .bad = on_bad,
                                 .progress = on_progress,
                                 .user = &show};
    r = import_new(&import, &how);
    if (r < 0) {
        cache_close(cache);
        complain("import", strerror(-r));
        return APP_FAILED;
    }
    for (int i = 0; i < count; i++) {
        char err[256];
        r = import_file(import, files[i], err, sizeof err);
        file_ends(&show, files[i], r, err);
        failed += r < 0;
    }
    import_end(import, &totals);
    cache_close(cache);
    summary(&totals, where->directory);
    if (failed || totals.failed)
        return APP_FAILED;
    return a->strict && totals.bad_lines ? APP_LOST : APP_OK;
}

int import_main(int argc, char **argv)
{
    struct arguments a;
    struct config *config;
    struct cache_options where;
    char err[512], directory[PATH_MAX];
    int r = parse(argc, argv, &a);
    if (r >= 0)
        return r;
    const char *path = a.config ? a.config : access(CONFIG_DEFAULT, F_OK) == 0 ? CONFIG_DEFAULT : NULL;
    if (config_load(&config, path, err, sizeof err) < 0) {
        fprintf(stderr, "polygond: %s\n", err);
        return APP_CONFIG;
    }
    if (a.directory) {
        free(config->cache.directory);
        config->cache.directory = strdup(a.directory);
    }
    r = config->cache.directory ? cache_app_options(&where, config, directory, sizeof directory) : -ENOMEM;
    if (r == 0)
        r = import_all(&a, &where, argv + optind, argc - optind);
    else
        r = complain("cache", "no place known; give --cache DIR or set cache.directory");
    config_free(config);
    return r;
}
