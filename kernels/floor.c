#include "floor.h"

#include <errno.h>
#if defined __x86_64__
#include <emmintrin.h>
#endif

#define WORDS (PGD_LINE / sizeof(uint64_t))

/* Every line of the unit is written with the bar's. */
static void move(uint8_t *unit, const uint8_t *bar, uint64_t size)
{
    const uint64_t *from = (const uint64_t *)(const void *)bar;
    for (uint64_t line = 0; line < size; line += PGD_LINE) {
        uint64_t *to = (uint64_t *)(void *)(unit + line);
        for (size_t i = 0; i < WORDS; i++)
            to[i] = from[i];
    }
}

#if defined __x86_64__
static void move_past(uint8_t *unit, const uint8_t *bar, uint64_t size)
{
    const __m128i *from = (const __m128i *)(const void *)bar;
    for (uint64_t line = 0; line < size; line += PGD_LINE) {
        __m128i *to = (__m128i *)(void *)(unit + line);
        for (size_t i = 0; i < PGD_LINE / sizeof *to; i++)
            _mm_stream_si128(&to[i], _mm_load_si128(&from[i]));
    }
}
#else
#define move_past move
#endif

int pgk_floor_move(void *base, const struct pgd_bars_geometry *geo, const struct pgk_change *changes,
                   size_t count, enum pgk_floor how)
{
#if !defined __x86_64__
    if (how == PGK_FLOOR_PAST)
        return -ENOTSUP;
#endif
    for (size_t i = 0; i < count; i++) {
        struct pgk_series series;
        pgk_series_init(&series, base, geo, changes[i].series);
        for (uint64_t row = changes[i].from; row < changes[i].end; row++) {
            uint8_t *unit = pgk_series_unit(&series, row);
            if (how == PGK_FLOOR_PAST)
                move_past(unit, pgk_series_bar(&series, row), geo->unit_size);
            else
                move(unit, pgk_series_bar(&series, row), geo->unit_size);
        }
    }
    return 0;
}
