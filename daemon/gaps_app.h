/* daemon/gaps_app.h - the parts that find holes and fill them, put together for the app. */
#ifndef DAEMON_GAPS_APP_H
#define DAEMON_GAPS_APP_H

#include "gaps_watch.h"
#include "recheck.h"
#include "repair.h"

struct app;

struct gaps_app {
    struct gaps_watch *watch;
    struct repair *repair;
    struct recheck *recheck; /* NULL: off */
};

/* Once the feed is there; then once REST is, or is not; then once every symbol is wanted. */
int gaps_app_open(struct app *app) __attribute__((warn_unused_result));
int gaps_app_net(struct app *app) __attribute__((warn_unused_result));
void gaps_app_started(struct app *app);

void gaps_app_tick(struct app *app); /* once a second */

/* False: nothing is to be closed, `closed` is not called. */
bool gaps_app_stop(struct app *app, void (*closed)(void *user), void *user);
void gaps_app_free(struct app *app);

/* feed_hooks of the app. */
void gaps_app_hole(void *user, struct symbol *symbol, enum pgd_topic topic, int64_t from_ns, int64_t to_ns,
                   enum pgd_gap_why why);
void gaps_app_covered(void *user, struct symbol *symbol, enum pgd_topic topic, int64_t from_ns,
                      int64_t to_ns);

#endif
