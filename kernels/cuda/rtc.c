#include "cuda/rtc.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/cache.h"
#include "cuda/digest.h"
#include "cuda/why.h"

struct _nvrtcProgram;

enum result {
    SUCCESS = 0,
#define PGK_RESULT(name, value, error) name = value,
#include "cuda/rtc.def"
};

#define ARCHS_MAX 64

struct pgk_rtc {
#define PGK_CALL(field, symbol, type, arguments) type(*field) arguments;
#include "cuda/rtc.def"
    int versions[2];
    int archs[ARCHS_MAX]; /* that it compiles for */
    int archs_count;
    char path[PATH_MAX];
};

static const char *const symbols[] = {
#define PGK_CALL(field, symbol, type, arguments) #symbol,
#include "cuda/rtc.def"
};
#define CALLS (sizeof symbols / sizeof *symbols)
_Static_assert(offsetof(struct pgk_rtc, versions) == CALLS * sizeof(void *), "the calls come first");

/* What is the same for every kernel: the bits must be those of the CPU. */
static const char *const always[] = {"--std=c++17", "--fmad=false", "--ftz=false", "--prec-div=true",
                                     "--prec-sqrt=true"};
#define ALWAYS      (sizeof always / sizeof *always)
#define OPTIONS_MAX 64

enum kind { KIND_CUBIN = 1, KIND_PTX = 2 };

static int error_of(unsigned result)
{
    switch (result) {
    case SUCCESS:
        return 0;
#define PGK_RESULT(name, value, error)                                                                       \
    case name:                                                                                               \
        return -error;
#include "cuda/rtc.def"
    default:
        return -EIO;
    }
}

/* ------------------------------------------------------------------------------------------------- loading
 */

static int find_calls(struct pgk_rtc *rtc, void *library, char *why, size_t why_size)
{
    for (size_t i = 0; i < CALLS; i++) {
        void *call = dlsym(library, symbols[i]);
        if (!call)
            return pgk_why(-ELIBBAD, why, why_size, "%s lacks %s: NVRTC is too old", rtc->path, symbols[i]);
        memcpy((char *)rtc + i * sizeof call, &call, sizeof call);
    }
    return 0;
}

static int ask(struct pgk_rtc *rtc, int driver_version, char *why, size_t why_size)
{
    int count = 0;
    unsigned r = rtc->version(&rtc->versions[0], &rtc->versions[1]);
    if (r == SUCCESS)
        r = rtc->get_num_supported_archs(&count);
    if (r == SUCCESS && (count < 1 || count > ARCHS_MAX))
        return pgk_why(-ELIBBAD, why, why_size, "%s compiles for %d architectures", rtc->path, count);
    if (r == SUCCESS)
        r = rtc->get_supported_archs(rtc->archs);
    if (r != SUCCESS)
        return pgk_why(error_of(r), why, why_size, "%s does not start: %s", rtc->path,
                       rtc->get_error_string(r));
    rtc->archs_count = count;
    if (driver_version > 0 && rtc->versions[0] > driver_version / 1000)
        return pgk_why(-ENOTSUP, why, why_size,
                       "NVRTC %d.%d (%s) is newer than the driver, which serves CUDA %d.%d", rtc->versions[0],
                       rtc->versions[1], rtc->path, driver_version / 1000, driver_version % 1000 / 10);
    return 0;
}

static int load(struct pgk_rtc **ret, const char *path, int driver_version, char *why, size_t why_size)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        const char *text = dlerror();
        bool missing =
            text && strstr(text, "No such file or directory") && strncmp(text, path, strlen(path)) == 0;
        return missing ? pgk_why(-ENOENT, why, why_size, "no NVRTC (%s not found)", path)
                       : pgk_why(-ELIBBAD, why, why_size, "NVRTC cannot be loaded: %s", text ? text : path);
    }
    struct pgk_rtc *rtc = calloc(1, sizeof *rtc);
    int r = rtc ? 0 : pgk_why(-ENOMEM, why, why_size, "out of memory");
    if (r == 0) {
        snprintf(rtc->path, sizeof rtc->path, "%s", path);
        r = find_calls(rtc, library, why, why_size);
    }
    if (r == 0)
        r = ask(rtc, driver_version, why, why_size);
    dlclose(library); /* stays: RTLD_NODELETE */
    if (r < 0) {
        free(rtc);
        return r;
    }
    *ret = rtc;
    return 0;
}

/* Tries in order; a reason better than "not found" is kept. */
int pgk_rtc_load(struct pgk_rtc **ret, const char *path, int driver_version, char *why, size_t why_size)
{
    const char *const bases[] = {"", getenv("CUDA_HOME"), getenv("CUDA_PATH"), "/usr/local/cuda"};
    static const char *const folders[] = {"lib64", "lib"};
    static const char *const names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"};
    if (path)
        return load(ret, path, driver_version, why, why_size);
    int best = pgk_why(-ENOENT, why, why_size,
                       "no NVRTC (libnvrtc.so.13, libnvrtc.so.12 and libnvrtc.so not found)");
    for (size_t b = 0; b < sizeof bases / sizeof *bases; b++)
        for (size_t f = 0; bases[b] && f < (b == 0 ? 1 : 2); f++)
            for (size_t n = 0; n < 3; n++) {
                char full[PATH_MAX], text[512];
                int length = b == 0 ? snprintf(full, sizeof full, "%s", names[n])
                                    : snprintf(full, sizeof full, "%s/%s/%s", bases[b], folders[f], names[n]);
                if (length >= (int)sizeof full)
                    continue;
                int r = load(ret, full, driver_version, text, sizeof text);
                if (r == 0)
                    return 0;
                if (best == -ENOENT && r != -ENOENT)
                    best = pgk_why(r, why, why_size, "%s", text);
            }
    return best;
}

void pgk_rtc_free(struct pgk_rtc *rtc)
{
    free(rtc);
}

int pgk_rtc_version(const struct pgk_rtc *rtc)
{
    return 1000 * rtc->versions[0] + 10 * rtc->versions[1];
}

const char *pgk_rtc_path(const struct pgk_rtc *rtc)
{
    return rtc->path;
}

/* ----------------------------------------------------------------------------------------------- compiling
 */

/* The target for a device: itself, or the latest before it, as PTX. */
static int choose(const struct pgk_rtc *rtc, unsigned arch, char *option, size_t size, enum kind *ret_kind)
{
    int best = 0;
    for (int i = 0; i < rtc->archs_count; i++)
        if (rtc->archs[i] <= (int)arch && rtc->archs[i] > best)
            best = rtc->archs[i];
    if (best == 0)
        return -ENOTSUP;
    *ret_kind = best == (int)arch ? KIND_CUBIN : KIND_PTX;
    snprintf(option, size, "--gpu-architecture=%s_%d", *ret_kind == KIND_CUBIN ? "sm" : "compute", best);
    return 0;
}

static void add_part(struct pgk_digest *d, const void *data, size_t size)
{
    uint64_t length = size;
    pgk_digest_add(d, &length, sizeof length);
    pgk_digest_add(d, data, size);
}

/* Of all that the result depends on, each part with its length before it. */
static void key_of(const struct pgk_rtc *rtc, const struct pgk_rtc_source *source, const char *const *options,
                   size_t count, uint8_t ret[32])
{
    struct pgk_digest d;
    pgk_digest_init(&d);
    add_part(&d, rtc->versions, sizeof rtc->versions);
    add_part(&d, source->name, strlen(source->name));
    add_part(&d, source->text, strlen(source->text));
    add_part(&d, &count, sizeof count);
    for (size_t i = 0; i < count; i++)
        add_part(&d, options[i], strlen(options[i]));
    for (size_t i = 0; i < pgk_texts_count; i++) {
        add_part(&d, pgk_texts[i].name, strlen(pgk_texts[i].name));
        add_part(&d, pgk_texts[i].data, pgk_texts[i].size);
    }
    pgk_digest_end(&d, ret);
}

static unsigned take_image(struct pgk_rtc *rtc, struct _nvrtcProgram *program, enum kind kind,
                           struct pgk_rtc_image *image)
{
    size_t size = 0;
    unsigned r = kind == KIND_CUBIN ? rtc->get_cubin_size(program, &size) : rtc->get_ptx_size(program, &size);
    if (r != SUCCESS)
        return r;
    if (size == 0)
        return INTERNAL_ERROR;
    char *data = malloc(size + 1);
    if (!data)
        return OUT_OF_MEMORY;
    r = kind == KIND_CUBIN ? rtc->get_cubin(program, data) : rtc->get_ptx(program, data);
    if (r != SUCCESS) {
        free(data);
        return r;
    }
    data[size] = 0;
    *image = (struct pgk_rtc_image){.data = data, .size = size, .ptx = kind == KIND_PTX};
    return SUCCESS;
}

/* The compiler's messages, cut to what fits; false: it has none. */
static bool take_log(struct pgk_rtc *rtc, struct _nvrtcProgram *program, char *log, size_t log_size)
{
    size_t size = 0;
    if (log_size == 0 || rtc->get_log_size(program, &size) != SUCCESS || size <= 1)
        return false;
    char *text = calloc(1, size + 1);
    bool taken = text && rtc->get_log(program, text) == SUCCESS && text[0];
    if (taken)
        snprintf(log, log_size, "%s", text);
    free(text);
    return taken;
}

static int compile(struct pgk_rtc *rtc, const struct pgk_rtc_source *source, const char *const *options,
                   size_t count, enum kind kind, struct pgk_rtc_image *image, char *log, size_t log_size)
{
    const char **texts = calloc(2 * pgk_texts_count + 1, sizeof *texts);
    if (!texts)
        return pgk_why(-ENOMEM, log, log_size, "out of memory");
    const char **names = texts + pgk_texts_count;
    for (size_t i = 0; i < pgk_texts_count; i++) {
        texts[i] = pgk_texts[i].data;
        names[i] = pgk_texts[i].name;
    }
    struct _nvrtcProgram *program = NULL;
    unsigned r =
        rtc->create_program(&program, source->text, source->name, (int)pgk_texts_count, texts, names);
    bool told = false;
    if (r == SUCCESS) {
        r = rtc->compile_program(program, (int)count, options);
        if (r == SUCCESS)
            r = take_image(rtc, program, kind, image);
        else
            told = take_log(rtc, program, log, log_size);
        rtc->destroy_program(&program);
    }
    free(texts);
    if (r != SUCCESS && !told)
        pgk_why(0, log, log_size, "NVRTC %d.%d: %s", rtc->versions[0], rtc->versions[1],
                rtc->get_error_string(r));
    return error_of(r);
}

int pgk_rtc_compile(struct pgk_rtc *rtc, struct pgk_cache *cache, const struct pgk_rtc_source *source,
                    struct pgk_rtc_image *ret, char *log, size_t log_size)
{
    const char *options[OPTIONS_MAX];
    char arch[48];
    enum kind kind;
    if (log_size > 0)
        log[0] = 0;
    if (source->options_count > OPTIONS_MAX - ALWAYS - 1)
        return pgk_why(-E2BIG, log, log_size, "%zu options", source->options_count);
    if (choose(rtc, source->arch, arch, sizeof arch, &kind) < 0)
        return pgk_why(-ENOTSUP, log, log_size,
                       "NVRTC %d.%d does not compile for sm_%u: the GPU is too old for it", rtc->versions[0],
                       rtc->versions[1], source->arch);
    size_t count = 0;
    options[count++] = arch;
    for (size_t i = 0; i < ALWAYS; i++)
        options[count++] = always[i];
    for (size_t i = 0; i < source->options_count; i++)
        options[count++] = source->options[i];

    struct pgk_rtc_image image = {0};
    uint8_t key[32];
    uint32_t held = 0;
    key_of(rtc, source, options, count, key);
    if (cache && !source->anew && pgk_cache_get(cache, key, &held, &image.data, &image.size) == 0) {
        if (held == (uint32_t)kind) {
            image.ptx = kind == KIND_PTX;
            image.cached = true;
            *ret = image;
            return 0;
        }
        free(image.data);
    }
    int r = compile(rtc, source, options, count, kind, &image, log, log_size);
    if (r < 0)
        return r;
    if (cache && pgk_cache_put(cache, key, (uint32_t)kind, image.data, image.size) < 0)
        pgk_why(0, log, log_size, "kernel cache %s cannot be written", pgk_cache_path(cache));
    *ret = image;
    return 0;
}

void pgk_rtc_image_free(struct pgk_rtc_image *image)
{
    if (!image)
        return;
    free(image->data);
    *image = (struct pgk_rtc_image){0};
}
