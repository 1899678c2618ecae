/* daemon/journal_app.h - the journal as a part of the daemon: opened as configured, its counts on the board.
 * Main thread. */
#ifndef DAEMON_JOURNAL_APP_H
#define DAEMON_JOURNAL_APP_H

#include "bus.h"
#include "config.h"
#include "feed.h"
#include "journal.h"
#include "secret.h"
#include "symbols.h"

/* Opened, what an adopted bus holds written down, the feed tapped. Left patient (journal_patient): the daemon
 * is not ready yet. *ret stays NULL when it is not enabled. On failure a line in err. */
int journal_app_open(struct journal **ret, const struct config *config, struct bus *bus, struct feed *feed,
                     char *err, size_t err_size) __attribute__((warn_unused_result));

/* A message as received; the key is taken out of those that may hold it. */
void journal_app_frame(struct journal *journal, const struct secret *secret,
                       const struct journal_entry *entry, const uint8_t *data, size_t size);

void journal_app_count(const struct journal *journal, struct bus *bus);

#endif
