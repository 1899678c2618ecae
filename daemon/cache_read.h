/* daemon/cache_read.h - a file of the cache, open for reading.
 *
 * Read with pread, not through a mapping: bytes are copied before they are checked in any case (a file may be
 * changed under us), a file cut short is a short read and no SIGBUS, and with several threads a mapping a
 * file costs several times as much as the copy, since all of them wait for the address space (docs/adr/0009).
 * Any thread. */
#ifndef DAEMON_CACHE_READ_H
#define DAEMON_CACHE_READ_H

#include <stddef.h>
#include <stdint.h>

struct cache_read {
    int fd; /* -1: closed */
    size_t size;
};

/* -ENOENT; -ELOOP: a link; -EINVAL: no regular file, empty, or larger than `most`. Marks the file as used
 * (its mtime) unless it was marked within the last hour. */
int cache_read_open(struct cache_read *ret, int dirfd, const char *path, size_t most)
    __attribute__((warn_unused_result));
void cache_read_close(struct cache_read *read);

/* All of [offset, offset + size), or -EIO: the bytes are gone or cannot be read. */
int cache_read_bytes(const struct cache_read *read, size_t offset, void *to, size_t size)
    __attribute__((warn_unused_result));

#endif
