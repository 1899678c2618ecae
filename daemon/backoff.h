/* daemon/backoff.h - how long to wait before the next try: exponential with decorrelated jitter, so that many
 * clients that lost the same server do not return at the same moment. Pure: the seed is the caller's. */
#ifndef DAEMON_BACKOFF_H
#define DAEMON_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint64_t min_ms;
    uint64_t max_ms;
    uint64_t last_ms; /* 0: none since the reset */
    uint64_t random;
};

void backoff_init(struct backoff *backoff, uint64_t min_ms, uint64_t max_ms, uint64_t seed);
void backoff_reset(struct backoff *backoff);

/* Between min_ms and three times the wait before, max_ms at most. */
uint64_t backoff_next_ms(struct backoff *backoff);

/* Uniform in [0, below); 0 for 0. */
uint64_t backoff_random(struct backoff *backoff, uint64_t below);

#endif
