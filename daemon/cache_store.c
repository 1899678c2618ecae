#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache_private.h"

/* One period's share of what was fetched, and what is there already. */
struct merge {
    struct cache *cache;
    const struct cache_key *key;
    uint32_t flags;
    bool add;
    struct cache_range period;
    struct cache_range range; /* fetched */
    const struct pgd_bar *bars;
    size_t count;
    struct cache_file_header header; /* of the new file */
    struct cache_buffer buffer;
    struct cache_part old;
    struct cache_file_header old_header; /* rows 0 and no ranges when there is none */
    bool there;
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* --------------------------------------------------------------------------------------------- what there is
 */

static int read_old(struct merge *m, uint32_t flags)
{
    struct cache_piece piece;
    struct cache_range all = {INT64_MIN, INT64_MAX};
    m->there = false;
    m->old.count = 0;
    m->old_header.range_count = 0;
    int r = cache_piece_open(m->cache, m->key, m->period.from, flags, &piece);
    if (r <= 0)
        return r;
    uint32_t rows = cache_piece_header(&piece)->rows;
    r = cache_buffer_reserve(&m->buffer, rows);
    if (r == 0)
        r = cache_piece_rows(m->cache, m->key, &piece, &all, SIZE_MAX, m->buffer.rows, rows, &m->old);
    if (r > 0) {
        m->old_header = *cache_piece_header(&piece);
        m->there = true;
    }
    cache_piece_close(&piece);
    return r < 0 ? r : 0;
}

/* Final rows that came again must have the prices they had. */
static bool rewritten(const struct merge *m)
{
    size_t j = 0;
    for (size_t i = 0; i < m->old.count; i++) {
        const struct pgd_bar *old = &m->old.rows[i];
        if (old->t >= m->old_header.settled_ms || old->t >= m->range.to)
            return false;
        while (j < m->count && m->bars[j].t < old->t)
            j++;
        if (j == m->count)
            return false;
        const struct pgd_bar *new = &m->bars[j];
        if (new->t == old->t &&
            (new->o != old->o || new->h != old->h || new->l != old->l || new->c != old->c))
            return true;
    }
    return false;
}

/* ------------------------------------------------------------------------------------------------------
 * merging */

/* What was still subject to revision when an earlier day wrote it, and did not come again, is forgotten. */
static void join_ranges(struct merge *m)
{
    struct cache_range ranges[CACHE_FILE_RANGES + 2];
    unsigned n = 0;
    int64_t settled = least(m->header.settled_ms, m->period.to);
    if (m->there) {
        int64_t was = m->old_header.settled_ms;
        for (uint32_t i = 0; i < m->old_header.range_count; i++) {
            struct cache_range r = m->old_header.ranges[i];
            if (settled > was)
                r.to = least(r.to, was);
            n = cache_time_add(ranges, n, r);
        }
        if (m->range.to <= settled && was > settled)
            settled = was;
    }
    n = cache_time_add(ranges, n, m->range);
    unsigned skip = n > CACHE_FILE_RANGES ? n - CACHE_FILE_RANGES : 0; /* the oldest go */
    m->header.settled_ms = settled;
    m->header.range_count = n - skip;
    memset(m->header.ranges, 0, sizeof m->header.ranges);
    memcpy(m->header.ranges, ranges + skip, (n - skip) * sizeof *ranges);
}

static bool covered(const struct cache_file_header *h, int64_t t)
{
    for (uint32_t i = 0; i < h->range_count; i++)
        if (t >= h->ranges[i].from && t < h->ranges[i].to)
            return true;
    return false;
}

/* Old rows outside the range and the new ones. Returns how many. */
static size_t join_rows(const struct merge *m, struct pgd_bar *rows)
{
    size_t n = 0, i = 0;
    for (; i < m->old.count && m->old.rows[i].t < m->range.from; i++)
        if (covered(&m->header, m->old.rows[i].t))
            rows[n++] = m->old.rows[i];
    for (size_t j = 0; j <= m->count; j++) {
        int64_t t = j < m->count ? m->bars[j].t : m->range.to;
        for (; i < m->old.count && m->old.rows[i].t < t; i++)
            if (m->add && covered(&m->header, m->old.rows[i].t))
                rows[n++] = m->old.rows[i];
        if (j == m->count || !covered(&m->header, t))
            continue;
        if (i < m->old.count && m->old.rows[i].t == t)
            i++;
        rows[n] = m->bars[j];
        rows[n++].rev = 0;
    }
    for (; i < m->old.count; i++)
        if (covered(&m->header, m->old.rows[i].t))
            rows[n++] = m->old.rows[i];
    return n;
}

static bool unchanged(const struct merge *m, const struct pgd_bar *rows, size_t n)
{
    const struct cache_file_header *a = &m->header, *b = &m->old_header;
    return m->there && n == m->old.count && a->settled_ms == b->settled_ms &&
           a->range_count == b->range_count && memcmp(a->ranges, b->ranges, sizeof a->ranges) == 0 &&
           (n == 0 || memcmp(rows, m->old.rows, n * sizeof *rows) == 0);
}

/* ------------------------------------------------------------------------------------------------------
 * writing */

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        bytes += n;
        size -= (size_t)n;
    }
    return 0;
}

static int replace(struct merge *m, int dir, const char *file, const uint8_t *bytes, size_t size)
{
    char temporary[64];
    struct stat st;
    uint64_t before =
        fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) == 0 ? cache_room((uint64_t)st.st_size) : 0;
    snprintf(temporary, sizeof temporary, ".new-%ld-%u", (long)getpid(),
             __atomic_fetch_add(&m->cache->serial, 1, __ATOMIC_RELAXED));
    int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, bytes, size);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && renameat(dir, temporary, dir, file) < 0)
        r = -errno;
    if (r < 0) {
        unlinkat(dir, temporary, 0);
        return r;
    }
    cache_count(&m->cache->stats.stored, 1);
    cache_count(&m->cache->stats.bytes, cache_room(size) - before);
    return 0;
}

static int write_new(struct merge *m, int dir)
{
    char file[CACHE_FILE_MAX];
    int r = cache_name_file(file, m->key->symbol, m->flags & CACHE_FILE_RAW);
    if (r < 0)
        return r;
    size_t most = m->old.count + m->count;
    struct pgd_bar *rows = malloc((most ? most : 1) * sizeof *rows);
    if (!rows)
        return -ENOMEM;
    size_t n = join_rows(m, rows);
    if (n > CACHE_ROWS_MAX) {
        r = -EINVAL;
    } else if (!unchanged(m, rows, n)) {
        m->header.rows = (uint32_t)n;
        size_t size = cache_file_size(m->header.rows);
        uint8_t *bytes = malloc(size);
        r = bytes ? 0 : -ENOMEM;
        if (r == 0) {
            cache_file_build(bytes, &m->header, rows);
            r = replace(m, dir, file, bytes, size);
        }
        free(bytes);
    }
    free(rows);
    return r;
}

/* The folder of a period. */
static int open_folder(struct cache *c, const struct cache_key *key, int64_t t_ms)
{
    char path[CACHE_FOLDER_MAX];
    cache_name_folder(path, key->cluster, key->span_ms, t_ms);
    for (char *slash = strchr(path, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        if (mkdirat(c->home, path, 0750) < 0 && errno != EEXIST)
            return -errno;
        if (!slash)
            break;
        *slash = '/';
    }
    int dir = openat(c->home, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    return dir;
}

/* One byte of the folder's lock file stands for the symbol (and for some others), so that writers of
 * different symbols do not wait for each other. The lock goes with the descriptor. */
static int lock_symbol(int dir, const char *symbol)
{
    uint32_t hash = 2166136261u;
    for (const char *p = symbol; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 16777619u;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = hash >> 1, .l_len = 1};
    int fd = openat(dir, CACHE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return -errno;
    while (fcntl(fd, F_OFD_SETLKW, &lock) < 0)
        if (errno != EINTR) {
            int r = -errno;
            close(fd);
            return r;
        }
    return fd;
}

static int merge_period(struct merge *m, const struct cache_fetched *f, int64_t settled)
{
    int dir = open_folder(m->cache, m->key, m->period.from);
    if (dir < 0)
        return dir;
    int lock = lock_symbol(dir, m->key->symbol);
    if (lock < 0) {
        close(dir);
        return lock;
    }
    m->header = (struct cache_file_header){
        .flags = m->flags,
        .span_ms = m->key->span_ms,
        .period = m->period,
        .settled_ms = settled,
        .written_ms = f->now_ms,
        .cluster = (uint32_t)m->key->cluster,
    };
    strncpy(m->header.symbol, m->key->symbol, sizeof m->header.symbol - 1);
    int r = 0;
    if (!f->raw) {
        r = read_old(m, CACHE_FILE_RAW);
        r = r == 0 && rewritten(m) ? -ESTALE : r;
    }
    if (r == 0)
        r = read_old(m, m->flags);
    if (r == 0 && !f->raw && rewritten(m))
        r = -ESTALE;
    if (r == 0) {
        join_ranges(m);
        r = write_new(m, dir);
    }
    close(lock);
    close(dir);
    return r;
}

/* ------------------------------------------------------------------------------------------------------
 * storing */

static int check(const struct cache_key *key, const struct cache_fetched *f)
{
    if (f->from_ms >= f->to_ms || key->span_ms <= 0)
        return -EINVAL;
    for (size_t i = 0; i < f->count; i++)
        if (f->bars[i].t < f->from_ms || f->bars[i].t >= f->to_ms ||
            (i && f->bars[i].t <= f->bars[i - 1].t) || !cache_file_bar_valid(&f->bars[i], key->span_ms))
            return -EINVAL;
    return 0;
}

/* What the vendor is known to have said of this class: see cache_time_settled. */
static int64_t settled_of(struct cache *c, const struct cache_key *key, const struct cache_fetched *f)
{
    if (f->raw)
        return f->to_ms;
    int64_t *newest = &c->newest_ms[key->cluster];
    int64_t seen = __atomic_load_n(newest, __ATOMIC_RELAXED);
    int64_t last =
        f->count ? f->bars[f->count - 1].t + key->span_ms - 1 : 0; /* a day's bar shows all of it */
    while (last > seen &&
           !__atomic_compare_exchange_n(newest, &seen, last, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return cache_time_settled(key->cluster, f->now_ms, last > seen ? last : seen);
}

int cache_store(struct cache *c, const struct cache_key *key, const struct cache_fetched *f)
{
    int r = check(key, f);
    if (r < 0)
        return r;
    int64_t settled = settled_of(c, key, f);
    struct merge m = {.cache = c, .key = key, .flags = f->raw ? CACHE_FILE_RAW : 0, .add = f->add};
    size_t first = 0;
    for (int64_t from = f->from_ms; from < f->to_ms && r == 0; from = m.period.to) {
        m.period = cache_time_period(key->span_ms, from);
        m.range = (struct cache_range){from, least(f->to_ms, m.period.to)};
        size_t end = first;
        while (end < f->count && f->bars[end].t < m.range.to)
            end++;
        m.bars = f->bars + first;
        m.count = end - first;
        first = end;
        r = merge_period(&m, f, settled);
    }
    free(m.buffer.rows);
    if (r == -ESTALE) {
        cache_drop(c, key->symbol, key->cluster);
        cache_count(&c->stats.stale, 1);
    }
    if (c->max_bytes && __atomic_load_n(&c->stats.bytes, __ATOMIC_RELAXED) > c->max_bytes)
        cache_trim(c);
    return r;
}
