#include "kernels/history.h"

#include <errno.h>
#include <stdlib.h>

#include "kernels/table.h"

/* Rows between two computations: enough that a call costs nothing next to them, few enough that bars and
 * units are still in the cache when they are handed out. */
#define CHUNK 4096u

struct pgk_history {
    struct pgk_history_config config;
    struct pgk_engine *engine;
    struct pgk_table table;
    int segment;
    uint64_t changed; /* first row that the engine has not seen as it is; the head: none */
    uint64_t handed;  /* rows handed out */
    int64_t last_t;
};

/* One series at a time is nothing for a GPU: it is not looked for unless it is asked for, and then it does
 * what an engine of many series would leave to the CPU. */
static struct pgk_engine_options engine_options(const struct pgk_history_config *config)
{
    struct pgk_engine_options options = config->engine;
    if (options.kind == PGK_AUTO)
        options.kind = PGK_CPU;
    if (options.cuda_tasks == 0)
        options.cuda_tasks = 1;
    return options;
}

int pgk_history_new(struct pgk_history **ret, const struct pgk_plan *plan,
                    const struct pgk_history_config *config, char *why, size_t why_size)
{
    struct pgk_history *history = calloc(1, sizeof *history);
    if (history == NULL)
        return -ENOMEM;
    history->config = *config;
    /* The rows that can change, those not computed yet, those that the taker still looks at, and what a
     * window of the oldest that can change reads, from a checkpoint before it. */
    uint32_t capacity = 2 * CHUNK + PGK_HISTORY_REVISABLE + pgk_plan_capacity(plan) + 64;
    const struct pgk_engine_options options = engine_options(config);
    int rc = pgk_engine_new(&history->engine, plan, &options, why, why_size);
    if (rc == 0)
        rc = pgk_table_init(&history->table, plan, 1, capacity);
    if (rc == 0)
        rc = history->segment = pgk_table_bind(&history->table, history->engine);
    if (rc < 0) {
        pgk_history_free(history);
        return rc;
    }
    pgk_history_begin(history, PGD_SESSION_US);
    *ret = history;
    return 0;
}

void pgk_history_free(struct pgk_history *history)
{
    if (history == NULL)
        return;
    pgk_engine_free(history->engine);
    pgk_table_fini(&history->table);
    free(history);
}

void pgk_history_begin(struct pgk_history *history, enum pgd_session session)
{
    pgk_table_open(&history->table, 0, session);
    (void)pgk_engine_recover(history->engine, history->segment, 0);
    history->changed = history->handed = 0;
    history->last_t = INT64_MIN;
}

static int compute(struct pgk_history *history)
{
    uint64_t head = pgk_table_head(&history->table, 0);
    struct pgk_change change = {.from = history->changed, .end = head};
    if (history->changed == head)
        return 0;
    history->changed = head;
    return pgk_engine_compute(history->engine, history->segment, &change, 1);
}

/* Hands out the rows before `end`, in one piece, or in two around the end of the ring. */
static int hand_out(struct pgk_history *history, uint64_t end)
{
    const struct pgd_bars_geometry *geo = &history->table.geo;
    while (history->handed < end) {
        uint64_t left = end - history->handed, to_wrap = geo->capacity - history->handed % geo->capacity;
        struct pgk_history_rows rows = {.first = history->handed,
                                        .count = left < to_wrap ? left : to_wrap,
                                        .bars = pgk_table_bar(&history->table, 0, history->handed),
                                        .values = pgk_table_values(&history->table, 0, history->handed),
                                        .stride = geo->unit_stride / sizeof(double)};
        int rc = history->config.take(history->config.user, &rows);
        if (rc < 0)
            return rc;
        history->handed += rows.count;
    }
    return 0;
}

/* Rows that lie PGK_HISTORY_REVISABLE back have come to rest; they go out a chunk at a time. */
static int settle(struct pgk_history *history)
{
    uint64_t head = pgk_table_head(&history->table, 0);
    bool full = head - history->handed >= CHUNK + PGK_HISTORY_REVISABLE;
    int rc = full || history->config.stream ? compute(history) : 0;
    return rc < 0 || !full ? rc : hand_out(history, head - PGK_HISTORY_REVISABLE);
}

static int64_t start_of(const struct pgk_history *history, uint64_t index)
{
    return pgk_table_bar(&history->table, 0, index)->t;
}

/* The oldest row that can change. */
static uint64_t oldest_of(const struct pgk_history *history)
{
    uint64_t head = pgk_table_head(&history->table, 0);
    return head > PGK_HISTORY_REVISABLE ? head - PGK_HISTORY_REVISABLE : 0;
}

/* First row of those whose start is `t` or later. */
static uint64_t search(const struct pgk_history *history, int64_t t)
{
    uint64_t low = oldest_of(history), high = pgk_table_head(&history->table, 0);
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (start_of(history, middle) < t)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int change(struct pgk_history *history, const struct pgd_bar *bar)
{
    uint64_t index = search(history, bar->t), oldest = oldest_of(history);
    bool same = start_of(history, index) == bar->t;
    /* Before the oldest there may be others that are out already. */
    if (!same && index == oldest && oldest > 0)
        return -ERANGE;
    if (same)
        pgk_table_revise(&history->table, 0, index, bar);
    else
        pgk_table_insert(&history->table, 0, index, bar);
    if (index < history->changed)
        history->changed = index;
    return same ? PGK_REPLACED : PGK_INSERTED;
}

int pgk_history_push(struct pgk_history *history, const struct pgd_bar *bar)
{
    int pushed = PGK_APPENDED;
    if (bar->t > history->last_t) {
        (void)pgk_table_append(&history->table, 0, bar);
        history->last_t = bar->t;
    } else {
        pushed = change(history, bar);
        if (pushed < 0)
            return pushed;
    }
    int rc = settle(history);
    return rc < 0 ? rc : pushed;
}

int pgk_history_end(struct pgk_history *history)
{
    int rc = compute(history);
    return rc < 0 ? rc : hand_out(history, pgk_table_head(&history->table, 0));
}

const char *pgk_history_notice(struct pgk_history *history)
{
    return pgk_engine_notice(history->engine);
}
