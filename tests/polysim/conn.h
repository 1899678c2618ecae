/* conn.h - one TCP connection, plain or TLS, on the libuv loop: bytes in to a handler, bytes out through a
 * buffer that can be bent out of shape (split, slowed, cut off, silenced) to hurt the peer. */
#ifndef POLYSIM_CONN_H
#define POLYSIM_CONN_H

#include <openssl/ssl.h>
#include <uv.h>

#include "text.h"

struct sim;
struct sim_conn;

struct sim_conn_handler {
    /* Takes what it can use off the front of data and says how much that was. */
    size_t (*input)(struct sim_conn *conn, char *data, size_t size);
    /* Everything is out and the socket would take more. May write. May be NULL. */
    void (*drained)(struct sim_conn *conn);
    /* The connection is gone: take it out of every list. */
    void (*closed)(struct sim_conn *conn);
    /* Nobody on the call stack uses it any more: free what conn->user points to. */
    void (*freed)(struct sim_conn *conn);
};

/* How bytes leave. All zero: at once. */
struct sim_shape {
    size_t split;       /* at most so many bytes in one write, each write in a turn of the loop of its own */
    bool random;        /* 1..split instead */
    unsigned delay_ms;  /* between two writes */
    unsigned hold_ms;   /* collect this long, then send all at once */
    int64_t drop_after; /* drop the connection after so many more bytes; 0: never */
};

struct sim_conn {
    struct sim *sim;
    const struct sim_conn_handler *handler;
    void *user;
    struct sim_shape shape;
    struct sim_conn *next, **link;
    bool tls;
    bool dead; /* nothing more may be done with it */
    bool silent;
    bool eager; /* `drained` is called whenever the socket takes more, not only after something was sent */

    /* Private. */
    int fd;
    SSL *ssl;
    uv_poll_t poll;
    uv_timer_t timer;
    int handles; /* open libuv handles */
    struct sim_text in, out;
    size_t out_sent;
    size_t retry; /* length of the SSL_write to repeat */
    bool finishing, lingering, blocked, waiting;
    uint64_t chance;
};

/* Takes over fd. ctx NULL: plain. -errno. */
int sim_conn_open(struct sim *sim, int fd, SSL_CTX *ctx, const struct sim_conn_handler *handler);

void sim_conn_write(struct sim_conn *conn, const void *data, size_t size);
/* Sends what was written. The connection may be dead afterwards. */
void sim_conn_flush(struct sim_conn *conn);
size_t sim_conn_pending(const struct sim_conn *conn);

/* Closes in good order once everything is out. */
void sim_conn_finish(struct sim_conn *conn);
/* Closes now, without a goodbye; reset: with a TCP reset. */
void sim_conn_drop(struct sim_conn *conn, bool reset);
/* Keeps the socket open but neither reads nor writes again. */
void sim_conn_silence(struct sim_conn *conn);

#endif
