/* daemon/rest_only.h - clusters without a stream: the new bars of their symbols over REST, again and again.
 *
 * Of more than a few stocks a snapshot is asked for: one answer with the latest minute of each, where the
 * plan has it. A minute that follows on the last one held is taken from it; a symbol of which minutes in
 * between may have been missed, and every symbol of which seconds are kept, is asked about by itself when it
 * has a new minute; and those that the answer leaves out are asked about as all others are, each time. Main
 * thread. */
#ifndef DAEMON_REST_ONLY_H
#define DAEMON_REST_ONLY_H

#include "history.h"

struct rest_only;

int rest_only_new(struct rest_only **ret, struct bus *bus, struct symbols *symbols, struct feed *feed,
                  struct rest *rest, struct history *history) __attribute__((warn_unused_result));
void rest_only_free(struct rest_only *rest_only); /* after rest was freed */

/* Asks for what is new of a cluster's symbols, unless what was asked for before is still under way. */
void rest_only_poll(struct rest_only *rest_only, enum pgd_cluster cluster);

#endif
