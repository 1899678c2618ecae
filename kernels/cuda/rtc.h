/* cuda/rtc.h - NVRTC, NVIDIA's run-time compiler, found when the program runs; what it made is kept on disk
 * (cuda/cache.h). */
#ifndef CUDA_RTC_H
#define CUDA_RTC_H

#include <stdbool.h>
#include <stddef.h>

#include "cuda/text.h"
#include "kernels/engine.h"

struct pgk_cache;
struct pgk_rtc;

/* Loads NVRTC: the library at `path`, or the first that can be used of libnvrtc.so.13, .12 and libnvrtc.so
 * where the dynamic linker looks, then below $CUDA_HOME, $CUDA_PATH and /usr/local/cuda (lib64, lib). One
 * that is of a later major version than the driver (`driver_version` as in struct pgk_driver; 0: any) is
 * passed over: what it makes the driver may not load. -ENOENT none; -ELIBBAD it cannot be loaded or lacks a
 * call; -ENOTSUP too new; one line in `why`. The library stays loaded until the process ends. */
int pgk_rtc_load(struct pgk_rtc **ret, const char *path, int driver_version, char *why,
                 size_t why_size) PGK_WARN_UNUSED;
void pgk_rtc_free(struct pgk_rtc *rtc);

int pgk_rtc_version(const struct pgk_rtc *rtc);      /* 13000 is 13.0 */
const char *pgk_rtc_path(const struct pgk_rtc *rtc); /* what was loaded */

/* What is to be compiled. pgk_texts are found by #include. Always given, before `options`: C++17, and no
 * liberty with floating point (no contraction, no flushing of denormals, exact division and square root). */
struct pgk_rtc_source {
    const char *name;           /* as compiler messages call it: "fused.cu" */
    const char *text;           /* ends with 0 */
    const char *const *options; /* "-DPGK_X=1" */
    size_t options_count;
    unsigned arch; /* of the device: 90 */
    bool anew;     /* compile, whatever is kept: that is no good */
};

struct pgk_rtc_image {
    void *data; /* for cuModuleLoadDataEx; heap, freed by pgk_rtc_image_free */
    size_t size;
    bool ptx; /* the device is newer than NVRTC: text that the driver translates; else code for exactly this
                 architecture */
    bool cached; /* taken from the cache */
};

/* Compiles, or takes from `cache` (NULL: none) what the same NVRTC made of the same bytes, options and
 * architecture. Takes under a second for a usual plan when it compiles, up to a quarter of a minute for 127
 * columns. -ENOTSUP: the device is older than what this NVRTC compiles for; -EINVAL: the compiler refused the
 * source; `log` holds its messages (cut, 0-terminated), or the reason in a line. A cache that cannot be
 * written is no failure: the image is there, and `log`, else empty then, says so. */
int pgk_rtc_compile(struct pgk_rtc *rtc, struct pgk_cache *cache, const struct pgk_rtc_source *source,
                    struct pgk_rtc_image *ret, char *log, size_t log_size) PGK_WARN_UNUSED;
void pgk_rtc_image_free(struct pgk_rtc_image *image);

#endif
