#include "clock.h"
#include "log.h"
#include "stream_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SESSION_TURN    (4u << 20)     /* bytes received in one turn of the loop, so that timers run */
#define SESSION_QUEUE   (64u * 1024u)  /* bytes waiting to be sent beyond which pongs are left out */
#define SESSION_WHY_MS  UINT64_C(1000) /* for the body of a refusal */
#define SESSION_RETRY_S 600L           /* a server's Retry-After is believed up to this */
#define SESSION_KEY     (2 * 256 + 40) /* the message with the key, every character escaped */

/* ------------------------------------------------------------------------------------------------ sending */

static void session_flush(struct stream *stream)
{
    int r = outbox_flush(&stream->outbox, stream->conn);
    if (r < 0 && r != -EAGAIN)
        stream_end(stream, END_RETRY, "connection lost while sending: %s", strerror(-r));
}

static void session_send(struct stream *stream, enum ws_opcode opcode, const void *data, size_t size)
{
    uint8_t mask[4];
    if (stream->end != END_NONE || !stream->conn)
        return;
    if (getrandom(mask, sizeof(mask), 0) != sizeof(mask)) {
        stream_end(stream, END_RETRY, "no randomness");
        return;
    }
    /* A client's frame header has a fixed length for a given payload, so the room is used whole. */
    size_t head = size < 126 ? 6 : size < 65536 ? 8 : 14;
    uint8_t *frame = outbox_add(&stream->outbox, head + size);
    if (!frame || ws_frame(frame, head + size, opcode, data, size, mask) != (int64_t)(head + size)) {
        stream_end(stream, END_RETRY, "out of memory");
        return;
    }
    session_flush(stream);
}

void stream_session_ping(struct stream *stream)
{
    if (stream->pong_since || stream->outbox.bytes)
        return;
    uint64_t number = ++stream->pings;
    stream->pong_since = uv_now(stream->loop);
    session_send(stream, WS_PING, &number, sizeof(number));
}

void stream_session_close(struct stream *stream, unsigned code)
{
    const uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    session_send(stream, WS_CLOSE, payload, sizeof(payload));
}

void stream_session_subscribe(struct stream *stream)
{
    char message[SUBS_BYTES];
    size_t n = subs_message(stream->subs, uv_now(stream->loop), message);
    if (n)
        session_send(stream, WS_TEXT, message, n);
}

static void session_authenticate(struct stream *stream)
{
    char message[SESSION_KEY];
    size_t n = (size_t)snprintf(message, sizeof(message), "{\"action\":\"auth\",\"params\":\"");
    for (const char *p = secret_text(stream->secret); *p && n + 5 < sizeof(message); p++) {
        if (*p == '"' || *p == '\\')
            message[n++] = '\\';
        message[n++] = *p;
    }
    message[n++] = '"';
    message[n++] = '}';
    session_send(stream, WS_TEXT, message, n);
    explicit_bzero(message, sizeof(message));
    stream->phase = PHASE_AUTH;
    stream->phase_deadline = uv_now(stream->loop) + (uint64_t)stream->config->stream.auth_timeout_s * 1000;
    stream_state(stream, PGD_CONN_AUTH);
}

/* ------------------------------------------------------------------------------------------------- status */

static bool text_is(struct event_text text, const char *word)
{
    return text.n == strlen(word) && memcmp(text.p, word, text.n) == 0;
}

static bool text_has(struct event_text text, const char *word)
{
    return text.n && memmem(text.p, text.n, word, strlen(word)) != NULL;
}

static int text_length(struct event_text text)
{
    return (int)(text.n < 200 ? text.n : 200);
}

static void session_opened(struct stream *stream)
{
    if (stream->phase != PHASE_AUTH)
        return;
    stream->phase = PHASE_OPEN;
    stream->phase_deadline = 0;
    log_event(LOG_STREAM_UP, "%s: authenticated", stream->board.url);
    stream_state(stream, PGD_CONN_SUBSCRIBING);
}

static void session_refused_key(struct stream *stream, struct event_text message)
{
    bool plan = text_has(message, "plan") || text_has(message, "websocket access");
    stream_end(stream, plan ? END_PLAN : END_KEY, "auth_failed: %.*s", text_length(message), message.p);
}

static void session_status(struct stream *stream, const struct event *event)
{
    struct event_text status = event->status.status;
    struct event_text message = event->status.message;
    uint64_t now = uv_now(stream->loop);
    if (!message.p)
        message = (struct event_text){"", 0};
    stream_count(stream, "ws_status");
    if (text_is(status, "success")) {
        subs_success(stream->subs, message.p, message.n, now);
        return;
    }
    if (text_is(status, "connected")) {
        if (stream->phase == PHASE_HELLO)
            session_authenticate(stream);
        return;
    }
    if (text_is(status, "auth_success")) {
        session_opened(stream);
        return;
    }
    bool error = true;
    if (text_is(status, "auth_failed"))
        session_refused_key(stream, message);
    else if (text_is(status, "auth_timeout"))
        stream_end(stream, END_RETRY, "auth_timeout: %.*s", text_length(message), message.p);
    else if (text_is(status, "max_connections"))
        stream_end(stream, END_COOLDOWN, "max_connections: somebody else holds this key");
    else if (text_is(status, "error"))
        subs_error(stream->subs, message.p, message.n, now);
    else
        error = false;
    if (error)
        stream_count(stream, "ws_errors");
}

/* ---------------------------------------------------------------------------------------------- receiving */

static void session_on_event(void *user, const struct event *event)
{
    struct stream *stream = user;
    if (stream->freed)
        return;
    if (event->class == EVENT_CLASS_STATUS) {
        stream->status_seen = true;
        session_status(stream, event);
    } else {
        stream->hooks.data.event(stream->hooks.data.user, event);
    }
}

static void session_on_fault(void *user, enum event_fault fault, const char *reason,
                             const struct event *event, struct event_text raw)
{
    struct stream *stream = user;
    if (!stream->freed)
        stream->hooks.data.fault(stream->hooks.data.user, fault, reason, event, raw);
}

static void session_on_message(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    struct stream *stream = user;
    const struct parse_sink sink = {.event = session_on_event, .fault = session_on_fault, .user = stream};
    stream->batch_messages++;
    stream->status_seen = false;
    if (opcode != WS_TEXT || parse_ws((const char *)data, size, stream->cluster->name, &sink) < 0)
        stream_count(stream, "ws_bad_messages");
    if (opcode == WS_TEXT && stream->hooks.frame && !stream->freed)
        stream->hooks.frame(stream->hooks.user, (uint32_t)stream->board.connects, data, size,
                            stream->status_seen || stream->phase != PHASE_OPEN);
}

static void session_on_close(struct stream *stream, const uint8_t *data, size_t size)
{
    int code = ws_close_code(data, size);
    if (stream->phase != PHASE_LEAVING)
        session_send(stream, WS_CLOSE, data, size < 2 || code < 0 ? 0 : 2);
    int text = size > 2 ? (int)size - 2 : 0;
    stream_end(stream, END_RETRY, "closed by the server: %d%s%.*s", code < 0 ? 1002 : code, text ? " " : "",
               text, text ? (const char *)data + 2 : "");
}

static void session_on_control(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    struct stream *stream = user;
    if (opcode == WS_PONG)
        stream->pong_since = 0;
    else if (opcode == WS_PING && stream->outbox.bytes < SESSION_QUEUE && stream->phase != PHASE_LEAVING)
        session_send(stream, WS_PONG, data, size);
    else if (opcode == WS_CLOSE)
        session_on_close(stream, data, size);
}

static void session_take(struct stream *stream, size_t size)
{
    const struct ws_sink sink = {session_on_message, session_on_control, stream};
    int r = ws_decoder_take(stream->decoder, size, &sink);
    if (r == 0 || stream->end != END_NONE)
        return;
    stream_count(stream, "ws_protocol_errors");
    if (stream->phase != PHASE_LEAVING)
        stream_session_close(stream, r == -EMSGSIZE ? 1009 : r == -EILSEQ ? 1007 : 1002);
    stream_end(stream, END_RETRY, "protocol error: %s", ws_decoder_reason(stream->decoder));
}

/* Bytes came in, and are about to be decoded. */
static void session_stamp(struct stream *stream, size_t bytes)
{
    stream->batch_bytes += bytes;
    stream->board.last_frame_ns = clock_real_ns();
    if (stream->hooks.received && !stream->freed)
        stream->hooks.received(stream->hooks.user, stream->board.last_frame_ns);
}

static void session_received(struct stream *stream)
{
    stream->received_at = uv_now(stream->loop);
    if (!stream->freed)
        stream->hooks.batch(stream->hooks.user, stream->batch_bytes, stream->batch_messages);
    stream->batch_bytes = 0;
    stream->batch_messages = 0;
}

/* Bytes, or 0 when there is nothing more to do now. */
static size_t session_recv(struct stream *stream, void *buf, size_t size)
{
    int64_t r = http_conn_recv(stream->conn, buf, size);
    if (r > 0)
        return (size_t)r;
    if (r == 0)
        stream_end(stream, END_RETRY, "connection closed by the server without a close frame");
    else if (r != -EAGAIN)
        stream_end(stream, END_RETRY, "connection lost: %s", strerror((int)-r));
    return 0;
}

static void session_receive_frames(struct stream *stream)
{
    while (stream->end == END_NONE && stream->conn && stream->batch_bytes < SESSION_TURN) {
        size_t room = 0;
        uint8_t *space = ws_decoder_space(stream->decoder, &room);
        if (!space) {
            stream_end(stream, END_RETRY, "out of memory");
            break;
        }
        size_t n = session_recv(stream, space, room);
        if (n == 0)
            break;
        session_stamp(stream, n);
        session_take(stream, n);
    }
    if (stream->batch_bytes)
        session_received(stream);
}

/* ------------------------------------------------------------------------------------------------ upgrade */

/* Frames that came with the answer to the upgrade. */
static void session_take_rest(struct stream *stream, const char *data, size_t size)
{
    while (size && stream->end == END_NONE) {
        size_t room = 0;
        uint8_t *space = ws_decoder_space(stream->decoder, &room);
        if (!space) {
            stream_end(stream, END_RETRY, "out of memory");
            return;
        }
        size_t n = size < room ? size : room;
        memcpy(space, data, n);
        data += n;
        size -= n;
        session_stamp(stream, n);
        session_take(stream, n);
    }
}

static void session_upgraded(struct stream *stream, size_t header)
{
    uint64_t now = uv_now(stream->loop);
    stream->phase = PHASE_HELLO;
    stream->phase_deadline = now + (uint64_t)stream->config->stream.auth_timeout_s * 1000;
    stream->ping_at = now + (uint64_t)stream->config->stream.ping_interval_s * 1000;
    stream->received_at = now;
    stream->board.connects++;
    ws_decoder_reset(stream->decoder);
    stream_count(stream, "ws_connects");
    log_event(LOG_STREAM_UP, "%s: connected", stream->board.url);
    stream_state(stream, PGD_CONN_CONNECTED);
    session_take_rest(stream, stream->answer + header, stream->answer_size - header);
}

void stream_session_refused(struct stream *stream)
{
    int status = 0;
    (void)ws_response(stream->answer, stream->answer_size, stream->key, &status);
    stream->answer[stream->answer_size] = '\0';
    const char *retry = strcasestr(stream->answer, "\r\nretry-after:");
    if (retry) {
        long seconds = strtol(retry + strlen("\r\nretry-after:"), NULL, 10);
        stream->retry_after_ms = (uint64_t)(seconds < 0                 ? 0
                                            : seconds < SESSION_RETRY_S ? seconds
                                                                        : SESSION_RETRY_S) *
                                 1000;
    }
    bool denied = status == 401 || status == 403;
    if (denied && strcasestr(stream->answer, "plan"))
        stream_end(stream, END_PLAN, "HTTP %d at the upgrade: the plan has no WebSocket access", status);
    else if (status == 401 || (denied && strcasestr(stream->answer, "api key")))
        stream_end(stream, END_KEY, "HTTP %d at the upgrade: the key was refused", status);
    else if (status == 101 || status == 0)
        stream_end(stream, END_RETRY, "the answer to the upgrade is no WebSocket handshake");
    else
        stream_end(stream, END_RETRY, "HTTP %d at the upgrade", status);
}

static void session_answered(struct stream *stream)
{
    int status = 0;
    int r = ws_response(stream->answer, stream->answer_size, stream->key, &status);
    if (r > 0) {
        session_upgraded(stream, (size_t)r);
    } else if (r < 0 && (status == 401 || status == 403)) {
        stream->phase = PHASE_REFUSED;
        stream->phase_deadline = uv_now(stream->loop) + SESSION_WHY_MS;
    } else if (r < 0 || stream->answer_size == STREAM_ANSWER) {
        stream_session_refused(stream);
    }
}

static void session_receive_answer(struct stream *stream)
{
    while (stream->end == END_NONE && (stream->phase == PHASE_UPGRADE || stream->phase == PHASE_REFUSED)) {
        size_t room = STREAM_ANSWER - stream->answer_size;
        int64_t n = room ? http_conn_recv(stream->conn, stream->answer + stream->answer_size, room) : 0;
        if (n == -EAGAIN)
            return;
        if (n <= 0 && stream->phase == PHASE_REFUSED) {
            stream_session_refused(stream);
        } else if (n <= 0) {
            stream_end(stream, END_RETRY, "connection lost at the upgrade%s%s", n ? ": " : "",
                       n ? strerror((int)-n) : "");
        } else {
            stream->answer_size += (size_t)n;
            if (stream->phase == PHASE_UPGRADE)
                session_answered(stream);
        }
    }
}

void stream_session_receive(struct stream *stream)
{
    if (stream->phase == PHASE_UPGRADE || stream->phase == PHASE_REFUSED)
        session_receive_answer(stream);
    if (stream->phase != PHASE_UPGRADE && stream->phase != PHASE_REFUSED)
        session_receive_frames(stream);
}

/* ------------------------------------------------------------------------------------------------- events */

static void session_on_connected(void *user)
{
    struct stream *stream = user;
    uint8_t nonce[16];
    char request[2048];
    stream->phase = PHASE_UPGRADE;
    stream->phase_deadline = uv_now(stream->loop) + (uint64_t)stream->config->stream.connect_timeout_s * 1000;
    int n = -EINVAL;
    if (getrandom(nonce, sizeof(nonce), 0) == sizeof(nonce))
        n = ws_request(request, sizeof(request), stream->host, stream->path, nonce, stream->key);
    uint8_t *out = n > 0 ? outbox_add(&stream->outbox, (size_t)n) : NULL;
    if (out) {
        memcpy(out, request, (size_t)n);
        session_flush(stream);
    } else {
        stream_end(stream, END_RETRY, "cannot make the upgrade request: %s", strerror(n < 0 ? -n : ENOMEM));
    }
    stream_settle(stream);
}

static void session_on_readable(void *user)
{
    struct stream *stream = user;
    stream_session_receive(stream);
    stream_settle(stream);
}

static void session_on_writable(void *user)
{
    struct stream *stream = user;
    session_flush(stream);
    stream_settle(stream);
}

static void session_on_failed(void *user, int error, const char *text)
{
    struct stream *stream = user;
    if (stream->phase == PHASE_CONNECT)
        stream_end(stream, END_RETRY, "cannot connect: %s", text);
    else
        stream_end(stream, END_RETRY, "connection lost: %s", text[0] ? text : strerror(-error));
    stream_settle(stream);
}

const struct http_conn_events stream_session_events = {
    .connected = session_on_connected,
    .readable = session_on_readable,
    .writable = session_on_writable,
    .failed = session_on_failed,
};
