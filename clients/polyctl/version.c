/* version.c - polyctl version. */
#include <stdio.h>

#include "polyctl.h"

int verb_version(const struct args *args)
{
    if (args_has(args, OPT_JSON))
        printf("{\"version\":\"%s\",\"abi\":\"%d.%d\"}\n", pgd_version(), PGD_ABI_MAJOR, PGD_ABI_MINOR);
    else
        printf("polyctl %s, ABI %d.%d\n", pgd_version(), PGD_ABI_MAJOR, PGD_ABI_MINOR);
    return EXIT_OK;
}
