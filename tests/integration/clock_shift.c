/* Loaded into a daemon under test (LD_PRELOAD): CLOCK_REALTIME is CLOCK_SHIFT seconds ahead. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *ts)
{
    static long shift;
    static int known;
    if (!known) {
        const char *text = getenv("CLOCK_SHIFT");
        shift = text ? atol(text) : 0;
        known = 1;
    }
    long r = syscall(SYS_clock_gettime, id, ts);
    if (r == 0 && id == CLOCK_REALTIME)
        ts->tv_sec += shift;
    return (int)r;
}
