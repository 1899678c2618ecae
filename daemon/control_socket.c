#include "control_socket.h"
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------------------ where */

static int format_path(char *ret, size_t size, const char *dir, size_t dir_size, const char *prefix,
                       const char *instance)
{
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    int n = snprintf(path, sizeof(path), "%.*s/%s%s.sock", (int)dir_size, dir, prefix, instance);
    if (n < 0 || (size_t)n >= sizeof(path) || (size_t)n >= size)
        return -ENAMETOOLONG;
    memcpy(ret, path, (size_t)n + 1);
    return 0;
}

int control_path(char *ret, size_t size, const struct config *config)
{
    const char *path = config->control.path;
    if (path[0]) {
        if (strlen(path) >= size || strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
            return -ENAMETOOLONG;
        memcpy(ret, path, strlen(path) + 1);
        return 0;
    }
    const char *dir = getenv("RUNTIME_DIRECTORY"); /* systemd's; several are separated by colons */
    if (dir && dir[0] == '/')
        return format_path(ret, size, dir, strcspn(dir, ":"), "", config->instance);
    static const char system_dir[] = "/run/polygond";
    if (access(system_dir, W_OK | X_OK) == 0)
        return format_path(ret, size, system_dir, strlen(system_dir), "", config->instance);
    dir = getenv("XDG_RUNTIME_DIR");
    if (dir && dir[0] == '/')
        return format_path(ret, size, dir, strlen(dir), "polygond.", config->instance);
    return -ENOENT;
}

/* ------------------------------------------------------------------------------------------------- making */

static int new_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -errno : fd;
}

/* 0 when the name is free or has been freed. */
static int clear_name(const struct sockaddr_un *address)
{
    struct stat st;
    if (lstat(address->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    int fd = new_socket();
    if (fd < 0)
        return fd;
    int r = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
    close(fd);
    if (r != ECONNREFUSED)
        return r == 0 || r == EAGAIN ? -EADDRINUSE : -r; /* EAGAIN: its backlog is full */
    return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Nobody can connect before group and mode are as they should be. */
static int bind_closed(int fd, const struct sockaddr_un *address)
{
    mode_t old = umask(0177);
    int r = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
    umask(old);
    return r;
}

static int open_up(const char *path, mode_t mode, gid_t gid)
{
    if (gid != (gid_t)-1 && lchown(path, (uid_t)-1, gid) < 0)
        return -errno;
    return chmod(path, mode) < 0 ? -errno : 0;
}

static int make(int fd, struct control_file *file, const char *path, mode_t mode, gid_t gid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int r = clear_name(&address);
    if (r == 0)
        r = bind_closed(fd, &address);
    if (r < 0)
        return r;
    if (lstat(path, &st) < 0)
        return -errno;
    memcpy(file->path, path, strlen(path) + 1);
    file->dev = st.st_dev;
    file->ino = st.st_ino;
    r = open_up(path, mode, gid);
    if (r == 0 && listen(fd, 64) < 0)
        r = -errno;
    if (r < 0)
        control_socket_remove(file);
    return r;
}

int control_socket_open(struct control_file *ret, const char *path, mode_t mode, gid_t gid)
{
    struct control_file file = {.ino = 0};
    if (strlen(path) >= sizeof(file.path))
        return -ENAMETOOLONG;
    int fd = new_socket();
    if (fd < 0)
        return fd;
    int r = make(fd, &file, path, mode, gid);
    if (r < 0) {
        close(fd);
        return r;
    }
    *ret = file;
    return fd;
}

void control_socket_remove(const struct control_file *file)
{
    struct stat st;
    if (file->path[0] && lstat(file->path, &st) == 0 && st.st_dev == file->dev && st.st_ino == file->ino)
        unlink(file->path);
}
