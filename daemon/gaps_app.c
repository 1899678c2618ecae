#include "gaps_app.h"

#include "app.h"

void gaps_app_hole(void *user, struct symbol *symbol, enum pgd_topic topic, int64_t from_ns, int64_t to_ns,
                   enum pgd_gap_why why)
{
    struct app *app = user;
    gaps_watch_hole(app->gaps.watch, symbol, topic, from_ns, to_ns, why);
}

void gaps_app_covered(void *user, struct symbol *symbol, enum pgd_topic topic, int64_t from_ns, int64_t to_ns)
{
    struct app *app = user;
    gaps_watch_covered(app->gaps.watch, symbol, topic, from_ns, to_ns);
}

static void on_changed(void *user)
{
    struct app *app = user;
    if (app->gaps.repair)
        repair_poke(app->gaps.repair);
}

int gaps_app_open(struct app *app)
{
    struct gaps_watch_hooks hooks = {on_changed, app};
    return gaps_watch_new(&app->gaps.watch, &app->bus, app->symbols, app->feed,
                          app->config->rest.fill_after_ms, &hooks);
}

int gaps_app_net(struct app *app)
{
    int r = repair_new(&app->gaps.repair, &app->loop, app->config, &app->bus, app->symbols, app->feed,
                       app->gaps.watch, app->rest);
    if (r == 0 && app->rest)
        r = recheck_new(&app->gaps.recheck, app->config, &app->bus, app->symbols, app->feed, app->gaps.watch,
                        app->rest);
    return r;
}

void gaps_app_started(struct app *app)
{
    gaps_watch_started(app->gaps.watch);
}

void gaps_app_tick(struct app *app)
{
    if (app->gaps.recheck && app->rest)
        recheck_tick(app->gaps.recheck);
}

bool gaps_app_stop(struct app *app, void (*closed)(void *user), void *user)
{
    struct repair *repair = app->gaps.repair;
    app->gaps.repair = NULL;
    if (repair)
        repair_free(repair, closed, user);
    return repair != NULL;
}

void gaps_app_free(struct app *app)
{
    recheck_free(app->gaps.recheck);
    gaps_watch_free(app->gaps.watch);
}
