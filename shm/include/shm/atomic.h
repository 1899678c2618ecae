/* shm/atomic.h - the few atomic accesses the shared words need, by name.
 *
 * Payload words are moved with relaxed 8-byte atomics so that no data race exists in the C11 model (and
 * ThreadSanitizer can see it); ordering comes from the fences and from the release stores and acquire loads
 * named here. */
#ifndef SHM_ATOMIC_H
#define SHM_ATOMIC_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t shm_load64(const void *p)
{
    return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
}
static inline uint64_t shm_load64_acquire(const void *p)
{
    return __atomic_load_n((const uint64_t *)p, __ATOMIC_ACQUIRE);
}
static inline void shm_store64(void *p, uint64_t v)
{
    __atomic_store_n((uint64_t *)p, v, __ATOMIC_RELAXED);
}
static inline void shm_store64_release(void *p, uint64_t v)
{
    __atomic_store_n((uint64_t *)p, v, __ATOMIC_RELEASE);
}
static inline uint32_t shm_load32(const void *p)
{
    return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
}
static inline uint32_t shm_load32_acquire(const void *p)
{
    return __atomic_load_n((const uint32_t *)p, __ATOMIC_ACQUIRE);
}
static inline void shm_store32(void *p, uint32_t v)
{
    __atomic_store_n((uint32_t *)p, v, __ATOMIC_RELAXED);
}
static inline void shm_store32_release(void *p, uint32_t v)
{
    __atomic_store_n((uint32_t *)p, v, __ATOMIC_RELEASE);
}
static inline void shm_fence_acquire(void)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
}
static inline void shm_fence_release(void)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

/* A line that was written and that others read next moves to where it is near to all of them: a hint, which
 * processors without it skip. A GPU reads such lines sooner than those it has to fetch from the writer's own
 * cache (docs/performance.md). */
static inline void shm_hand_on(const void *line)
{
#ifdef __x86_64__
    __asm__ volatile("cldemote %0" : : "m"(*(const char *)line));
#else
    (void)line;
#endif
}

/* Copies `words` 8-byte words out of shared memory, each load relaxed. */
static inline void shm_copy_out(void *restrict to, const void *restrict from, size_t words)
{
    uint64_t *t = to;
    const uint64_t *f = from;
    for (size_t i = 0; i < words; i++)
        t[i] = shm_load64(f + i);
}

/* Copies `words` 8-byte words into shared memory, each store relaxed. */
static inline void shm_copy_in(void *restrict to, const void *restrict from, size_t words)
{
    uint64_t *t = to;
    const uint64_t *f = from;
    for (size_t i = 0; i < words; i++)
        shm_store64(t + i, f[i]);
}

#endif
