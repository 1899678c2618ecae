#include "cache_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"

#define USED_EVERY_MS INT64_C(3600000)

static void mark_used(int fd, const struct stat *st)
{
    int64_t used_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
    if (clock_real_ns() / 1000000 - used_ms < USED_EVERY_MS)
        return;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
    (void)futimens(fd, times); /* somebody else's file: then it counts as used when it was written */
}

int cache_read_open(struct cache_read *ret, int dirfd, const char *path, size_t most)
{
    struct stat st;
    int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int r = fstat(fd, &st) < 0 ? -errno : 0;
    if (r == 0 && (!S_ISREG(st.st_mode) || st.st_size <= 0 || (uint64_t)st.st_size > most))
        r = -EINVAL;
    if (r < 0) {
        close(fd);
        return r;
    }
    mark_used(fd, &st);
    *ret = (struct cache_read){fd, (size_t)st.st_size};
    return 0;
}

void cache_read_close(struct cache_read *read)
{
    if (read->fd >= 0)
        close(read->fd);
    read->fd = -1;
}

int cache_read_bytes(const struct cache_read *r, size_t offset, void *to, size_t size)
{
    uint8_t *at = to;
    while (size > 0) {
        ssize_t n = pread(r->fd, at, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -EIO;
        at += n;
        offset += (size_t)n;
        size -= (size_t)n;
    }
    return 0;
}
