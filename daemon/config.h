/* daemon/config.h - the configuration, strict YAML: an unknown key or a wrong type is an error that names
 * file, key and line. Every key stands in config/polygond.yaml with its default and a sentence; a check
 * compares the two. */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "polygond/abi.h"

struct config_cluster {
    enum pgd_cluster name; /* stocks, options, crypto, forex, indices, futures */
    char *url;             /* "" : stream.url + "/" + name; else the whole wss:// or ws:// URL */
    char **symbols; /* held from the start; "*" among them: every symbol the vendor sends (wildcard topics) */
    unsigned symbols_count;
    uint32_t topics; /* enum pgd_topic bits for `symbols` and for symbols asked for later; flags in YAML:
                        [trades, quotes, bars_1s, bars_1m, values] */
};

struct config_bars {
    char *timespan; /* "1s" or "1m" */
    uint32_t rows;  /* retention: rows kept a symbol */
};

struct config_key {
    char *file; /* "" : systemd credential `polygon_api_key`, else POLYGON_API_KEY */
};

struct config_stream {
    bool enabled;  /* false: REST only (a free key) */
    char *url;     /* "wss://socket.massive.com" */
    char *ca_file; /* "" : the system's store */
    char *proxy;   /* "" : the environment's */
    uint32_t connect_timeout_s;
    uint32_t auth_timeout_s;
    uint32_t ping_interval_s; /* our pings */
    uint32_t pong_timeout_s;  /* half-open: no pong for so long */
    uint32_t idle_timeout_s;  /* nothing at all received, pongs included */
    uint32_t ack_timeout_s; /* a subscription unacknowledged for so long is asked for again, then reported */
    uint32_t stable_s;      /* backoff is reset after so long (10) */
    uint32_t backoff_min_ms;
    uint32_t backoff_max_ms;
    uint32_t cooldown_s; /* after max_connections (60) */
    uint32_t max_message_bytes;
};

struct config_rest {
    bool enabled;
    char *url;    /* "https://api.massive.com" */
    char **hosts; /* further hosts that next_url may name; the key goes to no other */
    unsigned hosts_count;
    uint32_t requests_per_minute; /* 0: no limit of our own */
    uint32_t requests_per_second; /* likewise */
    uint32_t connections;
    uint32_t workers;      /* threads that inflate and parse; 0: by the CPUs there are */
    uint32_t queue_size;   /* blocks of 64 KiB of a body that may wait for a worker */
    uint32_t batch_size;   /* rows published in one go */
    uint32_t denied_hours; /* a ticker and timespan answered with 403 is not asked for again for so long */
    uint32_t timeout_s;
    uint32_t max_body_bytes;
    bool warm;                /* fetch history for the indicators at start and for new symbols */
    bool fill;                /* holes in the stream's data */
    uint32_t fill_after_ms;   /* after a hole's end */
    uint32_t fill_ticks_s;    /* longest hole in trades and quotes that is filled, 0: none */
    uint32_t recheck_minutes; /* bars so recent are compared with REST again, 0: none */
    uint32_t recheck_s;       /* each symbol's so often */
    uint32_t poll_s;          /* a cluster without a WebSocket: ask for new bars every so often, 0: 60 */
};

struct config_cache {
    bool enabled;
    char *directory; /* "": $CACHE_DIRECTORY, else $XDG_CACHE_HOME/polygond, else ~/.cache/polygond */
    uint32_t max_mb;
};

struct config_prefetch {
    bool enabled;
    uint32_t lead_minutes; /* before the half hour begins */
    uint32_t symbols;      /* warmed for a half hour at most */
};

struct config_bus {
    uint32_t symbols; /* limit */
    struct config_bars *bars;
    unsigned bars_count;
    uint32_t trades; /* slots, a power of two; 0: no such segment */
    uint32_t quotes;
    uint32_t errors; /* distinct errors kept */
    char *group;     /* group that may read; "" : the daemon's own */
    uint32_t mode;   /* octal in YAML as a string, "0640" */
};

struct config_engine {
    char *kind;        /* auto, cpu, cuda */
    char **indicators; /* empty: the default set */
    unsigned indicators_count;
    uint32_t threads;     /* of the CPU engine */
    uint32_t gpu_stay_us; /* that some threads of a GPU wait for the next push */
};

struct config_control {
    bool enabled;
    char *path;         /* "" : $RUNTIME_DIRECTORY/<instance>.sock, else /run/polygond/..., else
                           $XDG_RUNTIME_DIR/polygond.<instance>.sock */
    char **allow_users; /* who may change things, besides root and the daemon's user: names or numbers */
    unsigned allow_users_count;
    char **allow_groups;
    unsigned allow_groups_count;
};

struct config_journal {
    bool enabled;
    char *directory; /* "": $STATE_DIRECTORY, $XDG_STATE_HOME/polygond or ~/.local/state/polygond, each with
                        /journal */
    uint32_t buffer_mib; /* between the feed and the disk */
    uint32_t file_mib;   /* of one file */
    uint32_t keep_mib;   /* of all; 0: no limit */
    uint32_t keep_days;  /* 0: no limit */
    uint32_t rotate_s;   /* age of a file; 0: no limit */
    uint32_t flush_ms;
};

struct config_log {
    char *level; /* error, warning, notice, info, debug */
};

struct config {
    char *instance; /* "main" */
    struct config_key key;
    struct config_stream stream;
    struct config_cluster *clusters;
    unsigned clusters_count;
    struct config_rest rest;
    struct config_cache cache;
    struct config_prefetch prefetch;
    struct config_bus bus;
    struct config_engine engine;
    struct config_control control;
    struct config_journal journal;
    struct config_log log;
    bool fresh; /* no key: rows of an earlier run are not adopted (a replay) */
};

/* Reads `path` and, sorted, the .yaml files in `path`.d on top (a drop-in's key replaces), then
 * takes NUM_WORKERS, QUEUE_SIZE and BATCH_SIZE from the environment. On failure -EINVAL
 * (or errno of reading) and one line in err: "FILE:LINE: key: why". All values are range-checked here. */
int config_load(struct config **ret, const char *path, char *err, size_t err_size)
    __attribute__((warn_unused_result));
/* The same from text, without drop-ins; `name` stands for the file in errors. */
int config_load_text(struct config **ret, const char *name, const char *text, size_t size, char *err,
                     size_t err_size) __attribute__((warn_unused_result));
void config_free(struct config *config);

/* Prints the effective configuration as YAML (no secret is in it). */
int config_print(const struct config *config, int fd);

/* The part that shapes the segments, as YAML: no addresses, paths, groups or lists of symbols. malloc'ed. */
int config_shape(char **ret, const struct config *config) __attribute__((warn_unused_result));

const char *config_cluster_name(enum pgd_cluster cluster); /* "stocks" */
enum pgd_cluster config_cluster_from(const char *name);    /* 0: none */

#endif
