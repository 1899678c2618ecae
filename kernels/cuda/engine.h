/* cuda/engine.h - the CUDA engine: GPUs that compute in place, over the same tasks and states as the CPU
 * engine.
 *
 * Symbols are shared out among the GPUs, 32 neighbours to one. A new row of a series that its GPU knows is
 * pushed; everything else is swept, and the series is known from then on. What is too little to be worth a
 * kernel is left to the caller. */
#ifndef CUDA_ENGINE_H
#define CUDA_ENGINE_H

#include "cuda/arena.h"
#include "cuda/gpu.h"
#include "task.h"

struct pgk_cuda;

struct pgk_cuda_options {
    const char *driver;   /* libraries, NULL: where the linker looks */
    const char *rtc;      /* "": without NVRTC */
    const char *cache;    /* directory of compiled kernels, NULL: the usual */
    uint32_t sweep_tasks; /* fewer tasks are left to the caller, unless pushes alone are few; 0: the usual */
    uint64_t timeout_ns;  /* 0: the usual */
    uint64_t stay_ns;     /* that blocks of a GPU wait for the next push before they leave; 0: none wait */
    uint32_t sweep_rows;  /* that a sweep does at a time, 0: the usual */
};

/* -ENOENT, -ENODEV, -ENOTSUP ...: there is no GPU that serves; `why` says why not, else which. */
int pgk_cuda_new(struct pgk_cuda **ret, const struct pgk_plan *plan, const struct pgk_cuda_options *options,
                 char *why, size_t why_size) PGK_WARN_UNUSED;

/* lost: something has failed. What GPUs that still answer are at has ended afterwards; others are not waited
 * for, and nothing is given back. */
void pgk_cuda_free(struct pgk_cuda *cuda, bool lost);

/* Segments are numbered from 0 in the order they are bound. */
int pgk_cuda_bind(struct pgk_cuda *cuda, void *base, const struct pgd_bars_geometry *geo) PGK_WARN_UNUSED;
int pgk_cuda_extent(struct pgk_cuda *cuda, uint32_t segment, uint32_t first, uint32_t count) PGK_WARN_UNUSED;

/* Does what it will of the changes that are not PGK_CHANGE_DONE yet: those that are afterwards are done, as
 * pgk_engine_compute says. An error: the engine has failed, pgk_cuda_fault says how, and is not to be used
 * again; what is done is done. `gen`: of the units. */
int pgk_cuda_compute(struct pgk_cuda *cuda, uint32_t segment, struct pgk_change *changes,
                     size_t count) PGK_WARN_UNUSED;
/* As pgk_engine_floor says, without the CPU. -ENOTSUP: there are several GPUs. */
int pgk_cuda_floor(struct pgk_cuda *cuda, uint32_t segment, const struct pgk_change *changes,
                   size_t count) PGK_WARN_UNUSED;
const char *pgk_cuda_fault(const struct pgk_cuda *cuda);

/* A GPU of the engine, for measurements; NULL past the last. */
struct pgk_gpu *pgk_cuda_gpu(struct pgk_cuda *cuda, int i);

/* Somebody else computes this series. */
void pgk_cuda_forget(struct pgk_cuda *cuda, uint32_t segment, uint32_t series);

#endif
