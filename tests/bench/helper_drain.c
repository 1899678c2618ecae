/* A WebSocket client that throws away what it gets: the reference of bench_feed, "the same stream only
 * drained".
 *
 * Usage: helper_drain URL CA_FILE MESSAGES PARAMS. Authenticates with POLYGON_API_KEY, subscribes to PARAMS,
 * prints "ready", and after MESSAGES messages of more than 1000 bytes prints the CPU seconds, wall seconds
 * and bytes since the first of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <uv.h>

#include "http.h"
#include "ws.h"

struct drain {
    struct http *http;
    struct http_conn *conn;
    struct ws_decoder *decoder;
    const char *params;
    char key[WS_KEY_SIZE];
    char head[16384];
    size_t head_size;
    bool upgraded;
    unsigned long wanted, seen;
    unsigned long long bytes;
    double cpu, wall;
};

static double seconds(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "helper_drain: %s\n", what);
    exit(1);
}

static void send_all(struct drain *d, const void *data, size_t size)
{
    if (http_conn_send(d->conn, data, size) != (int64_t)size)
        die("short send");
}

static void send_text(struct drain *d, const char *action, const char *params)
{
    static char text[1 << 20];
    static uint8_t frame[(1 << 20) + 16];
    int n = snprintf(text, sizeof text, "{\"action\":\"%s\",\"params\":\"%s\"}", action, params);
    int64_t size = ws_frame(frame, sizeof frame, WS_TEXT, text, (size_t)n, (const uint8_t[4]){1, 2, 3, 4});
    if (size < 0)
        die("too many params");
    send_all(d, frame, (size_t)size);
}

static void on_message(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    (void)opcode;
    struct drain *d = user;
    if (size > 1000 && memcmp(data, "[{\"ev\":\"status\"", 15) != 0) {
        if (d->seen++ == 0) {
            d->cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
            d->wall = seconds(CLOCK_MONOTONIC);
        }
        d->bytes += size;
        if (d->seen < d->wanted)
            return;
        printf("%.6f %.6f %llu\n", seconds(CLOCK_PROCESS_CPUTIME_ID) - d->cpu,
               seconds(CLOCK_MONOTONIC) - d->wall, d->bytes);
        exit(0);
    }
    if (memmem(data, size, "\"connected\"", 11))
        send_text(d, "auth", getenv("POLYGON_API_KEY"));
    else if (memmem(data, size, "auth_success", 12))
        send_text(d, "subscribe", d->params);
    else if (memmem(data, size, "subscribed to: ", 15)) {
        puts("ready");
        fflush(stdout);
    }
}

static void on_control(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    (void)user, (void)data, (void)size;
    if (opcode == WS_CLOSE)
        die("closed");
}

static void connected(void *user)
{
    struct drain *d = user;
    char request[1024];
    uint8_t nonce[16];
    if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce)
        die("getrandom");
    int n = ws_request(request, sizeof request, "localhost", "/stocks", nonce, d->key);
    if (n < 0)
        die("request");
    send_all(d, request, (size_t)n);
}

static void upgrade(struct drain *d)
{
    int status;
    int used = ws_response(d->head, d->head_size, d->key, &status);
    if (used < 0)
        die("upgrade refused");
    if (used == 0)
        return;
    d->upgraded = true;
    size_t left = d->head_size - (size_t)used, room;
    if (left == 0)
        return;
    uint8_t *to = ws_decoder_space(d->decoder, &room);
    memcpy(to, d->head + used, left);
    struct ws_sink sink = {on_message, on_control, d};
    if (ws_decoder_take(d->decoder, left, &sink) < 0)
        die("frame");
}

static void readable(void *user)
{
    struct drain *d = user;
    struct ws_sink sink = {on_message, on_control, d};
    for (;;) {
        size_t room = sizeof d->head - d->head_size;
        void *to = d->upgraded ? (void *)ws_decoder_space(d->decoder, &room) : d->head + d->head_size;
        int64_t n = http_conn_recv(d->conn, to, room);
        if (n == -EAGAIN)
            return;
        if (n <= 0)
            die("connection lost");
        if (d->upgraded) {
            if (ws_decoder_take(d->decoder, (size_t)n, &sink) < 0)
                die("frame");
        } else {
            d->head_size += (size_t)n;
            upgrade(d);
        }
    }
}

static void writable(void *user)
{
    (void)user;
}

static void failed(void *user, int error, const char *text)
{
    (void)user, (void)error;
    die(text);
}

int main(int argc, char **argv)
{
    static struct drain d;
    if (argc != 5 || !getenv("POLYGON_API_KEY"))
        die("usage: helper_drain URL CA_FILE MESSAGES PARAMS");
    d.wanted = strtoul(argv[3], NULL, 10);
    d.params = argv[4];
    d.decoder = ws_decoder_new(16 << 20);
    struct http_options options = {argv[2], NULL, 1};
    const struct http_conn_events events = {connected, readable, writable, failed};
    if (!d.decoder || http_new(&d.http, uv_default_loop(), &options) < 0 ||
        http_connect(d.http, &d.conn, argv[1], 10, &events, &d) < 0)
        die("cannot connect");
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    return 1;
}
