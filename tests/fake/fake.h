/* fake.h - stand-ins for libcuda.so.1 and libnvrtc.so.13, for machines without a GPU.
 *
 * `make tests` builds $(B)/tests/fake/libcuda.so.1 and libnvrtc.so.13: put the folder into LD_LIBRARY_PATH
 * for a whole program, or give the path to pgk_driver_load and pgk_rtc_load. They answer as NVIDIA's do, in
 * host memory, and are stricter where the real one lets mistakes pass. A test steers them through fake_cuda()
 * and fake_nvrtc() below; a whole program through the environment.
 *
 * Rules of the fake driver
 * - Nothing works before cuInit (3); calls that need a context fail without one (201). A primary context per
 * device, counted.
 * - Each stream is a thread of its own, in order, never waiting for another. There is no default stream: NULL
 * is 801.
 * - Device memory is the heap: address sanitizer sees what a kernel does wrong. Copies must lie in one
 * allocation each (1). A copy from memory that is not registered has read it before the call returns, as it
 * is with pageable memory.
 * - cuMemHostRegister wants whole pages (1) that are mapped (1) and not registered, in any context (712);
 * unregister wants the address that was registered (713). With the attribute
 * CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM set to 0 the host's address does not serve on the device (1).
 * - cuModuleLoadDataEx takes any image but NULL and none of whose first byte is '!' (200), and no options
 * (801). cuModuleGetFunction finds the kernel `name` if fake_cuda()->kernel registered it, or the process,
 * this library, or the library in $FAKE_CUDA_KERNELS exports `fake_kernel_<name>`, a struct fake_kernel; else
 * 500.
 * - A launch: grid and blocks of 1 or more, at most 1024 threads a block, shared memory up to 48 KiB or what
 * the attribute was set to (1). Parameters are copied at the launch, by the sizes the kernel declares.
 * - A sticky error kills the context: every call in it fails so, running kernels end at their next
 * fake_poll(), queued work is dropped. It ends when the context is released; an error of the device (46, 100,
 * 214, 999) does not. */
#ifndef FAKE_FAKE_H
#define FAKE_FAKE_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --------------------------------------------------------------------------------------------------- kernels
 */

struct fake_launch {
    unsigned grid[3];
    unsigned block[3];
    size_t shared_size;
    int device;
    const int *dead; /* set (atomically) when the context has died: a kernel that runs for long looks, or
                        calls fake_poll */
};

/* Runs the whole launch: all blocks and threads, in whatever order. args[i] points to a copy of parameter i.
 */
typedef void fake_kernel_fn(void **args, const struct fake_launch *launch);

#define FAKE_PARAMS 16
struct fake_kernel {
    fake_kernel_fn *run;
    unsigned params;
    size_t sizes[FAKE_PARAMS];
};

/* For a kernel that waits, called in its loop on the stream's thread: sleeps a little; does not return when
 * the context has died (it jumps out of the kernel). Elsewhere it only sleeps. Exported by libcuda.so.1; a
 * kernel in the test's program gets it by fake_cuda()->poll. */
void fake_poll(void);

/* --------------------------------------------------------------------------------------------------- control
 */

struct fake_cuda {
    /* Everything as after loading: streams ended, contexts, memory and registrations gone, faults forgotten,
     * kernels too, the environment read again. Returns the number of things that were left open (contexts,
     * allocations, registrations, streams, graphs, modules): 0 when the program gave all back. */
    unsigned (*reset)(void);

    void (*devices)(int count);                                   /* 0 to 8; 1 is the default */
    void (*version)(int version);                                 /* 13000 */
    void (*attribute)(int device, unsigned attribute, int value); /* device -1: all */
    void (*kernel)(const char *name, const struct fake_kernel *kernel);
    void (*poll)(void);

    /* The k-th call (1: the next) of a function ("cuLaunchKernel"; "*": any that can fail) returns `result`
     * and does nothing; when the result is sticky (700, 719, 214, 46, 999 ...) the context or the device has
     * it from then on. */
    void (*refuse)(const char *function, unsigned k, unsigned result);
    /* The k-th kernel to start running from now on (1: the next) dies with `result` instead: the launch
     * itself succeeds, later calls tell. */
    void (*fault)(unsigned k, unsigned result);
    /* Gives device `device` the error `result` now, whatever it is doing. */
    void (*lose)(int device, unsigned result);
    /* The k-th kernel to start never ends; until its context dies or reset. */
    void (*hang)(unsigned k);
    /* Every piece of work on a stream waits so long before it begins. */
    void (*delay)(uint64_t ns);
    /* cuMemAlloc and cuMemHostAlloc fail (2) when more would be held on a device. */
    void (*memory)(uint64_t bytes);

    uint64_t (*calls)(
        const char *function); /* calls since loading or reset, failed ones included; "*": all */
    uint64_t (*launched)(const char *kernel); /* kernels that have begun to run */
    uint64_t (*registered)(void);             /* bytes of host memory registered now */
};

/* What the program around the fake may say: FAKE_CUDA_DEVICES=2, FAKE_CUDA_VERSION=12040,
 * FAKE_CUDA_MEMORY=BYTES, FAKE_CUDA_DELAY_NS=N, FAKE_CUDA_ATTRIBUTES="88=1,100=1" (all devices),
 * FAKE_CUDA_KERNELS=LIBRARY, and FAKE_CUDA_FAULTS="cuLaunchKernel@100=700,kernel@50=719,hang@7": refuse,
 * fault and hang from above. */

struct fake_nvrtc {
    void (*reset)(void);
    void (*version)(int major, int minor);
    void (*archs)(const int *archs, int count); /* default 75 80 86 89 90 100 120 */
    /* The next call of a function ("nvrtcCompileProgram") fails with `result`; `log`: what the compiler says,
     * or NULL. */
    void (*refuse)(const char *function, int result, const char *log);
    uint64_t (*compiled)(void);              /* programs compiled since loading or reset */
    const char *(*options)(void);            /* of the last one, each on a line */
    const char *(*header)(const char *name); /* text of a header of the last one, or NULL */
};
/* An "image" of the fake is "cubin sm_90\n" or "ptx compute_90\n" and the source. From the environment:
 * FAKE_NVRTC_VERSION=12.4, FAKE_NVRTC_FAIL=nvrtcCompileProgram (every call). */

/* Where the fake `name` of this build is, from where the test's program is: $(B)/tests/KIND/test_x. */
static inline const char *fake_path(const char *name)
{
    static char path[2][4096];
    char *to = path[strcmp(name, "libcuda.so.1") == 0];
    ssize_t n = readlink("/proc/self/exe", to, 4000);
    to[n > 0 ? n : 0] = 0;
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(to, '/');
        if (slash)
            *slash = 0;
    }
    strcat(strcat(to, "/fake/"), name);
    return to;
}

/* The control table of the fake at `path` (loaded now or before), or NULL when it is something else. */
static inline const struct fake_cuda *fake_cuda(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    return library ? (const struct fake_cuda *)dlsym(library, "fake_cuda_control") : NULL;
}

static inline const struct fake_nvrtc *fake_nvrtc(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    return library ? (const struct fake_nvrtc *)dlsym(library, "fake_nvrtc_control") : NULL;
}

#endif
