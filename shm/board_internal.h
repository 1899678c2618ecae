/* shm/board_internal.h - what both sides of the board use. */
#ifndef SHM_BOARD_INTERNAL_H
#define SHM_BOARD_INTERNAL_H

#include "shm/board.h"

/* 1 to 47 printable ASCII characters without spaces. */
bool pgd__symbol_valid(const char *name, size_t length);

/* Index of `name` among the first `count` symbols, or -ENOENT and, if asked, the empty slot where its probe
 * ended. */
int32_t pgd__symbol_find(const uint32_t *hash, uint32_t slots, const struct pgd_symbol *symbols,
                         uint64_t count, const char *name, uint32_t *ret_slot);

int64_t pgd__boottime_ns(void);

#endif
