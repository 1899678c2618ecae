/* step/lanes.h - the type a definition computes with.
 *
 * A translation unit that defines PGK_LANES as 2, 4 or 8 before it includes a definition gets vectors: the
 * same text then steps that many series side by side. Without it, and on a device, a value is one double.
 * Arithmetic and comparisons are the language's; what it lacks for vectors stands here. No library but fabs
 * and sqrt, which are exact everywhere. */
#ifndef STEP_LANES_H
#define STEP_LANES_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef PGK_LANES
#define PGK_LANES 1
#endif

#ifdef __CUDACC__
#define PGK_FN static __host__ __device__ __forceinline__
#else
#define PGK_FN static inline __attribute__((always_inline, unused))
#endif

/* Before a loop over a window, whose length is a constant in a kernel made for one plan. */
#if defined __CUDACC__ && defined PGK_FUSED_OPS
#define PGK_UNROLL _Pragma("unroll")
#else
#define PGK_UNROLL
#endif

/* Around what hardly any needs: lanes of a vector spare themselves the work; threads of a GPU, of which 32 go
 * one way, do it and choose. */
#ifdef __CUDACC__
#define PGK_RARELY(mask) true
#else
#define PGK_RARELY(mask) pgk_any(mask)
#endif

#if PGK_LANES == 1

typedef double pgk_real;
typedef int64_t pgk_int;
typedef uint64_t pgk_uint;
#ifdef __CUDACC__
typedef bool pgk_mask;
#else
typedef int pgk_mask; /* clang takes & and | of bools for mistakes */
#endif

PGK_FN pgk_real pgk_splat(double x)
{
    return x;
}

PGK_FN pgk_int pgk_splat_int(int64_t x)
{
    return x;
}

#define PGK_COMPARE(name, op)                                                                                \
    PGK_FN pgk_mask pgk_##name(pgk_real a, pgk_real b)                                                       \
    {                                                                                                        \
        return a op b;                                                                                       \
    }                                                                                                        \
    PGK_FN pgk_mask pgk_##name##_int(pgk_int a, pgk_int b)                                                   \
    {                                                                                                        \
        return a op b;                                                                                       \
    }

PGK_FN pgk_mask pgk_not(pgk_mask m)
{
    return !m;
}

PGK_FN bool pgk_any(pgk_mask m)
{
    return m;
}

PGK_FN pgk_real pgk_sel(pgk_mask m, pgk_real a, pgk_real b)
{
    return m ? a : b;
}

PGK_FN pgk_int pgk_sel_int(pgk_mask m, pgk_int a, pgk_int b)
{
    return m ? a : b;
}

/* a > b ? a : b, and the other way round: with two zeros or a NaN that is b. */
PGK_FN pgk_real pgk_max(pgk_real a, pgk_real b)
{
    return a > b ? a : b;
}

PGK_FN pgk_real pgk_min(pgk_real a, pgk_real b)
{
    return a < b ? a : b;
}

PGK_FN pgk_real pgk_abs(pgk_real x)
{
    return fabs(x);
}

PGK_FN pgk_real pgk_sqrt(pgk_real x)
{
    return sqrt(x);
}

PGK_FN pgk_int pgk_trunc(pgk_real x)
{
    return (pgk_int)x;
}

PGK_FN pgk_real pgk_from_int(pgk_int x)
{
    return (pgk_real)x;
}

#else

#if defined __x86_64__
#include <immintrin.h>
#endif

typedef double pgk_real __attribute__((vector_size(8 * PGK_LANES)));
typedef int64_t pgk_int __attribute__((vector_size(8 * PGK_LANES)));
typedef uint64_t pgk_uint __attribute__((vector_size(8 * PGK_LANES)));

PGK_FN pgk_real pgk_splat(double x)
{
    return x - (pgk_real){0};
}

PGK_FN pgk_int pgk_splat_int(int64_t x)
{
    return x - (pgk_int){0};
}

#if defined __AVX512DQ__ && PGK_LANES == 8 /* masks are registers of their own */

typedef __mmask8 pgk_mask;

#define PGK_COMPARE_eq        _CMP_EQ_OQ, _MM_CMPINT_EQ
#define PGK_COMPARE_lt        _CMP_LT_OS, _MM_CMPINT_LT
#define PGK_COMPARE_le        _CMP_LE_OS, _MM_CMPINT_LE
#define PGK_COMPARE_gt        _CMP_GT_OS, _MM_CMPINT_NLE
#define PGK_COMPARE_ge        _CMP_GE_OS, _MM_CMPINT_NLT
#define PGK_COMPARE(name, op) PGK_COMPARE_AS(name, PGK_COMPARE_##name)
#define PGK_COMPARE_AS(...)   PGK_COMPARE_BY(__VA_ARGS__)
#define PGK_COMPARE_BY(name, real_code, int_code)                                                            \
    PGK_FN pgk_mask pgk_##name(pgk_real a, pgk_real b)                                                       \
    {                                                                                                        \
        return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, real_code);                                        \
    }                                                                                                        \
    PGK_FN pgk_mask pgk_##name##_int(pgk_int a, pgk_int b)                                                   \
    {                                                                                                        \
        return _mm512_cmp_epi64_mask((__m512i)a, (__m512i)b, int_code);                                      \
    }

PGK_FN pgk_mask pgk_not(pgk_mask m)
{
    return (pgk_mask)~m;
}

PGK_FN bool pgk_any(pgk_mask m)
{
    return m != 0;
}

PGK_FN pgk_real pgk_sel(pgk_mask m, pgk_real a, pgk_real b)
{
    return (pgk_real)_mm512_mask_blend_pd(m, (__m512d)b, (__m512d)a);
}

PGK_FN pgk_int pgk_sel_int(pgk_mask m, pgk_int a, pgk_int b)
{
    return (pgk_int)_mm512_mask_blend_epi64(m, (__m512i)b, (__m512i)a);
}

#else /* all ones, or zero */

typedef pgk_int pgk_mask;

#define PGK_COMPARE(name, op)                                                                                \
    PGK_FN pgk_mask pgk_##name(pgk_real a, pgk_real b)                                                       \
    {                                                                                                        \
        return a op b;                                                                                       \
    }                                                                                                        \
    PGK_FN pgk_mask pgk_##name##_int(pgk_int a, pgk_int b)                                                   \
    {                                                                                                        \
        return a op b;                                                                                       \
    }

PGK_FN pgk_mask pgk_not(pgk_mask m)
{
    return ~m;
}

PGK_FN bool pgk_any(pgk_mask m)
{
#if defined __AVX__ && PGK_LANES == 4
    return _mm256_movemask_pd((__m256d)m) != 0;
#else
    int64_t all = 0;
    for (int i = 0; i < PGK_LANES; i++)
        all |= m[i];
    return all != 0;
#endif
}

PGK_FN pgk_real pgk_sel(pgk_mask m, pgk_real a, pgk_real b)
{
#if defined __AVX__ && PGK_LANES == 4
    return (pgk_real)_mm256_blendv_pd((__m256d)b, (__m256d)a, (__m256d)m);
#else
    return (pgk_real)(((pgk_int)a & m) | ((pgk_int)b & ~m));
#endif
}

PGK_FN pgk_int pgk_sel_int(pgk_mask m, pgk_int a, pgk_int b)
{
    return (a & m) | (b & ~m);
}

#endif

PGK_FN pgk_real pgk_max(pgk_real a, pgk_real b)
{
#if defined __AVX512F__ && PGK_LANES == 8
    return (pgk_real)_mm512_max_pd((__m512d)a, (__m512d)b);
#elif defined __AVX__ && PGK_LANES == 4
    return (pgk_real)_mm256_max_pd((__m256d)a, (__m256d)b);
#elif defined __SSE2__ && PGK_LANES == 2
    return (pgk_real)_mm_max_pd((__m128d)a, (__m128d)b);
#else
    return (pgk_real)(((pgk_int)a & (a > b)) | ((pgk_int)b & ~(a > b)));
#endif
}

PGK_FN pgk_real pgk_min(pgk_real a, pgk_real b)
{
#if defined __AVX512F__ && PGK_LANES == 8
    return (pgk_real)_mm512_min_pd((__m512d)a, (__m512d)b);
#elif defined __AVX__ && PGK_LANES == 4
    return (pgk_real)_mm256_min_pd((__m256d)a, (__m256d)b);
#elif defined __SSE2__ && PGK_LANES == 2
    return (pgk_real)_mm_min_pd((__m128d)a, (__m128d)b);
#else
    return (pgk_real)(((pgk_int)a & (a < b)) | ((pgk_int)b & ~(a < b)));
#endif
}

PGK_FN pgk_real pgk_abs(pgk_real x)
{
    return (pgk_real)((pgk_int)x & INT64_MAX);
}

PGK_FN pgk_real pgk_sqrt(pgk_real x)
{
#if defined __AVX512F__ && PGK_LANES == 8
    return (pgk_real)_mm512_sqrt_pd((__m512d)x);
#elif defined __AVX__ && PGK_LANES == 4
    return (pgk_real)_mm256_sqrt_pd((__m256d)x);
#else
    for (int i = 0; i < PGK_LANES; i++)
        x[i] = sqrt(x[i]);
    return x;
#endif
}

/* Towards zero; every lane must fit. */
PGK_FN pgk_int pgk_trunc(pgk_real x)
{
    return __builtin_convertvector(x, pgk_int);
}

PGK_FN pgk_real pgk_from_int(pgk_int x)
{
    return __builtin_convertvector(x, pgk_real);
}

#endif

/* pgk_eq, pgk_lt and so on of values; pgk_eq_int and so on of whole numbers. False when a NaN is compared. */
PGK_COMPARE(eq, ==)
PGK_COMPARE(lt, <)
PGK_COMPARE(le, <=)
PGK_COMPARE(gt, >)
PGK_COMPARE(ge, >=)

PGK_FN pgk_mask pgk_is_nan(pgk_real x)
{
    return pgk_not(pgk_eq(x, x));
}

/* Sum that wraps instead of being undefined. */
PGK_FN pgk_int pgk_wrap_add(pgk_int a, pgk_int b)
{
    return (pgk_int)((pgk_uint)a + (pgk_uint)b);
}

PGK_FN pgk_int pgk_wrap_negate(pgk_int a)
{
    return (pgk_int)(-(pgk_uint)a);
}

#endif
