/* daemon/pipeline.h - bodies of REST answers on their way from the socket to rows: the main thread puts bytes
 * in as they come, worker threads inflate and parse them, and the main thread is handed the page.
 *
 * A flow is one body. Its bytes wait in a queue of so many blocks; when that is full the caller is told to
 * stop reading the socket, and told again when there is room. One worker at a time has a flow, so the rows of
 * a page stay in order; different flows are worked on side by side. Memory is bounded: a queue, a window and
 * a page of at most `max_body` inflated bytes for each flow there is.
 *
 * A worker that fails (no memory, or a fault the tests inject) ends; the flow it had ends with -EIO, to be
 * asked for again, and another thread takes its place. All functions and all events: main thread. */
#ifndef DAEMON_PIPELINE_H
#define DAEMON_PIPELINE_H

#include <uv.h>

#include "page.h"

#define PIPELINE_BLOCK (64u * 1024)

struct pipeline;
struct flow;

struct pipeline_options {
    unsigned workers;              /* 0: as many as there are CPUs left beside the main thread, 8 at most */
    unsigned queue_size;           /* blocks a flow */
    size_t max_body;               /* bytes, received as well as inflated */
    bool (*fault)(void *user);     /* from a worker, once a block: true makes it fail. NULL: never */
    void (*restarted)(void *user); /* a worker was replaced. NULL: not wanted */
    void *user;
};

int pipeline_new(struct pipeline **ret, uv_loop_t *loop, const struct pipeline_options *options)
    __attribute__((warn_unused_result));

/* Every flow must have ended or been cancelled. Waits for the threads; `closed` comes from the loop. */
void pipeline_free(struct pipeline *pipeline, void (*closed)(void *user), void *user);

unsigned pipeline_workers(const struct pipeline *pipeline);

struct flow_events {
    void (*room)(void *user); /* after -EAGAIN: there is room again */
    /* The page is whole and right (0: it is the receiver's to free, with page_free), or not: -EBADMSG,
     * -EMSGSIZE, -ENOMEM, -EIO. `why`: a constant sentence. The flow is gone. May come before flow_end. */
    void (*done)(void *user, int error, const char *why, struct page *page);
};

int flow_new(struct flow **ret, struct pipeline *pipeline, enum rest_kind kind, bool gzip,
             const struct flow_events *events, void *user) __attribute__((warn_unused_result));

/* 0; -EAGAIN: the queue is full, nothing was taken; -ENOMEM. */
int flow_put(struct flow *flow, const char *data, size_t size) __attribute__((warn_unused_result));

/* The body is complete. */
void flow_end(struct flow *flow);

/* No event comes any more. */
void flow_cancel(struct flow *flow);

#endif
