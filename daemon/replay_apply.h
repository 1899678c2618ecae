/* daemon/replay_apply.h - one record of a journal done again: the same call of the same function as when it
 * was recorded. Main thread. */
#ifndef DAEMON_REPLAY_APPLY_H
#define DAEMON_REPLAY_APPLY_H

#include "bus.h"
#include "feed.h"
#include "journal_read.h"
#include "symbols.h"

struct replay_target {
    struct bus *bus;
    struct symbols *symbols;
    struct feed *feed;
    /* A symbol was taken in or given up. May be NULL. */
    void (*changed)(void *user, struct symbol *symbol);
    void *user;

    struct symbol **map; /* of the journal's indexes */
    uint32_t map_size;
    uint64_t records, frames, bad,
        unknown;   /* done; frames among them; that could not be done; of kinds not known */
    uint64_t lost; /* records that the journal says it lacks */
};

/* Before the first record. -ENOMEM. */
int replay_target_init(struct replay_target *target, struct bus *bus, struct symbols *symbols,
                       struct feed *feed) __attribute__((warn_unused_result));
void replay_target_fini(struct replay_target *target);

/* 0; -EINVAL with what is wrong with the record in *ret_why: it is counted and has changed nothing. */
int replay_apply(struct replay_target *target, const struct journal_item *item, const char **ret_why)
    __attribute__((warn_unused_result));

#endif
