/* daemon/control.h - the control socket: a UNIX stream socket for the few things that change something.
 * Reading never comes here.
 *
 * Text, one request a line, words separated by single blanks, at most 4096 bytes. Each request is answered by
 * any number of lines, the last of which begins with "ok" or with "error CODE". The next request of a client
 * is taken up when the one before is answered. Requests:
 *
 *   ping                                 "ok polygond VERSION"
 *   subscribe SYMBOL TOPICS [CLUSTER]    "pending SYMBOL" lines while waiting, then "ok SYMBOL INDEX" when
 *                                        acknowledged, or "error unknown|refused|limit|denied|timeout|off
 * TEXT". TOPICS: comma list of trades,quotes,bars_1s,bars_1m,values, or "default" pending "pair CLUSTER
 * SYMBOL TOPIC STATE" lines, then "ok N": subscriptions not acknowledged reload as SIGHUP: "ok", or "error
 * failed TEXT" stop                                 as SIGTERM: "ok"
 *
 * A line that is no request: "error syntax TEXT"; one client too many: "error busy TEXT", and the connection
 * ends. Who may: root, the daemon's user, and the configured users and groups (SO_PEERCRED, and the peer's
 * supplementary groups where the kernel tells them); others get "error denied". Only `ping` and `pending` are
 * open to all who can connect. A client that leaves half a line for 30 s, or does not read its answers, is
 * hung up on. */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include "config.h"
#include <uv.h>

struct control;
struct control_request; /* one request being served; alive until it is finished or its client hangs up */

struct control_hooks {
    void (*subscribe)(void *user, struct control_request *request, const char *symbol, uint32_t topics,
                      enum pgd_cluster cluster);
    void (*pending)(void *user,
                    struct control_request *request); /* answer with control_line, control_finish */
    int (*reload)(void *user, char *err, size_t err_size);
    void (*stop)(void *user);
    void (*gone)(void *user,
                 struct control_request *request); /* the client hung up, or control_free: forget it */
    void (*count)(void *user, bool refused);
    void *user;
};

/* Binds and listens; mode 0660, group of the bus ((gid_t)-1: leave it). A stale socket file is replaced, a
 * live one is -EADDRINUSE. -ENOENT: a configured user or group does not exist. Where many more than the group
 * may connect (bus.mode 0644) the mode is 0666. */
int control_new(struct control **ret, uv_loop_t *loop, const struct config *config, const char *path,
                gid_t gid, const struct control_hooks *hooks) __attribute__((warn_unused_result));
/* Hangs up, with `gone` for each request being served, and removes the socket file; `closed` comes from the
 * loop. May be called from within a hook. */
void control_free(struct control *control, void (*closed)(void *user), void *user);

/* One answer line; control_finish sends the last one and ends the request. Newlines in it become blanks. */
void control_line(struct control_request *request, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void control_finish(struct control_request *request, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Where the socket lies for this configuration. -ENAMETOOLONG, -ENOENT (no place: none of the directories
 * exists). */
int control_path(char *ret, size_t size, const struct config *config) __attribute__((warn_unused_result));

#endif
