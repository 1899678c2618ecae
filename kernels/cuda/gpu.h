/* cuda/gpu.h - one GPU: its context, the kernels for a plan, and the two ways of giving it work.
 *
 * A push is one new row for each of some series whose state the GPU has. It reads in memory both sides see
 * what it is about, and answers there. It goes to blocks that stay (stay.h) or, where none may, is a graph of
 * one kernel that is launched. A sweep is a kernel over tasks (task.h). What is launched goes through one
 * stream, in order; blocks that stay wait for it, and it for them. Errors are negative errno; what the
 * GPU said is in `fault`. After an error the GPU is not to be used again. */
#ifndef CUDA_GPU_H
#define CUDA_GPU_H

#include "cuda/driver.h"
#include "cuda/world.h"
#include "plan.h"

#define PGK_GPU_AHEAD   8u    /* rows in a ring before the first of them is stepped, at most */
#define PGK_GPU_TASKS   8192u /* of a sweep, at most */
#define PGK_GPU_GRAPHS  16
#define PGK_STAY_GRAPHS 7u
#define PGK_STAY_TILES  (1u << (PGK_STAY_GRAPHS - 2)) /* whose blocks have mail of their own, at most */

struct pgk_gpu_options {
    uint64_t timeout_ns; /* a GPU that has not answered after so long is lost */
    uint32_t sweep_rows; /* that a sweep does at a time, 0: the usual */
    uint64_t stay_ns;    /* that a block stays without work, 0: none ever does */
};

/* Blocks that stay: see stay.h. */
struct pgk_stay {
    struct CUfunc_st *kernel;
    struct CUstream_st *stream;
    struct CUgraphExec_st *graphs[PGK_STAY_GRAPHS]; /* [i]: of 2^i blocks; the last of all there are */
    struct pgk_stay_memory *memory;                 /* NULL: none ever stays */
    uint64_t number[PGK_STAY_TILES];                /* of each block's last mail */
    uint64_t pushed[PGK_STAY_TILES];                /* of the last with a push */
    uint64_t launch;                                /* launches so far */
    uint32_t blocks;                                /* that stay, or have left by themselves */
    uint32_t tiles;                                 /* of the last push: blocks that got mail */
    bool all;                                       /* that push was one of all blocks ... */
    int64_t all_ns;                                 /* ... and began then, CLOCK_MONOTONIC */
};

struct pgk_gpu {
    const struct pgk_driver *driver;
    struct pgk_driver_device info;
    struct pgk_gpu_options options;
    struct pgk_gpu_plan plan;
    struct CUctx_st *context;
    struct CUmod_st *module;
    struct CUfunc_st *push;
    struct CUfunc_st *sweep;
    struct CUfunc_st *floor;
    struct CUstream_st *stream;
    struct CUgraphExec_st *pushes_of[PGK_GPU_GRAPHS]; /* [i]: of at most 2^i blocks */
    pgk_devptr device_plan;
    pgk_devptr device_gate;
    pgk_devptr states[PGK_GPU_SEGMENTS];
    struct pgk_gpu_segment segments[PGK_GPU_SEGMENTS];
    void *host; /* what both sides see: answers, entries, problems, tasks */
    uint64_t *answer;
    uint64_t *entry;
    uint64_t *problem;
    struct pgk_gpu_task *tasks;
    uint32_t entries;  /* series a push can have */
    uint32_t blocks;   /* of a large push, at most */
    uint32_t launched; /* blocks of the last push that was */
    struct pgk_stay stay;
    uint32_t threads;
    uint32_t sweep_rows;
    size_t push_shared;
    size_t sweep_shared;
    bool busy;       /* something was begun and may not have ended */
    bool failed;     /* see `fault` */
    bool hung;       /* it did not answer in time */
    uint32_t number; /* of the last push that was launched or of all blocks: PGK_GPU_NUMBER */
    uint64_t sweeps; /* so far */
    int64_t rang_ns; /* CLOCK_MONOTONIC of the last push's begin */
    char fault[160];
};

/* `image`: for cuModuleLoadDataEx. `entries`: series a push can have at most. On failure nothing stays open.
 */
int pgk_gpu_open(struct pgk_gpu *gpu, const struct pgk_driver *driver, const struct pgk_driver_device *info,
                 const struct pgk_plan *plan, const void *image, const struct pgk_gpu_options *options,
                 uint32_t entries, char *why, size_t why_size) PGK_WARN_UNUSED;

/* lost: the GPU does not answer or its context is dead: nothing is waited for. */
void pgk_gpu_close(struct pgk_gpu *gpu, bool lost);

/* Memory for the states of the segment's series; segments are numbered from 0 in order. */
int pgk_gpu_add_segment(struct pgk_gpu *gpu, uint32_t number, void *base,
                        const struct pgd_bars_geometry *geo) PGK_WARN_UNUSED;

/* Pushes entry[0, count), which the caller has filled, all of one segment; wait returns how many were not
 * done, problem[i] != 0: the caller clears them. */
int pgk_gpu_push_begin(struct pgk_gpu *gpu, uint32_t count) PGK_WARN_UNUSED;
int64_t pgk_gpu_push_wait(struct pgk_gpu *gpu) PGK_WARN_UNUSED;

/* Runs tasks[0, count), of at most `longest` rows, of `rows` in all. */
int pgk_gpu_sweep_begin(struct pgk_gpu *gpu, uint32_t segment, uint32_t count) PGK_WARN_UNUSED;
int pgk_gpu_sweep_wait(struct pgk_gpu *gpu, uint64_t longest, uint64_t rows) PGK_WARN_UNUSED;

/* For measurements: begins to move the bytes of a sweep of `rows` rows from row `first` on, of series [0,
 * series), and does nothing else; `first` and `rows` within the ring. */
int pgk_gpu_floor(struct pgk_gpu *gpu, uint32_t segment, uint64_t series, uint64_t first,
                  uint64_t rows) PGK_WARN_UNUSED;

/* Until all it was given is done: before anybody else touches what it may still be writing, checkpoints among
 * it. */
int pgk_gpu_quiet(struct pgk_gpu *gpu) PGK_WARN_UNUSED;

/* The same after an error, of this GPU or of another: whoever goes on with the same rows must not be
 * overtaken by a GPU of which only a call has failed. One that is dead does nothing any more; one that hangs
 * has been waited for. */
void pgk_gpu_stop(struct pgk_gpu *gpu);

/* That, and until no kernel is on it: before memory is registered or given back. */
int pgk_gpu_empty(struct pgk_gpu *gpu) PGK_WARN_UNUSED;

/* Makes the GPU's context the calling thread's. */
int pgk_gpu_current(struct pgk_gpu *gpu) PGK_WARN_UNUSED;

/* For stay.c. */

/* Of gpu->entry[0, count): the lanes of the last tile that have no series. */
void pgk_gpu_close_entries(struct pgk_gpu *gpu, uint32_t count);

/* Of the last push that was launched or of all blocks: has this one answered; entries that were not done. */
bool pgk_gpu_answered(const struct pgk_gpu *gpu, uint32_t block);
int64_t pgk_gpu_problems(const struct pgk_gpu *gpu, uint32_t blocks);

int pgk_gpu_failed(struct pgk_gpu *gpu, unsigned result, const char *what);
int64_t pgk_gpu_now_ns(void);
void pgk_gpu_push_params(const struct pgk_gpu *gpu, struct pgk_gpu_push *ret);
int pgk_gpu_graph(struct pgk_gpu *gpu, struct CUfunc_st *kernel, struct CUstream_st *stream, unsigned blocks,
                  void **params, struct CUgraphExec_st **ret) PGK_WARN_UNUSED;

/* Between two looks at memory that a stream's kernel is to write: an error when the driver knows of one, or
 * when it has taken too long. */
int pgk_gpu_still(struct pgk_gpu *gpu, struct CUstream_st *stream, const char *what, uint32_t looks,
                  int64_t since_ns) PGK_WARN_UNUSED;

/* Until a stream has done everything. */
int pgk_gpu_wait_end(struct pgk_gpu *gpu, struct CUstream_st *stream, const char *what,
                     uint64_t limit_ns) PGK_WARN_UNUSED;

/* Leaves the function with the error when a call of the driver fails. */
#define PGK_GPU_TRY(gpu, what, call)                                                                         \
    do {                                                                                                     \
        unsigned result_ = (gpu)->driver->call;                                                              \
        if (result_ != 0)                                                                                    \
            return pgk_gpu_failed(gpu, result_, what);                                                       \
    } while (0)

#endif
