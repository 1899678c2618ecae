/* shm/internal.h - what the files of shm/ share and nobody else sees. */
#ifndef SHM_INTERNAL_H
#define SHM_INTERNAL_H

#include "shm/segment.h"

#define PGD_FNV_SEED UINT64_C(0xcbf29ce484222325)

/* FNV-1a 64 of `bytes` bytes, continued from `hash`. */
uint64_t pgd__fnv(uint64_t hash, const void *data, size_t bytes);

/* True when `count` items of `size` bytes, `stride` apart (multiples of 8), from `offset` lie inside `limit`
 * bytes; no sum or product may wrap. count 0 asks for nothing. */
bool pgd__extent_fits(uint64_t limit, uint64_t offset, uint64_t count, uint64_t stride, uint64_t size);

/* Opens the shared-memory object read-write if this user owns it, without mapping it: fd, -ENOENT, -EEXIST
 * (another user's), ... */
int pgd__segment_open(const char *instance, const char *segment);

/* True when `fd` is the object that the name stands for now. */
bool pgd__segment_is_current(int fd, const char *instance, const char *segment);

/* Maps the object behind fd (ownership stays with the caller) as a whole and checks it as a reader would. */
int pgd__segment_map(struct pgd_map *ret, int fd, uint32_t kind, int prot);

int64_t pgd__realtime_ns(void);

/* Records whose word 0 is a sequence word, odd while being written. Copies one whole: false when it never was
 * written, or is being written for longer than a bounded number of tries. Argument: shm/guard.c. */
bool pgd__copy_guarded(void *ret, const void *record, size_t words);

/* Writes words 1.. of such a record from `from`, whose word 0 is ignored; one writer. Repairs a sequence word
 * that was left odd. */
void pgd__store_guarded(void *record, const void *from, size_t words);

/* Between two tries of a reader: at first a pause, then the rest of the time slice is given away (a spinning
 * reader must not keep the writer off its core). False once it is time to give up. */
bool pgd__retry(unsigned *tries);

/* Copies a text into a fixed field, cut and NUL-filled, in 8-byte relaxed stores. `bytes`: a multiple of 8,
 * at most 256. */
void pgd__store_text(void *to, const char *text, size_t bytes);

#endif
