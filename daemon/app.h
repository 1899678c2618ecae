/* daemon/app.h - the daemon put together: what there is, in the order it is opened and closed. */
#ifndef DAEMON_APP_H
#define DAEMON_APP_H

#include "bus.h"
#include "cache_app.h"
#include "cluster.h"
#include "config.h"
#include "control.h"
#include "demand.h"
#include "feed.h"
#include "gaps_app.h"
#include "health.h"
#include "history.h"
#include "http.h"
#include "journal_app.h"
#include "log.h"
#include "prefetch_run.h"
#include "replay.h"
#include "rest.h"
#include "rest_only.h"
#include "secret.h"
#include "symbols.h"
#include "worker.h"

#define CONFIG_DEFAULT "/etc/polygond/polygond.yaml"

/* Exit codes of polygond; docs/monitoring.md explains them to operators. */
enum app_exit {
    APP_OK = 0,
    APP_FAILED = 1,
    APP_USAGE = 2,
    APP_UNKNOWN = 4,    /* --fetch: the vendor does not know a symbol */
    APP_LOST = 6,       /* --import --strict, --fetch: lines or rows were refused */
    APP_RESOURCES = 75, /* shared memory too small, or the instance already runs */
    APP_REFUSED = 77,   /* key or plan refused, and nothing else left to do */
    APP_CONFIG = 78,
    APP_INTERRUPTED = 130 /* --fetch: SIGINT */
};

struct app {
    uv_loop_t loop;
    const char *config_path;
    struct config *config;
    struct secret *secret; /* NULL: none was given */
    struct pgk_plan *plan;
    struct pgk_engine *engine;
    char engine_why[256]; /* the board has room for its beginning */
    struct bus bus;
    struct symbols *symbols;
    struct worker *worker;
    struct feed *feed;
    struct gaps_app gaps;
    struct journal *journal;                     /* NULL: none is written */
    const struct replay_options *replay_options; /* NULL: no replay */
    struct replay *replay;
    struct http *http;
    struct rest *rest; /* NULL: off */
    struct cache_app cache;
    struct prefetch_run *prefetch; /* NULL: off */
    struct history *history;
    struct rest_only *rest_only; /* NULL: REST is off */
    struct demand *demand;
    struct control *control;
    struct health *health;
    struct cluster clusters[PGD_CLUSTERS]; /* by enum pgd_cluster */
    uv_signal_t signals[3];
    uv_async_t engine_failed;
    uv_async_t engine_drained;
    int engine_error;
    const char *engine_notice;
    uv_timer_t poll; /* REST-only clusters */
    int closing;     /* parts still closing */
    bool stopping;
    struct log_rate dropped; /* events, for the log */
    int exit_code;
};

/* Runs until stopped. Returns the exit code. `config` is taken over. replay: a journal is served instead of
 * the vendor's streams, without key and network, in segments of its own; NULL: none. */
int app_run(struct config *config, const char *config_path, const struct replay_options *replay);

/* app_reload.c: reads the configuration again and applies what may change, for SIGHUP and the control socket
 * (user: the app). */
int app_reload(void *user, char *err, size_t err_size);

/* app_replay.c: what of the configuration does not hold for a replay; opening its part; a client's wish. */
void app_replay_configure(struct config *config);
int app_replay_open(struct app *app, char *err, size_t err_size) __attribute__((warn_unused_result));
int app_replay_take(struct app *app, struct symbol **ret, const char *name)
    __attribute__((warn_unused_result));

/* Begins a clean stop with this exit code. Idempotent. */
void app_stop(struct app *app, int exit_code);

/* Adds to a counter of the board by its name. */
void app_count(struct app *app, const char *what, uint64_t add);

/* A cluster goes on without its stream: see that it is polled over REST. */
void app_poll_start(struct app *app);

#endif
