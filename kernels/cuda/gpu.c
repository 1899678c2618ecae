#include "cuda/gpu.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cuda/fuse.h"
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

static int failed(struct pgk_gpu *gpu, unsigned result, const char *what)
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

/* Leaves the function with the error when a call of the driver fails. */
#define TRY(gpu, what, call)                                                                                 \
    do {                                                                                                     \
        unsigned result_ = (gpu)->driver->call;                                                              \
        if (result_ != 0)                                                                                    \
            return failed(gpu, result_, what);                                                               \
    } while (0)

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* --------------------------------------------------------------------------------------------------- open */

int pgk_gpu_current(struct pgk_gpu *gpu)
{
    TRY(gpu, "context", ctx_set_current(gpu->context));
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
    TRY(gpu, "shared memory",
        func_set_attribute(gpu->push, PGK_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                           (int)gpu->push_shared));
    TRY(gpu, "shared memory",
        func_set_attribute(gpu->sweep, PGK_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                           (int)gpu->sweep_shared));
    return 0;
}

/* Tiles that a push of `count` series is launched with: 2 to the power of this. */
static uint32_t graph_of(uint32_t count)
{
    uint32_t graph = 0;
    while ((uint64_t)PGK_GPU_LANES << graph < count)
        graph++;
    return graph;
}

/* Done and each array begin on lines of their own: one side's stores do not share a line with the other's. */
static int take_host_memory(struct pgk_gpu *gpu)
{
    size_t room = (size_t)PGK_GPU_LANES << graph_of(gpu->entries);
    size_t entry = room * sizeof *gpu->entry, problem = room * sizeof *gpu->problem;
    size_t size = 2 * LINE + entry + problem + PGK_GPU_TASKS * sizeof *gpu->tasks;
    TRY(gpu, "host memory",
        mem_host_alloc(&gpu->host, size, PGK_CU_MEMHOSTALLOC_PORTABLE | PGK_CU_MEMHOSTALLOC_DEVICEMAP));
    memset(gpu->host, 0, size);
    uint8_t *at = gpu->host;
    gpu->done = (struct pgk_gpu_done *)(void *)at;
    gpu->entry = (uint32_t *)(void *)(at + 2 * LINE);
    gpu->problem = (uint64_t *)(void *)(at + 2 * LINE + entry);
    gpu->tasks = (struct pgk_gpu_task *)(void *)(at + 2 * LINE + entry + problem);
    return 0;
}

static int take_memory(struct pgk_gpu *gpu)
{
    TRY(gpu, "stream", stream_create(&gpu->stream, PGK_CU_STREAM_NON_BLOCKING, 0));
    TRY(gpu, "memory", mem_alloc(&gpu->device_plan, sizeof gpu->plan));
    TRY(gpu, "memory", mem_alloc(&gpu->device_gate, sizeof(struct pgk_gpu_gate)));
    TRY(gpu, "memory", mem_alloc(&gpu->device_segments, sizeof gpu->segments));
    int rc = take_host_memory(gpu);
    if (rc != 0)
        return rc;
    TRY(gpu, "memory", memset_d8_async(gpu->device_gate, 0, sizeof(struct pgk_gpu_gate), gpu->stream));
    TRY(gpu, "copy", memcpy_htod_async(gpu->device_plan, &gpu->plan, sizeof gpu->plan, gpu->stream));
    TRY(gpu, "copy", stream_synchronize(gpu->stream));
    return 0;
}

/* A push of at most so many tiles. A graph is launched sooner than a kernel is. */
static int make_graph(struct pgk_gpu *gpu, unsigned tiles, struct CUgraphExec_st **ret)
{
    struct pgk_gpu_push push = {.entry = (uint64_t)(uintptr_t)gpu->entry,
                                .done = (uint64_t)(uintptr_t)gpu->done,
                                .problem = (uint64_t)(uintptr_t)gpu->problem,
                                .segments = gpu->device_segments,
                                .gate = gpu->device_gate};
    void *params[] = {&push, &gpu->device_plan};
    struct CUgraph_st *graph = NULL;
    TRY(gpu, "graph", stream_begin_capture(gpu->stream, PGK_CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    unsigned launched = gpu->driver->launch_kernel(gpu->push, tiles, 1, 1, gpu->threads, 1, 1,
                                                   (unsigned)gpu->push_shared, gpu->stream, params, NULL);
    unsigned captured = gpu->driver->stream_end_capture(gpu->stream, &graph);
    unsigned made = launched != 0   ? launched
                    : captured != 0 ? captured
                                    : gpu->driver->graph_instantiate(ret, graph, 0);
    if (graph != NULL)
        (void)gpu->driver->graph_destroy(graph);
    return made != 0 ? failed(gpu, made, "graph") : 0;
}

static int make_graphs(struct pgk_gpu *gpu)
{
    for (uint32_t i = 0; i <= graph_of(gpu->entries); i++) {
        int rc = i < PGK_GPU_GRAPHS ? make_graph(gpu, 1u << i, &gpu->pushes_of[i]) : -E2BIG;
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int open_gpu(struct pgk_gpu *gpu, const void *image)
{
    TRY(gpu, "context", device_primary_ctx_retain(&gpu->context, gpu->info.device));
    int rc = pgk_gpu_current(gpu);
    if (rc != 0)
        return rc;
    TRY(gpu, "module", module_load_data(&gpu->module, image, 0, NULL, NULL));
    TRY(gpu, "module", module_get_function(&gpu->push, gpu->module, "pgk_push"));
    TRY(gpu, "module", module_get_function(&gpu->sweep, gpu->module, "pgk_sweep"));
    TRY(gpu, "module", module_get_function(&gpu->floor, gpu->module, "pgk_floor"));
    rc = set_shape(gpu);
    if (rc == 0)
        rc = take_memory(gpu);
    return rc != 0 ? rc : make_graphs(gpu);
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
    const pgk_devptr memory[] = {gpu->device_plan, gpu->device_gate, gpu->device_segments};
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        if (memory[i] != 0)
            (void)driver->mem_free(memory[i]);
    if (gpu->host != NULL)
        (void)driver->mem_free_host(gpu->host);
    for (uint32_t i = 0; i < PGK_GPU_GRAPHS; i++)
        if (gpu->pushes_of[i] != NULL)
            (void)driver->graph_exec_destroy(gpu->pushes_of[i]);
    if (gpu->stream != NULL)
        (void)driver->stream_destroy(gpu->stream);
    if (gpu->module != NULL)
        (void)driver->module_unload(gpu->module);
}

void pgk_gpu_close(struct pgk_gpu *gpu, bool lost)
{
    /* what a lost GPU held stays as it is, its context too: giving anything back may wait for it for ever */
    if (gpu->context != NULL && !lost) {
        if (pgk_gpu_current(gpu) == 0 && pgk_gpu_quiet(gpu) == 0)
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
        rc = pgk_gpu_quiet(gpu);
    if (rc != 0)
        return rc;
    TRY(gpu, "memory for the states", mem_alloc(&gpu->states[number], size));
    TRY(gpu, "memory for the states", memset_d8_async(gpu->states[number], 0, size, gpu->stream));
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
    TRY(gpu, "copy",
        memcpy_htod_async(gpu->device_segments + number * sizeof gpu->segments[0], &gpu->segments[number],
                          sizeof gpu->segments[0], gpu->stream));
    TRY(gpu, "copy", stream_synchronize(gpu->stream));
    return 0;
}

/* --------------------------------------------------------------------------------------------------- push */

int pgk_gpu_push_begin(struct pgk_gpu *gpu, uint32_t segment, uint32_t count)
{
    uint32_t graph = graph_of(count), all = segment << PGK_GPU_ENTRY_SEGMENT;
    gpu->rang_ns = now_ns();
    for (uint32_t i = 0; all != 0 && i < count; i++)
        gpu->entry[i] |= all;
    memset(&gpu->entry[count], 0xff, (((size_t)PGK_GPU_LANES << graph) - count) * sizeof *gpu->entry);
    gpu->busy = true;
    TRY(gpu, "push", graph_launch(gpu->pushes_of[graph], gpu->stream));
    gpu->number++;
    gpu->pushes++;
    return 0;
}

static void relax(uint32_t looks, int64_t since)
{
    if (looks % ASK_EVERY == 0 && now_ns() - since > SLEEP_AFTER) {
        const struct timespec moment = {.tv_nsec = 20000};
        (void)nanosleep(&moment, NULL);
    }
#if defined __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

int64_t pgk_gpu_push_wait(struct pgk_gpu *gpu)
{
    int64_t since = now_ns();
    for (uint32_t looks = 1; shm_load64_acquire(&gpu->done->pushed) >> 32 != gpu->number; looks++) {
        unsigned result = looks % ASK_EVERY == 0 ? gpu->driver->stream_query(gpu->stream) : 0;
        if (result != 0 && pgk_driver_fault(result) != PGK_FAULT_NOT_READY)
            return failed(gpu, result, "push");
        if (looks % ASK_EVERY == 0 && now_ns() - since > (int64_t)gpu->options.timeout_ns)
            return timed_out(gpu, "push", gpu->options.timeout_ns);
        relax(looks, since);
    }
    return (uint32_t)shm_load64(&gpu->done->pushed);
}

/* Until the stream has done everything. */
static int wait_for_end(struct pgk_gpu *gpu, const char *what, uint64_t limit_ns)
{
    int64_t since = now_ns();
    for (;;) {
        unsigned result = gpu->driver->stream_query(gpu->stream);
        if (result == 0)
            break;
        if (pgk_driver_fault(result) != PGK_FAULT_NOT_READY)
            return failed(gpu, result, what);
        if (now_ns() - since > (int64_t)limit_ns)
            return timed_out(gpu, what, limit_ns);
        relax(ASK_EVERY, since);
    }
    gpu->busy = false;
    return 0;
}

int pgk_gpu_quiet(struct pgk_gpu *gpu)
{
    return gpu->busy ? wait_for_end(gpu, "push", gpu->options.timeout_ns) : 0;
}

void pgk_gpu_stop(struct pgk_gpu *gpu)
{
    int64_t since = now_ns();
    while (gpu->busy && !gpu->hung && now_ns() - since < (int64_t)gpu->options.timeout_ns) {
        (void)gpu->driver->ctx_set_current(gpu->context);
        unsigned result = gpu->driver->stream_query(gpu->stream);
        enum pgk_fault fault = pgk_driver_fault(result);
        if (result == 0 || fault == PGK_FAULT_CONTEXT || fault == PGK_FAULT_DEVICE)
            return;
        relax(ASK_EVERY, since);
    }
}

/* -------------------------------------------------------------------------------------------------- sweep */

int pgk_gpu_sweep_begin(struct pgk_gpu *gpu, uint32_t segment, uint32_t count)
{
    uint64_t tasks = (uint64_t)(uintptr_t)gpu->tasks, number = count;
    uint32_t gen = (uint32_t)(gpu->pushes + ++gpu->sweeps);
    void *params[] = {&gpu->segments[segment], &gpu->device_plan, &tasks, &number, &gen, &gpu->sweep_rows};
    unsigned blocks = (count + PGK_GPU_LANES - 1) / PGK_GPU_LANES;
    gpu->busy = true;
    TRY(gpu, "sweep",
        launch_kernel(gpu->sweep, blocks, 1, 1, gpu->threads, 1, 1, (unsigned)gpu->sweep_shared, gpu->stream,
                      params, NULL));
    return 0;
}

int pgk_gpu_sweep_wait(struct pgk_gpu *gpu, uint64_t longest, uint64_t rows)
{
    return wait_for_end(gpu, "sweep", gpu->options.timeout_ns + longest * SWEEP_ROW_NS + rows * SWEEP_ALL_NS);
}

int pgk_gpu_floor(struct pgk_gpu *gpu, uint32_t segment, uint64_t series, uint64_t first, uint64_t rows)
{
    struct pgk_gpu_segment from = gpu->segments[segment];
    from.bars += first * from.bar_stride;
    from.units += first * from.unit_stride;
    void *params[] = {&from, &gpu->plan.unit_words, &series, &rows};
    TRY(gpu, "floor",
        launch_kernel(gpu->floor, gpu->info.sms * 4, 1, 1, THREADS_MAX, 1, 1, 0, gpu->stream, params, NULL));
    return 0;
}
