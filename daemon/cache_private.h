/* daemon/cache_private.h - what cache.c, cache_store.c and cache_trim.c share. */
#ifndef DAEMON_CACHE_PRIVATE_H
#define DAEMON_CACHE_PRIVATE_H

#include <pthread.h>

#include "cache.h"
#include "cache_file.h"
#include "cache_name.h"
#include "cache_read.h"

#define CACHE_DAMAGED_MAX 16      /* files set aside that are kept */
#define CACHE_LOCK        ".lock" /* in each folder of a period */

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
    int64_t newest_ms[PGD_CLUSTERS]; /* the last moment of the newest bar seen */
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
    struct cache_read file;
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

/* Rows in memory that grows. */
struct cache_buffer {
    struct pgd_bar *rows;
    size_t room;
};
int cache_buffer_reserve(struct cache_buffer *buffer, size_t rows) __attribute__((warn_unused_result));

/* Rows of a file: of those read, the ones in the window. */
struct cache_part {
    const struct pgd_bar *rows;
    size_t count;
};

/* How many rows must be read to have the newest `limit`, when none of them lies behind the window. */
size_t cache_piece_need(const struct cache_piece *piece, size_t limit);

/* The newest rows of a piece that begin in `window`, `limit` at most. They are read to `rows`, which has room
 * for `room` (what cache_piece_need said, or all there are). 1, 0 after the file was set aside, -ENOBUFS:
 * more must be read, namely all. */
int cache_piece_rows(struct cache *cache, const struct cache_key *key, struct cache_piece *piece,
                     const struct cache_range *window, size_t limit, struct pgd_bar *rows, size_t room,
                     struct cache_part *ret) __attribute__((warn_unused_result));

#endif
