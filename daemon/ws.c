/* daemon/ws.c - frames: RFC 6455 sections 5 and 7. */
#include "ws.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL_MAX  125u
#define HEADER_MAX   14u
#define BUFFER_FIRST 262144u /* holds many TLS records: less to move */
#define SPACE_MIN    16384u  /* a TLS record: worth moving what is held for */

/* The buffer: [message, message + message_size) is what has come of a fragmented message, moved together;
 * [next, filled) is not decoded yet. All before and between is free. */
struct ws_decoder {
    uint8_t *buf;
    size_t size;
    size_t next;
    size_t filled;
    size_t max_message;
    size_t message;
    size_t message_size;
    enum ws_opcode opcode; /* of the fragmented message */
    bool fragmented;       /* one is open */
    bool closed;           /* a close frame came: nothing after it counts */
    uint32_t resets;
    int error;
    const char *reason;
};

struct frame {
    size_t header;
    size_t payload;
    enum ws_opcode opcode;
    bool final;
};

struct ws_decoder *ws_decoder_new(size_t max_message)
{
    struct ws_decoder *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->max_message = max_message;
    ws_decoder_reset(d);
    return d;
}

void ws_decoder_free(struct ws_decoder *d)
{
    if (!d)
        return;
    free(d->buf);
    free(d);
}

void ws_decoder_reset(struct ws_decoder *d)
{
    d->next = d->filled = 0;
    d->message = d->message_size = 0;
    d->fragmented = d->closed = false;
    d->error = 0;
    d->reason = "";
    d->resets++;
}

const char *ws_decoder_reason(const struct ws_decoder *d)
{
    return d->reason;
}

static int fail(struct ws_decoder *d, int error, const char *reason)
{
    d->error = error;
    d->reason = reason;
    return error;
}

/* ------------------------------------------------------------------------------------------------- buffer */

/* Moves what is held to the front. */
static void compact(struct ws_decoder *d)
{
    size_t held = d->fragmented ? d->message_size : 0;
    if (d->next == held)
        return;
    if (d->fragmented) {
        memmove(d->buf, d->buf + d->message, d->message_size);
        d->message = 0;
    }
    memmove(d->buf + held, d->buf + d->next, d->filled - d->next);
    d->filled = held + (d->filled - d->next);
    d->next = held;
}

/* What can be held at most: a message, and a whole frame's header, or a control frame, behind it. */
static size_t size_limit(const struct ws_decoder *d)
{
    return d->max_message + HEADER_MAX + CONTROL_MAX + SPACE_MIN;
}

static bool grow(struct ws_decoder *d)
{
    size_t size = d->size ? d->size * 2 : BUFFER_FIRST;
    if (size > size_limit(d))
        size = size_limit(d);
    if (size <= d->size)
        return false;
    uint8_t *buf = realloc(d->buf, size);
    if (!buf)
        return false;
    d->buf = buf;
    d->size = size;
    return true;
}

uint8_t *ws_decoder_space(struct ws_decoder *d, size_t *ret_size)
{
    if (d->next == d->filled && !d->fragmented)
        d->next = d->filled = 0;
    if (d->size - d->filled < SPACE_MIN && d->size > 0)
        compact(d);
    if (d->size - d->filled < SPACE_MIN && !grow(d) && d->size == d->filled)
        return NULL;
    *ret_size = d->size - d->filled;
    return d->buf + d->filled;
}

/* -------------------------------------------------------------------------------------------------- UTF-8 */

/* Length of the multi-byte character at `p`, 0 when it is none (overlong, surrogate, beyond U+10FFFF, cut).
 */
static size_t utf8_char(const uint8_t *p, size_t n)
{
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        return n >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    if (n < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
        return 0;
    if ((p[0] & 0xf0) == 0xe0) {
        if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))
            return 0;
        return 3;
    }
    if (n < 4 || (p[3] & 0xc0) != 0x80 || p[0] < 0xf0 || p[0] > 0xf4)
        return 0;
    return (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f) ? 0 : 4;
}

bool ws_is_utf8(const uint8_t *p, size_t n)
{
    const uint64_t high = UINT64_C(0x8080808080808080);
    for (;;) {
        for (; n >= 32; p += 32, n -= 32) {
            uint64_t w[4];
            memcpy(w, p, sizeof(w));
            if ((w[0] | w[1] | w[2] | w[3]) & high)
                break;
        }
        while (n > 0 && *p < 0x80) {
            p++;
            n--;
        }
        if (n == 0)
            return true;
        size_t size = utf8_char(p, n);
        if (size == 0)
            return false;
        p += size;
        n -= size;
    }
}

/* ------------------------------------------------------------------------------------------------- frames */

/* The frame header at d->next. 1 when it is complete, 0 when not yet. */
static int read_header(struct ws_decoder *d, struct frame *f)
{
    const uint8_t *p = d->buf + d->next;
    size_t n = d->filled - d->next;
    if (n < 2)
        return 0;
    f->opcode = (enum ws_opcode)(p[0] & 15);
    f->final = p[0] & 0x80;
    f->payload = p[1] & 127;
    f->header = f->payload < 126 ? 2 : f->payload == 126 ? 4 : 10;
    if (p[0] & 0x70)
        return fail(d, -EPROTO, "a reserved bit is set");
    if (p[1] & 0x80)
        return fail(d, -EPROTO, "the server masked a frame");
    if (f->opcode > WS_PONG || (f->opcode > WS_BINARY && f->opcode < WS_CLOSE))
        return fail(d, -EPROTO, "an unknown opcode");
    if (f->opcode >= WS_CLOSE && !f->final)
        return fail(d, -EPROTO, "a control frame is fragmented");
    if (f->opcode >= WS_CLOSE && f->payload > CONTROL_MAX)
        return fail(d, -EPROTO, "a control frame is longer than 125 bytes");
    if (f->opcode == WS_CONT && !d->fragmented)
        return fail(d, -EPROTO, "a continuation of nothing");
    if ((f->opcode == WS_TEXT || f->opcode == WS_BINARY) && d->fragmented)
        return fail(d, -EPROTO, "a message begins within another");
    if (n < f->header)
        return 0;
    uint64_t payload = f->payload;
    if (f->header == 4)
        payload = (uint64_t)p[2] << 8 | p[3];
    if (f->header == 10) {
        memcpy(&payload, p + 2, 8);
        payload = be64toh(payload);
    }
    if (payload >> 63)
        return fail(d, -EPROTO, "a length of 2^63 or more");
    if ((f->header == 4 && payload < 126) || (f->header == 10 && payload < 65536))
        return fail(d, -EPROTO, "a length is not in its shortest form");
    if (f->opcode < WS_CLOSE && payload > d->max_message - d->message_size)
        return fail(d, -EMSGSIZE, "a message is too long");
    f->payload = (size_t)payload;
    return 1;
}

static int take_control(struct ws_decoder *d, const struct frame *f, const uint8_t *data,
                        const struct ws_sink *sink)
{
    if (f->opcode == WS_CLOSE) {
        if (ws_close_code(data, f->payload) < 0)
            return fail(d, -EPROTO, "a close code that must not be sent");
        if (f->payload > 2 && !ws_is_utf8(data + 2, f->payload - 2))
            return fail(d, -EILSEQ, "a close reason is not UTF-8");
        d->closed = true;
    }
    sink->control(sink->user, f->opcode, data, f->payload);
    return 0;
}

static int take_data(struct ws_decoder *d, const struct frame *f, size_t at, const struct ws_sink *sink)
{
    if (f->opcode != WS_CONT) {
        d->opcode = f->opcode;
        d->message = at;
        d->message_size = f->payload;
    } else {
        memmove(d->buf + d->message + d->message_size, d->buf + at, f->payload);
        d->message_size += f->payload;
    }
    d->fragmented = !f->final;
    if (!f->final)
        return 0;
    const uint8_t *data = d->buf + d->message;
    size_t size = d->message_size;
    d->message_size = 0;
    if (d->opcode == WS_TEXT && !ws_is_utf8(data, size))
        return fail(d, -EILSEQ, "a text message is not UTF-8");
    sink->message(sink->user, d->opcode, data, size);
    return 0;
}

int ws_decoder_take(struct ws_decoder *d, size_t size, const struct ws_sink *sink)
{
    uint32_t resets = d->resets;
    d->filled += size;
    while (!d->error && !d->closed) {
        struct frame f;
        int r = read_header(d, &f);
        if (r <= 0)
            return r;
        if (d->filled - d->next - f.header < f.payload)
            return 0;
        size_t at = d->next + f.header;
        d->next = at + f.payload;
        r = f.opcode >= WS_CLOSE ? take_control(d, &f, d->buf + at, sink) : take_data(d, &f, at, sink);
        /* The sink may have begun a new connection. */
        if (d->resets != resets)
            return 0;
        if (r < 0)
            return r;
    }
    if (d->closed)
        d->next = d->filled;
    return d->error;
}

/* ------------------------------------------------------------------------------------------------ sending */

int64_t ws_frame(uint8_t *buf, size_t buf_size, enum ws_opcode opcode, const void *data, size_t size,
                 const uint8_t mask[4])
{
    size_t header = size < 126 ? 2 : size < 65536 ? 4 : 10;
    const uint8_t *from = data;
    if (opcode >= WS_CLOSE && size > CONTROL_MAX)
        return -EINVAL;
    if (size > (size_t)INT64_MAX - HEADER_MAX || buf_size < header + 4 + size)
        return -ENOBUFS;
    buf[0] = (uint8_t)(0x80 | opcode);
    buf[1] = (uint8_t)(0x80 | (header == 2 ? size : header == 4 ? 126 : 127));
    for (size_t i = 2; i < header; i++)
        buf[i] = (uint8_t)((uint64_t)size >> (8 * (header - 1 - i)));
    memcpy(buf + header, mask, 4);
    for (size_t i = 0; i < size; i++)
        buf[header + 4 + i] = from[i] ^ mask[i & 3];
    return (int64_t)(header + 4 + size);
}

int ws_close_code(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 1005;
    if (size == 1)
        return -EPROTO;
    int code = data[0] << 8 | data[1];
    bool known = code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
    bool open = code >= 3000 && code <= 4999;
    return known || open ? code : -EPROTO;
}
