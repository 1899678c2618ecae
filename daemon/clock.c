#include "clock.h"

#include <time.h>

static int64_t now_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts); /* cannot fail for these three */
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_real_ns(void)
{
    return now_ns(CLOCK_REALTIME);
}

int64_t clock_mono_ns(void)
{
    return now_ns(CLOCK_MONOTONIC);
}

int64_t clock_boot_ns(void)
{
    return now_ns(CLOCK_BOOTTIME);
}

int64_t clock_now_ns(const struct clock *clock)
{
    return clock->driven ? clock->now_ns : clock_real_ns();
}

int64_t clock_stamp(struct clock *clock)
{
    if (!clock->driven)
        clock->now_ns = clock_real_ns();
    return clock->now_ns;
}

void clock_drive(struct clock *clock, int64_t ns)
{
    clock->driven = true;
    clock->now_ns = ns;
}
