/* daemon/symbols.h - the symbols this instance holds: canonical names, wire names, what is wanted of each.
 *
 * A symbol's index is its row in the board's directory and its series in every bars segment; it never changes
 * hands. Canonical names are the vendor's REST tickers, but for pairs the form with a hyphen: "AAPL",
 * "O:SPY251219C00650000", "I:SPX", "X:BTC-USD", "C:EUR-USD". Memory for all is taken at start; lookups on the
 * hot path allocate nothing. Main thread. */
#ifndef DAEMON_SYMBOLS_H
#define DAEMON_SYMBOLS_H

#include "shm/board.h"
#include <stdbool.h>

struct symbol {
    char name[PGD_SYMBOL_MAX]; /* canonical */
    uint8_t cluster;           /* enum pgd_cluster */
    bool asked;                /* by a client: the next run holds it again */
    bool held;       /* wanted in this run (an adopted directory also lists symbols nobody wants now) */
    uint32_t wanted; /* enum pgd_topic bits */
    uint32_t acked;
    uint32_t refused;
    uint32_t history; /* bars segments (bit = index) whose history is still being fetched */
    uint64_t events;
    uint64_t faults;
    int64_t last_ns; /* of the last event, ns since 1970 */
};

struct symbols;

int symbols_new(struct symbols **ret, struct pgd_board_writer *board, uint32_t limit)
    __attribute__((warn_unused_result));
void symbols_free(struct symbols *symbols);

/* The symbol an event of `cluster` names by `text`; NULL when it is not held. The hot path. */
struct symbol *symbols_find_wire(const struct symbols *symbols, enum pgd_cluster cluster, const char *text,
                                 size_t size);

/* By canonical name. */
struct symbol *symbols_find(const struct symbols *symbols, const char *name);

/* Adds or finds. -ENOSPC: the limit is reached; -EINVAL: no possible name; -EEXIST: another
 * cluster has a symbol of this name. */
int symbols_add(struct symbols *symbols, struct symbol **ret, const char *name, enum pgd_cluster cluster)
    __attribute__((warn_unused_result));

uint32_t symbols_index(const struct symbols *symbols, const struct symbol *symbol);
struct symbol *symbols_at(const struct symbols *symbols, uint32_t index);
uint32_t symbols_count(const struct symbols *symbols);

/* Copies a symbol's state (wanted, acknowledged, warm, counts) to the board. */
void symbols_show(struct symbols *symbols, const struct symbol *symbol);
void symbols_show_all(struct symbols *symbols);

/* What a user typed, as a canonical name: "X:BTCUSD" becomes "X:BTC-USD", "C:EURUSD" "C:EUR-USD"; others are
 * copied. `cluster`: where the name belongs by its prefix when 0, which is stocks without one. -EINVAL. */
int symbols_canonical(char ret[PGD_SYMBOL_MAX], enum pgd_cluster *cluster, const char *text)
    __attribute__((warn_unused_result));

/* What the wire calls `text` on `cluster`, as a canonical name. -EINVAL when too long or empty. */
int symbols_from_wire(char ret[PGD_SYMBOL_MAX], enum pgd_cluster cluster, const char *text, size_t size)
    __attribute__((warn_unused_result));

enum pgd_session symbols_session(enum pgd_cluster cluster);

#endif
