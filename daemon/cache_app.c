#include "cache_app.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

int cache_app_options(struct cache_options *ret, const struct config *config, char *directory, size_t size)
{
    int r = 0;
    if (!config->cache.directory[0])
        r = cache_directory(directory, size);
    else if ((size_t)snprintf(directory, size, "%s", config->cache.directory) >= size)
        r = -ENAMETOOLONG;
    if (r < 0)
        return r;
    *ret = (struct cache_options){
        .directory = directory,
        .host = config->rest.url,
        .max_bytes = (uint64_t)config->cache.max_mb << 20,
    };
    return 0;
}

/* From libuv's threads as well. */
static void on_damaged(void *user, const char *path, const char *why)
{
    (void)user;
    log_event(LOG_CACHE, "set aside: %s: %s", path, why);
}

int cache_app_open(struct cache_app *part, uv_loop_t *loop, const struct config *config,
                   void (*batch)(void *user), void *user)
{
    char directory[PATH_MAX] = "cache.directory";
    struct cache_options options;
    *part = (struct cache_app){0};
    if (!config->cache.enabled)
        return 0;
    int r = cache_app_options(&options, config, directory, sizeof directory);
    options.damaged = on_damaged;
    if (r == 0)
        r = cache_open(&part->cache, &options);
    if (r < 0) {
        log_event(LOG_CACHE, "none: %s: %s", directory,
                  r == -ENOENT ? "no place known; set cache.directory" : strerror(-r));
        return 0;
    }
    log_event(LOG_CACHE, "%s, at most %u MiB", directory, config->cache.max_mb);
    r = warm_new(&part->warm, loop, part->cache, batch, user);
    if (r < 0)
        cache_app_close(part);
    return r;
}

void cache_app_count(const struct cache_app *part, struct bus *bus)
{
    if (!part->cache)
        return;
    struct cache_stats stats = cache_stats(part->cache);
    pgd_count_set(&bus->board, PGD_C_cache_files, stats.stored);
    pgd_count_set(&bus->board, PGD_C_cache_damaged, stats.damaged);
    pgd_count_set(&bus->board, PGD_C_cache_evicted, stats.evicted);
    pgd_count_set(&bus->board, PGD_C_cache_stale, stats.stale);
    pgd_count_set(&bus->board, PGD_C_cache_skipped, warm_skipped(part->warm));
}

void cache_app_stop(struct cache_app *part)
{
    warm_close(part->warm);
}

void cache_app_close(struct cache_app *part)
{
    warm_free(part->warm);
    cache_close(part->cache);
    *part = (struct cache_app){0};
}
