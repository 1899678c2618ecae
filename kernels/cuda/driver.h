/* cuda/driver.h - NVIDIA's driver, found when the program runs.
 *
 * Nothing is linked and no header of NVIDIA's is included: one binary runs with and without a driver, and is
 * built with and without a toolkit. The part of the driver interface that is used is declared here
 * (driver.def); it is a stable ABI, and tests/check/cuda_api compares every row with cuda.h. Handles are the
 * driver's opaque structs.
 *
 * Calls go through the table: `driver->mem_alloc(&p, size)` is cuMemAlloc_v2. They return NVIDIA's result: 0,
 * or a value that pgk_driver_error() turns into a negative errno with text and pgk_driver_fault() into what
 * is left of the device. They may be called from any thread that has made a context current
 * (ctx_set_current). */
#ifndef CUDA_DRIVER_H
#define CUDA_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/engine.h"

struct CUctx_st;
struct CUmod_st;
struct CUfunc_st;
struct CUstream_st;
struct CUgraph_st;
struct CUgraphExec_st;
struct CUuuid_st;
typedef unsigned long long pgk_devptr; /* CUdeviceptr */

/* Results, as PGK_CUDA_ERROR_ILLEGAL_ADDRESS, and values, as PGK_CU_STREAM_NON_BLOCKING. */
enum pgk_cuda_result {
    PGK_CUDA_SUCCESS = 0,
#define PGK_RESULT(name, value, error, fault) PGK_CUDA_ERROR_##name = value,
#include "cuda/driver.def"
};
enum pgk_cuda_value {
#define PGK_VALUE(name, value) PGK_CU_##name = value,
#include "cuda/driver.def"
    /* These are macros in cuda.h. */
    PGK_CU_MEMHOSTALLOC_PORTABLE = 1,
    PGK_CU_MEMHOSTALLOC_DEVICEMAP = 2,
    PGK_CU_MEMHOSTREGISTER_PORTABLE = 1,
    PGK_CU_MEMHOSTREGISTER_DEVICEMAP = 2,
};

struct pgk_driver {
#define PGK_CALL(field, symbol, arguments) unsigned(*field) arguments;
#include "cuda/driver.def"
    int version; /* of CUDA that the driver serves: 13000 is 13.0 */
    int devices; /* 1 or more */
};

#define PGK_DRIVER_VERSION_MIN 12000

/* Loads libcuda.so.1 (or the library at `path`), finds every call, and initialises it. It stays loaded until
 * the process ends; loading it again gives the same table. On failure one line without a newline in `why`:
 * -ENOENT no driver; -ELIBBAD it cannot be loaded or lacks a call; -ENOTSUP too old, or the toolkit's stub;
 * -ENODEV no device; else what initialising said. */
int pgk_driver_load(const struct pgk_driver **ret, const char *path, char *why,
                    size_t why_size) PGK_WARN_UNUSED;

/* The result as negative errno; "CUDA_ERROR_ILLEGAL_ADDRESS (700): an illegal memory access was encountered"
 * in `text`. 0 is 0, and leaves `text` empty. `driver` NULL: only the name. A result that is not in
 * driver.def is -EIO. */
int pgk_driver_error(const struct pgk_driver *driver, unsigned result, char *text, size_t text_size);

/* What a result leaves behind. */
enum pgk_fault {
    PGK_FAULT_NONE = 0,  /* success */
    PGK_FAULT_NOT_READY, /* no failure: asked too early */
    PGK_FAULT_CALL,      /* this call failed; the context lives */
    PGK_FAULT_MEMORY,    /* out of memory; the context lives */
    PGK_FAULT_CONTEXT, /* sticky: every later call in this context fails, results of running kernels are lost
                        */
    PGK_FAULT_DEVICE,  /* the device or the driver is gone, for this process at least */
};

/* A result that is not in driver.def is PGK_FAULT_CONTEXT: rather leave a GPU that works than trust one that
 * may not. */
enum pgk_fault pgk_driver_fault(unsigned result);

/* A device as the engine needs to know it. */
struct pgk_driver_device {
    int device; /* CUdevice */
    char name[96];
    uint8_t uuid[16];
    uint64_t memory; /* bytes */
    unsigned arch;   /* 90: compute capability 9.0; sm_90 */
    unsigned sms;
    size_t shared_size; /* shared memory a block may ask for, with the attribute set */
    bool host_tables;  /* shares the host's page tables: any pointer of the process serves as it is (GH200) */
    bool can_register; /* host memory can be registered */
    bool same_pointer; /* registered memory has the same address on the device */
};

int pgk_driver_device(const struct pgk_driver *driver, int ordinal, struct pgk_driver_device *ret, char *why,
                      size_t why_size) PGK_WARN_UNUSED;

#endif
