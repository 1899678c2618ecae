/* The kernels' text, compiled for the host: what the fake driver launches. Blocks run one after the other,
 * and so do a block's threads, a phase at a time. */

#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <time.h>

#include "fake/fake.h"

/* What comes after the answer comes late: whoever does not wait for it is found out. */
#define PGK_HOST_ANSWERED() fake_poll()
#define PGK_HOST_SPIN()     spin()
#define PGK_HOST_CLOCK()    now_ns()
static void spin(void);
static uint64_t now_ns(void);
#include "cuda/push.cuh"
#include "cuda/sweep.cuh"

#define PGK_FAKE_BLOCKS 64u

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

static void begin_push(const struct fake_launch *launch, double *lines)
{
    block.pusher.lines = lines;
    begin(&block.pusher.block, launch, 1, lines, lines + 2 * (size_t)PGK_GPU_LINE);
}

static void run_push(void **args, const struct fake_launch *launch)
{
    const struct pgk_gpu_plan *const *plan = args[1];
    double *lines = take_memory(launch);
    for (unsigned i = 0; i < launch->grid[0]; i++) {
        begin_push(launch, lines);
        pgk_push_run(&block.pusher, args[0], *plan, i, launch->grid[0], true);
    }
    set_memory(NULL);
}

/* Blocks that stay are there at the same time: a thread each. */
struct staying {
    pthread_t thread;
    void **args;
    const struct fake_launch *launch;
    unsigned block;
};

static _Thread_local const int *dying;
static _Thread_local jmp_buf way_out;

static void spin(void)
{
    const struct timespec moment = {.tv_nsec = 10000};
    nanosleep(&moment, NULL);
    if (__atomic_load_n(dying, __ATOMIC_ACQUIRE))
        longjmp(way_out, 1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *stay(void *user)
{
    const struct staying *it = user;
    const struct pgk_gpu_plan *const *plan = it->args[2];
    dying = it->launch->dead;
    begin_push(it->launch, take_memory(it->launch));
    if (setjmp(way_out) == 0)
        pgk_stay_run(&block.pusher, it->args[0], it->args[1], *plan, it->block, it->launch->grid[0]);
    set_memory(NULL);
    return NULL;
}

static void run_stay(void **args, const struct fake_launch *launch)
{
    struct staying blocks[PGK_FAKE_BLOCKS];
    unsigned n = 0;
    for (; n < launch->grid[0] && n < PGK_FAKE_BLOCKS; n++) {
        blocks[n] = (struct staying){.args = args, .launch = launch, .block = n};
        if (pthread_create(&blocks[n].thread, NULL, stay, &blocks[n]) != 0)
            break;
    }
    while (n-- > 0)
        pthread_join(blocks[n].thread, NULL);
}

static void run_sweep(void **args, const struct fake_launch *launch)
{
    const struct pgk_gpu_plan *const *plan = args[1];
    const uint64_t *tasks = args[2], *count = args[3];
    const uint32_t *gen = args[4], *rows = args[5];
    block.sweeper.lines[0] = take_memory(launch);
    block.sweeper.lines[1] = block.sweeper.lines[0] + *rows * PGK_GPU_LINE;
    begin(&block.sweeper.block, launch, *rows, block.sweeper.lines[0],
          block.sweeper.lines[1] + *rows * PGK_GPU_LINE);
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
                pgk_sys_store(unit + i * 8, sum | 1);
        }
}

extern EXPORTED const struct fake_kernel fake_kernel_pgk_push, fake_kernel_pgk_stay, fake_kernel_pgk_sweep,
    fake_kernel_pgk_floor;
const struct fake_kernel fake_kernel_pgk_stay = {
    run_stay, 3, {sizeof(struct pgk_gpu_push), sizeof(struct pgk_gpu_stay), sizeof(void *)}};
const struct fake_kernel fake_kernel_pgk_floor = {run_floor, 4, {sizeof(struct pgk_gpu_segment), 4, 8, 8}};
const struct fake_kernel fake_kernel_pgk_push = {run_push, 2, {sizeof(struct pgk_gpu_push), sizeof(void *)}};
const struct fake_kernel fake_kernel_pgk_sweep = {
    run_sweep, 6, {sizeof(struct pgk_gpu_segment), sizeof(void *), 8, 8, 4, 4}};
