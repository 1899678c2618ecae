/* import.c - polyctl import: flat files into the cache of history; polygond does the work. */
#include "polyctl.h"

int verb_import(const struct args *args)
{
    if (args->operand_count == 0) {
        say("import", "which files? polyctl help import");
        return EXIT_USAGE;
    }
    return ctl_exec_daemon("--import", args,
                           OPTION_BIT(CONFIG) | OPTION_BIT(CACHE) | OPTION_BIT(TIMESPAN) |
                               OPTION_BIT(CLUSTER) | OPTION_BIT(STRICT));
}
