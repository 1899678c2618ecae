/* client.h - what the files of libpolygond share. */
#ifndef LIB_CLIENT_H
#define LIB_CLIENT_H

#include <stdbool.h>

#include "polygond/polygond.h"
#include "shm/board.h"
#include "shm/segment.h"
#include "shm/series.h"
#include "shm/tape.h"
#include "shm/wake.h"

#define PGD__STREAMS     16                  /* of a client */
#define PGD__STALL_NS    INT64_C(5000000000) /* heartbeat older than this: wedged */
#define PGD__COLUMNS_MAX 1024u               /* indicator columns a reader accepts */
#define PGD__NS          INT64_C(1000000000)

/* One attached segment. `generation` grows when a successor took its place. */
struct pgd__stream {
    char name[PGD_SEGMENT_MAX];
    enum pgd_kind kind;
    uint32_t generation;
    struct pgd_bars_reader bars; /* kind bars */
    struct pgd_map map;          /* kind tape */
    uint64_t tape_offset;
    struct pgd_tape_reader latest; /* kind tape: for the table of latest records */
    struct pgd_field *columns;
    unsigned column_count;
};

struct pgd_client {
    char instance[PGD_INSTANCE_MAX];
    struct pgd_board_reader board;
    uint32_t generation; /* of the board */
    int stream_count;
    struct pgd__stream streams[PGD__STREAMS];
};

/* The stream, NULL when the number is out of range or of another kind (0: any). */
struct pgd__stream *pgd__stream_get(const struct pgd_client *client, int stream, enum pgd_kind kind);
const struct pgd_map *pgd__stream_map(const struct pgd__stream *s);

int pgd__stream_attach(struct pgd__stream *ret, const char *instance, const char *name) PGD_CHECK;
void pgd__stream_detach(struct pgd__stream *s);

/* Whether two mappings are of one file. */
bool pgd__same_file(const struct pgd_map *a, const struct pgd_map *b);

/* Whether some attached segment is marked as replaced. */
bool pgd__replaced(const struct pgd_client *client);

/* The board's futex word. */
const uint32_t *pgd__board_notify(const struct pgd_client *client);

int64_t pgd__now_ns(void); /* CLOCK_MONOTONIC */

#endif
