#include "cache_map.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"

#define USED_EVERY_MS INT64_C(3600000)

/* What this thread is copying. The initial-exec model keeps the handler from allocating. */
static __thread __attribute__((tls_model("initial-exec"))) const struct cache_map *volatile copying;
static __thread __attribute__((tls_model("initial-exec"))) sigjmp_buf escape;

static struct sigaction before;
static pthread_mutex_t installing = PTHREAD_MUTEX_INITIALIZER;

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    (void)context;
    const struct cache_map *map = copying;
    uintptr_t at = (uintptr_t)info->si_addr;
    if (map && at >= (uintptr_t)map->base && at - (uintptr_t)map->base < map->size)
        siglongjmp(escape, 1);
    /* Not ours: the instruction is repeated and meets the handler there was. */
    sigaction(number, &before, NULL);
}

void cache_map_guard(void)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_NODEFER};
    struct sigaction now;
    sigemptyset(&action.sa_mask);
    pthread_mutex_lock(&installing);
    if (sigaction(SIGBUS, NULL, &now) == 0 &&
        !((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_bus_error)) {
        before = now;
        sigaction(SIGBUS, &action, NULL);
    }
    pthread_mutex_unlock(&installing);
}

static void mark_used(int fd, struct cache_map *map)
{
    int64_t now_ms = clock_real_ns() / 1000000;
    if (now_ms - map->used_ms < USED_EVERY_MS)
        return;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
    (void)futimens(fd, times); /* somebody else's file: then it counts as used when it was written */
}

int cache_map_open(struct cache_map *ret, int dirfd, const char *path, size_t most)
{
    struct stat st;
    int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int r = fstat(fd, &st) < 0 ? -errno : 0;
    if (r == 0 && (!S_ISREG(st.st_mode) || st.st_size <= 0 || (uint64_t)st.st_size > most))
        r = -EINVAL;
    if (r == 0) {
        struct cache_map map = {.size = (size_t)st.st_size,
                                .used_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000};
        void *base = mmap(NULL, map.size, PROT_READ, MAP_SHARED, fd, 0);
        r = base == MAP_FAILED ? -errno : 0;
        if (r == 0) {
            map.base = base;
            mark_used(fd, &map);
            *ret = map;
        }
    }
    close(fd);
    return r;
}

void cache_map_close(struct cache_map *map)
{
    if (map->base)
        munmap((void *)(uintptr_t)map->base, map->size);
    map->base = NULL;
}

int cache_map_copy(const struct cache_map *map, size_t offset, void *to, size_t size)
{
    if (offset > map->size || size > map->size - offset)
        return -ERANGE;
    if (sigsetjmp(escape, 0)) {
        copying = NULL;
        return -EIO;
    }
    copying = map;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    memcpy(to, map->base + offset, size);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    copying = NULL;
    return 0;
}
