/* shm/tape.h - the broadcast ring: one writer, any number of readers that it never waits for.
 *
 * Works on any struct pgd_tape in a mapping: the body of `trades` and `quotes`, and the change log of a bars
 * segment. The memory-order argument stands in shm/tape.c. */
#ifndef SHM_TAPE_H
#define SHM_TAPE_H

#include "shm/atomic.h"
#include "shm/segment.h"

/* -------------------------------------------------------------------------------------- write side */

struct pgd_tape_writer {
    struct pgd_tape *tape; /* shared */
    uint8_t *slots;        /* shared */
    uint8_t *latest;       /* shared, NULL: none */
    uint64_t next;         /* index of the next record */
    uint64_t reserve;      /* copy of the shared word */
    uint64_t mask;
    uint32_t latest_count;
    uint32_t reserved;
};

/* Writes the constant line of a new tape that lies at tape_offset of `map` (slots and latest table elsewhere
 * in it). */
void pgd_tape_format(struct pgd_map *map, uint64_t tape_offset, uint64_t slots_offset, uint32_t capacity,
                     uint64_t latest_offset, uint32_t latest_count);

/* Takes up writing: after a crash continues behind the last record that was committed, whether or not it was
 * published, clears torn cells of the latest table, publishes and wakes. */
void pgd_tape_writer_init(struct pgd_tape_writer *ret, struct pgd_map *map, uint64_t tape_offset);

/* Appends one record: 64 bytes, of which the first 8 (commit) are ignored. Visible to spinning readers at
 * once, to sleeping ones at the next publish. Inline: it is the hot path. */
static inline void pgd_tape_put(struct pgd_tape_writer *w, const void *record);

/* Stores the latest record of `symbol` (same 64 bytes); ignored when there is no table or the symbol is
 * outside it. */
static inline void pgd_tape_put_latest(struct pgd_tape_writer *w, uint32_t symbol, const void *record);

/* End of a batch: publishes the head; wakes sleepers if anything was put since the last call. */
void pgd_tape_publish(struct pgd_tape_writer *w);

/* --------------------------------------------------------------------------------------- read side */

struct pgd_tape_reader {
    const struct pgd_tape *tape;
    const uint8_t *slots;
    const uint8_t *latest;
    uint64_t next; /* index of the next record to deliver */
    uint64_t lost; /* records the writer overran, in all */
    uint64_t mask;
    uint64_t capacity;
    uint32_t latest_count;
    uint32_t notify; /* the shared word as it was when pgd_tape_wait last returned */
};

/* Bounds-checks the tape at tape_offset against the mapping (-EPROTO) and starts at `from`:
 * PGD_FROM_NEXT behind the last published record, PGD_FROM_OLDEST the oldest that is safe. */
enum pgd_from { PGD_FROM_NEXT = 0, PGD_FROM_OLDEST = 1 };
int pgd_tape_reader_init(struct pgd_tape_reader *ret, const struct pgd_map *map, uint64_t tape_offset,
                         enum pgd_from from) PGD_WARN_UNUSED;

/* Copies the next record (64 bytes, commit word included) to `ret`. 1: delivered, whole and in order; 0: none
 * yet; -EOVERFLOW: the writer lapped us, `lost` grew by exactly the records skipped, the next call goes on
 * mid-ring. */
static inline int pgd_tape_get(struct pgd_tape_reader *r, void *ret);

/* As pgd_tape_get, up to `max` records at once under one validation: the number delivered, 0 or -EOVERFLOW.
 */
static inline int pgd_tape_get_many(struct pgd_tape_reader *r, void *ret, unsigned max);

/* Blocks until a record may be there: 0, -ETIMEDOUT, -EINTR. Never returns early because of a record put but
 * not yet published. Also returns 0 when the segment has changed hands since the last return: where no record
 * came, look at the header's epoch and state (pgd_segment_epoch, pgd_segment_stale). What happens between
 * that look and the next call is not missed: the next call then returns at once. */
int pgd_tape_wait(struct pgd_tape_reader *r, int64_t timeout_ns) PGD_WARN_UNUSED;

/* Copies the latest record of `symbol`: 1, or 0 when there is none. */
int pgd_tape_latest(const struct pgd_tape_reader *r, uint32_t symbol, void *ret);

#include "shm/tape_inline.h"

#endif
