/* shm/tape_inline.h - the hot half of shm/tape.h. The argument of the orders: shm/tape.c. */
#ifndef SHM_TAPE_INLINE_H
#define SHM_TAPE_INLINE_H

#include <errno.h>

#define PGD_TAPE_WORDS (PGD_LINE / 8)

/* Out of line: once per PGD_TAPE_RESERVE records, and once per lap suffered. */
void pgd_tape_extend(struct pgd_tape_writer *w);
int pgd_tape_lapped(struct pgd_tape_reader *r, uint64_t reserve);

static inline void pgd_tape_put(struct pgd_tape_writer *w, const void *record)
{
    if (__builtin_expect(w->next == w->reserve, 0))
        pgd_tape_extend(w);
    uint64_t *slot = (uint64_t *)(w->slots + (w->next & w->mask) * PGD_LINE);
    shm_copy_in(slot + 1, (const uint64_t *)record + 1, PGD_TAPE_WORDS - 1);
    w->next++;
    shm_store64_release(slot, w->next);
}

static inline void pgd_tape_put_latest(struct pgd_tape_writer *w, uint32_t symbol, const void *record)
{
    if (symbol >= w->latest_count)
        return;
    uint64_t *cell = (uint64_t *)(w->latest + (uint64_t)symbol * PGD_LINE);
    uint64_t seq = shm_load64(cell);
    shm_store64(cell, seq + 1);
    shm_fence_release();
    shm_copy_in(cell + 1, (const uint64_t *)record + 1, PGD_TAPE_WORDS - 1);
    shm_store64_release(cell, seq + 2);
}

static inline int pgd_tape_get_many(struct pgd_tape_reader *r, void *ret, unsigned max)
{
    uint64_t *to = ret;
    unsigned n = 0;
    uint64_t commit = 0;
    for (; n < max; n++, to += PGD_TAPE_WORDS) {
        uint64_t i = r->next + n;
        const uint64_t *slot = (const uint64_t *)(r->slots + (i & r->mask) * PGD_LINE);
        commit = shm_load64_acquire(slot);
        if (commit != i + 1)
            break;
        to[0] = commit;
        shm_copy_out(to + 1, slot + 1, PGD_TAPE_WORDS - 1);
    }
    if (n == 0 && commit <= r->next)
        return 0;
    shm_fence_acquire();
    uint64_t reserve = shm_load64(&r->tape->reserve);
    if (__builtin_expect((int64_t)(reserve - r->next) > (int64_t)r->capacity, 0))
        return pgd_tape_lapped(r, reserve);
    r->next += n;
    return (int)n;
}

static inline int pgd_tape_get(struct pgd_tape_reader *r, void *ret)
{
    return pgd_tape_get_many(r, ret, 1);
}

#endif
