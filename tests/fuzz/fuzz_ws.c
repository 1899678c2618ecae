/* The bytes as what a server sends: the outcome does not depend on how they are cut, what is delivered keeps
 * the rules, and the handshake's parser survives them too. The first byte chooses the cuts and the limit. */
#include "ws.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok)
        abort();
}

struct outcome {
    uint64_t hash; /* of all that was delivered, in order */
    size_t events;
    size_t max;
    int closed;
    int result;
};

static void mix(struct outcome *o, const void *data, size_t size)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < size; i++)
        o->hash = (o->hash ^ p[i]) * UINT64_C(0x100000001b3);
}

static void on_message(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    struct outcome *o = user;
    check(opcode == WS_TEXT || opcode == WS_BINARY);
    check(size <= o->max && !o->closed);
    check(opcode != WS_TEXT || ws_is_utf8(data, size));
    mix(o, &size, sizeof(size));
    mix(o, data, size);
    o->events++;
}

static void on_control(void *user, enum ws_opcode opcode, const uint8_t *data, size_t size)
{
    struct outcome *o = user;
    check(opcode >= WS_CLOSE && opcode <= WS_PONG);
    check(size <= 125 && !o->closed);
    o->closed = opcode == WS_CLOSE;
    check(!o->closed || ws_close_code(data, size) > 0);
    mix(o, &opcode, sizeof(opcode));
    mix(o, data, size);
    o->events++;
}

static struct outcome decode(const uint8_t *data, size_t size, size_t max, unsigned cuts)
{
    struct outcome o = {.hash = UINT64_C(0xcbf29ce484222325), .max = max};
    struct ws_sink sink = {on_message, on_control, &o};
    struct ws_decoder *d = ws_decoder_new(max);
    check(d != NULL);
    while (size > 0 && o.result == 0) {
        size_t room = 0;
        uint8_t *space = ws_decoder_space(d, &room);
        check(space && room > 0);
        size_t n = cuts == 0 ? size : 1 + cuts % 13;
        cuts = cuts ? cuts * 1103515245u + 12345u : 0;
        n = n < size ? n : size;
        n = n < room ? n : room;
        memcpy(space, data, n);
        o.result = ws_decoder_take(d, n, &sink);
        check((ws_decoder_reason(d)[0] != '\0') == (o.result != 0));
        data += n;
        size -= n;
    }
    check(o.result == 0 || o.result == -EPROTO || o.result == -EMSGSIZE || o.result == -EILSEQ);
    ws_decoder_free(d);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    unsigned choice = data[0];
    data++;
    size--;
    size_t max = choice & 1 ? 100000 : 200;
    struct outcome whole = decode(data, size, max, 0);
    struct outcome cut = decode(data, size, max, 1 + (choice >> 1));
    check(whole.result == cut.result && whole.events == cut.events && whole.hash == cut.hash);

    int status = -1;
    int r = ws_response((const char *)data, size, "dGhlIHNhbXBsZSBub25jZQ==", &status);
    check(r <= (int)size && status >= 0 && status <= 999);
    check(r <= 0 || status == 101);
    return 0;
}
