#include "rest_denied.h"

#define NEIGHBOURS 8u

uint64_t rest_hash(uint64_t hash, const char *text)
{
    if (!hash)
        hash = UINT64_C(0xcbf29ce484222325);
    while (*text)
        hash = (hash ^ (unsigned char)*text++) * UINT64_C(0x100000001b3);
    return hash;
}

void rest_denied_add(struct rest_denied *denied, uint64_t key, uint64_t until_ms, uint64_t now_ms)
{
    unsigned best = (unsigned)(key % REST_DENIED_SLOTS);
    for (unsigned i = 0; i < NEIGHBOURS; i++) {
        unsigned at = (unsigned)((key + i) % REST_DENIED_SLOTS);
        if (denied->slots[at].key == key) {
            best = at;
            break;
        }
        if (denied->slots[at].until_ms < denied->slots[best].until_ms || denied->slots[at].until_ms <= now_ms)
            best = at;
    }
    denied->slots[best].key = key;
    denied->slots[best].until_ms = until_ms;
}

bool rest_denied_has(const struct rest_denied *denied, uint64_t key, uint64_t now_ms)
{
    for (unsigned i = 0; i < NEIGHBOURS; i++) {
        unsigned at = (unsigned)((key + i) % REST_DENIED_SLOTS);
        if (denied->slots[at].key == key && denied->slots[at].until_ms > now_ms)
            return true;
    }
    return false;
}
