/* The daemon with a journal in the vendor's place. */
#include "app.h"

#include <errno.h>

void app_replay_configure(struct config *config)
{
    config->stream.enabled = false;
    config->rest.enabled = false;
    config->cache.enabled = false;
    config->journal.enabled = false;
    config->fresh = true; /* rows of another replay would mix with these */
}

/* Clients see it as a symbol of the vendor's stream, all of it acknowledged. */
static void on_changed(void *user, struct symbol *symbol)
{
    struct app *app = user;
    uint32_t topics = cluster_topics(&app->bus, (enum pgd_cluster)symbol->cluster);
    symbol->wanted = symbol->acked = symbol->held ? topics : 0;
    symbols_show(app->symbols, symbol);
    pgd_board_notify(&app->bus.board);
}

static void on_conn(void *user, const struct pgd_conn *conn)
{
    struct app *app = user;
    pgd_board_set_conn(&app->bus.board, conn);
    pgd_board_notify(&app->bus.board);
}

static void on_done(void *user, bool ok)
{
    app_stop(user, ok ? APP_OK : APP_FAILED);
}

int app_replay_open(struct app *app, char *err, size_t err_size)
{
    const struct replay_hooks hooks = {on_changed, on_conn, on_done, app};
    return replay_new(&app->replay, &app->loop, &app->bus, app->symbols, app->feed, app->worker,
                      app->replay_options, &hooks, err, err_size);
}

int app_replay_take(struct app *app, struct symbol **ret, const char *name)
{
    struct symbol *symbol = symbols_find(app->symbols, name);
    if (!symbol || !symbol->held)
        return -ENODEV; /* not in the journal, or not yet */
    *ret = symbol;
    return 0;
}
