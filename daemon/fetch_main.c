/* polygond --fetch: the parts put together, and the exit code. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "clock.h"
#include "fetch_args.h"
#include "fetch_main.h"
#include "fetch_show.h"
#include "fetch_table.h"

#define SHOW_MS      200u
#define AHEAD_SCARCE 4u
#define AHEAD_MORE   4u /* beyond two a connection */
#define REFUSED_MAX  10u

struct run {
    struct fetch_args args;
    struct config *config;
    struct secret *secret;
    char no_key[512];
    struct fetch_columns columns;
    struct cache *cache;
    uv_loop_t loop;
    struct http *http;
    struct rest *rest;
    struct fetch_table *table;
    struct fetch *fetch;
    struct fetch_show show;
    uv_signal_t signals[2];
    uv_timer_t timer;
    uv_work_t trim;
    char log[512]; /* the last of the log, of any thread */
    pthread_mutex_t log_lock;
    int interrupted; /* the signal */
    bool over;
    unsigned refused; /* lines on rows that were refused */
    bool failed, unknown, lost, denied_key, no_rest;
};

static int complain(const char *what, const char *why, int code)
{
    fprintf(stderr, "polygond: %s: %s\n", what, why);
    return code;
}

/* ------------------------------------------------------------------------------------------------ closing */

static void rest_closed(void *user)
{
    struct run *run = user;
    http_free(run->http);
    run->http = NULL;
}

static void close_rest(struct run *run)
{
    struct rest *rest = run->rest;
    run->rest = NULL;
    if (rest)
        rest_free(rest, rest_closed, run);
}

static void close_handles(struct run *run)
{
    for (size_t i = 0; i < sizeof run->signals / sizeof run->signals[0]; i++)
        uv_close((uv_handle_t *)&run->signals[i], NULL);
    uv_close((uv_handle_t *)&run->timer, NULL);
}

/* -------------------------------------------------------------------------------------------------- hooks */

static void on_batch(void *user, struct fetch_batch *batch)
{
    struct run *run = user;
    fetch_table_put(run->table, batch);
}

static void on_taken(void *user, struct fetch_batch *batch)
{
    struct run *run = user;
    fetch_taken(run->fetch, batch);
}

static void stop(struct run *run)
{
    fetch_stop(run->fetch);
    close_rest(run);
}

static void on_table_failed(void *user, int error)
{
    struct run *run = user;
    fetch_show_say(&run->show, error == -EPIPE ? "standard output" : "table", strerror(-error));
    run->failed = true;
    stop(run);
}

static void on_trouble(void *user, enum fetch_trouble what, const struct fetch_symbol *symbol,
                       const char *why)
{
    struct run *run = user;
    if (what == FETCH_REFUSED) {
        run->lost = true;
        if (++run->refused > REFUSED_MAX)
            return;
    }
    run->failed |= what == FETCH_FAILED || what == FETCH_DENIED || what == FETCH_STOPPED;
    run->unknown |= what == FETCH_UNKNOWN;
    fetch_show_say(&run->show, symbol ? symbol->name : "fetch", why);
    if (what == FETCH_STOPPED) {
        run->no_rest = !run->rest;
        close_rest(run);
    }
}

static void on_done(void *user)
{
    struct run *run = user;
    run->over = true;
    close_rest(run);
    close_handles(run);
    if (!run->interrupted)
        fetch_table_finish(run->table);
    else
        uv_stop(&run->loop); /* whoever reads the table may not take it: it is not waited for */
}

static void on_count(void *user, const char *what, uint64_t add)
{
    struct run *run = user;
    if (strcmp(what, "rest_requests") == 0) {
        run->show.requests += add;
        run->show.waits = false;
    }
    run->show.waits |= strcmp(what, "rest_throttled") == 0;
}

static void on_refused(void *user, long status, const char *message)
{
    struct run *run = user;
    (void)message; /* comes with the question's end */
    run->denied_key |= status == 401;
}

/* Warnings of the parts below: kept until the loop shows them. */
static void on_log(void *user, const char *where, const char *text)
{
    struct run *run = user;
    pthread_mutex_lock(&run->log_lock);
    if (strcmp(where, "rest") == 0)
        snprintf(run->log, sizeof run->log, "%.500s", text);
    pthread_mutex_unlock(&run->log_lock);
}

static void on_timer(uv_timer_t *timer)
{
    struct run *run = timer->data;
    char text[sizeof run->log];
    pthread_mutex_lock(&run->log_lock);
    memcpy(text, run->log, sizeof text);
    run->log[0] = '\0';
    pthread_mutex_unlock(&run->log_lock);
    if (text[0])
        fetch_show_say(&run->show, "rest", text);
    fetch_show_progress(&run->show, uv_hrtime());
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct run *run = handle->data;
    if (run->interrupted)
        _exit(128 + number); /* told twice: files are whole at any time */
    run->interrupted = number;
    stop(run);
}

static void on_damaged(void *user, const char *path, const char *why)
{
    struct run *run = user;
    pthread_mutex_lock(&run->log_lock);
    snprintf(run->log, sizeof run->log, "cache: set aside: %.300s: %.100s", path, why);
    pthread_mutex_unlock(&run->log_lock);
}

/* ------------------------------------------------------------------------------------------------ opening */

static void open_cache(struct run *run)
{
    char directory[PATH_MAX] = "cache";
    struct cache_options options;
    if (!run->config->cache.enabled && !run->args.cache)
        return;
    int r = cache_app_options(&options, run->config, directory, sizeof directory);
    options.damaged = on_damaged;
    options.user = run;
    if (r == 0)
        r = cache_open(&run->cache, &options);
    if (r < 0) {
        complain(directory, r == -ENOENT ? "no place known for the cache: nothing is kept" : strerror(-r), 0);
        return;
    }
}

static void trim_work(uv_work_t *work)
{
    struct run *run = work->data;
    cache_trim(run->cache); /* so that it knows how large it is */
}

static int open_loop(struct run *run)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    int r = uv_loop_init(&run->loop);
    if (r < 0)
        return r;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uv_signal_init(&run->loop, &run->signals[i]);
        run->signals[i].data = run;
        uv_signal_start(&run->signals[i], on_signal, numbers[i]);
    }
    uv_timer_init(&run->loop, &run->timer);
    run->timer.data = run;
    run->trim.data = run;
    if (run->cache)
        uv_queue_work(&run->loop, &run->trim, trim_work, NULL);
    return uv_timer_start(&run->timer, on_timer, SHOW_MS, SHOW_MS);
}

/* Without a key the cache still serves. */
static int open_rest(struct run *run)
{
    const struct config *c = run->config;
    if (!c->rest.enabled) {
        snprintf(run->no_key, sizeof run->no_key, "rest.enabled is false, and not all is in the cache");
        return 0;
    }
    if (secret_load(&run->secret, c->key.file, run->no_key, sizeof run->no_key) < 0)
        return 0;
    struct http_options options = {c->stream.ca_file, c->stream.proxy, c->rest.connections};
    struct rest_hooks hooks = {.count = on_count, .refused = on_refused, .user = run};
    int r = http_new(&run->http, &run->loop, &options);
    return r < 0 ? r : rest_new(&run->rest, &run->loop, run->http, c, run->secret, &hooks);
}

/* What the configuration says is for many symbols at once; one history at a time is the CPU's. */
static enum pgk_kind engine_kind(const struct run *run)
{
    enum pgk_kind kind = PGK_AUTO;
    if (run->args.engine)
        (void)pgk_kind_named(run->args.engine, &kind);
    return kind;
}

static int open_fetch(struct run *run)
{
    const struct config *c = run->config;
    bool scarce = c->rest.requests_per_minute != 0;
    struct fetch_options options = {
        .loop = &run->loop,
        .cache = run->cache,
        .rest = run->rest,
        .no_rest = run->no_key,
        .timespan = run->args.timespan,
        .span_ms = run->args.span_ms,
        .now_ms = run->args.now_ms,
        .ahead = scarce ? AHEAD_SCARCE : 2 * c->rest.connections + AHEAD_MORE,
        .spread = run->args.count < c->rest.connections,
        .scarce = scarce,
        .hooks = {on_batch, on_trouble, on_done, run},
    };
    int r = fetch_new(&run->fetch, &options, run->args.symbols, run->args.count);
    fetch_show_init(&run->show, run->args.count, run->args.quiet);
    run->show.fetch = run->fetch;
    return r;
}

static int open_all(struct run *run)
{
    char err[512] = "";
    open_cache(run);
    int r = open_loop(run);
    struct fetch_table_options options = {.loop = &run->loop,
                                          .fd = STDOUT_FILENO,
                                          .json = run->args.json,
                                          .engine = engine_kind(run),
                                          .columns = &run->columns,
                                          .taken = on_taken,
                                          .failed = on_table_failed,
                                          .user = run};
    if (r == 0)
        r = open_rest(run);
    if (r == 0)
        r = open_fetch(run);
    if (r == 0)
        r = fetch_table_new(&run->table, &options, err, sizeof err);
    return r < 0 ? complain("fetch", err[0] ? err : strerror(-r), APP_FAILED) : 0;
}

/* ------------------------------------------------------------------------------------------------ running */

static int verdict(const struct run *run)
{
    if (run->interrupted)
        return APP_INTERRUPTED - SIGINT + run->interrupted;
    if (run->denied_key)
        return APP_REFUSED;
    if (run->no_rest)
        return APP_CONFIG;
    if (run->failed)
        return APP_FAILED;
    return run->unknown ? APP_UNKNOWN : run->lost ? APP_LOST : APP_OK;
}

static int finish(struct run *run)
{
    char text[PATH_MAX + 128];
    const char *notice = run->table && !run->interrupted ? fetch_table_notice(run->table) : NULL;
    if (notice)
        fetch_show_say(&run->show, "engine", notice);
    if (run->refused > REFUSED_MAX)
        fetch_show_say(&run->show, "fetch", "further rows were refused, which are not shown");
    if (run->interrupted) {
        snprintf(text, sizeof text, "the table is cut short; %s%s",
                 run->cache ? "what was fetched is kept, and the same command goes on from there: "
                            : "nothing is kept, there being no cache",
                 run->cache ? cache_place(run->cache) : "");
        fetch_show_say(&run->show, "interrupted", text);
    }
    fetch_show_end(&run->show, uv_hrtime(), run->interrupted ? "interrupted after " : "");
    return verdict(run);
}

static int run_all(struct run *run)
{
    int r = open_all(run);
    if (r)
        return r;
    log_hook(on_log, run);
    (void)log_level_set("error");
    fetch_start(run->fetch);
    uv_run(&run->loop, UV_RUN_DEFAULT);
    r = finish(run);
    log_hook(NULL, NULL);
    if (run->interrupted)
        return r; /* the table's thread may still be at work: the process ends now */
    fetch_free(run->fetch);
    fetch_table_free(run->table);
    uv_loop_close(&run->loop);
    return r;
}

static int load(struct run *run)
{
    char err[512];
    const char *path = run->args.config                    ? run->args.config
                       : access(CONFIG_DEFAULT, F_OK) == 0 ? CONFIG_DEFAULT
                                                           : NULL;
    if (config_load(&run->config, path, err, sizeof err) < 0) {
        fprintf(stderr, "polygond: %s\n", err);
        return APP_CONFIG;
    }
    if (run->args.cache) {
        free(run->config->cache.directory);
        run->config->cache.directory = strdup(run->args.cache);
        if (!run->config->cache.directory)
            return complain("fetch", "out of memory", APP_FAILED);
    }
    const struct config *c = run->config;
    int r = fetch_columns_init(&run->columns, run->args.columns, run->args.indicators, c->engine.indicators,
                               c->engine.indicators_count, err, sizeof err);
    return r < 0 ? complain("fetch", err, APP_USAGE) : 0;
}

int fetch_main(int argc, char **argv)
{
    static struct run run; /* outlives whatever still runs at the end */
    pthread_mutex_init(&run.log_lock, NULL);
    int r = fetch_args_parse(&run.args, argc, argv, clock_real_ns() / 1000000);
    if (r >= 0)
        return r;
    r = load(&run);
    if (r == 0)
        r = run_all(&run);
    if (run.interrupted)
        return r;
    fetch_columns_fini(&run.columns);
    cache_close(run.cache);
    secret_free(run.secret);
    config_free(run.config);
    fetch_args_fini(&run.args);
    return r;
}
