/* kernels/history.h - a history through an engine, from the first bar to the last, in bounded memory: bars
 * in, rows with their indicators out. What a file or a download is computed with where no daemon holds it.
 *
 * A bar whose start is that of one of the last PGK_HISTORY_REVISABLE rows replaces it; one that falls between
 * them is inserted; so rows are handed out that many late, when nothing can change them any more, and what
 * comes out is what a daemon would hold in the end. Many histories can go through one after another. */
#ifndef KERNELS_HISTORY_H
#define KERNELS_HISTORY_H

#include <stdbool.h>

#include "kernels/engine.h"

#define PGK_HISTORY_REVISABLE 4096u

/* Consecutive rows, oldest first. They stay as they are until the taker is called again, or the history is
 * begun anew or freed: so a taker's threads may go on with them while the next bars are pushed. */
struct pgk_history_rows {
    uint64_t first;             /* index in the history of rows[0] */
    size_t count;               /* 1 or more */
    const struct pgd_bar *bars; /* bars[i] */
    const double *values;       /* of row i, column j: values[i * stride + j] */
    size_t stride;
};

/* Takes rows; a negative value ends the history and is its error. */
typedef int (*pgk_history_take)(void *user, const struct pgk_history_rows *rows);

struct pgk_history_config {
    struct pgk_engine_options engine; /* PGK_AUTO: the CPU, which is quicker at one history at a time */
    bool stream; /* compute after every bar, as a daemon does; the same bits, only slower */
    pgk_history_take take;
    void *user;
};

struct pgk_history;

/* The plan is copied. `why`: as of pgk_engine_new, which engine and why, or what is wrong. */
int pgk_history_new(struct pgk_history **ret, const struct pgk_plan *plan,
                    const struct pgk_history_config *config, char *why, size_t why_size) PGK_WARN_UNUSED;
void pgk_history_free(struct pgk_history *history);

enum pgk_pushed { PGK_APPENDED = 0, PGK_REPLACED = 1, PGK_INSERTED = 2 };

/* Begins a history. */
void pgk_history_begin(struct pgk_history *history, enum pgd_session session);

/* One more bar (rev is ignored): enum pgk_pushed. -ERANGE: it lies before every row that can still change,
 * and nothing was done. Any other error is the engine's or the taker's. */
int pgk_history_push(struct pgk_history *history, const struct pgd_bar *bar) PGK_WARN_UNUSED;

/* Computes and hands out what is left of the history. */
int pgk_history_end(struct pgk_history *history) PGK_WARN_UNUSED;

/* As pgk_engine_notice. */
const char *pgk_history_notice(struct pgk_history *history);

#endif
