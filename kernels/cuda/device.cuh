/* cuda/device.cuh - how the kernels' text is read: by nvcc and NVRTC as a kernel of many threads, by a C
 * compiler as a function that runs all threads of a block one after the other, a phase at a time. */
#ifndef CUDA_DEVICE_CUH
#define CUDA_DEVICE_CUH

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A ring of one field's values, seen from a row; they lie PGK_RING_STRIDE doubles apart. What was put is read
 * from here again, not from memory. */
#define PGK_RING_STRIDE 32u
struct pgk_ring {
    double *p;
    double newest;
    bool known; /* `newest` is that of the row */
    uint32_t at;
    uint32_t mask;
};

#ifdef __CUDACC__

#define PGK_DEV static __device__ __forceinline__

/* A phase of all threads; they meet at its end. */
#define PGK_EACH(cta, t)                                                                                     \
    {                                                                                                        \
        const unsigned t = threadIdx.x;
#define PGK_MEET                                                                                             \
    __syncthreads();                                                                                         \
    }
/* The same; `any`, which was false, is true then if `mine` is for some thread. */
#define PGK_MEET_ANY(any, mine)                                                                              \
    (any) = __syncthreads_or(mine) != 0;                                                                     \
    }

PGK_DEV uint64_t pgk_sys_load(uint64_t address)
{
    uint64_t ret;
    asm volatile("ld.relaxed.sys.global.u64 %0, [%1];" : "=l"(ret) : "l"(address) : "memory");
    return ret;
}
PGK_DEV uint64_t pgk_sys_load_acquire(uint64_t address)
{
    uint64_t ret;
    asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(ret) : "l"(address) : "memory");
    return ret;
}
PGK_DEV void pgk_sys_store(uint64_t address, uint64_t x)
{
    asm volatile("st.relaxed.sys.global.u64 [%0], %1;" ::"l"(address), "l"(x) : "memory");
}
/* Two words next to each other; each is whole, in any order. */
PGK_DEV void pgk_sys_store2(uint64_t address, uint64_t x, uint64_t y)
{
    asm volatile("st.relaxed.sys.global.v2.u64 [%0], {%1, %2};" ::"l"(address), "l"(x), "l"(y) : "memory");
}
PGK_DEV void pgk_sys_fence(void)
{
    asm volatile("fence.acq_rel.sys;" ::: "memory");
}
PGK_DEV uint64_t pgk_gpu_load_acquire(const uint64_t *p)
{
    uint64_t ret;
    asm volatile("ld.acquire.gpu.global.u64 %0, [%1];" : "=l"(ret) : "l"(p) : "memory");
    return ret;
}
PGK_DEV void pgk_gpu_store_release(uint64_t *p, uint64_t x)
{
    asm volatile("st.release.gpu.global.u64 [%0], %1;" ::"l"(p), "l"(x) : "memory");
}
PGK_DEV uint64_t pgk_gpu_add(uint64_t *p, uint64_t x)
{
    return (uint64_t)atomicAdd((unsigned long long *)p, (unsigned long long)x);
}
PGK_DEV uint32_t pgk_block_or(uint32_t *p, uint32_t x)
{
    return atomicOr((unsigned *)p, (unsigned)x);
}
PGK_DEV uint32_t pgk_ones(uint32_t x)
{
    return (uint32_t)__popc((int)x);
}
PGK_DEV void pgk_answered(void) {}
PGK_DEV void pgk_spin(void) {}
/* Nanoseconds from some moment on. */
PGK_DEV uint64_t pgk_clock(void)
{
    uint64_t ret;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(ret));
    return ret;
}
/* Asks for 8 bytes to be put into shared memory; what one thread has asked for up to a pgk_async_end is one
 * group. */
PGK_DEV void pgk_async_load(void *to, uint64_t address)
{
    uint32_t shared = (uint32_t)__cvta_generic_to_shared(to);
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(shared), "l"(address) : "memory");
}
PGK_DEV void pgk_async_end(void)
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}
/* Until all groups of this thread have come, but the last one when there is a later one to wait for. */
PGK_DEV void pgk_async_wait(bool later)
{
    if (later)
        asm volatile("cp.async.wait_group 1;" ::: "memory");
    else
        asm volatile("cp.async.wait_group 0;" ::: "memory");
}

#else /* every access ordered: the thread sanitizer does not know fences */

#define PGK_DEV          static inline __attribute__((unused))
#define PGK_EACH(cta, t) for (unsigned t = 0; t < (cta)->threads; t++) {
#define PGK_MEET         }
#define PGK_MEET_ANY(any, mine)                                                                              \
    (any) |= (mine);                                                                                         \
    }

PGK_DEV uint64_t pgk_sys_load(uint64_t address)
{
    return __atomic_load_n((uint64_t *)(uintptr_t)address, __ATOMIC_ACQUIRE);
}
PGK_DEV uint64_t pgk_sys_load_acquire(uint64_t address)
{
    return __atomic_load_n((uint64_t *)(uintptr_t)address, __ATOMIC_ACQUIRE);
}
PGK_DEV void pgk_sys_store(uint64_t address, uint64_t x)
{
    __atomic_store_n((uint64_t *)(uintptr_t)address, x, __ATOMIC_RELEASE);
}
PGK_DEV void pgk_sys_store2(uint64_t address, uint64_t x, uint64_t y)
{
    pgk_sys_store(address, x);
    pgk_sys_store(address + 8, y);
}
PGK_DEV void pgk_sys_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
PGK_DEV uint64_t pgk_gpu_load_acquire(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}
PGK_DEV void pgk_gpu_store_release(uint64_t *p, uint64_t x)
{
    __atomic_store_n(p, x, __ATOMIC_RELEASE);
}
PGK_DEV uint64_t pgk_gpu_add(uint64_t *p, uint64_t x)
{
    return __atomic_fetch_add(p, x, __ATOMIC_ACQ_REL);
}
PGK_DEV uint32_t pgk_block_or(uint32_t *p, uint32_t x)
{
    return __atomic_fetch_or(p, x, __ATOMIC_RELAXED);
}
PGK_DEV uint32_t pgk_ones(uint32_t x)
{
    return (uint32_t)__builtin_popcount(x);
}
PGK_DEV void pgk_answered(void)
{
    PGK_HOST_ANSWERED();
}
PGK_DEV void pgk_spin(void)
{
    PGK_HOST_SPIN();
}
PGK_DEV uint64_t pgk_clock(void)
{
    return PGK_HOST_CLOCK();
}
PGK_DEV void pgk_async_load(void *to, uint64_t address)
{
    const uint64_t word = pgk_sys_load(address);
    __builtin_memcpy(to, &word, sizeof word);
}
PGK_DEV void pgk_async_end(void) {}
PGK_DEV void pgk_async_wait(bool later)
{
    (void)later;
}

#endif

PGK_DEV double pgk_ring_at(struct pgk_ring w, int64_t back)
{
    return back == 0 && w.known ? w.newest
                                : w.p[(size_t)((w.at + (uint32_t)back) & w.mask) * PGK_RING_STRIDE];
}
PGK_DEV void pgk_ring_put(struct pgk_ring *w, double value)
{
    w->p[(size_t)(w->at & w->mask) * PGK_RING_STRIDE] = value;
    w->newest = value;
    w->known = true;
}

#endif
