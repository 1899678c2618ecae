/* kernels/table.h - a bars segment in private memory: series whose bars this process writes and whose
 * indicators it has an engine compute, with no daemon and no reader.
 *
 * The layout is that of shared memory (polygond/abi.h), so every engine serves it. The caller gives the
 * engine and the writer of the bars turns: nothing here may be called while the engine computes. */
#ifndef KERNELS_TABLE_H
#define KERNELS_TABLE_H

#include "kernels/engine.h"

struct pgk_table {
    uint8_t *base; /* page-aligned */
    size_t size;
    struct pgd_bars_geometry geo;
};

/* The layout of `series` series of `capacity` rows: the bytes it takes, or 0: no such numbers. No two series
 * lie a power of two apart, nor three times one: see docs/adr/0001. */
uint64_t pgk_table_layout(struct pgd_bars_geometry *ret, const struct pgk_plan *plan, uint32_t series,
                          uint32_t capacity);

/* Room for `series` series of `capacity` rows of a plan, all empty. -EINVAL: no such numbers; -ENOMEM. */
int pgk_table_init(struct pgk_table *ret, const struct pgk_plan *plan, uint32_t series,
                   uint32_t capacity) PGK_WARN_UNUSED;
void pgk_table_fini(struct pgk_table *table);

/* Binds the table to an engine and brings all its series into use there: a handle for pgk_engine_compute, or
 * the error of either. */
int pgk_table_bind(const struct pgk_table *table, struct pgk_engine *engine) PGK_WARN_UNUSED;

/* Empties a series. An engine that knows it is told by pgk_engine_recover. */
void pgk_table_open(struct pgk_table *table, uint32_t series, enum pgd_session session);

/* As if the engine had computed none of it: a call for its rows computes all of them. */
void pgk_table_forget(struct pgk_table *table, uint32_t series);

uint64_t pgk_table_head(const struct pgk_table *table, uint32_t series);
/* The oldest row held. */
uint64_t pgk_table_first(const struct pgk_table *table, uint32_t series);

/* Appends: the row's index. */
uint64_t pgk_table_append(struct pgk_table *table, uint32_t series, const struct pgd_bar *bar);
/* Replaces a row that is held. */
void pgk_table_revise(struct pgk_table *table, uint32_t series, uint64_t index, const struct pgd_bar *bar);
/* Inserts before a row that is held and not the oldest of a full ring; those from it on move up one. */
void pgk_table_insert(struct pgk_table *table, uint32_t series, uint64_t index, const struct pgd_bar *bar);

/* A row held: its bar and its columns. Those of the next row follow at bar_stride and unit_stride, up to the
 * end of the ring. */
struct pgd_bar *pgk_table_bar(const struct pgk_table *table, uint32_t series, uint64_t index);
const double *pgk_table_values(const struct pgk_table *table, uint32_t series, uint64_t index);

#endif
