#include "seen.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define AHEAD    8u /* keys whose places in the index are fetched before they go */
#define KEYS_MIN 64u

/* One place of the index: half of the hash, and which key it is, the newest of several that are alike. Linear
 * probing over twice as many places as keys; what is removed is filled from behind, so no search meets a
 * grave. */
struct place {
    uint32_t hash;
    uint32_t at; /* 1 + the key's place in the ring; 0: free */
};

struct seen {
    struct seen_key *ring; /* a 0: taken, or not used yet */
    uint32_t *alike;       /* of each key: 1 + the place in the ring of the one before it that is alike */
    struct place *index;
    uint32_t ring_mask;
    uint32_t index_mask;
    uint32_t next; /* where the next key goes, and the oldest one is */
    bool used;
};

/* Zeros, of pages that are taken when they are touched first, large ones where the kernel has them: places
 * lie anywhere in it. */
static void *take(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    (void)madvise(p, size, MADV_HUGEPAGE);
    return p;
}

int seen_new(struct seen **ret, uint32_t keys)
{
    struct seen *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    size_t size = KEYS_MIN;
    while (size < keys && size < SEEN_KEYS_MAX)
        size *= 2;
    s->ring_mask = (uint32_t)(size - 1);
    s->index_mask = (uint32_t)(2 * size - 1);
    s->ring = take(size * sizeof *s->ring);
    s->alike = take(size * sizeof *s->alike);
    s->index = take(2 * size * sizeof *s->index);
    if (!s->ring || !s->alike || !s->index) {
        seen_free(s);
        return -ENOMEM;
    }
    *ret = s;
    return 0;
}

void seen_free(struct seen *s)
{
    if (!s)
        return;
    if (s->ring)
        (void)munmap(s->ring, (s->ring_mask + (size_t)1) * sizeof *s->ring);
    if (s->alike)
        (void)munmap(s->alike, (s->ring_mask + (size_t)1) * sizeof *s->alike);
    if (s->index)
        (void)munmap(s->index, (s->index_mask + (size_t)1) * sizeof *s->index);
    free(s);
}

/* Murmur3's finalizer over both words: neighbouring ids go to distant places. */
static uint32_t hash_of(struct seen_key key)
{
    uint64_t h = key.b ^ key.a * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    h *= UINT64_C(0xc4ceb9fe1a85ec53);
    h ^= h >> 33;
    return (uint32_t)h;
}

/* Where in the index the key is, or the free place its search ends at. */
static uint32_t find(const struct seen *s, struct seen_key key, uint32_t hash)
{
    uint32_t i = hash & s->index_mask;
    for (;; i = (i + 1) & s->index_mask) {
        struct place p = s->index[i];
        if (p.at == 0)
            return i;
        if (p.hash == hash && s->ring[p.at - 1].a == key.a && s->ring[p.at - 1].b == key.b)
            return i;
    }
}

/* Frees a place, and moves up those behind it that would no longer be found. */
static void clear(struct seen *s, uint32_t hole)
{
    uint32_t mask = s->index_mask, i = hole;
    for (;;) {
        i = (i + 1) & mask;
        struct place p = s->index[i];
        if (p.at == 0)
            break;
        if (((i - p.hash) & mask) >= ((i - hole) & mask)) { /* its home is not behind the hole */
            s->index[hole] = p;
            hole = i;
        }
    }
    s->index[hole].at = 0;
}

/* Only the newest of keys that are alike has a place in the index. */
static void forget_oldest(struct seen *s)
{
    struct seen_key *oldest = &s->ring[s->next];
    if (oldest->a == 0)
        return;
    uint32_t i = find(s, *oldest, hash_of(*oldest));
    if (s->index[i].at == s->next + 1)
        clear(s, i);
    oldest->a = 0;
}

/* The key before `at` that is like it, 1 + its place; 0: there is none, or it was forgotten, and its place is
 * of a key that is newer or none. */
static uint32_t before(const struct seen *s, uint32_t at)
{
    uint32_t other = s->alike[at];
    if (other == 0 || s->ring[other - 1].a == 0)
        return 0;
    return ((other - 1 - s->next) & s->ring_mask) < ((at - s->next) & s->ring_mask) ? other : 0;
}

void seen_prefetch(const struct seen *s, struct seen_key key)
{
    __builtin_prefetch(&s->index[hash_of(key) & s->index_mask], 1);
}

bool seen_has(const struct seen *s, struct seen_key key)
{
    return s->index[find(s, key, hash_of(key))].at != 0;
}

void seen_put(struct seen *s, struct seen_key key)
{
    forget_oldest(s);
    struct seen_key soon = s->ring[(s->next + AHEAD) & s->ring_mask];
    __builtin_prefetch(&s->index[hash_of(soon) & s->index_mask], 1);
    uint32_t hash = hash_of(key), i = find(s, key, hash);
    s->ring[s->next] = key;
    s->alike[s->next] = s->index[i].at;
    s->index[i] = (struct place){.hash = hash, .at = s->next + 1};
    s->next = (s->next + 1) & s->ring_mask;
    s->used = true;
}

bool seen_take(struct seen *s, struct seen_key key)
{
    uint32_t i = find(s, key, hash_of(key));
    if (s->index[i].at == 0)
        return false;
    uint32_t at = s->index[i].at - 1, other = before(s, at);
    s->ring[at].a = 0;
    if (other != 0)
        s->index[i].at = other;
    else
        clear(s, i);
    return true;
}

bool seen_empty(const struct seen *s)
{
    return !s->used;
}
