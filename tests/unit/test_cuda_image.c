/* Which kernels a GPU is opened with: made for the plan, kept, general; over stand-ins for the driver and
 * NVRTC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cuda/driver.h"
#include "cuda/fuse.h"
#include "cuda/gpu.h"
#include "cuda/rtc.h"
#include "cuda/text.h"
#include "fake/fake.h"
#include "kernels/engine.h"
#include "reference/reference.h"
#include "reference/segment.h"

static const struct fake_cuda *fake;
static const struct fake_nvrtc *compiler;

static void expect_why(struct pgk_engine_options options, const char *const *names, size_t count,
                       const char *text)
{
    struct pgk_plan *plan;
    struct pgk_engine *engine = NULL;
    char why[256] = "";
    assert_int_equal(pgk_plan_new(&plan, names, count, why, sizeof why), 0);
    int rc = pgk_engine_new(&engine, plan, &options, why, sizeof why);
    if (strlen(why) < strlen(text) || strcmp(why + strlen(why) - strlen(text), text) != 0)
        fail_msg("%d, %s; not: %s", rc, why, text);
    pgk_engine_free(engine);
    pgk_plan_free(plan);
}

/* Kernels for a plan and an architecture are compiled once. Those that were kept and are damaged, or that the
 * driver refuses, are made anew; when there can be none, the general one serves. */
static void kernels_are_kept(void **state)
{
    (void)state;
    static const char *const sma[] = {"sma_20"}, *const longer[] = {"sma_21"};
    char top[] = "/tmp/polygond-test-XXXXXX", command[128];
    assert_non_null(mkdtemp(top));
    (void)fake->reset();
    compiler->reset();
    struct pgk_engine_options options = {.kind = PGK_CUDA,
                                         .cuda_driver = fake_path("libcuda.so.1"),
                                         .cuda_rtc = fake_path("libnvrtc.so.13"),
                                         .cache = top};
    expect_why(options, sma, 1, "Fake GPU 0, fused kernels");
    expect_why(options, sma, 1, "fused kernels, kept");
    assert_int_equal(compiler->compiled(), 1);
    expect_why(options, longer, 1, "fused kernels");                          /* another plan */
    fake->attribute(-1, PGK_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 8); /* another architecture */
    expect_why(options, sma, 1, "fused kernels");
    expect_why(options, sma, 1, "fused kernels, kept");
    (void)fake->reset();
    expect_why(options, sma, 1, "fused kernels, kept");
    compiler->version(12, 9); /* another compiler */
    expect_why(options, sma, 1, "fused kernels");
    compiler->reset();
    snprintf(command, sizeof command, "for f in %s/*.krn; do truncate -s -1 $f; done", top);
    assert_int_equal(system(command), 0);
    expect_why(options, sma, 1, "fused kernels");
    expect_why(options, sma, 1, "fused kernels, kept");
    fake->refuse("cuModuleLoadDataEx", 1, PGK_CUDA_ERROR_INVALID_IMAGE);
    expect_why(options, sma, 1, "fused kernels");
    assert_int_equal(compiler->compiled(), 2);
    const char *last = pgk_fatbin_size > 0 ? "Fake GPU 0, general kernels" : "and none were built in";
    fake->refuse("cuModuleLoadDataEx", 1, PGK_CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    fake->refuse("cuModuleLoadDataEx", 2, PGK_CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    expect_why(options, sma, 1, last);
    compiler->refuse("nvrtcCompileProgram", 6, "no");
    options.cache = "/dev/null";
    expect_why(options, sma, 1, last);
    options.cuda_rtc = "/nonexistent/libnvrtc.so.13";
    expect_why(options, sma, 1, last);
    snprintf(command, sizeof command, "rm -rf %s", top);
    assert_int_equal(system(command), 0);
}

/* NVIDIA's own compiler, where there is one, takes the text of a plan. */
static void nvrtc_takes_the_text(void **state)
{
    (void)state;
    struct pgk_rtc *rtc;
    struct pgk_plan *plan;
    struct pgk_rtc_image image;
    struct pgk_gpu_plan layout;
    char text[2000] = "";
    if (pgk_rtc_load(&rtc, NULL, 0, text, sizeof text) != 0)
        skip();
    assert_int_equal(pgk_plan_new(&plan, NULL, 0, text, sizeof text), 0);
    pgk_fuse_plan(&layout, plan, PGK_GPU_AHEAD);
    char *source = pgk_fuse_text(plan, &layout);
    const struct pgk_rtc_source what = {.name = "fused.cu", .text = source, .arch = 90};
    if (pgk_rtc_compile(rtc, NULL, &what, &image, text, sizeof text) != 0)
        fail_msg("%s", text);
    assert_string_equal(text, "");
    assert_true(!image.ptx && image.size > 10000 && memcmp(image.data, "\177ELF", 4) == 0);
    pgk_rtc_image_free(&image);
    pgk_plan_free(plan);
    pgk_rtc_free(rtc);
    free(source);
}

/* As many columns as there can be, on a GPU with little shared memory: fewer rows at a time, the same bits;
 * with too little it is not used. */
static void wide_plans(void **state)
{
    (void)state;
    enum { rows = 300 };
    static char text[PGK_COLUMNS_MAX][16];
    static struct pgd_bar bars[rows];
    const char *names[PGK_COLUMNS_MAX];
    char why[256];
    struct pgk_plan *plan;
    struct pgk_engine *engine;
    struct ref_segment segment, fresh;
    struct ref_market market;
    struct pgk_engine_options options = {.kind = PGK_CUDA,
                                         .cuda_driver = fake_path("libcuda.so.1"),
                                         .cuda_rtc = fake_path("libnvrtc.so.13"),
                                         .cache = "/dev/null",
                                         .cuda_tasks = 1};
    for (unsigned i = 0; i < PGK_COLUMNS_MAX; i++) {
        snprintf(text[i], sizeof text[i], i % 2 == 0 ? "sma_%u" : "ema_%u", i + 1);
        names[i] = text[i];
    }
    assert_int_equal(pgk_plan_new(&plan, names, PGK_COLUMNS_MAX, why, sizeof why), 0);
    (void)fake->reset();
    fake->attribute(-1, PGK_CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 49152);
    assert_int_equal(pgk_engine_new(&engine, plan, &options, why, sizeof why), -ENOTSUP);
    assert_string_equal(why, "cuda: Fake GPU 0: 127 columns do not fit its shared memory");
    fake->attribute(-1, PGK_CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 65536);
    assert_int_equal(pgk_engine_new(&engine, plan, &options, why, sizeof why), 0);
    ref_segment_init(&segment, plan, 1, rows + 1, 16, true);
    ref_open(&segment, 0, PGD_SESSION_US);
    ref_market_init(&market, 7, 100);
    assert_int_equal(pgk_engine_bind(engine, segment.base, &segment.geo), 0);
    for (uint64_t i = 0, end = 0; i < rows; i++) {
        ref_market_next(&market, &bars[i]);
        (void)ref_append(&segment, 0, &bars[i]);
        if (i < 200)
            continue; /* swept in one go, then pushed */
        struct pgk_change change = {.from = end, .end = i + 1};
        assert_int_equal(pgk_engine_compute(engine, 0, &change, 1), 0);
        end = i + 1;
    }
    assert_int_equal(pgk_engine_kind(engine), PGK_CUDA);
    assert_true(fake->launched("pgk_sweep") > 0 && fake->launched("pgk_push") > 0);
    ref_stream(&fresh, plan, bars, rows, rows + 1, PGD_SESSION_US);
    assert_int_equal(ref_difference(&segment, &fresh), rows);
    pgk_engine_free(engine);
    ref_segment_fini(&segment);
    ref_segment_fini(&fresh);
    pgk_plan_free(plan);
}

static int load_stand_ins(void **state)
{
    (void)state;
    fake = fake_cuda(fake_path("libcuda.so.1"));
    compiler = fake_nvrtc(fake_path("libnvrtc.so.13"));
    return fake != NULL && compiler != NULL ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nvrtc_takes_the_text), /* first: a stand-in that is loaded goes by the same name */
        cmocka_unit_test_setup(kernels_are_kept, load_stand_ins),
        cmocka_unit_test_setup(wide_plans, load_stand_ins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
