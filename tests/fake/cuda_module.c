/* The fake driver's modules: kernels compiled for the host, by name. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake/cuda_state.h"

/* The kernel that is exported under this name: by the process, by this library, by the one the environment
 * names. */
static void *find_symbol(const char *name)
{
    char symbol[256];
    Dl_info self;
    const char *more = getenv("FAKE_CUDA_KERNELS");
    if (snprintf(symbol, sizeof symbol, "fake_kernel_%s", name) >= (int)sizeof symbol)
        return NULL;
    void *p = dlsym(RTLD_DEFAULT, symbol);
    void *library = !p && dladdr(&fake, &self) ? dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD) : NULL;
    if (library) {
        p = dlsym(library, symbol);
        dlclose(library);
    }
    library = !p && more ? dlopen(more, RTLD_NOW | RTLD_LOCAL) : NULL; /* stays */
    return library ? dlsym(library, symbol) : p;
}

struct named *fake_named(const char *name, bool make)
{
    for (struct named *n = fake.named; n; n = n->next)
        if (strcmp(n->name, name) == 0)
            return n;
    struct named *n = make ? calloc(1, sizeof *n) : NULL;
    if (!n)
        return NULL;
    n->name = strdup(name);
    n->next = fake.named;
    fake.named = n;
    return n;
}

static const struct fake_kernel *find_kernel(const char *name)
{
    const struct named *n = fake_named(name, false);
    return n && n->kernel.run ? &n->kernel : find_symbol(name);
}

static void module_free(struct CUmod_st *module)
{
    struct CUmod_st **p = &fake.modules;
    while (*p != module)
        p = &(*p)->next;
    *p = module->next;
    for (struct CUfunc_st *f; (f = module->functions);) {
        module->functions = f->next;
        free(f->name);
        free(f);
    }
    free(module);
}

void fake_drop_modules(struct CUctx_st *ctx)
{
    for (struct CUmod_st *m = fake.modules, *next; m; m = next) {
        next = m->next;
        if (!ctx || m->ctx == ctx)
            module_free(m);
    }
}

static unsigned check(const struct CUmod_st *module, const struct CUctx_st *ctx)
{
    const struct CUmod_st *m = fake.modules;
    while (m && m != module)
        m = m->next;
    return m && m->ctx == ctx ? 0 : PGK_CUDA_ERROR_INVALID_HANDLE;
}

/* Its context, or NULL: no such function. */
static struct CUctx_st *owner(const struct CUfunc_st *function)
{
    for (const struct CUmod_st *m = fake.modules; m; m = m->next)
        for (const struct CUfunc_st *f = m->functions; f; f = f->next)
            if (f == function)
                return m->ctx;
    return NULL;
}

unsigned cuModuleLoadDataEx(struct CUmod_st **ret, const void *image, unsigned count, unsigned *options,
                            void **values)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuModuleLoadDataEx, &ctx);
    if (r == 0)
        r = count || options || values    ? PGK_CUDA_ERROR_NOT_SUPPORTED
            : !image                      ? PGK_CUDA_ERROR_INVALID_VALUE
            : *(const char *)image == '!' ? PGK_CUDA_ERROR_INVALID_IMAGE
                                          : 0;
    struct CUmod_st *m = r ? NULL : calloc(1, sizeof *m);
    if (!m)
        return fake_leave(r ? r : PGK_CUDA_ERROR_OUT_OF_MEMORY);
    m->ctx = ctx;
    m->next = fake.modules;
    fake.modules = m;
    *ret = m;
    return fake_leave(0);
}

unsigned cuModuleUnload(struct CUmod_st *module)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuModuleUnload, &ctx);
    if (r == 0)
        r = check(module, ctx);
    if (r == 0)
        r = fake_wait_idle(ctx);
    if (r == 0)
        module_free(module);
    return fake_leave(r);
}

unsigned cuModuleGetFunction(struct CUfunc_st **ret, struct CUmod_st *module, const char *name)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuModuleGetFunction, &ctx);
    if (r == 0)
        r = check(module, ctx);
    if (r)
        return fake_leave(r);
    struct CUfunc_st *f = module->functions;
    while (f && strcmp(f->name, name) != 0)
        f = f->next;
    const struct fake_kernel *kernel = f ? NULL : find_kernel(name);
    if (!f && !kernel)
        return fake_leave(PGK_CUDA_ERROR_NOT_FOUND);
    if (!f) {
        f = calloc(1, sizeof *f);
        if (!f)
            return fake_leave(PGK_CUDA_ERROR_OUT_OF_MEMORY);
        *f = (struct CUfunc_st){
            .next = module->functions, .module = module, .name = strdup(name), .kernel = *kernel};
        module->functions = f;
    }
    *ret = f;
    return fake_leave(0);
}

/* ------------------------------------------------------------------------------------------------ launches
 */

#define SHARED_FREE 49152 /* what a block has without asking */

static bool fits(const struct CUfunc_st *f, const struct fake_launch *l)
{
    for (int i = 0; i < 3; i++)
        if (l->grid[i] < 1 || l->block[i] < 1 || l->block[i] > (i == 2 ? 64 : 1024) ||
            l->grid[i] > (i == 0 ? 0x7fffffff : 65535))
            return false;
    size_t room = f->shared_max > SHARED_FREE ? (size_t)f->shared_max : SHARED_FREE;
    return (uint64_t)l->block[0] * l->block[1] * l->block[2] <= 1024 && l->shared_size <= room;
}

/* The values go with the launch: the caller's may change when it returns. */
static unsigned copy_params(const struct CUfunc_st *f, void **params, struct work *work)
{
    size_t size = 0, at = 0;
    for (unsigned i = 0; i < f->kernel.params; i++)
        size += (f->kernel.sizes[i] + 15) / 16 * 16;
    if (f->kernel.params > 0 && !params)
        return PGK_CUDA_ERROR_INVALID_VALUE;
    char *copy = aligned_alloc(16, size ? size : 16);
    work->name = strdup(f->name);
    if (!copy || !work->name) {
        free(copy);
        free(work->name);
        return PGK_CUDA_ERROR_OUT_OF_MEMORY;
    }
    work->params = copy;
    for (unsigned i = 0; i < f->kernel.params; i++) {
        work->args[i] = copy + at;
        memcpy(copy + at, params[i], f->kernel.sizes[i]);
        at += (f->kernel.sizes[i] + 15) / 16 * 16;
    }
    return 0;
}

unsigned cuLaunchKernel(struct CUfunc_st *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_size,
                        struct CUstream_st *stream, void **params, void **extra)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuLaunchKernel, &ctx);
    if (r == 0)
        r = owner(function) != ctx ? PGK_CUDA_ERROR_INVALID_HANDLE : extra ? PGK_CUDA_ERROR_NOT_SUPPORTED : 0;
    if (r)
        return fake_leave(r);
    struct work work = {.kind = WORK_KERNEL, .kernel = function->kernel};
    work.launch = (struct fake_launch){.grid = {grid_x, grid_y, grid_z},
                                       .block = {block_x, block_y, block_z},
                                       .shared_size = shared_size,
                                       .device = ctx->device,
                                       .dead = &ctx->dead};
    r = fits(function, &work.launch) ? copy_params(function, params, &work) : PGK_CUDA_ERROR_INVALID_VALUE;
    if (r)
        return fake_leave(r);
    r = fake_submit(stream, ctx, &work);
    if (r) {
        free(work.params);
        free(work.name);
    }
    return fake_leave(r);
}

unsigned cuFuncSetAttribute(struct CUfunc_st *function, unsigned attribute, int value)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuFuncSetAttribute, &ctx);
    if (r)
        return fake_leave(r);
    if (owner(function) != ctx)
        return fake_leave(PGK_CUDA_ERROR_INVALID_HANDLE);
    int most = fake.device[ctx->device].attribute[PGK_CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN];
    if (attribute != PGK_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 || value > most)
        return fake_leave(PGK_CUDA_ERROR_INVALID_VALUE);
    function->shared_max = value;
    return fake_leave(0);
}
