/* The fake driver's streams, each a thread that does its work in order, and events between them. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

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

static void event_free(struct CUevent_st *event)
{
    if (--event->refs > 0)
        return;
    struct CUevent_st **p = &fake.events;
    while (*p != event)
        p = &(*p)->next;
    *p = event->next;
    free(event);
}

void fake_work_free(struct work *work)
{
    if (work->event)
        event_free(work->event);
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
    switch (work->kind) {
    case WORK_RECORD:
        clock_gettime(CLOCK_MONOTONIC, &work->event->when);
        work->event->done = work->record;
        return;
    case WORK_WAIT:
        while (!fake_dead(ctx) && !fake_dead(work->event->ctx) && work->event->done < work->record)
            pthread_cond_wait(&fake.changed, &fake.lock);
        return;
    case WORK_KERNEL:
    case WORK_COPY:
    case WORK_SET:
        break;
    }
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
    if (copy->event)
        copy->event->refs++;
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

/* -------------------------------------------------------------------------------------------------- events
 */

static unsigned check_event(const struct CUevent_st *event)
{
    const struct CUevent_st *e = fake.events;
    while (e && e != event)
        e = e->next;
    return e && !e->destroyed ? 0 : PGK_CUDA_ERROR_INVALID_HANDLE;
}

void fake_drop_events(struct CUctx_st *ctx)
{
    for (struct CUevent_st *e = fake.events, *next; e; e = next) {
        next = e->next;
        if ((!ctx || e->ctx == ctx) && !e->destroyed) {
            e->destroyed = true;
            event_free(e);
        }
    }
}

unsigned cuStreamWaitEvent(struct CUstream_st *stream, struct CUevent_st *event, unsigned flags)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuStreamWaitEvent, &ctx);
    if (r == 0)
        r = flags ? PGK_CUDA_ERROR_INVALID_VALUE : check(stream, ctx);
    if (r == 0)
        r = check_event(event);
    if (r)
        return fake_leave(r);
    const struct work work = {.kind = WORK_WAIT, .event = event, .record = event->recorded};
    return fake_leave(fake_submit(stream, ctx, &work));
}

unsigned cuEventCreate(struct CUevent_st **ret, unsigned flags)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuEventCreate, &ctx);
    if (r == 0 && flags > 3)
        r = PGK_CUDA_ERROR_INVALID_VALUE;
    struct CUevent_st *e = r ? NULL : calloc(1, sizeof *e);
    if (!e)
        return fake_leave(r ? r : PGK_CUDA_ERROR_OUT_OF_MEMORY);
    *e = (struct CUevent_st){.next = fake.events, .ctx = ctx, .flags = flags, .refs = 1};
    fake.events = e;
    *ret = e;
    return fake_leave(0);
}

unsigned cuEventDestroy_v2(struct CUevent_st *event)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuEventDestroy_v2, &ctx);
    if (r == 0)
        r = check_event(event);
    if (r == 0) {
        event->destroyed = true;
        event_free(event);
    }
    return fake_leave(r);
}

unsigned cuEventRecord(struct CUevent_st *event, struct CUstream_st *stream)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuEventRecord, &ctx);
    if (r == 0)
        r = check(stream, ctx);
    if (r == 0)
        r = check_event(event);
    if (r == 0 && event->ctx != ctx)
        r = PGK_CUDA_ERROR_INVALID_HANDLE;
    if (r)
        return fake_leave(r);
    const struct work work = {.kind = WORK_RECORD, .event = event, .record = event->recorded + 1};
    r = fake_submit(stream, ctx, &work);
    event->recorded += r == 0;
    return fake_leave(r);
}

unsigned cuEventQuery(struct CUevent_st *event)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuEventQuery, &ctx);
    if (r == 0)
        r = check_event(event);
    return fake_leave(r ? r : event->done < event->recorded ? PGK_CUDA_ERROR_NOT_READY : 0);
}

unsigned cuEventSynchronize(struct CUevent_st *event)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuEventSynchronize, &ctx);
    if (r == 0)
        r = check_event(event);
    if (r)
        return fake_leave(r);
    uint64_t wanted = event->recorded;
    event->refs++;
    while (!fake_dead(ctx) && event->done < wanted)
        pthread_cond_wait(&fake.changed, &fake.lock);
    event_free(event);
    return fake_leave(ctx->sticky);
}

unsigned cuEventElapsedTime(float *ret_ms, struct CUevent_st *start, struct CUevent_st *end)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuEventElapsedTime, &ctx);
    if (r == 0)
        r = check_event(start) ? check_event(start) : check_event(end);
    if (r == 0 && (((start->flags | end->flags) & 2) || !start->recorded || !end->recorded))
        r = PGK_CUDA_ERROR_INVALID_HANDLE;
    if (r == 0 && (start->done < start->recorded || end->done < end->recorded))
        r = PGK_CUDA_ERROR_NOT_READY;
    if (r == 0)
        *ret_ms = (float)((double)(end->when.tv_sec - start->when.tv_sec) * 1e3 +
                          (double)(end->when.tv_nsec - start->when.tv_nsec) * 1e-6);
    return fake_leave(r);
}
