#include "cuda/stay.h"

#include <errno.h>
#include <string.h>

#include "shm/atomic.h"

/* Host memory, each array on lines of its own. The host writes mail and launch, the GPU done. */
struct pgk_stay_memory {
    struct pgk_gpu_mail mail[PGK_STAY_TILES];
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

/* Blocks that have mail of their own. */
static uint32_t mails_of(const struct pgk_gpu *gpu)
{
    return gpu->blocks < PGK_STAY_TILES ? gpu->blocks : PGK_STAY_TILES;
}

/* As many as have mail, at most, or all that the GPU has room for. */
static uint32_t blocks_of(const struct pgk_gpu *gpu, uint32_t graph)
{
    return graph + 1 == PGK_STAY_GRAPHS || 1u << graph > gpu->blocks ? gpu->blocks : 1u << graph;
}

int pgk_stay_prepare(struct pgk_gpu *gpu)
{
    struct pgk_stay *stay = &gpu->stay;
    struct pgk_gpu_push push;
    if (stay->memory == NULL)
        return 0;
    struct pgk_gpu_stay params = {.mail = address_of(stay->memory->mail),
                                  .done = address_of(stay->memory->done),
                                  .launch = address_of(&stay->memory->launch),
                                  .stay_ns = gpu->options.stay_ns,
                                  .mails = mails_of(gpu)};
    void *args[] = {&push, &params, &gpu->device_plan};
    int rc = 0;
    pgk_gpu_push_params(gpu, &push);
    drop_graphs(gpu);
    for (uint32_t i = 0; rc == 0 && i < PGK_STAY_GRAPHS; i++)
        rc = pgk_gpu_graph(gpu, stay->kernel, stay->stream, blocks_of(gpu, i), args, &stay->graphs[i]);
    return rc;
}

static uint32_t tiles_of(uint32_t count)
{
    return (count + PGK_GPU_LANES - 1) / PGK_GPU_LANES;
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
        shm_store64_release(&stay->memory->mail[block].entry[i],
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

/* As many blocks as are asked for, or more; mail that was not answered is the first they see. */
static int launch(struct pgk_gpu *gpu, uint32_t blocks)
{
    struct pgk_stay *stay = &gpu->stay;
    uint32_t graph = 0;
    while (blocks_of(gpu, graph) < blocks)
        graph++;
    for (uint32_t block = 0; block < PGK_STAY_TILES; block++)
        shm_store64(&stay->memory->mail[block].from, block < stay->tiles && !answered(gpu, block)
                                                         ? stay->pushed[block] - 1
                                                         : stay->number[block]);
    shm_store64_release(&stay->memory->launch, ++stay->launch);
    stay->blocks = blocks_of(gpu, graph);
    PGK_GPU_TRY(gpu, "push", graph_launch(stay->graphs[graph], stay->stream));
    return 0;
}

void pgk_stay_dismiss(struct pgk_gpu *gpu)
{
    static const uint64_t go = PGK_GPU_ENTRY_GO;
    if (!has_left(gpu, 0))
        send(gpu, 0, &go, 1);
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

int pgk_stay_make_room(struct pgk_gpu *gpu)
{
    return gpu->stay.blocks > gpu->blocks / 2 ? pgk_stay_leave(gpu) : 0;
}

/* ---------------------------------------------------------------------------------------------------- push
 */

/* More stay than pushes have needed for as long as a block stays without work. */
static bool too_many(const struct pgk_gpu *gpu)
{
    const struct pgk_stay *stay = &gpu->stay;
    return stay->blocks > mails_of(gpu) && pgk_gpu_now_ns() - stay->all_ns > (int64_t)gpu->options.stay_ns;
}

static void send_tiles(struct pgk_gpu *gpu, uint32_t count)
{
    struct pgk_stay *stay = &gpu->stay;
    stay->tiles = tiles_of(count);
    for (uint32_t block = 0; block < stay->tiles; block++) {
        uint32_t first = block * PGK_GPU_LANES, left = count - first;
        send(gpu, block, &gpu->entry[first], left < PGK_GPU_LANES ? left : PGK_GPU_LANES);
        stay->pushed[block] = stay->number[block];
    }
}

/* To block 0, which rings for the others. */
static void send_all(struct pgk_gpu *gpu, uint32_t count)
{
    struct pgk_stay *stay = &gpu->stay;
    pgk_gpu_close_entries(gpu, count);
    gpu->number = PGK_GPU_NUMBER(gpu->number + 1);
    const uint64_t entries[] = {PGK_GPU_ENTRY(PGK_GPU_ENTRY_ALL, 0, gpu->number),
                                PGK_GPU_ENTRY(PGK_GPU_ENTRY_ALL, 0, tiles_of(count))};
    stay->tiles = 1;
    stay->all_ns = gpu->rang_ns;
    send(gpu, 0, entries, 2);
    stay->pushed[0] = stay->number[0];
}

int pgk_stay_begin(struct pgk_gpu *gpu, uint32_t count)
{
    struct pgk_stay *stay = &gpu->stay;
    const uint32_t tiles = tiles_of(count);
    const bool all = tiles > mails_of(gpu);
    const uint32_t blocks = all ? gpu->blocks : tiles;
    /* a block sees what it did itself; what another one did only after that has said that it is there */
    int rc = all || tiles > 1 || stay->all || stay->tiles > 1 ? pgk_stay_settle(gpu) : 0;
    if (rc == 0 && (blocks > stay->blocks || (!all && too_many(gpu))))
        rc = pgk_stay_leave(gpu);
    if (rc != 0)
        return rc;
    stay->all = all;
    if (all)
        send_all(gpu, count);
    else
        send_tiles(gpu, count);
    return stay->blocks == 0 ? launch(gpu, blocks) : 0;
}

/* Of the last push: the block that has its mail, if it is not block 0 for all of them. */
static bool push_answered(const struct pgk_gpu *gpu, uint32_t block)
{
    return gpu->stay.all ? pgk_gpu_answered(gpu, block) : answered(gpu, block);
}

static bool push_left(const struct pgk_gpu *gpu, uint32_t block)
{
    return has_left(gpu, gpu->stay.all ? 0 : block);
}

/* Until each block has answered, the last first, which ends first, or whoever has its mail has gone without
 * it: true when one has. */
static int wait_round(struct pgk_gpu *gpu, int64_t since, bool *ret_gone)
{
    struct pgk_stay *stay = &gpu->stay;
    *ret_gone = false;
    for (uint32_t block = stay->all ? gpu->blocks : stay->tiles; block-- > 0;)
        for (uint32_t looks = 1; !push_answered(gpu, block); looks++) {
            if (push_left(gpu, block)) {
                *ret_gone |= !push_answered(gpu, block);
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
            rc = rc == 0 ? launch(gpu, stay->all ? gpu->blocks : stay->tiles) : rc;
        }
        if (rc != 0)
            return rc;
    }
    if (stay->all)
        return pgk_gpu_problems(gpu, gpu->blocks);
    for (uint32_t block = 0; block < stay->tiles; block++)
        problems += (uint32_t)shm_load64(&stay->memory->done[block].pushed);
    return problems;
}

int pgk_stay_settle(struct pgk_gpu *gpu)
{
    struct pgk_stay *stay = &gpu->stay;
    int64_t since = pgk_gpu_now_ns();
    for (uint32_t block = 0; block < stay->blocks && block < mails_of(gpu); block++)
        for (uint32_t looks = 1;
             stay->pushed[block] != shm_load64_acquire(&stay->memory->done[block].settled); looks++) {
            int rc = pgk_gpu_still(gpu, stay->stream, "push", looks, since);
            if (rc != 0)
                return rc;
        }
    return 0;
}
