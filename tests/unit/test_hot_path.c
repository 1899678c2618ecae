/* From a received frame to a published row nothing allocates: counted by the sanitizer's allocation hooks
 * (asan builds). */
#include "fixture_bus.h"

#include <sched.h>

#include "parse.h"
#include "ws.h"

int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *)) __attribute__((weak));

static unsigned long allocations;
static bool counting;

static void on_malloc(const volatile void *p, size_t size)
{
    (void)p, (void)size;
    if (counting)
        __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
}

static void on_free(const volatile void *p)
{
    (void)p;
}

static void on_message(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    (void)opcode;
    assert_int_equal(parse_ws((const char *)data, size, PGD_STOCKS, user), 0);
}

static void on_control(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    (void)user, (void)opcode, (void)data, (void)size;
}

static size_t make_frame(uint8_t *frame, unsigned i)
{
    char text[1024];
    int n = snprintf(
        text, sizeof text,
        "[{\"ev\":\"T\",\"sym\":\"AAPL\",\"x\":4,\"i\":\"%u\",\"p\":100.25,\"s\":7,\"t\":1700000000000,\"q\":"
        "%u},"
        "{\"ev\":\"Q\",\"sym\":\"AAPL\",\"bx\":4,\"bp\":100.1,\"bs\":1,\"ax\":7,\"ap\":100.2,\"as\":2,"
        "\"t\":1700000000000,\"q\":%u},"
        "{\"ev\":\"A\",\"sym\":\"AAPL\",\"v\":1,\"av\":5,\"vw\":1.5,\"o\":1,\"c\":2,\"h\":2,\"l\":1,\"s\":%"
        "llu000},"
        "{\"ev\":\"AM\",\"sym\":\"AAPL\",\"v\":1,\"av\":5,\"vw\":1.5,\"o\":1,\"c\":2,\"h\":2,\"l\":1,\"s\":%"
        "llu000},"
        "{\"ev\":\"ZZ\",\"sym\":\"AAPL\"},{\"ev\":\"T\",\"sym\":\"OTHER\",\"x\":4,\"p\":1,\"s\":1,"
        "\"t\":1700000000000,\"q\":1}]",
        i, i + 1, i + 1, 1700000040ull + i, 1700000040ull + i / 3 * 60);
    size_t size = (size_t)n;
    frame[0] = 0x81;
    frame[1] = 126;
    frame[2] = (uint8_t)(size >> 8);
    frame[3] = (uint8_t)size;
    memcpy(frame + 4, text, size);
    return size + 4;
}

static void test_nothing_is_allocated(void **state)
{
    (void)state;
    if (!__sanitizer_install_malloc_and_free_hooks)
        skip();
    __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
    struct fixture f = {0};
    fixture_open(&f, 4, 128);
    fixture_take(&f, "AAPL", PGD_STOCKS, false);
    struct parse_sink sink = feed_sink(f.feed, PGD_STOCKS);
    struct ws_sink ws = {on_message, on_control, &sink};
    struct ws_decoder *decoder = ws_decoder_new(1 << 20);
    for (unsigned i = 0; i < 2000; i++) {
        uint8_t frame[1100];
        size_t room, size = make_frame(frame, i);
        if (i == 10) { /* the buffers have their size by then, and the worker's thread has begun */
            while (fixture_counter(&f, PGD_C_engine_batches) == 0)
                sched_yield();
            counting = true;
        }
        uint8_t *to = ws_decoder_space(decoder, &room);
        assert_true(room >= size);
        memcpy(to, frame, size);
        assert_int_equal(ws_decoder_take(decoder, size, &ws), 0);
        feed_batch(f.feed, size, 1);
    }
    counting = false;
    ws_decoder_free(decoder);
    fixture_close(&f); /* the worker has done everything by then */
    assert_int_equal(allocations, 0);
    fixture_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_is_allocated)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
