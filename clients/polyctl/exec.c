/* exec.c - work that is the daemon binary's: polyctl becomes polygond. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "polyctl.h"

int ctl_exec_daemon(char **argv)
{
    static char path[4096];
    static char name[] = "polygond";
    /* the one that was installed with this polyctl, else that of PATH */
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof name - 1);
    char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
    argv[0] = name;
    fflush(stdout);
    if (slash) {
        memcpy(slash + 1, name, sizeof name);
        execv(path, argv);
    }
    execvp(name, argv);
    say(name, "cannot be started: %s", strerror(errno));
    return EXIT_FAILED;
}
