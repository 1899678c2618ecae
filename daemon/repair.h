/* daemon/repair.h - holes filled over REST, bars before trades and quotes, within the budget of REST's class
 * for repairs.
 *
 * A hole is asked for once its time has come (gaps_watch.h), one request a hole, a few at a time. Bars around
 * it come along: corrections that were sent while nobody listened. A hole that REST answered for is closed; a
 * failure is tried again, later and later; what cannot be had is given up with the reason. Main thread. */
#ifndef DAEMON_REPAIR_H
#define DAEMON_REPAIR_H

#include "gaps_watch.h"
#include "rest.h"

#include <uv.h>

struct repair;

/* rest NULL: there is none, every hole is given up. Borrowed for its life: all. */
int repair_new(struct repair **ret, uv_loop_t *loop, const struct config *config, struct bus *bus,
               struct symbols *symbols, struct feed *feed, struct gaps_watch *watch, struct rest *rest)
    __attribute__((warn_unused_result));

/* After rest was freed: what is being filled stays noted as such for the next run. */
void repair_free(struct repair *repair, void (*closed)(void *user), void *user);

/* Something may be due. */
void repair_poke(struct repair *repair);

#endif
