#include "fetch_args.h"

#include <errno.h>
#include <getopt.h>
#include <search.h> /* tsearch */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "cache_time.h"
#include "replay.h"
#include "symbols.h"

#define HOUR_MS INT64_C(3600000)

enum {
    OPT_CONFIG = 256,
    OPT_CACHE,
    OPT_CLUSTER,
    OPT_TIMESPAN,
    OPT_FROM,
    OPT_TO,
    OPT_COLUMNS,
    OPT_INDICATORS,
    OPT_ENGINE,
    OPT_JSON,
    OPT_CSV,
    OPT_QUIET
};

static const struct option options[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"cache", required_argument, NULL, OPT_CACHE},
    {"cluster", required_argument, NULL, OPT_CLUSTER},
    {"timespan", required_argument, NULL, OPT_TIMESPAN},
    {"from", required_argument, NULL, OPT_FROM},
    {"to", required_argument, NULL, OPT_TO},
    {"columns", required_argument, NULL, OPT_COLUMNS},
    {"indicators", required_argument, NULL, OPT_INDICATORS},
    {"engine", required_argument, NULL, OPT_ENGINE},
    {"json", no_argument, NULL, OPT_JSON},
    {"csv", no_argument, NULL, OPT_CSV},
    {"quiet", no_argument, NULL, OPT_QUIET},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "usage: polygond --fetch --from TIME [--to TIME] [OPTION...] SYMBOL...\n"
    "History of many symbols with indicators, as a table on standard output; what is in the cache is not\n"
    "asked for again, and what is fetched is kept there.\n"
    "  --from TIME, --to TIME  a day (2026-01-31, both included), a time in UTC (2026-01-31T14:30, --to not\n"
    "                     included), or a number since 1970; --to defaults to now\n"
    "  --timespan SPAN    second, minute (default), hour or day\n"
    "  --columns LIST     of t,o,h,l,c,v,vw,n and indicators, behind the symbol; default all of these\n"
    "  --indicators LIST  sma_20,macd,...; default engine.indicators of the configuration\n"
    "  --csv, --json      CSV (default), or JSON, one object a line\n"
    "  --cluster NAME     asset class of symbols without a prefix (default stocks)\n"
    "  --engine NAME      auto (default: the CPU), cpu or cuda\n"
    "  --config FILE      the daemon's configuration (default " CONFIG_DEFAULT ", if it is there)\n"
    "  --cache DIR        the cache's place (default cache.directory of the configuration)\n"
    "  --quiet            neither progress nor a last line\n"
    "Exit codes: 0 all is there, 1 a symbol failed, 2 usage, 4 a symbol is unknown, 6 rows were refused, 77 "
    "the\n"
    "key was refused, 78 configuration or no key, 130 interrupted.\n";

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "polygond: %s: %s\n", what, why);
    return APP_USAGE;
}

/* ---------------------------------------------------------------------------------------------------- times
 */

static int day_of(const char *text, int64_t *ret_ms)
{
    static const char form[] = "dddd-dd-dd";
    for (size_t i = 0; i < sizeof form; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return -EINVAL;
    int64_t ns, back;
    char again[16];
    if (replay_time(&ns, text) < 0)
        return -EINVAL;
    /* a day that the month does not have would be one of the next */
    time_t s = (time_t)(ns / 1000000000);
    struct tm tm;
    if (!gmtime_r(&s, &tm) || strftime(again, sizeof again, "%Y-%m-%d", &tm) == 0 || strcmp(again, text) != 0)
        return -EINVAL;
    back = (int64_t)s * 1000;
    *ret_ms = back;
    return 0;
}

int fetch_args_time(int64_t *ret_ms, const char *text, enum pgd_cluster cluster, bool end)
{
    int64_t ms, ns;
    if (day_of(text, &ms) == 0) {
        /* noon of the day, in UTC, lies in the market's day of that name */
        int64_t noon = ms + 12 * HOUR_MS + (end ? 24 * HOUR_MS : 0);
        *ret_ms = cache_time_day(cluster, noon);
        return 0;
    }
    if (strchr(text, '-') && !strchr(text, ':'))
        return -EINVAL; /* a day, but none that there is, or written otherwise */
    if (replay_time(&ns, text) < 0)
        return -EINVAL;
    *ret_ms = ns / 1000000;
    return 0;
}

/* --------------------------------------------------------------------------------------------------- parsing
 */

struct given {
    const char *from, *to;
    enum pgd_cluster cluster;
    void *names; /* a tree of the symbols */
};

static int timespan(struct fetch_args *a, const char *name)
{
    static const struct {
        const char *name;
        int64_t ms;
    } spans[] = {{"second", 1000}, {"minute", 60000}, {"hour", 3600000}, {"day", 86400000}};
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++)
        if (strcmp(spans[i].name, name) == 0) {
            a->timespan = spans[i].name;
            a->span_ms = spans[i].ms;
            return 0;
        }
    return complain(name, "no such timespan (second, minute, hour, day)");
}

static int set(struct fetch_args *a, struct given *g, int option, char *value)
{
    switch (option) {
    case OPT_CONFIG:
        a->config = value;
        return 0;
    case OPT_CACHE:
        a->cache = value;
        return 0;
    case OPT_CLUSTER:
        g->cluster = config_cluster_from(value);
        return g->cluster
                   ? 0
                   : complain(value, "no such cluster (stocks, options, crypto, forex, indices, futures)");
    case OPT_TIMESPAN:
        return timespan(a, value);
    case OPT_FROM:
        g->from = value;
        return 0;
    case OPT_TO:
        g->to = value;
        return 0;
    case OPT_COLUMNS:
        a->columns = value;
        return 0;
    case OPT_INDICATORS:
        a->indicators = value;
        return 0;
    case OPT_ENGINE: {
        enum pgk_kind kind;
        a->engine = value;
        return pgk_kind_named(value, &kind) ? 0 : complain(value, "no such engine (auto, cpu, cuda)");
    }
    case OPT_JSON:
    case OPT_CSV:
        a->json = option == OPT_JSON;
        return 0;
    case OPT_QUIET:
        a->quiet = true;
        return 0;
    default:
        fputs("polygond: try --fetch --help\n", stderr);
        return APP_USAGE;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct fetch_symbol *)a)->name, ((const struct fetch_symbol *)b)->name);
}

static void no_free(void *node)
{
    (void)node; /* the array's */
}

static int window(struct fetch_args *a, const struct given *g, struct fetch_symbol *symbol)
{
    int64_t last = a->now_ms - a->span_ms + 1; /* bars that begin later are not over */
    struct cache_range *w = &symbol->window;
    if (fetch_args_time(&w->from, g->from, symbol->cluster, false) < 0 || w->from < 0)
        return complain(g->from, "no time: 2026-01-31, 2026-01-31T14:30 (UTC), or a number since 1970");
    w->to = last;
    if (g->to && fetch_args_time(&w->to, g->to, symbol->cluster, true) < 0)
        return complain(g->to, "no time: 2026-01-31, 2026-01-31T14:30 (UTC), or a number since 1970");
    if (g->to && w->to <= w->from)
        return complain(g->to, "--to lies before --from");
    if (w->from >= last)
        return complain(g->from, "nothing is over yet since then");
    w->to = w->to < last ? w->to : last;
    return 0;
}

static int add(struct fetch_args *a, struct given *g, const char *text)
{
    struct fetch_symbol *symbol = &a->symbols[a->count];
    symbol->cluster = text[0] && text[1] == ':' ? 0 : g->cluster;
    if (strcmp(text, "*") == 0 || symbols_canonical(symbol->name, &symbol->cluster, text) < 0)
        return complain(text, "not a possible symbol");
    struct fetch_symbol **node = tsearch(symbol, &g->names, by_name);
    if (!node)
        return complain(text, "out of memory");
    if (*node != symbol)
        return 0; /* once is enough */
    a->count++;
    return window(a, g, symbol);
}

static int parse(struct fetch_args *a, struct given *g, int argc, char **argv)
{
    int option, r = 0;
    while (r == 0 && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            return APP_OK;
        }
        r = set(a, g, option, optarg);
    }
    if (r)
        return r;
    if (optind == argc)
        return complain("fetch", "which symbols?");
    if (!g->from)
        return complain("fetch", "since when? --from 2026-01-31");
    a->symbols = calloc((size_t)(argc - optind), sizeof *a->symbols);
    if (!a->symbols)
        return complain("fetch", "out of memory");
    for (; optind < argc && r == 0; optind++)
        r = add(a, g, argv[optind]);
    return r ? r : -1;
}

int fetch_args_parse(struct fetch_args *ret, int argc, char **argv, int64_t now_ms)
{
    struct given given = {0};
    *ret = (struct fetch_args){.timespan = "minute", .span_ms = 60000, .now_ms = now_ms};
    int r = parse(ret, &given, argc, argv);
    tdestroy(given.names, no_free);
    if (r >= 0)
        fetch_args_fini(ret);
    return r;
}

void fetch_args_fini(struct fetch_args *args)
{
    free(args->symbols);
    args->symbols = NULL;
}
