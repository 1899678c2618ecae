/* http against real servers: Python's asyncio and OpenSSL at the other end. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <sys/resource.h>
#include <uv.h>

#include "http.h"
#include "integration/peer.h"

struct seen {
    int error;
    long status;
    long retry_after_s;
    size_t size;
    size_t limit;
    unsigned pauses; /* left to take, one for each piece of the body */
    enum http_coding coding;
    char text[512];
    char body[512];
    unsigned calls;
};

static uv_loop_t loop;
static struct http *http;

static int on_body(void *user, long status, enum http_coding coding, const char *data, size_t size)
{
    struct seen *seen = user;
    assert_true(status > 0);
    assert_int_equal(seen->calls, 0);
    if (size > seen->limit - seen->size)
        return -EMSGSIZE;
    if (seen->pauses) {
        seen->pauses--;
        return -EAGAIN;
    }
    seen->coding = coding;
    size_t n = seen->size < sizeof(seen->body) - 1 ? sizeof(seen->body) - 1 - seen->size : 0;
    memcpy(seen->body + seen->size, data, n < size ? n : size);
    seen->size += size;
    return 0;
}

static void on_done(void *user, const struct http_answer *answer)
{
    struct seen *seen = user;
    seen->error = answer->error;
    seen->status = answer->status;
    seen->retry_after_s = answer->retry_after_s;
    (void)snprintf(seen->text, sizeof(seen->text), "%s", answer->error_text);
    seen->calls++;
}

static const struct http_events get_events = {on_body, on_done};

static void open_http(const char *ca, const char *proxy)
{
    struct http_options options = {ca, proxy, 2};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(http_new(&http, &loop, &options), 0);
}

static void close_http(void)
{
    http_free(http);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static struct seen get_limited(const char *url, const char *bearer, unsigned timeout_s, size_t limit)
{
    struct seen seen = {.limit = limit, .pauses = 2};
    struct http_get *get = NULL;
    assert_int_equal(http_get(http, &get, url, bearer, timeout_s, &get_events, &seen), 0);
    assert_int_equal(seen.calls, 0);
    unsigned pauses = seen.pauses;
    while (!seen.calls) {
        if (seen.pauses < pauses) {
            pauses--;
            http_get_resume(get);
        } else {
            (void)uv_run(&loop, UV_RUN_ONCE);
        }
    }
    return seen;
}

static struct seen get(const char *scheme, int port, const char *path)
{
    char url[512];
    (void)snprintf(url, sizeof(url), "%s://127.0.0.1:%d%s", scheme, port, path);
    return get_limited(url, PEER_KEY, 20, 1 << 20);
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

static void test_get(void **state)
{
    (void)state;
    struct peer *peer = calloc(1, sizeof(*peer));
    assert_non_null(peer);
    assert_true(peer_start(peer, "peer_http.py", "plain", NULL, NULL));
    open_http("", "");
    struct seen seen = get("http", peer->port, "/v2/aggs/ticker/GOOD/x");
    assert_int_equal(seen.error, 0);
    assert_int_equal(seen.status, 200);
    assert_int_equal(seen.coding, HTTP_GZIP);
    assert_int_equal(strncmp(seen.body, "\x1f\x8b", 2), 0); /* as it came */
    assert_int_equal(seen.pauses, 0);
    seen = get("http", peer->port, "/v2/aggs/ticker/WAIT0/x");
    assert_int_equal(seen.status, 429);
    assert_int_equal(seen.retry_after_s, 1);
    assert_string_equal(seen.body, "");
    seen = get("http", peer->port, "/v2/aggs/ticker/GONE/x");
    assert_int_equal(seen.error, 0);
    assert_int_equal(seen.status, 404);
    assert_int_equal(seen.retry_after_s, 0);
    seen = get("http", peer->port, "/v2/aggs/ticker/MOVED/x");
    assert_int_equal(seen.status, 302);
    assert_int_equal(peer_said(peer, "/steal"), 0);
    assert_int_equal(peer_said(peer, " key conn 1 http 1.1"), 4); /* one connection, HTTP/1.1, with the key */
    close_http();
    peer_stop(peer);
    free(peer);
}

static void test_get_fails(void **state)
{
    (void)state;
    struct peer *peer = calloc(1, sizeof(*peer));
    assert_non_null(peer);
    assert_true(peer_start(peer, "peer_http.py", "plain", NULL, NULL));
    open_http(NULL, NULL);
    char url[200];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/v2/aggs/ticker/HUGE/x", peer->port);
    struct seen seen = get_limited(url, NULL, 20, 1000);
    assert_int_equal(seen.error, -EMSGSIZE);
    assert_true(seen.size <= 1000);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/v2/aggs/ticker/SLOW/x", peer->port);
    seen = get_limited(url, NULL, 1, 100000);
    assert_int_equal(seen.error, -ETIMEDOUT);
    seen = get("http", peer->port, "/v2/aggs/ticker/DROP/x");
    assert_int_equal(seen.error, -ECONNRESET);
    assert_true(seen.text[0]);
    int port = peer->port;
    peer_stop(peer);
    seen = get("http", port, "/");
    assert_int_equal(seen.error, -ECONNREFUSED);
    assert_null(strstr(seen.text, PEER_KEY));
    seen = get("file", 1, "/etc/passwd");
    assert_int_equal(seen.error, -EINVAL);
    close_http();
    free(peer);
}

static void test_cancel(void **state)
{
    (void)state;
    struct peer *peer = calloc(1, sizeof(*peer));
    assert_non_null(peer);
    assert_true(peer_start(peer, "peer_http.py", "plain", NULL, NULL));
    open_http(NULL, NULL);
    char url[200];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/v2/aggs/ticker/SLOW/x", peer->port);
    struct seen slow[5] = {0};
    struct http_get *gets[5];
    for (int i = 0; i < 5; i++)
        assert_int_equal(http_get(http, &gets[i], url, NULL, 20, &get_events, &slow[i]), 0);
    while (!peer_said(peer, "SLOW"))
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    for (int i = 0; i < 5; i++)
        http_get_cancel(gets[i]);
    close_http();
    for (int i = 0; i < 5; i++)
        assert_int_equal(slow[i].calls, 0);
    peer_stop(peer);
    free(peer);
}

static void check_tls(const char *kind, bool trust, int error)
{
    struct peer *peer = calloc(1, sizeof(*peer));
    assert_non_null(peer);
    assert_true(peer_start(peer, "peer_http.py", kind, NULL, NULL));
    open_http(trust ? peer->ca : "", "");
    struct seen seen = get("https", peer->port, "/v2/aggs/ticker/EMPTY/x");
    assert_int_equal(seen.error, error);
    assert_int_equal(seen.status, error ? 0 : 200);
    assert_int_equal(seen.text[0] != '\0', error != 0);
    assert_int_equal(peer_said(peer, "GET"), error ? 0 : 1);
    close_http();
    peer_stop(peer);
    free(peer);
}

static void test_tls(void **state)
{
    (void)state;
    check_tls("good", true, 0);
    check_tls("good", false, -EKEYREJECTED);
    check_tls("host", true, -EKEYREJECTED);
    check_tls("expired", true, -EKEYREJECTED);
    check_tls("self", true, -EKEYREJECTED);
}

/* ------------------------------------------------------------------------------------------- byte streams */

#define ECHO_SIZE (3u << 20)

struct echo {
    struct http_conn *conn;
    uint8_t *out;
    uint8_t *in;
    size_t sent;
    size_t got;
    size_t bite; /* bytes taken in one call of readable, 0: all */
    int error;
    char text[256];
    bool connected;
    bool done;
};

static void echo_send(struct echo *echo)
{
    while (echo->out && echo->sent < ECHO_SIZE) {
        size_t left = ECHO_SIZE - echo->sent;
        int64_t r = http_conn_send(echo->conn, echo->out + echo->sent, left < 65536 ? left : 65536);
        if (r == -EAGAIN)
            return;
        assert_true(r > 0);
        echo->sent += (size_t)r;
    }
}

static void on_connected(void *user)
{
    struct echo *echo = user;
    echo->connected = true;
    echo_send(echo);
}

static void on_writable(void *user)
{
    echo_send(user);
}

static void on_readable(void *user)
{
    struct echo *echo = user;
    for (size_t taken = 0; echo->got < ECHO_SIZE && (!echo->bite || taken < echo->bite);) {
        size_t want = ECHO_SIZE - echo->got;
        if (echo->bite && want > echo->bite)
            want = echo->bite;
        int64_t r = http_conn_recv(echo->conn, echo->in + echo->got, want);
        if (r == -EAGAIN)
            return;
        assert_true(r > 0);
        echo->got += (size_t)r;
        taken += (size_t)r;
    }
    if (echo->got == ECHO_SIZE) {
        http_conn_close(echo->conn); /* from within an event */
        echo->done = true;
    }
}

static void on_failed(void *user, int error, const char *text)
{
    struct echo *echo = user;
    echo->error = error;
    (void)snprintf(echo->text, sizeof(echo->text), "%s", text);
    http_conn_close(echo->conn);
    echo->done = true;
}

static const struct http_conn_events events = {on_connected, on_readable, on_writable, on_failed};

static struct echo run_echo(const char *scheme, int port, size_t bite)
{
    struct echo echo = {.bite = bite};
    char url[100];
    echo.out = malloc(ECHO_SIZE);
    echo.in = calloc(1, ECHO_SIZE);
    assert_non_null(echo.out);
    assert_non_null(echo.in);
    for (size_t i = 0; i < ECHO_SIZE; i++)
        echo.out[i] = (uint8_t)(i * 2654435761u >> 13);
    (void)snprintf(url, sizeof(url), "%s://127.0.0.1:%d/x", scheme, port);
    assert_int_equal(http_connect(http, &echo.conn, url, 5, &events, &echo), 0);
    while (!echo.done)
        (void)uv_run(&loop, UV_RUN_ONCE);
    if (!echo.error)
        assert_memory_equal(echo.in, echo.out, ECHO_SIZE);
    free(echo.in);
    free(echo.out);
    return echo;
}

static void check_echo(const char *kind, const char *scheme, size_t bite)
{
    struct peer *peer = calloc(1, sizeof(*peer));
    assert_non_null(peer);
    assert_true(peer_start(peer, "peer_http.py", "echo", kind, NULL));
    open_http(peer->ca, "");
    struct echo echo = run_echo(scheme, peer->port, bite);
    assert_int_equal(echo.error, 0);
    close_http();
    peer_stop(peer);
    free(peer);
}

static void test_echo(void **state)
{
    (void)state;
    check_echo("plain", "ws", 0);
    check_echo("good", "wss", 0);
    check_echo("good", "wss", 1000); /* stops early: TLS holds bytes no poll reports */
}

static void test_echo_fails(void **state)
{
    (void)state;
    struct peer *peer = calloc(1, sizeof(*peer));
    assert_non_null(peer);
    assert_true(peer_start(peer, "peer_http.py", "echo", "host", NULL));
    open_http(peer->ca, "");
    struct echo echo = run_echo("wss", peer->port, 0);
    assert_int_equal(echo.error, -EKEYREJECTED);
    assert_false(echo.connected);
    int port = peer->port;
    peer_stop(peer);
    echo = run_echo("wss", port, 0);
    assert_int_equal(echo.error, -ECONNREFUSED);
    struct http_conn *conn;
    assert_int_equal(http_connect(http, &conn, "gopher://127.0.0.1/", 5, &events, &echo), -EINVAL);
    http_conn_close(NULL);
    close_http();
    free(peer);
}

static void check_proxy(const char *kind, const char *scheme)
{
    struct peer *peers = calloc(2, sizeof(*peers));
    assert_non_null(peers);
    assert_true(peer_start(&peers[0], "peer_http.py", "echo", kind, NULL));
    assert_true(peer_start(&peers[1], "peer_http.py", "proxy", NULL, NULL));
    char proxy[100];
    (void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", peers[1].port);
    open_http(peers[0].ca, proxy);
    struct echo echo = run_echo(scheme, peers[0].port, 0);
    assert_int_equal(echo.error, 0);
    assert_int_equal(peer_said(&peers[1], "proxy CONNECT 127.0.0.1:"), 1);
    close_http();
    peer_stop(&peers[0]);
    peer_stop(&peers[1]);
    free(peers);
}

static void test_proxy(void **state)
{
    (void)state;
    check_proxy("good", "wss");
    check_proxy("plain", "ws");
}

/* Out of descriptors: an error in words, and all is well again when there are some. */
static void test_no_fds(void **state)
{
    (void)state;
    struct peer *peer = calloc(1, sizeof(*peer));
    struct rlimit before;
    assert_non_null(peer);
    assert_true(peer_start(peer, "peer_http.py", "echo", "plain", NULL));
    open_http("", "");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit none = {3, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct echo echo = run_echo("ws", peer->port, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(echo.error, -EMFILE);
    assert_string_equal(echo.text, "Too many open files");
    echo = run_echo("ws", peer->port, 0);
    assert_int_equal(echo.error, 0);
    close_http();
    peer_stop(peer);
    free(peer);
}

static void test_no_leak(void **state)
{
    (void)state;
    struct peer *peer = calloc(1, sizeof(*peer));
    assert_non_null(peer);
    assert_true(peer_start(peer, "peer_http.py", "echo", "good", NULL));
    open_http(peer->ca, "");
    struct echo echo = {0};
    unsigned before = 0;
    for (int i = 0; i < 30; i++) {
        char url[100];
        (void)snprintf(url, sizeof(url), "wss://127.0.0.1:%d/x", peer->port);
        assert_int_equal(http_connect(http, &echo.conn, url, 5, &events, &echo), 0);
        for (int turn = 0; turn < i; turn++) /* closed at every stage of the connect */
            (void)uv_run(&loop, UV_RUN_NOWAIT);
        if (!echo.done)
            http_conn_close(echo.conn);
        echo.done = false;
        echo.sent = 0;
        for (int turn = 0; turn < 3; turn++)
            (void)uv_run(&loop, UV_RUN_NOWAIT);
        if (i == 3)
            before = count_fds();
    }
    /* libcurl's resolver threads may still hold a pair each for a moment. */
    for (int wait = 0; wait < 100 && count_fds() > before; wait++)
        (void)usleep(50000);
    assert_true(count_fds() <= before);
    close_http();
    peer_stop(peer);
    free(peer);
}

int main(void)
{
    (void)setenv("no_proxy", "", 1);
    (void)unsetenv("http_proxy");
    (void)unsetenv("https_proxy");
    (void)unsetenv("HTTPS_PROXY");
    (void)unsetenv("all_proxy");
    (void)unsetenv("ALL_PROXY");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),   cmocka_unit_test(test_get_fails), cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_tls),   cmocka_unit_test(test_echo),      cmocka_unit_test(test_echo_fails),
        cmocka_unit_test(test_proxy), cmocka_unit_test(test_no_fds),    cmocka_unit_test(test_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
