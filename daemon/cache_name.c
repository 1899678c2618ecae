#include "cache_name.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

static int encode(char ret[CACHE_WORD_MAX], const char *text, const char *plain)
{
    size_t n = 0;
    if (!text[0] || strlen(text) * 3 >= CACHE_WORD_MAX)
        return -EINVAL;
    for (const char *p = text; *p; p++) {
        if (strchr(plain, *p) && !(*p == '.' && p == text))
            ret[n++] = *p;
        else
            n += (size_t)snprintf(ret + n, 4, "=%02x", (unsigned)(unsigned char)*p);
    }
    ret[n] = '\0';
    return 0;
}

int cache_name_encode(char ret[CACHE_WORD_MAX], const char *text)
{
    return encode(ret, text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.");
}

static void span_name(char ret[24], int64_t span_ms)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;
    while (span_ms % units[i].ms)
        i++;
    snprintf(ret, 24, "%" PRId64 "%s", span_ms / units[i].ms, units[i].unit);
}

void cache_name_folder(char ret[CACHE_FOLDER_MAX], enum pgd_cluster cluster, int64_t span_ms, int64_t t_ms)
{
    char span[24], period[CACHE_PERIOD_MAX];
    span_name(span, span_ms);
    cache_time_name(period, span_ms, t_ms);
    snprintf(ret, CACHE_FOLDER_MAX, "%s/%s/%s", config_cluster_name(cluster), span, period);
}

int cache_name_file(char ret[CACHE_FILE_MAX], const char *symbol, bool raw)
{
    char word[CACHE_WORD_MAX];
    if (strlen(symbol) >= PGD_SYMBOL_MAX || cache_name_encode(word, symbol) < 0)
        return -EINVAL;
    int n = snprintf(ret, CACHE_FILE_MAX, "%s.%s", word, raw ? "raw" : "bars");
    return n < CACHE_FILE_MAX ? 0 : -EINVAL;
}

int cache_name_host(char ret[CACHE_WORD_MAX], const char *url)
{
    char host[256];
    const char *p = strstr(url, "://");
    p = p ? p + 3 : url;
    size_t n = strcspn(p, "/?#");
    if (n >= sizeof host)
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        host[i] = (char)tolower((unsigned char)p[i]);
    host[n] = '\0';
    return encode(ret, host, "abcdefghijklmnopqrstuvwxyz0123456789-.");
}
