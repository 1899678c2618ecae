/* The session against python3-websockets: every end it can come to, and what is told about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <uv.h>

#include "integration/peer.h"
#include "log.h"
#include "stream.h"

#define PAIRS_MAX 2048u

struct told {
    char symbol[PGD_SYMBOL_MAX];
    enum pgd_topic topic;
    int how;
    char message[200];
};

struct world {
    uv_loop_t loop;
    uv_timer_t limit;
    struct http *http;
    struct stream *stream;
    struct secret *secret;
    struct config config;
    struct config_cluster cluster;
    struct peer peer;
    struct pgd_conn conn;
    uint32_t states_seen; /* bits */
    struct told told[PAIRS_MAX];
    unsigned told_count;
    unsigned acked;
    unsigned lost;
    unsigned refused;
    unsigned events;
    unsigned faults;
    unsigned status_events;
    uint64_t last_seq;
    uint64_t bytes;
    uint64_t messages;
    unsigned batches;
    unsigned received, frames, marked;
    unsigned bad_messages;
    unsigned protocol_errors;
    unsigned idle_drops;
    enum stream_stop why;
    char stop_text[200];
    unsigned stops;
    unsigned unacked[2]; /* awaited, refused */
    bool closed;
    bool late;
    char url[200];
    char text[8]; /* "" */
};

static struct world *w;

static void on_event(void *user, const struct event *event)
{
    assert_ptr_equal(user, w);
    w->events++;
    if (event->class == EVENT_CLASS_STATUS)
        w->status_events++;
    if (event->class == EVENT_CLASS_TRADE) {
        assert_true(event->trade.seq > w->last_seq);
        w->last_seq = event->trade.seq;
    }
}

static void on_fault(void *user, enum event_fault fault, const char *reason, const struct event *event,
                     struct event_text raw)
{
    (void)user;
    (void)event;
    (void)raw;
    assert_int_not_equal(fault, EVENT_OK);
    assert_true(reason[0]);
    w->faults++;
}

static void on_received(void *user, int64_t real_ns)
{
    (void)user;
    assert_true(real_ns > INT64_C(1600000000000000000));
    w->received++;
}

/* What a journal records: whole messages, after their events, the suspicious ones marked. */
static void on_frame(void *user, uint32_t connection, const uint8_t *data, size_t size, bool status)
{
    (void)user;
    assert_true(w->received > 0 && size > 0);
    assert_true(connection >= 1);
    if (memmem(data, size, "\"status\"", 8))
        assert_true(status);
    w->frames++;
    w->marked += status;
}

static void on_batch(void *user, uint64_t bytes, uint64_t messages)
{
    (void)user;
    assert_true(w->received > 0);
    assert_true(w->frames <= w->messages + messages);
    assert_true(bytes > 0);
    w->bytes += bytes;
    w->messages += messages;
    w->batches++;
}

static void on_conn(void *user, const struct pgd_conn *conn)
{
    (void)user;
    w->conn = *conn;
    w->states_seen |= 1u << conn->state;
    assert_true(conn->since_ns > INT64_C(1600000000000000000));
    assert_null(strstr(conn->url, PEER_KEY));
    assert_null(strstr(conn->reason, PEER_KEY));
}

static void on_pair(void *user, const char *symbol, enum pgd_topic topic, int how, const char *message)
{
    (void)user;
    struct told *told = &w->told[w->told_count++ % PAIRS_MAX];
    (void)snprintf(told->symbol, sizeof(told->symbol), "%s", symbol);
    (void)snprintf(told->message, sizeof(told->message), "%s", message);
    told->topic = topic;
    told->how = how;
    w->acked += how > 0;
    w->lost += how == 0;
    w->refused += how < 0;
}

static void on_stopped(void *user, enum stream_stop why, const char *message)
{
    (void)user;
    w->why = why;
    w->stops++;
    (void)snprintf(w->stop_text, sizeof(w->stop_text), "%s", message);
}

static void on_count(void *user, const char *what, uint64_t add)
{
    (void)user;
    w->bad_messages += strcmp(what, "ws_bad_messages") == 0 ? (unsigned)add : 0;
    w->protocol_errors += strcmp(what, "ws_protocol_errors") == 0 ? (unsigned)add : 0;
    w->idle_drops += strcmp(what, "ws_idle_drops") == 0 ? (unsigned)add : 0;
}

static void on_limit(uv_timer_t *timer)
{
    (void)timer;
    w->late = true;
}

static void open_world(const char *scenario, const char *kind)
{
    char err[200] = "";
    w = calloc(1, sizeof(*w));
    assert_non_null(w);
    assert_true(peer_start(&w->peer, "peer_ws.py", scenario, kind, NULL));
    (void)snprintf(w->url, sizeof(w->url), "%s://127.0.0.1:%d/", strcmp(kind, "plain") ? "wss" : "ws",
                   w->peer.port);
    w->config.stream.url = w->url;
    w->config.stream.enabled = true;
    w->config.stream.ca_file = w->peer.ca;
    w->config.stream.proxy = w->text;
    w->config.stream.connect_timeout_s = 20;
    w->config.stream.auth_timeout_s = 20;
    w->config.stream.ping_interval_s = 30;
    w->config.stream.pong_timeout_s = 30;
    w->config.stream.idle_timeout_s = 60;
    w->config.stream.ack_timeout_s = 20;
    w->config.stream.stable_s = 10;
    w->config.stream.backoff_min_ms = 10;
    w->config.stream.backoff_max_ms = 100;
    w->config.stream.cooldown_s = 1;
    w->config.stream.max_message_bytes = 4 << 20;
    w->cluster.name = PGD_STOCKS;
    w->cluster.url = w->text;
    (void)setenv("POLYGON_API_KEY", PEER_KEY, 1);
    assert_int_equal(secret_load(&w->secret, "", err, sizeof(err)), 0);
    struct http_options options = {w->peer.ca, w->text, 4};
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(http_new(&w->http, &w->loop, &options), 0);
    assert_int_equal(uv_timer_init(&w->loop, &w->limit), 0);
    assert_int_equal(uv_timer_start(&w->limit, on_limit, 90000, 0), 0);
}

static void start(void)
{
    const struct stream_hooks hooks = {{.event = on_event, .fault = on_fault, .user = w},
                                       on_received,
                                       on_frame,
                                       on_batch,
                                       on_conn,
                                       on_pair,
                                       on_stopped,
                                       on_count,
                                       w};
    assert_int_equal(stream_new(&w->stream, &w->loop, w->http, &w->config, &w->cluster, w->secret, &hooks),
                     0);
    stream_start(w->stream);
}

#define run_until(condition)                                                                                 \
    do {                                                                                                     \
        while (!(condition) && !w->late)                                                                     \
            (void)uv_run(&w->loop, UV_RUN_ONCE);                                                             \
        assert_false(w->late);                                                                               \
    } while (0)

static void on_closed(void *user)
{
    assert_ptr_equal(user, w);
    w->closed = true;
}

static void stop(void)
{
    stream_free(w->stream, on_closed, w);
    run_until(w->closed);
}

static void close_world(void)
{
    if (!w->closed)
        stop();
    uv_close((uv_handle_t *)&w->limit, NULL);
    http_free(w->http);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    secret_free(w->secret);
    peer_stop(&w->peer);
    free(w);
}

static bool in_state(enum pgd_conn_state state)
{
    return w->conn.state == (uint32_t)state;
}

static void on_unacked(void *user, const char *symbol, enum pgd_topic topic, int how)
{
    (void)user;
    (void)symbol;
    (void)topic;
    w->unacked[how < 0]++;
}

static void ask_unacked(void)
{
    w->unacked[0] = 0;
    w->unacked[1] = 0;
    stream_unacked(w->stream, on_unacked, NULL);
}

static void subscribe_many(unsigned count, uint32_t topics)
{
    for (unsigned i = 0; i < count; i++) {
        char symbol[PGD_SYMBOL_MAX];
        (void)snprintf(symbol, sizeof(symbol), i == 77 ? "BAD%u" : "S%u", i);
        assert_int_equal(stream_subscribe(w->stream, symbol, topics), 0);
    }
}

/* ------------------------------------------------------------------------------------------------ the
 * sessions
 */

static void check_normal(const char *kind)
{
    open_world("normal", kind);
    start();
    assert_int_equal(stream_subscribe(w->stream, "AAPL", PGD_TRADES | PGD_BARS_1M), 0);
    assert_int_equal(stream_subscribe(w->stream, "AAPL", PGD_TRADES), 0); /* idempotent */
    run_until(w->last_seq == 9000);
    assert_int_equal(w->events, 4116 + 1); /* 5 is malformed */
    assert_int_equal(w->faults, 1);
    assert_int_equal(w->status_events, 0);
    assert_int_equal(w->bad_messages, 2);
    assert_true(w->frames > 10 && w->frames <= w->messages);
    assert_true(w->marked > 0 && w->marked < w->frames);
    assert_int_equal(w->acked, 4);
    assert_int_equal(w->lost, 2);
    assert_int_equal(w->refused, 0);
    assert_int_equal(w->conn.connects, 2);
    assert_int_equal(w->conn.drops, 1);
    assert_int_equal(w->conn.unacked, 0);
    assert_int_equal(w->conn.cluster, PGD_STOCKS);
    assert_true(in_state(PGD_CONN_LIVE));
    assert_string_equal(w->conn.reason, "closed by the server: 1001 restarting");
    char url[300];
    (void)snprintf(url, sizeof(url), "%sstocks", w->url);
    assert_string_equal(w->conn.url, url);
    uint32_t all = 1u << PGD_CONN_CONNECTING | 1u << PGD_CONN_CONNECTED | 1u << PGD_CONN_AUTH |
                   1u << PGD_CONN_SUBSCRIBING | 1u << PGD_CONN_LIVE | 1u << PGD_CONN_BACKOFF;
    assert_int_equal(w->states_seen & all, all);
    assert_true(w->conn.last_frame_ns > 0);
    assert_int_equal(peer_said(&w->peer, "ponged"), 1);
    assert_int_equal(peer_said(&w->peer, "closed 1001"), 1);
    assert_int_equal(peer_said(&w->peer, "path /stocks host 127.0.0.1:"), 2);
    assert_int_equal(peer_said(&w->peer, " nokey"), 2);
    assert_int_equal(peer_said(&w->peer, "sub 1 T.AAPL"), 2);
    stop();
    while (!peer_said(&w->peer, "closed 1000"))
        assert_true(peer_read(&w->peer, 20000));
    close_world();
}

static void test_normal(void **state)
{
    (void)state;
    check_normal("plain");
    check_normal("good");
}

static void test_unsubscribe(void **state)
{
    (void)state;
    open_world("client", "plain");
    start();
    assert_int_equal(stream_subscribe(w->stream, "*", PGD_TRADES), 0);
    assert_int_equal(stream_subscribe(w->stream, "BRK.A", PGD_BARS_1S), 0);
    assert_int_equal(stream_subscribe(w->stream, "no symbol", PGD_TRADES), -EINVAL);
    assert_int_equal(stream_subscribe(w->stream, "I:SPX", PGD_VALUES), 0); /* no such topic there */
    run_until(w->acked == 2 && in_state(PGD_CONN_LIVE));
    stream_unsubscribe(w->stream, "BRK.A", PGD_BARS_1S);
    stream_unsubscribe(w->stream, "NONE", PGD_BARS_1S);
    run_until(w->lost == 1);
    assert_string_equal(w->told[2].symbol, "BRK.A");
    stream_unsubscribe(w->stream, "*", PGD_TRADES);
    assert_int_equal(stream_subscribe(w->stream, "*", PGD_TRADES), 0); /* told again, nothing sent */
    assert_int_equal(stream_subscribe(w->stream, "BRK.A", PGD_BARS_1S), 0);
    run_until(w->acked == 4);
    assert_int_equal(peer_said(&w->peer, "unsub 1"), 1);
    assert_int_equal(peer_said(&w->peer, "sub 1 A.BRK.A"), 3);
    assert_int_equal(peer_said(&w->peer, "T.*"), 1);
    close_world();
}

static void test_drop(void **state)
{
    (void)state;
    open_world("drop1", "good");
    start();
    assert_int_equal(stream_subscribe(w->stream, "AAPL", PGD_TRADES), 0);
    run_until(in_state(PGD_CONN_LIVE));
    assert_int_equal(w->conn.drops, 1);
    assert_int_equal(w->conn.attempts, 2); /* authenticated is not yet stable */
    assert_non_null(strstr(w->conn.reason, "connection "));
    close_world();
}

static void test_silence(void **state)
{
    (void)state;
    open_world("silence", "plain");
    w->config.stream.ping_interval_s = 1;
    w->config.stream.pong_timeout_s = 1;
    start();
    assert_int_equal(stream_subscribe(w->stream, "AAPL", PGD_TRADES), 0);
    run_until(w->conn.drops == 1);
    assert_string_equal(w->conn.reason, "half-open: no pong within 1 s");
    assert_int_equal(w->idle_drops, 1);
    run_until(in_state(PGD_CONN_LIVE));
    close_world();

    open_world("silence", "plain");
    w->config.stream.idle_timeout_s = 1;
    start();
    assert_int_equal(stream_subscribe(w->stream, "AAPL", PGD_TRADES), 0);
    run_until(w->conn.drops == 1);
    assert_string_equal(w->conn.reason, "idle: nothing received within 1 s");
    close_world();
}

static void test_stable(void **state)
{
    (void)state;
    open_world("pings", "plain");
    w->config.stream.ping_interval_s = 1;
    w->config.stream.pong_timeout_s = 2;
    w->config.stream.idle_timeout_s = 3;
    w->config.stream.stable_s = 5;
    start();
    assert_int_equal(stream_subscribe(w->stream, "AAPL", PGD_TRADES), 0);
    run_until(in_state(PGD_CONN_LIVE));
    assert_int_equal(w->conn.attempts, 1);
    run_until(w->conn.attempts == 0);
    assert_int_equal(w->conn.drops, 0);
    close_world();
}

static void check_stopped(const char *scenario, enum stream_stop why, const char *text)
{
    open_world(scenario, "plain");
    start();
    run_until(w->stops == 1);
    assert_int_equal(w->why, why);
    assert_string_equal(w->stop_text, text);
    assert_true(in_state(PGD_CONN_STOPPED));
    assert_int_equal(w->conn.next_try_ns, 0);
    for (int i = 0; i < 20; i++) {
        (void)uv_run(&w->loop, UV_RUN_NOWAIT);
        (void)usleep(10000);
    }
    assert_int_equal(peer_said(&w->peer, "path "), 1);
    close_world();
}

static void test_stopped(void **state)
{
    (void)state;
    check_stopped("auth_failed", STREAM_STOP_KEY,
                  "auth_failed: authentication failed for ************************");
    check_stopped("plan", STREAM_STOP_PLAN, "auth_failed: Your plan doesn't include websocket access.");
    check_stopped("http401", STREAM_STOP_KEY, "HTTP 401 at the upgrade: the key was refused");
    check_stopped("http403plan", STREAM_STOP_PLAN,
                  "HTTP 403 at the upgrade: the plan has no WebSocket access");
}

static void check_retried(const char *scenario, const char *reason)
{
    open_world(scenario, "plain");
    w->config.stream.auth_timeout_s = 1;
    start();
    assert_int_equal(stream_subscribe(w->stream, "AAPL", PGD_TRADES), 0);
    run_until(in_state(PGD_CONN_LIVE));
    assert_string_equal(w->conn.reason, reason);
    assert_int_equal(w->conn.attempts, 2);
    assert_int_equal(w->stops, 0);
    close_world();
}

static void test_retried(void **state)
{
    (void)state;
    check_retried("auth_timeout", "auth_timeout: No authentication request received.");
    check_retried("mute", "no greeting within 1 s");
    check_retried("http403", "HTTP 403 at the upgrade");
    check_retried("http429", "HTTP 429 at the upgrade");
    check_retried("http503", "HTTP 503 at the upgrade");
    check_retried("http302", "HTTP 302 at the upgrade");
}

static void test_evicted(void **state)
{
    (void)state;
    open_world("evicted", "plain");
    w->config.stream.backoff_min_ms = 600000; /* only the cool-down may bring it back */
    w->config.stream.backoff_max_ms = 600000;
    start();
    assert_int_equal(stream_subscribe(w->stream, "AAPL", PGD_TRADES), 0);
    run_until(in_state(PGD_CONN_COOLDOWN));
    assert_non_null(strstr(w->conn.reason, "somebody else holds this key"));
    assert_true(w->conn.next_try_ns >= w->conn.since_ns + 900000000);
    assert_int_equal(w->events, 1);
    run_until(in_state(PGD_CONN_LIVE));
    close_world();
}

static void test_broken(void **state)
{
    (void)state;
    open_world("broken", "plain");
    start();
    assert_int_equal(stream_subscribe(w->stream, "AAPL", PGD_TRADES), 0);
    run_until(w->conn.connects == 2 && in_state(PGD_CONN_LIVE));
    assert_int_equal(w->protocol_errors, 1);
    assert_int_equal(strncmp(w->conn.reason, "protocol error: ", 16), 0);
    while (!peer_said(&w->peer, "gone 1002"))
        assert_true(peer_read(&w->peer, 20000));
    close_world();
}

static void test_flood(void **state)
{
    (void)state;
    open_world("flood", "good");
    start();
    assert_int_equal(stream_subscribe(w->stream, "AAPL", PGD_QUOTES), 0);
    run_until(w->last_seq == 200000);
    assert_int_equal(w->events, 200000);
    close_world();
}

/* ------------------------------------------------------------------------------------------------ refused
 * pairs
 */

static void test_one_bad(void **state)
{
    (void)state;
    open_world("one_bad", "plain");
    start();
    subscribe_many(1000, PGD_TRADES);
    run_until(in_state(PGD_CONN_LIVE));
    assert_int_equal(w->acked, 999);
    assert_int_equal(w->refused, 1);
    for (unsigned i = 0; i < w->told_count; i++)
        assert_int_equal(w->told[i].how, strcmp(w->told[i].symbol, "BAD77") ? 1 : -1);
    ask_unacked();
    assert_int_equal(w->unacked[0], 0);
    assert_int_equal(w->unacked[1], 1);
    assert_int_equal(w->conn.unacked, 0);
    close_world();
}

static void test_topic_bad(void **state)
{
    (void)state;
    open_world("topic_bad", "plain");
    start();
    subscribe_many(900, PGD_TRADES | PGD_QUOTES);
    run_until(in_state(PGD_CONN_LIVE));
    assert_int_equal(w->acked, 900);
    assert_int_equal(w->refused, 900);
    assert_true(peer_said(&w->peer, "sub ") < 60); /* not one by one */
    for (unsigned i = 0; i < w->told_count; i++)
        if (w->told[i].how < 0)
            assert_string_equal(w->told[i].message, "not authorized");
    close_world();
}

static void test_limit(void **state)
{
    (void)state;
    open_world("limit", "plain");
    start();
    subscribe_many(150, PGD_TRADES);
    run_until(in_state(PGD_CONN_LIVE));
    assert_int_equal(w->acked, 100);
    assert_int_equal(w->refused, 50);
    assert_int_equal(peer_said(&w->peer, "sub "), 1);
    stream_unsubscribe(w->stream, "S0", PGD_TRADES);
    assert_int_equal(stream_subscribe(w->stream, "S149", PGD_TRADES), 0); /* asks again */
    run_until(w->acked == 101);
    close_world();
}

static void test_unknown(void **state)
{
    (void)state;
    open_world("unknown", "plain");
    w->config.stream.ack_timeout_s = 1;
    start();
    subscribe_many(3, PGD_TRADES | PGD_QUOTES);
    ask_unacked();
    assert_int_equal(w->unacked[0], 6);
    run_until(w->acked == 3);
    ask_unacked();
    assert_int_equal(w->unacked[0], 3);
    run_until(w->refused == 3);
    assert_int_equal(peer_said(&w->peer, "sub 3 Q.S0"), 2);
    assert_string_equal(w->told[3].message, "not acknowledged");
    run_until(in_state(PGD_CONN_LIVE));
    ask_unacked();
    assert_int_equal(w->unacked[1], 3);
    close_world();
}

/* --------------------------------------------------------------------------------------------------- the
 * rest
 */

static void test_certificates(void **state)
{
    (void)state;
    const char *kinds[] = {"host", "expired", "self"};
    for (unsigned i = 0; i < 3; i++) {
        open_world("client", kinds[i]);
        start();
        run_until(w->conn.attempts >= 2);
        assert_int_equal(w->conn.connects, 0);
        assert_int_equal(w->conn.drops, 0);
        assert_int_equal(strncmp(w->conn.reason, "cannot connect: ", 16), 0);
        assert_non_null(strstr(w->conn.reason, "SSL"));
        close_world();
    }
}

static unsigned count_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n;
}

static void test_reconnects(void **state)
{
    (void)state;
    open_world("drop50", "good");
    start();
    assert_int_equal(stream_subscribe(w->stream, "AAPL", PGD_TRADES), 0);
    run_until(w->conn.drops == 2 && in_state(PGD_CONN_BACKOFF));
    unsigned before = count_fds();
    run_until(w->conn.drops == 50 && in_state(PGD_CONN_BACKOFF));
    assert_true(count_fds() <= before);
    run_until(in_state(PGD_CONN_LIVE));
    assert_int_equal(w->acked, 1);
    close_world();
}

/* stream_free in every state: no event after it, nothing left. */
static void test_free_anywhere(void **state)
{
    (void)state;
    for (int turns = 0; turns < 24; turns++) {
        open_world(turns % 3 ? "client" : "drop9", turns % 2 ? "plain" : "good");
        start();
        assert_int_equal(stream_subscribe(w->stream, "AAPL", PGD_TRADES), 0);
        for (int i = 0; i < turns; i++) {
            (void)uv_run(&w->loop, UV_RUN_NOWAIT);
            (void)usleep(1000);
        }
        close_world();
    }
}

static void test_names(void **state)
{
    (void)state;
    char wire[PGD_SYMBOL_MAX];
    assert_string_equal(stream_topic(PGD_STOCKS, PGD_TRADES), "T");
    assert_string_equal(stream_topic(PGD_CRYPTO, PGD_BARS_1S), "XAS");
    assert_string_equal(stream_topic(PGD_FOREX, PGD_QUOTES), "C");
    assert_string_equal(stream_topic(PGD_INDICES, PGD_VALUES), "V");
    assert_null(stream_topic(PGD_FOREX, PGD_TRADES));
    assert_null(stream_topic(PGD_STOCKS, PGD_VALUES));
    assert_null(stream_topic((enum pgd_cluster)99, PGD_TRADES));
    assert_int_equal(stream_wire_symbol(wire, PGD_CRYPTO, "X:BTC-USD"), 0);
    assert_string_equal(wire, "BTC-USD");
    assert_int_equal(stream_wire_symbol(wire, PGD_FOREX, "C:EUR-USD"), 0);
    assert_string_equal(wire, "EUR/USD");
    assert_int_equal(stream_wire_symbol(wire, PGD_INDICES, "I:SPX"), 0);
    assert_string_equal(wire, "I:SPX");
    assert_int_equal(stream_wire_symbol(wire, PGD_STOCKS, "KIMpL"), 0);
    assert_string_equal(wire, "KIMpL");
    assert_int_equal(stream_wire_symbol(wire, PGD_STOCKS, "A\"B"), -EINVAL);
    assert_int_equal(stream_wire_symbol(wire, PGD_STOCKS, "A,B"), -EINVAL);
    assert_int_equal(stream_wire_symbol(wire, PGD_STOCKS, ""), -EINVAL);
}

int main(void)
{
    (void)unsetenv("http_proxy");
    (void)unsetenv("https_proxy");
    (void)unsetenv("HTTPS_PROXY");
    (void)unsetenv("all_proxy");
    (void)unsetenv("ALL_PROXY");
    (void)log_level_set("error");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),       cmocka_unit_test(test_normal),
        cmocka_unit_test(test_unsubscribe), cmocka_unit_test(test_drop),
        cmocka_unit_test(test_silence),     cmocka_unit_test(test_stable),
        cmocka_unit_test(test_stopped),     cmocka_unit_test(test_retried),
        cmocka_unit_test(test_evicted),     cmocka_unit_test(test_broken),
        cmocka_unit_test(test_flood),       cmocka_unit_test(test_one_bad),
        cmocka_unit_test(test_topic_bad),   cmocka_unit_test(test_limit),
        cmocka_unit_test(test_unknown),     cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_reconnects),  cmocka_unit_test(test_free_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
