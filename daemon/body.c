#include "body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inflate.h"
#include "parse_rest.h"

/* What one parse leaves (less than an item) and what comes next. The next parse waits until there is twice as
 * much as was left: an item that trickles in is looked at a few times, not once a byte. */
#define WINDOW (4u * PARSE_ITEM_MAX)

struct body {
    struct page *page;
    struct inflate *inflate; /* NULL: the body is plain */
    struct parse_sink sink;
    struct parse_stream stream;
    size_t max;
    size_t total; /* inflated */
    size_t fill;  /* of the window */
    size_t need;
    int error;
    const char *why;
    char window[WINDOW];
};

int body_new(struct body **ret, enum rest_kind kind, bool gzip, size_t max)
{
    struct body *body = malloc(sizeof(*body)); /* the window needs no zeros */
    if (!body)
        return -ENOMEM;
    memset(body, 0, offsetof(struct body, window));
    body->max = max;
    body->why = "";
    body->page = page_new(kind);
    int r = body->page ? 0 : -ENOMEM;
    if (r == 0 && gzip)
        r = inflate_new(&body->inflate);
    if (r < 0) {
        body_free(body);
        return r;
    }
    if (gzip)
        inflate_reset(body->inflate);
    body->sink = page_sink(body->page);
    parse_stream_begin(&body->stream, &body->page->envelope, &body->sink);
    *ret = body;
    return 0;
}

void body_free(struct body *body)
{
    if (!body)
        return;
    inflate_free(body->inflate);
    page_free(body->page);
    free(body);
}

const char *body_why(const struct body *body)
{
    return body->why;
}

struct page *body_page(struct body *body)
{
    struct page *page = body->page;
    body->page = NULL;
    return page;
}

static int body_fail(struct body *body, int error, const char *why)
{
    body->error = error;
    body->why = why;
    return error;
}

static int body_parse(struct body *body, bool last)
{
    size_t used = 0;
    if (parse_stream_more(&body->stream, body->window, body->fill, last, &used) < 0)
        return body_fail(body, -EBADMSG, "the body is not the JSON it should be");
    if (body->page->no_memory)
        return body_fail(body, -ENOMEM, "no memory for the rows of a page");
    body->fill -= used;
    memmove(body->window, body->window + used, body->fill);
    body->need = 2 * body->fill;
    return 0;
}

/* `n` bytes more are in the window. */
static int body_grown(struct body *body, size_t n)
{
    if (n > body->max - body->total)
        return body_fail(body, -EMSGSIZE, "body longer than the limit");
    body->total += n;
    body->fill += n;
    return body->fill >= body->need ? body_parse(body, false) : 0;
}

static size_t body_room(const struct body *body)
{
    size_t room = WINDOW - body->fill;
    return room < PARSE_ITEM_MAX ? room : PARSE_ITEM_MAX; /* a piece that stays in the cache */
}

static int body_plain(struct body *body, const char *data, size_t size)
{
    while (size > 0) {
        size_t n = body_room(body) < size ? body_room(body) : size;
        memcpy(body->window + body->fill, data, n);
        data += n;
        size -= n;
        if (body_grown(body, n) < 0)
            return body->error;
    }
    return 0;
}

static int body_inflate(struct body *body, const char *data, size_t size)
{
    for (;;) {
        size_t room = body_room(body);
        size_t n = 0;
        if (inflate_some(body->inflate, &data, &size, body->window + body->fill, room, &n) < 0)
            return body_fail(body, -EBADMSG, "the body is not the gzip it should be");
        if (body_grown(body, n) < 0)
            return body->error;
        if (n < room && size == 0)
            return 0;
    }
}

int body_more(struct body *body, const char *data, size_t size)
{
    if (body->error)
        return body->error;
    return body->inflate ? body_inflate(body, data, size) : body_plain(body, data, size);
}

int body_end(struct body *body)
{
    if (body->error)
        return body->error;
    if (body->inflate && !inflate_ended(body->inflate))
        return body_fail(body, -EBADMSG, "the gzip stream ends in the middle");
    body->page->bytes = body->total;
    return body_parse(body, true);
}
