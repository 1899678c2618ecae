/* step/seal.h - what marks a checkpoint as whole. */
#ifndef STEP_SEAL_H
#define STEP_SEAL_H

#include "step/lanes.h"

PGK_FN pgk_uint pgk_seal_mix(pgk_uint seal, pgk_uint word)
{
    seal = (seal ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return seal ^ seal >> 32;
}

PGK_FN pgk_uint pgk_seal_begin(pgk_uint row, pgk_uint origin)
{
    return pgk_seal_mix(pgk_seal_mix((pgk_uint)pgk_splat_int(0x706f6c79676f6e64), row), origin);
}

PGK_FN pgk_uint pgk_seal_end(pgk_uint seal)
{
    return seal | 1;
}

/* Of row, origin and state words; never 0. */
PGK_FN pgk_uint pgk_seal(pgk_uint row, pgk_uint origin, const pgk_uint *words, uint32_t count)
{
    pgk_uint seal = pgk_seal_begin(row, origin);
    for (uint32_t i = 0; i < count; i++)
        seal = pgk_seal_mix(seal, words[i]);
    return pgk_seal_end(seal);
}

#endif
