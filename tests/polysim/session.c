#include "session.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "burst.h"
#include "feed.h"
#include "garble.h"
#include "trouble.h"

#define PING_EVERY 30.0

static const char max_connections[] =
    "Maximum number of websocket connections exceeded. You have reached the connection limit for your "
    "account. "
    "Please contact support at https://polygon.io/contact to increase your limit.";

/* ----------------------------------------------------------------------------------------- sending */

/* The message, in fragments with pings between them where a rule wants that. */
static void add_frames(const struct sim_session *s, struct sim_text *out, const char *text, size_t size)
{
    if (s->fragment == 0 || size <= s->fragment) {
        sim_frame_write(out, true, SIM_TEXT, text, size);
        return;
    }
    for (size_t at = 0; at < size; at += s->fragment) {
        size_t piece = size - at < s->fragment ? size - at : s->fragment;
        sim_frame_write(out, at + piece == size, at ? SIM_CONT : SIM_TEXT, text + at, piece);
        if (at == 0)
            sim_frame_write(out, true, SIM_PING, "between", 7);
    }
}

void sim_session_text(struct sim_session *session, const char *text, size_t size)
{
    struct sim_text frames = {0};
    add_frames(session, &frames, text, size);
    sim_conn_write(session->conn, frames.data, frames.size);
    sim_text_fini(&frames);
    session->sim->stats.messages_out++;
}

void sim_session_status(struct sim_session *session, const char *status, const char *message)
{
    struct sim_text text = {0};
    sim_text_char(&text, '[');
    sim_event_status(&text, status, message);
    sim_text_char(&text, ']');
    sim_session_text(session, text.data, text.size);
    sim_text_fini(&text);
    sim_conn_flush(session->conn);
}

/* A late message goes out behind the next one. */
static void send_in_turn(struct sim_session *s, const struct sim_text *text)
{
    if (s->late && s->held.size == 0) {
        add_frames(s, &s->held, text->data, text->size);
    } else {
        sim_session_text(s, text->data, text->size);
        sim_conn_write(s->conn, s->held.data, s->held.size);
        s->held.size = 0;
    }
    s->late = false;
}

static void send_events(struct sim_session *s)
{
    if (s->event_count == 0)
        return;
    s->messages++;
    sim_trouble_before(s, SIM_MESSAGE, s->messages);
    struct sim_text text = {0}, spaced = {0};
    sim_text_char(&text, '[');
    sim_text_add(&text, s->events.data, s->events.size);
    sim_text_char(&text, ']');
    if (s->spaces)
        sim_garble_spaces(&spaced, text.data, text.size);
    if (!s->lose)
        send_in_turn(s, s->spaces ? &spaced : &text);
    s->spaces = s->lose = false;
    sim_text_fini(&spaced);
    sim_text_fini(&text);
    s->sim->stats.events_out += s->event_count;
    s->events.size = 0;
    s->event_count = 0;
    sim_trouble_after(s, SIM_MESSAGE, s->messages);
}

void sim_session_event(struct sim_session *session, const char *event, size_t size)
{
    if (session->event_count)
        sim_text_char(&session->events, ',');
    session->starts[session->event_count++] = session->events.size;
    sim_text_add(&session->events, event, size);
    if (session->event_count == SIM_EVENTS_PER_MESSAGE)
        send_events(session);
}

void sim_session_flush(struct sim_session *session)
{
    send_events(session);
    struct sim_conn *conn = session->conn;
    sim_conn_flush(conn);
    if (!conn->dead && sim_conn_pending(conn) > session->sim->options.send_buffer) {
        session->sim->stats.slow_drops++;
        sim_say(session->sim, "client too slow: %zu bytes behind, dropped", sim_conn_pending(conn));
        sim_conn_drop(conn, false);
    }
}

void sim_session_close(struct sim_session *session, int code, const char *reason)
{
    if (session->state == SIM_ENDING)
        return;
    struct sim_text frame = {0};
    sim_frame_close(&frame, code, reason);
    sim_conn_write(session->conn, frame.data, frame.size);
    sim_text_fini(&frame);
    session->state = SIM_ENDING;
    session->since = sim_elapsed(session->sim);
    sim_conn_flush(session->conn);
}

void sim_session_evict(struct sim_session *session)
{
    session->sim->stats.evictions++;
    sim_session_status(session, "max_connections", max_connections);
    if (!session->conn->dead)
        sim_session_close(session, 1008, "");
}

/* ----------------------------------------------------------------------------------- subscriptions */

static bool topic_allowed(const struct sim_session *s, enum sim_topic topic)
{
    if (topic == SIM_TOPIC_NOI)
        return false;
    bool aggregates = topic == SIM_TOPIC_SECOND || topic == SIM_TOPIC_MINUTE;
    return s->sim->options.plan == SIM_PLAN_ADVANCED || aggregates || s->cluster == SIM_INDICES;
}

static size_t find_unknown(const struct sim_session *s, const char *pair)
{
    size_t i = 0;
    while (i < s->unknown_count && strcmp(s->unknown[i], pair) != 0)
        i++;
    return i;
}

/* True when that changed something. */
static bool set_unknown(struct sim_session *s, const char *pair, bool on)
{
    size_t i = find_unknown(s, pair);
    if ((i < s->unknown_count) == on)
        return false;
    if (!on) {
        free(s->unknown[i]);
        s->unknown[i] = s->unknown[--s->unknown_count];
        return true;
    }
    char **more = realloc(s->unknown, (s->unknown_count + 1) * sizeof(*more));
    if (!more)
        return false;
    s->unknown = more;
    s->unknown[s->unknown_count] = strdup(pair);
    s->unknown_count += s->unknown[s->unknown_count] != NULL;
    return true;
}

static bool set_known(struct sim_session *s, enum sim_topic topic, const char *name, bool on)
{
    unsigned all = s->every;
    if (strcmp(name, "*") == 0) {
        s->every = on ? all | (unsigned)topic : all & ~(unsigned)topic;
        return s->every != all;
    }
    struct sim_symbol *symbol = sim_universe_stream(&s->sim->universe, s->cluster, name);
    uint8_t *bits = &s->topics[symbol - s->sim->universe.symbols];
    uint8_t before = *bits;
    *bits = (uint8_t)(on ? before | topic : before & ~(unsigned)topic);
    return *bits != before;
}

/* One "T.AAPL": appends its acknowledgement, if it gets one. */
static void change_pair(struct sim_session *s, const char *pair, bool on, struct sim_text *acks)
{
    char topic_name[16] = "";
    size_t dot = strcspn(pair, ".");
    if (pair[dot] != '.' || dot >= sizeof(topic_name))
        return;
    memcpy(topic_name, pair, dot);
    enum sim_topic topic = sim_topic_parse(s->cluster, topic_name);
    const char *name = pair + dot + 1;
    if (!topic || !*name)
        return;
    bool known = strcmp(name, "*") == 0 || sim_universe_stream(&s->sim->universe, s->cluster, name);
    bool changed = known ? set_known(s, topic, name, on) : set_unknown(s, pair, on);
    if (!changed)
        return;
    s->pairs += on ? 1 : (size_t)-1;
    char message[512];
    snprintf(message, sizeof(message), "%ssubscribed to: %s", on ? "" : "un", pair);
    if (acks->size)
        sim_text_char(acks, ',');
    sim_event_status(acks, "success", message);
}

/* Calls for each comma-separated word, without the blanks around it. */
static void each_pair(char *params, void (*call)(void *user, const char *pair), void *user)
{
    char *save = NULL;
    for (char *word = strtok_r(params, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        word += strspn(word, " \t");
        word[strcspn(word, " \t")] = '\0';
        if (*word)
            call(user, word);
    }
}

struct change {
    struct sim_session *session;
    bool on;
    bool refused;
    struct sim_text acks;
};

static void check_pair(void *user, const char *pair)
{
    struct change *change = user;
    char name[16] = "";
    size_t dot = strcspn(pair, ".");
    if (dot >= sizeof(name))
        return;
    memcpy(name, pair, dot);
    enum sim_topic topic = sim_topic_parse(change->session->cluster, name);
    if (topic && !topic_allowed(change->session, topic))
        change->refused = true;
}

static void apply_pair(void *user, const char *pair)
{
    struct change *change = user;
    change_pair(change->session, pair, change->on, &change->acks);
}

static void send_acks(struct sim_session *s, const struct sim_text *acks)
{
    struct sim_text text = {0};
    sim_text_char(&text, '[');
    for (size_t i = 0; i < acks->size; i++) {
        /* Statuses are flat objects: one ends wherever a brace closes. */
        bool ends = s->spread && acks->data[i] == '}' && i + 1 < acks->size;
        sim_text_char(&text, acks->data[i]);
        if (!ends)
            continue;
        sim_text_char(&text, ']');
        sim_session_text(s, text.data, text.size);
        text.size = 1;
        i++;
    }
    sim_text_char(&text, ']');
    if (acks->size)
        sim_session_text(s, text.data, text.size);
    sim_text_fini(&text);
}

static void change_subscriptions(struct sim_session *s, const char *params, bool on)
{
    if (on && sim_trouble_before(s, SIM_SUBSCRIBE, ++s->subscribes))
        return;
    char *copy = strdup(params), *again = strdup(params);
    struct change change = {.session = s, .on = on};
    if (copy && again && on)
        each_pair(copy, check_pair, &change);
    if (change.refused) {
        sim_session_status(s, "error", "not authorized");
    } else if (again) {
        each_pair(again, apply_pair, &change);
        sim_feed_subscriptions_changed(s->sim->feed);
        send_acks(s, &change.acks);
    }
    sim_text_fini(&change.acks);
    free(copy);
    free(again);
    sim_conn_flush(s->conn);
    if (on && !s->conn->dead)
        sim_trouble_after(s, SIM_SUBSCRIBE, s->subscribes);
}

/* ---------------------------------------------------------------------------------- authentication */

static void refuse(struct sim_session *s, const char *message)
{
    s->sim->stats.auth_failures++;
    sim_session_status(s, "auth_failed", message);
    if (!s->conn->dead)
        sim_conn_drop(s->conn, false);
}

static void evict_older(struct sim_session *s)
{
    for (struct sim_session *other = s->sim->sessions, *next; other; other = next) {
        next = other->next;
        if (other != s && other->cluster == s->cluster && other->state == SIM_STREAMING &&
            strcmp(other->key, s->key) == 0)
            sim_session_evict(other);
    }
}

static void authenticate(struct sim_session *s, const char *key)
{
    if (s->state != SIM_WAITS_FOR_AUTH || sim_trouble_before(s, SIM_AUTH, ++s->auths))
        return;
    if (strcmp(key, s->sim->options.key) != 0) {
        refuse(s, "authentication failed");
        return;
    }
    if (s->sim->options.plan == SIM_PLAN_FREE) {
        refuse(s, "Your plan doesn't include websocket access.");
        return;
    }
    snprintf(s->key, sizeof(s->key), "%s", key);
    sim_session_status(s, "auth_success", "authenticated");
    if (s->conn->dead)
        return;
    s->state = SIM_STREAMING;
    s->streaming_since = sim_elapsed(s->sim);
    evict_older(s);
    sim_trouble_after(s, SIM_AUTH, s->auths);
}

/* --------------------------------------------------------------------------------------- receiving */

static void on_message(void *user, enum sim_opcode opcode, const char *data, size_t size)
{
    struct sim_session *s = user;
    json_t *root = opcode == SIM_TEXT ? json_loadb(data, size, 0, NULL) : NULL;
    const char *action = json_string_value(json_object_get(root, "action"));
    const char *params = json_string_value(json_object_get(root, "params"));
    if (action && params && strcmp(action, "auth") == 0)
        authenticate(s, params);
    else if (s->state == SIM_WAITS_FOR_AUTH)
        refuse(s, "authentication failed");
    else if (action && params && strcmp(action, "subscribe") == 0)
        change_subscriptions(s, params, true);
    else if (action && params && strcmp(action, "unsubscribe") == 0)
        change_subscriptions(s, params, false);
    else
        sim_session_status(s, "error", "unknown action");
    json_decref(root);
}

static void on_control(void *user, enum sim_opcode opcode, const char *data, size_t size)
{
    struct sim_session *s = user;
    if (opcode == SIM_PONG) {
        s->sim->stats.pongs_in++;
        return;
    }
    struct sim_text frame = {0};
    if (opcode == SIM_PING) {
        s->sim->stats.pings_in++;
        sim_frame_write(&frame, true, SIM_PONG, data, size);
    } else if (s->state != SIM_ENDING) {
        sim_frame_write(&frame, true, SIM_CLOSE, data, size >= 2 ? 2 : 0);
    }
    sim_conn_write(s->conn, frame.data, frame.size);
    sim_text_fini(&frame);
    if (opcode == SIM_CLOSE) {
        s->state = SIM_ENDING;
        sim_conn_finish(s->conn);
    } else {
        sim_conn_flush(s->conn);
    }
}

static bool on_stopped(void *user)
{
    const struct sim_session *s = user;
    return s->conn->dead || s->conn->silent;
}

static size_t on_input(struct sim_conn *conn, char *data, size_t size)
{
    struct sim_session *s = conn->user;
    struct sim_frame_sink sink = {on_message, on_control, on_stopped, s};
    size_t used;
    int code = sim_frame_read(&s->reader, data, size, &used, &sink);
    if (code == 0 || conn->dead)
        return used;
    sim_session_close(s, code, "");
    if (!conn->dead)
        sim_conn_finish(conn);
    return size;
}

static void on_drained(struct sim_conn *conn)
{
    struct sim_session *s = conn->user;
    if (s->burst)
        sim_burst_continue(s);
}

static void on_closed(struct sim_conn *conn)
{
    struct sim_session *s = conn->user;
    s->state = SIM_ENDING;
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    sim_feed_subscriptions_changed(s->sim->feed);
}

static void on_freed(struct sim_conn *conn)
{
    struct sim_session *s = conn->user;
    sim_frame_reader_fini(&s->reader);
    sim_text_fini(&s->events);
    sim_text_fini(&s->held);
    sim_burst_free(s->burst);
    for (size_t i = 0; i < s->unknown_count; i++)
        free(s->unknown[i]);
    free(s->unknown);
    free(s->topics);
    free(s);
}

static const struct sim_conn_handler session_handler = {
    .input = on_input, .drained = on_drained, .closed = on_closed, .freed = on_freed};

void sim_session_tick(struct sim_session *session)
{
    double now = sim_elapsed(session->sim);
    sim_trouble_tick(session);
    if (session->conn->dead)
        return;
    if (session->state == SIM_ENDING) {
        if (now - session->since > 2)
            sim_conn_finish(session->conn);
        return;
    }
    if (session->state == SIM_WAITS_FOR_AUTH && now - session->since > session->sim->options.auth_timeout) {
        sim_session_status(session, "auth_timeout", "No authentication request received.");
        sim_session_close(session, 1008, "");
        return;
    }
    if (now < session->ping_due)
        return;
    session->ping_due = now + PING_EVERY;
    struct sim_text frame = {0};
    sim_frame_write(&frame, true, SIM_PING, "polysim", 7);
    sim_conn_write(session->conn, frame.data, frame.size);
    sim_text_fini(&frame);
    sim_conn_flush(session->conn);
}

/* --------------------------------------------------------------------------------------- handshake */

static bool cluster_of(const struct sim_request *request, enum sim_asset *ret)
{
    for (int i = 0; i < SIM_ASSETS; i++) {
        if (strcmp(request->segments[0], sim_asset_name((enum sim_asset)i)) == 0) {
            *ret = (enum sim_asset)i;
            return request->segment_count == 1 || (request->segment_count == 2 && i == SIM_FUTURES);
        }
    }
    return false;
}

static void refuse_upgrade(struct sim_conn *conn, const struct sim_request *request, int status,
                           const char *why)
{
    struct sim_reply reply = {.status = status, .type = "text/plain"};
    if (status == 426)
        sim_text_str(&reply.headers, "Sec-WebSocket-Version: 13\r\n");
    sim_text_str(&reply.body, why);
    sim_reply_send(conn, request, &reply);
    sim_reply_fini(&reply);
}

static struct sim_session *new_session(struct sim_conn *conn, enum sim_asset cluster)
{
    struct sim *sim = conn->sim;
    struct sim_session *s = calloc(1, sizeof(*s));
    uint8_t *bits = calloc(sim->universe.count, 1);
    if (!s || !bits) {
        free(s);
        free(bits);
        return NULL;
    }
    s->sim = sim;
    s->conn = conn;
    s->cluster = cluster;
    s->topics = bits;
    s->since = sim_elapsed(sim);
    s->ping_due = s->since + PING_EVERY;
    s->next = sim->sessions;
    s->link = &sim->sessions;
    if (s->next)
        s->next->link = &s->next;
    sim->sessions = s;
    sim->stats.sessions++;
    return s;
}

static bool key_valid(const char *key)
{
    return strlen(key) == 24 && strcmp(key + 22, "==") == 0 &&
           strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") == 22;
}

static void answer_upgrade(struct sim_conn *conn, const struct sim_request *request,
                           const struct sim_rule *rule)
{
    bool wrong = rule && rule->action == SIM_DO_BAD_ACCEPT, none = rule && rule->action == SIM_DO_NO_ACCEPT;
    char accept[29];
    sim_frame_accept(wrong ? "AAAAAAAAAAAAAAAAAAAAAA==" : request->ws_key, accept);
    struct sim_text head = {0};
    sim_text_str(&head, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    if (!none)
        sim_text_printf(&head, "Sec-WebSocket-Accept: %s\r\n", accept);
    sim_text_str(&head, "\r\n");
    sim_conn_write(conn, head.data, head.size);
    sim_text_fini(&head);
}

void sim_session_upgrade(struct sim_conn *conn, const struct sim_request *request,
                         const struct sim_rule *rule)
{
    enum sim_asset cluster;
    if (!cluster_of(request, &cluster)) {
        refuse_upgrade(conn, request, 404, "404 page not found\n");
        return;
    }
    if (strcmp(request->ws_version, "13") != 0) {
        refuse_upgrade(conn, request, 426, "unsupported websocket version\n");
        return;
    }
    if (strcmp(request->method, "GET") != 0 || !strcasestr(request->connection, "upgrade") ||
        !key_valid(request->ws_key)) {
        refuse_upgrade(conn, request, 400, "bad websocket handshake\n");
        return;
    }
    struct sim_session *s = new_session(conn, cluster);
    if (!s) {
        refuse_upgrade(conn, request, 503, "out of memory\n");
        return;
    }
    conn->handler = &session_handler;
    conn->user = s;
    answer_upgrade(conn, request, rule);
    sim_session_status(s, "connected", "Connected Successfully");
    sim_trouble_after(s, SIM_CONNECTED, 1);
}
