/* cuda/general.cu - the kernels. Compiled by nvcc as they are they serve every plan, read at run time; NVRTC
 * compiles them for one, with the ops as constants (PGK_FUSED_OPS). */
#include "cuda/push.cuh"
#include "cuda/sweep.cuh"

static_assert(sizeof(struct pgk_pusher) <= PGK_GPU_BLOCK_BYTES &&
                  sizeof(struct pgk_sweeper) <= PGK_GPU_BLOCK_BYTES,
              "the host asks for so much shared memory");

static_assert(PGK_GPU_WORDS * PGK_GPU_LANES <= 256, "a thread each has one in pgk_ask_first");

static_assert(PGK_RING_STRIDE == PGK_GPU_LANES, "rings are part of the states of a tile");

static __device__ void pgk_begin(struct pgk_block *b, uint32_t rows, double *lines, double *outs)
{
    b->threads = blockDim.x;
    b->rows = rows;
    b->lines = lines;
    b->outs = outs;
}

/* Shared memory: what the block knows, lines (two sets of them), outputs. */
static __device__ struct pgk_pusher *pgk_pusher_in(double *memory)
{
    struct pgk_pusher *p = (struct pgk_pusher *)memory;
    if (threadIdx.x == 0) {
        p->lines = memory + PGK_GPU_BLOCK_BYTES / 8;
        pgk_begin(&p->block, 1, p->lines, p->lines + 2 * PGK_GPU_LINE);
    }
    __syncthreads();
    return p;
}

extern "C" __global__ void __launch_bounds__(512)
    pgk_push(const __grid_constant__ struct pgk_gpu_push push, const struct pgk_gpu_plan *plan)
{
    extern __shared__ double memory[];
    pgk_push_run(pgk_pusher_in(memory), &push, plan, blockIdx.x, gridDim.x, true);
}

extern "C" __global__ void __launch_bounds__(512)
    pgk_stay(const __grid_constant__ struct pgk_gpu_push push,
             const __grid_constant__ struct pgk_gpu_stay stay, const struct pgk_gpu_plan *plan)
{
    extern __shared__ double memory[];
    pgk_stay_run(pgk_pusher_in(memory), &push, &stay, plan, blockIdx.x, gridDim.x);
}

extern "C" __global__ void __launch_bounds__(512)
    pgk_sweep(const __grid_constant__ struct pgk_gpu_segment seg, const struct pgk_gpu_plan *plan,
              uint64_t tasks, uint64_t count, uint32_t gen, uint32_t rows)
{
    extern __shared__ double memory[];
    struct pgk_sweeper *s = (struct pgk_sweeper *)memory;
    if (threadIdx.x == 0) {
        s->lines[0] = memory + PGK_GPU_BLOCK_BYTES / 8;
        s->lines[1] = s->lines[0] + rows * PGK_GPU_LINE;
        pgk_begin(&s->block, rows, s->lines[0], s->lines[1] + rows * PGK_GPU_LINE);
    }
    __syncthreads();
    pgk_sweep_run(s, &seg, plan, tasks, count, gen, blockIdx.x, gridDim.x);
}

/* The least that any sweep moves: every bar line read, every unit written, nothing stepped. A warp takes 32
 * rows of a series at a time. */
extern "C" __global__ void __launch_bounds__(512)
    pgk_floor(const struct pgk_gpu_segment seg, uint32_t unit_words, uint64_t series, uint64_t rows)
{
    const uint32_t lane = threadIdx.x % 32;
    uint64_t warp = (uint64_t)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32,
             warps = (uint64_t)gridDim.x * (blockDim.x / 32);
    uint64_t groups = (rows + 31) / 32;
    for (uint64_t g = warp; g < series * groups; g += warps) {
        uint64_t s = g / groups, first = g % groups * 32, n = rows - first < 32 ? rows - first : 32;
        uint64_t sum = 0;
#pragma unroll 8
        for (uint64_t i = lane; i < n * 8; i += 32)
            sum +=
                pgk_sys_load(seg.bars + s * seg.rows_stride + (first + i / 8) * seg.bar_stride + i % 8 * 8);
#pragma unroll 8
        for (uint64_t i = lane; i < n * unit_words; i += 32)
            pgk_sys_store(seg.units + s * seg.rows_stride + (first + i / unit_words) * seg.unit_stride +
                              i % unit_words * 8,
                          sum | 1);
    }
}
