/* bench.h - measuring on the user's own machine: samples, and the rows that they end in. */
#ifndef POLYCTL_BENCH_H
#define POLYCTL_BENCH_H

#include "kernels/engine.h"
#include "out.h"

struct bench {
    struct out out;
    const struct pgk_plan *plan;
    double seconds; /* that each figure is measured for */
    uint32_t threads;
};

#define SAMPLES_MAX 4096u

/* What was measured again and again: ours, and one or two references beside it. */
struct samples {
    double of[3][SAMPLES_MAX];
    size_t count;
    double end_s;
};

double bench_now_s(void);

/* Begins, and says whether another round is due: three at least, then as long as there is time. */
void samples_begin(struct samples *samples, const struct bench *bench);
bool samples_due(const struct samples *samples);

/* Value below which `share` of them lie. Sorts. */
double samples_at(struct samples *samples, unsigned which, double share);

/* One row; NaN where there is no reference. Exit code: the output may be gone (said). */
int bench_row(struct bench *bench, const char *name, double ours, double reference, const char *unit,
              const char *note);

/* The engines of `kind` (PGK_AUTO: the CPU's, and the GPU's where there is one), each next to moving the same
 * bytes. Exit code, said. */
int bench_engines(struct bench *bench, enum pgk_kind kind);

#endif
