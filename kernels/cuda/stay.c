#include "cuda/stay.h"

#include <errno.h>
#include <string.h>

#include "shm/atomic.h"

/* Host memory, each array on lines of its own. The host writes mail, from and launch; the GPU done and
 * problem. */
struct pgk_stay_memory {
    uint64_t mail[PGK_STAY_TILES][PGK_GPU_LANES];
    uint64_t from[PGK_STAY_TILES];
    uint64_t launch;
    uint64_t reserved[15];
    struct pgk_gpu_done done[PGK_STAY_TILES];
};

static uint64_t address_of(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

int pgk_stay_open(struct pgk_gpu *gpu)
{
    struct pgk_stay *stay = &gpu->stay;
    void *memory = NULL;
    if (gpu->options.stay_ns == 0)
        return 0;
    PGK_GPU_TRY(gpu, "module", module_get_function(&stay->kernel, gpu->module, "pgk_stay"));
    PGK_GPU_TRY(gpu, "shared memory",
                func_set_attribute(stay->kernel, PGK_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                   (int)gpu->push_shared));
    PGK_GPU_TRY(gpu, "stream", stream_create(&stay->stream, PGK_CU_STREAM_NON_BLOCKING, 0));
    PGK_GPU_TRY(gpu, "host memory",
                mem_host_alloc(&memory, sizeof *stay->memory,
                               PGK_CU_MEMHOSTALLOC_PORTABLE | PGK_CU_MEMHOSTALLOC_DEVICEMAP));
    stay->memory = memset(memory, 0, sizeof *stay->memory);
    return 0;
}

static void drop_graphs(struct pgk_gpu *gpu)
{
    struct pgk_stay *stay = &gpu->stay;
    for (uint32_t i = 0; i < PGK_STAY_GRAPHS; i++) {
        if (stay->graphs[i] != NULL)
            (void)gpu->driver->graph_exec_destroy(stay->graphs[i]);
        stay->graphs[i] = NULL;
    }
}

void pgk_stay_close(struct pgk_gpu *gpu)
{
    struct pgk_stay *stay = &gpu->stay;
    drop_graphs(gpu);
    if (stay->memory != NULL)
        (void)gpu->driver->mem_free_host(stay->memory);
    if (stay->stream != NULL)
        (void)gpu->driver->stream_destroy(stay->stream);
    *stay = (struct pgk_stay){0};
}

int pgk_stay_prepare(struct pgk_gpu *gpu)
{
    struct pgk_stay *stay = &gpu->stay;
    struct pgk_gpu_push push;
    if (stay->memory == NULL)
        return 0;
    struct pgk_gpu_stay params = {.from = address_of(stay->memory->from),
                                  .launch = address_of(&stay->memory->launch),
                                  .stay_ns = gpu->options.stay_ns};
    void *args[] = {&push, &params, &gpu->device_plan};
    int rc = 0;
    pgk_gpu_push_params(gpu, &push);
    push.entry = address_of(stay->memory->mail);
    push.done = address_of(stay->memory->done);
    drop_graphs(gpu);
    for (uint32_t i = 0; rc == 0 && i < PGK_STAY_GRAPHS; i++)
        rc = pgk_gpu_graph(gpu, stay->kernel, stay->stream, 1u << i, args, &stay->graphs[i]);
    return rc;
}

static uint32_t tiles_of(uint32_t count)
{
    return (count + PGK_GPU_LANES - 1) / PGK_GPU_LANES;
}

bool pgk_stay_fits(const struct pgk_gpu *gpu, uint32_t count)
{
    return gpu->stay.memory != NULL && tiles_of(count) <= PGK_STAY_TILES;
}

/* ---------------------------------------------------------------------------------------------------- mail
 */

/* The next mail of a block. The block looks at all of it at once, in any order: every word bears the number,
 * which comes again after 127 others. */
static void send(struct pgk_gpu *gpu, uint32_t block, const uint64_t *entry, uint32_t count)
{
    struct pgk_stay *stay = &gpu->stay;
    uint64_t number = ++stay->number[block];
    for (uint32_t i = 0; i < PGK_GPU_LANES; i++)
        shm_store64_release(&stay->memory->mail[block][i],
                            PGK_GPU_MAIL(i < count ? entry[i] : PGK_GPU_ENTRY_NONE, number));
}

/* A block that has gone read its mail before: so `answered` is to be asked again then. */
static bool has_left(const struct pgk_gpu *gpu, uint32_t block)
{
    const struct pgk_stay *stay = &gpu->stay;
    return block >= stay->blocks || shm_load64_acquire(&stay->memory->done[block].left) == stay->launch;
}

static bool answered(const struct pgk_gpu *gpu, uint32_t block)
{
    const struct pgk_stay *stay = &gpu->stay;
    return shm_load64_acquire(&stay->memory->done[block].pushed) >> 32 == (stay->pushed[block] & UINT32_MAX);
}

/* Blocks for the first `tiles` tiles; mail of these, where it was not answered, is the first they see. */
static int launch(struct pgk_gpu *gpu, uint32_t tiles)
{
    struct pgk_stay *stay = &gpu->stay;
    uint32_t graph = 0;
    while (1u << graph < tiles)
        graph++;
    for (uint32_t block = 0; block < PGK_STAY_TILES; block++)
        shm_store64(&stay->memory->from[block],
                    block < tiles && !answered(gpu, block) ? stay->pushed[block] - 1 : stay->number[block]);
    shm_store64_release(&stay->memory->launch, ++stay->launch);
    stay->blocks = 1u << graph;
    PGK_GPU_TRY(gpu, "push", graph_launch(stay->graphs[graph], stay->stream));
    return 0;
}

void pgk_stay_dismiss(struct pgk_gpu *gpu)
{
    static const uint64_t go = PGK_GPU_ENTRY_GO;
    for (uint32_t block = 0; block < gpu->stay.blocks; block++)
        if (!has_left(gpu, block))
            send(gpu, block, &go, 1);
}

int pgk_stay_leave(struct pgk_gpu *gpu)
{
    struct pgk_stay *stay = &gpu->stay;
    if (stay->blocks == 0)
        return 0;
    pgk_stay_dismiss(gpu);
    int rc = pgk_gpu_wait_end(gpu, stay->stream, "push", gpu->options.timeout_ns);
    stay->blocks = 0;
    return rc;
}

int pgk_stay_begin(struct pgk_gpu *gpu, uint32_t count)
{
    struct pgk_stay *stay = &gpu->stay;
    uint32_t tiles = tiles_of(count);
    /* a block sees what it did itself; what another one did only after that has said that it is there */
    int rc = tiles > 1 || stay->tiles > 1 ? pgk_stay_settle(gpu) : 0;
    if (rc == 0 && tiles > stay->blocks)
        rc = pgk_stay_leave(gpu);
    for (uint32_t block = 0; rc == 0 && block < tiles; block++) {
        uint32_t first = block * PGK_GPU_LANES, left = count - first;
        send(gpu, block, &gpu->entry[first], left < PGK_GPU_LANES ? left : PGK_GPU_LANES);
        stay->pushed[block] = stay->number[block];
    }
    stay->tiles = tiles;
    return rc == 0 && stay->blocks == 0 ? launch(gpu, tiles) : rc;
}

/* Until each block has answered or has gone without: true when one has. */
static int wait_round(struct pgk_gpu *gpu, int64_t since, bool *ret_gone)
{
    struct pgk_stay *stay = &gpu->stay;
    *ret_gone = false;
    for (uint32_t block = 0; block < stay->tiles; block++)
        for (uint32_t looks = 1; !answered(gpu, block); looks++) {
            if (has_left(gpu, block)) {
                *ret_gone |= !answered(gpu, block);
                break;
            }
            int rc = pgk_gpu_still(gpu, stay->stream, "push", looks, since);
            if (rc != 0)
                return rc;
        }
    return 0;
}

int64_t pgk_stay_wait(struct pgk_gpu *gpu)
{
    struct pgk_stay *stay = &gpu->stay;
    int64_t since = pgk_gpu_now_ns(), problems = 0;
    bool gone = true;
    while (gone) {
        int rc = wait_round(gpu, since, &gone);
        if (rc == 0 && gone) {
            rc = pgk_stay_leave(gpu);
            rc = rc == 0 ? launch(gpu, stay->tiles) : rc;
        }
        if (rc != 0)
            return rc;
    }
    for (uint32_t block = 0; block < stay->tiles; block++)
        problems += (uint32_t)shm_load64(&stay->memory->done[block].pushed);
    return problems;
}

int pgk_stay_settle(struct pgk_gpu *gpu)
{
    struct pgk_stay *stay = &gpu->stay;
    int64_t since = pgk_gpu_now_ns();
    for (uint32_t block = 0; block < stay->blocks; block++)
        for (uint32_t looks = 1;
             stay->pushed[block] != shm_load64_acquire(&stay->memory->done[block].settled); looks++) {
            int rc = pgk_gpu_still(gpu, stay->stream, "push", looks, since);
            if (rc != 0)
                return rc;
        }
    return 0;
}
