#include "cache_file.h"

#include <math.h>
#include <string.h>

#define XXH_INLINE_ALL
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#define MINUTE_MS INT64_C(60000)

uint32_t cache_file_blocks(uint32_t rows)
{
    return (rows + CACHE_FILE_BLOCK - 1) / CACHE_FILE_BLOCK;
}

size_t cache_file_rows_offset(uint32_t rows)
{
    size_t sums = (size_t)cache_file_blocks(rows) * sizeof(uint64_t);
    return CACHE_FILE_HEADER + (sums + PGD_LINE - 1) / PGD_LINE * PGD_LINE;
}

size_t cache_file_size(uint32_t rows)
{
    return cache_file_rows_offset(rows) + (size_t)rows * sizeof(struct pgd_bar);
}

uint32_t cache_file_block_rows(const void *head, uint32_t block)
{
    const struct cache_file_header *h = head;
    uint32_t first = block * CACHE_FILE_BLOCK;
    return h->rows - first < CACHE_FILE_BLOCK ? h->rows - first : CACHE_FILE_BLOCK;
}

/* The sum field itself counts as zero. */
static uint64_t head_sum(const void *head, size_t size)
{
    struct cache_file_header copy;
    XXH3_state_t state;
    memcpy(&copy, head, sizeof copy);
    copy.sum = 0;
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, &copy, sizeof copy);
    XXH3_64bits_update(&state, (const uint8_t *)head + sizeof copy, size - sizeof copy);
    return XXH3_64bits_digest(&state);
}

static uint64_t block_sum(const struct pgd_bar *rows, uint32_t count)
{
    return XXH3_64bits(rows, count * sizeof *rows);
}

const char *cache_file_head(const void *header, size_t file_size, size_t *ret_head_size)
{
    struct cache_file_header h;
    if (file_size < sizeof h)
        return "shorter than a header";
    memcpy(&h, header, sizeof h);
    if (h.magic != CACHE_FILE_MAGIC)
        return "not a file of this cache";
    if (h.version != CACHE_FILE_VERSION)
        return "another version's";
    if (h.rows > CACHE_ROWS_MAX)
        return "more rows than a period has";
    if (file_size != cache_file_size(h.rows))
        return "its size is not that of its rows";
    *ret_head_size = cache_file_rows_offset(h.rows);
    return NULL;
}

static bool ranges_valid(const struct cache_file_header *h)
{
    if (h->range_count > CACHE_FILE_RANGES)
        return false;
    for (uint32_t i = 0; i < h->range_count; i++)
        if (h->ranges[i].from >= h->ranges[i].to || h->ranges[i].from < h->period.from ||
            h->ranges[i].to > h->period.to || (i && h->ranges[i].from <= h->ranges[i - 1].to))
            return false;
    return true;
}

const char *cache_file_check(const void *head, size_t head_size, const struct cache_file_id *id)
{
    struct cache_file_header h;
    char symbol[PGD_SYMBOL_MAX] = "";
    memcpy(&h, head, sizeof h);
    if (head_size != cache_file_rows_offset(h.rows) || h.sum != head_sum(head, head_size))
        return "the sum of its header is wrong";
    strncpy(symbol, id->symbol, sizeof symbol - 1);
    if (memcmp(symbol, h.symbol, sizeof symbol) != 0 || h.cluster != (uint32_t)id->cluster)
        return "of another symbol";
    if (h.span_ms != id->span_ms || h.period.from != id->period.from || h.period.to != id->period.to)
        return "of another timespan or period";
    if (h.flags != id->flags)
        return "of another kind";
    return ranges_valid(&h) ? NULL : "impossible ranges";
}

bool cache_file_bar_valid(const struct pgd_bar *b, int64_t span_ms)
{
    const double must[] = {b->o, b->h, b->l, b->c};
    for (size_t i = 0; i < sizeof must / sizeof must[0]; i++)
        if (!isfinite(must[i]))
            return false;
    return b->h >= b->l && !isinf(b->v) && !(b->v < 0) && !isinf(b->vw) &&
           (span_ms > MINUTE_MS || b->t % span_ms == 0);
}

const char *cache_file_block(const void *head, uint32_t block, const struct pgd_bar *rows)
{
    const struct cache_file_header *h = head;
    const uint64_t *sums = (const uint64_t *)(const void *)((const uint8_t *)head + CACHE_FILE_HEADER);
    uint32_t count = cache_file_block_rows(head, block);
    if (sums[block] != block_sum(rows, count))
        return "the sum of its rows is wrong";
    uint32_t range = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct pgd_bar *b = &rows[i];
        while (range < h->range_count && h->ranges[range].to <= b->t)
            range++;
        if (range == h->range_count || b->t < h->ranges[range].from || (i && b->t <= rows[i - 1].t) ||
            b->rev != 0 || !cache_file_bar_valid(b, h->span_ms))
            return "rows that cannot be";
    }
    return NULL;
}

void cache_file_build(void *bytes, const struct cache_file_header *header, const struct pgd_bar *rows)
{
    uint8_t *at = bytes;
    struct cache_file_header h = *header;
    size_t head_size = cache_file_rows_offset(h.rows);
    h.magic = CACHE_FILE_MAGIC;
    h.version = CACHE_FILE_VERSION;
    h.sum = 0;
    memset(at, 0, head_size);
    memcpy(at, &h, sizeof h);
    for (uint32_t b = 0; b < cache_file_blocks(h.rows); b++) {
        uint64_t sum = block_sum(rows + (size_t)b * CACHE_FILE_BLOCK, cache_file_block_rows(&h, b));
        memcpy(at + CACHE_FILE_HEADER + b * sizeof sum, &sum, sizeof sum);
    }
    h.sum = head_sum(at, head_size);
    memcpy(at, &h, sizeof h);
    if (h.rows)
        memcpy(at + head_size, rows, h.rows * sizeof *rows);
}
