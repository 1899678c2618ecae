/* daemon/clock.h - the three clocks, in ns. */
#ifndef DAEMON_CLOCK_H
#define DAEMON_CLOCK_H

#include <stdint.h>

#define NS_PER_S INT64_C(1000000000)

int64_t clock_real_ns(void); /* since 1970; can be set, hence jump */
int64_t clock_mono_ns(void); /* since some start; stands still while the machine sleeps */
int64_t clock_boot_ns(void); /* since boot; counts sleep as well */

#endif
