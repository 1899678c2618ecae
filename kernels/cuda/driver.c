#include "cuda/driver.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/why.h"

/* ------------------------------------------------------------------------------------------------- results
 */

struct result {
    unsigned value;
    int error;
    enum pgk_fault fault;
    const char *name;
};

static const struct result results[] = {
#define PGK_RESULT(name, value, error, fault) {value, error, PGK_FAULT_##fault, "CUDA_ERROR_" #name},
#include "cuda/driver.def"
};

static const struct result *result_of(unsigned value)
{
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        if (results[i].value == value)
            return &results[i];
    return NULL;
}

int pgk_driver_error(const struct pgk_driver *driver, unsigned result, char *text, size_t text_size)
{
    if (text_size > 0)
        text[0] = 0;
    if (result == PGK_CUDA_SUCCESS)
        return 0;
    const struct result *known = result_of(result);
    const char *name = NULL, *words = NULL;
    if (driver && driver->get_error_name(result, &name) != PGK_CUDA_SUCCESS)
        name = NULL;
    if (driver && driver->get_error_string(result, &words) != PGK_CUDA_SUCCESS)
        words = NULL;
    if (!name)
        name = known ? known->name : "unknown CUDA error";
    return pgk_why(known ? -known->error : -EIO, text, text_size, "%s (%u)%s%s", name, result,
                   words ? ": " : "", words ? words : "");
}

enum pgk_fault pgk_driver_fault(unsigned result)
{
    if (result == PGK_CUDA_SUCCESS)
        return PGK_FAULT_NONE;
    const struct result *known = result_of(result);
    return known ? known->fault : PGK_FAULT_CONTEXT;
}

/* ------------------------------------------------------------------------------------------------- loading
 */

static const char *const symbols[] = {
#define PGK_CALL(field, symbol, arguments) #symbol,
#include "cuda/driver.def"
};
#define CALLS (sizeof symbols / sizeof *symbols)
_Static_assert(offsetof(struct pgk_driver, version) == CALLS * sizeof(void *), "the calls come first");

/* Every table made, by library: a driver is initialised once a process. */
struct loaded {
    struct pgk_driver driver;
    void *library;
    struct loaded *next;
};
static struct loaded *all;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int find_calls(struct pgk_driver *driver, void *library, const char *path, char *why, size_t why_size)
{
    for (size_t i = 0; i < CALLS; i++) {
        void *call = dlsym(library, symbols[i]);
        if (!call)
            return pgk_why(-ELIBBAD, why, why_size, "%s lacks %s: the NVIDIA driver is too old", path,
                           symbols[i]);
        memcpy((char *)driver + i * sizeof call, &call, sizeof call);
    }
    return 0;
}

static int start(struct pgk_driver *driver, char *why, size_t why_size)
{
    char text[256];
    unsigned r = driver->driver_get_version(&driver->version);
    if (r == PGK_CUDA_SUCCESS && driver->version < PGK_DRIVER_VERSION_MIN)
        return pgk_why(-ENOTSUP, why, why_size,
                       "the NVIDIA driver is too old: it serves CUDA %d.%d, %d.%d is needed",
                       driver->version / 1000, driver->version % 1000 / 10, PGK_DRIVER_VERSION_MIN / 1000,
                       PGK_DRIVER_VERSION_MIN % 1000 / 10);
    if (r == PGK_CUDA_SUCCESS)
        r = driver->init(0);
    if (r == PGK_CUDA_ERROR_STUB_LIBRARY)
        return pgk_why(-ENOTSUP, why, why_size, "no NVIDIA driver (libcuda.so.1 is the toolkit's stub)");
    if (r == PGK_CUDA_SUCCESS)
        r = driver->device_get_count(&driver->devices);
    if (r == PGK_CUDA_ERROR_NO_DEVICE || (r == PGK_CUDA_SUCCESS && driver->devices < 1))
        return pgk_why(-ENODEV, why, why_size, "the NVIDIA driver finds no GPU");
    if (r != PGK_CUDA_SUCCESS) {
        int error = pgk_driver_error(driver, r, text, sizeof text);
        return pgk_why(error, why, why_size, "the NVIDIA driver does not start: %s", text);
    }
    return 0;
}

/* Initialising twice does nothing, but tells what has become of the driver. */
static int again(const struct pgk_driver **ret, struct loaded *l, char *why, size_t why_size)
{
    struct pgk_driver now = l->driver;
    int r = start(&now, why, why_size);
    if (r < 0)
        return r;
    if (now.devices != l->driver.devices)
        l->driver.devices = now.devices;
    *ret = &l->driver;
    return 0;
}

static int load(const struct pgk_driver **ret, const char *path, char *why, size_t why_size)
{
    /* Never unloaded: a driver keeps threads and exit handlers. */
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        const char *text = dlerror();
        bool missing =
            text && strstr(text, "No such file or directory") && strncmp(text, path, strlen(path)) == 0;
        return missing ? pgk_why(-ENOENT, why, why_size, "no NVIDIA driver (%s not found)", path)
                       : pgk_why(-ELIBBAD, why, why_size, "the NVIDIA driver cannot be loaded: %s",
                                 text ? text : path);
    }
    for (struct loaded *l = all; l; l = l->next)
        if (l->library == library) {
            dlclose(library);
            return again(ret, l, why, why_size);
        }
    struct loaded *l = calloc(1, sizeof *l);
    if (!l) {
        dlclose(library);
        return pgk_why(-ENOMEM, why, why_size, "out of memory");
    }
    int r = find_calls(&l->driver, library, path, why, why_size);
    if (r == 0)
        r = start(&l->driver, why, why_size);
    if (r < 0) {
        free(l);
        dlclose(library);
        return r;
    }
    l->library = library;
    l->next = all;
    all = l;
    *ret = &l->driver;
    return 0;
}

int pgk_driver_load(const struct pgk_driver **ret, const char *path, char *why, size_t why_size)
{
    pthread_mutex_lock(&lock);
    int r = load(ret, path ? path : "libcuda.so.1", why, why_size);
    pthread_mutex_unlock(&lock);
    return r;
}

/* ------------------------------------------------------------------------------------------------- devices
 */

/* Values of a device, in the order of `wanted` in pgk_driver_device. */
static unsigned attributes(const struct pgk_driver *driver, int device, const unsigned *wanted, int *ret,
                           size_t n)
{
    unsigned r = PGK_CUDA_SUCCESS;
    for (size_t i = 0; i < n && r == PGK_CUDA_SUCCESS; i++)
        r = driver->device_get_attribute(&ret[i], wanted[i], device);
    return r;
}

static unsigned identity(const struct pgk_driver *driver, int ordinal, struct pgk_driver_device *d)
{
    size_t memory = 0;
    unsigned r = driver->device_get(&d->device, ordinal);
    if (r == PGK_CUDA_SUCCESS)
        r = driver->device_get_name(d->name, (int)sizeof d->name, d->device);
    d->name[sizeof d->name - 1] = 0;
    if (r == PGK_CUDA_SUCCESS)
        r = driver->device_get_uuid((struct CUuuid_st *)(void *)d->uuid, d->device);
    if (r == PGK_CUDA_SUCCESS)
        r = driver->device_total_mem(&memory, d->device);
    d->memory = memory;
    return r;
}

int pgk_driver_device(const struct pgk_driver *driver, int ordinal, struct pgk_driver_device *ret, char *why,
                      size_t why_size)
{
    static const unsigned wanted[] = {
        PGK_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
        PGK_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        PGK_CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
        PGK_CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
        PGK_CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS,
        PGK_CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES,
        PGK_CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED,
        PGK_CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM,
    };
    int v[sizeof wanted / sizeof *wanted] = {0};
    char text[256];
    struct pgk_driver_device d = {0};
    unsigned r = identity(driver, ordinal, &d);
    if (r == PGK_CUDA_SUCCESS)
        r = attributes(driver, d.device, wanted, v, sizeof wanted / sizeof *wanted);
    if (r != PGK_CUDA_SUCCESS) {
        int error = pgk_driver_error(driver, r, text, sizeof text);
        return pgk_why(error, why, why_size, "GPU %d: %s", ordinal, text);
    }
    d.arch = (unsigned)(10 * v[0] + v[1]);
    d.sms = (unsigned)v[2];
    d.shared_size = (size_t)v[3];
    d.host_tables = v[4] && v[5];
    d.can_register = v[6];
    d.same_pointer = v[7];
    *ret = d;
    return 0;
}
