/* cuda_state.h - what the files of the fake driver share. One lock guards everything; kernels and copies run
 * without it. */
#ifndef FAKE_CUDA_STATE_H
#define FAKE_CUDA_STATE_H

#include <pthread.h>

#include "cuda/driver.h"
#include "fake/fake.h"

#define FAKE_API __attribute__((visibility("default")))

#define DEVICES    8
#define ATTRIBUTES 160

/* Calls by number: CALL_cuMemAlloc_v2. */
enum call {
#define PGK_CALL(field, symbol, arguments) CALL_##symbol,
#include "cuda/driver.def"
    CALLS
};

/* Declares what the library exports. */
#define PGK_CALL(field, symbol, arguments) FAKE_API unsigned symbol arguments;
#include "cuda/driver.def"

struct device {
    unsigned refs;        /* of the primary context */
    struct CUctx_st *ctx; /* its present life, or NULL */
    unsigned lost;        /* the result every call gives from now on */
    uint64_t held;        /* bytes allocated */
    int attribute[ATTRIBUTES];
};

/* One life of a primary context. Kept, dead, until reset: old handles are told from new ones. */
struct CUctx_st {
    struct CUctx_st *next;
    int device;
    bool gone;        /* released */
    unsigned sticky;  /* result */
    int dead;         /* atomic: sticky or gone; running kernels look at it */
    unsigned running; /* kernels */
};

enum place { PLACE_DEVICE, PLACE_HOST, PLACE_REGISTERED };

struct memory {
    struct memory *next;
    struct CUctx_st *ctx;
    enum place place;
    char *host;
    size_t size;
    char *device; /* its address on the device; NULL: another one, which no call asks for */
};

struct CUmod_st {
    struct CUmod_st *next;
    struct CUctx_st *ctx;
    struct CUfunc_st *functions;
};

struct CUfunc_st {
    struct CUfunc_st *next;
    struct CUmod_st *module;
    char *name;
    struct fake_kernel kernel;
    int shared_max;
};

enum work_kind { WORK_KERNEL, WORK_COPY, WORK_SET };

struct work {
    struct work *next;
    enum work_kind kind;
    char *to;
    const char *from;
    void *staged; /* copy of pageable memory, to be freed */
    size_t size;
    int value;
    struct fake_kernel kernel;
    char *name;
    struct fake_launch launch;
    void *args[FAKE_PARAMS];
    void *params; /* what args point into */
};

/* Kernels of a capture, in the order they were launched in. */
struct CUgraph_st {
    struct CUgraph_st *next; /* of those that are held */
    struct CUctx_st *ctx;
    struct work *first, **last;
    bool executable;
};

struct CUstream_st {
    struct CUstream_st *next;
    struct CUctx_st *ctx;
    struct CUgraph_st *capture; /* what is launched goes there */
    pthread_t thread;
    bool closing;
    uint64_t submitted, completed;
    struct work *first, **last;
};

struct named {
    struct named *next;
    char *name;
    struct fake_kernel kernel;
    uint64_t launched;
};

struct fault {
    const char *what; /* "*", a call, "kernel", "hang"; NULL: free */
    unsigned k;       /* at which it comes; counted down */
    unsigned result;
};
#define FAULTS 32

struct fake {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool initialised;
    int devices;
    int version;
    uint64_t memory_max;
    uint64_t delay_ns;
    struct device device[DEVICES];
    struct CUctx_st *contexts;
    struct memory *memory;
    struct CUmod_st *modules;
    struct CUstream_st *streams, *ended; /* ended: their threads are to be joined */
    struct CUgraph_st *graphs;
    struct named *named;
    struct fault faults[FAULTS];
    uint64_t calls[CALLS];
};
extern struct fake fake;

/* Begins a call: takes the lock, counts, and says what stands against it. `ret_ctx` not NULL: a context is
 * wanted. */
unsigned fake_enter(enum call call, struct CUctx_st **ret_ctx);
unsigned fake_leave(unsigned result);

/* With the lock held. */
void fake_kill(struct CUctx_st *ctx,
               unsigned result);     /* gives it a sticky error when `result` is one, else nothing */
unsigned fake_due(const char *what); /* counts down the faults of `what`: the result that is due, or 0 */
unsigned fake_wait_idle(struct CUctx_st *ctx); /* all streams of it; its sticky error */
void fake_drop_memory(struct CUctx_st *ctx);   /* NULL: all */
void fake_drop_modules(struct CUctx_st *ctx);
void fake_drop_graphs(struct CUctx_st *ctx);
void fake_drop_streams(struct CUctx_st *ctx); /* ends and joins; releases the lock meanwhile */
struct named *fake_named(const char *name, bool make);
unsigned fake_submit(struct CUstream_st *stream, struct CUctx_st *ctx, const struct work *work);
void fake_work_free(struct work *work);
bool fake_stream_known(const struct CUstream_st *stream);
void fake_settings(void); /* defaults, then the environment */

static inline bool fake_dead(const struct CUctx_st *ctx)
{
    return __atomic_load_n(&ctx->dead, __ATOMIC_ACQUIRE);
}

#endif
