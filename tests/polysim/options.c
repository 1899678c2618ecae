#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_START "2026-03-04T09:45"

static const char usage[] =
    "usage: polysim [OPTION...]\n"
    "A stand-in for Polygon.io's REST and WebSocket servers, on loopback only. Both speak on the same "
    "ports.\n"
    "\n"
    "  --port N            plain HTTP and WebSocket (default 0: any free port; -1: none)\n"
    "  --tls-port N        the same over TLS (default 0; -1: none)\n"
    "  --ports-file FILE   writes 'http=PORT https=PORT' there when ready\n"
    "  --seed N            of everything random (default 1)\n"
    "  --speed X|max       market seconds a second (default 1); max: as fast as clients read\n"
    "  --start TIME        market time to begin at: YYYY-MM-DD[THH:MM[:SS]] New York, ms since 1970, or "
    "'now' (the latest\n"
    "                      open session when the market is closed). Default " DEFAULT_START "\n"
    "  --symbols LIST|N    exactly these stocks, or the built-in ones and N synthetic ones (SIM0001...; "
    "default 100)\n"
    "  --key KEY           the one API key that is accepted (default test-key)\n"
    "  --plan PLAN         free, starter or advanced (default)\n"
    "  --cert-dir DIR      ca.pem is written there, for clients to trust\n"
    "  --cert KIND         ok (default), wrong-host, expired or self-signed\n"
    "  --scenario NAME     a built-in scenario or a script file; may be repeated\n"
    "  --list-scenarios    says which there are\n"
    "  --auth-timeout S    until an unauthenticated WebSocket is closed (default 10)\n"
    "  --send-buffer N     bytes a slow WebSocket client may owe before it is dropped (default 16777216)\n"
    "  --idle-exit S       exits after so long without a connection\n"
    "  --quiet             nothing on stderr but errors\n"
    "  --help\n";

static int complain(const char *option, const char *value, const char *why)
{
    fprintf(stderr, "polysim: %s %s: %s\n", option, value, why);
    return -EINVAL;
}

static int whole(const char *option, const char *value, long long least, long long most, long long *ret)
{
    char *end;
    errno = 0;
    long long n = strtoll(value, &end, 10);
    if (errno || !*value || *end || n < least || n > most) {
        char why[80];
        snprintf(why, sizeof(why), "must be a whole number from %lld to %lld", least, most);
        return complain(option, value, why);
    }
    *ret = n;
    return 0;
}

static int seconds(const char *option, const char *value, double *ret)
{
    char *end;
    double x = strtod(value, &end);
    if (!*value || *end || !isfinite(x) || x <= 0 || x > 1e6)
        return complain(option, value, "must be a positive number");
    *ret = x;
    return 0;
}

static int word(const char *option, const char *value, const char *const *words, int count, int *ret)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(words[i], value) == 0) {
            *ret = i;
            return 0;
        }
    }
    return complain(option, value, "no such choice (see --help)");
}

static int set_text(struct sim_options *o, const char *option, const char *value)
{
    if (strcmp(option, "--ports-file") == 0)
        o->ports_file = value;
    else if (strcmp(option, "--start") == 0)
        o->start = value;
    else if (strcmp(option, "--symbols") == 0)
        o->symbols = value;
    else if (strcmp(option, "--cert-dir") == 0)
        o->cert_dir = value;
    else if (strcmp(option, "--key") == 0) {
        if (!*value || strlen(value) > 60)
            return complain(option, value, "must have 1 to 60 characters");
        o->key = value;
    } else if (strcmp(option, "--scenario") == 0) {
        if (o->scenario_count == SIM_SCENARIOS_MAX)
            return complain(option, value, "too many scenarios");
        o->scenarios[o->scenario_count++] = value;
    } else {
        fprintf(stderr, "polysim: %s: unknown option (see --help)\n", option);
        return -EINVAL;
    }
    return 0;
}

static int set_number(struct sim_options *o, const char *option, const char *value)
{
    long long n;
    int r;
    if (strcmp(option, "--port") == 0 || strcmp(option, "--tls-port") == 0) {
        r = whole(option, value, -1, 65535, &n);
        if (r == 0)
            *(option[2] == 'p' ? &o->port : &o->tls_port) = (int)n;
        return r;
    }
    if (strcmp(option, "--seed") == 0) {
        r = whole(option, value, 0, INT64_MAX, &n);
        if (r == 0)
            o->seed = (uint64_t)n;
        return r;
    }
    if (strcmp(option, "--send-buffer") == 0) {
        r = whole(option, value, 1024, INT32_MAX, &n);
        if (r == 0)
            o->send_buffer = (size_t)n;
        return r;
    }
    if (strcmp(option, "--idle-exit") == 0)
        return seconds(option, value, &o->idle_exit);
    if (strcmp(option, "--auth-timeout") == 0)
        return seconds(option, value, &o->auth_timeout);
    if (strcmp(option, "--speed") == 0) {
        o->speed = 0;
        return strcmp(value, "max") == 0 ? 0 : seconds(option, value, &o->speed);
    }
    return set_text(o, option, value);
}

static int set(struct sim_options *o, const char *option, const char *value)
{
    static const char *const plans[] = {"free", "starter", "advanced"};
    static const char *const certs[] = {"ok", "wrong-host", "expired", "self-signed"};
    int choice, r;
    if (strcmp(option, "--plan") == 0) {
        r = word(option, value, plans, 3, &choice);
        if (r == 0)
            o->plan = (enum sim_plan)choice;
        return r;
    }
    if (strcmp(option, "--cert") == 0) {
        r = word(option, value, certs, 4, &choice);
        if (r == 0)
            o->cert = (enum sim_cert)choice;
        return r;
    }
    return set_number(o, option, value);
}

int sim_options_parse(struct sim_options *options, int argc, char **argv)
{
    *options = (struct sim_options){.seed = 1,
                                    .speed = 1,
                                    .start = DEFAULT_START,
                                    .key = "test-key",
                                    .plan = SIM_PLAN_ADVANCED,
                                    .auth_timeout = 10,
                                    .send_buffer = 16u << 20};
    for (int i = 1; i < argc; i++) {
        char name[32];
        const char *equals = strchr(argv[i], '=');
        size_t size = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return 1;
        }
        if (strcmp(argv[i], "--list-scenarios") == 0) {
            sim_scenarios_list();
            return 1;
        }
        if (strcmp(argv[i], "--quiet") == 0) {
            options->quiet = true;
            continue;
        }
        if (strncmp(argv[i], "--", 2) != 0 || size >= sizeof(name)) {
            fprintf(stderr, "polysim: %s: unknown argument (see --help)\n", argv[i]);
            return -EINVAL;
        }
        snprintf(name, sizeof(name), "%.*s", (int)size, argv[i]);
        const char *value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
        if (!value) {
            fprintf(stderr, "polysim: %s: a value is missing, or there is no such option (see --help)\n",
                    name);
            return -EINVAL;
        }
        int r = set(options, name, value);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The latest time from which bars of stocks flow for a good while, even when the market runs faster: t
 * itself, or 10:00 of the latest session day. */
static int64_t live(int64_t t)
{
    if (sim_calendar_stocks(t) == SIM_REGULAR && sim_calendar_stocks(t + 120 * SIM_MINUTE) == SIM_REGULAR)
        return t;
    int32_t day = sim_calendar_new_york_day(t);
    while (sim_calendar_midnight(day) + 600 * SIM_MINUTE > t ||
           sim_calendar_kind(day, NULL) == SIM_DAY_CLOSED)
        day--;
    return sim_calendar_midnight(day) + 600 * SIM_MINUTE;
}

int sim_options_start(const char *text, int64_t wall, int64_t *ret)
{
    int64_t earliest = sim_calendar_midnight(SIM_FIRST_DAY + 400),
            latest = sim_calendar_midnight(SIM_LAST_DAY - 400);
    int64_t t;
    struct sim_date d;
    int hour = 9, minute = 45, second = 0;
    size_t size = strlen(text);
    if (strcmp(text, "now") == 0) {
        t = live(wall);
    } else if (size > 10 && strspn(text, "0123456789") == size && size < 16) {
        t = strtoll(text, NULL, 10);
    } else {
        int got = sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &d.year, &d.month, &d.day, &hour, &minute, &second);
        bool shape = (got == 3 && size == 10) || (got == 5 && size == 16) || (got == 6 && size == 19);
        if (!shape || d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31 || hour > 23 || minute > 59 ||
            second > 59)
            return -EINVAL;
        int64_t midnight = sim_calendar_midnight(sim_calendar_days(d));
        t = midnight + ((hour * 60 + minute) * 60 + second) * INT64_C(1000);
        /* On the two days the clocks change, what was meant is the wall clock. */
        t += (sim_calendar_offset(midnight) - sim_calendar_offset(t)) * INT64_C(1000);
    }
    if (t < earliest || t > latest)
        return -EINVAL;
    *ret = t;
    return 0;
}
