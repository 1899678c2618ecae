/* The kernels' text, compiled for the host: what the fake driver launches. Blocks run one after the other,
 * and so do a block's threads, a phase at a time. */

#include <pthread.h>
#include <stdlib.h>

#include "fake/fake.h"

/* What comes after the answer comes late: whoever does not wait for it is found out. */
#define PGK_HOST_ANSWERED() fake_poll()
#include "cuda/push.cuh"
#include "cuda/sweep.cuh"

/* Of the thread of the stream a kernel runs on: one at a time. */
static _Thread_local union {
    struct pgk_pusher pusher;
    struct pgk_sweeper sweeper;
} block;

/* Shared memory as general.cu divides it up, not a byte more than was asked for: the address sanitizer looks.
 * A kernel that dies leaves it to the next one of its thread, or to the thread's end. */
static pthread_key_t memory;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
    if (pthread_key_create(&memory, free) != 0)
        abort();
}

static void set_memory(double *to)
{
    (void)pthread_once(&once, make_key);
    free(pthread_getspecific(memory));
    if (pthread_setspecific(memory, to) != 0)
        abort();
}

static double *take_memory(const struct fake_launch *launch)
{
    double *ret = malloc(launch->shared_size);
    if (ret == NULL)
        abort();
    set_memory(ret);
    return ret + PGK_GPU_BLOCK_BYTES / sizeof *ret;
}

static void begin(struct pgk_block *b, const struct fake_launch *launch, uint32_t rows, double *lines,
                  double *outs)
{
    b->threads = launch->block[0];
    b->rows = rows;
    b->lines = lines;
    b->outs = outs;
}

static void run_push(void **args, const struct fake_launch *launch)
{
    const struct pgk_gpu_plan *const *plan = args[1];
    double *lines = take_memory(launch);
    for (unsigned tile = 0; tile < launch->grid[0]; tile++) {
        begin(&block.pusher.block, launch, 1, lines, lines + PGK_LINE_WORDS * PGK_GPU_PAD);
        pgk_push_run(&block.pusher, args[0], *plan, tile, launch->grid[0]);
    }
    set_memory(NULL);
}

static void run_sweep(void **args, const struct fake_launch *launch)
{
    const struct pgk_gpu_plan *const *plan = args[1];
    const uint64_t *tasks = args[2], *count = args[3];
    const uint32_t *gen = args[4], *rows = args[5];
    block.sweeper.lines[0] = take_memory(launch);
    block.sweeper.lines[1] = block.sweeper.lines[0] + *rows * PGK_LINE_WORDS * PGK_GPU_PAD;
    begin(&block.sweeper.block, launch, *rows, block.sweeper.lines[0],
          block.sweeper.lines[1] + *rows * PGK_LINE_WORDS * PGK_GPU_PAD);
    pgk_sweep_run(&block.sweeper, args[0], *plan, *tasks, *count, *gen, 0, 1);
    set_memory(NULL);
}

#define EXPORTED __attribute__((visibility("default")))

/* How fast means nothing here; which lines are read and written does. */
static void run_floor(void **args, const struct fake_launch *launch)
{
    const struct pgk_gpu_segment *seg = args[0];
    const uint32_t *unit_words = args[1];
    const uint64_t *series = args[2], *rows = args[3];
    (void)launch;
    for (uint64_t s = 0; s < *series; s++)
        for (uint64_t row = 0; row < *rows; row++) {
            uint64_t bar = seg->bars + s * seg->rows_stride + row * seg->bar_stride, sum = 0;
            uint64_t unit = seg->units + s * seg->rows_stride + row * seg->unit_stride;
            for (uint64_t i = 0; i < PGD_LINE / 8; i++)
                sum += pgk_sys_load(bar + i * 8);
            for (uint64_t i = 0; i < *unit_words; i++)
                pgk_sys_store(unit + i * 8, sum);
        }
}

extern EXPORTED const struct fake_kernel fake_kernel_pgk_push, fake_kernel_pgk_sweep, fake_kernel_pgk_floor;
const struct fake_kernel fake_kernel_pgk_floor = {run_floor, 4, {sizeof(struct pgk_gpu_segment), 4, 8, 8}};
const struct fake_kernel fake_kernel_pgk_push = {run_push, 2, {sizeof(struct pgk_gpu_push), sizeof(void *)}};
const struct fake_kernel fake_kernel_pgk_sweep = {
    run_sweep, 6, {sizeof(struct pgk_gpu_segment), sizeof(void *), 8, 8, 4, 4}};
