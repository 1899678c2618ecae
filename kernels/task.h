/* task.h - one series whose rows changed, as work: where to take it up, how far to go, what to record.
 *
 * The same whoever steps the rows: a task is opened, then as often as it asks for it taken up at a row and
 * run until an outcome, then closed. While rows published before are being rewritten series.recompute says
 * from where. */
#ifndef KERNELS_TASK_H
#define KERNELS_TASK_H

#include "rows.h"
#include "state.h"

/* In change->reserved while a call runs: nothing is left to do. */
#define PGK_CHANGE_DONE UINT32_C(1)

enum pgk_outcome {
    PGK_REACHED,   /* every row up to the end is done */
    PGK_COALESCED, /* state and windows are what they were: the rows that follow stand */
    PGK_BUSY,      /* a bar is being revised */
    PGK_LAPPED     /* rows left the ring while they were read */
};

struct pgk_task {
    struct pgk_change *change;
    struct pgk_series series;
    struct pgk_checkpoints points;
    uint64_t from;     /* first row asked for */
    uint64_t end;      /* rows are computed up to here */
    uint64_t computed; /* rows computed before: beyond lie no units and no checkpoints to compare with */
    bool full; /* an earlier recompute broke off: checkpoints ahead are of mixed origin, so go to the end */
    uint64_t row;     /* first row still to be written */
    uint64_t changed; /* latest row seen whose bar is not the one its units came from */
    uint64_t done_first;
    uint64_t done_end;
    /* where it is taken up */
    uint64_t start;        /* the row stepped first: `row` or before */
    uint64_t origin;       /* row at which the recurrences began */
    uint64_t base;         /* first row that windows look back on */
    const uint64_t *state; /* words of the recurrences before `start`; NULL: none yet */
};

/* False: nothing is to be done, and the change says so. */
bool pgk_task_open(struct pgk_task *task, const struct pgk_plan *plan, void *base,
                   const struct pgd_bars_geometry *geo, struct pgk_change *change);

/* Sets where it is taken up. */
void pgk_task_take_up(struct pgk_task *task, const struct pgk_plan *plan);

/* Of rows [first, end) the first and the last got units; none, when both are the same. */
void pgk_task_wrote(struct pgk_task *task, uint64_t first, uint64_t end);

/* A run has ended before `row`. True: take it up again. */
bool pgk_task_again(struct pgk_task *task, enum pgk_outcome outcome, uint64_t row);

/* Records what was done. */
void pgk_task_close(struct pgk_task *task);

/* At `row`, where a checkpoint is due, with this state: true when no row that follows can differ; otherwise
 * the checkpoint is stored. */
bool pgk_task_settled(const struct pgk_task *task, const struct pgk_plan *plan, uint64_t row, uint64_t origin,
                      const uint64_t *words);

#endif
