/* subscribe.c - polyctl subscribe: rows as they are published. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rows.h"

#define SECOND     INT64_C(1000000000)
#define ASK_WAIT   (30 * SECOND) /* for the daemon's acknowledgement of a symbol */
#define REASK_WAIT (2 * SECOND)

struct subscribe {
    const struct args *args;
    struct pgd_client *client;
    struct pgd_sub *sub;
    struct out out;
    char stream[PGD_SEGMENT_MAX];
    int stream_id, cluster, symbol_width;
    bool all, once, strict;
    bool ask_again; /* the daemon came back: does it still hold the symbols? */
    uint32_t history;
    int64_t left;        /* rows still to print, -1: no end */
    int64_t deadline_ns; /* CLOCK_MONOTONIC, INT64_MAX: none */
    uint64_t printed;
    struct row_columns indicators;
    struct row row;
};

static int64_t monotonic_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec;
}

/* 0, or an exit code that was explained. */
static int read_options(struct subscribe *s, const struct args *args)
{
    s->args = args;
    s->cluster = args_cluster(args);
    s->once = args_has(args, OPT_ONCE);
    s->strict = args_has(args, OPT_STRICT);
    s->left = args_count(args, OPT_COUNT, INT64_MAX, INT64_MAX);
    int64_t history = args_count(args, OPT_HISTORY, 1, PGD_CAPACITY_LIMIT);
    int64_t timeout = args_seconds(args, OPT_TIMEOUT);
    int kinds = args_has(args, OPT_TRADES) + args_has(args, OPT_QUOTES) + args_has(args, OPT_BARS);
    if (s->cluster < 0 || s->left < 0 || history < 0 || timeout == -2)
        return EXIT_USAGE;
    if (kinds > 1 || args->operand_count == 0) {
        say("subscribe", kinds > 1 ? "one of --trades, --quotes, --bars" : "no symbol; '*' takes all");
        return EXIT_USAGE;
    }
    s->left = args_has(args, OPT_COUNT) ? s->left : -1;
    s->history = args_has(args, OPT_FROM_START) ? PGD_ALL : (uint32_t)history;
    s->deadline_ns = timeout < 0 ? INT64_MAX : monotonic_ns() + timeout;
    stream_of_args(s->stream, sizeof s->stream, args);
    for (int i = 0; i < args->operand_count; i++) {
        int width = (int)strlen(args->operands[i]);
        s->all = s->all || strcmp(args->operands[i], "*") == 0;
        s->symbol_width = width > s->symbol_width ? width : s->symbol_width;
    }
    if (args->operand_count == 1 && !s->all)
        s->symbol_width = 0;
    else if (s->symbol_width < 6)
        s->symbol_width = 6;
    return EXIT_OK;
}

/* 0: there is a daemon and its bus is open; -EAGAIN: it is about to be. */
static int running(const struct pgd_client *client)
{
    struct pgd_status status;
    pgd_get_status(client, &status);
    if (!status.alive)
        return PGD_ERR_NO_DAEMON;
    return status.run_state == PGD_RUN_STARTING ? -EAGAIN : 0;
}

/* Attaches to a running daemon; with --wait until there is one. One that is starting is always waited for. */
static int attach(struct subscribe *s)
{
    const char *instance = ctl_instance(s->args);
    bool told = false;
    for (;;) {
        int r = pgd_open(&s->client, instance);
        if (r == 0 && (r = running(s->client)) == 0)
            return EXIT_OK;
        pgd_close(s->client);
        s->client = NULL;
        bool wait = args_has(s->args, OPT_WAIT);
        bool may_come = r == -EAGAIN || (wait && (r == PGD_ERR_NO_DAEMON || r == PGD_ERR_NO_INSTANCE));
        if (!may_come)
            return r == -EINVAL ? (say(instance, "not an instance name"), EXIT_USAGE) : ctl_fail(instance, r);
        if (monotonic_ns() >= s->deadline_ns) {
            say(instance, "no daemon in time");
            return EXIT_TIMEOUT;
        }
        if (!told && r != -EAGAIN) {
            say(instance, "no daemon is running; waiting for one");
            told = true;
        }
        poll(NULL, 0, 50);
    }
}

/* The topic that feeds the stream, for this symbol. */
static uint32_t topic_of(const struct subscribe *s, const char *symbol)
{
    if (strcmp(s->stream, "trades") == 0)
        return strncmp(symbol, "I:", 2) == 0 ? PGD_VALUES : PGD_TRADES;
    if (strcmp(s->stream, "quotes") == 0)
        return PGD_QUOTES;
    return strcmp(s->stream, "bars.1s") == 0 ? PGD_BARS_1S : PGD_BARS_1M;
}

/* Whether the daemon holds the symbol and wants the topic. *ret_state: its state, 0 when not held. */
static bool held(const struct subscribe *s, const char *symbol, unsigned *ret_state)
{
    struct pgd_symbol entry;
    int32_t index = pgd_find(s->client, symbol);
    *ret_state = 0;
    if (index < 0 || pgd_get_symbol(s->client, (uint32_t)index, &entry) < 0)
        return false;
    *ret_state = entry.state;
    return (entry.wanted & topic_of(s, symbol)) != 0;
}

/* Sees to it that the daemon holds a symbol: 0, or an exit code that was explained. */
static int ensure(struct subscribe *s, const char *symbol, int64_t wait_ns)
{
    unsigned state;
    char text[256] = "";
    if (strcmp(symbol, "*") == 0)
        return EXIT_OK;
    if (held(s, symbol, &state) && state != PGD_SYM_UNKNOWN && state != PGD_SYM_CHECKING)
        return EXIT_OK;
    int64_t left = s->deadline_ns == INT64_MAX ? wait_ns : s->deadline_ns - monotonic_ns();
    left = left < 0 ? 0 : left < wait_ns ? left : wait_ns;
    int32_t r = pgd_request(s->client, symbol, topic_of(s, symbol), s->cluster, left, text, sizeof text);
    if (r >= 0)
        return EXIT_OK;
    if (r == PGD_ERR_UNKNOWN)
        return ctl_fail(symbol, r);
    if (r == -ETIMEDOUT) { /* the daemon keeps asking; the rows come when it succeeds */
        say(symbol, "asked for, not acknowledged yet");
        return EXIT_OK;
    }
    size_t n = strlen(symbol);
    bool named = strncmp(text, symbol, n) == 0 && strncmp(text + n, ": ", 2) == 0;
    say(symbol, "%s", named ? text + n + 2 : text[0] ? text : pgd_strerror(r));
    if (pgd_find(s->client, symbol) >= 0 && state != PGD_SYM_UNKNOWN &&
        (r == PGD_ERR_OFF || r == PGD_ERR_DENIED))
        return EXIT_OK; /* it is held; others may ask for the topic */
    return r == PGD_ERR_NO_DAEMON ? EXIT_NO_DAEMON : EXIT_FAILED;
}

static int start(struct subscribe *s)
{
    for (int i = 0; i < s->args->operand_count; i++) {
        int code = ensure(s, s->args->operands[i], ASK_WAIT);
        if (code != EXIT_OK)
            return code;
    }
    int r = pgd_sub_new(&s->sub, s->client);
    if (r < 0)
        return ctl_fail("subscribe", r);
    s->stream_id = pgd_sub_stream(s->sub, s->stream, s->history);
    if (s->stream_id < 0)
        return ctl_fail(s->stream, s->stream_id);
    if (s->all)
        pgd_sub_all(s->sub);
    pgd_sub_recomputed(s->sub, args_has(s->args, OPT_RECOMPUTED));
    for (int i = 0; i < s->args->operand_count && !s->all; i++)
        if ((r = pgd_sub_symbol(s->sub, s->args->operands[i])) < 0)
            return ctl_fail(s->args->operands[i], r);
    row_columns(&s->indicators, s->client, s->stream_id);
    return EXIT_OK;
}

static void print_event(struct subscribe *s, const struct pgd_event *e)
{
    if (e->kind == PGD_EVENT_BAR) {
        struct bar_row from = {.symbol = e->name,
                               .timespan = s->stream + strlen("bars."),
                               .bar = &e->bar,
                               .columns = e->columns,
                               .indicators = &s->indicators,
                               .flags = e->flags,
                               .symbol_width = s->symbol_width,
                               .seconds = strcmp(s->stream, "bars.1s") == 0};
        row_bar(&s->row, &from);
    } else if (e->kind == PGD_EVENT_TRADE) {
        row_trade(&s->row, e->name, &e->trade, s->symbol_width);
    } else {
        row_quote(&s->row, e->name, &e->quote, s->symbol_width);
    }
    out_row(&s->out, s->row.cells, s->row.count);
    s->printed++;
    if (s->left > 0)
        s->left--;
}

static int went_down(struct subscribe *s, const struct pgd_event *e)
{
    const char *what = e->reason == 0 ? "the daemon has gone" : "the daemon does not respond";
    say(ctl_instance(s->args), "%s%s", what, s->once ? "" : "; waiting for it to come back");
    return s->once ? EXIT_NO_DAEMON : -1;
}

/* Exit code to end with, or -1: go on. */
static int handle(struct subscribe *s, const struct pgd_event *e)
{
    switch (e->kind) {
    case PGD_EVENT_BAR:
    case PGD_EVENT_TRADE:
    case PGD_EVENT_QUOTE:
        print_event(s, e);
        return s->left == 0 ? EXIT_OK : -1;
    case PGD_EVENT_LOST:
        say(s->stream, "read too slowly: %llu records lost", (unsigned long long)e->lost);
        return s->strict ? EXIT_LOST : -1;
    case PGD_EVENT_DOWN:
        return went_down(s, e);
    case PGD_EVENT_UP:
        say(ctl_instance(s->args), "the daemon is back (epoch %llu)", (unsigned long long)e->epoch);
        s->ask_again = true;
        return -1;
    case PGD_EVENT_REPLACED:
        row_columns(&s->indicators, s->client, s->stream_id);
        out_reshape(&s->out);
        return -1;
    }
    return -1;
}

/* A daemon that came back may not have been told of the symbols. */
static void ask_again(struct subscribe *s)
{
    s->ask_again = false;
    for (int i = 0; i < s->args->operand_count; i++) {
        unsigned state;
        const char *symbol = s->args->operands[i];
        if (strcmp(symbol, "*") == 0 || held(s, symbol, &state))
            continue;
        int r = pgd_request(s->client, symbol, topic_of(s, symbol), s->cluster, REASK_WAIT, NULL, 0);
        if (r == PGD_ERR_NO_DAEMON || r == -ETIMEDOUT)
            s->ask_again = true;
    }
}

/* Whether nobody can read what we print any more: `polyctl subscribe ... | head` must end. */
static bool reader_gone(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO};
    return ferror(stdout) || (poll(&p, 1, 0) == 1 && p.revents & (POLLERR | POLLNVAL));
}

static int timed_out(const struct subscribe *s)
{
    bool complete = s->left < 0 && s->printed > 0;
    if (!complete)
        say("subscribe", s->printed ? "timeout: fewer rows than asked for" : "timeout: no row");
    return complete ? EXIT_OK : EXIT_TIMEOUT;
}

static int loop(struct subscribe *s)
{
    const struct pgd_event *e;
    for (;;) {
        int r = pgd_sub_next(s->sub, &e, 0);
        if (r == 0) {
            fflush(stdout);
            if (reader_gone())
                return EXIT_OK;
            if (s->ask_again)
                ask_again(s);
            int64_t left = s->deadline_ns - monotonic_ns();
            if (left <= 0)
                return timed_out(s);
            r = pgd_sub_next(s->sub, &e, left < SECOND ? left : SECOND);
        }
        if (r < 0 && r != -EINTR)
            return ctl_fail("subscribe", r);
        int code = r > 0 ? handle(s, e) : -1;
        if (code >= 0)
            return code;
        if (ferror(stdout))
            return EXIT_OK;
    }
}

int verb_subscribe(const struct args *args)
{
    struct subscribe *s = calloc(1, sizeof *s);
    if (!s)
        return ctl_fail("subscribe", -ENOMEM);
    out_init(&s->out, args);
    s->out.stream = true;
    int code = read_options(s, args);
    if (code == EXIT_OK && s->left != 0) {
        code = attach(s);
        if (code == EXIT_OK)
            code = start(s);
        if (code == EXIT_OK)
            code = loop(s);
    }
    pgd_sub_free(s->sub);
    pgd_close(s->client);
    free(s);
    return code;
}
