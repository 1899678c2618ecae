/* daemon/gaps.h - the ledger of holes: which records of which symbol and topic may be missing, why, and what
 * became of it.
 *
 * A pair is a symbol and a topic. Holes of a pair that overlap or touch while they are open are one hole; one
 * that still grows (the connection is down) ends nowhere yet. The ledger is bounded and never forgets an open
 * hole: when every row is one, the two of one pair that lie nearest to each other become one that covers
 * both. Holes that are over stay to be looked at until their row is needed, the oldest first. Rows are small
 * numbers, the same as those of the board's table, and hooks.show tells of each change. Pure: the caller
 * brings the times (ns since 1970 for holes, any monotonic clock for `due`). Main thread. */
#ifndef DAEMON_GAPS_H
#define DAEMON_GAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "polygond/abi.h"

#define GAPS_NONE    UINT32_MAX
#define GAPS_GROWING INT64_MAX

struct gaps;

struct gaps_hooks {
    void (*show)(void *user, uint32_t row, const struct pgd_gap *gap); /* may be NULL */
    void *user;
};

/* Room for `max` holes of `symbols` symbols; max is raised to four a symbol. -ENOMEM. */
int gaps_new(struct gaps **ret, uint32_t symbols, uint32_t max, const struct gaps_hooks *hooks)
    __attribute__((warn_unused_result));
void gaps_free(struct gaps *gaps);

/* Takes up what an earlier run left in `row`, before anything else: holes that were being filled are open
 * again. */
void gaps_load(struct gaps *gaps, uint32_t row, const struct pgd_gap *gap);

/* There is a hole [from, to); to GAPS_GROWING: it grows. Returns the row it is in now: perhaps an older hole,
 * made wider, or one that is being filled and covers it. GAPS_NONE: empty, nothing was noted. `due`: when it
 * may be filled; a hole that grows waits for gaps_end. */
uint32_t gaps_open(struct gaps *gaps, uint32_t symbol, enum pgd_topic topic, int64_t from_ns, int64_t to_ns,
                   enum pgd_gap_why why, int64_t now_ns, int64_t due);

/* The hole of this pair that grows, if one does, ends at `to`; it was none when that is not behind its
 * beginning. Its row or GAPS_NONE. */
uint32_t gaps_end(struct gaps *gaps, uint32_t symbol, enum pgd_topic topic, int64_t to_ns, int64_t now_ns,
                  int64_t due);

/* The records of [from, to) are there: what open holes of the pair have in common with it is cut off. */
void gaps_covered(struct gaps *gaps, uint32_t symbol, enum pgd_topic topic, int64_t from_ns, int64_t to_ns,
                  int64_t now_ns);

/* Every open hole of the pair, also one that grows, is given up. */
void gaps_drop(struct gaps *gaps, uint32_t symbol, enum pgd_topic topic, enum pgd_gap_reason reason,
               int64_t now_ns);

/* The next open hole of these topics that is due: its row, or GAPS_NONE and in *ret_wake (not NULL) when
 * there may be one, INT64_MAX: not before something changes. */
uint32_t gaps_due(struct gaps *gaps, uint32_t topics, int64_t clock, int64_t *ret_wake);

/* Not yet: it is due later. */
void gaps_put_off(struct gaps *gaps, uint32_t row, int64_t due);

/* Its life from there: being filled; then over, open again, or given up. `from_ns` of gaps_again: what came
 * before it is there. */
void gaps_take(struct gaps *gaps, uint32_t row, int64_t now_ns);
void gaps_close(struct gaps *gaps, uint32_t row, int64_t now_ns);
void gaps_again(struct gaps *gaps, uint32_t row, int64_t from_ns, int64_t now_ns, int64_t due);
void gaps_give_up(struct gaps *gaps, uint32_t row, enum pgd_gap_reason reason, int64_t now_ns);

/* Rows that REST had for it, and how many of them were missing. */
void gaps_filled(struct gaps *gaps, uint32_t row, uint64_t received, uint64_t filled);

const struct pgd_gap *gaps_at(const struct gaps *gaps, uint32_t row); /* id 0: never used */
uint32_t gaps_rows(const struct gaps *gaps);

/* Open holes and those being filled. */
uint32_t gaps_alive(const struct gaps *gaps);

#endif
