/* options.h - the command line. */
#ifndef POLYSIM_OPTIONS_H
#define POLYSIM_OPTIONS_H

#include "sim.h"

/* 0: run; 1: something was printed and asked for (--help, --list-scenarios), exit 0; -EINVAL: a message was
 * printed, exit 2. */
int sim_options_parse(struct sim_options *options, int argc, char **argv);

/* The market time to start at, from --start. -EINVAL: no such time. */
int sim_options_start(const char *text, int64_t wall, int64_t *ret);

#endif
