#include "cuda/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/image.h"
#include "shm/atomic.h"

#define GPUS_MAX    8
#define UNKNOWN     UINT64_MAX /* the GPU does not have the state of a series */
#define SWEEP_TASKS 64u
#define TIMEOUT_NS  UINT64_C(5000000000)

_Static_assert((int)PGK_REACHED == (int)PGK_GPU_REACHED && (int)PGK_COALESCED == (int)PGK_GPU_COALESCED &&
                   (int)PGK_BUSY == (int)PGK_GPU_BUSY && (int)PGK_LAPPED == (int)PGK_GPU_LAPPED,
               "outcomes have the same names on both sides");

struct segment {
    void *base;
    struct pgd_bars_geometry geo;
    struct pgk_arena arena;
    uint64_t *row;  /* of each series: the row its GPU is to step next, or UNKNOWN; ... */
    uint32_t *slot; /* ... and where in the ring it lies */
    uint64_t *call; /* of each series: the last round that had a change of it */
};

/* A GPU's share of a call. */
struct share {
    uint32_t *pushed; /* changes, by entry */
    uint32_t pushed_count;
    struct pgk_task *task; /* PGK_GPU_TASKS of them */
    bool *watch;           /* of each: some of its rows left while it was run without looking */
    uint32_t task_count;
    uint64_t longest; /* rows of a task, ... */
    uint64_t rows;    /* ... of all */
};

struct pgk_cuda {
    const struct pgk_driver *driver;
    struct pgk_plan plan;
    struct pgk_gpu gpu[GPUS_MAX];
    struct share share[GPUS_MAX];
    int gpus;
    struct segment segment[PGK_GPU_SEGMENTS];
    uint32_t segments;
    uint32_t sweep_tasks;
    uint64_t round;
    bool register_memory;
    char fault[200];
};

/* --------------------------------------------------------------------------------------------------- open */

static int open_gpu(struct pgk_cuda *cuda, int ordinal, const struct pgk_cuda_options *options, char *why,
                    size_t why_size)
{
    struct pgk_driver_device info;
    const struct pgk_image_options image = {
        .rtc = options->rtc,
        .cache = options->cache,
        .entries = PGD_SERIES_LIMIT,
        .gpu = {.timeout_ns = options->timeout_ns == 0 ? TIMEOUT_NS : options->timeout_ns,
                .sweep_rows = options->sweep_rows,
                .stay_ns = options->stay_ns}};
    const char *kernels = NULL;
    int rc = pgk_driver_device(cuda->driver, ordinal, &info, why, why_size);
    if (rc != 0)
        return rc;
    if (!info.host_tables && (!info.can_register || !info.same_pointer)) {
        (void)snprintf(why, why_size, "%s cannot use the host's memory in place", info.name);
        return -ENOTSUP;
    }
    rc = pgk_image_open(&cuda->gpu[cuda->gpus], cuda->driver, &info, &cuda->plan, &image, &kernels, why,
                        why_size);
    if (rc != 0)
        return rc;
    (void)snprintf(why, why_size, "%.60s, %s", info.name, kernels);
    cuda->register_memory |= !info.host_tables;
    cuda->gpus++;
    return 0;
}

/* Opens every GPU that serves. `why` says which the first is, how many there are, and why one is not among
 * them. */
static int open_gpus(struct pgk_cuda *cuda, const struct pgk_cuda_options *options, char *why,
                     size_t why_size)
{
    char first[128] = "", refused[256] = "", text[256], count[24] = "";
    int rc = -ENODEV;
    for (int i = 0; i < cuda->driver->devices && i < GPUS_MAX; i++) {
        int opened = open_gpu(cuda, i, options, text, sizeof text);
        if (opened != 0 && refused[0] == '\0') {
            rc = opened;
            (void)snprintf(refused, sizeof refused, "%s", text);
        } else if (opened == 0 && cuda->gpus == 1) {
            (void)snprintf(first, sizeof first, "%.120s", text);
        }
    }
    if (cuda->gpus == 0) {
        (void)snprintf(why, why_size, "%s", refused);
        return rc;
    }
    if (cuda->gpus > 1)
        (void)snprintf(count, sizeof count, ", %d GPUs", cuda->gpus);
    (void)snprintf(why, why_size, "%s%s%s%.100s", first, count, refused[0] != '\0' ? "; not " : "", refused);
    return 0;
}

static int take_shares(struct pgk_cuda *cuda)
{
    for (int i = 0; i < cuda->gpus; i++) {
        cuda->share[i].pushed = calloc(PGD_SERIES_LIMIT, sizeof *cuda->share[i].pushed);
        cuda->share[i].task = calloc(PGK_GPU_TASKS, sizeof *cuda->share[i].task);
        cuda->share[i].watch = calloc(PGK_GPU_TASKS, sizeof *cuda->share[i].watch);
        if (cuda->share[i].pushed == NULL || cuda->share[i].task == NULL || cuda->share[i].watch == NULL)
            return -ENOMEM;
    }
    return 0;
}

int pgk_cuda_new(struct pgk_cuda **ret, const struct pgk_plan *plan, const struct pgk_cuda_options *options,
                 char *why, size_t why_size)
{
    struct pgk_cuda *cuda = calloc(1, sizeof *cuda);
    if (cuda == NULL)
        return -ENOMEM;
    cuda->plan = *plan;
    cuda->sweep_tasks = options->sweep_tasks == 0 ? SWEEP_TASKS : options->sweep_tasks;
    int rc = pgk_driver_load(&cuda->driver, options->driver, why, why_size);
    if (rc == 0)
        rc = open_gpus(cuda, options, why, why_size);
    if (rc == 0 && (rc = take_shares(cuda)) != 0)
        (void)snprintf(why, why_size, "out of memory");
    if (rc != 0) {
        pgk_cuda_free(cuda, false);
        return rc;
    }
    *ret = cuda;
    return 0;
}

static void free_arrays(struct segment *segment)
{
    free(segment->row);
    free(segment->slot);
    free(segment->call);
}

void pgk_cuda_free(struct pgk_cuda *cuda, bool lost)
{
    if (cuda == NULL)
        return;
    for (int i = 0; !lost && i < cuda->gpus; i++)
        lost |= pgk_gpu_current(&cuda->gpu[i]) != 0 || pgk_gpu_empty(&cuda->gpu[i]) != 0;
    for (int i = 0; lost && i < cuda->gpus; i++)
        pgk_gpu_stop(&cuda->gpu[i]);
    for (uint32_t i = 0; i < cuda->segments; i++) {
        pgk_arena_fini(&cuda->segment[i].arena, cuda->driver, lost);
        free_arrays(&cuda->segment[i]);
    }
    for (int i = 0; i < cuda->gpus; i++) {
        pgk_gpu_close(&cuda->gpu[i], lost);
        free(cuda->share[i].pushed);
        free(cuda->share[i].task);
        free(cuda->share[i].watch);
    }
    free(cuda);
}

const char *pgk_cuda_fault(const struct pgk_cuda *cuda)
{
    return cuda->fault;
}

struct pgk_gpu *pgk_cuda_gpu(struct pgk_cuda *cuda, int i)
{
    return i < cuda->gpus ? &cuda->gpu[i] : NULL;
}

static int failed(struct pgk_cuda *cuda, const struct pgk_gpu *gpu, int rc)
{
    (void)snprintf(cuda->fault, sizeof cuda->fault, "%.40s: %s", gpu->info.name, gpu->fault);
    return rc;
}

/* ------------------------------------------------------------------------------------------------ segments
 */

int pgk_cuda_bind(struct pgk_cuda *cuda, void *base, const struct pgd_bars_geometry *geo)
{
    struct segment *segment = &cuda->segment[cuda->segments];
    if (cuda->segments == PGK_GPU_SEGMENTS)
        return -ENOSPC;
    *segment = (struct segment){.base = base, .geo = *geo};
    int rc = pgk_arena_init(&segment->arena, base, geo);
    if (rc != 0)
        return rc;
    segment->row = calloc(geo->series_max, sizeof *segment->row);
    segment->slot = calloc(geo->series_max, sizeof *segment->slot);
    segment->call = calloc(geo->series_max, sizeof *segment->call);
    if (segment->row == NULL || segment->slot == NULL || segment->call == NULL)
        rc = -ENOMEM;
    else
        memset(segment->row, 0xff, geo->series_max * sizeof *segment->row);
    for (int i = 0; rc == 0 && i < cuda->gpus; i++) {
        rc = pgk_gpu_add_segment(&cuda->gpu[i], cuda->segments, base, geo);
        if (rc != 0)
            rc = failed(cuda, &cuda->gpu[i], rc);
    }
    if (rc == 0)
        return (int)cuda->segments++;
    pgk_arena_fini(&segment->arena, cuda->driver, true);
    free_arrays(segment);
    return rc;
}

int pgk_cuda_extent(struct pgk_cuda *cuda, uint32_t number, uint32_t first, uint32_t count)
{
    struct segment *segment = &cuda->segment[number];
    if (!cuda->register_memory || pgk_arena_ready(&segment->arena, first, count))
        return 0;
    unsigned result = 0;
    int rc = 0;
    for (int g = cuda->gpus; rc == 0 && g-- > 0;) { /* the first is the current one in the end */
        rc = pgk_gpu_current(&cuda->gpu[g]);
        if (rc == 0)
            rc = pgk_gpu_empty(&cuda->gpu[g]);
        if (rc != 0)
            return failed(cuda, &cuda->gpu[g], rc);
    }
    if (rc == 0)
        rc = pgk_arena_extend(&segment->arena, cuda->driver, first, count, &result);
    if (rc != 0 && result != 0) {
        char text[120];
        rc = pgk_driver_error(cuda->driver, result, text, sizeof text);
        (void)snprintf(cuda->fault, sizeof cuda->fault, "registering memory: %s", text);
    }
    return rc;
}

void pgk_cuda_forget(struct pgk_cuda *cuda, uint32_t segment, uint32_t series)
{
    cuda->segment[segment].row[series] = UNKNOWN;
}

/* ---------------------------------------------------------------------------------------------------- call
 */

struct call {
    struct pgk_cuda *cuda;
    uint32_t number;
    struct segment *segment;
    struct pgk_change *changes;
    size_t count;
    size_t later; /* changes of a series that has one in this round already */
    size_t sweeps;
};

static int gpu_of(const struct pgk_cuda *cuda, uint32_t series)
{
    return (int)(series / PGK_GPU_LANES % (uint32_t)cuda->gpus);
}

/* Changes that can be pushed become entries; the others are counted. */
static void sort_changes(struct call *call)
{
    struct pgk_cuda *cuda = call->cuda;
    for (int i = 0; i < cuda->gpus; i++)
        cuda->share[i].pushed_count = 0;
    call->later = call->sweeps = 0;
    for (size_t i = 0; i < call->count; i++) {
        struct pgk_change *change = &call->changes[i];
        if (change->reserved == PGK_CHANGE_DONE)
            continue;
        if (call->segment->call[change->series] == cuda->round) {
            call->later++;
            continue;
        }
        call->segment->call[change->series] = cuda->round;
        if (call->segment->row[change->series] != change->from || change->end != change->from + 1) {
            call->sweeps++;
            continue;
        }
        int g = gpu_of(cuda, change->series);
        struct share *share = &cuda->share[g];
        cuda->gpu[g].entry[share->pushed_count] =
            PGK_GPU_ENTRY(change->series, call->number, call->segment->slot[change->series]);
        share->pushed[share->pushed_count++] = (uint32_t)i;
    }
}

static struct pgd_series *head_of(const struct segment *segment, uint32_t series)
{
    return (struct pgd_series *)(void *)((uint8_t *)segment->base + segment->geo.series_offset +
                                         series * segment->geo.series_stride);
}

/* A row was pushed, unless it has left the ring since: then what the GPU stepped may be another bar. */
static void pushed(struct call *call, struct pgk_change *change)
{
    struct segment *segment = call->segment;
    struct pgd_series *head = head_of(segment, change->series);
    if (shm_load64_acquire(&head->head) + 1 > change->from + segment->geo.capacity) {
        segment->row[change->series] = UNKNOWN;
        return;
    }
    change->reserved = PGK_CHANGE_DONE;
    change->done_first = change->from;
    change->done_end = change->end;
    segment->row[change->series] = change->end;
    if (++segment->slot[change->series] == segment->geo.capacity)
        segment->slot[change->series] = 0;
    shm_store64_release(&head->computed, change->end);
}

/* One whose bar was being revised is done with, for now: it will be reported. */
static void collect_pushes(struct call *call, int g, int64_t problems)
{
    struct share *share = &call->cuda->share[g];
    uint64_t *problem = call->cuda->gpu[g].problem;
    for (uint32_t i = 0; i < share->pushed_count; i++) {
        struct pgk_change *change = &call->changes[share->pushed[i]];
        if (problems > 0 && shm_load64(&problem[i]) != 0) {
            shm_store64(&problem[i], 0);
            change->reserved = PGK_CHANGE_DONE;
            change->done_first = change->done_end = change->from;
        } else {
            pushed(call, change);
        }
    }
}

static int push(struct call *call)
{
    struct pgk_cuda *cuda = call->cuda;
    int rc = 0;
    for (int g = 0; g < cuda->gpus; g++) {
        if (cuda->share[g].pushed_count == 0)
            continue;
        rc = pgk_gpu_current(&cuda->gpu[g]);
        if (rc == 0)
            rc = pgk_gpu_push_begin(&cuda->gpu[g], cuda->share[g].pushed_count);
        if (rc != 0)
            return failed(cuda, &cuda->gpu[g], rc);
    }
    for (int g = 0; g < cuda->gpus; g++) {
        if (cuda->share[g].pushed_count == 0)
            continue;
        rc = cuda->gpus > 1 ? pgk_gpu_current(&cuda->gpu[g]) : 0;
        int64_t problems = rc != 0 ? rc : pgk_gpu_push_wait(&cuda->gpu[g]);
        if (problems < 0)
            return failed(cuda, &cuda->gpu[g], (int)problems);
        collect_pushes(call, g, problems);
    }
    return 0;
}

/* -------------------------------------------------------------------------------------------------- sweeps
 */

/* Takes a task up and describes it to the GPU; false when nothing that was asked for is held any more. */
static bool hand_over(const struct call *call, struct pgk_gpu *gpu, struct pgk_task *task, bool watch,
                      struct pgk_gpu_task *ret)
{
    struct pgk_cuda *cuda = call->cuda;
    uint64_t before = task->start;
    pgk_task_take_up(task, &cuda->plan);
    if (task->row >= task->end)
        return false;
    if (watch && task->start > before) { /* checkpoints after that come from rows that had left */
        task->start = task->origin = task->base = pgk_series_oldest(&task->series);
        task->state = NULL;
        task->row = task->row > task->start ? task->row : task->start;
    }
    uint32_t series = task->change->series;
    *ret = (struct pgk_gpu_task){
        .series = series,
        .full = task->full,
        .watch = watch,
        .state = PGK_GPU_STATE(gpu->segments[call->number].states, series, gpu->plan.state_words),
        .base = task->base,
        .start = task->start,
        .row = task->row,
        .end = task->end,
        .computed = task->computed,
        .origin = task->origin,
        .words = (uint64_t)(uintptr_t)task->state,
        .utc = task->series.utc,
        .reached = task->row,
        .changed = task->changed};
    return true;
}

static void finish(struct call *call, struct pgk_task *task, enum pgk_outcome outcome)
{
    struct pgk_change *change = task->change;
    struct segment *segment = call->segment;
    pgk_task_close(task);
    change->reserved = PGK_CHANGE_DONE;
    segment->row[change->series] = outcome == PGK_REACHED && task->row == task->end ? task->end : UNKNOWN;
    segment->slot[change->series] = (uint32_t)(task->end % segment->geo.capacity);
}

static int begin_tasks(struct call *call, int g)
{
    struct share *share = &call->cuda->share[g];
    struct pgk_gpu *gpu = &call->cuda->gpu[g];
    uint32_t n = 0;
    share->longest = share->rows = 0;
    for (uint32_t i = 0; i < share->task_count; i++) {
        struct pgk_task task = share->task[i];
        if (!hand_over(call, gpu, &task, share->watch[i], &gpu->tasks[n])) {
            finish(call, &task, PGK_LAPPED);
            continue;
        }
        uint64_t rows = task.end - task.base;
        share->longest = rows > share->longest ? rows : share->longest;
        share->rows += rows;
        share->watch[n] = share->watch[i];
        share->task[n++] = task;
    }
    share->task_count = n;
    if (n == 0)
        return 0;
    int rc = pgk_gpu_current(gpu);
    if (rc == 0)
        rc = pgk_gpu_sweep_begin(gpu, call->number, n);
    return rc != 0 ? failed(call->cuda, gpu, rc) : 0;
}

/* Those that ask to be taken up again stay. */
static int end_tasks(struct call *call, int g)
{
    struct share *share = &call->cuda->share[g];
    struct pgk_gpu *gpu = &call->cuda->gpu[g];
    uint32_t n = 0;
    if (share->task_count == 0)
        return 0;
    int rc = pgk_gpu_current(gpu);
    if (rc == 0)
        rc = pgk_gpu_sweep_wait(gpu, share->longest, share->rows);
    if (rc != 0)
        return failed(call->cuda, gpu, rc);
    for (uint32_t i = 0; i < share->task_count; i++) {
        struct pgk_task task = share->task[i];
        const struct pgk_gpu_task *it = &gpu->tasks[i];
        bool watched = share->watch[i] || it->row < it->computed;
        share->watch[n] = share->watch[i];
        if (!watched && pgk_series_oldest(&task.series) > task.base) { /* none of it has been published */
            share->watch[n] = true;
            share->task[n++] = task;
            continue;
        }
        task.changed = it->changed;
        if (it->wrote != 0)
            pgk_task_wrote(&task, it->first, it->wrote);
        if (pgk_task_again(&task, (enum pgk_outcome)it->outcome, it->reached))
            share->task[n++] = task;
        else
            finish(call, &task, (enum pgk_outcome)it->outcome);
    }
    share->task_count = n;
    return 0;
}

/* Runs the tasks of every GPU, until none asks to be taken up again. */
static int run_tasks(struct call *call)
{
    struct pgk_cuda *cuda = call->cuda;
    for (bool more = true; more;) {
        int rc = 0;
        more = false;
        for (int g = 0; rc == 0 && g < cuda->gpus; g++)
            rc = begin_tasks(call, g);
        for (int g = 0; rc == 0 && g < cuda->gpus; g++) {
            rc = end_tasks(call, g);
            more |= cuda->share[g].task_count > 0;
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Opens the tasks of this round that are not done, as many as fit; false when there was no more than that. */
static bool open_tasks(struct call *call, size_t *next)
{
    struct pgk_cuda *cuda = call->cuda;
    for (int g = 0; g < cuda->gpus; g++)
        cuda->share[g].task_count = 0;
    for (; *next < call->count; (*next)++) {
        struct pgk_change *change = &call->changes[*next];
        struct share *share = &cuda->share[gpu_of(cuda, change->series)];
        if (change->reserved == PGK_CHANGE_DONE || call->segment->call[change->series] != cuda->round)
            continue;
        if (share->task_count == PGK_GPU_TASKS)
            return true;
        call->segment->call[change->series] = 0; /* a second change of this series is for a later round */
        struct pgk_task *task = &share->task[share->task_count];
        if (pgk_task_open(task, &cuda->plan, call->segment->base, &call->segment->geo, change))
            share->watch[share->task_count++] = false;
        else
            change->reserved = PGK_CHANGE_DONE;
    }
    return false;
}

static int sweep(struct call *call)
{
    size_t next = 0;
    for (bool more = true; more;) {
        more = open_tasks(call, &next);
        int rc = run_tasks(call);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Checkpoints that pushes are writing still are there: whoever sweeps, CPU or GPU, begins from them. */
static int settle(struct pgk_cuda *cuda)
{
    for (int g = 0; g < cuda->gpus; g++) {
        int rc = pgk_gpu_current(&cuda->gpu[g]);
        if (rc == 0)
            rc = pgk_gpu_quiet(&cuda->gpu[g]);
        if (rc != 0)
            return failed(cuda, &cuda->gpu[g], rc);
    }
    return 0;
}

int pgk_cuda_compute(struct pgk_cuda *cuda, uint32_t number, struct pgk_change *changes, size_t count)
{
    struct call call = {.cuda = cuda,
                        .number = number,
                        .segment = &cuda->segment[number],
                        .changes = changes,
                        .count = count};
    int rc = 0;
    for (size_t i = 0; cuda->register_memory && i < count && rc == 0; i++)
        if (!call.segment->arena.in_use[changes[i].series / call.segment->arena.chunk])
            rc = pgk_cuda_extent(cuda, number, changes[i].series, 1);
    do {
        if (rc != 0)
            return rc;
        cuda->round++;
        sort_changes(&call);
        rc = push(&call);
        if (rc == 0 && call.sweeps + call.later > 0)
            rc = settle(cuda);
        if (rc == 0 && call.sweeps >= cuda->sweep_tasks)
            rc = sweep(&call);
    } while (call.later > 0 && call.sweeps >= cuda->sweep_tasks);
    return rc;
}

int pgk_cuda_floor(struct pgk_cuda *cuda, uint32_t number, const struct pgk_change *changes, size_t count)
{
    struct pgk_gpu *gpu = &cuda->gpu[0];
    uint64_t rows = changes[0].end - changes[0].from;
    int rc = cuda->gpus > 1 ? -ENOTSUP : pgk_gpu_current(gpu);
    if (rc == 0)
        rc = pgk_gpu_floor(gpu, number, count, changes[0].from % cuda->segment[number].geo.capacity, rows);
    return rc != 0 ? rc : pgk_gpu_sweep_wait(gpu, rows, count * rows);
}
