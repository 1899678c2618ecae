#include "clock.h"
#include "log.h"
#include "redact.h"
#include "stream_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define STREAM_LEAVE_MS UINT64_C(1000) /* for the server's close frame */
#define STREAM_SHOW_MS  UINT64_C(1000)
#define STREAM_URL_MAX  1024u

static uint64_t seconds_ms(uint32_t seconds)
{
    return (uint64_t)seconds * 1000;
}

void stream_count(struct stream *stream, const char *what)
{
    if (stream->hooks.count)
        stream->hooks.count(stream->hooks.user, what, 1);
}

static void stream_show(struct stream *stream)
{
    if (stream->freed)
        return;
    stream->board.unacked = subs_counts(stream->subs).awaited;
    stream->shown_at = uv_now(stream->loop);
    stream->hooks.conn(stream->hooks.user, &stream->board);
}

void stream_state(struct stream *stream, enum pgd_conn_state state)
{
    if (stream->board.state == (uint32_t)state)
        return;
    stream->board.state = (uint32_t)state;
    stream->board.since_ns = clock_real_ns();
    stream_show(stream);
}

void stream_end(struct stream *stream, enum stream_end end, const char *format, ...)
{
    if (stream->end != END_NONE) /* the first says why; what follows only follows from it */
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(stream->reason, sizeof(stream->reason), format, args);
    va_end(args);
    redact(stream->reason, stream->secret);
    stream->end = end;
}

/* -------------------------------------------------------------------------------------------------- tries */

static void stream_connect(struct stream *stream)
{
    stream->end = END_NONE;
    stream->answer_size = 0;
    stream->retry_after_ms = 0;
    stream->phase = PHASE_CONNECT;
    stream->board.next_try_ns = 0;
    stream->board.attempts++;
    stream_state(stream, PGD_CONN_CONNECTING);
    if (stream->freed)
        return;
    int r = http_connect(stream->http, &stream->conn, stream->url, stream->config->stream.connect_timeout_s,
                         &stream_session_events, stream);
    if (r < 0)
        stream_end(stream, END_RETRY, "cannot connect: %s", strerror(-r));
}

static void stream_disconnect(struct stream *stream)
{
    http_conn_close(stream->conn);
    stream->conn = NULL;
    outbox_clear(&stream->outbox);
    stream->phase_deadline = 0;
    stream->ping_at = 0;
    stream->pong_since = 0;
    stream->stable_at = 0;
}

static void stream_wait(struct stream *stream)
{
    bool cooldown = stream->end == END_COOLDOWN;
    uint64_t wait;
    if (cooldown) {
        wait = seconds_ms(stream->config->stream.cooldown_s);
        wait += backoff_random(&stream->backoff, wait / 10 + 1);
    } else {
        wait = backoff_next_ms(&stream->backoff);
    }
    if (wait < stream->retry_after_ms)
        wait = stream->retry_after_ms;
    stream->phase = PHASE_WAIT;
    stream->phase_deadline = uv_now(stream->loop) + wait;
    stream->board.next_try_ns = clock_real_ns() + (int64_t)wait * 1000000;
    log_event(cooldown ? LOG_STREAM_EVICTED : LOG_STREAM_DOWN, "%s: %s; next try in %.1f s",
              stream->board.url, stream->reason, (double)wait / 1000.0);
    stream_state(stream, cooldown ? PGD_CONN_COOLDOWN : PGD_CONN_BACKOFF);
}

static void stream_stop(struct stream *stream)
{
    enum stream_stop why = stream->end == END_PLAN ? STREAM_STOP_PLAN : STREAM_STOP_KEY;
    stream->phase = PHASE_STOPPED;
    stream_state(stream, PGD_CONN_STOPPED);
    if (!stream->freed)
        stream->hooks.stopped(stream->hooks.user, why, stream->reason);
}

static void stream_finish(struct stream *stream);

static void stream_down(struct stream *stream)
{
    bool upgraded =
        stream->phase == PHASE_HELLO || stream->phase == PHASE_AUTH || stream->phase == PHASE_OPEN;
    stream_disconnect(stream);
    if (stream->freed) {
        stream_finish(stream);
        return;
    }
    memcpy(stream->board.reason, stream->reason, sizeof(stream->board.reason));
    if (upgraded) {
        stream->board.drops++;
        stream_count(stream, "ws_drops");
    }
    if (stream->end == END_KEY || stream->end == END_PLAN)
        stream_stop(stream);
    else
        stream_wait(stream);
    if (!stream->freed)
        subs_lost(stream->subs);
    stream->end = END_NONE;
}

/* --------------------------------------------------------------------------------------------------- time */

static void stream_on_timer(uv_timer_t *timer);

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return b && b < a ? b : a;
}

static uint64_t stream_silence_at(const struct stream *stream)
{
    uint64_t at = stream->received_at + seconds_ms(stream->config->stream.idle_timeout_s);
    if (stream->pong_since) {
        uint64_t since = stream->pong_since > stream->received_at ? stream->pong_since : stream->received_at;
        at = earlier(at, since + seconds_ms(stream->config->stream.pong_timeout_s));
    }
    return at;
}

static bool stream_upgraded(const struct stream *stream)
{
    return stream->phase == PHASE_HELLO || stream->phase == PHASE_AUTH || stream->phase == PHASE_OPEN;
}

static void stream_arm(struct stream *stream)
{
    uint64_t at = earlier(UINT64_MAX, stream->phase_deadline);
    if (stream_upgraded(stream)) {
        at = earlier(at, stream->ping_at);
        at = earlier(at, stream->stable_at);
        at = earlier(at, stream_silence_at(stream));
        if (stream->phase == PHASE_OPEN)
            at = earlier(at, subs_deadline(stream->subs));
    }
    uint64_t now = uv_now(stream->loop);
    if (at == UINT64_MAX)
        (void)uv_timer_stop(&stream->timer);
    else
        (void)uv_timer_start(&stream->timer, stream_on_timer, at > now ? at - now : 0, 0);
}

static void stream_overdue(struct stream *stream)
{
    unsigned seconds = stream->config->stream.auth_timeout_s;
    switch (stream->phase) {
    case PHASE_WAIT:
        stream->phase_deadline = 0;
        stream_connect(stream);
        break;
    case PHASE_REFUSED:
        stream_session_refused(stream);
        break;
    case PHASE_UPGRADE:
        stream_end(stream, END_RETRY, "no answer to the upgrade within %u s",
                   stream->config->stream.connect_timeout_s);
        break;
    case PHASE_HELLO:
        stream_end(stream, END_RETRY, "no greeting within %u s", seconds);
        break;
    case PHASE_AUTH:
        stream_end(stream, END_RETRY, "no answer to the key within %u s", seconds);
        break;
    default:
        stream_end(stream, END_RETRY, "left");
        break;
    }
}

/* After the process slept, what it did not read is no silence of the server: look before judging. */
static void stream_check_silence(struct stream *stream, uint64_t now)
{
    if (now < stream_silence_at(stream))
        return;
    stream_session_receive(stream);
    if (stream->end != END_NONE || stream->freed || now < stream_silence_at(stream))
        return;
    bool pong =
        stream->pong_since && now - stream->received_at < seconds_ms(stream->config->stream.idle_timeout_s);
    stream_end(stream, END_RETRY,
               pong ? "half-open: no pong within %u s" : "idle: nothing received within %u s",
               pong ? stream->config->stream.pong_timeout_s : stream->config->stream.idle_timeout_s);
    stream_count(stream, "ws_idle_drops");
}

static void stream_tick_upgraded(struct stream *stream, uint64_t now)
{
    if (stream->stable_at && now >= stream->stable_at) {
        stream->stable_at = 0;
        stream->board.attempts = 0;
        backoff_reset(&stream->backoff);
        stream_show(stream);
    }
    if (stream->ping_at && now >= stream->ping_at) {
        stream->ping_at = now + seconds_ms(stream->config->stream.ping_interval_s);
        stream_session_ping(stream);
    }
    if (stream->phase == PHASE_OPEN)
        subs_tick(stream->subs, now);
    stream_check_silence(stream, now);
}

static void stream_on_timer(uv_timer_t *timer)
{
    struct stream *stream = timer->data;
    uint64_t now = uv_now(stream->loop);
    if (stream->phase_deadline && now >= stream->phase_deadline)
        stream_overdue(stream);
    else if (stream_upgraded(stream))
        stream_tick_upgraded(stream, now);
    stream_settle(stream);
}

static void stream_live(struct stream *stream)
{
    struct subs_counts counts = subs_counts(stream->subs);
    stream->stable_at = uv_now(stream->loop) + seconds_ms(stream->config->stream.stable_s);
    log_event(LOG_SUBSCRIBE, "%s: %u pairs acknowledged, %u refused", stream->board.url, counts.held,
              counts.refused);
    stream_state(stream, PGD_CONN_LIVE);
}

static void stream_settle_open(struct stream *stream)
{
    stream_session_subscribe(stream);
    unsigned awaited = subs_counts(stream->subs).awaited;
    if (awaited == 0 && stream->board.state == PGD_CONN_SUBSCRIBING)
        stream_live(stream);
    else if (awaited != stream->board.unacked)
        stream_show(stream);
}

void stream_settle(struct stream *stream)
{
    if (stream->settling || uv_is_closing((uv_handle_t *)&stream->timer))
        return;
    stream->settling = true;
    if (stream->end == END_NONE && stream->phase == PHASE_OPEN)
        stream_settle_open(stream);
    if (stream->end == END_NONE && stream_upgraded(stream) &&
        stream->received_at >= stream->shown_at + STREAM_SHOW_MS)
        stream_show(stream);
    while (stream->end != END_NONE && !uv_is_closing((uv_handle_t *)&stream->timer))
        stream_down(stream);
    stream->settling = false;
    if (!uv_is_closing((uv_handle_t *)&stream->timer))
        stream_arm(stream);
}

/* --------------------------------------------------------------------------------------------------- life */

static void stream_on_pair(void *user, const char *symbol, enum pgd_topic topic, int how, const char *message)
{
    struct stream *stream = user;
    char text[200];
    (void)snprintf(text, sizeof(text), "%s", message);
    redact(text, stream->secret);
    if (!stream->freed)
        stream->hooks.pair(stream->hooks.user, symbol, topic, how, text);
}

/* Splits SCHEME://[USER@]HOST[:PORT][/PATH][?QUERY][#...] into what the upgrade says and what may be shown.
 */
static int stream_split_url(struct stream *stream)
{
    const char *authority = strstr(stream->url, "://");
    if (!authority)
        return -EINVAL;
    authority += 3;
    size_t n = strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', n);
    const char *host = at ? at + 1 : authority;
    const char *rest = authority + n;
    size_t path = strcspn(rest, "#");
    stream->host = strndup(host, (size_t)(rest - host));
    stream->path = malloc(path + 2);
    if (!stream->host || !stream->path)
        return -ENOMEM;
    (void)snprintf(stream->path, path + 2, "%s%.*s", *rest == '/' ? "" : "/", (int)path, rest);
    (void)snprintf(stream->board.url, sizeof(stream->board.url), "%.*s%s%.*s", (int)(authority - stream->url),
                   stream->url, stream->host, (int)strcspn(rest, "?#"), rest);
    return *stream->host ? 0 : -EINVAL;
}

static int stream_make_url(struct stream *stream)
{
    char url[STREAM_URL_MAX];
    int n;
    if (stream->cluster->url && *stream->cluster->url) {
        n = snprintf(url, sizeof(url), "%s", stream->cluster->url);
    } else {
        size_t base = strlen(stream->config->stream.url);
        while (base && stream->config->stream.url[base - 1] == '/')
            base--;
        n = snprintf(url, sizeof(url), "%.*s/%s", (int)base, stream->config->stream.url,
                     config_cluster_name(stream->cluster->name));
    }
    if (n < 0 || (size_t)n >= sizeof(url))
        return -EINVAL;
    stream->url = strdup(url);
    return stream->url ? stream_split_url(stream) : -ENOMEM;
}

static void stream_destroy(struct stream *stream)
{
    outbox_clear(&stream->outbox);
    ws_decoder_free(stream->decoder);
    subs_free(stream->subs);
    free(stream->url);
    free(stream->host);
    free(stream->path);
    free(stream);
}

static int stream_init(struct stream *stream)
{
    const struct subs_hooks hooks = {stream_on_pair, stream};
    uint64_t seed = 0;
    (void)!getrandom(&seed, sizeof(seed), GRND_NONBLOCK);
    backoff_init(&stream->backoff, stream->config->stream.backoff_min_ms,
                 stream->config->stream.backoff_max_ms, seed ^ uv_hrtime());
    stream->board.cluster = (uint32_t)stream->cluster->name;
    int r = stream_make_url(stream);
    if (r < 0)
        return r;
    stream->decoder = ws_decoder_new(stream->config->stream.max_message_bytes);
    stream->subs = subs_new(stream->cluster->name, seconds_ms(stream->config->stream.ack_timeout_s), &hooks);
    if (!stream->decoder || !stream->subs)
        return -ENOMEM;
    return uv_timer_init(stream->loop, &stream->timer);
}

int stream_new(struct stream **ret, uv_loop_t *loop, struct http *http, const struct config *config,
               const struct config_cluster *cluster, const struct secret *secret,
               const struct stream_hooks *hooks)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return -ENOMEM;
    stream->loop = loop;
    stream->http = http;
    stream->config = config;
    stream->cluster = cluster;
    stream->secret = secret;
    stream->hooks = *hooks;
    int r = stream_init(stream);
    if (r < 0) {
        stream_destroy(stream);
        return r;
    }
    stream->timer.data = stream;
    *ret = stream;
    return 0;
}

void stream_start(struct stream *stream)
{
    if (stream->phase != PHASE_OFF || stream->freed)
        return;
    stream_connect(stream);
    stream_settle(stream);
}

static void stream_timer_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;
    void (*closed)(void *user) = stream->closed;
    void *user = stream->closed_user;
    stream_destroy(stream);
    if (closed)
        closed(user);
}

static void stream_finish(struct stream *stream)
{
    stream->end = END_NONE;
    stream->phase = PHASE_STOPPED;
    if (!uv_is_closing((uv_handle_t *)&stream->timer))
        uv_close((uv_handle_t *)&stream->timer, stream_timer_closed);
}

void stream_free(struct stream *stream, void (*closed)(void *user), void *user)
{
    if (!stream || stream->freed)
        return;
    stream->freed = true;
    stream->closed = closed;
    stream->closed_user = user;
    if (!stream_upgraded(stream)) {
        stream_disconnect(stream);
        stream_finish(stream);
        return;
    }
    stream_session_close(stream, 1000);
    stream->phase = PHASE_LEAVING;
    stream->phase_deadline = uv_now(stream->loop) + STREAM_LEAVE_MS;
    stream_settle(stream);
}

/* A burst of wishes becomes few messages: they go out on the loop's next turn. */
static void stream_soon(struct stream *stream)
{
    if (stream->phase == PHASE_OPEN && !stream->settling)
        (void)uv_timer_start(&stream->timer, stream_on_timer, 0, 0);
}

int stream_subscribe(struct stream *stream, const char *symbol, uint32_t topics)
{
    int r = subs_want(stream->subs, symbol, topics);
    stream_soon(stream);
    return r;
}

void stream_unsubscribe(struct stream *stream, const char *symbol, uint32_t topics)
{
    subs_unwant(stream->subs, symbol, topics);
    stream_soon(stream);
}

void stream_unacked(const struct stream *stream,
                    void (*each)(void *user, const char *symbol, enum pgd_topic topic, int how), void *user)
{
    subs_each(stream->subs, each, user);
}
