/* daemon/feed_tap.h - the feed's calls as records of the journal: what a replay needs besides the frames.
 * Without a journal they do nothing. Main thread. */
#ifndef DAEMON_FEED_TAP_H
#define DAEMON_FEED_TAP_H

#include "feed.h"
#include "journal.h"

void feed_tap_batch(struct feed *f, uint64_t bytes, uint64_t messages);
void feed_tap_symbol(struct feed *f, const struct symbol *symbol, bool held);
void feed_tap_release(struct feed *f, const struct symbol *symbol, unsigned segment);
void feed_tap_break(struct feed *f, enum pgd_cluster cluster);
void feed_tap_rows(struct feed *f, enum journal_kind kind, uint64_t count);
/* span: of FILL_BARS and COVERED, else NULL. */
void feed_tap_bars(struct feed *f, enum journal_kind kind, const struct symbol *symbol, unsigned segment,
                   const struct pgd_bar *bars, size_t count, const struct journal_span *span);
void feed_tap_ticks(struct feed *f, enum journal_kind kind, const struct symbol *symbol, const void *records,
                    size_t bytes);

#endif
