/* The configuration read again while the daemon runs. */
#include "app.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

static bool listed(const struct config_cluster *config, const char *name)
{
    for (unsigned i = 0; i < config->symbols_count; i++) {
        char canonical[PGD_SYMBOL_MAX];
        enum pgd_cluster cluster = config->name;
        if (symbols_canonical(canonical, &cluster, config->symbols[i]) == 0 && strcmp(canonical, name) == 0)
            return true;
    }
    return false;
}

/* Symbols that left the configured list are dropped; those that clients asked for stay. */
static void reload_cluster(struct app *app, const struct config_cluster *old,
                           const struct config_cluster *new)
{
    struct cluster *c = &app->clusters[new->name];
    for (uint32_t i = 0; i < symbols_count(app->symbols); i++) {
        struct symbol *symbol = symbols_at(app->symbols, i);
        if (symbol->held && symbol->cluster == new->name &&listed(old, symbol->name) &&
            !listed(new, symbol->name))
            cluster_drop(c, symbol);
    }
    c->config = new;
    cluster_take_list(c, new->symbols, new->symbols_count);
}

static const struct config_cluster *find_cluster(const struct config *config, enum pgd_cluster name)
{
    for (unsigned i = 0; i < config->clusters_count; i++)
        if (config->clusters[i].name == name)
            return &config->clusters[i];
    return NULL;
}

int app_reload(void *user, char *err, size_t err_size)
{
    struct app *app = user;
    struct config *fresh;
    if (app->replay) {
        snprintf(err, err_size, "a replay has nothing to reload");
        return -EINVAL;
    }
    health_reloading(false);
    int r = config_load(&fresh, app->config_path, err, err_size);
    if (r < 0) {
        log_event(LOG_CONFIG, "not reloaded: %s", err);
        health_reloading(true);
        return r;
    }
    for (unsigned i = 0; i < app->config->clusters_count; i++) {
        const struct config_cluster *old = &app->config->clusters[i];
        const struct config_cluster *new = find_cluster(fresh, old->name);
        if (!new)
            continue;
        /* only the list of symbols is taken over: the rest of the old configuration stays in force and in
         * memory */
        reload_cluster(app, old, new);
        struct config_cluster swap = app->config->clusters[i];
        app->config->clusters[i].symbols = new->symbols;
        app->config->clusters[i].symbols_count = new->symbols_count;
        struct config_cluster *spent = &fresh->clusters[new - fresh->clusters];
        spent->symbols = swap.symbols;
        spent->symbols_count = swap.symbols_count;
        app->clusters[old->name].config = old;
    }
    (void)log_level_set(fresh->log.level);
    config_free(fresh);
    log_event(LOG_READY, "reloaded: symbol lists and log level; every other key needs a restart");
    health_reloading(true);
    return 0;
}
