#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache_private.h"
#include "clock.h"

#define PATH_ROOM (CACHE_FOLDER_MAX + CACHE_FILE_MAX)

/* ---------------------------------------------------------------------------------------------- directory */

static int folder(int at, const char *name)
{
    if (mkdirat(at, name, 0750) < 0 && errno != EEXIST)
        return -errno;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Like mkdir -p; the last component's descriptor. */
static int folders(const char *path)
{
    char part[PATH_MAX];
    if (strlen(path) >= sizeof part)
        return -ENAMETOOLONG;
    for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(p - path), path);
        if (mkdir(part, 0750) < 0 && errno != EEXIST)
            return -errno;
    }
    return folder(AT_FDCWD, path);
}

static int open_folders(struct cache *c, const char *directory, const char *host)
{
    char word[CACHE_WORD_MAX];
    int r = cache_name_host(word, host);
    if (r < 0)
        return r;
    int top = folders(directory);
    if (top < 0)
        return top;
    c->fd = folder(top, "v1");
    close(top);
    if (c->fd < 0)
        return c->fd;
    c->home = folder(c->fd, word);
    if (c->home < 0)
        return c->home;
    return faccessat(c->home, ".", W_OK, 0) < 0 ? -errno : 0;
}

int cache_open(struct cache **ret, const struct cache_options *options)
{
    struct cache *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    *c = (struct cache){.fd = -1, .home = -1, .max_bytes = options->max_bytes};
    c->damaged = options->damaged;
    c->user = options->user;
    pthread_mutex_init(&c->trimming, NULL);
    c->directory = strdup(options->directory);
    int r = c->directory ? open_folders(c, options->directory, options->host) : -ENOMEM;
    if (r < 0)
        cache_close(c);
    else
        *ret = c;
    return r;
}

void cache_close(struct cache *c)
{
    if (!c)
        return;
    if (c->home >= 0)
        close(c->home);
    if (c->fd >= 0)
        close(c->fd);
    pthread_mutex_destroy(&c->trimming);
    free(c->directory);
    free(c);
}

const char *cache_place(const struct cache *c)
{
    return c->directory;
}

int cache_directory(char *ret, size_t size)
{
    static const struct {
        const char *variable, *below;
    } places[] = {{"CACHE_DIRECTORY", ""}, {"XDG_CACHE_HOME", "/polygond"}, {"HOME", "/.cache/polygond"}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const char *value = getenv(places[i].variable);
        if (!value || value[0] != '/')
            continue;
        int n = snprintf(ret, size, "%.*s%s", (int)strcspn(value, i == 0 ? ":" : ""), value, places[i].below);
        return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
    }
    return -ENOENT;
}

struct cache_stats cache_stats(const struct cache *c)
{
    return (struct cache_stats){
        .bytes = __atomic_load_n(&c->stats.bytes, __ATOMIC_RELAXED),
        .stored = __atomic_load_n(&c->stats.stored, __ATOMIC_RELAXED),
        .damaged = __atomic_load_n(&c->stats.damaged, __ATOMIC_RELAXED),
        .evicted = __atomic_load_n(&c->stats.evicted, __ATOMIC_RELAXED),
        .stale = __atomic_load_n(&c->stats.stale, __ATOMIC_RELAXED),
    };
}

/* -------------------------------------------------------------------------------------------------- files */

static int path_of(char ret[PATH_ROOM], const struct cache_key *key, int64_t t_ms, uint32_t flags)
{
    char place[CACHE_FOLDER_MAX], file[CACHE_FILE_MAX];
    int r = cache_name_file(file, key->symbol, flags & CACHE_FILE_RAW);
    if (r < 0)
        return r;
    cache_name_folder(place, key->cluster, key->span_ms, t_ms);
    snprintf(ret, PATH_ROOM, "%s/%s", place, file);
    return 0;
}

/* Moved into DIRECTORY/v1/damaged, for whoever wants to look; what cannot be moved is removed. */
static void set_aside(struct cache *c, const struct cache_key *key, int64_t t_ms, uint32_t flags,
                      const char *why)
{
    char path[PATH_ROOM], file[CACHE_FILE_MAX], to[CACHE_FILE_MAX + 64];
    if (path_of(path, key, t_ms, flags) < 0 || cache_name_file(file, key->symbol, flags & CACHE_FILE_RAW) < 0)
        return;
    snprintf(to, sizeof to, "damaged/%" PRId64 "-%u-%s", clock_real_ns() / 1000000,
             __atomic_fetch_add(&c->serial, 1, __ATOMIC_RELAXED), file);
    (void)mkdirat(c->fd, "damaged", 0750);
    if (renameat(c->home, path, c->fd, to) < 0 && unlinkat(c->home, path, 0) < 0 && errno == ENOENT)
        return; /* another thread was faster */
    cache_count(&c->stats.damaged, 1);
    if (c->damaged)
        c->damaged(c->user, path, why);
}

static const char *check_piece(struct cache_piece *p, const struct cache_key *key,
                               const struct cache_range *period, uint32_t flags)
{
    struct cache_file_id id = {key->symbol, key->cluster, key->span_ms, *period, flags};
    size_t first = p->file.size < CACHE_FILE_HEAD_MAX ? p->file.size : CACHE_FILE_HEAD_MAX;
    if (cache_read_bytes(&p->file, 0, p->head, first) < 0)
        return "cut short";
    const char *fault = cache_file_head(p->head, p->file.size, &p->head_size);
    if (fault)
        return fault;
    return cache_file_check(p->head, p->head_size, &id);
}

int cache_piece_open(struct cache *c, const struct cache_key *key, int64_t t_ms, uint32_t flags,
                     struct cache_piece *ret)
{
    char path[PATH_ROOM];
    int r = path_of(path, key, t_ms, flags);
    if (r < 0)
        return r;
    r = cache_read_open(&ret->file, c->home, path, cache_file_size(CACHE_ROWS_MAX));
    if (r == -ENOENT || r == -ENOTDIR)
        return 0;
    if (r == -EINVAL || r == -ELOOP) {
        set_aside(c, key, t_ms, flags, "no regular file, empty, or too large");
        return 0;
    }
    if (r < 0)
        return r;
    struct cache_range period = cache_time_period(key->span_ms, t_ms);
    const char *fault = check_piece(ret, key, &period, flags);
    if (!fault)
        return 1;
    cache_piece_close(ret);
    set_aside(c, key, t_ms, flags, fault);
    return 0;
}

void cache_piece_close(struct cache_piece *piece)
{
    cache_read_close(&piece->file);
}

int cache_buffer_reserve(struct cache_buffer *b, size_t rows)
{
    if (rows <= b->room)
        return 0;
    size_t room = b->room ? b->room : CACHE_FILE_BLOCK;
    while (room < rows)
        room *= 2;
    struct pgd_bar *memory = realloc(b->rows, room * sizeof *memory);
    if (!memory)
        return -ENOMEM;
    *b = (struct cache_buffer){memory, room};
    return 0;
}

size_t cache_piece_need(const struct cache_piece *p, size_t limit)
{
    size_t all = cache_piece_header(p)->rows;
    size_t skip = limit < all ? (all - limit) / CACHE_FILE_BLOCK * CACHE_FILE_BLOCK : 0;
    return all - skip;
}

/* Rows from `skip` on, a multiple of a block. */
static const char *read_rows(struct cache_piece *p, size_t skip, struct pgd_bar *rows)
{
    const struct cache_file_header *h = cache_piece_header(p);
    size_t count = h->rows - skip;
    if (cache_read_bytes(&p->file, p->head_size + skip * sizeof *rows, rows, count * sizeof *rows) < 0)
        return "cut short";
    for (size_t i = 0; i < count; i += CACHE_FILE_BLOCK) {
        const char *fault = cache_file_block(p->head, (uint32_t)((skip + i) / CACHE_FILE_BLOCK), rows + i);
        if (fault)
            return fault;
        if (i && rows[i].t <= rows[i - 1].t)
            return "rows out of order";
    }
    return NULL;
}

int cache_piece_rows(struct cache *c, const struct cache_key *key, struct cache_piece *p,
                     const struct cache_range *window, size_t limit, struct pgd_bar *rows, size_t room,
                     struct cache_part *ret)
{
    const struct cache_file_header *h = cache_piece_header(p);
    size_t skip = h->rows - room, first = 0, end = room;
    const char *fault = room ? read_rows(p, skip, rows) : NULL;
    if (fault) {
        set_aside(c, key, h->period.from, h->flags, fault);
        return 0;
    }
    while (end > 0 && rows[end - 1].t >= window->to)
        end--;
    while (first < end && rows[first].t < window->from)
        first++;
    if (skip && first == 0 && end < limit)
        return -ENOBUFS;
    if (end - first > limit)
        first = end - limit;
    *ret = (struct cache_part){rows + first, end - first};
    return 1;
}
