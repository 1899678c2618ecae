/* daemon/cache_app.h - the cache as a part of the daemon: opened as configured, its accidents logged, its
 * counts on the board. Main thread. */
#ifndef DAEMON_CACHE_APP_H
#define DAEMON_CACHE_APP_H

#include <uv.h>

#include "bus.h"
#include "config.h"
#include "warm.h"

struct cache_app {
    struct cache *cache; /* NULL: none */
    struct warm *warm;
};

/* A cache that cannot be had (no place, no permission) is said, and done without. -ENOMEM. */
int cache_app_open(struct cache_app *part, uv_loop_t *loop, const struct config *config,
                   void (*batch)(void *user), void *user) __attribute__((warn_unused_result));
void cache_app_count(const struct cache_app *part, struct bus *bus);

/* As of warm_close and warm_free. */
void cache_app_stop(struct cache_app *part);
void cache_app_close(struct cache_app *part);

/* The options of a configuration: -ENOENT and a line in err when there is no place. `directory` is room. */
int cache_app_options(struct cache_options *ret, const struct config *config, char *directory, size_t size)
    __attribute__((warn_unused_result));

#endif
