/* status.c - polyctl status: the daemon, its connections, what is not acknowledged. Reads the board, which a
 * dead or wedged daemon leaves behind; only the list of unacknowledged pairs asks the daemon. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"

#define PENDING_WAIT_NS INT64_C(1000000000)
#define STALL_NS        INT64_C(5000000000)
#define CELLS_MAX       24

/* "pair CLUSTER SYMBOL TOPIC STATE" lines of the answer. */
struct pairs {
    char (*lines)[128];
    unsigned count;
};

struct pair {
    char cluster[16], symbol[PGD_SYMBOL_MAX], topic[16], state[32];
};

static void add_pair(void *user, const char *line)
{
    struct pairs *p = user;
    if (strncmp(line, "pair ", 5) != 0)
        return;
    void *lines = realloc(p->lines, (p->count + 1u) * sizeof *p->lines);
    if (!lines)
        return;
    p->lines = lines;
    snprintf(p->lines[p->count++], sizeof *p->lines, "%s", line + 5);
}

static bool split_pair(struct pair *ret, const char *line)
{
    memset(ret, 0, sizeof *ret);
    return sscanf(line, "%15s %47s %15s %31s", ret->cluster, ret->symbol, ret->topic, ret->state) >= 3;
}

/* What became of all that was received, over streams and REST together; how often cache and prefetch had what
 * was wanted. */
struct account {
    uint64_t received, published, duplicate, refused, waiting, gaps_open;
    uint64_t cache_hits, cache_misses, prefetch_hits, prefetch_misses;
};

static struct account account_of(const struct pgd_client *client)
{
    static const struct {
        const char *name;
        size_t at;
    } parts[] = {
#define X(counter, member) {#counter, offsetof(struct account, member)}
        X(events_received, received),  X(rest_rows, received),          X(events_published, published),
        X(rest_published, published),  X(events_duplicate, duplicate),  X(rest_duplicate, duplicate),
        X(events_malformed, refused),  X(events_refused, refused),      X(events_unwanted, refused),
        X(events_too_old, refused),    X(events_counted, refused),      X(events_unknown, refused),
        X(rest_bad_rows, refused),     X(rest_too_old, refused),        X(rest_unwanted, refused),
        X(events_waiting, waiting),    X(gaps_open, gaps_open),         X(cache_hits, cache_hits),
        X(cache_misses, cache_misses), X(prefetch_hits, prefetch_hits), X(prefetch_misses, prefetch_misses)};
#undef X
    struct account a = {0};
    struct pgd_counter counter;
    for (uint32_t i = 0; pgd_get_counter(client, i, &counter) == 0; i++)
        for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++)
            if (strncmp(counter.name, parts[k].name, sizeof counter.name) == 0)
                *(uint64_t *)(void *)((char *)&a + parts[k].at) += counter.value;
    return a;
}

static unsigned account_cells(struct cell *c, const struct account *a)
{
    unsigned n = 0;
    c[n++] = CELL_U("received", a->received);
    c[n++] = CELL_U("published", a->published);
    c[n++] = CELL_U("duplicate", a->duplicate);
    c[n++] = CELL_U("refused", a->refused);
    c[n++] = CELL_U("waiting", a->waiting);
    c[n++] = CELL_U("gaps_open", a->gaps_open);
    return n;
}

static unsigned cache_cells(struct cell *c, const struct account *a)
{
    unsigned n = 0;
    c[n++] = CELL_U("hits", a->cache_hits);
    c[n++] = CELL_U("misses", a->cache_misses);
    c[n++] = CELL_U("prefetch_hits", a->prefetch_hits);
    c[n++] = CELL_U("prefetch_misses", a->prefetch_misses);
    return n;
}

static const char *health_word(const struct pgd_status *s)
{
    if (!s->alive)
        return s->run_state == PGD_RUN_STOPPED ? "stopped" : "dead";
    return s->heartbeat_age_ns > STALL_NS ? "wedged" : run_word(s->run_state);
}

static unsigned daemon_cells(struct cell *c, const struct pgd_status *s)
{
    unsigned n = 0;
    c[n++] = CELL_T("instance", s->instance);
    c[n++] = CELL_T("state", health_word(s));
    c[n++] = (struct cell){.name = "alive", .kind = CELL_FLAG, .flag = s->alive};
    c[n++] = CELL_U("pid", s->pid);
    c[n++] = CELL_T("version", s->version);
    c[n++] = CELL_U("epoch", s->epoch);
    c[n++] = (struct cell){.name = "started", .kind = CELL_TIME_NS, .i = s->started_ns};
    c[n++] = CELL_D("uptime_s", s->alive ? (double)((now_real_ns() - s->started_ns) / 1000000) / 1e3 : 0);
    c[n++] = CELL_D("heartbeat_age_s", (double)(s->heartbeat_age_ns / 1000000) / 1e3);
    c[n++] = CELL_T("engine", s->engine);
    c[n++] = CELL_T("control", s->control);
    c[n++] = CELL_U("symbols", s->symbols);
    c[n++] = CELL_U("symbols_max", s->symbols_max);
    c[n++] = CELL_U("segments", s->segments);
    c[n++] = CELL_U("memory", s->memory);
    c[n++] = CELL_U("errors", s->errors);
    return n;
}

static struct cell time_cell(const char *name, int64_t ns)
{
    return (struct cell){.name = name, .kind = ns ? CELL_TIME_NS : CELL_NULL, .i = ns};
}

static unsigned conn_cells(struct cell *c, const struct pgd_conn *conn)
{
    unsigned n = 0;
    c[n++] = CELL_T("cluster", cluster_word(conn->cluster));
    c[n++] = CELL_T("state", conn_word(conn->state));
    c[n++] = time_cell("since", conn->since_ns);
    c[n++] = time_cell("next_try", conn->next_try_ns);
    c[n++] = time_cell("last_frame", conn->last_frame_ns);
    c[n++] = CELL_U("connects", conn->connects);
    c[n++] = CELL_U("drops", conn->drops);
    c[n++] = CELL_U("unacked", conn->unacked);
    c[n++] = CELL_U("attempts", conn->attempts);
    c[n++] = CELL_T("url", conn->url);
    c[n++] = CELL_T("reason", conn->reason);
    return n;
}

/* Connections in use: 1, and the row ended by NUL. */
static int conn_get(const struct pgd_client *client, unsigned cluster, struct pgd_conn *ret)
{
    if (pgd_get_conn(client, (enum pgd_cluster)cluster, ret) < 0 ||
        (ret->state == PGD_CONN_OFF && ret->reason[0] == '\0'))
        return 0;
    ret->cluster = cluster;
    ret->url[sizeof ret->url - 1] = ret->reason[sizeof ret->reason - 1] = '\0';
    return 1;
}

static void print_json(const struct pgd_client *client, const struct pgd_status *s, const struct pairs *pairs)
{
    struct cell cells[CELLS_MAX];
    struct pgd_conn conn;
    struct pair pair;
    const char *comma = "";
    printf("{");
    json_cells(stdout, cells, daemon_cells(cells, s));
    struct account account = account_of(client);
    printf(",\"account\":{");
    json_cells(stdout, cells, account_cells(cells, &account));
    printf("},\"cache\":{");
    json_cells(stdout, cells, cache_cells(cells, &account));
    printf("},\"connections\":[");
    for (unsigned i = 1; i < PGD_CLUSTERS; i++) {
        if (!conn_get(client, i, &conn))
            continue;
        printf("%s{", comma);
        json_cells(stdout, cells, conn_cells(cells, &conn));
        printf("}");
        comma = ",";
    }
    printf("],\"pending\":[");
    comma = "";
    for (unsigned i = 0; i < pairs->count; i++) {
        if (!split_pair(&pair, pairs->lines[i]))
            continue;
        struct cell p[] = {CELL_T("cluster", pair.cluster), CELL_T("symbol", pair.symbol),
                           CELL_T("topic", pair.topic), CELL_T("state", pair.state)};
        printf("%s{", comma);
        json_cells(stdout, p, sizeof p / sizeof p[0]);
        printf("}");
        comma = ",";
    }
    printf("]}\n");
}

static void line(const char *name, const char *text)
{
    char plain[256];
    size_t n = 0;
    for (; text[n] && n + 1 < sizeof plain; n++)
        plain[n] = (unsigned char)text[n] < ' ' || text[n] == 0x7f ? '?' : text[n];
    plain[n] = '\0';
    printf("%-11s %s\n", name, plain);
}

static void print_daemon(const struct pgd_status *s)
{
    char text[256], age[16], up[16];
    age_text(age, sizeof age, s->heartbeat_age_ns);
    age_text(up, sizeof up, now_real_ns() - s->started_ns);
    snprintf(text, sizeof text, "%s, polygond %s", s->instance, s->version);
    line("instance", text);
    if (s->alive)
        snprintf(text, sizeof text, "%s, pid %u, up %s, epoch %llu", health_word(s), s->pid, up,
                 (unsigned long long)s->epoch);
    else
        snprintf(text, sizeof text, "%s, was pid %u, epoch %llu", health_word(s), s->pid,
                 (unsigned long long)s->epoch);
    line("state", text);
    snprintf(text, sizeof text, "%s ago", age);
    line("heartbeat", text);
    line("engine", s->engine[0] ? s->engine : "-");
    line("control", s->control[0] ? s->control : "off");
    snprintf(text, sizeof text, "%u of at most %u", s->symbols, s->symbols_max);
    line("symbols", text);
    snprintf(text, sizeof text, "%.1f MiB in %u segments", (double)s->memory / 1048576.0, s->segments + 1);
    line("memory", text);
    snprintf(text, sizeof text, "%u distinct%s", s->errors, s->errors ? " (polyctl errors)" : "");
    line("errors", text);
}

static void print_account(const struct pgd_client *client)
{
    char text[256];
    struct account a = account_of(client);
    int n = snprintf(text, sizeof text, "%llu received = %llu published + %llu duplicate + %llu refused",
                     (unsigned long long)a.received, (unsigned long long)a.published,
                     (unsigned long long)a.duplicate, (unsigned long long)a.refused);
    if (a.waiting)
        snprintf(text + n, sizeof text - (size_t)n, " + %llu waiting", (unsigned long long)a.waiting);
    line("account", text);
    snprintf(text, sizeof text, "%llu open%s", (unsigned long long)a.gaps_open,
             a.gaps_open ? " (polyctl gaps)" : "");
    line("gaps", text);
    snprintf(text, sizeof text, "%llu series had, %llu not; prefetch %llu symbols guessed, %llu not",
             (unsigned long long)a.cache_hits, (unsigned long long)a.cache_misses,
             (unsigned long long)a.prefetch_hits, (unsigned long long)a.prefetch_misses);
    line("cache", text);
}

static void print_conn(const struct pgd_conn *conn)
{
    char text[256], since[16], next[16], frame[16];
    int64_t now = now_real_ns();
    size_t n;
    age_text(since, sizeof since, now - conn->since_ns);
    n = (size_t)snprintf(text, sizeof text, "%s for %s", conn_word(conn->state), since);
    if (conn->last_frame_ns) {
        age_text(frame, sizeof frame, now - conn->last_frame_ns);
        n += (size_t)snprintf(text + n, sizeof text - n, ", last frame %s ago", frame);
    }
    if (conn->next_try_ns > now) {
        age_text(next, sizeof next, conn->next_try_ns - now);
        n += (size_t)snprintf(text + n, sizeof text - n, ", next try in %s", next);
    }
    if (conn->unacked)
        n += (size_t)snprintf(text + n, sizeof text - n, ", %u unacknowledged", conn->unacked);
    snprintf(text + n, sizeof text - n, ", %llu drops", (unsigned long long)conn->drops);
    line(cluster_word(conn->cluster), text);
    if (conn->url[0])
        line("", conn->url);
    if (conn->reason[0])
        line("", conn->reason);
}

static void print_text(const struct pgd_client *client, const struct pgd_status *s, const struct pairs *pairs)
{
    struct pgd_conn conn;
    print_daemon(s);
    print_account(client);
    for (unsigned i = 1; i < PGD_CLUSTERS; i++)
        if (conn_get(client, i, &conn))
            print_conn(&conn);
    for (unsigned i = 0; i < pairs->count; i++)
        line(i == 0 ? "pending" : "", pairs->lines[i]);
}

int verb_status(const struct args *args)
{
    int code = EXIT_OK;
    struct pgd_client *client = ctl_open(args, &code);
    if (!client)
        return code;
    struct pgd_status status;
    struct pairs pairs = {0};
    pgd_get_status(client, &status);
    if (status.alive && status.control[0] && status.heartbeat_age_ns < STALL_NS &&
        pgd_control(client, "pending", add_pair, &pairs, PENDING_WAIT_NS, NULL, 0) < 0 &&
        !args_has(args, OPT_JSON))
        say("status", "the control socket does not answer: unacknowledged subscriptions unknown");
    if (args_has(args, OPT_JSON))
        print_json(client, &status, &pairs);
    else
        print_text(client, &status, &pairs);
    free(pairs.lines);
    pgd_close(client);
    return code;
}
