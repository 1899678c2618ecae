/* bench_parse - the scanner alone: events a second of processor time from memory, beside jansson on the same
 * bytes and beside one memchr over them (nothing can be parsed without being looked at). Best of several
 * passes; JSON lines. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "parse.h"
#include "ws.h"

#define PASSES 25
#define EVENTS 50000

struct corpus {
    char *text;
    size_t size;
    size_t room;
    size_t *ends; /* of messages */
    size_t messages;
    size_t events;
};

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t rnd(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const char *const symbols[] = {"AAPL",  "MSFT", "F",  "BRK.A", "NVDA", "T",
                                      "GOOGL", "TSLA", "KO", "SPY",   "QQQ",  "AMD"};

static int put_trade(char *p, size_t room, size_t i)
{
    char cond[32] = "";
    if (rnd(3) == 0)
        snprintf(cond, sizeof(cond), ",\"c\":[%s37]", rnd(2) ? "14," : "");
    return snprintf(p, room,
                    "{\"ev\":\"T\",\"sym\":\"%s\",\"x\":%d,\"i\":\"%d\",\"z\":%d,\"p\":%.*f,\"s\":%d%s,\"t\":"
                    "%lld,\"q\":%d}",
                    symbols[rnd(12)], (int)rnd(20) + 1, (int)rnd(200000), (int)rnd(3) + 1, (int)rnd(3) + 2,
                    10 + (double)rnd(4000000) * 1e-4, (int)rnd(5) ? (int)rnd(500) + 1 : 100, cond,
                    1767366000000LL + (long long)i, (int)(1000 + i * 7));
}

static int put_quote(char *p, size_t room, size_t i)
{
    double bid = 10 + (double)rnd(40000) * 1e-2;
    return snprintf(p, room,
                    "{\"ev\":\"Q\",\"sym\":\"%s\",\"bx\":%d,\"bp\":%.2f,\"bs\":%d,\"ax\":%d,\"ap\":%.2f,"
                    "\"as\":%d,\"c\":%d,"
                    "\"i\":[604],\"t\":%lld,\"q\":%d,\"z\":%d}",
                    symbols[rnd(12)], (int)rnd(20) + 1, bid, (int)rnd(900), (int)rnd(20) + 1, bid + 0.01,
                    (int)rnd(900), (int)rnd(2), 1767366000000LL + (long long)i, (int)(1000 + i * 7),
                    (int)rnd(3) + 1);
}

static int put_bar(char *p, size_t room, size_t i)
{
    double c = 10 + (double)rnd(40000) * 1e-2;
    return snprintf(p, room,
                    "{\"ev\":\"AM\",\"sym\":\"%s\",\"v\":%d,\"av\":%d,\"op\":%.2f,\"vw\":%.4f,\"o\":%.2f,"
                    "\"c\":%.2f,\"h\":%.2f,"
                    "\"l\":%.2f,\"a\":%.4f,\"z\":%d,\"s\":%lld,\"e\":%lld}",
                    symbols[rnd(12)], (int)rnd(90000), (int)rnd(99000000), c, c + 0.0123, c, c + 0.02,
                    c + 0.05, c - 0.04, c + 0.0321, (int)rnd(300), 1767366000000LL + (long long)i * 60000,
                    1767366060000LL + (long long)i * 60000);
}

static int put_row(char *p, size_t room, size_t i)
{
    double c = 10 + (double)rnd(40000) * 1e-2;
    return snprintf(
        p, room, "{\"v\":%.6g,\"vw\":%.4f,\"o\":%.2f,\"c\":%.2f,\"h\":%.2f,\"l\":%.2f,\"t\":%lld,\"n\":%d}",
        (double)rnd(9000000), c + 0.0123, c, c + 0.02, c + 0.05, c - 0.04,
        1767366000000LL + (long long)i * 60000, (int)rnd(3000));
}

typedef int put_fn(char *p, size_t room, size_t i);

static void append(struct corpus *c, const char *text, size_t n)
{
    while (c->size + n > c->room) {
        c->room = c->room ? c->room * 2 : 1u << 20;
        c->text = realloc(c->text, c->room);
        if (!c->text)
            abort();
    }
    memcpy(c->text + c->size, text, n);
    c->size += n;
}

static struct corpus make(put_fn *put, size_t events, size_t per_message, const char *head, const char *tail)
{
    struct corpus c = {.ends = calloc(events / per_message + 1, sizeof(size_t))};
    if (!c.ends)
        abort();
    while (c.events < events) {
        append(&c, head, strlen(head));
        for (size_t i = 0; i < per_message; i++) {
            char one[512];
            if (i)
                append(&c, ",", 1);
            append(&c, one, (size_t)put(one, sizeof(one), c.events++));
        }
        append(&c, tail, strlen(tail));
        c.ends[c.messages++] = c.size;
    }
    return c;
}

static uint64_t taken;

static void on_event(void *user, const struct event *e)
{
    uint64_t *sum = user;
    *sum += (uint64_t)e->trade.t + e->symbol.n;
    taken++;
}

static void on_fault(void *user, enum event_fault fault, const char *reason, const struct event *e,
                     struct event_text raw)
{
    (void)user, (void)fault, (void)e;
    fprintf(stderr, "bench_parse: %s: %.*s\n", reason, (int)raw.n, raw.p);
    exit(1);
}

enum way { OURS, OURS_UTF8, OURS_REST, JANSSON, MEMCHR };

static uint64_t one_message(enum way way, const char *p, size_t n, const struct parse_sink *sink)
{
    struct parse_page page;
    json_t *json;
    switch (way) {
    case OURS_UTF8:
        if (!ws_is_utf8((const uint8_t *)p, n))
            exit(1);
        /* fall through */
    case OURS:
        if (parse_ws(p, n, PGD_STOCKS, sink) < 0)
            exit(1);
        return 0;
    case OURS_REST:
        if (parse_rest(p, n, &page, sink) < 0)
            exit(1);
        return 0;
    case JANSSON:
        json = json_loadb(p, n, 0, NULL);
        if (!json)
            exit(1);
        n = json_is_array(json) ? json_array_size(json) : json_array_size(json_object_get(json, "results"));
        json_decref(json);
        return n;
    case MEMCHR:
        return memchr(p, 1, n) != NULL;
    }
    return 0;
}

static double run(const struct corpus *c, enum way way, int passes)
{
    double best = INFINITY;
    uint64_t sum = 0;
    struct parse_sink sink = {.event = on_event, .fault = on_fault, .user = &sum};
    for (int pass = 0; pass < passes; pass++) {
        double start = cpu_s();
        taken = 0;
        size_t at = 0;
        for (size_t i = 0; i < c->messages; i++) {
            sum += one_message(way, c->text + at, c->ends[i] - at, &sink);
            at = c->ends[i];
        }
        double took = cpu_s() - start;
        if (way <= OURS_REST && taken != c->events)
            exit(1);
        best = took < best ? took : best;
    }
    __asm__ volatile("" : : "r"(sum));
    return (double)c->events / best;
}

static void report(const char *name, const struct corpus *c, enum way way)
{
    double ours = run(c, way, PASSES);
    double jansson = run(c, JANSSON, 2);
    double limit = run(c, MEMCHR, PASSES);
    double bytes = (double)c->size / (double)c->events;
    printf("{\"name\":\"parse.%s\",\"ours\":%.0f,\"reference\":%.0f,\"ratio\":%.2f,\"unit\":\"events/s\","
           "\"note\":\"reference: jansson, tree only; %.0f bytes an event, %.2f GB/s\"}\n",
           name, ours, jansson, ours / jansson, bytes, ours * bytes * 1e-9);
    printf(
        "{\"name\":\"parse.%s.limit\",\"ours\":%.0f,\"reference\":%.0f,\"ratio\":%.3f,\"unit\":\"events/s\","
        "\"note\":\"reference: one memchr over the bytes\"}\n",
        name, ours, limit, ours / limit);
    fflush(stdout);
    free(c->text);
    free(c->ends);
}

int main(void)
{
    struct corpus c = make(put_trade, EVENTS, 100, "[", "]");
    report("trades_100", &c, OURS);
    c = make(put_trade, EVENTS, 100, "[", "]");
    report("trades_100_utf8", &c, OURS_UTF8);
    c = make(put_trade, EVENTS, 1, "[", "]");
    report("trades_1", &c, OURS_UTF8);
    c = make(put_quote, EVENTS, 100, "[", "]");
    report("quotes_100", &c, OURS_UTF8);
    c = make(put_bar, EVENTS, 100, "[", "]");
    report("bars_100", &c, OURS_UTF8);
    c = make(put_row, EVENTS, EVENTS, "{\"ticker\":\"AAPL\",\"status\":\"OK\",\"results\":[", "]}");
    report("rest_bars", &c, OURS_REST);
    return 0;
}
