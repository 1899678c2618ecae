/* daemon/stream_private.h - what the files of the stream share: stream.c (life, time, ends), stream_session.c
 * (what is said on a connection). */
#ifndef DAEMON_STREAM_PRIVATE_H
#define DAEMON_STREAM_PRIVATE_H

#include "backoff.h"
#include "outbox.h"
#include "stream.h"
#include "subs.h"
#include "ws.h"

#include <stdbool.h>

#define STREAM_ANSWER (16u * 1024u) /* bytes kept of the answer to the upgrade */

enum stream_phase {
    PHASE_OFF,     /* not started */
    PHASE_CONNECT, /* TCP, proxy, TLS */
    PHASE_UPGRADE, /* request sent */
    PHASE_REFUSED, /* no 101: reading why */
    PHASE_HELLO,   /* upgraded, waiting for `connected` */
    PHASE_AUTH,    /* key sent */
    PHASE_OPEN,    /* subscribing, or all settled */
    PHASE_LEAVING, /* stream_free: our close frame is sent */
    PHASE_WAIT,    /* for the next try */
    PHASE_STOPPED
};

/* How a connection ended. Set where it is noticed, acted upon when the codec and the connection are not in
 * use. */
enum stream_end { END_NONE, END_RETRY, END_COOLDOWN, END_KEY, END_PLAN };

struct stream {
    uv_loop_t *loop;
    struct http *http;
    const struct config *config;
    const struct config_cluster *cluster;
    const struct secret *secret;
    struct stream_hooks hooks;
    char *url;
    char *host; /* with port, as the Host header wants it */
    char *path;
    uv_timer_t timer;
    struct http_conn *conn;
    struct ws_decoder *decoder;
    struct outbox outbox;
    struct subs *subs;
    struct backoff backoff;
    struct pgd_conn board;

    enum stream_phase phase;
    enum stream_end end;
    char reason[sizeof(((struct pgd_conn *)0)->reason)];
    uint64_t retry_after_ms; /* the server's wish, 0 none */
    bool status_seen;        /* in the message being parsed */
    bool settling;           /* in stream_settle: hooks that call back must not enter it again */
    bool freed;              /* stream_free was called */
    void (*closed)(void *user);
    void *closed_user;

    /* ms of the loop's clock; 0: not set */
    uint64_t phase_deadline;
    uint64_t ping_at;
    uint64_t pong_since; /* our ping that is not answered */
    uint64_t received_at;
    uint64_t stable_at;
    uint64_t shown_at; /* last conn hook */

    uint64_t pings;
    uint64_t batch_bytes;
    uint64_t batch_messages;
    char key[WS_KEY_SIZE];
    size_t answer_size;
    char answer[STREAM_ANSWER + 1];
};

/* stream.c */
void stream_end(struct stream *stream, enum stream_end end, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void stream_settle(
    struct stream *stream); /* at the end of every event: acts on an end, sends, sets the timer */
void stream_state(struct stream *stream, enum pgd_conn_state state);
void stream_count(struct stream *stream, const char *what);

/* stream_session.c */
extern const struct http_conn_events stream_session_events;
void stream_session_receive(struct stream *stream);
void stream_session_ping(struct stream *stream);
void stream_session_close(struct stream *stream, unsigned code);
void stream_session_subscribe(struct stream *stream); /* the next message, when there is one */
void stream_session_refused(
    struct stream *stream); /* the answer to the upgrade is as complete as it will be */

#endif
