/* stop.c - polyctl stop: the daemon ends, as at SIGTERM. */
#include "polyctl.h"

int verb_stop(const struct args *args)
{
    return ctl_command(args, "stop");
}
