/* prop_ws - random messages, fragmented, with control frames between, cut into random pieces: they come out
 * as they went in; and random bytes never do anything but end in an error. */
#include "ws.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static uint64_t seed;

static unsigned rnd(unsigned below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % below;
}

#define WIRE_MAX 2000000u

static uint8_t *wire; /* what the server sends */
static size_t wire_n;
static uint8_t *want; /* opcode, size and bytes of each message and control frame, in order */
static size_t want_n;
static uint8_t *got;
static size_t got_n;

static size_t record(uint8_t *to, size_t at, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    assert_true(at + size + 5 <= WIRE_MAX);
    uint32_t n = (uint32_t)size;
    to[at++] = (uint8_t)opcode;
    memcpy(to + at, &n, 4);
    if (size)
        memcpy(to + at + 4, data, size);
    return at + 4 + size;
}

static void on_any(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    (void)user;
    got_n = record(got, got_n, opcode, data, size);
}

static const struct ws_sink sink = {on_any, on_any, NULL};

static void frame(int first, const uint8_t *data, size_t size)
{
    uint8_t *p = wire + wire_n;
    assert_true(wire_n + size + 10 <= WIRE_MAX);
    *p++ = (uint8_t)first;
    if (size < 126) {
        *p++ = (uint8_t)size;
    } else {
        int bytes = size < 65536 ? 2 : 8;
        *p++ = bytes == 2 ? 126 : 127;
        for (int i = bytes; i-- > 0;)
            *p++ = (uint8_t)((uint64_t)size >> (8 * i));
    }
    if (size)
        memcpy(p, data, size);
    wire_n = (size_t)(p - wire) + size;
}

static void control(void)
{
    uint8_t data[125];
    size_t size = rnd(126);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)rnd(256);
    enum ws_opcode opcode = rnd(2) ? WS_PING : WS_PONG;
    frame(0x80 | (int)opcode, data, size);
    want_n = record(want, want_n, opcode, data, size);
}

static size_t utf8(uint8_t *data, size_t size)
{
    size_t n = 0;
    while (n + 4 <= size) {
        static const char *const some[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf",
                                           "\xf4\x8f\xbf\xbf"};
        const char *c = some[rnd(5)];
        if (rnd(20)) {
            data[n++] = (uint8_t)(' ' + rnd(95));
            continue;
        }
        memcpy(data + n, c, strlen(c));
        n += strlen(c);
    }
    return n;
}

static void message(size_t max)
{
    static uint8_t data[200000];
    size_t size = rnd(rnd(3) ? 300 : (unsigned)max);
    bool text = rnd(2);
    if (text)
        size = utf8(data, size);
    else
        for (size_t i = 0; i < size; i++)
            data[i] = (uint8_t)rnd(256);
    enum ws_opcode opcode = text ? WS_TEXT : WS_BINARY;
    size_t at = 0;
    int first = (int)opcode;
    for (;;) {
        size_t n = rnd(3) ? size - at : rnd((unsigned)(size - at) + 1);
        bool final = at + n == size && rnd(4);
        frame(first | (final ? 0x80 : 0), data + at, n);
        at += n;
        first = WS_CONT;
        if (final)
            break;
        if (rnd(2))
            control();
    }
    want_n = record(want, want_n, opcode, data, size);
}

static int feed(struct ws_decoder *d, size_t most)
{
    for (size_t at = 0; at < wire_n;) {
        size_t room = 0;
        uint8_t *space = ws_decoder_space(d, &room);
        assert_non_null(space);
        size_t n = 1 + rnd((unsigned)most);
        n = n < room ? n : room;
        n = n < wire_n - at ? n : wire_n - at;
        memcpy(space, wire + at, n);
        at += n;
        int r = ws_decoder_take(d, n, &sink);
        if (r < 0)
            return r;
    }
    return 0;
}

static void round_trip(void **state)
{
    (void)state;
    for (int turn = 0; turn < 300; turn++) {
        wire_n = want_n = got_n = 0;
        size_t max = 1 + rnd(turn % 10 ? 5000 : 150000);
        for (unsigned i = 0, n = 1 + rnd(8); i < n; i++) {
            message(max);
            if (rnd(3) == 0)
                control();
        }
        struct ws_decoder *d = ws_decoder_new(max < 300 ? 300 : max);
        assert_non_null(d);
        assert_int_equal(feed(d, rnd(3) == 0 ? 7 : rnd(2) ? 5000 : 100000), 0);
        assert_int_equal(got_n, want_n);
        assert_memory_equal(got, want, got_n);
        ws_decoder_free(d);
    }
}

/* The outcome depends on the bytes alone, not on how they were cut. */
static void nonsense(void **state)
{
    (void)state;
    static const uint8_t usual[8] = {0x81, 0x01, 0x00, 0x80, 0x82, 0x7e, 0x02, 0x89};
    for (int turn = 0; turn < 3000; turn++) {
        wire_n = want_n = 0;
        for (unsigned i = 0, n = rnd(4); i < n; i++)
            message(300);
        size_t from = wire_n;
        for (size_t i = 0; i < 200; i++)
            wire[wire_n++] = rnd(3) ? (uint8_t)rnd(256) : usual[rnd(8)];
        if (from && rnd(2))
            wire[rnd((unsigned)from)] ^= (uint8_t)(1u << rnd(8));
        int result[2];
        size_t sizes[2];
        for (int way = 0; way < 2; way++) {
            struct ws_decoder *d = ws_decoder_new(1000);
            assert_non_null(d);
            got_n = 0;
            result[way] = feed(d, way ? 4096 : 3);
            sizes[way] = got_n;
            if (way == 0)
                memcpy(want, got, got_n);
            ws_decoder_free(d);
        }
        assert_int_equal(result[0], result[1]);
        assert_int_equal(sizes[0], sizes[1]);
        assert_memory_equal(got, want, got_n);
    }
}

int main(void)
{
    const char *given = getenv("SEED");
    seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
    seed |= 1;
    printf("SEED=%llu\n", (unsigned long long)seed);
    wire = malloc(WIRE_MAX);
    want = malloc(WIRE_MAX);
    got = malloc(WIRE_MAX);
    if (!wire || !want || !got)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(nonsense),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    free(wire);
    free(want);
    free(got);
    return r;
}
