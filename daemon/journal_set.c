#include "journal_ahead.h"
#include "journal_read.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SUFFIX    ".pgj"
#define FILES_MAX 1000000u

struct member {
    char *path;
    struct journal_file file;
};

struct journal_set {
    struct member *members;
    size_t count, room;
    size_t next; /* member to be opened next */
    struct journal_reader *reader;
    journal_damaged *damaged;
    void *user;
    int64_t skip_ns;
    bool skips;
    struct journal_ahead *ahead; /* NULL: none */
    uint64_t seq;                /* of the record after the last */
    int64_t run_ns;              /* of the last file; 0: none yet */
};

static int add(struct journal_set *s, const char *path, char *err, size_t err_size)
{
    if (s->count == FILES_MAX) {
        snprintf(err, err_size, "%s: more than %u files", path, FILES_MAX);
        return -E2BIG;
    }
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 16;
        struct member *members = realloc(s->members, room * sizeof *members);
        if (!members)
            return -ENOMEM;
        s->members = members;
        s->room = room;
    }
    struct journal_reader *reader;
    int r = journal_reader_open(&reader, path, NULL, NULL, err, err_size);
    if (r < 0)
        return r;
    struct member *m = &s->members[s->count];
    *m = (struct member){strdup(path), *journal_reader_file(reader)};
    journal_reader_close(reader);
    if (!m->path)
        return -ENOMEM;
    s->count++;
    if (strcmp(m->file.instance, s->members[0].file.instance) != 0) {
        snprintf(err, err_size, "%s: of instance %s, but %s is of %s: one at a time", path, m->file.instance,
                 s->members[0].path, s->members[0].file.instance);
        return -EINVAL;
    }
    return 0;
}

static int is_journal(const struct dirent *d)
{
    size_t n = strlen(d->d_name);
    return n > strlen(SUFFIX) && strcmp(d->d_name + n - strlen(SUFFIX), SUFFIX) == 0;
}

static int add_folder(struct journal_set *s, const char *path, char *err, size_t err_size)
{
    struct dirent **entries;
    int n = scandir(path, &entries, is_journal, alphasort);
    if (n < 0) {
        int r = -errno;
        snprintf(err, err_size, "%s: %s", path, strerror(-r));
        return r;
    }
    int r = 0;
    for (int i = 0; i < n; i++) {
        char name[4096];
        int length = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        struct stat st;
        if (r == 0 && length > 0 && (size_t)length < sizeof name && (stat(name, &st) < 0 || st.st_size > 0))
            r = add(s, name, err, err_size); /* an empty file was begun by a daemon that died */
        free(entries[i]);
    }
    free(entries);
    if (r == 0 && n == 0) {
        snprintf(err, err_size, "%s: no " SUFFIX " file in this folder", path);
        r = -EINVAL;
    }
    return r;
}

static int by_number(const void *a, const void *b)
{
    const struct journal_file *x = &((const struct member *)a)->file, *y = &((const struct member *)b)->file;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x->run_ns < y->run_ns ? -1 : x->run_ns > y->run_ns;
}

int journal_set_open(struct journal_set **ret, char *const *paths, size_t count, journal_damaged *damaged,
                     void *user, char *err, size_t err_size)
{
    struct journal_set *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->damaged = damaged;
    s->user = user;
    int r = count ? 0 : -EINVAL;
    err[0] = '\0';
    for (size_t i = 0; i < count && r == 0; i++) {
        struct stat st;
        bool folder = stat(paths[i], &st) == 0 && S_ISDIR(st.st_mode);
        r = folder ? add_folder(s, paths[i], err, err_size) : add(s, paths[i], err, err_size);
    }
    if (r < 0) {
        if (!err[0])
            snprintf(err, err_size, "journal: %s", strerror(-r));
        journal_set_close(s);
        return r;
    }
    qsort(s->members, s->count, sizeof *s->members, by_number);
    for (size_t i = 1; i < s->count; i++)
        if (by_number(&s->members[i - 1], &s->members[i]) == 0) {
            snprintf(err, err_size, "%s and %s are the same file of the journal: give it once",
                     s->members[i - 1].path, s->members[i].path);
            journal_set_close(s);
            return -EINVAL;
        }
    *ret = s;
    return 0;
}

void journal_set_close(struct journal_set *s)
{
    if (!s)
        return;
    journal_reader_close(s->reader);
    journal_ahead_free(s->ahead);
    for (size_t i = 0; i < s->count; i++)
        free(s->members[i].path);
    free(s->members);
    free(s);
}

void journal_set_skip(struct journal_set *s, int64_t t_ns)
{
    s->skips = true;
    s->skip_ns = t_ns;
    if (s->reader)
        journal_reader_skip(s->reader, t_ns);
}

void journal_set_ahead(struct journal_set *s)
{
    if (!s->ahead && journal_ahead_new(&s->ahead) < 0)
        s->ahead = NULL;
}

size_t journal_set_files(const struct journal_set *s)
{
    return s->count;
}

static int open_next(struct journal_set *s, char *err, size_t err_size)
{
    const struct member *m = &s->members[s->next++];
    int r = journal_reader_open(&s->reader, m->path, s->damaged, s->user, err, err_size);
    if (r < 0)
        return r;
    if (s->skips)
        journal_reader_skip(s->reader, s->skip_ns);
    journal_reader_ahead(s->reader, s->ahead);
    if (s->run_ns == m->file.run_ns && m->file.first_seq > s->seq && s->damaged) {
        const struct journal_damage d = {m->path,
                                         0,
                                         0,
                                         m->file.first_seq - s->seq,
                                         "records between the file before and this one are missing",
                                         false};
        s->damaged(s->user, &d);
    }
    s->run_ns = m->file.run_ns;
    s->seq = m->file.first_seq;
    return 0;
}

int journal_set_next_file(struct journal_set *s, const struct journal_reader **ret_reader, char *err,
                          size_t err_size)
{
    journal_reader_close(s->reader);
    s->reader = NULL;
    if (s->next == s->count)
        return 0;
    int r = open_next(s, err, err_size);
    if (r < 0)
        return r;
    *ret_reader = s->reader;
    return 1;
}

int journal_set_next_in(struct journal_set *s, struct journal_item *ret, char *err, size_t err_size)
{
    int r = s->reader ? journal_reader_next(s->reader, ret, err, err_size) : 0;
    if (s->reader && r >= 0)
        s->seq = journal_reader_seq(s->reader);
    return r;
}

int journal_set_next(struct journal_set *s, struct journal_item *ret,
                     const struct journal_reader **ret_reader, char *err, size_t err_size)
{
    for (;;) {
        const struct journal_reader *reader;
        int r = journal_set_next_in(s, ret, err, err_size);
        if (r == 1 && ret_reader)
            *ret_reader = s->reader;
        if (r != 0)
            return r;
        r = journal_set_next_file(s, &reader, err, err_size);
        if (r <= 0)
            return r;
    }
}
