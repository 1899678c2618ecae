#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "route.h"
#include "sim.h"

#define HEAD_MAX   16384
#define BODY_MAX   (1u << 20)
#define CHUNK_SIZE 32768
#define GZIP_LEAST 256

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes; plus: '+' means a space. False: too long, or a NUL. */
static bool decode(char *out, size_t room, const char *in, size_t size, bool plus)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        char c = in[i];
        if (c == '%' && i + 2 < size && hex(in[i + 1]) >= 0 && hex(in[i + 2]) >= 0) {
            c = (char)(hex(in[i + 1]) << 4 | hex(in[i + 2]));
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (n + 1 >= room || c == '\0')
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

static bool copy(char *out, size_t room, const char *in, size_t size)
{
    if (size >= room)
        return false;
    memcpy(out, in, size);
    out[size] = '\0';
    return true;
}

static bool split_target(struct sim_request *r)
{
    size_t path = strcspn(r->target, "?");
    if (r->target[0] != '/' || !decode(r->path, sizeof(r->path), r->target, path, false))
        return false;
    if (r->target[path] == '?')
        copy(r->query, sizeof(r->query), r->target + path + 1, strlen(r->target + path + 1));
    char *text = r->segments_text;
    size_t room = sizeof(r->segments_text);
    for (size_t i = 1; i < path && r->segment_count < SIM_SEGMENTS;) {
        size_t size = strcspn(r->target + i, "/?");
        if (!decode(text, room, r->target + i, size, false))
            return false;
        r->segments[r->segment_count++] = text;
        room -= strlen(text) + 1;
        text += strlen(text) + 1;
        i += size + 1;
    }
    return true;
}

static bool header(struct sim_request *r, const char *name, size_t name_size, const char *value, size_t size)
{
    const struct {
        const char *name;
        char *to;
        size_t room;
    } known[] = {{"host", r->host, sizeof(r->host)},
                 {"authorization", r->auth, sizeof(r->auth)},
                 {"upgrade", r->upgrade, sizeof(r->upgrade)},
                 {"connection", r->connection, sizeof(r->connection)},
                 {"sec-websocket-key", r->ws_key, sizeof(r->ws_key)},
                 {"sec-websocket-version", r->ws_version, sizeof(r->ws_version)}};
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (strlen(known[i].name) == name_size && strncasecmp(name, known[i].name, name_size) == 0)
            return copy(known[i].to, known[i].room, value, size);
    char text[256];
    if (name_size == 15 && strncasecmp(name, "accept-encoding", 15) == 0 &&
        copy(text, sizeof(text), value, size))
        r->gzip = strcasestr(text, "gzip") != NULL && !strcasestr(text, "gzip;q=0,");
    if (name_size == 14 && strncasecmp(name, "content-length", 14) == 0) {
        if (size == 0 || size > 9 || !copy(text, sizeof(text), value, size) ||
            strspn(text, "0123456789") != size)
            return false;
        r->body_size = strtoul(text, NULL, 10);
    }
    return !(name_size == 17 && strncasecmp(name, "transfer-encoding", 17) == 0);
}

/* Lines after the first, up to the empty one. */
static bool headers(struct sim_request *r, const char *p, const char *end)
{
    while (p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop || stop == p || stop[-1] != '\r')
            return false;
        const char *colon = memchr(p, ':', (size_t)(stop - p));
        if (!colon || colon == p || memchr(p, ' ', (size_t)(colon - p)))
            return false;
        const char *value = colon + 1, *last = stop - 1;
        while (value < last && (*value == ' ' || *value == '\t'))
            value++;
        while (last > value && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        if (!header(r, p, (size_t)(colon - p), value, (size_t)(last - value)))
            return false;
        p = stop + 1;
    }
    return true;
}

int64_t sim_request_parse(struct sim_request *request, const char *data, size_t size)
{
    const char *end = memmem(data, size < HEAD_MAX ? size : HEAD_MAX, "\r\n\r\n", 4);
    if (!end)
        return size >= HEAD_MAX ? -431 : 0;
    memset(request, 0, sizeof(*request));
    for (size_t i = 0; i < SIM_SEGMENTS; i++)
        request->segments[i] = "";
    const char *line = memchr(data, '\r', size);
    const char *space = memchr(data, ' ', (size_t)(line - data));
    const char *second = space ? memchr(space + 1, ' ', (size_t)(line - space - 1)) : NULL;
    if (!second || line - second != 9 || memcmp(second + 1, "HTTP/1.", 7) != 0)
        return -400;
    if (!copy(request->method, sizeof(request->method), data, (size_t)(space - data)))
        return -400;
    if (!copy(request->target, sizeof(request->target), space + 1, (size_t)(second - space - 1)))
        return -414;
    bool old = second[8] == '0';
    if (!split_target(request) || !headers(request, line + 2, end + 2))
        return -400;
    request->keep_alive = old ? strcasestr(request->connection, "keep-alive") != NULL
                              : !strcasestr(request->connection, "close");
    if (request->body_size > BODY_MAX)
        return -413;
    size_t head = (size_t)(end + 4 - data);
    if (size - head < request->body_size)
        return 0;
    request->body = data + head;
    return (int64_t)(head + request->body_size);
}

bool sim_request_param(const struct sim_request *request, const char *name, char *value, size_t size)
{
    char key[128];
    for (const char *p = request->query; *p;) {
        size_t pair = strcspn(p, "&"), left = strcspn(p, "=&");
        bool match = decode(key, sizeof(key), p, left, true) && strcmp(key, name) == 0;
        size_t skip = left < pair ? left + 1 : left;
        if (match && decode(value, size, p + skip, pair - skip, true))
            return true;
        p += pair;
        p += *p == '&';
    }
    return false;
}

void sim_reply_fini(struct sim_reply *reply)
{
    sim_text_fini(&reply->headers);
    sim_text_fini(&reply->body);
}

void sim_gzip(struct sim_text *out, const char *data, size_t size)
{
    z_stream z = {0};
    if (deflateInit2(&z, 4, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return;
    size_t bound = deflateBound(&z, (uLong)size);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)size;
    z.next_out = (Bytef *)sim_text_space(out, bound);
    z.avail_out = (uInt)bound;
    deflate(&z, Z_FINISH);
    out->size += z.total_out;
    deflateEnd(&z);
}

static const char *reason(int status)
{
    switch (status) {
    case 101:
        return "Switching Protocols";
    case 200:
        return "OK";
    case 302:
        return "Found";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 426:
        return "Upgrade Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    default:
        return "Other";
    }
}

static void add_chunks(struct sim_text *out, const char *data, size_t size)
{
    for (size_t at = 0; at < size; at += CHUNK_SIZE) {
        size_t piece = size - at < CHUNK_SIZE ? size - at : CHUNK_SIZE;
        sim_text_printf(out, "%zx\r\n", piece);
        sim_text_add(out, data + at, piece);
        sim_text_str(out, "\r\n");
    }
}

static void add_body(struct sim_text *out, const struct sim_reply *reply, const char *data, size_t size)
{
    if (reply->truncate) {
        sim_text_printf(out, "%zx\r\n", size);
        sim_text_add(out, data, size / 2);
        return;
    }
    add_chunks(out, data, size);
    sim_text_str(out, reply->bad_chunk ? "zz\r\n\r\n" : "0\r\n\r\n");
}

bool sim_reply_render(const struct sim_request *request, const struct sim_reply *reply, struct sim_text *out)
{
    struct sim_text packed = {0}, *body = &packed;
    bool gzip = request->gzip && reply->body.size >= GZIP_LEAST;
    if (gzip)
        sim_gzip(&packed, reply->body.data, reply->body.size);
    else
        sim_text_add(&packed, reply->body.data, reply->body.size);
    if (reply->corrupt && body->size)
        body->data[body->size / 2] = (char)(body->data[body->size / 2] ^ 0x55);
    bool close = !request->keep_alive || reply->truncate || reply->bad_chunk;
    bool empty = reply->no_body || body->size == 0;
    sim_text_printf(out, "HTTP/1.1 %d %s\r\nServer: polysim\r\nContent-Type: %s\r\n", reply->status,
                    reason(reply->status), reply->type ? reply->type : "application/json");
    if (*request->id)
        sim_text_printf(out, "X-Request-Id: %s\r\n", request->id);
    sim_text_add(out, reply->headers.data, reply->headers.size);
    if (gzip)
        sim_text_str(out, "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n");
    if (close)
        sim_text_str(out, "Connection: close\r\n");
    sim_text_str(out, empty ? "Content-Length: 0\r\n\r\n" : "Transfer-Encoding: chunked\r\n\r\n");
    if (!empty && strcmp(request->method, "HEAD") != 0)
        add_body(out, reply, body->data, body->size);
    sim_text_fini(&packed);
    return close;
}

void sim_reply_send(struct sim_conn *conn, const struct sim_request *request, struct sim_reply *reply)
{
    struct sim_text wire = {0};
    bool close = sim_reply_render(request, reply, &wire);
    sim_conn_write(conn, wire.data, wire.size);
    sim_text_fini(&wire);
    sim_conn_flush(conn);
    if (close)
        sim_conn_finish(conn);
}

static size_t on_input(struct sim_conn *conn, char *data, size_t size)
{
    struct sim_request request;
    int64_t used = sim_request_parse(&request, data, size);
    if (used < 0) {
        struct sim_reply reply = {.status = (int)-used, .type = "text/plain"};
        sim_text_printf(&reply.body, "%d %s\n", reply.status, reason(reply.status));
        memset(&request, 0, sizeof(request));
        sim_reply_send(conn, &request, &reply);
        sim_reply_fini(&reply);
        return size;
    }
    if (used > 0)
        sim_route(conn, &request);
    return (size_t)used;
}

const struct sim_conn_handler sim_http_handler = {.input = on_input};
