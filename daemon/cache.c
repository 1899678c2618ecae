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
    cache_map_guard();
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
    if (cache_map_copy(&p->map, 0, p->head, CACHE_FILE_HEADER) < 0)
        return "shorter than a header";
    const char *fault = cache_file_head(p->head, p->map.size, &p->head_size);
    if (fault)
        return fault;
    if (cache_map_copy(&p->map, CACHE_FILE_HEADER, p->head + CACHE_FILE_HEADER,
                       p->head_size - CACHE_FILE_HEADER) < 0)
        return "cut short";
    return cache_file_check(p->head, p->head_size, &id);
}

int cache_piece_open(struct cache *c, const struct cache_key *key, int64_t t_ms, uint32_t flags,
                     struct cache_piece *ret)
{
    char path[PATH_ROOM];
    int r = path_of(path, key, t_ms, flags);
    if (r < 0)
        return r;
    r = cache_map_open(&ret->map, c->home, path, cache_file_size(CACHE_ROWS_MAX));
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
    cache_map_close(&piece->map);
}

int cache_piece_block(struct cache *c, const struct cache_key *key, struct cache_piece *p, uint32_t block,
                      struct pgd_bar *rows, const struct pgd_bar *next)
{
    const struct cache_file_header *h = cache_piece_header(p);
    size_t first = (size_t)block * CACHE_FILE_BLOCK * sizeof *rows;
    uint32_t count = cache_file_block_rows(p->head, block);
    const char *fault = "cut short";
    if (cache_map_copy(&p->map, p->head_size + first, rows, count * sizeof *rows) == 0)
        fault = cache_file_block(p->head, block, rows);
    if (!fault && next && rows[count - 1].t >= next->t)
        fault = "rows out of order";
    if (fault)
        set_aside(c, key, h->period.from, h->flags, fault);
    return fault ? 0 : 1;
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

int cache_piece_rows(struct cache *c, const struct cache_key *key, struct cache_piece *p,
                     const struct cache_range *window, size_t limit, struct cache_buffer *b,
                     size_t *ret_first, size_t *ret_end)
{
    size_t end = cache_piece_header(p)->rows, first = end;
    if (cache_buffer_reserve(b, end) < 0)
        return -ENOMEM;
    for (uint32_t block = cache_file_blocks((uint32_t)end); block-- > 0;) {
        size_t at = (size_t)block * CACHE_FILE_BLOCK;
        const struct pgd_bar *next = first < cache_piece_header(p)->rows ? b->rows + first : NULL;
        if (!cache_piece_block(c, key, p, block, b->rows + at, next))
            return 0;
        first = at;
        while (end > first && b->rows[end - 1].t >= window->to)
            end--;
        if (end - first >= limit || b->rows[first].t < window->from)
            break;
    }
    if (end - first > limit)
        first = end - limit;
    while (first < end && b->rows[first].t < window->from)
        first++;
    *ret_first = first;
    *ret_end = end;
    return 1;
}
