/* common.c - attaching, words for enumerations, the one line on stderr. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "polyctl.h"

#define COMMAND_WAIT_NS INT64_C(30000000000)

void say(const char *what, const char *why, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, why);
    vsnprintf(text, sizeof text, why, ap);
    va_end(ap);
    fflush(stdout);
    fprintf(stderr, "polyctl: %s: %s\n", what, text);
}

const char *ctl_instance(const struct args *args)
{
    const char *env = getenv("POLYGOND_INSTANCE");
    if (args->value[OPT_INSTANCE])
        return args->value[OPT_INSTANCE];
    return env && env[0] ? env : "main";
}

int ctl_fail(const char *what, int error)
{
    say(what, "%s", pgd_strerror(error));
    switch (error) {
    case PGD_ERR_NO_INSTANCE:
    case PGD_ERR_NO_DAEMON:
        return EXIT_NO_DAEMON;
    case PGD_ERR_UNKNOWN:
        return EXIT_UNKNOWN;
    case -ETIMEDOUT:
        return EXIT_TIMEOUT;
    default:
        return EXIT_FAILED;
    }
}

struct pgd_client *ctl_open(const struct args *args, int *ret_code)
{
    struct pgd_client *client;
    const char *instance = ctl_instance(args);
    int r = pgd_open(&client, instance);
    if (r == 0)
        return client;
    if (r == -EINVAL) {
        say(instance, "not an instance name");
        *ret_code = EXIT_USAGE;
    } else {
        *ret_code = ctl_fail(instance, r);
    }
    return NULL;
}

int ctl_command(const struct args *args, const char *request)
{
    int code = EXIT_OK;
    char text[256] = "";
    struct pgd_client *client = ctl_open(args, &code);
    if (!client)
        return code;
    int r = pgd_control(client, request, NULL, NULL, COMMAND_WAIT_NS, text, sizeof text);
    pgd_close(client);
    if (r < 0 && text[0] && r != PGD_ERR_DENIED) {
        say(request, "%s", text);
        return EXIT_FAILED;
    }
    return r < 0 ? ctl_fail(request, r) : EXIT_OK;
}

static const char *word_of(const char *const *words, unsigned count, unsigned i)
{
    return i < count && words[i] ? words[i] : "?";
}
#define WORD(words, i) word_of(words, sizeof words / sizeof words[0], i)

const char *cluster_word(unsigned cluster)
{
    static const char *const words[] = {
        [PGD_STOCKS] = "stocks", [PGD_OPTIONS] = "options", [PGD_CRYPTO] = "crypto",
        [PGD_FOREX] = "forex",   [PGD_INDICES] = "indices", [PGD_FUTURES] = "futures"};
    return WORD(words, cluster);
}

const char *state_word(unsigned state)
{
    static const char *const words[] = {[0] = "idle", /* kept from an earlier run, not held */
                                        [PGD_SYM_CHECKING] = "checking",
                                        [PGD_SYM_UNKNOWN] = "unknown",
                                        [PGD_SYM_WANTED] = "wanted",
                                        [PGD_SYM_LIVE] = "live",
                                        [PGD_SYM_REFUSED] = "refused"};
    return WORD(words, state);
}

const char *run_word(unsigned state)
{
    static const char *const words[] = {[PGD_RUN_STARTING] = "starting",
                                        [PGD_RUN_RUNNING] = "running",
                                        [PGD_RUN_STOPPING] = "stopping",
                                        [PGD_RUN_STOPPED] = "stopped"};
    return WORD(words, state);
}

const char *conn_word(unsigned state)
{
    static const char *const words[] = {[PGD_CONN_OFF] = "off",
                                        [PGD_CONN_CONNECTING] = "connecting",
                                        [PGD_CONN_CONNECTED] = "connected",
                                        [PGD_CONN_AUTH] = "auth",
                                        [PGD_CONN_SUBSCRIBING] = "subscribing",
                                        [PGD_CONN_LIVE] = "live",
                                        [PGD_CONN_BACKOFF] = "backoff",
                                        [PGD_CONN_COOLDOWN] = "cooldown",
                                        [PGD_CONN_STOPPED] = "stopped"};
    return WORD(words, state);
}

const char *topic_word(unsigned bit)
{
    static const char *const words[] = {"trades", "quotes", "bars_1s", "bars_1m", "values"};
    return bit < sizeof words / sizeof words[0] ? words[bit] : NULL;
}

void topics_text(char *to, size_t size, uint32_t topics)
{
    size_t n = 0;
    to[0] = '\0';
    for (unsigned bit = 0; topic_word(bit); bit++)
        if (topics >> bit & 1u && n < size)
            n += (size_t)snprintf(to + n, size - n, "%s%s", n ? "," : "", topic_word(bit));
}

void age_text(char *to, size_t size, int64_t ns)
{
    int64_t s = ns / 1000000000;
    if (ns < 0)
        snprintf(to, size, "-");
    else if (s < 10)
        snprintf(to, size, "%.1fs", (double)ns / 1e9);
    else if (s < 60)
        snprintf(to, size, "%ds", (int)s);
    else if (s < 3600)
        snprintf(to, size, "%dm%02ds", (int)(s / 60), (int)(s % 60));
    else if (s < 86400)
        snprintf(to, size, "%dh%02dm", (int)(s / 3600), (int)(s / 60 % 60));
    else
        snprintf(to, size, "%lldd%02dh", (long long)(s / 86400), (int)(s / 3600 % 24));
}

int64_t now_real_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void stream_of_args(char *to, size_t size, const struct args *args)
{
    const char *span = args->value[OPT_BARS] ? args->value[OPT_BARS] : "1m";
    if (args_has(args, OPT_TRADES) || args_has(args, OPT_QUOTES))
        snprintf(to, size, "%s", args_has(args, OPT_TRADES) ? "trades" : "quotes");
    else
        snprintf(to, size, "bars.%s", span);
}
