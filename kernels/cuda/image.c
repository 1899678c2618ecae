#include "cuda/image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cuda/cache.h"
#include "cuda/fuse.h"
#include "cuda/rtc.h"
#include "cuda/text.h"

struct asked {
    struct pgk_gpu *gpu;
    const struct pgk_driver *driver;
    const struct pgk_driver_device *info;
    const struct pgk_plan *plan;
    const struct pgk_image_options *options;
};

/* Compiles the kernels for the GPU and the plan, or takes those that were kept, unless `anew`. */
static int get_fused(const struct asked *a, bool anew, struct pgk_rtc_image *ret, char *why, size_t why_size)
{
    struct pgk_rtc *rtc = NULL;
    struct pgk_cache *cache = NULL;
    struct pgk_gpu_plan layout;
    pgk_fuse_plan(&layout, a->plan, PGK_GPU_AHEAD);
    char *source = pgk_fuse_text(a->plan, &layout);
    int rc = source == NULL ? -ENOMEM : -ENOENT;
    (void)snprintf(why, why_size, "no NVRTC");
    if (source != NULL && (a->options->rtc == NULL || a->options->rtc[0] != '\0'))
        rc = pgk_rtc_load(&rtc, a->options->rtc, a->driver->version, why, why_size);
    if (rc == 0) {
        if (pgk_cache_open(&cache, a->options->cache, why, why_size) != 0)
            cache = NULL;
        struct pgk_rtc_source what = {
            .name = "fused.cu", .text = source, .arch = a->info->arch, .anew = anew};
        rc = pgk_rtc_compile(rtc, cache, &what, ret, why, why_size);
    }
    if (cache != NULL)
        pgk_cache_close(cache);
    pgk_rtc_free(rtc);
    free(source);
    return rc;
}

static int open_with(const struct asked *a, const void *image, char *why, size_t why_size)
{
    return pgk_gpu_open(a->gpu, a->driver, a->info, a->plan, image, &a->options->gpu, a->options->entries,
                        why, why_size);
}

/* Kernels that were kept may be none for this driver: then they are made anew. */
static int open_fused(const struct asked *a, const char **ret_kernels, char *why, size_t why_size)
{
    bool kept = true;
    int rc = -ENOEXEC;
    for (int anew = 0; rc == -ENOEXEC && kept && anew < 2; anew++) {
        struct pgk_rtc_image image = {0};
        if (get_fused(a, anew != 0, &image, why, why_size) != 0)
            return -ENOEXEC;
        kept = image.cached;
        rc = open_with(a, image.data, why, why_size);
        pgk_rtc_image_free(&image);
    }
    if (rc == 0)
        *ret_kernels = kept ? "fused kernels, kept" : "fused kernels";
    return rc;
}

int pgk_image_open(struct pgk_gpu *gpu, const struct pgk_driver *driver, const struct pgk_driver_device *info,
                   const struct pgk_plan *plan, const struct pgk_image_options *options,
                   const char **ret_kernels, char *why, size_t why_size)
{
    const struct asked asked = {gpu, driver, info, plan, options};
    char text[256] = "";
    int rc = open_fused(&asked, ret_kernels, text, sizeof text);
    if (rc == -ENOEXEC && pgk_fatbin_size > 0) {
        rc = open_with(&asked, pgk_fatbin, why, why_size);
        if (rc == 0)
            *ret_kernels = "general kernels";
    } else if (rc == -ENOEXEC) {
        (void)snprintf(why, why_size, "no kernels: %.150s; and none were built in", text);
    } else if (rc != 0) {
        (void)snprintf(why, why_size, "%s", text);
    }
    return rc;
}
