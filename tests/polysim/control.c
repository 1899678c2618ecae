#include "control.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "burst.h"
#include "feed.h"
#include "session.h"
#include "trouble.h"

struct control {
    struct sim *sim;
    const struct sim_request *request;
    struct sim_reply *reply;
};

static void fail(struct control *c, int status, const char *why)
{
    c->reply->status = status;
    sim_text_str(&c->reply->body, "{\"ok\":false,\"error\":");
    sim_text_json(&c->reply->body, why);
    sim_text_str(&c->reply->body, "}\n");
}

static void done(struct control *c, const char *what, uint64_t count)
{
    sim_text_printf(&c->reply->body, "{\"ok\":true,\"%s\":%" PRIu64 "}\n", what, count);
}

/* False: a parameter that is there but is no number (an error was sent). */
static bool number(struct control *c, const char *name, double least, double most, double fallback,
                   double *ret)
{
    char text[48];
    if (!sim_request_param(c->request, name, text, sizeof(text))) {
        *ret = fallback;
        return true;
    }
    char *end;
    *ret = strtod(text, &end);
    if (*text && !*end && *ret >= least && *ret <= most)
        return true;
    char why[96];
    snprintf(why, sizeof(why), "%s: must be a number from %g to %g", name, least, most);
    fail(c, 400, why);
    return false;
}

/* Sessions that are meant: all, or those of ?cluster=. */
static bool meant(const struct control *c, const struct sim_session *s)
{
    char cluster[16];
    return s->state != SIM_ENDING && (!sim_request_param(c->request, "cluster", cluster, sizeof(cluster)) ||
                                      strcmp(cluster, sim_asset_name(s->cluster)) == 0);
}

/* One action on all sessions: the request's body, or `fixed`. */
static void act(struct control *c, const char *fixed)
{
    char text[600], err[160];
    snprintf(text, sizeof(text), "%.*s", fixed ? (int)strlen(fixed) : (int)c->request->body_size,
             fixed ? fixed : c->request->body);
    text[strcspn(text, "\r\n")] = '\0';
    struct sim_rule rule = {0};
    if (sim_action_parse(&rule, SIM_MESSAGE, text, err, sizeof(err)) < 0 || sim_action_before(rule.action)) {
        fail(c, 400,
             sim_action_before(rule.action) && rule.action ? "that action needs a message to act on" : err);
        return;
    }
    uint64_t count = 0;
    for (struct sim_session *s = c->sim->sessions, *next; s; s = next) {
        next = s->next;
        if (meant(c, s)) {
            sim_trouble_do(s, &rule);
            count++;
        }
    }
    done(c, "sessions", count);
}

static void act_drop(struct control *c)
{
    char value[8];
    act(c, sim_request_param(c->request, "reset", value, sizeof(value)) ? "reset" : "drop");
}

static void act_silence(struct control *c)
{
    act(c, "silence");
}

static void act_evict(struct control *c)
{
    act(c, "evict");
}

static void act_close(struct control *c)
{
    double code;
    char reason[100] = "", text[128];
    if (!number(c, "code", 1000, 4999, 1001, &code))
        return;
    sim_request_param(c->request, "reason", reason, sizeof(reason));
    snprintf(text, sizeof(text), "close %d %s", (int)code, reason);
    act(c, text);
}

static void act_any(struct control *c)
{
    act(c, NULL);
}

/* Replaces the rules (?add=1: adds to them) by a named scenario, a script in the body, or none. */
static void set_scenario(struct control *c)
{
    char name[256] = "", add[8], err[256] = "";
    struct sim_scenarios fresh = {0};
    struct sim_scenarios *to =
        sim_request_param(c->request, "add", add, sizeof(add)) ? &c->sim->scenarios : &fresh;
    int r = 0;
    if (sim_request_param(c->request, "name", name, sizeof(name)) && strcmp(name, "none") != 0)
        r = strchr(name, '/') ? -EINVAL : sim_scenarios_load(to, name, err, sizeof(err));
    if (r == 0 && c->request->body_size > 0) {
        char *script = strndup(c->request->body, c->request->body_size);
        r = script ? sim_scenarios_parse(to, script, err, sizeof(err)) : -ENOMEM;
        free(script);
    }
    if (r < 0) {
        sim_scenarios_fini(&fresh);
        fail(c, 400, *err ? err : "only built-in scenarios can be named here; send a script as the body");
        return;
    }
    if (to == &fresh) {
        sim_scenarios_fini(&c->sim->scenarios);
        c->sim->scenarios = fresh;
    }
    done(c, "rules", c->sim->scenarios.count);
}

/* A late trade in the minute at ?t= (ms), ?ago= minutes before the last whole one; default price: above the
 * high. */
static void revise(struct control *c)
{
    char ticker[64] = "";
    double t, ago, price, size, quiet;
    sim_request_param(c->request, "symbol", ticker, sizeof(ticker));
    struct sim_symbol *symbol = sim_universe_ticker(&c->sim->universe, ticker);
    if (!symbol) {
        fail(c, 404, "symbol: there is none of that name");
        return;
    }
    int64_t now = sim_now(c->sim), last = now - now % SIM_MINUTE - SIM_MINUTE;
    if (!number(c, "ago", 0, 1e6, 0, &ago) ||
        !number(c, "t", 0, (double)last + 59999, (double)(last - (int64_t)ago * SIM_MINUTE), &t))
        return;
    int64_t minute = (int64_t)t - (int64_t)t % SIM_MINUTE;
    struct sim_bar bar = sim_history_minute(c->sim->history, symbol, minute);
    double high = (double)(bar.count ? bar.high + symbol->tick : (int64_t)(symbol->level * 1e6)) / 1e6;
    if (!number(c, "price", 1e-4, 1e7, high, &price) || !number(c, "size", 0, 1e9, 100, &size) ||
        !number(c, "quiet", 0, 1, 0, &quiet))
        return;
    int r = sim_market_revise(&c->sim->market, symbol, minute, llround(price * 1e6),
                              symbol->asset == SIM_INDICES ? 0 : llround(size * 1e8));
    if (r < 0) {
        fail(c, 400, "t: the market was closed then");
        return;
    }
    if (quiet == 0)
        sim_feed_resend(c->sim->feed, symbol, minute);
    done(c, "t", (uint64_t)minute);
}

/* The body, as it is, as one text message to every streaming session. */
static void emit(struct control *c)
{
    uint64_t count = 0;
    for (struct sim_session *s = c->sim->sessions, *next; s; s = next) {
        next = s->next;
        if (!meant(c, s) || s->state != SIM_STREAMING)
            continue;
        sim_session_text(s, c->request->body, c->request->body_size);
        sim_conn_flush(s->conn);
        count++;
    }
    done(c, "sessions", count);
}

static void burst(struct control *c)
{
    char name[8] = "T";
    double events, per_message, symbols, t;
    sim_request_param(c->request, "topic", name, sizeof(name));
    struct sim_burst_plan plan = {.topic = sim_topic_parse(SIM_STOCKS, name)};
    if (!(plan.topic & (SIM_TOPIC_TRADE | SIM_TOPIC_QUOTE | SIM_TOPIC_SECOND | SIM_TOPIC_MINUTE))) {
        fail(c, 400, "topic: must be T, Q, A or AM");
        return;
    }
    int64_t now = sim_now(c->sim);
    if (!number(c, "symbols", 1, 1e6, 1e6, &symbols) || !number(c, "events", 1, 1e12, symbols, &events) ||
        !number(c, "per_message", 1, 10000, 100, &per_message) ||
        !number(c, "t", 1e12, 4e12, (double)now, &t))
        return;
    plan.events = (uint64_t)events;
    plan.per_message = (size_t)per_message;
    plan.symbols = (size_t)symbols;
    plan.t = (int64_t)t;
    if (plan.topic == SIM_TOPIC_MINUTE || plan.topic == SIM_TOPIC_SECOND)
        plan.t -= plan.t % SIM_MINUTE;
    uint64_t count = 0;
    for (struct sim_session *s = c->sim->sessions, *next; s; s = next) {
        next = s->next;
        if (s->state == SIM_STREAMING && s->cluster == SIM_STOCKS && sim_burst_start(s, &plan) == 0)
            count++;
    }
    if (count == 0)
        fail(c, 409, "no session of stocks has subscribed to that, or one is busy with a burst");
    else
        done(c, "sessions", count);
}

static size_t rules_left(const struct sim_scenarios *scenarios)
{
    size_t left = 0;
    for (size_t i = 0; i < scenarios->count; i++)
        left += !scenarios->rules[i].spent;
    return left;
}

static void stats(struct control *c)
{
    const struct sim_stats *s = &c->sim->stats;
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"connections", s->connections},
                {"connections_open", s->connections_open},
                {"requests", s->requests},
                {"sessions", s->sessions},
                {"auth_failures", s->auth_failures},
                {"evictions", s->evictions},
                {"slow_drops", s->slow_drops},
                {"messages_out", s->messages_out},
                {"events_out", s->events_out},
                {"bytes_out", s->bytes_out},
                {"bytes_in", s->bytes_in},
                {"pings_in", s->pings_in},
                {"pongs_in", s->pongs_in},
                {"rules", c->sim->scenarios.count},
                {"rules_left", rules_left(&c->sim->scenarios)},
                {"symbols", c->sim->universe.count}};
    uint64_t streaming = 0, held = 0;
    for (const struct sim_session *session = c->sim->sessions; session; session = session->next) {
        streaming += session->state == SIM_STREAMING;
        held += session->pairs;
    }
    struct sim_text *out = &c->reply->body;
    sim_text_printf(out,
                    "{\"ok\":true,\"now\":%" PRId64 ",\"streaming\":%" PRIu64 ",\"subscriptions\":%" PRIu64,
                    sim_now(c->sim), streaming, held);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        sim_text_printf(out, ",\"%s\":%" PRIu64, rows[i].name, rows[i].value);
    sim_text_str(out, "}\n");
}

static void quit(struct control *c)
{
    done(c, "connections", c->sim->stats.connections);
    uv_stop(&c->sim->loop);
}

void sim_control(struct sim *sim, const struct sim_request *request, struct sim_reply *reply)
{
    static const struct {
        const char *name;
        void (*handler)(struct control *c);
        bool reads; /* GET will do */
    } verbs[] = {{"stats", stats, true},
                 {"scenario", set_scenario, false},
                 {"do", act_any, false},
                 {"drop", act_drop, false},
                 {"silence", act_silence, false},
                 {"close", act_close, false},
                 {"evict", act_evict, false},
                 {"revise", revise, false},
                 {"emit", emit, false},
                 {"burst", burst, false},
                 {"quit", quit, false}};
    struct control c = {sim, request, reply};
    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
        if (strcmp(request->segments[1], verbs[i].name) != 0 || request->segment_count != 2)
            continue;
        if (!verbs[i].reads && strcmp(request->method, "POST") != 0)
            fail(&c, 405, "that needs a POST");
        else
            verbs[i].handler(&c);
        return;
    }
    fail(&c, 404,
         "there is /sim/stats (GET) and, to POST, scenario, do, drop, silence, close, evict, revise, emit, "
         "burst, quit");
}
