/* The fake driver: devices, contexts, and what every call goes through. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake/cuda_state.h"

struct fake fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static __thread struct CUctx_st *current; /* compared with the list before it is used */

static const char *const names[] = {
#define PGK_CALL(field, symbol, arguments) #symbol,
#include "cuda/driver.def"
};

/* What is left after a result. Said here a second time on purpose: the product's own table is what is tested.
 */
static bool kills_device(unsigned result)
{
    return result == 46 || result == 100 || result == 214 || result == 220 || result == 304 || result == 999;
}

static bool kills_context(unsigned result)
{
    return result == 226 || result == 700 || result == 702 || result == 709 || result == 710 ||
           (result >= 714 && result <= 719) || kills_device(result);
}

void fake_kill(struct CUctx_st *ctx, unsigned result)
{
    if (!kills_context(result) || ctx->gone)
        return;
    if (kills_device(result))
        fake.device[ctx->device].lost = result;
    ctx->sticky = result;
    __atomic_store_n(&ctx->dead, 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&fake.changed);
}

static struct CUctx_st *known(struct CUctx_st *ctx)
{
    struct CUctx_st *c = fake.contexts;
    while (c && c != ctx)
        c = c->next;
    return c;
}

static bool is_call(const char *what, const char *name)
{
    size_t n = strcspn(what, "_");
    return strcmp(what, name) == 0 ||
           (strncmp(what, name, n) == 0 && what[n] == 0 && strcmp(name + n, "_v2") == 0);
}

unsigned fake_due(const char *what)
{
    unsigned due = 0;
    for (size_t i = 0; i < FAULTS; i++) {
        struct fault *f = &fake.faults[i];
        bool any = f->what && strcmp(f->what, "*") == 0 && strncmp(what, "cu", 2) == 0;
        if (f->what && (any || is_call(f->what, what)) && --f->k == 0) {
            due = f->result;
            f->what = NULL;
        }
    }
    return due;
}

unsigned fake_enter(enum call call, struct CUctx_st **ret_ctx)
{
    pthread_mutex_lock(&fake.lock);
    fake.calls[call]++;
    struct CUctx_st *ctx = known(current);
    unsigned due = fake_due(names[call]);
    if (due && ctx)
        fake_kill(ctx, due);
    if (due)
        return due;
    if (!fake.initialised && call != CALL_cuInit && call != CALL_cuDriverGetVersion)
        return PGK_CUDA_ERROR_NOT_INITIALIZED;
    if (!ret_ctx)
        return 0;
    if (!ctx)
        return PGK_CUDA_ERROR_INVALID_CONTEXT;
    if (ctx->gone)
        return PGK_CUDA_ERROR_CONTEXT_IS_DESTROYED;
    *ret_ctx = ctx;
    return ctx->sticky;
}

/* A kernel that is running when its context dies has ended by the time that anybody is told. */
static void wait_for_the_dying(void)
{
    for (const struct CUctx_st *c = fake.contexts; c;)
        if (fake_dead(c) && c->running > 0) {
            pthread_cond_wait(&fake.changed, &fake.lock);
            c = fake.contexts;
        } else {
            c = c->next;
        }
}

unsigned fake_leave(unsigned result)
{
    if (result != 0)
        wait_for_the_dying();
    pthread_mutex_unlock(&fake.lock);
    return result;
}

/* ------------------------------------------------------------------------------------------------- devices
 */

unsigned cuInit(unsigned flags)
{
    unsigned r = fake_enter(CALL_cuInit, NULL);
    if (r == 0)
        r = flags ? PGK_CUDA_ERROR_INVALID_VALUE : fake.devices == 0 ? PGK_CUDA_ERROR_NO_DEVICE : 0;
    if (r == 0)
        fake.initialised = true;
    return fake_leave(r);
}

unsigned cuDriverGetVersion(int *ret)
{
    unsigned r = fake_enter(CALL_cuDriverGetVersion, NULL);
    if (r == 0)
        *ret = fake.version;
    return fake_leave(r);
}

unsigned cuDeviceGetCount(int *ret)
{
    unsigned r = fake_enter(CALL_cuDeviceGetCount, NULL);
    if (r == 0)
        *ret = fake.devices;
    return fake_leave(r);
}

static unsigned enter_device(enum call call, int device)
{
    unsigned r = fake_enter(call, NULL);
    return r ? r : device < 0 || device >= fake.devices ? PGK_CUDA_ERROR_INVALID_DEVICE : 0;
}

unsigned cuDeviceGet(int *ret, int ordinal)
{
    unsigned r = enter_device(CALL_cuDeviceGet, ordinal);
    if (r == 0)
        *ret = ordinal;
    return fake_leave(r);
}

unsigned cuDeviceGetName(char *name, int size, int device)
{
    unsigned r = enter_device(CALL_cuDeviceGetName, device);
    if (r == 0 && size < 1)
        r = PGK_CUDA_ERROR_INVALID_VALUE;
    if (r == 0)
        snprintf(name, (size_t)size, "Fake GPU %d", device);
    return fake_leave(r);
}

unsigned cuDeviceGetAttribute(int *ret, unsigned attribute, int device)
{
    unsigned r = enter_device(CALL_cuDeviceGetAttribute, device);
    if (r == 0 && (attribute == 0 || attribute >= ATTRIBUTES))
        r = PGK_CUDA_ERROR_INVALID_VALUE;
    if (r == 0)
        *ret = fake.device[device].attribute[attribute];
    return fake_leave(r);
}

unsigned cuDeviceGetUuid_v2(struct CUuuid_st *ret, int device)
{
    unsigned r = enter_device(CALL_cuDeviceGetUuid_v2, device);
    if (r == 0) {
        memset(ret, 0xfa, 16);
        ((uint8_t *)ret)[15] = (uint8_t)device;
    }
    return fake_leave(r);
}

unsigned cuDeviceTotalMem_v2(size_t *ret, int device)
{
    unsigned r = enter_device(CALL_cuDeviceTotalMem_v2, device);
    if (r == 0)
        *ret = (size_t)fake.memory_max;
    return fake_leave(r);
}

/* ------------------------------------------------------------------------------------------------ contexts
 */

unsigned cuDevicePrimaryCtxRetain(struct CUctx_st **ret, int device)
{
    unsigned r = enter_device(CALL_cuDevicePrimaryCtxRetain, device);
    if (r)
        return fake_leave(r);
    struct device *d = &fake.device[device];
    if (d->lost)
        return fake_leave(d->lost);
    if (!d->ctx) {
        d->ctx = calloc(1, sizeof *d->ctx);
        if (!d->ctx)
            return fake_leave(PGK_CUDA_ERROR_OUT_OF_MEMORY);
        d->ctx->device = device;
        d->ctx->next = fake.contexts;
        fake.contexts = d->ctx;
    }
    d->refs++;
    *ret = d->ctx;
    return fake_leave(0);
}

/* Everything of a life ends with it. */
static void end(struct CUctx_st *ctx)
{
    fake_wait_idle(ctx);
    ctx->gone = true;
    __atomic_store_n(&ctx->dead, 1, __ATOMIC_RELEASE);
    fake.device[ctx->device].ctx = NULL;
    fake_drop_streams(ctx);
    fake_drop_graphs(ctx);
    fake_drop_modules(ctx);
    fake_drop_memory(ctx);
}

unsigned cuDevicePrimaryCtxRelease_v2(int device)
{
    unsigned r = enter_device(CALL_cuDevicePrimaryCtxRelease_v2, device);
    if (r == 0 && fake.device[device].refs == 0)
        r = PGK_CUDA_ERROR_INVALID_CONTEXT;
    if (r == 0 && --fake.device[device].refs == 0)
        end(fake.device[device].ctx);
    return fake_leave(r);
}

unsigned cuCtxSetCurrent(struct CUctx_st *ctx)
{
    unsigned r = fake_enter(CALL_cuCtxSetCurrent, NULL);
    if (r == 0 && ctx) {
        struct CUctx_st *c = known(ctx);
        r = !c ? PGK_CUDA_ERROR_INVALID_CONTEXT : c->gone ? PGK_CUDA_ERROR_CONTEXT_IS_DESTROYED : c->sticky;
    }
    if (r == 0)
        current = ctx;
    return fake_leave(r);
}

/* -------------------------------------------------------------------------------------------------- errors
 */

static const char *error_name(unsigned result)
{
    switch (result) {
    case 0:
        return "CUDA_SUCCESS";
#define PGK_RESULT(name, value, error, fault)                                                                \
    case value:                                                                                              \
        return "CUDA_ERROR_" #name;
#include "cuda/driver.def"
    default:
        return NULL;
    }
}

unsigned cuGetErrorName(unsigned result, const char **ret)
{
    *ret = error_name(result);
    return *ret ? 0 : PGK_CUDA_ERROR_INVALID_VALUE;
}

unsigned cuGetErrorString(unsigned result, const char **ret)
{
    *ret = result == 700        ? "an illegal memory access was encountered"
           : result == 719      ? "unspecified launch failure"
           : error_name(result) ? "an error of the fake driver"
                                : NULL;
    return *ret ? 0 : PGK_CUDA_ERROR_INVALID_VALUE;
}

/* ------------------------------------------------------------------------------------------------- control
 */

/* Counts what the program did not give back. */
static unsigned left_open(void)
{
    unsigned n = 0;
    for (int i = 0; i < DEVICES; i++)
        n += fake.device[i].refs > 0;
    for (const struct memory *m = fake.memory; m; m = m->next)
        n++;
    for (const struct CUmod_st *m = fake.modules; m; m = m->next)
        n++;
    for (const struct CUstream_st *s = fake.streams; s; s = s->next)
        n++;
    for (const struct CUgraph_st *g = fake.graphs; g; g = g->next)
        n++;
    return n;
}

static unsigned control_reset(void)
{
    pthread_mutex_lock(&fake.lock);
    unsigned n = left_open();
    for (struct CUctx_st *c = fake.contexts; c; c = c->next)
        __atomic_store_n(&c->dead, 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&fake.changed);
    fake_drop_streams(NULL);
    fake_drop_graphs(NULL);
    fake_drop_modules(NULL);
    fake_drop_memory(NULL);
    for (struct CUctx_st *c; (c = fake.contexts);) {
        fake.contexts = c->next;
        free(c);
    }
    for (struct named *m; (m = fake.named);) {
        fake.named = m->next;
        free(m->name);
        free(m);
    }
    fake.initialised = false;
    memset(fake.calls, 0, sizeof fake.calls);
    memset(fake.faults, 0, sizeof fake.faults);
    memset(fake.device, 0, sizeof fake.device);
    fake_settings();
    pthread_mutex_unlock(&fake.lock);
    return n;
}

static void control_devices(int count)
{
    pthread_mutex_lock(&fake.lock);
    fake.devices = count < 0 ? 0 : count > DEVICES ? DEVICES : count;
    pthread_mutex_unlock(&fake.lock);
}

static void control_version(int version)
{
    pthread_mutex_lock(&fake.lock);
    fake.version = version;
    pthread_mutex_unlock(&fake.lock);
}

static void set_attribute(int device, unsigned attribute, int value)
{
    for (int i = 0; i < DEVICES; i++)
        if ((device == -1 || device == i) && attribute < ATTRIBUTES)
            fake.device[i].attribute[attribute] = value;
}

static void control_attribute(int device, unsigned attribute, int value)
{
    pthread_mutex_lock(&fake.lock);
    set_attribute(device, attribute, value);
    pthread_mutex_unlock(&fake.lock);
}

static void add_fault(const char *what, unsigned k, unsigned result)
{
    static const char *const others[] = {"*", "kernel", "hang"};
    const char *known_as = NULL;
    for (size_t i = 0; i < CALLS; i++)
        if (is_call(what, names[i]))
            known_as = names[i];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(what, others[i]) == 0)
            known_as = others[i];
    struct fault *f = fake.faults;
    while (f < fake.faults + FAULTS && f->what)
        f++;
    if (!known_as || k == 0 || f == fake.faults + FAULTS) {
        fprintf(stderr, "fake CUDA driver: cannot fail %s at %u\n", what, k);
        abort();
    }
    *f = (struct fault){known_as, k, result};
}

static void control_refuse(const char *function, unsigned k, unsigned result)
{
    pthread_mutex_lock(&fake.lock);
    add_fault(function, k, result);
    pthread_mutex_unlock(&fake.lock);
}

static void control_fault(unsigned k, unsigned result)
{
    control_refuse("kernel", k, result);
}

static void control_hang(unsigned k)
{
    control_refuse("hang", k, 1);
}

static void control_lose(int device, unsigned result)
{
    pthread_mutex_lock(&fake.lock);
    if (kills_device(result))
        fake.device[device].lost = result;
    if (fake.device[device].ctx)
        fake_kill(fake.device[device].ctx, result);
    pthread_mutex_unlock(&fake.lock);
}

static void control_delay(uint64_t ns)
{
    pthread_mutex_lock(&fake.lock);
    fake.delay_ns = ns;
    pthread_mutex_unlock(&fake.lock);
}

static void control_memory(uint64_t bytes)
{
    pthread_mutex_lock(&fake.lock);
    fake.memory_max = bytes;
    pthread_mutex_unlock(&fake.lock);
}

static void control_kernel(const char *name, const struct fake_kernel *kernel)
{
    pthread_mutex_lock(&fake.lock);
    fake_named(name, true)->kernel = *kernel;
    pthread_mutex_unlock(&fake.lock);
}

static uint64_t control_calls(const char *function)
{
    uint64_t n = 0;
    pthread_mutex_lock(&fake.lock);
    for (size_t i = 0; i < CALLS; i++)
        n += strcmp(function, "*") == 0 || is_call(function, names[i]) ? fake.calls[i] : 0;
    pthread_mutex_unlock(&fake.lock);
    return n;
}

static uint64_t control_launched(const char *kernel)
{
    pthread_mutex_lock(&fake.lock);
    const struct named *n = fake_named(kernel, false);
    uint64_t count = n ? n->launched : 0;
    pthread_mutex_unlock(&fake.lock);
    return count;
}

static uint64_t control_registered(void)
{
    uint64_t n = 0;
    pthread_mutex_lock(&fake.lock);
    for (const struct memory *m = fake.memory; m; m = m->next)
        n += m->place == PLACE_REGISTERED ? m->size : 0;
    pthread_mutex_unlock(&fake.lock);
    return n;
}

extern const struct fake_cuda fake_cuda_control;
FAKE_API const struct fake_cuda fake_cuda_control = {
    .reset = control_reset,
    .devices = control_devices,
    .version = control_version,
    .attribute = control_attribute,
    .kernel = control_kernel,
    .poll = fake_poll,
    .refuse = control_refuse,
    .fault = control_fault,
    .lose = control_lose,
    .hang = control_hang,
    .delay = control_delay,
    .memory = control_memory,
    .calls = control_calls,
    .launched = control_launched,
    .registered = control_registered,
};

static uint64_t number(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

void fake_settings(void)
{
    static const int attributes[][2] = {
        {PGK_CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 8},
        {PGK_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 9},
        {PGK_CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, 1},
        {PGK_CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 232448},
        {PGK_CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED, 1},
    };
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        set_attribute(-1, (unsigned)attributes[i][0], attributes[i][1]);
    uint64_t devices = number("FAKE_CUDA_DEVICES", 1);
    fake.devices = devices > DEVICES ? DEVICES : (int)devices;
    fake.version = (int)number("FAKE_CUDA_VERSION", 13000);
    fake.memory_max = number("FAKE_CUDA_MEMORY", (uint64_t)1 << 30);
    fake.delay_ns = number("FAKE_CUDA_DELAY_NS", 0);
    const char *text = getenv("FAKE_CUDA_ATTRIBUTES");
    for (int attribute, value, n; text && sscanf(text, "%d=%d%n", &attribute, &value, &n) == 2;
         text += n + (text[n] == ','))
        set_attribute(-1, (unsigned)attribute, value);
    text = getenv("FAKE_CUDA_FAULTS");
    while (text && *text) {
        char what[64];
        unsigned k, result = 1;
        int n = 0;
        if (sscanf(text, "%63[^@]@%u%n=%u%n", what, &k, &n, &result, &n) < 2)
            abort();
        add_fault(what, k, result);
        text += n + (text[n] == ',');
    }
}

static void __attribute__((constructor)) begin(void)
{
    fake_settings();
}
