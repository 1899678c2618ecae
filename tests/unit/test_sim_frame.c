/* The server's side of RFC 6455, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "polysim/frame.h"

struct got {
    struct sim_text log;
};

static void on_message(void *user, enum sim_opcode opcode, const char *data, size_t size)
{
    struct got *got = user;
    sim_text_printf(&got->log, "%s%d:%.*s", got->log.size ? " " : "", (int)opcode,
                    (int)(size < 40 ? size : 40), data);
}

static const struct sim_frame_sink *sink_to(struct got *got)
{
    static struct sim_frame_sink sink = {on_message, on_message, NULL, NULL};
    sink.user = got;
    return &sink;
}

/* A client's frame: masked. */
static void add_frame(struct sim_text *out, unsigned first, const char *data, size_t size)
{
    static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};
    sim_text_char(out, (char)first);
    if (size < 126) {
        sim_text_char(out, (char)(0x80 | size));
    } else {
        size_t bytes = size < 65536 ? 2 : 8;
        sim_text_char(out, (char)(size < 65536 ? 0xfe : 0xff));
        for (size_t i = bytes; i-- > 0;)
            sim_text_char(out, (char)((uint64_t)size >> (8 * i)));
    }
    sim_text_add(out, mask, 4);
    for (size_t i = 0; i < size; i++)
        sim_text_char(out, (char)(data[i] ^ mask[i & 3]));
}

/* Feeds the bytes in pieces of `step`, as a connection would. Returns the first code, and what was delivered
 * in got. */
static int feed(const struct sim_text *bytes, size_t step, struct got *got)
{
    struct sim_frame_reader reader = {0};
    struct sim_text held = {0};
    int code = 0;
    for (size_t at = 0; at < bytes->size && code == 0; at += step) {
        sim_text_add(&held, bytes->data + at, bytes->size - at < step ? bytes->size - at : step);
        size_t used = 0;
        code = sim_frame_read(&reader, held.data, held.size, &used, sink_to(got));
        memmove(held.data, held.data + used, held.size - used);
        held.size -= used;
    }
    sim_text_fini(&held);
    sim_frame_reader_fini(&reader);
    return code;
}

static void test_split_anywhere(void **state)
{
    (void)state;
    struct sim_text bytes = {0};
    char medium[300];
    memset(medium, 'm', sizeof(medium));
    add_frame(&bytes, 0x81, "whole", 5);
    add_frame(&bytes, 0x01, "be", 2);
    add_frame(&bytes, 0x89, "ping", 4);
    add_frame(&bytes, 0x00, "gin", 3);
    add_frame(&bytes, 0x80, "", 0);
    add_frame(&bytes, 0x82, medium, sizeof(medium));
    add_frame(&bytes, 0x88,
              "\x03\xe8"
              "bye",
              5);
    for (size_t step = 1; step < bytes.size; step += step < 20 ? 1 : 37) {
        struct got got = {0};
        assert_int_equal(feed(&bytes, step, &got), 0);
        assert_string_equal(sim_text_cstr(&got.log),
                            "1:whole 9:ping 1:begin 2:mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm 8:\x03\xe8"
                            "bye");
        sim_text_fini(&got.log);
    }
    sim_text_fini(&bytes);
}

static void code_is(int want, const char *bytes, size_t size)
{
    struct sim_text text = {0};
    struct got got = {0};
    sim_text_add(&text, bytes, size);
    assert_int_equal(feed(&text, 1, &got), want);
    sim_text_fini(&text);
    sim_text_fini(&got.log);
}

static void test_refused(void **state)
{
    (void)state;
    code_is(1002, "\x81\x01x", 3); /* not masked */
    code_is(1002, "\xc1\x80", 2);  /* reserved bit */
    code_is(1002, "\x83\x80", 2);  /* reserved opcodes */
    code_is(1002, "\x8b\x80", 2);
    code_is(1002, "\x09\x80", 2);                         /* fragmented ping */
    code_is(1002, "\x89\xfe", 2);                         /* ping over 125 bytes */
    code_is(1002, "\x81\xfe\x00\x7d\x00\x00\x00\x00", 8); /* length not in its shortest form */
    code_is(1002, "\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x00\x00", 14);
    code_is(1002, "\x81\xff\x80\x00\x00\x00\x00\x00\xff\xff\x00\x00\x00\x00", 14);
    code_is(1002, "\x80\x80\x00\x00\x00\x00", 6);         /* continuation of nothing */
    code_is(1007, "\x81\x81\x00\x00\x00\x00\xff", 7);     /* not UTF-8 */
    code_is(1002, "\x88\x81\x00\x00\x00\x00\x03", 7);     /* half a close code */
    code_is(1002, "\x88\x82\x00\x00\x00\x00\x03\xed", 8); /* 1005 must not be sent */
    code_is(1009, "\x81\xff\x00\x00\x00\x00\x00\x10\x00\x01\x00\x00\x00\x00", 14);
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\xaf",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xe2\x82",
                                      "a\xff"};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_true(sim_utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(sim_utf8_valid(bad[i], strlen(bad[i])));
}

static void test_write(void **state)
{
    (void)state;
    struct sim_text out = {0};
    sim_frame_write(&out, true, SIM_TEXT, "hi", 2);
    sim_frame_close(&out, 1008, "");
    assert_memory_equal(out.data, "\x81\x02hi\x88\x02\x03\xf0", 8);
    out.size = 0;
    char big[70000] = {0};
    sim_frame_write(&out, false, SIM_BINARY, big, 126);
    assert_memory_equal(out.data, "\x02\x7e\x00\x7e", 4);
    out.size = 0;
    sim_frame_write(&out, true, SIM_TEXT, big, sizeof(big));
    assert_memory_equal(out.data, "\x81\x7f\x00\x00\x00\x00\x00\x01\x11\x70", 10);
    assert_int_equal(out.size, sizeof(big) + 10);
    sim_text_fini(&out);
}

static void test_accept(void **state)
{
    (void)state;
    char accept[29];
    sim_frame_accept("dGhlIHNhbXBsZSBub25jZQ==", accept); /* the example of RFC 6455, section 1.3 */
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_anywhere), cmocka_unit_test(test_refused), cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_write),          cmocka_unit_test(test_accept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
