/* daemon/control_request.h - one line of a control client, as a request. Pure: any bytes are safe input. */
#ifndef DAEMON_CONTROL_REQUEST_H
#define DAEMON_CONTROL_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "polygond/abi.h"

#define CONTROL_LINE_MAX 4096u /* with its newline */

enum control_verb { CONTROL_PING, CONTROL_SUBSCRIBE, CONTROL_PENDING, CONTROL_RELOAD, CONTROL_STOP };

struct control_parsed {
    enum control_verb verb;
    char symbol[PGD_SYMBOL_MAX]; /* subscribe */
    uint32_t topics;             /* enum pgd_topic bits, 0: the default */
    enum pgd_cluster cluster;    /* 0: not said */
};

/* `line` is without its newline. 0, or -EINVAL and a constant sentence in *ret_why. */
int control_parse(struct control_parsed *ret, const char *line, size_t size, const char **ret_why)
    __attribute__((warn_unused_result));

#endif
