/* The fake driver's graphs: kernels that were launched into a stream while it was captured, in their order.
 */
#include <stdlib.h>
#include <string.h>

#include "fake/cuda_state.h"

static void drop(struct CUgraph_st *graph)
{
    struct CUgraph_st **p = &fake.graphs;
    while (*p != graph)
        p = &(*p)->next;
    *p = graph->next;
    for (struct work *w = graph->first, *next; w; w = next) {
        next = w->next;
        fake_work_free(w);
    }
    free(graph);
}

void fake_drop_graphs(struct CUctx_st *ctx)
{
    for (struct CUgraph_st *g = fake.graphs, *next; g; g = next) {
        next = g->next;
        if (!ctx || g->ctx == ctx)
            drop(g);
    }
}

static struct CUgraph_st *make(struct CUctx_st *ctx)
{
    struct CUgraph_st *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->ctx = ctx;
    g->last = &g->first;
    g->next = fake.graphs;
    fake.graphs = g;
    return g;
}

static unsigned check(const struct CUgraph_st *graph, const struct CUctx_st *ctx, bool executable)
{
    const struct CUgraph_st *g = fake.graphs;
    while (g && g != graph)
        g = g->next;
    return g && g->ctx == ctx && g->executable == executable ? 0 : PGK_CUDA_ERROR_INVALID_VALUE;
}

static unsigned check_stream(const struct CUstream_st *stream, const struct CUctx_st *ctx)
{
    return !stream                                           ? PGK_CUDA_ERROR_NOT_SUPPORTED
           : fake_stream_known(stream) && stream->ctx == ctx ? 0
                                                             : PGK_CUDA_ERROR_INVALID_HANDLE;
}

unsigned cuStreamBeginCapture_v2(struct CUstream_st *stream, unsigned mode)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuStreamBeginCapture_v2, &ctx);
    if (r == 0)
        r = mode > 2 ? PGK_CUDA_ERROR_INVALID_VALUE : check_stream(stream, ctx);
    if (r == 0 && stream->capture)
        r = PGK_CUDA_ERROR_INVALID_VALUE;
    if (r == 0 && !(stream->capture = make(ctx)))
        r = PGK_CUDA_ERROR_OUT_OF_MEMORY;
    return fake_leave(r);
}

unsigned cuStreamEndCapture(struct CUstream_st *stream, struct CUgraph_st **ret)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuStreamEndCapture, &ctx);
    if (r == 0)
        r = check_stream(stream, ctx);
    if (r == 0 && !stream->capture)
        r = PGK_CUDA_ERROR_INVALID_VALUE;
    if (r == 0) {
        *ret = stream->capture;
        stream->capture = NULL;
    }
    return fake_leave(r);
}

/* A copy of its own of what a launch was, parameters and all. */
static struct work *again(const struct work *work)
{
    size_t size = 0;
    for (unsigned i = 0; i < work->kernel.params; i++)
        size += (work->kernel.sizes[i] + 15) / 16 * 16;
    struct work *ret = malloc(sizeof *ret);
    char *name = strdup(work->name), *params = aligned_alloc(16, size ? size : 16);
    if (!ret || !name || !params) {
        free(ret);
        free(name);
        free(params);
        return NULL;
    }
    *ret = *work;
    ret->next = NULL;
    ret->name = name;
    ret->params = memcpy(params, work->params, size);
    for (unsigned i = 0; i < work->kernel.params; i++)
        ret->args[i] = params + ((char *)work->args[i] - (char *)work->params);
    return ret;
}

unsigned cuGraphInstantiateWithFlags(struct CUgraphExec_st **ret, struct CUgraph_st *graph,
                                     unsigned long long flags)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuGraphInstantiateWithFlags, &ctx);
    if (r == 0)
        r = flags ? PGK_CUDA_ERROR_NOT_SUPPORTED : check(graph, ctx, false);
    if (r)
        return fake_leave(r);
    struct CUgraph_st *g = make(ctx);
    for (const struct work *w = graph->first; g && w; w = w->next) {
        struct work *copy = again(w);
        if (!copy) {
            drop(g);
            g = NULL;
            break;
        }
        *g->last = copy;
        g->last = &copy->next;
    }
    if (!g)
        return fake_leave(PGK_CUDA_ERROR_OUT_OF_MEMORY);
    g->executable = true;
    *ret = (struct CUgraphExec_st *)g;
    return fake_leave(0);
}

unsigned cuGraphLaunch(struct CUgraphExec_st *graph, struct CUstream_st *stream)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuGraphLaunch, &ctx);
    if (r == 0)
        r = check((struct CUgraph_st *)graph, ctx, true);
    if (r == 0)
        r = check_stream(stream, ctx);
    for (const struct work *w = r ? NULL : ((struct CUgraph_st *)graph)->first; r == 0 && w; w = w->next) {
        struct work *copy = again(w);
        r = copy ? fake_submit(stream, ctx, copy) : PGK_CUDA_ERROR_OUT_OF_MEMORY;
        if (r && copy)
            fake_work_free(copy);
        else
            free(copy); /* what it holds went with its copy */
    }
    return fake_leave(r);
}

unsigned cuGraphDestroy(struct CUgraph_st *graph)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuGraphDestroy, &ctx);
    if (r == 0)
        r = check(graph, ctx, false);
    if (r == 0)
        drop(graph);
    return fake_leave(r);
}

unsigned cuGraphExecDestroy(struct CUgraphExec_st *graph)
{
    struct CUctx_st *ctx;
    unsigned r = fake_enter(CALL_cuGraphExecDestroy, &ctx);
    if (r == 0)
        r = check((struct CUgraph_st *)graph, ctx, true);
    if (r == 0)
        drop((struct CUgraph_st *)graph);
    return fake_leave(r);
}
