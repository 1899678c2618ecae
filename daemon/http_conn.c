#include "http_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Each connection has a multi of its own: its easy handle must stay there for the connection's life, and must
 * neither count against nor be looked up among the connections kept alive for REST. */
struct http_conn {
    struct multi multi;
    CURL *easy;
    uv_poll_t poll;
    uv_idle_t idle;   /* calls `readable` again after a reader that stopped early: TLS may hold bytes that no
                         poll   reports */
    unsigned handles; /* of libuv, not yet closed */
    bool polling;     /* connected: the poll handle exists */
    bool drained;     /* the last receive said there is no more */
    bool want_write;
    bool closing;
    struct http_conn_events events;
    void *user;
    struct http_words words;
};

/* ---------------------------------------------------------------------------------------------- receiving */

static void http_conn_on_idle(uv_idle_t *idle);

static void http_conn_read(struct http_conn *conn)
{
    conn->drained = false;
    conn->events.readable(conn->user);
    if (conn->closing)
        return;
    if (conn->drained)
        (void)uv_idle_stop(&conn->idle);
    else
        (void)uv_idle_start(&conn->idle, http_conn_on_idle);
}

static void http_conn_on_idle(uv_idle_t *idle)
{
    http_conn_read(idle->data);
}

static void http_conn_on_poll(uv_poll_t *poll, int status, int events);

static int http_conn_watch(struct http_conn *conn)
{
    return uv_poll_start(&conn->poll, UV_READABLE | (conn->want_write ? UV_WRITABLE : 0), http_conn_on_poll);
}

static void http_conn_on_poll(uv_poll_t *poll, int status, int events)
{
    struct http_conn *conn = poll->data;
    if (status < 0) {
        (void)uv_poll_stop(poll);
        conn->events.failed(conn->user, status, uv_strerror(status));
        return;
    }
    if ((events & UV_WRITABLE) && conn->want_write) {
        conn->want_write = false;
        (void)http_conn_watch(conn);
        conn->events.writable(conn->user);
    }
    if (!conn->closing && (events & UV_READABLE))
        http_conn_read(conn);
}

int64_t http_conn_recv(struct http_conn *conn, void *buf, size_t size)
{
    size_t got = 0;
    CURLcode code = curl_easy_recv(conn->easy, buf, size, &got);
    conn->drained = code != CURLE_OK || got == 0;
    if (code == CURLE_OK)
        return (int64_t)got;
    return multi_error(conn->easy, code);
}

int64_t http_conn_send(struct http_conn *conn, const void *buf, size_t size)
{
    size_t sent = 0;
    CURLcode code = curl_easy_send(conn->easy, buf, size, &sent);
    if (code == CURLE_OK && (sent > 0 || size == 0))
        return (int64_t)sent;
    if (code != CURLE_OK && code != CURLE_AGAIN)
        return multi_error(conn->easy, code);
    if (!conn->want_write) {
        conn->want_write = true;
        (void)http_conn_watch(conn);
    }
    return -EAGAIN;
}

/* --------------------------------------------------------------------------------------------- connecting */

static int http_conn_open_poll(struct http_conn *conn)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    if (curl_easy_getinfo(conn->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD)
        return -ENOTCONN;
    /* libcurl gave up its own watch of this descriptor when the connect was done; libuv allows one at a time.
     */
    int r = uv_poll_init_socket(conn->multi.loop, &conn->poll, fd);
    if (r < 0)
        return r;
    conn->poll.data = conn;
    conn->handles++;
    conn->polling = true;
    return http_conn_watch(conn);
}

static void http_conn_done(struct multi *multi, CURL *easy, CURLcode result)
{
    struct http_conn *conn = (struct http_conn *)((char *)multi - offsetof(struct http_conn, multi));
    if (result != CURLE_OK) {
        const char *text;
        int error = http_error(&conn->words, easy, result, &text);
        conn->events.failed(conn->user, error, text);
        return;
    }
    int r = http_conn_open_poll(conn);
    if (r < 0)
        conn->events.failed(conn->user, r, uv_strerror(r));
    else
        conn->events.connected(conn->user);
}

/* libcurl knows the address forms of ws and wss under their older names. */
static char *http_conn_url(const char *url)
{
    static const char *const schemes[][2] = {
        {"ws://", "http://"}, {"wss://", "https://"}, {"http://", "http://"}, {"https://", "https://"}};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t n = strlen(schemes[i][0]);
        if (strncasecmp(url, schemes[i][0], n) != 0)
            continue;
        size_t size = strlen(schemes[i][1]) + strlen(url + n) + 1;
        char *copy = malloc(size);
        if (copy) {
            memcpy(copy, schemes[i][1], strlen(schemes[i][1]));
            memcpy(copy + strlen(schemes[i][1]), url + n, strlen(url + n) + 1);
        }
        return copy;
    }
    errno = EINVAL;
    return NULL;
}

static int http_conn_setup(const struct http *http, struct http_conn *conn, const char *url,
                           unsigned timeout_s)
{
    char *http_url = http_conn_url(url);
    if (!http_url)
        return -errno;
    conn->easy = http_easy_new(http, http_url, timeout_s, &conn->words);
    free(http_url);
    if (!conn->easy)
        return -ENOMEM;
    if (curl_easy_setopt(conn->easy, CURLOPT_CONNECT_ONLY, 1L) != CURLE_OK ||
        curl_easy_setopt(conn->easy, CURLOPT_HTTPPROXYTUNNEL, 1L) != CURLE_OK)
        return -ENOTSUP;
    return 0;
}

int http_connect(struct http *http, struct http_conn **ret, const char *url, unsigned timeout_s,
                 const struct http_conn_events *events, void *user)
{
    struct http_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return -ENOMEM;
    conn->events = *events;
    conn->user = user;
    conn->drained = true;
    int r = http_conn_setup(http, conn, url, timeout_s);
    if (r == 0)
        r = multi_open(&conn->multi, http->multi.loop, 0, http_conn_done);
    if (r < 0) {
        if (conn->easy)
            curl_easy_cleanup(conn->easy);
        free(conn);
        return r;
    }
    (void)uv_idle_init(conn->multi.loop, &conn->idle);
    conn->idle.data = conn;
    conn->handles = 2; /* idle, and the multi's timer */
    if (curl_multi_add_handle(conn->multi.curl, conn->easy) != CURLM_OK) {
        http_conn_close(conn);
        return -ENOMEM;
    }
    *ret = conn;
    return 0;
}

/* ------------------------------------------------------------------------------------------------ closing */

static void http_conn_released(struct http_conn *conn)
{
    if (--conn->handles == 0)
        free(conn);
}

static void http_conn_handle_closed(uv_handle_t *handle)
{
    http_conn_released(handle->data);
}

static void http_conn_multi_closed(struct multi *multi)
{
    http_conn_released((struct http_conn *)((char *)multi - offsetof(struct http_conn, multi)));
}

void http_conn_close(struct http_conn *conn)
{
    if (!conn || conn->closing)
        return;
    conn->closing = true;
    /* The watch goes first: taking the easy handle out closes the descriptor. */
    if (conn->polling)
        uv_close((uv_handle_t *)&conn->poll, http_conn_handle_closed);
    uv_close((uv_handle_t *)&conn->idle, http_conn_handle_closed);
    (void)curl_multi_remove_handle(conn->multi.curl, conn->easy);
    curl_easy_cleanup(conn->easy);
    conn->easy = NULL;
    multi_close(&conn->multi, http_conn_multi_closed);
}
