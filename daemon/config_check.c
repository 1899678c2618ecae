#include "config_check.h"
#include "shm/segment.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

/* Everything a check needs. */
struct check {
    const struct config *config;
    const struct config_node *root;
    char *err;
    size_t err_size;
};

/* The node of "stream.url", or of its nearest parent that is there. */
static const struct config_node *node_of(const struct check *c, const char *path)
{
    const struct config_node *node = c->root;
    char word[64];
    while (*path) {
        size_t n = strcspn(path, ".");
        snprintf(word, sizeof(word), "%.*s", (int)n, path);
        const struct config_node *child = config_tree_get(node, word);
        if (!child)
            break;
        node = child;
        path += n + (path[n] == '.');
    }
    return node;
}

static const struct config_node *entry_of(const struct config_node *list, unsigned index)
{
    const struct config_node *node = list->child;
    for (; node && index > 0; index--)
        node = node->next;
    return node ? node : list;
}

#define FAIL(c, node, ...) config_tree_fail((node), (c)->err, (c)->err_size, __VA_ARGS__)

const struct config_node *config_check_section(const struct config_node *root, const char *name)
{
    struct check c = {.root = root};
    return node_of(&c, name);
}

/* -------------------------------------------------------------------------------------- in words */

#define PATH_MAX_BYTES 160

/* "bus.bars" for the list and for its entries. */
static void path_of(char ret[PATH_MAX_BYTES], const struct config_node *node)
{
    ret[0] = '\0';
    for (const struct config_node *n = node; n->parent; n = n->parent) {
        if (!n->key)
            continue;
        char tail[PATH_MAX_BYTES];
        memcpy(tail, ret, sizeof(tail));
        snprintf(ret, PATH_MAX_BYTES, "%.64s%s%.80s", n->key, tail[0] ? "." : "", tail);
    }
}

static const struct config_section *section_of(const struct config_node *node)
{
    char path[PATH_MAX_BYTES];
    path_of(path, node);
    for (unsigned i = 0; i < CONFIG_SECTIONS; i++) {
        if (strcmp(config_sections[i].name, path) == 0)
            return &config_sections[i];
    }
    return NULL;
}

/* The row a node belongs to; entries of a list of texts belong to the list's. */
static const struct config_row *row_of(const struct config_node *node)
{
    const struct config_node *key = node->key ? node : node->parent;
    const struct config_section *section = key && key->key ? section_of(key->parent) : NULL;
    for (unsigned i = 0; section && i < section->row_count; i++) {
        if (strcmp(section->rows[i].key, key->key) == 0)
            return &section->rows[i];
    }
    return NULL;
}

bool config_check_known(const struct config_node *node)
{
    return row_of(node) || section_of(node);
}

static int expected_row(const struct config_node *node, const struct config_row *row, char *err,
                        size_t err_size)
{
    switch (row->kind) {
    case CONFIG_UINT:
        return config_tree_fail(node, err, err_size, "expected a whole number from %u to %u", row->min,
                                row->max);
    case CONFIG_BOOL:
        return config_tree_fail(node, err, err_size, "expected true or false");
    case CONFIG_TEXT:
        return config_tree_fail(node, err, err_size, "expected a text of %u to %u bytes", row->min, row->max);
    case CONFIG_TEXTS:
        return config_tree_fail(node, err, err_size, "expected a list of at most %u texts of 1 to 255 bytes",
                                row->max);
    case CONFIG_MODE:
        return config_tree_fail(node, err, err_size, "expected 0600, 0640 or 0644");
    case CONFIG_ENUM:
        return config_tree_fail(node, err, err_size,
                                "expected stocks, options, crypto, forex, indices or futures");
    case CONFIG_FLAGS:
        return config_tree_fail(node, err, err_size,
                                "expected a list of trades, quotes, bars_1s, bars_1m, values");
    }
    return -EINVAL;
}

int config_check_expected(const struct config_node *node, char *err, size_t err_size)
{
    const struct config_row *row = row_of(node);
    if (row)
        return expected_row(node, row, err, err_size);
    const struct config_section *section = node->key ? section_of(node) : NULL;
    if (section && section->stride)
        return config_tree_fail(node, err, err_size, "expected a list of 1 to %u entries",
                                section->entries_max);
    return config_tree_fail(node, err, err_size, "expected keys and values");
}

/* ---------------------------------------------------------------------------------------------- ranges */

/* libcyaml takes octal and hexadecimal as well: two ways to write a number are one too many. */
static bool is_decimal(const char *text)
{
    size_t n = strspn(text, "0123456789");
    return n > 0 && text[n] == '\0' && (n == 1 || text[0] != '0');
}

static int check_rows(const struct check *c, const struct config_section *section, const uint8_t *base,
                      const struct config_node *map)
{
    for (unsigned i = 0; i < section->row_count; i++) {
        const struct config_row *row = &section->rows[i];
        if (row->kind != CONFIG_UINT)
            continue;
        uint32_t value = *(const uint32_t *)(const void *)(base + row->offset);
        const struct config_node *node = config_tree_get(map, row->key);
        if (value < row->min || value > row->max || !is_decimal(node->text))
            return expected_row(node, row, c->err, c->err_size);
    }
    return 0;
}

static int check_ranges(const struct check *c)
{
    for (unsigned i = 0; i < CONFIG_SECTIONS; i++) {
        const struct config_section *section = &config_sections[i];
        const struct config_node *node = node_of(c, section->name);
        const uint8_t *base = (const uint8_t *)c->config + section->offset;
        if (section->stride == 0) {
            int r = check_rows(c, section, base, node);
            if (r < 0)
                return r;
            continue;
        }
        base = *(const uint8_t *const *)(const void *)base;
        for (const struct config_node *entry = node->child; entry;
             entry = entry->next, base += section->stride) {
            int r = check_rows(c, section, base, entry);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* -------------------------------------------------------------------------------------------------- URLs */

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (strcmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    char bare[64];
    size_t n = strlen(host);
    if (n < 4 || n >= sizeof(bare) || host[0] != '[' || host[n - 1] != ']')
        return false;
    memcpy(bare, host + 1, n - 2);
    bare[n - 2] = '\0';
    return inet_pton(AF_INET6, bare, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool has_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return has;
}

/* Which schemes, and whether one that encrypts nothing may leave the machine. */
struct url_rule {
    const char *schemes[6];
    const char *clear; /* the scheme that sends the key in clear */
};

static const char *url_fault(CURLU *url, const struct url_rule *rule)
{
    if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
        return "a URL must hold no user or password";
    if (has_part(url, CURLUPART_QUERY) || has_part(url, CURLUPART_FRAGMENT))
        return "a URL must hold no query or fragment: the key never travels in a URL";
    char *scheme = NULL, *host = NULL;
    const char *fault = "not a URL";
    if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
        fault = "scheme not accepted here";
        for (size_t i = 0; i < 6 && rule->schemes[i]; i++) {
            if (strcmp(rule->schemes[i], scheme) == 0)
                fault = NULL;
        }
        if (!fault && rule->clear && strcmp(rule->clear, scheme) == 0 && !is_loopback(host))
            fault = "without TLS the key would travel in clear; only to the machine itself";
    }
    curl_free(scheme);
    curl_free(host);
    return fault;
}

static int check_url(const struct check *c, const struct config_node *node, const char *text,
                     const struct url_rule *rule)
{
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
            return FAIL(c, node, "blank or non-ASCII character in a URL");
    }
    if (strchr(text, '?') || strchr(text, '#'))
        return FAIL(c, node, "a URL must hold no query or fragment: the key never travels in a URL");
    CURLU *url = curl_url();
    if (!url)
        return -ENOMEM;
    const char *fault = "not a URL";
    if (strstr(text, "://") && curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK)
        fault = url_fault(url, rule);
    int r = fault ? FAIL(c, node, "%s", fault) : 0;
    curl_url_cleanup(url);
    return r;
}

static const struct url_rule ws_rule = {{"wss", "ws"}, "ws"};
static const struct url_rule http_rule = {{"https", "http"}, "http"};
static const struct url_rule proxy_rule = {{"http", "https", "socks4", "socks4a", "socks5", "socks5h"}, NULL};

static int check_hosts(const struct check *c)
{
    const struct config_rest *rest = &c->config->rest;
    for (unsigned i = 0; i < rest->hosts_count; i++) {
        const char *host = rest->hosts[i];
        size_t n = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");
        size_t port = host[n] == ':' ? strspn(host + n + 1, "0123456789") : 0;
        bool whole = host[n] == '\0' || (port >= 1 && port <= 5 && host[n + 1 + port] == '\0');
        if (n == 0 || !whole)
            return FAIL(c, entry_of(node_of(c, "rest.hosts"), i), "expected a host name, or host:port");
    }
    return 0;
}

static int check_urls(const struct check *c)
{
    const struct config_stream *stream = &c->config->stream;
    int r = check_url(c, node_of(c, "stream.url"), stream->url, &ws_rule);
    if (r == 0 && stream->proxy[0])
        r = check_url(c, node_of(c, "stream.proxy"), stream->proxy, &proxy_rule);
    if (r == 0)
        r = check_url(c, node_of(c, "rest.url"), c->config->rest.url, &http_rule);
    if (r == 0)
        r = check_hosts(c);
    return r;
}

/* ------------------------------------------------------------------------------------------------ words */

static int check_word(const struct check *c, const char *path, const char *word, const char *words)
{
    char each[64];
    for (const char *p = words; *p;) {
        size_t n = strcspn(p, " ");
        snprintf(each, sizeof(each), "%.*s", (int)n, p);
        if (strcmp(each, word) == 0)
            return 0;
        p += n + (p[n] == ' ');
    }
    return FAIL(c, node_of(c, path), "expected one of: %s", words);
}

static bool is_number(const char *text)
{
    return text[0] && strspn(text, "0123456789") == strlen(text) && strlen(text) <= 9;
}

static int check_accounts(const struct check *c)
{
    const struct config_control *control = &c->config->control;
    for (unsigned i = 0; i < control->allow_users_count; i++) {
        if (!is_number(control->allow_users[i]) && !getpwnam(control->allow_users[i]))
            return FAIL(c, entry_of(node_of(c, "control.allow_users"), i), "no such user on this machine");
    }
    for (unsigned i = 0; i < control->allow_groups_count; i++) {
        if (!is_number(control->allow_groups[i]) && !getgrnam(control->allow_groups[i]))
            return FAIL(c, entry_of(node_of(c, "control.allow_groups"), i), "no such group on this machine");
    }
    const char *group = c->config->bus.group;
    if (group[0] && !getgrnam(group))
        return FAIL(c, node_of(c, "bus.group"), "no such group on this machine");
    return 0;
}

static int check_words(const struct check *c)
{
    if (!pgd_instance_valid(c->config->instance))
        return FAIL(c, node_of(c, "instance"), "expected 1 to 31 of a-z, 0-9, _ and -");
    int r = check_word(c, "engine.kind", c->config->engine.kind, "auto cpu cuda");
    if (r == 0)
        r = check_word(c, "log.level", c->config->log.level, "error warning notice info debug");
    if (r == 0)
        r = check_accounts(c);
    return r;
}

/* --------------------------------------------------------------------------------------------- clusters */

uint32_t config_check_topics(enum pgd_cluster cluster)
{
    const uint32_t bars = PGD_BARS_1S | PGD_BARS_1M;
    switch (cluster) {
    case PGD_FOREX:
        return PGD_QUOTES | bars;
    case PGD_INDICES:
        return PGD_VALUES | bars;
    default:
        return PGD_TRADES | PGD_QUOTES | bars;
    }
}

static bool symbol_valid(const char *symbol)
{
    size_t n = strlen(symbol);
    for (size_t i = 0; i < n; i++) {
        if (!isgraph((unsigned char)symbol[i]) || strchr(",\"\\'", symbol[i]))
            return false;
    }
    return n > 0 && n < PGD_SYMBOL_MAX;
}

static int check_symbols(const struct check *c, const struct config_cluster *cluster,
                         const struct config_node *node)
{
    const struct config_node *symbol = config_tree_get(node, "symbols")->child;
    for (unsigned i = 0; i < cluster->symbols_count; i++, symbol = symbol->next) {
        if (!symbol_valid(cluster->symbols[i]))
            return FAIL(c, symbol, "expected a ticker of 1 to %u characters", PGD_SYMBOL_MAX - 1);
    }
    return 0;
}

static int check_cluster(const struct check *c, const struct config_cluster *cluster, unsigned index)
{
    const struct config_node *node = entry_of(node_of(c, "clusters"), index);
    for (unsigned i = 0; i < index; i++) {
        if (c->config->clusters[i].name == cluster->name)
            return FAIL(c, node, "%s is given twice", config_cluster_name(cluster->name));
    }
    if (cluster->topics & ~config_check_topics(cluster->name))
        return FAIL(c, config_tree_get(node, "topics"), "%s has no such topic",
                    config_cluster_name(cluster->name));
    if (cluster->url[0]) {
        int r = check_url(c, config_tree_get(node, "url"), cluster->url, &ws_rule);
        if (r < 0)
            return r;
    }
    return check_symbols(c, cluster, node);
}

static int check_clusters(const struct check *c)
{
    uint64_t symbols = 0;
    for (unsigned i = 0; i < c->config->clusters_count; i++) {
        int r = check_cluster(c, &c->config->clusters[i], i);
        if (r < 0)
            return r;
        symbols += c->config->clusters[i].symbols_count;
    }
    if (symbols > c->config->bus.symbols)
        return FAIL(c, node_of(c, "bus.symbols"), "%u, but clusters list %llu symbols",
                    c->config->bus.symbols, (unsigned long long)symbols);
    return 0;
}

/* --------------------------------------------------------------------------------------------------- bus */

static int check_slots(const struct check *c, const char *path, uint32_t slots)
{
    if (slots != 0 && (slots < 256 || (slots & (slots - 1)) != 0))
        return FAIL(c, node_of(c, path), "expected 0 or a power of two from 256 to %u", PGD_CAPACITY_LIMIT);
    return 0;
}

static int check_bus(const struct check *c)
{
    const struct config_bus *bus = &c->config->bus;
    for (unsigned i = 0; i < bus->bars_count; i++) {
        const struct config_node *entry = entry_of(node_of(c, "bus.bars"), i);
        if (strcmp(bus->bars[i].timespan, "1s") != 0 && strcmp(bus->bars[i].timespan, "1m") != 0)
            return FAIL(c, config_tree_get(entry, "timespan"), "expected 1s or 1m");
        if (i > 0 && strcmp(bus->bars[0].timespan, bus->bars[i].timespan) == 0)
            return FAIL(c, entry, "%s is given twice", bus->bars[i].timespan);
    }
    int r = check_slots(c, "bus.trades", bus->trades);
    if (r == 0)
        r = check_slots(c, "bus.quotes", bus->quotes);
    return r;
}

static int check_together(const struct check *c)
{
    const struct config_stream *stream = &c->config->stream;
    if (stream->backoff_min_ms > stream->backoff_max_ms)
        return FAIL(c, node_of(c, "stream.backoff_min_ms"), "larger than backoff_max_ms");
    if (stream->idle_timeout_s <= stream->ping_interval_s)
        return FAIL(c, node_of(c, "stream.idle_timeout_s"),
                    "must be larger than ping_interval_s, or a quiet connection is taken for a dead one");
    if (!stream->enabled && !c->config->rest.enabled)
        return FAIL(c, node_of(c, "rest.enabled"), "stream and rest are both off: nothing would arrive");
    return 0;
}

int config_check(const struct config *config, const struct config_node *root, char *err, size_t err_size)
{
    struct check c = {.config = config, .root = root, .err = err, .err_size = err_size};
    int r = check_ranges(&c);
    if (r == 0)
        r = check_words(&c);
    if (r == 0)
        r = check_urls(&c);
    if (r == 0)
        r = check_clusters(&c);
    if (r == 0)
        r = check_bus(&c);
    if (r == 0)
        r = check_together(&c);
    return r;
}
