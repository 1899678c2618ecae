/* rest against a Python server with every bad habit, and its addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <uv.h>

#include "integration/peer.h"
#include "log.h"
#include "rest.h"
#include "rest_url.h"

struct ask {
    struct rest_done done;
    char message[200];
    unsigned calls;
    unsigned rows;
    unsigned batches;
    unsigned faults;
    unsigned order; /* in which it ended, from 1 */
};

static struct {
    uv_loop_t loop;
    uv_timer_t tick; /* or a turn in which a timer ended the last request would wait for the next event */
    struct http *http;
    struct rest *rest;
    struct secret *secret;
    struct config config;
    struct peer peer;
    char url[200];
    char host[100];
    char *hosts[1];
    unsigned requests;
    unsigned errors;
    unsigned denied;
    unsigned throttled;
    unsigned workers_failed;
    unsigned refused;
    long refused_status;
    unsigned ended;
    bool closed;
} w;

static void on_count(void *user, const char *what, uint64_t add)
{
    (void)user;
    w.requests += strcmp(what, "rest_requests") == 0 ? (unsigned)add : 0;
    w.errors += strcmp(what, "rest_errors") == 0 ? (unsigned)add : 0;
    w.denied += strcmp(what, "rest_denied") == 0 ? (unsigned)add : 0;
    w.throttled += strcmp(what, "rest_throttled") == 0 ? (unsigned)add : 0;
    w.workers_failed += strcmp(what, "rest_workers_failed") == 0 ? (unsigned)add : 0;
}

static void on_refused(void *user, long status, const char *message)
{
    (void)user;
    assert_null(strstr(message, PEER_KEY));
    w.refused++;
    w.refused_status = status;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void open_world(const char *kind)
{
    char err[200];
    memset(&w, 0, sizeof(w));
    assert_true(peer_start(&w.peer, "peer_http.py", kind, NULL, NULL));
    (void)snprintf(w.url, sizeof(w.url), "%s://127.0.0.1:%d/", strcmp(kind, "plain") ? "https" : "http",
                   w.peer.port);
    w.config.rest.url = w.url;
    w.config.rest.hosts = w.hosts;
    w.hosts[0] = w.host;
    w.config.rest.connections = 3;
    w.config.rest.timeout_s = 20;
    w.config.rest.max_body_bytes = 1 << 20;
    w.config.rest.batch_size = 30;
    w.config.rest.workers = 2;
    w.config.rest.queue_size = 4;
    w.config.rest.denied_hours = 1;
    w.config.stream.backoff_min_ms = 5;
    w.config.stream.backoff_max_ms = 50;
    (void)setenv("POLYGON_API_KEY", PEER_KEY, 1);
    assert_int_equal(secret_load(&w.secret, "", err, sizeof(err)), 0);
    struct http_options options = {w.peer.ca, "", w.config.rest.connections};
    assert_int_equal(uv_loop_init(&w.loop), 0);
    (void)uv_timer_init(&w.loop, &w.tick);
    (void)uv_timer_start(&w.tick, on_tick, 20, 20);
    assert_int_equal(http_new(&w.http, &w.loop, &options), 0);
}

static void start(void)
{
    const struct rest_hooks hooks = {on_count, on_refused, NULL, NULL};
    assert_int_equal(rest_new(&w.rest, &w.loop, w.http, &w.config, w.secret, &hooks), 0);
}

static void on_closed(void *user)
{
    (void)user;
    w.closed = true;
}

static void close_world(void)
{
    rest_free(w.rest, on_closed, NULL);
    while (!w.closed)
        (void)uv_run(&w.loop, UV_RUN_ONCE);
    http_free(w.http);
    uv_close((uv_handle_t *)&w.tick, NULL);
    assert_int_equal(uv_run(&w.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w.loop), 0);
    secret_free(w.secret);
    peer_stop(&w.peer);
}

static void on_rows(void *user, const struct rest_rows *rows)
{
    struct ask *ask = user;
    assert_int_equal(rows->kind, REST_BARS);
    assert_true(rows->count > 0 && rows->count <= w.config.rest.batch_size);
    for (size_t i = 0; i < rows->count; i++)
        assert_true(rows->bars[i].c == 1.25 && rows->bars[i].flags == PGD_BAR_REST);
    ask->rows += (unsigned)rows->count;
    ask->batches++;
}

static void on_bad(void *user, const char *reason, struct event_text raw, uint64_t count)
{
    struct ask *ask = user;
    assert_non_null(reason);
    assert_non_null(raw.p);
    ask->faults += (unsigned)count;
}

static void on_done(void *user, const struct rest_done *done)
{
    struct ask *ask = user;
    ask->done = *done;
    (void)snprintf(ask->message, sizeof(ask->message), "%s", done->message);
    assert_null(strstr(done->message, PEER_KEY));
    ask->calls++;
    ask->order = ++w.ended;
}

static void want(struct ask *ask, const char *ticker, bool urgent, uint64_t max_rows)
{
    const struct rest_query query = {.kind = REST_BARS,
                                     .class = urgent ? REST_URGENT : REST_BACKFILL,
                                     .ticker = ticker,
                                     .timespan = "minute",
                                     .from = 1700000000000,
                                     .to = 1700086400000,
                                     .newest_first = true,
                                     .max_rows = max_rows};
    const struct rest_sink sink = {on_rows, on_bad, on_done, ask};
    memset(ask, 0, sizeof(*ask));
    assert_int_equal(rest_get(w.rest, &query, &sink), 0);
    assert_int_equal(ask->calls, 0);
}

static void run(const struct ask *ask)
{
    while (!ask->calls)
        (void)uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(ask->calls, 1);
}

static struct ask get(const char *ticker, uint64_t max_rows)
{
    static struct ask ask;
    want(&ask, ticker, false, max_rows);
    run(&ask);
    return ask;
}

static void check_pages(const char *kind)
{
    open_world(kind);
    start();
    struct ask ask = get("GOOD", 0);
    assert_int_equal(ask.done.error, 0);
    assert_int_equal(ask.done.status, 200);
    assert_int_equal(ask.done.rows, 300);
    assert_int_equal(ask.rows, 300);
    assert_int_equal(w.requests, 3);
    ask = get("GOOD", 150); /* enough after the second page */
    assert_int_equal(ask.rows, 200);
    assert_int_equal(w.requests, 5);
    assert_int_equal(
        peer_said(
            &w.peer,
            "GET /v2/aggs/ticker/GOOD/range/1/minute/1700000000000/1700086400000?adjusted=true&sort=desc"
            "&limit=50000 key "),
        1);
    assert_int_equal(peer_said(&w.peer, "&limit=150 key "), 1);
    assert_int_equal(peer_said(&w.peer, "cursor=1 key conn 1 "), 2); /* kept alive, the key sent along */
    assert_int_equal(get("EMPTY", 0).done.error, 0);
    ask = get("DELAYED", 0);
    assert_int_equal(ask.done.error, 0);
    assert_int_equal(ask.rows, 2);
    assert_int_equal(w.errors, 0);
    close_world();
}

static void test_pages(void **state)
{
    (void)state;
    check_pages("plain");
    check_pages("good");
}

static void test_retries(void **state)
{
    (void)state;
    open_world("plain");
    start();
    struct ask ask = get("HTML", 0);
    assert_int_equal(ask.done.error, 0);
    assert_int_equal(ask.rows, 4);
    assert_int_equal(w.errors, 2);
    ask = get("BAD200", 0);
    assert_int_equal(ask.done.error, 0);
    assert_int_equal(w.errors, 3);
    ask = get("CUT", 0); /* gzip that ends in the middle */
    assert_int_equal(ask.done.error, 0);
    assert_int_equal(w.errors, 4);
    assert_int_equal(ask.rows, 50); /* none of them twice */
    ask = get("DROP", 0);
    assert_int_equal(ask.done.error, 0);
    assert_int_equal(ask.rows, 5);
    w.requests = 0;
    ask = get("DOWN", 0);
    assert_int_equal(ask.done.error, -EBADMSG);
    assert_int_equal(ask.done.status, 503);
    assert_string_equal(ask.message, "HTTP 503");
    assert_int_equal(w.requests, 5);
    w.requests = 0;
    ask = get("HUGE", 0);
    assert_int_equal(ask.done.error, -EMSGSIZE);
    ask = get("MOVED", 0);
    assert_int_equal(ask.done.error, -EBADMSG);
    assert_int_equal(ask.done.status, 302);
    assert_int_equal(peer_said(&w.peer, "/steal"), 0);
    ask = get("AFTER", 0);
    assert_int_equal(ask.done.error, 0);
    close_world();
}

static uint32_t failing; /* workers that are yet to fail */

/* In a worker's thread. */
static bool on_fault(void *rest)
{
    (void)rest;
    uint32_t left = __atomic_load_n(&failing, __ATOMIC_RELAXED);
    return left &&
           __atomic_compare_exchange_n(&failing, &left, left - 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* The page of a worker that fails is asked for again, and nothing of it comes twice. */
static void test_failing_workers(void **state)
{
    (void)state;
    open_world("plain");
    const struct rest_hooks hooks = {on_count, on_refused, NULL, on_fault};
    assert_int_equal(rest_new(&w.rest, &w.loop, w.http, &w.config, w.secret, &hooks), 0);
    for (uint32_t n = 1; n < 4; n++) {
        __atomic_store_n(&failing, n, __ATOMIC_RELAXED);
        w.requests = w.errors = w.workers_failed = 0;
        struct ask ask = get("GOOD", 0);
        assert_int_equal(ask.done.error, 0);
        assert_int_equal(ask.rows, 300);
        assert_int_equal(ask.done.rows, 300);
        assert_int_equal(w.workers_failed, n);
        assert_int_equal(w.errors, n);
        assert_int_equal(w.requests, 3 + n);
    }
    __atomic_store_n(&failing, UINT32_MAX, __ATOMIC_RELAXED); /* for good: it is told, not tried for ever */
    struct ask ask = get("GOOD", 0);
    assert_int_equal(ask.done.error, -EIO);
    assert_int_equal(ask.rows, 0);
    assert_string_equal(ask.message, "a worker failed");
    __atomic_store_n(&failing, 0, __ATOMIC_RELAXED);
    assert_int_equal(get("GOOD", 0).rows, 300);
    close_world();
}

static void test_refused(void **state)
{
    (void)state;
    open_world("plain");
    start();
    struct ask ask = get("DENIED", 0);
    assert_int_equal(ask.done.error, -EACCES);
    assert_int_equal(ask.done.status, 403);
    assert_string_equal(ask.message, "HTTP 403: You are not entitled to this data.");
    assert_int_equal(w.refused, 1);
    w.requests = 0;
    ask = get("DENIED", 0); /* remembered */
    assert_int_equal(ask.done.error, -EACCES);
    assert_int_equal(ask.done.status, 403);
    assert_int_equal(w.requests, 0);
    assert_int_equal(w.refused, 1);
    assert_int_equal(get("GONE", 0).done.error, -ENOENT);
    assert_int_equal(get("GOOD", 0).done.error, 0); /* the others go on */
    struct ask waiting;
    struct ask slow;
    want(&slow, "SLOW", false, 0);
    want(&waiting, "DOWN", false, 0);
    ask = get("BADKEY", 0);
    assert_int_equal(ask.done.error, -EACCES);
    assert_int_equal(ask.done.status, 401);
    assert_string_equal(ask.message, "HTTP 401: Unknown API Key ************************");
    assert_int_equal(w.refused, 2);
    assert_int_equal(w.refused_status, 401);
    assert_int_equal(w.denied, 2);
    run(&waiting);
    run(&slow);
    assert_int_equal(slow.done.error, -EACCES);
    w.requests = 0;
    assert_int_equal(get("GOOD", 0).done.error, -EACCES); /* for good */
    assert_int_equal(w.requests, 0);
    close_world();
}

static void test_throttled(void **state)
{
    (void)state;
    open_world("plain");
    start();
    struct ask other;
    uint64_t from = uv_hrtime();
    want(&other, "WAIT1", false, 0);
    run(&other);
    assert_int_equal(other.done.error, 0);
    assert_int_equal(w.throttled, 1);
    assert_true(uv_hrtime() - from >= UINT64_C(990000000));
    from = uv_hrtime();
    assert_int_equal(get("WAIT0", 0).done.error, 0);
    assert_int_equal(w.throttled, 2);
    assert_int_equal(w.errors, 0);
    close_world();
}

static void test_next_url(void **state)
{
    (void)state;
    open_world("plain");
    start();
    struct ask ask = get("FOREIGN", 0);
    assert_int_equal(ask.done.error, -EBADMSG);
    assert_int_equal(ask.rows, 3);
    assert_int_equal(peer_said(&w.peer, "/steal"), 0);
    ask = get("LISTED", 0);
    assert_int_equal(ask.done.error, -EBADMSG);
    w.config.rest.hosts_count = 1;
    (void)snprintf(w.host, sizeof(w.host), "localhost:%d", w.peer.port);
    ask = get("LISTED", 0);
    assert_int_equal(ask.done.error, 0);
    assert_int_equal(ask.rows, 6);
    ask = get("LOOP", 0);
    assert_int_equal(ask.done.error, -EBADMSG);
    assert_string_equal(ask.message, "next_url repeats: not followed any further");
    assert_int_equal(ask.rows, 9);
    close_world();
}

/* Pages that contradict themselves, the request or each other. */
static void test_lies(void **state)
{
    (void)state;
    open_world("plain");
    start();
    struct ask ask = get("OTHER", 0);
    assert_int_equal(ask.done.error, -EBADMSG);
    assert_int_equal(ask.rows, 0);
    assert_string_equal(ask.message, "the answer is about another ticker");
    w.errors = 0;
    ask = get("SHORT", 0); /* the second time it is whole */
    assert_int_equal(ask.done.error, 0);
    assert_int_equal(ask.rows, 40);
    assert_int_equal(w.errors, 1);
    ask = get("LIAR", 0); /* it will not get better */
    assert_int_equal(ask.done.error, 0);
    assert_int_equal(ask.rows, 30);
    assert_int_equal(w.errors, 3);
    ask = get("CIRCLE", 0);
    assert_int_equal(ask.done.error, -EBADMSG);
    assert_string_equal(ask.message, "pages bring nothing new: not followed any further");
    ask = get("OUTSIDE", 0);
    assert_int_equal(ask.done.error, 0);
    assert_int_equal(ask.done.bad_rows, 4); /* the fifth may contain the first millisecond */
    assert_int_equal(ask.faults, 4);
    assert_int_equal(ask.rows, 6);
    close_world();
}

static void test_order(void **state)
{
    (void)state;
    open_world("plain");
    w.config.rest.connections = 1;
    start();
    struct ask asks[4];
    want(&asks[0], "GOOD", false, 0); /* three pages */
    want(&asks[1], "BRIEF", false, 0);
    want(&asks[2], "EMPTY", false, 0);
    want(&asks[3], "EMPTY", true, 0);
    for (unsigned i = 0; i < 4; i++)
        run(&asks[i]);
    assert_int_equal(asks[3].order, 1);
    assert_int_equal(asks[1].order, 2);
    assert_int_equal(asks[2].order, 3);
    assert_int_equal(asks[0].order, 4);
    close_world();
}

static void test_budget(void **state)
{
    (void)state;
    open_world("plain");
    w.config.rest.requests_per_minute = 3;
    start();
    struct ask asks[5];
    for (unsigned i = 0; i < 5; i++)
        want(&asks[i], "EMPTY", false, 0);
    run(&asks[2]);
    for (unsigned i = 0; i < 20; i++) {
        (void)uv_run(&w.loop, UV_RUN_NOWAIT);
        (void)usleep(5000);
    }
    assert_int_equal(w.requests, 3);
    assert_int_equal(w.ended, 3);
    rest_free(w.rest, on_closed, NULL);
    assert_int_equal(asks[3].done.error, -ECANCELED);
    assert_int_equal(asks[4].done.error, -ECANCELED);
    close_world();
}

static void test_check(void **state)
{
    (void)state;
    open_world("plain");
    start();
    struct ask asks[2];
    memset(asks, 0, sizeof(asks));
    assert_int_equal(rest_check_ticker(w.rest, "AAPL", REST_URGENT, on_done, &asks[0]), 0);
    assert_int_equal(rest_check_ticker(w.rest, "N/A ?", REST_URGENT, on_done, &asks[1]), 0);
    run(&asks[0]);
    run(&asks[1]);
    assert_int_equal(asks[0].done.error, 0);
    assert_int_equal(asks[1].done.error, -ENOENT);
    assert_string_equal(asks[1].message, "HTTP 404: Data not found.");
    assert_int_equal(peer_said(&w.peer, "GET /v3/reference/tickers/N%2FA%20%3F key"), 1);
    assert_int_equal(rest_check_ticker(w.rest, "A23456789012345678901234567890123456789012345678",
                                       REST_URGENT, on_done, NULL),
                     -EINVAL);
    close_world();
}

/* A request in flight, one waiting and one queued when everything ends. */
static void test_ended(void **state)
{
    (void)state;
    open_world("plain");
    w.config.rest.connections = 1;
    w.config.stream.backoff_min_ms = 60000;
    w.config.stream.backoff_max_ms = 60000;
    start();
    struct ask asks[3];
    want(&asks[0], "DOWN", false, 0);
    want(&asks[1], "SLOW", false, 0);
    want(&asks[2], "EMPTY", false, 0);
    while (!peer_said(&w.peer, "SLOW"))
        (void)uv_run(&w.loop, UV_RUN_NOWAIT);
    rest_free(w.rest, on_closed, NULL);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(asks[i].calls, 1);
        assert_int_equal(asks[i].done.error, -ECANCELED);
    }
    close_world();
}

static void test_urls(void **state)
{
    (void)state;
    char base[] = "https://api.massive.com";
    char listed[] = "api.polygon.io";
    char *hosts[] = {listed};
    struct config config = {0};
    config.rest.url = base;
    config.rest.hosts = hosts;
    config.rest.hosts_count = 1;
    static const struct {
        const char *url;
        bool allowed;
    } urls[] = {
        {"https://api.massive.com/v2/aggs?cursor=1", true},
        {"https://api.massive.com:443/v2/aggs?cursor=1", true},
        {"https://API.massive.COM/", true},
        {"https://api.polygon.io/v3/x", true},
        {"https://api.polygon.io:443/v3/x", true},
        {"https://api.polygon.io:8443/v3/x", false},
        {"https://api.massive.com:8443/", false},
        {"http://api.massive.com/v2/aggs", false},
        {"http://api.massive.com:443/v2/aggs", false},
        {"https://api.massive.com.evil.test/", false},
        {"https://api.massive.com@evil.test/", false},
        {"https://user@api.massive.com/", false},
        {"https://evil.test/api.massive.com", false},
        {"https://evil.test#@api.massive.com/", false},
        {"https://evil.test\\@api.massive.com/", false},
        {"ftp://api.massive.com/", false},
        {"file:///etc/passwd", false},
        {"//api.massive.com/", false},
        {"/v2/aggs", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        if (rest_url_allowed(&config, urls[i].url) != urls[i].allowed)
            fail_msg("%s", urls[i].url);
    char plain[] = "http://127.0.0.1:8080/";
    config.rest.url = plain;
    assert_true(rest_url_allowed(&config, "http://127.0.0.1:8080/x"));
    assert_false(rest_url_allowed(&config, "http://127.0.0.1:8081/x"));
    struct rest_query query = {
        .kind = REST_BARS, .ticker = "O:SPY251219C00650000", .timespan = "day", .from = 1, .to = 2};
    char *url = rest_url(&config, &query);
    assert_string_equal(
        url, "http://127.0.0.1:8080/v2/aggs/ticker/O:SPY251219C00650000/range/1/day/1/2?adjusted=true"
             "&sort=asc&limit=50000");
    free(url);
    query = (struct rest_query){.kind = REST_TRADES,
                                .ticker = "BRK.A",
                                .from = 1700000000000000001,
                                .to = 1700000000000000002,
                                .newest_first = true,
                                .max_rows = 7};
    url = rest_url(&config, &query);
    assert_string_equal(url, "http://127.0.0.1:8080/v3/trades/BRK.A?timestamp.gte=1700000000000000001"
                             "&timestamp.lte=1700000000000000002&order=desc&sort=timestamp&limit=7");
    free(url);
    /* A quarter past one at night in London, the evening before in New York. */
    query = (struct rest_query){.kind = REST_GROUPED, .from = 1700097300000};
    url = rest_url(&config, &query);
    assert_string_equal(url, "http://127.0.0.1:8080/v2/aggs/grouped/locale/us/market/stocks/"
                             "2023-11-15?adjusted=true&include_otc=true");
    free(url);
    query = (struct rest_query){.kind = REST_SNAPSHOT};
    url = rest_url(&config, &query);
    assert_string_equal(url, "http://127.0.0.1:8080/v2/snapshot/locale/us/markets/stocks/tickers"
                             "?include_otc=true");
    free(url);
    query.ticker = "AAPL,BRK.B,a+b";
    url = rest_url(&config, &query);
    assert_string_equal(url, "http://127.0.0.1:8080/v2/snapshot/locale/us/markets/stocks/tickers"
                             "?include_otc=true&tickers=AAPL%2CBRK.B%2Ca%2Bb");
    free(url);
}

static void test_ticker(void **state)
{
    (void)state;
    char ret[PGD_SYMBOL_MAX];
    assert_int_equal(rest_ticker(ret, "X:BTC-USD"), 0);
    assert_string_equal(ret, "X:BTCUSD");
    assert_int_equal(rest_ticker(ret, "C:EUR-USD"), 0);
    assert_string_equal(ret, "C:EURUSD");
    assert_int_equal(rest_ticker(ret, "BRK-A"), 0);
    assert_string_equal(ret, "BRK-A");
    assert_int_equal(rest_ticker(ret, ""), -EINVAL);
    assert_int_equal(rest_ticker(ret, "A23456789012345678901234567890123456789012345678"), -EINVAL);
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
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_ticker),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_retries),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_throttled),
        cmocka_unit_test(test_next_url),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_ended),
        cmocka_unit_test(test_failing_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
