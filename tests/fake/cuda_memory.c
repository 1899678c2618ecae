/* The fake driver's memory: the heap, and host memory it was told of. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake/cuda_state.h"

static size_t page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* What holds all of [p, p + size), by its addresses on the device or on the host. */
static struct memory *find(const char *p, size_t size, bool on_device)
{
    for (struct memory *m = fake.memory; m; m = m->next) {
        const char *base = on_device ? m->device : m->host;
        if (base && p >= base && (size_t)(p - base) < m->size && size <= m->size - (size_t)(p - base))
            return m;
    }
    return NULL;
}

static unsigned keep(struct CUctx_st *ctx, enum place place, void *host, size_t size, void *device)
{
    struct memory *m = calloc(1, sizeof *m);
    if (!m)
        return PGK_CUDA_ERROR_OUT_OF_MEMORY;
    *m = (struct memory){
        .next = fake.memory, .ctx = ctx, .place = place, .host = host, .size = size, .device = device};
    fake.memory = m;
    return 0;
}

static void drop(struct memory *gone)
{
    struct memory **p = &fake.memory;
    while (*p != gone)
        p = &(*p)->next;
    *p = gone->next;
    if (gone->place != PLACE_REGISTERED) {
        fake.device[gone->ctx->device].held -= gone->size;
        free(gone->place == PLACE_DEVICE ? gone->device : gone->host);
    }
    free(gone);
}

void fake_drop_memory(struct CUctx_st *ctx)
{
    for (struct memory *m = fake.memory, *next; m; m = next) {
        next = m->next;
        if (!ctx || m->ctx == ctx)
            drop(m);
    }
}

static unsigned take(struct CUctx_st *ctx, enum place place, size_t size, void **ret)
{
    struct device *d = &fake.device[ctx->device];
    if (size == 0)
        return PGK_CUDA_ERROR_INVALID_VALUE;
    if (size > fake.memory_max || d->held > fake.memory_max - size)
        return PGK_CUDA_ERROR_OUT_OF_MEMORY;
    void *p = NULL;
    if (posix_memalign(&p, place == PLACE_HOST ? page() : 256, size) != 0)
        return PGK_CUDA_ERROR_OUT_OF_MEMORY;
    memset(p, 0xa5, size); /* nobody may count on zeros */
    unsigned r = keep(ctx, place, place == PLACE_HOST ? p : NULL, size, p);
    if (r) {
        free(p);
        return r;
    }
    d->held += size;
    *ret = p;
    return 0;
}

/* Freeing waits for all that runs, as the real one does: what a persistent kernel may use cannot be taken
 * from it. */
static unsigned give(struct CUctx_st *ctx, enum place place, const void *p)
{
    struct memory *m = find(p, 0, place == PLACE_DEVICE);
    if (!m || m->place != place || (place == PLACE_DEVICE ? m->device : m->host) != p)
        return place == PLACE_REGISTERED ? PGK_CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED
                                         : PGK_CUDA_ERROR_INVALID_VALUE;
    unsigned r = fake_wait_idle(ctx);
    m = find(p, 0, place == PLACE_DEVICE);
    if (r == 0 && m)
        drop(m);
    return r;
}

unsigned cuMemAlloc_v2(pgk_devptr *ret, size_t size)
{
    struct CUctx_st *ctx;
    void *p = NULL;
    unsigned r = fake_enter(CALL_cuMemAlloc_v2, &ctx);
    if (r == 0)
        r = take(ctx, PLACE_DEVICE, size, &p);
    if (r == 0)
        *ret = (pgk_devptr)(uintptr_t)p;
    return fake_leave(r);
}

unsigned cuMemFree_v2(pgk_devptr p)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuMemFree_v2, &ctx);
    return fake_leave(r ? r : give(ctx, PLACE_DEVICE, (const void *)(uintptr_t)p));
}

unsigned cuMemHostAlloc(void **ret, size_t size, unsigned flags)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuMemHostAlloc, &ctx);
    if (r == 0)
        r = flags & ~7u ? PGK_CUDA_ERROR_INVALID_VALUE : take(ctx, PLACE_HOST, size, ret);
    return fake_leave(r);
}

unsigned cuMemFreeHost(void *p)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuMemFreeHost, &ctx);
    return fake_leave(r ? r : give(ctx, PLACE_HOST, p));
}

/* ------------------------------------------------------------------------------------------- registrations
 */

static bool is_mapped(void *p, size_t size)
{
    unsigned char *seen = malloc(size / page());
    bool mapped = seen && mincore(p, size, seen) == 0;
    free(seen);
    return mapped;
}

static bool is_known(const char *p, size_t size)
{
    for (const struct memory *m = fake.memory; m; m = m->next)
        if (m->host && p < m->host + m->size && m->host < p + size)
            return true;
    return false;
}

static unsigned enrol(struct CUctx_st *ctx, char *p, size_t size)
{
    const int *attribute = fake.device[ctx->device].attribute;
    if (!attribute[PGK_CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED])
        return PGK_CUDA_ERROR_NOT_SUPPORTED;
    if (!p || size == 0 || (uintptr_t)p % page() || size % page() || !is_mapped(p, size))
        return PGK_CUDA_ERROR_INVALID_VALUE;
    if (is_known(p, size))
        return PGK_CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    bool same = attribute[PGK_CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM];
    return keep(ctx, PLACE_REGISTERED, p, size, same ? p : NULL);
}

unsigned cuMemHostRegister_v2(void *p, size_t size, unsigned flags)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuMemHostRegister_v2, &ctx);
    if (r == 0)
        r = flags & ~15u ? PGK_CUDA_ERROR_INVALID_VALUE : enrol(ctx, p, size);
    return fake_leave(r);
}

unsigned cuMemHostUnregister(void *p)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuMemHostUnregister, &ctx);
    return fake_leave(r ? r : give(ctx, PLACE_REGISTERED, p));
}

/* -------------------------------------------------------------------------------------------------- copies
 */

/* An address that the device can use: of one allocation, or any where it has the host's page tables. */
static bool usable(const struct CUctx_st *ctx, const void *p, size_t size)
{
    return find(p, size, true) ||
           fake.device[ctx->device].attribute[PGK_CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS];
}

unsigned cuMemcpyHtoDAsync_v2(pgk_devptr to, const void *from, size_t size, struct CUstream_st *stream)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuMemcpyHtoDAsync_v2, &ctx);
    struct work work = {.kind = WORK_COPY, .to = (char *)(uintptr_t)to, .from = from, .size = size};
    if (r == 0 && !usable(ctx, work.to, size))
        r = PGK_CUDA_ERROR_INVALID_VALUE;
    if (r == 0 && !find(from, size, false)) {
        if (is_known(from, size))
            return fake_leave(PGK_CUDA_ERROR_INVALID_VALUE);
        work.staged = malloc(size + 1);
        if (!work.staged)
            return fake_leave(PGK_CUDA_ERROR_OUT_OF_MEMORY);
        memcpy(work.staged, from, size);
        work.from = work.staged;
    }
    if (r == 0)
        r = fake_submit(stream, ctx, &work);
    if (r)
        free(work.staged);
    return fake_leave(r);
}

unsigned cuMemsetD8Async(pgk_devptr to, unsigned char value, size_t size, struct CUstream_st *stream)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuMemsetD8Async, &ctx);
    struct work work = {.kind = WORK_SET, .to = (char *)(uintptr_t)to, .size = size, .value = value};
    if (r == 0 && !usable(ctx, work.to, size))
        r = PGK_CUDA_ERROR_INVALID_VALUE;
    return fake_leave(r ? r : fake_submit(stream, ctx, &work));
}
