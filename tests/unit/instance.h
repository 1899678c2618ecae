/* tests/unit/instance.h - an instance name of this process's own, and its clean-up. */
#ifndef TESTS_UNIT_INSTANCE_H
#define TESTS_UNIT_INSTANCE_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shm/segment.h"

static char instance_name[PGD_INSTANCE_MAX];

static inline const char *instance(void)
{
    if (instance_name[0] == '\0')
        snprintf(instance_name, sizeof instance_name, "test-%ld", (long)getpid());
    return instance_name;
}

/* cmocka teardown: whatever a test leaves is removed. */
static inline int instance_clean(void **state)
{
    (void)state;
    static const char *const names[] = {"board", "trades", "quotes", "bars.1s", "bars.1m", "plain", "copy"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)!pgd_segment_unlink(instance(), names[i]);
    return 0;
}

static inline struct pgd_owner instance_owner(uint64_t epoch)
{
    return (struct pgd_owner){
        .instance = instance(), .epoch = epoch, .mode = 0600, .gid = (gid_t)-1, .directory = 7};
}

static inline void sleep_ms(long ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&ts, NULL);
}

/* Some user-mode emulators hang in a forked child: a test that needs one is skipped there. */
static inline void need_fork(void)
{
    static int works = -1;
    if (works < 0) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        works = 0;
        for (int i = 0; i < 2000 && !works; i++) {
            works = waitpid(child, NULL, WNOHANG) == child;
            if (!works)
                sleep_ms(1);
        }
        if (!works) {
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
        }
    }
    if (!works)
        skip();
}

/* A child that does not outlive the test. */
static inline pid_t fork_child(void)
{
    pid_t child = fork();
    if (child == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return child;
}

#endif
