/* A body in pieces: the first byte says whether it is gzip and how it is cut. Whatever comes out must not
 * depend on the cuts; of a plain body it must be what the parser makes of the whole. */
#include "body.h"
#include "parse_rest.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok)
        abort();
}

static struct page *feed(const char *data, size_t size, int gzip, size_t piece, enum rest_kind kind, int *ret)
{
    struct body *body = NULL;
    check(body_new(&body, kind, gzip, MAX) == 0);
    int r = 0;
    for (size_t at = 0; at < size && r == 0; at += piece)
        r = body_more(body, data + at, size - at < piece ? size - at : piece);
    r = r ? r : body_end(body);
    check(r == 0 || r == -EBADMSG || r == -EMSGSIZE);
    struct page *page = r == 0 ? body_page(body) : NULL;
    body_free(body);
    *ret = r;
    return page;
}

static void same_text(struct event_text a, struct event_text b)
{
    check(a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0));
}

static void same(const struct page *a, const struct page *b)
{
    check(a->count == b->count && a->bad_count == b->bad_count);
    check(a->count == 0 || memcmp(a->rows, b->rows, a->count * sizeof(struct pgd_bar)) == 0);
    for (size_t i = 0; a->symbols && i < a->count; i++)
        check(strcmp(a->symbols[i], b->symbols[i]) == 0);
    for (unsigned i = 0; i < a->bad_count; i++)
        check(a->bad[i].reason == b->bad[i].reason && a->bad[i].count == b->bad[i].count);
    check(a->envelope.rows == b->envelope.rows && a->envelope.bad_rows == b->envelope.bad_rows);
    check(a->envelope.count == b->envelope.count);
    check(a->least == b->least && a->most == b->most);
    int64_t least = INT64_MAX, most = INT64_MIN;
    for (size_t i = 0; i < a->count; i++) {
        least = a->bars[i].t < least ? a->bars[i].t : least;
        most = a->bars[i].t > most ? a->bars[i].t : most;
    }
    check(a->least == least && a->most == most);
    same_text(a->envelope.status, b->envelope.status);
    same_text(a->envelope.message, b->envelope.message);
    same_text(a->envelope.ticker, b->envelope.ticker);
    same_text(a->envelope.next_url, b->envelope.next_url);
}

static void check_kind(const uint8_t *data, size_t size, enum rest_kind kind)
{
    int gzip = data[0] & 1;
    size_t piece = (size_t)(data[0] >> 1) + 1;
    const char *text = (const char *)data + 1;
    int one, two, three = 0;
    size--;
    struct page *whole = feed(text, size, gzip, size + 1, kind, &one);
    struct page *pieces = feed(text, size, gzip, piece, kind, &two);
    /* Of gzip that is too long and damaged, the cuts decide which is met first. */
    check(gzip ? (one == 0) == (two == 0) : one == two);
    if (whole)
        same(whole, pieces);
    if (!gzip && size < PARSE_ITEM_MAX) {
        struct page *page = page_new(kind);
        check(page != NULL);
        struct parse_sink sink = page_sink(page);
        sink.room = NULL; /* an event for each bar, none put straight into the page */
        three = parse_rest(text, size, &page->envelope, &sink);
        check(three == one);
        /* Results before the ticker are looked at later in a whole: their kind is told the same. */
        if (whole)
            same(whole, page);
        page_free(page);
    }
    page_free(whole);
    page_free(pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    check_kind(data, size, REST_BARS);
    check_kind(data, size, REST_SNAPSHOT);
    return 0;
}
