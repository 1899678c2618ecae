#include "rest_url.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "kernels/engine.h"

/* Room for a ticker with every byte encoded. */
#define TICKER_ROOM (3 * PGD_SYMBOL_MAX + 1)

static void rest_url_encode(char *ret, size_t room, const char *ticker)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:";
    size_t n = 0;
    for (const char *p = ticker; *p && n + 4 <= room; p++) {
        if (strchr(plain, *p))
            ret[n++] = *p;
        else
            n += (size_t)snprintf(ret + n, 4, "%%%02X", (unsigned)(unsigned char)*p);
    }
    ret[n] = '\0';
}

static int rest_url_base(const struct config *config)
{
    size_t n = strlen(config->rest.url);
    while (n && config->rest.url[n - 1] == '/')
        n--;
    return (int)n;
}

/* Grouped bars are named by their New York day. */
static void rest_url_day(char ret[16], int64_t ms)
{
    time_t midnight = (time_t)pgk_new_york_day(ms) * 86400;
    struct tm tm;
    if (!gmtime_r(&midnight, &tm) || !strftime(ret, 16, "%Y-%m-%d", &tm))
        memcpy(ret, "1970-01-01", 11);
}

static char *rest_url_snapshot(const struct config *config, const char *tickers)
{
    size_t room = tickers ? 3 * strlen(tickers) + 4 : 4;
    char *list = calloc(1, room);
    char *url = NULL;
    if (!list)
        return NULL;
    if (tickers)
        rest_url_encode(list, room, tickers);
    int n = asprintf(&url, "%.*s/v2/snapshot/locale/us/markets/stocks/tickers?include_otc=true%s%s",
                     rest_url_base(config), config->rest.url, tickers ? "&tickers=" : "", list);
    free(list);
    return n < 0 ? NULL : url;
}

char *rest_url(const struct config *config, const struct rest_query *query)
{
    char ticker[TICKER_ROOM] = "";
    char day[16];
    char *url = NULL;
    const char *base = config->rest.url;
    int size = rest_url_base(config);
    uint64_t limit = query->max_rows && query->max_rows < REST_LIMIT ? query->max_rows : REST_LIMIT;
    const char *order = query->newest_first ? "desc" : "asc";
    if (query->ticker && query->kind != REST_SNAPSHOT)
        rest_url_encode(ticker, sizeof(ticker), query->ticker);
    int n = -1;
    switch (query->kind) {
    case REST_BARS:
        n = asprintf(&url,
                     "%.*s/v2/aggs/ticker/%s/range/1/%s/%" PRId64 "/%" PRId64
                     "?adjusted=true&sort=%s&limit=%" PRIu64,
                     size, base, ticker, query->timespan, query->from, query->to, order, limit);
        break;
    case REST_TRADES:
    case REST_QUOTES:
        n = asprintf(&url,
                     "%.*s/v3/%s/%s?timestamp.gte=%" PRId64 "&timestamp.lte=%" PRId64
                     "&order=%s&sort=timestamp&limit=%" PRIu64,
                     size, base, query->kind == REST_TRADES ? "trades" : "quotes", ticker, query->from,
                     query->to, order, limit);
        break;
    case REST_GROUPED:
        rest_url_day(day, query->from);
        n = asprintf(&url, "%.*s/v2/aggs/grouped/locale/us/market/stocks/%s?adjusted=true&include_otc=true",
                     size, base, day);
        break;
    case REST_SNAPSHOT:
        return rest_url_snapshot(config, query->ticker);
    case REST_NOTHING:
        break;
    }
    return n < 0 ? NULL : url;
}

char *rest_url_ticker(const struct config *config, const char *ticker)
{
    char encoded[TICKER_ROOM];
    char *url = NULL;
    rest_url_encode(encoded, sizeof(encoded), ticker);
    if (asprintf(&url, "%.*s/v3/reference/tickers/%s", rest_url_base(config), config->rest.url, encoded) < 0)
        return NULL;
    return url;
}

/* ---------------------------------------------------------------------------------------------- following */

struct origin {
    char *scheme;
    char *host;
    char *port;
    bool user;
};

static void origin_fini(struct origin *origin)
{
    curl_free(origin->scheme);
    curl_free(origin->host);
    curl_free(origin->port);
}

/* libcurl's own parser, so that what is judged here is what will be connected to. */
static bool origin_init(struct origin *origin, const char *url)
{
    char *user = NULL;
    CURLU *u = curl_url();
    *origin = (struct origin){0};
    if (!u)
        return false;
    bool good = curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_SCHEME, &origin->scheme, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_HOST, &origin->host, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_PORT, &origin->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    origin->user = curl_url_get(u, CURLUPART_USER, &user, 0) != CURLUE_NO_USER;
    curl_free(user);
    curl_url_cleanup(u);
    return good;
}

static bool origin_listed(const struct origin *origin, const char *entry)
{
    const char *colon = strrchr(entry, ':');
    size_t n = colon ? (size_t)(colon - entry) : strlen(entry);
    const char *port = colon ? colon + 1 : strcmp(origin->scheme, "https") == 0 ? "443" : "80";
    return strlen(origin->host) == n && strncasecmp(origin->host, entry, n) == 0 &&
           strcmp(origin->port, port) == 0;
}

static bool origin_allowed(const struct config *config, const struct origin *base,
                           const struct origin *origin)
{
    bool https = strcmp(origin->scheme, "https") == 0;
    if (origin->user || (!https && strcmp(origin->scheme, "http") != 0))
        return false;
    if (!https && strcmp(base->scheme, "https") == 0)
        return false;
    if (strcasecmp(origin->host, base->host) == 0 && strcmp(origin->port, base->port) == 0)
        return true;
    for (unsigned i = 0; i < config->rest.hosts_count; i++)
        if (origin_listed(origin, config->rest.hosts[i]))
            return true;
    return false;
}

bool rest_url_allowed(const struct config *config, const char *url)
{
    struct origin base;
    struct origin origin;
    bool allowed = origin_init(&base, config->rest.url);
    bool good = origin_init(&origin, url);
    allowed = allowed && good && origin_allowed(config, &base, &origin);
    origin_fini(&base);
    origin_fini(&origin);
    return allowed;
}

int rest_ticker(char ret[PGD_SYMBOL_MAX], const char *symbol)
{
    size_t n = strlen(symbol);
    if (n == 0 || n >= PGD_SYMBOL_MAX)
        return -EINVAL;
    memcpy(ret, symbol, n + 1);
    bool pair = n > 2 && (memcmp(ret, "X:", 2) == 0 || memcmp(ret, "C:", 2) == 0);
    char *dash = pair ? strchr(ret, '-') : NULL;
    if (dash)
        memmove(dash, dash + 1, strlen(dash));
    return 0;
}
