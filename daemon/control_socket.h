/* daemon/control_socket.h - the listening socket's file: where it lies, how it is made, taken over and
 * removed. */
#ifndef DAEMON_CONTROL_SOCKET_H
#define DAEMON_CONTROL_SOCKET_H

#include <sys/types.h>

/* What was made, so that only that is removed. */
struct control_file {
    char path[108];
    dev_t dev;
    ino_t ino;
};

/* A listening, non-blocking socket at `path`: its descriptor, -EADDRINUSE when somebody answers there,
 * -EEXIST when something else than a socket lies there, -ENAMETOOLONG, or another negative errno. A socket
 * nobody listens on is replaced. */
int control_socket_open(struct control_file *ret, const char *path, mode_t mode, gid_t gid)
    __attribute__((warn_unused_result));
void control_socket_remove(const struct control_file *file);

#endif
