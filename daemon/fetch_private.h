/* daemon/fetch_private.h - what fetch.c (what is done when), fetch_work.c (the cache, on threads) and
 * fetch_ask.c (REST) share. */
#ifndef DAEMON_FETCH_PRIVATE_H
#define DAEMON_FETCH_PRIVATE_H

#include "fetch.h"
#include "fetch_plan.h"

#define FETCH_WHY 256

enum fetch_edge { FETCH_BEFORE, FETCH_AFTER, FETCH_EDGES };

enum fetch_state {
    FETCH_WAITS,
    FETCH_LOADS, /* from the cache */
    FETCH_ASKS,
    FETCH_STORES,
    FETCH_READY, /* to be handed over */
    FETCH_HANDED,
    FETCH_TAKEN
};

/* A piece on its way. */
struct fetch_part {
    struct fetch_batch batch; /* first member */
    struct fetch_job *job;
    struct fetch_piece piece;
    enum fetch_state state;
    uv_work_t work;
    int result;
    struct cache_rows cached;
    struct pgd_bar *rows; /* fetched */
    size_t count;
    size_t room;
    uint64_t bad;
    int64_t kept_to; /* rows before it are to be kept */
    /* The rows of known pieces beside it. */
    struct pgd_bar edge[FETCH_EDGES];
    bool has_edge[FETCH_EDGES];
    bool checked; /* has an edge: comes before any row of the symbol is handed over */
    bool differs; /* an edge has other prices now */
    bool no_memory;
    bool stored_again;
};

enum fetch_stage { FETCH_NEW, FETCH_PLANS, FETCH_RUNS, FETCH_ENDS, FETCH_OVER };

struct fetch_job {
    struct fetch_batch end; /* first member: the last batch of the symbol */
    struct fetch *fetch;
    const struct fetch_symbol *symbol;
    enum fetch_stage stage;
    uv_work_t work; /* planning */
    int result;
    bool forget; /* the cache has to forget the symbol first */
    bool again;  /* it had; not twice */
    bool mixed;  /* pieces of both kinds */
    bool failed;
    struct fetch_part *parts;
    unsigned count;
    unsigned next;      /* part to be handed over */
    unsigned unchecked; /* parts with an edge that have not come */
    unsigned busy;      /* parts that load, ask or store */
    unsigned handed;    /* batches that were not given back, the last one counted */
    uint64_t rows;
    int64_t done_ms; /* of its window */
};

struct fetch_grouped;

struct fetch {
    struct fetch_options options;
    struct fetch_grouped *grouped; /* comes before any job; NULL: over, or never was */
    struct fetch_job *jobs;
    size_t count;
    size_t head;     /* the first job that is not handed over whole */
    size_t over;     /* jobs */
    unsigned held;   /* parts in memory, or on their way there */
    unsigned busy;   /* works, questions */
    unsigned plans;  /* of these, being planned */
    unsigned losses; /* in a row: questions that no server answered */
    bool stopped;
    bool told; /* done */
    double total_ms;
    double done_ms;
    uint64_t rows;
    uint64_t kept;
};

static inline struct cache_key fetch_key(const struct fetch_job *job)
{
    return (struct cache_key){job->symbol->name, job->symbol->cluster, job->fetch->options.span_ms};
}

void fetch_pump(struct fetch *fetch);
/* The symbol is over with, for this reason. */
void fetch_fail(struct fetch_job *job, enum fetch_trouble what, const char *why);
void fetch_stop_all(struct fetch *fetch, const char *why);
/* What the cache knows of the symbol is of another time than what REST says. */
void fetch_rewritten(struct fetch_job *job);
/* The part loads, asks or stores no more: its rows are there, or its job was told otherwise. */
void fetch_part_done(struct fetch_part *part);
void fetch_part_free(struct fetch_part *part); /* its rows */

/* fetch_work.c: each ends in one of the above, later. */
void fetch_plan_job(struct fetch_job *job);
void fetch_load(struct fetch_part *part);
void fetch_store(struct fetch_part *part);

/* fetch_grouped.c: days of the whole market, where that takes fewer questions; then fetch_pump. False: it
 * does not apply. */
bool fetch_group(struct fetch *fetch);

/* fetch_ask.c */
void fetch_ask(struct fetch_part *part);
/* Does the vendor know the symbol, which has no rows? */
void fetch_check(struct fetch_job *job);

#endif
