/* import.c - polyctl import: flat files into the cache of history; polygond does the work. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "polyctl.h"

int verb_import(const struct args *args)
{
    static const enum option_id passed[] = {OPT_CONFIG, OPT_CACHE, OPT_TIMESPAN, OPT_CLUSTER, OPT_STRICT};
    enum { PASSED = sizeof passed / sizeof passed[0] };
    char words[PASSED][64];
    if (args->operand_count == 0) {
        say("import", "which files? polyctl help import");
        return EXIT_USAGE;
    }
    char **argv = calloc(2 * PASSED + 4 + (size_t)args->operand_count, sizeof *argv);
    if (!argv) {
        say("import", "out of memory");
        return EXIT_FAILED;
    }
    static char verb[] = "--import", end[] = "--";
    int n = 1;
    argv[n++] = verb;
    for (int i = 0; i < PASSED; i++) {
        const struct option_info *option = &option_infos[passed[i]];
        if (!args_has(args, passed[i]))
            continue;
        snprintf(words[i], sizeof words[i], "--%s", option->name);
        argv[n++] = words[i];
        if (option->value)
            argv[n++] = (char *)(uintptr_t)args->value[passed[i]];
    }
    argv[n++] = end;
    for (int i = 0; i < args->operand_count; i++)
        argv[n++] = args->operands[i];
    int code = ctl_exec_daemon(argv);
    free(argv);
    return code;
}
