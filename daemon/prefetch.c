#include "prefetch.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cache_time.h"

#define MAGIC   UINT64_C(0x4554454652504750) /* "PGPREFET" */
#define VERSION 1u
#define HALF_MS INT64_C(1800000)
#define DAY_MS  INT64_C(86400000)
#define DAY_MAX 47482u /* the year 2100 */

/* Also the row of the file. */
struct memory {
    char symbol[PGD_SYMBOL_MAX];
    uint32_t cluster;
    uint32_t day; /* since 1970-01-01 UTC, to which the counts are decayed */
    float counts[PREFETCH_SLOTS];
    uint8_t reserved[8];
};
_Static_assert(sizeof(struct memory) == 256, "a row is 256 bytes");

struct head {
    uint64_t magic;
    uint64_t sum; /* of the rows */
    uint32_t version;
    uint32_t count;
    uint8_t reserved[40];
};
_Static_assert(sizeof(struct head) == 64, "the head is 64 bytes");

struct prefetch {
    unsigned count;
    struct memory rows[PREFETCH_MAX];
};

int prefetch_new(struct prefetch **ret)
{
    struct prefetch *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    *ret = p;
    return 0;
}

void prefetch_free(struct prefetch *p)
{
    free(p);
}

unsigned prefetch_count(const struct prefetch *p)
{
    return p->count;
}

int64_t prefetch_slot_start(int64_t t_ms)
{
    return t_ms - t_ms % HALF_MS;
}

/* Half hour of the market's day: the one day a year with 25 hours has its last hour counted with the 24th. */
static unsigned slot_of(enum pgd_cluster cluster, int64_t t_ms)
{
    int64_t slot = (t_ms - cache_time_day(cluster, t_ms)) / HALF_MS;
    return slot < (int64_t)PREFETCH_SLOTS ? (unsigned)slot : PREFETCH_SLOTS - 1;
}

static uint32_t day_of(int64_t t_ms)
{
    return t_ms > 0 ? (uint32_t)(t_ms / DAY_MS) : 0;
}

/* What is left of a count after the days from `from` to `to`; a clock set back changes nothing. */
static float decay(uint32_t from, uint32_t to)
{
    return to > from ? exp2f(-(float)(to - from) / PREFETCH_HALF_LIFE) : 1;
}

static float total(const struct memory *m, uint32_t day)
{
    float sum = 0;
    for (unsigned i = 0; i < PREFETCH_SLOTS; i++)
        sum += m->counts[i];
    return sum * decay(m->day, day);
}

static struct memory *find(struct prefetch *p, const char *symbol, enum pgd_cluster cluster)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->rows[i].cluster == (uint32_t)cluster && strcmp(p->rows[i].symbol, symbol) == 0)
            return &p->rows[i];
    return NULL;
}

static struct memory *make(struct prefetch *p, const char *symbol, enum pgd_cluster cluster, uint32_t day)
{
    struct memory *m = &p->rows[0];
    if (p->count < PREFETCH_MAX)
        m = &p->rows[p->count++];
    else
        for (unsigned i = 1; i < p->count; i++)
            if (total(&p->rows[i], day) < total(m, day))
                m = &p->rows[i];
    *m = (struct memory){.cluster = (uint32_t)cluster, .day = day};
    strncpy(m->symbol, symbol, sizeof m->symbol - 1);
    return m;
}

void prefetch_learn(struct prefetch *p, const char *symbol, enum pgd_cluster cluster, int64_t now_ms)
{
    uint32_t day = day_of(now_ms);
    struct memory *m = find(p, symbol, cluster);
    if (!m)
        m = make(p, symbol, cluster, day);
    float left = decay(m->day, day);
    for (unsigned i = 0; i < PREFETCH_SLOTS; i++)
        m->counts[i] *= left;
    m->day = day > m->day ? day : m->day;
    m->counts[slot_of(cluster, now_ms)] += 1;
}

/* A weekend in New York: what has no session then. */
static bool closed(enum pgd_cluster cluster, int64_t at_ms)
{
    int64_t day = cache_time_day(cluster, at_ms);
    return cache_time_idle(cluster, day, day + HALF_MS);
}

static int by_count(const void *a, const void *b)
{
    const struct prefetch_guess *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count) - (x->count > y->count)
                                : strcmp(x->symbol, y->symbol);
}

size_t prefetch_guess(const struct prefetch *p, int64_t at_ms, struct prefetch_guess *guesses, size_t limit)
{
    struct prefetch_guess *all = malloc((p->count + 1) * sizeof *all);
    size_t n = 0;
    for (unsigned i = 0; all && i < p->count; i++) {
        const struct memory *m = &p->rows[i];
        enum pgd_cluster cluster = (enum pgd_cluster)m->cluster;
        float count = m->counts[slot_of(cluster, at_ms)] * decay(m->day, day_of(at_ms));
        if (count >= PREFETCH_EXPECTED && !closed(cluster, at_ms))
            all[n++] = (struct prefetch_guess){m->symbol, cluster, count};
    }
    if (n)
        qsort(all, n, sizeof *all, by_count);
    n = n < limit ? n : limit;
    if (n)
        memcpy(guesses, all, n * sizeof *all);
    free(all);
    return n;
}

/* ------------------------------------------------------------------------------------------------------
 * bytes */

size_t prefetch_save(const struct prefetch *p, void *bytes)
{
    size_t size = p->count * sizeof p->rows[0];
    struct head h = {
        .magic = MAGIC, .version = VERSION, .count = p->count, .sum = XXH3_64bits(p->rows, size)};
    memcpy(bytes, &h, sizeof h);
    memcpy((uint8_t *)bytes + sizeof h, p->rows, size);
    return sizeof h + size;
}

static bool row_valid(const struct memory *m)
{
    if (!m->symbol[0] || !memchr(m->symbol, '\0', sizeof m->symbol) || m->cluster == 0 ||
        m->cluster >= PGD_CLUSTERS || m->day > DAY_MAX)
        return false;
    for (unsigned i = 0; i < PREFETCH_SLOTS; i++)
        if (!(m->counts[i] >= 0 && m->counts[i] <= 1e9f))
            return false;
    return true;
}

int prefetch_load(struct prefetch *p, const void *bytes, size_t size)
{
    struct head h;
    if (size < sizeof h)
        return -EBADMSG;
    memcpy(&h, bytes, sizeof h);
    const uint8_t *rows = (const uint8_t *)bytes + sizeof h;
    if (h.magic != MAGIC || h.version != VERSION || h.count > PREFETCH_MAX ||
        size != sizeof h + h.count * sizeof p->rows[0] || h.sum != XXH3_64bits(rows, size - sizeof h))
        return -EBADMSG;
    for (uint32_t i = 0; i < h.count; i++) {
        struct memory m;
        memcpy(&m, rows + i * sizeof m, sizeof m);
        if (!row_valid(&m))
            return -EBADMSG;
    }
    memcpy(p->rows, rows, size - sizeof h);
    p->count = h.count;
    return 0;
}
