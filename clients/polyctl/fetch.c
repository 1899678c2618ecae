/* fetch.c - polyctl fetch: history of many symbols with indicators, as a table; polygond does the work. */
#include "polyctl.h"

int verb_fetch(const struct args *args)
{
    if (args->operand_count == 0) {
        say("fetch", "which symbols? polyctl help fetch");
        return EXIT_USAGE;
    }
    if (!args_has(args, OPT_FROM)) {
        say("fetch", "since when? --from 2026-01-31");
        return EXIT_USAGE;
    }
    return ctl_exec_daemon("--fetch", args,
                           OPTION_BIT(JSON) | OPTION_BIT(CSV) | OPTION_BIT(FROM) | OPTION_BIT(TO) |
                               OPTION_BIT(TIMESPAN) | OPTION_BIT(COLUMNS) | OPTION_BIT(INDICATORS) |
                               OPTION_BIT(ENGINE) | OPTION_BIT(CLUSTER) | OPTION_BIT(CONFIG) |
                               OPTION_BIT(CACHE) | OPTION_BIT(QUIET));
}
