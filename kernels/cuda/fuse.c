#include "cuda/fuse.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(PGK_GPU_OPS >= PGK_COLUMNS_MAX, "every op has a column");
_Static_assert(PGK_GPU_FIELDS >= PGK_FIELDS_MAX + 2,
               "an op that derives nothing names the fields of one that does");

static uint32_t power_of_two(uint32_t least)
{
    uint32_t ret = 1;
    while (ret < least)
        ret *= 2;
    return ret;
}

void pgk_fuse_plan(struct pgk_gpu_plan *ret, const struct pgk_plan *plan, uint32_t rows)
{
    uint32_t at = PGK_GPU_WORDS + plan->words;
    *ret = (struct pgk_gpu_plan){.ops = plan->ops,
                                 .columns = plan->columns,
                                 .words = plan->words,
                                 .fields = plan->fields,
                                 .window = plan->window,
                                 .sessions = plan->sessions,
                                 .unit_words = (plan->columns + 1 + 15) / 16 * 16};
    for (uint32_t f = 0; f < plan->fields; f++) {
        uint32_t length = power_of_two(plan->halo[f] + rows);
        ret->ring[f] = at;
        ret->mask[f] = length - 1;
        at += length;
    }
    /* an odd number: rings of powers of two add up to little else, and tiles that far apart would share what
     * the GPU's caches are divided into */
    ret->state_words = at | 1;
    memcpy(ret->op, plan->op, plan->ops * sizeof ret->op[0]);
}

static void print_op(FILE *f, uint32_t i, const struct pgk_op *op)
{
    static const char *const names[PGK_INDICATORS] = {
#define PGK_INDICATOR(id, ...) [PGK_##id] = #id,
#include "indicators.def"
    };
    fprintf(f, " X(%u, %s, {%u, %u, {%u, %u, %u}, %u, %u, %u, %u, %u, {%a, %a, %a}, %a, {%d, %d, %d}})", i,
            names[op->id], op->id, op->outputs, op->n[0], op->n[1], op->n[2], op->window, op->words, op->word,
            op->derived, op->warm, op->smooth[0], op->smooth[1], op->smooth[2], op->factor, op->column[0],
            op->column[1], op->column[2]);
}

char *pgk_fuse_text(const struct pgk_plan *plan, const struct pgk_gpu_plan *layout)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f == NULL)
        return NULL;
    fprintf(f, "#define PGK_FUSED_PLAN {%u, %u, %u, %u, %u, %u, %u, %u}\n", layout->ops, layout->columns,
            layout->words, layout->fields, layout->window, layout->sessions, layout->unit_words,
            layout->state_words);
    fprintf(f, "#define PGK_FUSED_OPS(X)");
    for (uint32_t i = 0; i < plan->ops; i++)
        print_op(f, i, &plan->op[i]);
    fprintf(f, "\n#define PGK_FUSED_RINGS(X)");
    for (uint32_t i = 0; i < plan->fields; i++)
        fprintf(f, " X(%u, %u, %u)", i, layout->ring[i], layout->mask[i]);
    fprintf(f, "\n#include \"cuda/general.cu\"\n");
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}
