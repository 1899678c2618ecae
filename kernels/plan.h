/* plan.h - a resolved list of indicators, as the engines see it. */
#ifndef KERNELS_PLAN_H
#define KERNELS_PLAN_H

#include <stdbool.h>

#include "kernels/engine.h"
#include "step/step.h"

#define PGK_PERIOD_MAX 1000u
#define PGK_FACTOR     10000u /* a factor (bb) is held in ten-thousandths, so that equal ones compare equal */
#define PGK_FACTOR_MAX 100u
#define PGK_NAME_SIZE  24u /* of a schema field's name */

#define PGK_STATE_HEAD 2u /* words before the ops' state in a checkpoint: see state.h */

enum pgk_indicator {
#define PGK_INDICATOR(id, ...) PGK_##id,
#include "indicators.def"
    PGK_INDICATORS
};

/* What windows look back on: fields of the bars, then the series that ops derive. */
enum pgk_field { PGK_H, PGK_L, PGK_C, PGK_V, PGK_P, PGK_BAR_FIELDS };
#define PGK_FIELDS_MAX (PGK_BAR_FIELDS + PGK_DERIVED_MAX * PGK_COLUMNS_MAX)

struct pgk_plan {
    uint32_t ops;
    uint32_t columns;
    uint32_t window; /* rows the widest op reads, its own included; at least 2 */
    uint32_t words;  /* words of state */
    uint32_t lookback;
    uint32_t warmup;
    uint32_t fields;
    uint32_t halo[PGK_FIELDS_MAX]; /* rows before a row that are read of each field */
    bool sessions;                 /* an op wants session keys */
    struct pgk_op op[PGK_COLUMNS_MAX];
    char name[PGK_COLUMNS_MAX][PGK_NAME_SIZE];
    const char *unit[PGK_COLUMNS_MAX];
};

#endif
