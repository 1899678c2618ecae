/* The bytes as a file of bars, as polyctl compute reads it: each line a bar or a reason why not; and the
 * bars, whatever they hold, through an engine bar by bar and many at once to the same bits, none of them
 * infinite. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../clients/polyctl/csv.c"
#include "kernels/history.h"

#define BARS_MAX 400u
#define COLUMNS  15u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct way {
    struct pgk_history *history;
    uint64_t rows, sum;
};

static struct way ways[2];

static void check_that(int ok)
{
    if (!ok)
        abort();
}

static void add(struct way *way, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < size; i++)
        way->sum = (way->sum ^ p[i]) * UINT64_C(1099511628211);
}

static int take(void *user, const struct pgk_history_rows *rows)
{
    struct way *way = user;
    check_that(rows->first == way->rows && rows->count > 0);
    for (size_t i = 0; i < rows->count; i++) {
        for (uint32_t j = 0; j < COLUMNS; j++)
            check_that(!isinf(rows->values[i * rows->stride + j]));
        check_that(i == 0 || rows->bars[i].t > rows->bars[i - 1].t);
        add(way, &rows->bars[i].t, sizeof rows->bars[i].t);
        add(way, rows->values + i * rows->stride, COLUMNS * sizeof(double));
    }
    way->rows += rows->count;
    return 0;
}

static void begin(void)
{
    struct pgk_plan *plan;
    char why[256];
    for (int i = 0; i < 2; i++) {
        if (ways[i].history == NULL) {
            const struct pgk_history_config config = {.stream = i == 1, .take = take, .user = &ways[i]};
            check_that(pgk_plan_new(&plan, NULL, 0, why, sizeof why) == 0 &&
                       pgk_plan_columns(plan) == COLUMNS);
            check_that(pgk_history_new(&ways[i].history, plan, &config, why, sizeof why) == 0);
            pgk_plan_free(plan);
        }
        ways[i].rows = ways[i].sum = 0;
        pgk_history_begin(ways[i].history, PGD_SESSION_US);
    }
}

static void take_line(const struct csv *csv, const char *line, const char *end, uint32_t *bars)
{
    char reason[CSV_REASON_SIZE] = "";
    struct pgd_bar bar;
    int rc = csv_bar(csv, line, end, &bar, reason);
    check_that(rc >= 0 || (rc == -EINVAL && reason[0] != '\0' && strlen(reason) < sizeof reason));
    if (rc != 1 || ++*bars > BARS_MAX)
        return;
    check_that(isfinite(bar.o) && isfinite(bar.h) && isfinite(bar.l) && isfinite(bar.c));
    check_that(!isinf(bar.v) && !(bar.v < 0) && !isinf(bar.vw));
    rc = pgk_history_push(ways[0].history, &bar);
    check_that(rc == pgk_history_push(ways[1].history, &bar) && rc >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char reason[CSV_REASON_SIZE] = "";
    const char *at = (const char *)data, *end = at + size;
    struct csv csv;
    uint32_t bars = 0;
    bool headed = false;
    begin();
    while (at < end) {
        const char *line = at, *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop == NULL ? end : stop;
        at = stop < end ? stop + 1 : end;
        if (headed)
            take_line(&csv, line, stop, &bars);
        else if (csv_header(&csv, line, stop, reason) == 0)
            headed = true;
        else
            return 0;
    }
    for (int i = 0; i < 2; i++)
        check_that(pgk_history_end(ways[i].history) == 0);
    check_that(ways[0].rows == ways[1].rows && ways[0].sum == ways[1].sum);
    return 0;
}
