/* shm/board.h - the control segment: who the daemon is, what it holds, how it fares. */
#ifndef SHM_BOARD_H
#define SHM_BOARD_H

#include "shm/atomic.h"
#include "shm/segment.h"

/* Counters: X(id, writer, unit, doc). */
enum pgd_counter_id {
#define X(id, writer, unit, doc) PGD_C_##id,
#include "shm/counters.def"
#undef X
    PGD_COUNTER_COUNT
};
struct pgd_counter_info {
    const char *name, *writer, *unit, *doc;
};
extern const struct pgd_counter_info pgd_counter_infos[PGD_COUNTER_COUNT];

/* -------------------------------------------------------------------------------------- write side */

struct pgd_board_config {
    uint32_t symbol_max;
    uint32_t error_max;
    const char *control; /* socket path or "" */
    const char *version;
    mode_t mode;
    gid_t gid;
    bool fresh; /* the previous run's directory is not kept: all its segments are succeeded */
};

struct pgd_board_writer {
    struct pgd_map map;
    struct pgd_board *board;
    struct pgd_symbol *symbols;
    struct pgd_counter *counters;
    uint32_t *hash;
    uint64_t epoch; /* of this run */
    mode_t mode;
    gid_t gid;
};

uint64_t pgd_board_size(const struct pgd_board_config *config);

/* Creates or adopts; takes the owner's lock (OFD write lock on byte 0): -EBUSY when another daemon holds this
 * instance. Sets epoch = previous + 1 (seconds since 1970 when there is no previous) and run_state STARTING.
 * The symbol directory is kept (indexes never change hands), names and clusters only; a board of another
 * layout is succeeded by one that takes the directory over when it fits, else it begins a new directory and
 * no other segment of the old one will be adopted. Counters restart at 0. */
int pgd_board_own(struct pgd_board_writer *ret, const char *instance,
                  const struct pgd_board_config *config) PGD_WARN_UNUSED;

/* The owner to create the other segments with; `instance` must outlive it. */
struct pgd_owner pgd_board_owner(const struct pgd_board_writer *w, const char *instance);

void pgd_board_close(struct pgd_board_writer *w); /* drops the lock */

/* Adds a symbol or finds it: index, or -ENOSPC (symbol_max), -EINVAL (empty, too long, control characters).
 */
int32_t pgd_board_add_symbol(struct pgd_board_writer *w, const char *name, size_t length,
                             enum pgd_cluster cluster) PGD_WARN_UNUSED;
int pgd_board_add_segment(struct pgd_board_writer *w, const char *name, uint32_t kind,
                          uint64_t size) PGD_WARN_UNUSED;
void pgd_board_set_conn(struct pgd_board_writer *w,
                        const struct pgd_conn *conn); /* by conn->cluster; seq ignored */
void pgd_board_set_run(struct pgd_board_writer *w, enum pgd_run_state state);
void pgd_board_set_engine(struct pgd_board_writer *w, const char *text);
void pgd_board_beat(struct pgd_board_writer *w);   /* heartbeat */
void pgd_board_notify(struct pgd_board_writer *w); /* wakes those who wait for a directory change */

/* Records an error text (cut to fit) at `where`: counts if already there; when the table is full the least
 * recent one goes. */
void pgd_board_error(struct pgd_board_writer *w, const char *where, const char *text);

/* Row `row` of the table of gaps (below gap_max; gap->seq ignored). The table of an adopted board is kept. */
void pgd_board_set_gap(struct pgd_board_writer *w, uint32_t row, const struct pgd_gap *gap);
uint32_t pgd_board_gap_max(const struct pgd_board_writer *w);
/* What the run before left there: false when the row was never used. */
bool pgd_board_old_gap(const struct pgd_board_writer *w, uint32_t row, struct pgd_gap *ret);

static inline void pgd_count(struct pgd_board_writer *w, enum pgd_counter_id id, uint64_t add)
{
    shm_store64(&w->counters[id].value,
                w->counters[id].value + add); /* one writer a counter: no read-modify-write needed */
}
static inline void pgd_count_set(struct pgd_board_writer *w, enum pgd_counter_id id, uint64_t value)
{
    shm_store64(&w->counters[id].value, value);
}

/* --------------------------------------------------------------------------------------- read side */

struct pgd_board_reader {
    struct pgd_map map;
    struct pgd_board board; /* const fields, copied and checked */
};

int pgd_board_attach(struct pgd_board_reader *ret, const char *instance) PGD_WARN_UNUSED;
void pgd_board_detach(struct pgd_board_reader *r);

/* The daemon's lock: 1 a daemon runs, 0 none does, negative errno. */
int pgd_board_alive(const struct pgd_board_reader *r) PGD_WARN_UNUSED;
int64_t pgd_board_heartbeat_age_ns(const struct pgd_board_reader *r);
uint64_t pgd_board_epoch(const struct pgd_board_reader *r);
bool pgd_board_stale(const struct pgd_board_reader *r); /* a successor exists: attach again */

/* Index of a symbol, -ENOENT when there is none. O(1), allocates nothing. */
int32_t pgd_board_find(const struct pgd_board_reader *r, const char *name) PGD_WARN_UNUSED;
uint32_t pgd_board_symbols(const struct pgd_board_reader *r);
int pgd_board_symbol(const struct pgd_board_reader *r, uint32_t index,
                     struct pgd_symbol *ret) PGD_WARN_UNUSED;
uint32_t pgd_board_counters(const struct pgd_board_reader *r);
int pgd_board_counter(const struct pgd_board_reader *r, uint32_t index,
                      struct pgd_counter *ret) PGD_WARN_UNUSED;
uint32_t pgd_board_errors(const struct pgd_board_reader *r);
int pgd_board_get_error(const struct pgd_board_reader *r, uint32_t index,
                        struct pgd_error *ret) PGD_WARN_UNUSED;
uint32_t pgd_board_segments(const struct pgd_board_reader *r);
int pgd_board_segment(const struct pgd_board_reader *r, uint32_t index,
                      struct pgd_segment_entry *ret) PGD_WARN_UNUSED;
int pgd_board_conn(const struct pgd_board_reader *r, uint32_t cluster, struct pgd_conn *ret) PGD_WARN_UNUSED;
/* Rows of the gap table used so far; one of them: -ENOENT past the end or never used. */
uint32_t pgd_board_gaps(const struct pgd_board_reader *r);
int pgd_board_gap(const struct pgd_board_reader *r, uint32_t row, struct pgd_gap *ret) PGD_WARN_UNUSED;
/* Copies the dynamic part (pid, run_state, started_ns, engine, heartbeat_ns, counts, notify). */
void pgd_board_get(const struct pgd_board_reader *r, struct pgd_board *ret);

#endif
