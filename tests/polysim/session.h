/* session.h - one WebSocket client: handshake, authentication, subscriptions, messages. */
#ifndef POLYSIM_SESSION_H
#define POLYSIM_SESSION_H

#include "event.h"
#include "frame.h"
#include "http.h"
#include "sim.h"

#define SIM_EVENTS_PER_MESSAGE 128
#define SIM_STARTS_MAX         (2 * SIM_EVENTS_PER_MESSAGE) /* rules add events */

enum sim_state { SIM_WAITS_FOR_AUTH, SIM_STREAMING, SIM_ENDING };

struct sim_session {
    struct sim *sim;
    struct sim_conn *conn;
    struct sim_session *next, **link;
    enum sim_asset cluster;
    char key[64]; /* it authenticated with */
    enum sim_state state;
    double since; /* sim_elapsed at the handshake */
    double streaming_since;
    double ping_due;
    struct sim_frame_reader reader;

    uint8_t *topics; /* by symbol: bits of enum sim_topic */
    unsigned every;  /* wildcards: bits */
    size_t pairs;    /* pairs subscribed to, known and unknown */
    char **unknown;  /* pairs of tickers that do not exist: acknowledged, then silent */
    size_t unknown_count;

    struct sim_text events;        /* of the next message, joined by commas */
    size_t starts[SIM_STARTS_MAX]; /* where each begins */
    size_t event_count;
    uint64_t messages, auths, subscribes; /* data messages sent, requests received */
    struct sim_burst *burst;              /* being sent; or NULL */

    /* Set by rules. */
    uint64_t streamed_ms; /* up to which `after` rules have been looked at */
    size_t fragment;      /* bytes a fragment; 0: whole messages */
    bool spread, late, lose, spaces;
    struct sim_text held; /* the message that is late, framed */
    int64_t revise_due;   /* minutes ago; 0: nothing */
};

/* The handshake. Answers with 101 and the connected message, or an HTTP error. rule: what goes wrong with it,
 * or NULL. */
void sim_session_upgrade(struct sim_conn *conn, const struct sim_request *request,
                         const struct sim_rule *rule);

static inline bool sim_session_wants(const struct sim_session *s, size_t symbol, enum sim_topic topic)
{
    return s->state == SIM_STREAMING && ((s->topics[symbol] | s->every) & topic);
}

/* One more event for the message in the making; sends the message when it is full. */
void sim_session_event(struct sim_session *session, const char *event, size_t size);
/* Sends the message in the making, if any, and flushes the connection. Drops a client that reads too slowly.
 */
void sim_session_flush(struct sim_session *session);

/* A whole text message at once. */
void sim_session_text(struct sim_session *session, const char *text, size_t size);
void sim_session_status(struct sim_session *session, const char *status, const char *message);

/* The closing handshake from our side. */
void sim_session_close(struct sim_session *session, int code, const char *reason);
/* "max_connections" and close 1008. */
void sim_session_evict(struct sim_session *session);

/* Deadlines and pings; called every tick. */
void sim_session_tick(struct sim_session *session);

#endif
