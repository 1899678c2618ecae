#include "cuda/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cuda/digest.h"
#include "cuda/why.h"

struct pgk_cache {
    int fd;
    uint32_t serial; /* of temporary names */
    char path[PATH_MAX];
};

static const uint8_t magic[8] = {'P', 'G', 'K', 'C', 'A', 'C', 'H', '1'};

struct header {
    uint8_t magic[8];
    uint32_t kind;
    uint32_t reserved; /* 0 */
    uint64_t size;     /* of the content */
    uint8_t key[32];
    uint8_t digest[32]; /* of kind, size and content */
};
_Static_assert(sizeof(struct header) == 88, "layout of a file");

#define NAME_SIZE   70 /* 64 digits, ".krn", 0 */
#define TEMP_PREFIX ".new-"
#define TEMP_AGE_S  3600

/* ----------------------------------------------------------------------------------------------- directory
 */

/* $CACHE_DIRECTORY up to a colon, $XDG_CACHE_HOME/polygond, $HOME/.cache/polygond. Relative ones do not
 * count. */
static int choose(char *path, size_t size)
{
    static const struct {
        const char *variable, *below;
    } places[] = {{"CACHE_DIRECTORY", ""}, {"XDG_CACHE_HOME", "/polygond"}, {"HOME", "/.cache/polygond"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *base = getenv(places[i].variable);
        if (!base || base[0] != '/')
            continue;
        size_t length = i == 0 ? strcspn(base, ":") : strlen(base);
        int n =
            snprintf(path, size, "%.*s%s", length < size ? (int)length : (int)size, base, places[i].below);
        return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
    }
    return -ENOENT;
}

static int make_path(char *path)
{
    for (char *p = path + 1; *p; p++)
        if (*p == '/') {
            *p = 0;
            int failed = mkdir(path, 0700) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES;
            *p = '/';
            if (failed)
                return -errno;
        }
    return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Whoever can write here can run code as us. */
static bool ours_alone(const struct stat *st)
{
    return st->st_uid == geteuid() && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static int open_directory(struct pgk_cache *cache, char *why, size_t why_size)
{
    struct stat st;
    cache->fd = open(cache->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cache->fd < 0 && errno == ENOENT) {
        int r = make_path(cache->path);
        if (r < 0)
            return pgk_why(r, why, why_size, "kernel cache %s cannot be made: %s", cache->path, strerror(-r));
        cache->fd = open(cache->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (cache->fd < 0 || fstat(cache->fd, &st) < 0) {
        int r = -errno;
        return pgk_why(r, why, why_size, "kernel cache %s: %s", cache->path, strerror(-r));
    }
    if (!ours_alone(&st))
        return pgk_why(-EPERM, why, why_size, "kernel cache %s refused: %s", cache->path,
                       st.st_uid != geteuid() ? "it belongs to another user" : "others may write there");
    return 0;
}

int pgk_cache_open(struct pgk_cache **ret, const char *directory, char *why, size_t why_size)
{
    struct pgk_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return pgk_why(-ENOMEM, why, why_size, "out of memory");
    cache->fd = -1;
    int r;
    if (directory)
        r = snprintf(cache->path, sizeof cache->path, "%s", directory) < (int)sizeof cache->path
                ? 0
                : -ENAMETOOLONG;
    else
        r = choose(cache->path, sizeof cache->path);
    if (r < 0)
        pgk_why(r, why, why_size, "no kernel cache: %s",
                r == -ENOENT ? "CACHE_DIRECTORY, XDG_CACHE_HOME and HOME are not set" : strerror(-r));
    else
        r = open_directory(cache, why, why_size);
    if (r < 0) {
        pgk_cache_close(cache);
        return r;
    }
    *ret = cache;
    return 0;
}

void pgk_cache_close(struct pgk_cache *cache)
{
    if (!cache)
        return;
    if (cache->fd >= 0)
        close(cache->fd);
    free(cache);
}

const char *pgk_cache_path(const struct pgk_cache *cache)
{
    return cache->path;
}

/* ------------------------------------------------------------------------------------------------- entries
 */

static void name_of(const uint8_t key[32], char name[NAME_SIZE])
{
    for (unsigned i = 0; i < 32; i++)
        snprintf(name + 2 * i, 3, "%02x", key[i]);
    memcpy(name + 64, ".krn", 5);
}

static bool is_entry(const char *name)
{
    return strspn(name, "0123456789abcdef") == 64 && strcmp(name + 64, ".krn") == 0;
}

static void digest_of(const struct header *h, const void *data, uint8_t ret[32])
{
    struct pgk_digest d;
    pgk_digest_init(&d);
    pgk_digest_add(&d, &h->kind, sizeof h->kind);
    pgk_digest_add(&d, &h->size, sizeof h->size);
    pgk_digest_add(&d, data, (size_t)h->size);
    pgk_digest_end(&d, ret);
}

static int read_all(int fd, void *data, size_t size)
{
    for (size_t have = 0; have < size;) {
        ssize_t n = read(fd, (char *)data + have, size - have);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return -EBADMSG;
        have += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int write_all(int fd, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, (const char *)data + done, size - done);
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* -EBADMSG: not what its name says. */
static int read_entry(int fd, const uint8_t key[32], uint32_t *ret_kind, void **ret_data, size_t *ret_size)
{
    struct stat st;
    struct header h;
    uint8_t digest[32];
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || !ours_alone(&st))
        return -EBADMSG;
    int r = read_all(fd, &h, sizeof h);
    if (r < 0)
        return r;
    if (memcmp(h.magic, magic, sizeof magic) != 0 || h.reserved != 0 || memcmp(h.key, key, 32) != 0 ||
        h.size > PGK_CACHE_ENTRY_SIZE || (uint64_t)st.st_size != sizeof h + h.size)
        return -EBADMSG;
    void *data = malloc((size_t)h.size + 1);
    if (!data)
        return -ENOMEM;
    r = read_all(fd, data, (size_t)h.size);
    if (r == 0) {
        digest_of(&h, data, digest);
        r = memcmp(digest, h.digest, 32) == 0 ? 0 : -EBADMSG;
    }
    if (r < 0) {
        free(data);
        return r;
    }
    ((char *)data)[h.size] = 0; /* PTX is text */
    *ret_kind = h.kind;
    *ret_data = data;
    *ret_size = (size_t)h.size;
    return 0;
}

int pgk_cache_get(struct pgk_cache *cache, const uint8_t key[32], uint32_t *ret_kind, void **ret_data,
                  size_t *ret_size)
{
    char name[NAME_SIZE];
    name_of(key, name);
    /* Without O_NONBLOCK a FIFO of that name would hold us for good. */
    int fd = openat(cache->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int r = fd < 0 ? -errno : read_entry(fd, key, ret_kind, ret_data, ret_size);
    if (r == 0)
        futimens(fd, NULL); /* used just now: goes last */
    if (fd >= 0)
        close(fd);
    if (r == -EBADMSG || r == -ELOOP) {
        unlinkat(cache->fd, name, 0);
        r = -ENOENT;
    }
    return r;
}

/* ------------------------------------------------------------------------------------------------- pruning
 */

struct held {
    char name[NAME_SIZE];
    struct timespec used;
    uint64_t size;
};

static int latest_first(const void *a, const void *b)
{
    const struct timespec *x = &((const struct held *)a)->used, *y = &((const struct held *)b)->used;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? 1 : -1;
    return x->tv_nsec == y->tv_nsec ? 0 : x->tv_nsec < y->tv_nsec ? 1 : -1;
}

/* All entries on the heap; temporary files that a killed process left are deleted on the way. */
static int list(struct pgk_cache *cache, struct held **ret, size_t *ret_count)
{
    int fd = openat(cache->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int r = -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    struct held *all = NULL;
    size_t count = 0, room = 0;
    time_t now = time(NULL);
    int r = 0;
    for (const struct dirent *e; r == 0 && (e = readdir(d));) {
        struct stat st;
        bool temp = strncmp(e->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0;
        if ((!temp && !is_entry(e->d_name)) || fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (temp) {
            if (now - st.st_mtime > TEMP_AGE_S)
                unlinkat(fd, e->d_name, 0);
            continue;
        }
        if (count == room) {
            room = room ? 2 * room : 2 * PGK_CACHE_ENTRIES;
            struct held *more = realloc(all, room * sizeof *all);
            r = more ? 0 : -ENOMEM;
            all = more ? more : all;
        }
        if (r == 0) {
            memcpy(all[count].name, e->d_name, strlen(e->d_name) + 1);
            all[count].used = st.st_mtim;
            all[count++].size = (uint64_t)st.st_size;
        }
    }
    closedir(d);
    if (r < 0) {
        free(all);
        return r;
    }
    *ret = all;
    *ret_count = count;
    return 0;
}

/* Leaves what fits; whoever has one of them open goes on reading it. */
static void prune(struct pgk_cache *cache)
{
    struct held *all = NULL;
    size_t count = 0;
    uint64_t size = 0;
    if (list(cache, &all, &count) < 0)
        return;
    if (count > 0)
        qsort(all, count, sizeof *all, latest_first);
    for (size_t i = 0; i < count; i++) {
        size += all[i].size;
        if (i >= PGK_CACHE_ENTRIES || size > PGK_CACHE_SIZE)
            unlinkat(cache->fd, all[i].name, 0);
    }
    free(all);
}

int pgk_cache_put(struct pgk_cache *cache, const uint8_t key[32], uint32_t kind, const void *data,
                  size_t size)
{
    if (size > PGK_CACHE_ENTRY_SIZE)
        return -EFBIG;
    char name[NAME_SIZE], temp[64];
    struct header h = {.kind = kind, .size = size};
    memcpy(h.magic, magic, sizeof magic);
    memcpy(h.key, key, 32);
    digest_of(&h, data, h.digest);
    name_of(key, name);
    int fd = -1;
    /* A name that is there was left by a process of our id that was killed. */
    for (unsigned i = 0; fd < 0 && i < 100; i++) {
        snprintf(temp, sizeof temp, TEMP_PREFIX "%ld-%" PRIx32, (long)getpid(),
                 __atomic_fetch_add(&cache->serial, 1, __ATOMIC_RELAXED));
        fd = openat(cache->fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST)
            break;
    }
    if (fd < 0)
        return -errno;
    int r = write_all(fd, &h, sizeof h);
    if (r == 0)
        r = write_all(fd, data, size);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && renameat(cache->fd, temp, cache->fd, name) < 0)
        r = -errno;
    if (r < 0) {
        unlinkat(cache->fd, temp, 0);
        return r;
    }
    prune(cache);
    return 0;
}
