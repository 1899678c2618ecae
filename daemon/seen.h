/* daemon/seen.h - which records were published lately: the last so many exact identities.
 *
 * A ring of them in the order they came, and an index over it. A record is remembered for exactly as many
 * others as there are keys: one that is sent twice, or that REST has as well as the stream, is recognised
 * within that distance, always, and never mistaken for another. Allocates at the start only. Pure. */
#ifndef DAEMON_SEEN_H
#define DAEMON_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#define SEEN_KEYS_MAX (1u << 28)

struct seen;

struct seen_key {
    uint64_t a; /* never 0 */
    uint64_t b;
};

/* `keys`, rounded up to a power of two, SEEN_KEYS_MAX at most; 36 bytes each. -ENOMEM. */
int seen_new(struct seen **ret, uint32_t keys) __attribute__((warn_unused_result));
void seen_free(struct seen *seen);

/* Asks for the memory that the next question about the key will look at: it is seldom in a cache. */
void seen_prefetch(const struct seen *seen, struct seen_key key);
bool seen_has(const struct seen *seen, struct seen_key key);
void seen_put(struct seen *seen, struct seen_key key);  /* also when it is there: it then counts twice */
bool seen_take(struct seen *seen, struct seen_key key); /* removes it once: was it there? */
bool seen_empty(const struct seen *seen);               /* nothing was ever put in */

#endif
