/* daemon/cache_private.h - what cache.c, cache_store.c and cache_trim.c share. */
#ifndef DAEMON_CACHE_PRIVATE_H
#define DAEMON_CACHE_PRIVATE_H

#include <pthread.h>

#include "cache.h"
#include "cache_file.h"
#include "cache_map.h"
#include "cache_name.h"

#define CACHE_DAMAGED_MAX 16 /* files set aside that are kept */

struct cache {
    int fd;   /* DIRECTORY/v1 */
    int home; /* DIRECTORY/v1/HOST */
    char *directory;
    uint64_t max_bytes;
    void (*damaged)(void *user, const char *path, const char *why);
    void *user;
    pthread_mutex_t trimming;
    /* relaxed atomics: counts, and hints */
    struct cache_stats stats;
    int64_t newest_ms[PGD_CLUSTERS]; /* start of the newest bar seen */
    uint32_t serial;                 /* of temporary files */
};

static inline void cache_count(uint64_t *counter, uint64_t add)
{
    __atomic_fetch_add(counter, add, __ATOMIC_RELAXED);
}

/* Room a file takes, in whole pages of 4 KiB. */
static inline uint64_t cache_room(uint64_t size)
{
    return (size + 4095) / 4096 * 4096;
}

/* One file, opened and its head checked. */
struct cache_piece {
    struct cache_map map;
    _Alignas(8) uint8_t head[CACHE_FILE_HEAD_MAX];
    size_t head_size;
};

static inline const struct cache_file_header *cache_piece_header(const struct cache_piece *piece)
{
    return (const struct cache_file_header *)(const void *)piece->head;
}

/* 1 it is there, 0 there is none (or it was damaged and has been set aside), -errno. */
int cache_piece_open(struct cache *cache, const struct cache_key *key, int64_t t_ms, uint32_t flags,
                     struct cache_piece *ret) __attribute__((warn_unused_result));
void cache_piece_close(struct cache_piece *piece);

/* Copies block `block` to `rows` and checks it: 1, or 0 after the file was set aside. `next`: the first row
 * of the block behind it, when that was read before. */
int cache_piece_block(struct cache *cache, const struct cache_key *key, struct cache_piece *piece,
                      uint32_t block, struct pgd_bar *rows, const struct pgd_bar *next);

/* Rows of a piece in memory of its own. */
struct cache_buffer {
    struct pgd_bar *rows;
    size_t room;
};
int cache_buffer_reserve(struct cache_buffer *buffer, size_t rows) __attribute__((warn_unused_result));

/* The rows of a piece at their places in `buffer`, from the end on until `limit` of them begin in `window`:
 * rows [*ret_first, *ret_end) are there and lie in the window. 1, 0 after the file was set aside, -ENOMEM. */
int cache_piece_rows(struct cache *cache, const struct cache_key *key, struct cache_piece *piece,
                     const struct cache_range *window, size_t limit, struct cache_buffer *buffer,
                     size_t *ret_first, size_t *ret_end) __attribute__((warn_unused_result));

#endif
