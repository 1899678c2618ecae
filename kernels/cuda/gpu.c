#include "cuda/gpu.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cuda/fuse.h"
#include "cuda/stay.h"
#include "shm/atomic.h"

#define LANES_PAD    (PGK_GPU_LANES + 1)
#define LINE_WORDS   8u
#define SWEEP_ROWS   4u
#define THREADS_MIN  256u
#define THREADS_MAX  512u
#define ASK_EVERY    1024u /* looks at memory between two questions to the driver */
#define SLEEP_AFTER  INT64_C(200000)
#define LINE         64u
#define SWEEP_ROW_NS 10000u /* a row of one series takes far less, and ... */
#define SWEEP_ALL_NS 200u   /* ... so does one of many, also over a slow bus */

int pgk_gpu_failed(struct pgk_gpu *gpu, unsigned result, const char *what)
{
    char text[120];
    int rc = pgk_driver_error(gpu->driver, result, text, sizeof text);
    (void)snprintf(gpu->fault, sizeof gpu->fault, "%s: %s", what, text);
    gpu->failed = true;
    return rc;
}

static int timed_out(struct pgk_gpu *gpu, const char *what, uint64_t after_ns)
{
    (void)snprintf(gpu->fault, sizeof gpu->fault, "%s: no answer for %u ms", what,
                   (unsigned)(after_ns / 1000000));
    gpu->failed = gpu->hung = true;
    return -ETIMEDOUT;
}

int64_t pgk_gpu_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* --------------------------------------------------------------------------------------------------- open */

int pgk_gpu_current(struct pgk_gpu *gpu)
{
    PGK_GPU_TRY(gpu, "context", ctx_set_current(gpu->context));
    return 0;
}

/* Behind the outputs there is room for one more word of each lane: what no column shows falls on the place of
 * the next row's tag, which is not taken from there, or, of the last row, here. */
static size_t shared_bytes(const struct pgk_gpu *gpu, uint32_t rows)
{
    return PGK_GPU_BLOCK_BYTES +
           ((size_t)rows * (2 * LINE_WORDS + gpu->plan.unit_words) + 1) * LANES_PAD * sizeof(double);
}

/* As many rows at a time as shared memory has room for. */
static int set_shape(struct pgk_gpu *gpu)
{
    uint32_t warps =
        gpu->plan.ops < THREADS_MIN / PGK_GPU_LANES ? THREADS_MIN / PGK_GPU_LANES : gpu->plan.ops;
    gpu->threads = warps * PGK_GPU_LANES < THREADS_MAX ? warps * PGK_GPU_LANES : THREADS_MAX;
    gpu->sweep_rows = gpu->options.sweep_rows == 0 ? SWEEP_ROWS : gpu->options.sweep_rows;
    if (gpu->sweep_rows > PGK_GPU_AHEAD)
        gpu->sweep_rows = PGK_GPU_AHEAD;
    while (gpu->sweep_rows > 1 && shared_bytes(gpu, gpu->sweep_rows) > gpu->info.shared_size)
        gpu->sweep_rows /= 2;
    gpu->push_shared = shared_bytes(gpu, 1);
    gpu->sweep_shared = shared_bytes(gpu, gpu->sweep_rows);
    if (gpu->sweep_shared > gpu->info.shared_size) {
        (void)snprintf(gpu->fault, sizeof gpu->fault, "%u columns do not fit its shared memory",
                       gpu->plan.columns);
        return -ENOTSUP;
    }
    PGK_GPU_TRY(gpu, "shared memory",
                func_set_attribute(gpu->push, PGK_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                   (int)gpu->push_shared));
    PGK_GPU_TRY(gpu, "shared memory",
                func_set_attribute(gpu->sweep, PGK_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                   (int)gpu->sweep_shared));
    return 0;
}

/* Which graph a push of so many tiles is: of 2^i blocks, or of as many as there are at most, where a block
 * then has several tiles, one after the other. */
static uint32_t graph_of(const struct pgk_gpu *gpu, uint32_t tiles)
{
    uint32_t graph = 0;
    while (1u << graph < tiles && 1u << graph < gpu->blocks)
        graph++;
    return graph;
}

static uint32_t blocks_of(const struct pgk_gpu *gpu, uint32_t graph)
{
    return 1u << graph < gpu->blocks ? 1u << graph : gpu->blocks;
}

/* Each array begins on a line of its own: one side's stores do not share a line with the other's. */
static int take_host_memory(struct pgk_gpu *gpu)
{
    size_t room = (gpu->entries + PGK_GPU_LANES - 1) / PGK_GPU_LANES * PGK_GPU_LANES +
                  gpu->blocks * (size_t)PGK_GPU_LANES;
    size_t answer = (gpu->blocks * sizeof *gpu->answer + 2 * LINE - 1) / (2 * LINE) * (2 * LINE);
    size_t entry = room * sizeof *gpu->entry, problem = room * sizeof *gpu->problem;
    size_t size = answer + entry + problem + PGK_GPU_TASKS * sizeof *gpu->tasks;
    PGK_GPU_TRY(
        gpu, "host memory",
        mem_host_alloc(&gpu->host, size, PGK_CU_MEMHOSTALLOC_PORTABLE | PGK_CU_MEMHOSTALLOC_DEVICEMAP));
    memset(gpu->host, 0, size);
    uint8_t *at = gpu->host;
    gpu->answer = (uint64_t *)(void *)at;
    gpu->entry = (uint64_t *)(void *)(at + answer);
    gpu->problem = (uint64_t *)(void *)(at + answer + entry);
    gpu->tasks = (struct pgk_gpu_task *)(void *)(at + answer + entry + problem);
    return 0;
}

static int take_memory(struct pgk_gpu *gpu)
{
    PGK_GPU_TRY(gpu, "stream", stream_create(&gpu->stream, PGK_CU_STREAM_NON_BLOCKING, 0));
    PGK_GPU_TRY(gpu, "memory", mem_alloc(&gpu->device_plan, sizeof gpu->plan));
    PGK_GPU_TRY(gpu, "memory", mem_alloc(&gpu->device_gate, sizeof(struct pgk_gpu_gate)));
    int rc = take_host_memory(gpu);
    if (rc != 0)
        return rc;
    PGK_GPU_TRY(gpu, "memory",
                memset_d8_async(gpu->device_gate, 0, sizeof(struct pgk_gpu_gate), gpu->stream));
    PGK_GPU_TRY(gpu, "copy", memcpy_htod_async(gpu->device_plan, &gpu->plan, sizeof gpu->plan, gpu->stream));
    PGK_GPU_TRY(gpu, "copy", stream_synchronize(gpu->stream));
    return 0;
}

void pgk_gpu_push_params(const struct pgk_gpu *gpu, struct pgk_gpu_push *ret)
{
    *ret = (struct pgk_gpu_push){.entry = (uint64_t)(uintptr_t)gpu->entry,
                                 .answer = (uint64_t)(uintptr_t)gpu->answer,
                                 .problem = (uint64_t)(uintptr_t)gpu->problem,
                                 .gate = gpu->device_gate};
    memcpy(ret->segment, gpu->segments, sizeof ret->segment);
}

/* A graph is launched sooner than a kernel is. */
int pgk_gpu_graph(struct pgk_gpu *gpu, struct CUfunc_st *kernel, struct CUstream_st *stream, unsigned blocks,
                  void **params, struct CUgraphExec_st **ret)
{
    struct CUgraph_st *graph = NULL;
    PGK_GPU_TRY(gpu, "graph", stream_begin_capture(stream, PGK_CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    unsigned launched = gpu->driver->launch_kernel(kernel, blocks, 1, 1, gpu->threads, 1, 1,
                                                   (unsigned)gpu->push_shared, stream, params, NULL);
    unsigned captured = gpu->driver->stream_end_capture(stream, &graph);
    unsigned made = launched != 0   ? launched
                    : captured != 0 ? captured
                                    : gpu->driver->graph_instantiate(ret, graph, 0);
    unsigned dropped = graph != NULL ? gpu->driver->graph_destroy(graph) : 0;
    made = made != 0 ? made : dropped;
    return made != 0 ? pgk_gpu_failed(gpu, made, "graph") : 0;
}

static void drop_graphs(struct pgk_gpu *gpu)
{
    for (uint32_t i = 0; i < PGK_GPU_GRAPHS; i++) {
        if (gpu->pushes_of[i] != NULL)
            (void)gpu->driver->graph_exec_destroy(gpu->pushes_of[i]);
        gpu->pushes_of[i] = NULL;
    }
}

/* They carry what there is of segments, so each of these has them made anew. */
static int make_graphs(struct pgk_gpu *gpu)
{
    struct pgk_gpu_push push;
    void *params[] = {&push, &gpu->device_plan};
    uint32_t last = graph_of(gpu, gpu->blocks);
    int rc = last < PGK_GPU_GRAPHS ? 0 : -E2BIG;
    pgk_gpu_push_params(gpu, &push);
    drop_graphs(gpu);
    for (uint32_t i = 0; rc == 0 && i <= last; i++)
        rc = pgk_gpu_graph(gpu, gpu->push, gpu->stream, blocks_of(gpu, i), params, &gpu->pushes_of[i]);
    return rc != 0 ? rc : pgk_stay_prepare(gpu);
}

static int open_gpu(struct pgk_gpu *gpu, const void *image)
{
    gpu->blocks = gpu->info.sms;
    PGK_GPU_TRY(gpu, "context", device_primary_ctx_retain(&gpu->context, gpu->info.device));
    int rc = pgk_gpu_current(gpu);
    if (rc != 0)
        return rc;
    PGK_GPU_TRY(gpu, "module", module_load_data(&gpu->module, image, 0, NULL, NULL));
    PGK_GPU_TRY(gpu, "module", module_get_function(&gpu->push, gpu->module, "pgk_push"));
    PGK_GPU_TRY(gpu, "module", module_get_function(&gpu->sweep, gpu->module, "pgk_sweep"));
    PGK_GPU_TRY(gpu, "module", module_get_function(&gpu->floor, gpu->module, "pgk_floor"));
    rc = set_shape(gpu);
    if (rc == 0)
        rc = take_memory(gpu);
    return rc != 0 ? rc : pgk_stay_open(gpu);
}

int pgk_gpu_open(struct pgk_gpu *gpu, const struct pgk_driver *driver, const struct pgk_driver_device *info,
                 const struct pgk_plan *plan, const void *image, const struct pgk_gpu_options *options,
                 uint32_t entries, char *why, size_t why_size)
{
    *gpu = (struct pgk_gpu){.driver = driver, .info = *info, .options = *options, .entries = entries};
    pgk_fuse_plan(&gpu->plan, plan, PGK_GPU_AHEAD);
    int rc = open_gpu(gpu, image);
    if (rc == 0)
        return 0;
    (void)snprintf(why, why_size, "%s: %s", info->name, gpu->fault);
    pgk_gpu_close(gpu, false);
    return rc;
}

static void free_all(struct pgk_gpu *gpu)
{
    const struct pgk_driver *driver = gpu->driver;
    for (uint32_t i = 0; i < PGK_GPU_SEGMENTS; i++)
        if (gpu->states[i] != 0)
            (void)driver->mem_free(gpu->states[i]);
    const pgk_devptr memory[] = {gpu->device_plan, gpu->device_gate};
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        if (memory[i] != 0)
            (void)driver->mem_free(memory[i]);
    if (gpu->host != NULL)
        (void)driver->mem_free_host(gpu->host);
    drop_graphs(gpu);
    pgk_stay_close(gpu);
    if (gpu->stream != NULL)
        (void)driver->stream_destroy(gpu->stream);
    if (gpu->module != NULL)
        (void)driver->module_unload(gpu->module);
}

void pgk_gpu_close(struct pgk_gpu *gpu, bool lost)
{
    /* what a lost GPU held stays as it is, its context too: giving anything back may wait for it for ever */
    if (gpu->context != NULL && !lost) {
        if (pgk_gpu_current(gpu) == 0 && pgk_gpu_empty(gpu) == 0)
            free_all(gpu);
        (void)gpu->driver->device_primary_ctx_release(gpu->info.device);
    }
    *gpu = (struct pgk_gpu){0};
}

int pgk_gpu_add_segment(struct pgk_gpu *gpu, uint32_t number, void *base, const struct pgd_bars_geometry *geo)
{
    uint64_t at = (uint64_t)(uintptr_t)base;
    size_t tiles = ((size_t)geo->series_max + PGK_GPU_LANES - 1) / PGK_GPU_LANES,
           size = tiles * PGK_GPU_LANES * gpu->plan.state_words * 8;
    int rc = pgk_gpu_current(gpu);
    if (rc == 0)
        rc = pgk_gpu_empty(gpu);
    if (rc != 0)
        return rc;
    PGK_GPU_TRY(gpu, "memory for the states", mem_alloc(&gpu->states[number], size));
    PGK_GPU_TRY(gpu, "memory for the states", memset_d8_async(gpu->states[number], 0, size, gpu->stream));
    gpu->segments[number] = (struct pgk_gpu_segment){.bars = at + geo->bar_offset,
                                                     .units = at + geo->unit_offset,
                                                     .heads = at + geo->series_offset,
                                                     .points = at + geo->state_offset,
                                                     .capacity = geo->capacity,
                                                     .bar_stride = geo->bar_stride,
                                                     .unit_stride = geo->unit_stride,
                                                     .rows_stride = geo->rows_stride,
                                                     .head_stride = geo->series_stride,
                                                     .points_stride = geo->state_stride,
                                                     .point_size = geo->state_size,
                                                     .point_slots = geo->state_slots,
                                                     .point_every = geo->state_every,
                                                     .states = gpu->states[number]};
    PGK_GPU_TRY(gpu, "memory for the states", stream_synchronize(gpu->stream));
    return make_graphs(gpu);
}

/* --------------------------------------------------------------------------------------------------- push */

void pgk_gpu_close_entries(struct pgk_gpu *gpu, uint32_t count)
{
    for (; count % PGK_GPU_LANES != 0; count++)
        gpu->entry[count] = PGK_GPU_ENTRY_NONE;
}

/* Each block's first tile, be there one or not, says what all have to know. */
static void mark_entries(struct pgk_gpu *gpu, uint32_t tiles, uint32_t blocks)
{
    for (uint32_t tile = 0; tile < blocks; tile++)
        for (uint32_t i = 0; i < PGK_GPU_PARTS; i++) {
            uint64_t *entry = &gpu->entry[tile * PGK_GPU_LANES + i];
            *entry = PGK_GPU_PART(tile < tiles ? *entry : PGK_GPU_ENTRY_NONE, i,
                                  PGK_GPU_LAUNCHED(tiles, gpu->number));
        }
}

static int launch_push(struct pgk_gpu *gpu, uint32_t count)
{
    uint32_t tiles = (count + PGK_GPU_LANES - 1) / PGK_GPU_LANES, graph = graph_of(gpu, tiles);
    gpu->number = PGK_GPU_NUMBER(gpu->number + 1);
    gpu->launched = blocks_of(gpu, graph);
    pgk_gpu_close_entries(gpu, count);
    mark_entries(gpu, tiles, gpu->launched);
    gpu->busy = true;
    PGK_GPU_TRY(gpu, "push", graph_launch(gpu->pushes_of[graph], gpu->stream));
    return 0;
}

int pgk_gpu_push_begin(struct pgk_gpu *gpu, uint32_t count)
{
    gpu->rang_ns = pgk_gpu_now_ns();
    if (gpu->stay.memory == NULL)
        return launch_push(gpu, count);
    int rc = gpu->busy ? pgk_gpu_quiet(gpu) : 0; /* states of a sweep are there before */
    return rc != 0 ? rc : pgk_stay_begin(gpu, count);
}

static void relax(uint32_t looks, int64_t since)
{
    if (looks % ASK_EVERY == 0 && pgk_gpu_now_ns() - since > SLEEP_AFTER) {
        const struct timespec moment = {.tv_nsec = 20000};
        (void)nanosleep(&moment, NULL);
    }
#if defined __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

int pgk_gpu_still(struct pgk_gpu *gpu, struct CUstream_st *stream, const char *what, uint32_t looks,
                  int64_t since)
{
    unsigned result = looks % ASK_EVERY == 0 ? gpu->driver->stream_query(stream) : 0;
    if (result != 0 && pgk_driver_fault(result) != PGK_FAULT_NOT_READY)
        return pgk_gpu_failed(gpu, result, what);
    if (looks % ASK_EVERY == 0 && pgk_gpu_now_ns() - since > (int64_t)gpu->options.timeout_ns)
        return timed_out(gpu, what, gpu->options.timeout_ns);
    relax(looks, since);
    return 0;
}

bool pgk_gpu_answered(const struct pgk_gpu *gpu, uint32_t block)
{
    return shm_load64_acquire(&gpu->answer[block]) >> 32 == gpu->number;
}

int64_t pgk_gpu_problems(const struct pgk_gpu *gpu, uint32_t blocks)
{
    int64_t ret = 0;
    for (uint32_t block = 0; block < blocks; block++)
        ret += (uint32_t)shm_load64(&gpu->answer[block]);
    return ret;
}

int64_t pgk_gpu_push_wait(struct pgk_gpu *gpu)
{
    int64_t since = pgk_gpu_now_ns();
    if (gpu->stay.memory != NULL)
        return pgk_stay_wait(gpu);
    for (uint32_t block = gpu->launched; block-- > 0;)
        for (uint32_t looks = 1; !pgk_gpu_answered(gpu, block); looks++) {
            int rc = pgk_gpu_still(gpu, gpu->stream, "push", looks, since);
            if (rc != 0)
                return rc;
        }
    return pgk_gpu_problems(gpu, gpu->launched);
}

int pgk_gpu_wait_end(struct pgk_gpu *gpu, struct CUstream_st *stream, const char *what, uint64_t limit_ns)
{
    int64_t since = pgk_gpu_now_ns();
    for (;;) {
        unsigned result = gpu->driver->stream_query(stream);
        if (result == 0)
            return 0;
        if (pgk_driver_fault(result) != PGK_FAULT_NOT_READY)
            return pgk_gpu_failed(gpu, result, what);
        if (pgk_gpu_now_ns() - since > (int64_t)limit_ns)
            return timed_out(gpu, what, limit_ns);
        relax(ASK_EVERY, since);
    }
}

/* Until what was launched is done. */
static int wait_for_launched(struct pgk_gpu *gpu, const char *what, uint64_t limit_ns)
{
    int rc = gpu->busy ? pgk_gpu_wait_end(gpu, gpu->stream, what, limit_ns) : 0;
    gpu->busy &= rc != 0;
    return rc;
}

int pgk_gpu_quiet(struct pgk_gpu *gpu)
{
    int rc = wait_for_launched(gpu, "push", gpu->options.timeout_ns);
    return rc != 0 ? rc : pgk_stay_settle(gpu);
}

int pgk_gpu_empty(struct pgk_gpu *gpu)
{
    int rc = wait_for_launched(gpu, "push", gpu->options.timeout_ns);
    return rc != 0 ? rc : pgk_stay_leave(gpu);
}

/* Until a stream has done everything, or its GPU is dead, or too long. */
static void wait_for_rest(struct pgk_gpu *gpu, struct CUstream_st *stream)
{
    int64_t since = pgk_gpu_now_ns();
    while (pgk_gpu_now_ns() - since < (int64_t)gpu->options.timeout_ns) {
        (void)gpu->driver->ctx_set_current(gpu->context);
        unsigned result = gpu->driver->stream_query(stream);
        enum pgk_fault fault = pgk_driver_fault(result);
        if (result == 0 || fault == PGK_FAULT_CONTEXT || fault == PGK_FAULT_DEVICE)
            return;
        relax(ASK_EVERY, since);
    }
}

void pgk_gpu_stop(struct pgk_gpu *gpu)
{
    pgk_stay_dismiss(gpu);
    if (gpu->busy && !gpu->hung)
        wait_for_rest(gpu, gpu->stream);
    if (gpu->stay.blocks > 0 && !gpu->hung)
        wait_for_rest(gpu, gpu->stay.stream);
}

/* -------------------------------------------------------------------------------------------------- sweep */

int pgk_gpu_sweep_begin(struct pgk_gpu *gpu, uint32_t segment, uint32_t count)
{
    uint64_t tasks = (uint64_t)(uintptr_t)gpu->tasks, number = count;
    uint32_t gen = PGK_GPU_GEN_SWEEP(++gpu->sweeps);
    void *params[] = {&gpu->segments[segment], &gpu->device_plan, &tasks, &number, &gen, &gpu->sweep_rows};
    unsigned blocks = (count + PGK_GPU_LANES - 1) / PGK_GPU_LANES;
    int rc = pgk_stay_make_room(gpu);
    if (rc != 0)
        return rc;
    gpu->busy = true;
    PGK_GPU_TRY(gpu, "sweep",
                launch_kernel(gpu->sweep, blocks, 1, 1, gpu->threads, 1, 1, (unsigned)gpu->sweep_shared,
                              gpu->stream, params, NULL));
    return 0;
}

int pgk_gpu_sweep_wait(struct pgk_gpu *gpu, uint64_t longest, uint64_t rows)
{
    return wait_for_launched(gpu, "sweep",
                             gpu->options.timeout_ns + longest * SWEEP_ROW_NS + rows * SWEEP_ALL_NS);
}

int pgk_gpu_floor(struct pgk_gpu *gpu, uint32_t segment, uint64_t series, uint64_t first, uint64_t rows)
{
    struct pgk_gpu_segment from = gpu->segments[segment];
    from.bars += first * from.bar_stride;
    from.units += first * from.unit_stride;
    void *params[] = {&from, &gpu->plan.unit_words, &series, &rows};
    int rc = pgk_stay_make_room(gpu);
    if (rc != 0)
        return rc;
    gpu->busy = true;
    PGK_GPU_TRY(
        gpu, "floor",
        launch_kernel(gpu->floor, gpu->info.sms * 4, 1, 1, THREADS_MAX, 1, 1, 0, gpu->stream, params, NULL));
    return 0;
}
