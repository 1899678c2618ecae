/* reload.c - polyctl reload: the daemon reads its configuration again. */
#include "polyctl.h"

int verb_reload(const struct args *args)
{
    return ctl_command(args, "reload");
}
