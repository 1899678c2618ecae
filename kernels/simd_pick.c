#include <string.h>

#include "simd.h"

extern const struct pgk_simd pgk_simd_base;
#if defined __x86_64__
extern const struct pgk_simd pgk_simd_avx2;
extern const struct pgk_simd pgk_simd_avx512;
#endif

static bool always(void)
{
    return true;
}

#if defined __x86_64__
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
}
#endif

static const struct {
    const struct pgk_simd *simd;
    bool (*has)(void);
} all[] = {
#if defined __x86_64__
    {&pgk_simd_avx512, has_avx512},
    {&pgk_simd_avx2, has_avx2},
#endif
    {&pgk_simd_base, always},
};

const struct pgk_simd *pgk_simd_nth(size_t i)
{
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
        if (all[k].has() && i-- == 0)
            return all[k].simd;
    return NULL;
}

const struct pgk_simd *pgk_simd_pick(const char *name)
{
    const struct pgk_simd *it;
    for (size_t i = 0; (it = pgk_simd_nth(i)) != NULL; i++)
        if (name == NULL || strcmp(it->name, name) == 0)
            return it;
    return NULL;
}
