/* daemon/journal.h - what the daemon was told, written down so that it can be told again.
 *
 * The main thread puts records into a bounded ring; a thread of the journal writes them to files in blocks. A
 * put copies and returns: it takes no memory and never waits. When the disk is too slow or full, records are
 * left out of the journal, counted, and a LOST record says so in their place; nothing else in the daemon
 * notices. What is recorded and why that is enough: docs/adr/0005-journal.md; the bytes: docs/journal.md.
 *
 * Files are DIRECTORY/INSTANCE-NUMBER.pgj. On opening, a tail torn by a crash is cut behind its last whole
 * record. */
#ifndef DAEMON_JOURNAL_H
#define DAEMON_JOURNAL_H

#include "journal_format.h"

#include <sys/types.h>

struct journal;

struct journal_options {
    const char *directory; /* made when it is not there */
    const char *instance;
    const char *config;    /* YAML, for the CONFIG record */
    uint64_t buffer_bytes; /* of the ring, rounded up to a power of two */
    uint64_t file_bytes;   /* a file is closed and the next begun when it would grow beyond */
    uint64_t keep_bytes;   /* the oldest files go when all would be larger; 0: no limit */
    uint32_t rotate_s;     /* a file is closed after so long; 0: not for its age */
    uint32_t keep_days;    /* files not written to for so long go; 0: kept */
    uint32_t flush_ms;     /* what is put is handed to the kernel after so long at the latest */
    uint32_t symbols;      /* largest index + 1 */
    mode_t mode;           /* of the files */
};

/* One record, but for its data. */
struct journal_entry {
    enum journal_kind kind;
    uint8_t cluster;
    uint8_t flags;
    uint32_t index;
    int64_t t_ns;
    uint64_t arg;
    const void *before; /* data that comes before the data proper; NULL: none */
    size_t before_size;
};

/* Since the opening. */
struct journal_counts {
    uint64_t records;       /* put */
    uint64_t lost;          /* of these, left out */
    uint64_t bytes;         /* written to files */
    uint64_t files;         /* begun */
    uint64_t files_removed; /* by retention */
    uint64_t faults;        /* writes that failed */
    uint64_t cut_bytes;     /* torn off the tail that an earlier run left */
};

/* Repairs, removes what retention says, begins a file and starts the thread. On failure a line in err.
 * -EINVAL: the directory cannot be used; else what the system said. A disk that is full only now is no
 * failure. */
int journal_open(struct journal **ret, const struct journal_options *options, char *err, size_t err_size)
    __attribute__((warn_unused_result));

/* Writes out all that was put, and an END record. NULL is fine. */
void journal_close(struct journal *journal);

/* Main thread only. `data` may be NULL when size is 0. */
void journal_put(struct journal *journal, const struct journal_entry *entry, const void *data, size_t size);

/* true: puts wait for room, for a second at most; for the start of the daemon, when nothing is lost by
 * waiting. */
void journal_patient(struct journal *journal, bool patient);

void journal_counts(const struct journal *journal, struct journal_counts *ret);

#endif
