/* daemon/rest_denied.h - what the plan does not include, remembered for a while: asking again would only cost
 * requests. Pure; the caller brings the time. */
#ifndef DAEMON_REST_DENIED_H
#define DAEMON_REST_DENIED_H

#include <stdbool.h>
#include <stdint.h>

#define REST_DENIED_SLOTS 4096u

struct rest_denied {
    struct {
        uint64_t key;
        uint64_t until_ms;
    } slots[REST_DENIED_SLOTS]; /* when a neighbourhood is full the one that ends first is forgotten */
};

/* FNV-1a of a text, going on from `hash`; 0 begins. */
uint64_t rest_hash(uint64_t hash, const char *text);

void rest_denied_add(struct rest_denied *denied, uint64_t key, uint64_t until_ms, uint64_t now_ms);
bool rest_denied_has(const struct rest_denied *denied, uint64_t key, uint64_t now_ms);

#endif
