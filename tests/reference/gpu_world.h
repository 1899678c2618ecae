/* gpu_world.h - bars in host memory and a CUDA engine over them, as benches of a GPU want them; and how they
 * print. Mistakes end the program. */
#ifndef GPU_WORLD_H
#define GPU_WORLD_H

#include "cuda/engine.h"

struct world {
    struct pgk_plan *plan;
    struct pgk_cuda *cuda;
    struct pgk_gpu *gpu; /* the first one */
    uint8_t *base;
    size_t size;
    struct pgd_bars_geometry geo;
    struct pgk_change *changes; /* room for all series */
    uint64_t rows;              /* of each series, so far */
    uint64_t seed;
};

struct world_options {
    const char *driver; /* NULL: NVIDIA's */
    uint32_t series;
    uint32_t capacity;
    uint32_t stay_us; /* that blocks wait for pushes */
    bool planes;      /* bar lines of a series, then its units; else both interleaved at 256 bytes */
};

void world_init(struct world *w, const struct world_options *options);
void world_fini(struct world *w);
_Noreturn void world_die(const struct world *w, const char *what);

struct pgd_series *world_head(const struct world *w, uint32_t series);
const uint64_t *world_unit(const struct world *w, uint32_t series, uint64_t row);
void world_append(struct world *w, uint32_t series, uint64_t row);
void world_compute(struct world *w); /* w->changes, all of them */

double world_now_us(void);
double world_at(double *values, size_t count, double share); /* the value below which `share` of them lie */
void world_print(const char *name, double ours, double reference, const char *unit, const char *note);

#endif
