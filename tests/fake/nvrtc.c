/* The fake NVRTC: what it is given comes back as the image, behind a line that says for what. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake/fake.h"

#define FAKE_API __attribute__((visibility("default")))

struct _nvrtcProgram {
    char *source;
    int count;
    char **names, **headers;
    char target[64]; /* "sm_90"; empty: not compiled */
    char *log;
};

#define PGK_CALL(field, symbol, type, arguments) FAKE_API type symbol arguments;
#include "cuda/rtc.def"

static struct {
    pthread_mutex_t lock;
    int version[2];
    int archs[32];
    int archs_count;
    char function[64];
    bool always;
    unsigned result;
    char log[512];
    uint64_t compiled;
    char options[4096];
    struct _nvrtcProgram last;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void empty(struct _nvrtcProgram *p)
{
    for (int i = 0; i < p->count; i++) {
        free(p->names[i]);
        free(p->headers[i]);
    }
    free(p->names);
    free(p->headers);
    free(p->source);
    free(p->log);
    *p = (struct _nvrtcProgram){0};
}

static void settings(void)
{
    static const int archs[] = {75, 80, 86, 89, 90, 100, 120};
    memcpy(fake.archs, archs, sizeof archs);
    fake.archs_count = sizeof archs / sizeof *archs;
    fake.version[0] = 13;
    fake.version[1] = 0;
    const char *text = getenv("FAKE_NVRTC_VERSION");
    if (text && sscanf(text, "%d.%d", &fake.version[0], &fake.version[1]) != 2)
        abort();
    text = getenv("FAKE_NVRTC_FAIL");
    snprintf(fake.function, sizeof fake.function, "%s", text ? text : "");
    fake.always = text;
    fake.result = 6;
    fake.log[0] = 0;
    fake.options[0] = 0;
    fake.compiled = 0;
    empty(&fake.last);
}

static void __attribute__((constructor)) begin(void)
{
    settings();
}

/* Takes the lock: the result that is due to this function. */
static unsigned enter(const char *function)
{
    pthread_mutex_lock(&fake.lock);
    if (strcmp(fake.function, function) != 0)
        return 0;
    if (!fake.always)
        fake.function[0] = 0;
    return fake.result;
}

static unsigned leave(unsigned result)
{
    pthread_mutex_unlock(&fake.lock);
    return result;
}

const char *nvrtcGetErrorString(unsigned result)
{
    return result == 6   ? "NVRTC_ERROR_COMPILATION"
           : result == 7 ? "NVRTC_ERROR_BUILTIN_OPERATION_FAILURE"
                         : "NVRTC_ERROR";
}

unsigned nvrtcVersion(int *ret_major, int *ret_minor)
{
    unsigned r = enter("nvrtcVersion");
    *ret_major = fake.version[0];
    *ret_minor = fake.version[1];
    return leave(r);
}

unsigned nvrtcGetNumSupportedArchs(int *ret)
{
    unsigned r = enter("nvrtcGetNumSupportedArchs");
    *ret = fake.archs_count;
    return leave(r);
}

unsigned nvrtcGetSupportedArchs(int *ret)
{
    unsigned r = enter("nvrtcGetSupportedArchs");
    memcpy(ret, fake.archs, (size_t)fake.archs_count * sizeof *ret);
    return leave(r);
}

unsigned nvrtcCreateProgram(struct _nvrtcProgram **ret, const char *source, const char *name, int count,
                            const char *const *headers, const char *const *names)
{
    (void)name;
    unsigned r = enter("nvrtcCreateProgram");
    if (r)
        return leave(r);
    struct _nvrtcProgram *p = calloc(1, sizeof *p);
    p->source = strdup(source);
    p->names = calloc((size_t)count + 1, sizeof *p->names);
    p->headers = calloc((size_t)count + 1, sizeof *p->headers);
    for (p->count = 0; p->count < count; p->count++) {
        p->names[p->count] = strdup(names[p->count]);
        p->headers[p->count] = strdup(headers[p->count]);
    }
    *ret = p;
    return leave(0);
}

unsigned nvrtcDestroyProgram(struct _nvrtcProgram **program)
{
    unsigned r = enter("nvrtcDestroyProgram");
    empty(&fake.last);
    fake.last = **program;
    free(*program);
    *program = NULL;
    return leave(r);
}

unsigned nvrtcCompileProgram(struct _nvrtcProgram *program, int count, const char *const *options)
{
    static const char wanted[] = "--gpu-architecture=";
    unsigned r = enter("nvrtcCompileProgram");
    fake.options[0] = 0;
    for (int i = 0; i < count; i++) {
        size_t n = strlen(fake.options);
        snprintf(fake.options + n, sizeof fake.options - n, "%s\n", options[i]);
        if (strncmp(options[i], wanted, sizeof wanted - 1) == 0)
            snprintf(program->target, sizeof program->target, "%s", options[i] + sizeof wanted - 1);
    }
    program->log = strdup(r ? fake.log : "");
    if (r == 0)
        fake.compiled++;
    else
        program->target[0] = 0;
    return leave(r);
}

/* A cubin needs a real architecture, PTX serves both, as with the real one. */
static int image(const struct _nvrtcProgram *p, bool cubin, char *ret, size_t size)
{
    if (!p->target[0] || (cubin && strncmp(p->target, "sm_", 3) != 0))
        return 0;
    return snprintf(ret, size, "%s %s\n%s", cubin ? "cubin" : "ptx", p->target, p->source) + (cubin ? 0 : 1);
}

static void fetch(const struct _nvrtcProgram *p, bool cubin, char *ret)
{
    int size = image(p, cubin, NULL, 0);
    char *text = malloc((size_t)size + 1);
    image(p, cubin, text, (size_t)size + 1);
    memcpy(ret, text, (size_t)size);
    free(text);
}

unsigned nvrtcGetCUBINSize(struct _nvrtcProgram *program, size_t *ret)
{
    unsigned r = enter("nvrtcGetCUBINSize");
    *ret = (size_t)image(program, true, NULL, 0);
    return leave(r);
}

unsigned nvrtcGetCUBIN(struct _nvrtcProgram *program, char *ret)
{
    unsigned r = enter("nvrtcGetCUBIN");
    if (r == 0)
        fetch(program, true, ret);
    return leave(r);
}

unsigned nvrtcGetPTXSize(struct _nvrtcProgram *program, size_t *ret)
{
    unsigned r = enter("nvrtcGetPTXSize");
    *ret = (size_t)image(program, false, NULL, 0);
    return leave(r);
}

unsigned nvrtcGetPTX(struct _nvrtcProgram *program, char *ret)
{
    unsigned r = enter("nvrtcGetPTX");
    if (r == 0)
        fetch(program, false, ret);
    return leave(r);
}

unsigned nvrtcGetProgramLogSize(struct _nvrtcProgram *program, size_t *ret)
{
    unsigned r = enter("nvrtcGetProgramLogSize");
    *ret = strlen(program->log ? program->log : "") + 1;
    return leave(r);
}

unsigned nvrtcGetProgramLog(struct _nvrtcProgram *program, char *ret)
{
    unsigned r = enter("nvrtcGetProgramLog");
    strcpy(ret, program->log ? program->log : "");
    return leave(r);
}

/* ------------------------------------------------------------------------------------------------- control
 */

static void control_reset(void)
{
    pthread_mutex_lock(&fake.lock);
    settings();
    pthread_mutex_unlock(&fake.lock);
}

static void control_version(int major, int minor)
{
    pthread_mutex_lock(&fake.lock);
    fake.version[0] = major;
    fake.version[1] = minor;
    pthread_mutex_unlock(&fake.lock);
}

static void control_archs(const int *archs, int count)
{
    pthread_mutex_lock(&fake.lock);
    memcpy(fake.archs, archs, (size_t)count * sizeof *archs);
    fake.archs_count = count;
    pthread_mutex_unlock(&fake.lock);
}

static void control_refuse(const char *function, int result, const char *log)
{
    pthread_mutex_lock(&fake.lock);
    snprintf(fake.function, sizeof fake.function, "%s", function);
    snprintf(fake.log, sizeof fake.log, "%s", log ? log : "");
    fake.result = (unsigned)result;
    pthread_mutex_unlock(&fake.lock);
}

static uint64_t control_compiled(void)
{
    pthread_mutex_lock(&fake.lock);
    uint64_t n = fake.compiled;
    pthread_mutex_unlock(&fake.lock);
    return n;
}

static const char *control_options(void)
{
    return fake.options;
}

static const char *control_header(const char *name)
{
    for (int i = 0; i < fake.last.count; i++)
        if (strcmp(fake.last.names[i], name) == 0)
            return fake.last.headers[i];
    return NULL;
}

extern const struct fake_nvrtc fake_nvrtc_control;
FAKE_API const struct fake_nvrtc fake_nvrtc_control = {
    .reset = control_reset,
    .version = control_version,
    .archs = control_archs,
    .refuse = control_refuse,
    .compiled = control_compiled,
    .options = control_options,
    .header = control_header,
};
