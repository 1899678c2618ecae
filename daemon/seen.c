#include "seen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 4u
#define LINE 64u

struct set {
    struct seen_key keys[WAYS]; /* newest first; a 0: none */
};

struct seen {
    struct set *sets;
    uint64_t mask;
    bool used;
};

_Static_assert(sizeof(struct set) == LINE, "a set is a cache line");

int seen_new(struct seen **ret, uint32_t keys)
{
    struct seen *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    uint64_t sets = 64;
    while (sets * WAYS < keys)
        sets *= 2;
    s->mask = sets - 1;
    s->sets = aligned_alloc(LINE, sets * sizeof *s->sets);
    if (!s->sets) {
        free(s);
        return -ENOMEM;
    }
    memset(s->sets, 0, sets * sizeof *s->sets);
    *ret = s;
    return 0;
}

void seen_free(struct seen *s)
{
    if (!s)
        return;
    free(s->sets);
    free(s);
}

/* Murmur3's finalizer over both words: neighbouring ids go to distant sets. */
static struct set *set_of(const struct seen *s, struct seen_key key)
{
    uint64_t h = key.b ^ key.a * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    h *= UINT64_C(0xc4ceb9fe1a85ec53);
    h ^= h >> 33;
    return &s->sets[h & s->mask];
}

static unsigned find(const struct set *set, struct seen_key key)
{
    unsigned i = 0;
    while (i < WAYS && (set->keys[i].a != key.a || set->keys[i].b != key.b))
        i++;
    return i;
}

bool seen_has(const struct seen *s, struct seen_key key)
{
    return find(set_of(s, key), key) < WAYS;
}

void seen_put(struct seen *s, struct seen_key key)
{
    struct set *set = set_of(s, key);
    memmove(&set->keys[1], &set->keys[0], (WAYS - 1) * sizeof set->keys[0]);
    set->keys[0] = key;
    s->used = true;
}

bool seen_take(struct seen *s, struct seen_key key)
{
    struct set *set = set_of(s, key);
    unsigned i = find(set, key);
    if (i == WAYS)
        return false;
    memmove(&set->keys[i], &set->keys[i + 1], (WAYS - 1 - i) * sizeof set->keys[0]);
    set->keys[WAYS - 1] = (struct seen_key){0, 0};
    return true;
}

bool seen_empty(const struct seen *s)
{
    return !s->used;
}
