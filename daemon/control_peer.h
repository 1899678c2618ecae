/* daemon/control_peer.h - who is at the other end of the control socket, and whether they may change things.
 */
#ifndef DAEMON_CONTROL_PEER_H
#define DAEMON_CONTROL_PEER_H

#include "config.h"
#include <stdbool.h>
#include <sys/types.h>

/* config.control's lists as numbers. */
struct control_allow {
    uid_t *uids;
    unsigned uid_count;
    gid_t *gids;
    unsigned gid_count;
};

/* -ENOENT: a name that this machine does not know; -ENOMEM. */
int control_allow_init(struct control_allow *ret, const struct config *config)
    __attribute__((warn_unused_result));
void control_allow_fini(struct control_allow *allow);

/* The process that connected; root, the daemon's user and those allowed may change things. */
struct control_peer {
    pid_t pid;
    uid_t uid;
    bool may;
};
int control_peer_get(struct control_peer *ret, int fd, const struct control_allow *allow)
    __attribute__((warn_unused_result));

#endif
