/* daemon/http.h - libcurl's multi interface on a libuv loop: REST requests, and the CONNECT_ONLY sockets
 * WebSockets ride on. Certificates and host names are always verified. The key travels only in the
 * Authorization header. */
#ifndef DAEMON_HTTP_H
#define DAEMON_HTTP_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct http;

struct http_options {
    const char *ca_file;  /* "" or NULL: the system's */
    const char *proxy;    /* "" or NULL: the environment's */
    unsigned connections; /* kept alive for REST */
};

/* Also lets the process ignore SIGPIPE, unless it has a handler. */
int http_new(struct http **ret, uv_loop_t *loop, const struct http_options *options)
    __attribute__((warn_unused_result));
void http_free(struct http *http); /* after everything on it was cancelled; its handles close on the loop */

/* ---------------------------------------------------------------------------------------------------- GET */

enum http_coding { HTTP_PLAIN, HTTP_GZIP, HTTP_OTHER };

struct http_answer {
    int error; /* 0, or negative errno: -ECONNREFUSED, -ETIMEDOUT, -EKEYREJECTED (certificate), ... */
    const char *error_text; /* "" or the library's words; never holds the key */
    long status;            /* HTTP status, 0 none */
    long retry_after_s;     /* 0: not given; a given 0 is 1 */
};

struct http_events {
    /* Bytes of the body, as they came: not inflated. 0; -EAGAIN: nothing was taken, the socket rests until
     * http_get_resume and the bytes come again; another error ends the transfer with it. */
    int (*body)(void *user, long status, enum http_coding coding, const char *data, size_t size);
    /* Once, the last event. */
    void (*done)(void *user, const struct http_answer *answer);
};

struct http_get;
/* No event comes from within this call. bearer: the key, or NULL. gzip is asked for; redirects are not
 * followed. Less than HTTP_SLOW bytes a second for `timeout_s` ends it, as does sixty times as long in all;
 * time while the receiver wants none does not count as slow. */
#define HTTP_SLOW 1000
int http_get(struct http *http, struct http_get **ret, const char *url, const char *bearer,
             unsigned timeout_s, const struct http_events *events, void *user)
    __attribute__((warn_unused_result));
void http_get_resume(struct http_get *get);
void http_get_cancel(struct http_get *get); /* no event comes any more; not from within `body` */

/* ---------------------------------------------------------------------------------- connected byte stream */

struct http_conn;

struct http_conn_events {
    void (*connected)(void *user);
    /* Call http_conn_recv until -EAGAIN; who stops before is called again on the loop's next turn. */
    void (*readable)(void *user);
    void (*writable)(void *user); /* after http_conn_send gave -EAGAIN: send the same bytes again */
    void (*failed)(void *user, int error, const char *text); /* before or after `connected`; close it then */
};

/* Connects (TLS for wss:// and https://) through the proxy if there is one; verified. */
int http_connect(struct http *http, struct http_conn **ret, const char *url, unsigned timeout_s,
                 const struct http_conn_events *events, void *user) __attribute__((warn_unused_result));

/* Bytes, -EAGAIN, 0 at end of stream, or another negative errno. */
int64_t http_conn_recv(struct http_conn *conn, void *buf, size_t size);
int64_t http_conn_send(struct http_conn *conn, const void *buf, size_t size);
void http_conn_close(
    struct http_conn *conn); /* NULL is fine; no event after it; may be called from within an event */

#endif
