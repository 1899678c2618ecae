/* daemon/cluster.h - one asset class: its stream, the symbols wanted on it, and what becomes of them when the
 * stream cannot be had. */
#ifndef DAEMON_CLUSTER_H
#define DAEMON_CLUSTER_H

#include "bus.h"
#include "config.h"
#include "parse.h"
#include "stream.h"
#include "symbols.h"

struct app;

struct cluster {
    struct app *app;
    enum pgd_cluster name;
    const struct config_cluster *config; /* NULL: not configured */
    struct stream *stream;               /* NULL: none, or REST only */
    uint32_t wild;                       /* topics wanted of every symbol */
    uint32_t wild_acked;
    bool rest_only;
    bool silent;    /* the last connection was given up because nothing arrived */
    uint32_t state; /* enum pgd_conn_state, as last shown */
    enum stream_stop stopped;
};

/* What an instance can publish of a cluster: topics the vendor has and a segment is configured for. */
uint32_t cluster_topics(const struct bus *bus, enum pgd_cluster name);

/* Opens what is configured for this class and wants its symbols. */
int cluster_open(struct cluster *cluster, struct app *app, const struct config_cluster *config)
    __attribute__((warn_unused_result));

/* Takes a symbol in: directory, series, history, subscription. topics 0: the configured ones. -ENODEV: the
 * cluster is not configured or has none of the topics; -ENOSPC: the symbol limit. */
int cluster_take(struct cluster *cluster, struct symbol **ret, const char *name, uint32_t topics)
    __attribute__((warn_unused_result));

/* Wants the symbols of a list ("*": all the vendor sends), logging those that cannot be had. */
void cluster_take_list(struct cluster *cluster, char *const *names, unsigned count);

/* Stops wanting a symbol's live data; its rows stay. */
void cluster_drop(struct cluster *cluster, struct symbol *symbol);

/* A symbol that only a wildcard brought: taken in, or NULL. */
struct symbol *cluster_unheld(struct cluster *cluster, struct event_text wire);

/* REST-only: asks for new bars of every symbol held. */
void cluster_poll(struct cluster *cluster);

#endif
