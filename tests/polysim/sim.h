/* sim.h - the whole server: options, clock, market, connections. One of these a process; everything on one
 * thread. */
#ifndef POLYSIM_SIM_H
#define POLYSIM_SIM_H

#include <uv.h>

#include "bar.h"
#include "cert.h"
#include "conn.h"
#include "market.h"
#include "scenario.h"

enum sim_plan { SIM_PLAN_FREE, SIM_PLAN_STARTER, SIM_PLAN_ADVANCED };

#define SIM_SCENARIOS_MAX 16

struct sim_options {
    int port, tls_port; /* 0: any; -1: none */
    const char *ports_file;
    uint64_t seed;
    double speed; /* 0: as fast as clients take it */
    const char *start;
    const char *symbols;
    const char *key;
    const char *cert_dir;
    enum sim_cert cert;
    const char *scenarios[SIM_SCENARIOS_MAX];
    size_t scenario_count;
    enum sim_plan plan;
    double idle_exit;    /* s without a connection; 0: never */
    double auth_timeout; /* s */
    size_t send_buffer;  /* bytes a slow client may owe before it is dropped */
    bool quiet;
};

struct sim_stats {
    uint64_t connections, connections_open;
    uint64_t requests, sessions, auth_failures, evictions, slow_drops;
    uint64_t messages_out, events_out, bytes_out, bytes_in;
    uint64_t pings_in, pongs_in;
};

struct sim_session;

struct sim {
    struct sim_options options;
    uv_loop_t loop;
    SSL_CTX *tls;
    struct sim_universe universe;
    struct sim_market market;
    struct sim_history *history;
    struct sim_scenarios scenarios;
    struct sim_conn *conns;
    struct sim_session *sessions;
    struct sim_stats stats;
    struct sim_feed *feed;
    struct sim_pages *pages;

    int port, tls_port;    /* bound */
    int64_t clock_start;   /* simulated ms at clock_origin */
    uint64_t clock_origin; /* ns, of the loop's monotonic clock */
    int64_t stepped;       /* simulated ms, when speed is 0 */
    uint64_t next_id;
    uint64_t burst_ids; /* trade ids given out to bursts */
};

/* The market's time, ms. */
int64_t sim_now(const struct sim *sim);
/* Seconds since the server started, real time. */
double sim_elapsed(const struct sim *sim);

/* A line on stderr unless --quiet. */
void sim_say(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
