/* shm/wake.h - block on a word of a mapping until its writer changes it. Shared futex: works across
 * processes, users, and read-only maps. */
#ifndef SHM_WAKE_H
#define SHM_WAKE_H

#include <stdint.h>

#include "shm/segment.h"

/* Wakes everyone who waits on `word` (the caller has changed it). */
void pgd_wake_all(uint32_t *word);

/* Waits while *word == seen, at most timeout_ns (negative: for ever). 0 woken or changed, -ETIMEDOUT, -EINTR.
 * Spurious wake-ups are possible: look again. */
int pgd_wait(const uint32_t *word, uint32_t seen, int64_t timeout_ns) PGD_WARN_UNUSED;

/* Waits on several words at once, 1 to 128 (futex_waitv, Linux 5.16; an older kernel is served by short waits
 * on the first word). Returns the index of a word that was woken or has changed, or an error as above;
 * -EINVAL: no words, or too many. */
struct pgd_wait_word {
    const uint32_t *word;
    uint32_t seen;
};
int pgd_wait_any(const struct pgd_wait_word *words, unsigned count, int64_t timeout_ns) PGD_WARN_UNUSED;

#endif
