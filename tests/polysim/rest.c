#include "rest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FREE_REQUESTS 5
#define FREE_WINDOW   60.0

void sim_rest_error_body(struct sim_text *out, const struct sim_request *request, int status,
                         const char *message)
{
    bool refusal = status == 403 || status == 404;
    sim_text_printf(out, "{\"status\":\"%s\",\"request_id\":\"%s\",\"%s\":",
                    status == 403   ? "NOT_AUTHORIZED"
                    : status == 404 ? "NOT_FOUND"
                                    : "ERROR",
                    request->id, refusal ? "message" : "error");
    sim_text_json(out, message);
    sim_text_char(out, '}');
}

void sim_rest_error(struct sim_rest *rest, int status, const char *message)
{
    rest->reply->status = status;
    rest->out->size = 0;
    sim_rest_error_body(rest->out, rest->request, status, message);
}

bool sim_rest_delayed(const struct sim_rest *rest)
{
    return rest->sim->options.plan != SIM_PLAN_ADVANCED;
}

void sim_rest_envelope(struct sim_rest *rest)
{
    sim_text_printf(rest->out, "\"status\":\"%s\",\"request_id\":\"%s\"",
                    sim_rest_delayed(rest) ? "DELAYED" : "OK", rest->request->id);
}

/* The server may have its own idea of how long a page is. */
static int64_t least_of(const struct sim_rest *rest, const char *name, int64_t value)
{
    int64_t most = rest->request->rows_most;
    return most && most < value && strcmp(name, "limit") == 0 ? most : value;
}

bool sim_rest_number(struct sim_rest *rest, const char *name, int64_t least, int64_t most, int64_t fallback,
                     int64_t *ret)
{
    char text[32], message[128];
    if (!sim_request_param(rest->request, name, text, sizeof(text))) {
        *ret = least_of(rest, name, fallback);
        return true;
    }
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || !*text || *end || value < least || value > most) {
        snprintf(message, sizeof(message), "The parameter '%s' must be a number from %lld to %lld", name,
                 (long long)least, (long long)most);
        sim_rest_error(rest, 400, message);
        return false;
    }
    *ret = least_of(rest, name, value);
    return true;
}

bool sim_rest_time(const char *text, int64_t unit, int64_t *ret, bool *ret_date)
{
    struct sim_date d;
    int used = 0;
    if (strlen(text) == 10 && sscanf(text, "%4d-%2d-%2d%n", &d.year, &d.month, &d.day, &used) == 3 &&
        used == 10) {
        if (d.year < 1970 || d.year > 2098 || d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31)
            return false;
        *ret = sim_calendar_midnight(sim_calendar_days(d)) * unit;
        *ret_date = true;
        return true;
    }
    size_t size = strlen(text);
    if (size == 0 || size > 19 || strspn(text, "0123456789") != size)
        return false;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno || value > INT64_C(4070908800000) * unit)
        return false;
    *ret = value;
    *ret_date = false;
    return true;
}

void sim_rest_base_url(struct sim_rest *rest, struct sim_text *out)
{
    sim_text_str(out, rest->tls ? "https://" : "http://");
    if (*rest->request->host)
        sim_text_str(out, rest->request->host);
    else
        sim_text_printf(out, "127.0.0.1:%d", rest->tls ? rest->sim->tls_port : rest->sim->port);
}

static void add_key(struct sim_text *out, const char *key)
{
    sim_text_str(out, ",\"");
    sim_text_str(out, key);
    sim_text_str(out, "\":");
}

void sim_rest_price(struct sim_text *out, const char *key, int64_t price, bool plain)
{
    add_key(out, key);
    sim_text_number(out, price, SIM_PRICE_SCALE, plain);
}

void sim_rest_size(struct sim_text *out, const char *key, int64_t size, bool plain)
{
    add_key(out, key);
    sim_text_number(out, size, SIM_SIZE_SCALE, plain);
}

void sim_rest_int(struct sim_text *out, const char *key, int64_t value)
{
    add_key(out, key);
    sim_text_int(out, value);
}

void sim_rest_string(struct sim_text *out, const char *key, const char *value)
{
    add_key(out, key);
    sim_text_json(out, value);
}

/* ------------------------------------------------------------------------------------------ routes */

/* '*' stands for one segment of any text. */
static const struct {
    const char *segments[SIM_SEGMENTS];
    size_t count;
    void (*handler)(struct sim_rest *rest);
    enum sim_plan least; /* plan */
} routes[] = {
    {{"v2", "aggs", "ticker", "*", "range", "*", "*", "*", "*"}, 9, sim_rest_aggs, SIM_PLAN_FREE},
    {{"v2", "aggs", "ticker", "*", "prev"}, 5, sim_rest_previous, SIM_PLAN_FREE},
    {{"v2", "aggs", "grouped", "locale", "us", "market", "stocks", "*"}, 8, sim_rest_grouped, SIM_PLAN_FREE},
    {{"v1", "open-close", "*", "*"}, 4, sim_rest_open_close, SIM_PLAN_FREE},
    {{"v3", "reference", "tickers"}, 3, sim_rest_tickers, SIM_PLAN_FREE},
    {{"v3", "reference", "tickers", "*"}, 4, sim_rest_ticker, SIM_PLAN_FREE},
    {{"v3", "reference", "exchanges"}, 3, sim_rest_exchanges, SIM_PLAN_FREE},
    {{"v3", "reference", "conditions"}, 3, sim_rest_conditions, SIM_PLAN_FREE},
    {{"v1", "marketstatus", "now"}, 3, sim_rest_status_now, SIM_PLAN_FREE},
    {{"v1", "marketstatus", "upcoming"}, 3, sim_rest_status_upcoming, SIM_PLAN_FREE},
    {{"v2", "snapshot", "locale", "us", "markets", "stocks", "tickers"},
     7,
     sim_rest_snapshots,
     SIM_PLAN_STARTER},
    {{"v2", "snapshot", "locale", "us", "markets", "stocks", "tickers", "*"},
     8,
     sim_rest_snapshot,
     SIM_PLAN_STARTER},
    {{"v3", "trades", "*"}, 3, sim_rest_trades, SIM_PLAN_ADVANCED},
    {{"v3", "quotes", "*"}, 3, sim_rest_quotes, SIM_PLAN_ADVANCED},
    {{"v2", "last", "trade", "*"}, 4, sim_rest_last_trade, SIM_PLAN_ADVANCED},
    {{"v2", "last", "nbbo", "*"}, 4, sim_rest_last_quote, SIM_PLAN_ADVANCED},
};

static bool matches(size_t route, const struct sim_request *request)
{
    if (routes[route].count != request->segment_count)
        return false;
    for (size_t i = 0; i < routes[route].count; i++)
        if (strcmp(routes[route].segments[i], "*") != 0 &&
            strcmp(routes[route].segments[i], request->segments[i]) != 0)
            return false;
    return true;
}

/* True: the key is right. */
static bool authenticate(struct sim_rest *rest)
{
    char key[256] = "";
    if (strncmp(rest->request->auth, "Bearer ", 7) == 0)
        snprintf(key, sizeof(key), "%.255s", rest->request->auth + 7);
    else if (!sim_request_param(rest->request, "apiKey", key, sizeof(key)))
        key[0] = '\0';
    if (strcmp(key, rest->sim->options.key) == 0)
        return true;
    sim_rest_error(rest, 401, *key ? "Unknown API Key" : "API Key was not provided");
    return false;
}

/* Five requests in any minute on the free plan. */
static bool within_rate(struct sim_rest *rest)
{
    static double recent[FREE_REQUESTS];
    static size_t next;
    if (rest->sim->options.plan != SIM_PLAN_FREE)
        return true;
    double now = sim_elapsed(rest->sim) + FREE_WINDOW; /* so that 0 is long ago */
    if (now - recent[next] < FREE_WINDOW) {
        sim_rest_error(rest, 429,
                       "You've exceeded the maximum requests per minute, please wait or upgrade your "
                       "subscription to continue.");
        return false;
    }
    recent[next] = now;
    next = (next + 1) % FREE_REQUESTS;
    return true;
}

/* Index of the route, -1: none. */
static int find_route(const struct sim_request *request)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++)
        if (matches(i, request))
            return (int)i;
    return -1;
}

bool sim_rest_admit(struct sim *sim, const struct sim_request *request, struct sim_reply *reply)
{
    struct sim_rest rest = {sim, request, reply, &reply->body, false};
    int route = find_route(request);
    if (route < 0) {
        reply->status = 404;
        reply->type = "text/plain";
        sim_text_str(&reply->body, "404 page not found\n");
        return false;
    }
    if (!authenticate(&rest) || !within_rate(&rest))
        return false;
    if (sim->options.plan >= routes[route].least)
        return true;
    sim_rest_error(
        &rest, 403,
        "You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing");
    return false;
}

void sim_rest_handle(struct sim *sim, const struct sim_request *request, struct sim_reply *reply, bool tls)
{
    struct sim_rest rest = {sim, request, reply, &reply->body, tls};
    reply->status = 200;
    routes[find_route(request)].handler(&rest);
}
