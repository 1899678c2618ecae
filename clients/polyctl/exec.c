/* exec.c - work that is the daemon binary's: polyctl becomes polygond. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "polyctl.h"

static int exec_daemon(char **argv)
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

int ctl_exec_daemon(const char *what, const struct args *args, uint64_t passed)
{
    char words[OPT_COUNT_OF][64];
    char **argv = calloc(2 * OPT_COUNT_OF + 4 + (size_t)args->operand_count, sizeof *argv);
    if (!argv) {
        say(what, "out of memory");
        return EXIT_FAILED;
    }
    static char end[] = "--";
    int n = 1;
    argv[n++] = (char *)(uintptr_t)what;
    for (int i = 0; i < OPT_COUNT_OF; i++) {
        const struct option_info *option = &option_infos[i];
        if (!(passed >> i & 1u) || !args_has(args, (enum option_id)i))
            continue;
        snprintf(words[i], sizeof words[i], "--%s", option->name);
        argv[n++] = words[i];
        if (option->value)
            argv[n++] = (char *)(uintptr_t)args->value[i];
    }
    argv[n++] = end;
    for (int i = 0; i < args->operand_count; i++)
        argv[n++] = args->operands[i];
    int code = exec_daemon(argv);
    free(argv);
    return code;
}
