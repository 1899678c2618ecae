/* kernels/engine.h - the only door between the daemon and the indicator engines.
 *
 * A *plan* is the configured list of indicators, resolved to columns. An *engine* computes a plan over rows
 * in memory that the daemon owns: it reads bar lines and writes indicator units in place, for the rows the
 * daemon says have changed. An engine may be the CPU or a GPU; the values are the same bits. Errors
 * are negative errno; nothing here logs. Threads: an engine belongs to one thread at a time. */
#ifndef KERNELS_ENGINE_H
#define KERNELS_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "polygond/abi.h"

#define PGK_WARN_UNUSED __attribute__((warn_unused_result))
#define PGK_COLUMNS_MAX 127 /* (127 + tag) * 8 = 8 units */

/* --------------------------------------------------------------------------------------------------- plan */

struct pgk_plan;

/* Resolves names: a column ("sma_20", "macd_hist", "vwap", "vwap_20"), or a family that expands to its
 * columns ("macd", "bb", "stoch", "macd_5_35_5"). NULL or count 0: the default set. -EINVAL with a message in
 * `err` that names the word and why (unknown, duplicate, period out of 1..1000, too many). Column order is
 * the order given, families in their documented order. */
int pgk_plan_new(struct pgk_plan **ret, const char *const *names, size_t count, char *err,
                 size_t err_size) PGK_WARN_UNUSED;
void pgk_plan_free(struct pgk_plan *plan);

size_t pgk_plan_columns(const struct pgk_plan *plan);
const char *pgk_plan_name(const struct pgk_plan *plan, size_t column); /* "sma_20" */
const char *pgk_plan_unit(const struct pgk_plan *plan, size_t column); /* "price", "points", "shares" */

/* Rows before the first row at which every column (sessions apart) can be valid. */
size_t pgk_plan_lookback(const struct pgk_plan *plan);

/* Rows of history after which a recurrence started anywhere has the bits of one started earlier, in practice:
 * what REST warm-up asks for when nothing is held. */
size_t pgk_plan_warmup(const struct pgk_plan *plan);

/* Rows a series must be able to hold at least, 16 or more: twice the widest window, so that as many rows as a
 * window has can be appended while a row is computed and no window loses its oldest row. Bind refuses less.
 */
uint32_t pgk_plan_capacity(const struct pgk_plan *plan);

/* Bytes of one checkpoint of the engine's state between two rows (goes into the bars geometry). A multiple
 * of 64. */
size_t pgk_plan_state_size(const struct pgk_plan *plan);

/* Rows between two checkpoints, for whoever lays a segment out. A correction steps up to as many rows again
 * that do not change (some microseconds) before the first one that does; a sweep pays for each checkpoint: at
 * 16 it is an eighth slower on a CPU (make bench-engine). */
#define PGK_STATE_EVERY 64u

/* One line a known indicator, for --help and docs: name, what it is. NULL past the end. */
struct pgk_indicator_info {
    const char *name;    /* "sma_N" */
    const char *columns; /* "sma_20" */
    const char *doc;
};
const struct pgk_indicator_info *pgk_indicator_info(size_t i);

/* ------------------------------------------------------------------------------------------------- engine */

struct pgk_engine;

enum pgk_kind { PGK_AUTO = 0, PGK_CPU = 1, PGK_CUDA = 2 };

struct pgk_engine_options {
    enum pgk_kind kind;
    uint32_t threads; /* the CPU engine's, 0: one */
    const char *isa;  /* its instruction set ("avx512", "avx2", "base"), NULL: the best there is */
    const char
        *cache; /* directory of compiled GPU kernels, NULL: $CACHE_DIRECTORY, $XDG_CACHE_HOME, ~/.cache */
    uint32_t gpu_stay_us; /* that some threads of a GPU wait for the next push, so that it needs no
                           * launch; 0: none do */
    /* for tests */
    const char *cuda_driver; /* libraries, NULL: where the linker looks */
    const char *cuda_rtc;    /* "": do without NVRTC */
    uint32_t cuda_tasks; /* fewer changed series that cannot be pushed are left to the CPU, 0: the usual */
    uint32_t cuda_timeout_ms; /* a GPU that does not answer for so long is lost, 0: the usual */
};

/* PGK_AUTO takes the GPU when there is one that works and, measured now, is faster with this plan; else the
 * CPU. -ENOTSUP, -ENOENT ...: that kind, or that instruction set, cannot be had here (PGK_AUTO never fails
 * so). `why` gets a line on what was chosen and why, with both figures when both were measured. The plan is
 * copied. Takes some tenths of a second with a GPU, more the first time. */
int pgk_engine_new(struct pgk_engine **ret, const struct pgk_plan *plan,
                   const struct pgk_engine_options *options, char *why, size_t why_size) PGK_WARN_UNUSED;

/* A line when the engine has become another since the last call, or NULL: a GPU that failed was left, once
 * and for all, and the CPU goes on. Valid as long as the engine. */
const char *pgk_engine_notice(struct pgk_engine *engine);

/* "auto", "cpu", "cuda"; false: none of them. */
bool pgk_kind_named(const char *name, enum pgk_kind *ret);

/* What runs now. */
enum pgk_kind pgk_engine_kind(const struct pgk_engine *engine);

void pgk_engine_free(struct pgk_engine *engine);

/* Binds a bars segment (base: its first byte; geo: copied). Returns a handle >= 0; -EINVAL when the geometry
 * does not fit the plan: its columns; capacity of at least pgk_plan_capacity; state_size of at least
 * pgk_plan_state_size; state_every > 0 and state_slots >= capacity / state_every + 2; unit_size a multiple of
 * 64; all offsets and strides multiples of 8. -ENOSPC after 16 segments.
 *
 * The state plane belongs to the engine. Its slots hold checkpoints: the state of all recurrences between
 * rows r - 1 and r for every r where r + series is a multiple of state_every. */
int pgk_engine_bind(struct pgk_engine *engine, void *base,
                    const struct pgd_bars_geometry *geo) PGK_WARN_UNUSED;

/* The bound segment is private memory, which nobody reads meanwhile: the CPU engine may store past the caches
 * what they do not hold. In the daemon's shared memory that takes about twice as long (make bench-rest). */
void pgk_engine_private(struct pgk_engine *engine, int segment);

/* Says that series [first, first + count) of a bound segment have come into use: a GPU engine registers their
 * extent. */
int pgk_engine_extent(struct pgk_engine *engine, int segment, uint32_t first, uint32_t count) PGK_WARN_UNUSED;

/* One series whose rows changed. In: series, from (first row whose bar changed), end (head at the time; rows
 * [from, end) are whole and will not change during the call unless reported again). Out: first/last row whose
 * indicators were written. */
struct pgk_change {
    uint32_t series;
    uint32_t reserved;
    uint64_t from;
    uint64_t end;
    uint64_t done_first; /* out: first row whose units were written; == done_end: none */
    uint64_t done_end;   /* out: one past the last */
};

/* Computes. For every change steps the rows that can have changed - forward from `from` until all state has
 * coalesced bitwise with a checkpoint and no window holds a changed bar; which bars after `from` have changed
 * is seen from the tags - and writes the units (with tags) of those that have: a row whose bar and values are
 * what they were is neither written nor, at either end, part of what was done. Rows that were never computed
 * are done whether they were reported or not. Then stores series.computed (release).
 *
 * - While rows published before are being rewritten series.recompute says from where; after a crash
 *   pgk_engine_recover finds it.
 * - A bar that the main thread revises during the call is seen through its rev word: the series is left at
 * that row, its tag not that of the bar, and taken up when the revision is reported.
 * - Rows that have left the ring, also during the call, are skipped. A row whose window reaches behind the
 *   oldest row held gets NaN there; recurrences that no checkpoint precedes begin afresh at the oldest row
 * held.
 *
 * Allocates nothing. -EINVAL, and nothing done: no such segment or series. */
int pgk_engine_compute(struct pgk_engine *engine, int segment, struct pgk_change *changes,
                       size_t count) PGK_WARN_UNUSED;

/* After adoption: the first row of `series` whose indicators cannot be trusted, to be reported as a change
 * [that, head): where a recompute was interrupted, the earliest row whose tag is not its bar's, or the oldest
 * row held when the ring has wrapped and no checkpoint is left. == head: all good; state is picked up from
 * the checkpoints. Looks at every row held: about 10 ns each. */
uint64_t pgk_engine_recover(struct pgk_engine *engine, int segment, uint32_t series);

enum pgk_floor {
    PGK_FLOOR_PLAIN = 0,
    PGK_FLOOR_PAST = 1 /* with stores that go past the CPU's caches */
};

/* For measurements: moves the bytes that computing these changes must move at least, bars in and units out,
 * where the engine runs, and computes nothing. The units then hold no values, so the segment is of no use but
 * to measure with. All changes are of as many rows, of series 0, 1, ..., at the same place of their rings,
 * which they do not go around; the CPU takes any. -ENOTSUP: there is no such way here. */
int pgk_engine_floor(struct pgk_engine *engine, int segment, const struct pgk_change *changes, size_t count,
                     enum pgk_floor how) PGK_WARN_UNUSED;

/* ----------------------------------------------------------------------------------------------- sessions */

/* New York wall-clock offset from UTC in seconds (-18000 or -14400) at a UTC time in ms; US rules of 1967 and
 * later. */
int32_t pgk_new_york_offset(int64_t t_ms);

/* Days since 1970-01-01 of the New York date at t_ms. */
int32_t pgk_new_york_day(int64_t t_ms);

#endif
