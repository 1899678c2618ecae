/* sub.h - a subscription, as its three files see it: sub.c (life, symbols, waiting), deliver.c (streams to
 * events), watch.c (the daemon's life and replaced segments). */
#ifndef LIB_SUB_H
#define LIB_SUB_H

#include "client.h"

/* What has been delivered of one series. `newest_t` 0: nothing. */
struct pgd__seen {
    int64_t newest_t;
    uint64_t high;       /* row after the highest that was delivered or passed over */
    uint64_t swept;      /* rows below were found by their head: append records of them come late */
    uint16_t newest_rev; /* of the row at newest_t; 0: its indicators were not there yet */
    bool live;           /* more than warm-up rows have been delivered */
};

struct pgd__source {
    int stream;
    uint32_t generation; /* of the stream's segment when the reader was made */
    uint32_t history;
    struct pgd_tape_reader reader; /* tape, or change log */
    uint64_t lost_told;
    uint64_t lost_rows; /* rows that left the ring before they were copied; not told yet */
    bool sweeping;      /* change records were missed: the heads tell which rows are new */
    uint32_t sweep;     /* next series to look at */
    struct pgd__seen *seen;
    uint32_t seen_count;
    /* the change being delivered: rows [at, rows) are left */
    struct pgd_change change;
    uint64_t at;
    /* history: what lies before the first change */
    bool history_done;
    uint32_t history_symbol; /* position among the symbols */
    bool history_open;
    uint64_t history_row, history_end;
};

struct pgd__name {
    char name[PGD_SYMBOL_MAX];
    int32_t index; /* negative: not in the directory yet */
};

struct pgd_sub {
    struct pgd_client *client;
    struct pgd__source sources[PGD__STREAMS];
    int source_count;
    int turn, streak;
    bool all, recomputed;
    struct pgd__name *names;
    uint32_t name_count, name_room;
    uint64_t wanted[PGD_SERIES_LIMIT / 64];
    uint32_t directory_seen; /* symbols when the names were last looked up */
    uint32_t board_generation;
    uint64_t lost_rows;
    /* the daemon */
    bool down_told;
    uint64_t epoch;
    int64_t next_check_ns;
    int64_t haste_ns; /* next sleep while a successor is awaited */
    struct pgd_event event;
    double columns[PGD__COLUMNS_MAX];
};

/* Next event of the sources: 1, 0 all are drained, 2 not yet, or an error. */
int pgd__deliver(struct pgd_sub *sub);
int pgd__source_start(struct pgd_sub *sub, struct pgd__source *s, enum pgd_from from) PGD_CHECK;
void pgd__source_stop(struct pgd__source *s);

/* Change records may have been missed (lapped in the log, or a daemon died before it wrote them): look at all
 * heads. */
void pgd__sweep(struct pgd__source *s);

/* Records of a tape that the writer overran; a change log's do not count, its rows are found again. */
static inline uint64_t pgd__records_lost(const struct pgd__source *s)
{
    return s->seen ? 0 : s->reader.lost;
}

/* Looks after the daemon and its segments: 1 an event, 0 nothing, 2 something was attached anew, or an error.
 */
int pgd__watch(struct pgd_sub *sub);

/* Clears the event for a new one. */
struct pgd_event *pgd__event(struct pgd_sub *sub, enum pgd_event_kind kind, int stream);

/* Whether records of this symbol are to be delivered. */
bool pgd__wanted(struct pgd_sub *sub, uint32_t symbol);
void pgd__resolve(struct pgd_sub *sub);

#endif
