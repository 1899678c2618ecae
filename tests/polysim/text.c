#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sim_text_fini(struct sim_text *text)
{
    free(text->data);
    *text = (struct sim_text){0};
}

char *sim_text_space(struct sim_text *text, size_t count)
{
    if (text->room - text->size < count) {
        size_t room = text->room ? text->room * 2 : 256;
        while (room - text->size < count)
            room *= 2;
        char *data = realloc(text->data, room);
        if (!data) {
            fputs("polysim: out of memory\n", stderr);
            exit(1);
        }
        text->data = data;
        text->room = room;
    }
    return text->data + text->size;
}

void sim_text_add(struct sim_text *text, const void *data, size_t size)
{
    if (size == 0)
        return;
    memcpy(sim_text_space(text, size), data, size);
    text->size += size;
}

void sim_text_str(struct sim_text *text, const char *string)
{
    sim_text_add(text, string, strlen(string));
}

void sim_text_char(struct sim_text *text, char c)
{
    *sim_text_space(text, 1) = c;
    text->size++;
}

/* Digits of value, right-aligned before `end`; returns where they start. */
static char *digits(char *end, uint64_t value)
{
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return end;
}

void sim_text_int(struct sim_text *text, int64_t value)
{
    char buf[24];
    uint64_t magnitude = value < 0 ? (uint64_t)0 - (uint64_t)value : (uint64_t)value;
    char *start = digits(buf + sizeof(buf), magnitude);
    if (value < 0)
        *--start = '-';
    sim_text_add(text, start, (size_t)(buf + sizeof(buf) - start));
}

void sim_text_printf(struct sim_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size > 0) {
        vsnprintf(sim_text_space(text, (size_t)size + 1), (size_t)size + 1, format, again);
        text->size += (size_t)size;
    }
    va_end(again);
}

const char *sim_text_cstr(struct sim_text *text)
{
    *sim_text_space(text, 1) = '\0';
    return text->data;
}

void sim_text_json(struct sim_text *text, const char *string)
{
    sim_text_char(text, '"');
    for (const unsigned char *c = (const unsigned char *)string; *c; c++) {
        if (*c == '"' || *c == '\\')
            sim_text_char(text, '\\');
        if (*c < 0x20)
            sim_text_printf(text, "\\u%04x", *c);
        else
            sim_text_char(text, (char)*c);
    }
    sim_text_char(text, '"');
}

/* count >= 1 digits at d, of which the first stands for 10^exponent. */
static void exponent_form(struct sim_text *text, const char *d, int count, int exponent)
{
    char *p = sim_text_space(text, 32);
    char *start = p;
    *p++ = d[0];
    if (count > 1) {
        *p++ = '.';
        memcpy(p, d + 1, (size_t)(count - 1));
        p += count - 1;
    }
    *p++ = 'e';
    *p++ = exponent < 0 ? '-' : '+';
    int magnitude = exponent < 0 ? -exponent : exponent;
    *p++ = (char)('0' + magnitude / 10);
    *p++ = (char)('0' + magnitude % 10);
    text->size += (size_t)(p - start);
}

void sim_text_number(struct sim_text *text, int64_t mantissa, unsigned scale, bool plain)
{
    uint64_t magnitude = mantissa < 0 ? (uint64_t)0 - (uint64_t)mantissa : (uint64_t)mantissa;
    while (scale > 0 && magnitude % 10 == 0) {
        magnitude /= 10;
        scale--;
    }
    if (mantissa < 0)
        sim_text_char(text, '-');
    char buf[24];
    char *end = buf + sizeof(buf);
    char *d = digits(end, magnitude);
    int count = (int)(end - d);
    int exponent = count - 1 - (int)scale;
    if (!plain && magnitude != 0 && (exponent >= 6 || exponent < -4)) {
        while (count > 1 && d[count - 1] == '0')
            count--;
        exponent_form(text, d, count, exponent);
        return;
    }
    int whole = count - (int)scale;
    if (whole > 0) {
        sim_text_add(text, d, (size_t)whole);
        d += whole;
    } else {
        sim_text_char(text, '0');
    }
    if (scale == 0)
        return;
    sim_text_char(text, '.');
    for (int i = whole; i < 0; i++)
        sim_text_char(text, '0');
    sim_text_add(text, d, (size_t)(end - d));
}

void sim_text_decimal(struct sim_text *text, int64_t mantissa, unsigned scale, unsigned decimals)
{
    for (; scale > decimals; scale--)
        mantissa /= 10;
    int64_t unit = 1;
    for (unsigned i = 0; i < scale; i++)
        unit *= 10;
    sim_text_int(text, mantissa / unit);
    if (scale > 0)
        sim_text_printf(text, ".%0*lld", (int)scale, (long long)(mantissa % unit));
}
