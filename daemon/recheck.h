/* daemon/recheck.h - recent minute bars compared with REST again and again: the vendor corrects bars for
 * about a quarter of an hour on the stream, later only there. What differs is published as a revision, what
 * the stream never sent as a hole that was found and filled. One request a symbol each rest.recheck_s, in the
 * class that waits for all others, and none for a symbol whose newest bar REST has been asked about already.
 * Main thread. */
#ifndef DAEMON_RECHECK_H
#define DAEMON_RECHECK_H

#include "gaps_watch.h"
#include "rest.h"

struct recheck;

int recheck_new(struct recheck **ret, const struct config *config, struct bus *bus, struct symbols *symbols,
                struct feed *feed, struct gaps_watch *watch, struct rest *rest)
    __attribute__((warn_unused_result));
void recheck_free(struct recheck *recheck); /* after rest was freed */

/* Once a second. */
void recheck_tick(struct recheck *recheck);

#endif
