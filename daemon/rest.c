#include "rest.h"
#include "backoff.h"
#include "budget.h"
#include "log.h"
#include "redact.h"
#include "rest_url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define REST_TRIES       5u
#define REST_THROTTLE_S  60L  /* 429 without a Retry-After: the vendor counts by the minute */
#define REST_WAIT_MOST_S 900L /* a server's Retry-After is believed up to this */
#define REST_MESSAGE     200u

struct rest_job {
    TAILQ_ENTRY(rest_job) link;
    struct rest *rest;
    struct http_get *get; /* in flight */
    char *url;            /* of the page asked for next */
    uint64_t *seen;       /* hashes of the addresses asked for */
    unsigned seen_count;
    bool urgent;
    bool check; /* of a ticker: only the status counts */
    unsigned tries;
    struct backoff backoff;
    uint64_t not_before_ms;
    uint64_t rows;
    uint64_t max_rows;
    struct parse_sink sink;
    void (*done)(void *user, const struct rest_done *done);
    void *user;
};

TAILQ_HEAD(rest_jobs, rest_job);

struct rest {
    uv_loop_t *loop;
    struct http *http;
    const struct config *config;
    const struct secret *secret;
    struct rest_hooks hooks;
    uv_timer_t timer;
    struct budget budget;
    struct rest_jobs queue[2]; /* urgent, others */
    struct rest_jobs waiting;  /* for their next try */
    struct rest_jobs flight;
    unsigned flying;
    bool stopped; /* the key was refused */
    bool freed;
    char refusal[REST_MESSAGE];
    void (*closed)(void *user);
    void *closed_user;
};

static void rest_count(struct rest *rest, const char *what, uint64_t add)
{
    if (add)
        rest->hooks.count(rest->hooks.user, what, add);
}

/* --------------------------------------------------------------------------------------------------- jobs */

static void job_free(struct rest_job *job)
{
    free(job->url);
    free(job->seen);
    free(job);
}

/* The job is in no list any more. */
static void job_done(struct rest_job *job, int error, long status, const char *message)
{
    struct rest_done done = {error, status, message, job->rows};
    void (*call)(void *user, const struct rest_done *done) = job->done;
    void *user = job->user;
    job_free(job);
    call(user, &done);
}

static void rest_queue(struct rest *rest, struct rest_job *job)
{
    TAILQ_INSERT_TAIL(&rest->queue[!job->urgent], job, link);
}

static void rest_later(struct rest *rest, struct rest_job *job, uint64_t wait_ms)
{
    job->not_before_ms = uv_now(rest->loop) + wait_ms;
    TAILQ_INSERT_TAIL(&rest->waiting, job, link);
}

static void rest_retry(struct rest *rest, struct rest_job *job, int error, const struct http_answer *answer,
                       const char *message)
{
    rest_count(rest, "rest_errors", 1);
    if (++job->tries >= REST_TRIES) {
        job_done(job, error, answer->status, message);
        return;
    }
    long asked = answer->retry_after_s < REST_WAIT_MOST_S ? answer->retry_after_s : REST_WAIT_MOST_S;
    uint64_t wait = backoff_next_ms(&job->backoff);
    uint64_t least = (uint64_t)asked * 1000;
    rest_later(rest, job, wait > least ? wait : least);
}

static void rest_end_list(struct rest *rest, struct rest_jobs *jobs, int error, long status,
                          const char *message)
{
    struct rest_jobs ended; /* what a callback asks for anew waits for the loop's next turn */
    struct rest_job *job;
    TAILQ_INIT(&ended);
    TAILQ_CONCAT(&ended, jobs, link);
    while ((job = TAILQ_FIRST(&ended))) {
        TAILQ_REMOVE(&ended, job, link);
        if (job->get) {
            http_get_cancel(job->get);
            rest->flying--;
        }
        job_done(job, error, status, message);
    }
}

static void rest_end_all(struct rest *rest, int error, long status, const char *message)
{
    rest_end_list(rest, &rest->flight, error, status, message);
    rest_end_list(rest, &rest->waiting, error, status, message);
    rest_end_list(rest, &rest->queue[0], error, status, message);
    rest_end_list(rest, &rest->queue[1], error, status, message);
}

/* ------------------------------------------------------------------------------------------------ answers */

static void ignore_event(void *user, const struct event *event)
{
    (void)user;
    (void)event;
}

static void ignore_fault(void *user, enum event_fault fault, const char *reason, const struct event *event,
                         struct event_text raw)
{
    (void)user;
    (void)fault;
    (void)reason;
    (void)event;
    (void)raw;
}

static const struct parse_sink ignore = {ignore_event, ignore_fault, NULL};

static void rest_page_message(const struct rest *rest, const struct parse_page *page,
                              const struct http_answer *answer, char message[REST_MESSAGE])
{
    if (page->message.n)
        (void)snprintf(message, REST_MESSAGE, "HTTP %ld: %.*s", answer->status,
                       (int)(page->message.n < REST_MESSAGE ? page->message.n : REST_MESSAGE),
                       page->message.p);
    else
        (void)snprintf(message, REST_MESSAGE, "HTTP %ld", answer->status);
    redact(message, rest->secret);
}

/* What an answer that is no success says about itself, which may be anything. */
static void rest_message(const struct rest *rest, const struct http_answer *answer,
                         char message[REST_MESSAGE])
{
    struct parse_page page;
    memset(&page, 0, sizeof(page));
    if (parse_rest(answer->body, answer->size, &page, &ignore) < 0)
        page.message.n = 0;
    rest_page_message(rest, &page, answer, message);
}

static void rest_refused(struct rest *rest, struct rest_job *job, const struct http_answer *answer,
                         const char *message)
{
    rest_count(rest, "rest_denied", 1);
    if (answer->status == 401 && !rest->stopped) {
        rest->stopped = true;
        (void)snprintf(rest->refusal, sizeof(rest->refusal), "%s", message);
        rest->hooks.refused(rest->hooks.user, answer->status, message);
    } else if (answer->status != 401) {
        rest->hooks.refused(rest->hooks.user, answer->status, message);
    }
    job_done(job, -EACCES, answer->status, message);
}

static void rest_throttled(struct rest *rest, struct rest_job *job, const struct http_answer *answer)
{
    uint64_t now = uv_now(rest->loop);
    long seconds = answer->retry_after_s ? answer->retry_after_s : REST_THROTTLE_S;
    if (seconds > REST_WAIT_MOST_S)
        seconds = REST_WAIT_MOST_S;
    rest_count(rest, "rest_throttled", 1);
    if (rest->budget.held_until <= now)
        log_event(LOG_REST, "too many requests (429): waiting %ld s", seconds);
    budget_hold(&rest->budget, now + (uint64_t)seconds * 1000);
    TAILQ_INSERT_HEAD(&rest->queue[!job->urgent], job, link);
}

static uint64_t rest_hash(const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    while (*text)
        h = (h ^ (unsigned char)*text++) * UINT64_C(0x100000001b3);
    return h;
}

/* Remembers an address; false: it was asked for before, or no memory to tell. */
static bool job_see(struct rest_job *job, const char *url)
{
    uint64_t hash = rest_hash(url);
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

static void rest_next_page(struct rest *rest, struct rest_job *job, const struct parse_page *page)
{
    if (page->next_url.n == 0 || job->rows >= job->max_rows) {
        job_done(job, 0, 200, "");
        return;
    }
    char *url = strndup(page->next_url.p, page->next_url.n);
    if (!url) {
        job_done(job, -ENOMEM, 200, "out of memory");
    } else if (!rest_url_allowed(rest->config, url)) {
        job_done(job, -EBADMSG, 200, "next_url names a host that is not configured: not followed");
    } else if (!job_see(job, url)) {
        job_done(job, 0, 200, "next_url repeats: no further pages");
    } else {
        free(job->url);
        job->url = url;
        job->tries = 0;
        backoff_reset(&job->backoff);
        rest_queue(rest, job); /* behind the others: a long history does not hold up the short ones */
        return;
    }
    free(url);
}

static bool page_status(const struct parse_page *page, const char *word)
{
    return page->status.n == strlen(word) && memcmp(page->status.p, word, page->status.n) == 0;
}

static void rest_page(struct rest *rest, struct rest_job *job, const struct http_answer *answer)
{
    struct parse_page page;
    char message[REST_MESSAGE];
    memset(&page, 0, sizeof(page));
    int r = parse_rest(answer->body, answer->size, &page, job->check ? &ignore : &job->sink);
    if (!job->check)
        job->rows += page.rows;
    if (rest->freed)
        job_done(job, -ECANCELED, 0, "");
    else if (r < 0)
        rest_retry(rest, job, -EBADMSG, answer, "the body is not the JSON it should be");
    else if (page_status(&page, "ERROR") || page_status(&page, "NOT_AUTHORIZED") ||
             page_status(&page, "NOT_FOUND")) {
        rest_page_message(rest, &page, answer, message);
        job_done(job,
                 page_status(&page, "ERROR")       ? -EBADMSG
                 : page_status(&page, "NOT_FOUND") ? -ENOENT
                                                   : -EACCES,
                 answer->status, message);
    } else if (job->check)
        job_done(job, 0, answer->status, "");
    else
        rest_next_page(rest, job, &page);
}

/* As the vendor's own client sees it. */
static bool status_passes(long status)
{
    return status >= 500 || status == 499 || status == 413 || status == 408;
}

static void rest_answered(struct rest *rest, struct rest_job *job, const struct http_answer *answer)
{
    char message[REST_MESSAGE];
    if (answer->error) {
        (void)snprintf(message, sizeof(message), "%s", answer->error_text);
        redact(message, rest->secret);
        rest_retry(rest, job, answer->error, answer, message);
        return;
    }
    rest_count(rest, "rest_bytes", answer->size);
    if (answer->status == 200) {
        rest_page(rest, job, answer);
        return;
    }
    if (answer->status == 429) {
        rest_throttled(rest, job, answer);
        return;
    }
    rest_message(rest, answer, message);
    if (answer->status == 401 || answer->status == 403)
        rest_refused(rest, job, answer, message);
    else if (answer->status == 404)
        job_done(job, -ENOENT, answer->status, message);
    else if (status_passes(answer->status))
        rest_retry(rest, job, -EBADMSG, answer, message);
    else
        job_done(job, -EBADMSG, answer->status, message);
}

static void rest_pump(struct rest *rest);

static void rest_on_answer(void *user, const struct http_answer *answer)
{
    struct rest_job *job = user;
    struct rest *rest = job->rest;
    TAILQ_REMOVE(&rest->flight, job, link);
    rest->flying--;
    job->get = NULL;
    rest_answered(rest, job, answer);
    rest_pump(rest);
}

/* ------------------------------------------------------------------------------------------------ sending */

static void rest_send(struct rest *rest, struct rest_job *job)
{
    budget_take(&rest->budget, uv_now(rest->loop));
    rest_count(rest, "rest_requests", 1);
    int r = http_get(rest->http, &job->get, job->url, secret_text(rest->secret), rest->config->rest.timeout_s,
                     rest->config->rest.max_body_bytes, rest_on_answer, job);
    if (r < 0) {
        struct http_answer answer = {0};
        job->get = NULL;
        rest_retry(rest, job, r, &answer, strerror(-r));
        return;
    }
    TAILQ_INSERT_TAIL(&rest->flight, job, link);
    rest->flying++;
}

static struct rest_job *rest_take(struct rest *rest)
{
    struct rest_jobs *jobs = &rest->queue[TAILQ_EMPTY(&rest->queue[0])];
    struct rest_job *job = TAILQ_FIRST(jobs);
    if (job)
        TAILQ_REMOVE(jobs, job, link);
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
            rest_queue(rest, job);
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
    return !TAILQ_EMPTY(&rest->queue[0]) || !TAILQ_EMPTY(&rest->queue[1]);
}

static void rest_arm(struct rest *rest, uint64_t now, uint64_t wake_at)
{
    uint64_t at = wake_at;
    if (rest_queued(rest) && rest->flying < rest->config->rest.connections) {
        uint64_t budget_at = now + budget_wait_ms(&rest->budget, now);
        at = !at || budget_at < at ? budget_at : at;
    }
    if (at)
        (void)uv_timer_start(&rest->timer, rest_on_timer, at > now ? at - now : 0, 0);
    else
        (void)uv_timer_stop(&rest->timer);
}

static void rest_pump(struct rest *rest)
{
    if (rest->stopped && !rest->freed)
        rest_end_all(rest, -EACCES, 401, rest->refusal);
    if (rest->freed)
        return;
    uint64_t now = uv_now(rest->loop);
    uint64_t wake_at = rest_wake(rest, now);
    while (rest->flying < rest->config->rest.connections && rest_queued(rest) &&
           budget_wait_ms(&rest->budget, now) == 0)
        rest_send(rest, rest_take(rest));
    if (!rest->freed)
        rest_arm(rest, now, wake_at);
}

/* Requests go out from the loop, never from within the call that wants them. */
static void rest_soon(struct rest *rest)
{
    (void)uv_timer_start(&rest->timer, rest_on_timer, 0, 0);
}

/* ---------------------------------------------------------------------------------------------------- API */

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
    TAILQ_INIT(&rest->queue[0]);
    TAILQ_INIT(&rest->queue[1]);
    TAILQ_INIT(&rest->waiting);
    TAILQ_INIT(&rest->flight);
    int r = budget_init(&rest->budget, config->rest.requests_per_minute);
    if (r == 0)
        r = uv_timer_init(loop, &rest->timer);
    if (r < 0) {
        budget_fini(&rest->budget);
        free(rest);
        return r;
    }
    rest->timer.data = rest;
    *ret = rest;
    return 0;
}

static void rest_timer_closed(uv_handle_t *handle)
{
    struct rest *rest = handle->data;
    void (*closed)(void *user) = rest->closed;
    void *user = rest->closed_user;
    budget_fini(&rest->budget);
    free(rest);
    if (closed)
        closed(user);
}

void rest_free(struct rest *rest, void (*closed)(void *user), void *user)
{
    if (!rest || rest->freed)
        return;
    rest->freed = true;
    rest->closed = closed;
    rest->closed_user = user;
    rest_end_all(rest, -ECANCELED, 0, "");
    uv_close((uv_handle_t *)&rest->timer, rest_timer_closed);
}

/* Takes the address. */
static int rest_add(struct rest *rest, char *url, bool urgent, const struct parse_sink *sink,
                    uint64_t max_rows, void (*done)(void *user, const struct rest_done *done), void *user)
{
    struct rest_job *job = url && !rest->freed ? calloc(1, sizeof(*job)) : NULL;
    if (!job) {
        free(url);
        return rest->freed ? -ECANCELED : -ENOMEM;
    }
    job->rest = rest;
    job->url = url;
    job->urgent = urgent;
    job->check = !sink;
    if (sink)
        job->sink = *sink;
    job->max_rows = max_rows;
    job->done = done;
    job->user = user;
    (void)job_see(job, url);
    backoff_init(&job->backoff, rest->config->stream.backoff_min_ms, rest->config->stream.backoff_max_ms,
                 uv_hrtime() ^ (uintptr_t)job);
    rest_queue(rest, job);
    rest_soon(rest);
    return 0;
}

int rest_get_aggs(struct rest *rest, const struct rest_aggs *what, bool urgent, const struct parse_sink *sink,
                  void (*done)(void *user, const struct rest_done *done), void *user)
{
    if (strlen(what->ticker) >= PGD_SYMBOL_MAX)
        return -EINVAL;
    uint64_t max_rows = what->max_rows ? what->max_rows : UINT64_MAX;
    return rest_add(rest, rest_url_aggs(rest->config, what), urgent, sink, max_rows, done, user);
}

int rest_check_ticker(struct rest *rest, const char *ticker, bool urgent,
                      void (*done)(void *user, const struct rest_done *done), void *user)
{
    if (strlen(ticker) >= PGD_SYMBOL_MAX)
        return -EINVAL;
    return rest_add(rest, rest_url_ticker(rest->config, ticker), urgent, NULL, 0, done, user);
}
