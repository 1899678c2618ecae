#include "symbols.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One line: a lookup that hits touches this and the symbol, no more. */
struct slot {
    uint64_t hash;
    uint32_t index; /* + 1; 0: empty */
    uint8_t cluster;
    uint8_t size;
    char text[PGD_SYMBOL_MAX];
};

struct symbols {
    struct pgd_board_writer *board;
    struct symbol *all;
    uint32_t limit;
    uint32_t count;
    uint32_t mask;
    struct slot *slots;
};

/* The vendor's ways to write one symbol: the pair alone and, on other feeds, with its prefix. */
#define SPELLINGS 2

static uint64_t hash_text(enum pgd_cluster cluster, const char *p, size_t n)
{
    const uint64_t k = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t h = ((uint64_t)cluster << 8 | n) * k;
    uint64_t w;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&w, p, 8);
        h = (h ^ w) * k;
        h ^= h >> 29;
    }
    for (w = 0; n > 0; n--)
        w = w << 8 | (uint8_t)*p++;
    h = (h ^ w) * k;
    return h ^ h >> 32;
}

int symbols_new(struct symbols **ret, struct pgd_board_writer *board, uint32_t limit)
{
    struct symbols *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    uint32_t slots = 64;
    while (slots < limit * SPELLINGS * 2)
        slots *= 2;
    s->board = board;
    s->limit = limit;
    s->mask = slots - 1;
    s->all = calloc(limit, sizeof *s->all);
    s->slots = calloc(slots, sizeof *s->slots);
    if (!s->all || !s->slots) {
        symbols_free(s);
        return -ENOMEM;
    }
    *ret = s;
    return 0;
}

void symbols_free(struct symbols *s)
{
    if (!s)
        return;
    free(s->all);
    free(s->slots);
    free(s);
}

static struct slot *slot_of(const struct symbols *s, enum pgd_cluster cluster, const char *text, size_t size)
{
    uint64_t h = hash_text(cluster, text, size);
    for (uint32_t i = (uint32_t)h & s->mask;; i = (i + 1) & s->mask) {
        struct slot *slot = &s->slots[i];
        if (!slot->index)
            return slot;
        if (slot->hash == h && slot->size == size && slot->cluster == cluster &&
            memcmp(slot->text, text, size) == 0)
            return slot;
    }
}

struct symbol *symbols_find_wire(const struct symbols *s, enum pgd_cluster cluster, const char *text,
                                 size_t size)
{
    if (size == 0 || size >= PGD_SYMBOL_MAX)
        return NULL;
    const struct slot *slot = slot_of(s, cluster, text, size);
    return slot->index ? &s->all[slot->index - 1] : NULL;
}

struct symbol *symbols_find(const struct symbols *s, const char *name)
{
    for (int cluster = PGD_STOCKS; cluster < PGD_CLUSTERS; cluster++) {
        struct symbol *found = symbols_find_wire(s, (enum pgd_cluster)cluster, name, strlen(name));
        if (found && strcmp(found->name, name) == 0)
            return found;
    }
    return NULL;
}

static void spell(struct symbols *s, uint32_t index, enum pgd_cluster cluster, const char *text)
{
    size_t size = strlen(text);
    struct slot *slot = slot_of(s, cluster, text, size);
    if (slot->index)
        return;
    slot->hash = hash_text(cluster, text, size);
    slot->index = index + 1;
    slot->cluster = (uint8_t)cluster;
    slot->size = (uint8_t)size;
    memcpy(slot->text, text, size + 1);
}

/* "X:BTC-USD" is "BTC-USD" on the crypto feed, "C:EUR-USD" is "EUR/USD" on forex. */
static void pair_wire(char ret[PGD_SYMBOL_MAX], enum pgd_cluster cluster, const char *name)
{
    memmove(ret, name + 2, strlen(name + 2) + 1);
    char *hyphen = strchr(ret, '-');
    if (cluster == PGD_FOREX && hyphen)
        *hyphen = '/';
}

static bool is_pair(enum pgd_cluster cluster, const char *name)
{
    return (cluster == PGD_CRYPTO && strncmp(name, "X:", 2) == 0 && name[2]) ||
           (cluster == PGD_FOREX && strncmp(name, "C:", 2) == 0 && name[2]);
}

int symbols_add(struct symbols *s, struct symbol **ret, const char *name, enum pgd_cluster cluster)
{
    struct symbol *symbol = symbols_find(s, name);
    if (symbol) {
        if (symbol->cluster != cluster)
            return -EEXIST;
        *ret = symbol;
        return 0;
    }
    int32_t index = pgd_board_add_symbol(s->board, name, strlen(name), cluster);
    if (index < 0)
        return index;
    if ((uint32_t)index >= s->limit)
        return -ENOSPC;
    symbol = &s->all[index];
    memcpy(symbol->name, name, strlen(name) + 1);
    symbol->cluster = (uint8_t)cluster;
    spell(s, (uint32_t)index, cluster, name);
    if (is_pair(cluster, name)) {
        char wire[PGD_SYMBOL_MAX];
        pair_wire(wire, cluster, name);
        spell(s, (uint32_t)index, cluster, wire);
    }
    if ((uint32_t)index >= s->count)
        s->count = (uint32_t)index + 1;
    *ret = symbol;
    return 0;
}

uint32_t symbols_index(const struct symbols *s, const struct symbol *symbol)
{
    return (uint32_t)(symbol - s->all);
}

struct symbol *symbols_at(const struct symbols *s, uint32_t index)
{
    return &s->all[index];
}

uint32_t symbols_count(const struct symbols *s)
{
    return s->count;
}

static uint8_t state_of(const struct symbol *symbol)
{
    if (!symbol->held)
        return 0;
    if (symbol->refused)
        return PGD_SYM_REFUSED;
    return (symbol->wanted & ~symbol->acked) == 0 ? PGD_SYM_LIVE : PGD_SYM_WANTED;
}

void symbols_show(struct symbols *s, const struct symbol *symbol)
{
    struct pgd_symbol *row = &s->board->symbols[symbols_index(s, symbol)];
    __atomic_store_n(&row->state, state_of(symbol), __ATOMIC_RELAXED);
    __atomic_store_n(&row->warm, (uint8_t)(symbol->history == 0), __ATOMIC_RELAXED);
    __atomic_store_n(&row->asked, (uint8_t)symbol->asked, __ATOMIC_RELAXED);
    shm_store32(&row->wanted, symbol->wanted);
    shm_store32(&row->acked, symbol->acked);
    shm_store64(&row->last_ns, (uint64_t)symbol->last_ns);
    shm_store64(&row->events, symbol->events);
    shm_store64(&row->refused, symbol->faults);
}

void symbols_show_all(struct symbols *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->all[i].name[0])
            symbols_show(s, &s->all[i]);
}

/* Quote currencies a crypto pair may end in when it was typed without its hyphen; longer ones first. */
static const char *const quotes[] = {"USDT", "USDC", "USD", "EUR", "GBP", "JPY", "BTC", "ETH"};

static size_t pair_split(enum pgd_cluster cluster, const char *pair, size_t n)
{
    if (cluster == PGD_FOREX)
        return n == 6 ? 3 : 0;
    for (size_t i = 0; i < sizeof quotes / sizeof quotes[0]; i++) {
        size_t q = strlen(quotes[i]);
        if (n > q && strcmp(pair + n - q, quotes[i]) == 0)
            return n - q;
    }
    return 0;
}

static enum pgd_cluster cluster_of(const char *text)
{
    if (text[0] == '\0' || text[1] != ':')
        return PGD_STOCKS;
    switch (text[0]) {
    case 'O':
        return PGD_OPTIONS;
    case 'X':
        return PGD_CRYPTO;
    case 'C':
        return PGD_FOREX;
    case 'I':
        return PGD_INDICES;
    default:
        return PGD_STOCKS;
    }
}

int symbols_canonical(char ret[PGD_SYMBOL_MAX], enum pgd_cluster *cluster, const char *text)
{
    size_t n = strlen(text);
    if (n == 0 || n >= PGD_SYMBOL_MAX - 1)
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)text[i] <= ' ' || text[i] == ',' || text[i] == 0x7f)
            return -EINVAL;
    enum pgd_cluster c = *cluster ? *cluster : cluster_of(text);
    memcpy(ret, text, n + 1);
    *cluster = c;
    if (!is_pair(c, text) || strchr(text, '-'))
        return 0;
    char *slash = strchr(ret, '/');
    size_t split = pair_split(c, text + 2, n - 2);
    if (slash) {
        *slash = '-';
    } else if (split) {
        memmove(ret + 2 + split + 1, ret + 2 + split, n - 2 - split + 1);
        ret[2 + split] = '-';
    }
    return 0;
}

int symbols_from_wire(char ret[PGD_SYMBOL_MAX], enum pgd_cluster cluster, const char *text, size_t size)
{
    if (size == 0 || size >= PGD_SYMBOL_MAX - 2)
        return -EINVAL;
    bool pair = cluster == PGD_CRYPTO || cluster == PGD_FOREX;
    bool prefixed = size > 2 && text[1] == ':';
    size_t at = 0;
    if (pair && !prefixed) {
        ret[at++] = cluster == PGD_CRYPTO ? 'X' : 'C';
        ret[at++] = ':';
    }
    memcpy(ret + at, text, size);
    ret[at + size] = '\0';
    char *slash = pair ? strchr(ret, '/') : NULL;
    if (slash)
        *slash = '-';
    return 0;
}

enum pgd_session symbols_session(enum pgd_cluster cluster)
{
    bool utc = cluster == PGD_CRYPTO || cluster == PGD_FOREX || cluster == PGD_FUTURES;
    return utc ? PGD_SESSION_UTC : PGD_SESSION_US;
}
