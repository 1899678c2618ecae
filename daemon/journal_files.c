#include "journal_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "journal_read.h"
#include "log.h"

#define DIGITS 8
#define SUFFIX ".pgj"

int journal_make_directory(const char *path)
{
    char part[4096];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part)
        return -EINVAL;
    memcpy(part, path, n + 1);
    for (char *p = part + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        bool last = *p == '\0';
        *p = '\0';
        if (mkdir(part, 0750) < 0 && errno != EEXIST)
            return -errno;
        if (last)
            return 0;
        *p = '/';
    }
}

void journal_name(char ret[JOURNAL_NAME_MAX], const char *instance, uint64_t number)
{
    (void)snprintf(ret, JOURNAL_NAME_MAX, "%s-%0*llu" SUFFIX, instance, DIGITS, (unsigned long long)number);
}

uint64_t journal_number(const char *name, const char *instance)
{
    size_t n = strlen(instance);
    if (strncmp(name, instance, n) != 0 || name[n] != '-')
        return 0;
    const char *digits = name + n + 1;
    size_t count = strspn(digits, "0123456789");
    if (count < DIGITS || count > 18 || strcmp(digits + count, SUFFIX) != 0)
        return 0;
    return strtoull(digits, NULL, 10);
}

/* ----------------------------------------------------------------------------------------------- retention
 */

struct entry {
    uint64_t number;
    uint64_t bytes;
    int64_t written_s;
};

struct entries {
    struct entry *all;
    size_t count, room;
};

static int by_number(const void *a, const void *b)
{
    uint64_t x = ((const struct entry *)a)->number, y = ((const struct entry *)b)->number;
    return x < y ? -1 : x > y;
}

static int entries_add(struct entries *e, uint64_t number, const struct stat *st)
{
    if (e->count == e->room) {
        size_t room = e->room ? 2 * e->room : 64;
        struct entry *all = realloc(e->all, room * sizeof *all);
        if (!all)
            return -ENOMEM;
        e->all = all;
        e->room = room;
    }
    e->all[e->count++] = (struct entry){number, (uint64_t)st->st_size, st->st_mtime};
    return 0;
}

/* The instance's files, oldest first. */
static int entries_list(const struct journal *j, struct entries *ret)
{
    *ret = (struct entries){0};
    int fd = openat(j->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int r = -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    int r = 0;
    for (const struct dirent *d; r == 0 && (d = readdir(dir)) != NULL;) {
        struct stat st;
        uint64_t number = journal_number(d->d_name, j->instance);
        if (number && fstatat(j->directory_fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode))
            r = entries_add(ret, number, &st);
    }
    closedir(dir);
    if (ret->count)
        qsort(ret->all, ret->count, sizeof *ret->all, by_number);
    return r;
}

static void removed(struct journal *j, const struct entry *e, const char *why)
{
    char name[JOURNAL_NAME_MAX];
    journal_name(name, j->instance, e->number);
    if (unlinkat(j->directory_fd, name, 0) < 0) {
        log_event(LOG_JOURNAL_FAULT, "journal %s/%s: cannot be removed: %s", j->directory, name,
                  strerror(errno));
        return;
    }
    __atomic_store_n(&j->removed, j->removed + 1, __ATOMIC_RELAXED);
    log_event(LOG_JOURNAL, "journal %s/%s: removed, %s", j->directory, name, why);
}

void journal_retain(struct journal *j)
{
    struct entries e;
    if (entries_list(j, &e) == 0) {
        uint64_t total = j->options.file_bytes; /* of the one to come */
        for (size_t i = 0; i < e.count; i++)
            total += e.all[i].bytes;
        const int64_t oldest = time(NULL) - (int64_t)j->options.keep_days * 86400;
        for (size_t i = 0; i < e.count; i++) {
            bool old = j->options.keep_days && e.all[i].written_s < oldest;
            bool much = j->options.keep_bytes && total > j->options.keep_bytes;
            if (!old && !much)
                continue;
            removed(j, &e.all[i],
                    old ? "older than journal.keep_days" : "all together exceed journal.keep_mib");
            total -= e.all[i].bytes;
        }
    }
    free(e.all);
}

/* -------------------------------------------------------------------------------------------------- repair
 */

static int cut_at(int fd, const struct journal_tail *tail)
{
    if (ftruncate(fd, (off_t)tail->end) < 0)
        return -errno;
    if (tail->block.bytes == 0)
        return 0;
    ssize_t n = pwrite(fd, &tail->block, sizeof tail->block, (off_t)tail->block_at);
    return n == (ssize_t)sizeof tail->block ? 0 : n < 0 ? -errno : -EIO;
}

/* The file first, then the header of its last block: killed between the two, the next repair finds the same.
 */
static void cut(struct journal *j, const char *name)
{
    char err[512] = "";
    int fd = openat(j->directory_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    struct journal_tail tail = {0};
    int torn = journal_tail(fd, name, &tail, err, sizeof err);
    int r = torn > 0 ? cut_at(fd, &tail) : torn;
    close(fd);
    if (r == 0 && tail.end == 0 && torn > 0) /* not even its header: nothing is in it */
        r = unlinkat(j->directory_fd, name, 0) < 0 ? -errno : 0;
    if (r < 0) {
        log_event(LOG_JOURNAL_FAULT, "journal %s/%s: its end cannot be repaired: %s", j->directory, name,
                  err[0] ? err : strerror(-r));
    } else if (torn > 0) {
        j->cut_bytes += tail.torn;
        log_event(LOG_JOURNAL,
                  "journal %s/%s: torn by the end of the run before; cut at byte %llu, %llu bytes lost",
                  j->directory, name, (unsigned long long)tail.end, (unsigned long long)tail.torn);
    }
}

int journal_repair(struct journal *j)
{
    struct entries e;
    int r = entries_list(j, &e);
    if (r == 0 && e.count) {
        char name[JOURNAL_NAME_MAX];
        j->number = e.all[e.count - 1].number;
        journal_name(name, j->instance, j->number);
        cut(j, name);
    }
    free(e.all);
    return r;
}
