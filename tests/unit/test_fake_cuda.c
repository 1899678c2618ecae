/* The stand-in for the GPU keeps the rules that the engine is tested by. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda/driver.h"
#include "fake/fake.h"

#define OK(call) assert_int_equal((call), 0)

static const struct pgk_driver *d;
static const struct fake_cuda *control;
static struct CUctx_st *ctx;
static struct CUstream_st *stream;
static struct CUmod_st *module;

/* ------------------------------------------------------------------------------------------------- kernels
 */

/* add(double *to, double by, uint32_t n) */
static void add(void **args, const struct fake_launch *launch)
{
    double *to = *(double **)args[0];
    for (uint32_t i = 0; i < *(uint32_t *)args[2]; i++)
        to[i] += *(double *)args[1] * launch->grid[0];
}

/* persist(int *bell, int *answer): answers every ring until 0 */
static void persist(void **args, const struct fake_launch *launch)
{
    int *bell = *(int **)args[0], *answer = *(int **)args[1];
    (void)launch;
    for (int seen = 0, now; (now = __atomic_load_n(bell, __ATOMIC_ACQUIRE)) >= 0;) {
        if (now != seen)
            __atomic_store_n(answer, seen = now, __ATOMIC_RELEASE);
        control->poll();
    }
}

static const struct fake_kernel add_kernel = {add, 3, {8, 8, 4}};
static const struct fake_kernel persist_kernel = {persist, 2, {8, 8}};

/* A device with a stream, and a module with both kernels. */
static int begin(void **state)
{
    (void)state;
    char why[256];
    control = fake_cuda(fake_path("libcuda.so.1"));
    if (!control || pgk_driver_load(&d, fake_path("libcuda.so.1"), why, sizeof why) < 0)
        return -1;
    control->kernel("add", &add_kernel);
    control->kernel("persist", &persist_kernel);
    return d->device_primary_ctx_retain(&ctx, 0) || d->ctx_set_current(ctx) ||
           d->stream_create(&stream, 1, 0) || d->module_load_data(&module, "image", 0, NULL, NULL);
}

static int end(void **state)
{
    (void)state;
    control->reset();
    return 0;
}

static struct CUfunc_st *function(const char *name)
{
    struct CUfunc_st *f = NULL;
    OK(d->module_get_function(&f, module, name));
    return f;
}

static unsigned launch_add(pgk_devptr to, double by, uint32_t n, struct CUstream_st *on)
{
    void *params[] = {&to, &by, &n};
    return d->launch_kernel(function("add"), 1, 1, 1, 32, 1, 1, 0, on, params, NULL);
}

/* What is at `from` once the stream is done: device memory is the heap. */
static void read_back(void *to, pgk_devptr from, size_t size, struct CUstream_st *on)
{
    OK(d->stream_synchronize(on));
    memcpy(to, (const void *)(uintptr_t)from, size);
}

static void *pages(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    return p;
}

/* --------------------------------------------------------------------------------------------------- tests
 */

static void test_order_of_calls(void **state)
{
    (void)state;
    struct CUctx_st *c;
    int n;
    size_t free_bytes;
    control->reset();
    assert_int_equal(d->device_get_count(&n), PGK_CUDA_ERROR_NOT_INITIALIZED);
    assert_int_equal(d->device_primary_ctx_retain(&c, 0), PGK_CUDA_ERROR_NOT_INITIALIZED);
    OK(d->init(0));
    assert_int_equal(d->device_primary_ctx_retain(&c, 1), PGK_CUDA_ERROR_INVALID_DEVICE);
    OK(d->device_total_mem(&free_bytes, 0));
    pgk_devptr p;
    assert_int_equal(d->mem_alloc(&p, 8), PGK_CUDA_ERROR_INVALID_CONTEXT);
    OK(d->device_primary_ctx_retain(&c, 0));
    OK(d->ctx_set_current(c));
    OK(d->mem_alloc(&p, 8));
    OK(d->device_primary_ctx_release(0));
    assert_int_equal(d->mem_alloc(&p, 8), PGK_CUDA_ERROR_CONTEXT_IS_DESTROYED);
    assert_int_equal(d->device_primary_ctx_release(0), PGK_CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(control->reset(), 0); /* what the context held went with it */
}

static void test_memory(void **state)
{
    (void)state;
    pgk_devptr p, q;
    void *host;
    char data[64], back[64] = {0};
    memset(data, 'x', sizeof data);
    assert_int_equal(d->mem_alloc(&p, 0), PGK_CUDA_ERROR_INVALID_VALUE);
    OK(d->mem_alloc(&p, 64));
    OK(d->memcpy_htod_async(p, data, 64, stream));
    memset(data, 'y', sizeof data); /* pageable: was read by then */
    read_back(back, p, 64, stream);
    assert_int_equal(back[0], 'x');
    assert_int_equal(back[63], 'x');
    OK(d->memset_d8_async(p + 1, 'z', 63, stream));
    read_back(back, p, 64, stream);
    assert_int_equal(back[0], 'x');
    assert_int_equal(back[63], 'z');
    assert_int_equal(d->memcpy_htod_async(p + 1, data, 64, stream), PGK_CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(d->memset_d8_async(p + 64, 0, 1, stream), PGK_CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(d->mem_free(p + 8), PGK_CUDA_ERROR_INVALID_VALUE);
    OK(d->mem_free(p));
    assert_int_equal(d->mem_free(p), PGK_CUDA_ERROR_INVALID_VALUE);
    control->memory(1000);
    OK(d->mem_alloc(&p, 600));
    assert_int_equal(d->mem_alloc(&q, 600), PGK_CUDA_ERROR_OUT_OF_MEMORY);
    OK(d->mem_free(p));
    OK(d->mem_host_alloc(&host, 600, PGK_CU_MEMHOSTALLOC_PORTABLE));
    /* The device sees it at the same address. */
    OK(d->memset_d8_async((uintptr_t)host + 8, 'h', 592, stream));
    read_back(back, (uintptr_t)host + 8, 64, stream);
    assert_int_equal(back[63], 'h');
    assert_int_equal(d->mem_free_host((char *)host + 8), PGK_CUDA_ERROR_INVALID_VALUE);
    OK(d->mem_free_host(host));
}

static void test_registration(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *p = pages(8 * page);
    assert_int_equal(d->mem_host_register(p + 8, page, 0), PGK_CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(d->mem_host_register(p, page + 8, 0), PGK_CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(d->mem_host_register(p, 0, 0), PGK_CUDA_ERROR_INVALID_VALUE);
    OK(d->mem_host_register(p, 4 * page, PGK_CU_MEMHOSTREGISTER_PORTABLE));
    assert_int_equal(d->mem_host_register(p, 4 * page, 0), PGK_CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    assert_int_equal(d->mem_host_register(p + 3 * page, 2 * page, 0),
                     PGK_CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    OK(d->mem_host_register(p + 4 * page, page, 0));
    assert_int_equal(control->registered(), 5 * page);
    OK(d->memset_d8_async((uintptr_t)p + page + 1, 7, 1, stream));
    OK(d->stream_synchronize(stream));
    assert_int_equal(p[page + 1], 7);
    assert_int_equal(d->memset_d8_async((uintptr_t)p + 5 * page, 7, 1, stream), PGK_CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(d->mem_host_unregister(p + page), PGK_CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    /* A copy across two registrations is one the device cannot make. */
    assert_int_equal(d->memset_d8_async((uintptr_t)p + 4 * page - 1, 0, 2, stream),
                     PGK_CUDA_ERROR_INVALID_VALUE);
    OK(d->mem_host_unregister(p));
    assert_int_equal(d->mem_host_unregister(p), PGK_CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    munmap(p + 6 * page, page);
    assert_int_equal(d->mem_host_register(p + 5 * page, 2 * page, 0), PGK_CUDA_ERROR_INVALID_VALUE);
    OK(d->mem_host_unregister(p + 4 * page));
    munmap(p, 8 * page);
}

/* Where registered memory has another address on the device, the host's does not serve. */
static void test_other_address(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *p = pages(page);
    control->attribute(-1, PGK_CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, 0);
    OK(d->mem_host_register(p, page, 0));
    assert_int_equal(d->memset_d8_async((uintptr_t)p, 7, 1, stream), PGK_CUDA_ERROR_INVALID_VALUE);
    OK(d->mem_host_unregister(p));
    munmap(p, page);
}

static void test_host_tables(void **state)
{
    (void)state;
    char here[4] = {0};
    assert_int_equal(d->memset_d8_async((uintptr_t)here, 1, 1, stream), PGK_CUDA_ERROR_INVALID_VALUE);
    control->attribute(0, PGK_CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS, 1);
    OK(d->memset_d8_async((uintptr_t)here, 1, 1, stream));
    OK(d->stream_synchronize(stream));
    assert_int_equal(here[0], 1);
}

static void test_launch(void **state)
{
    (void)state;
    struct CUfunc_st *f, *same;
    double back[4];
    pgk_devptr p;
    OK(d->mem_alloc(&p, sizeof back));
    OK(d->memset_d8_async(p, 0, sizeof back, stream));
    for (int i = 1; i <= 100; i++)
        OK(launch_add(p, i, 4, stream)); /* the parameters' variables are gone when it runs */
    read_back(back, p, sizeof back, stream);
    assert_true(back[0] == 5050.0 && back[3] == 5050.0);
    assert_int_equal(control->launched("add"), 100);
    assert_int_equal(control->calls("cuLaunchKernel"), 100);

    f = function("add");
    OK(d->module_get_function(&same, module, "add"));
    assert_ptr_equal(f, same);
    assert_int_equal(d->module_get_function(&same, module, "nothing"), PGK_CUDA_ERROR_NOT_FOUND);
    void *params[] = {&p, &p, &p};
    assert_int_equal(d->launch_kernel(f, 0, 1, 1, 1, 1, 1, 0, stream, params, NULL),
                     PGK_CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(d->launch_kernel(f, 1, 1, 1, 1025, 1, 1, 0, stream, params, NULL),
                     PGK_CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(d->launch_kernel(f, 1, 1, 1, 64, 32, 1, 0, stream, params, NULL),
                     PGK_CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(d->launch_kernel(f, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL),
                     PGK_CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(d->launch_kernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
                     PGK_CUDA_ERROR_NOT_SUPPORTED);
    assert_int_equal(d->launch_kernel(f, 1, 1, 1, 1, 1, 1, 60000, stream, params, NULL),
                     PGK_CUDA_ERROR_INVALID_VALUE);
    OK(d->func_set_attribute(f, PGK_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 60000));
    double by = 0;
    uint32_t n = 0;
    void *right[] = {&p, &by, &n};
    OK(d->launch_kernel(f, 1, 1, 1, 1, 1, 1, 60000, stream, right, NULL));
    assert_int_equal(d->func_set_attribute(f, PGK_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1 << 20),
                     PGK_CUDA_ERROR_INVALID_VALUE);
    struct CUmod_st *bad;
    assert_int_equal(d->module_load_data(&bad, "!", 0, NULL, NULL), PGK_CUDA_ERROR_INVALID_IMAGE);
    unsigned option = 0;
    assert_int_equal(d->module_load_data(&bad, "image", 1, &option, NULL), PGK_CUDA_ERROR_NOT_SUPPORTED);
    OK(d->module_unload(module));
    assert_int_equal(d->module_unload(module), PGK_CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(d->func_set_attribute(f, PGK_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 0),
                     PGK_CUDA_ERROR_INVALID_HANDLE);
}

static void ring(int *bell, int *answer, int n)
{
    __atomic_store_n(bell, n, __ATOMIC_RELEASE);
    while (__atomic_load_n(answer, __ATOMIC_ACQUIRE) != n)
        usleep(20);
}

/* A persistent kernel holds its stream and no other; freeing waits for it. */
static void test_persistent(void **state)
{
    (void)state;
    struct CUstream_st *other;
    pgk_devptr p;
    void *shared;
    double back = 0;
    OK(d->mem_host_alloc(&shared, 8, 0));
    int *bell = shared, *answer = bell + 1;
    bell[0] = bell[1] = 0;
    OK(d->stream_create(&other, 1, 0));
    OK(d->mem_alloc(&p, sizeof back));
    void *params[] = {&bell, &answer};
    OK(d->launch_kernel(function("persist"), 1, 1, 1, 1, 1, 1, 0, stream, params, NULL));
    ring(bell, answer, 1);
    OK(d->memset_d8_async(p, 0, 8, other));
    OK(launch_add(p, 2.0, 1, other));
    read_back(&back, p, sizeof back, other);
    assert_true(back == 2.0);
    ring(bell, answer, 2);
    assert_int_equal(d->stream_query(stream), PGK_CUDA_ERROR_NOT_READY);
    OK(d->stream_query(other));
    __atomic_store_n(bell, -1, __ATOMIC_RELEASE);
    OK(d->mem_free(p));
    OK(d->stream_query(stream));
    OK(d->stream_destroy(other));
    OK(d->mem_free_host(shared));
}

/* What is on a stream is done in order, however late; one that was destroyed is none. */
static void test_streams(void **state)
{
    (void)state;
    struct CUstream_st *other;
    pgk_devptr p;
    double back = 0;
    OK(d->stream_create(&other, 1, 0));
    OK(d->mem_alloc(&p, 8));
    control->delay(2000000);
    for (int i = 1; i <= 5; i++) {
        OK(d->memset_d8_async(p, 0, 8, stream));
        OK(launch_add(p, i, 1, stream));
    }
    read_back(&back, p, sizeof back, stream);
    assert_true(back == 5.0);
    OK(d->stream_query(stream));
    OK(d->stream_destroy(other));
    assert_int_equal(d->stream_query(other), PGK_CUDA_ERROR_INVALID_HANDLE);
}

static void test_failing_calls(void **state)
{
    (void)state;
    pgk_devptr p, q;
    control->refuse("cuMemAlloc", 2, PGK_CUDA_ERROR_OUT_OF_MEMORY);
    OK(d->mem_alloc(&p, 8));
    assert_int_equal(d->mem_alloc(&q, 8), PGK_CUDA_ERROR_OUT_OF_MEMORY);
    OK(d->mem_alloc(&q, 8));
    control->refuse("*", 3, PGK_CUDA_ERROR_INVALID_VALUE);
    OK(d->mem_free(q));
    OK(d->stream_query(stream));
    assert_int_equal(d->mem_free(p), PGK_CUDA_ERROR_INVALID_VALUE);
    OK(d->mem_free(p));
}

/* A kernel that faults: the launch succeeds, everything later fails, until the context is a new one. */
static void test_sticky(void **state)
{
    (void)state;
    struct CUctx_st *other;
    struct CUstream_st *second;
    int bell = 0, answer = 0;
    pgk_devptr p;
    void *params[] = {&(int *){&bell}, &(int *){&answer}};
    OK(d->stream_create(&second, 1, 0));
    OK(d->launch_kernel(function("persist"), 1, 1, 1, 1, 1, 1, 0, second, params, NULL));
    ring(&bell, &answer, 1);
    control->fault(1, PGK_CUDA_ERROR_ILLEGAL_ADDRESS);
    OK(launch_add(0, 0, 0, stream));
    assert_int_equal(d->stream_synchronize(stream), PGK_CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_int_equal(d->stream_synchronize(second), PGK_CUDA_ERROR_ILLEGAL_ADDRESS); /* it died too */
    assert_int_equal(d->mem_alloc(&p, 8), PGK_CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_int_equal(d->stream_query(stream), PGK_CUDA_ERROR_ILLEGAL_ADDRESS);
    OK(d->device_primary_ctx_release(0));
    OK(d->device_primary_ctx_retain(&other, 0));
    assert_ptr_not_equal(other, ctx);
    OK(d->ctx_set_current(other));
    OK(d->mem_alloc(&p, 8));
    assert_int_equal(d->memset_d8_async(p, 0, 8, stream), PGK_CUDA_ERROR_INVALID_HANDLE);
    OK(d->mem_free(p));
    OK(d->device_primary_ctx_release(0));
}

static void test_lost(void **state)
{
    (void)state;
    struct CUctx_st *again, *second;
    control->devices(2);
    OK(d->device_primary_ctx_retain(&second, 1));
    control->lose(0, PGK_CUDA_ERROR_UNKNOWN);
    assert_int_equal(d->stream_query(stream), PGK_CUDA_ERROR_UNKNOWN);
    OK(d->device_primary_ctx_release(0));
    assert_int_equal(d->device_primary_ctx_retain(&again, 0), PGK_CUDA_ERROR_UNKNOWN);
    OK(d->ctx_set_current(second)); /* the other one works */
    pgk_devptr p;
    OK(d->mem_alloc(&p, 8));
    OK(d->device_primary_ctx_release(1));
}

/* A kernel that never ends holds its stream until its context dies. */
static void test_hang(void **state)
{
    (void)state;
    control->hang(2);
    OK(launch_add(0, 0, 0, stream));
    OK(d->stream_synchronize(stream));
    OK(launch_add(0, 0, 0, stream));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(d->stream_query(stream), PGK_CUDA_ERROR_NOT_READY);
        usleep(500);
    }
    control->lose(0, PGK_CUDA_ERROR_LAUNCH_TIMEOUT);
    assert_int_equal(d->stream_synchronize(stream), PGK_CUDA_ERROR_LAUNCH_TIMEOUT);
}

/* Reset says what was not given back, and frees it, also what runs. */
static void test_reset(void **state)
{
    (void)state;
    static int bell, answer;
    pgk_devptr p;
    void *params[] = {&(int *){&bell}, &(int *){&answer}};
    OK(d->mem_alloc(&p, 8));
    OK(d->launch_kernel(function("persist"), 1, 1, 1, 1, 1, 1, 0, stream, params, NULL));
    assert_int_equal(control->reset(), 4); /* context, stream, module, memory */
    assert_int_equal(control->reset(), 0);
}

static void test_environment(void **state)
{
    (void)state;
    int n, value;
    setenv("FAKE_CUDA_DEVICES", "3", 1);
    setenv("FAKE_CUDA_ATTRIBUTES", "88=1,100=1", 1);
    setenv("FAKE_CUDA_FAULTS", "cuDeviceGetCount@2=999,hang@1,kernel@9=700", 1);
    control->reset();
    OK(d->init(0));
    OK(d->device_get_count(&n));
    assert_int_equal(n, 3);
    assert_int_equal(d->device_get_count(&n), 999);
    OK(d->device_get_attribute(&value, 100, 2));
    assert_int_equal(value, 1);
    unsetenv("FAKE_CUDA_DEVICES");
    unsetenv("FAKE_CUDA_ATTRIBUTES");
    unsetenv("FAKE_CUDA_FAULTS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_of_calls, begin, end),
        cmocka_unit_test_setup_teardown(test_memory, begin, end),
        cmocka_unit_test_setup_teardown(test_registration, begin, end),
        cmocka_unit_test_setup_teardown(test_other_address, begin, end),
        cmocka_unit_test_setup_teardown(test_host_tables, begin, end),
        cmocka_unit_test_setup_teardown(test_launch, begin, end),
        cmocka_unit_test_setup_teardown(test_persistent, begin, end),
        cmocka_unit_test_setup_teardown(test_streams, begin, end),
        cmocka_unit_test_setup_teardown(test_failing_calls, begin, end),
        cmocka_unit_test_setup_teardown(test_sticky, begin, end),
        cmocka_unit_test_setup_teardown(test_lost, begin, end),
        cmocka_unit_test_setup_teardown(test_hang, begin, end),
        cmocka_unit_test_setup_teardown(test_reset, begin, end),
        cmocka_unit_test_setup_teardown(test_environment, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
