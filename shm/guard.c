/* Sequence-guarded records: latest trades and quotes, day figures, errors, connections.
 *
 * Writer: seq := odd (relaxed), release fence, payload (relaxed), seq := even (store-release). Reader: seq
 * (load-acquire), payload (relaxed), acquire fence, seq again (relaxed); both equal and even: whole.
 * Seeing the second store of seq means seeing all of its payload (release, acquire). Seeing any word of a
 * later payload means seeing that payload's odd seq or a later one (fence to fence), so the second look
 * differs from the first. 64-bit words do not come round. */
#include <sched.h>

#include "internal.h"
#include "shm/atomic.h"

#define TRIES_PAUSE 16u
#define TRIES_MAX   128u

static inline void cpu_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

bool pgd__retry(unsigned *tries)
{
    if (++*tries <= TRIES_PAUSE)
        cpu_pause();
    else
        sched_yield();
    return *tries < TRIES_MAX;
}

bool pgd__copy_guarded(void *ret, const void *record, size_t words)
{
    uint64_t *to = ret;
    const uint64_t *from = record;
    unsigned tries = 0;
    do {
        uint64_t seq = shm_load64_acquire(from);
        if (seq == 0)
            return false;
        if (seq & 1)
            continue;
        shm_copy_out(to + 1, from + 1, words - 1);
        shm_fence_acquire();
        if (shm_load64(from) == seq) {
            to[0] = seq;
            return true;
        }
    } while (pgd__retry(&tries));
    return false;
}

void pgd__store_guarded(void *record, const void *from, size_t words)
{
    uint64_t *to = record;
    uint64_t odd = shm_load64(to) | 1;
    shm_store64(to, odd);
    shm_fence_release();
    shm_copy_in(to + 1, (const uint64_t *)from + 1, words - 1);
    shm_store64_release(to, odd + 1);
}
