/* step/seal.h - what marks a checkpoint as whole. */
#ifndef STEP_SEAL_H
#define STEP_SEAL_H

#include "step/lanes.h"

PGK_FN uint64_t pgk_seal_mix(uint64_t seal, uint64_t word)
{
    seal = (seal ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return seal ^ seal >> 32;
}

PGK_FN uint64_t pgk_seal_begin(uint64_t row, uint64_t origin)
{
    return pgk_seal_mix(pgk_seal_mix(UINT64_C(0x706f6c79676f6e64), row), origin);
}

PGK_FN uint64_t pgk_seal_end(uint64_t seal)
{
    return seal | 1;
}

/* Of row, origin and state words; never 0. */
PGK_FN uint64_t pgk_seal(uint64_t row, uint64_t origin, const uint64_t *words, uint32_t count)
{
    uint64_t seal = pgk_seal_begin(row, origin);
    for (uint32_t i = 0; i < count; i++)
        seal = pgk_seal_mix(seal, words[i]);
    return pgk_seal_end(seal);
}

#endif
