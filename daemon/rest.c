#include "rest_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "rest_url.h"

void rest_count(struct rest *rest, const char *what, uint64_t add)
{
    if (add)
        rest->hooks.count(rest->hooks.user, what, add);
}

/* --------------------------------------------------------------------------------------------------- jobs */

static void job_free(struct rest_job *job)
{
    page_free(job->page);
    free(job->url);
    free(job->seen);
    free(job);
}

void rest_job_done(struct rest_job *job, int error, long status, const char *message)
{
    struct rest_done done = {error, status, message, job->rows, job->bad_rows};
    struct rest_sink sink = job->sink;
    job_free(job);
    sink.done(sink.user, &done);
}

/* Ends the transfer and the work on its body. */
static void job_drop(struct rest_job *job)
{
    if (job->get) {
        http_get_cancel(job->get);
        job->get = NULL;
        job->rest->flying--;
    }
    flow_cancel(job->flow);
    job->flow = NULL;
}

void rest_queue(struct rest *rest, struct rest_job *job, bool front)
{
    if (front)
        TAILQ_INSERT_HEAD(&rest->queue[job->class], job, link);
    else
        TAILQ_INSERT_TAIL(&rest->queue[job->class], job, link);
}

void rest_later(struct rest *rest, struct rest_job *job, uint64_t wait_ms)
{
    job->not_before_ms = uv_now(rest->loop) + wait_ms;
    TAILQ_INSERT_TAIL(&rest->waiting, job, link);
}

bool rest_job_see(struct rest_job *job, const char *url)
{
    uint64_t hash = rest_hash(0, url);
    for (unsigned i = 0; i < job->seen_count; i++)
        if (job->seen[i] == hash)
            return false;
    uint64_t *seen = realloc(job->seen, (job->seen_count + 1) * sizeof(*seen));
    if (!seen)
        return false;
    job->seen = seen;
    job->seen[job->seen_count++] = hash;
    return true;
}

static void rest_end_list(struct rest_jobs *jobs, int error, long status, const char *message)
{
    struct rest_jobs ended; /* what a callback asks for anew waits for the loop's next turn */
    struct rest_job *job;
    TAILQ_INIT(&ended);
    TAILQ_CONCAT(&ended, jobs, link);
    while ((job = TAILQ_FIRST(&ended))) {
        TAILQ_REMOVE(&ended, job, link);
        job_drop(job);
        rest_job_done(job, error, status, message);
    }
}

static void rest_end_all(struct rest *rest, int error, long status, const char *message)
{
    rest->landed = 0;
    rest_end_list(&rest->arrived, error, status, message);
    rest_end_list(&rest->parsing, error, status, message);
    rest_end_list(&rest->flight, error, status, message);
    rest_end_list(&rest->waiting, error, status, message);
    for (unsigned c = 0; c < REST_CLASSES; c++)
        rest_end_list(&rest->queue[c], error, status, message);
    rest_end_list(&rest->refused, error, status, message);
}

/* ------------------------------------------------------------------------------------------------ sending */

/* Transfer and flow are over: the job leaves its list with what came of them. */
static void job_answered(struct rest_job *job, struct rest_jobs *list)
{
    struct rest *rest = job->rest;
    TAILQ_REMOVE(list, job, link);
    if (list == &rest->parsing)
        rest->landed--;
    rest_answered(rest, job);
    rest_pump(rest);
}

static void on_flow_room(void *user)
{
    struct rest_job *job = user;
    if (job->get && job->reply.paused) {
        job->reply.paused = false;
        http_get_resume(job->get);
    }
}

static void on_flow_done(void *user, int error, const char *why, struct page *page)
{
    struct rest_job *job = user;
    struct rest *rest = job->rest;
    struct rest_reply *reply = &job->reply;
    job->flow = NULL;
    job->page = page;
    reply->over = true;
    reply->error = error;
    reply->why = why;
    if (!job->get) {
        job_answered(job, &rest->parsing);
    } else if (error && reply->status == 200) {
        job_drop(job);
        job_answered(job, &rest->flight);
    } else {
        on_flow_room(job); /* what still comes is passed over */
    }
}

static int job_flow(struct rest_job *job, long status, enum http_coding coding)
{
    static const struct flow_events events = {on_flow_room, on_flow_done};
    if (coding == HTTP_OTHER)
        return -EPROTO;
    job->reply.status = status;
    return flow_new(&job->flow, job->rest->pipeline, status == 200 ? job->kind : REST_NOTHING,
                    coding == HTTP_GZIP, &events, job);
}

static int on_http_body(void *user, long status, enum http_coding coding, const char *data, size_t size)
{
    struct rest_job *job = user;
    struct rest_reply *reply = &job->reply;
    if (reply->received == 0) {
        int r = job_flow(job, status, coding);
        if (r < 0)
            return r;
    }
    if (size > job->rest->config->rest.max_body_bytes - reply->received)
        return -EMSGSIZE;
    int r = reply->over ? 0 : flow_put(job->flow, data, size);
    if (r == 0)
        reply->received += size;
    reply->paused = r == -EAGAIN;
    return r;
}

static void on_http_done(void *user, const struct http_answer *answer)
{
    struct rest_job *job = user;
    struct rest *rest = job->rest;
    struct rest_reply *reply = &job->reply;
    job->get = NULL;
    rest->flying--;
    reply->status = answer->status;
    reply->retry_after_s = answer->retry_after_s;
    if (!answer->error && job->flow) {
        TAILQ_REMOVE(&rest->flight, job, link);
        TAILQ_INSERT_TAIL(&rest->parsing, job, link);
        rest->landed++;
        flow_end(job->flow);
        rest_pump(rest);
        return;
    }
    job_drop(job);
    if (answer->error) {
        reply->error = answer->error;
        (void)snprintf(reply->text, sizeof(reply->text), "%s", answer->error_text);
        reply->why = answer->error == -EMSGSIZE ? "body longer than the limit" : reply->text;
    } else if (!reply->over) {
        reply->error = -EBADMSG;
        reply->why = "the body is empty";
    }
    job_answered(job, &rest->flight);
}

static void rest_send(struct rest *rest, struct rest_job *job)
{
    static const struct http_events events = {on_http_body, on_http_done};
    budget_take(&rest->budget, job->class, uv_now(rest->loop));
    rest_count(rest, "rest_requests", 1);
    page_free(job->page); /* of the page before */
    job->page = NULL;
    job->reply = (struct rest_reply){.why = ""};
    int r = http_get(rest->http, &job->get, job->url, secret_text(rest->secret), rest->config->rest.timeout_s,
                     &events, job);
    if (r < 0) {
        job->get = NULL;
        job->reply.error = r;
        job->reply.why = strerror(-r);
        rest_answered(rest, job);
        return;
    }
    TAILQ_INSERT_TAIL(&rest->flight, job, link);
    rest->flying++;
}

/* The job whose turn it is; NULL: none waits. */
static struct rest_job *rest_take(struct rest *rest)
{
    bool waiting[REST_CLASSES];
    for (unsigned c = 0; c < REST_CLASSES; c++)
        waiting[c] = !TAILQ_EMPTY(&rest->queue[c]);
    enum rest_class turn = budget_turn(&rest->budget, waiting);
    struct rest_job *job = turn == REST_CLASSES ? NULL : TAILQ_FIRST(&rest->queue[turn]);
    if (job)
        TAILQ_REMOVE(&rest->queue[turn], job, link);
    return job;
}

/* Who waited long enough goes back to the queue. When the next one will have: 0 none. */
static uint64_t rest_wake(struct rest *rest, uint64_t now)
{
    uint64_t at = 0;
    struct rest_job *next;
    for (struct rest_job *job = TAILQ_FIRST(&rest->waiting); job; job = next) {
        next = TAILQ_NEXT(job, link);
        if (job->not_before_ms <= now) {
            TAILQ_REMOVE(&rest->waiting, job, link);
            rest_queue(rest, job, false);
        } else if (!at || job->not_before_ms < at) {
            at = job->not_before_ms;
        }
    }
    return at;
}

static void rest_on_timer(uv_timer_t *timer)
{
    rest_pump(timer->data);
}

static bool rest_queued(const struct rest *rest)
{
    for (unsigned c = 0; c < REST_CLASSES; c++)
        if (!TAILQ_EMPTY(&rest->queue[c]))
            return true;
    return false;
}

/* Pages that wait for their delivery hold memory: no more of them than connections. */
static bool rest_room(const struct rest *rest)
{
    unsigned most = rest->config->rest.connections;
    return rest->flying < most && rest->landed < most;
}

static void rest_arm(struct rest *rest, uint64_t now, uint64_t wake_at)
{
    uint64_t at = wake_at;
    if (rest_queued(rest) && rest_room(rest)) {
        uint64_t budget_at = now + budget_wait_ms(&rest->budget, now);
        at = !at || budget_at < at ? budget_at : at;
    }
    if (at)
        (void)uv_timer_start(&rest->timer, rest_on_timer, at > now ? at - now : 0, 0);
    else
        (void)uv_timer_stop(&rest->timer);
}

static const char denied_words[] = "the plan does not include it: not asked again for some hours";

void rest_pump(struct rest *rest)
{
    if (rest->stopped && !rest->freed)
        rest_end_all(rest, -EACCES, 401, rest->refusal);
    if (!rest->freed)
        rest_end_list(&rest->refused, -EACCES, 403, denied_words);
    if (rest->freed)
        return;
    uint64_t now = uv_now(rest->loop);
    uint64_t wake_at = rest_wake(rest, now);
    while (!rest->freed && rest_room(rest) && rest_queued(rest) && budget_wait_ms(&rest->budget, now) == 0) {
        struct rest_job *job = rest_take(rest);
        if (rest_denied_has(&rest->denied, job->denied_key, now)) /* since it was queued */
            rest_job_done(job, -EACCES, 403, denied_words);
        else
            rest_send(rest, job);
    }
    if (!rest->freed)
        rest_arm(rest, now, wake_at);
}

/* Requests go out from the loop, never from within the call that wants them. */
static void rest_soon(struct rest *rest)
{
    (void)uv_timer_start(&rest->timer, rest_on_timer, 0, 0);
}

static void rest_on_idle(uv_idle_t *idle)
{
    struct rest *rest = idle->data;
    rest_deliver(rest);
    if (!rest->freed && TAILQ_EMPTY(&rest->arrived))
        (void)uv_idle_stop(idle);
}

void rest_deliver_soon(struct rest *rest)
{
    (void)uv_idle_start(&rest->idle, rest_on_idle);
}

/* ---------------------------------------------------------------------------------------------------- API */

static void on_worker_restarted(void *user)
{
    struct rest *rest = user;
    rest_count(rest, "rest_workers_failed", 1);
    log_event(LOG_REST, "a worker failed and was replaced: its page is asked for again");
}

int rest_new(struct rest **ret, uv_loop_t *loop, struct http *http, const struct config *config,
             const struct secret *secret, const struct rest_hooks *hooks)
{
    struct rest *rest = calloc(1, sizeof(*rest));
    if (!rest)
        return -ENOMEM;
    rest->loop = loop;
    rest->http = http;
    rest->config = config;
    rest->secret = secret;
    rest->hooks = *hooks;
    for (unsigned c = 0; c < REST_CLASSES; c++)
        TAILQ_INIT(&rest->queue[c]);
    TAILQ_INIT(&rest->waiting);
    TAILQ_INIT(&rest->flight);
    TAILQ_INIT(&rest->parsing);
    TAILQ_INIT(&rest->arrived);
    TAILQ_INIT(&rest->refused);
    int r = budget_init(&rest->budget, config->rest.requests_per_second, config->rest.requests_per_minute);
    const struct pipeline_options options = {.workers = config->rest.workers,
                                             .queue_size = config->rest.queue_size,
                                             .max_body = config->rest.max_body_bytes,
                                             .fault = hooks->fault,
                                             .restarted = on_worker_restarted,
                                             .user = rest};
    if (r == 0)
        r = pipeline_new(&rest->pipeline, loop, &options);
    if (r < 0) {
        budget_fini(&rest->budget);
        free(rest);
        return r;
    }
    (void)uv_timer_init(loop, &rest->timer);
    (void)uv_idle_init(loop, &rest->idle);
    rest->timer.data = rest->idle.data = rest;
    rest->closing = 3;
    *ret = rest;
    return 0;
}

static void rest_part_closed(void *user)
{
    struct rest *rest = user;
    if (--rest->closing)
        return;
    void (*closed)(void *user) = rest->closed;
    void *closed_user = rest->closed_user;
    budget_fini(&rest->budget);
    free(rest);
    if (closed)
        closed(closed_user);
}

static void rest_handle_closed(uv_handle_t *handle)
{
    rest_part_closed(handle->data);
}

void rest_free(struct rest *rest, void (*closed)(void *user), void *user)
{
    if (!rest || rest->freed)
        return;
    rest->freed = true;
    rest->closed = closed;
    rest->closed_user = user;
    rest_end_all(rest, -ECANCELED, 0, "");
    uv_close((uv_handle_t *)&rest->timer, rest_handle_closed);
    uv_close((uv_handle_t *)&rest->idle, rest_handle_closed);
    pipeline_free(rest->pipeline, rest_part_closed, rest);
}

/* A bar of a day or longer begins before the time asked for when that is in the midst of it. */
static int64_t span_slack_ms(const char *timespan)
{
    static const struct {
        const char *name;
        int64_t ms;
    } spans[] = {{"second", 1000}, {"minute", 60000}, {"hour", 3600000}};
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
        if (strcmp(timespan, spans[i].name) == 0)
            return spans[i].ms;
    return INT64_C(368) * 86400000;
}

static bool rest_about_one(const struct rest_query *query)
{
    return query->kind != REST_GROUPED && query->kind != REST_SNAPSHOT;
}

static void job_bounds(struct rest_job *job, const struct rest_query *query)
{
    job->earliest = query->from;
    job->latest = query->to;
    if (query->kind == REST_BARS) {
        int64_t slack = span_slack_ms(query->timespan);
        job->earliest -= slack;
        job->latest += slack;
    } else if (query->kind == REST_GROUPED) {
        job->earliest = query->from - INT64_C(2) * 86400000;
        job->latest = query->from + INT64_C(2) * 86400000;
    } else if (query->kind == REST_SNAPSHOT) {
        job->earliest = INT64_MIN;
        job->latest = INT64_MAX;
    }
}

/* Takes the address. */
static int rest_add(struct rest *rest, char *url, const struct rest_query *query,
                    const struct rest_sink *sink)
{
    struct rest_job *job = url && !rest->freed ? calloc(1, sizeof(*job)) : NULL;
    if (!job) {
        free(url);
        return rest->freed ? -ECANCELED : -ENOMEM;
    }
    job->rest = rest;
    job->url = url;
    job->kind = query->kind;
    job->class = query->class;
    job->newest_first = query->newest_first;
    job->max_rows = query->max_rows ? query->max_rows : UINT64_MAX;
    job->sink = *sink;
    if (query->kind != REST_NOTHING) {
        job_bounds(job, query);
        job->ticker_hash = rest_about_one(query) ? rest_hash(0, query->ticker) : 0;
        job->denied_key =
            rest_hash(job->ticker_hash + 1 + query->kind, query->kind == REST_BARS ? query->timespan : "");
    }
    (void)rest_job_see(job, url);
    backoff_init(&job->backoff, rest->config->stream.backoff_min_ms, rest->config->stream.backoff_max_ms,
                 uv_hrtime() ^ (uintptr_t)job);
    if (rest_denied_has(&rest->denied, job->denied_key, uv_now(rest->loop)))
        TAILQ_INSERT_TAIL(&rest->refused, job, link);
    else
        rest_queue(rest, job, false);
    rest_soon(rest);
    return 0;
}

int rest_get(struct rest *rest, const struct rest_query *query, const struct rest_sink *sink)
{
    bool named = rest_about_one(query);
    if (query->kind == REST_NOTHING ||
        (named && (!query->ticker || !query->ticker[0] || strlen(query->ticker) >= PGD_SYMBOL_MAX)))
        return -EINVAL;
    if (named && query->from > query->to)
        return -EINVAL;
    return rest_add(rest, rest_url(rest->config, query), query, sink);
}

int rest_check_ticker(struct rest *rest, const char *ticker, enum rest_class class,
                      void (*done)(void *user, const struct rest_done *done), void *user)
{
    struct rest_query query = {.kind = REST_NOTHING, .class = class};
    struct rest_sink sink = {.done = done, .user = user};
    if (strlen(ticker) >= PGD_SYMBOL_MAX)
        return -EINVAL;
    return rest_add(rest, rest_url_ticker(rest->config, ticker), &query, &sink);
}
