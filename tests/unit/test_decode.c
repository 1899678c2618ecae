/* test_decode - `polygond --decode`: what it prints for whom, and its exit codes. */
#include "decode.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

static char input[64];
static char output[64];
static char printed[65536];

static int setup(void **state)
{
    (void)state;
    snprintf(input, sizeof(input), "/tmp/test_decode.%ld.in", (long)getpid());
    snprintf(output, sizeof(output), "/tmp/test_decode.%ld.out", (long)getpid());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(input);
    unlink(output);
    return 0;
}

/* Runs it with standard output and error in files; the output's text is in `printed`. */
static int decode(const char *kind, const char *text, const char *cluster)
{
    FILE *f = fopen(input, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    fflush(stdout);
    fflush(stderr);
    int out = dup(STDOUT_FILENO);
    int err = dup(STDERR_FILENO);
    assert_non_null(freopen(output, "wb", stdout));
    assert_non_null(freopen("/dev/null", "wb", stderr));
    int r = decode_main(kind, input, cluster);
    fflush(stdout);
    fflush(stderr);
    assert_true(dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0);
    close(out);
    close(err);
    f = fopen(output, "rb");
    assert_non_null(f);
    size_t n = fread(printed, 1, sizeof(printed) - 1, f);
    printed[n] = '\0';
    fclose(f);
    return r;
}

/* Every line is one JSON object. */
static size_t lines(void)
{
    size_t count = 0;
    for (const char *p = printed; *p; count++) {
        const char *end = strchr(p, '\n');
        assert_non_null(end);
        json_error_t error;
        json_t *json = json_loadb(p, (size_t)(end - p), 0, &error);
        if (!json)
            fail_msg("%s: %.*s", error.text, (int)(end - p), p);
        assert_true(json_is_object(json));
        json_decref(json);
        p = end + 1;
    }
    return count;
}

static void records(void **state)
{
    (void)state;
    assert_int_equal(
        decode("ws",
               "[{\"ev\":\"T\",\"sym\":\"AAPL\",\"x\":11,\"i\":\"5\",\"z\":3,\"p\":161.87,\"s\":0.1,"
               "\"c\":[14,41],\"t\":1767366000123,\"q\":4009402}]\n",
               NULL),
        0);
    assert_string_equal(
        printed, "{\"type\":\"trade\",\"ev\":\"T\",\"symbol\":\"AAPL\",\"t\":1767366000123,"
                 "\"t_ns\":1767366000123000000,\"price\":161.87,\"size\":0.1,\"exchange\":11,\"trf\":null,"
                 "\"tape\":3,\"seq\":4009402,\"id\":5,\"cond\":[14,41]}\n");
    assert_int_equal(decode("ws",
                            "[{\"ev\":\"Q\",\"sym\":\"KO\",\"bp\":0.30000000000000004,\"t\":1767366000123}]",
                            "stocks"),
                     0);
    assert_string_equal(
        printed, "{\"type\":\"quote\",\"ev\":\"Q\",\"symbol\":\"KO\",\"t\":1767366000123,"
                 "\"t_ns\":1767366000123000000,\"bid\":0.30000000000000004,\"ask\":null,\"bid_size\":null,"
                 "\"ask_size\":null,\"bid_exchange\":null,\"ask_exchange\":null,\"tape\":null,\"seq\":null,"
                 "\"cond\":[]}\n");
    assert_int_equal(decode("ws",
                            "[{\"ev\":\"AM\",\"sym\":\"I:SPX\",\"o\":1,\"h\":2.5,\"l\":0.5,\"c\":1e-7,"
                            "\"s\":1767366000000,\"e\":1767366060000}]",
                            "indices"),
                     0);
    assert_string_equal(
        printed,
        "{\"type\":\"bar\",\"ev\":\"AM\",\"symbol\":\"I:SPX\",\"t\":1767366000000,\"end\":1767366060000,"
        "\"o\":1,\"h\":2.5,\"l\":0.5,\"c\":1e-07,\"v\":null,\"vw\":null,\"n\":null,\"op\":null,"
        "\"av\":null,\"a\":null,\"otc\":false}\n");
    assert_int_equal(decode("ws",
                            "[{\"ev\":\"status\",\"status\":\"connected\",\"message\":\"a\\\"\\n\"},"
                            "{\"ev\":\"LULD\",\"T\":\"KO\",\"t\":1767366000123}]",
                            NULL),
                     0);
    assert_string_equal(
        printed,
        "{\"type\":\"status\",\"ev\":\"status\",\"status\":\"connected\",\"message\":\"a\\\"\\u000a\"}\n"
        "{\"type\":\"counted\",\"ev\":\"LULD\",\"symbol\":\"KO\",\"t\":1767366000123,"
        "\"t_ns\":1767366000123000000}\n");
    assert_int_equal(lines(), 2);
}

static void refused(void **state)
{
    (void)state;
    assert_int_equal(decode("ws",
                            "[{\"ev\":\"T\",\"sym\":\"KO\",\"p\":-1,\"s\":1,\"t\":1767366000123},{\"ev\":"
                            "\"T\",\"p\":\"\xc3\xa9\"},"
                            "{\"ev\":\"ZZ\"}]",
                            NULL),
                     1);
    assert_int_equal(lines(), 3);
    assert_non_null(
        strstr(printed,
               "{\"refused\":\"a price is negative\",\"fault\":\"refused\",\"raw\":\"{\\\"ev\\\":\\\"T\\\""));
    assert_non_null(strstr(printed, "\"ev\":\"T\",\"symbol\":\"KO\"}\n"));
    assert_non_null(strstr(printed, "\"fault\":\"malformed\""));
    assert_non_null(strstr(printed, "\"fault\":\"unknown\""));
    /* Raw bytes are cut. */
    char text[2000] = "[{\"ev\":\"T\",\"x\":\"";
    for (int i = 0; i < 1000; i++)
        strcat(text, "y");
    strcat(text, "\"}]");
    assert_int_equal(decode("ws", text, NULL), 1);
    assert_true(strlen(printed) < 350);
    assert_int_equal(lines(), 1);
}

#define GOOD "{\"ev\":\"LV\",\"sym\":\"KO\"}"

static void messages(void **state)
{
    (void)state;
    assert_int_equal(decode("ws", "[" GOOD "]\n\n[" GOOD "," GOOD "]\r\n" GOOD, NULL), 0);
    assert_int_equal(lines(), 4);
    assert_int_equal(
        decode("ws", "[\n  {\n    \"ev\": \"LV\",\n    \"sym\": \"K]O\"\n  }\n]\n[\n" GOOD "\n]\n", NULL), 0);
    assert_int_equal(lines(), 2);
    assert_int_equal(decode("ws", "", NULL), 0);
    assert_string_equal(printed, "");
    /* A damaged line does not take the next with it. */
    assert_int_equal(decode("ws", "[" GOOD ",{\"ev\n[" GOOD "]\nhello [\n[" GOOD "]\n]\n[" GOOD "]", NULL),
                     1);
    assert_int_equal(lines(), 4 + 3);
    assert_int_equal(decode("ws", "[\n[\n" GOOD "\n]\n", NULL), 1);
    assert_int_equal(lines(), 2);
    char text[1000] = "";
    for (int i = 0; i < 40; i++)
        strcat(text, "[\n");
    strcat(text, "{\n\"ev\":\"LV\",\"sym\":\"KO\"\n}\n");
    assert_int_equal(decode("ws", text, NULL), 1);
    assert_int_equal(lines(), 43);
    assert_int_equal(decode("ws", "[" GOOD "]\n[{\"ev\":\"LV\",\"sym\":\"\xff\"}]\n[" GOOD "]\n", NULL), 1);
    assert_int_equal(lines(), 3);
    assert_non_null(strstr(printed, "UTF-8"));
}

static void rest(void **state)
{
    (void)state;
    assert_int_equal(
        decode("rest",
               "{\"ticker\":\"KO\",\"results\":[{\"v\":7e6,\"vw\":1.25,\"o\":1,\"h\":2,\"l\":1,\"c\":2,"
               "\"t\":1767366000000,\"n\":12}],\"status\":\"OK\"}",
               NULL),
        0);
    assert_string_equal(
        printed,
        "{\"type\":\"bar\",\"ev\":\"AM\",\"symbol\":\"KO\",\"t\":1767366000000,\"end\":null,\"o\":1,\"h\":2,"
        "\"l\":1,\"c\":2,\"v\":7000000,\"vw\":1.25,\"n\":12,\"op\":null,\"av\":null,\"a\":null,"
        "\"otc\":false}\n");
    assert_int_equal(
        decode("rest",
               "{\"results\":[{\"price\":1,\"size\":2,\"sip_timestamp\":1767366000000000001,\"id\":\"x\"}]}",
               NULL),
        0);
    assert_non_null(strstr(printed, "\"t_ns\":1767366000000000001"));
    assert_non_null(strstr(printed, "\"id\":\"af63f54c86021707\""));
    assert_non_null(strstr(printed, "\"id_hashed\":true,\"filled\":true}"));
    assert_int_equal(lines(), 1);
    assert_int_equal(decode("rest", "<html>", NULL), 1);
    assert_int_equal(lines(), 1);
    assert_int_equal(decode("rest", "\"\xff\"", NULL), 1);
    assert_int_equal(lines(), 1);
}

static void usage(void **state)
{
    (void)state;
    assert_int_equal(decode("xml", "", NULL), 2);
    assert_int_equal(decode("ws", "", "bonds"), 2);
    assert_string_equal(printed, "");
    fflush(stderr);
    int err = dup(STDERR_FILENO);
    assert_non_null(freopen("/dev/null", "wb", stderr));
    assert_int_equal(decode_main("ws", "/nonexistent/file", NULL), 1);
    fflush(stderr);
    assert_true(dup2(err, STDERR_FILENO) >= 0);
    close(err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records), cmocka_unit_test(refused), cmocka_unit_test(messages),
        cmocka_unit_test(rest),    cmocka_unit_test(usage),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
