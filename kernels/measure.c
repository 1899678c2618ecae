#include "measure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/table.h"

#define WARM   4u  /* pushes before the first that counts */
#define PUSHES 15u /* that count */

/* Any bar will do: the cost does not depend on it. */
static void append(struct pgk_table *table, uint32_t series, uint64_t row)
{
    double step = (double)((series * 7 + row * 13) % 31) / 16;
    struct pgd_bar bar = {.t = INT64_C(1709564400000) + (int64_t)row * table->geo.span_ms,
                          .o = 100 + step,
                          .h = 102 + step,
                          .l = 99 + step,
                          .c = 101 - step,
                          .v = 1000 + step,
                          .vw = 100 + step / 2,
                          .n = 10};
    (void)pgk_table_append(table, series, &bar);
}

static double now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One call for rows [first, end) of all series: what it takes. */
static int push(struct pgk_engine *engine, int segment, struct pgk_table *table, struct pgk_change *changes,
                uint64_t first, uint64_t end, double *ret_us)
{
    uint32_t series = table->geo.series_max;
    for (uint32_t s = 0; s < series; s++) {
        for (uint64_t row = first; row < end; row++)
            append(table, s, row);
        changes[s] = (struct pgk_change){.series = s, .from = first, .end = end};
    }
    double start = now_us();
    int rc = pgk_engine_compute(engine, segment, changes, series);
    *ret_us = now_us() - start;
    return rc;
}

static int measure(struct pgk_engine *engine, struct pgk_table *table, struct pgk_change *changes,
                   double *ret_us, char *why, size_t why_size)
{
    enum pgk_kind kind = pgk_engine_kind(engine);
    int segment = pgk_table_bind(table, engine);
    if (segment < 0) {
        (void)snprintf(why, why_size, "%s", strerror(-segment));
        return segment;
    }
    double took[PUSHES], unused;
    uint64_t row = table->geo.capacity / 2;
    int rc = push(engine, segment, table, changes, 0, row, &unused);
    for (uint64_t i = 0; rc == 0 && i < WARM + PUSHES; i++, row++)
        rc = push(engine, segment, table, changes, row, row + 1, i < WARM ? &unused : &took[i - WARM]);
    const char *notice = pgk_engine_notice(engine);
    (void)snprintf(why, why_size, "%s", notice != NULL ? notice : strerror(-rc));
    if (rc == 0 && pgk_engine_kind(engine) != kind)
        rc = -EIO;
    if (rc == 0) {
        qsort(took, PUSHES, sizeof took[0], by_value);
        *ret_us = took[PUSHES / 2];
    }
    return rc;
}

int pgk_measure_push(struct pgk_engine *engine, const struct pgk_plan *plan, uint32_t series, double *ret_us,
                     char *why, size_t why_size)
{
    struct pgk_table table = {0};
    int rc = pgk_table_init(&table, plan, series, pgk_plan_capacity(plan) + WARM + PUSHES);
    struct pgk_change *changes = calloc(series, sizeof *changes);
    if (rc == 0 && changes == NULL)
        rc = -ENOMEM;
    if (rc == 0)
        rc = measure(engine, &table, changes, ret_us, why, why_size);
    else
        (void)snprintf(why, why_size, "%s", strerror(-rc));
    free(changes);
    pgk_engine_free(engine); /* before the memory it is bound to */
    pgk_table_fini(&table);
    return rc;
}
