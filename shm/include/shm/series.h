/* shm/series.h - bars segments: for each symbol a ring of rows, revisable, with a forming bar beside it.
 *
 * Three parties: the main thread appends and revises bars (struct pgd_bars), the engine thread writes
 * indicator units and the change log (through the geometry, see kernels/engine.h), readers copy rows and
 * validate. Argument of the orders: shm/series.c. */
#ifndef SHM_SERIES_H
#define SHM_SERIES_H

#include "shm/atomic.h"
#include "shm/segment.h"
#include "shm/tape.h"

/* -------------------------------------------------------------------------------------- write side */

struct pgd_column {
    const char *name; /* "sma_20" */
    const char *unit; /* "price", "points", "shares" */
};

struct pgd_bars_config {
    const char *timespan; /* "1s", "1m": the segment is "bars.<timespan>" */
    int64_t span_ms;
    uint32_t series_max;
    uint32_t capacity;     /* rows a series, 16 or more */
    uint32_t log_capacity; /* change log slots, a power of two */
    const struct pgd_column *columns;
    uint32_t column_count;
    uint32_t state_size;  /* engine checkpoint, bytes */
    uint32_t state_slots; /* checkpoints a series */
    uint32_t state_every; /* rows between checkpoints */
};

/* A bars segment as its owner holds it. Public fields are for the engine, which gets base and geometry. */
struct pgd_bars {
    struct pgd_map map;
    const struct pgd_bars_geometry *geo; /* in the mapping */
    struct pgd_tape_writer log;          /* engine thread only */
};

/* Bytes the segment will take; 0 when a number is out of range. */
uint64_t pgd_bars_size(const struct pgd_bars_config *config);

/* The same, and where everything will lie. */
uint64_t pgd_bars_layout(struct pgd_bars_geometry *ret, const struct pgd_bars_config *config);

/* Creates or adopts. After adoption pending intents have been redone, every published row is whole. */
int pgd_bars_own(struct pgd_bars *ret, const struct pgd_owner *owner,
                 const struct pgd_bars_config *config) PGD_WARN_UNUSED;
void pgd_bars_close(struct pgd_bars *bars);

/* All of the following: main thread. `bar->rev` is ignored on input; `series` < series_max. */
void pgd_bars_open_series(struct pgd_bars *bars, uint32_t series, enum pgd_session session);
uint64_t pgd_bars_head(const struct pgd_bars *bars, uint32_t series);

/* Rows present: head - first readable. Row i is held while i >= pgd_bars_first. */
uint64_t pgd_bars_first(const struct pgd_bars *bars, uint32_t series);

/* Appends (caller keeps starts increasing); returns the row's index. */
uint64_t pgd_bars_append(struct pgd_bars *bars, uint32_t series, const struct pgd_bar *bar);

/* Appends `count` bars, oldest first (caller keeps starts increasing). While the ring is not full yet the
 * head moves once, and all of them appear together. */
void pgd_bars_append_all(struct pgd_bars *bars, uint32_t series, const struct pgd_bar *given, size_t count);

/* Replaces row `index` (held): 0, or -ERANGE. */
int pgd_bars_revise(struct pgd_bars *bars, uint32_t series, uint64_t index,
                    const struct pgd_bar *bar) PGD_WARN_UNUSED;

/* Inserts before row `index` (held, or == head): rows from index on move up one, each as a revision; the
 * oldest row may fall out. -ERANGE also when the ring is full and index is its oldest row: the new bar would
 * be the one to fall out. */
int pgd_bars_insert(struct pgd_bars *bars, uint32_t series, uint64_t index,
                    const struct pgd_bar *bar) PGD_WARN_UNUSED;

/* Index of the first held row with t >= t_ms; head when there is none. Looks from the newest end (the usual
 * hit). */
uint64_t pgd_bars_search(const struct pgd_bars *bars, uint32_t series, int64_t t_ms);

/* The writer's own view of a row (no validation needed in its thread). */
void pgd_bars_peek(const struct pgd_bars *bars, uint32_t series, uint64_t index, struct pgd_bar *ret);

/* Sets the forming bar; t == 0 clears it. */
void pgd_bars_forming(struct pgd_bars *bars, uint32_t series, const struct pgd_bar *bar);
void pgd_bars_day(struct pgd_bars *bars, uint32_t series, const struct pgd_day *day);

/* --------------------------------------------------------------------------------------- read side */

/* A bars segment as a reader holds it: geometry copied and bounds-checked at attach, so a hostile segment
 * cannot move it. */
struct pgd_bars_reader {
    struct pgd_map map;
    struct pgd_bars_geometry geo;
};

int pgd_bars_attach(struct pgd_bars_reader *ret, const char *instance, const char *timespan) PGD_WARN_UNUSED;
void pgd_bars_detach(struct pgd_bars_reader *reader);

/* Rows a series has ever had (0 when the symbol has none), acquire. */
uint64_t pgd_bars_rows(const struct pgd_bars_reader *reader, uint32_t series);

/* Of these, rows whose indicators have been published (acquire); never more than pgd_bars_rows. */
uint64_t pgd_bars_computed(const struct pgd_bars_reader *reader, uint32_t series);

/* Copies row `index`. bar must be given; `units` (geo.columns doubles) may be NULL. Returns
 *   1  whole row; indicators belong to this revision
 *   2  whole row; indicators not yet computed (units filled with NaN)
 *   0  index >= head: not there yet
 *  -EOVERFLOW  the row has left the ring (or will within the next append)
 *  -EAGAIN     being written for longer than a bounded number of tries (a daemon that died in it)
 *  -ERANGE     no such series */
int pgd_bars_row(const struct pgd_bars_reader *reader, uint32_t series, uint64_t index, struct pgd_bar *bar,
                 double *units) PGD_WARN_UNUSED;

/* Forming bar: 1, or 0 when there is none; day figures likewise. */
int pgd_bars_get_forming(const struct pgd_bars_reader *reader, uint32_t series, struct pgd_bar *ret);
int pgd_bars_get_day(const struct pgd_bars_reader *reader, uint32_t series, struct pgd_day *ret);

/* Reader of the change log. */
int pgd_bars_log(struct pgd_tape_reader *ret, const struct pgd_bars_reader *reader,
                 enum pgd_from from) PGD_WARN_UNUSED;

#endif
