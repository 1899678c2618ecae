/* cuda/stay.h - blocks that stay on a GPU for pushes: a push is a line of host memory written, and its answer
 * another one, without a launch between.
 *
 * As many stay as pushes have needed: a block for each tile, or one for every multiprocessor. When there was
 * no push for a while all leave, so that a GPU without work is idle; the push that finds them gone launches
 * anew. They keep nothing waiting but the end of their stream, and a sweep when they fill the GPU: before
 * that, and before memory is registered or given back, they are sent away. Errors as in gpu.h. */
#ifndef CUDA_STAY_H
#define CUDA_STAY_H

#include "cuda/gpu.h"

/* Once the GPU's context and module are there. */
int pgk_stay_open(struct pgk_gpu *gpu) PGK_WARN_UNUSED;
void pgk_stay_close(struct pgk_gpu *gpu);

/* The launches anew, after a segment was added. Nobody stays. */
int pgk_stay_prepare(struct pgk_gpu *gpu) PGK_WARN_UNUSED;

/* As pgk_gpu_push_begin and pgk_gpu_push_wait. */
int pgk_stay_begin(struct pgk_gpu *gpu, uint32_t count) PGK_WARN_UNUSED;
int64_t pgk_stay_wait(struct pgk_gpu *gpu) PGK_WARN_UNUSED;

/* Until states and checkpoints of what was pushed are there. */
int pgk_stay_settle(struct pgk_gpu *gpu) PGK_WARN_UNUSED;

/* Before a kernel is launched that is to have the GPU: who takes up most of it leaves. */
int pgk_stay_make_room(struct pgk_gpu *gpu) PGK_WARN_UNUSED;

/* Whoever stays is told to go. */
void pgk_stay_dismiss(struct pgk_gpu *gpu);

/* Until nobody stays. */
int pgk_stay_leave(struct pgk_gpu *gpu) PGK_WARN_UNUSED;

#endif
