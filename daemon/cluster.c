#include "cluster.h"

#include <errno.h>
#include <string.h>

#include "app.h"
#include "clock.h"
#include "log.h"

uint32_t cluster_topics(const struct bus *bus, enum pgd_cluster name)
{
    uint32_t possible = 0;
    for (uint32_t bit = PGD_TRADES; bit <= PGD_VALUES; bit <<= 1)
        if (stream_topic(name, (enum pgd_topic)bit))
            possible |= bit;
    if (!bus->trades.map.base)
        possible &= ~(uint32_t)(PGD_TRADES | PGD_VALUES);
    if (!bus->quotes.map.base)
        possible &= ~(uint32_t)PGD_QUOTES;
    if (bus_find(bus, 1000) < 0 && bus_find(bus, 60000) < 0)
        possible &= ~(uint32_t)PGD_BARS_1S;
    if (bus_find(bus, 60000) < 0)
        possible &= ~(uint32_t)PGD_BARS_1M;
    return possible;
}

static uint32_t topics_possible(const struct cluster *c)
{
    uint32_t possible = cluster_topics(&c->app->bus, c->name);
    return c->rest_only ? possible & (PGD_BARS_1S | PGD_BARS_1M) : possible;
}

static uint32_t topics_for(const struct cluster *c, uint32_t topics)
{
    return (topics ? topics : c->config->topics) & topics_possible(c);
}

static void changed(struct cluster *c, const struct symbol *symbol)
{
    symbols_show(c->app->symbols, symbol);
    pgd_board_notify(&c->app->bus.board);
}

static bool is_warm(const struct cluster *c)
{
    return c->app->history && c->app->config->rest.warm;
}

/* What a wildcard brings already needs no acknowledgement of its own. */
static void hold_wild(struct cluster *c, const struct symbol *symbol, uint32_t topics)
{
    for (uint32_t bit = PGD_TRADES; bit <= PGD_VALUES; bit <<= 1)
        if (topics & c->wild_acked & bit)
            gaps_watch_held(c->app->gaps.watch, symbol, (enum pgd_topic)bit);
}

static void take_in(struct cluster *c, struct symbol *symbol)
{
    bool warm = is_warm(c);
    symbol->held = true;
    feed_open_symbol(c->app->feed, symbol, warm);
    if (warm && history_want(c->app->history, symbol, REST_BACKFILL) < 0)
        log_event(LOG_REST, "history of %s cannot be asked for", symbol->name);
}

int cluster_take(struct cluster *c, struct symbol **ret, const char *name, uint32_t topics)
{
    if (!c->config)
        return -ENODEV;
    uint32_t usable = topics_for(c, topics);
    if (!usable)
        return -ENODEV;
    struct symbol *symbol;
    int r = symbols_add(c->app->symbols, &symbol, name, c->name);
    if (r < 0)
        return r;
    bool fresh = !symbol->held;
    uint32_t more = fresh ? usable : usable & ~symbol->wanted;
    if (fresh)
        take_in(c, symbol);
    if (!c->rest_only)
        gaps_watch_wanted(c->app->gaps.watch, symbol, more, is_warm(c));
    hold_wild(c, symbol, more);
    symbol->wanted |= usable;
    symbol->refused &= ~usable;
    symbol->acked |= c->wild_acked & usable;
    if (c->rest_only)
        symbol->acked = symbol->wanted;
    else if (c->stream)
        r = stream_subscribe(c->stream, name, usable & ~c->wild);
    changed(c, symbol);
    if (ret)
        *ret = symbol;
    return r;
}

void cluster_take_list(struct cluster *c, char *const *names, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char name[PGD_SYMBOL_MAX];
        enum pgd_cluster cluster = c->name;
        int r;
        if (strcmp(names[i], "*") == 0) {
            c->wild = topics_for(c, 0);
            r = c->stream && c->wild ? stream_subscribe(c->stream, "*", c->wild) : 0;
        } else {
            r = symbols_canonical(name, &cluster, names[i]);
            if (r == 0)
                r = cluster_take(c, NULL, name, 0);
        }
        if (r < 0)
            log_event(LOG_SUBSCRIBE_REFUSED, "%s: %s: %s", config_cluster_name(c->name), names[i],
                      r == -ENOSPC   ? "the symbol limit (bus.symbols) is reached"
                      : r == -ENODEV ? "none of the configured topics can be had"
                                     : strerror(-r));
    }
}

void cluster_drop(struct cluster *c, struct symbol *symbol)
{
    if (c->stream)
        stream_unsubscribe(c->stream, symbol->name, symbol->wanted);
    gaps_watch_unwanted(c->app->gaps.watch, symbol, symbol->wanted);
    symbol->wanted = 0;
    symbol->acked = 0;
    feed_close_symbol(c->app->feed, symbol);
    changed(c, symbol);
}

struct symbol *cluster_unheld(struct cluster *c, struct event_text wire)
{
    char name[PGD_SYMBOL_MAX];
    struct symbol *symbol;
    if (!c->wild || symbols_from_wire(name, c->name, wire.p, wire.n) < 0 ||
        symbols_add(c->app->symbols, &symbol, name, c->name) < 0)
        return NULL;
    take_in(c, symbol);
    gaps_watch_wanted(c->app->gaps.watch, symbol, c->wild, is_warm(c));
    hold_wild(c, symbol, c->wild);
    symbol->wanted |= c->wild;
    symbol->acked |= c->wild_acked;
    changed(c, symbol);
    return symbol;
}

void cluster_poll(struct cluster *c)
{
    if (c->rest_only && c->app->rest_only)
        rest_only_poll(c->app->rest_only, c->name);
}

/* ----------------------------------------------------------------------------------------- stream's hooks */

/* Given back without having been unwanted: the connection is lost. */
static void set_pair(struct cluster *c, struct symbol *symbol, enum pgd_topic topic, int how)
{
    struct gaps_watch *watch = c->app->gaps.watch;
    if (how > 0)
        gaps_watch_held(watch, symbol, topic);
    else if (how < 0)
        gaps_watch_refused(watch, symbol, topic);
    else if ((symbol->wanted & symbol->acked & (uint32_t)topic) && !c->app->stopping)
        gaps_watch_lost(watch, symbol, topic, c->silent);
    symbol->acked &= ~(uint32_t)topic;
    symbol->refused &= ~(uint32_t)topic;
    if (how > 0)
        symbol->acked |= topic;
    else if (how < 0)
        symbol->refused |= topic;
}

static void on_pair(void *user, const char *name, enum pgd_topic topic, int how, const char *message)
{
    struct cluster *c = user;
    struct symbols *symbols = c->app->symbols;
    if (how > 0)
        c->silent = false;
    if (how < 0)
        log_event(LOG_SUBSCRIBE_REFUSED, "%s: %s.%s: %s", config_cluster_name(c->name),
                  stream_topic(c->name, topic), name, message && message[0] ? message : "not acknowledged");
    if (strcmp(name, "*") == 0) {
        c->wild_acked = how > 0 ? c->wild_acked | topic : c->wild_acked & ~(uint32_t)topic;
        for (uint32_t i = 0; i < symbols_count(symbols); i++) {
            struct symbol *symbol = symbols_at(symbols, i);
            if (symbol->held && symbol->cluster == c->name && (symbol->wanted & topic))
                set_pair(c, symbol, topic, how);
        }
        return;
    }
    struct symbol *symbol = symbols_find(symbols, name);
    if (!symbol)
        return;
    set_pair(c, symbol, topic, how);
    changed(c, symbol);
    demand_settled(c->app->demand, symbol, message);
}

static void on_batch(void *user, uint64_t bytes, uint64_t messages)
{
    struct cluster *c = user;
    feed_batch(c->app->feed, bytes, messages);
}

static void on_received(void *user, int64_t real_ns)
{
    const struct cluster *c = user;
    feed_stamp(c->app->feed, real_ns);
}

static void on_frame(void *user, uint32_t connection, const uint8_t *data, size_t size, bool status)
{
    const struct cluster *c = user;
    if (!c->app->journal)
        return;
    const struct journal_entry e = {
        .kind = JOURNAL_FRAME,
        .cluster = (uint8_t)c->name,
        .flags = status ? JOURNAL_FRAME_STATUS : 0,
        .index = connection,
        .t_ns = feed_clock(c->app->feed)->now_ns,
    };
    journal_app_frame(c->app->journal, c->app->secret, &e, data, size);
}

static void on_conn(void *user, const struct pgd_conn *conn)
{
    struct cluster *c = user;
    struct pgd_board_writer *board = &c->app->bus.board;
    if (c->app->journal && conn->state != c->state)
        journal_put(c->app->journal,
                    &(struct journal_entry){.kind = JOURNAL_CONN,
                                            .cluster = (uint8_t)c->name,
                                            .index = (uint32_t)conn->connects,
                                            .t_ns = clock_real_ns(),
                                            .arg = conn->state},
                    conn->reason, strnlen(conn->reason, sizeof conn->reason));
    c->state = conn->state;
    pgd_board_set_conn(board, conn);
    pgd_board_notify(board);
}

static void on_count(void *user, const char *what, uint64_t add)
{
    struct cluster *c = user;
    if (strcmp(what, "ws_idle_drops") == 0)
        c->silent = true;
    else if (strcmp(what, "ws_drops") == 0)
        feed_lost(c->app->feed, c->name);
    app_count(c->app, what, add);
}

static bool others_left(const struct app *app)
{
    for (int i = 0; i < PGD_CLUSTERS; i++)
        if (app->clusters[i].rest_only ||
            (app->clusters[i].stream && app->clusters[i].stopped == STREAM_STOP_NONE))
            return true;
    return false;
}

static void go_on_over_rest(struct cluster *c)
{
    c->rest_only = true;
    for (uint32_t i = 0; i < symbols_count(c->app->symbols); i++) {
        struct symbol *symbol = symbols_at(c->app->symbols, i);
        if (!symbol->held || symbol->cluster != c->name)
            continue;
        gaps_watch_unwanted(c->app->gaps.watch, symbol, symbol->wanted);
        symbol->wanted &= topics_possible(c);
        symbol->acked = symbol->wanted;
        symbol->refused = 0;
        symbols_show(c->app->symbols, symbol);
        demand_settled(c->app->demand, symbol, "");
    }
    app_poll_start(c->app);
}

static void on_stopped(void *user, enum stream_stop why, const char *message)
{
    struct cluster *c = user;
    c->stopped = why;
    if (why == STREAM_STOP_PLAN && c->app->rest) {
        log_event(LOG_STREAM_REFUSED, "%s: %s - going on over REST only", config_cluster_name(c->name),
                  message);
        go_on_over_rest(c);
        return;
    }
    log_event(LOG_STREAM_REFUSED, "%s: %s - not tried again", config_cluster_name(c->name), message);
    if (!others_left(c->app))
        app_stop(c->app, APP_REFUSED);
}

int cluster_open(struct cluster *c, struct app *app, const struct config_cluster *config)
{
    *c = (struct cluster){.app = app, .name = config->name, .config = config};
    struct stream_hooks hooks = {
        .data = feed_sink(app->feed, config->name),
        .received = on_received,
        .frame = on_frame,
        .batch = on_batch,
        .conn = on_conn,
        .count = on_count,
        .pair = on_pair,
        .stopped = on_stopped,
        .user = c,
    };
    if (!app->config->stream.enabled) {
        c->rest_only = true;
        app_poll_start(app);
        return 0;
    }
    return stream_new(&c->stream, &app->loop, app->http, app->config, config, app->secret, &hooks);
}
