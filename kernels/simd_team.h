/* simd_team.h - recurrences side by side: of simd.c alone.
 *
 * A row of a recurrence waits for its row before, a division and two sums for Wilder's mean, and the
 * processor does not see far enough ahead to find another op to do meanwhile: so several take their rows in
 * turns. Only where every lane has all rows and nothing is being seeded. */
#ifndef KERNELS_SIMD_TEAM_H
#define KERNELS_SIMD_TEAM_H

enum {
#define PGK_INDICATOR(id, stem, step, given, bare, defaults, columns, unit, window, words, ...)              \
    OUTPUTS_##id = OUTPUTS columns, WORDS_##id = (words),
#include "indicators.def"
};

#define PGK_INDICATOR(id, stem, step, ...)                                                                   \
    INLINE void step_##id(const struct pgk_op *op, union pgk_word *s, const struct pgk_row *row,             \
                          pgk_real *out)                                                                     \
    {                                                                                                        \
        pgk_##step##_step(op, s, row, out);                                                                  \
    }
#include "indicators.def"

INLINE void team_row(struct run *run, const struct pgk_rows *b, const struct pgk_op *op,
                     const struct pgk_row *row, uint32_t group, step_fn *step, uint32_t outputs)
{
    pgk_real out[PGK_OUTPUTS];
    step(op, run->s, row, out);
    put_outputs(run, b, group, out, outputs);
}

/* Copies: the compiler must take every store for one that may change what a pointer leads to. */
#define OP(i)        const struct pgk_op op##i = *op[i]
#define BEGIN(i, id) struct run run##i = begin(b, &op##i, g, OUTPUTS_##id, WORDS_##id)
#define STEP(i, id)  team_row(&run##i, b, &op##i, &row, g, step_##id, OUTPUTS_##id)
#define END(i, id)   end(&run##i, b, &op##i, g, WORDS_##id)

#define TWO(id0, id1)                                                                                        \
    static void team_##id0##_##id1(const struct pgk_rows *b, const struct pgk_op *const *op)                 \
    {                                                                                                        \
        OP(0);                                                                                               \
        OP(1);                                                                                               \
        const uint32_t rows = b->rows;                                                                       \
        for (uint32_t g = 0; g < GROUPS; g++) {                                                              \
            struct pgk_row row;                                                                              \
            first_row(&row, b, &op0, 0, g, true);                                                            \
            BEGIN(0, id0);                                                                                   \
            BEGIN(1, id1);                                                                                   \
            for (uint32_t r = 0; r < rows; r++, next_row(&row)) {                                            \
                STEP(0, id0);                                                                                \
                STEP(1, id1);                                                                                \
            }                                                                                                \
            END(0, id0);                                                                                     \
            END(1, id1);                                                                                     \
        }                                                                                                    \
    }

#define FOUR(id0, id1, id2, id3)                                                                             \
    static void team_##id0##_##id1##_##id2##_##id3(const struct pgk_rows *b, const struct pgk_op *const *op) \
    {                                                                                                        \
        OP(0);                                                                                               \
        OP(1);                                                                                               \
        OP(2);                                                                                               \
        OP(3);                                                                                               \
        const uint32_t rows = b->rows;                                                                       \
        for (uint32_t g = 0; g < GROUPS; g++) {                                                              \
            struct pgk_row row;                                                                              \
            first_row(&row, b, &op0, 0, g, true);                                                            \
            BEGIN(0, id0);                                                                                   \
            BEGIN(1, id1);                                                                                   \
            BEGIN(2, id2);                                                                                   \
            BEGIN(3, id3);                                                                                   \
            for (uint32_t r = 0; r < rows; r++, next_row(&row)) {                                            \
                STEP(0, id0);                                                                                \
                STEP(1, id1);                                                                                \
                STEP(2, id2);                                                                                \
                STEP(3, id3);                                                                                \
            }                                                                                                \
            END(0, id0);                                                                                     \
            END(1, id1);                                                                                     \
            END(2, id2);                                                                                     \
            END(3, id3);                                                                                     \
        }                                                                                                    \
    }

PGK_TEAMS(TWO, FOUR)
#undef TWO
#undef FOUR
#undef OP
#undef BEGIN
#undef STEP
#undef END

static void run_team(const struct pgk_rows *b, const struct pgk_turn *turn)
{
    static void (*const team[])(const struct pgk_rows *, const struct pgk_op *const *) = {
#define TWO(id0, id1)            team_##id0##_##id1,
#define FOUR(id0, id1, id2, id3) team_##id0##_##id1##_##id2##_##id3,
        PGK_TEAMS(TWO, FOUR)
#undef TWO
#undef FOUR
    };
    const struct pgk_op *op[PGK_TEAM_OPS];
    for (uint32_t i = 0; i < turn->ops; i++)
        op[i] = &b->layout->plan->op[turn->op[i]];
    team[turn->team](b, op);
}

#endif
