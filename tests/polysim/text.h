/* text.h - a growing byte buffer, and numbers written the way the upstream writes them.
 *
 * Running out of memory ends the program: it is a test server and has nothing better to do. */
#ifndef POLYSIM_TEXT_H
#define POLYSIM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_text {
    char *data; /* not NUL-terminated unless sim_text_cstr was called last */
    size_t size;
    size_t room;
};

void sim_text_fini(struct sim_text *text);

/* At least `count` free bytes behind the contents; the caller adds what it wrote to text->size. */
char *sim_text_space(struct sim_text *text, size_t count);

void sim_text_add(struct sim_text *text, const void *data, size_t size);
void sim_text_str(struct sim_text *text, const char *string);
void sim_text_char(struct sim_text *text, char c);
void sim_text_int(struct sim_text *text, int64_t value);
void sim_text_printf(struct sim_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *sim_text_cstr(struct sim_text *text);

/* A JSON string with quotes and escapes. */
void sim_text_json(struct sim_text *text, const char *string);

/* mantissa * 10^-scale (scale 0..18) as a JSON number with the fewest digits. With `plain` never an exponent;
 * otherwise from 1e6 on and below 1e-4 in the upstream's form 1.234567e+06, 4.522e-05. */
void sim_text_number(struct sim_text *text, int64_t mantissa, unsigned scale, bool plain);

/* The same as a decimal string with exactly `decimals` digits behind the point (decimals <= scale):
 * "4332125.038360". */
void sim_text_decimal(struct sim_text *text, int64_t mantissa, unsigned scale, unsigned decimals);

#endif
