#include "control_peer.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUPS_MAX 65536 /* the kernel's limit */

/* A decimal number as an id, or -1. */
static int64_t number_of(const char *text)
{
    size_t n = strlen(text);
    if (n == 0 || n > 9 || strspn(text, "0123456789") != n)
        return -1;
    return strtol(text, NULL, 10);
}

static int add_user(struct control_allow *allow, const char *name)
{
    int64_t number = number_of(name);
    const struct passwd *entry = number < 0 ? getpwnam(name) : NULL;
    if (number < 0 && !entry)
        return -ENOENT;
    allow->uids[allow->uid_count++] = entry ? entry->pw_uid : (uid_t)number;
    return 0;
}

static int add_group(struct control_allow *allow, const char *name)
{
    int64_t number = number_of(name);
    const struct group *entry = number < 0 ? getgrnam(name) : NULL;
    if (number < 0 && !entry)
        return -ENOENT;
    allow->gids[allow->gid_count++] = entry ? entry->gr_gid : (gid_t)number;
    return 0;
}

int control_allow_init(struct control_allow *ret, const struct config *config)
{
    const struct config_control *c = &config->control;
    struct control_allow allow = {.uids = calloc(c->allow_users_count + 1u, sizeof(uid_t)),
                                  .gids = calloc(c->allow_groups_count + 1u, sizeof(gid_t))};
    int r = allow.uids && allow.gids ? 0 : -ENOMEM;
    for (unsigned i = 0; r == 0 && i < c->allow_users_count; i++)
        r = add_user(&allow, c->allow_users[i]);
    for (unsigned i = 0; r == 0 && i < c->allow_groups_count; i++)
        r = add_group(&allow, c->allow_groups[i]);
    if (r < 0) {
        control_allow_fini(&allow);
        return r;
    }
    *ret = allow;
    return 0;
}

void control_allow_fini(struct control_allow *allow)
{
    free(allow->uids);
    free(allow->gids);
    *allow = (struct control_allow){0};
}

static bool has_gid(const struct control_allow *allow, gid_t gid)
{
    for (unsigned i = 0; i < allow->gid_count; i++) {
        if (allow->gids[i] == gid)
            return true;
    }
    return false;
}

static bool has_uid(const struct control_allow *allow, uid_t uid)
{
    if (uid == 0 || uid == geteuid())
        return true;
    for (unsigned i = 0; i < allow->uid_count; i++) {
        if (allow->uids[i] == uid)
            return true;
    }
    return false;
}

/* SO_PEERCRED tells one group; people are usually in the one that matters by /etc/group. */
static bool in_group(int fd, const struct control_allow *allow)
{
    socklen_t size = 0;
    if (allow->gid_count == 0 || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 ||
        errno != ERANGE || size > GROUPS_MAX * sizeof(gid_t))
        return false;
    gid_t *groups = malloc(size);
    bool found = false;
    if (groups && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0) {
        for (size_t i = 0; i < size / sizeof(gid_t) && !found; i++)
            found = has_gid(allow, groups[i]);
    }
    free(groups);
    return found;
}

int control_peer_get(struct control_peer *ret, int fd, const struct control_allow *allow)
{
    struct ucred cred;
    socklen_t size = sizeof(cred);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
        return -errno;
    *ret = (struct control_peer){
        .pid = cred.pid,
        .uid = cred.uid,
        .may = has_uid(allow, cred.uid) || has_gid(allow, cred.gid) || in_group(fd, allow),
    };
    return 0;
}
