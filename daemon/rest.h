/* daemon/rest.h - REST requests with a budget: aggregates for warm-up, the reference endpoint for unknown
 * tickers.
 *
 * One queue for all; requests_per_minute is kept; 429 waits a whole minute (or Retry-After); 5xx and network
 * errors back off and are tried again a few times; 401 stops REST for good; 403 refuses that request. Pages
 * are followed by next_url, verbatim, to the configured hosts only. A page that broke off midway is asked for
 * again: its first rows may come twice. Tries are spaced by stream.backoff_*. Hooks and done may call every
 * function of this header but rest_new. Main thread. */
#ifndef DAEMON_REST_H
#define DAEMON_REST_H

#include "config.h"
#include "http.h"
#include "parse.h"
#include "secret.h"

struct rest;

struct rest_hooks {
    void (*count)(void *user, const char *what,
                  uint64_t add); /* counter ids: "rest_requests", "rest_errors", ... */
    void (*refused)(void *user, long status, const char *message); /* 401: the key; 403: the plan */
    void *user;
};

int rest_new(struct rest **ret, uv_loop_t *loop, struct http *http, const struct config *config,
             const struct secret *secret, const struct rest_hooks *hooks) __attribute__((warn_unused_result));
void rest_free(struct rest *rest, void (*closed)(void *user),
               void *user); /* pending requests end with -ECANCELED */

struct rest_aggs {
    const char *ticker;   /* the vendor's REST form: "AAPL", "X:BTCUSD" */
    const char *timespan; /* "second", "minute", "day" */
    int64_t from_ms;      /* both ends inclusive */
    int64_t to_ms;
    bool newest_first; /* sort=desc: the newest rows come first, so that max_rows keeps the newest */
    uint64_t max_rows; /* pages are followed until so many rows came, 0: all; also asked for as the size of a
                          page */
};

struct rest_done {
    int error; /* 0; -ENOENT 404; -EACCES 401, 403; -ECANCELED; -EBADMSG; network: negative errno */
    long status;
    const char *message; /* the vendor's words or ours, "" */
    uint64_t rows;
};

/* Rows go to `sink` (class BAR) page by page, then `done` once, never from within the call. Urgent requests
 * go before the others. -ENOMEM; -EINVAL: ticker too long; -ECANCELED: after rest_free. */
int rest_get_aggs(struct rest *rest, const struct rest_aggs *what, bool urgent, const struct parse_sink *sink,
                  void (*done)(void *user, const struct rest_done *done), void *user)
    __attribute__((warn_unused_result));

/* Does the vendor know this ticker? done->error 0 yes, -ENOENT no, else could not be asked. */
int rest_check_ticker(struct rest *rest, const char *ticker, bool urgent,
                      void (*done)(void *user, const struct rest_done *done), void *user)
    __attribute__((warn_unused_result));

/* The REST form of a canonical symbol: "X:BTC-USD" -> "X:BTCUSD", others unchanged. */
int rest_ticker(char ret[PGD_SYMBOL_MAX], const char *symbol);

#endif
