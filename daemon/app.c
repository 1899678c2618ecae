#include "app.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define POLL_DEFAULT_S 60u
#define STALL_NS       INT64_C(30000000000)

/* ------------------------------------------------------------------------------------------------ closing */

static void close_own_handles(struct app *app)
{
    for (size_t i = 0; i < sizeof app->signals / sizeof app->signals[0]; i++)
        uv_close((uv_handle_t *)&app->signals[i], NULL);
    uv_close((uv_handle_t *)&app->engine_failed, NULL);
    uv_close((uv_handle_t *)&app->engine_drained, NULL);
    uv_close((uv_handle_t *)&app->poll, NULL);
    http_free(app->http);
    app->http = NULL;
}

static void part_closed(void *user)
{
    struct app *app = user;
    if (--app->closing == 0)
        close_own_handles(app);
}

void app_stop(struct app *app, int exit_code)
{
    if (app->stopping)
        return;
    app->stopping = true;
    app->exit_code = exit_code;
    log_event(LOG_STOP, "stopping%s",
              exit_code == APP_REFUSED ? ": the key or plan was refused and nothing is left to do" : "");
    health_stopping();
    if (app->bus.board.board)
        pgd_board_set_run(&app->bus.board, PGD_RUN_STOPPING);
    app->closing = 1; /* this call's own share */
    cache_app_stop(&app->cache);
    for (int i = 0; i < PGD_CLUSTERS; i++)
        if (app->clusters[i].stream) {
            app->closing++;
            stream_free(app->clusters[i].stream, part_closed, app);
            app->clusters[i].stream = NULL;
        }
    if (app->rest) {
        app->closing++;
        rest_free(app->rest, part_closed, app);
        app->rest = NULL;
    }
    app->closing++;
    if (!gaps_app_stop(app, part_closed, app))
        app->closing--;
    replay_stop(app->replay);
    if (app->control) {
        app->closing++;
        control_free(app->control, part_closed, app);
        app->control = NULL;
    }
    if (app->health) {
        app->closing++;
        health_free(app->health, part_closed, app);
        app->health = NULL;
    }
    part_closed(app);
}

/* ----------------------------------------------------------------------------------------- hooks of parts */

static void on_log(void *user, const char *where, const char *text)
{
    struct app *app = user;
    if (app->bus.board.board)
        pgd_board_error(&app->bus.board, where, text);
}

static struct symbol *on_unheld(void *user, enum pgd_cluster cluster, struct event_text wire)
{
    struct app *app = user;
    return cluster_unheld(&app->clusters[cluster], wire);
}

/* The board counts each reason; the log shows examples. */
static void on_dropped(void *user, enum pgd_cluster cluster, const char *reason, struct event_text raw)
{
    struct app *app = user;
    char text[120];
    snprintf(text, sizeof text, "%s: event dropped: %s", config_cluster_name(cluster), reason);
    pgd_board_error(&app->bus.board, "event_refused", text);
    size_t n = raw.n < 160 ? raw.n : 160;
    log_event_rate(&app->dropped, 10, LOG_EVENT_REFUSED, "%s: %.*s", text, (int)n, raw.p);
}

static void on_engine_async(uv_async_t *handle)
{
    struct app *app = handle->data;
    int error = __atomic_exchange_n(&app->engine_error, 0, __ATOMIC_RELAXED);
    const char *notice = __atomic_exchange_n(&app->engine_notice, NULL, __ATOMIC_ACQUIRE);
    if (notice) {
        log_event(LOG_ENGINE_FAULT, "%s", notice);
        pgd_board_set_engine(&app->bus.board, notice);
    }
    if (!error)
        return;
    log_event(LOG_ENGINE_FAULT, "the engine failed (%s): rows are published without indicators",
              strerror(-error));
}

static void on_drained_async(uv_async_t *handle)
{
    struct app *app = handle->data;
    worker_kick(app->worker);
}

static void on_engine_drained(void *user)
{
    struct app *app = user;
    uv_async_send(&app->engine_drained);
}

static void on_engine_changed(void *user, const char *what)
{
    struct app *app = user;
    __atomic_store_n(&app->engine_notice, what, __ATOMIC_RELEASE);
    uv_async_send(&app->engine_failed);
}

static void on_engine_failed(void *user, int error)
{
    struct app *app = user;
    __atomic_store_n(&app->engine_error, error, __ATOMIC_RELAXED);
    uv_async_send(&app->engine_failed);
}

void app_count(struct app *app, const char *what, uint64_t add)
{
    for (unsigned i = 0; i < PGD_COUNTER_COUNT; i++)
        if (strcmp(pgd_counter_infos[i].name, what) == 0)
            pgd_count(&app->bus.board, (enum pgd_counter_id)i, add);
}

static void on_rest_count(void *user, const char *what, uint64_t add)
{
    app_count(user, what, add);
}

static void on_rest_refused(void *user, long status, const char *message)
{
    struct app *app = user;
    log_event(LOG_REST_REFUSED, "REST answered %ld: %s", status, message);
    if (status != 401)
        return;
    for (int i = 0; i < PGD_CLUSTERS; i++)
        if (app->clusters[i].stream && app->clusters[i].stopped == STREAM_STOP_NONE)
            return;
    app_stop(app, APP_REFUSED);
}

static int on_take(void *user, struct symbol **ret, const char *name, enum pgd_cluster cluster,
                   uint32_t topics)
{
    struct app *app = user;
    if (app->replay)
        return app_replay_take(app, ret, name);
    int r = cluster_take(&app->clusters[cluster], ret, name, topics);
    if (r == 0)
        (*ret)->asked = true;
    return r;
}

static void on_asked(void *user, const struct symbol *symbol, bool held)
{
    struct app *app = user;
    if (app->prefetch)
        prefetch_run_asked(app->prefetch, symbol->name, (enum pgd_cluster)symbol->cluster, held);
}

static void on_subscribe(void *user, struct control_request *request, const char *symbol, uint32_t topics,
                         enum pgd_cluster cluster)
{
    struct app *app = user;
    demand_ask(app->demand, request, symbol, topics, cluster);
}

struct pending_call {
    struct control_request *request;
    enum pgd_cluster cluster;
    unsigned count;
};

static void pending_line(void *user, const char *symbol, enum pgd_topic topic, int how)
{
    struct pending_call *call = user;
    control_line(call->request, "pair %s %s %s %s", config_cluster_name(call->cluster), symbol,
                 stream_topic(call->cluster, topic), how < 0 ? "refused" : "waiting");
    call->count++;
}

static void on_pending(void *user, struct control_request *request)
{
    struct app *app = user;
    struct pending_call call = {.request = request};
    for (int i = 0; i < PGD_CLUSTERS; i++) {
        call.cluster = (enum pgd_cluster)i;
        if (app->clusters[i].stream)
            stream_unacked(app->clusters[i].stream, pending_line, &call);
    }
    control_finish(request, "ok %u", call.count);
}

static void on_control_stop(void *user)
{
    app_stop(user, APP_OK);
}

static void on_gone(void *user, struct control_request *request)
{
    struct app *app = user;
    demand_gone(app->demand, request);
}

static void on_control_count(void *user, bool refused)
{
    struct app *app = user;
    pgd_count(&app->bus.board, refused ? PGD_C_control_refused : PGD_C_control_requests, 1);
}

static void on_beat(void *user)
{
    struct app *app = user;
    pgd_board_beat(&app->bus.board);
    symbols_show_all(app->symbols);
    worker_kick(app->worker);
    if (app->history)
        history_tick(app->history);
    gaps_app_tick(app);
    demand_tick(app->demand);
    cache_app_count(&app->cache, &app->bus);
    if (app->prefetch && !app->stopping)
        prefetch_run_tick(app->prefetch);
    journal_app_count(app->journal, &app->bus);
}

static void on_cached(void *user)
{
    struct app *app = user;
    feed_batch(app->feed, 0, 0);
}

static bool on_alive(void *user)
{
    struct app *app = user;
    if (!worker_stalled(app->worker, STALL_NS))
        return true;
    log_event(LOG_HEALTH, "the engine's thread has made no progress for 30 s");
    return false;
}

static void on_clock_step(void *user, int64_t ns)
{
    (void)user;
    log_event(LOG_HEALTH,
              "the wall clock jumped by %.3f s; records keep the vendor's times, timers are not affected",
              (double)ns / 1e9);
}

/* ------------------------------------------------------------------------------------------------ signals */

static void on_signal(uv_signal_t *handle, int number)
{
    struct app *app = handle->data;
    char err[512];
    if (number == SIGHUP)
        (void)app_reload(app, err, sizeof err);
    else
        app_stop(app, APP_OK);
}

static void on_poll(uv_timer_t *timer)
{
    struct app *app = timer->data;
    if (app->history && history_pending(app->history))
        return; /* of the round before */
    for (int i = 0; i < PGD_CLUSTERS; i++)
        cluster_poll(&app->clusters[i]);
}

void app_poll_start(struct app *app)
{
    uint64_t period_ms = 1000ull * (app->config->rest.poll_s ? app->config->rest.poll_s : POLL_DEFAULT_S);
    if (!uv_is_active((uv_handle_t *)&app->poll) && app->rest)
        uv_timer_start(&app->poll, on_poll, period_ms, period_ms);
}

/* ------------------------------------------------------------------------------------------------ opening */

static int failed(int exit_code, enum log_id id, const char *text)
{
    log_event(id, "%s", text);
    return exit_code;
}

static int open_secret(struct app *app)
{
    char err[512];
    int r = secret_load(&app->secret, app->config->key.file, err, sizeof err);
    if (r == 0)
        return 0;
    return failed(APP_CONFIG, LOG_CONFIG, err);
}

static int group_of(const char *name, gid_t *ret)
{
    *ret = (gid_t)-1;
    if (!name[0])
        return 0;
    const struct group *g = getgrnam(name);
    if (!g)
        return -ENOENT;
    *ret = g->gr_gid;
    return 0;
}

static int open_engine(struct app *app)
{
    char err[256];
    const struct config *c = app->config;
    if (pgk_plan_new(&app->plan, (const char *const *)c->engine.indicators, c->engine.indicators_count, err,
                     sizeof err) < 0)
        return failed(APP_CONFIG, LOG_CONFIG, err);
    struct pgk_engine_options options = {.threads = c->engine.threads, .gpu_stay_us = c->engine.gpu_stay_us};
    if (!pgk_kind_named(c->engine.kind, &options.kind))
        return failed(APP_CONFIG, LOG_CONFIG, "engine.kind");
    if (pgk_engine_new(&app->engine, app->plan, &options, app->engine_why, sizeof app->engine_why) < 0)
        return failed(APP_CONFIG, LOG_CONFIG, app->engine_why);
    log_event(LOG_ENGINE, "%s", app->engine_why);
    return 0;
}

static int open_bus(struct app *app, const char *control, gid_t gid)
{
    char err[512] = "";
    int r = bus_open(&app->bus, app->config, app->plan, control, gid, err, sizeof err);
    if (r < 0)
        return failed(r == -EINVAL ? APP_CONFIG : APP_RESOURCES, LOG_FATAL, err[0] ? err : strerror(-r));
    log_event(LOG_BUS, "instance %s: %s, epoch %llu, %.1f MiB", app->config->instance,
              app->bus.adopted ? "rows of an earlier run adopted" : "new",
              (unsigned long long)app->bus.board.epoch,
              (double)bus_size(app->config, app->plan, err, sizeof err) / 1048576);
    pgd_board_set_engine(&app->bus.board, app->engine_why);
    return 0;
}

static int open_core(struct app *app)
{
    struct worker_hooks worker_hooks = {
        .failed = on_engine_failed, .changed = on_engine_changed, .drained = on_engine_drained, .user = app};
    int r = symbols_new(&app->symbols, &app->bus.board, app->config->bus.symbols);
    if (r == 0)
        r = worker_new(&app->worker, &app->bus, app->engine, &worker_hooks);
    struct feed_hooks hooks = {.unheld = on_unheld,
                               .dropped = on_dropped,
                               .hole = gaps_app_hole,
                               .covered = gaps_app_covered,
                               .user = app};
    if (r == 0)
        r = feed_new(&app->feed, &app->bus, app->symbols, app->worker, &hooks);
    if (r == 0)
        r = gaps_app_open(app);
    if (r == 0)
        r = worker_start(app->worker);
    if (r < 0)
        return failed(APP_FAILED, LOG_FATAL, strerror(-r));
    char err[512];
    r = journal_app_open(&app->journal, app->config, &app->bus, app->feed, err, sizeof err);
    return r < 0 ? failed(APP_CONFIG, LOG_CONFIG, err) : 0;
}

static int open_net(struct app *app)
{
    const struct config *c = app->config;
    struct http_options options = {c->stream.ca_file, c->stream.proxy, c->rest.connections};
    int r = http_new(&app->http, &app->loop, &options);
    if (r == 0 && c->rest.enabled) {
        struct rest_hooks hooks = {.count = on_rest_count, .refused = on_rest_refused, .user = app};
        r = rest_new(&app->rest, &app->loop, app->http, c, app->secret, &hooks);
        if (r == 0)
            r = cache_app_open(&app->cache, &app->loop, c, on_cached, app);
        if (r == 0)
            r = history_new(&app->history, &app->bus, app->symbols, app->feed, app->rest, app->cache.warm,
                            pgk_plan_warmup(app->plan));
    }
    if (r == 0 && app->rest)
        r = rest_only_new(&app->rest_only, &app->bus, app->symbols, app->feed, app->rest, app->history);
    if (r == 0 && app->rest && app->cache.warm && c->prefetch.enabled) {
        struct prefetch_parts parts = {&app->loop, c,         &app->bus,   app->symbols,
                                       app->feed,  app->rest, &app->cache, pgk_plan_warmup(app->plan)};
        r = prefetch_run_new(&app->prefetch, &parts);
    }
    if (r == 0) {
        struct demand_hooks hooks = {on_take, on_asked, app};
        r = demand_new(&app->demand, app->symbols, app->rest, &hooks);
    }
    if (r == 0)
        r = gaps_app_net(app);
    return r < 0 ? failed(APP_FAILED, LOG_FATAL, strerror(-r)) : 0;
}

static int open_control(struct app *app, const char *path, gid_t gid)
{
    if (!path[0])
        return 0;
    struct control_hooks hooks = {on_subscribe, on_pending,       app_reload, on_control_stop,
                                  on_gone,      on_control_count, app};
    int r = control_new(&app->control, &app->loop, app->config, path, gid, &hooks);
    if (r == 0)
        return 0;
    char text[256];
    snprintf(text, sizeof text, "control socket %s: %s", path, strerror(-r));
    return failed(APP_FAILED, LOG_FATAL, text);
}

/* Symbols that clients asked an earlier run for go on being held. */
static void take_adopted(struct app *app)
{
    const struct pgd_board *board = app->bus.board.board;
    uint64_t count = shm_load64(&board->symbol_count);
    for (uint64_t i = 0; i < count && i < app->config->bus.symbols; i++) {
        struct pgd_symbol row = app->bus.board.symbols[i];
        struct symbol *symbol;
        if (!row.asked || row.cluster >= PGD_CLUSTERS || !app->clusters[row.cluster].config)
            continue;
        if (cluster_take(&app->clusters[row.cluster], &symbol, row.name, row.wanted) == 0)
            symbol->asked = true;
        else
            log_event(LOG_SUBSCRIBE_REFUSED, "%s, held by the run before, cannot be had any more", row.name);
    }
}

static int open_clusters(struct app *app)
{
    for (unsigned i = 0; i < app->config->clusters_count; i++) {
        const struct config_cluster *c = &app->config->clusters[i];
        int r = cluster_open(&app->clusters[c->name], app, c);
        if (r < 0)
            return failed(APP_FAILED, LOG_FATAL, strerror(-r));
        cluster_take_list(&app->clusters[c->name], c->symbols, c->symbols_count);
    }
    take_adopted(app);
    gaps_app_started(app);
    for (int i = 0; i < PGD_CLUSTERS; i++)
        if (app->clusters[i].stream)
            stream_start(app->clusters[i].stream);
    return 0;
}

static int open_loop(struct app *app)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    int r = uv_loop_init(&app->loop);
    if (r < 0)
        return failed(APP_FAILED, LOG_FATAL, uv_strerror(r));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uv_signal_init(&app->loop, &app->signals[i]);
        app->signals[i].data = app;
        uv_signal_start(&app->signals[i], on_signal, numbers[i]);
    }
    uv_async_init(&app->loop, &app->engine_failed, on_engine_async);
    app->engine_failed.data = app;
    uv_async_init(&app->loop, &app->engine_drained, on_drained_async);
    app->engine_drained.data = app;
    uv_timer_init(&app->loop, &app->poll);
    app->poll.data = app;
    return 0;
}

static int open_all(struct app *app)
{
    char path[108] = "";
    gid_t gid;
    if (group_of(app->config->bus.group, &gid) < 0)
        return failed(APP_CONFIG, LOG_CONFIG, "bus.group: no such group");
    int r = app->config->control.enabled ? control_path(path, sizeof path, app->config) : 0;
    if (r < 0 && !app->replay_options) /* a replay is for readers, who need none */
        return failed(APP_CONFIG, LOG_CONFIG,
                      "control.path: no place for the control socket: set it, or control.enabled: false");
    if ((!app->replay_options && (r = open_secret(app))) || (r = open_engine(app)) ||
        (r = open_bus(app, path, gid)))
        return r;
    if ((r = open_core(app)) || (r = open_net(app)) || (r = open_control(app, path, gid)))
        return r;
    struct health_hooks hooks = {on_beat, on_alive, on_clock_step, app};
    if (health_new(&app->health, &app->loop, &hooks) < 0)
        return failed(APP_FAILED, LOG_FATAL, "out of memory");
    if (!app->replay_options)
        return open_clusters(app);
    char err[512];
    return app_replay_open(app, err, sizeof err) < 0 ? failed(APP_FAILED, LOG_FATAL, err) : 0;
}

/* Nobody feeds the rows any more: the board says so. What was wanted stays, for the next run. */
static void show_idle(struct app *app)
{
    for (uint32_t i = 0; app->symbols && i < symbols_count(app->symbols); i++)
        symbols_at(app->symbols, i)->acked = 0;
    if (app->symbols)
        symbols_show_all(app->symbols);
    pgd_board_set_run(&app->bus.board, PGD_RUN_STOPPED);
    pgd_board_notify(&app->bus.board);
}

/* Frees what the loop no longer uses. Every x_free takes NULL. */
static void close_all(struct app *app)
{
    rest_only_free(app->rest_only);
    history_free(app->history);
    prefetch_run_free(app->prefetch);
    cache_app_close(&app->cache);
    demand_free(app->demand);
    gaps_app_free(app);
    worker_free(app->worker);
    replay_free(app->replay);
    feed_free(app->feed);
    journal_close(app->journal);
    log_hook(NULL, NULL);
    if (app->bus.board.board) {
        show_idle(app);
        bus_close(&app->bus);
    }
    symbols_free(app->symbols);
    pgk_engine_free(app->engine);
    pgk_plan_free(app->plan);
    secret_free(app->secret);
}

int app_run(struct config *config, const char *config_path, const struct replay_options *replay)
{
    struct app *app = calloc(1, sizeof *app);
    if (!app)
        return APP_FAILED;
    app->config = config;
    app->config_path = config_path;
    app->replay_options = replay;
    if (replay)
        app_replay_configure(config);
    log_hook(on_log, app);
    log_event(LOG_START, "polygond %s, instance %s", PGD_VERSION, config->instance);
    int r = open_loop(app);
    if (r == 0) {
        r = open_all(app);
        if (r == 0) {
            pgd_board_set_run(&app->bus.board, PGD_RUN_RUNNING);
            pgd_board_beat(&app->bus.board);
            health_ready("running");
            log_event(LOG_READY, "ready");
            journal_patient(app->journal, false);
            if (app->replay)
                replay_start(app->replay);
        } else {
            app_stop(app, r);
        }
        uv_run(&app->loop, UV_RUN_DEFAULT);
        uv_loop_close(&app->loop);
        r = app->exit_code;
    }
    close_all(app);
    log_event(LOG_STOP, "stopped");
    config_free(config);
    free(app);
    return r;
}
