#include "shm/wake.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shm/atomic.h"

#define NS_PER_S  INT64_C(1000000000)
#define WORDS_MAX 128u /* FUTEX_WAITV_MAX */
#define FALLBACK_SLICE                                                                                       \
    INT64_C(10000000) /* longest sleep on the first word when the kernel cannot wait on all */

/* Not every kernel header this compiles against knows futex_waitv; its number is the same on every
 * architecture. */
#define WAITV_CALL 449
#define WAITV_U32  2u
struct waitv {
    uint64_t val;
    uint64_t uaddr;
    uint32_t flags;
    uint32_t reserved;
};

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static struct timespec from_ns(int64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

/* Absolute time of a timeout that counts from now; saturates. */
static int64_t deadline_of(int64_t timeout_ns)
{
    int64_t now = now_ns();
    return timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

void pgd_wake_all(uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

int pgd_wait(const uint32_t *word, uint32_t seen, int64_t timeout_ns)
{
    struct timespec ts, *limit = NULL;
    if (timeout_ns >= 0) {
        ts = from_ns(timeout_ns);
        limit = &ts;
    }
    if (syscall(SYS_futex, word, FUTEX_WAIT, seen, limit, NULL, 0) == 0 || errno == EAGAIN)
        return 0;
    return -errno;
}

static int first_changed(const struct pgd_wait_word *words, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (shm_load32_acquire(words[i].word) != words[i].seen)
            return (int)i;
    return -1;
}

static int wait_in_slices(const struct pgd_wait_word *words, unsigned count, int64_t timeout_ns)
{
    int64_t deadline = timeout_ns < 0 ? INT64_MAX : deadline_of(timeout_ns);
    for (;;) {
        int changed = first_changed(words, count);
        if (changed >= 0)
            return changed;
        int64_t left = deadline - now_ns();
        if (left <= 0)
            return -ETIMEDOUT;
        int r = pgd_wait(words[0].word, words[0].seen, left < FALLBACK_SLICE ? left : FALLBACK_SLICE);
        if (r < 0 && r != -ETIMEDOUT)
            return r;
    }
}

int pgd_wait_any(const struct pgd_wait_word *words, unsigned count, int64_t timeout_ns)
{
    if (count == 0 || count > WORDS_MAX)
        return -EINVAL;
    struct waitv list[WORDS_MAX];
    for (unsigned i = 0; i < count; i++)
        list[i] = (struct waitv){
            .val = words[i].seen, .uaddr = (uint64_t)(uintptr_t)words[i].word, .flags = WAITV_U32};
    struct timespec ts, *limit = NULL;
    if (timeout_ns >= 0) {
        ts = from_ns(deadline_of(timeout_ns));
        limit = &ts;
    }
    long r = syscall(WAITV_CALL, list, count, 0, limit, CLOCK_MONOTONIC);
    if (r >= 0)
        return (int)r;
    if (errno == ENOSYS)
        return wait_in_slices(words, count, timeout_ns);
    if (errno != EAGAIN)
        return -errno;
    int changed = first_changed(words, count);
    return changed >= 0 ? changed : 0;
}
