/* daemon/rest.h - REST requests within a budget: aggregates, trades and quotes of one ticker, one day of all
 * tickers, the latest minute of many, and whether a ticker is known.
 *
 * Requests wait by class and share the budget by weight (budget.h); 429 keeps all of them silent for what
 * Retry-After says, or a whole minute; 5xx, network errors and broken pages back off and are tried again a
 * few times; 401 stops REST for good; a ticker and timespan answered with 403 is not asked for again for
 * rest.denied_hours. Pages are followed by next_url, verbatim, to the configured hosts only.
 *
 * A page is delivered only once it has arrived whole: of one that broke nothing was, and the next try brings
 * it all. What the vendor itself says twice comes twice. Tries are spaced by stream.backoff_*. Hooks and
 * sinks may call every function of this header but rest_new. Main thread. */
#ifndef DAEMON_REST_H
#define DAEMON_REST_H

#include "budget.h"
#include "config.h"
#include "http.h"
#include "page.h"
#include "secret.h"

struct rest;

struct rest_hooks {
    void (*count)(void *user, const char *what,
                  uint64_t add); /* counter ids: "rest_requests", "rest_errors", ... */
    void (*refused)(void *user, long status, const char *message); /* 401: the key; 403: the plan */
    void *user;
    bool (*fault)(void *rest); /* tests: pipeline.h; else NULL */
};

int rest_new(struct rest **ret, uv_loop_t *loop, struct http *http, const struct config *config,
             const struct secret *secret, const struct rest_hooks *hooks) __attribute__((warn_unused_result));
void rest_free(struct rest *rest, void (*closed)(void *user),
               void *user); /* pending requests end with -ECANCELED */

struct rest_query {
    enum rest_kind kind;
    enum rest_class class;
    const char *ticker; /* the vendor's REST form: "AAPL", "X:BTCUSD"; of REST_GROUPED NULL; of REST_SNAPSHOT
                           a list with commas, NULL: the whole market */
    const char *timespan; /* of REST_BARS: "second", "minute", "hour", "day", ... */
    int64_t from;         /* both ends inclusive; ms, of trades and quotes ns */
    int64_t to;           /* REST_GROUPED: `from` is any time of the (New York) day, `to` is not looked at;
                             REST_SNAPSHOT:           neither is */
    bool newest_first;
    uint64_t max_rows; /* pages are followed until so many rows came, 0: all; also asked for as the size of a
                          page */
};

struct rest_done {
    int error; /* 0; -ENOENT 404; -EACCES 401, 403; -ECANCELED; -EBADMSG; network: negative errno */
    long status;
    const char *message; /* the vendor's words or ours, "" */
    uint64_t rows;       /* delivered */
    uint64_t bad_rows;   /* refused */
};

struct rest_sink {
    /* At most rest.batch_size rows of one page, in its order. */
    void (*rows)(void *user, const struct rest_rows *rows);
    /* Rows of a page that were refused for one reason, and the first of them. NULL: not wanted. */
    void (*bad)(void *user, const char *reason, struct event_text raw, uint64_t count);
    /* Once, the last call. */
    void (*done)(void *user, const struct rest_done *done);
    void *user;
};

/* The sink is called from the loop, never from within this call. -ENOMEM; -EINVAL: no such ticker or range;
 * -ECANCELED: after rest_free. */
int rest_get(struct rest *rest, const struct rest_query *query, const struct rest_sink *sink)
    __attribute__((warn_unused_result));

/* Does the vendor know this ticker? done->error 0 yes, -ENOENT no, else could not be asked. */
int rest_check_ticker(struct rest *rest, const char *ticker, enum rest_class class,
                      void (*done)(void *user, const struct rest_done *done), void *user)
    __attribute__((warn_unused_result));

/* The REST form of a canonical symbol: "X:BTC-USD" -> "X:BTCUSD", others unchanged. */
int rest_ticker(char ret[PGD_SYMBOL_MAX], const char *symbol);

#endif
