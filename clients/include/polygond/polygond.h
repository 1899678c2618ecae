/* polygond/polygond.h - libpolygond: read what a polygond daemon publishes.
 *
 * The library attaches read-only to an instance's shared memory, finds symbols, waits without polling, and
 * copies rows, trades and quotes out after checking that each is whole. It can harm neither the daemon nor
 * other readers. It needs nothing but libc, logs nothing, starts no thread, installs no signal handler.
 *
 *     struct pgd_client *client;
 *     struct pgd_sub *sub;
 *     const struct pgd_event *event;
 *     int r = pgd_open(&client, NULL);                     // instance "main"
 *     if (r < 0)
 *         errx(1, "%s", pgd_strerror(r));
 *     r = pgd_sub_new(&sub, client);
 *     if (r == 0)
 *         r = pgd_sub_stream(sub, "bars.1m", 1);           // begin with the newest row of each symbol
 *     if (r >= 0)
 *         r = pgd_sub_symbol(sub, "AAPL");
 *     while (r >= 0 && (r = pgd_sub_next(sub, &event, -1)) > 0)
 *         if (event->kind == PGD_EVENT_BAR)
 *             printf("%s %f\n", event->name, event->bar.c);
 *     pgd_sub_free(sub);
 *     pgd_close(client);
 *
 * Errors are negative: errno values, or one of enum pgd_error_code; pgd_strerror has a text for both. Output
 * parameters are untouched on failure. A client and everything made from it belong to one thread at a time;
 * different threads open different clients (a mapping costs next to nothing).
 *
 * Times are what the field says: bars carry ms since 1970 (UTC), trades and quotes ns since 1970. An absent
 * number is NaN. Structures shared with the daemon are described in polygond/abi.h. */
#ifndef POLYGOND_POLYGOND_H
#define POLYGOND_POLYGOND_H

#include <stddef.h>
#include <stdint.h>

#include "polygond/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PGD_API   __attribute__((visibility("default")))
#define PGD_CHECK __attribute__((warn_unused_result))
#else
#define PGD_API
#define PGD_CHECK
#endif

/* ---------------------------------------------------------------------------------------------------- errors
 *
 * X(code, value, text). Values lie outside errno's range. */
#define PGD_ERRORS(X)                                                                                        \
    X(PGD_ERR_NO_INSTANCE, -10001, "no such instance (the daemon has never run here)")                       \
    X(PGD_ERR_NO_DAEMON, -10002, "no daemon is running")                                                     \
    X(PGD_ERR_UNKNOWN, -10003, "unknown symbol")                                                             \
    X(PGD_ERR_REFUSED, -10004, "the vendor refused the subscription")                                        \
    X(PGD_ERR_LIMIT, -10005, "the daemon holds as many symbols as it is configured for")                     \
    X(PGD_ERR_DENIED, -10006, "not permitted to change the daemon's subscriptions")                          \
    X(PGD_ERR_OFF, -10007, "the daemon's control socket is off")                                             \
    X(PGD_ERR_NO_STREAM, -10008, "the daemon does not publish this stream")                                  \
    X(PGD_ERR_CONTROL, -10009, "the daemon's answer was not understood")                                     \
    X(PGD_ERR_CLUSTER, -10010, "the symbol's cluster or topic is not configured")                            \
    X(PGD_ERR_FAILED, -10011, "the daemon could not do it")

enum pgd_error_code {
#define PGD_ERROR_ENUM(code, value, text) code = value,
    PGD_ERRORS(PGD_ERROR_ENUM)
#undef PGD_ERROR_ENUM
};

/* Text for any error of this library. Never NULL. */
PGD_API const char *pgd_strerror(int error);

/* Version of the library, "0.1.0". */
PGD_API const char *pgd_version(void);

/* ----------------------------------------------------------------------------------------------- instance */

struct pgd_client; /* an attached instance */

/* Attaches to an instance (NULL: "main") by its board; other segments are mapped when first asked for. The
 * daemon need not be running: what it published last is still there. PGD_ERR_NO_INSTANCE, -EACCES (not in
 * the bus's group), -EAGAIN (being created at this moment), -EPROTO (damaged), -EPROTONOSUPPORT (another ABI
 * version), -EINVAL (no valid name), -ENOMEM. */
PGD_API int pgd_open(struct pgd_client **ret, const char *instance) PGD_CHECK;

/* Frees the client; its subscriptions must have been freed before. NULL is fine. */
PGD_API void pgd_close(struct pgd_client *client);

/* Looks whether segments have been replaced by a successor (a daemon that came back with another
 * configuration) and attaches those. 1: something was replaced, indexes of symbols and streams' columns may
 * differ; 0: nothing. Subscriptions call this by themselves. */
PGD_API int pgd_refresh(struct pgd_client *client);

struct pgd_status {
    char instance[PGD_INSTANCE_MAX];
    char version[32];     /* the daemon's */
    char engine[96];      /* which engine computes, and why */
    char control[112];    /* path of the control socket, "" when off */
    uint32_t alive;       /* 1: a daemon holds the instance now */
    uint32_t pid;         /* of the present or last daemon */
    uint32_t run_state;   /* enum pgd_run_state, as the daemon last said */
    uint32_t symbols;     /* in the directory */
    uint32_t symbols_max; /* limit */
    uint32_t segments;    /* besides the board */
    uint32_t errors;      /* distinct errors */
    uint32_t counters;
    uint64_t epoch;           /* number of this daemon run */
    int64_t started_ns;       /* ns since 1970 */
    int64_t heartbeat_age_ns; /* since the daemon's main loop last turned; above 5 s it is wedged */
    uint64_t memory;          /* bytes of all segments, board included */
};
PGD_API void pgd_get_status(const struct pgd_client *client, struct pgd_status *ret);

/* The directory and the tables of the board, by index from 0: 0, or -ENOENT past the end. */
PGD_API int pgd_get_symbol(const struct pgd_client *client, uint32_t index, struct pgd_symbol *ret) PGD_CHECK;
PGD_API int pgd_get_segment(const struct pgd_client *client, uint32_t index,
                            struct pgd_segment_entry *ret) PGD_CHECK;
PGD_API int pgd_get_counter(const struct pgd_client *client, uint32_t index,
                            struct pgd_counter *ret) PGD_CHECK;
PGD_API int pgd_get_error(const struct pgd_client *client, uint32_t index, struct pgd_error *ret) PGD_CHECK;

/* Holes in the data, by row from 0: those open, being filled, and some that are over. 0; -ENOENT: past the
 * end (row >= pgd_gaps()), or the row holds none; -EAGAIN: it is being rewritten. Rows are in no order: `id`
 * grows with the time of the finding, and a row can come to hold another hole. */
PGD_API uint32_t pgd_gaps(const struct pgd_client *client);
PGD_API int pgd_get_gap(const struct pgd_client *client, uint32_t row, struct pgd_gap *ret) PGD_CHECK;

/* The words of a hole, for people: why there is one, its state, why it stays one. Never NULL. */
PGD_API const char *pgd_gap_why_text(unsigned why);
PGD_API const char *pgd_gap_state_text(unsigned state);
PGD_API const char *pgd_gap_reason_text(unsigned reason);

/* The connection of a cluster; state PGD_CONN_OFF when it has none. */
PGD_API int pgd_get_conn(const struct pgd_client *client, enum pgd_cluster cluster,
                         struct pgd_conn *ret) PGD_CHECK;

/* Index of a symbol: >= 0, or -ENOENT: the daemon does not hold it (see pgd_request). */
PGD_API int32_t pgd_find(const struct pgd_client *client, const char *symbol) PGD_CHECK;

/* --------------------------------------------------------------------------------------------------- streams
 *
 * A stream is one segment: "bars.1s", "bars.1m", "trades", "quotes". It is known by a small number, valid as
 * long as the client. */

/* Maps the segment if need be. Number >= 0, PGD_ERR_NO_STREAM, or as pgd_open. */
PGD_API int pgd_stream(struct pgd_client *client, const char *name) PGD_CHECK;

PGD_API const char *pgd_stream_name(const struct pgd_client *client, int stream); /* NULL: no such stream */
PGD_API enum pgd_kind pgd_stream_kind(const struct pgd_client *client, int stream);

/* Indicator columns of a bars stream: how many, and the name and unit ("price", "points", "shares") of each.
 * NULL past the end. */
PGD_API unsigned pgd_columns(const struct pgd_client *client, int stream);
PGD_API const char *pgd_column_name(const struct pgd_client *client, int stream, unsigned column);
PGD_API const char *pgd_column_unit(const struct pgd_client *client, int stream, unsigned column);

/* Rows per symbol, or slots of a tape, that the stream keeps. */
PGD_API uint32_t pgd_stream_capacity(const struct pgd_client *client, int stream);

/* ------------------------------------------------------------------------------------------------------ rows
 *
 * Rows of a series are numbered from 0 and stay `capacity` rows long. A published row can be revised: the
 * vendor sends corrected bars for minutes. Every copy is whole and of one revision. */

/* Rows published so far, the ones that left the ring included. */
PGD_API uint64_t pgd_rows(const struct pgd_client *client, int stream, uint32_t symbol);

/* Row that is the oldest one still held (== pgd_rows when there is none). */
PGD_API uint64_t pgd_rows_first(const struct pgd_client *client, int stream, uint32_t symbol);

/* Copies one row; `columns` takes pgd_columns() doubles, or is NULL.
 *   1  the row with its indicators (NaN: not defined at this row)
 *   2  the row; its indicators are being computed, all NaN for now
 *   0  not published yet
 *   -EOVERFLOW  it has left the ring;  -EAGAIN  it is being rewritten, or a daemon died in it */
PGD_API int pgd_row(const struct pgd_client *client, int stream, uint32_t symbol, uint64_t index,
                    struct pgd_bar *bar, double *columns) PGD_CHECK;

/* Columns of pgd_series_copy before the indicators. */
enum pgd_series_column {
    PGD_COL_T = 0, /* ms since 1970, exact */
    PGD_COL_O,
    PGD_COL_H,
    PGD_COL_L,
    PGD_COL_C,
    PGD_COL_V,
    PGD_COL_VW,
    PGD_COL_N, /* NaN absent */
    PGD_COL_INDICATORS
};

/* Copies a window into plain columns: the newest `rows` rows, oldest first, fewer when there are fewer. `to`
 * is column-major: value j of column k is to[k * rows + j], k from enum pgd_series_column, then the
 * indicators; it has room for rows * (PGD_COL_INDICATORS + pgd_columns()) doubles. Returns the number of rows
 * copied and in *ret_first (may be NULL) the number of the first. Each row is whole, starts increase, none is
 * left out. -EAGAIN: the series kept changing. */
PGD_API int64_t pgd_series_copy(const struct pgd_client *client, int stream, uint32_t symbol, uint32_t rows,
                                double *to, uint64_t *ret_first) PGD_CHECK;

/* The bar still forming, and the figures of the day: 1, or 0 when there is none. */
PGD_API int pgd_forming(const struct pgd_client *client, int stream, uint32_t symbol,
                        struct pgd_bar *ret) PGD_CHECK;
PGD_API int pgd_day_figures(const struct pgd_client *client, int stream, uint32_t symbol,
                            struct pgd_day *ret) PGD_CHECK;

/* The latest trade or quote of a symbol: 1, or 0 when there is none. */
PGD_API int pgd_latest_trade(struct pgd_client *client, uint32_t symbol, struct pgd_trade *ret) PGD_CHECK;
PGD_API int pgd_latest_quote(struct pgd_client *client, uint32_t symbol, struct pgd_quote *ret) PGD_CHECK;

/* ----------------------------------------------------------------------------------------------- subscribing
 *
 * A subscription merges any number of streams and symbols. It sleeps in the kernel until one of the streams
 * has something; once a second it looks whether the daemon still lives. It survives the daemon: a restart
 * goes on where the dead run ended, and a replaced segment is attached by itself. */

struct pgd_sub;

PGD_API int pgd_sub_new(struct pgd_sub **ret, struct pgd_client *client) PGD_CHECK;
PGD_API void pgd_sub_free(struct pgd_sub *sub);

/* Adds a stream. `history` says where to begin: 0 with what comes next; N (bars) with the newest N rows of
 * each symbol, (tapes) with the latest record of each symbol when N is 1 (it may come once more with its
 * neighbours), else N records back on the tape; PGD_ALL with everything held. Number of the stream, or an
 * error. */
#define PGD_ALL      UINT32_MAX
#define PGD_NO_INDEX UINT64_MAX
PGD_API int pgd_sub_stream(struct pgd_sub *sub, const char *stream, uint32_t history) PGD_CHECK;

/* Adds a symbol by name; it need not be in the directory yet and is delivered from when it is. 0 or -ENOMEM,
 * -EINVAL. With pgd_sub_all every symbol is delivered, also those that come later. */
PGD_API int pgd_sub_symbol(struct pgd_sub *sub, const char *symbol) PGD_CHECK;
PGD_API void pgd_sub_all(struct pgd_sub *sub);

/* Also deliver rows whose indicators changed because an earlier bar was revised (PGD_ROW_RECOMPUTED). */
PGD_API void pgd_sub_recomputed(struct pgd_sub *sub, int on);

enum pgd_event_kind {
    PGD_EVENT_BAR = 1,
    PGD_EVENT_TRADE,
    PGD_EVENT_QUOTE,
    PGD_EVENT_LOST,    /* the writer lapped this reader; `lost` records of `stream` are gone */
    PGD_EVENT_DOWN,    /* the daemon died (`reason` 0) or is wedged (1) */
    PGD_EVENT_UP,      /* a daemon is (back) at work; `epoch` says which run */
    PGD_EVENT_REPLACED /* `stream` was replaced by a successor; columns may differ */
};

enum pgd_row_flag {
    PGD_ROW_REVISED = 1,    /* not newer than what was delivered: another version of a row, or a late one */
    PGD_ROW_RECOMPUTED = 2, /* the bar is as before, indicators changed */
    PGD_ROW_HISTORY = 4,    /* was there before the subscription, or was filled in from REST */
    PGD_ROW_UNCOMPUTED = 8  /* the indicators lag a revision; the row comes again with them */
};

/* What happened. Lives in the subscription until its next call. */
struct pgd_event {
    enum pgd_event_kind kind;
    int stream;                /* -1: none */
    uint32_t symbol;           /* index in the directory */
    uint32_t flags;            /* enum pgd_row_flag */
    char name[PGD_SYMBOL_MAX]; /* the symbol, "" for events without one */
    uint64_t index; /* row of the series; for trades and quotes the record's number on the tape, PGD_NO_INDEX
                       when it is from the table of latest records */
    union {
        struct pgd_bar bar;
        struct pgd_trade trade;
        struct pgd_quote quote;
    };
    const double *columns; /* bar: indicators, pgd_columns() of them */
    unsigned column_count;
    uint32_t reason;
    uint64_t lost;
    uint64_t epoch;
};

/* Waits for the next event, at most timeout_ns (0: do not wait, negative: for ever). 1: an event; 0: none in
 * time; -EINTR: a signal arrived; else an error. A batch has been delivered whole when a call with timeout 0
 * returns 0. */
PGD_API int pgd_sub_next(struct pgd_sub *sub, const struct pgd_event **ret, int64_t timeout_ns) PGD_CHECK;

/* Records and rows lost so far, all streams together. */
PGD_API uint64_t pgd_sub_lost(const struct pgd_sub *sub);

/* -------------------------------------------------------------------------------------------------- changing
 *
 * The only calls that talk to the daemon. Who may is configured there (peer credentials). `text`, when given,
 * takes the daemon's own words, also on errors. */

/* Asks the daemon to hold a symbol. topics: enum pgd_topic bits, 0: the configured ones; cluster 0: let the
 * daemon tell from the symbol. Returns its index once every topic is acknowledged, or PGD_ERR_UNKNOWN,
 * PGD_ERR_REFUSED, PGD_ERR_LIMIT, PGD_ERR_CLUSTER, PGD_ERR_DENIED, PGD_ERR_FAILED, PGD_ERR_OFF,
 * PGD_ERR_NO_DAEMON, -EINVAL, or -ETIMEDOUT: not acknowledged yet; the daemon keeps asking for it. */
PGD_API int32_t pgd_request(struct pgd_client *client, const char *symbol, uint32_t topics, int cluster,
                            int64_t timeout_ns, char *text, size_t text_size) PGD_CHECK;

/* Sends one request line ("pending", "reload", "ping") and hands each answer line before the last to `line`
 * (may be NULL). 0, or an error as above. */
typedef void pgd_line_fn(void *user, const char *line);
PGD_API int pgd_control(struct pgd_client *client, const char *request, pgd_line_fn *line, void *user,
                        int64_t timeout_ns, char *text, size_t text_size) PGD_CHECK;

#ifdef __cplusplus
}
#endif

#endif
