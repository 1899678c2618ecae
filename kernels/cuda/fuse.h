/* cuda/fuse.h - a plan as the GPU has it: its struct, and its text for NVRTC. */
#ifndef CUDA_FUSE_H
#define CUDA_FUSE_H

#include "cuda/world.h"
#include "plan.h"

/* `rows`: rows that are put into a ring before the first of them is stepped. */
void pgk_fuse_plan(struct pgk_gpu_plan *ret, const struct pgk_plan *plan, uint32_t rows);

/* Source of the kernels with the plan's ops and the layout as constants; heap, NULL without memory. */
char *pgk_fuse_text(const struct pgk_plan *plan, const struct pgk_gpu_plan *layout);

#endif
