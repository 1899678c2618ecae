#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache_private.h"
#include "clock.h"
#include "config.h"

#define DEPTH_MAX 6 /* HOST/CLUSTER/TIMESPAN/PERIOD/FILE */
#define ORPHAN_MS INT64_C(3600000)
#define KEEP_NUM  9 /* room is made down to nine tenths, so that it is not made for every file */
#define KEEP_DEN  10

struct entry {
    int64_t used_ms;
    uint64_t room;
    char *path;
};

struct walk {
    struct cache *cache;
    struct entry *entries;
    size_t count, room;
    uint64_t bytes;
    size_t damaged; /* of the entries */
    int64_t now_ms;
    bool failed; /* out of memory: nothing is removed on half a list */
};

static void note(struct walk *w, const char *path, const char *name, const struct stat *st)
{
    int64_t used = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
    if (name[0] == '.') {
        if (strcmp(name, CACHE_LOCK) != 0 && w->now_ms - used > ORPHAN_MS)
            unlinkat(w->cache->fd, path, 0); /* of a writer that was killed */
        return;
    }
    if (w->count == w->room) {
        size_t room = w->room ? 2 * w->room : 1024;
        struct entry *entries = realloc(w->entries, room * sizeof *entries);
        if (!entries) {
            w->failed = true;
            return;
        }
        w->entries = entries;
        w->room = room;
    }
    char *copy = strdup(path);
    if (!copy) {
        w->failed = true;
        return;
    }
    w->entries[w->count++] = (struct entry){used, cache_room((uint64_t)st->st_size), copy};
    w->bytes += cache_room((uint64_t)st->st_size);
    w->damaged += strncmp(path, "damaged/", 8) == 0;
}

static DIR *folder_open(const struct walk *w, const char *path)
{
    int fd = openat(w->cache->fd, path[0] ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !dir)
        close(fd);
    return dir;
}

static void look(struct walk *w, const char *path, int depth)
{
    DIR *dir = depth < DEPTH_MAX ? folder_open(w, path) : NULL;
    if (!dir)
        return;
    for (const struct dirent *e; (e = readdir(dir)) && !w->failed;) {
        char below[4096];
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        int n = snprintf(below, sizeof below, "%s%s%s", path, path[0] ? "/" : "", e->d_name);
        if (n < 0 || (size_t)n >= sizeof below ||
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISDIR(st.st_mode))
            look(w, below, depth + 1);
        else if (S_ISREG(st.st_mode))
            note(w, below, e->d_name, &st);
    }
    closedir(dir);
}

static int by_use(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return (x->used_ms > y->used_ms) - (x->used_ms < y->used_ms);
}

static void make_room(struct walk *w)
{
    struct cache *c = w->cache;
    uint64_t most = c->max_bytes && w->bytes > c->max_bytes ? c->max_bytes / KEEP_DEN * KEEP_NUM : UINT64_MAX;
    if (w->count)
        qsort(w->entries, w->count, sizeof *w->entries, by_use);
    for (size_t i = 0; i < w->count; i++) {
        const struct entry *e = &w->entries[i];
        bool damaged = strncmp(e->path, "damaged/", 8) == 0;
        if (w->bytes <= most && !(damaged && w->damaged > CACHE_DAMAGED_MAX))
            continue;
        if (unlinkat(c->fd, e->path, 0) < 0)
            continue;
        w->bytes -= e->room;
        w->damaged -= damaged;
        if (!damaged)
            cache_count(&c->stats.evicted, 1);
    }
}

void cache_trim(struct cache *c)
{
    if (pthread_mutex_trylock(&c->trimming) != 0)
        return; /* somebody is at it */
    struct walk w = {.cache = c, .now_ms = clock_real_ns() / 1000000};
    look(&w, "", 0);
    if (!w.failed)
        make_room(&w);
    __atomic_store_n(&c->stats.bytes, w.bytes, __ATOMIC_RELAXED);
    for (size_t i = 0; i < w.count; i++)
        free(w.entries[i].path);
    free(w.entries);
    pthread_mutex_unlock(&c->trimming);
}

void cache_drop(struct cache *c, const char *symbol, enum pgd_cluster cluster)
{
    char file[2][CACHE_FILE_MAX];
    if (cache_name_file(file[0], symbol, false) < 0 || cache_name_file(file[1], symbol, true) < 0)
        return;
    int top = openat(c->home, config_cluster_name(cluster), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *spans = top < 0 ? NULL : fdopendir(top);
    for (const struct dirent *span; spans && (span = readdir(spans));) {
        int fd = span->d_name[0] == '.' ? -1 : openat(top, span->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *periods = fd < 0 ? NULL : fdopendir(fd);
        for (const struct dirent *period; periods && (period = readdir(periods));) {
            for (int kind = 0; kind < 2 && period->d_name[0] != '.'; kind++) {
                char path[2 + NAME_MAX + CACHE_FILE_MAX + 256];
                snprintf(path, sizeof path, "%s/%s", period->d_name, file[kind]);
                unlinkat(fd, path, 0);
            }
        }
        if (periods)
            closedir(periods);
    }
    if (spans)
        closedir(spans);
}
