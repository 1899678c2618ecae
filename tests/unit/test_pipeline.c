/* Bodies to pages: whole or in pieces, plain or gzip, good or broken; then with worker threads, full queues,
 * and workers that fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <zlib.h>

#include "body.h"
#include "inflate.h"
#include "parse_rest.h"
#include "pipeline.h"

struct text {
    char *p;
    size_t n;
};

static struct text bars_text(int first, int count)
{
    struct text t = {malloc((size_t)count * 128 + 400), 0};
    assert_non_null(t.p);
    t.n = (size_t)sprintf(t.p, "{\"ticker\":\"AAPL\",\"resultsCount\":%d,\"results\":[", count);
    for (int i = first; i < first + count; i++)
        t.n += (size_t)sprintf(
            t.p + t.n, "%s{\"v\":%d.5,\"vw\":1.5,\"o\":1,\"c\":1.25,\"h\":2,\"l\":1,\"t\":%lld,\"n\":7%s}",
            i > first ? "," : "", i, 1700000000000LL + 60000LL * i, i % 100 == 3 ? ",\"otc\":true" : "");
    t.n += (size_t)sprintf(t.p + t.n, "],\"status\":\"OK\",\"next_url\":\"https:\\/\\/a\\/b\"}");
    return t;
}

static struct text pack(const char *data, size_t n)
{
    z_stream z = {0};
    struct text t = {malloc(n + 1000), 0};
    assert_non_null(t.p);
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)t.p;
    z.avail_out = (uInt)(n + 1000);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    t.n = z.total_out;
    (void)deflateEnd(&z);
    return t;
}

static void check_bars(const struct page *page, int first, int count)
{
    assert_int_equal(page->count, count);
    assert_int_equal(page->envelope.rows, count);
    assert_int_equal(page->envelope.bad_rows, 0);
    assert_int_equal(page->envelope.count, count);
    assert_int_equal(page->envelope.next_url.n, 11);
    assert_memory_equal(page->envelope.next_url.p, "https://a/b", 11);
    for (int i = 0; i < count; i++) {
        const struct pgd_bar *b = &page->bars[i];
        assert_true(b->t == 1700000000000LL + 60000LL * (first + i) && b->v == first + i + 0.5 && b->h == 2);
        assert_int_equal(b->flags, PGD_BAR_REST | ((first + i) % 100 == 3 ? PGD_BAR_OTC : 0));
    }
}

/* ---------------------------------------------------------------------------------------------------- body
 */

/* Feeds the text in pieces of `piece` bytes. NULL: refused with *ret_error. */
static struct page *feed(struct text t, bool gzip, size_t piece, size_t max, int *ret_error)
{
    struct body *body = NULL;
    assert_int_equal(body_new(&body, REST_BARS, gzip, max), 0);
    int r = 0;
    for (size_t at = 0; at < t.n && r == 0; at += piece)
        r = body_more(body, t.p + at, t.n - at < piece ? t.n - at : piece);
    if (r == 0)
        r = body_end(body);
    *ret_error = r;
    assert_int_equal(r != 0, body_why(body)[0] != '\0');
    struct page *page = r == 0 ? body_page(body) : NULL;
    body_free(body);
    return page;
}

static void test_pieces(void **state)
{
    (void)state;
    struct text t = bars_text(0, 3000);
    struct text z = pack(t.p, t.n);
    const size_t pieces[] = {1, 2, 7, 97, 4096, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
        for (int gzip = 0; gzip < 2; gzip++) {
            int r;
            struct page *page = feed(gzip ? z : t, gzip, pieces[i], t.n, &r);
            assert_int_equal(r, 0);
            check_bars(page, 0, 3000);
            assert_int_equal(page->bytes, t.n);
            page_free(page);
        }
    free(t.p);
    free(z.p);
}

static void refuse(struct text t, bool gzip, size_t max, int error)
{
    int r;
    assert_null(feed(t, gzip, 1000, max, &r));
    assert_int_equal(r, error);
}

/* Every truncation, and every byte changed. */
static void test_damage(void **state)
{
    (void)state;
    struct text t = bars_text(0, 20);
    struct text z = pack(t.p, t.n);
    for (size_t n = 0; n < t.n; n++)
        refuse((struct text){t.p, n}, false, t.n, -EBADMSG);
    for (size_t n = 0; n < z.n; n++)
        refuse((struct text){z.p, n}, true, t.n, -EBADMSG);
    for (size_t i = 10; i < z.n; i++) {
        int r;
        z.p[i] ^= 0x10;
        struct page *page = feed(z, true, 1000, 1 << 20, &r);
        assert_true(!page && (r == -EBADMSG || r == -EMSGSIZE));
        z.p[i] ^= 0x10;
    }
    refuse(t, true, t.n, -EBADMSG);  /* no gzip */
    refuse(z, false, t.n, -EBADMSG); /* no JSON */
    free(t.p);
    free(z.p);
}

static void test_bounds(void **state)
{
    (void)state;
    struct text t = bars_text(0, 1000);
    struct text z = pack(t.p, t.n);
    refuse(t, false, t.n - 1, -EMSGSIZE);
    refuse(z, true, t.n - 1, -EMSGSIZE);
    /* A bomb: a thousandfold, as one item that never ends, and as blanks that mean nothing. */
    size_t n = 32u << 20;
    char *big = malloc(n);
    assert_non_null(big);
    memset(big, '[', n);
    memcpy(big, "{\"results\":", 11);
    struct text bomb = pack(big, n);
    assert_true(bomb.n < n / 500);
    refuse(bomb, true, 1u << 20, -EBADMSG);
    free(bomb.p);
    memset(big, ' ', n);
    bomb = pack(big, n);
    refuse(bomb, true, 1u << 20, -EMSGSIZE);
    free(bomb.p);
    free(big);
    free(t.p);
    free(z.p);
}

/* Members one after another are one body; anything else behind is not. */
static void test_members(void **state)
{
    (void)state;
    struct text t = bars_text(0, 500);
    struct text a = pack(t.p, 1234);
    struct text b = pack(t.p + 1234, t.n - 1234);
    struct text both = {malloc(a.n + b.n + 1), a.n + b.n};
    assert_non_null(both.p);
    memcpy(both.p, a.p, a.n);
    memcpy(both.p + a.n, b.p, b.n);
    for (size_t piece = 1; piece < 3000; piece += 501) {
        int r;
        struct page *page = feed(both, true, piece, t.n, &r);
        assert_int_equal(r, 0);
        check_bars(page, 0, 500);
        page_free(page);
    }
    both.p[both.n++] = 'x';
    refuse(both, true, t.n, -EBADMSG);
    free(both.p);
    free(a.p);
    free(b.p);
    free(t.p);
}

/* ------------------------------------------------------------------------------------------------ pipeline
 */

#define FLOWS 24

static struct {
    uv_loop_t loop;
    struct pipeline *pipeline;
    unsigned restarted;
    unsigned done;
    bool closed;
} w;

static uint32_t faults; /* left to inject */
static uint32_t blocks;

static bool on_fault(void *user)
{
    (void)user;
    if (__atomic_add_fetch(&blocks, 1, __ATOMIC_RELAXED) % 7)
        return false;
    uint32_t left = __atomic_load_n(&faults, __ATOMIC_RELAXED);
    return left &&
           __atomic_compare_exchange_n(&faults, &left, left - 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static void on_restarted(void *user)
{
    (void)user;
    w.restarted++;
}

static void on_closed(void *user)
{
    (void)user;
    w.closed = true;
}

static void open_world(unsigned workers, unsigned queue_size)
{
    memset(&w, 0, sizeof(w));
    struct pipeline_options options = {.workers = workers,
                                       .queue_size = queue_size,
                                       .max_body = 64u << 20,
                                       .fault = on_fault,
                                       .restarted = on_restarted};
    assert_int_equal(uv_loop_init(&w.loop), 0);
    assert_int_equal(pipeline_new(&w.pipeline, &w.loop, &options), 0);
}

static void close_world(void)
{
    pipeline_free(w.pipeline, on_closed, NULL);
    while (!w.closed)
        (void)uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(uv_loop_close(&w.loop), 0);
}

/* A body that is put in as fast as there is room, and again when a worker failed. */
struct source {
    struct text text;
    bool gzip;
    int first;
    int count;
    size_t at;
    size_t piece;
    struct flow *flow;
    unsigned full;
    unsigned tries;
    bool over;
    int error;
};

static void pump(struct source *s)
{
    while (s->flow && s->at < s->text.n) {
        size_t n = s->text.n - s->at < s->piece ? s->text.n - s->at : s->piece;
        int r = flow_put(s->flow, s->text.p + s->at, n);
        if (r == -EAGAIN) {
            s->full++;
            return;
        }
        assert_int_equal(r, 0);
        s->at += n;
    }
    if (s->flow)
        flow_end(s->flow);
}

static void on_room(void *user)
{
    pump(user);
}

static void begin(struct source *s);

static void on_done(void *user, int error, const char *why, struct page *page)
{
    struct source *s = user;
    s->flow = NULL;
    assert_int_equal(!page, error != 0);
    if (error == -EIO) {
        assert_string_equal(why, "a worker failed");
        begin(s);
        return;
    }
    s->over = true;
    s->error = error;
    if (!error)
        check_bars(page, s->first, s->count);
    page_free(page);
    w.done++;
}

static void begin(struct source *s)
{
    static const struct flow_events events = {on_room, on_done};
    s->at = 0;
    s->tries++;
    assert_int_equal(flow_new(&s->flow, w.pipeline, REST_BARS, s->gzip, &events, s), 0);
    pump(s);
}

static void run_flows(unsigned workers, unsigned queue_size, size_t piece)
{
    static struct source sources[FLOWS];
    open_world(workers, queue_size);
    unsigned full = 0;
    unsigned tries = 0;
    for (int i = 0; i < FLOWS; i++) {
        struct text t = bars_text(i * 10, 2000 + 10 * i);
        sources[i] = (struct source){.text = t, .first = i * 10, .count = 2000 + 10 * i, .piece = piece};
        if (i % 2) {
            sources[i].text = pack(t.p, t.n);
            sources[i].gzip = true;
            free(t.p);
        }
        begin(&sources[i]);
    }
    while (w.done < FLOWS)
        (void)uv_run(&w.loop, UV_RUN_ONCE);
    for (int i = 0; i < FLOWS; i++) {
        assert_int_equal(sources[i].error, 0);
        full += sources[i].full;
        tries += sources[i].tries;
        free(sources[i].text.p);
    }
    assert_int_equal(w.restarted, tries - FLOWS);
    if (queue_size == 1)
        assert_true(full > 0);
    close_world();
}

static void test_flows(void **state)
{
    (void)state;
    faults = 0;
    run_flows(1, 1, 16384);
    run_flows(3, 2, 16384);
    run_flows(2, 16, 100000);
}

static void test_faults(void **state)
{
    (void)state;
    faults = 20;
    run_flows(3, 2, 16384);
    assert_true(w.restarted > 0);
    faults = 5;
    run_flows(1, 1, 5000);
    assert_int_equal(w.restarted, 5);
    faults = 0;
}

/* Broken bodies end their flow at once, without the end of the body; others go on. */
static void test_broken(void **state)
{
    (void)state;
    static char junk[100000];
    memset(junk, 'x', sizeof(junk));
    struct source bad = {.text = {junk, sizeof(junk)}, .piece = 30000};
    struct source good = {.text = bars_text(0, 100), .count = 100, .piece = 100};
    open_world(1, 4);
    begin(&bad);
    begin(&good);
    while (w.done < 2)
        (void)uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(bad.error, -EBADMSG);
    assert_int_equal(good.error, 0);
    free(good.text.p);
    close_world();
}

/* Cancelled at any time, in any state. */
static void test_cancel(void **state)
{
    (void)state;
    struct text t = bars_text(0, 3000);
    open_world(2, 4);
    for (unsigned i = 0; i < 300; i++) {
        struct source s = {.text = t, .count = 3000, .piece = 40000};
        begin(&s);
        for (unsigned turn = 0; turn < i % 5; turn++)
            (void)uv_run(&w.loop, UV_RUN_NOWAIT);
        if (!s.over)
            flow_cancel(s.flow);
        (void)uv_run(&w.loop, UV_RUN_NOWAIT);
    }
    close_world();
    free(t.p);
}

int main(void)
{
    printf("inflating with %s\n", inflate_library());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),  cmocka_unit_test(test_damage), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_members), cmocka_unit_test(test_flows),  cmocka_unit_test(test_faults),
        cmocka_unit_test(test_broken),  cmocka_unit_test(test_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
