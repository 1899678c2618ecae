/* The bytes as a flat file: whole and in pieces the same bars and the same refusals, and every bar one that
 * may be published. */
#include "csv_aggs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct account {
    uint64_t bars, bad, sum;
};

static void check(int ok)
{
    if (!ok)
        abort();
}

static void add(struct account *a, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < size; i++)
        a->sum = (a->sum ^ p[i]) * UINT64_C(1099511628211);
}

static void on_bar(void *user, const char *ticker, const struct pgd_bar *b)
{
    struct account *a = user;
    a->bars++;
    check(ticker[0] && strlen(ticker) < PGD_SYMBOL_MAX);
    check(isfinite(b->o) && isfinite(b->h) && isfinite(b->l) && isfinite(b->c) && b->h >= b->l);
    check(!isinf(b->v) && !(b->v < 0) && b->t > 0);
    add(a, ticker, strlen(ticker));
    add(a, b, sizeof *b);
}

static void on_bad(void *user, uint64_t line, const char *why)
{
    struct account *a = user;
    check(line > 0 && why[0]);
    a->bad++;
    add(a, &line, sizeof line);
}

static int run(const uint8_t *data, size_t size, size_t piece, struct account *a)
{
    static struct csv_aggs csv;
    struct csv_aggs_sink sink = {on_bar, on_bad, a};
    int r = 0;
    *a = (struct account){0};
    csv_aggs_init(&csv, &sink);
    for (size_t at = 0; at < size && r == 0; at += piece)
        r = csv_aggs_push(&csv, (const char *)data + at, size - at < piece ? size - at : piece);
    if (r == 0)
        r = csv_aggs_end(&csv);
    check((r < 0) == (csv.refused != NULL));
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 7, 61};
    struct account whole, parts;
    int r = run(data, size, size ? size : 1, &whole);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        check(run(data, size, pieces[i], &parts) == r);
        check(parts.bars == whole.bars && parts.bad == whole.bad && parts.sum == whole.sum);
    }
    return 0;
}
