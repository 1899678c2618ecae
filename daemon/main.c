#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "decode.h"
#include "fetch_main.h"
#include "import.h"
#include "log.h"
#include "replay.h"

enum {
    OPT_CHECK = 256,
    OPT_PRINT,
    OPT_DECODE,
    OPT_CLUSTER,
    OPT_REPLAY,
    OPT_SPEED,
    OPT_FROM,
    OPT_TO,
    OPT_WARM,
    OPT_STAY,
    OPT_INSTANCE,
    OPT_JOURNAL_CHECK,
    OPT_VERSION
};

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"check-config", no_argument, NULL, OPT_CHECK},
    {"print-config", no_argument, NULL, OPT_PRINT},
    {"decode", required_argument, NULL, OPT_DECODE},
    {"cluster", required_argument, NULL, OPT_CLUSTER},
    {"replay", no_argument, NULL, OPT_REPLAY},
    {"speed", required_argument, NULL, OPT_SPEED},
    {"from", required_argument, NULL, OPT_FROM},
    {"to", required_argument, NULL, OPT_TO},
    {"warm", no_argument, NULL, OPT_WARM},
    {"stay", no_argument, NULL, OPT_STAY},
    {"instance", required_argument, NULL, OPT_INSTANCE},
    {"journal-check", no_argument, NULL, OPT_JOURNAL_CHECK},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "usage: polygond [--config FILE]              run (default " CONFIG_DEFAULT ")\n"
    "       polygond --check-config [--config FILE]\n"
    "       polygond --print-config [--config FILE]  the configuration in force, as YAML\n"
    "       polygond --decode ws|rest [--cluster NAME] FILE|-\n"
    "                                             raw payloads through the parser, records out as NDJSON\n"
    "       polygond --replay FILE|FOLDER... [--speed X|max] [--from TIME] [--to TIME] [--warm] [--stay]\n"
    "                [--instance NAME] [--config FILE]\n"
    "                                             a journal served again, by default as instance "
    "NAME-replay\n"
    "       polygond --journal-check FILE|FOLDER...\n"
    "       polygond --import [OPTION...] FILE...    flat files into the cache of history; --import --help\n"
    "       polygond --fetch [OPTION...] SYMBOL...   history with indicators, as a table; --fetch --help\n"
    "       polygond --version | --help\n"
    "The API key comes from key.file, the systemd credential polygon_api_key, or POLYGON_API_KEY; never from "
    "here.\n"
    "Exit codes: 0 stopped, 1 failed, 2 usage, 75 shared memory too small or already running, 77 key or "
    "plan\n"
    "refused, 78 configuration.\n";

struct arguments {
    const char *config;
    const char *decode;
    const char *cluster;
    bool check;
    bool print;
    bool replay;
    bool journal_check;
    bool configured;     /* --config was given */
    const char *replays; /* an option given that only a replay knows */
    char *instance;
    struct replay_options options;
};

/* 0, or -EINVAL: said. */
static int parse_replay(struct arguments *a, int option, char *value)
{
    int r = 0;
    switch (option) {
    case OPT_REPLAY:
        a->replay = true;
        break;
    case OPT_SPEED:
        a->replays = "--speed";
        r = replay_speed(&a->options.speed, value);
        break;
    case OPT_FROM:
        a->replays = "--from";
        r = replay_time(&a->options.from_ns, value);
        break;
    case OPT_TO:
        a->replays = "--to";
        r = replay_time(&a->options.to_ns, value);
        break;
    case OPT_WARM:
        a->replays = "--warm";
        a->options.warm = true;
        break;
    case OPT_STAY:
        a->replays = "--stay";
        a->options.stay = true;
        break;
    case OPT_INSTANCE:
        a->instance = value;
        r = pgd_instance_valid(value) ? 0 : -EINVAL;
        break;
    default:
        fputs("polygond: try --help\n", stderr);
        return -EINVAL;
    }
    if (r < 0)
        fprintf(stderr, "polygond: '%s' is no %s\n", value,
                option == OPT_SPEED      ? "speed: a number, or max"
                : option == OPT_INSTANCE ? "name for an instance"
                                         : "time: 2026-11-25T14:30:00 (UTC), or a number since 1970");
    return r;
}

/* Options that cannot be had together. 0, or -EINVAL: said. */
static int check_replay(const struct arguments *a)
{
    if (a->replays && !a->replay)
        fprintf(stderr, "polygond: %s is for --replay\n", a->replays);
    else if (a->options.from_ns > a->options.to_ns)
        fputs("polygond: --to is before --from\n", stderr);
    else
        return 0;
    return -EINVAL;
}

/* Returns -1 to go on, else the exit code. */
static int parse_arguments(int argc, char **argv, struct arguments *a)
{
    *a = (struct arguments){.config = CONFIG_DEFAULT,
                            .options = {.speed = 1, .from_ns = INT64_MIN, .to_ns = INT64_MAX}};
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            a->config = optarg;
            a->configured = true;
            break;
        case OPT_CHECK:
            a->check = true;
            break;
        case OPT_PRINT:
            a->print = true;
            break;
        case OPT_DECODE:
            a->decode = optarg;
            break;
        case OPT_CLUSTER:
            a->cluster = optarg;
            break;
        case OPT_VERSION:
            puts("polygond " PGD_VERSION);
            return APP_OK;
        case 'h':
            fputs(usage, stdout);
            return APP_OK;
        case OPT_JOURNAL_CHECK:
            a->journal_check = true;
            break;
        default:
            if (parse_replay(a, option, optarg) < 0)
                return APP_USAGE;
        }
    }
    if (check_replay(a) < 0)
        return APP_USAGE;
    int operands = argc - optind;
    a->options.paths = argv + optind;
    a->options.count = (size_t)operands;
    if (a->replay || a->journal_check) {
        if (operands > 0)
            return -1;
        fprintf(stderr, "polygond: %s takes files or folders\n", a->replay ? "--replay" : "--journal-check");
        return APP_USAGE;
    }
    if (operands != (a->decode ? 1 : 0)) {
        fprintf(stderr, "polygond: %s\n",
                a->decode ? "--decode takes one FILE or -" : "no operands are taken; try --help");
        return APP_USAGE;
    }
    return -1;
}

static int load(struct config **ret, const struct arguments *a, char *err, size_t err_size)
{
    int r = a->replay && !a->configured ? replay_config(ret, &a->options, err, err_size)
                                        : config_load(ret, a->config, err, err_size);
    if (r < 0 || !a->instance)
        return r < 0 || !a->replay ? r : replay_rename(*ret);
    char *name = strdup(a->instance);
    if (!name) {
        config_free(*ret);
        return -ENOMEM;
    }
    free((*ret)->instance);
    (*ret)->instance = name;
    return 0;
}

int main(int argc, char **argv)
{
    secret_guard_process();
    signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && strcmp(argv[1], "--import") == 0)
        return import_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "--fetch") == 0)
        return fetch_main(argc - 1, argv + 1);
    struct arguments a;
    int r = parse_arguments(argc, argv, &a);
    if (r >= 0)
        return r;
    if (a.decode)
        return decode_main(a.decode, argv[optind], a.cluster);
    if (a.journal_check)
        return replay_check(a.options.paths, a.options.count);
    struct config *config;
    char err[512];
    if (load(&config, &a, err, sizeof err) < 0) {
        fprintf(stderr, "polygond: %s\n", err);
        return APP_CONFIG;
    }
    if (a.check || a.print) {
        r = a.print ? config_print(config, STDOUT_FILENO) : 0;
        config_free(config);
        return r < 0 ? APP_FAILED : APP_OK;
    }
    log_open(config->instance);
    (void)log_level_set(config->log.level);
    return app_run(config, a.config, a.replay ? &a.options : NULL);
}
