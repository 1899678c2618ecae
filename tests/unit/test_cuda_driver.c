/* Finding NVIDIA's driver, and what is said when there is none that serves; with a stand-in for it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "cuda/driver.h"
#include "fake/fake.h"

static const struct fake_cuda *control;

static int begin(void **state)
{
    (void)state;
    control = fake_cuda(fake_path("libcuda.so.1"));
    if (control)
        control->reset();
    return control ? 0 : -1;
}

static void refused(const char *path, int error, const char *text)
{
    char why[512] = "";
    const struct pgk_driver *untouched = (const void *)why, *d = untouched;
    assert_int_equal(pgk_driver_load(&d, path, why, sizeof why), error);
    assert_ptr_equal(d, untouched);
    assert_null(strchr(why, '\n'));
    if (!strstr(why, text))
        assert_string_equal(why, text);
    assert_int_equal(pgk_driver_load(&d, path, NULL, 0), error);
}

static void test_missing(void **state)
{
    (void)state;
    refused("/nonexistent/libcuda.so.1", -ENOENT, "no NVIDIA driver (/nonexistent/libcuda.so.1 not found)");
    refused("libpolygond-no-such-thing.so.9", -ENOENT,
            "no NVIDIA driver (libpolygond-no-such-thing.so.9 not found)");
}

static void test_not_a_library(void **state)
{
    (void)state;
    char path[] = "/tmp/polygond-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "no library", 10) == 10);
    close(fd);
    refused(path, -ELIBBAD, "the NVIDIA driver cannot be loaded: ");
    unlink(path);
    refused(fake_path("libnvrtc.so.13"), -ELIBBAD, "lacks cuInit: the NVIDIA driver is too old");
}

static void test_does_not_serve(void **state)
{
    (void)state;
    const char *path = fake_path("libcuda.so.1");
    control->version(11080);
    refused(path, -ENOTSUP, "the NVIDIA driver is too old: it serves CUDA 11.8, 12.0 is needed");
    assert_int_equal(control->calls("cuInit"), 0);
    control->reset();
    control->devices(0);
    refused(path, -ENODEV, "the NVIDIA driver finds no GPU");
    static const struct {
        const char *call;
        unsigned result;
        int error;
        const char *text;
    } cases[] = {
        {"cuInit", 34, -ENOTSUP, "no NVIDIA driver (libcuda.so.1 is the toolkit's stub)"},
        {"cuInit", 100, -ENODEV, "the NVIDIA driver finds no GPU"},
        {"cuInit", 803, -ENOTSUP,
         "the NVIDIA driver does not start: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803): an error of the fake "
         "driver"},
        {"cuInit", 999, -EIO,
         "the NVIDIA driver does not start: CUDA_ERROR_UNKNOWN (999): an error of the fake driver"},
        {"cuDriverGetVersion", 999, -EIO, "the NVIDIA driver does not start: CUDA_ERROR_UNKNOWN (999)"},
        {"cuDeviceGetCount", 999, -EIO, "the NVIDIA driver does not start: CUDA_ERROR_UNKNOWN (999)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        control->reset();
        control->refuse(cases[i].call, 1, cases[i].result);
        control->refuse(cases[i].call, 2, cases[i].result);
        refused(path, cases[i].error, cases[i].text);
    }
}

static void test_loads(void **state)
{
    (void)state;
    char why[256] = "as it was";
    const struct pgk_driver *d = NULL, *same = NULL;
    control->devices(3);
    assert_int_equal(pgk_driver_load(&d, fake_path("libcuda.so.1"), why, sizeof why), 0);
    assert_string_equal(why, "as it was");
    assert_int_equal(d->version, 13000);
    assert_int_equal(d->devices, 3);
#define PGK_CALL(field, symbol, arguments) assert_non_null((void *)(uintptr_t)d->field);
#include "cuda/driver.def"
    assert_int_equal(pgk_driver_load(&same, fake_path("libcuda.so.1"), why, sizeof why), 0);
    assert_ptr_equal(d, same);
}

static void test_results(void **state)
{
    (void)state;
    static const struct {
        unsigned result;
        int error;
        enum pgk_fault fault;
        const char *name;
    } cases[] = {
        {0, 0, PGK_FAULT_NONE, ""},
        {1, -EINVAL, PGK_FAULT_CALL, "CUDA_ERROR_INVALID_VALUE (1)"},
        {2, -ENOMEM, PGK_FAULT_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY (2)"},
        {46, -ENODEV, PGK_FAULT_DEVICE, "CUDA_ERROR_DEVICE_UNAVAILABLE (46)"},
        {200, -ENOEXEC, PGK_FAULT_CALL, "CUDA_ERROR_INVALID_IMAGE (200)"},
        {214, -EIO, PGK_FAULT_DEVICE, "CUDA_ERROR_ECC_UNCORRECTABLE (214)"},
        {222, -ENOEXEC, PGK_FAULT_CALL, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION (222)"},
        {600, -EBUSY, PGK_FAULT_NOT_READY, "CUDA_ERROR_NOT_READY (600)"},
        {700, -EFAULT, PGK_FAULT_CONTEXT, "CUDA_ERROR_ILLEGAL_ADDRESS (700)"},
        {712, -EEXIST, PGK_FAULT_CALL, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED (712)"},
        {719, -EFAULT, PGK_FAULT_CONTEXT, "CUDA_ERROR_LAUNCH_FAILED (719)"},
        {999, -EIO, PGK_FAULT_DEVICE, "CUDA_ERROR_UNKNOWN (999)"},
        {54321, -EIO, PGK_FAULT_CONTEXT, "unknown CUDA error (54321)"},
    };
    const struct pgk_driver *d;
    char text[200], cut[8];
    assert_int_equal(pgk_driver_load(&d, fake_path("libcuda.so.1"), text, sizeof text), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(pgk_driver_fault(cases[i].result), cases[i].fault);
        assert_int_equal(pgk_driver_error(NULL, cases[i].result, text, sizeof text), cases[i].error);
        assert_string_equal(text, cases[i].name);
        assert_int_equal(pgk_driver_error(d, cases[i].result, text, sizeof text), cases[i].error);
        assert_memory_equal(text, cases[i].name, strlen(cases[i].name));
        assert_int_equal(pgk_driver_error(d, cases[i].result, cut, sizeof cut), cases[i].error);
        assert_true(strlen(cut) < sizeof cut);
        assert_int_equal(pgk_driver_error(d, cases[i].result, NULL, 0), cases[i].error);
    }
    pgk_driver_error(d, 700, text, sizeof text);
    assert_string_equal(text, "CUDA_ERROR_ILLEGAL_ADDRESS (700): an illegal memory access was encountered");
}

static void test_device(void **state)
{
    (void)state;
    const struct pgk_driver *d;
    struct pgk_driver_device info;
    char why[256];
    control->devices(2);
    control->memory((uint64_t)80 << 30);
    assert_int_equal(pgk_driver_load(&d, fake_path("libcuda.so.1"), why, sizeof why), 0);
    assert_int_equal(pgk_driver_device(d, 1, &info, why, sizeof why), 0);
    assert_string_equal(info.name, "Fake GPU 1");
    assert_int_equal(info.uuid[0], 0xfa);
    assert_int_equal(info.uuid[15], 1);
    assert_int_equal(info.memory, (uint64_t)80 << 30);
    assert_int_equal(info.arch, 90);
    assert_int_equal(info.sms, 8);
    assert_int_equal(info.shared_size, 232448);
    assert_true(info.can_register && info.same_pointer);
    assert_false(info.host_tables);

    /* Pageable access alone may be by faults (HMM); the page tables must be the host's. */
    control->attribute(1, PGK_CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS, 1);
    assert_int_equal(pgk_driver_device(d, 1, &info, why, sizeof why), 0);
    assert_false(info.host_tables);
    control->attribute(1, PGK_CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES, 1);
    control->attribute(1, PGK_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 12);
    control->attribute(1, PGK_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 1);
    assert_int_equal(pgk_driver_device(d, 1, &info, why, sizeof why), 0);
    assert_true(info.host_tables);
    assert_int_equal(info.arch, 121);
    assert_int_equal(pgk_driver_device(d, 0, &info, why, sizeof why), 0);
    assert_false(info.host_tables);

    info.arch = 7;
    assert_int_equal(pgk_driver_device(d, 2, &info, why, sizeof why), -ENODEV);
    assert_string_equal(why, "GPU 2: CUDA_ERROR_INVALID_DEVICE (101): an error of the fake driver");
    control->refuse("cuDeviceGetAttribute", 3, 999);
    assert_int_equal(pgk_driver_device(d, 0, &info, why, sizeof why), -EIO);
    assert_int_equal(info.arch, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_missing, begin),        cmocka_unit_test_setup(test_not_a_library, begin),
        cmocka_unit_test_setup(test_does_not_serve, begin), cmocka_unit_test_setup(test_loads, begin),
        cmocka_unit_test_setup(test_results, begin),        cmocka_unit_test_setup(test_device, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
