/* daemon/journal_ahead.h - a journal file's next blocks, read and checked by a thread of their own while the
 * ones before are served.
 *
 * Only whole blocks with a sound header are read ahead. Where the next one is anything else - damaged, cut
 * short, larger than usual, the file's end - the thread stops, and the reader comes to the place itself. */
#ifndef DAEMON_JOURNAL_AHEAD_H
#define DAEMON_JOURNAL_AHEAD_H

#include "journal_format.h"

struct journal_ahead;

struct journal_ahead_block {
    struct journal_block head;
    uint64_t offset; /* of the header in the file */
    uint8_t *records;
    size_t room;  /* taken for them; head.bytes of it are read */
    size_t sound; /* bytes of records, from the first on, whose checksums are right */
    size_t text;  /* of these, those before the first frame that is not UTF-8 */
};

/* Starts the thread. -ENOMEM, -EAGAIN. */
int journal_ahead_new(struct journal_ahead **ret) __attribute__((warn_unused_result));
void journal_ahead_free(struct journal_ahead *ahead); /* NULL is fine */

/* Blocks of `fd` from `offset` on. The file stays open until journal_ahead_stop. */
void journal_ahead_start(struct journal_ahead *ahead, int fd, uint64_t offset);
void journal_ahead_stop(struct journal_ahead *ahead);

/* The block whose header is at `offset`, waited for if it is on its way; the memory in block->records is
 * given for it. False, and nothing has changed: it is not among those read ahead. */
bool journal_ahead_take(struct journal_ahead *ahead, uint64_t offset, struct journal_ahead_block *block);

#endif
