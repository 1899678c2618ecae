/* daemon/clock.h - the three clocks, in ns. */
#ifndef DAEMON_CLOCK_H
#define DAEMON_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* "Now" where it decides what is published. It is the machine's until a replay, or a test that simulates a
 * day, drives it; what serves the living (heartbeats, time-outs of sockets and clients, the log) asks the
 * machine below. One thread. */
struct clock {
    int64_t now_ns; /* when what is being handled was received, since 1970 */
    bool driven;
};
int64_t clock_now_ns(const struct clock *clock);   /* the machine's, or as driven */
int64_t clock_stamp(struct clock *clock);          /* sets and returns it */
void clock_drive(struct clock *clock, int64_t ns); /* from now on it stands still between calls */

#define NS_PER_S INT64_C(1000000000)

int64_t clock_real_ns(void); /* since 1970; can be set, hence jump */
int64_t clock_mono_ns(void); /* since some start; stands still while the machine sleeps */
int64_t clock_boot_ns(void); /* since boot; counts sleep as well */

#endif
