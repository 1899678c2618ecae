/* cuda/image.h - a GPU opened with the kernels there are for it: compiled for the plan, or kept from an
 * earlier time, or, without NVRTC, the general ones that were built in. */
#ifndef CUDA_IMAGE_H
#define CUDA_IMAGE_H

#include "cuda/gpu.h"

struct pgk_image_options {
    const char *rtc; /* as struct pgk_engine_options has them */
    const char *cache;
    uint32_t entries; /* of pgk_gpu_open */
    struct pgk_gpu_options gpu;
};

/* pgk_gpu_open with them; *ret_kernels: "fused kernels", for people. -ENOEXEC: there are none that the driver
 * takes. On failure nothing stays open, and `why` says why. */
int pgk_image_open(struct pgk_gpu *gpu, const struct pgk_driver *driver, const struct pgk_driver_device *info,
                   const struct pgk_plan *plan, const struct pgk_image_options *options,
                   const char **ret_kernels, char *why, size_t why_size) PGK_WARN_UNUSED;

#endif
