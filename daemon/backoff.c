#include "backoff.h"

void backoff_init(struct backoff *backoff, uint64_t min_ms, uint64_t max_ms, uint64_t seed)
{
    backoff->min_ms = min_ms ? min_ms : 1;
    backoff->max_ms = max_ms > backoff->min_ms ? max_ms : backoff->min_ms;
    backoff->last_ms = 0;
    backoff->random = seed;
}

void backoff_reset(struct backoff *backoff)
{
    backoff->last_ms = 0;
}

/* SplitMix64: any seed will do, zero included. */
static uint64_t backoff_word(struct backoff *backoff)
{
    uint64_t z = backoff->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t backoff_random(struct backoff *backoff, uint64_t below)
{
    /* The bias of a remainder is far below what a waiting time could show. */
    return below ? backoff_word(backoff) % below : 0;
}

uint64_t backoff_next_ms(struct backoff *backoff)
{
    uint64_t last = backoff->last_ms ? backoff->last_ms : backoff->min_ms;
    uint64_t top = last > backoff->max_ms / 3 ? backoff->max_ms : last * 3;
    if (top < backoff->min_ms)
        top = backoff->min_ms;
    backoff->last_ms = backoff->min_ms + backoff_random(backoff, top - backoff->min_ms + 1);
    return backoff->last_ms;
}
