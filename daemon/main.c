#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "decode.h"
#include "log.h"

#define CONFIG_DEFAULT "/etc/polygond/polygond.yaml"

enum { OPT_CHECK = 256, OPT_PRINT, OPT_DECODE, OPT_CLUSTER, OPT_VERSION };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"check-config", no_argument, NULL, OPT_CHECK},
    {"print-config", no_argument, NULL, OPT_PRINT},
    {"decode", required_argument, NULL, OPT_DECODE},
    {"cluster", required_argument, NULL, OPT_CLUSTER},
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
};

/* Returns -1 to go on, else the exit code. */
static int parse_arguments(int argc, char **argv, struct arguments *a)
{
    *a = (struct arguments){.config = CONFIG_DEFAULT};
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            a->config = optarg;
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
        default:
            fputs("polygond: try --help\n", stderr);
            return APP_USAGE;
        }
    }
    int operands = argc - optind;
    if (operands != (a->decode ? 1 : 0)) {
        fprintf(stderr, "polygond: %s\n",
                a->decode ? "--decode takes one FILE or -" : "no operands are taken; try --help");
        return APP_USAGE;
    }
    return -1;
}

int main(int argc, char **argv)
{
    secret_guard_process();
    signal(SIGPIPE, SIG_IGN);
    struct arguments a;
    int r = parse_arguments(argc, argv, &a);
    if (r >= 0)
        return r;
    if (a.decode)
        return decode_main(a.decode, argv[optind], a.cluster);
    struct config *config;
    char err[512];
    if (config_load(&config, a.config, err, sizeof err) < 0) {
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
    return app_run(config, a.config);
}
