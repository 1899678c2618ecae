/* The fake driver's streams, each a thread that does its work in order. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fake/cuda_state.h"

static __thread const int *dying; /* of the kernel that this thread runs */
static __thread jmp_buf *way_out;

static void nap(uint64_t ns)
{
    struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    nanosleep(&t, NULL);
}

FAKE_API void fake_poll(void)
{
    nap(20000);
    if (way_out && __atomic_load_n(dying, __ATOMIC_ACQUIRE))
        longjmp(*way_out, 1);
}

/* ---------------------------------------------------------------------------------------------------- work
 */

void fake_work_free(struct work *work)
{
    free(work->staged);
    free(work->params);
    free(work->name);
    free(work);
}

static void run_kernel(struct work *work)
{
    jmp_buf here;
    dying = work->launch.dead;
    way_out = &here;
    if (setjmp(here) == 0)
        work->kernel.run(work->args, &work->launch);
    way_out = NULL;
}

/* What is decided when a kernel begins: does it fail, or never end? */
static bool begin_kernel(struct work *work, struct CUctx_st *ctx)
{
    fake_named(work->name, true)->launched++;
    unsigned fault = fake_due("kernel");
    if (fault) {
        fake_kill(ctx, fault);
        return false;
    }
    if (!fake_due("hang"))
        return true;
    while (!fake_dead(ctx))
        pthread_cond_wait(&fake.changed, &fake.lock);
    return false;
}

static void run(struct work *work, struct CUctx_st *ctx)
{
    uint64_t delay_ns = fake.delay_ns;
    if (delay_ns) {
        pthread_mutex_unlock(&fake.lock);
        nap(delay_ns);
        pthread_mutex_lock(&fake.lock);
    }
    if (fake_dead(ctx) || (work->kind == WORK_KERNEL && !begin_kernel(work, ctx)))
        return;
    ctx->running += work->kind == WORK_KERNEL;
    pthread_mutex_unlock(&fake.lock);
    if (work->kind == WORK_KERNEL)
        run_kernel(work);
    else if (work->kind == WORK_COPY)
        memmove(work->to, work->from, work->size);
    else
        memset(work->to, work->value, work->size);
    pthread_mutex_lock(&fake.lock);
    ctx->running -= work->kind == WORK_KERNEL;
}

static void *serve(void *argument)
{
    struct CUstream_st *stream = argument;
    pthread_mutex_lock(&fake.lock);
    for (;;) {
        struct work *work = stream->first;
        if (!work && stream->closing)
            break;
        if (!work) {
            pthread_cond_wait(&fake.changed, &fake.lock);
            continue;
        }
        run(work, stream->ctx);
        stream->first = work->next;
        if (!stream->first)
            stream->last = &stream->first;
        stream->completed++;
        fake_work_free(work);
        pthread_cond_broadcast(&fake.changed);
    }
    pthread_mutex_unlock(&fake.lock);
    return NULL;
}

bool fake_stream_known(const struct CUstream_st *stream)
{
    const struct CUstream_st *s = fake.streams;
    while (s && s != stream)
        s = s->next;
    return s;
}

/* A stream as an argument: there is no default one. */
static unsigned check(const struct CUstream_st *stream, const struct CUctx_st *ctx)
{
    if (!stream)
        return PGK_CUDA_ERROR_NOT_SUPPORTED;
    return fake_stream_known(stream) && stream->ctx == ctx ? 0 : PGK_CUDA_ERROR_INVALID_HANDLE;
}

unsigned fake_submit(struct CUstream_st *stream, struct CUctx_st *ctx, const struct work *work)
{
    unsigned r = check(stream, ctx);
    struct work *copy = r ? NULL : malloc(sizeof *copy);
    if (r || !copy)
        return r ? r : PGK_CUDA_ERROR_OUT_OF_MEMORY;
    *copy = *work;
    copy->next = NULL;
    if (stream->capture) {
        *stream->capture->last = copy;
        stream->capture->last = &copy->next;
        return 0;
    }
    *stream->last = copy;
    stream->last = &copy->next;
    stream->submitted++;
    pthread_cond_broadcast(&fake.changed);
    return 0;
}

unsigned fake_wait_idle(struct CUctx_st *ctx)
{
    for (;;) {
        bool busy = false;
        for (const struct CUstream_st *s = fake.streams; s; s = s->next)
            busy |= s->ctx == ctx && s->first;
        for (const struct CUstream_st *s = fake.ended; s; s = s->next)
            busy |= s->ctx == ctx && s->first;
        if (!busy || fake_dead(ctx))
            return ctx->sticky;
        pthread_cond_wait(&fake.changed, &fake.lock);
    }
}

/* ------------------------------------------------------------------------------------------------- streams
 */

/* Joins the streams that were destroyed; their work is done first. */
static void reap(struct CUctx_st *ctx)
{
    for (struct CUstream_st **p = &fake.ended; *p;) {
        struct CUstream_st *s = *p;
        if (ctx && s->ctx != ctx) {
            p = &s->next;
            continue;
        }
        *p = s->next;
        pthread_mutex_unlock(&fake.lock);
        pthread_join(s->thread, NULL);
        pthread_mutex_lock(&fake.lock);
        free(s);
        p = &fake.ended;
    }
}

static void close_stream(struct CUstream_st *stream)
{
    struct CUstream_st **p = &fake.streams;
    while (*p != stream)
        p = &(*p)->next;
    *p = stream->next;
    stream->closing = true;
    stream->next = fake.ended;
    fake.ended = stream;
    pthread_cond_broadcast(&fake.changed);
}

void fake_drop_streams(struct CUctx_st *ctx)
{
    for (struct CUstream_st *s = fake.streams, *next; s; s = next) {
        next = s->next;
        if (!ctx || s->ctx == ctx)
            close_stream(s);
    }
    reap(ctx);
}

static unsigned open_stream(struct CUctx_st *ctx, struct CUstream_st **ret)
{
    struct CUstream_st *s = calloc(1, sizeof *s);
    if (!s)
        return PGK_CUDA_ERROR_OUT_OF_MEMORY;
    s->ctx = ctx;
    s->last = &s->first;
    if (pthread_create(&s->thread, NULL, serve, s) != 0) {
        free(s);
        return PGK_CUDA_ERROR_OUT_OF_MEMORY;
    }
    s->next = fake.streams;
    fake.streams = s;
    *ret = s;
    return 0;
}

unsigned cuStreamCreateWithPriority(struct CUstream_st **ret, unsigned flags, int priority)
{
    struct CUctx_st *ctx;
    (void)priority; /* out of range is clamped, says cuda.h */
    unsigned r = fake_enter(CALL_cuStreamCreateWithPriority, &ctx);
    if (r == 0)
        r = flags > 1 ? PGK_CUDA_ERROR_INVALID_VALUE : open_stream(ctx, ret);
    return fake_leave(r);
}

unsigned cuStreamDestroy_v2(struct CUstream_st *stream)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuStreamDestroy_v2, &ctx);
    if (r == 0)
        r = check(stream, ctx);
    if (r == 0)
        close_stream(stream);
    return fake_leave(r);
}

unsigned cuStreamSynchronize(struct CUstream_st *stream)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuStreamSynchronize, &ctx);
    if (r == 0)
        r = check(stream, ctx);
    if (r)
        return fake_leave(r);
    uint64_t wanted = stream->submitted;
    while (!fake_dead(ctx) && stream->completed < wanted)
        pthread_cond_wait(&fake.changed, &fake.lock);
    return fake_leave(ctx->sticky);
}

unsigned cuStreamQuery(struct CUstream_st *stream)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuStreamQuery, &ctx);
    if (r == 0)
        r = check(stream, ctx);
    return fake_leave(r ? r : stream->first ? PGK_CUDA_ERROR_NOT_READY : 0);
}
