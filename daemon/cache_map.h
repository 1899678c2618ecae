/* daemon/cache_map.h - a file mapped for reading that may be cut short or go bad while it is read.
 *
 * The cache itself only ever replaces files by rename, so a mapping keeps its bytes. But a file on a disk can
 * be truncated by somebody else, or unreadable: then the kernel raises SIGBUS. Bytes leave a mapping through
 * cache_map_copy alone, which turns that signal into -EIO; what is checked and used is the copy, so the file
 * cannot change between check and use. Any thread. */
#ifndef DAEMON_CACHE_MAP_H
#define DAEMON_CACHE_MAP_H

#include <stddef.h>
#include <stdint.h>

/* Installs the handler of SIGBUS, unless it is in force. A SIGBUS from elsewhere goes to the one before. */
void cache_map_guard(void);

struct cache_map {
    const uint8_t *base; /* NULL: closed */
    size_t size;
    int64_t used_ms; /* mtime of the file: when it was last used */
};

/* -ENOENT; -ELOOP: a link; -EINVAL: no regular file, empty, or larger than `most`. Marks the file as used
 * (its mtime) unless it was marked within the last hour. */
int cache_map_open(struct cache_map *ret, int dirfd, const char *path, size_t most)
    __attribute__((warn_unused_result));
void cache_map_close(struct cache_map *map);

/* -ERANGE: not within the mapping; -EIO: the bytes are gone. */
int cache_map_copy(const struct cache_map *map, size_t offset, void *to, size_t size)
    __attribute__((warn_unused_result));

#endif
