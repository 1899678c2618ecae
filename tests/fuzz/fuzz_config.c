/* Any bytes as a configuration file: refused with one line, or accepted, and then what is printed loads to
 * the same. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* A file without a name, reachable by a path. */
static int new_file(char *path, size_t path_size)
{
    int fd = memfd_create("config", MFD_CLOEXEC);
    check(fd >= 0);
    snprintf(path, path_size, "/proc/self/fd/%d", fd);
    return fd;
}

static struct config *load(const char *path)
{
    struct config *config = NULL;
    char err[256];
    memset(err, 'x', sizeof(err));
    int r = config_load(&config, path, err, sizeof(err));
    check((r == 0) == (config != NULL));
    check(memchr(err, '\0', sizeof(err)) != NULL);
    check(r == 0 || (err[0] && !strchr(err, '\n')));
    return config;
}

static void check_round_trip(const struct config *config)
{
    char path[64], path2[64];
    int fd = new_file(path, sizeof(path)), fd2 = new_file(path2, sizeof(path2));
    check(config_print(config, fd) == 0);
    struct config *again = load(path);
    check(again != NULL);
    check(config_print(again, fd2) == 0);
    off_t size = lseek(fd, 0, SEEK_END);
    check(size > 0 && lseek(fd2, 0, SEEK_END) == size);
    char *a = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    char *b = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd2, 0);
    check(a != MAP_FAILED && b != MAP_FAILED && memcmp(a, b, (size_t)size) == 0);
    munmap(a, (size_t)size);
    munmap(b, (size_t)size);
    close(fd);
    close(fd2);
    config_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0)
        fd = new_file(path, sizeof(path));
    check(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    struct config *config = load(path);
    if (config)
        check_round_trip(config);
    config_free(config);
    return 0;
}
