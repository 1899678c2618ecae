/* The bytes as a file of the cache. First as they are; then as the header and rows of a file whose sums are
 * right, so that what lies behind the sums is reached as well. What is taken must be what may be published.
 */
#include "cache_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE INT64_C(60000)
#define JULY   INT64_C(1782864000000) /* 2026-07-01 00:00 UTC */
#define AUGUST INT64_C(1785542400000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok)
        abort();
}

static const struct cache_file_id id = {"AAPL", PGD_STOCKS, MINUTE, {JULY, AUGUST}, 0};

static int in_ranges(const struct cache_file_header *h, int64_t t)
{
    for (uint32_t i = 0; i < h->range_count; i++)
        if (t >= h->ranges[i].from && t < h->ranges[i].to)
            return 1;
    return 0;
}

static void check_rows(const struct cache_file_header *h, const struct pgd_bar *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct pgd_bar *b = &rows[i];
        check(b->t >= JULY && b->t < AUGUST && b->t % MINUTE == 0 && in_ranges(h, b->t));
        check(i == 0 || b->t > rows[i - 1].t);
        check(isfinite(b->o) && isfinite(b->h) && isfinite(b->l) && isfinite(b->c) && b->h >= b->l);
        check(!isinf(b->v) && !(b->v < 0) && !isinf(b->vw) && b->rev == 0);
    }
}

/* As a reader does it: header, sums, each block. `bytes` is aligned and has exactly `size` bytes. */
static void read_file(const uint8_t *bytes, size_t size)
{
    size_t head_size = 0;
    if (cache_file_head(bytes, size, &head_size))
        return;
    check(head_size <= size && head_size <= CACHE_FILE_HEAD_MAX);
    if (cache_file_check(bytes, head_size, &id))
        return;
    const struct cache_file_header *h = (const struct cache_file_header *)(const void *)bytes;
    check(h->rows <= CACHE_ROWS_MAX && h->range_count <= CACHE_FILE_RANGES);
    const struct pgd_bar *rows = (const struct pgd_bar *)(const void *)(bytes + head_size);
    for (uint32_t b = 0; b < cache_file_blocks(h->rows); b++) {
        uint32_t count = cache_file_block_rows(bytes, b);
        check(count > 0 && (size_t)b * CACHE_FILE_BLOCK + count <= h->rows);
        if (!cache_file_block(bytes, b, rows + (size_t)b * CACHE_FILE_BLOCK))
            check_rows(h, rows + (size_t)b * CACHE_FILE_BLOCK, count);
    }
}

/* From the input: flags, ranges and rows; the rest as it must be. */
static void build_file(const uint8_t *data, size_t size)
{
    struct cache_file_header h;
    if (size < sizeof h)
        return;
    memcpy(&h, data, sizeof h);
    h.rows = (uint32_t)((size - sizeof h) / sizeof(struct pgd_bar));
    if (h.rows > 2000)
        return;
    if (data[0] & 1) { /* else whatever the input says */
        h.span_ms = MINUTE;
        h.period = id.period;
        h.cluster = PGD_STOCKS;
        h.flags = 0;
        memset(h.symbol, 0, sizeof h.symbol);
        memcpy(h.symbol, "AAPL", 4);
    }
    size_t file_size = cache_file_size(h.rows);
    uint8_t *bytes = malloc(file_size);
    struct pgd_bar *rows = malloc((h.rows + 1) * sizeof *rows);
    check(bytes && rows);
    memcpy(rows, data + sizeof h, h.rows * sizeof *rows);
    cache_file_build(bytes, &h, rows);
    read_file(bytes, file_size);
    /* one bit anywhere spoils it: head or block */
    if (h.rows) {
        bytes[cache_file_rows_offset(h.rows)] ^= 1;
        check(cache_file_block(
                  bytes, 0, (const struct pgd_bar *)(const void *)(bytes + cache_file_rows_offset(h.rows))) !=
              NULL);
    }
    free(rows);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    check(copy != NULL);
    if (size)
        memcpy(copy, data, size);
    read_file(copy, size);
    free(copy);
    build_file(data, size);
    return 0;
}
