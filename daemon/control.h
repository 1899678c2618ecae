/* daemon/control.h - the control socket: a UNIX stream socket for the few things that change something.
 * Reading never comes here.
 *
 * Text, one request a line, words separated by single blanks, at most 4096 bytes; one or more answer lines
 * each ending the request with "ok ..." or "error CODE text...". Requests: ping subscribe SYMBOL TOPICS
 * [CLUSTER]   TOPICS: comma list of trades,quotes,bars_1s,bars_1m,values or "default" answers "pending
 * SYMBOL" lines while waiting, then "ok SYMBOL INDEX" when acknowledged, or "error
 * unknown|refused|limit|denied|timeout|off text" pending        "pair CLUSTER SYMBOL TOPIC STATE" lines, then
 * "ok N": subscriptions not acknowledged reload         as SIGHUP stop           as SIGTERM Who may: root,
 * the daemon's user, and the configured users and groups (SO_PEERCRED); others get "error denied". Only
 * `ping` and `pending` are open to all who can connect. */
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
    void (*gone)(void *user, struct control_request *request); /* the client hung up: forget it */
    void (*count)(void *user, bool refused);
    void *user;
};

/* Binds and listens; mode 0660, group of the bus. A stale socket file is replaced, a live one is -EADDRINUSE.
 */
int control_new(struct control **ret, uv_loop_t *loop, const struct config *config, const char *path,
                gid_t gid, const struct control_hooks *hooks) __attribute__((warn_unused_result));
void control_free(struct control *control, void (*closed)(void *user),
                  void *user); /* removes the socket file */

void control_line(struct control_request *request, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void control_finish(struct control_request *request, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Where the socket lies for this configuration. -ENAMETOOLONG, -ENOENT (no place: none of the directories
 * exists). */
int control_path(char *ret, size_t size, const struct config *config) __attribute__((warn_unused_result));

#endif
