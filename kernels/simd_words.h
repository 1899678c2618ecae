/* simd_words.h - vectors on their way from and to memory: of simd.c alone, which says how long they are. */
#ifndef KERNELS_SIMD_WORDS_H
#define KERNELS_SIMD_WORDS_H

#include "shm/atomic.h"
#include "simd.h"

#define L      PGK_LANES
#define GROUPS (PGK_TILE / L)

#if defined __SANITIZE_THREAD__
#define WATCHED 1
#elif defined __has_feature
#if __has_feature(thread_sanitizer)
#define WATCHED 1
#endif
#endif

/* Vectors as they lie in shared memory: 8-byte aligned. A vector is moved as whole 8-byte words on every
 * processor we know (x86 since AVX, Arm: a vector access is as many aligned 64-bit ones), which is all the
 * protocols ask of the payload; the thread sanitizer, which only believes atomics, gets those. */
typedef pgk_real shared_real __attribute__((aligned(8), may_alias));

static inline pgk_real load_words(const uint8_t *from)
{
#ifdef WATCHED
    union {
        pgk_real f;
        uint64_t u[L];
    } ret;
    shm_copy_out(ret.u, from, L);
    return ret.f;
#else
    return *(const shared_real *)(const void *)from;
#endif
}

static inline void store_words(uint8_t *to, pgk_real x)
{
#ifdef WATCHED
    shm_copy_in(to, &x, L);
#else
    *(shared_real *)(void *)to = x;
#endif
}

/* Past the caches, where the processor can; `to` is aligned as a vector. */
static inline void stream_words(uint8_t *to, pgk_real x)
{
#if defined WATCHED || !defined __x86_64__
    store_words(to, x);
#elif L == 8
    _mm512_stream_pd((double *)(void *)to, (__m512d)x);
#elif L == 4
    _mm256_stream_pd((double *)(void *)to, (__m256d)x);
#else
    _mm_stream_pd((double *)(void *)to, (__m128d)x);
#endif
}

static void drain(void)
{
#ifdef __x86_64__
    _mm_sfence();
#endif
}

#define SHUFFLE __builtin_shufflevector
#if L == 2
static inline void transpose(pgk_real *r)
{
    pgk_real a = r[0], b = r[1];
    r[0] = SHUFFLE(a, b, 0, 2);
    r[1] = SHUFFLE(a, b, 1, 3);
}
#elif L == 4
static inline void transpose(pgk_real *r)
{
    pgk_real a = SHUFFLE(r[0], r[1], 0, 4, 2, 6), b = SHUFFLE(r[0], r[1], 1, 5, 3, 7);
    pgk_real c = SHUFFLE(r[2], r[3], 0, 4, 2, 6), d = SHUFFLE(r[2], r[3], 1, 5, 3, 7);
    r[0] = SHUFFLE(a, c, 0, 1, 4, 5);
    r[1] = SHUFFLE(b, d, 0, 1, 4, 5);
    r[2] = SHUFFLE(a, c, 2, 3, 6, 7);
    r[3] = SHUFFLE(b, d, 2, 3, 6, 7);
}
#else
#define EVEN(a, b) SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define ODD(a, b)  SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#define LOW2(a, b) SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIG2(a, b) SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define LOW4(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define HIG4(a, b) SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
static inline void transpose(pgk_real *r)
{
    pgk_real t0 = EVEN(r[0], r[1]), t1 = ODD(r[0], r[1]), t2 = EVEN(r[2], r[3]), t3 = ODD(r[2], r[3]);
    pgk_real t4 = EVEN(r[4], r[5]), t5 = ODD(r[4], r[5]), t6 = EVEN(r[6], r[7]), t7 = ODD(r[6], r[7]);
    pgk_real u0 = LOW2(t0, t2), u1 = LOW2(t1, t3), u2 = HIG2(t0, t2), u3 = HIG2(t1, t3);
    pgk_real u4 = LOW2(t4, t6), u5 = LOW2(t5, t7), u6 = HIG2(t4, t6), u7 = HIG2(t5, t7);
    r[0] = LOW4(u0, u4);
    r[1] = LOW4(u1, u5);
    r[2] = LOW4(u2, u6);
    r[3] = LOW4(u3, u7);
    r[4] = HIG4(u0, u4);
    r[5] = HIG4(u1, u5);
    r[6] = HIG4(u2, u6);
    r[7] = HIG4(u3, u7);
}
#endif

static inline pgk_real *vector(double *p, uint32_t group)
{
    return (pgk_real *)(void *)__builtin_assume_aligned(p, 64) + group;
}

static inline pgk_int *vector_int(int64_t *p, uint32_t group)
{
    return (pgk_int *)(void *)__builtin_assume_aligned(p, 64) + group;
}

#endif
