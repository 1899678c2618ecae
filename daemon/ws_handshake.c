/* daemon/ws_handshake.c - the HTTP upgrade: RFC 6455 section 4. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "ws.h"

#define RESPONSE_MAX 16384u

/* --------------------------------------------------------------------------------------- SHA-1 and base64 */

static uint32_t rotate(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

static void sha1_block(uint32_t h[5], const uint8_t block[64])
{
    uint32_t w[80];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20) {
            f = (b & c) | (~b & d);
            k = 0x5a827999;
        } else if (i < 40) {
            f = b ^ c ^ d;
            k = 0x6ed9eba1;
        } else if (i < 60) {
            f = (b & c) | (b & d) | (c & d);
            k = 0x8f1bbcdc;
        } else {
            f = b ^ c ^ d;
            k = 0xca62c1d6;
        }
        uint32_t t = rotate(a, 5) + f + e + k + w[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = t;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

/* Of a text shorter than 119 bytes: two blocks at most. */
static void sha1(const char *text, size_t size, uint8_t ret[20])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint8_t blocks[128] = {0};
    size_t used = size < 56 ? 64 : 128;
    memcpy(blocks, text, size);
    blocks[size] = 0x80;
    blocks[used - 2] = (uint8_t)(size * 8 >> 8);
    blocks[used - 1] = (uint8_t)(size * 8);
    for (size_t i = 0; i < used; i += 64)
        sha1_block(h, blocks + i);
    for (int i = 0; i < 20; i++)
        ret[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

/* NUL-terminates: `out` has 4 bytes for each 3 begun, and one. */
static void base64(const uint8_t *data, size_t size, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (; size > 0; data += 3, out += 4) {
        uint32_t v = (uint32_t)data[0] << 16;
        if (size > 1)
            v |= (uint32_t)data[1] << 8;
        if (size > 2)
            v |= data[2];
        out[0] = digits[v >> 18];
        out[1] = digits[v >> 12 & 63];
        out[2] = size > 1 ? digits[v >> 6 & 63] : '=';
        out[3] = size > 2 ? digits[v & 63] : '=';
        size -= size > 3 ? 3 : size;
    }
    *out = '\0';
}

/* ------------------------------------------------------------------------------------------------ request */

/* Printable and no space: what may stand in a request line or a Host field. */
static bool is_plain(const char *text)
{
    for (; *text; text++)
        if ((uint8_t)*text <= ' ' || (uint8_t)*text >= 0x7f)
            return false;
    return true;
}

int ws_request(char *buf, size_t size, const char *host, const char *path, const uint8_t nonce[16],
               char ret_key[WS_KEY_SIZE])
{
    if (!*host || *path != '/' || !is_plain(host) || !is_plain(path))
        return -EINVAL;
    char key[WS_KEY_SIZE];
    base64(nonce, 16, key);
    int n = snprintf(buf, size,
                     "GET %s HTTP/1.1\r\n"
                     "Host: %s\r\n"
                     "Upgrade: websocket\r\n"
                     "Connection: Upgrade\r\n"
                     "Sec-WebSocket-Key: %s\r\n"
                     "Sec-WebSocket-Version: 13\r\n"
                     "User-Agent: polygond/" PGD_VERSION "\r\n"
                     "\r\n",
                     path, host, key);
    if (n < 0 || (size_t)n >= size)
        return -ENOBUFS;
    memcpy(ret_key, key, sizeof(key));
    return n;
}

/* ----------------------------------------------------------------------------------------------- response */

struct field {
    const char *name;
    size_t name_n;
    const char *value; /* without the blanks around it */
    size_t value_n;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_named(const struct field *f, const char *name)
{
    return f->name_n == strlen(name) && strncasecmp(f->name, name, f->name_n) == 0;
}

/* Whether a comma-separated list has a word, in any case. */
static bool has_token(const struct field *f, const char *token)
{
    const char *p = f->value;
    const char *end = f->value + f->value_n;
    size_t n = strlen(token);
    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *stop = comma ? comma : end;
        while (p < stop && is_blank(*p))
            p++;
        while (stop > p && is_blank(stop[-1]))
            stop--;
        if ((size_t)(stop - p) == n && strncasecmp(p, token, n) == 0)
            return true;
        p = comma ? comma + 1 : end;
    }
    return false;
}

/* One line without its CRLF. */
static bool split_field(const char *line, size_t n, struct field *ret)
{
    const char *colon = memchr(line, ':', n);
    if (!colon || colon == line || is_blank(*line) || is_blank(colon[-1]))
        return false;
    const char *value = colon + 1;
    const char *end = line + n;
    while (value < end && is_blank(*value))
        value++;
    while (end > value && is_blank(end[-1]))
        end--;
    *ret = (struct field){line, (size_t)(colon - line), value, (size_t)(end - value)};
    return true;
}

/* "HTTP/1.1 101 ...": the status, or -1. */
static int status_of(const char *line, size_t n)
{
    if (n < 12 || memcmp(line, "HTTP/1.1 ", 9) != 0 || (n > 12 && line[12] != ' '))
        return -1;
    int status = 0;
    for (int i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9')
            return -1;
        status = status * 10 + line[i] - '0';
    }
    return status;
}

struct answer {
    bool upgrade;
    bool connection;
    int accepts;  /* Sec-WebSocket-Accept fields */
    bool refused; /* something was wrong, or was not asked for */
};

static void take_field(struct answer *a, const struct field *f, const char *accept)
{
    if (is_named(f, "Upgrade")) {
        a->upgrade = a->upgrade || has_token(f, "websocket");
    } else if (is_named(f, "Connection")) {
        a->connection = a->connection || has_token(f, "upgrade");
    } else if (is_named(f, "Sec-WebSocket-Accept")) {
        a->accepts++;
        if (f->value_n != strlen(accept) || memcmp(f->value, accept, f->value_n) != 0)
            a->refused = true;
    } else if (is_named(f, "Sec-WebSocket-Extensions") || is_named(f, "Sec-WebSocket-Protocol")) {
        if (f->value_n != 0)
            a->refused = true;
    }
}

/* The next line, without CRLF; 0 when it is not complete, -EPROTO for a control character. */
static int64_t line_length(const char *p, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (p[i] == '\r') {
            if (i + 1 == size)
                return -EAGAIN;
            return p[i + 1] == '\n' ? (int64_t)i : -EPROTO;
        }
        if (((uint8_t)p[i] < ' ' && p[i] != '\t') || p[i] == 0x7f)
            return -EPROTO;
    }
    return -EAGAIN;
}

static int incomplete(size_t size)
{
    return size > RESPONSE_MAX ? -EMSGSIZE : 0;
}

int ws_response(const char *buf, size_t size, const char key[WS_KEY_SIZE], int *ret_status)
{
    *ret_status = 0;
    int64_t n = line_length(buf, size);
    if (n == -EAGAIN)
        return incomplete(size);
    int status = n < 0 ? -1 : status_of(buf, (size_t)n);
    if (status < 0)
        return -EPROTO;
    *ret_status = status;
    if (status != 101)
        return -EPROTO;

    char text[WS_KEY_SIZE + 36];
    uint8_t digest[20];
    char accept[29];
    int text_n = snprintf(text, sizeof(text), "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1(text, (size_t)text_n, digest);
    base64(digest, sizeof(digest), accept);

    struct answer answer = {0};
    for (size_t at = (size_t)n + 2;;) {
        struct field field;
        if (at > RESPONSE_MAX)
            return -EMSGSIZE;
        n = line_length(buf + at, size - at);
        if (n == -EAGAIN)
            return incomplete(size);
        if (n == 0) {
            bool good = answer.upgrade && answer.connection && answer.accepts == 1 && !answer.refused;
            return good ? (int)at + 2 : -EPROTO;
        }
        if (n < 0 || !split_field(buf + at, (size_t)n, &field))
            return -EPROTO;
        take_field(&answer, &field, accept);
        at += (size_t)n + 2;
    }
}
