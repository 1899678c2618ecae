/* daemon/cache_file.h - the bytes of one file of the cache: the bars of one symbol, timespan and period.
 *
 *   offset 0      struct cache_file_header, CACHE_FILE_HEADER bytes
 *   then          one 64-bit sum for each block of CACHE_FILE_BLOCK rows, padded with zeros to 64 bytes
 *   then          the rows, struct pgd_bar as in the ring (rev 0), starts rising
 *
 * Little-endian, as the segments are. The header's sum covers header and block sums, a block's sum its rows:
 * XXH3, 64 bits. Whoever needs the newest rows reads and checks no more than their blocks. Pure: bytes in,
 * bytes out. A file comes from outside: every length is checked before it is used, every row before it is
 * handed out. Buffers are aligned to 8 bytes. */
#ifndef DAEMON_CACHE_FILE_H
#define DAEMON_CACHE_FILE_H

#include <stddef.h>

#include "cache_time.h"

#define CACHE_FILE_MAGIC   UINT64_C(0x4548434143444750) /* "PGDCACHE" */
#define CACHE_FILE_VERSION 1u
#define CACHE_FILE_HEADER  1024u
#define CACHE_FILE_BLOCK   256u
#define CACHE_FILE_RANGES  32u
/* Header and block sums of the largest file. */
#define CACHE_FILE_HEAD_MAX 3776u

enum cache_file_flag { CACHE_FILE_RAW = 1 /* imported: not adjusted for splits */ };

struct cache_file_header {
    uint64_t magic;
    uint64_t sum;
    uint32_t version;
    uint32_t rows;
    uint32_t flags;
    uint32_t range_count;
    int64_t span_ms;
    struct cache_range period;
    int64_t settled_ms; /* bars before it are final, those from it on were still subject to revision */
    int64_t written_ms;
    uint32_t cluster;
    uint32_t reserved;
    char symbol[PGD_SYMBOL_MAX];                  /* the canonical name, padded with NULs */
    struct cache_range ranges[CACHE_FILE_RANGES]; /* stretches that were fetched whole; no bar in one: there
                                                     was none. Sorted, disjoint, not touching */
    uint8_t padding[CACHE_FILE_HEADER - 128 - sizeof(struct cache_range) * CACHE_FILE_RANGES];
};
_Static_assert(sizeof(struct cache_file_header) == CACHE_FILE_HEADER, "header is 1024 bytes");

/* What a file must be to be the one that was looked for. */
struct cache_file_id {
    const char *symbol;
    enum pgd_cluster cluster;
    int64_t span_ms;
    struct cache_range period;
    uint32_t flags;
};

/* Bytes of a file with so many rows; offset of its rows; blocks they make. */
size_t cache_file_size(uint32_t rows);
size_t cache_file_rows_offset(uint32_t rows);
uint32_t cache_file_blocks(uint32_t rows);

/* Is this the header (with its block sums, `head_size` bytes in all) of a whole file of `file_size` bytes,
 * and the one looked for? NULL, or what is wrong. Step one, cache_file_head, needs the header alone and gives
 * the bytes that header and sums take; `head_size` of step two must be that. */
const char *cache_file_head(const void *header, size_t file_size, size_t *ret_head_size);
const char *cache_file_check(const void *head, size_t head_size, const struct cache_file_id *id);

/* Are these the rows of block `block`, and rows that may be published? They must lie in the period, be
 * aligned, rise, have finite prices, and be within the ranges. NULL, or what is wrong. `head`: checked. */
const char *cache_file_block(const void *head, uint32_t block, const struct pgd_bar *rows);
uint32_t cache_file_block_rows(const void *head, uint32_t block);

/* Writes the whole file into `bytes` (cache_file_size). `header`: all but magic, sum and version. */
void cache_file_build(void *bytes, const struct cache_file_header *header, const struct pgd_bar *rows);

/* A bar that may stand in a file of this span and cluster. */
bool cache_file_bar_valid(const struct pgd_bar *bar, int64_t span_ms);

#endif
