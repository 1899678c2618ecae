/* watch.c - the daemon under a subscription: dead, wedged, back, or with other segments. */
#include <errno.h>
#include <string.h>

#include "sub.h"

/* -1 at work, else the reason of PGD_EVENT_DOWN. A lock that cannot be asked counts as held: the heartbeat
 * tells. */
static int down_reason(const struct pgd_sub *sub)
{
    const struct pgd_board_reader *board = &sub->client->board;
    if (pgd_board_alive(board) == 0)
        return 0;
    return pgd_board_heartbeat_age_ns(board) > PGD__STALL_NS ? 1 : -1;
}

/* A source whose segment was replaced begins at the oldest record of the new one: what it has already
 * delivered it recognises by time. 1: event. */
static int rebind(struct pgd_sub *sub, struct pgd__source *s)
{
    uint32_t generation = sub->client->streams[s->stream].generation;
    if (s->generation == generation)
        return 0;
    int r = pgd__source_start(sub, s, PGD_FROM_OLDEST);
    if (r < 0)
        return r;
    struct pgd_event *e = pgd__event(sub, PGD_EVENT_REPLACED, s->stream);
    e->epoch = pgd_board_epoch(&sub->client->board);
    return 1;
}

int pgd__watch(struct pgd_sub *sub)
{
    int changed = pgd_refresh(sub->client);
    if (changed < 0)
        return changed;
    for (int i = 0; i < sub->source_count; i++) {
        int r = rebind(sub, &sub->sources[i]);
        if (r != 0) {
            sub->next_check_ns = 0; /* there may be more to say */
            return r;
        }
    }
    int reason = down_reason(sub);
    uint64_t epoch = pgd_board_epoch(&sub->client->board);
    if (reason >= 0 && !sub->down_told) {
        sub->down_told = true;
        struct pgd_event *e = pgd__event(sub, PGD_EVENT_DOWN, -1);
        e->reason = (uint32_t)reason;
        e->epoch = epoch;
        return 1;
    }
    if (reason < 0 && (sub->down_told || epoch != sub->epoch)) {
        sub->down_told = false;
        sub->epoch = epoch;
        for (int i = 0; i < sub->source_count; i++)
            pgd__sweep(&sub->sources[i]);
        pgd__event(sub, PGD_EVENT_UP, -1)->epoch = epoch;
        return 1;
    }
    return changed ? 2 : 0;
}
