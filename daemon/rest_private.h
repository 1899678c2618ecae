/* daemon/rest_private.h - what rest.c (queues, sending) and rest_answer.c (what comes back) share. */
#ifndef DAEMON_REST_PRIVATE_H
#define DAEMON_REST_PRIVATE_H

#include <sys/queue.h>

#include "backoff.h"
#include "pipeline.h"
#include "rest.h"
#include "rest_denied.h"

#define REST_MESSAGE 200u

/* A job is in exactly one list, or in none while it is looked at. */
struct rest_job {
    TAILQ_ENTRY(rest_job) link;
    struct rest *rest;
    struct http_get *get; /* the transfer, while it lasts */
    struct flow *flow;    /* its body, while that is worked on */
    struct rest_reply {   /* what has come of both */
        int error;
        long status;
        long retry_after_s;
        const char *why; /* a constant sentence, or text */
        char text[REST_MESSAGE];
        size_t received;
        bool over; /* the flow has ended: error and page are its */
        bool paused;
    } reply;
    char *url;      /* of the page asked for next */
    uint64_t *seen; /* hashes of the addresses asked for */
    unsigned seen_count;
    enum rest_kind kind;
    enum rest_class class;
    uint64_t denied_key;
    uint64_t ticker_hash; /* 0: an answer may be about any */
    unsigned tries;
    unsigned idle_pages; /* in a row, that brought nothing beyond what came before */
    struct backoff backoff;
    uint64_t not_before_ms;
    bool newest_first;
    bool any;         /* a row has come */
    int64_t extreme;  /* time of the newest (newest_first: oldest) row so far */
    int64_t earliest; /* times that may come */
    int64_t latest;
    uint64_t rows;
    uint64_t bad_rows;
    uint64_t max_rows;
    struct page *page; /* that arrived and is being delivered */
    size_t delivered;  /* rows of it */
    struct rest_sink sink;
};

TAILQ_HEAD(rest_jobs, rest_job);

struct rest {
    uv_loop_t *loop;
    struct http *http;
    const struct config *config;
    const struct secret *secret;
    struct rest_hooks hooks;
    uv_timer_t timer;
    uv_idle_t idle; /* runs while pages are being delivered */
    int closing;    /* parts that are still open */
    struct pipeline *pipeline;
    struct budget budget;
    struct rest_denied denied;
    struct rest_jobs queue[REST_CLASSES];
    struct rest_jobs waiting; /* for their next try */
    struct rest_jobs flight;
    struct rest_jobs parsing; /* received whole */
    struct rest_jobs arrived; /* pages being delivered, batch by batch */
    struct rest_jobs refused; /* without a request */
    unsigned flying;
    unsigned landed; /* in `parsing` and `arrived` */
    bool stopped;    /* the key was refused */
    bool freed;
    char refusal[REST_MESSAGE];
    void (*closed)(void *user);
    void *closed_user;
};

void rest_count(struct rest *rest, const char *what, uint64_t add);

/* The job is in no list any more, and is freed. */
void rest_job_done(struct rest_job *job, int error, long status, const char *message);

/* Puts the job at the end of its class's queue, or at the front. */
void rest_queue(struct rest *rest, struct rest_job *job, bool front);
/* The job is tried again after `wait_ms`. */
void rest_later(struct rest *rest, struct rest_job *job, uint64_t wait_ms);
/* Remembers an address; false: it was asked for before, or no memory to tell. */
bool rest_job_see(struct rest_job *job, const char *url);
/* Sends what may be sent now. */
void rest_pump(struct rest *rest);

/* What came back for a job that is in no list: job->reply. */
void rest_answered(struct rest *rest, struct rest_job *job);
/* The next batch of the page whose turn it is. */
void rest_deliver(struct rest *rest);
/* It is called from the loop from now on, once a turn, until nothing is left to deliver. */
void rest_deliver_soon(struct rest *rest);

#endif
