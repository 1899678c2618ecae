#include "rest_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "redact.h"
#include "rest_url.h"

#define REST_TRIES       5u
#define REST_COUNT_TRIES 2u   /* pages that contradict their own count are asked for again so often */
#define REST_IDLE_PAGES  3u   /* pages without anything new before a server is taken to go in circles */
#define REST_THROTTLE_S  60L  /* 429 without a Retry-After: the vendor counts by the minute */
#define REST_WAIT_MOST_S 900L /* a server's Retry-After is believed up to this */
#define REST_HOUR_MS     UINT64_C(3600000)

/* ------------------------------------------------------------------------------------------------ failures
 */

static void rest_retry(struct rest *rest, struct rest_job *job, int error, const char *message)
{
    const struct rest_reply *reply = &job->reply;
    rest_count(rest, "rest_errors", 1);
    if (++job->tries >= REST_TRIES) {
        rest_job_done(job, error, reply->status, message);
        return;
    }
    long asked = reply->retry_after_s < REST_WAIT_MOST_S ? reply->retry_after_s : REST_WAIT_MOST_S;
    uint64_t wait = backoff_next_ms(&job->backoff);
    uint64_t least = (uint64_t)asked * 1000;
    rest_later(rest, job, wait > least ? wait : least);
}

static void page_message(const struct rest *rest, const struct parse_page *page, long status,
                         char message[REST_MESSAGE])
{
    if (page->message.n)
        (void)snprintf(message, REST_MESSAGE, "HTTP %ld: %.*s", status,
                       (int)(page->message.n < REST_MESSAGE ? page->message.n : REST_MESSAGE),
                       page->message.p);
    else
        (void)snprintf(message, REST_MESSAGE, "HTTP %ld", status);
    redact(message, rest->secret);
}

static void rest_refused(struct rest *rest, struct rest_job *job, long status, const char *message)
{
    rest_count(rest, "rest_denied", 1);
    if (status == 401 && !rest->stopped) {
        rest->stopped = true;
        (void)snprintf(rest->refusal, sizeof(rest->refusal), "%s", message);
        rest->hooks.refused(rest->hooks.user, status, message);
    } else if (status != 401) {
        uint64_t now = uv_now(rest->loop);
        if (job->denied_key && rest->config->rest.denied_hours)
            rest_denied_add(&rest->denied, job->denied_key,
                            now + rest->config->rest.denied_hours * REST_HOUR_MS, now);
        rest->hooks.refused(rest->hooks.user, status, message);
    }
    rest_job_done(job, -EACCES, status, message);
}

static void rest_throttled(struct rest *rest, struct rest_job *job)
{
    uint64_t now = uv_now(rest->loop);
    long seconds = job->reply.retry_after_s ? job->reply.retry_after_s : REST_THROTTLE_S;
    if (seconds > REST_WAIT_MOST_S)
        seconds = REST_WAIT_MOST_S;
    rest_count(rest, "rest_throttled", 1);
    if (rest->budget.held_until <= now)
        log_event(LOG_REST, "too many requests (429): waiting %ld s", seconds);
    budget_hold(&rest->budget, now + (uint64_t)seconds * 1000);
    rest_queue(rest, job, true);
}

/* ------------------------------------------------------------------------------------------------- pages */

static int64_t row_time(const struct page *page, size_t i)
{
    switch (page->kind) {
    case REST_TRADES:
        return page->trades[i].t;
    case REST_QUOTES:
        return page->quotes[i].t;
    default:
        return page->bars[i].t;
    }
}

/* Rows of a time that was not asked for go, and the page is judged: did it bring anything new? */
static void page_judge(struct rest_job *job)
{
    struct page *page = job->page;
    size_t kept = 0;
    bool news = false;
    int64_t extreme = job->extreme;
    if (page->count && page->least >= job->earliest && page->most <= job->latest) {
        int64_t best = job->newest_first ? page->least : page->most;
        news = !job->any || (job->newest_first ? best < extreme : best > extreme);
        job->any = true;
        job->extreme = news ? best : extreme;
        job->idle_pages = news ? 0 : job->idle_pages + 1;
        return;
    }
    for (size_t i = 0; i < page->count; i++) {
        int64_t t = row_time(page, i);
        if (t < job->earliest || t > job->latest) {
            page_refuse(page, "a row outside of what was asked for", (struct event_text){"", 0});
            continue;
        }
        if (!job->any || (job->newest_first ? t < extreme : t > extreme)) {
            news = true;
            job->any = true;
            extreme = t;
        }
        if (kept != i) {
            page->bars[kept] = page->bars[i]; /* rows of any kind have this size */
            if (page->symbols)
                memcpy(page->symbols[kept], page->symbols[i], sizeof(page->symbols[kept]));
        }
        kept++;
    }
    page->count = kept;
    job->extreme = extreme;
    job->idle_pages = news ? 0 : job->idle_pages + 1;
}

static void page_next(struct rest *rest, struct rest_job *job)
{
    const struct parse_page *page = &job->page->envelope;
    char *url = NULL;
    if (page->next_url.n == 0 || job->rows >= job->max_rows)
        rest_job_done(job, 0, 200, "");
    else if (job->idle_pages >= REST_IDLE_PAGES)
        rest_job_done(job, -EBADMSG, 200, "pages bring nothing new: not followed any further");
    else if (!(url = strndup(page->next_url.p, page->next_url.n)))
        rest_job_done(job, -ENOMEM, 200, "out of memory");
    else if (!rest_url_allowed(rest->config, url))
        rest_job_done(job, -EBADMSG, 200, "next_url names a host that is not configured: not followed");
    else if (!rest_job_see(job, url))
        rest_job_done(job, -EBADMSG, 200, "next_url repeats: not followed any further");
    else {
        free(job->url);
        job->url = url;
        job->tries = 0;
        backoff_reset(&job->backoff);
        rest_queue(rest, job, false); /* behind the others: a long history does not hold up the short ones */
        return;
    }
    free(url);
}

void rest_deliver(struct rest *rest)
{
    struct rest_job *job = TAILQ_FIRST(&rest->arrived);
    if (!job)
        return;
    struct page *page = job->page;
    size_t most = rest->config->rest.batch_size;
    size_t n = page->count - job->delivered < most ? page->count - job->delivered : most;
    if (n) {
        struct rest_rows rows = page_rows(page, job->delivered, n);
        job->delivered += n;
        job->rows += n;
        job->sink.rows(job->sink.user, &rows);
    }
    /* The sink may have ended everything, this job too. */
    if (rest->freed || rest->stopped)
        return;
    TAILQ_REMOVE(&rest->arrived, job, link);
    if (job->delivered < page->count) {
        /* In turn: a long page does not hold up the short ones, and the engine gets rows of several series
         * at a time. */
        TAILQ_INSERT_TAIL(&rest->arrived, job, link);
        return;
    }
    rest->landed--;
    page_next(rest, job);
    rest_pump(rest);
}

static void page_bad(struct rest_job *job)
{
    const struct page *page = job->page;
    for (unsigned i = 0; i < page->bad_count; i++) {
        const struct page_bad *bad = &page->bad[i];
        job->bad_rows += bad->count;
        if (job->sink.bad)
            job->sink.bad(job->sink.user, bad->reason, (struct event_text){bad->raw, bad->raw_size},
                          bad->count);
    }
}

static bool page_status(const struct parse_page *page, const char *word)
{
    return page->status.n == strlen(word) && memcmp(page->status.p, word, page->status.n) == 0;
}

/* An answer about another ticker must not be published under this one. */
static bool page_foreign(const struct rest_job *job, const struct parse_page *page)
{
    char ticker[PGD_SYMBOL_MAX];
    if (!job->ticker_hash || page->ticker.n == 0 || page->ticker.n >= sizeof(ticker))
        return false;
    memcpy(ticker, page->ticker.p, page->ticker.n);
    ticker[page->ticker.n] = '\0';
    return rest_hash(0, ticker) != job->ticker_hash;
}

/* Fewer rows than the page itself counts. */
static bool page_short(const struct page *page)
{
    const struct parse_page *e = &page->envelope;
    return e->count != PARSE_NO_COUNT && e->rows + e->bad_rows < e->count;
}

static void page_arrived(struct rest *rest, struct rest_job *job)
{
    page_judge(job);
    page_bad(job);
    if (rest->freed || rest->stopped) {
        rest_job_done(job, rest->freed ? -ECANCELED : -EACCES, rest->freed ? 0 : 401, rest->refusal);
        return;
    }
    job->delivered = 0;
    TAILQ_INSERT_TAIL(&rest->arrived, job, link);
    rest->landed++;
    rest_deliver_soon(rest);
}

static void rest_page(struct rest *rest, struct rest_job *job)
{
    const struct page *page = job->page;
    const struct parse_page *envelope = &page->envelope;
    char message[REST_MESSAGE];
    page_message(rest, envelope, job->reply.status, message);
    if (page_status(envelope, "ERROR"))
        rest_job_done(job, -EBADMSG, job->reply.status, message);
    else if (page_status(envelope, "NOT_FOUND"))
        rest_job_done(job, -ENOENT, job->reply.status, message);
    else if (page_status(envelope, "NOT_AUTHORIZED"))
        rest_refused(rest, job, 403, message);
    else if (page_foreign(job, envelope))
        rest_retry(rest, job, -EBADMSG, "the answer is about another ticker");
    else if (page_short(page) && job->tries < REST_COUNT_TRIES)
        rest_retry(rest, job, -EBADMSG, "the page has fewer rows than it counts");
    else
        page_arrived(rest, job);
}

/* As the vendor's own client sees it. */
static bool status_passes(long status)
{
    return status >= 500 || status == 499 || status == 413 || status == 408;
}

void rest_answered(struct rest *rest, struct rest_job *job)
{
    static const struct parse_page silent;
    const struct rest_reply *reply = &job->reply;
    char message[REST_MESSAGE];
    if (job->page)
        rest_count(rest, "rest_bytes", job->page->bytes);
    /* Whatever the body of a failure is like: its status is what counts. */
    if (reply->error && (reply->status == 0 || reply->status == 200)) {
        (void)snprintf(message, sizeof(message), "%s", reply->why);
        redact(message, rest->secret);
        rest_retry(rest, job, reply->error, message);
        return;
    }
    if (reply->status == 200) {
        rest_page(rest, job);
        return;
    }
    page_message(rest, job->page ? &job->page->envelope : &silent, reply->status, message);
    if (reply->status == 429)
        rest_throttled(rest, job);
    else if (reply->status == 401 || reply->status == 403)
        rest_refused(rest, job, reply->status, message);
    else if (reply->status == 404)
        rest_job_done(job, -ENOENT, reply->status, message);
    else if (status_passes(reply->status))
        rest_retry(rest, job, -EBADMSG, message);
    else
        rest_job_done(job, -EBADMSG, reply->status, message);
}
