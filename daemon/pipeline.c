#include "pipeline.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"

#define WORKERS_MOST 8u /* when nobody said how many */

struct block {
    struct block *next;
    size_t size;
    char data[PIPELINE_BLOCK];
};

/* What stands under `lock` is guarded by the pipeline's. A flow is freed by whoever sees it cancelled and in
 * no list, nor with a worker. */
struct flow {
    struct pipeline *pipeline;
    struct flow_events events;
    void *user;
    struct body *body; /* of the worker that has the flow */

    /* lock */
    struct block *first;
    struct block *last;
    unsigned blocks;
    bool ended;     /* no block follows */
    bool scheduled; /* in the run list, or with a worker */
    bool full;      /* somebody waits for room */
    bool room;      /* and there is: an event */
    bool finished;  /* an event */
    bool listed;    /* in the list of events */
    bool cancelled;
    int error;
    const char *why;
    struct flow *next_run;
    struct flow *next_event;
};

struct flow_list {
    struct flow *first;
    struct flow **end;
};

struct worker_thread {
    struct pipeline *pipeline;
    pthread_t thread;
    bool running; /* main: to be joined */
    bool failed;  /* lock */
};

struct pipeline {
    struct pipeline_options options;
    uv_async_t async;
    struct worker_thread *threads;
    void (*closed)(void *user);
    void *closed_user;
    pthread_mutex_t lock;
    pthread_cond_t work;

    /* lock */
    struct flow_list run;
    struct flow_list events;
    struct block *spare;
    unsigned spares;
    bool stop;
    bool failed; /* a thread has, or could not be started */
};

/* -------------------------------------------------------------------------------------------------- lists */

static void list_init(struct flow_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void run_push(struct pipeline *p, struct flow *flow)
{
    flow->next_run = NULL;
    *p->run.end = flow;
    p->run.end = &flow->next_run;
    flow->scheduled = true;
    (void)pthread_cond_signal(&p->work);
}

static struct flow *run_pop(struct pipeline *p)
{
    struct flow *flow = p->run.first;
    p->run.first = flow->next_run;
    if (!p->run.first)
        p->run.end = &p->run.first;
    return flow;
}

/* Is it worth a worker's while? A body that trickles in is looked at a block at a time. */
static bool flow_ready(const struct flow *flow)
{
    return flow->ended || flow->full || (flow->first && flow->first->size == PIPELINE_BLOCK);
}

static void event_push(struct pipeline *p, struct flow *flow)
{
    if (flow->listed)
        return;
    flow->listed = true;
    flow->next_event = NULL;
    *p->events.end = flow;
    p->events.end = &flow->next_event;
    (void)uv_async_send(&p->async);
}

/* Blocks are used again; as many are kept as one flow may fill. */
static struct block *block_get(struct pipeline *p)
{
    struct block *block = p->spare;
    if (block) {
        p->spare = block->next;
        p->spares--;
    } else {
        block = malloc(sizeof(*block));
    }
    if (block) {
        block->next = NULL;
        block->size = 0;
    }
    return block;
}

static void block_put(struct pipeline *p, struct block *block)
{
    if (p->spares >= p->options.queue_size) {
        free(block);
        return;
    }
    block->next = p->spare;
    p->spare = block;
    p->spares++;
}

static struct block *flow_take(struct flow *flow)
{
    struct block *block = flow->first;
    if (block) {
        flow->first = block->next;
        flow->last = flow->first ? flow->last : NULL;
        flow->blocks--;
    }
    return block;
}

static void flow_drop_blocks(struct flow *flow)
{
    struct block *block;
    while ((block = flow_take(flow)))
        block_put(flow->pipeline, block);
}

static void flow_destroy(struct flow *flow)
{
    flow_drop_blocks(flow);
    body_free(flow->body);
    free(flow);
}

static void flow_settle(struct flow *flow)
{
    if (flow->cancelled && !flow->scheduled && !flow->listed)
        flow_destroy(flow);
}

/* ------------------------------------------------------------------------------------------------- workers
 */

static void flow_finish(struct flow *flow, int error, const char *why)
{
    flow->finished = true;
    flow->error = error;
    flow->why = why;
    flow_drop_blocks(flow);
}

/* Has the flow to itself, without the lock. True: the worker has failed. */
static bool flow_work(struct flow *flow, const struct block *block, bool end, int *ret_error)
{
    struct pipeline *p = flow->pipeline;
    if (p->options.fault && p->options.fault(p->options.user))
        return true;
    int r = 0;
    if (block)
        r = body_more(flow->body, block->data, block->size);
    if (r == 0 && end)
        r = body_end(flow->body);
    *ret_error = r;
    return r == -ENOMEM;
}

/* One block of a flow. False: this thread is to end. Lock held, released in between. */
static bool worker_turn(struct worker_thread *self)
{
    struct pipeline *p = self->pipeline;
    struct flow *flow = run_pop(p);
    struct block *block = flow_take(flow);
    bool end = flow->ended && !flow->first;
    bool failed = false;
    int error = 0;
    if (flow->full && flow->blocks <= p->options.queue_size / 2) {
        flow->full = false;
        flow->room = true;
        event_push(p, flow);
    }
    bool work = !flow->cancelled && !flow->finished;
    (void)pthread_mutex_unlock(&p->lock);
    if (work)
        failed = flow_work(flow, block, end, &error);
    (void)pthread_mutex_lock(&p->lock);
    if (block)
        block_put(p, block);
    if (failed)
        flow_finish(flow, -EIO, "a worker failed");
    else if (work && error)
        flow_finish(flow, error, body_why(flow->body));
    else if (work && end)
        flow_finish(flow, 0, "");
    flow->scheduled = false;
    if (flow->finished && !flow->cancelled)
        event_push(p, flow);
    else if (!flow->cancelled && flow_ready(flow))
        run_push(p, flow);
    flow_settle(flow);
    if (!failed)
        return true;
    self->failed = p->failed = true;
    (void)uv_async_send(&p->async);
    return false;
}

static void *worker_main(void *user)
{
    struct worker_thread *self = user;
    struct pipeline *p = self->pipeline;
    (void)pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->stop && !p->run.first)
            (void)pthread_cond_wait(&p->work, &p->lock);
        if (p->stop || !worker_turn(self))
            break;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

static int worker_start_thread(struct worker_thread *t)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    t->failed = false;
    int r = pthread_create(&t->thread, NULL, worker_main, t);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    t->running = r == 0;
    return -r;
}

/* Ends what has failed and starts it again. What cannot be started is tried again with the next flow. */
static void workers_mend(struct pipeline *p)
{
    bool still = false;
    for (unsigned i = 0; i < p->options.workers; i++) {
        struct worker_thread *t = &p->threads[i];
        (void)pthread_mutex_lock(&p->lock);
        bool failed = t->failed;
        (void)pthread_mutex_unlock(&p->lock);
        if (t->running && failed) {
            (void)pthread_join(t->thread, NULL);
            t->running = false;
            if (p->options.restarted)
                p->options.restarted(p->options.user);
        }
        if (!t->running && worker_start_thread(t) < 0)
            still = true;
    }
    (void)pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < p->options.workers; i++)
        still = still || p->threads[i].failed;
    p->failed = still;
    (void)pthread_mutex_unlock(&p->lock);
}

/* -------------------------------------------------------------------------------------------- main thread */

/* Tells what there is to tell of one flow, which is in no list of events any more. */
static void flow_tell(struct flow *flow)
{
    struct pipeline *p = flow->pipeline;
    (void)pthread_mutex_lock(&p->lock);
    flow->listed = false;
    bool cancelled = flow->cancelled;
    bool finished = flow->finished && !cancelled;
    bool room = flow->room && !cancelled && !finished;
    flow->room = false;
    if (finished)
        flow->cancelled = true; /* nothing more is told of it */
    int error = flow->error;
    const char *why = flow->why;
    struct flow_events events = flow->events;
    void *user = flow->user;
    struct page *page = finished && !error ? body_page(flow->body) : NULL;
    flow_settle(flow);
    (void)pthread_mutex_unlock(&p->lock);
    if (finished)
        events.done(user, error, why, page);
    else if (room)
        events.room(user);
}

static void pipeline_on_async(uv_async_t *async)
{
    struct pipeline *p = async->data;
    for (;;) {
        (void)pthread_mutex_lock(&p->lock);
        struct flow *flow = p->events.first;
        if (flow) {
            p->events.first = flow->next_event;
            if (!p->events.first)
                p->events.end = &p->events.first;
        }
        bool failed = p->failed;
        (void)pthread_mutex_unlock(&p->lock);
        if (failed && !p->stop)
            workers_mend(p);
        if (!flow)
            return;
        flow_tell(flow);
    }
}

static unsigned workers_by_cpus(void)
{
    cpu_set_t set;
    int cpus = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 2;
    unsigned workers = cpus > 1 ? (unsigned)cpus - 1 : 1;
    return workers < WORKERS_MOST ? workers : WORKERS_MOST;
}

static void pipeline_stop(struct pipeline *p)
{
    (void)pthread_mutex_lock(&p->lock);
    p->stop = true;
    (void)pthread_cond_broadcast(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->options.workers; i++)
        if (p->threads[i].running)
            (void)pthread_join(p->threads[i].thread, NULL);
}

static void pipeline_on_closed(uv_handle_t *handle)
{
    struct pipeline *p = handle->data;
    void (*closed)(void *user) = p->closed;
    void *user = p->closed_user;
    for (struct block *block = p->spare, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    (void)pthread_mutex_destroy(&p->lock);
    (void)pthread_cond_destroy(&p->work);
    free(p->threads);
    free(p);
    if (closed)
        closed(user);
}

int pipeline_new(struct pipeline **ret, uv_loop_t *loop, const struct pipeline_options *options)
{
    struct pipeline *p = calloc(1, sizeof(*p));
    unsigned workers = options->workers ? options->workers : workers_by_cpus();
    struct worker_thread *threads = calloc(workers, sizeof(*threads));
    if (!p || !threads) {
        free(p);
        free(threads);
        return -ENOMEM;
    }
    p->options = *options;
    p->options.workers = workers;
    p->threads = threads;
    list_init(&p->run);
    list_init(&p->events);
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->work, NULL);
    (void)uv_async_init(loop, &p->async, pipeline_on_async);
    p->async.data = p;
    int r = 0;
    for (unsigned i = 0; i < workers && r == 0; i++) {
        threads[i].pipeline = p;
        r = worker_start_thread(&threads[i]);
    }
    if (r < 0) {
        pipeline_free(p, NULL, NULL);
        return r;
    }
    *ret = p;
    return 0;
}

void pipeline_free(struct pipeline *p, void (*closed)(void *user), void *user)
{
    if (!p)
        return;
    pipeline_stop(p);
    /* Cancelled flows that no worker came to look at. */
    (void)pthread_mutex_lock(&p->lock);
    while (p->run.first) {
        struct flow *flow = run_pop(p);
        flow->scheduled = false;
        flow_settle(flow);
    }
    while (p->events.first) {
        struct flow *flow = p->events.first;
        p->events.first = flow->next_event;
        flow->listed = false;
        flow_settle(flow);
    }
    (void)pthread_mutex_unlock(&p->lock);
    p->closed = closed;
    p->closed_user = user;
    uv_close((uv_handle_t *)&p->async, pipeline_on_closed);
}

unsigned pipeline_workers(const struct pipeline *p)
{
    return p->options.workers;
}

/* -------------------------------------------------------------------------------------------------- flows */

int flow_new(struct flow **ret, struct pipeline *p, enum rest_kind kind, bool gzip,
             const struct flow_events *events, void *user)
{
    struct flow *flow = calloc(1, sizeof(*flow));
    if (!flow)
        return -ENOMEM;
    int r = body_new(&flow->body, kind, gzip, p->options.max_body);
    if (r < 0) {
        free(flow);
        return r;
    }
    flow->pipeline = p;
    flow->events = *events;
    flow->user = user;
    (void)pthread_mutex_lock(&p->lock);
    bool failed = p->failed;
    (void)pthread_mutex_unlock(&p->lock);
    if (failed)
        workers_mend(p);
    *ret = flow;
    return 0;
}

static int put_blocks(struct flow *flow, const char *data, size_t size)
{
    struct pipeline *p = flow->pipeline;
    struct block *last = flow->last;
    size_t room = last ? PIPELINE_BLOCK - last->size : 0;
    size_t more = size > room ? (size - room + PIPELINE_BLOCK - 1) / PIPELINE_BLOCK : 0;
    /* An empty queue takes whatever comes at once. */
    if (flow->blocks && flow->blocks + more > p->options.queue_size) {
        flow->full = true;
        return -EAGAIN;
    }
    while (size > 0) {
        if (!last || last->size == PIPELINE_BLOCK) {
            struct block *block = block_get(p);
            if (!block)
                return -ENOMEM;
            *(last ? &last->next : &flow->first) = block;
            flow->last = last = block;
            flow->blocks++;
        }
        size_t n = PIPELINE_BLOCK - last->size < size ? PIPELINE_BLOCK - last->size : size;
        memcpy(last->data + last->size, data, n);
        last->size += n;
        data += n;
        size -= n;
    }
    return 0;
}

int flow_put(struct flow *flow, const char *data, size_t size)
{
    struct pipeline *p = flow->pipeline;
    (void)pthread_mutex_lock(&p->lock);
    int r = flow->finished ? 0 : put_blocks(flow, data, size);
    if (!flow->finished && !flow->scheduled && flow_ready(flow))
        run_push(p, flow);
    (void)pthread_mutex_unlock(&p->lock);
    return r;
}

void flow_end(struct flow *flow)
{
    struct pipeline *p = flow->pipeline;
    (void)pthread_mutex_lock(&p->lock);
    flow->ended = true;
    if (!flow->finished && !flow->scheduled)
        run_push(p, flow);
    (void)pthread_mutex_unlock(&p->lock);
}

void flow_cancel(struct flow *flow)
{
    if (!flow)
        return;
    struct pipeline *p = flow->pipeline;
    (void)pthread_mutex_lock(&p->lock);
    flow->cancelled = true;
    flow_settle(flow);
    (void)pthread_mutex_unlock(&p->lock);
}
