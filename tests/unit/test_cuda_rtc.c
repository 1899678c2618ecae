/* Finding NVRTC, compiling, keeping; with a stand-in for it (test_cuda_image has the real one). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "cuda/cache.h"
#include "cuda/rtc.h"
#include "fake/fake.h"

static const struct fake_nvrtc *control;
static struct pgk_rtc *rtc;
static struct pgk_cache *cache;
static char top[64];

static int begin(void **state)
{
    (void)state;
    char why[256];
    strcpy(top, "/tmp/polygond-test-XXXXXX");
    control = fake_nvrtc(fake_path("libnvrtc.so.13"));
    if (!control || !mkdtemp(top))
        return -1;
    control->reset();
    if (pgk_rtc_load(&rtc, fake_path("libnvrtc.so.13"), 13000, why, sizeof why) < 0)
        return -1;
    return pgk_cache_open(&cache, top, why, sizeof why);
}

static int end(void **state)
{
    (void)state;
    char command[128];
    pgk_cache_close(cache);
    pgk_rtc_free(rtc);
    control->reset();
    snprintf(command, sizeof command, "rm -rf '%s'", top);
    return system(command);
}

static void refused(const char *path, int driver_version, int error, const char *text)
{
    char why[512] = "";
    struct pgk_rtc *r = NULL;
    assert_int_equal(pgk_rtc_load(&r, path, driver_version, why, sizeof why), error);
    assert_null(r);
    assert_null(strchr(why, '\n'));
    if (!strstr(why, text))
        assert_string_equal(why, text);
}

static void test_load(void **state)
{
    (void)state;
    const char *path = fake_path("libnvrtc.so.13");
    char script[128];
    assert_int_equal(pgk_rtc_version(rtc), 13000);
    assert_string_equal(pgk_rtc_path(rtc), path);
    refused("/nonexistent/libnvrtc.so.13", 0, -ENOENT, "no NVRTC (/nonexistent/libnvrtc.so.13 not found)");
    refused(fake_path("libcuda.so.1"), 0, -ELIBBAD, "lacks nvrtcGetErrorString: NVRTC is too old");
    snprintf(script, sizeof script, "%s/text", top);
    FILE *f = fopen(script, "w");
    assert_non_null(f);
    fclose(f);
    refused(script, 0, -ELIBBAD, "NVRTC cannot be loaded: ");
    path = fake_path("libnvrtc.so.13");
    refused(path, 12080, -ENOTSUP, "is newer than the driver, which serves CUDA 12.8");
    control->version(14, 2);
    refused(path, 13000, -ENOTSUP, "NVRTC 14.2 (");
    control->reset();
    control->refuse("nvrtcVersion", 11, NULL);
    refused(path, 13000, -EIO, "does not start: NVRTC_ERROR");
    static const int archs[32] = {1};
    control->archs(archs, 0);
    refused(path, 13000, -ELIBBAD, "compiles for 0 architectures");
}

static const char *const options[] = {"-DPGK_ONE=1", "-DPGK_TWO"};
static const struct pgk_rtc_source source = {
    .name = "fused.cu", .text = "text of the kernel", .options = options, .options_count = 2, .arch = 90};

/* Compiles, expects success, and says whether it came from the cache. */
static bool cached(const struct pgk_rtc_source *s)
{
    char log[256];
    struct pgk_rtc_image image;
    assert_int_equal(pgk_rtc_compile(rtc, cache, s, &image, log, sizeof log), 0);
    assert_string_equal(log, "");
    bool was = image.cached;
    assert_false(image.ptx);
    char wanted[256];
    snprintf(wanted, sizeof wanted, "cubin sm_%u\n%s", s->arch, s->text);
    assert_int_equal(image.size, strlen(wanted));
    assert_memory_equal(image.data, wanted, image.size);
    pgk_rtc_image_free(&image);
    assert_null(image.data);
    pgk_rtc_image_free(&image);
    return was;
}

static void test_compile(void **state)
{
    (void)state;
    assert_false(cached(&source));
    assert_string_equal(control->options(),
                        "--gpu-architecture=sm_90\n--std=c++17\n--fmad=false\n--ftz=false\n"
                        "--prec-div=true\n--prec-sqrt=true\n-DPGK_ONE=1\n-DPGK_TWO\n");
    for (size_t i = 0; i < pgk_texts_count; i++)
        assert_string_equal(control->header(pgk_texts[i].name), pgk_texts[i].data);
    assert_non_null(control->header("step/step.h"));
    assert_non_null(control->header("indicators.def"));
    assert_true(cached(&source));
    assert_int_equal(control->compiled(), 1);
}

/* All that an image depends on makes another key. */
static void test_key(void **state)
{
    (void)state;
    char why[256];
    static const char *const joined[] = {"-DPGK_ONE=1-DPGK_TWO"};
    assert_false(cached(&source));
    struct pgk_rtc_source other = source;
    other.text = "text of the kernel.";
    assert_false(cached(&other));
    other = source;
    other.name = "fused.c";
    assert_false(cached(&other));
    other = source;
    other.options_count = 1;
    assert_false(cached(&other));
    other.options = joined;
    assert_false(cached(&other));
    other = source;
    other.arch = 80;
    assert_false(cached(&other));
    assert_true(cached(&source));
    pgk_rtc_free(rtc);
    control->version(12, 9);
    assert_int_equal(pgk_rtc_load(&rtc, fake_path("libnvrtc.so.13"), 13000, why, sizeof why), 0);
    assert_false(cached(&source));
    assert_int_equal(control->compiled(), 7);
}

static void test_architectures(void **state)
{
    (void)state;
    char log[256];
    struct pgk_rtc_image image;
    struct pgk_rtc_source s = source;
    s.arch = 103; /* later than NVRTC knows: PTX of the latest before it */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pgk_rtc_compile(rtc, cache, &s, &image, log, sizeof log), 0);
        assert_true(image.ptx);
        assert_int_equal(image.cached, i);
        assert_memory_equal(image.data, "ptx compute_100\n", 16);
        assert_int_equal(((char *)image.data)[image.size], 0);
        pgk_rtc_image_free(&image);
    }
    s.arch = 70;
    assert_int_equal(pgk_rtc_compile(rtc, cache, &s, &image, log, sizeof log), -ENOTSUP);
    assert_string_equal(log, "NVRTC 13.0 does not compile for sm_70: the GPU is too old for it");
    const char *many[100];
    for (int i = 0; i < 100; i++)
        many[i] = "-DX";
    s = source;
    s.options = many;
    s.options_count = 100;
    assert_int_equal(pgk_rtc_compile(rtc, cache, &s, &image, log, sizeof log), -E2BIG);
}

static void test_failures(void **state)
{
    (void)state;
    static const char *const functions[] = {"nvrtcCreateProgram", "nvrtcCompileProgram", "nvrtcGetCUBINSize",
                                            "nvrtcGetCUBIN"};
    char log[64], cut[8];
    struct pgk_rtc_image image;
    control->refuse("nvrtcCompileProgram", 6, "fused.cu(1): error: no\nfused.cu(2): error: no\n");
    assert_int_equal(pgk_rtc_compile(rtc, cache, &source, &image, log, sizeof log), -EINVAL);
    assert_string_equal(log, "fused.cu(1): error: no\nfused.cu(2): error: no\n");
    control->refuse("nvrtcCompileProgram", 6, "fused.cu(1): error: no");
    assert_int_equal(pgk_rtc_compile(rtc, cache, &source, &image, cut, sizeof cut), -EINVAL);
    assert_string_equal(cut, "fused.c");
    control->refuse("nvrtcCompileProgram", 6, "fused.cu(1): error: no");
    assert_int_equal(pgk_rtc_compile(rtc, cache, &source, &image, NULL, 0), -EINVAL);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        control->refuse(functions[i], 7, NULL);
        assert_int_equal(pgk_rtc_compile(rtc, cache, &source, &image, log, sizeof log), -ELIBBAD);
        assert_string_equal(log, "NVRTC 13.0: NVRTC_ERROR_BUILTIN_OPERATION_FAILURE");
    }
    assert_false(cached(&source)); /* nothing of it was kept */
}

/* A damaged entry is made afresh; a cache that cannot be written, or none, is no failure. */
static void test_cache(void **state)
{
    (void)state;
    char command[256], log[512];
    struct pgk_rtc_image image;
    assert_false(cached(&source));
    snprintf(command, sizeof command, "for f in %s/*.krn; do truncate -s -1 $f; done", top);
    assert_int_equal(system(command), 0);
    assert_false(cached(&source));
    assert_true(cached(&source));
    snprintf(command, sizeof command, "rm -r %s", top);
    assert_int_equal(system(command), 0);
    assert_int_equal(pgk_rtc_compile(rtc, cache, &source, &image, log, sizeof log), 0);
    assert_false(image.cached);
    assert_non_null(strstr(log, "cannot be written"));
    pgk_rtc_image_free(&image);
    assert_int_equal(pgk_rtc_compile(rtc, NULL, &source, &image, log, sizeof log), 0);
    assert_false(image.cached);
    assert_string_equal(log, "");
    pgk_rtc_image_free(&image);
}

/* What the binary carries is the files, byte by byte (run from the top of the sources, as make check does).
 */
static void test_texts(void **state)
{
    (void)state;
    static const char *const folders[] = {"kernels", "kernels/cuda/std", "shm/include"};
    unsigned compared = 0;
    for (size_t i = 0; i < pgk_texts_count; i++) {
        assert_int_equal(strlen(pgk_texts[i].data), pgk_texts[i].size);
        for (size_t j = 0; j < 3; j++) {
            char path[256];
            static char data[1 << 20];
            snprintf(path, sizeof path, "%s/%s", folders[j], pgk_texts[i].name);
            FILE *f = fopen(path, "r");
            if (!f)
                continue;
            assert_int_equal(fread(data, 1, sizeof data, f), pgk_texts[i].size);
            fclose(f);
            assert_memory_equal(data, pgk_texts[i].data, pgk_texts[i].size);
            compared++;
            break;
        }
    }
    assert_true(compared == 0 || compared == pgk_texts_count);
    static const unsigned char magic[] = {0x50, 0xed, 0x55, 0xba};
    assert_true(pgk_fatbin_size == 0 || pgk_fatbin_size > 100);
    if (pgk_fatbin_size > 0)
        assert_memory_equal(pgk_fatbin, magic, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_load, begin, end),
        cmocka_unit_test_setup_teardown(test_compile, begin, end),
        cmocka_unit_test_setup_teardown(test_key, begin, end),
        cmocka_unit_test_setup_teardown(test_architectures, begin, end),
        cmocka_unit_test_setup_teardown(test_failures, begin, end),
        cmocka_unit_test_setup_teardown(test_cache, begin, end),
        cmocka_unit_test_setup_teardown(test_texts, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
