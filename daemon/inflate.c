#include "inflate.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef HAVE_ISAL
#include <isa-l.h>
#else
#include <zlib.h>
#endif

enum place { MEMBER_BEGINS, MEMBER, MEMBER_ENDED };

struct inflate {
    enum place place;
#ifdef HAVE_ISAL
    struct inflate_state state;
#else
    z_stream state;
#endif
};

/* A piece that both libraries' 32-bit counts can take. */
static size_t piece(size_t size)
{
    return size < INT_MAX ? size : INT_MAX;
}

#ifdef HAVE_ISAL

static int engine_open(struct inflate *z)
{
    (void)z;
    return 0;
}

static void engine_close(struct inflate *z)
{
    (void)z;
}

static void engine_begin(struct inflate *z)
{
    isal_inflate_init(&z->state);
    z->state.crc_flag = ISAL_GZIP;
}

/* *ret_end: the member is complete. */
static int engine_run(struct inflate *z, const char **data, size_t *size, char *out, size_t room, size_t *ret,
                      bool *ret_end)
{
    struct inflate_state *s = &z->state;
    uint32_t in = (uint32_t)piece(*size);
    uint32_t space = (uint32_t)piece(room);
    s->next_in = (uint8_t *)(uintptr_t)*data;
    s->avail_in = in;
    s->next_out = (uint8_t *)out;
    s->avail_out = space;
    if (isal_inflate(s) < 0)
        return -EBADMSG;
    *data += in - s->avail_in;
    *size -= in - s->avail_in;
    *ret = space - s->avail_out;
    *ret_end = s->block_state == ISAL_BLOCK_FINISH;
    return 0;
}

const char *inflate_library(void)
{
#define TEXT(x)          #x
#define VERSION(a, b, c) "ISA-L " TEXT(a) "." TEXT(b) "." TEXT(c)
    return VERSION(ISAL_MAJOR_VERSION, ISAL_MINOR_VERSION, ISAL_PATCH_VERSION);
}

#else

static int engine_open(struct inflate *z)
{
    return inflateInit2(&z->state, 15 + 16) == Z_OK ? 0 : -ENOMEM;
}

static void engine_close(struct inflate *z)
{
    (void)inflateEnd(&z->state);
}

static void engine_begin(struct inflate *z)
{
    (void)inflateReset(&z->state);
}

static int engine_run(struct inflate *z, const char **data, size_t *size, char *out, size_t room, size_t *ret,
                      bool *ret_end)
{
    uInt in = (uInt)piece(*size);
    uInt space = (uInt)piece(room);
    z->state.next_in = (Bytef *)(uintptr_t)*data;
    z->state.avail_in = in;
    z->state.next_out = (Bytef *)out;
    z->state.avail_out = space;
    int r = inflate(&z->state, Z_NO_FLUSH);
    if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
        return -EBADMSG;
    *data += in - z->state.avail_in;
    *size -= in - z->state.avail_in;
    *ret = space - z->state.avail_out;
    *ret_end = r == Z_STREAM_END;
    return 0;
}

const char *inflate_library(void)
{
    return "zlib " ZLIB_VERSION;
}

#endif

int inflate_new(struct inflate **ret)
{
    struct inflate *z = calloc(1, sizeof(*z));
    if (!z)
        return -ENOMEM;
    int r = engine_open(z);
    if (r < 0) {
        free(z);
        return r;
    }
    *ret = z;
    return 0;
}

void inflate_free(struct inflate *z)
{
    if (!z)
        return;
    engine_close(z);
    free(z);
}

void inflate_reset(struct inflate *z)
{
    z->place = MEMBER_BEGINS;
}

int inflate_some(struct inflate *z, const char **data, size_t *size, char *out, size_t room, size_t *ret)
{
    size_t done = 0;
    /* A member that is over has nothing left to give: it takes more data to go on. What is under way may
     * still have some, though all data is in. */
    while (done < room && (*size > 0 || z->place == MEMBER)) {
        if (z->place != MEMBER) {
            engine_begin(z);
            z->place = MEMBER;
        }
        size_t before = *size;
        size_t n = 0;
        bool end = false;
        if (engine_run(z, data, size, out + done, room - done, &n, &end) < 0)
            return -EBADMSG;
        done += n;
        if (end)
            z->place = MEMBER_ENDED;
        else if (n == 0 && *size == before)
            break;
    }
    *ret = done;
    return 0;
}

bool inflate_ended(const struct inflate *z)
{
    return z->place == MEMBER_ENDED;
}
