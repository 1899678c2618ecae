#include "frame.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

void sim_frame_reader_fini(struct sim_frame_reader *reader)
{
    sim_text_fini(&reader->message);
    *reader = (struct sim_frame_reader){0};
}

/* Length of the well-formed sequence at p (1..4), 0 for none. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t count = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
                   : p[0] >= 0xe0 && p[0] <= 0xef ? 3
                   : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                                  : 0;
    if (count == 0 || count > left)
        return 0;
    /* The second byte excludes overlong forms, surrogates and what lies beyond U+10FFFF. */
    unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < count; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return count;
}

bool sim_utf8_valid(const char *data, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t step = utf8_sequence((const unsigned char *)data + i, size - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

bool sim_close_code_valid(int code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

struct header {
    bool final;
    unsigned opcode;
    uint64_t payload;
    size_t size;
    unsigned char mask[4];
};

/* 1: complete, 0: more bytes needed, otherwise a close code. */
static int parse_header(const unsigned char *p, size_t size, struct header *h)
{
    if (size < 2)
        return 0;
    h->final = p[0] & 0x80;
    h->opcode = p[0] & 0x0f;
    if (p[0] & 0x70 || !(p[1] & 0x80))
        return 1002; /* reserved bits without an extension; a client that does not mask */
    unsigned length = p[1] & 0x7f;
    size_t extra = length == 127 ? 8 : length == 126 ? 2 : 0;
    if (h->opcode >= 8 && (!h->final || length > 125))
        return 1002;
    if ((h->opcode > 2 && h->opcode < 8) || h->opcode > 10)
        return 1002;
    if (size < 2 + extra + 4)
        return 0;
    h->payload = extra ? 0 : length;
    for (size_t i = 0; i < extra; i++)
        h->payload = h->payload << 8 | p[2 + i];
    if ((extra == 2 && h->payload < 126) || (extra == 8 && (h->payload < 65536 || h->payload >> 63)))
        return 1002;
    memcpy(h->mask, p + 2 + extra, 4);
    h->size = 2 + extra + 4;
    return 1;
}

static int take_control(const struct header *h, const char *data, const struct sim_frame_sink *sink)
{
    size_t size = (size_t)h->payload;
    if (h->opcode == SIM_CLOSE && size > 0) {
        if (size == 1)
            return 1002;
        int code = (unsigned char)data[0] << 8 | (unsigned char)data[1];
        if (!sim_close_code_valid(code))
            return 1002;
        if (!sim_utf8_valid(data + 2, size - 2))
            return 1007;
    }
    sink->control(sink->user, (enum sim_opcode)h->opcode, data, size);
    return 0;
}

static int take_data(struct sim_frame_reader *r, const struct header *h, const char *data,
                     const struct sim_frame_sink *sink)
{
    if (r->partial != (h->opcode == SIM_CONT))
        return 1002;
    if (h->opcode != SIM_CONT) {
        r->opcode = (enum sim_opcode)h->opcode;
        r->partial = true;
        r->message.size = 0;
    }
    sim_text_add(&r->message, data, (size_t)h->payload);
    if (!h->final)
        return 0;
    r->partial = false;
    if (r->opcode == SIM_TEXT && !sim_utf8_valid(r->message.data, r->message.size))
        return 1007;
    sink->message(sink->user, r->opcode, r->message.size ? r->message.data : "", r->message.size);
    return 0;
}

int sim_frame_read(struct sim_frame_reader *reader, char *data, size_t size, size_t *ret_used,
                   const struct sim_frame_sink *sink)
{
    size_t used = 0;
    int r = 0;
    while (r == 0 && !(sink->stopped && sink->stopped(sink->user))) {
        struct header h;
        int got = parse_header((const unsigned char *)data + used, size - used, &h);
        if (got != 1) {
            r = got;
            break;
        }
        size_t held = h.opcode == SIM_CONT ? reader->message.size : 0;
        if (h.payload > SIM_MESSAGE_MAX || held + h.payload > SIM_MESSAGE_MAX) {
            r = 1009;
            break;
        }
        if (size - used - h.size < h.payload)
            break;
        char *payload = data + used + h.size;
        for (size_t i = 0; i < h.payload; i++)
            payload[i] = (char)(payload[i] ^ h.mask[i & 3]);
        used += h.size + (size_t)h.payload;
        r = h.opcode >= 8 ? take_control(&h, payload, sink) : take_data(reader, &h, payload, sink);
    }
    *ret_used = used;
    return r;
}

void sim_frame_write(struct sim_text *out, bool final, enum sim_opcode opcode, const void *data, size_t size)
{
    unsigned char head[10] = {(unsigned char)((final ? 0x80 : 0) | (unsigned)opcode)};
    size_t count = 2;
    if (size < 126) {
        head[1] = (unsigned char)size;
    } else {
        bool wide = size > 0xffff;
        size_t bytes = wide ? 8 : 2;
        head[1] = wide ? 127 : 126;
        for (size_t i = 0; i < bytes; i++)
            head[2 + i] = (unsigned char)((uint64_t)size >> (8 * (bytes - 1 - i)));
        count += bytes;
    }
    sim_text_add(out, head, count);
    sim_text_add(out, data, size);
}

void sim_frame_close(struct sim_text *out, int code, const char *reason)
{
    char payload[125] = {(char)(code >> 8), (char)(code & 0xff)};
    size_t size = strlen(reason);
    if (size > sizeof(payload) - 2)
        size = sizeof(payload) - 2;
    memcpy(payload + 2, reason, size);
    sim_frame_write(out, true, SIM_CLOSE, payload, size + 2);
}

void sim_frame_accept(const char *key, char accept[29])
{
    char joined[128];
    int size = snprintf(joined, sizeof(joined), "%.60s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    unsigned char hash[SHA_DIGEST_LENGTH];
    SHA1((const unsigned char *)joined, (size_t)size, hash);
    EVP_EncodeBlock((unsigned char *)accept, hash, sizeof(hash));
}
