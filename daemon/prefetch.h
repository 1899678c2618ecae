/* daemon/prefetch.h - what clients ask for, and when: a small memory that says what to warm next. Pure.
 *
 * For each symbol and each half hour of the market's day (New York's; UTC's for crypto, forex and futures)
 * stands how often it was asked for, each question counting half as much after PREFETCH_HALF_LIFE days. A
 * symbol is expected in a half hour when its count there is at least PREFETCH_EXPECTED: asked for once within
 * the last week, or more often before. At most PREFETCH_MAX symbols are remembered; the one with the least
 * count in all makes room. */
#ifndef DAEMON_PREFETCH_H
#define DAEMON_PREFETCH_H

#include <stddef.h>
#include <stdint.h>

#include "polygond/abi.h"

#define PREFETCH_MAX       4096u
#define PREFETCH_SLOTS     48u
#define PREFETCH_HALF_LIFE 7
#define PREFETCH_EXPECTED  0.5f

struct prefetch;

int prefetch_new(struct prefetch **ret) __attribute__((warn_unused_result));
void prefetch_free(struct prefetch *prefetch);

/* A client asked for a symbol (canonical) at this time. */
void prefetch_learn(struct prefetch *prefetch, const char *symbol, enum pgd_cluster cluster, int64_t now_ms);

/* Symbols remembered. */
unsigned prefetch_count(const struct prefetch *prefetch);

struct prefetch_guess {
    const char *symbol; /* until the next prefetch_learn or _load */
    enum pgd_cluster cluster;
    float count; /* in that half hour, decayed to it */
};

/* Symbols expected in the half hour that `at_ms` lies in, the most frequent first, at most `limit`. Nothing
 * is expected of stocks, options and indices on a Saturday or Sunday. Returns how many. */
size_t prefetch_guess(const struct prefetch *prefetch, int64_t at_ms, struct prefetch_guess *guesses,
                      size_t limit);

/* Start of the half hour that t_ms lies in. */
int64_t prefetch_slot_start(int64_t t_ms);

/* The memory as bytes of a file, checked when they are read back: PREFETCH_FILE_MAX at most. prefetch_load:
 * -EBADMSG, and nothing is changed, when they are damaged, cut short or somebody else's. */
#define PREFETCH_FILE_MAX (64u + PREFETCH_MAX * 256u)
size_t prefetch_save(const struct prefetch *prefetch, void *bytes);
int prefetch_load(struct prefetch *prefetch, const void *bytes, size_t size)
    __attribute__((warn_unused_result));

#endif
