/* test_ws - the WebSocket codec against RFC 6455, frame by frame. */
#include "ws.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct log {
    char text[65536]; /* "T:hello C:.. " */
    size_t n;
    size_t messages;
    size_t bytes;
    struct ws_decoder *reset_on_message;
};

static struct log log_;

static void on_message(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    struct log *l = user;
    l->messages++;
    l->bytes += size;
    if (size < 1000)
        l->n += (size_t)snprintf(l->text + l->n, sizeof(l->text) - l->n, "%s:%.*s ",
                                 opcode == WS_TEXT ? "text" : "binary", (int)size, (const char *)data);
    if (l->reset_on_message)
        ws_decoder_reset(l->reset_on_message);
}

static void on_control(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    struct log *l = user;
    l->n += (size_t)snprintf(l->text + l->n, sizeof(l->text) - l->n, "%s:%.*s ",
                             opcode == WS_PING   ? "ping"
                             : opcode == WS_PONG ? "pong"
                                                 : "close",
                             (int)size, (const char *)data);
}

static const struct ws_sink sink = {on_message, on_control, &log_};

/* Feeds `size` bytes in pieces of `step`. */
static int feed(struct ws_decoder *d, const void *data, size_t size, size_t step)
{
    const uint8_t *p = data;
    while (size) {
        size_t room = 0;
        uint8_t *space = ws_decoder_space(d, &room);
        assert_non_null(space);
        assert_true(room > 0);
        size_t n = size < step ? size : step;
        n = n < room ? n : room;
        memcpy(space, p, n);
        int r = ws_decoder_take(d, n, &sink);
        if (r < 0)
            return r;
        p += n;
        size -= n;
    }
    return 0;
}

static void begin(void)
{
    memset(&log_, 0, sizeof(log_));
}

/* Whatever the pieces, the same result. */
static void expect(const void *data, size_t size, int result, const char *text)
{
    for (size_t step = 1; step <= size + 1; step++) {
        struct ws_decoder *d = ws_decoder_new(100000);
        assert_non_null(d);
        begin();
        int r = feed(d, data, size, step);
        if (r != result || strcmp(log_.text, text) != 0)
            fail_msg("step %zu: %d '%s', expected %d '%s' (%s)", step, r, log_.text, result, text,
                     ws_decoder_reason(d));
        assert_int_equal(ws_decoder_reason(d)[0] != '\0', r < 0);
        ws_decoder_free(d);
    }
}

#define EXPECT(bytes, result, text) expect(bytes, sizeof(bytes) - 1, result, text)

static void frames(void **state)
{
    (void)state;
    EXPECT("\x81\x05Hello", 0, "text:Hello ");
    EXPECT("\x82\x05Hello", 0, "binary:Hello ");
    EXPECT("\x81\x00", 0, "text: ");
    EXPECT("\x81\x01"
           "a\x81\x01"
           "b\x81\x01",
           0, "text:a text:b ");
    EXPECT("\x01\x03Hel\x80\x02lo", 0, "text:Hello ");
    EXPECT("\x01\x00\x00\x00\x80\x00", 0, "text: ");
    EXPECT("\x02\x01"
           "a\x00\x01"
           "b\x00\x01"
           "c\x80\x00\x81\x01"
           "d",
           0, "binary:abc text:d ");
}

static void controls(void **state)
{
    (void)state;
    EXPECT("\x89\x05Hello", 0, "ping:Hello ");
    EXPECT("\x8a\x00", 0, "pong: ");
    EXPECT("\x01\x03Hel\x89\x02hi\x00\x01l\x8a\x01!\x80\x01o", 0, "ping:hi pong:! text:Hello ");
    EXPECT("\x88\x00\x81\x01"
           "a",
           0, "close: ");
    EXPECT("\x88\x04\x03\xe8ok\xff\xff\xff", 0, "close:\x03\xe8ok ");
    EXPECT("\x88\x02\x03\xf0", 0, "close:\x03\xf0 ");
}

static void violations(void **state)
{
    (void)state;
    EXPECT("\x81\x01"
           "a\x81\x85"
           "abcdHello",
           -EPROTO, "text:a ");
    EXPECT("\xc1\x01"
           "a",
           -EPROTO, "");
    EXPECT("\xa1\x01"
           "a",
           -EPROTO, "");
    EXPECT("\x91\x01"
           "a",
           -EPROTO, "");
    for (int opcode = 0; opcode < 16; opcode++) {
        char frame[2] = {(char)(0x80 | opcode), 0};
        bool known = opcode == WS_TEXT || opcode == WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
        struct ws_decoder *d = ws_decoder_new(100);
        begin();
        assert_int_equal(feed(d, frame, 2, 2), known ? 0 : -EPROTO);
        /* An error stays. */
        if (!known) {
            begin();
            assert_int_equal(feed(d,
                                  "\x81\x01"
                                  "a",
                                  3, 3),
                             -EPROTO);
            assert_string_equal(log_.text, "");
            ws_decoder_reset(d);
            assert_int_equal(feed(d,
                                  "\x81\x01"
                                  "a",
                                  3, 3),
                             0);
            assert_string_equal(log_.text, "text:a ");
        }
        ws_decoder_free(d);
    }
    EXPECT("\x09\x00", -EPROTO, "");
    EXPECT("\x89\x7e\x00\x7e", -EPROTO, "");
    EXPECT("\x80\x01"
           "a",
           -EPROTO, "");
    EXPECT("\x01\x01"
           "a\x81\x01"
           "b",
           -EPROTO, "");
    EXPECT("\x81\x7e\x00\x7d", -EPROTO, "");
    EXPECT("\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", -EPROTO, "");
    EXPECT("\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", -EPROTO, "");
    EXPECT("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", -EMSGSIZE, "");
    EXPECT("\x88\x01\x03", -EPROTO, "");
    EXPECT("\x88\x02\x03\xed", -EPROTO, "");
    EXPECT("\x88\x04\x03\xe8\xff\xff", -EILSEQ, "");
}

static void utf8(void **state)
{
    (void)state;
    EXPECT("\x81\x0b\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", 0,
           "text:\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5 ");
    EXPECT("\x01\x01\xce\x80\x01\xba", 0, "text:\xce\xba ");
    EXPECT("\x01\x03"
           "a\xf0\x9f\x89\x00\x80\x02\x98\x80",
           0, "ping: text:a\xf0\x9f\x98\x80 ");
    EXPECT("\x01\x01\xce\x80\x01"
           "a",
           -EILSEQ, "");
    EXPECT("\x82\x02\xff\xfe", 0, "binary:\xff\xfe ");
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {"\x7f", true},
        {"\xc2\x80", true},
        {"\xdf\xbf", true},
        {"\xe0\xa0\x80", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xef\xbf\xbf", true},
        {"\xf0\x90\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\x80", false},
        {"\xbf", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xc2", false},
        {"\xc2\x41", false},
        {"\xe0\x9f\xbf", false},
        {"\xe1\x80", false},
        {"\xe1\x80\x41", false},
        {"\xed\xa0\x80", false},
        {"\xed\xbf\xbf", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf1\x80\x80", false},
        {"\xf1\x80\x80\x41", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xfe", false},
        {"\xff", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        for (size_t before = 0; before < 70; before++) {
            /* At every place of the words that are looked at together. */
            uint8_t text[200];
            size_t n = strlen(rows[i].text);
            memset(text, 'x', sizeof(text));
            memcpy(text + before, rows[i].text, n);
            uint8_t *exact = malloc(before + n);
            assert_non_null(exact);
            memcpy(exact, text, before + n);
            assert_int_equal(ws_is_utf8(exact, before + n), rows[i].good);
            free(exact);
            assert_int_equal(ws_is_utf8(text, before + n + 64), rows[i].good);
        }
}

static size_t put_header(uint8_t *p, int first, uint64_t size)
{
    p[0] = (uint8_t)first;
    if (size < 126) {
        p[1] = (uint8_t)size;
        return 2;
    }
    size_t bytes = size < 65536 ? 2 : 8;
    p[1] = bytes == 2 ? 126 : 127;
    for (size_t i = 0; i < bytes; i++)
        p[2 + i] = (uint8_t)(size >> (8 * (bytes - 1 - i)));
    return 2 + bytes;
}

static void sizes(void **state)
{
    (void)state;
    static const size_t list[] = {125, 126, 127, 65535, 65536, 65537, 1000000, 1048576};
    uint8_t *data = malloc(1100000);
    assert_non_null(data);
    for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
        struct ws_decoder *d = ws_decoder_new(1048576);
        begin();
        size_t n = put_header(data, 0x81, list[i]);
        memset(data + n, 'a', list[i]);
        for (int turn = 0; turn < 3; turn++)
            assert_int_equal(feed(d, data, n + list[i], 16384), 0);
        assert_int_equal(log_.messages, 3);
        assert_int_equal(log_.bytes, 3 * list[i]);
        ws_decoder_free(d);
    }
    free(data);
}

static void too_long(void **state)
{
    (void)state;
    struct ws_decoder *d = ws_decoder_new(10);
    begin();
    assert_int_equal(feed(d,
                          "\x81\x0a"
                          "0123456789",
                          12, 1),
                     0);
    assert_int_equal(feed(d, "\x81\x0b", 2, 1), -EMSGSIZE);
    ws_decoder_reset(d);
    assert_int_equal(feed(d,
                          "\x01\x06"
                          "012345\x89\x05hello\x00\x04"
                          "6789\x80\x00",
                          23, 3),
                     0);
    assert_int_equal(feed(d,
                          "\x01\x06"
                          "012345\x00\x05",
                          10, 3),
                     -EMSGSIZE);
    assert_int_equal(log_.messages, 2);
    ws_decoder_free(d);
    d = ws_decoder_new(0);
    begin();
    assert_int_equal(feed(d, "\x81\x00\x89\x01x", 5, 5), 0);
    assert_string_equal(log_.text, "text: ping:x ");
    ws_decoder_free(d);
}

/* Many fragments with control frames between, more than the buffer holds at once: what is consumed is given
 * back. */
static void long_stream(void **state)
{
    (void)state;
    struct ws_decoder *d = ws_decoder_new(300000);
    begin();
    uint8_t *data = malloc(70000);
    assert_non_null(data);
    for (int message = 0; message < 20; message++)
        for (int fragment = 0; fragment < 5; fragment++) {
            size_t n = put_header(data, (fragment == 0 ? 2 : 0) | (fragment == 4 ? 0x80 : 0), 60000);
            memset(data + n, 'a' + fragment, 60000);
            n += 60000;
            data[n++] = 0x89;
            data[n++] = 0;
            assert_int_equal(feed(d, data, n, 9999), 0);
        }
    assert_int_equal(log_.messages, 20);
    assert_int_equal(log_.bytes, 20 * 300000);
    free(data);
    ws_decoder_free(d);
}

static void reset_within(void **state)
{
    (void)state;
    struct ws_decoder *d = ws_decoder_new(100);
    begin();
    log_.reset_on_message = d;
    assert_int_equal(feed(d,
                          "\x81\x01"
                          "a\x81\x01"
                          "b",
                          6, 6),
                     0);
    assert_string_equal(log_.text, "text:a ");
    log_.reset_on_message = NULL;
    assert_int_equal(feed(d,
                          "\x81\x01"
                          "c",
                          3, 3),
                     0);
    assert_string_equal(log_.text, "text:a text:c ");
    ws_decoder_free(d);
    ws_decoder_free(NULL);
}

static void close_codes(void **state)
{
    (void)state;
    assert_int_equal(ws_close_code(NULL, 0), 1005);
    assert_int_equal(ws_close_code((const uint8_t *)"\x03", 1), -EPROTO);
    for (int code = 0; code < 65536; code++) {
        uint8_t data[2] = {(uint8_t)(code >> 8), (uint8_t)code};
        bool good = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
                    (code >= 3000 && code <= 4999);
        assert_int_equal(ws_close_code(data, 2), good ? code : -EPROTO);
    }
}

static void sending(void **state)
{
    (void)state;
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t buf[70100];
    assert_int_equal(ws_frame(buf, sizeof(buf), WS_TEXT, "Hello", 5, mask), 11);
    assert_memory_equal(buf, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    assert_int_equal(ws_frame(buf, 10, WS_TEXT, "Hello", 5, mask), -ENOBUFS);
    assert_int_equal(ws_frame(buf, sizeof(buf), WS_PONG, NULL, 0, mask), 6);
    assert_memory_equal(buf, "\x8a\x80", 2);
    uint8_t data[70000];
    memset(data, 7, sizeof(data));
    assert_int_equal(ws_frame(buf, sizeof(buf), WS_PING, data, 126, mask), -EINVAL);
    static const struct {
        size_t size;
        size_t header;
    } rows[] = {{125, 2}, {126, 4}, {65535, 4}, {65536, 10}};
    for (size_t i = 0; i < 4; i++) {
        size_t n = rows[i].size;
        size_t h = rows[i].header;
        assert_int_equal(ws_frame(buf, n + 14, WS_BINARY, data, n, mask), n + h + 4);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(buf[h + 4 + k], 7 ^ mask[k % 4]);
        /* As a server would see it, unmasked, it is the header the decoder reads. */
        uint8_t header[10];
        assert_int_equal(put_header(header, 0x82, n), h);
        header[1] |= 0x80;
        assert_memory_equal(buf, header, h);
    }
}

/* ---------------------------------------------------------------------------------------------- handshake */

#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define GOOD   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" ACCEPT

static void request(void **state)
{
    (void)state;
    char buf[512];
    char key[WS_KEY_SIZE];
    int n = ws_request(buf, sizeof(buf), "socket.massive.com:8443", "/stocks",
                       (const uint8_t *)"the sample nonce", key);
    assert_true(n > 0);
    assert_int_equal(strlen(buf), n);
    assert_string_equal(key, KEY);
    assert_ptr_equal(strstr(buf, "GET /stocks HTTP/1.1\r\nHost: socket.massive.com:8443\r\n"), buf);
    assert_non_null(strstr(buf, "\r\nUpgrade: websocket\r\n"));
    assert_non_null(strstr(buf, "\r\nConnection: Upgrade\r\n"));
    assert_non_null(strstr(buf, "\r\nSec-WebSocket-Key: " KEY "\r\n"));
    assert_non_null(strstr(buf, "\r\nSec-WebSocket-Version: 13\r\n"));
    assert_string_equal(buf + n - 4, "\r\n\r\n");
    const uint8_t *nonce = (const uint8_t *)"the sample nonce";
    assert_int_equal(ws_request(buf, (size_t)n, "socket.massive.com:8443", "/stocks", nonce, key), -ENOBUFS);
    assert_int_equal(ws_request(buf, sizeof(buf), "", "/stocks", nonce, key), -EINVAL);
    assert_int_equal(ws_request(buf, sizeof(buf), "host", "stocks", nonce, key), -EINVAL);
    assert_int_equal(ws_request(buf, sizeof(buf), "host", "/a b", nonce, key), -EINVAL);
    assert_int_equal(ws_request(buf, sizeof(buf), "host\r\nX: y", "/", nonce, key), -EINVAL);
}

static int respond(const char *text, int *ret_status)
{
    size_t n = strlen(text);
    char *exact = malloc(n ? n : 1);
    assert_non_null(exact);
    memcpy(exact, text, n);
    int r = ws_response(exact, n, KEY, ret_status);
    free(exact);
    return r;
}

static void good_responses(void **state)
{
    (void)state;
    static const char *const texts[] = {
        GOOD "\r\n",
        "HTTP/1.1 101\r\nupgrade: WebSocket\r\nCONNECTION: keep-alive , upgrade\r\nServer:\t\r\n" ACCEPT
        "\r\n",
        "HTTP/1.1 101 \r\nUpgrade:websocket \r\nConnection: Upgrade\r\nSec-WebSocket-Extensions:\r\n" ACCEPT
        "\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: h2c, websocket\r\nConnection: close\r\nConnection: upgrade\r\n" ACCEPT
        "\r\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        char text[1024];
        int status = 7;
        int n = snprintf(text, sizeof(text),
                         "%s\x81\x01"
                         "a",
                         texts[i]);
        assert_int_equal(respond(text, &status), n - 3);
        assert_int_equal(status, 101);
        for (size_t cut = 0; cut + 3 < (size_t)n; cut++) {
            text[n - 3 - (int)cut - 1] = '\0';
            int r = respond(text, &status);
            if (r != 0)
                fail_msg("%d: '%s'", r, text);
        }
    }
}

static void bad_responses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int status;
    } rows[] = {
        {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nhello", 401},
        {"HTTP/1.1 403 Forbidden\r\n", 403},
        {"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", 302},
        {"HTTP/1.1 429 Too Many Requests\r\n\r\n", 429},
        {"HTTP/1.1 200 OK\r\n" ACCEPT "\r\n", 200},
        {"HTTP/1.0 101 Switching\r\n\r\n", 0},
        {"HTTP/1.1 1x1 S\r\n\r\n", 0},
        {"HTTP/1.1 1011 S\r\n\r\n", 0},
        {"HTTP/2 101\r\n\r\n", 0},
        {"<html>\r\n", 0},
        {"\r\n", 0},
        {"HTTP/1.1 101 S\nUpgrade: websocket\n\n", 0},
        {GOOD "Sec-WebSocket-Protocol: x\r\n\r\n", 101},
        {GOOD "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 101},
        {GOOD ACCEPT "\r\n", 101},
        {GOOD "no colon\r\n\r\n", 101},
        {GOOD "a : b\r\n\r\n", 101},
        {GOOD " folded: b\r\n\r\n", 101},
        {GOOD ": b\r\n\r\n", 101},
        {GOOD "a: b\rc\r\n\r\n", 101},
        {GOOD "a: b\nc: d\r\n\r\n", 101},
        {GOOD "a: \x01\r\n\r\n", 101},
        {"HTTP/1.1 101 S\r\nConnection: Upgrade\r\n" ACCEPT "\r\n", 101},
        {"HTTP/1.1 101 S\r\nUpgrade: websocket\r\n" ACCEPT "\r\n", 101},
        {"HTTP/1.1 101 S\r\nUpgrade: websocket2\r\nConnection: Upgrade\r\n" ACCEPT "\r\n", 101},
        {"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 101},
        {"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
         101},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int status = 7;
        int r = respond(rows[i].text, &status);
        if (r != -EPROTO || status != rows[i].status)
            fail_msg("%d, status %d: %s", r, status, rows[i].text);
    }
}

static void long_response(void **state)
{
    (void)state;
    char *text = malloc(40000);
    assert_non_null(text);
    int status;
    strcpy(text, GOOD);
    for (int i = 0; i < 300; i++)
        strcat(text, "X-Filler: 0123456789012345678901234567890123456789\r\n");
    assert_int_equal(respond(text, &status), 0);
    for (int i = 0; i < 100; i++)
        strcat(text, "X-Filler: 0123456789012345678901234567890123456789\r\n");
    assert_int_equal(respond(text, &status), -EMSGSIZE);
    memset(text, 'x', 39999);
    text[16000] = '\0';
    assert_int_equal(respond(text, &status), 0);
    text[16000] = 'x';
    text[20000] = '\0';
    assert_int_equal(respond(text, &status), -EMSGSIZE);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames),        cmocka_unit_test(controls),      cmocka_unit_test(violations),
        cmocka_unit_test(utf8),          cmocka_unit_test(sizes),         cmocka_unit_test(too_long),
        cmocka_unit_test(long_stream),   cmocka_unit_test(reset_within),  cmocka_unit_test(close_codes),
        cmocka_unit_test(sending),       cmocka_unit_test(request),       cmocka_unit_test(good_responses),
        cmocka_unit_test(bad_responses), cmocka_unit_test(long_response),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
