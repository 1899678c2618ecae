/* shm/tapes.h - the segments `trades` and `quotes`: a tape and the latest record per symbol, with their
 * schema. */
#ifndef SHM_TAPES_H
#define SHM_TAPES_H

#include "shm/segment.h"
#include "shm/tape.h"

enum pgd_tapes { PGD_TAPES_TRADES = 1, PGD_TAPES_QUOTES = 2 };

/* A tape segment as its owner holds it [main]. */
struct pgd_tape_segment {
    struct pgd_map map;
    struct pgd_tape_writer writer;
};

/* Bytes the segment will take; 0 when capacity is no power of two in 256..PGD_CAPACITY_LIMIT. */
uint64_t pgd_tapes_size(enum pgd_tapes kind, uint32_t capacity, uint32_t symbol_max);

/* Creates or adopts "trades" or "quotes". */
int pgd_tapes_own(struct pgd_tape_segment *ret, const struct pgd_owner *owner, enum pgd_tapes kind,
                  uint32_t capacity, uint32_t symbol_max) PGD_WARN_UNUSED;
void pgd_tapes_close(struct pgd_tape_segment *segment);

/* Reader: attaches and bounds-checks. */
int pgd_tapes_attach(struct pgd_map *ret, struct pgd_tape_reader *ret_reader, const char *instance,
                     enum pgd_tapes kind, enum pgd_from from) PGD_WARN_UNUSED;

#endif
