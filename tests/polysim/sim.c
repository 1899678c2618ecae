#include "sim.h"

#include <stdarg.h>
#include <stdio.h>

int64_t sim_now(const struct sim *sim)
{
    if (sim->options.speed <= 0)
        return sim->stepped;
    double elapsed_ms = (double)(uv_hrtime() - sim->clock_origin) / 1e6;
    return sim->clock_start + (int64_t)(elapsed_ms * sim->options.speed);
}

double sim_elapsed(const struct sim *sim)
{
    return (double)(uv_hrtime() - sim->clock_origin) / 1e9;
}

void sim_say(const struct sim *sim, const char *format, ...)
{
    if (sim->options.quiet)
        return;
    va_list args;
    va_start(args, format);
    fputs("polysim: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}
