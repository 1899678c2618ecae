/* The order of a tape, argued for the Arm model (and so for C11).
 *
 * Writer, record i, capacity N, R = the value of `reserve`:
 *
 * - W1 once per 64 records, before the first of them: reserve := R (relaxed), then a release fence
 * - W2 words 1..7 of slot i mod N (relaxed)
 * - W3 commit := i + 1 (store-release)
 *
 * Invariant: a record is only written while i < R. Reader, wants record i:
 *
 * - R1 commit (load-acquire); not i + 1: not there, or lapped
 * - R2 words 1..7 (relaxed)
 * - R3 acquire fence, then reserve (relaxed); the copy counts only if reserve - i <= N
 *
 * Whole: R1 reads i + 1 from W3 of record i, so W2 of record i happens before R2 (release store, acquire
 * load). R2 cannot read anything older than record i in any word.
 *
 * Not newer: suppose some load of R2 read a word of a later record in the same slot, i + kN, k >= 1. W1 that
 * reserved that record stands before a release fence, which stands before the store that was read; R2's load
 * stands before the acquire fence of R3. Fence to fence: that W1 happens before the load of `reserve` in R3,
 * which by coherence returns R > i + kN >= i + N, and the copy is thrown away. This holds without any fence
 * per record. On Arm the fences are two `dmb`: the writer's is needed because a later relaxed store could
 * become visible before the store of `reserve`; the reader's because the load of `reserve` could be satisfied
 * before the loads of the payload. A load-acquire of `reserve` would not do: it orders what follows it, not
 * what precedes it.
 *
 * Stale commit: while slot i mod N is being overwritten its commit word still says i + 1; the argument above
 * covers it, since R2's payload is then either all of record i or caught by R3.
 *
 * Kill -9 at any instruction: stores of a dead process become visible in program order up to the one it died
 * at (the fences and releases above keep the compiler to it). So `reserve` bounds what can be torn, and
 * because reserve grows only when every record below it is committed, the records below reserve - 64 are
 * whole: the next run looks through at most 64 commit words to find where to go on. It keeps the old
 * `reserve`; having read it before its own first release fence it passes the old W1 on to every reader of its
 * payload (fences are cumulative).
 *
 * Sleep and wake: the writer stores head (release), then notify + 1 (release), then wakes. A reader loads
 * notify (acquire), then head, and sleeps only while notify still has the value it saw: either it saw the new
 * notify and hence the new head, or the kernel's compare under its lock sees the new notify and refuses to
 * sleep. The same word announces a new epoch and a successor (both stored before it). The caller looks for
 * those between two waits, so the value that counts is the one of the last return, before that look: a change
 * since then ends the wait. tests/model/wake.pml and restart.pml check both. */
#include "shm/tape.h"

#include <string.h>

#include "internal.h"
#include "shm/wake.h"

#define TAPE_CAPACITY_MIN 256u

static bool power_of_two(uint64_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* -------------------------------------------------------------------------------------- write side */

void pgd_tape_format(struct pgd_map *map, uint64_t tape_offset, uint64_t slots_offset, uint32_t capacity,
                     uint64_t latest_offset, uint32_t latest_count)
{
    struct pgd_tape *tape = (struct pgd_tape *)(map->base + tape_offset);
    tape->slots_offset = slots_offset;
    tape->capacity = capacity;
    tape->slot_size = PGD_LINE;
    tape->latest_offset = latest_count != 0 ? latest_offset : 0;
    tape->latest_count = latest_count;
    tape->latest_stride = PGD_LINE;
}

/* Behind the last committed record: see "Kill -9" above. */
static uint64_t find_next(const struct pgd_tape_writer *w)
{
    uint64_t i = w->reserve > PGD_TAPE_RESERVE ? w->reserve - PGD_TAPE_RESERVE : 0;
    while (i < w->reserve && shm_load64_acquire(w->slots + (i & w->mask) * PGD_LINE) == i + 1)
        i++;
    return i;
}

static void clear_torn_latest(struct pgd_tape_writer *w)
{
    for (uint32_t i = 0; i < w->latest_count; i++) {
        uint64_t *cell = (uint64_t *)(w->latest + (uint64_t)i * PGD_LINE);
        uint64_t seq = shm_load64(cell);
        if ((seq & 1) == 0)
            continue;
        for (unsigned word = 1; word < PGD_TAPE_WORDS; word++)
            shm_store64(cell + word, 0);
        shm_store64_release(cell, seq + 1);
    }
}

static void publish_and_wake(struct pgd_tape_writer *w)
{
    shm_store64_release(&w->tape->head, w->next);
    shm_store32_release(&w->tape->notify, shm_load32(&w->tape->notify) + 1);
    pgd_wake_all(&w->tape->notify);
}

void pgd_tape_writer_init(struct pgd_tape_writer *ret, struct pgd_map *map, uint64_t tape_offset)
{
    struct pgd_tape *tape = (struct pgd_tape *)(map->base + tape_offset);
    struct pgd_tape_writer w = {
        .tape = tape,
        .slots = map->base + tape->slots_offset,
        .latest = tape->latest_offset != 0 ? map->base + tape->latest_offset : NULL,
        .reserve = shm_load64(&tape->reserve),
        .mask = tape->capacity - 1,
        .latest_count = tape->latest_offset != 0 ? tape->latest_count : 0,
    };
    w.next = find_next(&w);
    clear_torn_latest(&w);
    publish_and_wake(&w);
    *ret = w;
}

void pgd_tape_extend(struct pgd_tape_writer *w)
{
    w->reserve += PGD_TAPE_RESERVE;
    shm_store64(&w->tape->reserve, w->reserve);
    shm_fence_release();
}

void pgd_tape_publish(struct pgd_tape_writer *w)
{
    if (shm_load64(&w->tape->head) != w->next)
        publish_and_wake(w);
}

/* --------------------------------------------------------------------------------------- read side */

static bool tape_valid(const struct pgd_tape *tape, uint64_t size)
{
    return tape->slot_size == PGD_LINE && power_of_two(tape->capacity) &&
           tape->capacity >= TAPE_CAPACITY_MIN && tape->capacity <= PGD_CAPACITY_LIMIT &&
           pgd__extent_fits(size, tape->slots_offset, tape->capacity, PGD_LINE, PGD_LINE) &&
           (tape->latest_offset == 0 ||
            (tape->latest_stride == PGD_LINE && tape->latest_count <= PGD_SERIES_LIMIT &&
             pgd__extent_fits(size, tape->latest_offset, tape->latest_count, PGD_LINE, PGD_LINE)));
}

int pgd_tape_reader_init(struct pgd_tape_reader *ret, const struct pgd_map *map, uint64_t tape_offset,
                         enum pgd_from from)
{
    struct pgd_tape copy;
    if (!pgd__extent_fits(map->size, tape_offset, 1, 0, sizeof copy))
        return -EPROTO;
    const struct pgd_tape *tape = (const struct pgd_tape *)(map->base + tape_offset);
    uint32_t notify = shm_load32_acquire(&tape->notify);
    uint64_t head = shm_load64_acquire(&tape->head);
    shm_copy_out(&copy, tape, sizeof copy / 8);
    if (!tape_valid(&copy, map->size))
        return -EPROTO;
    struct pgd_tape_reader r = {
        .tape = tape,
        .slots = map->base + copy.slots_offset,
        .latest = copy.latest_offset != 0 ? map->base + copy.latest_offset : NULL,
        .next = head,
        .mask = copy.capacity - 1,
        .capacity = copy.capacity,
        .latest_count = copy.latest_offset != 0 ? copy.latest_count : 0,
        .notify = notify,
    };
    /* The oldest that survives the writer's next reservation. */
    if (from == PGD_FROM_OLDEST) {
        uint64_t end = copy.reserve + PGD_TAPE_RESERVE;
        r.next = end > r.capacity ? end - r.capacity : 0;
        if (r.next > head)
            r.next = head;
    }
    *ret = r;
    return 0;
}

int pgd_tape_lapped(struct pgd_tape_reader *r, uint64_t reserve)
{
    /* Half a ring of headroom; always committed, since reserve runs ahead by 64 and half a ring is 128 or
     * more. */
    uint64_t resume = reserve - r->capacity / 2;
    r->lost += resume - r->next;
    r->next = resume;
    return -EOVERFLOW;
}

int pgd_tape_wait(struct pgd_tape_reader *r, int64_t timeout_ns)
{
    uint32_t seen = shm_load32_acquire(&r->tape->notify);
    int e = 0;
    if (seen == r->notify && shm_load64_acquire(&r->tape->head) <= r->next) {
        e = pgd_wait(&r->tape->notify, seen, timeout_ns);
        seen = e == 0 ? shm_load32_acquire(&r->tape->notify) : seen;
    }
    r->notify = seen;
    return e;
}

int pgd_tape_latest(const struct pgd_tape_reader *r, uint32_t symbol, void *ret)
{
    if (symbol >= r->latest_count)
        return 0;
    const uint64_t *cell = (const uint64_t *)(r->latest + (uint64_t)symbol * PGD_LINE);
    uint64_t copy[PGD_TAPE_WORDS];
    if (!pgd__copy_guarded(copy, cell, PGD_TAPE_WORDS))
        return 0;
    uint64_t any = 0;
    for (unsigned word = 1; word < PGD_TAPE_WORDS; word++)
        any |= copy[word];
    if (any == 0)
        return 0;
    memcpy(ret, copy, sizeof copy);
    return 1;
}
