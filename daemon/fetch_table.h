/* daemon/fetch_table.h - what was fetched as a table: bars through the indicator engine to a descriptor, on a
 * thread of its own, so that a reader who takes its time holds up neither the loop nor the sockets. */
#ifndef DAEMON_FETCH_TABLE_H
#define DAEMON_FETCH_TABLE_H

#include "fetch.h"
#include "kernels/engine.h"

#define FETCH_TABLE_COLUMNS 256u

/* Which columns: fields of the bars, and indicators with the plan they need. */
struct fetch_columns {
    struct pgk_plan *plan; /* NULL: no indicators */
    char names[FETCH_TABLE_COLUMNS][64];
    size_t count;
};

/* `columns`: a list with commas of t, o, h, l, c, v, vw, n and indicators, NULL: all fields, and the
 * indicators. `indicators`: likewise, NULL: those of `columns`, and where that is NULL too, `fallback` (a
 * count of 0: the default set). -EINVAL and a line in err. */
int fetch_columns_init(struct fetch_columns *ret, const char *columns, const char *indicators,
                       char *const *fallback, size_t fallback_count, char *err, size_t err_size)
    __attribute__((warn_unused_result));
void fetch_columns_fini(struct fetch_columns *columns);

struct fetch_table;

struct fetch_table_options {
    uv_loop_t *loop;
    int fd;
    bool json;
    enum pgk_kind engine;
    const struct fetch_columns *columns;
    void (*taken)(void *user, struct fetch_batch *batch); /* on the loop */
    void (*failed)(void *user, int error);                /* once: it cannot be written or computed */
    void *user;
};

/* Writes the line of names, of CSV. -errno and a line in err. */
int fetch_table_new(struct fetch_table **ret, const struct fetch_table_options *options, char *err,
                    size_t err_size) __attribute__((warn_unused_result));

void fetch_table_put(struct fetch_table *table, struct fetch_batch *batch);

/* Waits until all that was put is written. */
void fetch_table_finish(struct fetch_table *table);
/* Then: what became of the engine, as pgk_engine_notice, or NULL. */
const char *fetch_table_notice(struct fetch_table *table);
/* Then, once the loop has run out. */
void fetch_table_free(struct fetch_table *table);

#endif
