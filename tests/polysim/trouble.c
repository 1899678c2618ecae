#include "trouble.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"
#include "garble.h"
#include "rest.h"

#define PINGS_MAX   100000
#define HUGE_MAX    (64u << 20)
#define REVISED_MAX 200

/* ---------------------------------------------------------------------------------- before a reply */

static bool refuse_auth(struct sim_session *s, const struct sim_rule *rule)
{
    s->sim->stats.auth_failures++;
    sim_session_status(s, "auth_failed", *rule->text ? rule->text : "authentication failed");
    sim_conn_drop(s->conn, false);
    return true;
}

static bool do_before(struct sim_session *s, const struct sim_rule *rule)
{
    switch (rule->action) {
    case SIM_DO_AUTH_FAILED:
        return rule->when == SIM_AUTH && refuse_auth(s, rule);
    case SIM_DO_MUTE:
        return rule->when == SIM_AUTH || rule->when == SIM_SUBSCRIBE;
    case SIM_DO_LIMIT:
        if (rule->when != SIM_SUBSCRIBE)
            return false;
        sim_session_status(
            s, "error",
            "Subscription limit reached for feed. Please remove some subscriptions and try again.");
        return true;
    case SIM_DO_SPREAD:
        s->spread = true;
        return false;
    case SIM_DO_LATE:
        s->late = true;
        return false;
    case SIM_DO_LOSE:
        s->lose = true;
        return false;
    case SIM_DO_SPACES:
        s->spaces = true;
        return false;
    default:
        if (s->event_count > 0)
            sim_garble(s, rule->action);
        return false;
    }
}

bool sim_trouble_before(struct sim_session *session, enum sim_when when, uint64_t n)
{
    struct sim_scenarios *scenarios = &session->sim->scenarios;
    bool handled = false;
    for (size_t i = 0; i < scenarios->count && !session->conn->dead; i++)
        if (sim_action_before(scenarios->rules[i].action) && sim_scenarios_applies(scenarios, i, when, 0, n))
            handled |= do_before(session, &scenarios->rules[i]);
    return handled;
}

/* -------------------------------------------------------------------------------------- afterwards */

static void raw(struct sim_session *s, const void *data, size_t size)
{
    sim_conn_write(s->conn, data, size);
    sim_conn_flush(s->conn);
}

static void frame(struct sim_session *s, enum sim_opcode opcode, const void *data, size_t size)
{
    struct sim_text out = {0};
    sim_frame_write(&out, true, opcode, data, size);
    raw(s, out.data, out.size);
    sim_text_fini(&out);
}

static void huge(struct sim_session *s, int64_t size)
{
    static const char head[] = "[{\"ev\":\"status\",\"status\":\"success\",\"message\":\"";
    struct sim_text text = {0};
    sim_text_str(&text, head);
    for (int64_t i = (int64_t)sizeof(head) + 2; i < size && i < HUGE_MAX; i++)
        sim_text_char(&text, '.');
    sim_text_str(&text, "\"}]");
    frame(s, SIM_TEXT, text.data, text.size);
    sim_text_fini(&text);
}

static void ping_flood(struct sim_session *s, int64_t count)
{
    struct sim_text out = {0};
    for (int64_t i = 0; i < count && i < PINGS_MAX; i++) {
        char payload[24];
        int size = snprintf(payload, sizeof(payload), "%lld", (long long)i);
        sim_frame_write(&out, true, SIM_PING, payload, (size_t)size);
    }
    raw(s, out.data, out.size);
    sim_text_fini(&out);
}

static void say(struct sim_session *s, const char *text)
{
    char status[64];
    size_t size = strcspn(text, " ");
    snprintf(status, sizeof(status), "%.*s", (int)(size < 63 ? size : 63), text);
    sim_session_status(s, status, text[size] ? text + size + 1 : "");
}

static void close_with(struct sim_session *s, const struct sim_rule *rule)
{
    const char *reason = strchr(rule->text, ' ');
    sim_session_close(s, (int)(rule->numbers[0] & 0xffff), reason ? reason + 1 : "");
}

static void do_shape(struct sim_session *s, const struct sim_rule *rule)
{
    struct sim_shape *shape = &s->conn->shape;
    switch (rule->action) {
    case SIM_DO_CUT:
        shape->drop_after = rule->numbers[0] > 0 ? rule->numbers[0] : 1;
        break;
    case SIM_DO_SPLIT:
    case SIM_DO_SPLIT_RANDOM:
        shape->split = (size_t)rule->numbers[0];
        shape->random = rule->action == SIM_DO_SPLIT_RANDOM;
        shape->delay_ms = (unsigned)rule->numbers[1];
        break;
    case SIM_DO_HOLD:
        shape->hold_ms = (unsigned)rule->numbers[0];
        break;
    case SIM_DO_FRAGMENT:
        s->fragment = (size_t)rule->numbers[0];
        break;
    default: /* calm */
        *shape = (struct sim_shape){0};
        s->fragment = 0;
    }
}

/* Frames that break the protocol or are at its edge. */
static void do_frame(struct sim_session *s, const struct sim_rule *rule)
{
    static const char masked[] = "\x81\x82\x01\x02\x03\x04\x5a\x5f", reserved[] = "\xc1\x02[]",
                      opcode[] = "\x83\x02[]";
    static const char long_ping[4 + 126] = "\x89\x7e\x00\x7e", lone[] = "\x80\x02[]";
    switch (rule->action) {
    case SIM_DO_HUGE:
        huge(s, rule->numbers[0]);
        break;
    case SIM_DO_BINARY:
        frame(s, SIM_BINARY, "\x00\x01\x02\xff", 4);
        break;
    case SIM_DO_NOT_UTF8:
        frame(s, SIM_TEXT, "[{\"ev\":\"T\",\"sym\":\"\xc0\xaf\xed\xa0\x80\"}]", 26);
        break;
    case SIM_DO_PING:
        ping_flood(s, rule->numbers[0]);
        break;
    case SIM_DO_MASKED:
        raw(s, masked, sizeof(masked) - 1);
        break;
    case SIM_DO_RESERVED:
        raw(s, reserved, sizeof(reserved) - 1);
        break;
    case SIM_DO_BAD_OPCODE:
        raw(s, opcode, sizeof(opcode) - 1);
        break;
    case SIM_DO_LONG_PING:
        raw(s, long_ping, sizeof(long_ping));
        break;
    default:
        raw(s, lone, sizeof(lone) - 1);
    }
}

void sim_trouble_do(struct sim_session *session, const struct sim_rule *rule)
{
    switch (rule->action) {
    case SIM_DO_DROP:
    case SIM_DO_RESET:
        sim_conn_drop(session->conn, rule->action == SIM_DO_RESET);
        break;
    case SIM_DO_SILENCE:
        sim_conn_silence(session->conn);
        break;
    case SIM_DO_CUT:
    case SIM_DO_SPLIT:
    case SIM_DO_SPLIT_RANDOM:
    case SIM_DO_HOLD:
    case SIM_DO_FRAGMENT:
    case SIM_DO_CALM:
        do_shape(session, rule);
        break;
    case SIM_DO_CLOSE:
        close_with(session, rule);
        break;
    case SIM_DO_EVICT:
        sim_session_evict(session);
        break;
    case SIM_DO_SAY:
        say(session, rule->text);
        break;
    case SIM_DO_EMIT:
        frame(session, SIM_TEXT, rule->text, strlen(rule->text));
        break;
    case SIM_DO_REVISE:
        session->revise_due = rule->numbers[0] > 0 ? rule->numbers[0] : 1;
        break;
    default:
        do_frame(session, rule);
    }
}

void sim_trouble_after(struct sim_session *session, enum sim_when when, uint64_t n)
{
    struct sim_scenarios *scenarios = &session->sim->scenarios;
    for (size_t i = 0; i < scenarios->count && !session->conn->dead; i++)
        if (!sim_action_before(scenarios->rules[i].action) && sim_scenarios_applies(scenarios, i, when, 0, n))
            sim_trouble_do(session, &scenarios->rules[i]);
}

void sim_trouble_tick(struct sim_session *session)
{
    if (session->revise_due && session->state == SIM_STREAMING) {
        int64_t ago = session->revise_due;
        session->revise_due = 0;
        sim_trouble_revise(session, ago);
    }
    if (session->state != SIM_STREAMING || session->conn->silent)
        return;
    struct sim_scenarios *scenarios = &session->sim->scenarios;
    uint64_t before = session->streamed_ms;
    session->streamed_ms = (uint64_t)((sim_elapsed(session->sim) - session->streaming_since) * 1000) + 1;
    for (size_t i = 0; i < scenarios->count && !session->conn->dead; i++)
        if (sim_scenarios_applies(scenarios, i, SIM_AFTER_S, before, session->streamed_ms) &&
            !sim_action_before(scenarios->rules[i].action))
            sim_trouble_do(session, &scenarios->rules[i]);
}

void sim_trouble_revise(struct sim_session *session, int64_t minutes_ago)
{
    struct sim *sim = session->sim;
    int64_t now = sim_now(sim), minute = now - now % SIM_MINUTE - minutes_ago * SIM_MINUTE;
    int done = 0;
    for (size_t i = 0; i < sim->universe.count && done < REVISED_MAX && !session->conn->dead; i++) {
        const struct sim_symbol *symbol = &sim->universe.symbols[i];
        if (symbol->asset != session->cluster || !sim_session_wants(session, i, SIM_TOPIC_MINUTE))
            continue;
        struct sim_bar bar = sim_history_minute(sim->history, symbol, minute);
        int64_t size = symbol->asset == SIM_INDICES ? 0 : 137 * SIM_SIZE_UNIT;
        if (bar.count == 0 ||
            sim_market_revise(&sim->market, symbol, minute, bar.high + symbol->tick, size) < 0)
            continue;
        sim_feed_resend(sim->feed, symbol, minute);
        done++;
    }
}

/* ----------------------------------------------------------------------------------- REST, upgrade */

static void status_reply(const struct sim_request *request, const struct sim_rule *rule,
                         struct sim_reply *reply)
{
    char text[sizeof(rule->text)];
    snprintf(text, sizeof(text), "%s", rule->text);
    reply->status = (int)rule->numbers[0];
    char *retry = strstr(text, "retry-after=");
    if (retry) {
        sim_text_printf(&reply->headers, "Retry-After: %ld\r\n", strtol(retry + 12, NULL, 10));
        *retry = '\0';
    }
    char *body = text + strcspn(text, " ");
    body += strspn(body, " ");
    for (size_t size = strlen(body); size > 0 && body[size - 1] == ' ';)
        body[--size] = '\0';
    if (strcmp(body, "html") == 0) {
        reply->type = "text/html";
        sim_text_printf(&reply->body,
                        "<html>\r\n<head><title>%d Bad "
                        "Gateway</title></head>\r\n<body><center><h1>%d</h1></center></body>\r\n</html>\r\n",
                        reply->status, reply->status);
    } else if (strcmp(body, "json") == 0) {
        sim_rest_error_body(
            &reply->body, request, reply->status,
            reply->status == 429
                ? "You've exceeded the maximum requests per minute, please wait or upgrade your "
                  "subscription to continue."
            : reply->status == 401 ? "Unknown API Key"
            : reply->status == 403 ? "You are not entitled to this data. Please upgrade your plan at "
                                     "https://massive.com/pricing"
                                   : "Internal error");
    } else if (strcmp(body, "empty") == 0 || !*body) {
        reply->no_body = true;
    } else {
        sim_text_str(&reply->body, body);
    }
}

static void shape_request(struct sim_conn *conn, const struct sim_rule *rule)
{
    if (rule->action == SIM_DO_CUT) {
        conn->shape.drop_after = rule->numbers[0] > 0 ? rule->numbers[0] : 1;
    } else if (rule->action == SIM_DO_DELAY) {
        conn->shape.hold_ms = (unsigned)rule->numbers[0];
    } else if (rule->action == SIM_DO_SPLIT || rule->action == SIM_DO_SPLIT_RANDOM) {
        conn->shape.split = (size_t)rule->numbers[0];
        conn->shape.delay_ms = (unsigned)rule->numbers[1];
        conn->shape.random = rule->action == SIM_DO_SPLIT_RANDOM;
    }
}

bool sim_trouble_request(struct sim_conn *conn, struct sim_request *request, const struct sim_rule *rule,
                         struct sim_reply *reply)
{
    switch (rule->action) {
    case SIM_DO_DROP:
    case SIM_DO_RESET:
        sim_conn_drop(conn, rule->action == SIM_DO_RESET);
        return true;
    case SIM_DO_HANG:
        sim_conn_silence(conn);
        return true;
    case SIM_DO_STATUS:
        status_reply(request, rule, reply);
        break;
    case SIM_DO_BODY:
        sim_text_str(&reply->body, rule->text);
        break;
    case SIM_DO_NO_RESULTS:
        sim_text_printf(
            &reply->body,
            "{\"queryCount\":0,\"resultsCount\":0,\"adjusted\":true,\"status\":\"OK\",\"request_id\":\"%s\"}",
            request->id);
        break;
    case SIM_DO_REDIRECT:
        reply->status = 302;
        sim_text_printf(&reply->headers, "Location: %s\r\n", rule->text);
        reply->no_body = true;
        break;
    case SIM_DO_FLOOD:
        sim_text_str(&reply->body, "{\"status\":\"OK\",\"results\":[");
        memset(sim_text_space(&reply->body, (size_t)rule->numbers[0]), ' ', (size_t)rule->numbers[0]);
        reply->body.size += (size_t)rule->numbers[0];
        request->gzip = request->gzip && !strstr(rule->text, "identity");
        break;
    case SIM_DO_IDENTITY:
        request->gzip = false;
        return false;
    case SIM_DO_SHRINK:
        request->rows_most = rule->numbers[0] > 0 ? rule->numbers[0] : 1;
        return false;
    case SIM_DO_COUNT:
    case SIM_DO_NEXT:
    case SIM_DO_TWICE:
    case SIM_DO_TURNED:
    case SIM_DO_STALE:
        reply->spoil = rule;
        return false;
    default:
        reply->truncate = rule->action == SIM_DO_TRUNCATE;
        reply->corrupt = rule->action == SIM_DO_CORRUPT;
        reply->bad_chunk = rule->action == SIM_DO_BAD_CHUNK;
        shape_request(conn, rule);
        return false;
    }
    sim_reply_send(conn, request, reply);
    return true;
}
