/* daemon/stream.h - one upstream WebSocket session as a state machine: connect, authenticate, subscribe,
 * stay.
 *
 * Stays for months: pings, idle and half-open detection, reconnection with jittered backoff that is reset
 * only after a stable time, everything re-subscribed. Main thread. */
#ifndef DAEMON_STREAM_H
#define DAEMON_STREAM_H

#include "config.h"
#include "event.h"
#include "http.h"
#include "parse.h"
#include "secret.h"

struct stream;

/* Why a stream stopped for good. */
enum stream_stop {
    STREAM_STOP_NONE = 0,
    STREAM_STOP_KEY, /* auth_failed: the key is wrong */
    STREAM_STOP_PLAN /* the plan has no WebSocket access */
};

struct stream_hooks {
    struct parse_sink data; /* data events and faults, in order; status events stay in the stream */
    /* Bytes were received at `real_ns`: all that is delivered until the next call came with them. NULL:
     * nobody asks. */
    void (*received)(void *user, int64_t real_ns);
    /* A message, after what it holds was delivered. `connection` counts this stream's connections from 1.
     * `status`: it held status events, or came before the session stood: a server may have put the key into
     * it. NULL: nobody asks. */
    void (*frame)(void *user, uint32_t connection, const uint8_t *data, size_t size, bool status);
    /* End of a read batch: everything that was readable has been delivered. */
    void (*batch)(void *user, uint64_t bytes, uint64_t messages);
    /* State, counts or reason changed; `conn` as it should stand on the board. */
    void (*conn)(void *user, const struct pgd_conn *conn);
    /* A pair was acknowledged (how = 1), unsubscribed (0), refused by the vendor or never acknowledged (-1;
     * `message` says why). On loss of the connection every acknowledged pair is reported with 0 once. A
     * pair wanted again before it was given back is reported with 1 again. */
    void (*pair)(void *user, const char *symbol, enum pgd_topic topic, int how, const char *message);
    void (*stopped)(void *user, enum stream_stop why, const char *message);
    /* Counters of counters.def that only the stream can count: ws_connects, ws_drops, ws_idle_drops,
     * ws_protocol_errors, ws_bad_messages, ws_status, ws_errors. NULL: nobody wants them. */
    void (*count)(void *user, const char *what, uint64_t add);
    void *user;
};

/* Borrowed for the stream's life: loop, http, config, secret. Connects at stream_start. */
int stream_new(struct stream **ret, uv_loop_t *loop, struct http *http, const struct config *config,
               const struct config_cluster *cluster, const struct secret *secret,
               const struct stream_hooks *hooks) __attribute__((warn_unused_result));
void stream_start(struct stream *stream);
void stream_free(struct stream *stream, void (*closed)(void *user),
                 void *user); /* close frame, handles closed, then `closed` */

/* Wants `topics` of `symbol` (canonical: "AAPL", "X:BTC-USD", "*"), now and after each reconnection.
 * Idempotent; asks again for what was refused. Topics that the cluster does not have are left out: no hook
 * comes for them. -EINVAL: no symbol the wire can carry. -ENOMEM. */
int stream_subscribe(struct stream *stream, const char *symbol, uint32_t topics)
    __attribute__((warn_unused_result));
void stream_unsubscribe(struct stream *stream, const char *symbol, uint32_t topics);

/* Calls `each` for every pair awaited (state 0) or refused (-1). */
void stream_unacked(const struct stream *stream,
                    void (*each)(void *user, const char *symbol, enum pgd_topic topic, int how), void *user);

/* The vendor's topic for a kind of data on a cluster ("T", "XT", NULL when it has none), and the wire form of
 * a canonical symbol
 * ("X:BTC-USD" is "BTC-USD" on the crypto cluster, "C:EUR-USD" is "EUR/USD" on forex). */
const char *stream_topic(enum pgd_cluster cluster, enum pgd_topic topic);
int stream_wire_symbol(char ret[PGD_SYMBOL_MAX], enum pgd_cluster cluster, const char *symbol);

#endif
