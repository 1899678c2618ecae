#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_MAX 256
#define VARIABLE   "POLYGON_API_KEY"
#define CREDENTIAL "polygon_api_key"

/* A mapping of its own, so that locking and leaving out of dumps touch nothing else. */
struct secret {
    size_t size;
    char text[SECRET_MAX + 1];
};

static int fail(int r, char *err, size_t err_size, const char *what, const char *why)
{
    snprintf(err, err_size, "%s: %s", what, why);
    return r;
}

static struct secret *allocate(void)
{
    struct secret *secret =
        mmap(NULL, sizeof(*secret), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (secret == MAP_FAILED)
        return NULL;
    /* Each is a precaution that a container may deny; the key serves without. */
    (void)mlock(secret, sizeof(*secret));
    (void)madvise(secret, sizeof(*secret), MADV_DONTDUMP);
    (void)madvise(secret, sizeof(*secret), MADV_WIPEONFORK);
    return secret;
}

void secret_free(struct secret *secret)
{
    if (!secret)
        return;
    explicit_bzero(secret, sizeof(*secret));
    munmap(secret, sizeof(*secret));
}

const char *secret_text(const struct secret *secret)
{
    return secret->text;
}

size_t secret_size(const struct secret *secret)
{
    return secret->size;
}

/* Takes raw bytes: cuts white space at the end, checks the rest. */
static int set(struct secret *secret, const char *raw, size_t size, const char *what, char *err,
               size_t err_size)
{
    while (size > 0 && strchr(" \t\r\n", raw[size - 1]))
        size--;
    if (size == 0)
        return fail(-EINVAL, err, err_size, what, "the key is empty");
    if (size > SECRET_MAX)
        return fail(-EINVAL, err, err_size, what, "the key is longer than 256 bytes");
    for (size_t i = 0; i < size; i++) {
        if (raw[i] <= ' ' || raw[i] > '~')
            return fail(-EINVAL, err, err_size, what, "the key holds a character that is no printable ASCII");
    }
    memcpy(secret->text, raw, size);
    secret->text[size] = '\0';
    secret->size = size;
    return 0;
}

/* ------------------------------------------------------------------------------------------------ file */

static int check_file(int fd, bool credential, const char *path, char *err, size_t err_size)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return fail(-errno, err, err_size, path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fail(-EINVAL, err, err_size, path, "not a file");
    if (!credential && (st.st_mode & 0077) != 0)
        return fail(-EPERM, err, err_size, path, "readable by others than its owner: chmod 0600 it");
    return 0;
}

static int read_key(struct secret *secret, int fd, const char *path, char *err, size_t err_size)
{
    char raw[SECRET_MAX + 64]; /* room for white space at the end */
    size_t size = 0;
    ssize_t n;
    while (size < sizeof(raw) && (n = read(fd, raw + size, sizeof(raw) - size)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            explicit_bzero(raw, sizeof(raw));
            return fail(-errno, err, err_size, path, strerror(errno));
        }
        size += (size_t)n;
    }
    int r = size == sizeof(raw) ? fail(-EINVAL, err, err_size, path, "the key is longer than 256 bytes")
                                : set(secret, raw, size, path, err, err_size);
    explicit_bzero(raw, sizeof(raw));
    return r;
}

static int from_file(struct secret *secret, const char *path, bool credential, char *err, size_t err_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return fail(-errno, err, err_size, path, strerror(errno));
    int r = check_file(fd, credential, path, err, err_size);
    if (r == 0)
        r = read_key(secret, fd, path, err, err_size);
    close(fd);
    return r;
}

/* The path of the credential, if systemd passed one. */
static bool credential_path(char *ret, size_t size)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    if (!dir || dir[0] != '/')
        return false;
    int n = snprintf(ret, size, "%s/%s", dir, CREDENTIAL);
    return n > 0 && (size_t)n < size && access(ret, F_OK) == 0;
}

/* systemd keeps that directory to the service; its files' group bits may be an ACL's mask. */
static bool is_credential(const char *path)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    size_t n = dir ? strlen(dir) : 0;
    return n > 1 && strncmp(path, dir, n) == 0 && path[n] == '/' && !strstr(path + n, "/../");
}

/* ----------------------------------------------------------------------------------------- environment */

static int from_environment(struct secret *secret, char *err, size_t err_size)
{
    char *value = getenv(VARIABLE);
    if (!value)
        return -ENOENT;
    size_t size = strlen(value);
    int r = set(secret, value, size, VARIABLE, err, err_size);
    explicit_bzero(value, size); /* these are the bytes /proc/PID/environ shows */
    unsetenv(VARIABLE);
    return r;
}

/* The variable is wiped whichever source wins. */
static void forget_environment(void)
{
    char *value = getenv(VARIABLE);
    if (!value)
        return;
    explicit_bzero(value, strlen(value));
    unsetenv(VARIABLE);
}

static int load(struct secret *secret, const char *file, char *err, size_t err_size)
{
    char path[4096];
    if (file[0])
        return from_file(secret, file, is_credential(file), err, err_size);
    if (credential_path(path, sizeof(path)))
        return from_file(secret, path, true, err, err_size);
    int r = from_environment(secret, err, err_size);
    if (r == -ENOENT)
        return fail(r, err, err_size, "no API key",
                    "set key.file, the credential " CREDENTIAL " or the variable " VARIABLE);
    return r;
}

int secret_load(struct secret **ret, const char *file, char *err, size_t err_size)
{
    struct secret *secret = allocate();
    if (!secret)
        return fail(-ENOMEM, err, err_size, "API key", "out of memory");
    int r = load(secret, file, err, err_size);
    forget_environment();
    if (r < 0) {
        secret_free(secret);
        return r;
    }
    *ret = secret;
    return 0;
}

void secret_guard_process(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
