/* daemon/parse.h - upstream JSON to records. Pure: no allocation, no I/O, no clock; the same code serves the
 * stream, REST bodies and `polygond --decode`. Any bytes are safe input. Numbers are bit-identical to strtod;
 * integers to 19 digits are exact. */
#ifndef DAEMON_PARSE_H
#define DAEMON_PARSE_H

#include <stdbool.h>

#include "event.h"

/* Receives what was found, in order. Events and all texts in them are valid during the call only. `fault` !=
 * EVENT_OK: `event` holds what is known of it (type, perhaps symbol), `reason` is a constant sentence, `raw`
 * the bytes of the event. */
struct parse_sink {
    void (*event)(void *user, const struct event *event);
    void (*fault)(void *user, enum event_fault fault, const char *reason, const struct event *event,
                  struct event_text raw);
    void *user;
    /* REST only, or NULL: where bars can be put that need no event each; *ret_room of them, the last of which
     * may be written to and not be meant. NULL: they come as events. */
    struct pgd_bar *(*room)(void *user, size_t *ret_room);
    void (*filled)(void *user, size_t count); /* so many were put there */
};

/* One WebSocket message: an array of event objects, or one bare object. A bad event is reported and skipped
 * by matching brackets; 0, or -EBADMSG when the message as a whole is no such JSON (events before the damage
 * have been delivered). */
int parse_ws(const char *text, size_t size, enum pgd_cluster cluster, const struct parse_sink *sink)
    __attribute__((warn_unused_result));

#define PARSE_NO_COUNT UINT64_MAX

/* Envelope of a REST answer. Texts point into the page itself. */
struct parse_page {
    struct event_text status;  /* "OK", "DELAYED", "ERROR", ... ; n == 0 absent */
    struct event_text message; /* error or message */
    struct event_text ticker;
    struct event_text next_url;
    uint64_t count;       /* resultsCount: rows as the server counts them; PARSE_NO_COUNT */
    uint64_t rows;        /* delivered */
    uint64_t bad_rows;    /* refused */
    bool snapshots;       /* the rows are */
    char status_text[32]; /* what does not fit is cut */
    char ticker_text[PGD_SYMBOL_MAX];
    char message_text[256];
    char url[2048]; /* of next_url; a longer one is -EBADMSG */
};

/* An aggregates answer (/v2/aggs/.../range/...): each row of `results` becomes an EVENT_AM-class event
 * (bar.flags = PGD_BAR_REST; symbol = ticker or the row's T, empty when there is neither). Missing results is
 * no error. Also takes /v3/trades and /v3/quotes rows (known by their keys: EVENT_T and EVENT_Q), and
 * snapshots: each row of `tickers` becomes such an event with the ticker's latest minute, t 0 where it has
 * none. -EBADMSG: not such JSON. */
int parse_rest(const char *text, size_t size, struct parse_page *page, const struct parse_sink *sink)
    __attribute__((warn_unused_result));

/* A JSON number at `*p` (before `end`), as a double: correct rounding, any of the forms JSON allows. Advances
 * *p past it. */
int parse_double(const char **p, const char *end, double *ret) __attribute__((warn_unused_result));

#endif
