/* bench.c - polyctl bench: how fast this machine is, next to its own limits. */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engines.h"

#define SAMPLES_MIN 3u
#define THREADS_MAX 64 /* as engine.threads of the configuration */

double bench_now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void samples_begin(struct samples *samples, const struct bench *bench)
{
    samples->count = 0;
    samples->end_s = bench_now_s() + bench->seconds;
}

bool samples_due(const struct samples *samples)
{
    return samples->count < SAMPLES_MIN || (samples->count < SAMPLES_MAX && bench_now_s() < samples->end_s);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double samples_at(struct samples *samples, unsigned which, double share)
{
    double *values = samples->of[which];
    qsort(values, samples->count, sizeof *values, by_value);
    return values[(size_t)((double)(samples->count - 1) * share)];
}

int bench_row(struct bench *bench, const char *name, double ours, double reference, const char *unit,
              const char *note)
{
    struct cell cells[] = {CELL_T("name", name),           CELL_D("ours", ours),
                           CELL_D("reference", reference), CELL_D("ratio", ours / reference),
                           CELL_T("unit", unit),           CELL_T("note", note)};
    cells[0].flags = cells[4].flags = cells[5].flags = CELL_LEFT;
    cells[0].width = 24;
    cells[1].width = cells[2].width = cells[4].width = 9;
    cells[3].width = 6;
    out_row(&bench->out, cells, sizeof cells / sizeof cells[0]);
    if (fflush(bench->out.file) == 0)
        return EXIT_OK;
    say("standard output", "%s", strerror(errno));
    return EXIT_FAILED;
}

int verb_bench(const struct args *args)
{
    struct bench bench = {.seconds = 1};
    struct pgk_plan *plan = NULL;
    enum pgk_kind kind;
    if (args->operand_count != 1 || strcmp(args->operands[0], "engine") != 0) {
        say("bench", args->operand_count == 0 ? "of what: engine" : "there is one thing to measure: engine");
        return EXIT_USAGE;
    }
    int64_t ns = args_seconds(args, OPT_SECONDS);
    if (ns == -2 || !engine_kind(args, &kind))
        return EXIT_USAGE;
    if (ns >= 0)
        bench.seconds = (double)ns / 1e9;
    int64_t threads = args_count(args, OPT_THREADS, 1, THREADS_MAX);
    if (threads < 0)
        return EXIT_USAGE;
    bench.threads = (uint32_t)threads;
    int code = engine_plan_or(args, ENGINE_NINE, &plan);
    if (code != EXIT_OK)
        return code;
    bench.plan = plan;
    out_init(&bench.out, args);
    bench.out.stream = true;
    code = bench_engines(&bench, kind);
    out_end(&bench.out);
    pgk_plan_free(plan);
    return code;
}
