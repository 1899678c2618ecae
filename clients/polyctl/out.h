/* out.h - rows of named cells, written as an aligned table, as JSON or as CSV. */
#ifndef POLYCTL_OUT_H
#define POLYCTL_OUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "polyctl.h"

enum cell_kind {
    CELL_NULL,
    CELL_TEXT,
    CELL_INT,
    CELL_UINT,
    CELL_NUMBER,  /* NaN and infinities are null */
    CELL_TIME_MS, /* machine formats: the number; text: a clock */
    CELL_TIME_NS, /* machine formats: ms, with a fraction when there is one */
    CELL_FLAG,    /* true or false */
    CELL_LIST,    /* of numbers: u.list */
    CELL_WORDS    /* comma list in u.text; JSON: array of strings */
};

enum cell_flag {
    CELL_NO_TEXT = 1, /* left out of tables */
    CELL_NO_CSV = 2,
    CELL_NO_JSON = 4,
    CELL_LEFT = 8,     /* table: left-aligned */
    CELL_SECONDS = 16, /* clock with seconds, without date */
    CELL_MILLIS = 32,  /* clock with milliseconds, without date */
    CELL_PRICE = 128,  /* table: sub-penny digits shown when there are some */
    CELL_AMOUNT = 256, /* table: decimals only where they matter */
    CELL_YEAR = 64     /* clock with year and seconds */
};

struct cell {
    const char *name;
    enum cell_kind kind;
    unsigned flags;
    int width; /* table: at least so wide */
    union {
        const char *text;
        int64_t i;
        uint64_t u;
        double d;
        bool flag;
        struct {
            const uint16_t *values;
            unsigned count;
        } list;
    };
};

enum out_format { OUT_TEXT, OUT_JSON, OUT_CSV };

struct out {
    enum out_format format;
    FILE *file;
    bool stream;      /* table: print rows at once with fixed widths, instead of at out_end */
    bool local;       /* clocks in the local zone */
    int columns;      /* of the terminal, 0: no limit */
    int height;       /* repeat the header so often, 0: never */
    int since_header; /* rows; -1: the header is due */
    char *held;       /* table: cells of the rows so far, NUL-terminated each */
    size_t held_size, held_room;
    unsigned held_columns, held_rows;
    unsigned held_left; /* bits: columns to be left-aligned */
};

/* Format and zone from the options; the terminal's size when stdout is one ($COLUMNS overrides). */
void out_init(struct out *out, const struct args *args);
void out_row(struct out *out, const struct cell *cells, unsigned count);
/* The next row has other columns: CSV and tables begin anew. */
void out_reshape(struct out *out);
void out_end(struct out *out);

/* `"name":value,...` without braces, for objects that nest. */
void json_cells(FILE *f, const struct cell *cells, unsigned count);
void json_text(FILE *f, const char *text);

/* Shortest decimal that reads back as the same double; `size` >= 32. */
void number_text(char *to, size_t size, double x);
/* Short, for people: at most 10 characters for usual magnitudes. `flags`: CELL_PRICE, CELL_AMOUNT. */
void number_brief(char *to, size_t size, double x, unsigned flags);

#define CELL_T(n, v) ((struct cell){.name = (n), .kind = CELL_TEXT, .text = (v)})
#define CELL_I(n, v) ((struct cell){.name = (n), .kind = CELL_INT, .i = (v)})
#define CELL_U(n, v) ((struct cell){.name = (n), .kind = CELL_UINT, .u = (v)})
#define CELL_D(n, v) ((struct cell){.name = (n), .kind = CELL_NUMBER, .d = (v)})

#endif
