/* stat.c - polyctl stat: the daemon's counters, once or repeatedly with rates. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "out.h"

struct stat_run {
    struct pgd_client *client;
    struct out out;
    uint32_t count;
    struct pgd_counter *now, *before;
    struct cell *cells;
    int64_t taken_ns, before_ns;
    bool repeated;
};

static void take(struct stat_run *s)
{
    struct pgd_counter *swap = s->before;
    s->before = s->now;
    s->now = swap;
    s->before_ns = s->taken_ns;
    s->taken_ns = now_real_ns();
    for (uint32_t i = 0; i < s->count; i++) {
        if (pgd_get_counter(s->client, i, &s->now[i]) < 0)
            memset(&s->now[i], 0, sizeof s->now[i]);
        s->now[i].name[sizeof s->now[i].name - 1] = '\0';
    }
}

/* Counters begin anew with a daemon run. */
static double rate(const struct stat_run *s, uint32_t i)
{
    uint64_t a = s->before[i].value, b = s->now[i].value;
    double seconds = (double)(s->taken_ns - s->before_ns) / 1e9;
    return b < a || seconds <= 0 ? 0 : (double)(b - a) / seconds;
}

/* JSON and CSV: one row with a cell for each counter. */
static void print_flat(struct stat_run *s)
{
    s->cells[0] = (struct cell){.name = "t", .kind = CELL_TIME_NS, .i = s->taken_ns / 1000000 * 1000000};
    for (uint32_t i = 0; i < s->count; i++)
        s->cells[i + 1] = CELL_U(s->now[i].name, s->now[i].value);
    out_row(&s->out, s->cells, s->count + 1);
}

static void print_table(struct stat_run *s, bool rates)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct cell cells[] = {
            {.name = "counter", .kind = CELL_TEXT, .flags = CELL_LEFT, .text = s->now[i].name},
            CELL_U("value", s->now[i].value),
            {.name = "per second", .kind = CELL_NUMBER, .d = rates ? rate(s, i) : 0}};
        out_row(&s->out, cells, rates ? 3 : 2);
    }
    out_end(&s->out);
}

static void print(struct stat_run *s, bool rates)
{
    if (s->out.format != OUT_TEXT)
        print_flat(s);
    else
        print_table(s, rates);
    if (s->out.format == OUT_TEXT && s->repeated)
        fputc('\n', s->out.file);
    fflush(stdout);
}

static int run(struct stat_run *s, int64_t interval_ns, int64_t times)
{
    s->repeated = interval_ns > 0;
    take(s);
    print(s, false);
    for (int64_t i = 1; s->repeated && i < times && !ferror(stdout); i++) {
        int64_t ms = interval_ns / 1000000;
        poll(NULL, 0, ms < 1 ? 1 : ms > 3600000 ? 3600000 : (int)ms);
        int r = pgd_refresh(s->client);
        if (r < 0)
            return ctl_fail("stat", r);
        take(s);
        print(s, true);
    }
    return EXIT_OK;
}

int verb_stat(const struct args *args)
{
    int code = EXIT_OK;
    struct pgd_status status;
    int64_t interval = args_seconds(args, OPT_INTERVAL);
    int64_t times = args_count(args, OPT_COUNT, INT64_MAX, INT64_MAX);
    if (interval == -2 || times < 0)
        return EXIT_USAGE;
    struct stat_run s = {.client = ctl_open(args, &code)};
    if (!s.client)
        return code;
    out_init(&s.out, args);
    pgd_get_status(s.client, &status);
    s.count = status.counters;
    s.now = calloc(s.count + 1u, sizeof *s.now);
    s.before = calloc(s.count + 1u, sizeof *s.before);
    s.cells = calloc(s.count + 1u, sizeof *s.cells);
    code = s.now && s.before && s.cells ? run(&s, interval, times) : ctl_fail("stat", -ENOMEM);
    free(s.now);
    free(s.before);
    free(s.cells);
    pgd_close(s.client);
    return code;
}
